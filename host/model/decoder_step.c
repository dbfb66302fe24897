/* The decoder, one token of every live hypothesis at a time. Same network as stack.c, without what the
 * backward pass needs and with keys and values read from caches. */
#include <math.h>
#include <string.h>

#include "host/base/arena.h"
#include "host/base/mem.h"
#include "host/model/pass.h"

struct lng_step_scratch {
    struct lng_device *device;
    void *memory;
    int64_t max_rows;
    struct lng_view qkv;      /* [R, 3D] */
    struct lng_view raw;      /* [R, 3D] the same of inputs that are not normalised; or no rows */
    struct lng_view attended; /* [R, D] */
    struct lng_view sublayer; /* [R, D] */
    struct lng_view hidden;   /* [R, F] */
    struct lng_view input[2]; /* [R, D], taking turns */
    struct lng_view sum[2];   /* [R, D] residual stream of pre-norm models, taking turns */
};

/* Where the walk through the layers stands. */
struct walk {
    struct lng_model *model;
    struct lng_step_scratch scratch; /* views cut to the live rows */
    const struct lng_decoder_step_args *args;
    struct lng_view input, residual;
    int turn;
    bool
        waits; /* the input is yet to be made, by `norm`: with the product that takes it, where there is one */
    struct lng_norm_fwd_args norm;
};

static void lay_scratch(const struct lng_model *model, struct lng_arena *arena,
                        struct lng_step_scratch *scratch, int64_t rows)
{
    const struct lng_hparams *h = &model->hparams;
    struct {
        struct lng_view *view;
        int64_t cols;
    } wanted[] = {
        {&scratch->qkv, 3 * h->dim},  {&scratch->attended, h->dim},
        {&scratch->sublayer, h->dim}, {&scratch->hidden, h->decoder_ffn},
        {&scratch->input[0], h->dim}, {&scratch->input[1], h->dim},
        {&scratch->sum[0], h->dim},   {&scratch->sum[1], h->dim},
        {&scratch->raw, 3 * h->dim},
    };
    size_t count = sizeof wanted / sizeof wanted[0] - !model->raw_decoder_keys;
    for (size_t i = 0; i < count; i++) {
        size_t elements = (size_t)(rows * wanted[i].cols);
        void *data = lng_arena_take(arena, elements, lng_dtype_size(model->activation));
        *wanted[i].view = lng_view_make(data, model->activation, rows, wanted[i].cols);
    }
}

enum lng_status lng_step_scratch_open(const struct lng_model *model, int64_t max_rows,
                                      struct lng_step_scratch **scratch)
{
    struct lng_step_scratch *s = lng_alloc(1, sizeof *s);
    if (s == NULL)
        return LNG_ERR_MEMORY;
    s->device = model->device;
    s->max_rows = max_rows;
    struct lng_arena arena;
    lng_arena_init_measuring(&arena);
    lay_scratch(model, &arena, s, max_rows);
    size_t bytes = arena.used;
    enum lng_status status = lng_device_alloc(model->device, bytes, &s->memory);
    if (status != LNG_OK) {
        lng_free(s);
        return status;
    }
    lng_arena_init(&arena, s->memory, bytes);
    lay_scratch(model, &arena, s, max_rows);
    *scratch = s;
    return LNG_OK;
}

void lng_step_scratch_close(struct lng_step_scratch *scratch)
{
    if (scratch == NULL)
        return;
    lng_device_free(scratch->device, scratch->memory);
    lng_free(scratch);
}

static struct lng_view value(const struct walk *walk, enum lng_param_id id, int64_t layer)
{
    const struct lng_tensor *tensor = lng_model_tensor(walk->model, id, (int)layer);
    return tensor ? tensor->value : (struct lng_view){0};
}

static enum lng_status project(struct walk *walk, int64_t layer, enum lng_param_id weight,
                               struct lng_view x, struct lng_view y, enum lng_activation activation)
{
    const struct lng_tensor *w = lng_model_tensor(walk->model, weight, (int)layer);
    const struct lng_linear_fwd_args linear = {
        .x = x,
        .weight = w->weight,
        .bias = value(walk, weight + 1, layer),
        .y = y,
        .activation = activation,
    };
    if (!walk->waits || x.data != walk->input.data)
        return lng_linear_fwd(walk->model->device, &linear);
    walk->waits = false;
    return lng_norm_linear_fwd(walk->model->device, &(struct lng_norm_linear_fwd_args){
                                                        .norm = walk->norm, .linear = linear});
}

