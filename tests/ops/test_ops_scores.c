#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

static const char *const devices[] = {"ref", "cpu"};

Test(ops_scores, chosen_logits)
{
    for (size_t i = 0; i < 2; i++) {
        struct rig rig;
        rig_open(&rig, devices[i], 1);
        const int32_t tokens[] = {2, 0, 1}, first[] = {0, 0, 2}, count[] = {2, 2, 1};
        struct lng_select_logits_args args = {
            .x = rig_values(&rig, LNG_DTYPE_F32, 3, 2, (const double[]){1, 2, 0, -1, 3, 1}),
            .table = rig_values(&rig, LNG_DTYPE_F32, 3, 2, (const double[]){1, 1, 10, 20, 5, 0}),
            .bias = rig_values(&rig, LNG_DTYPE_F32, 1, 3, (const double[]){0.5, 0, -1}),
            .y = rig_values(&rig, LNG_DTYPE_F32, 3, 3, (const double[]){7, 7, 7, 7, 7, 7, 7, 7, 7}),
            .tokens = rig_array(&rig, tokens, 3, 4),
            .first = rig_array(&rig, first, 3, 4),
            .count = rig_array(&rig, count, 3, 4),
            .token_count = 3,
        };
        RIG_OK(lng_select_logits(rig.device, &args));
        const float *y = rig_get_array(&rig, args.y.data, 9, sizeof *y);
        const float want[] = {4, 3.5f, 7, -1, -0.5f, 7, 50, 7, 7};
        for (int j = 0; j < 9; j++)
            cr_assert(fabsf(y[j] - want[j]) < 1e-6f, "%s %d: %g", devices[i], j, (double)y[j]);
        rig_close(&rig);
    }
}

/* In every type that the machine has: a row has the same bits whatever rows stand beside it. */
static void alone_and_in_company(const char *device, enum lng_dtype compute)
{
    enum { ROWS = 7, WIDTH = 83, WORDS = 30 };
    struct rig rig;
    rig_open(&rig, device, 2);
    if (lng_device_supports(rig.device, compute) != LNG_OK) {
        rig_close(&rig);
        return;
    }
    int32_t tokens[WORDS], first[ROWS] = {0}, count[ROWS];
    for (int i = 0; i < WORDS; i++)
        tokens[i] = (i * 7) % WORDS;
    for (int r = 0; r < ROWS; r++)
        count[r] = WORDS;
    struct lng_select_logits_args args = {
        .x = rig_random(&rig, LNG_DTYPE_F32, ROWS, WIDTH, 1),
        .y = rig_zeros(&rig, LNG_DTYPE_F32, ROWS, WORDS),
        .tokens = rig_array(&rig, tokens, WORDS, 4),
        .first = rig_array(&rig, first, ROWS, 4),
        .count = rig_array(&rig, count, ROWS, 4),
        .token_count = WORDS,
    };
    struct lng_weight *weight;
    struct lng_view table = rig_random(&rig, LNG_DTYPE_F32, WORDS, WIDTH, 1);
    RIG_OK(lng_weight_prepare(rig.device, table, compute, 0, &weight));
    RIG_OK(lng_weight_keep_rows(rig.device, weight));
    RIG_OK(lng_weight_keep_rows(rig.device, weight)); /* which is nothing more */
    args.weight = weight;
    RIG_OK(lng_select_logits(rig.device, &args));
    const float *all = rig_get_array(&rig, args.y.data, ROWS * WORDS, sizeof *all);
    const struct lng_view x = args.x;
    for (int r = 0; r < ROWS; r++) {
        args.x = lng_view_rows(x, r, 1);
        args.y = rig_zeros(&rig, LNG_DTYPE_F32, 1, WORDS);
        RIG_OK(lng_select_logits(rig.device, &args));
        const float *alone = rig_get_array(&rig, args.y.data, WORDS, sizeof *alone);
        cr_assert(memcmp(alone, all + r * WORDS, WORDS * sizeof *alone) == 0, "%s %s row %d",
                  device, lng_dtype_name(compute), r);
    }
    lng_weight_release(rig.device, weight);
    rig_close(&rig);
}

static const enum lng_dtype types[] = {LNG_DTYPE_F32, LNG_DTYPE_BF16, LNG_DTYPE_I8};
static const char *const sets[] = {"base", "avx2", "avx512", "amx"};

