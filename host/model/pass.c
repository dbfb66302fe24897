#include "host/model/pass.h"

#include <math.h>

enum { PLACES = 16, DECODER_SITES = 32768 };

struct lng_rng_site lng_pass_site(const struct lng_pass *pass, int64_t layer, enum lng_place place)
{
    const struct lng_regularization *r = pass->regularization;
    if (r == NULL)
        return (struct lng_rng_site){0};
    uint32_t stack = pass->decoder ? DECODER_SITES : 0;
    return (struct lng_rng_site){
        .seed = r->seed,
        .update = r->update,
        .site = stack + (uint32_t)(layer + 1) * PLACES + (uint32_t)place,
    };
}

struct lng_dropout lng_pass_dropout(const struct lng_pass *pass, double probability, int64_t layer,
                                    enum lng_place place)
{
    if (pass->regularization == NULL || probability <= 0)
        return (struct lng_dropout){0};
    const struct lng_packed_side *side = lng_pass_side(pass);
    return (struct lng_dropout){
        .probability = probability,
        .rng = lng_pass_site(pass, layer, place),
        .sentence = side->row_sentence,
        .position = side->row_position,
    };
}

double lng_attention_scale(const struct lng_hparams *h, int64_t heads)
{
    return h->attention_scaled ? 1.0 / sqrt((double)h->dim / (double)heads) : 1.0;
}

static struct lng_view value_of(const struct lng_tensor *tensor)
{
    return tensor ? tensor->value : (struct lng_view){0};
}

static struct lng_view gradient_of(const struct lng_tensor *tensor)
{
    return tensor ? tensor->gradient : (struct lng_view){0};
}

enum lng_status lng_pass_linear(const struct lng_pass *pass, int64_t layer,
                                enum lng_param_id weight, enum lng_param_id bias, struct lng_view x,
                                struct lng_view y, enum lng_activation activation)
{
    struct lng_model *model = pass->model;
    return lng_linear_fwd(model->device,
                          &(struct lng_linear_fwd_args){
                              .x = x,
                              .weight = lng_model_tensor(model, weight, (int)layer)->weight,
                              .bias = value_of(lng_model_tensor(model, bias, (int)layer)),
                              .y = y,
                              .activation = activation,
                          });
}

enum lng_status lng_pass_linear_backward(const struct lng_pass *pass, int64_t layer,
                                         enum lng_param_id weight, enum lng_param_id bias,
                                         const struct lng_linear_gradient *gradient)
{
    struct lng_model *model = pass->model;
    const struct lng_tensor *w = lng_model_tensor(model, weight, (int)layer);
    return lng_linear_bwd(model->device,
                          &(struct lng_linear_bwd_args){
                              .x = gradient->x,
                              .y = gradient->y,
                              .weight = w->weight,
                              .d_y = gradient->d_y,
                              .d_x = gradient->d_x,
                              .d_weight = w->gradient,
                              .d_bias = gradient_of(lng_model_tensor(model, bias, (int)layer)),
                              .activation = gradient->activation,
                              .accumulate_d_x = gradient->accumulate,
                          });
}

/* The norm of a stack by its running index. */
static void find_norm(const struct lng_pass *pass, int64_t index, const struct lng_tensor **gamma,
                      const struct lng_tensor **beta)
{
    static const enum lng_param_id encoder[] = {LNG_PARAM_ENC_SELF_NORM_GAMMA,
                                                LNG_PARAM_ENC_FFN_NORM_GAMMA};
    static const enum lng_param_id decoder[] = {LNG_PARAM_DEC_SELF_NORM_GAMMA,
                                                LNG_PARAM_DEC_CROSS_NORM_GAMMA,
                                                LNG_PARAM_DEC_FFN_NORM_GAMMA};
    int64_t per_layer = pass->decoder ? 3 : 2;
    int64_t layer = index / per_layer;
    enum lng_param_id id;
    if (layer == lng_pass_stack(pass)->count) {
        id = lng_pass_param(pass, LNG_PARAM_ENCODER_NORM_GAMMA, LNG_PARAM_DECODER_NORM_GAMMA);
        layer = -1;
    } else {
        id = (pass->decoder ? decoder : encoder)[index % per_layer];
    }
    *gamma = lng_model_tensor(pass->model, id, (int)layer);
    *beta = lng_model_tensor(pass->model, id + 1, (int)layer); /* params.def: beta follows gamma */
}

enum lng_status lng_pass_norm(const struct lng_pass *pass, int64_t index, struct lng_view x,
                              struct lng_view residual, struct lng_dropout dropout,
                              struct lng_norm_state *state)
{
    const struct lng_tensor *gamma, *beta;
    find_norm(pass, index, &gamma, &beta);
    const struct lng_hparams *h = &pass->model->hparams;
    return lng_norm_fwd(pass->model->device, &(struct lng_norm_fwd_args){
                                                 .x = x,
                                                 .residual = residual,
                                                 .gamma = gamma->value,
                                                 .beta = value_of(beta),
                                                 .y = state->y,
                                                 .sum = state->sum,
                                                 .mean = state->mean,
                                                 .rstd = state->rstd,
                                                 .kind = h->norm,
                                                 .epsilon = h->norm_epsilon,
                                                 .dropout = dropout,
                                             });
}

enum lng_status lng_pass_norm_backward(const struct lng_pass *pass, int64_t index,
                                       const struct lng_norm_state *state, struct lng_view d_y,
                                       struct lng_view d_sum, struct lng_view d_residual,
                                       struct lng_view d_x, struct lng_dropout dropout)
{
    const struct lng_tensor *gamma, *beta;
    find_norm(pass, index, &gamma, &beta);
    const struct lng_hparams *h = &pass->model->hparams;
    return lng_norm_bwd(pass->model->device, &(struct lng_norm_bwd_args){
                                                 .sum = state->sum,
                                                 .gamma = gamma->value,
                                                 .d_y = d_y,
                                                 .d_sum = d_sum,
                                                 .d_residual = d_residual,
                                                 .d_x = d_x,
                                                 .d_gamma = gamma->gradient,
                                                 .d_beta = gradient_of(beta),
                                                 .mean = state->mean,
                                                 .rstd = state->rstd,
                                                 .kind = h->norm,
                                                 .epsilon = h->norm_epsilon,
                                                 .dropout = dropout,
                                             });
}