/* Makes the input, if it waits. */
static enum lng_status settle(struct walk *walk)
{
    if (!walk->waits)
        return LNG_OK;
    walk->waits = false;
    return lng_norm_fwd(walk->model->device, &walk->norm);
}

/* After sub-layer `gamma` belongs to: the next input is the normalised sum with the residual, when it is made. */
static void norm_step(struct walk *walk, enum lng_param_id gamma, int64_t layer, struct lng_view x,
                      struct lng_view residual)
{
    const struct lng_hparams *h = &walk->model->hparams;
    walk->turn ^= 1;
    struct lng_view y = walk->scratch.input[walk->turn];
    struct lng_view sum = h->pre_norm ? walk->scratch.sum[walk->turn] : (struct lng_view){0};
    walk->norm = (struct lng_norm_fwd_args){
        .x = x,
        .residual = residual,
        .gamma = value(walk, gamma, layer),
        .beta = value(walk, gamma + 1, layer),
        .y = y,
        .sum = sum,
        .kind = h->norm,
        .epsilon = h->norm_epsilon,
    };
    walk->waits = true;
    walk->input = y;
    walk->residual = h->pre_norm ? sum : y;
}

/* The norm after a sub-layer: its own in post-norm, the next sub-layer's (or the final one) in pre-norm. */
static void norm_after(struct walk *walk, enum lng_param_id own, enum lng_param_id next,
                       int64_t layer)
{
    const struct lng_hparams *h = &walk->model->hparams;
    enum lng_param_id id = own;
    if (h->pre_norm) {
        id = next;
        if (next == LNG_PARAM_DEC_SELF_NORM_GAMMA && ++layer == h->decoder_layers) {
            id = LNG_PARAM_DECODER_NORM_GAMMA;
            layer = -1;
        }
    }
    norm_step(walk, id, layer, walk->scratch.sublayer, walk->residual);
}

/* Hypotheses at time 0 have one key, so attention gives its value: that of the normalised input. The caches are to hold
 * what was projected from the input as it was. */
static enum lng_status restore_first_values(const struct walk *walk)
{
    int64_t old = walk->args->old_rows, fresh = walk->args->rows - old,
            dim = walk->model->hparams.dim;
    if (fresh == 0)
        return LNG_OK;
    struct lng_view values = lng_view_cols(walk->scratch.qkv, 2 * dim, dim);
    return lng_copy(walk->model->device, &(struct lng_copy_args){
                                             .x = lng_view_rows(values, old, fresh),
                                             .y = lng_view_rows(walk->scratch.attended, old, fresh),
                                         });
}

static enum lng_status self_attention(struct walk *walk, int64_t layer)
{
    const struct lng_hparams *h = &walk->model->hparams;
    const struct lng_decoder_step_args *a = walk->args;
    bool raw = walk->model->raw_decoder_keys;
    struct lng_view kept = raw ? walk->scratch.raw : walk->scratch.qkv;
    LNG_TRY(project(walk, layer, LNG_PARAM_DEC_QKV_W, walk->input, walk->scratch.qkv,
                    LNG_ACTIVATION_NONE));
    if (raw)
        LNG_TRY(
            project(walk, layer, LNG_PARAM_DEC_QKV_W, walk->residual, kept, LNG_ACTIVATION_NONE));
    LNG_TRY(lng_attention_step(walk->model->device,
                               &(struct lng_attention_step_args){
                                   .q = lng_view_cols(walk->scratch.qkv, 0, h->dim),
                                   .new_k = lng_view_cols(kept, h->dim, h->dim),
                                   .new_v = lng_view_cols(kept, 2 * h->dim, h->dim),
                                   .k_cache = a->caches[layer].self_k,
                                   .v_cache = a->caches[layer].self_v,
                                   .o = walk->scratch.attended,
                                   .key_count = a->self_count,
                                   .ancestor = a->ancestor,
                                   .ancestor_stride = a->ancestor_stride,
                                   .slots = a->slots,
                                   .heads = h->decoder_heads,
                                   .scale = lng_attention_scale(h, h->decoder_heads),
                                   .score = h->attention_score,
                                   .score_vector = value(walk, LNG_PARAM_DEC_SELF_SCORE, layer),
                               }));
    if (raw)
        LNG_TRY(restore_first_values(walk));
    LNG_TRY(project(walk, layer, LNG_PARAM_DEC_OUT_W, walk->scratch.attended,
                    walk->scratch.sublayer, LNG_ACTIVATION_NONE));
    norm_after(walk, LNG_PARAM_DEC_SELF_NORM_GAMMA, LNG_PARAM_DEC_CROSS_NORM_GAMMA, layer);
    return LNG_OK;
}

