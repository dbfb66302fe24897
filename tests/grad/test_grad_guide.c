#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "tests/support/gradop.h"

struct guide_case {
    struct lng_attention_fwd_args forward;
    struct lng_attention_guide_args guide;
    struct lng_view no_d_q, no_d_k, no_d_vector; /* where gradients go while values are asked for */
};

/* gradient_scale * sum of the rows' costs */
static double cost(struct gradop *op, struct lng_attention_guide_args args)
{
    const struct guide_case *own = op->args;
    double sums[2] = {0};
    RIG_OK(lng_attention_fwd(op->rig.device, &own->forward));
    RIG_OK(lng_device_write(op->rig.device, args.sums, sums, sizeof sums));
    RIG_OK(lng_attention_guide(op->rig.device, &args));
    RIG_OK(lng_device_read(op->rig.device, sums, args.sums, sizeof sums));
    return args.gradient_scale * sums[0];
}

static double value(struct gradop *op)
{
    const struct guide_case *own = op->args;
    struct lng_attention_guide_args args = own->guide;
    args.d_q = own->no_d_q;
    args.d_k = own->no_d_k;
    args.d_score_vector = own->no_d_vector;
    return cost(op, args);
}

static void backward(struct gradop *op)
{
    const struct guide_case *own = op->args;
    (void)cost(op, own->guide);
}

struct shape {
    const int32_t *q_offsets, *k_offsets, *link_offsets, *link_keys;
    int64_t sentences, heads, width; /* of one head */
};

static void open_case(struct gradop *op, struct guide_case *own, struct shape shape,
                      enum lng_attention_score score, double dropout)
{
    int64_t queries = shape.q_offsets[shape.sentences], keys = shape.k_offsets[shape.sentences];
    int64_t columns = shape.heads * shape.width, links = shape.link_offsets[queries];
    struct rig *rig = &op->rig;
    struct lng_attention_guide_args *g = &own->guide;
    snprintf(op->what, sizeof op->what, "guide score %d, %lld queries, %lld keys, %lld x %lld",
             (int)score, (long long)queries, (long long)keys, (long long)shape.heads,
             (long long)shape.width);
    g->q = gradop_input(op, "q", queries, columns, 1.5, true, &g->d_q);
    g->k = gradop_input(op, "k", keys, columns, 1.5, true, &g->d_k);
    if (score == LNG_ATTENTION_ADDITIVE)
        g->score_vector = gradop_input(op, "score vector", 1, columns, 1, true, &g->d_score_vector);
    g->q_offsets = rig_array(rig, shape.q_offsets, (size_t)shape.sentences + 1, 4);
    g->k_offsets = rig_array(rig, shape.k_offsets, (size_t)shape.sentences + 1, 4);
    g->link_offsets = rig_array(rig, shape.link_offsets, (size_t)queries + 1, 4);
    g->link_keys = rig_array(rig, shape.link_keys, (size_t)links, 4);
    void *lse = rig_array(rig, NULL, (size_t)(shape.heads * queries), sizeof(double));
    g->lse = lse;
    g->sums = rig_array(rig, NULL, 2, sizeof(double));
    g->sentences = shape.sentences;
    g->heads = shape.heads;
    g->link_count = links;
    g->scale = 0.7;
    g->gradient_scale = 0.37;
    g->score = score;
    own->no_d_q = rig_zeros(rig, LNG_DTYPE_F64, queries, columns);
    own->no_d_k = rig_zeros(rig, LNG_DTYPE_F64, keys, columns);
    own->no_d_vector = rig_zeros(rig, LNG_DTYPE_F64, 1, columns);
    own->forward = (struct lng_attention_fwd_args){
        .q = g->q,
        .k = g->k,
        .v = rig_zeros(rig, LNG_DTYPE_F64, keys, columns),
        .o = rig_output(rig, LNG_DTYPE_F64, queries, columns),
        .q_offsets = g->q_offsets,
        .k_offsets = g->k_offsets,
        .sentence_ids = rig_host(rig, (size_t)shape.sentences, 4),
        .lse = lse,
        .score_vector = g->score_vector,
        .sentences = shape.sentences,
        .heads = shape.heads,
        .scale = g->scale,
        .dropout = dropout,
        .score = score,
    };
    op->args = own;
}

static void check(uint64_t seed, struct shape shape, enum lng_attention_score score)
{
    struct gradop op;
    struct guide_case own = {0};
    gradop_open(&op, seed);
    open_case(&op, &own, shape, score, 0);
    op.value = value;
    op.backward = backward;
    gradop_check(&op);
    rig_close(&op.rig);
}

