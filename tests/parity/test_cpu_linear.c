/* The CPU's products: against ref in every instruction set, and the same bits for a row whatever the
 * batch, its place in it and the number of threads. */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "host/base/mem.h"
#include "kernels/backend.h"
#include "kernels/ops.h"
#include "tests/support/cpu_variants.h"

struct shape {
    int64_t rows, in, out;
};
static const struct shape shapes[] = {
    {1, 1, 1},    {1, 128, 384}, {2, 3, 97},    {5, 97, 3},    {12, 128, 128}, {47, 239, 65},
    {49, 64, 33}, {97, 256, 96}, {241, 33, 31}, {485, 40, 72}, {100, 600, 50}, {30, 1100, 40},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static struct lng_view view(float *data, int64_t rows, int64_t cols, int64_t stride)
{
    return (struct lng_view){data, LNG_DTYPE_F32, rows, cols, stride};
}

static struct lng_device *ref_open(void)
{
    struct lng_device *device = NULL;
    cr_assert(lng_device_open("ref", NULL, &device) == LNG_OK, "%s", lng_error_message());
    return device;
}

static bool offers(struct lng_device *device, enum lng_dtype compute)
{
    return lng_device_supports(device, compute) == LNG_OK;
}

/* y of one device; free it. Rows and outputs lie apart by more than their width. */
static float *run_forward(struct lng_device *device, struct shape s, enum lng_dtype compute,
                          enum lng_activation activation, bool accumulate)
{
    float *x = cpu_random((size_t)(s.rows * (s.in + 3)), 1, 1);
    float *w = cpu_random((size_t)(s.out * s.in), 1, 2), *b = cpu_random((size_t)s.out, 1, 3);
    float *y = cpu_random((size_t)(s.rows * (s.out + 5)), 1, 4);
    struct lng_weight *weight = NULL;
    cr_assert(lng_weight_prepare(device, view(w, s.out, s.in, s.in), compute, LNG_WEIGHT_INFERENCE,
                                 &weight) == LNG_OK);
    struct lng_linear_fwd_args args = {.x = view(x, s.rows, s.in, s.in + 3),
                                       .weight = weight,
                                       .bias = view(b, 1, s.out, s.out),
                                       .y = view(y, s.rows, s.out, s.out + 5),
                                       .activation = activation,
                                       .accumulate = accumulate};
    cr_assert(lng_linear_fwd(device, &args) == LNG_OK, "%s", lng_error_message());
    lng_weight_release(device, weight);
    lng_free(x);
    lng_free(w);
    lng_free(b);
    return y;
}

static void compare_forward(struct lng_device *device, struct lng_device *ref, const char *name,
                            enum lng_dtype compute)
{
    for (int i = 0; i < SHAPES; i++)
        for (int activation = 0; activation <= LNG_ACTIVATION_SWISH; activation++)
            for (int add = 0; add <= (activation == 0); add++) {
                float *want = run_forward(ref, shapes[i], compute, activation, add);
                float *got = run_forward(device, shapes[i], compute, activation, add);
                double error =
                    cpu_worst(got, want, (size_t)(shapes[i].rows * (shapes[i].out + 5)), 1);
                cr_assert(error < 2e-5, "%s %s: shape %d activation %d add %d: error %g", name,
                          lng_dtype_name(compute), i, activation, add, error);
                lng_free(want);
                lng_free(got);
            }
}

Test(cpu_linear, forward_as_ref)
{
    struct lng_device *ref = ref_open();
    for (int v = 0; v < CPU_VARIANTS; v++) {
        struct lng_device *device = cpu_variant_open(v);
        if (!device)
            continue;
        compare_forward(device, ref, cpu_variant_name(v), LNG_DTYPE_F32);
        if (offers(device, LNG_DTYPE_BF16))
            compare_forward(device, ref, cpu_variant_name(v), LNG_DTYPE_BF16);
        compare_forward(device, ref, cpu_variant_name(v), LNG_DTYPE_I8);
        lng_device_close(device);
    }
    lng_device_close(ref);
}

struct gradients {
    float *d_y, *d_x, *d_w, *d_b;
};

static struct gradients run_backward(struct lng_device *device, struct shape s,
                                     enum lng_dtype compute, bool relu, bool accumulate)
{
    struct gradients g = {.d_y = cpu_random((size_t)(s.rows * (s.out + 2)), 1, 11),
                          .d_x = cpu_random((size_t)(s.rows * (s.in + 1)), 1, 12),
                          .d_w = cpu_random((size_t)(s.out * s.in), 1, 13),
                          .d_b = cpu_random((size_t)s.out, 1, 14)};
    float *x = cpu_random((size_t)(s.rows * s.in), 1, 15);
    float *y = cpu_random((size_t)(s.rows * s.out), 1, 16);
    float *w = cpu_random((size_t)(s.out * s.in), 1, 17);
    struct lng_weight *weight = NULL;
    cr_assert(lng_weight_prepare(device, view(w, s.out, s.in, s.in), compute, LNG_WEIGHT_BACKWARD,
                                 &weight) == LNG_OK);
    struct lng_linear_bwd_args args = {
        .x = view(x, s.rows, s.in, s.in),
        .y = view(y, s.rows, s.out, s.out),
        .weight = weight,
        .d_y = view(g.d_y, s.rows, s.out, s.out + 2),
        .d_x = view(g.d_x, s.rows, s.in, s.in + 1),
        .d_weight = view(g.d_w, s.out, s.in, s.in),
        .d_bias = view(g.d_b, 1, s.out, s.out),
        .activation = relu ? LNG_ACTIVATION_RELU : LNG_ACTIVATION_NONE,
        .accumulate_d_x = accumulate,
    };
    cr_assert(lng_linear_bwd(device, &args) == LNG_OK, "%s", lng_error_message());
    lng_weight_release(device, weight);
    lng_free(x);
    lng_free(y);
    lng_free(w);
    return g;
}

static void release(struct gradients *g)
{
    lng_free(g->d_y);
    lng_free(g->d_x);
    lng_free(g->d_w);
    lng_free(g->d_b);
}

static double worst_gradient(const struct gradients *got, const struct gradients *want,
                             struct shape s)
{
    double scale = 1 + 0.1 * (double)s.rows, worst[4];
    worst[0] = cpu_worst(got->d_y, want->d_y, (size_t)(s.rows * (s.out + 2)), 1e-30);
    worst[1] = cpu_worst(got->d_x, want->d_x, (size_t)(s.rows * (s.in + 1)), 1);
    worst[2] = cpu_worst(got->d_w, want->d_w, (size_t)(s.out * s.in), scale);
    worst[3] = cpu_worst(got->d_b, want->d_b, (size_t)s.out, scale);
    for (int i = 1; i < 4; i++)
        worst[0] = worst[0] > worst[i] ? worst[0] : worst[i];
    return worst[0];
}

static void compare_backward(struct lng_device *device, struct lng_device *ref, const char *name,
                             enum lng_dtype compute)
{
    for (int i = 0; i < SHAPES; i++)
        for (int mode = 0; mode < 4; mode++) {
            struct gradients want = run_backward(ref, shapes[i], compute, mode & 1, mode & 2);
            struct gradients got = run_backward(device, shapes[i], compute, mode & 1, mode & 2);
            double error = worst_gradient(&got, &want, shapes[i]);
            cr_assert(error < 2e-5, "%s %s: shape %d mode %d: error %g", name,
                      lng_dtype_name(compute), i, mode, error);
            release(&want);
            release(&got);
        }
}

Test(cpu_linear, backward_as_ref)
{
    struct lng_device *ref = ref_open();
    for (int v = 0; v < CPU_VARIANTS; v++) {
        struct lng_device *device = cpu_variant_open(v);
        if (!device)
            continue;
        compare_backward(device, ref, cpu_variant_name(v), LNG_DTYPE_F32);
        if (offers(device, LNG_DTYPE_BF16))
            compare_backward(device, ref, cpu_variant_name(v), LNG_DTYPE_BF16);
        lng_device_close(device);
    }
    lng_device_close(ref);
}

/* Rows first .. first + count - 1 alone against the same rows of the whole. */
static void compare_rows(struct lng_device *device, const struct lng_weight *weight, float *x,
                         const float *whole, int64_t first, int64_t count)
{
    int64_t in = weight->master.cols, out = weight->master.rows;
    float *y = cpu_random((size_t)(count * out), 0, 0);
    struct lng_linear_fwd_args args = {
        .x = view(x + first * in, count, in, in), .weight = weight, .y = view(y, count, out, out)};
    cr_assert(lng_linear_fwd(device, &args) == LNG_OK);
    cr_assert(memcmp(y, whole + first * out, sizeof(float) * (size_t)(count * out)) == 0,
              "rows %d to %d of in %d out %d differ with %d threads", (int)first,
              (int)(first + count - 1), (int)in, (int)out, lng_device_threads(device));
    lng_free(y);
}

static void check_invariance(enum lng_dtype compute, int64_t in, int64_t out)
{
    enum { ROWS = 200 };
    static const int threads[] = {1, 2, 4};
    float *x = cpu_random((size_t)(ROWS * in), 1, 21), *w = cpu_random((size_t)(out * in), 1, 22);
    float *whole = cpu_random((size_t)(ROWS * out), 0, 0);
    for (int t = 0; t < 3; t++) {
        struct lng_device *device = cpu_open(threads[t]);
        struct lng_weight *weight = NULL;
        cr_assert(offers(device, compute));
        cr_assert(lng_weight_prepare(device, view(w, out, in, in), compute, 0, &weight) == LNG_OK);
        struct lng_linear_fwd_args args = {
            .x = view(x, ROWS, in, in), .weight = weight, .y = view(whole, ROWS, out, out)};
        if (t == 0)
            cr_assert(lng_linear_fwd(device, &args) == LNG_OK);
        for (int64_t count = 1; count <= ROWS; count += count < 30 ? 1 : 17)
            compare_rows(device, weight, x, whole, (ROWS - count) / 2, count);
        lng_weight_release(device, weight);
        lng_device_close(device);
    }
    lng_free(x);
    lng_free(w);
    lng_free(whole);
}

Test(cpu_linear, a_row_does_not_see_its_batch)
{
    struct lng_device *device = cpu_open(1);
    bool bf16 = offers(device, LNG_DTYPE_BF16);
    lng_device_close(device);
    static const int64_t sizes[][2] = {{128, 384}, {2048, 70}, {97, 1500}};
    for (int i = 0; i < 3; i++) {
        check_invariance(LNG_DTYPE_F32, sizes[i][0], sizes[i][1]);
        check_invariance(LNG_DTYPE_I8, sizes[i][0], sizes[i][1]);
        if (bf16)
            check_invariance(LNG_DTYPE_BF16, sizes[i][0], sizes[i][1]);
    }
}

Test(cpu_linear, gradients_do_not_see_threads)
{
    for (int i = 0; i < SHAPES; i++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            struct gradients first = {0};
            for (int threads = 1; threads <= 4; threads++) {
                struct lng_device *device = cpu_open(threads);
                enum lng_dtype compute =
                    bf16 && offers(device, LNG_DTYPE_BF16) ? LNG_DTYPE_BF16 : LNG_DTYPE_F32;
                struct gradients g = run_backward(device, shapes[i], compute, true, false);
                lng_device_close(device);
                if (threads == 1) {
                    first = g;
                    continue;
                }
                struct shape s = shapes[i];
                size_t bytes = sizeof(float);
                cr_assert(!memcmp(g.d_x, first.d_x, bytes * (size_t)(s.rows * (s.in + 1))));
                cr_assert(!memcmp(g.d_w, first.d_w, bytes * (size_t)(s.out * s.in)));
                cr_assert(!memcmp(g.d_b, first.d_b, bytes * (size_t)s.out));
                release(&g);
            }
            release(&first);
        }
}

/* A chunk of rows more than the packing scratch holds at once. */
Test(cpu_linear, many_rows)
{
    struct shape s = {5000, 900, 8};
    struct lng_device *ref = ref_open(), *device = cpu_open(2);
    struct gradients want = run_backward(ref, s, LNG_DTYPE_F32, false, false);
    struct gradients got = run_backward(device, s, LNG_DTYPE_F32, false, false);
    cr_assert(worst_gradient(&got, &want, s) < 2e-5);
    release(&want);
    release(&got);
    lng_device_close(ref);
    lng_device_close(device);
}

Test(cpu_linear, unknown_instruction_set)
{
    struct lng_device *device = NULL;
    setenv("LNG_CPU_ISA", "mmx", 1);
    cr_assert(lng_device_open("cpu", NULL, &device) == LNG_ERR_UNSUPPORTED);
    cr_assert(strstr(lng_error_message(), "mmx") != NULL);
    setenv("LNG_CPU_ISA", "base", 1);
    cr_assert(lng_device_open("cpu", NULL, &device) == LNG_OK);
    cr_assert(lng_device_supports(device, LNG_DTYPE_BF16) == LNG_ERR_UNSUPPORTED);
    cr_assert(strstr(lng_error_message(), "AVX512_BF16") != NULL);
    lng_device_close(device);
    unsetenv("LNG_CPU_ISA");
}
