#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

/* Row 0: probabilities 1/2, 1/4, 1/8, 1/8 of target 1. Row 1: 1/10, 1/10, 7/10, 1/10 of target 2. */
static const double p[2][4] = {{0.5, 0.25, 0.125, 0.125}, {0.1, 0.1, 0.7, 0.1}};
static const int32_t targets[] = {1, 2};

static void check(double smoothing, enum lng_smoothing kind, const double want[2],
                  const double weight[2][4])
{
    struct rig rig;
    rig_open(&rig, "ref", 1);
    double logits[8], gradient[8], start[3] = {100, 200, 300};
    for (int i = 0; i < 8; i++) {
        logits[i] = log(p[i / 4][i % 4]) + 3; /* the shift must not matter */
        gradient[i] = 0.5 * (p[i / 4][i % 4] - weight[i / 4][i % 4]);
    }
    struct lng_loss_args args = {
        .logits = rig_values(&rig, LNG_DTYPE_F32, 2, 4, logits),
        .targets = rig_array(&rig, targets, 2, 4),
        .sums = rig_array(&rig, start, 3, sizeof(double)),
        .token_logprob = rig_array(&rig, NULL, 2, sizeof(float)),
        .smoothing = smoothing,
        .kind = kind,
        .gradient_scale = 0.5,
    };
    RIG_OK(lng_loss(rig.device, &args));
    const double *sums = rig_get_array(&rig, args.sums, 3, sizeof(double));
    const double all[] = {100 + want[0] + want[1], 200 - log(0.25) - log(0.7), 300 + 1};
    rig_expect_close("sums", sums, all, 3, 1e-6, 0);
    const float *logprob = rig_get_array(&rig, args.token_logprob, 2, sizeof(float));
    cr_assert(fabs(logprob[0] - log(0.25)) < 1e-6 && fabs(logprob[1] - log(0.7)) < 1e-6);
    rig_expect_close("logits stay", rig_get(&rig, args.logits), logits, 8, 1e-6, 0);
    args.d_logits = true;
    args.sums = NULL;
    args.token_logprob = NULL;
    RIG_OK(lng_loss(rig.device, &args));
    rig_expect_close("d_logits", rig_get(&rig, args.logits), gradient, 8, 1e-5, 1e-7);
    rig_close(&rig);
}

Test(ops_loss, no_smoothing)
{
    const double weight[2][4] = {{0, 1, 0, 0}, {0, 0, 1, 0}};
    check(0, LNG_SMOOTHING_UNIFORM, (double[]){-log(0.25), -log(0.7)}, weight);
    check(0, LNG_SMOOTHING_OTHERS, (double[]){-log(0.25), -log(0.7)}, weight);
}

Test(ops_loss, uniform_smoothing)
{
    const double weight[2][4] = {{0.05, 0.85, 0.05, 0.05}, {0.05, 0.05, 0.85, 0.05}};
    double row0 = -0.8 * log(0.25) - 0.2 / 4 * (log(0.5) + log(0.25) + 2 * log(0.125));
    double row1 = -0.8 * log(0.7) - 0.2 / 4 * (3 * log(0.1) + log(0.7));
    check(0.2, LNG_SMOOTHING_UNIFORM, (double[]){row0, row1}, weight);
}

Test(ops_loss, smoothing_over_others)
{
    const double weight[2][4] = {{0.1, 0.7, 0.1, 0.1}, {0.1, 0.1, 0.7, 0.1}};
    double row0 = -0.7 * log(0.25) - 0.3 / 3 * (log(0.5) + 2 * log(0.125));
    double row1 = -0.7 * log(0.7) - 0.3 / 3 * (3 * log(0.1));
    check(0.3, LNG_SMOOTHING_OTHERS, (double[]){row0, row1}, weight);
}

Test(ops_loss, large_logits_do_not_overflow)
{
    struct rig rig;
    rig_open(&rig, "ref", 2);
    const double logits[] = {30000, 30001, -30000};
    int32_t target = 0;
    double zeros[3] = {0};
    struct lng_loss_args args = {
        .logits = rig_values(&rig, LNG_DTYPE_F32, 1, 3, logits),
        .targets = rig_array(&rig, &target, 1, 4),
        .sums = rig_array(&rig, zeros, 3, sizeof(double)),
    };
    RIG_OK(lng_loss(rig.device, &args));
    const double *sums = rig_get_array(&rig, args.sums, 3, sizeof(double));
    const double want[] = {1 + log(1 + exp(-1)), 1 + log(1 + exp(-1)), 0};
    rig_expect_close("sums", sums, want, 3, 1e-9, 0);
    rig_close(&rig);
}

Test(ops_loss, refuses_targets_outside_the_vocabulary)
{
    struct rig rig;
    rig_open(&rig, "ref", 3);
    int32_t target = 3;
    struct lng_loss_args args = {
        .logits = rig_zeros(&rig, LNG_DTYPE_F32, 1, 3),
        .targets = rig_array(&rig, &target, 1, 4),
    };
    cr_assert_eq(lng_loss(rig.device, &args), LNG_ERR_RANGE);
    cr_assert_str_eq(lng_error_message(), "loss: targets[0]: expected 0 to 2, found 3");
    rig_close(&rig);
}

/* Of equal logits the first is the model's choice; a NaN spoils its row and no other. */
Test(ops_loss, ties_and_nan)
{
    struct rig rig;
    rig_open(&rig, "ref", 4);
    const double logits[] = {1, 1, 0, 1, 1, 0, NAN, 0, 0};
    const int32_t wanted[] = {0, 1, 2};
    double zeros[3] = {0};
    struct lng_loss_args args = {
        .logits = rig_values(&rig, LNG_DTYPE_F32, 3, 3, logits),
        .targets = rig_array(&rig, wanted, 3, 4),
        .sums = rig_array(&rig, zeros, 3, sizeof(double)),
        .token_logprob = rig_array(&rig, NULL, 3, sizeof(float)),
    };
    RIG_OK(lng_loss(rig.device, &args));
    const double *sums = rig_get_array(&rig, args.sums, 3, sizeof(double));
    const float *logprob = rig_get_array(&rig, args.token_logprob, 3, sizeof(float));
    double want = 1 - log(2 * exp(1) + 1);
    cr_assert(sums[2] == 1 && isnan(sums[0]));
    cr_assert(fabs(logprob[0] - want) < 1e-6 && fabs(logprob[1] - want) < 1e-6);
    cr_assert(isnan(logprob[2]));
    rig_close(&rig);
}
