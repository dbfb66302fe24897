#include "host/infer/sampling.h"

#include <math.h>
#include <stdlib.h>

#include "host/base/philox.h"

/* Keeps these numbers apart from those of training under the same seed. */
static const uint32_t sampling_stream = 0x53414D50u;

double lng_sampling_uniform(uint64_t seed, uint64_t sentence, uint32_t place, uint32_t sample)
{
    struct lng_philox block =
        lng_philox4x32((uint32_t)sentence, (uint32_t)(sentence >> 32), place, sample,
                       (uint32_t)seed, (uint32_t)(seed >> 32) ^ sampling_stream);
    return ((double)block.word[0] + lng_philox_uniform(block.word[1])) * (1.0 / 4294967296.0);
}

static int by_weight(const void *left, const void *right)
{
    const struct lng_sampling_item *a = left, *b = right;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    return (a->token > b->token) - (a->token < b->token);
}

static int by_token(const void *left, const void *right)
{
    const struct lng_sampling_item *a = left, *b = right;
    return (a->token > b->token) - (a->token < b->token);
}

static double sum_of(const struct lng_sampling_item *items, int64_t count)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        sum += items[i].weight;
    return sum;
}

/* The fewest of the heaviest that make up p of the whole. Items lighter than (1 - p) / count of it make up less
 * than the rest even together, so they need not be sorted. */
static int64_t keep_top_p(double p, struct lng_sampling_item *items, int64_t count)
{
    const double total = sum_of(items, count), wanted = p * total;
    const double light = (1.0 - p) * total / (double)count;
    int64_t heavy = 0, kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (items[i].weight >= light)
            items[heavy++] = items[i];
    qsort(items, (size_t)heavy, sizeof *items, by_weight);
    double sum = 0.0;
    while (kept < heavy && (kept == 0 || sum < wanted))
        sum += items[kept++].weight;
    return kept;
}

int64_t lng_sampling_draw(const struct lng_sampling *sampling, const float *logprobs,
                          const int32_t *tokens, int64_t count, const uint8_t *never,
                          double uniform, struct lng_sampling_item *room)
{
    double highest = -INFINITY;
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t token = tokens ? tokens[i] : (int32_t)i;
        if (!(logprobs[i] > -INFINITY) || (never && never[token]))
            continue;
        highest = fmax(highest, (double)logprobs[i]);
        room[n++] = (struct lng_sampling_item){.index = (int32_t)i, .token = token};
    }
    if (n == 0)
        return -1;
    for (int64_t i = 0; i < n; i++)
        room[i].weight = exp(((double)logprobs[room[i].index] - highest) / sampling->temperature);
    if (sampling->top_k > 0 && n > sampling->top_k) {
        qsort(room, (size_t)n, sizeof *room, by_weight);
        n = sampling->top_k;
    }
    if (sampling->top_p < 1.0)
        n = keep_top_p(sampling->top_p, room, n);
    if (tokens || sampling->top_k > 0 || sampling->top_p < 1.0)
        qsort(room, (size_t)n, sizeof *room, by_token);
    const double wanted = uniform * sum_of(room, n);
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += room[i].weight;
        if (sum > wanted)
            return room[i].index;
    }
    return room[n - 1].index;
}
