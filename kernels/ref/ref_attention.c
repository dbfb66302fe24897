/* Packed multi-head attention: forward, backward, and the probabilities themselves. */
#include "kernels/ref/ref.h"

/* One head of one sentence as doubles, and room for a row of scores. */
struct head {
    double *q, *k, *v, *vector; /* [queries, width], [keys, width] twice, [width] */
    double *d_o, *d_q, *d_k, *d_v, *d_vector;
    double *p, *d_p; /* [keys] */
    double *block;
};

/* Room for the longest sentence. */
static enum lng_status head_init(struct head *head, const int32_t *q_offsets,
                                 const int32_t *k_offsets, int64_t sentences, int64_t width)
{
    int64_t queries = 0, keys = 0;
    for (int64_t b = 0; b < sentences; b++) {
        if (q_offsets[b + 1] - q_offsets[b] > queries)
            queries = q_offsets[b + 1] - q_offsets[b];
        if (k_offsets[b + 1] - k_offsets[b] > keys)
            keys = k_offsets[b + 1] - k_offsets[b];
    }
    int64_t total = 3 * queries * width + 4 * keys * width + 2 * width + 2 * keys;
    head->block = lng_alloc((size_t)total, sizeof *head->block);
    if (head->block == NULL)
        return LNG_ERR_MEMORY;
    head->q = head->block;
    head->d_o = head->q + queries * width;
    head->d_q = head->d_o + queries * width;
    head->k = head->d_q + queries * width;
    head->v = head->k + keys * width;
    head->d_k = head->v + keys * width;
    head->d_v = head->d_k + keys * width;
    head->vector = head->d_v + keys * width;
    head->d_vector = head->vector + width;
    head->p = head->d_vector + width;
    head->d_p = head->p + keys;
    return LNG_OK;
}

/* Rows [first, end), columns [col, col + width) of a view as doubles. */
static void load_block(const struct lng_view *view, int64_t first, int64_t end, int64_t col,
                       int64_t width, double *out)
{
    for (int64_t row = first; row < end; row++)
        for (int64_t a = 0; a < width; a++)
            *out++ = ref_load(view, row, col + a);
}

static void store_block(const struct lng_view *view, int64_t first, int64_t end, int64_t col,
                        int64_t width, const double *values)
{
    for (int64_t row = first; row < end; row++)
        for (int64_t a = 0; a < width; a++)
            ref_store(view, row, col + a, *values++);
}

double REF(attention_score)(const double *q, const double *k, const double *vector, int64_t width,
                            double scale)
{
    double sum = 0;
    for (int64_t a = 0; a < width; a++)
        sum += vector != NULL ? vector[a] * tanh(q[a] + k[a]) : q[a] * k[a];
    return sum * scale;
}

double REF(softmax)(double *scores, int64_t count)
{
    double highest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < count; j++)
        if (scores[j] > highest)
            highest = scores[j];
    for (int64_t j = 0; j < count; j++)
        sum += scores[j] = exp(scores[j] - highest);
    for (int64_t j = 0; j < count; j++)
        scores[j] /= sum;
    return count > 0 ? highest + log(sum) : -INFINITY;
}

/* Keys that query i may see. */
static int64_t visible(bool causal, int64_t i, int64_t keys)
{
    return causal && i + 1 < keys ? i + 1 : keys;
}

/* What dropout multiplies p[i, j] of head h by. */
static double probability_mask(double dropout, struct lng_rng_site rng, const uint32_t *ids,
                               int64_t b, int64_t i, int64_t j, int64_t h)
{
    if (dropout <= 0)
        return 1;
    struct lng_philox block =
        lng_rng_block(rng, ids[b], (uint32_t)i, (uint32_t)j >> 3, (uint32_t)h);
    bool dropped = lng_philox_half(block, (uint32_t)j) < lng_drop_threshold(dropout);
    return dropped ? 0 : lng_drop_scale(dropout);
}