static enum lng_status cross_attention(struct walk *walk, int64_t layer)
{
    const struct lng_hparams *h = &walk->model->hparams;
    const struct lng_decoder_step_args *a = walk->args;
    struct lng_view q = lng_view_cols(walk->scratch.qkv, 0, h->dim);
    int64_t aligned = layer - a->alignment_layer;
    bool align = a->cross_weights != NULL && aligned >= 0 && aligned < a->alignment_layers;
    LNG_TRY(project(walk, layer, LNG_PARAM_DEC_CROSS_Q_W, walk->input, q, LNG_ACTIVATION_NONE));
    LNG_TRY(lng_attention_step(
        walk->model->device,
        &(struct lng_attention_step_args){
            .q = q,
            .k_cache = a->caches[layer].cross_k,
            .v_cache = a->caches[layer].cross_v,
            .o = walk->scratch.attended,
            .key_count = a->cross_count,
            .key_start = a->cross_start,
            .heads = h->decoder_heads,
            .scale = lng_attention_scale(h, h->decoder_heads),
            .score = h->attention_score,
            .score_vector = value(walk, LNG_PARAM_DEC_CROSS_SCORE, layer),
            .weights = align ? a->cross_weights + aligned * a->rows * a->weights_stride : NULL,
            .weights_stride = a->weights_stride,
            .first_head = a->first_head,
            .head_count = a->head_count,
        }));
    LNG_TRY(project(walk, layer, LNG_PARAM_DEC_CROSS_OUT_W, walk->scratch.attended,
                    walk->scratch.sublayer, LNG_ACTIVATION_NONE));
    norm_after(walk, LNG_PARAM_DEC_CROSS_NORM_GAMMA, LNG_PARAM_DEC_FFN_NORM_GAMMA, layer);
    return LNG_OK;
}

static enum lng_status feed_forward(struct walk *walk, int64_t layer)
{
    LNG_TRY(project(walk, layer, LNG_PARAM_DEC_FFN_IN_W, walk->input, walk->scratch.hidden,
                    walk->model->hparams.activation));
    LNG_TRY(project(walk, layer, LNG_PARAM_DEC_FFN_OUT_W, walk->scratch.hidden,
                    walk->scratch.sublayer, LNG_ACTIVATION_NONE));
    norm_after(walk, LNG_PARAM_DEC_FFN_NORM_GAMMA, LNG_PARAM_DEC_SELF_NORM_GAMMA, layer);
    return LNG_OK;
}

static enum lng_status embed(struct walk *walk)
{
    const struct lng_hparams *h = &walk->model->hparams;
    bool shared = h->tie == LNG_TIE_ALL;
    struct lng_view learned = value(walk, LNG_PARAM_DECODER_POSITIONS, -1);
    struct lng_view y = walk->scratch.input[walk->turn];
    const struct lng_tensor *table =
        lng_model_tensor(walk->model, shared ? LNG_PARAM_SHARED : LNG_PARAM_TARGET_EMBED, -1);
    LNG_TRY(lng_embed_fwd(walk->model->device,
                          &(struct lng_embed_fwd_args){
                              .table = table->value,
                              .rows = table->weight,
                              .position_table = learned.data ? learned : walk->model->positions,
                              .y = y,
                              .ids = walk->args->ids,
                              .positions = walk->args->positions,
                              .scale = h->scale_embedding ? sqrt((double)h->dim) : 1.0,
                          }));
    walk->input = walk->residual = y;
    if (h->pre_norm)
        norm_step(walk, LNG_PARAM_DEC_SELF_NORM_GAMMA, 0, y, (struct lng_view){0});
    return LNG_OK;
}

