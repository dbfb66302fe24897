/* Rows of int8 with one scale each, as lng_quantize_rows makes them. */
#ifndef LNG_HOST_STORE_INT8_ROWS_H
#define LNG_HOST_STORE_INT8_ROWS_H

#include <stdint.h>

#include "host/base/status.h"

/* values [rows, cols] finite -> q [rows, cols], scales [rows]: what int8 products of a device take, bit by bit. */
LNG_MUST_CHECK enum lng_status lng_int8_rows(const float *values, int64_t rows, int64_t cols,
                                             int8_t *q, float *scales);

#endif
