/* Shared by the files of hf.h, and fuzzed: config.json and the tensors, each for itself. */
#ifndef LNG_HOST_STORE_HF_INTERNAL_H
#define LNG_HOST_STORE_HF_INTERNAL_H

#include "host/store/json.h"
#include "host/store/model_data.h"
#include "host/store/safetensors.h"

enum lng_hf_type { LNG_HF_MARIAN, LNG_HF_M2M, LNG_HF_LINGSTER };

/* config.json, understood. What the lingster key did not say is settled by the tensors. */
struct lng_hf_config {
    enum lng_hf_type type;
    struct lng_hparams hparams;
    bool positions_said, output_bias_said, decoder_start_said;
    bool shared_untied;   /* one embedding, another output matrix */
    json_t *lingster;     /* inside root; NULL when there is none */
    bool saved_by_others; /* transformers wrote it again: checksums may be old */
    json_t *root;         /* owned */
    char *path;           /* owned */
};
LNG_MUST_CHECK enum lng_status lng_hf_config_open(struct lng_hf_config *config,
                                                  const char *directory);
/* The same from text; the other files are looked for in `directory`. */
LNG_MUST_CHECK enum lng_status lng_hf_config_parse(struct lng_hf_config *config,
                                                   const char *directory, const char *text,
                                                   size_t size);
void lng_hf_config_close(struct lng_hf_config *config);
LNG_MUST_CHECK enum lng_status lng_hf_read_generation(const struct lng_hf_config *config,
                                                      const char *directory,
                                                      struct lng_generation *generation);

/* One or several safetensors files seen as one. */
struct lng_hf_tensors {
    struct lng_safetensors *files; /* owned */
    size_t count;
    bool **used; /* [count][tensors] */
};
LNG_MUST_CHECK enum lng_status lng_hf_tensors_open(struct lng_hf_tensors *tensors,
                                                   const char *directory);
void lng_hf_tensors_close(struct lng_hf_tensors *tensors);
/* NULL when there is none; *file is where it lies. Marks it used. */
const struct lng_safetensor *lng_hf_tensors_find(struct lng_hf_tensors *tensors, const char *name,
                                                 const struct lng_safetensors **file);

/* Chooses hparams.positions by the stored tables where config.json does not say. */
LNG_MUST_CHECK enum lng_status lng_hf_settle_positions(struct lng_hf_config *config,
                                                       struct lng_hf_tensors *tensors);

#endif
