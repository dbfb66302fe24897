/* What a step of decoding has of its own on the CPU, in every instruction set: candidates that compute their logits, and
 * attention of rows that share keys, to caches in bf16. Close to ref, and the same bits however the work was cut. */
#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "host/base/bf16.h"
#include "host/base/mem.h"
#include "kernels/backend.h"
#include "kernels/ops.h"
#include "tests/support/check.h"
#include "tests/support/cpu_variants.h"

static struct lng_view view(void *data, int64_t rows, int64_t cols, int64_t stride)
{
    return (struct lng_view){data, LNG_DTYPE_F32, rows, cols, stride};
}

static void open_all(struct lng_device **ref, struct lng_device *devices[CPU_VARIANTS])
{
    check_ok(lng_device_open("ref", NULL, ref));
    for (int v = 0; v < CPU_VARIANTS; v++)
        devices[v] = cpu_variant_open(v);
}

static void close_all(struct lng_device *ref, struct lng_device *devices[CPU_VARIANTS])
{
    for (int v = 0; v < CPU_VARIANTS; v++)
        lng_device_close(devices[v]);
    lng_device_close(ref);
}

/* ---- candidates ---- */

enum { BEAM = 4, K = 2 * BEAM, EOS = 1, LARGEST_ROWS = 300, LARGEST_WORDS = 1000 };
enum { PLAIN, RESTRICTED, TIES, CLIFFS, NOT_A_NUMBER, INFINITE, SCORES, MODES };
static const char *const modes[] = {"plain",        "restricted", "ties",  "cliffs",
                                    "not a number", "infinite",   "scores"};

