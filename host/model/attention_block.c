/* Self- and cross-attention sub-layers: projections around the fused attention op. */
#include "host/model/pass.h"

/* What the op needs beyond its matrices. */
struct attention_call {
    struct lng_view q, k, v;
    const int32_t *k_offsets;
    enum lng_param_id score;
    enum lng_place place;
    bool causal;
};

static struct lng_view columns(struct lng_view fused, int64_t part, int64_t dim)
{
    return lng_view_cols(fused, part * dim, dim);
}

static struct attention_call self_call(const struct lng_pass *pass,
                                       const struct lng_attention_state *state)
{
    int64_t dim = pass->model->hparams.dim;
    return (struct attention_call){
        .q = columns(state->q, 0, dim),
        .k = columns(state->q, 1, dim),
        .v = columns(state->q, 2, dim),
        .k_offsets = lng_pass_side(pass)->offsets,
        .score = lng_pass_param(pass, LNG_PARAM_ENC_SCORE, LNG_PARAM_DEC_SELF_SCORE),
        .place = LNG_PLACE_SELF_PROBABILITIES,
        .causal = pass->decoder,
    };
}

static struct attention_call cross_call(const struct lng_pass *pass,
                                        const struct lng_attention_state *state)
{
    int64_t dim = pass->model->hparams.dim;
    return (struct attention_call){
        .q = state->q,
        .k = columns(state->kv, 0, dim),
        .v = columns(state->kv, 1, dim),
        .k_offsets = pass->workspace->source.offsets,
        .score = LNG_PARAM_DEC_CROSS_SCORE,
        .place = LNG_PLACE_CROSS_PROBABILITIES,
    };
}

static double probability_dropout(const struct lng_pass *pass)
{
    return pass->regularization ? pass->regularization->attention_dropout : 0;
}

static enum lng_status attend(const struct lng_pass *pass, int64_t layer,
                              const struct attention_call *call,
                              const struct lng_attention_state *state)
{
    const struct lng_packed_side *side = lng_pass_side(pass);
    const struct lng_hparams *h = &pass->model->hparams;
    const struct lng_tensor *score = lng_model_tensor(pass->model, call->score, (int)layer);
    return lng_attention_fwd(pass->model->device,
                             &(struct lng_attention_fwd_args){
                                 .q = call->q,
                                 .k = call->k,
                                 .v = call->v,
                                 .o = state->o,
                                 .q_offsets = side->offsets,
                                 .k_offsets = call->k_offsets,
                                 .sentence_ids = side->sentence_ids,
                                 .lse = state->lse,
                                 .score_vector = score ? score->value : (struct lng_view){0},
                                 .sentences = side->sentences,
                                 .heads = lng_pass_heads(pass),
                                 .causal = call->causal,
                                 .scale = lng_attention_scale(h, lng_pass_heads(pass)),
                                 .dropout = probability_dropout(pass),
                                 .rng = lng_pass_site(pass, layer, call->place),
                                 .score = h->attention_score,
                             });
}

static enum lng_status attend_backward(const struct lng_pass *pass, int64_t layer,
                                       const struct attention_call *call,
                                       const struct attention_call *gradient,
                                       const struct lng_attention_state *state)
{
    const struct lng_packed_side *side = lng_pass_side(pass);
    const struct lng_hparams *h = &pass->model->hparams;
    const struct lng_tensor *score = lng_model_tensor(pass->model, call->score, (int)layer);
    return lng_attention_bwd(pass->model->device,
                             &(struct lng_attention_bwd_args){
                                 .q = call->q,
                                 .k = call->k,
                                 .v = call->v,
                                 .o = state->o,
                                 .d_o = lng_view_rows(pass->workspace->d_o, 0, side->rows),
                                 .d_q = gradient->q,
                                 .d_k = gradient->k,
                                 .d_v = gradient->v,
                                 .q_offsets = side->offsets,
                                 .k_offsets = call->k_offsets,
                                 .sentence_ids = side->sentence_ids,
                                 .lse = state->lse,
                                 .score_vector = score ? score->value : (struct lng_view){0},
                                 .d_score_vector = score ? score->gradient : (struct lng_view){0},
                                 .sentences = side->sentences,
                                 .heads = lng_pass_heads(pass),
                                 .causal = call->causal,
                                 .scale = lng_attention_scale(h, lng_pass_heads(pass)),
                                 .dropout = probability_dropout(pass),
                                 .rng = lng_pass_site(pass, layer, call->place),
                                 .score = h->attention_score,
                             });
}

