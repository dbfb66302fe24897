#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

/* x + residual = {1, 2, 3, 6}: mean 3, variance 3.5, mean square 12.5 */
static const double x_values[] = {0, 1, 1, 2}, residual_values[] = {1, 1, 2, 4};
static const double gamma_values[] = {1, 2, 3, 4}, beta_values[] = {0.5, 0, -1, 1};
static const double sum_values[] = {1, 2, 3, 6};

static struct lng_norm_fwd_args make(struct rig *rig, enum lng_norm kind)
{
    return (struct lng_norm_fwd_args){
        .x = rig_values(rig, LNG_DTYPE_F32, 1, 4, x_values),
        .residual = rig_values(rig, LNG_DTYPE_F32, 1, 4, residual_values),
        .gamma = rig_values(rig, LNG_DTYPE_F32, 1, 4, gamma_values),
        .beta = rig_values(rig, LNG_DTYPE_F32, 1, 4, beta_values),
        .y = rig_output(rig, LNG_DTYPE_F32, 1, 4),
        .sum = rig_output(rig, LNG_DTYPE_F32, 1, 4),
        .mean = rig_array(rig, NULL, 1, sizeof(float)),
        .rstd = rig_array(rig, NULL, 1, sizeof(float)),
        .kind = kind,
        .epsilon = 0.5,
    };
}

Test(ops_norm, layer)
{
    struct rig rig;
    rig_open(&rig, "ref", 1);
    struct lng_norm_fwd_args args = make(&rig, LNG_NORM_LAYER);
    RIG_OK(lng_norm_fwd(rig.device, &args));
    const double y[] = {0.5 - 2 * 0.5, -1 * 0.5 * 2, -1, 3 * 0.5 * 4 + 1}; /* rstd = 1 / sqrt(4) */
    rig_expect_close("y", rig_get(&rig, args.y), y, 4, 1e-6, 0);
    rig_expect_close("sum", rig_get(&rig, args.sum), sum_values, 4, 0, 0);
    const float *mean = rig_get_array(&rig, args.mean, 1, sizeof(float));
    const float *rstd = rig_get_array(&rig, args.rstd, 1, sizeof(float));
    cr_assert(mean[0] == 3 && rstd[0] == 0.5f);
    rig_close(&rig);
}

/* The norm of before, times {1, 1, 1, 1} and {0, 1, 0, -1}, and behind a ReLU. */
Test(ops_norm, and_the_product_of_it)
{
    static const double weights[] = {1, 1, 1, 1, 0, 1, 0, -1}, bias[] = {-1, 2};
    static const char *const devices[] = {"ref", "ref64", "cpu"};
    for (int i = 0; i < 3; i++) {
        struct rig rig;
        struct lng_weight *weight;
        rig_open(&rig, devices[i], 1);
        const enum lng_dtype real = lng_device_real(rig.device);
        struct lng_norm_linear_fwd_args args = {.norm = make(&rig, LNG_NORM_LAYER)};
        struct lng_view *views[] = {&args.norm.x,    &args.norm.residual, &args.norm.gamma,
                                    &args.norm.beta, &args.norm.y,        &args.norm.sum};
        static const double *const values[] = {x_values,    residual_values, gamma_values,
                                               beta_values, x_values,        x_values};
        for (int v = 0; v < 6; v++)
            *views[v] = rig_values(&rig, real, 1, 4, values[v]);
        args.norm.mean = args.norm.rstd = NULL;
        RIG_OK(lng_weight_prepare(rig.device, rig_values(&rig, real, 2, 4, weights), real, 0,
                                  &weight));
        args.linear = (struct lng_linear_fwd_args){.x = args.norm.y,
                                                   .weight = weight,
                                                   .bias = rig_values(&rig, real, 1, 2, bias),
                                                   .y = rig_output(&rig, real, 1, 2),
                                                   .activation = LNG_ACTIVATION_RELU};
        RIG_OK(lng_norm_linear_fwd(rig.device, &args));
        const double norm[] = {-0.5, -1, -1, 7}, y[] = {3.5, 0}; /* -1 - 7 + 2 */
        rig_expect_close("norm", rig_get(&rig, args.norm.y), norm, 4, 1e-6, 0);
        rig_expect_close("sum", rig_get(&rig, args.norm.sum), sum_values, 4, 0, 0);
        rig_expect_close("y", rig_get(&rig, args.linear.y), y, 2, 1e-6, 0);
        lng_weight_release(rig.device, weight);
        rig_close(&rig);
    }
}

