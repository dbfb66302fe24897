#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/gradop.h"

struct loss_case {
    struct lng_loss_args args;
    struct lng_view gradient;
};

/* gradient_scale * sum of the row losses */
static double value(struct gradop *op)
{
    const struct loss_case *own = op->args;
    double sums[3] = {0};
    struct lng_loss_args args = own->args;
    RIG_OK(lng_device_write(op->rig.device, args.sums, sums, sizeof sums));
    RIG_OK(lng_loss(op->rig.device, &args));
    RIG_OK(lng_device_read(op->rig.device, sums, args.sums, sizeof sums));
    return args.gradient_scale * sums[0];
}

static void backward(struct gradop *op)
{
    const struct loss_case *own = op->args;
    struct lng_loss_args args = own->args;
    RIG_OK(lng_copy(op->rig.device, &(struct lng_copy_args){.x = args.logits, .y = own->gradient}));
    args.logits = own->gradient;
    args.d_logits = true;
    RIG_OK(lng_loss(op->rig.device, &args));
}

static void check(uint64_t seed, int64_t rows, int64_t words, double smoothing,
                  enum lng_smoothing kind)
{
    struct gradop op;
    struct loss_case own = {0};
    int32_t targets[128];
    gradop_open(&op, seed);
    snprintf(op.what, sizeof op.what, "loss %lld x %lld, smoothing %g kind %d", (long long)rows,
             (long long)words, smoothing, (int)kind);
    for (int64_t n = 0; n < rows; n++)
        targets[n] = (int32_t)rig_integer(&op.rig, 0, words - 1);
    own.args.logits = gradop_input(&op, "logits", rows, words, 4, false, &own.gradient);
    own.args.targets = rig_array(&op.rig, targets, (size_t)rows, sizeof *targets);
    own.args.sums = rig_array(&op.rig, NULL, 3, sizeof(double));
    own.args.smoothing = smoothing;
    own.args.kind = kind;
    own.args.gradient_scale = 0.37;
    op.args = &own;
    op.value = value;
    op.backward = backward;
    gradop_check(&op);
    rig_close(&op.rig);
}

Test(grad_loss, both_smoothings)
{
    for (int kind = LNG_SMOOTHING_UNIFORM; kind <= LNG_SMOOTHING_OTHERS; kind++) {
        check(1, 6, 11, 0, (enum lng_smoothing)kind);
        check(2, 6, 11, 0.1, (enum lng_smoothing)kind);
        check(3, 4, 5, 0.9, (enum lng_smoothing)kind);
    }
}

Test(grad_loss, awkward_shapes)
{
    for (int kind = LNG_SMOOTHING_UNIFORM; kind <= LNG_SMOOTHING_OTHERS; kind++) {
        check(4, 0, 3, 0.1, (enum lng_smoothing)kind);
        check(5, 1, 97, 0.1, (enum lng_smoothing)kind);
        check(6, 97, 3, 0.1, (enum lng_smoothing)kind);
        check(7, 3, 1, 0.1, (enum lng_smoothing)kind);
        check(8, 3, 2, 0.1, (enum lng_smoothing)kind);
    }
}

struct pair_case {
    struct lng_pair_loss_args args;
    struct lng_view gradient;
};

/* The operation always writes its gradient over the logits: it gets a copy of them. */
static double pair_value(struct gradop *op)
{
    const struct pair_case *own = op->args;
    double sums[3] = {0};
    struct lng_pair_loss_args args = own->args;
    RIG_OK(lng_copy(op->rig.device, &(struct lng_copy_args){.x = args.logits, .y = own->gradient}));
    args.logits = own->gradient;
    RIG_OK(lng_device_write(op->rig.device, args.sums, sums, sizeof sums));
    RIG_OK(lng_pair_loss(op->rig.device, &args));
    RIG_OK(lng_device_read(op->rig.device, sums, args.sums, sizeof sums));
    return args.gradient_scale * sums[0];
}

static void pair_backward(struct gradop *op)
{
    (void)pair_value(op);
}

static void check_pairs(uint64_t seed, int64_t pairs, int64_t words, double divergence,
                        double smoothing, enum lng_smoothing kind)
{
    struct gradop op;
    struct pair_case own = {0};
    int32_t targets[128];
    gradop_open(&op, seed);
    snprintf(op.what, sizeof op.what, "pair loss %lld x %lld, divergence %g smoothing %g kind %d",
             (long long)pairs, (long long)words, divergence, smoothing, (int)kind);
    for (int64_t n = 0; n < pairs; n++)
        targets[n] = (int32_t)rig_integer(&op.rig, 0, words - 1);
    own.args.logits = gradop_input(&op, "logits", 2 * pairs, words, 3, false, &own.gradient);
    own.args.targets = rig_array(&op.rig, targets, (size_t)pairs, sizeof *targets);
    own.args.sums = rig_array(&op.rig, NULL, 3, sizeof(double));
    own.args.smoothing = smoothing;
    own.args.kind = kind;
    own.args.divergence = divergence;
    own.args.gradient_scale = 0.37;
    op.args = &own;
    op.value = pair_value;
    op.backward = pair_backward;
    gradop_check(&op);
    rig_close(&op.rig);
}

Test(grad_loss, pairs)
{
    for (int kind = LNG_SMOOTHING_UNIFORM; kind <= LNG_SMOOTHING_OTHERS; kind++) {
        check_pairs(9, 4, 11, 5, 0, (enum lng_smoothing)kind);
        check_pairs(10, 4, 11, 0.7, 0.1, (enum lng_smoothing)kind);
        check_pairs(11, 4, 11, 0, 0.1, (enum lng_smoothing)kind);
        check_pairs(12, 0, 3, 5, 0.1, (enum lng_smoothing)kind);
        check_pairs(13, 1, 97, 5, 0.1, (enum lng_smoothing)kind);
        check_pairs(14, 49, 3, 5, 0.1, (enum lng_smoothing)kind);
        check_pairs(15, 3, 1, 5, 0.1, (enum lng_smoothing)kind);
    }
}
