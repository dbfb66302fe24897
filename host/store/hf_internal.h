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
    bool int8;            /* quantization_config says that matrices are int8 rows with scales */
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

#define LNG_HF_SCALE_SUFFIX "_scale"
#define LNG_HF_REST_SUFFIX "_rest"
#define LNG_HF_QUANT_METHOD "lingster"
/* Whether it is int8 in an int8 model: matrices and embeddings, not positions. */
bool lng_hf_param_in_int8(const struct lng_param *param);

/* Everything is there, of the right shape, and where it is int8 with scales; values are not read. */
LNG_MUST_CHECK enum lng_status lng_hf_check_inventory(const struct lng_hf_config *config,
                                                      const struct lng_params *params,
                                                      struct lng_hf_tensors *tensors);
/* values [rows * cols] of a parameter; tied tensors must be equal, all values finite. */
LNG_MUST_CHECK enum lng_status lng_hf_read_param(const struct lng_hf_config *config,
                                                 struct lng_hf_tensors *tensors,
                                                 const struct lng_param *param, float *values);
struct lng_hf_int8 {
    int8_t *q, *rest;
    float *scales, *rest_scales;
};
/* The same as int8: q and rest [rows * cols], scales and rest_scales [rows]; rest of tables only, for others NULL.
 * found: it is stored so, else nothing is promised; rest_found: with its rest. */
LNG_MUST_CHECK enum lng_status lng_hf_read_param_int8(const struct lng_hf_config *config,
                                                      struct lng_hf_tensors *tensors,
                                                      const struct lng_param *param,
                                                      const struct lng_hf_int8 *to, bool *found,
                                                      bool *rest_found);
/* One row of a matrix of one part, [cols]; int8 without its scale. */
LNG_MUST_CHECK enum lng_status lng_hf_read_row(const struct lng_hf_config *config,
                                               struct lng_hf_tensors *tensors,
                                               const struct lng_param *param, int64_t row,
                                               float *values);
/* Takes both over, and leaves them empty. */
LNG_MUST_CHECK enum lng_status lng_hf_matrices_take(struct lng_hf_config *config,
                                                    struct lng_hf_tensors *tensors,
                                                    struct lng_matrices **matrices);

/* Chooses hparams.positions by the stored tables where config.json does not say. */
LNG_MUST_CHECK enum lng_status lng_hf_settle_positions(struct lng_hf_config *config,
                                                       struct lng_hf_tensors *tensors);

#endif
