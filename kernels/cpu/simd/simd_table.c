#include "kernels/cpu/simd/gemm_tile.h"
#include "kernels/cpu/simd/simd.h"

#define LNG_TEXT_(name) #name
#define LNG_TEXT(name) LNG_TEXT_(name)

const struct lng_simd LNG_PASTE(lng_simd, LNG_ISA) = {
    .name = LNG_TEXT(LNG_ISA),
    .mr = MR,
    .nr = NR,
#define LNG_KERNEL(type, name, parameters) .name = LNG_SIMD(name),
#include "kernels/cpu/simd/simd.def"
#undef LNG_KERNEL
};
