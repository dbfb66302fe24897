#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/gradop.h"

struct attention_case {
    struct lng_attention_fwd_args forward;
    struct lng_attention_bwd_args backward;
};

static void forward(struct gradop *op)
{
    const struct attention_case *own = op->args;
    RIG_OK(lng_attention_fwd(op->rig.device, &own->forward));
}

static void backward(struct gradop *op)
{
    const struct attention_case *own = op->args;
    RIG_OK(lng_attention_bwd(op->rig.device, &own->backward));
}

struct shape {
    const int32_t *q_offsets, *k_offsets;
    int64_t sentences, heads, width; /* of one head */
};

static void check(uint64_t seed, struct shape shape, enum lng_attention_score score, bool causal,
                  double dropout)
{
    struct gradop op;
    struct attention_case own = {0};
    int64_t queries = shape.q_offsets[shape.sentences], keys = shape.k_offsets[shape.sentences];
    int64_t columns = shape.heads * shape.width;
    uint32_t ids[16];
    gradop_open(&op, seed);
    snprintf(op.what, sizeof op.what,
             "attention score %d, causal %d, dropout %g, %lld queries, %lld keys, %lld x %lld",
             (int)score, causal, dropout, (long long)queries, (long long)keys,
             (long long)shape.heads, (long long)shape.width);
    for (int64_t b = 0; b < shape.sentences; b++)
        ids[b] = (uint32_t)(100 + 7 * b);
    struct lng_attention_fwd_args *f = &own.forward;
    struct lng_attention_bwd_args *b = &own.backward;
    f->q = gradop_input(&op, "q", queries, columns, 1.5, false, &b->d_q);
    f->k = gradop_input(&op, "k", keys, columns, 1.5, false, &b->d_k);
    f->v = gradop_input(&op, "v", keys, columns, 1, false, &b->d_v);
    if (score == LNG_ATTENTION_ADDITIVE)
        f->score_vector =
            gradop_input(&op, "score vector", 1, columns, 1, true, &b->d_score_vector);
    f->o = gradop_output(&op, queries, columns, &b->d_o);
    f->q_offsets = rig_array(&op.rig, shape.q_offsets, (size_t)shape.sentences + 1, 4);
    f->k_offsets = rig_array(&op.rig, shape.k_offsets, (size_t)shape.sentences + 1, 4);
    f->sentence_ids = rig_array(&op.rig, ids, (size_t)shape.sentences, sizeof *ids);
    f->lse = rig_array(&op.rig, NULL, (size_t)(shape.heads * queries), sizeof(double));
    f->sentences = shape.sentences;
    f->heads = shape.heads;
    f->causal = causal;
    f->scale = score == LNG_ATTENTION_ADDITIVE ? 1 : 0.7;
    f->dropout = dropout;
    f->rng = (struct lng_rng_site){seed, 5, 9};
    f->score = score;
    b->q = f->q;
    b->k = f->k;
    b->v = f->v;
    b->o = f->o;
    b->q_offsets = f->q_offsets;
    b->k_offsets = f->k_offsets;
    b->sentence_ids = f->sentence_ids;
    b->lse = f->lse;
    b->score_vector = f->score_vector;
    b->sentences = f->sentences;
    b->heads = f->heads;
    b->causal = causal;
    b->scale = f->scale;
    b->dropout = dropout;
    b->rng = f->rng;
    b->score = score;
    op.args = &own;
    op.forward = forward;
    op.backward = backward;
    gradop_check(&op);
    rig_close(&op.rig);
}

static void check_all(uint64_t seed, struct shape shape)
{
    for (int score = LNG_ATTENTION_DOT; score <= LNG_ATTENTION_ADDITIVE; score++)
        for (int causal = 0; causal < 2; causal++)
            for (int drop = 0; drop < 2; drop++)
                check(seed, shape, (enum lng_attention_score)score, causal, drop ? 0.3 : 0);
}

Test(grad_attention, self)
{
    static const int32_t offsets[] = {0, 3, 3, 7};
    check_all(1, (struct shape){offsets, offsets, 3, 2, 3});
}

Test(grad_attention, cross_lengths)
{
    static const int32_t q_offsets[] = {0, 2, 5, 6}, k_offsets[] = {0, 4, 5, 11};
    check_all(2, (struct shape){q_offsets, k_offsets, 3, 2, 2});
}

/* Keys without queries have zero gradients; queries without keys have none to give. */
Test(grad_attention, one_side_empty)
{
    static const int32_t q_offsets[] = {0, 0, 2, 4}, k_offsets[] = {0, 3, 3, 5};
    check_all(3, (struct shape){q_offsets, k_offsets, 3, 1, 3});
    static const int32_t none[] = {0, 0}, some[] = {0, 3};
    check_all(4, (struct shape){none, some, 1, 1, 2});
    check_all(5, (struct shape){some, none, 1, 1, 2});
}

Test(grad_attention, awkward_shapes)
{
    static const int32_t one[] = {0, 1}, none[] = {0}, long_one[] = {0, 19};
    check_all(6, (struct shape){none, none, 0, 1, 2});
    check_all(7, (struct shape){one, one, 1, 1, 1});
    check_all(8, (struct shape){one, one, 1, 1, 97});
    check_all(9, (struct shape){one, long_one, 1, 3, 1});
    check_all(10, (struct shape){long_one, long_one, 1, 1, 3});
}
