/* Ops that the CPU backend leaves to ref. */
#include "kernels/cpu/cpu_device.h"

#define FALL_BACK(name)                                                  \
    enum lng_status lng_cpu_##name(struct lng_device *device,            \
                                   const struct lng_##name##_args *args) \
    {                                                                    \
        return lng_backend_ref.ops.name(device, args);                   \
    }

FALL_BACK(attention_weights)
FALL_BACK(edit_scores)
