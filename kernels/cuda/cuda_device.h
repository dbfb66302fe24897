/* Inside kernels/cuda only: a GPU as the backend sees it. Usable from C and from .cu files.
 *
 * One stream a device: operations are in order, so scratch memory may be handed out again by the next one.
 * An error of the CUDA runtime becomes a status that names the operation, and is cleared where CUDA
 * lets it be; after one that it does not (an address error in a kernel, say) the device refuses all work
 * with the first message. */
#ifndef LNG_KERNELS_CUDA_CUDA_DEVICE_H
#define LNG_KERNELS_CUDA_CUDA_DEVICE_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <sys/types.h>

#include "kernels/backend.h"

struct cuda_pool;
struct cuda_staging;
struct cuda_gemm;
struct cuda_graphs;

struct cuda_state {
    pid_t owner; /* CUDA does not survive a fork */
    cudaStream_t stream;
    struct cuda_pool *pool;
    struct cuda_staging *staging;
    struct cuda_gemm *gemm;
    struct cuda_graphs *graphs;
    bool capturing; /* operations are recorded, not run: nothing may wait, ask or allocate */
    bool strict;    /* the same bits on every run, no TF32 */
    bool apart;     /* a norm and its product take a launch each: LNG_CUDA_FUSE=0 */
    int int8_tile;  /* of all int8 products: LNG_CUDA_INT8_TILE; -1: by their shapes */
    char kind[288]; /* of GPU: name and compute capability */
    void *scratch;
    size_t scratch_bytes;
    bool check_each;       /* wait after every operation: LNG_CUDA_SYNC=1 */
    bool broken;           /* by an error that CUDA does not recover from: */
    char first_error[320]; /* this one */
};

static inline struct cuda_state *cuda_state_of(const struct lng_device *device)
{
    return (struct cuda_state *)device->state;
}
static inline cudaStream_t cuda_stream(const struct lng_device *device)
{
    return cuda_state_of(device)->stream;
}

#ifdef __cplusplus
extern "C" {
#endif

/* LNG_OK, or the status of `error`, with a message: device, operation `what`, CUDA's name and text of the
 * error, what to do. Sticky errors mark the device broken, others are cleared. */
LNG_MUST_CHECK enum lng_status cuda_check(struct lng_device *device, const char *what,
                                          cudaError_t error);
/* Makes the device's GPU the calling thread's, which CUDA keeps one of for each. Before all work. */
LNG_MUST_CHECK enum lng_status cuda_select(struct lng_device *device);
/* The same before calls that are not operations: fails for a child of fork, for a broken device, and while
 * operations are recorded. */
LNG_MUST_CHECK enum lng_status cuda_check_usable(struct lng_device *device);
/* Device memory for one operation: valid until the next call of cuda_scratch on the device, 256-byte
 * aligned, its contents anything. Grows, never shrinks; kernels queued earlier may still use an old block. */
LNG_MUST_CHECK enum lng_status cuda_scratch(struct lng_device *device, size_t bytes, void **memory);

/* enum lng_status cuda_embed_fwd(device, args), ...: the table's entries. */
#define LNG_OP(name) \
    enum lng_status cuda_##name(struct lng_device *device, const struct lng_##name##_args *args);
#include "kernels/ops.def"
#undef LNG_OP

#ifdef __cplusplus
}
#endif

#define CUDA_TRY(device, what, call) LNG_TRY(cuda_check((device), (what), (call)))

#endif
