#include "host/infer/word_scores.h"

#include <math.h>

#include "host/infer/json_text.h"

enum lng_status lng_word_scores_append_mark(struct lng_buffer *out)
{
    return lng_buffer_append_text(out, " ||| WordScores=");
}

enum lng_status lng_word_scores_append(struct lng_buffer *out, const float *logprobs, size_t count)
{
    for (size_t t = 0; t < count; t++)
        LNG_TRY(lng_buffer_append_format(out, " %.5f", (double)logprobs[t]));
    return LNG_OK;
}

/* Sums the tokens from *token on that belong to the word, and goes past them. */
static void sum_tokens(const struct lng_text_spans *tokens, const float *logprobs, size_t *token,
                       struct lng_text_span word, double *sum, double *least)
{
    size_t i = *token;
    *sum = *least = 0.0;
    while (i < tokens->count) {
        size_t k = i;
        while (k < tokens->count && tokens->data[k].end == tokens->data[k].begin)
            k++;
        if (k == tokens->count || tokens->data[k].begin >= word.end)
            break;
        for (; i <= k; i++) {
            *sum += (double)logprobs[i];
            *least = fmin(*least, (double)logprobs[i]);
        }
    }
    *token = i;
}

enum lng_status lng_word_scores_append_json(struct lng_buffer *out, struct lng_slice text,
                                            const struct lng_text_spans *tokens,
                                            const float *logprobs, struct lng_text_spans *words)
{
    size_t token = 0, at = 0, characters = 0;
    words->count = 0;
    LNG_TRY(lng_text_spans_find(text, LNG_ALIGN_LEVEL_WORD, words));
    LNG_TRY(lng_json_append_key(out, "words"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t i = 0; i < words->count; i++) {
        struct lng_text_span word = words->data[i];
        double sum, least;
        sum_tokens(tokens, logprobs, &token, word, &sum, &least);
        size_t begin = characters + lng_utf8_count(text.data + at, word.begin - at);
        characters = begin + lng_utf8_count(text.data + word.begin, word.end - word.begin);
        at = word.end;
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_buffer_append_text(out, "{\"word\": "));
        LNG_TRY(lng_json_append_string(out, text.data + word.begin, word.end - word.begin));
        LNG_TRY(lng_buffer_append_format(out, ", \"begin\": %zu, \"end\": %zu", begin, characters));
        LNG_TRY(lng_json_append_key(out, "score"));
        LNG_TRY(lng_json_append_number(out, sum));
        LNG_TRY(lng_json_append_key(out, "min_token_score"));
        LNG_TRY(lng_json_append_number(out, least));
        LNG_TRY(lng_buffer_append_byte(out, '}'));
    }
    return lng_buffer_append_byte(out, ']');
}
