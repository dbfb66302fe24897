/* Inside kernels/ only: how a checked operation reaches its backend, and the observer after it. */
#ifndef LNG_KERNELS_OPS_RUN_H
#define LNG_KERNELS_OPS_RUN_H

#include "kernels/timing.h"

/* lng_observe_<op>: shows the device's observer what the operation wrote.
 * lng_run_<op>: the backend's operation, timed where that is wanted, then that. */
#define LNG_OP(name)                                                                             \
    static inline enum lng_status lng_timed_##name(struct lng_device *device,                    \
                                                   const struct lng_##name##_args *args)         \
    {                                                                                            \
        LNG_TIMED(device, lng_phase_of(LNG_OP_##name), device->backend->ops.name(device, args)); \
    }                                                                                            \
    LNG_MUST_CHECK enum lng_status lng_observe_##name(struct lng_device *device,                 \
                                                      const struct lng_##name##_args *a);        \
    static inline enum lng_status lng_run_##name(struct lng_device *device,                      \
                                                 const struct lng_##name##_args *args)           \
    {                                                                                            \
        enum lng_status status = lng_timed_##name(device, args);                                 \
        if (device->observer == NULL || status != LNG_OK)                                        \
            return status;                                                                       \
        return lng_observe_##name(device, args);                                                 \
    }
#include "kernels/ops.def"
#undef LNG_OP

#endif
