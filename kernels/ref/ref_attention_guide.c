/* Guided alignment: what attention costs that does not go where the links say, and its gradients. */
#include <string.h>

#include "kernels/ref/ref_guide.h"

/* One sentence, all heads, as doubles. */
struct room {
    double *q, *d_q;           /* [queries, columns] */
    double *k, *d_k;           /* [keys, columns] */
    double *vector, *d_vector; /* [columns]; of additive scores */
    double *share; /* [heads, links]: the part of a head in m at a link, over the row's links */
};

/* Queries, keys and links of a sentence. */
struct extent {
    int64_t q0, queries, k0, keys, first_link, links;
};

static struct extent extent_of(const struct lng_attention_guide_args *args, int64_t b)
{
    struct extent e = {.q0 = args->q_offsets[b], .k0 = args->k_offsets[b]};
    e.queries = args->q_offsets[b + 1] - e.q0;
    e.keys = args->k_offsets[b + 1] - e.k0;
    e.first_link = args->link_offsets[e.q0];
    e.links = args->link_offsets[e.q0 + e.queries] - e.first_link;
    return e;
}

static size_t room_doubles(const struct lng_attention_guide_args *args, struct extent e)
{
    return (size_t)((2 * e.queries + 2 * e.keys + 1) * args->q.cols + args->heads * e.links);
}

size_t REF(guide_room)(const struct lng_attention_guide_args *args)
{
    size_t most = 0;
    for (int64_t b = 0; b < args->sentences; b++) {
        size_t doubles = room_doubles(args, extent_of(args, b));
        most = doubles > most ? doubles : most;
    }
    return most;
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

/* What d_s = d(cost) / d(score) sends to a query, a key and the score vector; columns of one head. */
static void pair_backward(const double *q, const double *k, double d_s, double *d_q, double *d_k,
                          const double *vector, double *d_vector, int64_t width)
{
    for (int64_t a = 0; vector == NULL && a < width; a++) {
        d_q[a] += d_s * k[a];
        d_k[a] += d_s * q[a];
    }
    for (int64_t a = 0; vector != NULL && a < width; a++) {
        double t = tanh(q[a] + k[a]), d_sum = d_s * vector[a] * (1 - t * t);
        d_vector[a] += d_s * t;
        d_q[a] += d_sum;
        d_k[a] += d_sum;
    }
}

/* One row and head: d(cost) / d(score[j]) = p[j] * (sum of the row's shares) - share[j]. */
static void row_backward(const struct lng_attention_guide_args *args, struct room *room, int64_t n,
                         int64_t i, int64_t keys, const double *share, int64_t h)
{
    int64_t columns = args->q.cols, width = columns / args->heads, col = h * width;
    const int32_t *linked = args->link_keys + args->link_offsets[n];
    int64_t count = args->link_offsets[n + 1] - args->link_offsets[n], next = 0;
    bool additive = args->score == LNG_ATTENTION_ADDITIVE;
    double kept = 0;
    for (int64_t l = 0; l < count; l++)
        kept += share[l];
    for (int64_t j = 0; j < keys; j++) {
        double d_s = kept * exp(log_probability(args, room, n, i, j, h));
        if (next < count && linked[next] == j)
            d_s -= share[next++];
        pair_backward(room->q + i * columns + col, room->k + j * columns + col,
                      d_s * args->gradient_scale * args->scale, room->d_q + i * columns + col,
                      room->d_k + j * columns + col, additive ? room->vector + col : NULL,
                      additive ? room->d_vector + col : NULL, width);
    }
}

void REF(guide_sentence)(const struct lng_attention_guide_args *args, int64_t b, double *doubles,
                         double *d_vector, double sums[2])
{
    struct extent e = extent_of(args, b);
    int64_t columns = args->q.cols;
    struct room room = {.q = doubles, .d_vector = d_vector};
    sums[0] = sums[1] = 0;
    if (e.links == 0)
        return;
    room.d_q = room.q + e.queries * columns;
    room.k = room.d_q + e.queries * columns;
    room.d_k = room.k + e.keys * columns;
    room.vector = room.d_k + e.keys * columns;
    room.share = room.vector + columns;
    load_rows(&args->q, e.q0, e.queries, room.q);
    load_rows(&args->k, e.k0, e.keys, room.k);
    if (args->score == LNG_ATTENTION_ADDITIVE)
        load_rows(&args->score_vector, 0, 1, room.vector);
    memset(room.d_q, 0, (size_t)(e.queries * columns) * sizeof *room.d_q);
    memset(room.d_k, 0, (size_t)(e.keys * columns) * sizeof *room.d_k);
    for (int64_t i = 0; i < e.queries; i++) {
        int64_t n = e.q0 + i;
        if (args->link_offsets[n] == args->link_offsets[n + 1])
            continue;
        sums[0] += guide_row(args, &room, n, i, e.first_link, e.links);
        sums[1] += 1;
        for (int64_t h = 0; h < args->heads; h++)
            row_backward(args, &room, n, i, e.keys,
                         room.share + h * e.links + (args->link_offsets[n] - e.first_link), h);
    }
    add_rows(&args->d_q, e.q0, e.queries, room.d_q);
    add_rows(&args->d_k, e.k0, e.keys, room.d_k);
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

enum lng_status REF(guide_check)(const struct lng_attention_guide_args *args)
{
    LNG_TRY(REF(check_offsets)("attention_guide: q_offsets", args->q_offsets, args->sentences,
                               args->q.rows));
    LNG_TRY(REF(check_offsets)("attention_guide: k_offsets", args->k_offsets, args->sentences,
                               args->k.rows));
    LNG_TRY(REF(check_offsets)("attention_guide: link_offsets", args->link_offsets, args->q.rows,
                               args->link_count));
    return check_links(args);
}

enum lng_status REF(attention_guide)(struct lng_device *device,
                                     const struct lng_attention_guide_args *args)
{
    (void)device;
    LNG_TRY(REF(guide_check)(args));
    int64_t columns = args->q.cols;
    size_t room = REF(guide_room)(args);
    double *doubles = lng_alloc(room + (size_t)columns, sizeof *doubles), sums[2];
    if (doubles == NULL)
        return LNG_ERR_MEMORY;
    double *d_vector = doubles + room;
    memset(d_vector, 0, (size_t)columns * sizeof *d_vector);
    for (int64_t b = 0; b < args->sentences; b++) {
        REF(guide_sentence)(args, b, doubles, d_vector, sums);
        for (int i = 0; i < 2 && args->sums != NULL; i++)
            args->sums[i] += sums[i];
    }
    if (args->score == LNG_ATTENTION_ADDITIVE)
        add_rows(&args->d_score_vector, 0, 1, d_vector);
    lng_free(doubles);
    return LNG_OK;
}
