/* Pieces of a text: where its words, its characters and the tokens made of it lie. */
#ifndef LNG_TOKENIZER_TEXT_SPANS_H
#define LNG_TOKENIZER_TEXT_SPANS_H

#include "tokenizer/tokenizer.h"

/* In bytes; begin = end: none. */
struct lng_text_span {
    size_t begin, end;
};
/* All zero is an empty list. */
struct lng_text_spans {
    struct lng_text_span *data;
    size_t count, capacity;
};
void lng_text_spans_release(struct lng_text_spans *spans);
LNG_MUST_CHECK enum lng_status lng_text_spans_push(struct lng_text_spans *spans, size_t begin,
                                                   size_t end);

/* What is aligned: tokens, what stands between white space, or single characters (code points). */
enum lng_align_level {
    LNG_ALIGN_LEVEL_SUBWORD,
    LNG_ALIGN_LEVEL_WORD,
    LNG_ALIGN_LEVEL_CHARACTER,
};

/* Appends the words (LNG_ALIGN_LEVEL_WORD), or the characters that are no white space. */
LNG_MUST_CHECK enum lng_status lng_text_spans_find(struct lng_slice text,
                                                   enum lng_align_level level,
                                                   struct lng_text_spans *spans);

/* For each of ids [count], the `skip` ids that precede a text and then those it was encoded to: where it lies.
 * None for those before, after (the end of sentence) and any that encoding again does not give. `spans` is
 * cleared first. */
LNG_MUST_CHECK enum lng_status lng_text_spans_encoded(const struct lng_tokenizer *tokenizer,
                                                      enum lng_side side, struct lng_slice text,
                                                      const int32_t *ids, size_t count, size_t skip,
                                                      struct lng_text_spans *spans);

/* The range [*first, *last) of units, words or characters of a text, that a span touches. */
void lng_text_spans_touched(const struct lng_text_spans *units, struct lng_text_span span,
                            size_t *first, size_t *last);
/* Characters that are no white space. */
size_t lng_text_characters(const char *text, size_t begin, size_t end);
/* The token whose text stands for that of token i < end: itself, the next with some (characters, that is), the last
 * before it; `end` when there is none. */
size_t lng_text_spans_stand_in(const struct lng_text_spans *tokens, const char *text, size_t i,
                               size_t end);

#endif
