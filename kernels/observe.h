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

#endif
