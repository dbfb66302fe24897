/* Inside kernels/ only: timing each piece of work of a device (observe.h). */
#ifndef LNG_KERNELS_TIMING_H
#define LNG_KERNELS_TIMING_H

#include "kernels/backend.h"
#include "kernels/observe.h"

/* As they are in ops.def. */
enum lng_op_number {
#define LNG_OP(name) LNG_OP_##name,
#include "kernels/ops.def"
#undef LNG_OP
    LNG_OP_COUNT
};
enum lng_phase lng_phase_of(enum lng_op_number op);

/* Around a piece of work of a device with a timer: `begun`, the work, then `done` with its status, which is handed on.
 * Work inside work is not timed by itself. */
LNG_MUST_CHECK enum lng_status lng_timer_begun(struct lng_device *device);
LNG_MUST_CHECK enum lng_status lng_timer_done(struct lng_device *device, enum lng_phase phase,
                                              enum lng_status status);

/* Gives the timer up, if there is one. */
void lng_timer_close(struct lng_device *device);

/* `call` of the device, timed where the device is. */
#define LNG_TIMED(device, phase, call)                    \
    do {                                                  \
        if ((device)->timer == NULL)                      \
            return (call);                                \
        LNG_TRY(lng_timer_begun(device));                 \
        return lng_timer_done((device), (phase), (call)); \
    } while (0)

#endif
