/* What a whole batch is used for: training, scoring, logits, encoding. The output layer works on a block
 * of rows at a time, so that logits [rows, V] never exist for the whole batch. */
#include <string.h>

#include "host/model/pass.h"

static int64_t longest(const struct lng_sequences *s, int64_t most)
{
    for (int64_t b = 0; b < s->count; b++)
        if (s->offsets[b + 1] - s->offsets[b] > most)
            most = s->offsets[b + 1] - s->offsets[b];
    return most;
}

/* Lays out and uploads a batch, `copies` times; target NULL = source only, guide NULL = none. */
static enum lng_status begin(struct lng_model *model, struct lng_workspace *ws,
                             const struct lng_sequences *source, const struct lng_sequences *target,
                             const struct lng_guide *guide, int copies)
{
    LNG_FAIL_IF(target != NULL && source->count != target->count, LNG_ERR_SHAPE,
                "%lld source sentences but %lld targets", (long long)source->count,
                (long long)target->count);
    int64_t most = longest(source, 1);
    if (target != NULL)
        most = longest(target, most);
    LNG_TRY(lng_model_reserve_positions(model, most));
    int64_t source_rows = source->count > 0 ? source->offsets[source->count] : 0;
    int64_t target_rows = target != NULL && target->count > 0 ? target->offsets[target->count] : 0;
    int64_t links = guide != NULL ? guide->offsets[target_rows] : 0;
    LNG_TRY(lng_workspace_layout(ws, copies * source_rows, copies * target_rows,
                                 copies * source->count, copies * links));
    LNG_TRY(lng_workspace_upload(ws, source, copies, &ws->source, false));
    if (target != NULL)
        LNG_TRY(lng_workspace_upload(ws, target, copies, &ws->target, true));
    if (links > 0)
        LNG_TRY(lng_workspace_upload_guide(ws, guide, source, target, copies));
    static const double zeros[LNG_WORKSPACE_SUMS] = {0};
    return lng_device_write(model->device, ws->sums, zeros, sizeof zeros);
}

static struct lng_tensor *output_matrix(const struct lng_model *model)
{
    static const enum lng_param_id ids[] = {
        [LNG_TIE_ALL] = LNG_PARAM_SHARED,
        [LNG_TIE_TARGET] = LNG_PARAM_TARGET_EMBED,
        [LNG_TIE_NONE] = LNG_PARAM_OUTPUT,
    };
    return lng_model_tensor(model, ids[model->hparams.tie], -1);
}

static enum lng_status logits_of(struct lng_model *model, struct lng_view x, struct lng_view logits)
{
    const struct lng_tensor *bias = lng_model_tensor(model, LNG_PARAM_OUTPUT_BIAS, -1);
    return lng_linear_fwd(model->device, &(struct lng_linear_fwd_args){
                                             .x = x,
                                             .weight = output_matrix(model)->weight,
                                             .bias = bias ? bias->value : (struct lng_view){0},
                                             .y = logits,
                                         });
}

static enum lng_status logits_backward(struct lng_model *model, struct lng_view x,
                                       struct lng_view d_logits, struct lng_view d_x)
{
    const struct lng_tensor *bias = lng_model_tensor(model, LNG_PARAM_OUTPUT_BIAS, -1);
    const struct lng_tensor *matrix = output_matrix(model);
    return lng_linear_bwd(model->device, &(struct lng_linear_bwd_args){
                                             .x = x,
                                             .weight = matrix->weight,
                                             .d_y = d_logits,
                                             .d_x = d_x,
                                             .d_weight = matrix->gradient,
                                             .d_bias = bias ? bias->gradient : (struct lng_view){0},
                                         });
}

/* Loss of all rows, block by block; with a backward pass also d_output and the output layer's gradients. */
static enum lng_status loss_blocks(struct lng_model *model, struct lng_workspace *ws,
                                   struct lng_view output, const struct lng_regularization *r,
                                   bool backward)
{
    for (int64_t first = 0; first < output.rows; first += ws->logits.rows) {
        int64_t rows =
            output.rows - first < ws->logits.rows ? output.rows - first : ws->logits.rows;
        struct lng_view x = lng_view_rows(output, first, rows);
        struct lng_view logits = lng_view_rows(ws->logits, 0, rows);
        LNG_TRY(logits_of(model, x, logits));
        LNG_TRY(lng_loss(model->device, &(struct lng_loss_args){
                                            .logits = logits,
                                            .targets = ws->targets + first,
                                            .sums = ws->sums,
                                            .token_logprob = ws->token_logprob + first,
                                            .smoothing = r ? r->label_smoothing : 0,
                                            .kind = r ? r->smoothing_kind : LNG_SMOOTHING_UNIFORM,
                                            .d_logits = backward,
                                            .gradient_scale = 1,
                                        }));
        if (backward)
            LNG_TRY(logits_backward(model, x, logits, lng_view_rows(ws->d_in, first, rows)));
    }
    return LNG_OK;
}

