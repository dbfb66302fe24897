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

/* Pairs of rows against the definition, in double: both orders of the divergence, both gradients by hand. */
static void check_pairs(double smoothing, enum lng_smoothing kind, double divergence)
{
    enum { PAIRS = 2, WORDS = 4 };
    static const double q[PAIRS][WORDS] = {{0.25, 0.25, 0.25, 0.25}, {0.2, 0.1, 0.4, 0.3}};
    struct rig rig;
    rig_open(&rig, "ref", 5);
    double logits[2 * PAIRS * WORDS], gradient[2 * PAIRS * WORDS], want[3] = {100, 200, 300};
    for (int n = 0; n < PAIRS; n++) {
        const double *both[2] = {p[n], q[n]};
        double kl[2] = {0, 0};
        for (int i = 0; i < 2; i++) {
            for (int j = 0; j < WORDS; j++) {
                double spread = kind == LNG_SMOOTHING_UNIFORM ? smoothing / WORDS
                                : j == targets[n]             ? 0
                                                              : smoothing / (WORDS - 1);
                double w = spread + (j == targets[n] ? 1 - smoothing : 0);
                int at = (i * PAIRS + n) * WORDS + j;
                logits[at] = log(both[i][j]) + 3 - 5 * i;
                gradient[at] = both[i][j] - w;
                want[0] -= w * log(both[i][j]);
                kl[i] += both[i][j] * log(both[i][j] / both[1 - i][j]);
            }
            want[1] -= log(both[i][targets[n]]);
        }
        want[0] += divergence / 2 * (kl[0] + kl[1]);
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < WORDS; j++) {
                double own = both[i][j], other = both[1 - i][j];
                gradient[(i * PAIRS + n) * WORDS + j] +=
                    divergence / 2 * (own * (log(own / other) - kl[i]) + own - other);
            }
    }
    want[2] += 2; /* of pair 1 both, of pair 0 none: column 0 is the first largest of each */
    for (int k = 0; k < 2 * PAIRS * WORDS; k++)
        gradient[k] *= 0.5;
    double start[3] = {100, 200, 300};
    struct lng_pair_loss_args args = {
        .logits = rig_values(&rig, LNG_DTYPE_F32, 2 * PAIRS, WORDS, logits),
        .targets = rig_array(&rig, targets, PAIRS, 4),
        .sums = rig_array(&rig, start, 3, sizeof(double)),
        .smoothing = smoothing,
        .kind = kind,
        .divergence = divergence,
        .gradient_scale = 0.5,
    };
    RIG_OK(lng_pair_loss(rig.device, &args));
    rig_expect_close("sums", rig_get_array(&rig, args.sums, 3, sizeof(double)), want, 3, 1e-7, 0);
    rig_expect_close("d_logits", rig_get(&rig, args.logits), gradient, 2 * PAIRS * WORDS, 1e-5,
                     1e-7);
    rig_close(&rig);
}

Test(ops_loss, pairs)
{
    for (int kind = LNG_SMOOTHING_UNIFORM; kind <= LNG_SMOOTHING_OTHERS; kind++)
        for (int i = 0; i < 3; i++) {
            check_pairs(0, (enum lng_smoothing)kind, i);
            check_pairs(0.2, (enum lng_smoothing)kind, i);
        }
}

/* Two equal rows do not diverge: sums and gradients are those of lng_loss on both. */
Test(ops_loss, pairs_of_equal_rows)
{
    struct rig rig;
    rig_open(&rig, "ref", 6);
    double logits[8], zeros[3] = {0};
    for (int i = 0; i < 8; i++)
        logits[i] = log(p[0][i % 4]);
    const int32_t twice[] = {1, 1};
    struct lng_view alone = rig_values(&rig, LNG_DTYPE_F32, 2, 4, logits);
    double *alone_sums = rig_array(&rig, zeros, 3, sizeof(double));
    RIG_OK(lng_loss(rig.device, &(struct lng_loss_args){.logits = alone,
                                                        .targets = rig_array(&rig, twice, 2, 4),
                                                        .sums = alone_sums,
                                                        .smoothing = 0.1,
                                                        .d_logits = true,
                                                        .gradient_scale = 1}));
    struct lng_pair_loss_args args = {
        .logits = rig_values(&rig, LNG_DTYPE_F32, 2, 4, logits),
        .targets = rig_array(&rig, twice, 1, 4),
        .sums = rig_array(&rig, zeros, 3, sizeof(double)),
        .smoothing = 0.1,
        .divergence = 7,
        .gradient_scale = 1,
    };
    RIG_OK(lng_pair_loss(rig.device, &args));
    rig_expect_close("sums", rig_get_array(&rig, args.sums, 3, sizeof(double)),
                     rig_get_array(&rig, alone_sums, 3, sizeof(double)), 3, 1e-12, 0);
    rig_expect_close("d_logits", rig_get(&rig, args.logits), rig_get(&rig, alone), 8, 1e-6, 1e-7);
    rig_close(&rig);
}

Test(ops_loss, pairs_refuse_targets_outside_the_vocabulary)
{
    struct rig rig;
    rig_open(&rig, "cpu", 7);
    int32_t target = -1;
    struct lng_pair_loss_args args = {
        .logits = rig_zeros(&rig, LNG_DTYPE_F32, 2, 3),
        .targets = rig_array(&rig, &target, 1, 4),
    };
    cr_assert_eq(lng_pair_loss(rig.device, &args), LNG_ERR_RANGE);
    cr_assert_str_eq(lng_error_message(), "pair_loss: targets[0]: expected 0 to 2, found -1");
    rig_close(&rig);
}
