/* OPUS-MT packages: a ZIP file of a Marian model with its vocabularies, SentencePiece models and the scripts that
 * prepare text. The scripts are looked at, never executed. */
#ifndef LNG_HOST_STORE_OPUS_PACKAGE_H
#define LNG_HOST_STORE_OPUS_PACKAGE_H

#include <stdbool.h>

#include "host/base/status.h"
#include "host/base/text.h"
#include "tokenizer/clean.h"

enum {
    /* What a package may unpack to: this many times its size and LNG_OPUS_SPARE_BYTES. Real ones stay below 2. */
    LNG_OPUS_MOST_RATIO = 20,
    LNG_OPUS_SPARE_BYTES = 1 << 20,
    LNG_OPUS_MOST_MEMBERS = 10000,
};

/* A regular file whose name ends in .zip. */
bool lng_opus_is_package(const char *path);

/* Writes the package's model, vocabularies, settings and scripts into `directory`, which must be there, each under the
 * last part of its name; other members are left out. LNG_ERR_FORMAT when it is no ZIP file or damaged, or
 * holds a name that leads out of it; LNG_ERR_UNSUPPORTED when it is encrypted; LNG_ERR_RANGE when it
 * unpacks to more than the above; LNG_ERR_IO. */
LNG_MUST_CHECK enum lng_status lng_opus_unpack(const char *path, const char *directory);

/* Where members are put. begin refuses a name that it has; keep: all of it was written, and is what the package says. */
struct lng_opus_sink {
    void *context;
    enum lng_status (*begin)(void *context, const char *name);
    enum lng_status (*write)(void *context, const void *data, size_t size);
    enum lng_status (*end)(void *context, bool keep);
};
/* As above, of a package in memory; what the sink refuses with is returned too. */
LNG_MUST_CHECK enum lng_status lng_opus_unpack_memory(const char *name, const void *data,
                                                      size_t size,
                                                      const struct lng_opus_sink *sink);

/* What preprocess.sh in `directory` does to text before SentencePiece: LNG_CLEAN_NONE where there is none. A
 * script that does something else is told in `warnings`; one that cuts words by BPE codes is
 * LNG_ERR_UNSUPPORTED. */
LNG_MUST_CHECK enum lng_status lng_opus_read_clean(const char *directory, enum lng_clean *clean,
                                                   struct lng_buffer *warnings);

#endif