/* The same with R-Drop: the two rows of a token, n apart, are of one block; the loss is a mean over both. */
static enum lng_status pair_blocks(struct lng_model *model, struct lng_workspace *ws,
                                   struct lng_view output, const struct lng_regularization *r)
{
    const int64_t n = output.rows / 2, most = ws->logits.rows / 2;
    for (int64_t first = 0; first < n; first += most) {
        const int64_t rows = n - first < most ? n - first : most;
        struct lng_view logits[2];
        for (int copy = 0; copy < 2; copy++) {
            logits[copy] = lng_view_rows(ws->logits, copy * rows, rows);
            LNG_TRY(logits_of(model, lng_view_rows(output, copy * n + first, rows), logits[copy]));
        }
        LNG_TRY(lng_pair_loss(model->device, &(struct lng_pair_loss_args){
                                                 .logits = lng_view_rows(ws->logits, 0, 2 * rows),
                                                 .targets = ws->targets + first,
                                                 .sums = ws->sums,
                                                 .smoothing = r->label_smoothing,
                                                 .kind = r->smoothing_kind,
                                                 .divergence = r->r_drop,
                                                 .gradient_scale = 0.5,
                                             }));
        for (int copy = 0; copy < 2; copy++)
            LNG_TRY(logits_backward(model, lng_view_rows(output, copy * n + first, rows),
                                    logits[copy], lng_view_rows(ws->d_in, copy * n + first, rows)));
    }
    return LNG_OK;
}

/* Means over the copies of the batch. */
static struct lng_loss_sums means_of(const double values[LNG_WORKSPACE_SUMS], int copies,
                                     double tokens)
{
    const double *guide = values + LNG_WORKSPACE_GUIDE_SUMS;
    return (struct lng_loss_sums){
        .loss = values[0] / copies,
        .nll = values[1] / copies,
        .correct = values[2] / copies,
        .tokens = tokens,
        .alignment = guide[0] / copies,
        .aligned = guide[1] / copies,
    };
}

static double tokens_of(const struct lng_workspace *ws, int copies)
{
    return (double)(ws->target.rows / copies);
}

static enum lng_status read_sums(struct lng_model *model, const struct lng_workspace *ws,
                                 int copies, struct lng_loss_sums *sums)
{
    double values[LNG_WORKSPACE_SUMS];
    LNG_TRY(lng_device_read(model->device, values, ws->sums, sizeof values));
    *sums = means_of(values, copies, tokens_of(ws, copies));
    return LNG_OK;
}

_Static_assert(LNG_LOSS_LANDING == LNG_WORKSPACE_SUMS * sizeof(double), "all sums land");

struct lng_loss_sums lng_loss_sums_landed(const struct lng_loss_later *later, const void *memory)
{
    double values[LNG_WORKSPACE_SUMS];
    memcpy(values, (const unsigned char *)memory + later->at, sizeof values);
    return means_of(values, later->copies, later->tokens);
}

/* The <pad> row never learns: it is the decoder's zero start embedding. */
static enum lng_status clear_pad_gradient(struct lng_model *model)
{
    static const enum lng_param_id tables[] = {LNG_PARAM_SHARED, LNG_PARAM_TARGET_EMBED,
                                               LNG_PARAM_OUTPUT};
    int32_t pad = model->hparams.pad;
    if (pad < 0)
        return LNG_OK;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const struct lng_tensor *table = lng_model_tensor(model, tables[i], -1);
        if (table != NULL)
            LNG_TRY(lng_fill(model->device,
                             &(struct lng_fill_args){.y = lng_view_rows(table->gradient, pad, 1)}));
    }
    const struct lng_tensor *bias = lng_model_tensor(model, LNG_PARAM_OUTPUT_BIAS, -1);
    if (bias != NULL)
        LNG_TRY(lng_fill(model->device,
                         &(struct lng_fill_args){.y = lng_view_cols(bias->gradient, pad, 1)}));
    return LNG_OK;
}

static enum lng_status forward(const struct lng_pass *encoder, const struct lng_pass *decoder,
                               struct lng_view *encoded, struct lng_view *output)
{
    LNG_TRY(lng_stack_forward(encoder, (struct lng_view){0}, encoded));
    return decoder ? lng_stack_forward(decoder, *encoded, output) : LNG_OK;
}

static int copies_of(const struct lng_regularization *regularization)
{
    return regularization != NULL && regularization->r_drop > 0 ? 2 : 1;
}