static const struct lng_tensor *output_matrix(const struct lng_model *model)
{
    static const enum lng_param_id matrices[] = {
        [LNG_TIE_ALL] = LNG_PARAM_SHARED,
        [LNG_TIE_TARGET] = LNG_PARAM_TARGET_EMBED,
        [LNG_TIE_NONE] = LNG_PARAM_OUTPUT,
    };
    return lng_model_tensor(model, matrices[model->hparams.tie], -1);
}

enum lng_status lng_model_keep_output_rows(const struct lng_model *model)
{
    return lng_weight_keep_rows(model->device, output_matrix(model)->weight);
}

static enum lng_status output_logits(const struct walk *walk)
{
    const struct lng_tensor *matrix = output_matrix(walk->model);
    const struct lng_token_selection *chosen = &walk->args->selection;
    bool kept = lng_weight_has_rows(matrix->weight);
    const bool refine =
        walk->model->compute == LNG_DTYPE_I8 && lng_device_refines(walk->model->device);
    if (chosen->tokens != NULL)
        return lng_select_logits(walk->model->device,
                                 &(struct lng_select_logits_args){
                                     .x = walk->input,
                                     .table = kept ? (struct lng_view){0} : matrix->value,
                                     .weight = kept ? matrix->weight : NULL,
                                     .bias = value(walk, LNG_PARAM_OUTPUT_BIAS, -1),
                                     .y = walk->args->logits,
                                     .tokens = chosen->tokens,
                                     .first = chosen->first,
                                     .count = chosen->count,
                                     .token_count = chosen->token_count,
                                 });
    if (walk->args->candidates != NULL) {
        struct lng_candidates_args candidates = *walk->args->candidates;
        candidates.logits = walk->args->logits;
        candidates.x = walk->input;
        candidates.weight = matrix->weight;
        candidates.bias = value(walk, LNG_PARAM_OUTPUT_BIAS, -1);
        return lng_candidates(walk->model->device, &candidates);
    }
    return lng_linear_fwd(walk->model->device, &(struct lng_linear_fwd_args){
                                                   .x = walk->input,
                                                   .weight = matrix->weight,
                                                   .bias = value(walk, LNG_PARAM_OUTPUT_BIAS, -1),
                                                   .y = walk->args->logits,
                                                   .refine = refine,
                                               });
}

/* One step, as the work of lng_device_repeat. */
struct step {
    struct lng_model *model;
    const struct lng_step_scratch *scratch;
    const struct lng_decoder_step_args *args;
};

static enum lng_status run_step(void *context)
{
    const struct step *step = context;
    struct walk walk = {.model = step->model, .scratch = *step->scratch, .args = step->args};
    struct lng_view *views[] = {&walk.scratch.qkv,      &walk.scratch.attended,
                                &walk.scratch.sublayer, &walk.scratch.hidden,
                                &walk.scratch.input[0], &walk.scratch.input[1],
                                &walk.scratch.sum[0],   &walk.scratch.sum[1]};
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
        *views[i] = lng_view_rows(*views[i], 0, step->args->rows);
    if (step->model->raw_decoder_keys)
        walk.scratch.raw = lng_view_rows(walk.scratch.raw, 0, step->args->rows);
    LNG_TRY(embed(&walk));
    for (int64_t layer = 0; layer < step->model->hparams.decoder_layers; layer++) {
        LNG_TRY(self_attention(&walk, layer));
        LNG_TRY(cross_attention(&walk, layer));
        LNG_TRY(feed_forward(&walk, layer));
    }
    LNG_TRY(settle(&walk));
    return output_logits(&walk);
}

/* All that the operations of a step depend on: whatever is added to the arguments is a part of it. Models, scratch
 * and caches stay where they are while they are open. */
struct step_key {
    const struct lng_model *model;
    const void *positions, *scratch, *self_cache, *cross_cache;
    struct lng_decoder_step_args args;
};

static struct step_key *make_key(struct step_key *key, const struct step *step)
{
    const struct lng_view logits = step->args->logits;
    memset(key, 0, sizeof *key);
    key->model = step->model;
    key->positions = step->model->positions.data;
    key->scratch = step->scratch->memory;
    key->self_cache = step->args->caches[0].self_k.data;
    key->cross_cache = step->args->caches[0].cross_k.data;
    key->args = *step->args;
    /* without the bytes between its members */
    memset(&key->args.logits, 0, sizeof key->args.logits);
    key->args.logits.data = logits.data;
    key->args.logits.dtype = logits.dtype;
    key->args.logits.rows = logits.rows;
    key->args.logits.cols = logits.cols;
    key->args.logits.stride = logits.stride;
    return key;
}

