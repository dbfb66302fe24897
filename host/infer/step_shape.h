/* Shapes of decoding steps. Where a device records work that recurs (lng_device_repeats), rows and the width of
 * the ancestry table are rounded up to few values, so that steps recur; elsewhere they are what they are. The rows
 * added stand for nobody: they see no key and their logits are not looked at. Rounding depends on the
 * device's kind alone, so that switching recording off changes no bit. */
#ifndef LNG_HOST_INFER_STEP_SHAPE_H
#define LNG_HOST_INFER_STEP_SHAPE_H

#include "kernels/device.h"

/* Rows of a step with `rows` hypotheses: at most a quarter and 8 more. */
int64_t lng_step_rows(const struct lng_device *device, int64_t rows);
/* Columns of its ancestry table where the longest hypothesis has `length` positions: at most twice, and 32. */
int64_t lng_step_stride(const struct lng_device *device, int64_t length);
/* Entries of the table at most, in every step of up to `rows` hypotheses, of up to `time` positions each and up
 * to `positions` together. */
int64_t lng_step_ancestors(const struct lng_device *device, int64_t rows, int64_t time,
                           int64_t positions);

/* Source tokens to encode at once, of at most `rows` in sentences of up to `longest`: a CPU is no faster with more
 * than a few hundred, and memory grows with them. A GPU takes all. */
int64_t lng_encode_rows(const struct lng_device *device, int64_t rows, int64_t longest);

#endif