/* All of a batch but telling its sums. */
static enum lng_status train(struct lng_model *model, struct lng_workspace *ws,
                             const struct lng_sequences *source, const struct lng_sequences *target,
                             const struct lng_regularization *regularization)
{
    LNG_FAIL_IF(!model->training || !ws->limits.backward, LNG_ERR_USAGE,
                "training needs a model and a workspace opened for it");
    const int copies = copies_of(regularization);
    const struct lng_guide *guide = regularization != NULL ? regularization->guide : NULL;
    LNG_FAIL_IF(
        guide != NULL && (guide->layer < 0 || guide->layer >= model->hparams.decoder_layers),
        LNG_ERR_RANGE, "guided alignment: expected a decoder layer from 0 to %d, found %lld",
        model->hparams.decoder_layers - 1, (long long)guide->layer);
    LNG_TRY(begin(model, ws, source, target, guide, copies));
    struct lng_pass encoder = {
        .model = model, .workspace = ws, .regularization = regularization, .backward = true};
    struct lng_pass decoder = encoder;
    decoder.decoder = true;
    struct lng_view encoded, output;
    LNG_TRY(forward(&encoder, &decoder, &encoded, &output));
    LNG_TRY(copies == 2 ? pair_blocks(model, ws, output, regularization)
                        : loss_blocks(model, ws, output, regularization, true));
    LNG_TRY(lng_fill(model->device, &(struct lng_fill_args){.y = ws->d_encoded}));
    LNG_TRY(lng_stack_backward(&decoder, encoded, lng_view_rows(ws->d_in, 0, output.rows)));
    LNG_TRY(lng_stack_backward(&encoder, (struct lng_view){0}, ws->d_encoded));
    return clear_pad_gradient(model);
}

enum lng_status lng_model_train(struct lng_model *model, struct lng_workspace *ws,
                                const struct lng_sequences *source,
                                const struct lng_sequences *target,
                                const struct lng_regularization *regularization,
                                struct lng_loss_sums *sums)
{
    LNG_TRY(train(model, ws, source, target, regularization));
    return sums ? read_sums(model, ws, copies_of(regularization), sums) : LNG_OK;
}

enum lng_status lng_model_train_later(struct lng_model *model, struct lng_workspace *ws,
                                      const struct lng_sequences *source,
                                      const struct lng_sequences *target,
                                      const struct lng_regularization *regularization,
                                      struct lng_loss_later *later)
{
    LNG_TRY(train(model, ws, source, target, regularization));
    LNG_TRY(lng_landing_copy(model->device, later->landing, later->at, ws->sums, LNG_LOSS_LANDING));
    later->copies = copies_of(regularization);
    later->tokens = tokens_of(ws, later->copies);
    return LNG_OK;
}

enum lng_status lng_model_score(struct lng_model *model, struct lng_workspace *ws,
                                const struct lng_sequences *source,
                                const struct lng_sequences *target, float *token_logprob,
                                struct lng_loss_sums *sums)
{
    LNG_TRY(begin(model, ws, source, target, NULL, 1));
    struct lng_pass encoder = {.model = model, .workspace = ws};
    struct lng_pass decoder = {.model = model, .workspace = ws, .decoder = true};
    struct lng_view encoded, output;
    LNG_TRY(forward(&encoder, &decoder, &encoded, &output));
    LNG_TRY(loss_blocks(model, ws, output, NULL, false));
    if (token_logprob != NULL)
        LNG_TRY(lng_device_read(model->device, token_logprob, ws->token_logprob,
                                (size_t)output.rows * sizeof *token_logprob));
    return sums ? read_sums(model, ws, 1, sums) : LNG_OK;
}

enum lng_status lng_model_logits(struct lng_model *model, struct lng_workspace *ws,
                                 const struct lng_sequences *source,
                                 const struct lng_sequences *target, float *logits)
{
    LNG_TRY(begin(model, ws, source, target, NULL, 1));
    struct lng_pass encoder = {.model = model, .workspace = ws};
    struct lng_pass decoder = {.model = model, .workspace = ws, .decoder = true};
    struct lng_view encoded, output;
    LNG_TRY(forward(&encoder, &decoder, &encoded, &output));
    int64_t columns = model->hparams.target_vocab;
    void *memory;
    LNG_TRY(lng_device_alloc(model->device, (size_t)(ws->logits.rows * columns) * sizeof(float),
                             &memory));
    enum lng_status status = LNG_OK;
    for (int64_t first = 0; first < output.rows; first += ws->logits.rows) {
        int64_t rows =
            output.rows - first < ws->logits.rows ? output.rows - first : ws->logits.rows;
        struct lng_view block = lng_view_rows(ws->logits, 0, rows);
        struct lng_view plain = lng_view_make(memory, LNG_DTYPE_F32, rows, columns);
        LNG_TRY_OR_FAIL(logits_of(model, lng_view_rows(output, first, rows), block));
        LNG_TRY_OR_FAIL(lng_copy(model->device, &(struct lng_copy_args){.x = block, .y = plain}));
        LNG_TRY_OR_FAIL(lng_device_read(model->device, logits + first * columns, memory,
                                        (size_t)(rows * columns) * sizeof(float)));
    }
fail:
    lng_device_free(model->device, memory);
    return status;
}

enum lng_status lng_model_encode(struct lng_model *model, struct lng_workspace *ws,
                                 const struct lng_sequences *source, struct lng_view *encoded)
{
    LNG_TRY(begin(model, ws, source, NULL, NULL, 1));
    struct lng_pass encoder = {.model = model, .workspace = ws};
    struct lng_view result;
    LNG_TRY(forward(&encoder, NULL, &result, NULL));
    *encoded = result;
    return LNG_OK;
}
