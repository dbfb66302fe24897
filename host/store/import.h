/* Models of other toolkits, read into host memory: what every importer gives. */
#ifndef LNG_HOST_STORE_IMPORT_H
#define LNG_HOST_STORE_IMPORT_H

#include "host/store/model_data.h"
#include "tokenizer/clean.h"
#include "tokenizer/vocab.h"

/* How the toolkit's own files say that text is cut. */
enum lng_import_text {
    LNG_IMPORT_SYMBOLS, /* by spaces: nothing more is known */
    LNG_IMPORT_SPM,     /* by the SentencePiece models at source_spm and target_spm */
};

struct lng_import {
    struct lng_model_data data; /* directory NULL; warnings for what was ignored */
    /* Every id of the model has its entry, <pad> included: where a vocabulary has none, it is appended as its last id,
     * its embedding row zero and on the target side its output bias LNG_IMPORT_NEVER. Owned. */
    struct lng_vocab *source, *target; /* target NULL = shared */
    char *eos, *unk, *pad;             /* texts of the special entries. Owned */
    enum lng_import_text text;
    char *source_spm, *target_spm; /* paths, or NULL. Owned */
    enum lng_clean clean;          /* of source text, before SentencePiece */
    struct lng_buffer
        choices; /* "name: value: why", one a line: position family, norm epsilon, start token,
                                    * activation, ... as a user is told them */
};

/* Output bias of an entry that the toolkit does not have: its probability is 0 in f32, so that the others' are what they
 * were. Finite, as files want it. */
#define LNG_IMPORT_NEVER (-1e9f)

/* Fine on a zeroed one. */
void lng_import_release(struct lng_import *import);

#endif
