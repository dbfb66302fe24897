/* Packing text as it is written: one whole gzip member or zstd frame a piece, so that a file can go on
 * behind any piece. Members and frames one after another unpack to the pieces one after another. */
#ifndef LNG_HOST_BASE_PACK_H
#define LNG_HOST_BASE_PACK_H

#include "host/base/status.h"
#include "host/base/text.h"

enum lng_packing {
    LNG_PACKING_NONE,
    LNG_PACKING_GZIP, /* NAME.gz */
    LNG_PACKING_ZSTD, /* NAME.zst */
};

/* What the end of a file's name asks for. */
enum lng_packing lng_packing_of(const char *path);
/* "", ".gz", ".zst". Static. */
const char *lng_packing_suffix(enum lng_packing packing);

/* Appends the piece, packed. The bytes depend on the piece alone (and the version of the library that
 * packs); no time is in them. LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_pack(enum lng_packing packing, const void *piece, size_t size,
                                        struct lng_buffer *out);

#endif