static void forward_head(const struct lng_attention_fwd_args *args, struct head *head, int64_t b,
                         int64_t h, int64_t width)
{
    int64_t q0 = args->q_offsets[b], k0 = args->k_offsets[b], col = h * width;
    int64_t queries = args->q_offsets[b + 1] - q0, keys = args->k_offsets[b + 1] - k0;
    bool additive = args->score == LNG_ATTENTION_ADDITIVE;
    load_block(&args->q, q0, q0 + queries, col, width, head->q);
    load_block(&args->k, k0, k0 + keys, col, width, head->k);
    load_block(&args->v, k0, k0 + keys, col, width, head->v);
    if (additive)
        load_block(&args->score_vector, 0, 1, col, width, head->vector);
    for (int64_t i = 0; i < queries; i++) {
        int64_t seen = visible(args->causal, i, keys);
        for (int64_t j = 0; j < seen; j++)
            head->p[j] = REF(attention_score)(head->q + i * width, head->k + j * width,
                                              additive ? head->vector : NULL, width, args->scale);
        double lse = REF(softmax)(head->p, seen);
        if (args->lse != NULL)
            ((lng_real *)args->lse)[h * args->q.rows + q0 + i] = (lng_real)lse;
        for (int64_t j = 0; j < seen; j++)
            head->p[j] *=
                probability_mask(args->dropout, args->rng, args->sentence_ids, b, i, j, h);
        for (int64_t a = 0; a < width; a++) {
            double sum = 0;
            for (int64_t j = 0; j < seen; j++)
                sum += head->p[j] * head->v[j * width + a];
            ref_store(&args->o, q0 + i, col + a, sum);
        }
    }
}

enum lng_status REF(attention_fwd)(struct lng_device *device,
                                   const struct lng_attention_fwd_args *args)
{
    (void)device;
    int64_t width = args->q.cols / args->heads;
    struct head head;
    LNG_TRY(REF(check_offsets)("attention_fwd: q_offsets", args->q_offsets, args->sentences,
                               args->q.rows));
    LNG_TRY(REF(check_offsets)("attention_fwd: k_offsets", args->k_offsets, args->sentences,
                               args->k.rows));
    LNG_TRY(head_init(&head, args->q_offsets, args->k_offsets, args->sentences, width));
    for (int64_t b = 0; b < args->sentences; b++)
        for (int64_t h = 0; h < args->heads; h++)
            forward_head(args, &head, b, h, width);
    lng_free(head.block);
    return LNG_OK;
}

/* Adds the gradients that d_s = dL/d(score[i, j]) sends to q, k and the score vector. */
static void score_backward(const struct lng_attention_bwd_args *args, struct head *head, int64_t i,
                           int64_t j, int64_t width, double d_s)
{
    const double *q = head->q + i * width, *k = head->k + j * width;
    double *d_q = head->d_q + i * width, *d_k = head->d_k + j * width;
    for (int64_t a = 0; a < width; a++) {
        if (args->score == LNG_ATTENTION_ADDITIVE) {
            double t = tanh(q[a] + k[a]);
            double d_sum = d_s * args->scale * head->vector[a] * (1 - t * t);
            head->d_vector[a] += d_s * args->scale * t;
            d_q[a] += d_sum;
            d_k[a] += d_sum;
        } else {
            d_q[a] += d_s * args->scale * k[a];
            d_k[a] += d_s * args->scale * q[a];
        }
    }
}

/* One query: p from the saved log-sum-exp; d_p[j] = mask (d_o . v[j]);
 * d_score[j] = p[j] (d_p[j] - sum of p d_p). */
static void backward_query(const struct lng_attention_bwd_args *args, struct head *head, int64_t b,
                           int64_t h, int64_t i, int64_t seen, int64_t width)
{
    const double *d_o = head->d_o + i * width;
    const double *vector = args->score == LNG_ATTENTION_ADDITIVE ? head->vector : NULL;
    double lse = ((const lng_real *)args->lse)[h * args->q.rows + args->q_offsets[b] + i];
    double total = 0;
    for (int64_t j = 0; j < seen; j++) {
        double score = REF(attention_score)(head->q + i * width, head->k + j * width, vector, width,
                                            args->scale);
        double mask = probability_mask(args->dropout, args->rng, args->sentence_ids, b, i, j, h);
        head->p[j] = exp(score - lse);
        head->d_p[j] = mask * ref_dot(d_o, head->v + j * width, width);
        total += head->p[j] * head->d_p[j];
        for (int64_t a = 0; a < width; a++)
            head->d_v[j * width + a] += head->p[j] * mask * d_o[a];
    }
    for (int64_t j = 0; j < seen; j++)
        score_backward(args, head, i, j, width, head->p[j] * (head->d_p[j] - total));
}

