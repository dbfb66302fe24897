/* Sinusoid position tables. */
#ifndef LNG_HOST_MODEL_POSITIONS_H
#define LNG_HOST_MODEL_POSITIONS_H

#include "host/model/hparams.h"

/* Fills table [rows, dim] for positions 0 .. rows - 1. Families A, B, C of hparams.h; computed in f32 as
 * the toolkits that define them do, so that every device starts from the same bits. */
void lng_positions_fill(float *table, int64_t rows, int64_t dim, enum lng_positions family);

#endif
