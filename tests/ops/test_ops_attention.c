#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

/* Attention written the slow, direct way: whole matrices, two passes, a mask of its own. */
struct problem {
    const double *q, *k, *v, *vector; /* [rows, columns] */
    const int32_t *q_offsets, *k_offsets;
    int sentences, heads, columns;
    bool causal;
    double scale, dropout;
    struct lng_rng_site rng;
    const uint32_t *ids;
};

static double score(const struct problem *p, int i, int j, int h)
{
    int width = p->columns / p->heads;
    double sum = 0;
    for (int c = h * width; c < (h + 1) * width; c++) {
        double q = p->q[i * p->columns + c], k = p->k[j * p->columns + c];
        sum += p->vector != NULL ? p->vector[c] * (1 - 2 / (exp(2 * (q + k)) + 1)) : q * k;
    }
    return sum * p->scale;
}

static double kept(const struct problem *p, int b, int i, int j, int h)
{
    if (p->dropout == 0)
        return 1;
    struct lng_philox block = lng_philox4x32(
        p->ids[b], (uint32_t)i, (uint32_t)j / 8, p->rng.site + 65536u * (uint32_t)h,
        (uint32_t)p->rng.seed, (uint32_t)(p->rng.seed >> 32) ^ (p->rng.update * 0x9E3779B9u));
    uint32_t bits = block.word[j % 8 / 2] >> (j % 2 ? 16 : 0) & 0xFFFF;
    return bits < p->dropout * 65536 ? 0 : 1 / (1 - p->dropout);
}

/* Probability of key j for query i, both counted over all sentences; the sum of exponentials too. */
static double probability(const struct problem *p, int b, int i, int j, int h, double *total)
{
    int first = p->k_offsets[b], end = p->k_offsets[b + 1];
    if (p->causal && first + (i - p->q_offsets[b]) + 1 < end)
        end = first + (i - p->q_offsets[b]) + 1;
    *total = 0;
    for (int n = first; n < end; n++)
        *total += exp(score(p, i, n, h));
    return j < end ? exp(score(p, i, j, h)) / *total : 0;
}

static void solve(const struct problem *p, double *o, double *lse)
{
    int width = p->columns / p->heads, queries = p->q_offsets[p->sentences];
    for (int b = 0; b < p->sentences; b++)
        for (int i = p->q_offsets[b]; i < p->q_offsets[b + 1]; i++)
            for (int c = 0; c < p->columns; c++) {
                double sum = 0, total = 0;
                for (int j = p->k_offsets[b]; j < p->k_offsets[b + 1]; j++)
                    sum += probability(p, b, i, j, c / width, &total) *
                           kept(p, b, i - p->q_offsets[b], j - p->k_offsets[b], c / width) *
                           p->v[j * p->columns + c];
                o[i * p->columns + c] = sum;
                lse[c / width * queries + i] = log(total);
            }
}

enum { MAX_ROWS = 32, COLUMNS = 6, HEADS = 2 };

struct fixture {
    struct rig rig;
    struct problem problem;
    struct lng_attention_fwd_args args;
};

