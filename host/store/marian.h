/* Models of Marian NMT: model.npz (npz.h), decoder.yml, vocabularies. Transformers with one source, as
 * marian_options.def lists them.
 *
 * Marian's conventions, which the hparams of an imported model have: positions of family A (or learned), norm
 * epsilon 1e-6, a zero embedding as first decoder input, no <pad>. Pre-norm models are computed as they were
 * trained: Marian's decoder itself takes unnormalised keys and values from the second step on. */
#ifndef LNG_HOST_STORE_MARIAN_H
#define LNG_HOST_STORE_MARIAN_H

#include "host/store/import.h"

/* A regular file NAME.npz, or a folder with decoder.yml or exactly one .npz (an optimizer's does not count). */
bool lng_marian_is_model(const char *path);

struct lng_marian_import_args {
    /* Vocabularies (.yml, .json, .txt, .spm); target NULL = source's file. Both NULL: those that decoder.yml (or
     * MODEL.decoder.yml) names, or that lie beside the model under a usual name. */
    const char *source_vocab, *target_vocab;
};
/* Release with lng_import_release. LNG_ERR_UNSUPPORTED with all options that are not supported in one message,
 * LNG_ERR_FORMAT, LNG_ERR_SHAPE, LNG_ERR_RANGE (values that are not finite), LNG_ERR_MISMATCH, LNG_ERR_IO. No
 * tensor is allocated before the file is known to hold it. args may be NULL. */
LNG_MUST_CHECK enum lng_status lng_marian_import(const char *path,
                                                 const struct lng_marian_import_args *args,
                                                 struct lng_import *import);

struct lng_marian_export_args {
    const char *directory; /* exists */
    const struct lng_hparams *hparams;
    const struct lng_params *params;
    const float *values;                     /* [params->total] */
    const struct lng_vocab *source, *target; /* of these sizes; target NULL = shared */
    const char
        *provenance; /* JSON object or NULL: what an import left there is written again as it was */
    struct lng_generation generation;
    struct lng_buffer *warnings; /* appended to, one a line; may be NULL */
};
/* Writes model.npz, vocab.yml (or src.yml and trg.yml) and decoder.yml. A <pad> that is the last target id is left
 * out. An imported model gives the same model.npz, byte for byte. LNG_ERR_UNSUPPORTED with everything that
 * Marian cannot compute in one message, LNG_ERR_RANGE when a value is not finite or the file gets too large. */
LNG_MUST_CHECK enum lng_status lng_marian_export(const struct lng_marian_export_args *args);

#endif
