/* Matrix products by cuBLASLt, seen row-major: the one place that knows its column-major layouts.
 * Plans (which algorithm for which shapes) are cached; the workspace is ours; no algorithm sums in an order
 * that changes from run to run. */
#ifndef LNG_KERNELS_CUDA_CUDA_GEMM_H
#define LNG_KERNELS_CUDA_CUDA_GEMM_H

#include "kernels/backend.h"

enum cuda_epilogue {
    CUDA_EPILOGUE_NONE,
    CUDA_EPILOGUE_BIAS,
    CUDA_EPILOGUE_RELU,
    CUDA_EPILOGUE_RELU_BIAS,
};

/* c = epilogue(op(a) op(b) + beta c), [m, n] = [m, k] [k, n]; op transposes where asked: a is then [k, m].
 * a and b are both f32 or both bf16, c likewise or f32. bias [n] has the dtype of c. */
struct cuda_gemm_args {
    struct lng_view a, b, c;
    bool transpose_a, transpose_b, accumulate;
    enum cuda_epilogue epilogue;
    const void *bias;
};

#ifdef __cplusplus
extern "C" {
#endif
LNG_MUST_CHECK enum lng_status cuda_gemm_open(struct lng_device *device);
void cuda_gemm_close(struct lng_device *device);
LNG_MUST_CHECK enum lng_status cuda_gemm(struct lng_device *device, const char *what,
                                         const struct cuda_gemm_args *args);
#ifdef __cplusplus
}
#endif

#endif
