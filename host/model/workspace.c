#include "host/model/workspace.h"

#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"

enum {
    MEGABYTE = 1000000,
    SIDE_ARRAYS = 7, /* of a side, targets included */
    LOGIT_STEP = 8, /* rows of logits begin at multiples of so many: vectors can be read from any */
};

/* What a layout is for: the model's sizes and the batch's. */
struct layout {
    const struct lng_model *model;
    struct lng_arena *arena;
    const struct lng_batch_limits *limits;
    int64_t source_rows, target_rows, sentences, links;
    size_t real;
};

static struct lng_view take(struct layout *layout, int64_t rows, int64_t cols)
{
    enum lng_dtype dtype = layout->model->activation;
    size_t elements = (size_t)rows * (size_t)cols;
    return lng_view_make(lng_arena_take(layout->arena, elements, lng_dtype_size(dtype)), dtype,
                         rows, cols);
}

static void lay_side(struct layout *layout, struct lng_packed_side *side, int64_t rows)
{
    struct lng_arena *arena = layout->arena;
    size_t n = (size_t)rows, b = (size_t)layout->sentences;
    side->rows = rows;
    side->sentences = layout->sentences;
    side->ids = lng_arena_take(arena, n, sizeof *side->ids);
    side->positions = lng_arena_take(arena, n, sizeof *side->positions);
    side->row_sentence = lng_arena_take(arena, n, sizeof *side->row_sentence);
    side->row_position = lng_arena_take(arena, n, sizeof *side->row_position);
    side->offsets = lng_arena_take(arena, b + 1, sizeof *side->offsets);
    side->sentence_ids = lng_arena_take(arena, b, sizeof *side->sentence_ids);
}

/* Post-norm needs the sum only for the backward pass; pre-norm's sum is the residual stream itself. */
static struct lng_norm_state lay_norm(struct layout *layout, int64_t rows)
{
    struct lng_norm_state state = {.y = take(layout, rows, layout->model->hparams.dim)};
    if (layout->model->hparams.pre_norm || layout->limits->backward)
        state.sum = take(layout, rows, layout->model->hparams.dim);
    if (layout->limits->backward) {
        state.mean = lng_arena_take(layout->arena, (size_t)rows, layout->real);
        state.rstd = lng_arena_take(layout->arena, (size_t)rows, layout->real);
    }
    return state;
}

static void lay_attention(struct layout *layout, struct lng_attention_state *state, int64_t rows,
                          int64_t q_cols, int64_t kv_rows, int64_t heads)
{
    int64_t dim = layout->model->hparams.dim;
    state->q = take(layout, rows, q_cols);
    if (kv_rows >= 0)
        state->kv = take(layout, kv_rows, 2 * dim);
    state->o = take(layout, rows, dim);
    if (layout->limits->backward)
        state->lse = lng_arena_take(layout->arena, (size_t)(rows * heads), layout->real);
}

/* Everything of a layer but its last norm step, whose output outlives the layer. */
static void lay_layer_inside(struct layout *layout, struct lng_layer_state *state, bool decoder)
{
    const struct lng_hparams *h = &layout->model->hparams;
    int64_t rows = decoder ? layout->target_rows : layout->source_rows;
    int64_t heads = decoder ? h->decoder_heads : h->encoder_heads;
    int64_t ffn = decoder ? h->decoder_ffn : h->encoder_ffn;
    lay_attention(layout, &state->self, rows, 3 * h->dim, -1, heads);
    state->self_norm = lay_norm(layout, rows);
    if (decoder) {
        lay_attention(layout, &state->cross, rows, h->dim, layout->source_rows, heads);
        state->cross_norm = lay_norm(layout, rows);
    }
    state->ffn_hidden = take(layout, rows, ffn);
    if (layout->limits->backward && h->activation != LNG_ACTIVATION_RELU)
        state->ffn_pre = take(layout, rows, ffn);
}

