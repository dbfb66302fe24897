/* The device "cuda" as a table. */
#include "kernels/backend.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_graph.h"
#include "kernels/cuda/cuda_memory.h"
#include "kernels/cuda/cuda_timing.h"

/* The table's entries: the operation, on the device's own GPU. */
#define LNG_OP(name)                                                        \
    static enum lng_status run_##name(struct lng_device *device,            \
                                      const struct lng_##name##_args *args) \
    {                                                                       \
        LNG_TRY(cuda_select(device));                                       \
        return cuda_##name(device, args);                                   \
    }
#include "kernels/ops.def"
#undef LNG_OP

extern const struct lng_backend lng_backend_cuda;
const struct lng_backend lng_backend_cuda = {
    .name = "cuda",
    .real = LNG_DTYPE_F32,
    .ops =
        {
#define LNG_OP(name) .name = run_##name,
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
    .landing_open = cuda_landing_open,
    .landing_close = cuda_landing_close,
    .landing_copy = cuda_landing_copy,
    .landing_wait = cuda_landing_wait,
    .activation = cuda_activation,
    .supports = cuda_supports,
    .logit_rows = cuda_logit_rows,
    .free_memory = cuda_free_memory,
    .hardware = cuda_hardware,
    .mark = cuda_mark,
    .between = cuda_between,
    .marks_release = cuda_marks_release,
    .trim = cuda_trim,
    .instructions = cuda_instructions,
    .repeat = cuda_repeat,
    .weight_prepare = cuda_weight_prepare,
    .weight_refresh = cuda_weight_refresh,
    .weights_refresh = cuda_weights_refresh,
    .weight_release = cuda_weight_release,
    .weight_share = cuda_weight_share,
};
