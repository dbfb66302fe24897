/* The public operations of attention and search: check every argument once, then call the backend. */
#include <float.h>

#include "kernels/ops_check.h"
#include "kernels/ops_run.h"

/* What the full-sequence operations have in common. q is already checked. */
static enum lng_status check_heads(const struct lng_check *check, int64_t heads, int64_t cols,
                                   enum lng_attention_score score, double scale,
                                   const struct lng_view *score_vector)
{
    LNG_TRY(lng_check_integer(check, "heads", heads, 1, 65535));
    LNG_FAIL_IF(cols == 0 || cols % heads != 0, LNG_ERR_SHAPE,
                "%s: q: expected columns that %lld heads divide, found %lld", check->op,
                (long long)heads, (long long)cols);
    LNG_TRY(lng_check_integer(check, "score", (int64_t)score, LNG_ATTENTION_DOT,
                              LNG_ATTENTION_ADDITIVE));
    LNG_TRY(lng_check_number(check, "scale", scale, -DBL_MAX, DBL_MAX));
    if (score == LNG_ATTENTION_ADDITIVE)
        LNG_TRY(lng_check_view(check, "score_vector", score_vector, 1, cols, check->real));
    return LNG_OK;
}

static enum lng_status check_chosen_heads(const struct lng_check *check, int64_t heads,
                                          int64_t first, int64_t count)
{
    LNG_TRY(lng_check_integer(check, "first_head", first, 0, heads - 1));
    return lng_check_integer(check, "head_count", count, 1, heads - first);
}

/* sentences + 1 offsets, and none but empty rows without a sentence. */
static enum lng_status check_sentences(const struct lng_check *check, int64_t sentences,
                                       const int32_t *q_offsets, const int32_t *k_offsets,
                                       int64_t queries, int64_t keys)
{
    LNG_TRY(lng_check_integer(check, "sentences", sentences, 0, INT32_MAX));
    LNG_TRY(lng_check_array(check, "q_offsets", q_offsets, sentences + 1));
    LNG_TRY(lng_check_array(check, "k_offsets", k_offsets, sentences + 1));
    LNG_FAIL_IF(sentences == 0 && (queries > 0 || keys > 0), LNG_ERR_SHAPE,
                "%s: sentences: expected 1 or more for %lld query and %lld key rows, found 0",
                check->op, (long long)queries, (long long)keys);
    return LNG_OK;
}

static enum lng_status check_attention_dropout(const struct lng_check *check, double dropout,
                                               struct lng_rng_site rng, const uint32_t *ids,
                                               int64_t sentences)
{
    LNG_TRY(lng_check_probability(check, "dropout", dropout, rng));
    return dropout > 0 ? lng_check_array(check, "sentence_ids", ids, sentences) : LNG_OK;
}

enum lng_status lng_attention_fwd(struct lng_device *device,
                                  const struct lng_attention_fwd_args *args)
{
    struct lng_check check = lng_check_begin(device, "attention_fwd");
    int64_t width = args->q.cols;
    CHECK_ACTIVATION(q, -1, -1);
    LNG_TRY(check_heads(&check, args->heads, width, args->score, args->scale, &args->score_vector));
    CHECK_ACTIVATION(k, -1, width);
    CHECK_ACTIVATION(v, args->k.rows, width);
    CHECK_ACTIVATION(o, args->q.rows, width);
    LNG_TRY(check_sentences(&check, args->sentences, args->q_offsets, args->k_offsets, args->q.rows,
                            args->k.rows));
    LNG_TRY(check_attention_dropout(&check, args->dropout, args->rng, args->sentence_ids,
                                    args->sentences));
    CHECK_APART(o, q);
    CHECK_APART(o, k);
    CHECK_APART(o, v);
    return args->q.rows == 0 ? LNG_OK : lng_run_attention_fwd(device, args);
}

enum lng_status lng_attention_bwd(struct lng_device *device,
                                  const struct lng_attention_bwd_args *args)
{
    struct lng_check check = lng_check_begin(device, "attention_bwd");
    int64_t width = args->q.cols;
    CHECK_ACTIVATION(q, -1, -1);
    LNG_TRY(check_heads(&check, args->heads, width, args->score, args->scale, &args->score_vector));
    CHECK_ACTIVATION(k, -1, width);
    CHECK_ACTIVATION(v, args->k.rows, width);
    CHECK_ACTIVATION(o, args->q.rows, width);
    CHECK_ACTIVATION(d_o, args->q.rows, width);
    CHECK_ACTIVATION(d_q, args->q.rows, width);
    CHECK_ACTIVATION(d_k, args->k.rows, width);
    CHECK_ACTIVATION(d_v, args->k.rows, width);
    LNG_TRY(check_sentences(&check, args->sentences, args->q_offsets, args->k_offsets, args->q.rows,
                            args->k.rows));
    CHECK_ARRAY(lse, args->q.rows);
    if (args->score == LNG_ATTENTION_ADDITIVE)
        CHECK_REAL(d_score_vector, 1, width);
    LNG_TRY(check_attention_dropout(&check, args->dropout, args->rng, args->sentence_ids,
                                    args->sentences));
    CHECK_APART(d_q, d_k);
    CHECK_APART(d_q, d_v);
    CHECK_APART(d_k, d_v);
    /* Keys without queries still have gradients to write: zeros. */
    return args->q.rows == 0 && args->k.rows == 0 ? LNG_OK : lng_run_attention_bwd(device, args);
}

