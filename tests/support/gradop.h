/* The gradient check of one operation on ref64: inputs with their gradients, outputs with the fixed
 * random gradients that come from above, and L = sum of outputs times those. */
#ifndef TESTS_SUPPORT_GRADOP_H
#define TESTS_SUPPORT_GRADOP_H

#include "kernels/ops.h"
#include "tests/support/rig.h"

enum { GRADOP_MAX = 8 };

struct gradop {
    struct rig rig;
    struct {
        const char *name;
        struct lng_view value, gradient;
        bool added; /* the backward pass adds to it, so that it starts from START */
    } inputs[GRADOP_MAX];
    struct {
        struct lng_view y, d_y;
        double *weights;
    } outputs[GRADOP_MAX];
    int input_count, output_count;
    /* Fill outputs from inputs; gradients from the outputs' d_y (rewritten before each call). */
    void (*forward)(struct gradop *op);
    void (*backward)(struct gradop *op);
    void *args;
    /* Instead of outputs: L itself. */
    double (*value)(struct gradop *op);
    char what[160]; /* the case with its shape and seed */
};

void gradop_open(struct gradop *op, uint64_t seed);
/* A [rows, cols] input, random in (-magnitude, magnitude). Its gradient is poisoned with NaN where it
 * is to be written, and starts from 0.5 where it is added to. */
struct lng_view gradop_input(struct gradop *op, const char *name, int64_t rows, int64_t cols,
                             double magnitude, bool added, struct lng_view *gradient);
struct lng_view gradop_output(struct gradop *op, int64_t rows, int64_t cols, struct lng_view *d_y);
/* Compares and fails the test past 1e-6. The caller closes the rig. */
void gradop_check(struct gradop *op);

#endif
