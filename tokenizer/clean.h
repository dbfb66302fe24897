/* What a model's makers did to source text before SentencePiece, and expect of who uses the model. Kept by name in
 * tokenizer_config.json; the scripts of a package are recognised, never executed. */
#ifndef LNG_TOKENIZER_CLEAN_H
#define LNG_TOKENIZER_CLEAN_H

#include <stdbool.h>
#include <stddef.h>

#include "host/base/status.h"
#include "host/base/text.h"

enum lng_clean {
    LNG_CLEAN_NONE,
    /* preprocess.sh of the OPUS-MT packages: punctuation by clean.def; control, format, private and unassigned
     * characters (Unicode category C) to spaces; runs of spaces to one; no space at the ends. */
    LNG_CLEAN_OPUS_MT,
};

/* "none", "opus-mt". */
const char *lng_clean_name(enum lng_clean clean);
/* False for an unknown name. */
bool lng_clean_find(const char *name, enum lng_clean *clean);

struct lng_clean_text {
    struct lng_buffer text;
    size_t *
        origins; /* [text.length + 1]: byte of the given text that each byte comes from; last: where that ends */
    size_t capacity;
};
/* Cleans `text` [length] as LNG_CLEAN_OPUS_MT says into *clean (cleared first). Bytes that are not UTF-8 stay as they
 * are. */
LNG_MUST_CHECK enum lng_status lng_clean_opus_mt(const char *text, size_t length,
                                                 struct lng_clean_text *clean);
/* Fine on a zeroed one. */
void lng_clean_text_release(struct lng_clean_text *clean);

#endif