enum lng_status lng_attention_step(struct lng_device *device,
                                   const struct lng_attention_step_args *args)
{
    struct lng_check check = lng_check_begin(device, "attention_step");
    int64_t rows = args->q.rows, width = args->q.cols;
    CHECK_ACTIVATION(q, -1, -1);
    LNG_TRY(check_heads(&check, args->heads, width, args->score, args->scale, &args->score_vector));
    CHECK_ACTIVATION(o, rows, width);
    const bool bytes = args->k_cache.dtype == LNG_DTYPE_I8;
    unsigned cache = check.activation | LNG_SET(LNG_DTYPE_BF16) | LNG_SET(LNG_DTYPE_I8);
    LNG_TRY(lng_check_view(&check, "k_cache", &args->k_cache, -1, width, cache));
    LNG_TRY(lng_check_view(&check, "v_cache", &args->v_cache, args->k_cache.rows, width,
                           LNG_SET(args->k_cache.dtype)));
    if (bytes) {
        LNG_TRY(lng_check_view(&check, "q", &args->q, rows, width, check.real));
        LNG_TRY(lng_check_byte_cache(device, &check, "k_cache", &args->k_cache, args->heads));
        LNG_TRY(lng_check_byte_cache(device, &check, "v_cache", &args->v_cache, args->heads));
    }
    CHECK_ARRAY(key_count, rows);
    if (args->ancestor != NULL) {
        CHECK_INTEGER(ancestor_stride, 0, INT64_MAX);
        CHECK_INTEGER(slots, 1, INT32_MAX);
    } else {
        CHECK_ARRAY(key_start, rows);
        LNG_FAIL_IF(args->new_k.data != NULL, LNG_ERR_SHAPE,
                    "attention_step: new_k: expected none without ancestor (cross-attention), "
                    "found data");
    }
    LNG_FAIL_IF((args->new_k.data == NULL) != (args->new_v.data == NULL), LNG_ERR_SHAPE,
                "attention_step: new_v: expected both or neither of new_k and new_v, found one");
    IF_PRESENT(new_k, CHECK_ACTIVATION(new_k, rows, width));
    IF_PRESENT(new_v, CHECK_ACTIVATION(new_v, rows, width));
    if (args->weights != NULL) {
        CHECK_INTEGER(weights_stride, 0, INT64_MAX);
        LNG_TRY(check_chosen_heads(&check, args->heads, args->first_head, args->head_count));
    }
    CHECK_APART(o, q);
    return rows == 0 ? LNG_OK : lng_run_attention_step(device, args);
}

enum lng_status lng_attention_weights(struct lng_device *device,
                                      const struct lng_attention_weights_args *args)
{
    struct lng_check check = lng_check_begin(device, "attention_weights");
    CHECK_ACTIVATION(q, -1, -1);
    LNG_TRY(check_heads(&check, args->heads, args->q.cols, args->score, args->scale,
                        &args->score_vector));
    CHECK_ACTIVATION(k, -1, args->q.cols);
    LNG_TRY(check_sentences(&check, args->sentences, args->q_offsets, args->k_offsets, args->q.rows,
                            args->k.rows));
    LNG_TRY(check_chosen_heads(&check, args->heads, args->first_head, args->head_count));
    CHECK_ARRAY(weights_offsets, args->sentences);
    CHECK_ARRAY(weights, args->q.rows > 0 && args->k.rows > 0 ? 1 : 0);
    return args->q.rows == 0 || args->k.rows == 0 ? LNG_OK
                                                  : lng_run_attention_weights(device, args);
}

enum lng_status lng_attention_guide(struct lng_device *device,
                                    const struct lng_attention_guide_args *args)
{
    struct lng_check check = lng_check_begin(device, "attention_guide");
    int64_t queries = args->q.rows, keys = args->k.rows, width = args->q.cols;
    CHECK_ACTIVATION(q, -1, -1);
    LNG_TRY(check_heads(&check, args->heads, width, args->score, args->scale, &args->score_vector));
    CHECK_ACTIVATION(k, -1, width);
    CHECK_ACTIVATION(d_q, queries, width);
    CHECK_ACTIVATION(d_k, keys, width);
    LNG_TRY(
        check_sentences(&check, args->sentences, args->q_offsets, args->k_offsets, queries, keys));
    CHECK_INTEGER(link_count, 0, INT32_MAX);
    CHECK_ARRAY(link_offsets, queries + 1);
    CHECK_ARRAY(link_keys, args->link_count);
    CHECK_ARRAY(lse, queries);
    if (args->score == LNG_ATTENTION_ADDITIVE)
        CHECK_REAL(d_score_vector, 1, width);
    CHECK_NUMBER(gradient_scale, -DBL_MAX, DBL_MAX);
    CHECK_APART(d_q, q);
    CHECK_APART(d_q, k);
    CHECK_APART(d_k, q);
    CHECK_APART(d_k, k);
    CHECK_APART(d_q, d_k);
    return queries == 0 || args->link_count == 0 ? LNG_OK : lng_run_attention_guide(device, args);
}

