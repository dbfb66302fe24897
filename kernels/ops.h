/* The operations a device performs, as argument structs: the contract between model and kernels.
 *
 * Letters: B sentences, K beam, N rows (real tokens of all sentences laid end to end, no padding),
 * S source length, T target length, D model width, H heads, A = D/H head width, F feed-forward width,
 * V vocabulary, R live rows of a decoding step.
 *
 * "real" is f32, or f64 on the ref64 device. Activations are lng_device_activation(): f32, bf16 or f64.
 * Parameters, their gradients, statistics and scores are real. All pointers are device memory, borrowed
 * for the call. Zero rows are fine and do nothing. Views without a row stride remark may have one.
 *
 * Gradients of parameters (d_table, d_weight, d_bias, d_gamma, ...) are ADDED to; gradients of
 * activations are WRITTEN unless the field says otherwise. All sums run in a fixed order.
 *
 * Every function returns LNG_ERR_SHAPE or LNG_ERR_DTYPE naming the argument, what was expected and
 * what was found, before any work starts. All activations of one call have one dtype. Devices in host
 * memory also refuse ids, targets, rows and offsets out of range (LNG_ERR_RANGE); others do not look. */
#ifndef LNG_KERNELS_OPS_H
#define LNG_KERNELS_OPS_H

#include "host/base/philox.h"
#include "kernels/device.h"

enum lng_activation {
    LNG_ACTIVATION_NONE,
    LNG_ACTIVATION_RELU,
    LNG_ACTIVATION_GELU,         /* x Phi(x), erf form */
    LNG_ACTIVATION_GELU_TANH,    /* tanh approximation */
    LNG_ACTIVATION_GELU_SIGMOID, /* x sigmoid(1.702 x) */
    LNG_ACTIVATION_SWISH,        /* x sigmoid(x) */
};

/* Dropout of a [N, D] activation: which number decides about row n, unit u is said in philox.h.
 * probability 0 switches it off, and the other fields are then not read. */
struct lng_dropout {
    double probability;
    struct lng_rng_site rng;
    const uint32_t *sentence; /* [N] sentence id of each row */
    const uint32_t *position; /* [N] position of each row in its sentence */
};

/* y = dropout(table[id] * scale + position_table[position]).
 * id -1 gives a zero embedding (Marian's decoder start), the position is still added.
 * word_dropout: with this probability (block of unit 0 at word_site, counter {sentence, position, 0})
 * table[id] of a whole row is taken as zero, others times 1 / (1 - p). */
struct lng_embed_fwd_args {
    struct lng_view table; /* [V, D] real; data NULL: the rows of `rows` */
    const struct lng_weight
        *rows; /* read without table.data: [V, D], I8, made of rows (device.h) */
    struct lng_view position_table; /* [P, D] real, or data NULL */
    struct lng_view y;              /* [N, D] activation */
    const int32_t *ids;             /* [N], -1 <= id < V */
    const int32_t *positions;       /* [N], 0 <= position < P; index into position_table */
    double scale;
    struct lng_dropout dropout;
    struct lng_dropout word_dropout;
};
/* d_table[id] += scale * mask * d_y,  d_position_table[position] += mask * d_y (data NULL: skipped). */
struct lng_embed_bwd_args {
    struct lng_view d_y; /* [N, D] activation */
    struct lng_view d_table;
    struct lng_view d_position_table;
    const int32_t *ids;
    const int32_t *positions;
    double scale;
    struct lng_dropout dropout;
    struct lng_dropout word_dropout;
};

/* Logits in int8: x and W are rounded for all, and then the LNG_REFINED largest of a row (of equal ones the first) are
 * computed again with x as it is. They take the place of what they were before anything else is looked at. So does
 * linear_fwd when it is asked to, select_logits with a weight, and candidates with logits of its own. */
enum { LNG_REFINED = 4 };

