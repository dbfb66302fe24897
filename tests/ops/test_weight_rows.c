/* Weights made of rows without a master: products, look-ups, refusals. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

enum { MOST_ROWS = 97, MOST_COLS = 70 };

static const struct {
    int64_t rows, cols;
} shapes[] = {{1, 1}, {3, 5}, {33, 4}, {97, 67}, {64, 70}};

static const char *const isas[] = {"base", "avx2", "avx512", "amx"};

static struct lng_weight_rows random_int8(struct rig *rig, int64_t rows, int64_t cols, int8_t *q,
                                          float *scales)
{
    for (int64_t i = 0; i < rows * cols; i++)
        q[i] = (int8_t)rig_integer(rig, -127, 127);
    for (int64_t r = 0; r < rows; r++)
        scales[r] = (float)(rig_uniform(rig) * 0.02 + 1e-4);
    return (struct lng_weight_rows){
        .dtype = LNG_DTYPE_I8, .rows = rows, .cols = cols, .values = q, .scales = scales};
}

/* y of 5 random rows through the weight. */
static double *product(struct rig *rig, const struct lng_weight *weight, int64_t rows, int64_t cols,
                       bool refine)
{
    struct lng_linear_fwd_args args = {
        .x = rig_random(rig, LNG_DTYPE_F32, 5, cols, 2),
        .weight = weight,
        .y = rig_output(rig, LNG_DTYPE_F32, 5, rows),
        .refine = refine,
    };
    RIG_OK(lng_linear_fwd(rig->device, &args));
    return rig_get(rig, args.y);
}

static double *lookup(struct rig *rig, const struct lng_weight *weight, int64_t rows, int64_t cols)
{
    int32_t ids[MOST_ROWS + 1];
    for (int64_t i = 0; i <= rows; i++)
        ids[i] = (int32_t)(rows - 1 - i);
    struct lng_embed_fwd_args args = {
        .table = lng_view_make(NULL, rig->real, rows, cols),
        .rows = weight,
        .y = rig_output(rig, LNG_DTYPE_F32, rows + 1, cols),
        .ids = rig_array(rig, ids, (size_t)rows + 1, sizeof *ids),
        .scale = 1.5,
    };
    RIG_OK(lng_embed_fwd(rig->device, &args));
    return rig_get(rig, args.y);
}

/* More tokens than are refined. */
enum { SELECTED = LNG_REFINED + 5 };

static double *select_some(struct rig *rig, struct lng_weight *weight, int64_t rows, int64_t cols)
{
    int32_t tokens[SELECTED], first[2] = {0, 0}, count[2] = {SELECTED, SELECTED};
    for (int32_t i = 0; i < SELECTED; i++)
        tokens[i] = i * 13 % (int32_t)rows;
    RIG_OK(lng_weight_keep_rows(rig->device, weight));
    struct lng_select_logits_args args = {
        .x = rig_random(rig, LNG_DTYPE_F32, 2, cols, 2),
        .weight = weight,
        .y = rig_output(rig, LNG_DTYPE_F32, 2, SELECTED),
        .tokens = rig_array(rig, tokens, SELECTED, 4),
        .first = rig_array(rig, first, 2, 4),
        .count = rig_array(rig, count, 2, 4),
        .token_count = SELECTED,
    };
    RIG_OK(lng_select_logits(rig->device, &args));
    return rig_get(rig, args.y);
}

