/* The CPU's vectorised operations in every instruction set: close to ref, and the same bits with one
 * thread and with several. Each case appends everything its operation wrote to a record. */
#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "host/base/mem.h"
#include "kernels/ops.h"
#include "tests/support/cpu_variants.h"

struct record {
    float *values;
    size_t count, capacity;
};

static void keep(struct record *record, const float *values, size_t count)
{
    cr_assert(lng_grow(&record->values, &record->capacity, record->count + count, sizeof *values) ==
              LNG_OK);
    memcpy(record->values + record->count, values, count * sizeof *values);
    record->count += count;
}

static struct lng_view view(float *data, int64_t rows, int64_t cols)
{
    return lng_view_make(data, LNG_DTYPE_F32, rows, cols);
}

static const struct lng_view absent;

#define RUN(expression) cr_assert((expression) == LNG_OK, "%s", lng_error_message())

/* Rows, width: awkward ones, and some past the blocks of the kernels. */
static const int64_t sizes[][2] = {{1, 1}, {3, 97}, {65, 128}, {40, 239}, {2, 1000}, {300, 33}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static uint32_t *numbers(int64_t count, uint32_t modulus)
{
    uint32_t *values = lng_alloc((size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (uint32_t)(i * 7 + 3) % modulus;
    return values;
}

static struct lng_dropout dropout(double probability, uint32_t *sentence, uint32_t *position)
{
    return (struct lng_dropout){probability, {0x123456789ABCDEF0u, 5, 77}, sentence, position};
}

static void norm_case(struct lng_device *device, int64_t rows, int64_t width, int mode,
                      struct record *record)
{
    const size_t n = (size_t)(rows * width), w = (size_t)width;
    float *x = cpu_random(n, 2, 1), *r = cpu_random(n, 1, 2), *gamma = cpu_random(w, 1, 3);
    float *beta = cpu_random(w, 1, 4), *y = cpu_random(n, 0, 0), *sum = cpu_random(n, 0, 0);
    float *mean = cpu_random((size_t)rows, 0, 0), *rstd = cpu_random((size_t)rows, 0, 0);
    float *d_y = cpu_random(n, 1, 5), *d_sum = cpu_random(n, 1, 6);
    float *d_r = cpu_random(n, 0, 0), *d_x = cpu_random(n, 0, 0);
    float *d_gamma = cpu_random(w, 1, 7), *d_beta = cpu_random(w, 1, 8);
    uint32_t *ids = numbers(rows, 5), *positions = numbers(rows, 50);
    enum lng_norm kind = mode % 3;
    bool rms = kind == LNG_NORM_RMS, drop = mode >= 3;
    struct lng_norm_fwd_args fwd = {.x = view(x, rows, width),
                                    .residual = mode == 4 ? absent : view(r, rows, width),
                                    .gamma = view(gamma, 1, width),
                                    .beta = rms ? absent : view(beta, 1, width),
                                    .y = view(y, rows, width),
                                    .sum = view(sum, rows, width),
                                    .mean = mean,
                                    .rstd = rstd,
                                    .kind = kind,
                                    .epsilon = 1e-5,
                                    .dropout = dropout(drop ? 0.3 : 0, ids, positions)};
    RUN(lng_norm_fwd(device, &fwd));
    struct lng_norm_bwd_args bwd = {.sum = fwd.sum,
                                    .gamma = fwd.gamma,
                                    .d_y = view(d_y, rows, width),
                                    .d_sum = mode & 1 ? view(d_sum, rows, width) : absent,
                                    .d_residual = view(d_r, rows, width),
                                    .d_x = view(d_x, rows, width),
                                    .d_gamma = view(d_gamma, 1, width),
                                    .d_beta = rms ? absent : view(d_beta, 1, width),
                                    .mean = mean,
                                    .rstd = rstd,
                                    .kind = kind,
                                    .epsilon = 1e-5,
                                    .dropout = fwd.dropout};
    if (width > 1 ||
        kind != LNG_NORM_LAYER) /* one unit has no variance: rstd 316 magnifies noise */
        RUN(lng_norm_bwd(device, &bwd));
    float *all[] = {y, sum, d_r, d_x};
    for (int i = 0; i < 4; i++)
        keep(record, all[i], n);
    keep(record, d_gamma, w);
    keep(record, d_beta, w);
    void *used[] = {x,   r,     gamma, beta, y,       sum,    mean, rstd,
                    d_y, d_sum, d_r,   d_x,  d_gamma, d_beta, ids,  positions};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        lng_free(used[i]);
}

static void embed_case(struct lng_device *device, int64_t rows, int64_t width, int mode,
                       struct record *record)
{
    enum { WORDS = 20, PLACES = 30 };
    const size_t n = (size_t)(rows * width), w = (size_t)width;
    float *table = cpu_random(WORDS * w, 1, 1), *places = cpu_random(PLACES * w, 1, 2);
    float *y = cpu_random(n, 0, 0), *d_y = cpu_random(n, 1, 3);
    float *d_table = cpu_random(WORDS * w, 1, 4), *d_places = cpu_random(PLACES * w, 1, 5);
    uint32_t *ids = numbers(rows, 5), *positions = numbers(rows, PLACES);
    int32_t *words = (int32_t *)numbers(rows, WORDS);
    words[rows / 2] = -1;
    struct lng_embed_fwd_args fwd = {.table = view(table, WORDS, width),
                                     .position_table =
                                         mode == 1 ? absent : view(places, PLACES, width),
                                     .y = view(y, rows, width),
                                     .ids = words,
                                     .positions = (int32_t *)positions,
                                     .scale = 3.5,
                                     .dropout = dropout(mode >= 2 ? 0.25 : 0, ids, positions),
                                     .word_dropout = dropout(mode == 3 ? 0.4 : 0, ids, positions)};
    RUN(lng_embed_fwd(device, &fwd));
    struct lng_embed_bwd_args bwd = {.d_y = view(d_y, rows, width),
                                     .d_table = view(d_table, WORDS, width),
                                     .d_position_table =
                                         mode == 1 ? absent : view(d_places, PLACES, width),
                                     .ids = words,
                                     .positions = (int32_t *)positions,
                                     .scale = 3.5,
                                     .dropout = fwd.dropout,
                                     .word_dropout = fwd.word_dropout};
    RUN(lng_embed_bwd(device, &bwd));
    keep(record, y, n);
    keep(record, d_table, WORDS * w);
    keep(record, d_places, PLACES * w);
    void *used[] = {table, places, y, d_y, d_table, d_places, ids, positions, words};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        lng_free(used[i]);
}

static void activation_case(struct lng_device *device, int64_t rows, int64_t width, int mode,
                            struct record *record)
{
    const size_t n = (size_t)(rows * width);
    float *x = cpu_random(n, 6, 1), *y = cpu_random(n, 0, 0), *d_y = cpu_random(n, 1, 2);
    float *d_x = cpu_random(n, 0, 0);
    uint32_t *ids = numbers(rows, 5), *positions = numbers(rows, 50);
    struct lng_activation_fwd_args fwd = {.x = view(x, rows, width),
                                          .y = view(y, rows, width),
                                          .activation = mode / 2,
                                          .dropout = dropout(mode & 1 ? 0.5 : 0, ids, positions)};
    RUN(lng_activation_fwd(device, &fwd));
    struct lng_activation_bwd_args bwd = {.x = view(x, rows, width),
                                          .d_y = view(d_y, rows, width),
                                          .d_x = view(d_x, rows, width),
                                          .activation = mode / 2,
                                          .dropout = fwd.dropout};
    RUN(lng_activation_bwd(device, &bwd));
    keep(record, y, n);
    keep(record, d_x, n);
    void *used[] = {x, y, d_y, d_x, ids, positions};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        lng_free(used[i]);
}

static void loss_case(struct lng_device *device, int64_t rows, int64_t width, int mode,
                      struct record *record)
{
    const size_t n = (size_t)(rows * width);
    float *x = cpu_random(n, 5, 1), *logprob = cpu_random((size_t)rows, 0, 0);
    int32_t *targets = (int32_t *)numbers(rows, (uint32_t)width);
    double sums[3] = {1, 2, 3};
    for (int64_t i = 0; i < rows; i += 3) /* some rows that are right, and some ties */
        x[i * width + targets[i]] = 6;
    if (width > 5)
        x[3] = x[width - 1] = 6;
    struct lng_loss_args args = {.logits = view(x, rows, width),
                                 .targets = targets,
                                 .sums = sums,
                                 .token_logprob = logprob,
                                 .smoothing = mode & 1 ? 0.1 : 0,
                                 .kind = mode & 2 ? LNG_SMOOTHING_OTHERS : LNG_SMOOTHING_UNIFORM,
                                 .d_logits = !(mode & 4),
                                 .gradient_scale = 0.5};
    RUN(lng_loss(device, &args));
    float single[3] = {(float)sums[0], (float)sums[1], (float)sums[2]};
    keep(record, single, 3);
    keep(record, x, n);
    keep(record, logprob, (size_t)rows);
    lng_free(x);
    lng_free(logprob);
    lng_free(targets);
}

static void pair_loss_case(struct lng_device *device, int64_t rows, int64_t width, int mode,
                           struct record *record)
{
    const size_t n = (size_t)(2 * rows * width);
    float *x = cpu_random(n, 5, 1);
    int32_t *targets = (int32_t *)numbers(rows, (uint32_t)width);
    double sums[3] = {1, 2, 3};
    for (int64_t i = 0; i < rows; i += 3)
        x[i * width + targets[i]] = 6;
    struct lng_pair_loss_args args = {.logits = view(x, 2 * rows, width),
                                      .targets = targets,
                                      .sums = sums,
                                      .smoothing = mode & 1 ? 0.1 : 0,
                                      .kind =
                                          mode & 2 ? LNG_SMOOTHING_OTHERS : LNG_SMOOTHING_UNIFORM,
                                      .divergence = mode & 4 ? 5 : 0.5,
                                      .gradient_scale = 0.5};
    RUN(lng_pair_loss(device, &args));
    float single[3] = {(float)sums[0], (float)sums[1], (float)sums[2]};
    keep(record, single, 3);
    keep(record, x, n);
    lng_free(x);
    lng_free(targets);
}

static void candidates_case(struct lng_device *device, int64_t rows, int64_t width, int mode,
                            struct record *record)
{
    enum { BEST = 7 };
    const size_t n = (size_t)(rows * width);
    float *x = cpu_random(n, 4, 1), *scores = cpu_random((size_t)rows, 3, 2);
    for (size_t i = 0; i < n; i++) /* many ties */
        x[i] = mode == 1 ? (float)(int)x[i] : x[i];
    int32_t offsets[4] = {0, (int32_t)(rows / 2), (int32_t)(rows / 2), (int32_t)rows};
    int32_t *forced = (int32_t *)numbers(rows, (uint32_t)width), banned[2] = {0, 5};
    uint8_t *eos_banned = lng_alloc((size_t)rows, 1);
    for (int64_t i = 0; i < rows; i++) {
        eos_banned[i] = i % 2;
        if (i % 3)
            forced[i] = -1;
    }
    struct lng_candidate out[3 * BEST];
    struct lng_candidates_args args = {.logits = view(x, rows, width),
                                       .row_scores = scores,
                                       .row_offsets = offsets,
                                       .forced = mode == 2 ? forced : NULL,
                                       .banned = banned,
                                       .banned_count = mode == 3 ? 2 : 0,
                                       .eos_banned = mode == 3 ? eos_banned : NULL,
                                       .eos = (int32_t)width / 2,
                                       .sentences = 3,
                                       .k = BEST,
                                       .out = out};
    RUN(lng_candidates(device, &args));
    for (int i = 0; i < 3 * BEST; i++) {
        float single[4] = {out[i].score, out[i].logprob, (float)out[i].row * 1000,
                           (float)out[i].token * 1000};
        keep(record, single, 4);
    }
    lng_free(x);
    lng_free(scores);
    lng_free(forced);
    lng_free(eos_banned);
}

static void flat_case(struct lng_device *device, int64_t rows, int64_t width, int mode,
                      struct record *record)
{
    const int64_t n = rows * width * (mode == 2 ? 11 : 1);
    const size_t count = (size_t)n;
    float *p = cpu_random(count, 1, 1), *m = cpu_random(count, 1, 2), *v = cpu_random(count, 1, 3);
    float *g = cpu_random(count, 1, 4), *ema = cpu_random(count, 1, 5);
    for (int64_t i = 0; i < n; i++)
        v[i] = v[i] * v[i];
    struct lng_adam_args adam = {p,    m,    v,    g,    mode ? ema : NULL, n,
                                 1e-2, 0.9,  0.98, 1e-9, mode ? 0.1 : 0,    0.5,
                                 0.1,  0.02, 0.25, NULL};
    RUN(lng_adam(device, &adam));
    float *all[] = {p, m, v, ema};
    for (int i = 0; i < 4; i++)
        keep(record, all[i], count);
    if (mode == 1)
        g[n / 2] = INFINITY;
    double out[2] = {7, 7};
    RUN(lng_gradient_stats(device,
                           &(struct lng_gradient_stats_args){.grad = g, .n = n, .out = out}));
    float single[2] = {(float)out[0], (float)out[1]};
    keep(record, single, 2);
    g[n / 2] = 0;
    RUN(lng_average(device, &(struct lng_average_args){m, g, n, 0.3}));
    RUN(lng_scale(device, &(struct lng_scale_args){view(v, 1, n), 0.7}));
    RUN(lng_add(device, &(struct lng_add_args){view(g, 1, n), view(ema, 1, n)}));
    keep(record, m, count);
    keep(record, v, count);
    keep(record, ema, count);
    RUN(lng_copy(device, &(struct lng_copy_args){.x = view(g, 1, n), .y = view(m, 1, n)}));
    keep(record, m, count);
    RUN(lng_fill(device, &(struct lng_fill_args){lng_view_cols(view(m, rows, n / rows), 0, 1), 3}));
    keep(record, m, count);
    for (int i = 0; i < 4; i++)
        lng_free(all[i]);
    lng_free(g);
}

/* Sentences with and without words; a width a head that asks for packing, and one that does not. */
static void attention_case(struct lng_device *device, int64_t rows, int64_t width, int mode,
                           struct record *record)
{
    const int64_t heads = mode & 1 ? 2 : 3, dim = heads * (width > 100 ? 32 : width);
    const int64_t keys = mode & 2 ? rows : rows + 20;
    const size_t nq = (size_t)(rows * dim), nk = (size_t)(keys * dim);
    float *q = cpu_random(nq, 1, 1), *k = cpu_random(nk, 1, 2), *v = cpu_random(nk, 1, 3);
    float *o = cpu_random(nq, 0, 0), *lse = cpu_random((size_t)(rows * heads), 0, 0);
    float *d_o = cpu_random(nq, 1, 4), *d_q = cpu_random(nq, 9, 5), *d_k = cpu_random(nk, 9, 6);
    float *d_v = cpu_random(nk, 9, 7);
    int32_t third = (int32_t)rows / 3, cut = mode & 2 ? third : third / 2;
    int32_t q_offsets[] = {0, third, third, (int32_t)rows};
    int32_t k_offsets[] = {0, cut, mode & 2 ? third : cut + 1, (int32_t)keys};
    uint32_t ids[3] = {4, 9, 1};
    struct lng_rng_site rng = {99, 3, 12};
    float *vector = cpu_random((size_t)dim, 1, 8), *d_vector = cpu_random((size_t)dim, 1, 9);
    enum lng_attention_score score = mode & 8 ? LNG_ATTENTION_ADDITIVE : LNG_ATTENTION_DOT;
    struct lng_attention_fwd_args fwd = {.q = view(q, rows, dim),
                                         .k = view(k, keys, dim),
                                         .v = view(v, keys, dim),
                                         .o = view(o, rows, dim),
                                         .q_offsets = q_offsets,
                                         .k_offsets = k_offsets,
                                         .sentence_ids = ids,
                                         .lse = lse,
                                         .sentences = 3,
                                         .heads = heads,
                                         .causal = mode & 2,
                                         .scale = 0.4,
                                         .dropout = mode & 4 ? 0.2 : 0,
                                         .rng = rng,
                                         .score = score,
                                         .score_vector = view(vector, 1, dim)};
    RUN(lng_attention_fwd(device, &fwd));
    struct lng_attention_bwd_args bwd = {.q = fwd.q,
                                         .k = fwd.k,
                                         .v = fwd.v,
                                         .o = fwd.o,
                                         .d_o = view(d_o, rows, dim),
                                         .d_q = view(d_q, rows, dim),
                                         .d_k = view(d_k, keys, dim),
                                         .d_v = view(d_v, keys, dim),
                                         .q_offsets = q_offsets,
                                         .k_offsets = k_offsets,
                                         .sentence_ids = ids,
                                         .lse = lse,
                                         .sentences = 3,
                                         .heads = heads,
                                         .causal = mode & 2,
                                         .scale = 0.4,
                                         .dropout = fwd.dropout,
                                         .rng = rng,
                                         .score = score,
                                         .score_vector = view(vector, 1, dim),
                                         .d_score_vector = view(d_vector, 1, dim)};
    RUN(lng_attention_bwd(device, &bwd));
    keep(record, o, nq);
    keep(record, lse, (size_t)(rows * heads));
    keep(record, d_q, nq);
    keep(record, d_k, nk);
    keep(record, d_v, nk);
    keep(record, d_vector, (size_t)dim);
    void *used[] = {q, k, v, o, lse, d_o, d_q, d_k, d_v, vector, d_vector};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        lng_free(used[i]);
}

static void step_case(struct lng_device *device, int64_t rows, int64_t width, int mode,
                      struct record *record)
{
    enum { STEPS = 37 };
    const int64_t heads = 2, dim = heads * (width > 100 ? 64 : width), slots = rows + 2;
    const size_t n = (size_t)(rows * dim), cache = (size_t)(slots * STEPS * dim);
    float *q = cpu_random(n, 1, 1), *new_k = cpu_random(n, 1, 2), *new_v = cpu_random(n, 1, 3);
    float *k = cpu_random(cache, 1, 4), *v = cpu_random(cache, 1, 5), *o = cpu_random(n, 0, 0);
    float *weights = cpu_random((size_t)(rows * STEPS), 0, 0);
    float *vector = cpu_random((size_t)dim, 1, 8);
    int32_t *ancestor = (int32_t *)numbers(rows * STEPS, (uint32_t)slots);
    int32_t *count = lng_alloc((size_t)rows, 4), *start = lng_alloc((size_t)rows, 4);
    for (int64_t r = 0; r < rows; r++) {
        count[r] = (int32_t)(r * 5 + (mode & 2 ? 16 : 1)) % (STEPS + 1);
        start[r] = (int32_t)(r % 3);
        for (int64_t s = 0; s < STEPS; s++) /* the newest slot is the row's own */
            ancestor[r * STEPS + s] =
                s + 1 == count[r] ? (int32_t)r : ancestor[r * STEPS + s] % 2 + (int32_t)rows;
    }
    struct lng_attention_step_args args = {.q = view(q, rows, dim),
                                           .k_cache = view(k, slots * STEPS, dim),
                                           .v_cache = view(v, slots * STEPS, dim),
                                           .o = view(o, rows, dim),
                                           .key_count = count,
                                           .slots = slots,
                                           .heads = heads,
                                           .scale = 0.3,
                                           .weights = mode & 2 ? weights : NULL,
                                           .weights_stride = STEPS,
                                           .first_head = 0,
                                           .score = mode & 4 ? LNG_ATTENTION_ADDITIVE
                                                             : LNG_ATTENTION_DOT,
                                           .score_vector = view(vector, 1, dim),
                                           .head_count = 2};
    if (mode & 1) {
        args.key_start = start;
    } else {
        args.new_k = view(new_k, rows, dim);
        args.new_v = view(new_v, rows, dim);
        args.ancestor = ancestor;
        args.ancestor_stride = STEPS;
    }
    RUN(lng_attention_step(device, &args));
    keep(record, o, n);
    keep(record, k, cache);
    keep(record, weights, (size_t)(rows * STEPS));
    void *used[] = {q, new_k, new_v, k, v, o, weights, ancestor, count, start, vector};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        lng_free(used[i]);
}

typedef void case_function(struct lng_device *, int64_t rows, int64_t width, int mode,
                           struct record *);

static void check_case(const char *name, case_function *run, int modes, double tolerance,
                       double absolute)
{
    struct lng_device *ref = NULL, *devices[CPU_VARIANTS];
    RUN(lng_device_open("ref", NULL, &ref));
    for (int v = 0; v < CPU_VARIANTS; v++)
        devices[v] = cpu_variant_open(v);
    for (int i = 0; i < SIZES; i++)
        for (int mode = 0; mode < modes; mode++) {
            struct record want = {0}, got[CPU_VARIANTS] = {{0}};
            run(ref, sizes[i][0], sizes[i][1], mode, &want);
            for (int v = 0; v < CPU_VARIANTS; v++) {
                if (!devices[v])
                    continue;
                run(devices[v], sizes[i][0], sizes[i][1], mode, &got[v]);
                double error = cpu_worst(got[v].values, want.values, want.count, absolute);
                cr_assert(got[v].count == want.count && error < tolerance,
                          "%s [%d, %d] mode %d on %s: error %g", name, (int)sizes[i][0],
                          (int)sizes[i][1], mode, cpu_variant_name(v), error);
                const struct record *one = &got[v % CPU_ISAS];
                cr_assert(!memcmp(one->values, got[v].values, want.count * sizeof(float)),
                          "%s [%d, %d] mode %d: bits differ with threads on %s", name,
                          (int)sizes[i][0], (int)sizes[i][1], mode, cpu_variant_name(v));
            }
            for (int v = 0; v < CPU_VARIANTS; v++)
                lng_free(got[v].values);
            lng_free(want.values);
        }
    for (int v = 0; v < CPU_VARIANTS; v++)
        lng_device_close(devices[v]);
    lng_device_close(ref);
}

Test(cpu_ops, norm)
{
    check_case("norm", norm_case, 6, 3e-5, 1);
}
Test(cpu_ops, embed)
{
    check_case("embed", embed_case, 4, 1e-5, 1);
}
Test(cpu_ops, activation)
{
    check_case("activation", activation_case, 12, 1e-5, 1);
}
Test(cpu_ops, loss)
{
    check_case("loss", loss_case, 8, 1e-5, 1);
}
Test(cpu_ops, pair_loss)
{
    check_case("pair_loss", pair_loss_case, 8, 1e-5, 1);
}
Test(cpu_ops, candidates)
{
    check_case("candidates", candidates_case, 4, 2e-6, 1);
}
Test(cpu_ops, flat)
{
    check_case("flat", flat_case, 3, 1e-5, 1);
}
Test(cpu_ops, attention)
{
    check_case("attention", attention_case, 16, 4e-5, 1);
}
Test(cpu_ops, attention_step)
{
    check_case("attention_step", step_case, 8, 1e-5, 1);
}