Test(ops_norm, rms)
{
    struct rig rig;
    rig_open(&rig, "ref", 2);
    struct lng_norm_fwd_args args = make(&rig, LNG_NORM_RMS);
    args.beta.data = NULL;
    RIG_OK(lng_norm_fwd(rig.device, &args));
    double rstd = 1 / sqrt(13), y[4];
    for (int d = 0; d < 4; d++)
        y[d] = sum_values[d] * rstd * gamma_values[d];
    rig_expect_close("y", rig_get(&rig, args.y), y, 4, 1e-6, 0);
    const float *saved = rig_get_array(&rig, args.rstd, 1, sizeof(float));
    cr_assert(fabs(saved[0] - rstd) < 1e-7);
    rig_close(&rig);
}

Test(ops_norm, none_is_the_residual_sum)
{
    struct rig rig;
    rig_open(&rig, "ref", 3);
    struct lng_norm_fwd_args args = make(&rig, LNG_NORM_NONE);
    RIG_OK(lng_norm_fwd(rig.device, &args));
    rig_expect_close("sum", rig_get(&rig, args.sum), sum_values, 4, 0, 0);
    rig_expect_close("y", rig_get(&rig, args.y), sum_values, 4, 0, 0);
    rig_close(&rig);
}

/* x = y = sum is what the residual stream of a post-norm layer does. */
Test(ops_norm, works_in_place)
{
    struct rig rig;
    rig_open(&rig, "ref", 4);
    struct lng_norm_fwd_args args = make(&rig, LNG_NORM_LAYER);
    RIG_OK(lng_norm_fwd(rig.device, &args));
    const double *apart = rig_get(&rig, args.y);
    args.y = args.x;
    RIG_OK(lng_norm_fwd(rig.device, &args));
    rig_expect_close("y in x", rig_get(&rig, args.x), apart, 4, 0, 0);
    rig_write(&rig, args.x, x_values);
    args.y = args.residual;
    args.sum = args.x;
    RIG_OK(lng_norm_fwd(rig.device, &args));
    rig_expect_close("y in residual", rig_get(&rig, args.residual), apart, 4, 0, 0);
    rig_expect_close("sum in x", rig_get(&rig, args.x), sum_values, 4, 0, 0);
    rig_close(&rig);
}

Test(ops_norm, dropout_applies_to_x_only)
{
    struct rig rig;
    rig_open(&rig, "ref", 5);
    enum { WIDTH = 64 };
    double ones[WIDTH], hundreds[WIDTH];
    uint32_t sentence = 12, position = 3;
    struct lng_rng_site site = {99, 4, 2};
    for (int d = 0; d < WIDTH; d++) {
        ones[d] = 1;
        hundreds[d] = 100;
    }
    struct lng_norm_fwd_args args = {
        .x = rig_values(&rig, LNG_DTYPE_F32, 1, WIDTH, ones),
        .residual = rig_values(&rig, LNG_DTYPE_F32, 1, WIDTH, hundreds),
        .sum = rig_output(&rig, LNG_DTYPE_F32, 1, WIDTH),
        .kind = LNG_NORM_NONE,
        .dropout = {0.5, site, rig_array(&rig, &sentence, 1, 4), rig_array(&rig, &position, 1, 4)},
    };
    RIG_OK(lng_norm_fwd(rig.device, &args));
    const double *sum = rig_get(&rig, args.sum);
    int dropped = 0;
    for (uint32_t d = 0; d < WIDTH; d++) {
        struct lng_philox block = lng_rng_block(site, sentence, position, d / 8, 0);
        bool kept = lng_philox_half(block, d) >= 32768;
        dropped += !kept;
        cr_assert(sum[d] == (kept ? 102 : 100), "unit %u: %g", d, sum[d]);
    }
    cr_assert(dropped > 16 && dropped < 48);
    rig_close(&rig);
}
