/* The parity cases of attention and search. */
#include <string.h>

#include "tests/support/parity.h"

struct batch {
    int64_t sentences, heads, columns, queries, keys;
    const int32_t *q_host, *k_host; /* offsets [sentences + 1] */
    const int32_t *q_offsets, *k_offsets;
    const uint32_t *ids;
};

/* Sentences of random lengths, empty ones among them; every third seed attends to itself. */
static struct batch make_batch(struct parity *p)
{
    struct batch batch = {.heads = 1 + (int64_t)(p->seed % 4)};
    struct rig *rig = &p->rig;
    int64_t width = parity_small_width(p), longest = p->seed % 5 == 2 ? 97 : 12;
    batch.columns = batch.heads * width;
    batch.sentences = p->seed == 0 ? 0 : rig_integer(rig, 1, 5);
    int32_t *q = rig_offsets(rig, batch.sentences, longest);
    int32_t *k = p->seed % 3 == 0 ? q : rig_offsets(rig, batch.sentences, longest);
    if (p->seed == 1) /* one row against one row */
        for (int64_t b = 0; b < batch.sentences; b++)
            q[b + 1] = k[b + 1] = 1;
    for (int64_t b = 0; p->seed > 1 && b < batch.sentences; b++) {
        q[b + 1] += 8; /* a first sentence with something to choose from */
        if (k != q)
            k[b + 1] += 8;
    }
    uint32_t *ids = rig_host(rig, (size_t)batch.sentences, sizeof *ids);
    for (int64_t b = 0; b < batch.sentences; b++)
        ids[b] = (uint32_t)(1000 + 3 * b);
    batch.queries = q[batch.sentences];
    batch.keys = k[batch.sentences];
    batch.q_host = q;
    batch.k_host = k;
    batch.q_offsets = rig_array(rig, q, (size_t)batch.sentences + 1, sizeof *q);
    batch.k_offsets = rig_array(rig, k, (size_t)batch.sentences + 1, sizeof *k);
    batch.ids = rig_array(rig, ids, (size_t)batch.sentences, sizeof *ids);
    return batch;
}

/* q, k and v as slices of one projection where the lengths allow, as the model does it. */
static void make_projections(struct parity *p, const struct batch *batch, struct lng_view *q,
                             struct lng_view *k, struct lng_view *v)
{
    bool fused = batch->queries == batch->keys;
    struct lng_view keys = parity_activation(p, batch->keys, (fused ? 3 : 2) * batch->columns);
    *q = fused ? lng_view_cols(keys, 2 * batch->columns, batch->columns)
               : parity_activation(p, batch->queries, batch->columns);
    *k = lng_view_cols(keys, 0, batch->columns);
    *v = lng_view_cols(keys, batch->columns, batch->columns);
}

static struct lng_attention_fwd_args forward_args(struct parity *p, const struct batch *batch)
{
    struct lng_attention_fwd_args args = {
        .o = parity_activation_output(p, batch->queries, batch->columns),
        .q_offsets = batch->q_offsets,
        .k_offsets = batch->k_offsets,
        .sentence_ids = batch->ids,
        .lse = rig_array(&p->rig, NULL, (size_t)(batch->heads * batch->queries), sizeof(float)),
        .score_vector = parity_real(p, 1, batch->columns),
        .sentences = batch->sentences,
        .heads = batch->heads,
        .causal = p->seed / 2 % 2,
        .scale = 0.9,
        .dropout = p->seed % 2 ? 0.2 : 0,
        .rng = {p->seed * 77, 5, 600},
        .score = p->seed / 3 % 2 ? LNG_ATTENTION_ADDITIVE : LNG_ATTENTION_DOT,
    };
    make_projections(p, batch, &args.q, &args.k, &args.v);
    return args;
}

void parity_case_attention_fwd(struct parity *p)
{
    struct batch batch = make_batch(p);
    struct lng_attention_fwd_args args = forward_args(p, &batch);
    RIG_OK(lng_attention_fwd(p->rig.device, &args));
    if (batch.keys > 0)
        parity_take(p, "o", args.o);
    parity_take_array(p, "lse", args.lse, batch.heads * batch.queries, LNG_DTYPE_F32);
}