static void backward_head(const struct lng_attention_bwd_args *args, struct head *head, int64_t b,
                          int64_t h, int64_t width)
{
    int64_t q0 = args->q_offsets[b], k0 = args->k_offsets[b], col = h * width;
    int64_t queries = args->q_offsets[b + 1] - q0, keys = args->k_offsets[b + 1] - k0;
    load_block(&args->q, q0, q0 + queries, col, width, head->q);
    load_block(&args->d_o, q0, q0 + queries, col, width, head->d_o);
    load_block(&args->k, k0, k0 + keys, col, width, head->k);
    load_block(&args->v, k0, k0 + keys, col, width, head->v);
    for (int64_t a = 0; a < queries * width; a++)
        head->d_q[a] = 0;
    for (int64_t a = 0; a < keys * width; a++)
        head->d_k[a] = head->d_v[a] = 0;
    for (int64_t a = 0; a < width; a++)
        head->d_vector[a] = 0;
    if (args->score == LNG_ATTENTION_ADDITIVE)
        load_block(&args->score_vector, 0, 1, col, width, head->vector);
    for (int64_t i = 0; i < queries; i++)
        backward_query(args, head, b, h, i, visible(args->causal, i, keys), width);
    store_block(&args->d_q, q0, q0 + queries, col, width, head->d_q);
    store_block(&args->d_k, k0, k0 + keys, col, width, head->d_k);
    store_block(&args->d_v, k0, k0 + keys, col, width, head->d_v);
    for (int64_t a = 0; args->score == LNG_ATTENTION_ADDITIVE && a < width; a++)
        ref_accumulate(&args->d_score_vector, 0, col + a, head->d_vector[a]);
}

enum lng_status REF(attention_bwd)(struct lng_device *device,
                                   const struct lng_attention_bwd_args *args)
{
    (void)device;
    int64_t width = args->q.cols / args->heads;
    struct head head;
    LNG_TRY(REF(check_offsets)("attention_bwd: q_offsets", args->q_offsets, args->sentences,
                               args->q.rows));
    LNG_TRY(REF(check_offsets)("attention_bwd: k_offsets", args->k_offsets, args->sentences,
                               args->k.rows));
    LNG_TRY(head_init(&head, args->q_offsets, args->k_offsets, args->sentences, width));
    for (int64_t b = 0; b < args->sentences; b++)
        for (int64_t h = 0; h < args->heads; h++)
            backward_head(args, &head, b, h, width);
    lng_free(head.block);
    return LNG_OK;
}

static void weights_of_sentence(const struct lng_attention_weights_args *args, struct head *head,
                                int64_t b, int64_t width)
{
    int64_t q0 = args->q_offsets[b], k0 = args->k_offsets[b];
    int64_t queries = args->q_offsets[b + 1] - q0, keys = args->k_offsets[b + 1] - k0;
    bool additive = args->score == LNG_ATTENTION_ADDITIVE;
    for (int64_t i = 0; i < queries; i++) {
        float *row = args->weights + args->weights_offsets[b] + i * keys;
        int64_t seen = visible(args->causal, i, keys);
        for (int64_t j = 0; j < keys; j++)
            head->d_p[j] = 0;
        for (int64_t h = args->first_head; h < args->first_head + args->head_count; h++) {
            load_block(&args->q, q0 + i, q0 + i + 1, h * width, width, head->q);
            load_block(&args->k, k0, k0 + keys, h * width, width, head->k);
            if (additive)
                load_block(&args->score_vector, 0, 1, h * width, width, head->vector);
            for (int64_t j = 0; j < seen; j++)
                head->p[j] =
                    REF(attention_score)(head->q, head->k + j * width,
                                         additive ? head->vector : NULL, width, args->scale);
            REF(softmax)(head->p, seen);
            for (int64_t j = 0; j < seen; j++)
                head->d_p[j] += head->p[j];
        }
        for (int64_t j = 0; j < keys; j++)
            row[j] = (float)(head->d_p[j] / (double)args->head_count);
    }
}

enum lng_status REF(attention_weights)(struct lng_device *device,
                                       const struct lng_attention_weights_args *args)
{
    (void)device;
    int64_t width = args->q.cols / args->heads;
    struct head head;
    LNG_TRY(REF(check_offsets)("attention_weights: q_offsets", args->q_offsets, args->sentences,
                               args->q.rows));
    LNG_TRY(REF(check_offsets)("attention_weights: k_offsets", args->k_offsets, args->sentences,
                               args->k.rows));
    LNG_TRY(head_init(&head, args->q_offsets, args->k_offsets, args->sentences, width));
    for (int64_t b = 0; b < args->sentences; b++)
        weights_of_sentence(args, &head, b, width);
    lng_free(head.block);
    return LNG_OK;
}