/* y = activation(x W^T + b). accumulate: y += ... (activation must be NONE). W: the rows of the weight from `first` on,
 * which is a multiple of LNG_FIRST_STEP. */
enum { LNG_FIRST_STEP = 64 };
struct lng_linear_fwd_args {
    struct lng_view x; /* [N, in] activation */
    const struct lng_weight *weight;
    int64_t first;
    struct lng_view bias; /* [1, out - first] real, or data NULL */
    struct lng_view y;    /* [N, out - first] activation; may not overlap x */
    enum lng_activation activation;
    bool accumulate;
    bool
        refine; /* of an I8 weight where lng_device_refines; neither activation, accumulate nor first */
};
/* d_x = d_pre W,  d_weight += d_pre^T x,  d_bias += sum of rows of d_pre, where
 * d_pre = d_y (activation NONE) or d_y * (y > 0) (RELU; y is the forward result and d_y is overwritten
 * with d_pre). Other activations are not fused: LNG_ERR_UNSUPPORTED. d_x, d_weight, d_bias may each be
 * absent (data NULL). accumulate_d_x: d_x is added to. */
struct lng_linear_bwd_args {
    struct lng_view x, y;            /* y only for RELU */
    const struct lng_weight *weight; /* prepared with LNG_WEIGHT_BACKWARD */
    struct lng_view d_y;             /* [N, out] */
    struct lng_view d_x;             /* [N, in] activation */
    struct lng_view d_weight;        /* [out, in] real */
    struct lng_view d_bias;          /* [1, out] real */
    enum lng_activation activation;
    bool accumulate_d_x;
};

enum lng_norm {
    LNG_NORM_LAYER, /* gamma (s - mean) / sqrt(population variance + epsilon) + beta */
    LNG_NORM_RMS,   /* gamma s / sqrt(mean square + epsilon) */
    LNG_NORM_NONE,  /* s: only the residual sum */
};
/* s = residual + dropout(x);  y = norm(s). Post-norm uses y as the new stream; pre-norm keeps sum as the
 * stream and feeds y to the next sub-layer. sum, mean, rstd are what the backward pass needs.
 * x may be y or sum or residual (same rows). NORM_NONE: y may be absent, sum is the result. */
struct lng_norm_fwd_args {
    struct lng_view x;        /* [N, D] activation */
    struct lng_view residual; /* [N, D], or data NULL */
    struct lng_view gamma;    /* [1, D] real */
    struct lng_view beta;     /* [1, D] real; data NULL for RMS */
    struct lng_view y;        /* [N, D] */
    struct lng_view sum;      /* [N, D], or data NULL when not needed */
    void *mean, *rstd;        /* [N] real, or NULL */
    enum lng_norm kind;
    double epsilon;
    struct lng_dropout dropout;
};
/* norm_fwd, then linear_fwd of its result: for few rows a GPU may do both at once, with sums in another order. Devices
 * in host memory give the bits of the two. What is written is apart from norm.x and norm.residual. */
struct lng_norm_linear_fwd_args {
    struct lng_norm_fwd_args norm;
    struct lng_linear_fwd_args linear; /* linear.x is norm.y */
};
/* d_s = norm'(d_y) + d_sum;  d_residual = d_s;  d_x = mask * d_s.
 * d_residual or d_x may be absent; either may be d_y or d_sum (same rows); d_residual may be d_x when
 * dropout is off. d_sum data NULL = zero; d_y data NULL only for NORM_NONE. */
struct lng_norm_bwd_args {
    struct lng_view sum; /* as saved; not read for NORM_NONE */
    struct lng_view gamma;
    struct lng_view d_y;
    struct lng_view d_sum;
    struct lng_view d_residual;
    struct lng_view d_x;
    struct lng_view d_gamma, d_beta; /* [1, D] real, += ; d_beta absent for RMS */
    const void *mean, *rstd;
    enum lng_norm kind;
    double epsilon;
    struct lng_dropout dropout;
};

