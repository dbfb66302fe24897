#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/gradop.h"

struct norm_case {
    struct lng_norm_fwd_args forward;
    struct lng_norm_bwd_args backward;
};

static void forward(struct gradop *op)
{
    const struct norm_case *own = op->args;
    RIG_OK(lng_norm_fwd(op->rig.device, &own->forward));
}

static void backward(struct gradop *op)
{
    const struct norm_case *own = op->args;
    RIG_OK(lng_norm_bwd(op->rig.device, &own->backward));
}

enum { RESIDUAL = 1, SUM = 2, DROPOUT = 4 };

static void check(uint64_t seed, enum lng_norm kind, int64_t rows, int64_t width, int options)
{
    struct gradop op;
    struct norm_case own = {0};
    uint32_t sentence[256], position[256];
    gradop_open(&op, seed);
    snprintf(op.what, sizeof op.what, "norm kind %d, %lld x %lld, options %d", (int)kind,
             (long long)rows, (long long)width, options);
    for (int64_t n = 0; n < rows; n++) {
        sentence[n] = (uint32_t)(n / 4);
        position[n] = (uint32_t)(n % 4);
    }
    own.forward.kind = own.backward.kind = kind;
    own.forward.epsilon = own.backward.epsilon = 1e-5;
    own.forward.x = gradop_input(&op, "x", rows, width, 1, false, &own.backward.d_x);
    if (options & RESIDUAL)
        own.forward.residual =
            gradop_input(&op, "residual", rows, width, 1, false, &own.backward.d_residual);
    if (kind != LNG_NORM_NONE) {
        own.forward.gamma = gradop_input(&op, "gamma", 1, width, 1, true, &own.backward.d_gamma);
        own.forward.mean = rig_array(&op.rig, NULL, (size_t)rows, sizeof(double));
        own.forward.rstd = rig_array(&op.rig, NULL, (size_t)rows, sizeof(double));
        own.forward.y = gradop_output(&op, rows, width, &own.backward.d_y);
    }
    if (kind == LNG_NORM_LAYER)
        own.forward.beta = gradop_input(&op, "beta", 1, width, 1, true, &own.backward.d_beta);
    if ((options & SUM) || kind == LNG_NORM_NONE)
        own.forward.sum = gradop_output(&op, rows, width, &own.backward.d_sum);
    else
        own.forward.sum = rig_output(&op.rig, LNG_DTYPE_F64, rows, width);
    if (options & DROPOUT)
        own.forward.dropout = (struct lng_dropout){
            .probability = 0.25,
            .rng = {seed, 3, 21},
            .sentence = rig_array(&op.rig, sentence, (size_t)rows, sizeof *sentence),
            .position = rig_array(&op.rig, position, (size_t)rows, sizeof *position)};
    own.backward.dropout = own.forward.dropout;
    own.backward.sum = own.forward.sum;
    own.backward.gamma = own.forward.gamma;
    own.backward.mean = own.forward.mean;
    own.backward.rstd = own.forward.rstd;
    op.args = &own;
    op.forward = forward;
    op.backward = backward;
    gradop_check(&op);
    rig_close(&op.rig);
}

static void check_options(uint64_t seed, enum lng_norm kind)
{
    for (int options = 0; options < 8; options++)
        check(seed + (uint64_t)options, kind, 6, 11, options);
}

Test(grad_norm, layer)
{
    check_options(10, LNG_NORM_LAYER);
}

Test(grad_norm, rms)
{
    check_options(20, LNG_NORM_RMS);
}

Test(grad_norm, residual_only)
{
    check_options(30, LNG_NORM_NONE);
}

Test(grad_norm, awkward_shapes)
{
    for (int kind = LNG_NORM_LAYER; kind <= LNG_NORM_NONE; kind++) {
        check(40, (enum lng_norm)kind, 0, 5, RESIDUAL | SUM | DROPOUT);
        check(41, (enum lng_norm)kind, 1, 97, RESIDUAL | SUM);
        check(42, (enum lng_norm)kind, 97, 3, RESIDUAL | SUM | DROPOUT);
        check(43, (enum lng_norm)kind, 3, 1, RESIDUAL | SUM);
    }
}

/* d_residual and d_x may both be d_y (dropout off), or d_x may be d_sum. */
Test(grad_norm, gradients_in_place)
{
    double expected[2][6 * 5];
    for (int in_place = 0; in_place < 2; in_place++) {
        struct rig rig;
        rig_open(&rig, "ref64", 50);
        struct lng_view x = rig_random(&rig, LNG_DTYPE_F64, 6, 5, 1);
        struct lng_view gamma = rig_random(&rig, LNG_DTYPE_F64, 1, 5, 1);
        struct lng_view d_y = rig_random(&rig, LNG_DTYPE_F64, 6, 5, 1);
        struct lng_view d_sum = rig_random(&rig, LNG_DTYPE_F64, 6, 5, 1);
        struct lng_view y = rig_output(&rig, LNG_DTYPE_F64, 6, 5);
        struct lng_view d_x = in_place ? d_y : rig_output(&rig, LNG_DTYPE_F64, 6, 5);
        void *mean = rig_array(&rig, NULL, 6, sizeof(double));
        void *rstd = rig_array(&rig, NULL, 6, sizeof(double));
        RIG_OK(lng_norm_fwd(rig.device, &(struct lng_norm_fwd_args){.x = x,
                                                                    .gamma = gamma,
                                                                    .beta = gamma,
                                                                    .y = y,
                                                                    .mean = mean,
                                                                    .rstd = rstd,
                                                                    .epsilon = 1e-6}));
        RIG_OK(lng_norm_bwd(rig.device, &(struct lng_norm_bwd_args){
                                            .sum = x,
                                            .gamma = gamma,
                                            .d_y = d_y,
                                            .d_sum = d_sum,
                                            .d_residual = in_place ? d_sum : (struct lng_view){0},
                                            .d_x = d_x,
                                            .d_gamma = rig_zeros(&rig, LNG_DTYPE_F64, 1, 5),
                                            .d_beta = rig_zeros(&rig, LNG_DTYPE_F64, 1, 5),
                                            .mean = mean,
                                            .rstd = rstd}));
        const double *got = rig_get(&rig, d_x);
        for (int i = 0; i < 30; i++)
            expected[in_place][i] = got[i];
        if (in_place)
            rig_expect_close("d_residual in d_sum", rig_get(&rig, d_sum), got, 30, 0, 0);
        rig_close(&rig);
    }
    rig_expect_close("d_x in d_y", expected[1], expected[0], 30, 0, 0);
}
