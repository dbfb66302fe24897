/* Feed-forward sub-layer: W2 dropout(activation(W1 x + b1)) + b2.
 * ReLU is fused into the first product: its gradient needs only the (dropped) hidden values. */
#include "host/model/pass.h"

static struct lng_dropout hidden_dropout(const struct lng_pass *pass, int64_t layer)
{
    double probability = pass->regularization ? pass->regularization->ffn_dropout : 0;
    return lng_pass_dropout(pass, probability, layer, LNG_PLACE_FFN_HIDDEN);
}

enum lng_status lng_ffn_forward(const struct lng_pass *pass, int64_t layer, struct lng_view input)
{
    const struct lng_layer_state *state = &lng_pass_stack(pass)->layers[layer];
    enum lng_activation activation = pass->model->hparams.activation;
    bool relu = activation == LNG_ACTIVATION_RELU;
    struct lng_dropout dropout = hidden_dropout(pass, layer);
    struct lng_view first = state->ffn_pre.data ? state->ffn_pre : state->ffn_hidden;
    LNG_TRY(lng_pass_linear(pass, layer,
                            lng_pass_param(pass, LNG_PARAM_ENC_FFN_IN_W, LNG_PARAM_DEC_FFN_IN_W),
                            lng_pass_param(pass, LNG_PARAM_ENC_FFN_IN_B, LNG_PARAM_DEC_FFN_IN_B),
                            input, first, relu ? LNG_ACTIVATION_RELU : LNG_ACTIVATION_NONE));
    if (!relu || dropout.probability > 0)
        LNG_TRY(lng_activation_fwd(
            pass->model->device,
            &(struct lng_activation_fwd_args){.x = first,
                                              .y = state->ffn_hidden,
                                              .activation = relu ? LNG_ACTIVATION_NONE : activation,
                                              .dropout = dropout}));
    struct lng_view out = lng_view_rows(pass->workspace->sublayer, 0, lng_pass_side(pass)->rows);
    return lng_pass_linear(pass, layer,
                           lng_pass_param(pass, LNG_PARAM_ENC_FFN_OUT_W, LNG_PARAM_DEC_FFN_OUT_W),
                           lng_pass_param(pass, LNG_PARAM_ENC_FFN_OUT_B, LNG_PARAM_DEC_FFN_OUT_B),
                           state->ffn_hidden, out, LNG_ACTIVATION_NONE);
}

enum lng_status lng_ffn_backward(const struct lng_pass *pass, int64_t layer, struct lng_view input,
                                 struct lng_view d_in, bool accumulate)
{
    const struct lng_layer_state *state = &lng_pass_stack(pass)->layers[layer];
    struct lng_workspace *ws = pass->workspace;
    int64_t rows = lng_pass_side(pass)->rows;
    enum lng_activation activation = pass->model->hparams.activation;
    bool relu = activation == LNG_ACTIVATION_RELU;
    struct lng_dropout dropout = hidden_dropout(pass, layer);
    struct lng_view d_hidden =
        lng_view_make(ws->d_wide.data, ws->d_wide.dtype, rows, state->ffn_hidden.cols);
    LNG_TRY(lng_pass_linear_backward(
        pass, layer, lng_pass_param(pass, LNG_PARAM_ENC_FFN_OUT_W, LNG_PARAM_DEC_FFN_OUT_W),
        lng_pass_param(pass, LNG_PARAM_ENC_FFN_OUT_B, LNG_PARAM_DEC_FFN_OUT_B),
        &(struct lng_linear_gradient){
            .x = state->ffn_hidden, .d_y = lng_view_rows(ws->d_x, 0, rows), .d_x = d_hidden}));
    if (!relu || dropout.probability > 0)
        LNG_TRY(lng_activation_bwd(
            pass->model->device,
            &(struct lng_activation_bwd_args){.x = relu ? state->ffn_hidden : state->ffn_pre,
                                              .d_y = d_hidden,
                                              .d_x = d_hidden,
                                              .activation = relu ? LNG_ACTIVATION_NONE : activation,
                                              .dropout = dropout}));
    return lng_pass_linear_backward(
        pass, layer, lng_pass_param(pass, LNG_PARAM_ENC_FFN_IN_W, LNG_PARAM_DEC_FFN_IN_W),
        lng_pass_param(pass, LNG_PARAM_ENC_FFN_IN_B, LNG_PARAM_DEC_FFN_IN_B),
        &(struct lng_linear_gradient){.x = input,
                                      .y = state->ffn_hidden,
                                      .d_y = d_hidden,
                                      .d_x = d_in,
                                      .activation =
                                          relu ? LNG_ACTIVATION_RELU : LNG_ACTIVATION_NONE,
                                      .accumulate = accumulate});
}
