#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

enum { COLUMNS = 4, HEADS = 2, SLOTS = 3, STEPS = 3 };

/* What one row must give: softmax over the named cache rows, one head at a time. */
static void solve(const double *q, const double *k, const double *v, const double *vector,
                  const int *rows, int count, double scale, double *o, double *mean)
{
    int width = COLUMNS / HEADS;
    for (int s = 0; s < count; s++)
        mean[s] = 0;
    for (int h = 0; h < HEADS; h++) {
        double p[16], total = 0;
        for (int s = 0; s < count; s++) {
            double sum = 0;
            for (int c = h * width; c < (h + 1) * width; c++)
                sum += vector != NULL ? vector[c] * tanh(q[c] + k[rows[s] * COLUMNS + c])
                                      : q[c] * k[rows[s] * COLUMNS + c];
            total += p[s] = exp(sum * scale);
        }
        for (int c = h * width; c < (h + 1) * width; c++) {
            o[c] = 0;
            for (int s = 0; s < count; s++)
                o[c] += p[s] / total * v[rows[s] * COLUMNS + c];
        }
        for (int s = 0; s < count; s++)
            mean[s] += p[s] / total / HEADS;
    }
}

static void check_self(enum lng_attention_score score, enum lng_dtype cache)
{
    struct rig rig;
    rig_open(&rig, "ref", 1);
    /* Row 0 is at step 2, its past through slots 1 and 0; row 1 at step 0; row 2 at step 1. */
    static const int32_t key_count[] = {3, 1, 2};
    static const int32_t ancestor[] = {1, 0, 2, 0, 99, 99, 2, 1, 99}; /* 99: never read */
    static const int rows[3][3] = {{1, 3, 8}, {0}, {2, 4}};
    float start[3 * 4];
    for (int i = 0; i < 12; i++)
        start[i] = -7;
    struct lng_attention_step_args args = {
        .q = rig_random(&rig, LNG_DTYPE_F32, 3, COLUMNS, 1),
        .new_k = rig_random(&rig, LNG_DTYPE_F32, 3, COLUMNS, 1),
        .new_v = rig_random(&rig, LNG_DTYPE_F32, 3, COLUMNS, 1),
        .k_cache = rig_random(&rig, cache, SLOTS * STEPS, COLUMNS, 1),
        .v_cache = rig_random(&rig, cache, SLOTS * STEPS, COLUMNS, 1),
        .o = rig_output(&rig, LNG_DTYPE_F32, 3, COLUMNS),
        .key_count = rig_array(&rig, key_count, 3, 4),
        .ancestor = rig_array(&rig, ancestor, 9, 4),
        .ancestor_stride = 3,
        .slots = SLOTS,
        .heads = HEADS,
        .scale = 0.8,
        .score = score,
        .score_vector = rig_random(&rig, LNG_DTYPE_F32, 1, COLUMNS, 1),
        .weights = rig_array(&rig, start, 12, sizeof(float)),
        .weights_stride = 4,
        .head_count = HEADS,
    };
    const double *before = rig_get(&rig, args.k_cache);
    RIG_OK(lng_attention_step(rig.device, &args));
    const double *q = rig_get(&rig, args.q), *k = rig_get(&rig, args.k_cache);
    const double *v = rig_get(&rig, args.v_cache), *o = rig_get(&rig, args.o);
    const double *new_k = rig_get(&rig, args.new_k), *vector = rig_get(&rig, args.score_vector);
    const float *weights = rig_get_array(&rig, args.weights, 12, sizeof(float));
    double rounding = cache == LNG_DTYPE_BF16 ? 1.0 / 256 : 0;
    for (int row = 0; row < SLOTS * STEPS; row++) {
        int owner = row == 8 ? 0 : row == 0 ? 1 : row == 4 ? 2 : -1;
        rig_expect_close("cache row", k + row * COLUMNS,
                         owner < 0 ? before + row * COLUMNS : new_k + owner * COLUMNS, COLUMNS,
                         owner < 0 ? 0 : rounding, 0);
    }
    for (int r = 0; r < 3; r++) {
        double want[COLUMNS], mean[3];
        solve(q + r * COLUMNS, k, v, score == LNG_ATTENTION_ADDITIVE ? vector : NULL, rows[r],
              key_count[r], 0.8, want, mean);
        rig_expect_close("o", o + r * COLUMNS, want, COLUMNS, 1e-5, 1e-6);
        for (int s = 0; s < 4; s++)
            cr_assert(s < key_count[r] ? fabs(weights[r * 4 + s] - mean[s]) < 1e-6
                                       : weights[r * 4 + s] == -7);
    }
    rig_close(&rig);
}

