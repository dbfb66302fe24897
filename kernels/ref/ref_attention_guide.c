/* Guided alignment: what attention costs that does not go where the links say, and its gradients. */
#include <string.h>

#include "kernels/ref/ref.h"

/* One sentence, all heads, as doubles. */
struct room {
    double *q, *d_q;           /* [queries, columns] */
    double *k, *d_k;           /* [keys, columns] */
    double *vector, *d_vector; /* [columns] */
    double *share; /* [heads, links]: the part of a head in m at a link, over the row's links */
    double *block;
};

static enum lng_status room_init(struct room *room, const struct lng_attention_guide_args *args)
{
    int64_t queries = 0, keys = 0, links = 0, columns = args->q.cols;
    for (int64_t b = 0; b < args->sentences; b++) {
        int64_t q0 = args->q_offsets[b], q1 = args->q_offsets[b + 1];
        int64_t k_count = args->k_offsets[b + 1] - args->k_offsets[b];
        int64_t own = args->link_offsets[q1] - args->link_offsets[q0];
        queries = q1 - q0 > queries ? q1 - q0 : queries;
        keys = k_count > keys ? k_count : keys;
        links = own > links ? own : links;
    }
    int64_t total = 2 * (queries + keys + 1) * columns + args->heads * links;
    room->block = lng_alloc((size_t)total, sizeof *room->block);
    if (room->block == NULL)
        return LNG_ERR_MEMORY;
    room->q = room->block;
    room->d_q = room->q + queries * columns;
    room->k = room->d_q + queries * columns;
    room->d_k = room->k + keys * columns;
    room->vector = room->d_k + keys * columns;
    room->d_vector = room->vector + columns;
    room->share = room->d_vector + columns;
    return LNG_OK;
}

static void load_rows(const struct lng_view *view, int64_t first, int64_t count, double *out)
{
    for (int64_t row = first; row < first + count; row++)
        for (int64_t c = 0; c < view->cols; c++)
            *out++ = ref_load(view, row, c);
}

static void add_rows(const struct lng_view *view, int64_t first, int64_t count,
                     const double *values)
{
    for (int64_t row = first; row < first + count; row++)
        for (int64_t c = 0; c < view->cols; c++)
            ref_accumulate(view, row, c, *values++);
}

/* log p of key j for query i of the sentence (its row is n) in head h. */
static double log_probability(const struct lng_attention_guide_args *args, const struct room *room,
                              int64_t n, int64_t i, int64_t j, int64_t h)
{
    int64_t columns = args->q.cols, width = columns / args->heads, col = h * width;
    const double *vector = args->score == LNG_ATTENTION_ADDITIVE ? room->vector + col : NULL;
    double score = REF(attention_score)(room->q + i * columns + col, room->k + j * columns + col,
                                        vector, width, args->scale);
    return score - (double)((const lng_real *)args->lse)[h * args->q.rows + n];
}

/* The cost of row n, and each head's share of it: with c links, d(cost) / d(log p[j, h]) = -share. The heads' mean is
 * taken in the logarithm, so that no p is too small for it and a share is 1 / c at most. */
static double guide_row(const struct lng_attention_guide_args *args, struct room *room, int64_t n,
                        int64_t i, int64_t first_link, int64_t links)
{
    int64_t begin = args->link_offsets[n], end = args->link_offsets[n + 1], heads = args->heads;
    double cost = 0;
    for (int64_t l = begin; l < end; l++) {
        double *share = room->share + (l - first_link), highest = -INFINITY, sum = 0;
        for (int64_t h = 0; h < heads; h++) {
            share[h * links] = log_probability(args, room, n, i, args->link_keys[l], h);
            highest = share[h * links] > highest ? share[h * links] : highest;
        }
        for (int64_t h = 0; h < heads; h++)
            sum += share[h * links] = exp(share[h * links] - highest);
        for (int64_t h = 0; h < heads; h++)
            share[h * links] /= sum * (double)(end - begin);
        cost -= (highest + log(sum) - log((double)heads)) / (double)(end - begin);
    }
    return cost;
}

