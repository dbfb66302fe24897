/* What each operation writes, for observers. A row of ops.def without a function here does not compile. */
#include "kernels/observe.h"

#include <string.h>

#include "host/base/mem.h"
#include "kernels/ops_run.h"

void lng_device_observe(struct lng_device *device, const struct lng_op_observer *observer)
{
    device->observer = observer;
}

/* The outputs of one call. */
struct outputs {
    struct lng_device *device;
    struct lng_op_output *list; /* owned */
    size_t count, capacity;
};

/* Absent ones are left out. */
static enum lng_status add(struct outputs *to, const char *name, struct lng_view view)
{
    if (view.data == NULL || view.rows == 0 || view.cols == 0)
        return LNG_OK;
    LNG_TRY(lng_grow(&to->list, &to->capacity, to->count + 1, sizeof *to->list));
    to->list[to->count++] = (struct lng_op_output){name, view};
    return LNG_OK;
}

/* An argument that is a view, and one that is an array of `elements` numbers. */
#define ADD(field) LNG_TRY(add(to, #field, args->field))
#define ADD_ARRAY(field, dtype, elements) \
    LNG_TRY(add(to, #field, lng_view_make((void *)args->field, (dtype), 1, (elements))))

static enum lng_dtype real(const struct outputs *to)
{
    return to->device->backend->real;
}

/* Integers that an operation was told in device memory; *copy is lng_free'd. */
static enum lng_status read_copy(struct outputs *to, const void *from, int64_t count, size_t size,
                                 void **copy)
{
    void *values = lng_alloc((size_t)count, size);
    if (values == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_device_read(to->device, values, from, (size_t)count * size);
    if (status != LNG_OK) {
        lng_free(values);
        return status;
    }
    *copy = values;
    return LNG_OK;
}

/* ---- the model's operations --------------------------------------------------------------------- */

static enum lng_status list_embed_fwd(struct outputs *to, const struct lng_embed_fwd_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_embed_bwd(struct outputs *to, const struct lng_embed_bwd_args *args)
{
    ADD(d_table);
    ADD(d_position_table);
    return LNG_OK;
}

static enum lng_status list_linear_fwd(struct outputs *to, const struct lng_linear_fwd_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_linear_bwd(struct outputs *to, const struct lng_linear_bwd_args *args)
{
    if (args->activation == LNG_ACTIVATION_RELU)
        ADD(d_y);
    ADD(d_x);
    ADD(d_weight);
    ADD(d_bias);
    return LNG_OK;
}

static enum lng_status list_norm_fwd(struct outputs *to, const struct lng_norm_fwd_args *args)
{
    ADD(sum);
    ADD(y);
    if (args->kind != LNG_NORM_NONE)
        ADD_ARRAY(rstd, real(to), args->x.rows);
    if (args->kind == LNG_NORM_LAYER)
        ADD_ARRAY(mean, real(to), args->x.rows);
    return LNG_OK;
}

static enum lng_status list_norm_linear_fwd(struct outputs *to,
                                            const struct lng_norm_linear_fwd_args *args)
{
    ADD(norm.sum);
    ADD(norm.y);
    ADD(linear.y);
    return LNG_OK;
}

static enum lng_status list_norm_bwd(struct outputs *to, const struct lng_norm_bwd_args *args)
{
    ADD(d_residual);
    ADD(d_x);
    if (args->kind != LNG_NORM_NONE)
        ADD(d_gamma);
    if (args->kind == LNG_NORM_LAYER)
        ADD(d_beta);
    return LNG_OK;
}

static enum lng_status list_attention_fwd(struct outputs *to,
                                          const struct lng_attention_fwd_args *args)
{
    ADD(o);
    ADD_ARRAY(lse, real(to), args->q.rows * args->heads);
    return LNG_OK;
}

static enum lng_status list_attention_bwd(struct outputs *to,
                                          const struct lng_attention_bwd_args *args)
{
    ADD(d_q);
    ADD(d_k);
    ADD(d_v);
    if (args->score == LNG_ATTENTION_ADDITIVE)
        ADD(d_score_vector);
    return LNG_OK;
}

/* Row r has as many weights as it saw keys. */
static enum lng_status list_attention_step(struct outputs *to,
                                           const struct lng_attention_step_args *args)
{
    void *copy;
    enum lng_status status = LNG_OK;
    ADD(o);
    if (args->weights == NULL)
        return LNG_OK;
    LNG_TRY(read_copy(to, args->key_count, args->q.rows, sizeof(int32_t), &copy));
    const int32_t *key_count = copy;
    for (int64_t r = 0; r < args->q.rows && status == LNG_OK; r++)
        status = add(to, "weights",
                     lng_view_make(args->weights + r * args->weights_stride, LNG_DTYPE_F32, 1,
                                   key_count[r]));
    lng_free(copy);
    return status;
}

/* Each sentence's matrix stands where its offset says. */
static enum lng_status list_attention_weights(struct outputs *to,
                                              const struct lng_attention_weights_args *args)
{
    void *q = NULL, *k = NULL, *at = NULL;
    enum lng_status status;
    LNG_TRY_OR_FAIL(read_copy(to, args->q_offsets, args->sentences + 1, sizeof(int32_t), &q));
    LNG_TRY_OR_FAIL(read_copy(to, args->k_offsets, args->sentences + 1, sizeof(int32_t), &k));
    LNG_TRY_OR_FAIL(read_copy(to, args->weights_offsets, args->sentences, sizeof(int64_t), &at));
    const int32_t *q_offsets = q, *k_offsets = k;
    const int64_t *first = at;
    for (int64_t b = 0; b < args->sentences; b++)
        LNG_TRY_OR_FAIL(
            add(to, "weights",
                lng_view_make(args->weights + first[b], LNG_DTYPE_F32,
                              q_offsets[b + 1] - q_offsets[b], k_offsets[b + 1] - k_offsets[b])));
fail:
    lng_free(q);
    lng_free(k);
    lng_free(at);
    return status;
}

static enum lng_status list_attention_guide(struct outputs *to,
                                            const struct lng_attention_guide_args *args)
{
    ADD(d_q);
    ADD(d_k);
    if (args->score == LNG_ATTENTION_ADDITIVE)
        ADD(d_score_vector);
    ADD_ARRAY(sums, LNG_DTYPE_F64, 2);
    return LNG_OK;
}

static enum lng_status list_activation_fwd(struct outputs *to,
                                           const struct lng_activation_fwd_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_activation_bwd(struct outputs *to,
                                           const struct lng_activation_bwd_args *args)
{
    ADD(d_x);
    return LNG_OK;
}

/* The third sum, hits of the arg-max, is no number to compare: it jumps where two logits are close. */
static enum lng_status list_loss(struct outputs *to, const struct lng_loss_args *args)
{
    ADD_ARRAY(sums, LNG_DTYPE_F64, 2);
    ADD_ARRAY(token_logprob, LNG_DTYPE_F32, args->logits.rows);
    if (args->d_logits)
        ADD(logits);
    return LNG_OK;
}

static enum lng_status list_pair_loss(struct outputs *to, const struct lng_pair_loss_args *args)
{
    ADD_ARRAY(sums, LNG_DTYPE_F64, 2);
    ADD(logits);
    return LNG_OK;
}

static enum lng_status list_candidates(struct outputs *to, const struct lng_candidates_args *args)
{
    enum { FIELDS = sizeof *args->out / sizeof(float) }; /* two scores, then two numbers */
    struct lng_view scores = {args->out, LNG_DTYPE_F32, args->sentences * args->k, 2, FIELDS};
    struct lng_view places = {&args->out->row, LNG_DTYPE_I32, scores.rows, 2, FIELDS};
    LNG_TRY(add(to, "scores", scores));
    return add(to, "places", places);
}

static enum lng_status list_select_logits(struct outputs *to,
                                          const struct lng_select_logits_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_log_probs(struct outputs *to, const struct lng_log_probs_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_edit_scores(struct outputs *to, const struct lng_edit_scores_args *args)
{
    ADD(y);
    return LNG_OK;
}

/* ---- over flat ranges, and moves ---------------------------------------------------------------- */

static enum lng_status list_adam(struct outputs *to, const struct lng_adam_args *args)
{
    ADD_ARRAY(param, real(to), args->n);
    ADD_ARRAY(m, real(to), args->n);
    ADD_ARRAY(v, real(to), args->n);
    ADD_ARRAY(ema, real(to), args->n);
    return LNG_OK;
}

static enum lng_status list_gradient_stats(struct outputs *to,
                                           const struct lng_gradient_stats_args *args)
{
    ADD_ARRAY(out, LNG_DTYPE_F64, 2);
    ADD_ARRAY(scale, LNG_DTYPE_F64, 1);
    return LNG_OK;
}

static enum lng_status list_average(struct outputs *to, const struct lng_average_args *args)
{
    ADD_ARRAY(y, real(to), args->n);
    return LNG_OK;
}

static enum lng_status list_scale(struct outputs *to, const struct lng_scale_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_fill(struct outputs *to, const struct lng_fill_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_copy(struct outputs *to, const struct lng_copy_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_add(struct outputs *to, const struct lng_add_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_gather_rows(struct outputs *to, const struct lng_gather_rows_args *args)
{
    ADD(y);
    return LNG_OK;
}

static enum lng_status list_quantize_rows(struct outputs *to,
                                          const struct lng_quantize_rows_args *args)
{
    ADD(q);
    ADD_ARRAY(scales, LNG_DTYPE_F32, args->x.rows);
    return LNG_OK;
}

static enum lng_status list_dequantize_rows(struct outputs *to,
                                            const struct lng_dequantize_rows_args *args)
{
    ADD(y);
    return LNG_OK;
}

/* ---- all of them -------------------------------------------------------------------------------- */

static enum lng_status show(struct outputs *outputs, const char *op, enum lng_status status)
{
    const struct lng_op_observer *observer = outputs->device->observer;
    struct lng_op_call call = {op, outputs->list, outputs->count};
    if (status == LNG_OK)
        status = observer->done(observer->context, outputs->device, &call);
    lng_free(outputs->list);
    return status;
}

#define LNG_OP(name)                                                         \
    enum lng_status lng_observe_##name(struct lng_device *device,            \
                                       const struct lng_##name##_args *args) \
    {                                                                        \
        struct outputs outputs = {.device = device};                         \
        return show(&outputs, #name, list_##name(&outputs, args));           \
    }
#include "kernels/ops.def"
#undef LNG_OP
