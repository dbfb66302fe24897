/* A vocabulary: text <-> id, ids 0 to size - 1. Read from a Hugging Face vocab.json or a list of lines, built from a
 * corpus of space-separated symbols, written as vocab.json. Reading it is thread-safe; adding is not. */
#ifndef LNG_TOKENIZER_VOCAB_H
#define LNG_TOKENIZER_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/bytes.h"
#include "host/base/status.h"
#include "host/base/text.h"
#include "tokenizer/next_line.h"

enum {
    LNG_VOCAB_MAX_ENTRIES = 1 << 24,
    LNG_VOCAB_MAX_ENTRY_BYTES = 4096,
    LNG_VOCAB_MAX_FILE_BYTES = 256 << 20,
};

#define LNG_EOS_TEXT "</s>"
#define LNG_UNK_TEXT "<unk>"
#define LNG_PAD_TEXT "<pad>"

struct lng_vocab;

/* An empty one. */
LNG_MUST_CHECK enum lng_status lng_vocab_open(struct lng_vocab **vocab);
/* NULL is fine. */
void lng_vocab_close(struct lng_vocab *vocab);
/* A copy of its own. */
LNG_MUST_CHECK enum lng_status lng_vocab_copy(const struct lng_vocab *from,
                                              struct lng_vocab **vocab);

/* Gives `text` the next id. LNG_ERR_FORMAT when it is there already, is not UTF-8, holds a NUL or is longer than
 * LNG_VOCAB_MAX_ENTRY_BYTES. id may be NULL. */
LNG_MUST_CHECK enum lng_status lng_vocab_add(struct lng_vocab *vocab, const char *text,
                                             size_t length, int32_t *id);

int32_t lng_vocab_size(const struct lng_vocab *vocab);
/* -1 when it is not there. */
int32_t lng_vocab_find(const struct lng_vocab *vocab, const char *text, size_t length);
/* Borrowed, NUL-terminated, until the next add. An id out of range gives data NULL and length 0. */
struct lng_slice lng_vocab_entry(const struct lng_vocab *vocab, int32_t id);
/* The first id that is not the same in both, -1 when they are equal. */
int32_t lng_vocab_first_difference(const struct lng_vocab *a, const struct lng_vocab *b);

/* {"text": id, ...}: each id from 0 to size - 1 exactly once, no text twice. LNG_ERR_FORMAT says which entry. */
LNG_MUST_CHECK enum lng_status lng_vocab_parse_json(const char *json, size_t size,
                                                    struct lng_vocab **vocab);
LNG_MUST_CHECK enum lng_status lng_vocab_read_json(const char *path, struct lng_vocab **vocab);
/* One entry a line, id = line number from 0 (Marian's and CTranslate2's .txt). A last newline is fine, an
 * empty line elsewhere is LNG_ERR_FORMAT. Carriage returns before the newlines are no part of the entries
 * when every line has one: an entry may be one. */
LNG_MUST_CHECK enum lng_status lng_vocab_parse_lines(const char *text, size_t size,
                                                     struct lng_vocab **vocab);

/* Appends vocab.json as MarianTokenizer reads it, in the order of ids. */
LNG_MUST_CHECK enum lng_status lng_vocab_format_json(const struct lng_vocab *vocab,
                                                     struct lng_buffer *json);
LNG_MUST_CHECK enum lng_status lng_vocab_write_json(const struct lng_vocab *vocab,
                                                    const char *path);

/* Adds every entry, in order, to a running hash. */
void lng_vocab_hash(const struct lng_vocab *vocab, struct lng_hash *hash);

/* Builds a vocabulary from symbols separated by ASCII white space: </s> 0, <unk> 1, then the symbols by falling count
 * and rising bytes, <pad> last. `max_size` bounds the whole (0 = no bound), symbols seen less than
 * `min_count` times are left out. Bad UTF-8 is repaired first, as the tokenizer does. Symbols spelt like one
 * of the three special entries, or longer than LNG_VOCAB_MAX_ENTRY_BYTES, are left out. A corpus without a
 * symbol is LNG_ERR_FORMAT. */
LNG_MUST_CHECK enum lng_status lng_vocab_build_symbols(lng_next_line next, void *context,
                                                       size_t max_size, uint64_t min_count,
                                                       struct lng_vocab **vocab);

#endif