enum lng_attention_score {
    LNG_ATTENTION_DOT,      /* q . k * scale (scale 1/sqrt(A): scaled dot-product; 1: plain dot) */
    LNG_ATTENTION_ADDITIVE, /* score_vector_h . tanh(q + k)  (Bahdanau et al. 2015); scale as given */
};
/* Packed multi-head attention (Vaswani et al. 2017, eq. 1, per head; online softmax as in Dao et al. 2022).
 *   o[i, h] = sum_j p[i, j, h] v[j, h],   p[i, ., h] = softmax_j(score(q[i, h], k[j, h]))
 * j runs over the keys of i's own sentence, and over j <= i only where causal.
 * A sentence without keys gives o = 0 and lse = -inf. */
struct lng_attention_fwd_args {
    struct lng_view q;            /* [Nq, H*A]: column slices of one fused projection are fine */
    struct lng_view k, v;         /* [Nk, H*A] */
    struct lng_view o;            /* [Nq, H*A], may not overlap the inputs */
    const int32_t *q_offsets;     /* [B + 1], rising, first 0, last Nq */
    const int32_t *k_offsets;     /* [B + 1], first 0, last Nk */
    const uint32_t *sentence_ids; /* [B], for dropout */
    void *lse; /* [H, Nq] real log-sum-exp of the scores, or NULL: no backward follows */
    struct lng_view score_vector; /* [1, H*A] real, ADDITIVE only */
    int64_t sentences, heads;
    bool causal;
    double scale;
    double dropout; /* on p; mask from philox.h; 0 = off */
    struct lng_rng_site rng;
    enum lng_attention_score score;
};
struct lng_attention_bwd_args {
    struct lng_view q, k, v, o, d_o;
    struct lng_view d_q, d_k, d_v; /* written; column slices of one fused [N, 3D] are fine */
    const int32_t *q_offsets, *k_offsets;
    const uint32_t *sentence_ids;
    const void *lse;
    struct lng_view score_vector, d_score_vector;
    int64_t sentences, heads;
    bool causal;
    double scale;
    double dropout;
    struct lng_rng_site rng;
    enum lng_attention_score score;
};

/* Elements from one row of a cache to the next, of `heads` heads, `width` elements in all. An I8 row is, head by head,
 * round(x 127 / max|x|) as int8, and behind them `heads` scales max|x| / 127 as float; it begins at a multiple of 4. */
static inline int64_t lng_cache_width(enum lng_dtype dtype, int64_t width, int64_t heads)
{
    return dtype == LNG_DTYPE_I8 ? width + (heads * 4 + 63) / 64 * 64 : width;
}
/* One decoding step: one query row for each of R live hypotheses.
 * Row r sees keys s = 0 .. key_count[r] - 1. Cache row of key s:
 *   self-attention   s * slots + ancestor[r * ancestor_stride + s]
 *   cross-attention  key_start[r] + s                       (ancestor NULL)
 * new_k, new_v (self only, else data NULL) are first written to the cache row of the newest key,
 * s = key_count[r] - 1; rows never share that slot, and no other row sees it in this call. */
struct lng_attention_step_args {
    struct lng_view q;            /* [R, H*A] activation */
    struct lng_view new_k, new_v; /* [R, H*A] */
    struct lng_view k_cache; /* [cache rows, H*A] activation, bf16 or I8, see lng_cache_width */
    struct lng_view v_cache;
    struct lng_view o;        /* [R, H*A] */
    const int32_t *key_count; /* [R], >= 0 */
    const int32_t *key_start; /* [R], cross only */
    const int32_t *ancestor;  /* [R, ancestor_stride], self only */
    int64_t ancestor_stride, slots;
    int64_t heads;
    double scale;
    enum lng_attention_score score;
    struct lng_view score_vector;
    /* Mean over heads [first_head, first_head + head_count) of p, to weights[r * weights_stride + s];
     * NULL when not wanted. Alignments during search come from here. */
    float *weights;
    int64_t weights_stride, first_head, head_count;
};