enum lng_status lng_loss(struct lng_device *device, const struct lng_loss_args *args)
{
    struct lng_check check = lng_check_begin(device, "loss");
    CHECK_ACTIVATION(logits, -1, -1);
    LNG_FAIL_IF(args->logits.rows > 0 && args->logits.cols < 1, LNG_ERR_SHAPE,
                "loss: logits: expected 1 column or more, found 0");
    CHECK_ARRAY(targets, args->logits.rows);
    CHECK_NUMBER(smoothing, 0, 1);
    CHECK_INTEGER(kind, LNG_SMOOTHING_UNIFORM, LNG_SMOOTHING_OTHERS);
    if (args->d_logits)
        CHECK_NUMBER(gradient_scale, -DBL_MAX, DBL_MAX);
    return args->logits.rows == 0 ? LNG_OK : lng_run_loss(device, args);
}

enum lng_status lng_pair_loss(struct lng_device *device, const struct lng_pair_loss_args *args)
{
    struct lng_check check = lng_check_begin(device, "pair_loss");
    CHECK_ACTIVATION(logits, -1, -1);
    LNG_FAIL_IF(args->logits.rows > 0 && args->logits.cols < 1, LNG_ERR_SHAPE,
                "pair_loss: logits: expected 1 column or more, found 0");
    LNG_FAIL_IF(args->logits.rows % 2 != 0, LNG_ERR_SHAPE,
                "pair_loss: logits: expected an even number of rows, found %lld",
                (long long)args->logits.rows);
    CHECK_ARRAY(targets, args->logits.rows / 2);
    CHECK_NUMBER(smoothing, 0, 1);
    CHECK_INTEGER(kind, LNG_SMOOTHING_UNIFORM, LNG_SMOOTHING_OTHERS);
    CHECK_NUMBER(divergence, 0, DBL_MAX);
    CHECK_NUMBER(gradient_scale, -DBL_MAX, DBL_MAX);
    return args->logits.rows == 0 ? LNG_OK : lng_run_pair_loss(device, args);
}

/* Logits that candidates computes itself. */
static enum lng_status check_fused_logits(const struct lng_device *device, struct lng_check check,
                                          const struct lng_candidates_args *args)
{
    const struct lng_view *master = &args->weight->master;
    LNG_FAIL_IF(!device->backend->fuses_logits, LNG_ERR_UNSUPPORTED,
                "candidates: logits: expected data (device %s computes none here), found none",
                device->name);
    LNG_FAIL_IF(args->logits.cols != master->rows, LNG_ERR_SHAPE,
                "candidates: logits: expected %lld columns, as the weight has rows, found %lld",
                (long long)master->rows, (long long)args->logits.cols);
    CHECK_ACTIVATION(x, args->logits.rows, master->cols);
    LNG_FAIL_IF(args->logits.dtype != args->x.dtype, LNG_ERR_DTYPE,
                "candidates: logits: expected %s, as x, found %s", lng_dtype_name(args->x.dtype),
                lng_dtype_name(args->logits.dtype));
    IF_PRESENT(bias, CHECK_REAL(bias, 1, master->rows));
    return LNG_OK;
}

enum lng_status lng_candidates(struct lng_device *device, const struct lng_candidates_args *args)
{
    struct lng_check check = lng_check_begin(device, "candidates");
    int64_t rows = args->logits.rows;
    if (args->logits.data == NULL && rows > 0 && args->weight != NULL)
        LNG_TRY(check_fused_logits(device, check, args));
    else
        CHECK_ACTIVATION(logits, -1, -1);
    LNG_FAIL_IF(args->logits.cols < 1 || args->logits.cols > INT32_MAX, LNG_ERR_SHAPE,
                "candidates: logits: expected 1 to 2147483647 columns, found %lld",
                (long long)args->logits.cols);
    CHECK_ARRAY(row_scores, rows);
    CHECK_INTEGER(sentences, 0, INT32_MAX);
    CHECK_INTEGER(k, 1, INT32_MAX);
    CHECK_ARRAY(row_offsets, args->sentences + 1);
    CHECK_ARRAY(banned, args->banned_count);
    CHECK_ARRAY(out, args->sentences);
    /* Sentences without rows still get their empty places. */
    return args->sentences == 0 ? LNG_OK : lng_run_candidates(device, args);
}