/* Everything that is asked of such a weight, on every set of instructions, against ref. */
Test(weight_rows, cpu_and_ref_agree_on_int8_rows)
{
    static int8_t q[MOST_ROWS * MOST_COLS];
    float scales[MOST_ROWS];
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            const int64_t rows = shapes[s].rows, cols = shapes[s].cols;
            struct rig ref, cpu;
            struct lng_weight *want, *got;
            setenv("LNG_CPU_ISA", isas[i], 1);
            struct lng_device *probe;
            if (lng_device_open("cpu", NULL, &probe) != LNG_OK)
                continue;
            lng_device_close(probe);
            rig_open(&ref, "ref", s);
            rig_open(&cpu, "cpu", s);
            struct lng_weight_rows given = random_int8(&ref, rows, cols, q, scales);
            (void)random_int8(&cpu, rows, cols, q, scales);
            RIG_OK(lng_weight_prepare_rows(ref.device, &given, LNG_DTYPE_I8, &want));
            RIG_OK(lng_weight_prepare_rows(cpu.device, &given, LNG_DTYPE_I8, &got));
            for (int refine = 0; refine < 2; refine++)
                rig_expect_close("product", product(&cpu, got, rows, cols, refine),
                                 product(&ref, want, rows, cols, refine), (size_t)(5 * rows), 1e-5,
                                 1e-5);
            double *table = lookup(&cpu, got, rows, cols);
            rig_expect_close("lookup", table, lookup(&ref, want, rows, cols),
                             (size_t)((rows + 1) * cols), 1e-6, 0);
            for (int64_t c = 0; c < cols; c++) {
                cr_assert_float_eq(table[c], 1.5 * q[(rows - 1) * cols + c] * scales[rows - 1],
                                   1e-6);
                cr_assert_eq(table[rows * cols + c], 0); /* id -1 */
            }
            rig_expect_close("select", select_some(&cpu, got, rows, cols),
                             select_some(&ref, want, rows, cols), 2 * SELECTED, 1e-5, 1e-5);
            lng_weight_release(ref.device, want);
            lng_weight_release(cpu.device, got);
            rig_close(&ref);
            rig_close(&cpu);
        }
    }
}

/* f32 rows give what a master of these values gives, bit by bit. */
Test(weight_rows, floats_are_as_with_a_master)
{
    const enum lng_dtype computes[] = {LNG_DTYPE_F32, LNG_DTYPE_BF16, LNG_DTYPE_I8};
    static float values[MOST_ROWS * MOST_COLS];
    for (size_t i = 0; i < 3; i++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            const int64_t rows = shapes[s].rows, cols = shapes[s].cols;
            struct rig rig;
            struct lng_weight *with, *without;
            rig_open(&rig, "cpu", s);
            if (lng_device_supports(rig.device, computes[i]) != LNG_OK) {
                rig_close(&rig);
                continue;
            }
            cr_assert(lng_weight_takes_rows(rig.device, computes[i]));
            struct lng_view master = rig_random(&rig, LNG_DTYPE_F32, rows, cols, 1);
            double *copy = rig_get(&rig, master);
            for (int64_t k = 0; k < rows * cols; k++)
                values[k] = (float)copy[k];
            struct lng_weight_rows given = {
                .dtype = LNG_DTYPE_F32, .rows = rows, .cols = cols, .values = values};
            RIG_OK(lng_weight_prepare(rig.device, master, computes[i], 0, &with));
            RIG_OK(lng_weight_prepare_rows(rig.device, &given, computes[i], &without));
            uint32_t draws = rig.draws;
            double *want = product(&rig, with, rows, cols, false);
            rig.draws = draws;
            double *got = product(&rig, without, rows, cols, false);
            cr_assert(memcmp(want, got, (size_t)(5 * rows) * sizeof *want) == 0);
            cr_assert(lng_weight_refresh(rig.device, without) == LNG_ERR_USAGE);
            cr_assert(lng_weights_refresh(rig.device, &without, 1) == LNG_ERR_USAGE);
            lng_weight_release(rig.device, with);
            lng_weight_release(rig.device, without);
            rig_close(&rig);
        }
    }
}

