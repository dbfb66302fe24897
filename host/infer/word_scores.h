/* Log-probabilities beside a text: token by token as Marian writes them, and word by word in JSON. */
#ifndef LNG_HOST_INFER_WORD_SCORES_H
#define LNG_HOST_INFER_WORD_SCORES_H

#include "tokenizer/text_spans.h"

/* " ||| WordScores=", and then " s" for each token, as marian-decoder --word-scores. */
LNG_MUST_CHECK enum lng_status lng_word_scores_append_mark(struct lng_buffer *out);
LNG_MUST_CHECK enum lng_status lng_word_scores_append(struct lng_buffer *out, const float *logprobs,
                                                      size_t count);

/* The member "words", see enum lng_translate_format. tokens: where each token lies in `text`, with
 * logprobs [tokens->count]. A token counts for the word that it begins in, one without text for that of the next
 * with some, and what comes after the last word for none. `words` is working memory. */
LNG_MUST_CHECK enum lng_status lng_word_scores_append_json(struct lng_buffer *out,
                                                           struct lng_slice text,
                                                           const struct lng_text_spans *tokens,
                                                           const float *logprobs,
                                                           struct lng_text_spans *words);

#endif
