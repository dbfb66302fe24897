/* The kernels that linear layers need beside products (gpu_linear.cu, gpu_linear_int8.cu, gpu_norm_linear.cu). */
#ifndef LNG_KERNELS_CUDA_GPU_LINEAR_H
#define LNG_KERNELS_CUDA_GPU_LINEAR_H

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif
/* y = activation(sum + bias), or y += sum + bias; sum [N, out] f32. */
LNG_MUST_CHECK enum lng_status gpu_linear_finish(struct lng_device *device,
                                                 const struct lng_linear_fwd_args *args,
                                                 const float *sum);
/* d_pre = d_y * (y > 0) in place where y has data. d_bias, where it has data, += column sums of d_pre; partial
 * is room for gpu_column_groups(N) * out floats, else not used. */
LNG_MUST_CHECK enum lng_status gpu_linear_bias_bwd(struct lng_device *device, struct lng_view y,
                                                   struct lng_view d_y, struct lng_view d_bias,
                                                   float *partial);
int64_t gpu_column_groups(int64_t rows);
/* y = activation(x q^T * scales + bias) or added, int8 (gpu_linear_int8.cu): x, weight [., depth] with depth a multiple
 * of 16 and rows 16-byte aligned. */
LNG_MUST_CHECK enum lng_status gpu_linear_int8(struct lng_device *device,
                                               const struct lng_linear_fwd_args *args,
                                               struct lng_view x, const float *x_scales,
                                               struct lng_view weight, const float *weight_scales);
/* norm_linear_fwd in one launch (gpu_norm_linear.cu), with values [out, in] of the weight; *done: false where two are
 * better, or needed, and nothing was done. */
LNG_MUST_CHECK enum lng_status gpu_norm_linear(struct lng_device *device,
                                               const struct lng_norm_linear_fwd_args *args,
                                               struct lng_view weight, bool *done);
/* How many sizes of tiles there are for it, of which cuda_state.int8_tile names one. */
enum { GPU_INT8_TILES = 5 };
#ifdef __cplusplus
}
#endif

#endif
