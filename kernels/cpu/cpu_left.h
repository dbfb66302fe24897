/* The left side of products with weights of int8 or bf16: rows of x made ready once, then multiplied block by block. */
#ifndef LNG_KERNELS_CPU_LEFT_H
#define LNG_KERNELS_CPU_LEFT_H

#include "kernels/cpu/cpu_device.h"

/* Rows of x as the products read them: four values of int8, or two of bf16, an element; f32 is read where it lies. */
struct lng_cpu_left {
    const void *rows; /* [R, pitch] elements of 4 bytes */
    int64_t pitch;
    const float *scales; /* I8: [R] */
};

/* Bytes of shared scratch for `rows` of `cols` values, a multiple of 64. */
size_t lng_cpu_left_bytes(const struct lng_cpu *cpu, enum lng_dtype compute, int64_t rows,
                          int64_t cols);
/* x [R, K] f32; memory as measured. Uses the threads. */
struct lng_cpu_left lng_cpu_left_make(struct lng_cpu *cpu, const struct lng_view *x,
                                      enum lng_dtype compute, void *memory);

/* A block of y = x W^T: rows and columns from (row, col) on; col a multiple of the panel's width. */
struct lng_cpu_block {
    int64_t row, rows, col, cols;
    float *c; /* where (row, col) goes */
    int64_t c_row;
    const float *bias; /* of col, or NULL */
    bool add, relu;
};
/* On the calling thread. */
void lng_cpu_left_multiply(const struct lng_cpu *cpu, const struct lng_cpu_left *left,
                           const struct lng_cpu_weight *weight, const struct lng_cpu_block *block);

#endif
