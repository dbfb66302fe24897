/* The header of a NumPy array file (.npy): "\x93NUMPY", a version, and a Python dictionary as text that says
 * type, order and shape. Read strictly: nothing is evaluated. */
#ifndef LNG_HOST_STORE_NPY_H
#define LNG_HOST_STORE_NPY_H

#include "host/base/text.h"

/* LNG_NPY(name, kind, bytes): numpy's letter and width, as in '<f4'. */
#define LNG_NPY_TYPES(LNG_NPY) \
    LNG_NPY(BOOL, 'b', 1)      \
    LNG_NPY(I8, 'i', 1)        \
    LNG_NPY(U8, 'u', 1)        \
    LNG_NPY(I16, 'i', 2)       \
    LNG_NPY(U16, 'u', 2)       \
    LNG_NPY(F16, 'f', 2)       \
    LNG_NPY(I32, 'i', 4)       \
    LNG_NPY(U32, 'u', 4)       \
    LNG_NPY(F32, 'f', 4)       \
    LNG_NPY(I64, 'i', 8)       \
    LNG_NPY(U64, 'u', 8)       \
    LNG_NPY(F64, 'f', 8)

enum lng_npy_type {
#define LNG_NPY(name, kind, bytes) LNG_NPY_##name,
    LNG_NPY_TYPES(LNG_NPY)
#undef LNG_NPY
        LNG_NPY_TYPE_COUNT
};
/* "F32" */
const char *lng_npy_type_name(enum lng_npy_type type);

enum {
    LNG_NPY_RANK = 8,
    LNG_NPY_PREAMBLE_BYTES = 12,      /* what lng_npy_header_bytes wants to see, or all there is */
    LNG_NPY_HEADER_BYTES = 64 * 1024, /* longer ones are refused */
};

/* Row-major, little-endian. */
struct lng_npy {
    enum lng_npy_type type;
    int rank;
    int64_t shape[LNG_NPY_RANK];
    uint64_t elements, bytes; /* of the data; bytes < 2^63 */
};

/* Length of the whole header, from its first bytes. LNG_ERR_FORMAT, LNG_ERR_UNSUPPORTED (a version after 3). */
LNG_MUST_CHECK enum lng_status lng_npy_header_bytes(const char *name, const void *start,
                                                    size_t size, size_t *bytes);
/* header [size] is all of it. Fortran order, big-endian numbers, objects and records are
 * LNG_ERR_UNSUPPORTED. `name` is for messages. */
LNG_MUST_CHECK enum lng_status lng_npy_parse_header(const char *name, const void *header,
                                                    size_t size, struct lng_npy *array);
/* Appends a header of version 1 as Marian writes it: filled with spaces to a multiple of 16 bytes. */
LNG_MUST_CHECK enum lng_status lng_npy_format_header(enum lng_npy_type type, const int64_t *shape,
                                                     int rank, struct lng_buffer *header);
/* Elements and bytes of type and shape; LNG_ERR_FORMAT when they overflow. */
LNG_MUST_CHECK enum lng_status lng_npy_measure(const char *name, struct lng_npy *array);

#endif