static const int32_t q_offsets[] = {0, 2, 5, 5, 6}, k_offsets[] = {0, 4, 5, 8, 14};
static const int32_t link_offsets[] = {0, 2, 2, 3, 3, 4, 10};
static const int32_t link_keys[] = {1, 3, 0, 0, 0, 1, 2, 3, 4, 5};
static const struct shape several = {q_offsets, k_offsets, link_offsets, link_keys, 4, 2, 3};

/* Rows with none, one, several and all keys linked; a sentence without queries; one key only. */
Test(grad_guide, both_scores)
{
    for (int score = LNG_ATTENTION_DOT; score <= LNG_ATTENTION_ADDITIVE; score++) {
        check(1, several, (enum lng_attention_score)score);
        struct shape one_head = several;
        one_head.heads = 1;
        check(2, one_head, (enum lng_attention_score)score);
        one_head.heads = 5;
        one_head.width = 1;
        check(3, one_head, (enum lng_attention_score)score);
    }
}

/* The cost against what its definition says of the probabilities that attention_weights gives. */
Test(grad_guide, cost_is_a_cross_entropy)
{
    struct gradop op;
    struct guide_case own = {0};
    gradop_open(&op, 4);
    open_case(&op, &own, several, LNG_ATTENTION_DOT, 0.4); /* before dropout */
    const struct lng_attention_guide_args *g = &own.guide;
    static const int64_t starts[] = {0, 8, 11, 11};
    float *weights = rig_array(&op.rig, NULL, 17, sizeof(float));
    RIG_OK(lng_attention_weights(op.rig.device,
                                 &(struct lng_attention_weights_args){
                                     .q = g->q,
                                     .k = g->k,
                                     .q_offsets = g->q_offsets,
                                     .k_offsets = g->k_offsets,
                                     .weights_offsets = rig_array(&op.rig, starts, 4, 8),
                                     .weights = weights,
                                     .sentences = 4,
                                     .heads = 2,
                                     .head_count = 2,
                                     .scale = g->scale,
                                 }));
    const float *w = rig_get_array(&op.rig, weights, 17, sizeof(float));
    double want = -(log(w[1]) + log(w[3])) / 2 - log(w[8]) - log(w[10]);
    for (int j = 0; j < 6; j++)
        want -= log(w[11 + j]) / 6;
    double found = value(&op) / g->gradient_scale, sums[2];
    cr_assert(fabs(found - want) < 1e-5 * want, "found %g, expected %g", found, want);
    RIG_OK(lng_device_read(op.rig.device, sums, g->sums, sizeof sums));
    cr_assert(sums[1] == 4);
    rig_close(&op.rig);
}

/* Probabilities that are 0 in any format still cost a finite number and have a bounded gradient. */
Test(grad_guide, far_from_the_links)
{
    struct rig rig;
    rig_open(&rig, "ref", 5);
    static const int32_t one[] = {0, 1}, two[] = {0, 2}, key[] = {1};
    struct lng_view q = rig_values(&rig, LNG_DTYPE_F32, 1, 1, (double[]){1000});
    struct lng_view k = rig_values(&rig, LNG_DTYPE_F32, 2, 1, (double[]){1, 0});
    struct lng_view d_q = rig_zeros(&rig, LNG_DTYPE_F32, 1, 1);
    struct lng_view d_k = rig_zeros(&rig, LNG_DTYPE_F32, 2, 1);
    double *sums = rig_array(&rig, (double[]){0, 0}, 2, sizeof(double)), found[2];
    struct lng_attention_guide_args args = {
        .q = q,
        .k = k,
        .d_q = d_q,
        .d_k = d_k,
        .q_offsets = rig_array(&rig, one, 2, 4),
        .k_offsets = rig_array(&rig, two, 2, 4),
        .link_offsets = rig_array(&rig, one, 2, 4),
        .link_keys = rig_array(&rig, key, 1, 4),
        .lse = rig_array(&rig, (float[]){1000}, 1, 4),
        .sums = sums,
        .sentences = 1,
        .heads = 1,
        .link_count = 1,
        .scale = 1,
        .gradient_scale = 1,
    };
    RIG_OK(lng_attention_guide(rig.device, &args));
    RIG_OK(lng_device_read(rig.device, found, sums, sizeof found));
    cr_assert(found[0] == 1000 && found[1] == 1, "cost %g", found[0]);
    rig_expect_close("d_q", rig_get(&rig, d_q), (double[]){1}, 1, 1e-6, 0);
    rig_expect_close("d_k", rig_get(&rig, d_k), (double[]){1000, -1000}, 2, 1e-6, 0);
    rig_close(&rig);
}
