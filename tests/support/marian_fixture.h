/* Models as Marian saves them, written without host/store from parameters of ours: names and transposition are spelt
 * out here once more. Asserts on failure. */
#ifndef LNG_TESTS_SUPPORT_MARIAN_FIXTURE_H
#define LNG_TESTS_SUPPORT_MARIAN_FIXTURE_H

#include "host/store/model_data.h"

struct marian_fixture {
    struct lng_hparams hparams; /* as Marian's: no <pad> */
    bool same_embedding;        /* tie NONE: Wemb for source and target */
    bool tied_by_source;        /* tie ALL said as tied-embeddings and tied-embeddings-src */
    bool old_output, omit_bias, half;
    bool positions_unsaid; /* Wpos, but transformer-train-position-embeddings is false */
    bool flat_vectors;     /* shape (n,) */
    unsigned kind;         /* of npz_fixture.h */
    const char *version;   /* of Marian */
    const char *more;      /* lines of the configuration, after the others; NULL = none */
    const char *left_out;  /* name of a tensor, or NULL */
    const char *extra;     /* name of one more, [1, 2], or NULL */
    const char *misshapen; /* name of one that gets a column of its own, or NULL */
};

/* 2 + 1 layers of width 8, vocabularies of 11 and 11 (tie ALL) entries; post-norm, relu. */
struct marian_fixture marian_small(void);
/* Random values that f16 can hold. Learned positions and embeddings that Marian keeps once are equal. */
struct lng_model_data marian_values(const struct marian_fixture *fixture, uint32_t seed);
/* directory/model.npz, vocabularies (vocab.yml, or src.yml and trg.yml) and decoder.yml; the folder is made. */
void marian_save(const struct marian_fixture *fixture, const struct lng_model_data *data,
                 const char *directory);
/* The configuration alone. Static storage. */
const char *marian_yaml(const struct marian_fixture *fixture);

#endif
