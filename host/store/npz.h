/* NumPy archives (.npz): a ZIP file whose members are NAME.npy, stored or deflated.
 *
 * Opening checks everything but the numbers: the end record, the central directory against each member's
 * own header, that members lie in the file without overlap, and that each array's header accounts for all
 * bytes of its member. Reading a member checks its CRC-32. ZIP64 is read as far as numpy needs it (sizes
 * of 64 bits in a member's own header); archives that are ZIP64 as a whole are refused. */
#ifndef LNG_HOST_STORE_NPZ_H
#define LNG_HOST_STORE_NPZ_H

#include "host/base/file.h"
#include "host/store/blob.h"
#include "host/store/npy.h"

enum { LNG_NPZ_NAME_BYTES = 255 };

struct lng_npz_member {
    char *name; /* without ".npy" */
    struct lng_npy array;
    bool deflated;
    uint32_t crc;
    uint64_t entry;        /* offset of its own header in the file */
    uint64_t offset;       /* of the packed bytes */
    uint64_t packed, size; /* bytes in the file, and unpacked: the array's header and data */
};

struct lng_npz {
    struct lng_blob blob;
    struct lng_npz_member *list; /* sorted by name, owned */
    size_t count;
};

/* LNG_ERR_IO, LNG_ERR_FORMAT, LNG_ERR_UNSUPPORTED, LNG_ERR_MEMORY; the message names file and member.
 * What is allocated is a small multiple of the file's size at most. */
LNG_MUST_CHECK enum lng_status lng_npz_open(struct lng_npz *file, const char *path);
/* `data` must outlive it. */
LNG_MUST_CHECK enum lng_status lng_npz_open_memory(struct lng_npz *file, const char *name,
                                                   const void *data, size_t size);
/* Fine on a zeroed or closed one. */
void lng_npz_close(struct lng_npz *file);

/* NULL when there is none of that name. Borrowed. */
const struct lng_npz_member *lng_npz_find(const struct lng_npz *file, const char *name);

/* All elements as f32. F32, F16 and F64 (rounded); LNG_ERR_DTYPE otherwise. LNG_ERR_FORMAT when the bytes are
 * damaged; values then hold anything. values [array.elements] */
LNG_MUST_CHECK enum lng_status lng_npz_read_f32(const struct lng_npz *file,
                                                const struct lng_npz_member *member, float *values);
/* The elements as they are stored. to [array.bytes] */
LNG_MUST_CHECK enum lng_status lng_npz_read_raw(const struct lng_npz *file,
                                                const struct lng_npz_member *member, void *to);

/* ---- writing ---- */

/* Writes the bytes that Marian writes: members stored, no times, no padding. The file appears whole or not
 * at all. */
struct lng_npz_writer {
    struct lng_atomic_file file;
    struct lng_buffer directory; /* the central directory so far */
    struct lng_buffer header;    /* of one array */
    size_t count;
    char *path;
};
LNG_MUST_CHECK enum lng_status lng_npz_writer_open(struct lng_npz_writer *writer, const char *path);
/* Row-major data of `type`. LNG_ERR_RANGE when the file would get larger than a ZIP file without ZIP64 can
 * be (4 GiB, 65,534 members): Marian reads no other. */
LNG_MUST_CHECK enum lng_status lng_npz_writer_add(struct lng_npz_writer *writer, const char *name,
                                                  enum lng_npy_type type, const int64_t *shape,
                                                  int rank, const void *data);
/* Releases the writer either way. */
LNG_MUST_CHECK enum lng_status lng_npz_writer_commit(struct lng_npz_writer *writer);
/* Gives up. Fine after a commit and on a zeroed one. */
void lng_npz_writer_discard(struct lng_npz_writer *writer);

#endif