static void set_up(struct fixture *f, const int32_t *q_offsets, const int32_t *k_offsets,
                   int sentences, bool additive)
{
    static const uint32_t ids[] = {70, 71, 900, 901};
    rig_open(&f->rig, "ref", 11);
    int queries = q_offsets[sentences], keys = k_offsets[sentences];
    struct rig *rig = &f->rig;
    f->args = (struct lng_attention_fwd_args){
        .q = rig_random(rig, LNG_DTYPE_F32, queries, COLUMNS, 1.5),
        .k = rig_random(rig, LNG_DTYPE_F32, keys, COLUMNS, 1.5),
        .v = rig_random(rig, LNG_DTYPE_F32, keys, COLUMNS, 1),
        .o = rig_output(rig, LNG_DTYPE_F32, queries, COLUMNS),
        .q_offsets = rig_array(rig, q_offsets, (size_t)sentences + 1, 4),
        .k_offsets = rig_array(rig, k_offsets, (size_t)sentences + 1, 4),
        .sentence_ids = rig_array(rig, ids, (size_t)sentences, 4),
        .lse = rig_array(rig, NULL, (size_t)(HEADS * queries), sizeof(float)),
        .sentences = sentences,
        .heads = HEADS,
        .scale = 0.6,
        .score = additive ? LNG_ATTENTION_ADDITIVE : LNG_ATTENTION_DOT,
        .rng = {0xABCDEF0123u, 41, 8},
    };
    if (additive)
        f->args.score_vector = rig_random(rig, LNG_DTYPE_F32, 1, COLUMNS, 1);
    f->problem = (struct problem){
        .q = rig_get(rig, f->args.q),
        .k = rig_get(rig, f->args.k),
        .v = rig_get(rig, f->args.v),
        .vector = additive ? rig_get(rig, f->args.score_vector) : NULL,
        .q_offsets = q_offsets,
        .k_offsets = k_offsets,
        .sentences = sentences,
        .heads = HEADS,
        .columns = COLUMNS,
        .scale = 0.6,
        .rng = f->args.rng,
        .ids = ids,
    };
}

static void check(struct fixture *f, bool causal, double dropout)
{
    double o[MAX_ROWS * COLUMNS], lse[MAX_ROWS * HEADS], got_lse[MAX_ROWS * HEADS];
    int queries = f->problem.q_offsets[f->problem.sentences];
    f->args.causal = f->problem.causal = causal;
    f->args.dropout = f->problem.dropout = dropout;
    solve(&f->problem, o, lse);
    RIG_OK(lng_attention_fwd(f->rig.device, &f->args));
    rig_expect_close("o", rig_get(&f->rig, f->args.o), o, (size_t)(queries * COLUMNS), 1e-5, 1e-6);
    const float *saved =
        rig_get_array(&f->rig, f->args.lse, (size_t)(queries * HEADS), sizeof(float));
    for (int i = 0; i < queries * HEADS; i++)
        got_lse[i] = saved[i];
    rig_expect_close("lse", got_lse, lse, (size_t)(queries * HEADS), 1e-5, 1e-6);
}

Test(ops_attention, matches_the_direct_formula)
{
    static const int32_t self[] = {0, 3, 4, 9}, keys[] = {0, 5, 6, 8};
    for (int additive = 0; additive < 2; additive++)
        for (int cross = 0; cross < 2; cross++) {
            struct fixture f;
            set_up(&f, self, cross ? keys : self, 3, additive);
            check(&f, false, 0);
            check(&f, true, 0);
            check(&f, false, 0.25);
            check(&f, true, 0.25);
            rig_close(&f.rig);
        }
}

/* Sentence 1 has queries and no keys, sentence 2 keys and no queries. */
Test(ops_attention, empty_sentences)
{
    static const int32_t q_offsets[] = {0, 2, 4, 4, 5}, k_offsets[] = {0, 3, 3, 5, 6};
    struct fixture f;
    set_up(&f, q_offsets, k_offsets, 4, false);
    check(&f, false, 0);
    const double *o = rig_get(&f.rig, f.args.o), zeros[2 * COLUMNS] = {0};
    rig_expect_close("o without keys", o + 2 * COLUMNS, zeros, 2 * COLUMNS, 0, 0);
    const float *lse = rig_get_array(&f.rig, f.args.lse, 10, sizeof(float));
    cr_assert(isinf(lse[2]) && lse[2] < 0 && isinf(lse[5 + 3]) && lse[5 + 3] < 0);
    rig_close(&f.rig);
}

