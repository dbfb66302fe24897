/* A stack of layers, encoder or decoder, forward and backward: the order of sub-layers and norm steps, and
 * how the residual stream runs through them in post- and pre-norm models. */
#include "host/model/pass.h"

#include <math.h>

enum sublayer { SUBLAYER_SELF, SUBLAYER_CROSS, SUBLAYER_FFN };

/* ---- embedding -------------------------------------------------------------------------------- */

static const struct lng_tensor *embedding_table(const struct lng_pass *pass)
{
    enum lng_param_id own = lng_pass_param(pass, LNG_PARAM_SOURCE_EMBED, LNG_PARAM_TARGET_EMBED);
    bool shared = pass->model->hparams.tie == LNG_TIE_ALL;
    return lng_model_tensor(pass->model, shared ? LNG_PARAM_SHARED : own, -1);
}

static const struct lng_tensor *learned_positions(const struct lng_pass *pass)
{
    return lng_model_tensor(
        pass->model, lng_pass_param(pass, LNG_PARAM_ENCODER_POSITIONS, LNG_PARAM_DECODER_POSITIONS),
        -1);
}

static double embedding_scale(const struct lng_pass *pass)
{
    return pass->model->hparams.scale_embedding ? sqrt((double)pass->model->hparams.dim) : 1.0;
}

static struct lng_dropout embedding_dropout(const struct lng_pass *pass)
{
    const struct lng_regularization *r = pass->regularization;
    double p = r == NULL ? 0 : r->embedding_dropout < 0 ? r->dropout : r->embedding_dropout;
    return lng_pass_dropout(pass, p, -1, LNG_PLACE_EMBED);
}

static struct lng_dropout word_dropout(const struct lng_pass *pass)
{
    const struct lng_regularization *r = pass->regularization;
    double p = r == NULL ? 0 : pass->decoder ? r->target_word_dropout : r->source_word_dropout;
    return lng_pass_dropout(pass, p, -1, LNG_PLACE_WORD);
}

static enum lng_status embed(const struct lng_pass *pass)
{
    const struct lng_packed_side *side = lng_pass_side(pass);
    const struct lng_tensor *learned = learned_positions(pass), *table = embedding_table(pass);
    return lng_embed_fwd(pass->model->device,
                         &(struct lng_embed_fwd_args){
                             .table = table->value,
                             .rows = table->weight,
                             .position_table = learned ? learned->value : pass->model->positions,
                             .y = lng_pass_stack(pass)->embedded,
                             .ids = side->ids,
                             .positions = side->positions,
                             .scale = embedding_scale(pass),
                             .dropout = embedding_dropout(pass),
                             .word_dropout = word_dropout(pass),
                         });
}

static enum lng_status embed_backward(const struct lng_pass *pass, struct lng_view d_y)
{
    const struct lng_packed_side *side = lng_pass_side(pass);
    const struct lng_tensor *learned = learned_positions(pass);
    return lng_embed_bwd(pass->model->device,
                         &(struct lng_embed_bwd_args){
                             .d_y = d_y,
                             .d_table = embedding_table(pass)->gradient,
                             .d_position_table = learned ? learned->gradient : (struct lng_view){0},
                             .ids = side->ids,
                             .positions = side->positions,
                             .scale = embedding_scale(pass),
                             .dropout = embedding_dropout(pass),
                             .word_dropout = word_dropout(pass),
                         });
}

/* ---- order of things -------------------------------------------------------------------------- */

static int64_t sublayers(const struct lng_pass *pass)
{
    return pass->decoder ? 3 : 2;
}

/* Which sub-layer is the k-th of a layer of this stack. */
static enum sublayer sublayer_kind(const struct lng_pass *pass, int64_t k)
{
    if (k == 0)
        return SUBLAYER_SELF;
    return pass->decoder && k == 1 ? SUBLAYER_CROSS : SUBLAYER_FFN;
}

static struct lng_norm_state *norm_state(const struct lng_pass *pass, int64_t layer, int64_t k)
{
    struct lng_layer_state *state = &lng_pass_stack(pass)->layers[layer];
    switch (sublayer_kind(pass, k)) {
    case SUBLAYER_SELF:
        return &state->self_norm;
    case SUBLAYER_CROSS:
        return &state->cross_norm;
    case SUBLAYER_FFN:
        break;
    }
    return &state->ffn_norm;
}

/* The norm applied after sub-layer k: its own in post-norm, the next one's in pre-norm. */
static int64_t norm_index(const struct lng_pass *pass, int64_t layer, int64_t k)
{
    return layer * sublayers(pass) + k + (pass->model->hparams.pre_norm ? 1 : 0);
}

/* What flows into sub-layer k. */
static struct lng_stream stream_before(const struct lng_pass *pass, int64_t layer, int64_t k)
{
    struct lng_stack_state *stack = lng_pass_stack(pass);
    bool pre_norm = pass->model->hparams.pre_norm;
    if (layer == 0 && k == 0)
        return (struct lng_stream){pre_norm ? stack->input_norm.y : stack->embedded,
                                   stack->embedded};
    const struct lng_norm_state *before =
        k > 0 ? norm_state(pass, layer, k - 1) : norm_state(pass, layer - 1, sublayers(pass) - 1);
    return (struct lng_stream){before->y, pre_norm ? before->sum : before->y};
}

