#include "tests/support/tiny_model.h"

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "tests/support/check.h"

struct lng_hparams tiny_hparams(void)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = TINY_V;
    h.dim = 16;
    h.encoder_layers = h.decoder_layers = 2;
    h.encoder_heads = h.decoder_heads = 2;
    h.encoder_ffn = h.decoder_ffn = 24;
    h.eos = h.source_eos = TINY_EOS;
    h.unk = TINY_UNK;
    h.pad = h.decoder_start = TINY_PAD;
    return h;
}

void tiny_model_init(struct lng_model *model, struct lng_device *device,
                     const struct lng_hparams *hparams, uint64_t seed, float eos_bias)
{
    check_ok(lng_model_init(model, device, hparams, LNG_DTYPE_F32, false));
    check_ok(lng_model_randomize(model, seed, false));
    float *values = lng_alloc((size_t)model->params.total, sizeof *values);
    cr_assert(values != NULL);
    check_ok(lng_model_get_values(model, values));
    for (size_t p = 0; p < model->params.count; p++) {
        const struct lng_param *param = &model->params.list[p];
        bool matrix = param->decay && param->id != LNG_PARAM_SHARED;
        for (int64_t i = 0; i < param->rows * param->cols; i++)
            values[param->offset + i] *= matrix ? 3.0f : 1.0f;
        if (param->id == LNG_PARAM_OUTPUT_BIAS)
            values[param->offset + hparams->eos] = eos_bias;
    }
    check_ok(lng_model_set_values(model, values));
    lng_free(values);
}

struct tiny_corpus tiny_corpus_make(int count, int longest, uint32_t seed)
{
    struct tiny_corpus corpus = {lng_alloc((size_t)count * (size_t)(longest + 1), sizeof(int32_t)),
                                 lng_alloc((size_t)count + 1, sizeof(int32_t)), count};
    cr_assert(corpus.ids != NULL && corpus.offsets != NULL);
    for (int s = 0; s < count; s++) {
        struct lng_philox r = lng_philox4x32((uint32_t)s, 0, 0, 0, seed, 1);
        int length = 1 + (int)(r.word[0] % (uint32_t)longest), at = corpus.offsets[s];
        for (int i = 0; i < length; i++) {
            r = lng_philox4x32((uint32_t)s, (uint32_t)i, 1, 0, seed, 1);
            corpus.ids[at + i] = 2 + (int32_t)(r.word[1] % (TINY_V - 3));
        }
        corpus.ids[at + length] = TINY_EOS;
        corpus.offsets[s + 1] = at + length + 1;
    }
    return corpus;
}

void tiny_corpus_release(struct tiny_corpus *corpus)
{
    lng_free(corpus->ids);
    lng_free(corpus->offsets);
}
