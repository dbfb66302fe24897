/* The device "cuda" as a table. */
#include "kernels/backend.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_memory.h"

extern const struct lng_backend lng_backend_cuda;
const struct lng_backend lng_backend_cuda = {
    .name = "cuda",
    .real = LNG_DTYPE_F32,
    .ops =
        {
#define LNG_OP(name) .name = cuda_##name,
#include "kernels/ops.def"
#undef LNG_OP
        },
    .open = cuda_open,
    .close = cuda_close,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .write = cuda_write,
    .read = cuda_read,
    .sync = cuda_sync,
    .activation = cuda_activation,
    .supports = cuda_supports,
    .logit_rows = cuda_logit_rows,
    .weight_prepare = cuda_weight_prepare,
    .weight_refresh = cuda_weight_refresh,
    .weight_release = cuda_weight_release,
};
