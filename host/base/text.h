/* Text: UTF-8, slices, strict number parsing, spelling suggestions, a growing string.
 * Lengths are in bytes and explicit; text may hold NUL bytes unless it is said to be a C string. */
#ifndef LNG_HOST_BASE_TEXT_H
#define LNG_HOST_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"

/* What lng_utf8_decode answers for bytes that are not UTF-8. */
#define LNG_UTF8_INVALID UINT32_MAX

/* The code point at the start of `text`; returns the bytes it takes (1 to 4), 0 when length is 0.
 * Invalid bytes (overlong forms, surrogates, above U+10FFFF, cut sequences) give LNG_UTF8_INVALID and
 * the length of the maximal subpart (Unicode 15, table 3-8), so that one U+FFFD for each answer is what
 * other decoders put there. NUL is an ordinary code point. */
size_t lng_utf8_decode(const char *text, size_t length, uint32_t *code_point);

/* Writes 1 to 4 bytes; returns how many. What is not a Unicode scalar value is written as U+FFFD. */
size_t lng_utf8_encode(uint32_t code_point, char out[4]);
/* As many bytes as lng_utf8_decode takes; `harmless` says whether a terminal only shows it: neither
 * a control character (U+0000 to 1F, 7F to 9F) nor what is not UTF-8. */
size_t lng_utf8_harmless(const char *text, size_t length, bool *harmless);

/* Offset of the first invalid byte, or `length` when all is valid. */
size_t lng_utf8_first_invalid(const char *text, size_t length);
bool lng_utf8_valid(const char *text, size_t length);

/* Code points, each invalid subpart counting as one. */
size_t lng_utf8_count(const char *text, size_t length);

/* A piece of somebody's text; borrowed, not NUL-terminated. */
struct lng_slice {
    const char *data;
    size_t length;
};

/* A whole C string. */
struct lng_slice lng_slice_of(const char *text);
bool lng_slice_equals(struct lng_slice slice, const char *text);
/* A name.suffix of its own: "a.npz" ends in ".npz", ".npz" alone does not. */
bool lng_text_ends_in(const char *text, const char *suffix);

/* Without ASCII white space (space, \t, \n, \v, \f, \r) at both ends. */
struct lng_slice lng_text_trim(struct lng_slice slice);

/* Takes the piece before the next `separator` off `rest`. "a,,b" gives "a", "", "b"; "" gives one empty
 * piece; false when there is no more (rest->data is then NULL). */
bool lng_text_split(struct lng_slice *rest, char separator, struct lng_slice *piece);

/* Takes the next run of bytes without ASCII white space; false when none is left. */
bool lng_text_next_word(struct lng_slice *rest, struct lng_slice *word);

/* The whole C string as a decimal integer in [low, high]; a sign is fine, anything else is not.
 * LNG_ERR_FORMAT or LNG_ERR_RANGE, with the text and the range in the message. */
LNG_MUST_CHECK enum lng_status lng_parse_int64(const char *text, int64_t low, int64_t high,
                                               int64_t *value);
/* The whole C string as a finite number in [low, high], decimal point '.' in every locale. Hexadecimal,
 * inf and nan are LNG_ERR_FORMAT; overflow is LNG_ERR_RANGE; underflow gives the nearest number. */
LNG_MUST_CHECK enum lng_status lng_parse_double(const char *text, double low, double high,
                                                double *value);
/* true/false, yes/no, on/off, 1/0, in any case. LNG_ERR_FORMAT otherwise. */
LNG_MUST_CHECK enum lng_status lng_parse_bool(const char *text, bool *value);

/* The candidate that `word` was probably meant to be (fewest edits, a swap of neighbours being one; a
 * third of the word at most may differ), or NULL. Entries may be NULL. For "did you mean". */
const char *lng_text_nearest(const char *word, const char *const *candidates, size_t count);

/* A growing string. All zero is an empty one. data is NUL-terminated as soon as it is not NULL. */
struct lng_buffer {
    char *data;
    size_t length, capacity;
};

/* Room for `extra` more bytes and the NUL. Fails with LNG_ERR_MEMORY, the content stays. */
LNG_MUST_CHECK enum lng_status lng_buffer_reserve(struct lng_buffer *buffer, size_t extra);
/* data may not lie inside the buffer itself. */
LNG_MUST_CHECK enum lng_status lng_buffer_append(struct lng_buffer *buffer, const void *data,
                                                 size_t length);
LNG_MUST_CHECK enum lng_status lng_buffer_append_text(struct lng_buffer *buffer, const char *text);
LNG_MUST_CHECK enum lng_status lng_buffer_append_byte(struct lng_buffer *buffer, char byte);
LNG_MUST_CHECK enum lng_status lng_buffer_append_format(struct lng_buffer *buffer,
                                                        const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends text with U+FFFD for each invalid subpart; *replaced (may be NULL) is their number. */
LNG_MUST_CHECK enum lng_status lng_buffer_append_repaired(struct lng_buffer *buffer,
                                                          const char *text, size_t length,
                                                          size_t *replaced);
/* Empties it and keeps the memory. */
void lng_buffer_clear(struct lng_buffer *buffer);
/* Gives the memory back; the buffer is empty again. */
void lng_buffer_release(struct lng_buffer *buffer);

#endif