/* The part of guided alignment: adds to the gradients that attend_backward wrote. */
static enum lng_status guide_backward(const struct lng_pass *pass, int64_t layer,
                                      const struct attention_call *call,
                                      const struct attention_call *gradient,
                                      const struct lng_attention_state *state)
{
    const struct lng_guide *guide = pass->regularization ? pass->regularization->guide : NULL;
    const struct lng_workspace *ws = pass->workspace;
    if (guide == NULL || guide->layer != layer || ws->link_count == 0)
        return LNG_OK;
    const struct lng_packed_side *side = lng_pass_side(pass);
    const struct lng_hparams *h = &pass->model->hparams;
    const struct lng_tensor *score = lng_model_tensor(pass->model, call->score, (int)layer);
    int copies = pass->regularization->r_drop > 0 ? 2 : 1; /* whose mean the loss is */
    return lng_attention_guide(pass->model->device,
                               &(struct lng_attention_guide_args){
                                   .q = call->q,
                                   .k = call->k,
                                   .d_q = gradient->q,
                                   .d_k = gradient->k,
                                   .q_offsets = side->offsets,
                                   .k_offsets = call->k_offsets,
                                   .link_offsets = ws->link_offsets,
                                   .link_keys = ws->link_keys,
                                   .lse = state->lse,
                                   .sums = ws->sums + LNG_WORKSPACE_GUIDE_SUMS,
                                   .score_vector = score ? score->value : (struct lng_view){0},
                                   .d_score_vector = score ? score->gradient : (struct lng_view){0},
                                   .sentences = side->sentences,
                                   .heads = lng_pass_heads(pass),
                                   .link_count = ws->link_count,
                                   .scale = lng_attention_scale(h, lng_pass_heads(pass)),
                                   .gradient_scale = guide->weight / copies,
                                   .score = h->attention_score,
                               });
}

static struct lng_view sublayer_rows(const struct lng_pass *pass)
{
    return lng_view_rows(pass->workspace->sublayer, 0, lng_pass_side(pass)->rows);
}

enum lng_status lng_self_attention_forward(const struct lng_pass *pass, int64_t layer,
                                           struct lng_view input)
{
    const struct lng_attention_state *state = &lng_pass_stack(pass)->layers[layer].self;
    LNG_TRY(lng_pass_linear(pass, layer,
                            lng_pass_param(pass, LNG_PARAM_ENC_QKV_W, LNG_PARAM_DEC_QKV_W),
                            lng_pass_param(pass, LNG_PARAM_ENC_QKV_B, LNG_PARAM_DEC_QKV_B), input,
                            state->q, LNG_ACTIVATION_NONE));
    struct attention_call call = self_call(pass, state);
    LNG_TRY(attend(pass, layer, &call, state));
    return lng_pass_linear(pass, layer,
                           lng_pass_param(pass, LNG_PARAM_ENC_OUT_W, LNG_PARAM_DEC_OUT_W),
                           lng_pass_param(pass, LNG_PARAM_ENC_OUT_B, LNG_PARAM_DEC_OUT_B), state->o,
                           sublayer_rows(pass), LNG_ACTIVATION_NONE);
}