void parity_case_attention_bwd(struct parity *p)
{
    struct batch batch = make_batch(p);
    struct lng_attention_fwd_args forward = forward_args(p, &batch);
    RIG_OK(lng_attention_fwd(p->rig.device, &forward));
    struct lng_attention_bwd_args args = {
        .q = forward.q,
        .k = forward.k,
        .v = forward.v,
        .o = forward.o,
        .d_o = parity_activation(p, batch.queries, batch.columns),
        .q_offsets = batch.q_offsets,
        .k_offsets = batch.k_offsets,
        .sentence_ids = batch.ids,
        .lse = forward.lse,
        .score_vector = forward.score_vector,
        .d_score_vector = parity_real(p, 1, batch.columns),
        .sentences = batch.sentences,
        .heads = batch.heads,
        .causal = forward.causal,
        .scale = forward.scale,
        .dropout = forward.dropout,
        .rng = forward.rng,
        .score = forward.score,
    };
    make_projections(p, &batch, &args.d_q, &args.d_k, &args.d_v);
    RIG_OK(lng_attention_bwd(p->rig.device, &args));
    /* One key for each query leaves nothing to its score. */
    if (p->seed > 1 && batch.keys > 0 && batch.queries > 0) {
        parity_take(p, "d_q", args.d_q);
        parity_take(p, "d_k", args.d_k);
    }
    parity_take(p, "d_v", args.d_v);
    parity_take(p, "d_score_vector", args.d_score_vector);
}

/* Decoding with `rows` hypotheses in as many slots; each row has its own number of steps behind it. */
static void step_self(struct parity *p, int64_t rows, int64_t heads, int64_t width,
                      enum lng_dtype cache)
{
    struct rig *rig = &p->rig;
    int64_t steps = p->seed % 5 == 2 ? 97 : 9, columns = heads * width;
    int32_t *count = rig_host(rig, (size_t)rows, sizeof *count);
    int32_t *ancestor = rig_host(rig, (size_t)(rows * steps), sizeof *ancestor);
    for (int64_t r = 0; r < rows; r++) {
        count[r] = (int32_t)rig_integer(rig, 1, steps);
        for (int64_t s = 0; s < steps; s++)
            ancestor[r * steps + s] = (int32_t)rig_integer(rig, 0, rows - 1);
        ancestor[r * steps + count[r] - 1] = (int32_t)r; /* its own slot for the newest key */
    }
    /* A slot that another row writes in this call must not be read at that step. */
    for (int64_t r = 0; r < rows; r++)
        for (int64_t s = 0; s < count[r] - 1; s++)
            if (count[ancestor[r * steps + s]] - 1 == s)
                ancestor[r * steps + s] = (int32_t)r;
    struct lng_attention_step_args args = {
        .q = parity_activation(p, rows, columns),
        .new_k = parity_activation(p, rows, columns),
        .new_v = parity_activation(p, rows, columns),
        .k_cache = rig_random(rig, cache, steps * rows, columns, 1),
        .v_cache = rig_random(rig, cache, steps * rows, columns, 1),
        .o = parity_activation_output(p, rows, columns),
        .key_count = rig_array(rig, count, (size_t)rows, sizeof *count),
        .ancestor = rig_array(rig, ancestor, (size_t)(rows * steps), sizeof *ancestor),
        .ancestor_stride = steps,
        .slots = rows > 0 ? rows : 1,
        .heads = heads,
        .scale = 0.9,
        .score = p->seed / 3 % 2 ? LNG_ATTENTION_ADDITIVE : LNG_ATTENTION_DOT,
        .score_vector = parity_real(p, 1, columns),
    };
    RIG_OK(lng_attention_step(rig->device, &args));
    parity_take(p, "o", args.o);
    parity_take(p, "k_cache", args.k_cache);
    parity_take(p, "v_cache", args.v_cache);
}

