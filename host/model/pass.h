/* Inside host/model: one walk through the network over a laid-out workspace, and the pieces both stacks
 * are made of. Forward functions read and write the layer's state; backward functions read that state and
 * add parameter gradients. */
#ifndef LNG_HOST_MODEL_PASS_H
#define LNG_HOST_MODEL_PASS_H

#include "host/model/workspace.h"

/* Where random numbers are used; a number per place, spaced by layer, distinct for the two stacks. */
enum lng_place {
    LNG_PLACE_EMBED = 1,
    LNG_PLACE_WORD,
    LNG_PLACE_SELF_PROBABILITIES,
    LNG_PLACE_SELF_RESIDUAL,
    LNG_PLACE_CROSS_PROBABILITIES,
    LNG_PLACE_CROSS_RESIDUAL,
    LNG_PLACE_FFN_HIDDEN,
    LNG_PLACE_FFN_RESIDUAL,
};

struct lng_pass {
    struct lng_model *model;
    struct lng_workspace *workspace;
    const struct lng_regularization *regularization; /* NULL = none */
    bool decoder;                                    /* which stack */
    bool backward;                                   /* statistics are to be saved */
};

/* The input of a sub-layer, and what its output is added to. Post-norm: the same view twice. */
struct lng_stream {
    struct lng_view input, residual;
};

static inline const struct lng_packed_side *lng_pass_side(const struct lng_pass *pass)
{
    return pass->decoder ? &pass->workspace->target : &pass->workspace->source;
}
static inline struct lng_stack_state *lng_pass_stack(const struct lng_pass *pass)
{
    return pass->decoder ? &pass->workspace->decoder : &pass->workspace->encoder;
}
static inline int64_t lng_pass_heads(const struct lng_pass *pass)
{
    const struct lng_hparams *h = &pass->model->hparams;
    return pass->decoder ? h->decoder_heads : h->encoder_heads;
}
static inline enum lng_param_id lng_pass_param(const struct lng_pass *pass,
                                               enum lng_param_id encoder, enum lng_param_id decoder)
{
    return pass->decoder ? decoder : encoder;
}

struct lng_rng_site lng_pass_site(const struct lng_pass *pass, int64_t layer, enum lng_place place);
struct lng_dropout lng_pass_dropout(const struct lng_pass *pass, double probability, int64_t layer,
                                    enum lng_place place);
/* Scores are multiplied by this. */
double lng_attention_scale(const struct lng_hparams *hparams, int64_t heads);

/* y = activation(x W^T + b) with the named tensors of a layer, and its backward. */
LNG_MUST_CHECK enum lng_status lng_pass_linear(const struct lng_pass *pass, int64_t layer,
                                               enum lng_param_id weight, enum lng_param_id bias,
                                               struct lng_view x, struct lng_view y,
                                               enum lng_activation activation);
struct lng_linear_gradient {
    struct lng_view x, y, d_y, d_x; /* y: ReLU only */
    enum lng_activation activation;
    bool accumulate;
};
LNG_MUST_CHECK enum lng_status lng_pass_linear_backward(const struct lng_pass *pass, int64_t layer,
                                                        enum lng_param_id weight,
                                                        enum lng_param_id bias,
                                                        const struct lng_linear_gradient *gradient);

/* Norm number `index` of the stack: with m sub-layers a layer, index = layer * m + sub-layer, and one past
 * the last is the final norm of a pre-norm stack. */
LNG_MUST_CHECK enum lng_status lng_pass_norm(const struct lng_pass *pass, int64_t index,
                                             struct lng_view x, struct lng_view residual,
                                             struct lng_dropout dropout,
                                             struct lng_norm_state *state);
/* d_y, d_sum -> d_residual, d_x; see lng_norm_bwd_args. */
LNG_MUST_CHECK enum lng_status lng_pass_norm_backward(const struct lng_pass *pass, int64_t index,
                                                      const struct lng_norm_state *state,
                                                      struct lng_view d_y, struct lng_view d_sum,
                                                      struct lng_view d_residual,
                                                      struct lng_view d_x,
                                                      struct lng_dropout dropout);

/* Sub-layers: input -> workspace->sublayer; and output gradient d_x -> gradient of the input, written to
 * d_in, or added to it where accumulate. Cross-attention adds the source's part to d_encoded. */
LNG_MUST_CHECK enum lng_status lng_self_attention_forward(const struct lng_pass *pass,
                                                          int64_t layer, struct lng_view input);
LNG_MUST_CHECK enum lng_status lng_self_attention_backward(const struct lng_pass *pass,
                                                           int64_t layer, struct lng_view input,
                                                           struct lng_view d_in, bool accumulate);
LNG_MUST_CHECK enum lng_status lng_cross_attention_forward(const struct lng_pass *pass,
                                                           int64_t layer, struct lng_view input,
                                                           struct lng_view encoded);
LNG_MUST_CHECK enum lng_status lng_cross_attention_backward(const struct lng_pass *pass,
                                                            int64_t layer, struct lng_view input,
                                                            struct lng_view encoded,
                                                            struct lng_view d_in, bool accumulate);
LNG_MUST_CHECK enum lng_status lng_ffn_forward(const struct lng_pass *pass, int64_t layer,
                                               struct lng_view input);
LNG_MUST_CHECK enum lng_status lng_ffn_backward(const struct lng_pass *pass, int64_t layer,
                                                struct lng_view input, struct lng_view d_in,
                                                bool accumulate);

/* The whole stack: embedding to final output. encoded: output of the encoder, for the decoder. */
LNG_MUST_CHECK enum lng_status lng_stack_forward(const struct lng_pass *pass,
                                                 struct lng_view encoded, struct lng_view *output);
/* From d_output [N, D] (may be workspace->d_in) down to the embedding tables. The decoder adds to
 * workspace->d_encoded. */
LNG_MUST_CHECK enum lng_status
lng_stack_backward(const struct lng_pass *pass, struct lng_view encoded, struct lng_view d_output);

#endif
