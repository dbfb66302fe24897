/* What `lingster train` builds from its options before training starts. */
#ifndef LNG_HOST_CLI_TRAIN_SETUP_H
#define LNG_HOST_CLI_TRAIN_SETUP_H

#include "host/config/options.h"
#include "host/data/corpus.h"
#include "host/data/batch.h"
#include "host/model/hparams.h"
#include "tokenizer/tokenizer.h"

/* The architecture is one that the M2M-100 class of transformers computes (pre-norm, one vocabulary, sinusoids
 * A, no output bias): vocabulary and positions then follow its conventions, so that it loads the model. */
bool lng_is_m2m_shape(const struct lng_options *options);

/* The vocabularies of --vocab, or --source-vocab and --target-vocab. <pad> is the last entry, as in
 * MarianMT; for M2M-100 shapes it is entry 1, which that class's position table needs. */
LNG_MUST_CHECK enum lng_status lng_setup_tokenizer(const struct lng_options *options,
                                                   struct lng_tokenizer **tokenizer);

/* The architecture that options ask for, all but vocabularies and special tokens; unchecked. */
struct lng_hparams lng_setup_shape(const struct lng_options *options);

/* The architecture that options and vocabularies ask for. */
LNG_MUST_CHECK enum lng_status lng_setup_hparams(const struct lng_options *options,
                                                 const struct lng_tokenizer *tokenizer,
                                                 struct lng_hparams *hparams);

/* Opens --train-source/--train-target and --train-tsv; RUN_DIR/dropped.tsv lists pairs left out. Without a run_dir
 * (NULL) nothing lists them, and packed files are unpacked into a temporary one. */
LNG_MUST_CHECK enum lng_status lng_setup_corpus(const struct lng_options *options,
                                                const char *run_dir, struct lng_corpus **corpus);

/* Text to ids for training (subword sampling where asked for) and for validation (never). The context
 * must outlive the encoder. */
struct lng_encoder_context {
    const struct lng_tokenizer *tokenizer;
    double alpha; /* 0 = the best segmentation */
    int nbest;
    uint64_t seed;
};
LNG_MUST_CHECK enum lng_status lng_setup_encoder(const struct lng_options *options,
                                                 const struct lng_tokenizer *tokenizer,
                                                 bool training, struct lng_encoder_context *context,
                                                 struct lng_encoder *encoder);

#endif