/* y of 5 random rows, and where a product refines, what it replaces them by: x . row in doubles. */
static void check_refined(struct rig *rig, const struct lng_weight *weight, int64_t rows,
                          int64_t cols, const double *table)
{
    struct lng_linear_fwd_args args = {
        .x = rig_random(rig, LNG_DTYPE_F32, 5, cols, 2),
        .weight = weight,
        .y = rig_output(rig, LNG_DTYPE_F32, 5, rows),
        .refine = true,
    };
    RIG_OK(lng_linear_fwd(rig->device, &args));
    const double *x = rig_get(rig, args.x), *y = rig_get(rig, args.y);
    for (int64_t n = 0; n < 5; n++) {
        int exact = 0;
        for (int64_t r = 0; r < rows; r++) {
            double sum = 0;
            for (int64_t c = 0; c < cols; c++)
                sum += x[n * cols + c] * table[r * cols + c];
            exact += fabs(y[n * rows + r] - sum) <= 2e-5 * (1 + fabs(sum));
        }
        cr_assert(exact >= (rows < LNG_REFINED ? rows : LNG_REFINED), "row %d: %d exact of %d",
                  (int)n, exact, (int)rows);
    }
}

/* A table keeps what rounding left: rows that are looked up, and logits that are refined, have 15 bits; products do not
 * show it. From floats, and from int8 with a rest. */
Test(weight_rows, tables_keep_the_rest)
{
    static float values[MOST_ROWS * MOST_COLS];
    static int8_t q[MOST_ROWS * MOST_COLS], rest[MOST_ROWS * MOST_COLS];
    float scales[MOST_ROWS], rest_scales[MOST_ROWS];
    for (size_t i = 0; i <= sizeof isas / sizeof isas[0]; i++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            const int64_t rows = shapes[s].rows, cols = shapes[s].cols;
            const bool ref = i == sizeof isas / sizeof isas[0];
            struct rig rig;
            setenv("LNG_CPU_ISA", ref ? "" : isas[i], 1);
            struct lng_device *probe;
            if (lng_device_open("cpu", NULL, &probe) != LNG_OK)
                continue;
            lng_device_close(probe);
            rig_open(&rig, ref ? "ref" : "cpu", s);
            struct lng_weight *kept, *given, *plain;
            for (int64_t k = 0; k < rows * cols; k++)
                values[k] = (float)rig_uniform(&rig) - 0.5F;
            struct lng_weight_rows floats = {
                .dtype = LNG_DTYPE_F32, .rows = rows, .cols = cols, .values = values};
            RIG_OK(lng_weight_prepare_rows(rig.device, &floats, LNG_DTYPE_I8, &plain));
            floats.table = true;
            RIG_OK(lng_weight_prepare_rows(rig.device, &floats, LNG_DTYPE_I8, &kept));
            cr_assert(lng_weight_bytes(kept) > lng_weight_bytes(plain));
            const double *table = lookup(&rig, kept, rows, cols);
            for (int64_t k = 0; k < rows * cols; k++) {
                const int64_t row = rows - 1 - k / cols;
                cr_assert_float_eq(table[k], 1.5 * values[row * cols + k % cols], 3e-5);
            }
            uint32_t draws = rig.draws;
            const double *want = product(&rig, plain, rows, cols, false);
            rig.draws = draws;
            const double *got = product(&rig, kept, rows, cols, false);
            cr_assert(memcmp(want, got, (size_t)(5 * rows) * sizeof *want) == 0);

            struct lng_weight_rows int8 = random_int8(&rig, rows, cols, q, scales);
            (void)random_int8(&rig, rows, cols, rest, rest_scales);
            int8.rest = rest;
            int8.rest_scales = rest_scales;
            RIG_OK(lng_weight_prepare_rows(rig.device, &int8, LNG_DTYPE_I8, &given));
            double *sums = rig_host(&rig, (size_t)(rows * cols), sizeof *sums);
            for (int64_t k = 0; k < rows * cols; k++)
                sums[k] = (double)q[k] * (double)scales[k / cols] +
                          (double)rest[k] * (double)rest_scales[k / cols];
            table = lookup(&rig, given, rows, cols);
            for (int64_t k = 0; k < rows * cols; k++)
                cr_assert_float_eq(table[k], 1.5 * sums[(rows - 1 - k / cols) * cols + k % cols],
                                   1e-5);
            check_refined(&rig, given, rows, cols, sums);
            lng_weight_release(rig.device, plain);
            lng_weight_release(rig.device, kept);
            lng_weight_release(rig.device, given);
            rig_close(&rig);
        }
    }
    unsetenv("LNG_CPU_ISA");
}

