/* safetensors (the format of Hugging Face): u64 header length, a JSON object that maps each tensor's name
 * to {"dtype", "shape", "data_offsets": [begin, end]}, then the data, little-endian and row-major, without
 * holes or overlap to the end of the file. Reading checks all of that before any tensor is handed out. */
#ifndef LNG_HOST_STORE_SAFETENSORS_H
#define LNG_HOST_STORE_SAFETENSORS_H

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/store/blob.h"

/* LNG_ST(name, bytes): the element types of the format. */
#define LNG_SAFETENSORS_TYPES(LNG_ST) \
    LNG_ST(BOOL, 1)                   \
    LNG_ST(U8, 1)                     \
    LNG_ST(I8, 1)                     \
    LNG_ST(F8_E5M2, 1)                \
    LNG_ST(F8_E4M3, 1)                \
    LNG_ST(I16, 2)                    \
    LNG_ST(U16, 2)                    \
    LNG_ST(F16, 2)                    \
    LNG_ST(BF16, 2)                   \
    LNG_ST(I32, 4)                    \
    LNG_ST(U32, 4)                    \
    LNG_ST(F32, 4)                    \
    LNG_ST(F64, 8)                    \
    LNG_ST(I64, 8)                    \
    LNG_ST(U64, 8)

enum lng_safetensors_type {
#define LNG_ST(name, bytes) LNG_SAFETENSORS_##name,
    LNG_SAFETENSORS_TYPES(LNG_ST)
#undef LNG_ST
        LNG_SAFETENSORS_TYPE_COUNT
};
const char *lng_safetensors_type_name(enum lng_safetensors_type type);

enum { LNG_SAFETENSORS_RANK = 8, LNG_SAFETENSORS_HEADER_BYTES = 100000000 };

struct lng_safetensor {
    char *name;
    enum lng_safetensors_type type;
    int rank;
    int64_t shape[LNG_SAFETENSORS_RANK];
    uint64_t elements, bytes;
    uint64_t offset; /* in the file */
};

struct lng_safetensors {
    struct lng_blob blob;
    struct lng_safetensor *list; /* sorted by name, owned */
    size_t count;
};

/* LNG_ERR_IO, LNG_ERR_FORMAT, LNG_ERR_MEMORY; the message names the file and the tensor. */
LNG_MUST_CHECK enum lng_status lng_safetensors_open(struct lng_safetensors *file, const char *path);
/* `data` must outlive it. */
LNG_MUST_CHECK enum lng_status lng_safetensors_open_memory(struct lng_safetensors *file,
                                                           const char *name, const void *data,
                                                           size_t size);
/* Fine on a zeroed or closed one. */
void lng_safetensors_close(struct lng_safetensors *file);

/* NULL when there is none of that name. Borrowed. */
const struct lng_safetensor *lng_safetensors_find(const struct lng_safetensors *file,
                                                  const char *name);

/* All elements as f32. F32, F16, BF16 and F64 (rounded); LNG_ERR_DTYPE otherwise. values [elements] */
LNG_MUST_CHECK enum lng_status lng_safetensors_read_f32(const struct lng_safetensors *file,
                                                        const struct lng_safetensor *tensor,
                                                        float *values);
/* The elements as they are stored. to [tensor->bytes] */
LNG_MUST_CHECK enum lng_status lng_safetensors_read_raw(const struct lng_safetensors *file,
                                                        const struct lng_safetensor *tensor,
                                                        void *to);

/* "[512, 64]" for messages, cut when it does not fit. */
enum { LNG_SHAPE_TEXT_BYTES = 96 };
const char *lng_shape_text(const int64_t *shape, int rank, char text[LNG_SHAPE_TEXT_BYTES]);

/* ---- writing ---- */

/* Declare every tensor, then write the data of each in the order declared, then commit. The file appears
 * whole or not at all. */
struct lng_safetensors_writer {
    struct lng_atomic_file file;
    struct lng_hash *hash;
    struct lng_safetensor *list;
    size_t count, capacity;
    size_t written; /* tensors begun */
    bool header_done;
    char *path;
};

LNG_MUST_CHECK enum lng_status lng_safetensors_writer_open(struct lng_safetensors_writer *writer,
                                                           const char *path);
/* LNG_ERR_INTERNAL for a rank over LNG_SAFETENSORS_RANK or after data was written. */
LNG_MUST_CHECK enum lng_status lng_safetensors_writer_declare(struct lng_safetensors_writer *writer,
                                                              const char *name,
                                                              enum lng_safetensors_type type,
                                                              const int64_t *shape, int rank);
/* The next tensor, all of it; its type must be F32 or BF16 (rounded to nearest even). */
LNG_MUST_CHECK enum lng_status lng_safetensors_writer_add_f32(struct lng_safetensors_writer *writer,
                                                              const float *values, uint64_t count);
/* The next tensor as bytes of its type. */
LNG_MUST_CHECK enum lng_status lng_safetensors_writer_add_raw(struct lng_safetensors_writer *writer,
                                                              const void *data, uint64_t bytes);
/* checksum (XXH3 of the whole file) and size may be NULL. Releases the writer either way. */
LNG_MUST_CHECK enum lng_status lng_safetensors_writer_commit(struct lng_safetensors_writer *writer,
                                                             uint64_t *checksum, uint64_t *size);
/* Gives up. Fine after a commit and on a zeroed one. */
void lng_safetensors_writer_discard(struct lng_safetensors_writer *writer);

#endif
