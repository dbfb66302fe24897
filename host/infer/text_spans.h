/* Pieces of a text: where its words, its characters and the tokens made of it lie. */
#ifndef LNG_HOST_INFER_TEXT_SPANS_H
#define LNG_HOST_INFER_TEXT_SPANS_H

#include "host/infer/translate.h"

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

#endif