Test(weight_rows, what_cannot_be_is_refused)
{
    struct rig rig;
    struct lng_weight *weight;
    int8_t q[6] = {1, 2, 3, 4, 5, 6};
    float floats[6] = {1}, scales[2] = {1, 1}, nothing[2] = {1, 0};
    rig_open(&rig, "ref", 1);
    const struct lng_weight_rows good = {
        .dtype = LNG_DTYPE_I8, .rows = 2, .cols = 3, .values = q, .scales = scales};
    struct {
        struct lng_weight_rows rows;
        enum lng_dtype compute;
        float first_scale;
        enum lng_status status;
    } cases[] = {
        {good, LNG_DTYPE_I8, 1, LNG_ERR_SHAPE},
        {good, LNG_DTYPE_I8, 1, LNG_ERR_SHAPE},
        {good, LNG_DTYPE_I8, 1, LNG_ERR_SHAPE},
        {good, LNG_DTYPE_F32, 1, LNG_ERR_DTYPE},
        {good, LNG_DTYPE_I8, 1, LNG_ERR_DTYPE},
        {good, LNG_DTYPE_I8, NAN, LNG_ERR_RANGE},
        {good, LNG_DTYPE_I8, 0, LNG_ERR_RANGE},
        {good, LNG_DTYPE_I8, INFINITY, LNG_ERR_RANGE},
        {good, LNG_DTYPE_F32, 1, LNG_ERR_UNSUPPORTED},
        {good, LNG_DTYPE_I8, 1, LNG_ERR_SHAPE},
        {good, LNG_DTYPE_I8, 1, LNG_ERR_RANGE},
    };
    cases[0].rows.rows = 0;
    cases[1].rows.values = NULL;
    cases[2].rows.scales = NULL;
    cases[4].rows.dtype = LNG_DTYPE_BF16;
    cases[8].rows.dtype = LNG_DTYPE_F32;
    cases[8].rows.values = floats;
    cases[9].rows.rest = cases[10].rows.rest = q;
    cases[10].rows.rest_scales = nothing;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scales[0] = cases[i].first_scale;
        cr_assert_eq(lng_weight_prepare_rows(rig.device, &cases[i].rows, cases[i].compute, &weight),
                     cases[i].status, "case %zu: %s", i, lng_error_message());
    }
    scales[0] = 1;
    RIG_OK(lng_weight_prepare_rows(rig.device, &cases[3].rows, LNG_DTYPE_I8, &weight));
    int32_t ids[] = {1};
    struct lng_embed_fwd_args args = {
        .table = lng_view_make(NULL, LNG_DTYPE_F32, 3, 3),
        .rows = weight,
        .y = rig_output(&rig, LNG_DTYPE_F32, 1, 3),
        .ids = rig_array(&rig, ids, 1, 4),
        .scale = 1,
    };
    cr_assert_eq(lng_embed_fwd(rig.device, &args), LNG_ERR_SHAPE);
    args.table.rows = 2;
    RIG_OK(lng_embed_fwd(rig.device, &args));
    args.rows = NULL;
    cr_assert_eq(lng_embed_fwd(rig.device, &args), LNG_ERR_SHAPE);
    struct lng_weight *plain;
    struct lng_view master = rig_random(&rig, LNG_DTYPE_F32, 2, 3, 1);
    RIG_OK(lng_weight_prepare(rig.device, master, LNG_DTYPE_I8, 0, &plain));
    args.rows = plain; /* whoever has a master has a table */
    cr_assert_eq(lng_embed_fwd(rig.device, &args), LNG_ERR_UNSUPPORTED);
    lng_weight_release(rig.device, plain);
    lng_weight_release(rig.device, weight);
    rig_close(&rig);
}
