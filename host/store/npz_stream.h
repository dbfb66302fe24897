/* Shared by the files of npz.h: the bytes of one member in order, unpacked as they are asked for. */
#ifndef LNG_HOST_STORE_NPZ_STREAM_H
#define LNG_HOST_STORE_NPZ_STREAM_H

#include <zlib.h>

#include "host/store/npz.h"

struct lng_npz_stream {
    const struct lng_blob *blob;
    const struct lng_npz_member *member;
    uint64_t taken; /* packed bytes read so far */
    uLong crc;      /* of what came out */
    bool ready, ended;
    z_stream z;
    unsigned char *input; /* for deflated members; owned */
};

/* Both are borrowed until it is closed. */
LNG_MUST_CHECK enum lng_status lng_npz_stream_open(struct lng_npz_stream *stream,
                                                   const struct lng_blob *blob,
                                                   const struct lng_npz_member *member);
void lng_npz_stream_close(struct lng_npz_stream *stream);
/* Exactly the next `size` bytes; no more than member->size in all. */
LNG_MUST_CHECK enum lng_status lng_npz_stream_read(struct lng_npz_stream *stream, void *to,
                                                   size_t size);
/* After all were read: LNG_ERR_FORMAT when there is more, or when the CRC-32 is another. */
LNG_MUST_CHECK enum lng_status lng_npz_stream_finish(struct lng_npz_stream *stream);

#endif
