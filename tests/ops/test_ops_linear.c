#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

static const double x_values[] = {1, 2, 3, -1, 0, 2};             /* 2 x 3 */
static const double w_values[] = {1, 0, 2, -3, 1, 1, 0.5, 4, -1}; /* 3 outputs x 3 */
static const double bias_values[] = {10, 1, -6};

Test(ops_linear, product_bias_relu_accumulate)
{
    struct rig rig;
    rig_open(&rig, "ref", 1);
    rig.gap = 2;
    struct lng_weight *weight;
    struct lng_view master = rig_values(&rig, LNG_DTYPE_F32, 3, 3, w_values);
    RIG_OK(lng_weight_prepare(rig.device, master, LNG_DTYPE_F32, 0, &weight));
    cr_assert_eq(lng_weight_bytes(weight), 0);
    struct lng_linear_fwd_args args = {
        .x = rig_values(&rig, LNG_DTYPE_F32, 2, 3, x_values),
        .weight = weight,
        .y = rig_output(&rig, LNG_DTYPE_F32, 2, 3),
    };
    RIG_OK(lng_linear_fwd(rig.device, &args));
    const double plain[] = {7, 2, 5.5, 3, 5, -2.5};
    rig_expect_close("y", rig_get(&rig, args.y), plain, 6, 0, 0);
    args.accumulate = true;
    args.bias = rig_values(&rig, LNG_DTYPE_F32, 1, 3, bias_values);
    RIG_OK(lng_linear_fwd(rig.device, &args));
    const double twice[] = {24, 5, 5, 16, 11, -11};
    rig_expect_close("accumulated", rig_get(&rig, args.y), twice, 6, 0, 0);
    args.accumulate = false;
    args.activation = LNG_ACTIVATION_RELU;
    RIG_OK(lng_linear_fwd(rig.device, &args));
    const double relu[] = {17, 3, 0, 13, 6, 0};
    rig_expect_close("relu", rig_get(&rig, args.y), relu, 6, 0, 0);
    lng_weight_release(rig.device, weight);
    rig_close(&rig);
}

Test(ops_linear, gradients_by_hand)
{
    struct rig rig;
    rig_open(&rig, "ref", 2);
    struct lng_weight *weight;
    struct lng_view master = rig_values(&rig, LNG_DTYPE_F32, 3, 3, w_values);
    RIG_OK(lng_weight_prepare(rig.device, master, LNG_DTYPE_F32, LNG_WEIGHT_BACKWARD, &weight));
    const double y[] = {17, 3, 0, 13, 0, 1}, d_y[] = {1, 2, 9, 1, 9, 2}, ones[9] = {1, 1, 1};
    struct lng_linear_bwd_args args = {
        .x = rig_values(&rig, LNG_DTYPE_F32, 2, 3, x_values),
        .y = rig_values(&rig, LNG_DTYPE_F32, 2, 3, y),
        .weight = weight,
        .d_y = rig_values(&rig, LNG_DTYPE_F32, 2, 3, d_y),
        .d_x = rig_output(&rig, LNG_DTYPE_F32, 2, 3),
        .d_weight = rig_values(&rig, LNG_DTYPE_F32, 3, 3, ones),
        .d_bias = rig_values(&rig, LNG_DTYPE_F32, 1, 3, ones),
        .activation = LNG_ACTIVATION_RELU,
    };
    RIG_OK(lng_linear_bwd(rig.device, &args));
    /* d_pre = {1, 2, 0; 1, 0, 2} */
    const double d_pre[] = {1, 2, 0, 1, 0, 2}, d_x[] = {-5, 2, 4, 2, 8, 0};
    const double d_weight[] = {1, 3, 6, 2, 4, 6, -2, 0, 4}, d_bias[] = {3, 3, 3};
    rig_expect_close("d_y", rig_get(&rig, args.d_y), d_pre, 6, 0, 0);
    rig_expect_close("d_x", rig_get(&rig, args.d_x), d_x, 6, 0, 0);
    rig_expect_close("d_weight", rig_get(&rig, args.d_weight), d_weight, 9, 0, 0);
    rig_expect_close("d_bias", rig_get(&rig, args.d_bias), d_bias, 3, 0, 0);
    args.activation = LNG_ACTIVATION_NONE;
    args.accumulate_d_x = true;
    args.d_weight.data = args.d_bias.data = NULL;
    RIG_OK(lng_linear_bwd(rig.device, &args));
    const double doubled[] = {-10, 4, 8, 4, 16, 0};
    rig_expect_close("d_x twice", rig_get(&rig, args.d_x), doubled, 6, 0, 0);
    lng_weight_release(rig.device, weight);
    rig_close(&rig);
}

static double product(struct rig *rig, double x0, double x1, double w0, double w1,
                      enum lng_dtype compute)
{
    const double xs[] = {x0, x1}, ws[] = {w0, w1};
    struct lng_weight *weight;
    struct lng_view master = rig_values(rig, LNG_DTYPE_F32, 1, 2, ws);
    RIG_OK(lng_weight_prepare(rig->device, master, compute, 0, &weight));
    cr_assert_eq(lng_weight_bytes(weight), compute == LNG_DTYPE_BF16 ? 4 : 2 + 4);
    struct lng_view y = rig_output(rig, LNG_DTYPE_F32, 1, 1);
    RIG_OK(lng_linear_fwd(
        rig->device, &(struct lng_linear_fwd_args){
                         .x = rig_values(rig, LNG_DTYPE_F32, 1, 2, xs), .weight = weight, .y = y}));
    lng_weight_release(rig->device, weight);
    return rig_get(rig, y)[0];
}

