/* Products of int8 on device cuda, the plugin being the double's EMU_VARIANT: against a plain loop, to the bit, in every
 * tile and around its edges. */
#include "tests/cudaemu/on_double.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/base/bf16.h"
#include "kernels/ops.h"
#include "tests/cudaemu/count_on.h"
#include "tests/support/rig.h"

/* The table of gpu_linear_int8.cu: what a block computes, and how deep a step of it is. */
static const struct tile {
    int64_t rows, outs, depth;
} tiles[] = {{128, 128, 64}, {64, 64, 64}, {32, 32, 128}, {16, 64, 128}, {16, 16, 256}};
enum { TILES = sizeof tiles / sizeof tiles[0], GAPS = 3 };

struct shape {
    int64_t rows, in, out;
};

/* Operands on the device, and what the product is. */
struct problem {
    struct rig rig;
    struct shape s;
    struct lng_view x[2], bias; /* x in f32 and bf16: what it is, bf16 holds */
    struct lng_weight *weight;
    float *product; /* [rows, out] without the bias */
    const double *biases;
};

static float rounded(float value, enum lng_dtype dtype)
{
    return dtype == LNG_DTYPE_BF16 ? lng_bf16_to_f32(lng_f32_to_bf16(value)) : value;
}

/* As ops.h defines quantize_rows. */
static float quantize(const double *row, int64_t count, int8_t *q)
{
    float highest = 0;
    for (int64_t i = 0; i < count; i++)
        highest = fmaxf(highest, fabsf((float)row[i]));
    const float steps = highest > 0 ? 127.0f / highest : 1;
    for (int64_t i = 0; i < count; i++)
        q[i] = (int8_t)rintf((float)row[i] * steps);
    return highest > 0 ? highest / 127.0f : 1;
}

static int8_t *quantize_all(struct rig *rig, const double *values, int64_t rows, int64_t cols,
                            float *scales)
{
    int8_t *q = rig_host(rig, (size_t)(rows * cols), 1);
    for (int64_t n = 0; n < rows; n++)
        scales[n] = quantize(values + n * cols, cols, q + n * cols);
    return q;
}

static void multiply(struct problem *p, const double *x, const double *weight)
{
    const struct shape s = p->s;
    float *x_scales = rig_host(&p->rig, (size_t)s.rows, sizeof(float));
    float *scales = rig_host(&p->rig, (size_t)s.out, sizeof(float));
    const int8_t *a = quantize_all(&p->rig, x, s.rows, s.in, x_scales);
    const int8_t *b = quantize_all(&p->rig, weight, s.out, s.in, scales);
    p->product = rig_host(&p->rig, (size_t)(s.rows * s.out), sizeof(float));
    for (int64_t n = 0; n < s.rows; n++)
        for (int64_t o = 0; o < s.out; o++) {
            int32_t sum = 0;
            for (int64_t d = 0; d < s.in; d++)
                sum += a[n * s.in + d] * b[o * s.in + d];
            p->product[n * s.out + o] = (float)sum * x_scales[n] * scales[o];
        }
}

/* Random but for the first row and the last output, whose sum is the largest there is, and the last row, of zeros.
 * Rows of every matrix lie `gap` values further apart than they are long. */
static void begin(struct problem *p, struct shape s, int gap)
{
    *p = (struct problem){.s = s};
    rig_open(&p->rig, "cuda", 1);
    p->rig.gap = gap;
    double *x = rig_host(&p->rig, (size_t)(s.rows * s.in), sizeof(double));
    double *weight = rig_host(&p->rig, (size_t)(s.out * s.in), sizeof(double));
    for (int64_t i = 0; i < s.rows * s.in; i++) {
        const float value = (float)(4 * rig_uniform(&p->rig) - 2);
        const int64_t n = i / s.in;
        x[i] = n == 0 ? 3 : n == s.rows - 1 ? 0 : rounded(value, LNG_DTYPE_BF16);
    }
    for (int64_t i = 0; i < s.out * s.in; i++)
        weight[i] = (float)(i / s.in == s.out - 1 ? -0.3 : 2 * rig_uniform(&p->rig) - 1);
    for (int bf16 = 0; bf16 < 2; bf16++)
        p->x[bf16] = rig_values(&p->rig, bf16 ? LNG_DTYPE_BF16 : LNG_DTYPE_F32, s.rows, s.in, x);
    RIG_OK(lng_weight_prepare(p->rig.device,
                              rig_values(&p->rig, LNG_DTYPE_F32, s.out, s.in, weight), LNG_DTYPE_I8,
                              0, &p->weight));
    p->bias = rig_random(&p->rig, LNG_DTYPE_F32, 1, s.out, 1);
    p->biases = rig_get(&p->rig, p->bias);
    multiply(p, x, weight);
}

static void end(struct problem *p)
{
    lng_weight_release(p->rig.device, p->weight);
    rig_close(&p->rig);
}

/* What the activation of the same device makes of the sums. */
static const double *activated(struct problem *p, enum lng_activation activation,
                               const double *sums)
{
    struct lng_view x = rig_values(&p->rig, LNG_DTYPE_F32, p->s.rows, p->s.out, sums);
    struct lng_view y = rig_output(&p->rig, LNG_DTYPE_F32, p->s.rows, p->s.out);
    RIG_OK(lng_activation_fwd(p->rig.device, &(struct lng_activation_fwd_args){
                                                 .x = x, .y = y, .activation = activation}));
    return rig_get(&p->rig, y);
}