/* The probabilities themselves, teacher-forced: weights[weights_offsets[b] + i * S_b + j] = mean over
 * heads [first_head, first_head + head_count) of p[i, j]; f32. For alignments, guided training, pictures. */
struct lng_attention_weights_args {
    struct lng_view q, k;
    const int32_t *q_offsets, *k_offsets;
    const int64_t *weights_offsets; /* [B] */
    float *weights;
    int64_t sentences, heads, first_head, head_count;
    bool causal;
    double scale;
    enum lng_attention_score score;
    struct lng_view score_vector;
};

/* Guided alignment (Chen et al. 2016; cross-entropy as in Garg et al. 2019): a link of query n to key j says that
 * n should attend to j. With p as in attention, before dropout, and m[n, j] its mean over all heads, a row with c
 * links costs -1 / c * (sum over its links of log m[n, j]), and one without costs nothing.
 * sums[0] += the costs, sums[1] += the number of rows with links; double [2] in device memory.
 * d_q, d_k, d_score_vector += gradient_scale * d(sum of the costs). Nothing is causal. */
struct lng_attention_guide_args {
    struct lng_view q, k;     /* [Nq, H*A], [Nk, H*A] as attention_fwd had them */
    struct lng_view d_q, d_k; /* activation, ADDED to */
    const int32_t *q_offsets, *k_offsets;
    const int32_t *link_offsets; /* [Nq + 1], rising, first 0, last link_count */
    const int32_t *link_keys; /* [link_count] places in n's own sentence of keys, rising in a row */
    const void *lse;          /* [H, Nq] real, from attention_fwd */
    double *sums;             /* [2], or NULL */
    struct lng_view score_vector, d_score_vector; /* ADDITIVE only */
    int64_t sentences, heads, link_count;
    double scale, gradient_scale;
    enum lng_attention_score score;
};

/* y = dropout(activation(x)).  bwd: d_x = mask * d_y * activation'(x); d_x may be d_y. */
struct lng_activation_fwd_args {
    struct lng_view x, y; /* [N, F]; y may be x */
    enum lng_activation activation;
    struct lng_dropout dropout;
};
struct lng_activation_bwd_args {
    struct lng_view x, d_y, d_x;
    enum lng_activation activation;
    struct lng_dropout dropout;
};

/* Label-smoothed cross-entropy of a block of rows, forward and gradient in one pass.
 * With lp = log_softmax(logits), t = target:
 *   UNIFORM  (1 - s) (-lp[t]) + s * mean over all V of (-lp)            Marian, Hugging Face
 *   OTHERS   (1 - s) (-lp[t]) + s / (V - 1) * sum over j != t of (-lp[j])   fairseq
 * sums[0] += sum of row losses, sums[1] += sum of -lp[t] (no smoothing), sums[2] += number of rows whose
 * arg-max is t; double [3] in device memory.
 * d_logits = true: logits are overwritten by gradient_scale * d(row loss)/d(logits). */
enum lng_smoothing { LNG_SMOOTHING_UNIFORM, LNG_SMOOTHING_OTHERS };
struct lng_loss_args {
    struct lng_view logits; /* [N, V] activation */
    const int32_t *targets; /* [N], 0 <= t < V */
    double *sums;           /* [3], or NULL */
    float *token_logprob;   /* [N] lp[t], or NULL */
    double smoothing;
    enum lng_smoothing kind;
    bool d_logits;
    double gradient_scale;
};

/* The same for two predictions p1, p2 of each token, made under other dropout, that are to agree (R-Drop,
 * Liang et al. 2021): the loss of a pair is that of row n, that of row N + n, and
 *   divergence / 2 * (KL(p1 || p2) + KL(p2 || p1)),   KL(p || q) = sum over j of p[j] (log p[j] - log q[j])
 * sums: [0] += sum of pair losses; [1], [2] as above, over all 2 N rows.
 * logits are overwritten by gradient_scale * d(pair loss)/d(logits); infinite ones make their pair NaN. */