/* Neither rows nor columns are multiples of any block or panel, but for the last. */
struct shape {
    int64_t rows, dim, words;
};
static const struct shape shapes[] = {
    {1, 16, 3},   {7, 33, 300}, {13, 1100, 65}, {160, 40, 517}, {LARGEST_ROWS, 24, LARGEST_WORDS},
    {48, 64, 512}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

struct case_data {
    struct shape s;
    int mode;
    float *x, *w, *bias, *scores;
    int32_t offsets[LARGEST_ROWS + 2], forced[LARGEST_ROWS], banned[3];
    uint8_t no_eos[LARGEST_ROWS];
    int64_t sentences;
};

static struct case_data *case_open(struct shape s, int mode)
{
    struct case_data *c = lng_alloc(1, sizeof *c);
    c->s = s;
    c->mode = mode;
    c->x = cpu_random((size_t)(s.rows * (s.dim + 3)), 1, 1);
    c->w = cpu_random((size_t)(s.words * s.dim), 1, 2);
    c->bias = cpu_random((size_t)s.words, 2, 3);
    c->scores = cpu_random((size_t)s.rows, 3, 4);
    for (int64_t r = 0; r < s.rows; r++) {
        c->forced[r] = r % 5 == 3 ? (int32_t)(r * 37 % s.words) : -1;
        c->no_eos[r] = r % 3 == 0;
    }
    for (int i = 0; i < 3; i++)
        c->banned[i] = (int32_t)(i * 259 % s.words);
    while (c->offsets[c->sentences] < s.rows) { /* beams of 4, with one that has no rows */
        const int64_t first = c->offsets[c->sentences], left = s.rows - first;
        const int64_t rows = c->sentences == 1 ? 0 : left < BEAM ? left : BEAM;
        c->offsets[++c->sentences] = (int32_t)(first + rows);
    }
    for (int64_t t = 0; t < s.words; t++) {
        if (mode == TIES) { /* equal logits near and far */
            memcpy(c->w + t * s.dim, c->w + t % 7 * s.dim, (size_t)s.dim * sizeof *c->w);
            c->bias[t] = c->bias[t % 7];
        }
        if (mode == CLIFFS && (t / 256 == 1 || t % 11 == 2))
            c->bias[t] = t % 2 ? -INFINITY : 1e30f;
    }
    if (mode == NOT_A_NUMBER || mode == INFINITE)
        c->bias[s.words * 2 / 3] = mode == INFINITE ? INFINITY : NAN;
    return c;
}

static void case_close(struct case_data *c)
{
    void *used[] = {c->x, c->w, c->bias, c->scores, c};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        lng_free(used[i]);
}

static struct lng_candidates_args candidates_of(const struct case_data *c,
                                                struct lng_candidate *out)
{
    struct lng_candidates_args args = {.logits = view(NULL, c->s.rows, c->s.words, c->s.words),
                                       .x = view(c->x, c->s.rows, c->s.dim, c->s.dim + 3),
                                       .row_scores = c->scores,
                                       .row_offsets = c->offsets,
                                       .eos = EOS,
                                       .sentences = c->sentences,
                                       .k = K,
                                       .out = out};
    args.normalized = c->mode == SCORES;
    if (c->mode != PLAIN)
        args.bias = view(c->bias, 1, c->s.words, c->s.words);
    if (c->mode == RESTRICTED) {
        args.forced = c->forced;
        args.banned = c->banned;
        args.banned_count = 3;
        args.eos_banned = c->no_eos;
    }
    return args;
}

static struct lng_candidate *outputs(const struct case_data *c)
{
    struct lng_candidate *out = lng_alloc((size_t)(c->sentences * K), sizeof *out);
    memset(out, 0xFF, (size_t)(c->sentences * K) * sizeof *out);
    return out;
}

/* From stored logits, or as they are made; lng_free. */
static struct lng_candidate *run(struct lng_device *device, const struct case_data *c,
                                 enum lng_dtype compute, bool stored)
{
    struct lng_candidate *out = outputs(c);
    struct lng_candidates_args args = candidates_of(c, out);
    struct lng_weight *weight;
    float *logits = NULL;
    check_ok(lng_weight_prepare(device, view(c->w, c->s.words, c->s.dim, c->s.dim), compute,
                                LNG_WEIGHT_INFERENCE, &weight));
    args.weight = weight;
    if (stored) {
        const int64_t stride = c->s.words + 5;
        logits = cpu_random((size_t)(c->s.rows * stride), 0, 0);
        args.logits = view(logits, c->s.rows, c->s.words, stride);
        check_ok(lng_linear_fwd(device,
                                &(struct lng_linear_fwd_args){.x = args.x,
                                                              .weight = weight,
                                                              .bias = args.bias,
                                                              .y = args.logits,
                                                              .refine = compute == LNG_DTYPE_I8}));
        args.x = args.bias = (struct lng_view){0};
        args.weight = NULL;
    }
    check_ok(lng_candidates(device, &args));
    /* A sentence alone has the same ones. */
    const int64_t last = c->sentences - 1, first = c->offsets[last];
    struct lng_candidate alone[K];
    const int32_t offsets[] = {0, c->offsets[c->sentences] - c->offsets[last]};
    args.logits.rows = args.x.rows = offsets[1];
    if (stored)
        args.logits =
            lng_view_rows(view(logits, c->s.rows, c->s.words, c->s.words + 5), first, offsets[1]);
    else
        args.x = view(c->x + first * (c->s.dim + 3), offsets[1], c->s.dim, c->s.dim + 3);
    args.row_scores += first;
    args.row_offsets = offsets;
    args.forced = args.forced ? args.forced + first : NULL;
    args.eos_banned = args.eos_banned ? args.eos_banned + first : NULL;
    args.sentences = 1;
    args.out = alone;
    check_ok(lng_candidates(device, &args));
    for (int i = 0; i < K; i++) {
        alone[i].row += alone[i].token >= 0 ? (int32_t)first : 0;
        cr_assert(memcmp(&alone[i], &out[last * K + i], sizeof alone[i]) == 0,
                  "%s, %s: a sentence alone differs", lng_dtype_name(compute), modes[c->mode]);
    }
    lng_weight_release(device, weight);
    lng_free(logits);
    return out;
}

/* Best first; of equal ones the earlier row and token; no number that is none. */
static void check_order(const struct case_data *c, const struct lng_candidate *out)
{
    for (int64_t i = 0; i < c->sentences * K; i++) {
        const struct lng_candidate *a = &out[i], *b = a + 1;
        cr_assert((a->token < 0) == !(a->score > -INFINITY));
        if (i % K == K - 1 || b->token < 0)
            continue;
        cr_assert(a->score > b->score ||
                  (a->score == b->score &&
                   (a->row < b->row || (a->row == b->row && a->token < b->token))));
    }
}

/* Without AVX512_BF16 there are no bf16 products. */
static bool computes(const struct lng_device *device, enum lng_dtype compute)
{
    return lng_device_supports(device, compute) == LNG_OK;
}

/* The same candidates in the same order; log-sum-exps are corrected by what is refined, or summed of it. */
static bool are_alike(const struct lng_candidate *a, const struct lng_candidate *b, size_t count)
{
    bool alike = true;
    for (size_t i = 0; i < count; i++)
        alike &= a[i].row == b[i].row && a[i].token == b[i].token &&
                 (a[i].token < 0 || fabs(a[i].score - b[i].score) <= 1e-6 * (1 + fabs(b[i].score)));
    return alike;
}

static void check_candidates(enum lng_dtype compute, double tolerance)
{
    struct lng_device *ref, *devices[CPU_VARIANTS];
    open_all(&ref, devices);
    for (int i = 0; i < SHAPES; i++)
        for (int mode = 0; mode < MODES; mode++) {
            struct case_data *c = case_open(shapes[i], mode);
            const size_t count = (size_t)(c->sentences * K);
            struct lng_candidate *want = run(ref, c, compute, false), *one[CPU_ISAS] = {0};
            for (int v = 0; v < CPU_VARIANTS; v++) {
                if (devices[v] == NULL || !computes(devices[v], compute))
                    continue;
                struct lng_candidate *made = run(devices[v], c, compute, false);
                struct lng_candidate *stored = run(devices[v], c, compute, true);
                cr_assert(compute == LNG_DTYPE_I8 ? are_alike(made, stored, count)
                                                  : memcmp(made, stored, count * sizeof *made) == 0,
                          "%s, %d rows, %d words, %s, %s: stored logits have other bits",
                          lng_dtype_name(compute), (int)c->s.rows, (int)c->s.words, modes[mode],
                          cpu_variant_name(v));
                cr_assert(v < CPU_ISAS ||
                              memcmp(made, one[v % CPU_ISAS], count * sizeof *made) == 0,
                          "%s, %s: bits differ with threads on %s", lng_dtype_name(compute),
                          modes[mode], cpu_variant_name(v));
                check_order(c, made);
                for (size_t n = 0; n < count; n++) /* of equal logits, which are ref's too */
                    cr_assert(mode == TIES ? memcmp(&made[n].row, &want[n].row, 8) == 0
                                           : (made[n].token < 0) == (want[n].token < 0),
                              "%s, %s, %s: candidate %d of ref's %d", lng_dtype_name(compute),
                              modes[mode], cpu_variant_name(v), made[n].token, want[n].token);
                for (size_t n = 0; n < count; n++)
                    cr_assert(made[n].token < 0 || fabs(made[n].score - want[n].score) <=
                                                       tolerance * (1 + fabs(want[n].score)),
                              "%s, %s, %s: %.9g, not %.9g", lng_dtype_name(compute), modes[mode],
                              cpu_variant_name(v), made[n].score, want[n].score);
                lng_free(stored);
                if (v < CPU_ISAS)
                    one[v] = made;
                else
                    lng_free(made);
            }
            for (int v = 0; v < CPU_ISAS; v++)
                lng_free(one[v]);
            lng_free(want);
            case_close(c);
        }
    close_all(ref, devices);
}

Test(cpu_decoding, candidates_f32)
{
    check_candidates(LNG_DTYPE_F32, 2e-5);
}
Test(cpu_decoding, candidates_bf16)
{
    check_candidates(LNG_DTYPE_BF16, 2e-5);
}
Test(cpu_decoding, candidates_i8)
{
    check_candidates(LNG_DTYPE_I8, 2e-5);
}

/* x . w + bias with w as int8 has it and x as it is. */
static double exact_logit(const struct case_data *c, int64_t row, int64_t token)
{
    const float *x = c->x + row * (c->s.dim + 3), *w = c->w + token * c->s.dim;
    float highest = 0;
    double sum = c->bias[token];
    for (int64_t i = 0; i < c->s.dim; i++)
        highest = fabsf(w[i]) > highest ? fabsf(w[i]) : highest;
    for (int64_t i = 0; i < c->s.dim; i++)
        sum += (double)x[i] * (rint((double)(w[i] * (127 / highest))) * (highest / 127));
    return sum;
}

/* Of a row's two best, which are among the refined, log-probabilities differ as exact logits do. */
static int compare_refined(const struct case_data *c, const struct lng_candidate *out,
                           const char *name)
{
    int compared = 0;
    for (int64_t r = 0; r < c->s.rows; r++) {
        const struct lng_candidate *two[2] = {0};
        for (int64_t i = 0; i < c->sentences * K; i++)
            if (out[i].token >= 0 && out[i].row == r && two[1] == NULL)
                two[two[0] != NULL] = &out[i];
        if (two[1] == NULL)
            continue;
        const double want = exact_logit(c, r, two[0]->token) - exact_logit(c, r, two[1]->token);
        cr_assert(fabs(two[0]->logprob - two[1]->logprob - want) < 2e-5 * (1 + fabs(want)),
                  "%s, row %d: %g, not %g", name, (int)r, two[0]->logprob - two[1]->logprob, want);
        compared++;
    }
    return compared;
}

Test(cpu_decoding, int8_candidates_are_refined)
{
    struct lng_device *ref, *devices[CPU_VARIANTS];
    open_all(&ref, devices);
    struct case_data *c = case_open((struct shape){40, 64, 700}, PLAIN);
    memset(c->bias, 0, (size_t)c->s.words * sizeof *c->bias); /* PLAIN goes without */
    for (int v = -1; v < CPU_VARIANTS; v++) {
        struct lng_device *device = v < 0 ? ref : devices[v];
        if (device == NULL)
            continue;
        struct lng_candidate *out = run(device, c, LNG_DTYPE_I8, false);
        cr_assert(compare_refined(c, out, v < 0 ? "ref" : cpu_variant_name(v)) > 9);
        lng_free(out);
    }
    case_close(c);
    close_all(ref, devices);
}

Test(cpu_decoding, candidates_refuse)
{
    struct lng_device *device = cpu_open(2);
    struct case_data *c = case_open((struct shape){5, 16, 40}, RESTRICTED);
    struct lng_candidate *out = outputs(c);
    struct lng_weight *weight;
    check_ok(lng_weight_prepare(device, view(c->w, 40, 16, 16), LNG_DTYPE_F32, LNG_WEIGHT_INFERENCE,
                                &weight));
    struct lng_candidates_args good = candidates_of(c, out), bad;
    good.weight = weight;
    cr_assert(lng_device_fuses_logits(device));
    check_ok(lng_candidates(device, &good));
#define REFUSE(code, part, ...)                                          \
    do {                                                                 \
        bad = good;                                                      \
        __VA_ARGS__;                                                     \
        check_fails(lng_candidates(device, &bad), LNG_ERR_##code, part); \
    } while (0)
    REFUSE(SHAPE, "logits: expected 40 columns", bad.logits.cols = 39);
    REFUSE(SHAPE, "x: ", bad.x.cols = 15);
    REFUSE(SHAPE, "x: ", bad.x.rows = 4);
    REFUSE(SHAPE, "x: ", bad.x.data = NULL);
    REFUSE(SHAPE, "bias: ", bad.bias.cols = 41);
    REFUSE(DTYPE, "bias: ", bad.bias.dtype = LNG_DTYPE_BF16);
    REFUSE(DTYPE, "x: ", bad.x.dtype = LNG_DTYPE_I8);
    REFUSE(DTYPE, "logits: expected f32, as x", bad.logits.dtype = LNG_DTYPE_BF16);
    REFUSE(UNSUPPORTED, "x: expected f32", bad.x.dtype = bad.logits.dtype = LNG_DTYPE_BF16);
    REFUSE(SHAPE, "logits: ", bad.weight = NULL);
    const struct lng_backend *backend = device->backend;
    struct lng_backend plain = *backend;
    plain.fuses_logits = false; /* as a GPU */
    device->backend = &plain;
    cr_assert(!lng_device_fuses_logits(device));
    REFUSE(UNSUPPORTED, "computes none here", (void)0);
    device->backend = backend;
    /* Sentences without rows have no candidates, and need neither logits nor a weight. */
    const int32_t none[] = {0, 0};
    bad = (struct lng_candidates_args){
        .logits = view(NULL, 0, 40, 40), .row_offsets = none, .sentences = 1, .k = K, .out = out};
    check_ok(lng_candidates(device, &bad));
    cr_assert(out[0].token == -1 && out[K - 1].token == -1);
    lng_weight_release(device, weight);
    lng_free(out);
    case_close(c);
    lng_device_close(device);
}

/* ---- attention ---- */

enum { KEYS = 70, SPAN = 45, HEADS = 3 };

/* Runs of rows with the same keys; their neighbours have as many, or start at the same one. */
static const struct {
    int rows, keys, start;
} groups[] = {{3, 1, 0},  {2, 17, 0}, {3, 0, 3}, {4, 45, 3}, {5, 16, 3},
              {6, 16, 6}, {1, 0, 6},  {4, 2, 9}, {1, 44, 9}};
enum { GROUPS = sizeof groups / sizeof groups[0], ROWS = 29 };

struct attention {
    int64_t dim, heads;
    enum lng_dtype kept;
    bool self; /* each row its own keys, the newest of them written */
    float *q, *new_k, *new_v, *o, *weights;
    void *k, *v;
    int32_t count[ROWS], start[ROWS], ancestor[ROWS * SPAN];
};

enum { CACHE_ROWS = KEYS + ROWS * SPAN };

static size_t cache_bytes(const struct attention *a)
{
    return (size_t)(CACHE_ROWS * lng_cache_width(a->kept, a->dim, a->heads)) *
           lng_dtype_size(a->kept);
}

static struct lng_view cache_view(const struct attention *a, void *data)
{
    const int64_t stride = lng_cache_width(a->kept, a->dim, a->heads);
    return (struct lng_view){data, a->kept, CACHE_ROWS, a->dim, stride};
}

/* Rows of random numbers as ref keeps them. */
static void *cache_of(struct lng_device *ref, const struct attention *a, uint32_t seed)
{
    float *values = cpu_random((size_t)(CACHE_ROWS * a->dim), 1, seed);
    void *rows = lng_alloc(cache_bytes(a), 1);
    check_ok(lng_copy(ref, &(struct lng_copy_args){.x = view(values, CACHE_ROWS, a->dim, a->dim),
                                                   .y = cache_view(a, rows),
                                                   .heads = a->heads}));
    lng_free(values);
    return rows;
}

static struct attention *attention_open(struct lng_device *ref, int64_t width, int64_t heads,
                                        enum lng_dtype kept, bool self)
{
    struct attention *a = lng_alloc(1, sizeof *a);
    *a = (struct attention){.dim = width * heads, .heads = heads, .kept = kept, .self = self};
    a->q = cpu_random((size_t)(ROWS * a->dim), 2, 1);
    a->new_k = cpu_random((size_t)(ROWS * a->dim), 1, 2);
    a->new_v = cpu_random((size_t)(ROWS * a->dim), 1, 3);
    a->o = cpu_random((size_t)(ROWS * a->dim), 1, 4);
    a->weights = cpu_random(ROWS * SPAN, 0, 0);
    a->k = cache_of(ref, a, 5);
    a->v = cache_of(ref, a, 6);
    for (int g = 0, r = 0; g < GROUPS; g++)
        for (int i = 0; i < groups[g].rows; i++, r++) {
            a->count[r] = groups[g].keys;
            a->start[r] = groups[g].start;
            for (int s = 0; s < SPAN; s++) { /* rows of its own, but the first ten; the newest is */
                const bool shared = s < 10 && s != groups[g].keys - 1;
                a->ancestor[r * SPAN + s] = shared ? g : KEYS + r * SPAN + (s * 7 + r) % SPAN - s;
            }
        }
    return a;
}

static void attention_close(struct attention *a)
{
    void *used[] = {a->q, a->new_k, a->new_v, a->o, a->weights, a->k, a->v, a};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        lng_free(used[i]);
}

/* Of rows [first, first + rows). */
static void attend(struct lng_device *device, struct attention *a, int64_t first, int64_t rows)
{
    const int64_t at = first * a->dim;
    struct lng_attention_step_args args = {.q = view(a->q + at, rows, a->dim, a->dim),
                                           .k_cache = cache_view(a, a->k),
                                           .v_cache = cache_view(a, a->v),
                                           .o = view(a->o + at, rows, a->dim, a->dim),
                                           .key_count = a->count + first,
                                           .slots = 1,
                                           .heads = a->heads,
                                           .scale = sqrt((double)a->heads / (double)a->dim),
                                           .weights = a->weights + first * SPAN,
                                           .weights_stride = SPAN,
                                           .first_head = a->heads > 2,
                                           .head_count = a->heads > 2 ? 2 : 1};
    if (a->self) {
        args.new_k = view(a->new_k + at, rows, a->dim, a->dim);
        args.new_v = view(a->new_v + at, rows, a->dim, a->dim);
        args.ancestor = a->ancestor + first * SPAN;
        args.ancestor_stride = SPAN;
    } else {
        args.key_start = a->start + first;
    }
    check_ok(lng_attention_step(device, &args));
}

static void check_attention(struct lng_device *ref, struct lng_device *device, const char *name,
                            int64_t width, int64_t heads, enum lng_dtype kept, bool self)
{
    struct attention *want = attention_open(ref, width, heads, kept, self);
    struct attention *got = attention_open(ref, width, heads, kept, self);
    struct attention *alone = attention_open(ref, width, heads, kept, self);
    const size_t n = (size_t)(ROWS * got->dim), cache = cache_bytes(got);
    attend(ref, want, 0, ROWS);
    attend(device, got, 0, ROWS);
    for (int64_t r = 0; r < ROWS; r++)
        attend(device, alone, r, 1);
    const double o = cpu_worst(got->o, want->o, n, 1);
    const double w = cpu_worst(got->weights, want->weights, ROWS * SPAN, 1);
    /* With VNNI queries and probabilities are 16-bit integers beside int8 caches: half a step is 2^-16 of the largest, and
     * as scores are scaled by 1 / sqrt(width), wider heads add nothing (DECISIONS 40). */
    const bool halves = kept == LNG_DTYPE_I8 &&
                        (strncmp(name, "avx512", 6) == 0 || strncmp(name, "amx", 3) == 0) &&
                        __builtin_cpu_supports("avx512vnni");
    const double limit = halves ? ldexp(1, -15) : 1e-6;
    cr_assert(o < limit && w < limit, "%s, width %d, %s: errors %g and %g", name, (int)width,
              lng_dtype_name(kept), o, w);
    cr_assert(memcmp(got->k, want->k, cache) == 0 && memcmp(got->v, want->v, cache) == 0,
              "%s: the newest keys and values", name);
    cr_assert(memcmp(got->o, alone->o, n * sizeof *got->o) == 0 &&
                  memcmp(got->weights, alone->weights, ROWS * SPAN * sizeof *got->weights) == 0,
              "%s, width %d, %s: a row alone has other bits", name, (int)width,
              lng_dtype_name(kept));
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < got->dim && got->count[r] == 0; i++)
            cr_assert(got->o[r * got->dim + i] == 0, "%s: no keys, and no zeros", name);
    attention_close(want);
    attention_close(got);
    attention_close(alone);
}

Test(cpu_decoding, attention)
{
    static const int64_t sizes[][2] = {{16, 3}, {64, 3},  {8, 3},   {48, 3}, {64, 8},
                                       {80, 2}, {32, 16}, {16, 20}, {64, 1}}; /* width, heads */
    static const enum lng_dtype types[] = {LNG_DTYPE_F32, LNG_DTYPE_BF16, LNG_DTYPE_I8};
    struct lng_device *ref, *devices[CPU_VARIANTS];
    open_all(&ref, devices);
    for (int v = 0; v < CPU_VARIANTS; v++)
        for (int i = 0; devices[v] != NULL && i < 54; i++)
            check_attention(ref, devices[v], cpu_variant_name(v), sizes[i % 9][0], sizes[i % 9][1],
                            types[i / 9 % 3], i / 27);
    close_all(ref, devices);
}

/* Rows are rounded as everywhere: to nearest even; what is not a number stays so in bf16. */
static void check_rounding(struct lng_device *ref, struct lng_device *device, const char *name,
                           enum lng_dtype kept)
{
    static const float odd[] = {1.00390625f, 1.01171875f, -1.00390625f, NAN, INFINITY, -INFINITY,
                                3.4e38f,     1e-40f,      -0.0f,        0,   65280.5f, 1.00390637f};
    struct attention *want = attention_open(ref, 16, HEADS, kept, true);
    struct attention *got = attention_open(ref, 16, HEADS, kept, true);
    for (int64_t i = 0; i < ROWS * got->dim; i++) /* int8: rows with and without infinities */
        want->new_k[i] = got->new_k[i] = odd[i / 16 % 2 ? i % 12 : 7 + i % 5];
    attend(ref, want, 0, ROWS);
    attend(device, got, 0, ROWS);
    cr_assert(memcmp(got->k, want->k, cache_bytes(got)) == 0, "%s, %s", name, lng_dtype_name(kept));
    attention_close(want);
    attention_close(got);
}

Test(cpu_decoding, caches_round_to_nearest_even)
{
    struct lng_device *ref, *devices[CPU_VARIANTS];
    open_all(&ref, devices);
    for (int v = 0; v < CPU_VARIANTS; v++)
        for (int i = 0; devices[v] != NULL && i < 2; i++)
            check_rounding(ref, devices[v], cpu_variant_name(v),
                           i == 0 ? LNG_DTYPE_BF16 : LNG_DTYPE_I8);
    close_all(ref, devices);
}

Test(cpu_decoding, copies_to_byte_caches)
{
    static const int64_t widths[] = {64, 16, 4, 20};
    struct lng_device *ref, *devices[CPU_VARIANTS];
    open_all(&ref, devices);
    for (int v = 0; v < CPU_VARIANTS; v++)
        for (int i = 0; devices[v] != NULL && i < 4; i++) {
            struct attention a = {.dim = widths[i] * HEADS, .heads = HEADS, .kept = LNG_DTYPE_I8};
            void *want = cache_of(ref, &a, 9), *got = cache_of(devices[v], &a, 9);
            cr_assert(memcmp(want, got, cache_bytes(&a)) == 0, "%s, width %d", cpu_variant_name(v),
                      (int)widths[i]);
            lng_free(want);
            lng_free(got);
        }
    close_all(ref, devices);
}

Test(cpu_decoding, byte_caches_refuse)
{
    struct lng_device *device = cpu_open(1);
    struct attention a = {.dim = 24, .heads = HEADS, .kept = LNG_DTYPE_I8};
    float *x = cpu_random((size_t)(CACHE_ROWS * a.dim), 1, 1);
    void *rows = cache_of(device, &a, 1);
    const struct lng_copy_args good = {
        .x = view(x, CACHE_ROWS, 24, 24), .y = cache_view(&a, rows), .heads = HEADS};
    struct lng_copy_args bad;
#define REFUSE_COPY(code, part, ...)                               \
    do {                                                           \
        bad = good;                                                \
        __VA_ARGS__;                                               \
        check_fails(lng_copy(device, &bad), LNG_ERR_##code, part); \
    } while (0)
    REFUSE_COPY(DTYPE, "y: ", bad.heads = 0);
    REFUSE_COPY(SHAPE, "y: expected a width that 5 heads divide, found 24", bad.heads = 5);
    REFUSE_COPY(SHAPE, "expected room for 3 scales behind each row", bad.y.stride = 32);
    REFUSE_COPY(SHAPE, "expected room for 3 scales behind each row", bad.y.stride++);
    REFUSE_COPY(DTYPE, "x: ", bad.x.dtype = LNG_DTYPE_BF16);
    const struct lng_backend *backend = device->backend;
    struct lng_backend plain = *backend;
    plain.byte_caches = false; /* as a GPU */
    device->backend = &plain;
    cr_assert(!lng_device_byte_caches(device));
    REFUSE_COPY(UNSUPPORTED, "keeps no caches in int8", (void)0);
    device->backend = backend;
    lng_free(x);
    lng_free(rows);
    lng_device_close(device);
}