static void step_cross(struct parity *p, int64_t rows, int64_t heads, int64_t width,
                       enum lng_dtype cache)
{
    struct rig *rig = &p->rig;
    int64_t longest = 23, cache_rows = 60, columns = heads * width;
    int32_t *count = rig_host(rig, (size_t)rows, sizeof *count);
    for (int64_t r = 0; r < rows; r++) /* the last row of many has no keys */
        count[r] = (int32_t)rig_integer(rig, 1, longest) * (r < 3 || r < rows - 1);
    struct lng_view weights = parity_real(p, rows, longest);
    struct lng_attention_step_args args = {
        .q = parity_activation(p, rows, columns),
        .k_cache = rig_random(rig, cache, cache_rows, columns, 1),
        .v_cache = rig_random(rig, cache, cache_rows, columns, 1),
        .o = parity_activation_output(p, rows, columns),
        .key_count = rig_array(rig, count, (size_t)rows, sizeof *count),
        .key_start = parity_integers(p, rows, 0, cache_rows - longest),
        .heads = heads,
        .scale = 0.9,
        .score = p->seed / 3 % 2 ? LNG_ATTENTION_ADDITIVE : LNG_ATTENTION_DOT,
        .score_vector = parity_real(p, 1, columns),
        .weights = weights.data,
        .weights_stride = weights.stride,
        .first_head = heads - 1,
        .head_count = 1,
    };
    RIG_OK(lng_attention_step(rig->device, &args));
    parity_take(p, "o cross", args.o);
    parity_take(p, "weights", weights);
    args.first_head = 0;
    args.head_count = heads;
    RIG_OK(lng_attention_step(rig->device, &args));
    parity_take(p, "weights of all heads", weights);
}

void parity_case_attention_step(struct parity *p)
{
    int64_t rows = parity_rows(p), heads = 1 + (int64_t)(p->seed % 4);
    int64_t width = parity_small_width(p);
    enum lng_dtype cache = p->seed % 4 == 2 ? LNG_DTYPE_BF16 : p->activation;
    rows = rows > 97 ? 97 : rows;
    step_self(p, rows, heads, width, cache);
    step_cross(p, rows, heads, width, cache);
}

void parity_case_attention_weights(struct parity *p)
{
    struct batch batch = make_batch(p);
    struct lng_attention_fwd_args forward = forward_args(p, &batch);
    int64_t *offsets = rig_host(&p->rig, (size_t)batch.sentences + 1, sizeof *offsets);
    for (int64_t b = 0; b < batch.sentences; b++)
        offsets[b + 1] = offsets[b] + (int64_t)(batch.q_host[b + 1] - batch.q_host[b]) *
                                          (batch.k_host[b + 1] - batch.k_host[b]);
    int64_t total = offsets[batch.sentences];
    struct lng_attention_weights_args args = {
        .q = forward.q,
        .k = forward.k,
        .q_offsets = batch.q_offsets,
        .k_offsets = batch.k_offsets,
        .weights_offsets = rig_array(&p->rig, offsets, (size_t)batch.sentences, sizeof *offsets),
        .weights = rig_array(&p->rig, NULL, (size_t)total, sizeof(float)),
        .sentences = batch.sentences,
        .heads = batch.heads,
        .first_head = batch.heads / 2,
        .head_count = batch.heads - batch.heads / 2,
        .causal = forward.causal,
        .scale = forward.scale,
        .score = forward.score,
        .score_vector = forward.score_vector,
    };
    RIG_OK(lng_attention_weights(p->rig.device, &args));
    parity_take_array(p, "weights", args.weights, total, LNG_DTYPE_F32);
}

void parity_case_loss(struct parity *p)
{
    int64_t rows = parity_rows(p), words = p->seed % 4 == 0 ? 1009 : 1 + parity_width(p);
    double start[3] = {1, 2, 3};
    struct lng_loss_args args = {
        .logits = rig_random(&p->rig, p->activation, rows, words, 6),
        .targets = parity_integers(p, rows, 0, words - 1),
        .sums = rig_array(&p->rig, start, 3, sizeof(double)),
        .token_logprob = rig_array(&p->rig, NULL, (size_t)rows, sizeof(float)),
        .smoothing = p->seed % 3 == 2 ? 0 : 0.1,
        .kind = p->seed % 2 ? LNG_SMOOTHING_UNIFORM : LNG_SMOOTHING_OTHERS,
        .gradient_scale = 0.25,
    };
    RIG_OK(lng_loss(p->rig.device, &args));
    parity_take_array(p, "sums", args.sums, 3, LNG_DTYPE_F64);
    parity_take_array(p, "token_logprob", args.token_logprob, rows, LNG_DTYPE_F32);
    args.d_logits = true;
    RIG_OK(lng_loss(p->rig.device, &args));
    parity_take_array(p, "sums twice", args.sums, 3, LNG_DTYPE_F64);
    parity_take(p, "d_logits", args.logits);
}

