#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

static struct lng_view flat(struct rig *rig, int count, const double *values)
{
    return rig_values(rig, LNG_DTYPE_F32, 1, count, values);
}

/* g = 0.5 * {2, -4} = {1, -2}
 * m = 0.9 {0.1, 0} + 0.1 g = {0.19, -0.2}       bias1 0.19 -> {1, -1.0526}
 * v = 0.99 {0, 0.96} + 0.01 g^2 = {0.01, 0.9904} bias2 0.04 -> root {0.5, 4.975942} */
Test(ops_optimizer, adam_by_hand)
{
    struct rig rig;
    rig_open(&rig, "ref", 1);
    struct lng_view param = flat(&rig, 2, (double[]){1, -2});
    struct lng_view m = flat(&rig, 2, (double[]){0.1, 0}), v = flat(&rig, 2, (double[]){0, 0.96});
    struct lng_view grad = flat(&rig, 2, (double[]){2, -4}), ema = flat(&rig, 2, (double[]){0, 8});
    struct lng_adam_args args = {
        .param = param.data,
        .m = m.data,
        .v = v.data,
        .grad = grad.data,
        .ema = ema.data,
        .n = 2,
        .lr = 0.1,
        .beta1 = 0.9,
        .beta2 = 0.99,
        .epsilon = 0.125,
        .weight_decay = 0.01,
        .grad_scale = 0.5,
        .bias1 = 0.19,
        .bias2 = 0.04,
        .ema_rate = 0.25,
    };
    RIG_OK(lng_adam(rig.device, &args));
    double first = 1 - 0.1 * (1 / 0.625 + 0.01);
    double second = -2 - 0.1 * (-0.2 / 0.19 / (sqrt(0.9904 / 0.04) + 0.125) - 0.02);
    rig_expect_close("m", rig_get(&rig, m), (double[]){0.19, -0.2}, 2, 1e-6, 0);
    rig_expect_close("v", rig_get(&rig, v), (double[]){0.01, 0.9904}, 2, 1e-6, 0);
    rig_expect_close("param", rig_get(&rig, param), (double[]){first, second}, 2, 1e-6, 0);
    rig_expect_close("ema", rig_get(&rig, ema), (double[]){0.25 * first, 8 + 0.25 * (second - 8)},
                     2, 1e-6, 0);
    rig_expect_close("grad", rig_get(&rig, grad), (double[]){2, -4}, 2, 0, 0);
    rig_close(&rig);
}

/* First step of plain Adam: every parameter moves by lr against the sign of its gradient. */
Test(ops_optimizer, first_step_has_the_length_of_the_rate)
{
    struct rig rig;
    rig_open(&rig, "ref", 2);
    struct lng_view param = flat(&rig, 3, (double[]){1, 1, 1});
    struct lng_view grad = flat(&rig, 3, (double[]){1e-3, -5, 300});
    struct lng_adam_args args = {
        .param = param.data,
        .m = rig_zeros(&rig, LNG_DTYPE_F32, 1, 3).data,
        .v = rig_zeros(&rig, LNG_DTYPE_F32, 1, 3).data,
        .grad = grad.data,
        .n = 3,
        .lr = 0.25,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .epsilon = 1e-12,
        .grad_scale = 1,
        .bias1 = 1 - 0.9,
        .bias2 = 1 - 0.999,
    };
    RIG_OK(lng_adam(rig.device, &args));
    rig_expect_close("param", rig_get(&rig, param), (double[]){0.75, 1.25, 0.75}, 3, 1e-5, 0);
    rig_close(&rig);
}

Test(ops_optimizer, gradient_stats_leave_out_what_is_not_finite)
{
    struct rig rig;
    rig_open(&rig, "ref", 3);
    struct lng_view grad = flat(&rig, 5, (double[]){3, NAN, -4, INFINITY, -INFINITY});
    struct lng_gradient_stats_args args = {
        .grad = grad.data, .n = 5, .out = rig_array(&rig, NULL, 2, sizeof(double))};
    RIG_OK(lng_gradient_stats(rig.device, &args));
    const double *out = rig_get_array(&rig, args.out, 2, sizeof(double));
    cr_assert(out[0] == 25 && out[1] == 3);
    args.n = 0;
    RIG_OK(lng_gradient_stats(rig.device, &args));
    out = rig_get_array(&rig, args.out, 2, sizeof(double));
    cr_assert(out[0] == 0 && out[1] == 0);
    rig_close(&rig);
}