Test(ops_attention_step, self_through_the_ancestry)
{
    check_self(LNG_ATTENTION_DOT, LNG_DTYPE_F32);
    check_self(LNG_ATTENTION_ADDITIVE, LNG_DTYPE_F32);
    check_self(LNG_ATTENTION_DOT, LNG_DTYPE_BF16);
}

Test(ops_attention_step, cross_from_a_start_row)
{
    struct rig rig;
    rig_open(&rig, "ref", 2);
    static const int32_t key_count[] = {2, 2, 0, 4}, key_start[] = {0, 0, 2, 2};
    static const int rows[4][4] = {{0, 1}, {0, 1}, {0}, {2, 3, 4, 5}};
    struct lng_attention_step_args args = {
        .q = rig_random(&rig, LNG_DTYPE_F32, 4, COLUMNS, 1),
        .k_cache = rig_random(&rig, LNG_DTYPE_F32, 6, COLUMNS, 1),
        .v_cache = rig_random(&rig, LNG_DTYPE_F32, 6, COLUMNS, 1),
        .o = rig_output(&rig, LNG_DTYPE_F32, 4, COLUMNS),
        .key_count = rig_array(&rig, key_count, 4, 4),
        .key_start = rig_array(&rig, key_start, 4, 4),
        .heads = HEADS,
        .scale = 1,
    };
    args.weights = rig_array(&rig, NULL, 16, sizeof(float));
    args.weights_stride = 4;
    args.first_head = HEADS - 1; /* the last head alone */
    args.head_count = 1;
    RIG_OK(lng_attention_step(rig.device, &args));
    const double *q = rig_get(&rig, args.q), *k = rig_get(&rig, args.k_cache);
    const double *v = rig_get(&rig, args.v_cache), *o = rig_get(&rig, args.o);
    const float *weights = rig_get_array(&rig, args.weights, 16, sizeof(float));
    for (int r = 0; r < 4; r++) {
        double want[COLUMNS], mean[4]; /* without keys: zeros */
        solve(q + r * COLUMNS, k, v, NULL, rows[r], key_count[r], 1, want, mean);
        rig_expect_close("o", o + r * COLUMNS, want, COLUMNS, 1e-5, 1e-6);
        double total = 0, p[4];
        for (int s = 0; s < key_count[r]; s++) {
            const double *key = k + rows[r][s] * COLUMNS, *query = q + r * COLUMNS;
            total += p[s] = exp(query[2] * key[2] + query[3] * key[3]);
        }
        for (int s = 0; s < key_count[r]; s++)
            cr_assert(fabs(weights[r * 4 + s] - p[s] / total) < 1e-6);
    }
    rig_close(&rig);
}

Test(ops_attention_step, refuses_rows_outside_the_cache)
{
    struct rig rig;
    rig_open(&rig, "ref", 3);
    static const int32_t key_count[] = {2}, key_start[] = {5};
    struct lng_attention_step_args args = {
        .q = rig_random(&rig, LNG_DTYPE_F32, 1, COLUMNS, 1),
        .k_cache = rig_random(&rig, LNG_DTYPE_F32, 6, COLUMNS, 1),
        .v_cache = rig_random(&rig, LNG_DTYPE_F32, 6, COLUMNS, 1),
        .o = rig_output(&rig, LNG_DTYPE_F32, 1, COLUMNS),
        .key_count = rig_array(&rig, key_count, 1, 4),
        .key_start = rig_array(&rig, key_start, 1, 4),
        .heads = HEADS,
        .scale = 1,
    };
    cr_assert_eq(lng_attention_step(rig.device, &args), LNG_ERR_RANGE);
    cr_assert_str_eq(lng_error_message(),
                     "attention_step: row 0, key 1: expected a cache row below 6, found 6");
    rig_close(&rig);
}