static struct lng_dropout residual_dropout(const struct lng_pass *pass, int64_t layer, int64_t k)
{
    static const enum lng_place places[] = {LNG_PLACE_SELF_RESIDUAL, LNG_PLACE_CROSS_RESIDUAL,
                                            LNG_PLACE_FFN_RESIDUAL};
    double p = pass->regularization ? pass->regularization->dropout : 0;
    return lng_pass_dropout(pass, p, layer, places[sublayer_kind(pass, k)]);
}

/* ---- forward ---------------------------------------------------------------------------------- */

static enum lng_status layer_forward(const struct lng_pass *pass, int64_t layer,
                                     struct lng_view encoded)
{
    struct lng_view output = lng_view_rows(pass->workspace->sublayer, 0, lng_pass_side(pass)->rows);
    for (int64_t k = 0; k < sublayers(pass); k++) {
        struct lng_stream stream = stream_before(pass, layer, k);
        switch (sublayer_kind(pass, k)) {
        case SUBLAYER_SELF:
            LNG_TRY(lng_self_attention_forward(pass, layer, stream.input));
            break;
        case SUBLAYER_CROSS:
            LNG_TRY(lng_cross_attention_forward(pass, layer, stream.input, encoded));
            break;
        case SUBLAYER_FFN:
            LNG_TRY(lng_ffn_forward(pass, layer, stream.input));
            break;
        }
        LNG_TRY(lng_pass_norm(pass, norm_index(pass, layer, k), output, stream.residual,
                              residual_dropout(pass, layer, k), norm_state(pass, layer, k)));
    }
    return LNG_OK;
}

enum lng_status lng_stack_forward(const struct lng_pass *pass, struct lng_view encoded,
                                  struct lng_view *output)
{
    struct lng_stack_state *stack = lng_pass_stack(pass);
    LNG_TRY(embed(pass));
    if (pass->model->hparams.pre_norm)
        LNG_TRY(lng_pass_norm(pass, 0, stack->embedded, (struct lng_view){0},
                              (struct lng_dropout){0}, &stack->input_norm));
    for (int64_t layer = 0; layer < stack->count; layer++)
        LNG_TRY(layer_forward(pass, layer, encoded));
    *output = norm_state(pass, stack->count - 1, sublayers(pass) - 1)->y;
    return LNG_OK;
}

/* ---- backward --------------------------------------------------------------------------------- */

/* Gradients on their way down: of the norm's result, and (pre-norm) of the residual stream beside it. */
struct gradient_stream {
    struct lng_view d_y, d_sum;
};

static enum lng_status sublayer_backward(const struct lng_pass *pass, int64_t layer, int64_t k,
                                         struct lng_view encoded, struct gradient_stream *gradient)
{
    struct lng_workspace *ws = pass->workspace;
    int64_t rows = lng_pass_side(pass)->rows;
    struct lng_view d_stream = lng_view_rows(ws->d_stream, 0, rows);
    struct lng_view d_x = lng_view_rows(ws->d_x, 0, rows);
    struct lng_view d_in = lng_view_rows(ws->d_in, 0, rows);
    LNG_TRY(lng_pass_norm_backward(pass, norm_index(pass, layer, k), norm_state(pass, layer, k),
                                   gradient->d_y, gradient->d_sum, d_stream, d_x,
                                   residual_dropout(pass, layer, k)));
    /* Post-norm: the sub-layer's input is the stream itself, so its gradient joins d_stream. */
    bool joins = !pass->model->hparams.pre_norm;
    struct lng_view target = joins ? d_stream : d_in;
    struct lng_view input = stream_before(pass, layer, k).input;
    switch (sublayer_kind(pass, k)) {
    case SUBLAYER_SELF:
        LNG_TRY(lng_self_attention_backward(pass, layer, input, target, joins));
        break;
    case SUBLAYER_CROSS:
        LNG_TRY(lng_cross_attention_backward(pass, layer, input, encoded, target, joins));
        break;
    case SUBLAYER_FFN:
        LNG_TRY(lng_ffn_backward(pass, layer, input, target, joins));
        break;
    }
    gradient->d_y = target;
    gradient->d_sum = joins ? (struct lng_view){0} : d_stream;
    return LNG_OK;
}

enum lng_status lng_stack_backward(const struct lng_pass *pass, struct lng_view encoded,
                                   struct lng_view d_output)
{
    struct lng_stack_state *stack = lng_pass_stack(pass);
    struct gradient_stream gradient = {.d_y = d_output};
    for (int64_t layer = stack->count - 1; layer >= 0; layer--) {
        /* The last layer's insides are still there; the others' were overwritten by their successors. */
        if (pass->workspace->limits.recompute && layer < stack->count - 1)
            LNG_TRY(layer_forward(pass, layer, encoded));
        for (int64_t k = sublayers(pass) - 1; k >= 0; k--)
            LNG_TRY(sublayer_backward(pass, layer, k, encoded, &gradient));
    }
    struct lng_view d_embedded = gradient.d_y;
    if (pass->model->hparams.pre_norm) {
        d_embedded = gradient.d_sum;
        LNG_TRY(lng_pass_norm_backward(pass, 0, &stack->input_norm, gradient.d_y, gradient.d_sum,
                                       (struct lng_view){0}, d_embedded, (struct lng_dropout){0}));
    }
    return embed_backward(pass, d_embedded);
}
