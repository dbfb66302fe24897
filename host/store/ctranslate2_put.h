/* Writing a model.bin, variable by variable. The file says first how many there are: the same calls are
 * made twice, once only to be counted. */
#ifndef LNG_HOST_STORE_CTRANSLATE2_PUT_H
#define LNG_HOST_STORE_CTRANSLATE2_PUT_H

#include "host/base/file.h"
#include "host/store/ctranslate2_internal.h"

struct lng_ct2_put {
    struct lng_atomic_file file;
    bool counting;
    uint32_t count;
    const char *name; /* for messages */
};

LNG_MUST_CHECK enum lng_status lng_ct2_put_u32(struct lng_ct2_put *put, uint32_t value);
/* Printable ASCII, fewer than 2^16 - 1 bytes. */
LNG_MUST_CHECK enum lng_status lng_ct2_put_string(struct lng_ct2_put *put, const char *text);
/* A variable of rank 0: I8, I16 or F32. */
LNG_MUST_CHECK enum lng_status lng_ct2_put_number(struct lng_ct2_put *put, const char *name,
                                                  enum lng_ct2_type type, double value);
/* A variable [rows, cols], or [cols] where rows is 0, as F32, F16 or BF16; a matrix as I16 or I8 too, which adds its
 * scales (1024 / greatest of all, 127 / greatest of the row). values NULL is fine while counting. LNG_ERR_RANGE for
 * what is not finite in that type, and over 4 GiB. */
LNG_MUST_CHECK enum lng_status lng_ct2_put_tensor(struct lng_ct2_put *put, const char *name,
                                                  enum lng_ct2_type type, const float *values,
                                                  int64_t rows, int64_t cols);

#endif