struct lng_pair_loss_args {
    struct lng_view logits; /* [2 N, V] activation */
    const int32_t *targets; /* [N], 0 <= t < V: one for both rows of a pair */
    double *sums;           /* [3], or NULL */
    double smoothing;
    enum lng_smoothing kind;
    double divergence; /* R-Drop's alpha, >= 0 */
    double gradient_scale;
};

/* The best continuations of each sentence: log-softmax over V (banned tokens take part in the
 * normaliser, as everywhere else), plus the row's running score, best k per sentence, ties by
 * (higher score, lower row, lower token). A score of -inf or NaN is no candidate; a forced token is
 * never banned. Rows of sentence b: row_offsets[b] .. row_offsets[b+1] - 1.
 * Places that no candidate fills get row = -1, token = -1, score = -inf. */
struct lng_candidate {
    float score;   /* row_scores[row] + logprob */
    float logprob; /* of the token */
    int32_t row;   /* in 0 .. R - 1 */
    int32_t token;
};
struct lng_candidates_args {
    struct lng_view logits; /* [R, V] activation, read only; data NULL: they are x W^T + bias */
    struct lng_view x; /* [R, D] activation; for that, on devices that lng_device_fuses_logits */
    struct lng_weight *weight;  /* W [V, D] */
    struct lng_view bias;       /* [1, V] real, or data NULL */
    const float *row_scores;    /* [R] */
    const int32_t *row_offsets; /* [B + 1] */
    const int32_t *forced;      /* [R] token that alone may follow, -1 = free; NULL = all free */
    const int32_t *banned; /* tokens never proposed unless forced; NULL when banned_count = 0 */
    int64_t banned_count;
    const uint8_t *eos_banned; /* [R] nonzero: eos may not follow (minimum length); NULL = none */
    int32_t eos;
    int64_t sentences, k;
    struct lng_candidate *out; /* [B, k], best first */
    /* logits are log-probabilities, or scores in their place: no softmax is taken, so that one NaN or infinity of a row
     * leaves its other tokens as they are */
    bool normalized;
};

/* The logits of a few tokens of each row: y[r, j] = x[r] . table[t] + bias[t], t = tokens[first[r] + j],
 * for j < count[r]; other columns of y are left alone. Only the rows of the table that are asked for are
 * read. Neighbouring rows with the same first and count share those reads. Sums in f32 (ref: double).
 * With a weight [V, D] it and not the table gives the rows, and products are those of its type: int8 logits are
 * the bits of lng_linear_fwd (but for the refined, of count[r]), bf16 ones may differ from those in the order of sums. */
struct lng_select_logits_args {
    struct lng_view x;               /* [R, D] activation */
    struct lng_view table;           /* [V, D] real; data NULL with a weight */
    const struct lng_weight *weight; /* with lng_weight_has_rows, or NULL */
    struct lng_view bias;            /* [1, V] real, or data NULL */
    struct lng_view y;               /* [R, C] activation, C >= count[r] */
    const int32_t *tokens;           /* [token_count], 0 <= t < V */
    const int32_t *first;            /* [R] */
    const int32_t *count;            /* [R] */
    int64_t token_count;
};

/* Log-probabilities of each row, and those of several models put together:
 *   v[r, j] = factor * (logits[r, j] - log sum of exp(logits[r, i]) over i < count[r]) + offset
 *   WRITE y = v    ADD y = y + v    LOG_ADD y = log(exp(y) + exp(v))
 * Columns from count[r] on become -inf. What a row gets depends on its first count[r] columns alone. */
enum lng_combine { LNG_COMBINE_WRITE, LNG_COMBINE_ADD, LNG_COMBINE_LOG_ADD };
struct lng_log_probs_args {
    struct lng_view logits; /* [R, C] activation, read only */
    struct lng_view y;      /* [R, C] real, apart */
    const int32_t *count;   /* [R], 1 .. C; NULL = all C */
    double factor, offset;
    enum lng_combine combine;
};

