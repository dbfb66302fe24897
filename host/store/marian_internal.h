/* Shared by the files of marian.h, and fuzzed: the configuration, the names of tensors, the files. */
#ifndef LNG_HOST_STORE_MARIAN_INTERNAL_H
#define LNG_HOST_STORE_MARIAN_INTERNAL_H

#include "host/store/import.h"
#include "host/store/marian.h"
#include "host/store/marian_vocab.h"
#include "host/store/npz.h"

#define LNG_MARIAN_CONFIG_NAME "special:model.yml"

/* ---- configuration ---- */

/* special:model.yml, understood; what it leaves open is settled by the tensors. */
struct lng_marian_config {
    struct lng_hparams hparams; /* sizes without <pad>, no ids: those are the vocabularies' */
    bool same_embedding;        /* tie NONE, but source and target are looked up in one matrix */
    bool omit_bias;             /* no output bias */
    bool old_output;            /* the output matrix is [D, V], under its older name */
    char version[64];           /* of Marian, as it says; "" when it does not */
};

/* `text` ends at its first NUL, if there is one. LNG_ERR_UNSUPPORTED with everything that is not supported
 * in one message, LNG_ERR_FORMAT or LNG_ERR_RANGE when it cannot be read. `name` is for messages. */
LNG_MUST_CHECK enum lng_status lng_marian_config_parse(const char *name, const char *text,
                                                       size_t size,
                                                       struct lng_marian_config *config);
/* Appends the text that Marian would write for it. Every name and value must be one that it has
 * (lng_marian_obstacles). */
LNG_MUST_CHECK enum lng_status lng_marian_config_format(const struct lng_marian_config *config,
                                                        struct lng_buffer *text);
/* A Marian whose activation is this one, or NULL when it has none such. */
const char *lng_marian_version_for(enum lng_activation activation);
/* The model was written after version major.minor.patch; false when it does not say. */
bool lng_marian_version_after(const struct lng_marian_config *config, unsigned major,
                              unsigned minor, unsigned patch);

/* ---- names ---- */

enum lng_marian_layout { LNG_MARIAN_ROWS, LNG_MARIAN_COLUMNS, LNG_MARIAN_VECTOR };

/* One part of a parameter as Marian stores it. */
struct lng_marian_tensor {
    const struct lng_param *param; /* of params without <pad>; borrowed */
    int part;
    enum lng_marian_layout layout;
    char name[LNG_PARAM_NAME_BYTES];
    int64_t rows, cols;   /* of the part, as ours */
    int64_t shape[2];     /* in the file */
    int64_t values_begin; /* of the part within the parameter, in elements */
};
/* All tensors that a model of this configuration has in the file, in the order of params. Several may have
 * one name. lng_free it. LNG_ERR_UNSUPPORTED for a parameter that Marian has no name for. */
LNG_MUST_CHECK enum lng_status lng_marian_tensors(const struct lng_marian_config *config,
                                                  const struct lng_params *params,
                                                  struct lng_marian_tensor **list, size_t *count);
/* The name is one of the table, for some layer and some configuration. */
bool lng_marian_knows_name(const char *name);

/* to [rows, cols] = transpose of from [cols, rows]; they may not overlap. */
void lng_marian_transpose(const float *from, float *to, int64_t rows, int64_t cols);

/* ---- files ---- */

/* What belongs to a model, found. */
struct lng_marian_files {
    char *model;
    char *source_vocab, *target_vocab; /* target may be the same file */
    char *source_spm, *target_spm;     /* both or neither, except that a .spm vocabulary is one */
    const char *vocab_reason;          /* static: why these vocabularies */
    enum lng_clean clean;              /* as a package's preprocess.sh does it */
    struct lng_generation generation;
    struct lng_buffer warnings;
};
LNG_MUST_CHECK enum lng_status lng_marian_files_find(struct lng_marian_files *files,
                                                     const char *path,
                                                     const struct lng_marian_import_args *args);
/* Fine on a zeroed one. */
void lng_marian_files_release(struct lng_marian_files *files);

#endif
