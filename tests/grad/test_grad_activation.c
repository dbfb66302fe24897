#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/gradop.h"

struct activation_case {
    struct lng_activation_fwd_args forward;
    struct lng_activation_bwd_args backward;
};

static void forward(struct gradop *op)
{
    const struct activation_case *own = op->args;
    RIG_OK(lng_activation_fwd(op->rig.device, &own->forward));
}

static void backward(struct gradop *op)
{
    const struct activation_case *own = op->args;
    RIG_OK(lng_activation_bwd(op->rig.device, &own->backward));
}

static void check(uint64_t seed, enum lng_activation activation, int64_t rows, int64_t width,
                  double dropout)
{
    struct gradop op;
    struct activation_case own = {0};
    uint32_t sentence[128], position[128];
    gradop_open(&op, seed);
    snprintf(op.what, sizeof op.what, "activation %d, %lld x %lld, dropout %g", (int)activation,
             (long long)rows, (long long)width, dropout);
    for (int64_t n = 0; n < rows; n++) {
        sentence[n] = (uint32_t)(n / 3);
        position[n] = (uint32_t)(n % 3);
    }
    own.forward.x = gradop_input(&op, "x", rows, width, 3, false, &own.backward.d_x);
    own.forward.y = gradop_output(&op, rows, width, &own.backward.d_y);
    own.forward.activation = own.backward.activation = activation;
    own.forward.dropout = (struct lng_dropout){
        .probability = dropout,
        .rng = {seed, 1, 4},
        .sentence = rig_array(&op.rig, sentence, (size_t)rows, sizeof *sentence),
        .position = rig_array(&op.rig, position, (size_t)rows, sizeof *position)};
    own.backward.dropout = own.forward.dropout;
    own.backward.x = own.forward.x;
    op.args = &own;
    op.forward = forward;
    op.backward = backward;
    gradop_check(&op);
    rig_close(&op.rig);
}

Test(grad_activation, every_kind)
{
    for (int kind = LNG_ACTIVATION_NONE; kind <= LNG_ACTIVATION_SWISH; kind++) {
        check(1, (enum lng_activation)kind, 7, 9, 0);
        check(2, (enum lng_activation)kind, 7, 17, 0.3);
    }
}

Test(grad_activation, awkward_shapes)
{
    for (int kind = LNG_ACTIVATION_NONE; kind <= LNG_ACTIVATION_SWISH; kind++) {
        check(3, (enum lng_activation)kind, 0, 5, 0.3);
        check(4, (enum lng_activation)kind, 1, 97, 0.1);
        check(5, (enum lng_activation)kind, 97, 1, 0.1);
        check(6, (enum lng_activation)kind, 1, 1, 0);
    }
}
