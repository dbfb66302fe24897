/* Position tables that files bring along: which of the sinusoid families one is. */
#ifndef LNG_HOST_STORE_POSITION_TABLE_H
#define LNG_HOST_STORE_POSITION_TABLE_H

#include "host/model/hparams.h"

/* Compares table [rows, dim] with the families of hparams.h, row 0 being position `offset`, for offsets
 * 0 .. most_offset. *family is LNG_POSITIONS_LEARNED (and *offset 0) when none is near; low precision and
 * other people's sines make differences, but families and positions differ by far more. rows >= 1; LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_position_table_recognise(const float *table, int64_t rows,
                                                            int64_t dim, int32_t most_offset,
                                                            enum lng_positions *family,
                                                            int32_t *offset);

#endif
