/* Whole words in a text: where a phrase stands by itself and not inside a longer word. */
#ifndef LNG_HOST_INFER_WORD_TEXT_H
#define LNG_HOST_INFER_WORD_TEXT_H

#include "host/base/text.h"

/* A letter, mark, digit or underscore of a script that puts spaces between words: two of them side by side belong
 * together. Han, Kana, Thai, Lao, Khmer and Myanmar letters are none, so that phrases are found anywhere. */
bool lng_word_character(uint32_t code_point);
/* Of the code point that begins or ends a text; false for an empty one. */
bool lng_word_begins(const char *text, size_t length);
bool lng_word_ends(const char *text, size_t length);
/* `at` (0 .. length) is no place inside a word. */
bool lng_word_boundary(const char *text, size_t length, size_t at);

enum { LNG_WORD_NOWHERE = -1 };
/* Offset of the first occurrence of phrase (not empty) in text at or after `from` with a word boundary at both ends;
 * LNG_WORD_NOWHERE. */
int64_t lng_word_find(const char *text, size_t length, struct lng_slice phrase, size_t from);

#endif
