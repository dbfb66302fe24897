/* The parity case of guided alignment. */
#include "tests/support/parity.h"

/* Sentences with links from about two rows in three, to a few keys each or to all of them; the first one empty now
 * and then. */
static int64_t make_links(struct parity *p, const int32_t *q, const int32_t *k, int64_t sentences,
                          int32_t *offsets, int32_t *keys)
{
    int64_t count = 0;
    for (int64_t b = 0; b < sentences; b++)
        for (int32_t n = q[b]; n < q[b + 1]; n++) {
            int64_t chance = rig_integer(&p->rig, 0, 2) == 0 ? 0 : rig_integer(&p->rig, 1, 6);
            for (int32_t j = 0; j < k[b + 1] - k[b]; j++)
                if (chance > 0 && rig_integer(&p->rig, 1, 6) <= chance)
                    keys[count++] = j;
            offsets[n + 1] = (int32_t)count;
        }
    return count;
}

void parity_case_attention_guide(struct parity *p)
{
    struct rig *rig = &p->rig;
    int64_t heads = 1 + (int64_t)(p->seed % 4), columns = heads * parity_small_width(p);
    int64_t sentences = p->seed == 0 ? 0 : rig_integer(rig, 1, 5);
    int64_t longest = p->seed % 5 == 2 ? 97 : 12;
    int32_t *q = rig_offsets(rig, sentences, longest), *k = rig_offsets(rig, sentences, longest);
    for (int64_t b = 0; b < sentences; b++) { /* a first sentence that has something to choose */
        q[b + 1] += 5;
        k[b + 1] += 7;
    }
    int64_t queries = q[sentences], keys = k[sentences];
    int32_t *offsets = rig_host(rig, (size_t)queries + 1, sizeof *offsets);
    int32_t *links = rig_host(rig, (size_t)(queries * keys), sizeof *links);
    int64_t count = make_links(p, q, k, sentences, offsets, links);
    struct lng_attention_fwd_args forward = {
        .q = parity_activation(p, queries, columns),
        .k = parity_activation(p, keys, columns),
        .v = parity_activation(p, keys, columns),
        .o = parity_activation_output(p, queries, columns),
        .q_offsets = rig_array(rig, q, (size_t)sentences + 1, sizeof *q),
        .k_offsets = rig_array(rig, k, (size_t)sentences + 1, sizeof *k),
        .lse = rig_array(rig, NULL, (size_t)(heads * queries), sizeof(float)),
        .score_vector = parity_real(p, 1, columns),
        .sentences = sentences,
        .heads = heads,
        .scale = 0.9,
        .score = p->seed / 3 % 2 ? LNG_ATTENTION_ADDITIVE : LNG_ATTENTION_DOT,
    };
    RIG_OK(lng_attention_fwd(rig->device, &forward));
    struct lng_attention_guide_args args = {
        .q = forward.q,
        .k = forward.k,
        .d_q = parity_activation(p, queries, columns),
        .d_k = parity_activation(p, keys, columns),
        .q_offsets = forward.q_offsets,
        .k_offsets = forward.k_offsets,
        .link_offsets = rig_array(rig, offsets, (size_t)queries + 1, sizeof *offsets),
        .link_keys = rig_array(rig, links, (size_t)count, sizeof *links),
        .lse = forward.lse,
        .sums = rig_array(rig, (double[]){1, 2}, 2, sizeof(double)),
        .score_vector = forward.score_vector,
        .d_score_vector = parity_real(p, 1, columns),
        .sentences = sentences,
        .heads = heads,
        .link_count = count,
        .scale = forward.scale,
        .gradient_scale = 0.7,
        .score = forward.score,
    };
    RIG_OK(lng_attention_guide(rig->device, &args));
    parity_take_array(p, "sums", args.sums, 2, LNG_DTYPE_F64);
    parity_take(p, "d_q", args.d_q);
    parity_take(p, "d_k", args.d_k);
    if (columns > 1) /* a single sum may all but cancel */
        parity_take(p, "d_score_vector", args.d_score_vector);
}