/* One product of outputs `first` and on, each of which must be the plain loop's. */
static void expect_product(struct problem *p, enum lng_dtype dtype, enum lng_activation activation,
                           bool bias, bool accumulate, int64_t first)
{
    const struct shape s = p->s;
    const int64_t out = s.out - first;
    double *sums = rig_host(&p->rig, (size_t)(s.rows * s.out), sizeof(double));
    struct lng_view y = accumulate ? rig_random(&p->rig, dtype, s.rows, out, 100)
                                   : rig_output(&p->rig, dtype, s.rows, out);
    const double *before = rig_get(&p->rig, y);
    for (int64_t i = 0; i < s.rows * s.out; i++)
        sums[i] = p->product[i] + (bias ? (float)p->biases[i % s.out] : 0.0f);
    const double *want = activation == LNG_ACTIVATION_NONE ? sums : activated(p, activation, sums);
    const struct lng_linear_fwd_args args = {.x = p->x[dtype == LNG_DTYPE_BF16],
                                             .weight = p->weight,
                                             .bias = bias ? lng_view_cols(p->bias, first, out)
                                                          : (struct lng_view){0},
                                             .y = y,
                                             .activation = activation,
                                             .accumulate = accumulate,
                                             .first = first};
    RIG_OK(lng_linear_fwd(p->rig.device, &args));
    const double *got = rig_get(&p->rig, y);
    for (int64_t n = 0; n < s.rows; n++)
        for (int64_t o = 0; o < out; o++) {
            float value = (float)want[n * s.out + first + o];
            if (accumulate)
                value = (float)before[n * out + o] + value;
            value = rounded(value, dtype);
            cr_assert(
                (float)got[n * out + o] == value,
                "%d x %d x %d from %d, %s, activation %d, %s: y[%d, %d]: expected %.9g, found %.9g",
                (int)s.rows, (int)s.in, (int)s.out, (int)first, lng_dtype_name(dtype),
                (int)activation, accumulate ? "added" : "stored", (int)n, (int)o, (double)value,
                got[n * out + o]);
        }
}

static void expect_all(struct shape s, int gap)
{
    struct problem p;
    begin(&p, s, gap);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        const enum lng_dtype dtype = bf16 ? LNG_DTYPE_BF16 : LNG_DTYPE_F32;
        expect_product(&p, dtype, LNG_ACTIVATION_NONE, false, false, 0);
        expect_product(&p, dtype, LNG_ACTIVATION_NONE, true, true, 0);
        for (int kind = LNG_ACTIVATION_NONE; kind <= LNG_ACTIVATION_SWISH; kind++)
            expect_product(&p, dtype, (enum lng_activation)kind, true, false, 0);
        if (s.out > LNG_FIRST_STEP)
            expect_product(&p, dtype, LNG_ACTIVATION_NONE, true, false,
                           (s.out - 1) / LNG_FIRST_STEP * LNG_FIRST_STEP);
    }
    end(&p);
}

/* Tiles of every number of rows and outputs around one and two, depths around 16, 32 and a step of the tile, and so
 * many steps that each of the three stages is filled again. */
static void expect_tile(int i)
{
    const struct tile t = tiles[i];
    const struct shape shapes[] = {
        {1, 1, 1},
        {t.rows - 1, 15, t.outs + 1},
        {t.rows, t.depth, t.outs},
        {t.rows + 1, 16, t.outs - 1},
        {2, 17, 2 * t.outs + 1},
        {2 * t.rows, 31, 2},
        {2 * t.rows + 1, 33, 3},
        {5, t.depth - 16, 7},
        {17, t.depth + 1, 9},
        {9, 2 * t.depth + 16, 18},
        {3, 3 * t.depth, t.outs - 1},
        {t.rows - 1, 4 * t.depth - 1, 5},
        {8, 7 * t.depth + 5, 8},
    };
    char number[] = {(char)('0' + i), '\0'};
    setenv("LNG_CUDA_INT8_TILE", number, 1);
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        expect_all(shapes[s], (int)s % GAPS);
}
Test(int8, is_exact_in_tiles_of_128_x_128)
{
    expect_tile(0);
}
Test(int8, is_exact_in_tiles_of_64_x_64)
{
    expect_tile(1);
}
Test(int8, is_exact_in_tiles_of_32_x_32)
{
    expect_tile(2);
}
Test(int8, is_exact_in_tiles_of_16_x_64)
{
    expect_tile(3);
}
Test(int8, is_exact_in_tiles_of_16_x_16)
{
    expect_tile(4);
}

/* Each shape is the first that gives a tile, by its rows, the 128 blocks it is chosen for; two launches whatever it is. */
Test(int8, is_exact_in_the_tile_of_its_shape)
{
    unsetenv("LNG_CUDA_INT8_TILE");
    for (int i = 0; i < TILES; i++) {
        const struct shape s = {tiles[i].rows / 2 + 1, 16, 127 * tiles[i].outs + 1};
        struct problem p;
        struct cudaemu_counts before, after;
        begin(&p, s, 1);
        for (int turn = 0; turn < 2; turn++) { /* the first may prepare something */
            emu_count(&before);
            expect_product(&p, LNG_DTYPE_F32, LNG_ACTIVATION_NONE, true, false, 0);
            emu_count(&after);
        }
        cr_assert_eq(after.kernels - before.kernels, 2);
        end(&p);
    }
}

Test(int8, refuses_a_tile_that_there_is_not)
{
    static const char *const wrong[] = {"5", "-1", "00", "a"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct lng_device *device = NULL;
        setenv("LNG_CUDA_INT8_TILE", wrong[i], 1);
        cr_assert_eq(lng_device_open("cuda", NULL, &device), LNG_ERR_USAGE);
        cr_assert(strstr(lng_error_message(), "LNG_CUDA_INT8_TILE: expected 0 to 4, found \"") !=
                      NULL,
                  "%s", lng_error_message());
        cr_assert_null(device);
    }
}