/* The rows of a pair are alike, as dropout leaves them, but for every third pair. */
void parity_case_pair_loss(struct parity *p)
{
    int64_t pairs = parity_rows(p), words = p->seed % 4 == 0 ? 1009 : 1 + parity_width(p);
    struct lng_view logits = rig_random(&p->rig, p->activation, 2 * pairs, words, 6);
    struct lng_view noise = rig_random(&p->rig, p->activation, pairs, words, 0.5);
    if (p->seed % 3 != 1 && pairs > 0) {
        struct lng_view second = lng_view_rows(logits, pairs, pairs);
        RIG_OK(lng_copy(p->rig.device, &(struct lng_copy_args){.x = lng_view_rows(logits, 0, pairs),
                                                               .y = second}));
        RIG_OK(lng_add(p->rig.device, &(struct lng_add_args){.x = noise, .y = second}));
    }
    struct lng_pair_loss_args args = {
        .logits = logits,
        .targets = parity_integers(p, pairs, 0, words - 1),
        .sums = rig_array(&p->rig, (double[]){1, 2, 3}, 3, sizeof(double)),
        .smoothing = p->seed % 3 == 2 ? 0 : 0.1,
        .kind = p->seed % 2 ? LNG_SMOOTHING_UNIFORM : LNG_SMOOTHING_OTHERS,
        .divergence = p->seed % 5 == 4 ? 0 : 5,
        .gradient_scale = 0.25,
    };
    RIG_OK(lng_pair_loss(p->rig.device, &args));
    parity_take_array(p, "sums", args.sums, 3, LNG_DTYPE_F64);
    parity_take(p, "logits", args.logits);
}

void parity_case_candidates(struct parity *p)
{
    struct rig *rig = &p->rig;
    int64_t sentences = p->seed == 0 ? 0 : rig_integer(rig, 1, 6),
            beam = 1 + (int64_t)(p->seed % 6);
    int64_t words = 3 + parity_width(p), k = 2 * beam;
    const int32_t *offsets = rig_offsets(rig, sentences, beam);
    int64_t rows = offsets[sentences];
    int32_t *forced = rig_host(rig, (size_t)rows, sizeof *forced);
    uint8_t *no_eos = rig_host(rig, (size_t)rows, sizeof *no_eos);
    for (int64_t r = 0; r < rows; r++) {
        forced[r] = r % 5 == 3 ? (int32_t)rig_integer(rig, 0, words - 1) : -1;
        no_eos[r] = r % 3 == 0;
    }
    struct lng_candidates_args args = {
        .logits = rig_random(rig, p->activation, rows, words, 5),
        .row_scores = parity_real(p, 1, rows).data,
        .row_offsets = rig_array(rig, offsets, (size_t)sentences + 1, sizeof *offsets),
        .forced = p->seed % 2 ? rig_array(rig, forced, (size_t)rows, sizeof *forced) : NULL,
        .banned = parity_integers(p, 2, 0, words - 1),
        .banned_count = p->seed % 3 ? 2 : 0,
        .eos_banned = p->seed % 4 ? rig_array(rig, no_eos, (size_t)rows, 1) : NULL,
        .eos = 1,
        .sentences = sentences,
        .k = k,
        .out = rig_array(rig, NULL, (size_t)(sentences * k), sizeof(struct lng_candidate)),
    };
    RIG_OK(lng_candidates(rig->device, &args));
    /* Four columns of 32 bits: score, logprob, row, token. */
    struct lng_view out = lng_view_make(args.out, LNG_DTYPE_F32, sentences * k, 4);
    parity_take(p, "scores", lng_view_cols(out, 0, 2));
    out.dtype = LNG_DTYPE_I32;
    parity_take(p, "rows and tokens", lng_view_cols(out, 2, 2));
}

