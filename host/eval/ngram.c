#include "host/eval/ngram.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"

void lng_ngrams_release(struct lng_ngrams *ngrams)
{
    lng_free(ngrams->list);
    *ngrams = (struct lng_ngrams){0};
}

static int compare(const void *left, const void *right)
{
    const struct lng_ngram *a = left, *b = right;
    for (int i = 0; i < LNG_NGRAM_MAX_ORDER; i++)
        if (a->unit[i] != b->unit[i])
            return a->unit[i] < b->unit[i] ? -1 : 1;
    return 0;
}

enum lng_status lng_ngrams_build(struct lng_ngrams *ngrams, const uint32_t *units, size_t count,
                                 int order)
{
    ngrams->count = count >= (size_t)order ? count - (size_t)order + 1 : 0;
    LNG_TRY(lng_grow(&ngrams->list, &ngrams->capacity, ngrams->count, sizeof *ngrams->list));
    for (size_t i = 0; i < ngrams->count; i++) {
        ngrams->list[i] = (struct lng_ngram){{0}};
        memcpy(ngrams->list[i].unit, units + i, (size_t)order * sizeof *units);
    }
    if (ngrams->count > 1)
        qsort(ngrams->list, ngrams->count, sizeof *ngrams->list, compare);
    return LNG_OK;
}

/* First entry that is not below `key`. */
static size_t lower_bound(const struct lng_ngrams *ngrams, const struct lng_ngram *key)
{
    size_t low = 0, high = ngrams->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&ngrams->list[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t count_of(const struct lng_ngrams *ngrams, const struct lng_ngram *key)
{
    size_t first = lower_bound(ngrams, key), last = first;
    while (last < ngrams->count && compare(&ngrams->list[last], key) == 0)
        last++;
    return last - first;
}

size_t lng_ngrams_matches(const struct lng_ngrams *a, const struct lng_ngrams *references,
                          size_t reference_count)
{
    size_t matches = 0;
    for (size_t i = 0; i < a->count;) {
        size_t own = 1;
        while (i + own < a->count && compare(&a->list[i], &a->list[i + own]) == 0)
            own++;
        size_t most = 0;
        for (size_t r = 0; r < reference_count; r++) {
            size_t there = count_of(&references[r], &a->list[i]);
            most = there > most ? there : most;
        }
        matches += own < most ? own : most;
        i += own;
    }
    return matches;
}
