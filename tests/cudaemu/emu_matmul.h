/* Between emu_cublaslt.cc, which checks, and emu_matmul.cc, which multiplies. */
#ifndef LNG_TESTS_CUDAEMU_EMU_MATMUL_H
#define LNG_TESTS_CUDAEMU_EMU_MATMUL_H

#include "tests/cudaemu/emu.h"

#include <cublasLt.h>

namespace cudaemu
{

struct layout {
    uint32_t type; /* cudaDataType */
    int32_t order; /* cublasLtOrder_t */
    uint64_t rows, columns;
    int64_t leading;
    int64_t batch_stride;
    int32_t batch_count;
};
struct description {
    int32_t compute, scale, pointer_mode, transpose_a, transpose_b, transpose_c;
    uint32_t epilogue;
    int32_t bias_type, aux_type; /* -1: as D */
    void *bias, *aux;
    int64_t bias_stride, aux_leading, aux_stride;
};
/* D = epilogue(alpha op(A) op(B) + beta C), everything checked but the memory. */
struct product {
    description how;
    layout a, b, c, d;
    const void *from_a, *from_b, *from_c;
    void *to_d;
    /* Of the scale type: values, or device pointers where the pointer mode says so. */
    const void *alpha_at, *beta_at;
    float alpha, beta;
};

inline size_t bytes_of(uint32_t type)
{
    return type == CUDA_R_32F || type == CUDA_R_32I ? 4
           : type == CUDA_R_16BF                    ? 2
           : type == CUDA_R_8I                      ? 1
                                                    : 0;
}
inline bool has_bias(uint32_t epilogue)
{
    return epilogue & CUBLASLT_EPILOGUE_BIAS;
}
/* The gradient of a bias is written where the bias would be. */
inline bool has_bias_gradient(uint32_t epilogue)
{
    return epilogue & (16 | CUBLASLT_EPILOGUE_BGRADA | CUBLASLT_EPILOGUE_BGRADB);
}
inline bool has_aux(uint32_t epilogue)
{
    return epilogue & 128;
}
inline bool is_relu(uint32_t epilogue) /* or its gradient: the auxiliary matrix is bits */
{
    return epilogue & (CUBLASLT_EPILOGUE_RELU | 8);
}

void run_product(const product &work);

} // namespace cudaemu

#endif