/* What goes on from a layer to the next. In a post-norm stack that computes again it is y alone: the rest is of the layer
 * whose turn it is. Without a backward pass two outputs taking turns are enough. */
static struct lng_norm_state lay_output(struct layout *layout, const struct lng_stack_state *stack,
                                        int64_t l, int64_t rows)
{
    const struct lng_hparams *h = &layout->model->hparams;
    if (!layout->limits->backward && l >= 2)
        return stack->layers[l - 2].ffn_norm;
    if (!layout->limits->backward || !layout->limits->recompute || h->pre_norm || l == 0)
        return lay_norm(layout, rows);
    struct lng_norm_state state = stack->layers[0].ffn_norm;
    state.y = take(layout, rows, h->dim);
    return state;
}

/* Layers keep their own insides when the backward pass will read them; else they share one set. */
static void lay_stack(struct layout *layout, struct lng_stack_state *stack, bool decoder)
{
    const struct lng_hparams *h = &layout->model->hparams;
    int64_t rows = decoder ? layout->target_rows : layout->source_rows;
    bool keep = layout->limits->backward && !layout->limits->recompute;
    stack->embedded = take(layout, rows, h->dim);
    if (h->pre_norm) {
        stack->input_norm = lay_norm(layout, rows);
        stack->input_norm.sum = stack->embedded;
    }
    for (int64_t l = 0; l < stack->count; l++) {
        struct lng_layer_state *state = &stack->layers[l];
        if (keep || l == 0)
            lay_layer_inside(layout, state, decoder);
        else
            *state = stack->layers[0];
        state->ffn_norm = lay_output(layout, stack, l, rows);
    }
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void lay_gradients(struct layout *layout, struct lng_workspace *ws)
{
    const struct lng_hparams *h = &layout->model->hparams;
    int64_t rows = max64(layout->source_rows, layout->target_rows);
    ws->d_stream = take(layout, rows, h->dim);
    ws->d_x = take(layout, rows, h->dim);
    ws->d_in = take(layout, rows, h->dim);
    ws->d_o = take(layout, rows, h->dim);
    ws->d_wide = take(layout, rows, max64(3 * h->dim, max64(h->encoder_ffn, h->decoder_ffn)));
    ws->d_encoded = take(layout, layout->source_rows, h->dim);
    ws->d_kv = take(layout, layout->source_rows, 2 * h->dim);
}

static void lay_guide(struct layout *layout, struct lng_workspace *ws)
{
    bool guided = layout->limits->links > 0;
    size_t rows = (size_t)layout->target_rows;
    ws->link_count = layout->links;
    ws->link_offsets =
        guided ? lng_arena_take(layout->arena, rows + 1, sizeof *ws->link_offsets) : NULL;
    ws->link_keys =
        guided ? lng_arena_take(layout->arena, (size_t)layout->links, sizeof *ws->link_keys) : NULL;
}

static void lay_workspace(struct layout *layout, struct lng_workspace *ws)
{
    const struct lng_hparams *h = &layout->model->hparams;
    lay_side(layout, &ws->source, layout->source_rows);
    lay_side(layout, &ws->target, layout->target_rows);
    /* Right behind its side: they are uploaded together. */
    ws->targets = lng_arena_take(layout->arena, (size_t)layout->target_rows, sizeof *ws->targets);
    ws->token_logprob =
        lng_arena_take(layout->arena, (size_t)layout->target_rows, sizeof *ws->token_logprob);
    ws->sums = lng_arena_take(layout->arena, LNG_WORKSPACE_SUMS, sizeof *ws->sums);
    lay_guide(layout, ws);
    lay_stack(layout, &ws->encoder, false);
    lay_stack(layout, &ws->decoder, true);
    ws->sublayer = take(layout, max64(layout->source_rows, layout->target_rows), h->dim);
    if (layout->limits->backward)
        lay_gradients(layout, ws);
    /* Two at least: rows that are to agree stand in one block. */
    int64_t chunk = max64(2, lng_device_logit_rows(layout->model->device, h->target_vocab));
    if (chunk > layout->target_rows)
        chunk = layout->target_rows;
    ws->logits = take(layout, chunk, lng_logit_stride(layout->model));
    ws->logits.cols = h->target_vocab;
}

int64_t lng_logit_stride(const struct lng_model *model)
{
    return (model->hparams.target_vocab + LOGIT_STEP - 1) / LOGIT_STEP * LOGIT_STEP;
}

static enum lng_status open_stacks(struct lng_workspace *ws)
{
    ws->encoder.count = ws->model->hparams.encoder_layers;
    ws->decoder.count = ws->model->hparams.decoder_layers;
    ws->encoder.layers = lng_alloc((size_t)ws->encoder.count, sizeof *ws->encoder.layers);
    ws->decoder.layers = lng_alloc((size_t)ws->decoder.count, sizeof *ws->decoder.layers);
    return ws->encoder.layers && ws->decoder.layers ? LNG_OK : LNG_ERR_MEMORY;
}

static void close_stacks(struct lng_workspace *ws)
{
    lng_free(ws->encoder.layers);
    lng_free(ws->decoder.layers);
}

static size_t measure(struct lng_workspace *ws)
{
    struct lng_arena arena;
    lng_arena_init_measuring(&arena);
    struct layout layout = {ws->model,
                            &arena,
                            &ws->limits,
                            ws->limits.source_rows,
                            ws->limits.target_rows,
                            ws->limits.sentences,
                            ws->limits.links,
                            lng_dtype_size(lng_device_real(ws->model->device))};
    lay_workspace(&layout, ws);
    return arena.overflowed ? SIZE_MAX : arena.used + LNG_ARENA_ALIGNMENT;
}

size_t lng_workspace_plan(const struct lng_model *model, const struct lng_batch_limits *limits)
{
    struct lng_workspace ws = {.model = model, .limits = *limits};
    size_t bytes = open_stacks(&ws) == LNG_OK ? measure(&ws) : SIZE_MAX;
    close_stacks(&ws);
    return bytes;
}

/* The most tokens a side whose plan takes no more than `bytes`, other limits in proportion; 0: none. Changes
 * the limits of `ws`, which failed to open. */
static int64_t fitting_tokens(struct lng_workspace *ws, size_t bytes)
{
    const struct lng_batch_limits asked = ws->limits;
    int64_t rows = max64(asked.source_rows, asked.target_rows), fits = 0, too_many = rows;
    while (too_many - fits > 1 + rows / 256) {
        int64_t middle = fits + (too_many - fits) / 2;
        double share = (double)middle / (double)rows;
        ws->limits.source_rows = (int64_t)((double)asked.source_rows * share);
        ws->limits.target_rows = (int64_t)((double)asked.target_rows * share);
        ws->limits.sentences = max64(1, (int64_t)((double)asked.sentences * share));
        ws->limits.links = (int64_t)((double)asked.links * share);
        if (measure(ws) <= bytes)
            fits = middle;
        else
            too_many = middle;
    }
    return fits;
}

/* Adds to the message of an allocation that failed what it was for, and what would fit. */
static enum lng_status out_of_memory(struct lng_workspace *ws, size_t bytes)
{
    char why[1024], advice[128] = "; use a smaller --batch-tokens";
    const struct lng_batch_limits limits = ws->limits;
    snprintf(why, sizeof why, "%s", lng_error_message());
    size_t available = lng_device_free_memory(ws->model->device);
    if (available != SIZE_MAX) {
        /* What operations need beside the plan: a sixteenth. */
        int64_t tokens = fitting_tokens(ws, available - available / 16);
        snprintf(advice, sizeof advice,
                 tokens > 0 ? "; --batch-tokens %lld would fit" : "; no smaller batch would fit",
                 (long long)tokens);
    }
    return lng_fail(
        LNG_ERR_MEMORY,
        "%s; a batch of %lld source and %lld target tokens was planned to take %zu MB%s", why,
        (long long)limits.source_rows, (long long)limits.target_rows, bytes / MEGABYTE + 1, advice);
}

enum lng_status lng_workspace_open(const struct lng_model *model,
                                   const struct lng_batch_limits *limits,
                                   struct lng_workspace **workspace)
{
    struct lng_workspace *ws = lng_alloc(1, sizeof *ws);
    if (ws == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status;
    ws->model = model;
    ws->limits = *limits;
    LNG_TRY_OR_FAIL(open_stacks(ws));
    size_t bytes = measure(ws);
    LNG_GOTO_FAIL_IF(bytes == SIZE_MAX, LNG_ERR_MEMORY,
                     "a batch of %lld source and %lld target tokens is too large to plan for",
                     (long long)limits->source_rows, (long long)limits->target_rows);
    int64_t rows = max64(limits->source_rows, limits->target_rows);
    ws->staging_bytes = (size_t)(5 * rows + 2 * limits->sentences + 2) * sizeof(int32_t) +
                        SIDE_ARRAYS * LNG_ARENA_ALIGNMENT;
    ws->staging = lng_alloc(ws->staging_bytes, 1);
    LNG_GOTO_FAIL_IF(ws->staging == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
    status = lng_device_alloc(model->device, bytes, &ws->memory);
    if (status == LNG_ERR_MEMORY)
        (void)out_of_memory(ws, bytes);
    if (status != LNG_OK)
        goto fail;
    lng_arena_init(&ws->arena, ws->memory, bytes);
    *workspace = ws;
    return LNG_OK;
fail:
    lng_workspace_close(ws);
    return status;
}

void lng_workspace_close(struct lng_workspace *ws)
{
    if (ws == NULL)
        return;
    lng_device_free(ws->model->device, ws->memory);
    lng_free(ws->staging);
    close_stacks(ws);
    lng_free(ws);
}

enum lng_status lng_workspace_layout(struct lng_workspace *ws, int64_t source_rows,
                                     int64_t target_rows, int64_t sentences, int64_t links)
{
    const struct lng_batch_limits *limits = &ws->limits;
    LNG_FAIL_IF(source_rows > limits->source_rows || target_rows > limits->target_rows ||
                    sentences > limits->sentences,
                LNG_ERR_MEMORY,
                "the batch has %lld sentences, %lld source and %lld target tokens; memory was "
                "planned for %lld, %lld and %lld",
                (long long)sentences, (long long)source_rows, (long long)target_rows,
                (long long)limits->sentences, (long long)limits->source_rows,
                (long long)limits->target_rows);
    LNG_FAIL_IF(links > limits->links, LNG_ERR_MEMORY,
                "the batch has %lld alignment links; memory was planned for %lld", (long long)links,
                (long long)limits->links);
    lng_arena_rewind(&ws->arena, 0);
    struct layout layout = {
        ws->model,   &ws->arena, limits, source_rows,
        target_rows, sentences,  links,  lng_dtype_size(lng_device_real(ws->model->device))};
    lay_workspace(&layout, ws);
    return lng_arena_check(&ws->arena);
}

static enum lng_status check_sequences(const struct lng_sequences *s, int32_t vocabulary,
                                       const char *side)
{
    LNG_FAIL_IF(s->count < 0 || (s->count > 0 && s->offsets[0] != 0), LNG_ERR_SHAPE,
                "%s: offsets must start at 0", side);
    for (int64_t b = 0; b < s->count; b++)
        LNG_FAIL_IF(s->offsets[b + 1] < s->offsets[b], LNG_ERR_SHAPE,
                    "%s: offsets must rise, sentence %lld ends at %d after starting at %d", side,
                    (long long)b, s->offsets[b + 1], s->offsets[b]);
    int64_t rows = s->count > 0 ? s->offsets[s->count] : 0;
    for (int64_t i = 0; i < rows; i++)
        LNG_FAIL_IF(s->ids[i] < 0 || s->ids[i] >= vocabulary, LNG_ERR_RANGE,
                    "%s: token id %d is outside the vocabulary of %d entries", side, s->ids[i],
                    vocabulary);
    return LNG_OK;
}

/* Per-row arrays, in host staging memory: as far from each other as on the device, where a side is in one piece. So one
 * copy brings all of it. */
struct staged {
    int32_t *ids, *positions, *targets, *offsets;
    uint32_t *row_sentence, *row_position, *sentence_ids;
};

static void *staged_at(const struct lng_workspace *ws, const unsigned char *first,
                       const void *array)
{
    return (unsigned char *)ws->staging + ((const unsigned char *)array - first);
}

static void stage_copy(const struct lng_workspace *ws, const struct lng_sequences *s, int copy,
                       bool shift, struct staged *to)
{
    const struct lng_hparams *h = &ws->model->hparams;
    int64_t last = h->positions == LNG_POSITIONS_LEARNED ? h->max_positions - 1 : INT32_MAX;
    int32_t rows = s->count > 0 ? s->offsets[s->count] : 0, first_row = copy * rows;
    int64_t first_sentence = copy * s->count;
    for (int64_t b = 0; b < s->count; b++) {
        uint32_t sentence = s->sentence_ids ? s->sentence_ids[b] : (uint32_t)b;
        sentence ^= (uint32_t)copy << 31;
        to->sentence_ids[first_sentence + b] = sentence;
        to->offsets[first_sentence + b] = first_row + s->offsets[b];
        for (int32_t i = s->offsets[b]; i < s->offsets[b + 1]; i++) {
            int32_t place = i - s->offsets[b], row = first_row + i;
            int64_t position = (int64_t)place + h->position_offset;
            int32_t start = shift ? h->decoder_start : s->ids[i];
            to->ids[row] = !shift ? s->ids[i] : place == 0 ? start : s->ids[i - 1];
            if (shift)
                to->targets[row] = s->ids[i];
            to->positions[row] = (int32_t)(position < last ? position : last);
            to->row_sentence[row] = sentence;
            to->row_position[row] = (uint32_t)place;
        }
    }
    to->offsets[first_sentence + s->count] = first_row + rows;
}

enum lng_status lng_workspace_upload(struct lng_workspace *ws, const struct lng_sequences *s,
                                     int copies, struct lng_packed_side *side, bool shift)
{
    struct lng_device *device = ws->model->device;
    const struct lng_hparams *h = &ws->model->hparams;
    LNG_TRY(
        check_sequences(s, shift ? h->target_vocab : h->source_vocab, shift ? "target" : "source"));
    const unsigned char *first = (const unsigned char *)side->ids;
    const void *end = shift ? (const void *)(ws->targets + side->rows)
                            : (const void *)(side->sentence_ids + side->sentences);
    size_t bytes = (size_t)((const unsigned char *)end - first);
    LNG_FAIL_IF(bytes > ws->staging_bytes, LNG_ERR_INTERNAL,
                "a side of %zu bytes, memory to stage it is %zu", bytes, ws->staging_bytes);
    struct staged staged = {
        .ids = staged_at(ws, first, side->ids),
        .positions = staged_at(ws, first, side->positions),
        .row_sentence = staged_at(ws, first, side->row_sentence),
        .row_position = staged_at(ws, first, side->row_position),
        .offsets = staged_at(ws, first, side->offsets),
        .sentence_ids = staged_at(ws, first, side->sentence_ids),
        .targets = shift ? staged_at(ws, first, ws->targets) : NULL,
    };
    for (int copy = 0; copy < copies; copy++)
        stage_copy(ws, s, copy, shift, &staged);
    return lng_device_write(device, side->ids, ws->staging, bytes);
}
