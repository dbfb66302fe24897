/* A model of any toolkit that `lingster convert` reads, with what cuts its text. */
#ifndef LNG_HOST_CLI_CONVERT_MODEL_H
#define LNG_HOST_CLI_CONVERT_MODEL_H

#include "host/store/marian.h"
#include "host/store/model_data.h"
#include "tokenizer/tokenizer.h"

struct lng_convert_model {
    const char *toolkit; /* static: "CTranslate2", "Marian", "Hugging Face or lingster" */
    struct lng_model_data data;
    struct lng_tokenizer *tokenizer;
    struct lng_buffer choices; /* as in lng_import: what was chosen and why, one a line; or empty */
};

/* A CTranslate2 directory, a Marian model, an OPUS-MT package (.zip), or what lng_model_data_open takes. vocabularies are for Marian. Close in any
 * case. */
LNG_MUST_CHECK enum lng_status
lng_convert_model_open(const char *path, const struct lng_marian_import_args *vocabularies,
                       struct lng_convert_model *model);
/* Fine on a zeroed one. */
void lng_convert_model_close(struct lng_convert_model *model);

/* Normalised mean squared difference of the logits [tokens, V] that the two give to the same random pairs of
 * sentences, on the CPU in f32: sum of squared differences over the sum of a's squares. Entries that
 * one of them rules out (LNG_IMPORT_NEVER) are left out. LNG_ERR_MISMATCH when their vocabularies differ by more than a
 * last <pad>. */
LNG_MUST_CHECK enum lng_status lng_convert_difference(const struct lng_model_data *a,
                                                      const struct lng_model_data *b,
                                                      double *difference);

#endif
