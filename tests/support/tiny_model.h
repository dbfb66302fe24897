/* A small random model and random sentences for it. */
#ifndef TESTS_SUPPORT_TINY_MODEL_H
#define TESTS_SUPPORT_TINY_MODEL_H

#include "host/model/model.h"

enum { TINY_V = 19, TINY_EOS = 0, TINY_UNK = 1, TINY_PAD = 18 };

/* D 16, 2 + 2 layers, one vocabulary of TINY_V. The weights are larger than at the start of training, so
 * that the next token depends on what came before; the bias of EOS makes translations end. */
struct lng_hparams tiny_hparams(void);
/* The same values on every device for a seed. Fails the running test on any error. */
void tiny_model_init(struct lng_model *model, struct lng_device *device,
                     const struct lng_hparams *hparams, uint64_t seed, float eos_bias);

/* Sentences of 1 .. longest tokens, EOS at the end; lng_free both. */
struct tiny_corpus {
    int32_t *ids, *offsets;
    int count;
};
struct tiny_corpus tiny_corpus_make(int count, int longest, uint32_t seed);
void tiny_corpus_release(struct tiny_corpus *corpus);

#endif
