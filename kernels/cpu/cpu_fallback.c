/* Ops that the CPU backend leaves to ref. */
#include "kernels/cpu/cpu_device.h"

#define FALL_BACK(name)                                                  \
    enum lng_status lng_cpu_##name(struct lng_device *device,            \
                                   const struct lng_##name##_args *args) \
    {                                                                    \
        return lng_backend_ref.ops.name(device, args);                   \
    }

FALL_BACK(embed_fwd)
FALL_BACK(embed_bwd)
FALL_BACK(norm_fwd)
FALL_BACK(norm_bwd)
FALL_BACK(attention_fwd)
FALL_BACK(attention_bwd)
FALL_BACK(attention_step)
FALL_BACK(attention_weights)
FALL_BACK(activation_fwd)
FALL_BACK(activation_bwd)
FALL_BACK(loss)
FALL_BACK(candidates)
FALL_BACK(adam)
FALL_BACK(gradient_stats)
FALL_BACK(average)
FALL_BACK(scale)
FALL_BACK(fill)
FALL_BACK(copy)
FALL_BACK(add)
FALL_BACK(gather_rows)
FALL_BACK(quantize_rows)
FALL_BACK(dequantize_rows)
