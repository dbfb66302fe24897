#include <math.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "tokenizer/tokenizer_parts.h"

/* Marks this use of Philox: no other shares its last counter word. */
enum { SITE_SEGMENTATION = 0x53 << 24 };

enum lng_status lng_tokenizer_can_sample(const struct lng_tokenizer *tokenizer, enum lng_side side)
{
    const struct lng_spm *spm = tokenizer->sides[side].spm;
    LNG_FAIL_IF(
        spm == NULL, LNG_ERR_UNSUPPORTED,
        "subword sampling needs a SentencePiece model, the %s side has plain symbols: switch "
        "sampling off",
        side == LNG_SIDE_SOURCE ? "source" : "target");
    enum lng_spm_model_type type = lng_spm_get_info(spm)->model_type;
    LNG_FAIL_IF(type != LNG_SPM_UNIGRAM, LNG_ERR_UNSUPPORTED,
                "subword sampling needs a unigram SentencePiece model, the %s side has a %s one: "
                "train one with model type unigram, or switch sampling off",
                side == LNG_SIDE_SOURCE ? "source" : "target", lng_spm_model_type_name(type));
    return LNG_OK;
}

/* p(i) ~ exp(alpha * score(i)); scores fall, so the first is the largest. */
static size_t choose(const struct lng_spm_nbest *nbest, double alpha, double uniform)
{
    size_t count = lng_spm_nbest_count(nbest);
    double best = lng_spm_nbest_score(nbest, 0), total = 0.0, sum = 0.0;
    for (size_t i = 0; i < count; i++)
        total += exp(alpha * (lng_spm_nbest_score(nbest, i) - best));
    for (size_t i = 0; i + 1 < count; i++) {
        sum += exp(alpha * (lng_spm_nbest_score(nbest, i) - best));
        if (uniform * total < sum)
            return i;
    }
    return count - 1;
}

static double uniform_number(const struct lng_tokenizer_sampling *sampling, enum lng_side side)
{
    struct lng_philox block = lng_philox4x32(
        (uint32_t)sampling->line, (uint32_t)(sampling->line >> 32), (uint32_t)sampling->epoch,
        (uint32_t)SITE_SEGMENTATION | (uint32_t)side, (uint32_t)sampling->seed,
        (uint32_t)(sampling->seed >> 32) ^ (uint32_t)(sampling->epoch >> 32) * 0x9E3779B9u);
    return lng_philox_uniform(block.word[0]);
}

/* To the list that `to` names; what a failure leaves there is the caller's to take back. */
static enum lng_status sample(const struct lng_tokenizer *tokenizer, enum lng_side side,
                              const char *text, size_t length,
                              const struct lng_tokenizer_sampling *sampling,
                              struct lng_encoding *to)
{
    struct lng_spm_nbest *nbest = NULL;
    struct lng_slice part;
    enum lng_status status = LNG_OK;
    to->side = &tokenizer->sides[side];
    if (side == LNG_SIDE_SOURCE)
        LNG_TRY_OR_FAIL(lng_encoding_push_languages(tokenizer, to, text, length, &to->shift));
    LNG_TRY_OR_FAIL(lng_encoding_clean(tokenizer, side, to, text, length, &part));
    LNG_TRY_OR_FAIL(
        lng_spm_nbest_open(to->side->spm, part.data, part.length, sampling->nbest, &nbest));
    size_t chosen = choose(nbest, sampling->alpha, uniform_number(sampling, side));
    LNG_TRY_OR_FAIL(lng_spm_nbest_pieces(nbest, chosen, lng_encoding_push_piece, to));
fail:
    lng_spm_nbest_close(nbest);
    lng_clean_text_release(&to->clean);
    return status;
}

/* *best: the best segmentation is all there is to choose from. */
static enum lng_status check_sampling(const struct lng_tokenizer *tokenizer, enum lng_side side,
                                      size_t length, const struct lng_tokenizer_sampling *sampling,
                                      bool *best)
{
    LNG_FAIL_IF(sampling->nbest < 1 || sampling->nbest > LNG_SPM_MAX_NBEST, LNG_ERR_RANGE,
                "subword sampling from %d segmentations, expected 1 to %d", sampling->nbest,
                LNG_SPM_MAX_NBEST);
    LNG_FAIL_IF(!(sampling->alpha >= 0.0 && sampling->alpha <= 1000.0), LNG_ERR_RANGE,
                "subword sampling alpha %g, expected 0 to 1000", sampling->alpha);
    LNG_TRY(lng_tokenizer_can_sample(tokenizer, side));
    *best = sampling->nbest == 1 || length > LNG_TOKENIZER_MAX_SAMPLED_BYTES;
    return LNG_OK;
}

enum lng_status lng_tokenizer_encode_sampled(const struct lng_tokenizer *tokenizer,
                                             enum lng_side side, const char *text, size_t length,
                                             const struct lng_tokenizer_sampling *sampling,
                                             struct lng_ids *ids)
{
    bool best;
    LNG_TRY(check_sampling(tokenizer, side, length, sampling, &best));
    if (best)
        return lng_tokenizer_encode(tokenizer, side, text, length, ids);
    struct lng_encoding to = {.ids = ids};
    size_t before = ids->count;
    enum lng_status status = sample(tokenizer, side, text, length, sampling, &to);
    if (status != LNG_OK)
        ids->count = before;
    return status;
}

enum lng_status lng_tokenizer_sample_spans(const struct lng_tokenizer *tokenizer,
                                           enum lng_side side, const char *text, size_t length,
                                           const struct lng_tokenizer_sampling *sampling,
                                           struct lng_token_spans *spans)
{
    bool best;
    LNG_TRY(check_sampling(tokenizer, side, length, sampling, &best));
    if (best)
        return lng_tokenizer_encode_spans(tokenizer, side, text, length, spans);
    struct lng_encoding to = {.spans = spans};
    size_t before = spans->count;
    enum lng_status status = sample(tokenizer, side, text, length, sampling, &to);
    if (status != LNG_OK)
        spans->count = before;
    return status;
}
