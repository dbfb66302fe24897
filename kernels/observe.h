/* Looking on while a device works: after each operation, what it wrote. For comparing two devices
 * operation by operation; costs one test of a pointer when nobody looks.
 *
 * The observer is called on the thread that called the operation, once for each call that succeeded and
 * had rows to work on, in the order of the calls. It may read and also overwrite what it is shown
 * (lng_device_read, lng_device_write), and must not call operations on the device. */
#ifndef LNG_KERNELS_OBSERVE_H
#define LNG_KERNELS_OBSERVE_H

#include "kernels/device.h"

/* One result of an operation, by the name of its argument. Flat arrays are views of one row. The rows of
 * the caches that attention_step writes are not shown: its other results depend on them. */
struct lng_op_output {
    const char *name;
    struct lng_view view;
};

struct lng_op_call {
    const char *op; /* as in ops.def; static */
    const struct lng_op_output *outputs;
    size_t count;
};

struct lng_op_observer {
    /* What is not LNG_OK is what the operation returns. `call` is valid during the call only. */
    enum lng_status (*done)(void *context, struct lng_device *device,
                            const struct lng_op_call *call);
    void *context;
};

/* Borrowed until replaced; NULL: nobody looks. */
void lng_device_observe(struct lng_device *device, const struct lng_op_observer *observer);

/* ---- where time goes ---------------------------------------------------------------------------- */

/* Kinds of work: PHASE(id, "name"). Which operation is of which kind: timing.c. */
#define LNG_PHASES(PHASE)              \
    PHASE(GEMM, "gemm")                \
    PHASE(ATTENTION, "attention")      \
    PHASE(ELEMENTWISE, "element-wise") \
    PHASE(LOSS, "loss")                \
    PHASE(SEARCH, "search")            \
    PHASE(OPTIMIZER, "optimizer")      \
    PHASE(COPY, "copy")
enum lng_phase {
#define LNG_PHASE_ID(id, name) LNG_PHASE_##id,
    LNG_PHASES(LNG_PHASE_ID)
#undef LNG_PHASE_ID
        LNG_PHASE_COUNT
};
const char *lng_phase_name(enum lng_phase phase);

/* The device's own time: of a GPU between events recorded before and after each piece of work. Where the host issues
 * work more slowly than the GPU does it, the wait for the host's next launch inside an operation counts to that. */
struct lng_phase_times {
    double seconds[LNG_PHASE_COUNT];
    int64_t calls[LNG_PHASE_COUNT];
};

/* From now until lng_device_time_end every operation, copy and repacking of a weight is timed, which costs a little, and
 * lng_device_repeat does its work directly. The device is used by one thread meanwhile. LNG_ERR_MEMORY, LNG_ERR_USAGE
 * where it is timed already. */
LNG_MUST_CHECK enum lng_status lng_device_time_begin(struct lng_device *device);
/* Waits for the device. After a failure too the device is no longer timed. */
LNG_MUST_CHECK enum lng_status lng_device_time_end(struct lng_device *device,
                                                   struct lng_phase_times *times);

#endif