/* y[row, column] = y[row, column] * multiply + add, place by place; no place comes twice. add = -inf takes
 * a token out whatever its score (multiply is not looked at). */
struct lng_score_edit {
    int32_t row, column;
    float multiply, add;
};
struct lng_edit_scores_args {
    struct lng_view y;                  /* [R, C] real */
    const struct lng_score_edit *edits; /* [edit_count] */
    int64_t edit_count;
};

/* Adam over one flat range (Kingma & Ba 2015; decoupled weight decay as in Loshchilov & Hutter 2019):
 *   g = grad * grad_scale;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
 *   param -= lr * (m / bias1 / (sqrt(v / bias2) + epsilon) + weight_decay * param)
 *   ema += ema_rate * (param - ema)   where ema is present
 * bias1 = 1 - b1^t, bias2 = 1 - b2^t (1 = no correction).
 * scale: stands for grad_scale, which is not looked at; 0 there: nothing changes. What lng_gradient_stats decided. */
struct lng_adam_args {
    void *param, *m, *v; /* [n] real */
    const void *grad;    /* [n] real */
    void *ema;           /* [n] real, or NULL */
    int64_t n;
    double lr, beta1, beta2, epsilon, weight_decay, grad_scale, bias1, bias2, ema_rate;
    const double *scale; /* [1], or NULL */
};

/* out[0] = sum of squares of the finite entries, out[1] = number of non-finite ones; double [2], written.
 * scale, where present, is written too: what makes of gradients that are sums over `tokens` their mean, of a norm of
 * clip_norm at most (0 = any), so that the host need not wait to decide it:
 *   norm = sqrt(out[0]) / tokens;  scale = (0 < clip_norm < norm ? clip_norm / norm : 1) / tokens
 * and 0, no step, where entries or the norm are not finite. */
struct lng_gradient_stats_args {
    const void *grad; /* [n] real */
    int64_t n;
    double *out;
    double *scale; /* [1], or NULL: tokens and clip_norm are not looked at */
    double tokens, clip_norm;
};

/* y = (1 - rate) y + rate x over flat real ranges (checkpoint averaging, EMA). */
struct lng_average_args {
    void *y;
    const void *x;
    int64_t n;
    double rate;
};
struct lng_scale_args { /* y *= factor; view of real or activation */
    struct lng_view y;
    double factor;
};
struct lng_fill_args { /* y = value */
    struct lng_view y;
    double value;
};
struct lng_copy_args { /* y = x, converting between F32, F64 and BF16 (round to nearest even) */
    struct lng_view x, y;
    int64_t heads; /* y I8, x real: rows of a cache of so many heads, see lng_cache_width; else 0 */
};
struct lng_add_args { /* y += x, same dtype */
    struct lng_view x, y;
};
struct lng_gather_rows_args { /* y[i] = x[rows[i]]; rows[i] = -1 gives zeros. y may not overlap x */
    struct lng_view x, y;
    const int32_t *rows; /* [y.rows] */
};
/* q = round to nearest even of x (127 / max|x[row]|), clamped to [-127, 127]; scale[row] = max|x[row]| / 127 (0 -> 1). */
struct lng_quantize_rows_args {
    struct lng_view x; /* [N, D] activation */
    struct lng_view q; /* [N, D] I8 */
    float *scales;     /* [N] */
};
struct lng_dequantize_rows_args {
    struct lng_view q, y;
    const float *scales;
};

/* lng_embed_fwd(device, &args), lng_embed_bwd(device, &args), ... */
#define LNG_OP(name)                                                     \
    LNG_MUST_CHECK enum lng_status lng_##name(struct lng_device *device, \
                                              const struct lng_##name##_args *args);
#include "kernels/ops.def"
#undef LNG_OP

#endif