/* bf16 keeps 8 bits: 1 + 1/256 is a tie and goes to the even 1, 1 + 3/256 to 1 + 4/256. */
Test(ops_linear, bf16_rounds_both_operands)
{
    struct rig rig;
    rig_open(&rig, "ref", 3);
    double y = product(&rig, 1 + 1.0 / 256, 1, 1 + 3.0 / 256, 0.5, LNG_DTYPE_BF16);
    cr_assert(fabs(y - (1 + 4.0 / 256 + 0.5)) < 1e-7, "%.9g", y);
    rig_close(&rig);
}

/* int8: x = {127, 3.6} has scale 1, so 3.6 becomes 4; w = {-2, 1} has scale 2/127, so 1 is 63.5 -> 64. */
Test(ops_linear, int8_quantises_weights_and_rows)
{
    struct rig rig;
    rig_open(&rig, "ref", 4);
    double y = product(&rig, 127, 3.6, -2, 1, LNG_DTYPE_I8);
    cr_assert(fabs(y - (127.0 * -127 + 4 * 64) * 2 / 127) < 1e-4, "%.9g", y);
    rig_close(&rig);
}

Test(ops_linear, refresh_follows_the_master)
{
    struct rig rig;
    rig_open(&rig, "ref", 5);
    const double before[] = {1, 2}, after[] = {4, -8}, xs[] = {1, 1};
    for (int compute = LNG_DTYPE_F32; compute <= LNG_DTYPE_I8; compute++) {
        struct lng_weight *weight;
        struct lng_view master = rig_values(&rig, LNG_DTYPE_F32, 1, 2, before);
        struct lng_view y = rig_output(&rig, LNG_DTYPE_F32, 1, 1);
        RIG_OK(lng_weight_prepare(rig.device, master, (enum lng_dtype)compute, 0, &weight));
        rig_write(&rig, master, after);
        RIG_OK(compute == LNG_DTYPE_F32 ? lng_weight_refresh(rig.device, weight)
                                        : lng_weights_refresh(rig.device, &weight, 1));
        struct lng_linear_fwd_args args = {
            .x = rig_values(&rig, LNG_DTYPE_F32, 1, 2, xs), .weight = weight, .y = y};
        RIG_OK(lng_linear_fwd(rig.device, &args));
        double got = rig_get(&rig, y)[0];
        cr_assert(fabs(got + 4) < 0.05, "compute %s: %g", lng_dtype_name((enum lng_dtype)compute),
                  got);
        lng_weight_release(rig.device, weight);
    }
    rig_close(&rig);
}

Test(ops_linear, refuses_weights_it_cannot_prepare)
{
    struct rig rig;
    rig_open(&rig, "ref", 6);
    struct lng_weight *weight = NULL;
    struct lng_view master = rig_zeros(&rig, LNG_DTYPE_F32, 2, 2);
    cr_assert_eq(lng_weight_prepare(rig.device, master, LNG_DTYPE_I8, LNG_WEIGHT_BACKWARD, &weight),
                 LNG_ERR_UNSUPPORTED);
    cr_assert_eq(lng_weight_prepare(rig.device, master, LNG_DTYPE_I32, 0, &weight),
                 LNG_ERR_UNSUPPORTED);
    master.dtype = LNG_DTYPE_BF16;
    cr_assert_eq(lng_weight_prepare(rig.device, master, LNG_DTYPE_F32, 0, &weight), LNG_ERR_DTYPE);
    cr_assert_str_eq(lng_error_message(), "weight master: expected f32, found bf16");
    master = lng_view_make(NULL, LNG_DTYPE_F32, 0, 2);
    cr_assert_eq(lng_weight_prepare(rig.device, master, LNG_DTYPE_F32, 0, &weight), LNG_ERR_SHAPE);
    cr_assert_null(weight);
    rig_close(&rig);
}

/* ref and a future GPU take bf16 activations; the cpu, which never makes any, says so. */
Test(ops_linear, bf16_activations)
{
    const double two[] = {2}, three[] = {3};
    for (int cpu = 0; cpu < 2; cpu++) {
        struct rig rig;
        rig_open(&rig, cpu ? "cpu" : "ref", 7);
        struct lng_weight *weight;
        struct lng_view master = rig_values(&rig, LNG_DTYPE_F32, 1, 1, two);
        RIG_OK(lng_weight_prepare(rig.device, master, LNG_DTYPE_F32, LNG_WEIGHT_BACKWARD, &weight));
        struct lng_view x = rig_values(&rig, LNG_DTYPE_BF16, 1, 1, three);
        struct lng_view y = rig_output(&rig, LNG_DTYPE_BF16, 1, 1);
        enum lng_status forward = lng_linear_fwd(
            rig.device, &(struct lng_linear_fwd_args){.x = x, .weight = weight, .y = y});
        enum lng_status backward = lng_linear_bwd(
            rig.device, &(struct lng_linear_bwd_args){.weight = weight, .d_y = x, .d_x = y});
        if (cpu) {
            cr_assert(forward == LNG_ERR_UNSUPPORTED && backward == LNG_ERR_UNSUPPORTED);
        } else {
            cr_assert(forward == LNG_OK && backward == LNG_OK);
            cr_assert(rig_get(&rig, y)[0] == 6);
        }
        lng_weight_release(rig.device, weight);
        rig_close(&rig);
    }
}
