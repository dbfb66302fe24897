/* CTranslate2's model directories of encoder-decoder Transformers (spec TransformerSpec):
 *
 *   model.bin             named variables, binary versions 1 to 6 (ctranslate2_internal.h)
 *   config.json           special tokens and norm epsilon; from binary version 6 on
 *   shared_vocabulary     entries in the order of ids, .json (an array) or .txt (lines), or two files,
 *                         source_vocabulary and target_vocabulary
 *
 * Names of variables are in ctranslate2_names.def. Numbers: position tables, activations and the like as
 * https://github.com/OpenNMT/CTranslate2 defines them (python/ctranslate2/specs, src/layers). */
#ifndef LNG_HOST_STORE_CTRANSLATE2_H
#define LNG_HOST_STORE_CTRANSLATE2_H

#include "host/store/import.h"

/* LNG_CT2_T(name, bytes, text): element types; the order is that of their codes in a file. */
#define LNG_CT2_TYPES(LNG_CT2_T) \
    LNG_CT2_T(F32, 4, "float32") \
    LNG_CT2_T(I8, 1, "int8")     \
    LNG_CT2_T(I16, 2, "int16")   \
    LNG_CT2_T(I32, 4, "int32")   \
    LNG_CT2_T(F16, 2, "float16") \
    LNG_CT2_T(BF16, 2, "bfloat16")

enum lng_ct2_type {
#define LNG_CT2_T(name, bytes, text) LNG_CT2_##name,
    LNG_CT2_TYPES(LNG_CT2_T)
#undef LNG_CT2_T
        LNG_CT2_TYPE_COUNT
};

/* The folder holds a model.bin that begins as CTranslate2's do. */
bool lng_ct2_is_model_directory(const char *directory);

/* The whole model in f32, integers dequantised. Release with lng_import_release. LNG_ERR_UNSUPPORTED naming
 * everything that lingster cannot compute (relative positions, gated feed-forward, ...) and every
 * variable that is not understood, at once; LNG_ERR_FORMAT, LNG_ERR_SHAPE, LNG_ERR_MISMATCH, LNG_ERR_RANGE,
 * LNG_ERR_IO otherwise. */
LNG_MUST_CHECK enum lng_status lng_ct2_import(const char *directory, struct lng_import *import);

struct lng_ct2_export_args {
    const char *directory; /* exists, usually lng_atomic_directory.temporary */
    const struct lng_model_data *data;
    const struct lng_vocab *source, *target; /* an entry for every id; target NULL = shared */
    enum lng_ct2_type
        type; /* of the weights: F32, F16, BF16; I16 (one scale a matrix), I8 (one a row) */
};
/* Writes model.bin (binary version 6), config.json and the vocabularies; the tokenizer's files are the
 * caller's. CTranslate2 bans no entry, so a <pad> whose rows are zero is left out where it is the last
 * target (or shared) id, and elsewhere gets the output bias LNG_IMPORT_NEVER. LNG_ERR_UNSUPPORTED for what
 * CTranslate2 cannot compute, LNG_ERR_MISMATCH when the vocabularies do not fit, LNG_ERR_RANGE when a
 * value is not finite. */
LNG_MUST_CHECK enum lng_status lng_ct2_export(const struct lng_ct2_export_args *args);

#endif