/* The instruction sets of this machine, one after the other. */
static void each_set(void (*test)(enum lng_dtype compute))
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct lng_device *device;
        setenv("LNG_CPU_ISA", sets[i], 1);
        if (lng_device_open("cpu", NULL, &device) != LNG_OK)
            continue;
        lng_device_close(device);
        for (size_t t = 0; t < 3; t++)
            test(types[t]);
    }
    unsetenv("LNG_CPU_ISA");
}

static void company(enum lng_dtype compute)
{
    alone_and_in_company("cpu", compute);
}

Test(ops_scores, chosen_logits_alone_and_in_company)
{
    each_set(company);
}

/* a, one of chosen logits, is b, the whole product's: in int8 to the bit, but for those that are refined of either. */
static void compare_chosen(enum lng_dtype compute, int64_t width, int64_t row, const double *a,
                           const double *b, int64_t count)
{
    int64_t others = 0;
    for (int64_t j = 0; j < count; j++) {
        others += a[j] != b[j];
        cr_assert(fabs(a[j] - b[j]) < (compute == LNG_DTYPE_I8 ? 0.02 * sqrt((double)width) : 1e-4),
                  "%s, width %lld, row %lld, logit %lld: %.9g, not %.9g", lng_dtype_name(compute),
                  (long long)width, (long long)row, (long long)j, a[j], b[j]);
    }
    cr_assert(compute != LNG_DTYPE_I8 || others <= (row < 5 ? 0 : 2 * LNG_REFINED),
              "width %lld, row %lld: %lld logits have other bits", (long long)width, (long long)row,
              (long long)others);
}

/* Whatever the width, and after a refresh: int8 logits are the bits of the whole product, others near them. */
static void as_the_product(enum lng_dtype compute)
{
    enum { ROWS = 9, WORDS = 77 };
    static const int64_t widths[] = {1, 3, 64, 127, 512, 1030};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        const int64_t width = widths[i];
        struct rig rig;
        rig_open(&rig, "cpu", 5 + i);
        if (lng_device_supports(rig.device, compute) != LNG_OK) {
            rig_close(&rig);
            return;
        }
        int32_t tokens[WORDS], first[ROWS], count[ROWS];
        for (int32_t j = 0; j < WORDS; j++)
            tokens[j] = j;
        for (int32_t r = 0; r < ROWS; r++) {
            first[r] = r / 5 * 7; /* five rows of one list, and four */
            count[r] = WORDS - first[r];
        }
        struct lng_view table = rig_random(&rig, LNG_DTYPE_F32, WORDS, width, 1);
        struct lng_weight *weight;
        RIG_OK(lng_weight_prepare(rig.device, table, compute, 0, &weight));
        RIG_OK(lng_weight_keep_rows(rig.device, weight));
        const size_t held = lng_weight_bytes(weight);
        double *other = rig_host(&rig, (size_t)(WORDS * width), sizeof *other);
        for (int64_t k = 0; k < WORDS * width; k++)
            other[k] = rig_uniform(&rig) - 0.5;
        rig_write(&rig, table, other);
        RIG_OK(lng_weight_refresh(rig.device, weight));
        cr_assert(lng_weight_bytes(weight) == held);
        struct lng_view x = rig_random(&rig, LNG_DTYPE_F32, ROWS, width, 2);
        struct lng_view bias = rig_random(&rig, LNG_DTYPE_F32, 1, WORDS, 1);
        struct lng_view whole = rig_output(&rig, LNG_DTYPE_F32, ROWS, WORDS);
        struct lng_view y = rig_zeros(&rig, LNG_DTYPE_F32, ROWS, WORDS);
        RIG_OK(lng_linear_fwd(rig.device,
                              &(struct lng_linear_fwd_args){.x = x,
                                                            .weight = weight,
                                                            .bias = bias,
                                                            .y = whole,
                                                            .refine = compute == LNG_DTYPE_I8}));
        RIG_OK(lng_select_logits(rig.device, &(struct lng_select_logits_args){
                                                 .x = x,
                                                 .weight = weight,
                                                 .bias = bias,
                                                 .y = y,
                                                 .tokens = rig_array(&rig, tokens, WORDS, 4),
                                                 .first = rig_array(&rig, first, ROWS, 4),
                                                 .count = rig_array(&rig, count, ROWS, 4),
                                                 .token_count = WORDS,
                                             }));
        const double *want = rig_get(&rig, whole), *got = rig_get(&rig, y);
        for (int64_t r = 0; r < ROWS; r++)
            compare_chosen(compute, width, r, got + r * WORDS, want + r * WORDS + first[r],
                           count[r]);
        lng_weight_release(rig.device, weight);
        rig_close(&rig);
    }
}

Test(ops_scores, chosen_logits_as_the_whole_product)
{
    each_set(as_the_product);
}

