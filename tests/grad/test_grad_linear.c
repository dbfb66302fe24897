#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/gradop.h"

struct linear_case {
    struct lng_view master, start, initial; /* start: what y held before an accumulating product */
    struct lng_weight *weight;
    struct lng_linear_fwd_args forward;
    struct lng_linear_bwd_args backward;
    bool add_to_d_x;
};

static void forward(struct gradop *op)
{
    struct linear_case *own = op->args;
    RIG_OK(lng_weight_refresh(op->rig.device, own->weight));
    if (own->forward.accumulate)
        RIG_OK(lng_copy(op->rig.device,
                        &(struct lng_copy_args){.x = own->start, .y = own->forward.y}));
    RIG_OK(lng_linear_fwd(op->rig.device, &own->forward));
}

static void backward(struct gradop *op)
{
    struct linear_case *own = op->args;
    if (own->forward.accumulate)
        RIG_OK(lng_copy(op->rig.device,
                        &(struct lng_copy_args){.x = own->backward.d_y, .y = own->initial}));
    RIG_OK(lng_linear_bwd(op->rig.device, &own->backward));
}

static void check(uint64_t seed, int64_t rows, int64_t in, int64_t out,
                  enum lng_activation activation, bool bias, bool accumulate, bool add_to_d_x)
{
    struct gradop op;
    struct linear_case own = {0};
    gradop_open(&op, seed);
    snprintf(op.what, sizeof op.what,
             "linear [%lld, %lld] -> %lld, activation %d, bias %d, accumulate %d %d",
             (long long)rows, (long long)in, (long long)out, (int)activation, bias, accumulate,
             add_to_d_x);
    own.forward.x = gradop_input(&op, "x", rows, in, 1, add_to_d_x, &own.backward.d_x);
    own.master = gradop_input(&op, "weight", out, in, 1, true, &own.backward.d_weight);
    if (bias)
        own.forward.bias = gradop_input(&op, "bias", 1, out, 1, true, &own.backward.d_bias);
    if (accumulate)
        own.start = gradop_input(&op, "y before", rows, out, 1, false, &own.initial);
    own.forward.y = gradop_output(&op, rows, out, &own.backward.d_y);
    RIG_OK(lng_weight_prepare(op.rig.device, own.master, LNG_DTYPE_F32, LNG_WEIGHT_BACKWARD,
                              &own.weight));
    own.forward.weight = own.backward.weight = own.weight;
    own.forward.activation = own.backward.activation = activation;
    own.forward.accumulate = accumulate;
    own.backward.accumulate_d_x = add_to_d_x;
    own.backward.x = own.forward.x;
    own.backward.y = own.forward.y;
    op.args = &own;
    op.forward = forward;
    op.backward = backward;
    gradop_check(&op);
    lng_weight_release(op.rig.device, own.weight);
    rig_close(&op.rig);
}

Test(grad_linear, plain)
{
    check(1, 5, 7, 6, LNG_ACTIVATION_NONE, true, false, false);
    check(2, 5, 7, 6, LNG_ACTIVATION_NONE, false, false, false);
}

Test(grad_linear, relu)
{
    check(3, 6, 9, 11, LNG_ACTIVATION_RELU, true, false, false);
    check(4, 6, 9, 11, LNG_ACTIVATION_RELU, false, false, true);
}

Test(grad_linear, accumulate)
{
    check(5, 4, 5, 8, LNG_ACTIVATION_NONE, true, true, false);
    check(6, 4, 5, 8, LNG_ACTIVATION_NONE, true, true, true);
}

Test(grad_linear, awkward_shapes)
{
    check(7, 0, 3, 4, LNG_ACTIVATION_NONE, true, false, true);
    check(8, 1, 1, 1, LNG_ACTIVATION_RELU, true, false, false);
    check(9, 97, 3, 1, LNG_ACTIVATION_RELU, true, false, false);
    check(10, 1, 97, 3, LNG_ACTIVATION_NONE, true, false, false);
    check(11, 3, 1, 97, LNG_ACTIVATION_RELU, true, false, false);
}
