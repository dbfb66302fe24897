/* Sigmoid and tanh of a register. */
#ifndef LNG_KERNELS_CPU_SIMD_VEC_TANH_H
#define LNG_KERNELS_CPU_SIMD_VEC_TANH_H

#include "kernels/cpu/simd/vec.h"

VEC_INLINE vf v_sigmoid(vf x)
{
    return v_div(v_set(1), v_add(v_set(1), v_exp(v_sub(v_zero(), x))));
}

/* Within 2e-7, absolute. */
VEC_INLINE vf v_tanh(vf x)
{
    return v_sub(v_mul(v_set(2), v_sigmoid(v_mul(v_set(2), x))), v_set(1));
}

#endif
