/* What Hugging Face's generate() would do by itself for a model directory: generation_config.json, or config.json where
 * there is none. For --compat hf, so nothing that would change a result is passed over. */
#ifndef LNG_HOST_STORE_HF_GENERATION_H
#define LNG_HOST_STORE_HF_GENERATION_H

#include "host/model/hparams.h"
#include "host/store/json.h"

enum lng_hf_stopping { LNG_HF_STOPPING_FALSE, LNG_HF_STOPPING_TRUE, LNG_HF_STOPPING_NEVER };

struct lng_hf_generation {
    int32_t beams; /* num_beams; 0 = not said */
    int32_t
        max_tokens; /* to generate: max_new_tokens, or max_length without the start token; 0 = not said */
    int32_t min_tokens; /* to generate, EOS included; 0 = no limit */
    enum lng_hf_stopping early_stopping;
    double length_penalty; /* 1 where not said */
    int32_t forced_bos;    /* -1 = none */
    bool forced_eos; /* EOS is forced at the maximum length; else translations are cut there */
    int32_t *banned; /* bad_words_ids and suppress_tokens. Owned */
    size_t banned_count;
};

/* Without any of the files: the defaults. LNG_ERR_UNSUPPORTED names a key that asks for what is not implemented here,
 * LNG_ERR_FORMAT and LNG_ERR_RANGE one that is wrong. Release with lng_hf_generation_release. */
LNG_MUST_CHECK enum lng_status lng_hf_generation_read(const char *directory,
                                                      const struct lng_hparams *hparams,
                                                      struct lng_hf_generation *generation);
/* The same of one object, read from `file`. */
LNG_MUST_CHECK enum lng_status lng_hf_generation_parse(const json_t *root, const char *file,
                                                       const struct lng_hparams *hparams,
                                                       struct lng_hf_generation *generation);
/* Fine on a zeroed one. */
void lng_hf_generation_release(struct lng_hf_generation *generation);

#endif