/* q, k and v as column slices of one fused projection; huge scores must not overflow. */
Test(ops_attention, fused_projection_and_large_scores)
{
    struct rig rig;
    rig_open(&rig, "ref", 12);
    const double fused[] = {100, 100, 1, 100, -100, 5}; /* rows q k v */
    const int32_t offsets[] = {0, 2};
    struct lng_view all = rig_values(&rig, LNG_DTYPE_F32, 2, 3, fused);
    struct lng_attention_fwd_args args = {
        .q = lng_view_cols(all, 0, 1),
        .k = lng_view_cols(all, 1, 1),
        .v = lng_view_cols(all, 2, 1),
        .o = rig_output(&rig, LNG_DTYPE_F32, 2, 1),
        .q_offsets = rig_array(&rig, offsets, 2, 4),
        .k_offsets = rig_array(&rig, offsets, 2, 4),
        .sentences = 1,
        .heads = 1,
        .scale = 1,
    };
    RIG_OK(lng_attention_fwd(rig.device, &args));
    const double first[] = {1, 1};
    rig_expect_close("o", rig_get(&rig, args.o), first, 2, 0, 0);
    args.q = lng_view_cols(all, 1, 1); /* q = k: the second query scores -10000 and 10000 */
    RIG_OK(lng_attention_fwd(rig.device, &args));
    const double own[] = {1, 5};
    rig_expect_close("o", rig_get(&rig, args.o), own, 2, 0, 0);
    rig_close(&rig);
}

Test(ops_attention, weights_are_the_mean_over_chosen_heads)
{
    static const int32_t q_offsets[] = {0, 2, 4, 5}, k_offsets[] = {0, 3, 3, 5};
    static const int64_t weights_offsets[] = {1, 7, 7};
    for (int causal = 0; causal < 2; causal++) {
        struct fixture f;
        set_up(&f, q_offsets, k_offsets, 3, causal);
        f.problem.causal = causal;
        float start[10] = {-7, 0, 0, 0, 0, 0, 0, 0, 0, -7};
        for (int heads = 1; heads <= 2; heads++) {
            struct lng_attention_weights_args args = {
                .q = f.args.q,
                .k = f.args.k,
                .q_offsets = f.args.q_offsets,
                .k_offsets = f.args.k_offsets,
                .weights_offsets = rig_array(&f.rig, weights_offsets, 3, sizeof(int64_t)),
                .weights = rig_array(&f.rig, start, 10, sizeof(float)),
                .sentences = 3,
                .heads = HEADS,
                .first_head = heads == 1 ? 1 : 0,
                .head_count = heads,
                .causal = causal,
                .scale = 0.6,
                .score = f.args.score,
                .score_vector = f.args.score_vector,
            };
            RIG_OK(lng_attention_weights(f.rig.device, &args));
            const float *got = rig_get_array(&f.rig, args.weights, 10, sizeof(float));
            double total;
            for (int b = 0, at = 1; b < 3; b++)
                for (int i = q_offsets[b]; i < q_offsets[b + 1]; i++)
                    for (int j = k_offsets[b]; j < k_offsets[b + 1]; j++, at++) {
                        double want = probability(&f.problem, b, i, j, 1, &total);
                        if (heads == 2)
                            want = (want + probability(&f.problem, b, i, j, 0, &total)) / 2;
                        cr_assert(fabs(got[at] - want) < 1e-6, "weights[%d]: %g, not %g", at,
                                  (double)got[at], want);
                    }
            cr_assert(got[0] == -7 && got[9] == -7);
        }
        rig_close(&f.rig);
    }
}

Test(ops_attention, refuses_bad_offsets)
{
    static const int32_t offsets[] = {0, 2, 4}, falling[] = {0, 3, 2}, beyond[] = {0, 2, 5};
    struct fixture f;
    set_up(&f, offsets, offsets, 2, false);
    f.args.k_offsets = rig_array(&f.rig, falling, 3, 4);
    cr_assert_eq(lng_attention_fwd(f.rig.device, &f.args), LNG_ERR_RANGE);
    cr_assert_str_eq(lng_error_message(),
                     "attention_fwd: k_offsets[2]: expected at least 3, found 2");
    f.args.k_offsets = rig_array(&f.rig, beyond, 3, 4);
    cr_assert_eq(lng_attention_fwd(f.rig.device, &f.args), LNG_ERR_RANGE);
    cr_assert_str_eq(lng_error_message(), "attention_fwd: k_offsets[2]: expected 4, found 5");
    rig_close(&f.rig);
}
