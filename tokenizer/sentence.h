/* Cuts a paragraph into sentences: Unicode's rules (ICU), mended by a table of abbreviations. */
#ifndef LNG_TOKENIZER_SENTENCE_H
#define LNG_TOKENIZER_SENTENCE_H

#include <stdbool.h>

#include "tokenizer/segment.h"

/* Does the sentence go on although ICU sees its end at `at`, as after "Dr. "? It began at `begin`. language: "de",
 * "de-AT", ...; NULL or "" = only what holds in every language. The table is abbreviations.def. */
bool lng_sentence_goes_on(const char *text, size_t length, size_t begin, size_t at,
                          const char *language);

struct lng_sentences;
/* language as above. */
LNG_MUST_CHECK enum lng_status lng_sentences_open(const char *language,
                                                  struct lng_sentences **sentences);
/* NULL is fine. */
void lng_sentences_close(struct lng_sentences *sentences);

/* Appends the sentences of a text of at most 1 GiB, in order and without gaps; white space belongs to the sentence
 * before it. An empty text has none. */
LNG_MUST_CHECK enum lng_status lng_sentences_split(struct lng_sentences *sentences,
                                                   const char *text, size_t length,
                                                   struct lng_segments *segments);

#endif
