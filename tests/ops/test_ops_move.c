#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

Test(ops_move, scale_fill_add)
{
    struct rig rig;
    rig_open(&rig, "ref", 1);
    rig.gap = 3;
    struct lng_view y = rig_values(&rig, LNG_DTYPE_F32, 2, 2, (double[]){1, 2, 3, 4});
    struct lng_view x = rig_values(&rig, LNG_DTYPE_F32, 2, 2, (double[]){10, 20, 30, 40});
    RIG_OK(lng_scale(rig.device, &(struct lng_scale_args){y, -2}));
    rig_expect_close("scaled", rig_get(&rig, y), (double[]){-2, -4, -6, -8}, 4, 0, 0);
    RIG_OK(lng_add(rig.device, &(struct lng_add_args){.x = x, .y = y}));
    rig_expect_close("added", rig_get(&rig, y), (double[]){8, 16, 24, 32}, 4, 0, 0);
    RIG_OK(lng_fill(rig.device, &(struct lng_fill_args){lng_view_rows(y, 1, 1), 7}));
    rig_expect_close("filled", rig_get(&rig, y), (double[]){8, 16, 7, 7}, 4, 0, 0);
    rig_close(&rig);
}

/* bf16 has 8 significant bits: ties go to the even neighbour, NaN and infinities stay. */
Test(ops_move, copy_rounds_to_nearest_even)
{
    struct rig rig;
    rig_open(&rig, "ref", 2);
    const double values[] = {1 + 1.0 / 256, 1 + 3.0 / 256, 1 + 1.01 / 256, -3.14159274,
                             INFINITY,      NAN,           3.4e38,         0};
    const double rounded[] = {1,        1 + 4.0 / 256, 1 + 2.0 / 256, -3.140625,
                              INFINITY, NAN,           INFINITY,      0};
    struct lng_view x = rig_values(&rig, LNG_DTYPE_F32, 2, 4, values);
    struct lng_view narrow = rig_output(&rig, LNG_DTYPE_BF16, 2, 4);
    struct lng_view wide = rig_output(&rig, LNG_DTYPE_F32, 2, 4);
    RIG_OK(lng_copy(rig.device, &(struct lng_copy_args){.x = x, .y = narrow}));
    RIG_OK(lng_copy(rig.device, &(struct lng_copy_args){.x = narrow, .y = wide}));
    rig_expect_close("narrow", rig_get(&rig, narrow), rounded, 8, 0, 0);
    rig_expect_close("wide", rig_get(&rig, wide), rounded, 8, 0, 0);
    rig_close(&rig);
    rig_open(&rig, "ref64", 2);
    struct lng_view real = rig_values(&rig, LNG_DTYPE_F64, 1, 2, (double[]){1.0 / 3, -2});
    struct lng_view single = rig_output(&rig, LNG_DTYPE_F32, 1, 2);
    RIG_OK(lng_copy(rig.device, &(struct lng_copy_args){.x = real, .y = single}));
    rig_expect_close("f64 to f32", rig_get(&rig, single), (double[]){1.0f / 3.0f, -2}, 2, 0, 0);
    rig_close(&rig);
}

Test(ops_move, gather_rows)
{
    struct rig rig;
    rig_open(&rig, "ref", 3);
    const int32_t rows[] = {2, -1, 0, 2};
    struct lng_gather_rows_args args = {
        .x = rig_values(&rig, LNG_DTYPE_F32, 3, 2, (double[]){1, 2, 3, 4, 5, 6}),
        .y = rig_output(&rig, LNG_DTYPE_F32, 4, 2),
        .rows = rig_array(&rig, rows, 4, 4),
    };
    RIG_OK(lng_gather_rows(rig.device, &args));
    rig_expect_close("y", rig_get(&rig, args.y), (double[]){5, 6, 0, 0, 1, 2, 5, 6}, 8, 0, 0);
    const int32_t beyond[] = {0, 1, 2, 3};
    args.rows = rig_array(&rig, beyond, 4, 4);
    cr_assert_eq(lng_gather_rows(rig.device, &args), LNG_ERR_RANGE);
    cr_assert_str_eq(lng_error_message(), "gather_rows: rows[3]: expected -1 to 2, found 3");
    rig_close(&rig);
}

/* Row 0 has scale 1 and shows the rounding (ties to even); row 1 is zeros; row 2 has scale 0.5. */
Test(ops_move, quantise_and_back)
{
    struct rig rig;
    rig_open(&rig, "ref", 4);
    const double x[] = {127, 0.5, 1.5, -2.5, -0.51, 0, 0, 0, 0, 0, 3, -63.5, 0.24, 0.26, 62.8};
    const double q[] = {127, 0, 2, -2, -1, 0, 0, 0, 0, 0, 6, -127, 0, 1, 126};
    struct lng_quantize_rows_args args = {
        .x = rig_values(&rig, LNG_DTYPE_F32, 3, 5, x),
        .q = rig_output(&rig, LNG_DTYPE_I8, 3, 5),
        .scales = rig_array(&rig, NULL, 3, sizeof(float)),
    };
    RIG_OK(lng_quantize_rows(rig.device, &args));
    rig_expect_close("q", rig_get(&rig, args.q), q, 15, 0, 0);
    const float *scales = rig_get_array(&rig, args.scales, 3, sizeof(float));
    cr_assert(scales[0] == 1 && scales[1] == 1 && scales[2] == 0.5f);
    struct lng_view y = rig_output(&rig, LNG_DTYPE_F32, 3, 5);
    RIG_OK(lng_dequantize_rows(rig.device, &(struct lng_dequantize_rows_args){
                                               .q = args.q, .y = y, .scales = args.scales}));
    double back[15];
    for (int i = 0; i < 15; i++)
        back[i] = q[i] * scales[i / 5];
    rig_expect_close("y", rig_get(&rig, y), back, 15, 0, 0);
    rig_close(&rig);
}

Test(ops_move, quantise_survives_what_is_not_finite)
{
    struct rig rig;
    rig_open(&rig, "ref", 5);
    const double x[] = {NAN, 254, -2, INFINITY, 1, -INFINITY};
    const double q[] = {0, 127, -1, 0, 0, 0};
    struct lng_quantize_rows_args args = {
        .x = rig_values(&rig, LNG_DTYPE_F32, 2, 3, x),
        .q = rig_output(&rig, LNG_DTYPE_I8, 2, 3),
        .scales = rig_array(&rig, NULL, 2, sizeof(float)),
    };
    RIG_OK(lng_quantize_rows(rig.device, &args));
    rig_expect_close("q", rig_get(&rig, args.q), q, 6, 0, 0);
    rig_close(&rig);
}
