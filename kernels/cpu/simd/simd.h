/* The vector kernels: listed once in simd.def, compiled for each instruction set, chosen at open. */
#ifndef LNG_KERNELS_CPU_SIMD_H
#define LNG_KERNELS_CPU_SIMD_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/ops.h"

/* C [m, n] (+)= A B. B lies in panels of LNG_SIMD nr columns: element (k, j) of panel p at
 * b[p * b_panel + k * b_k + j], columns past n are anything. bf16: elements are pairs along k, so k counts
 * pairs and A and B are uint32 (low half = even k). Each c is one chain of sums over k, whatever m, n
 * and its place: the same bits for a row alone and among others. */
struct lng_gemm {
    const void *a;
    int64_t a_row, a_k; /* strides in elements (bf16: pairs) */
    const void *b;
    int64_t b_panel;
    int64_t
        b_k; /* from one step of k to the next; 0 = nr. A plain matrix whose width is a multiple of
                    nr needs no packing: b_k is its stride, b_panel is nr */
    float *c;
    int64_t c_row;
    int64_t m, n, k;
    const float *bias; /* [n] or NULL, added at the end */
    bool add;          /* to what c holds */
    bool relu;
};

/* The same with int8 values, four along k an element (k counts those), zeros past the end.
 * c = (sum - less[column]) * row_scales[row] * col_scales[column], then bias, add, relu. */
struct lng_gemm_i8 {
    struct lng_gemm gemm; /* a_k is 1, b_k is nr */
    const float *row_scales, *col_scales;
    const int32_t *less; /* or NULL */
    int64_t magnitudes;  /* without VNNI: |a| lies so many elements after a */
};

/* y[i, j] = x[i] . table[tokens[j]] + bias of the token, for rows of one sentence. x and table hold elements of
 * 32 bits along k (two bf16 or four int8), zeros up to `pitch`, a multiple of 16. int8: as in lng_gemm_i8. */
struct lng_select_block {
    const void *x;
    int64_t x_pitch, rows; /* x_pitch >= pitch */
    const uint32_t *table;
    int64_t pitch;
    const int32_t *tokens; /* [count] */
    int64_t count;
    const float *bias; /* [V] or NULL */
    float *y;
    int64_t y_stride;
    const float *row_scales, *col_scales; /* int8: [rows], [V] */
    const int32_t *less;                  /* int8: [V] or NULL */
};

/* Some queries of one head against all keys of its sentence. scores [queries, keys], rows `stride`
 * apart (a multiple of nr): forward, q . k becomes the probabilities after dropout. Backward, q . k
 * becomes the probabilities after dropout and d_p, the product of d_o and v, becomes the gradient of
 * q . k. Places past what a query may see become 0. */
struct lng_softmax_block {
    float *scores, *d_p;
    int64_t stride, queries, keys, first_query;
    bool causal;
    double scale, dropout;
    float *lse; /* [queries] written, or NULL; backward: read */
    struct lng_rng_site rng;
    uint32_t sentence, head;
    uint16_t *halves; /* scratch [queries * (keys + 8) + 256] when dropping */
};

/* Columns of logits that are looked at together; their maximum, and the sum of exp(x - highest). */
enum { LNG_CPU_SCAN = 256 };
struct lng_cpu_sum {
    float highest, sum;
};

/* Rows of attention_step at a time, at most. */
enum { LNG_ATTENTION_GROUP = 4 };
/* Its scores of a key: those of the heads, filled up so that registers of any width hold whole keys or parts of one. */
static inline int64_t lng_attention_padded(int64_t heads)
{
    int64_t padded = 1;
    while (padded < heads && padded < 16)
        padded *= 2;
    return padded < heads ? (heads + 15) / 16 * 16 : padded;
}

/* Queries and keys of one head. scores: written, or read as gradients. */
struct lng_additive_block {
    const float *q, *k, *vector;
    float *scores, *d_q, *d_k, *d_vector;
    int64_t q_stride, k_stride, stride, d_q_stride, d_k_stride;
    int64_t queries, keys, width;
};

struct lng_simd {
    const char *name;
    int mr, nr; /* tile of the f32 product; bf16 uses the same */
#define LNG_KERNEL(type, name, parameters) type(*name) parameters;
#include "kernels/cpu/simd/simd.def"
#undef LNG_KERNEL
};

extern const struct lng_simd lng_simd_base, lng_simd_avx2, lng_simd_avx512;

#ifdef LNG_ISA
#define LNG_PASTE_(a, b) a##_##b
#define LNG_PASTE(a, b) LNG_PASTE_(a, b)
/* The name of a kernel for the instruction set being compiled. */
#define LNG_SIMD(name) LNG_PASTE(lng_simd_##name, LNG_ISA)
#define LNG_KERNEL(type, name, parameters) type LNG_SIMD(name) parameters;
#include "kernels/cpu/simd/simd.def"
#undef LNG_KERNEL
#endif

#endif