/* Rows of a sentence share their tokens; the last sentence may have none. */
void parity_case_select_logits(struct parity *p)
{
    struct rig *rig = &p->rig;
    int64_t rows = parity_rows(p), width = parity_width(p), words = 41, widest = 0, used = 0;
    int32_t *first = rig_host(rig, (size_t)rows, sizeof *first);
    int32_t *count = rig_host(rig, (size_t)rows, sizeof *count);
    for (int64_t r = 0; r < rows; r++) {
        bool joins = r > 0 && r % 3 != 0;
        first[r] = joins ? first[r - 1] : (int32_t)used;
        count[r] = joins ? count[r - 1] : (int32_t)rig_integer(rig, r > 0 ? 0 : 1, 90);
        used += joins ? 0 : count[r];
        widest = count[r] > widest ? count[r] : widest;
    }
    struct lng_select_logits_args args = {
        .x = parity_activation(p, rows, width),
        .y = parity_activation_output(p, rows, widest),
        .tokens = parity_integers(p, used, 0, words - 1),
        .first = rig_array(rig, first, (size_t)rows, sizeof *first),
        .count = rig_array(rig, count, (size_t)rows, sizeof *count),
        .token_count = used,
    };
    if (p->seed % 3 != 0)
        args.bias = parity_real(p, 1, words);
    if (rows > 0) /* what no row asks for stays */
        RIG_OK(lng_fill(rig->device, &(struct lng_fill_args){args.y, 0.5}));
    const struct lng_view table = parity_real(p, words, width);
    struct lng_weight *weight;
    RIG_OK(lng_weight_prepare(rig->device, table, p->compute, 0, &weight));
    RIG_OK(lng_weight_keep_rows(rig->device, weight));
    if (p->compute == LNG_DTYPE_F32) {
        args.table = table;
        RIG_OK(lng_select_logits(rig->device, &args));
        parity_take(p, "y", args.y);
        args.table = (struct lng_view){0};
    }
    args.weight = weight;
    if (lng_weight_has_rows(weight)) {
        RIG_OK(lng_select_logits(rig->device, &args));
        if (p->compute != LNG_DTYPE_F32)
            parity_take(p, "y", args.y);
    }
    lng_weight_release(rig->device, weight);
}

void parity_case_log_probs(struct parity *p)
{
    struct rig *rig = &p->rig;
    int64_t rows = parity_rows(p), words = 3 + parity_width(p);
    struct lng_log_probs_args args = {
        .logits = rig_random(rig, p->activation, rows, words, 5),
        .y = parity_real(p, rows, words),
        .count = p->seed % 3 ? parity_integers(p, rows, 1, words) : NULL,
        .factor = p->seed % 2 ? 1 : 0.375,
        .offset = p->seed % 5 ? -0.5 : 0,
        .combine = (enum lng_combine)(p->seed % 3),
    };
    RIG_OK(lng_log_probs(rig->device, &args));
    /* No distance is to be had of -inf, which columns past count are: the test of values looks at those. */
    struct lng_candidate *best = rig_array(rig, NULL, (size_t)rows, sizeof *best);
    int32_t *offsets = rig_host(rig, (size_t)rows + 1, sizeof *offsets);
    for (int64_t r = 0; r <= rows; r++)
        offsets[r] = (int32_t)r;
    RIG_OK(
        lng_candidates(rig->device, &(struct lng_candidates_args){
                                        .logits = args.y,
                                        .row_scores = rig_zeros(rig, LNG_DTYPE_F32, 1, rows).data,
                                        .row_offsets = rig_array(rig, offsets, (size_t)rows + 1, 4),
                                        .sentences = rows,
                                        .k = 1,
                                        .out = best,
                                        .normalized = true,
                                    }));
    parity_take(p, "scores", lng_view_make(best, LNG_DTYPE_F32, rows, 2));
    if (args.count == NULL)
        parity_take(p, "y", args.y);
}

void parity_case_edit_scores(struct parity *p)
{
    struct rig *rig = &p->rig;
    int64_t rows = parity_rows(p), words = 3 + parity_width(p), count = 0;
    struct lng_score_edit *edits = rig_host(rig, (size_t)(rows * words), sizeof *edits);
    for (int64_t place = 0; place < rows * words; place++)
        if (rig_integer(rig, 0, 2) == 0)
            edits[count++] = (struct lng_score_edit){(int32_t)(place / words),
                                                     (int32_t)(place % words), 1.5f, 0.25f};
    struct lng_edit_scores_args args = {
        .y = parity_real(p, rows, words),
        .edits = rig_array(rig, edits, (size_t)count, sizeof *edits),
        .edit_count = count,
    };
    RIG_OK(lng_edit_scores(rig->device, &args));
    parity_take(p, "y", args.y);
}