enum lng_status lng_decoder_step(struct lng_model *model, struct lng_step_scratch *scratch,
                                 const struct lng_decoder_step_args *args)
{
    LNG_FAIL_IF(args->rows > scratch->max_rows, LNG_ERR_MEMORY,
                "%lld live hypotheses, but the decoder was set up for %lld", (long long)args->rows,
                (long long)scratch->max_rows);
    struct step step = {model, scratch, args};
    struct step_key key;
    return lng_device_repeat(model->device, make_key(&key, &step), sizeof key, run_step, &step);
}

/* rest = x less what int8 makes of it. */
static enum lng_status rounding_of(struct lng_device *device, struct lng_view x,
                                   const struct lng_source_scratch *scratch, struct lng_view rest)
{
    const struct lng_view q = lng_view_rows(scratch->q, 0, x.rows);
    LNG_TRY(lng_quantize_rows(
        device, &(struct lng_quantize_rows_args){.x = x, .q = q, .scales = scratch->scales}));
    LNG_TRY(lng_dequantize_rows(
        device, &(struct lng_dequantize_rows_args){.q = q, .y = rest, .scales = scratch->scales}));
    LNG_TRY(lng_scale(device, &(struct lng_scale_args){.y = rest, .factor = -1}));
    return lng_add(device, &(struct lng_add_args){.x = x, .y = rest});
}

/* y = W x + b of a layer; rest: values, the last columns, of what x lacks as well; or data NULL. */
static enum lng_status project_rows(struct lng_model *model, int64_t layer, struct lng_view x,
                                    struct lng_view rest, struct lng_view y)
{
    const struct lng_tensor *bias = lng_model_tensor(model, LNG_PARAM_DEC_CROSS_KV_B, (int)layer);
    struct lng_linear_fwd_args args = {
        .x = x,
        .weight = lng_model_tensor(model, LNG_PARAM_DEC_CROSS_KV_W, (int)layer)->weight,
        .bias = bias->value,
        .y = y,
    };
    LNG_TRY(lng_linear_fwd(model->device, &args));
    if (rest.data == NULL)
        return LNG_OK;
    args.x = rest;
    args.first = y.cols / 2 % LNG_FIRST_STEP == 0 ? y.cols / 2 : 0;
    args.y = lng_view_cols(y, args.first, y.cols - args.first);
    args.bias = (struct lng_view){0};
    args.accumulate = true;
    return lng_linear_fwd(model->device, &args);
}

enum lng_status lng_decoder_project_source(struct lng_model *model, struct lng_view encoded,
                                           const struct lng_layer_cache *caches, int64_t first_row,
                                           const struct lng_source_scratch *scratch)
{
    const bool direct = model->cache == model->activation, bytes = model->compute == LNG_DTYPE_I8;
    const int64_t dim = model->hparams.dim, heads = model->hparams.decoder_heads;
    const int64_t most = direct && !bytes ? encoded.rows : scratch->rows;
    for (int64_t row = 0, rows; row < encoded.rows; row += rows) {
        rows = encoded.rows - row < most ? encoded.rows - row : most;
        const struct lng_view x = lng_view_rows(encoded, row, rows);
        struct lng_view rest = {0};
        if (bytes) {
            rest = lng_view_rows(scratch->rest, 0, rows);
            LNG_TRY(rounding_of(model->device, x, scratch, rest));
        }
        for (int64_t layer = 0; layer < model->hparams.decoder_layers; layer++) {
            const struct lng_view k = lng_view_rows(caches[layer].cross_k, first_row + row, rows);
            const struct lng_view v = lng_view_rows(caches[layer].cross_v, first_row + row, rows);
            struct lng_view y = direct ? k : lng_view_rows(scratch->y, 0, rows);
            y.cols = 2 * dim;
            LNG_TRY(project_rows(model, layer, x, rest, y));
            if (direct)
                continue;
            LNG_TRY(lng_copy(
                model->device,
                &(struct lng_copy_args){.x = lng_view_cols(y, 0, dim), .y = k, .heads = heads}));
            LNG_TRY(lng_copy(
                model->device,
                &(struct lng_copy_args){.x = lng_view_cols(y, dim, dim), .y = v, .heads = heads}));
        }
    }
    return LNG_OK;
}