enum lng_status lng_self_attention_backward(const struct lng_pass *pass, int64_t layer,
                                            struct lng_view input, struct lng_view d_in,
                                            bool accumulate)
{
    const struct lng_attention_state *state = &lng_pass_stack(pass)->layers[layer].self;
    struct lng_workspace *ws = pass->workspace;
    int64_t rows = lng_pass_side(pass)->rows, dim = pass->model->hparams.dim;
    LNG_TRY(lng_pass_linear_backward(
        pass, layer, lng_pass_param(pass, LNG_PARAM_ENC_OUT_W, LNG_PARAM_DEC_OUT_W),
        lng_pass_param(pass, LNG_PARAM_ENC_OUT_B, LNG_PARAM_DEC_OUT_B),
        &(struct lng_linear_gradient){.x = state->o,
                                      .d_y = lng_view_rows(ws->d_x, 0, rows),
                                      .d_x = lng_view_rows(ws->d_o, 0, rows)}));
    struct lng_view d_qkv = lng_view_make(ws->d_wide.data, ws->d_wide.dtype, rows, 3 * dim);
    struct attention_call call = self_call(pass, state);
    struct attention_call gradient = {
        .q = columns(d_qkv, 0, dim), .k = columns(d_qkv, 1, dim), .v = columns(d_qkv, 2, dim)};
    LNG_TRY(attend_backward(pass, layer, &call, &gradient, state));
    return lng_pass_linear_backward(
        pass, layer, lng_pass_param(pass, LNG_PARAM_ENC_QKV_W, LNG_PARAM_DEC_QKV_W),
        lng_pass_param(pass, LNG_PARAM_ENC_QKV_B, LNG_PARAM_DEC_QKV_B),
        &(struct lng_linear_gradient){
            .x = input, .d_y = d_qkv, .d_x = d_in, .accumulate = accumulate});
}

enum lng_status lng_cross_attention_forward(const struct lng_pass *pass, int64_t layer,
                                            struct lng_view input, struct lng_view encoded)
{
    const struct lng_attention_state *state = &lng_pass_stack(pass)->layers[layer].cross;
    LNG_TRY(lng_pass_linear(pass, layer, LNG_PARAM_DEC_CROSS_Q_W, LNG_PARAM_DEC_CROSS_Q_B, input,
                            state->q, LNG_ACTIVATION_NONE));
    LNG_TRY(lng_pass_linear(pass, layer, LNG_PARAM_DEC_CROSS_KV_W, LNG_PARAM_DEC_CROSS_KV_B,
                            encoded, state->kv, LNG_ACTIVATION_NONE));
    struct attention_call call = cross_call(pass, state);
    LNG_TRY(attend(pass, layer, &call, state));
    return lng_pass_linear(pass, layer, LNG_PARAM_DEC_CROSS_OUT_W, LNG_PARAM_DEC_CROSS_OUT_B,
                           state->o, sublayer_rows(pass), LNG_ACTIVATION_NONE);
}

enum lng_status lng_cross_attention_backward(const struct lng_pass *pass, int64_t layer,
                                             struct lng_view input, struct lng_view encoded,
                                             struct lng_view d_in, bool accumulate)
{
    const struct lng_attention_state *state = &lng_pass_stack(pass)->layers[layer].cross;
    struct lng_workspace *ws = pass->workspace;
    int64_t rows = lng_pass_side(pass)->rows, dim = pass->model->hparams.dim;
    LNG_TRY(lng_pass_linear_backward(
        pass, layer, LNG_PARAM_DEC_CROSS_OUT_W, LNG_PARAM_DEC_CROSS_OUT_B,
        &(struct lng_linear_gradient){.x = state->o,
                                      .d_y = lng_view_rows(ws->d_x, 0, rows),
                                      .d_x = lng_view_rows(ws->d_o, 0, rows)}));
    struct lng_view d_q = lng_view_make(ws->d_wide.data, ws->d_wide.dtype, rows, dim);
    struct attention_call call = cross_call(pass, state);
    struct attention_call gradient = {
        .q = d_q, .k = columns(ws->d_kv, 0, dim), .v = columns(ws->d_kv, 1, dim)};
    LNG_TRY(attend_backward(pass, layer, &call, &gradient, state));
    LNG_TRY(guide_backward(pass, layer, &call, &gradient, state));
    LNG_TRY(lng_pass_linear_backward(
        pass, layer, LNG_PARAM_DEC_CROSS_KV_W, LNG_PARAM_DEC_CROSS_KV_B,
        &(struct lng_linear_gradient){
            .x = encoded, .d_y = ws->d_kv, .d_x = ws->d_encoded, .accumulate = true}));
    return lng_pass_linear_backward(
        pass, layer, LNG_PARAM_DEC_CROSS_Q_W, LNG_PARAM_DEC_CROSS_Q_B,
        &(struct lng_linear_gradient){
            .x = input, .d_y = d_q, .d_x = d_in, .accumulate = accumulate});
}