/* p = {1/2, 1/4, 1/4} of the first three columns; the fourth does not count in row 0. */
Test(ops_scores, log_probabilities_of_a_mixture)
{
    for (size_t i = 0; i < 2; i++) {
        struct rig rig;
        rig_open(&rig, devices[i], 3);
        const double logits[] = {log(2) + 3, 3, 3, 99, 1, 1, 1, 1};
        const int32_t count[] = {3, 4};
        struct lng_log_probs_args args = {
            .logits = rig_values(&rig, LNG_DTYPE_F32, 2, 4, logits),
            .y = rig_values(&rig, LNG_DTYPE_F32, 2, 4,
                            (const double[]){log(0.1), log(0.2), -1, 0, 0, 0, 0, 0}),
            .count = rig_array(&rig, count, 2, 4),
            .factor = 1,
            .offset = log(0.5),
            .combine = LNG_COMBINE_LOG_ADD,
        };
        RIG_OK(lng_log_probs(rig.device, &args));
        const float *y = rig_get_array(&rig, args.y.data, 8, sizeof *y);
        cr_assert(fabs((double)y[0] - log(0.1 + 0.25)) < 1e-6);
        cr_assert(fabs((double)y[1] - log(0.2 + 0.125)) < 1e-6);
        cr_assert(isinf(y[3]) && y[3] < 0, "%s: what does not count is out", devices[i]);
        cr_assert(fabs((double)y[4] - log(1 + 0.125)) < 1e-6);
        args.combine = LNG_COMBINE_ADD;
        args.factor = 0.25;
        args.offset = 0;
        RIG_OK(lng_log_probs(rig.device, &args));
        y = rig_get_array(&rig, args.y.data, 8, sizeof *y);
        cr_assert(fabs((double)y[0] - (log(0.35) + 0.25 * log(0.5))) < 1e-6);
        rig_close(&rig);
    }
}

/* Of one model with weight 1 the scores, and so the candidates, are the bits that candidates alone gives. */
Test(ops_scores, one_model_is_what_candidates_gives)
{
    enum { ROWS = 5, WORDS = 211, K = 8 };
    for (size_t i = 0; i < 2; i++) {
        struct rig rig;
        rig_open(&rig, devices[i], 4);
        const int32_t offsets[] = {0, 2, 5};
        struct lng_candidates_args args = {
            .logits = rig_random(&rig, LNG_DTYPE_F32, ROWS, WORDS, 4),
            .row_scores = rig_random(&rig, LNG_DTYPE_F32, 1, ROWS, 1).data,
            .row_offsets = rig_array(&rig, offsets, 3, 4),
            .sentences = 2,
            .k = K,
            .out = rig_array(&rig, NULL, 2 * K, sizeof(struct lng_candidate)),
        };
        RIG_OK(lng_candidates(rig.device, &args));
        const struct lng_candidate *want = rig_get_array(&rig, args.out, 2 * K, sizeof *want);
        struct lng_view y = rig_zeros(&rig, LNG_DTYPE_F32, ROWS, WORDS);
        RIG_OK(lng_log_probs(
            rig.device, &(struct lng_log_probs_args){.logits = args.logits, .y = y, .factor = 1}));
        args.logits = y;
        args.normalized = true;
        RIG_OK(lng_candidates(rig.device, &args));
        const struct lng_candidate *found = rig_get_array(&rig, args.out, 2 * K, sizeof *found);
        cr_assert(memcmp(want, found, 2 * K * sizeof *found) == 0, "%s", devices[i]);
        rig_close(&rig);
    }
}

Test(ops_scores, edits)
{
    struct rig rig;
    rig_open(&rig, "cpu", 5);
    const struct lng_score_edit edits[] = {{0, 1, 2, 0}, {1, 0, 0, -INFINITY}, {1, 2, 1, 0.5f}};
    struct lng_edit_scores_args args = {
        .y = rig_values(&rig, LNG_DTYPE_F32, 2, 3, (const double[]){-1, -2, -3, -INFINITY, -5, -6}),
        .edits = rig_array(&rig, edits, 3, sizeof *edits),
        .edit_count = 3,
    };
    RIG_OK(lng_edit_scores(rig.device, &args));
    const float *y = rig_get_array(&rig, args.y.data, 6, sizeof *y);
    const float want[] = {-1, -4, -3, -INFINITY, -5, -5.5f};
    for (int j = 0; j < 6; j++)
        cr_assert(y[j] == want[j], "%d: %g", j, (double)y[j]);
    rig_close(&rig);
}