/* Squares of 3 and -4: norm 5 of sums over 2 tokens, 2.5 of their mean; clipped to 1.25 by a half. */
Test(ops_optimizer, gradient_stats_decide_the_step)
{
    static const struct {
        double second, tokens, clip_norm, scale;
    } cases[] = {{-4, 2, 0, 0.5},      {-4, 2, 1.25, 0.25}, {-4, 2, 2.5, 0.5},   {NAN, 2, 1.25, 0},
                 {-INFINITY, 2, 0, 0}, {-4, 0, 0, 0},       {-4, 1e-300, 1, 0.2}};
    const char *devices[] = {"ref", "ref64", "cpu"};
    for (size_t d = 0; d < 3; d++) {
        struct rig rig;
        rig_open(&rig, devices[d], 5);
        for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
            const enum lng_dtype real = lng_device_real(rig.device);
            struct lng_view grad = rig_values(&rig, real, 1, 2, (double[]){3, cases[c].second});
            struct lng_gradient_stats_args args = {
                .grad = grad.data,
                .n = 2,
                .out = rig_array(&rig, NULL, 2, sizeof(double)),
                .scale = rig_array(&rig, (double[]){-1}, 1, sizeof(double)),
                .tokens = cases[c].tokens,
                .clip_norm = cases[c].clip_norm};
            RIG_OK(lng_gradient_stats(rig.device, &args));
            const double *scale = rig_get_array(&rig, args.scale, 1, sizeof(double));
            cr_assert(*scale == cases[c].scale, "%s, case %zu: %g", devices[d], c, *scale);
        }
        rig_close(&rig);
    }
}

/* With the device's scale all is as with the host's; where it is 0 nothing is touched, not even the moments. */
Test(ops_optimizer, adam_takes_the_decided_scale)
{
    enum { N = 5, ARRAYS = 4 };
    const char *devices[] = {"ref", "ref64", "cpu"};
    const double start[ARRAYS][N] = {
        {1, -2, 3, 0.5, 7}, {0.1, 0, 0.25, 1, 2}, {0, 0.96, 4, 9, 1}, {0, 8, 1, 2, 3}};
    for (size_t d = 0; d < 3; d++) {
        struct rig rig;
        rig_open(&rig, devices[d], 6);
        const enum lng_dtype real = lng_device_real(rig.device);
        struct lng_view grad = rig_values(&rig, real, 1, N, (double[]){2, -4, NAN, 1, 8});
        struct lng_view arrays[3][ARRAYS];
        for (int way = 0; way < 3; way++) { /* the host's, the device's, none */
            for (int i = 0; i < ARRAYS; i++)
                arrays[way][i] = rig_values(&rig, real, 1, N, start[i]);
            const double decided[] = {0, 0.3, 0};
            struct lng_adam_args args = {
                .param = arrays[way][0].data,
                .m = arrays[way][1].data,
                .v = arrays[way][2].data,
                .ema = arrays[way][3].data,
                .grad = grad.data,
                .n = N,
                .lr = 0.1,
                .beta1 = 0.9,
                .beta2 = 0.99,
                .epsilon = 0.125,
                .grad_scale = way == 0 ? 0.3 : NAN,
                .bias1 = 0.19,
                .bias2 = 0.04,
                .ema_rate = 0.25,
                .scale = way == 0 ? NULL : rig_array(&rig, &decided[way], 1, sizeof(double))};
            RIG_OK(lng_adam(rig.device, &args));
        }
        for (int i = 0; i < ARRAYS; i++)
            for (int k = 0; k < N; k++) {
                const double host = rig_get(&rig, arrays[0][i])[k],
                             device = rig_get(&rig, arrays[1][i])[k];
                cr_assert((isnan(host) && isnan(device)) || host == device, "%s, array %d, %d",
                          devices[d], i, k);
                cr_assert(k == 2 || host != (double)(float)start[i][k]);
                cr_assert(fabs(rig_get(&rig, arrays[2][i])[k] - start[i][k]) < 1e-6);
            }
        rig_close(&rig);
    }
}

Test(ops_optimizer, average)
{
    struct rig rig;
    rig_open(&rig, "ref", 4);
    struct lng_view y = flat(&rig, 2, (double[]){4, -8}), x = flat(&rig, 2, (double[]){8, 8});
    RIG_OK(lng_average(rig.device, &(struct lng_average_args){y.data, x.data, 2, 0.25}));
    rig_expect_close("y", rig_get(&rig, y), (double[]){5, -4}, 2, 0, 0);
    RIG_OK(lng_average(rig.device, &(struct lng_average_args){y.data, x.data, 2, 1}));
    rig_expect_close("y", rig_get(&rig, y), (double[]){8, 8}, 2, 0, 0);
    rig_close(&rig);
}
