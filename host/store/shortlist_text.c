#include "host/store/shortlist_text.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"

struct pair {
    int32_t source, target;
    float probability;
    uint32_t order; /* in the file */
};

struct pairs {
    struct pair *data; /* owned */
    size_t count, capacity;
};

static int by_pair(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    if (a->source != b->source)
        return a->source < b->source ? -1 : 1;
    if (a->target != b->target)
        return a->target < b->target ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* Equal probabilities: the higher id first, as Marian takes them. */
static int by_probability(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    if (a->source != b->source)
        return a->source < b->source ? -1 : 1;
    if (a->probability != b->probability)
        return a->probability > b->probability ? -1 : 1;
    return (a->target < b->target) - (a->target > b->target);
}

static bool is_null(struct lng_slice word)
{
    return word.length == 4 && memcmp(word.data, "NULL", 4) == 0;
}

static enum lng_status read_probability(const char *name, uint64_t number, struct lng_slice text,
                                        double *probability)
{
    char copy[64];
    enum lng_status status = LNG_ERR_FORMAT;
    if (text.length < sizeof copy) {
        memcpy(copy, text.data, text.length);
        copy[text.length] = '\0';
        status = lng_parse_double(copy, 0.0, 1e30, probability);
    }
    LNG_FAIL_IF(status != LNG_OK, LNG_ERR_FORMAT,
                "%s:%llu: shortlist: expected TARGET SOURCE PROBABILITY, found '%.*s' as the "
                "probability",
                name, (unsigned long long)number, (int)(text.length < 40 ? text.length : 40),
                text.data);
    return LNG_OK;
}

static enum lng_status add_line(const char *name, const struct lng_lines *lines,
                                struct lng_slice line, const struct lng_vocab *source_vocab,
                                const struct lng_vocab *target_vocab, struct pairs *pairs,
                                int64_t *left_out)
{
    struct lng_slice target, source, number, more;
    const uint64_t at = lng_lines_number(lines);
    double probability;
    if (!lng_text_next_word(&line, &target))
        return LNG_OK;
    bool three = lng_text_next_word(&line, &source) && lng_text_next_word(&line, &number) &&
                 !lng_text_next_word(&line, &more);
    LNG_FAIL_IF(!three, LNG_ERR_FORMAT,
                "%s:%llu: shortlist: expected three fields, TARGET SOURCE PROBABILITY", name,
                (unsigned long long)at);
    LNG_TRY(read_probability(name, at, number, &probability));
    int32_t s = lng_vocab_find(source_vocab, source.data, source.length);
    int32_t t = lng_vocab_find(target_vocab, target.data, target.length);
    if (is_null(source) || is_null(target))
        return LNG_OK;
    if (s < 0 || t < 0) {
        ++*left_out;
        return LNG_OK;
    }
    LNG_FAIL_IF(pairs->count >= UINT32_MAX, LNG_ERR_RANGE, "%s: shortlist: more than 2^32 pairs",
                name);
    LNG_TRY(lng_grow(&pairs->data, &pairs->capacity, pairs->count + 1, sizeof *pairs->data));
    pairs->data[pairs->count] = (struct pair){s, t, (float)probability, (uint32_t)pairs->count};
    pairs->count++;
    return LNG_OK;
}

/* Keeps the last of equal pairs, then of each source word the best; sorted by source word. */
static void prune(struct pairs *pairs, const struct lng_shortlist_options *options)
{
    struct pair *p = pairs->data;
    size_t kept = 0;
    if (pairs->count == 0)
        return;
    qsort(p, pairs->count, sizeof *p, by_pair);
    for (size_t i = 0; i < pairs->count; i++)
        if (i + 1 == pairs->count || p[i].source != p[i + 1].source ||
            p[i].target != p[i + 1].target)
            p[kept++] = p[i];
    qsort(p, kept, sizeof *p, by_probability);
    pairs->count = 0;
    for (size_t i = 0, rank = 0; i < kept; i++) {
        rank = i > 0 && p[i].source == p[i - 1].source ? rank + 1 : 0;
        if (rank < (size_t)options->best && (double)p[i].probability > options->threshold)
            p[pairs->count++] = p[i];
    }
}

static enum lng_status take_pairs(const struct pairs *pairs, struct lng_shortlist *list)
{
    list->offsets = lng_alloc((size_t)list->source_words + 1, sizeof *list->offsets);
    list->ids = lng_alloc(pairs->count, sizeof *list->ids);
    if (list->offsets == NULL || list->ids == NULL)
        return LNG_ERR_MEMORY;
    size_t next = 0;
    for (int64_t word = 0; word < list->source_words; word++) {
        list->offsets[word] = (int64_t)next;
        for (; next < pairs->count && pairs->data[next].source == word; next++)
            list->ids[next] = pairs->data[next].target;
        int64_t length = (int64_t)next - list->offsets[word];
        list->longest = length > list->longest ? length : list->longest;
    }
    list->offsets[list->source_words] = (int64_t)next;
    return LNG_OK;
}

enum lng_status lng_shortlist_read_text(const char *name, struct lng_lines *lines,
                                        const struct lng_vocab *source,
                                        const struct lng_vocab *target,
                                        const struct lng_shortlist_options *options,
                                        struct lng_shortlist *shortlist)
{
    struct pairs pairs = {0};
    struct lng_shortlist made = {
        .source_words = lng_vocab_size(source),
        .target_rows = lng_vocab_size(target),
        .first = options->first,
    };
    struct lng_line line;
    bool got = true;
    enum lng_status status;
    made.first = made.first > made.target_rows ? made.target_rows : made.first;
    while (true) {
        LNG_TRY_OR_FAIL(lng_lines_next(lines, &line, &got));
        if (!got)
            break;
        LNG_TRY_OR_FAIL(add_line(name, lines, (struct lng_slice){line.data, line.length}, source,
                                 target, &pairs, &made.lines_left_out));
    }
    prune(&pairs, options);
    if (pairs.count == 0) {
        status = lng_fail(LNG_ERR_MISMATCH,
                          "%s: shortlist: no pair of words that the vocabularies have, out of %llu "
                          "lines; expected lines TARGET SOURCE PROBABILITY of their entries",
                          name, (unsigned long long)lng_lines_number(lines));
        goto fail;
    }
    status = take_pairs(&pairs, &made);
fail:
    lng_free(pairs.data);
    if (status != LNG_OK) {
        lng_shortlist_release(&made);
        return status;
    }
    *shortlist = made;
    return LNG_OK;
}