/* One row and head: d(cost) / d(score[j]) = p[j] * (sum of the row's shares) - share[j]. */
static void row_backward(const struct lng_attention_guide_args *args, struct room *room, int64_t n,
                         int64_t i, int64_t keys, const double *share, int64_t h)
{
    int64_t columns = args->q.cols, width = columns / args->heads, col = h * width;
    const int32_t *linked = args->link_keys + args->link_offsets[n];
    int64_t count = args->link_offsets[n + 1] - args->link_offsets[n], next = 0;
    const double *q = room->q + i * columns + col;
    double *d_q = room->d_q + i * columns + col, kept = 0;
    for (int64_t l = 0; l < count; l++)
        kept += share[l];
    for (int64_t j = 0; j < keys; j++) {
        const double *k = room->k + j * columns + col;
        double *d_k = room->d_k + j * columns + col;
        double d_s = kept * exp(log_probability(args, room, n, i, j, h));
        if (next < count && linked[next] == j)
            d_s -= share[next++];
        d_s *= args->gradient_scale * args->scale;
        for (int64_t a = 0; a < width; a++) {
            double t = 0, slope = 1;
            bool additive = args->score == LNG_ATTENTION_ADDITIVE;
            if (additive) {
                t = tanh(q[a] + k[a]);
                slope = room->vector[col + a] * (1 - t * t);
                room->d_vector[col + a] += d_s * t;
            }
            d_q[a] += d_s * (additive ? slope : k[a]);
            d_k[a] += d_s * (additive ? slope : q[a]);
        }
    }
}

static void guide_sentence(const struct lng_attention_guide_args *args, struct room *room,
                           int64_t b, double *sums)
{
    int64_t q0 = args->q_offsets[b], queries = args->q_offsets[b + 1] - q0, columns = args->q.cols;
    int64_t k0 = args->k_offsets[b], keys = args->k_offsets[b + 1] - k0;
    int64_t first = args->link_offsets[q0], links = args->link_offsets[q0 + queries] - first;
    if (links == 0)
        return;
    load_rows(&args->q, q0, queries, room->q);
    load_rows(&args->k, k0, keys, room->k);
    memset(room->d_q, 0, (size_t)(queries * columns) * sizeof *room->d_q);
    memset(room->d_k, 0, (size_t)(keys * columns) * sizeof *room->d_k);
    for (int64_t i = 0; i < queries; i++) {
        if (args->link_offsets[q0 + i] == args->link_offsets[q0 + i + 1])
            continue;
        sums[0] += guide_row(args, room, q0 + i, i, first, links);
        sums[1] += 1;
        const double *share = room->share + (args->link_offsets[q0 + i] - first);
        for (int64_t h = 0; h < args->heads; h++)
            row_backward(args, room, q0 + i, i, keys, share + h * links, h);
    }
    add_rows(&args->d_q, q0, queries, room->d_q);
    add_rows(&args->d_k, k0, keys, room->d_k);
}

/* Links rise within a row and stay in their sentence. */
static enum lng_status check_links(const struct lng_attention_guide_args *args)
{
    for (int64_t b = 0; b < args->sentences; b++) {
        int32_t keys = args->k_offsets[b + 1] - args->k_offsets[b];
        for (int64_t n = args->q_offsets[b]; n < args->q_offsets[b + 1]; n++)
            for (int64_t l = args->link_offsets[n]; l < args->link_offsets[n + 1]; l++) {
                int32_t low = l > args->link_offsets[n] ? args->link_keys[l - 1] + 1 : 0;
                LNG_FAIL_IF(args->link_keys[l] < low || args->link_keys[l] >= keys, LNG_ERR_RANGE,
                            "attention_guide: link_keys[%lld]: expected %d to %d, found %d",
                            (long long)l, low, keys - 1, args->link_keys[l]);
            }
    }
    return LNG_OK;
}

enum lng_status REF(attention_guide)(struct lng_device *device,
                                     const struct lng_attention_guide_args *args)
{
    (void)device;
    struct room room;
    double sums[2] = {0, 0};
    LNG_TRY(REF(check_offsets)("attention_guide: q_offsets", args->q_offsets, args->sentences,
                               args->q.rows));
    LNG_TRY(REF(check_offsets)("attention_guide: k_offsets", args->k_offsets, args->sentences,
                               args->k.rows));
    LNG_TRY(REF(check_offsets)("attention_guide: link_offsets", args->link_offsets, args->q.rows,
                               args->link_count));
    LNG_TRY(check_links(args));
    LNG_TRY(room_init(&room, args));
    bool additive = args->score == LNG_ATTENTION_ADDITIVE;
    memset(room.d_vector, 0, (size_t)args->q.cols * sizeof *room.d_vector);
    if (additive)
        load_rows(&args->score_vector, 0, 1, room.vector);
    for (int64_t b = 0; b < args->sentences; b++)
        guide_sentence(args, &room, b, sums);
    if (additive)
        add_rows(&args->d_score_vector, 0, 1, room.d_vector);
    for (int i = 0; i < 2 && args->sums != NULL; i++)
        args->sums[i] += sums[i];
    lng_free(room.block);
    return LNG_OK;
}
