/* IBM Model 1 without a table of pairs: by source word. One word's probabilities are spread over a dense array, and its
 * sentences are walked; so memory is that of the pairs and of what is kept, and words share no sums. */
#include "host/data/lexicon.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/base/queue.h"

/* Pairs whose normalisers one thread sums up, near enough in the caches. */
enum { BLOCK = 16384 };

/* A target word of a source word. */
struct entry {
    double value; /* count, then probability */
    int32_t target;
};

struct desk;
struct learner {
    const struct lng_lexicon_pairs *pairs;
    struct lng_progress *progress;
    bool first;             /* all probabilities are still equal */
    int64_t *where_offsets; /* [source words + 1] */
    int32_t *where;         /* [source tokens]: the pair of each occurrence of a word, rising */
    int64_t *list_offsets;  /* [source words + 1]: room of each word's targets */
    int32_t *list_counts;   /* [source words] */
    int32_t *list_targets;  /* [list_offsets[source words]] */
    double *list_values;    /* the same: probabilities */
    double *null;           /* [target words] of the empty word */
    double *normalisers;    /* [target tokens] */
    atomic_llong next;      /* task */
    int64_t tasks;
    uint64_t done_before; /* of progress */
    void (*run)(struct learner *, struct desk *, int64_t task);
    struct desk *desks; /* [threads] */
};

/* What a thread works with. */
struct desk {
    struct learner *learner;
    struct lng_worker worker;
    double *given, *counts; /* [target words], zeros between tasks */
    struct entry *entries;  /* [target words] */
    bool reports;
};

static int by_value(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->value != b->value)
        return a->value > b->value ? -1 : 1;
    return (a->target > b->target) - (a->target < b->target);
}

/* ---- phases, and their threads ---- */

/* Half of an iteration's words for each of its phases. */
static void report(const struct learner *l, int64_t task)
{
    const double words = (double)l->pairs->options.source_words;
    const double done = words / 2 * (double)task / (double)l->tasks;
    lng_progress_update(l->progress, l->done_before + (uint64_t)done, NULL);
}

static enum lng_status work(void *context)
{
    struct desk *desk = context;
    struct learner *l = desk->learner;
    for (;;) {
        const int64_t task = atomic_fetch_add(&l->next, 1);
        if (task >= l->tasks)
            return LNG_OK;
        l->run(l, desk, task);
        if (desk->reports)
            report(l, task);
    }
}

/* Where no thread can be had, those that are there do it. */
static enum lng_status run_phase(struct learner *l, int64_t tasks,
                                 void (*run)(struct learner *, struct desk *, int64_t))
{
    const int threads = l->pairs->options.threads;
    atomic_store(&l->next, 0);
    l->tasks = tasks;
    l->run = run;
    int started = 1;
    while (started < threads && started < tasks &&
           lng_worker_start(&l->desks[started].worker, "lexicon", work, &l->desks[started]) ==
               LNG_OK)
        started++;
    enum lng_status status = work(&l->desks[0]);
    for (int i = 1; i < started; i++) {
        const enum lng_status joined = lng_worker_join(&l->desks[i].worker);
        status = status == LNG_OK ? joined : status;
    }
    return status;
}

/* ---- E: what the probabilities of each target token sum to ---- */

static int64_t first_from(const struct learner *l, int32_t word, int64_t pair)
{
    int64_t low = l->where_offsets[word], high = l->where_offsets[word + 1];
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (l->where[middle] < pair)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void normalise_block(struct learner *l, struct desk *desk, int64_t block)
{
    const struct lng_lexicon_pairs *p = l->pairs;
    const int64_t begin = block * BLOCK, end = begin + BLOCK < p->count ? begin + BLOCK : p->count;
    const int32_t *targets = p->ids[1];
    for (int64_t j = p->starts[1][begin]; j < p->starts[1][end]; j++)
        l->normalisers[j] = l->null[targets[j]];
    for (int32_t word = 0; word < p->options.source_words; word++) {
        const int64_t last = l->where_offsets[word + 1], list = l->list_offsets[word];
        int64_t at = first_from(l, word, begin);
        if (at == last || l->where[at] >= end)
            continue;
        for (int32_t i = 0; i < l->list_counts[word]; i++)
            desk->given[l->list_targets[list + i]] = l->list_values[list + i];
        for (; at < last && l->where[at] < end; at++) {
            const int64_t pair = l->where[at];
            for (int64_t j = p->starts[1][pair]; j < p->starts[1][pair + 1]; j++)
                l->normalisers[j] += desk->given[targets[j]];
        }
        for (int32_t i = 0; i < l->list_counts[word]; i++)
            desk->given[l->list_targets[list + i]] = 0.0;
    }
}

/* ---- M: expected counts of a source word, and their shares ---- */

/* What a source word, whose probabilities are given, expects of the target tokens of a pair. */
static void count_pair(const struct learner *l, int64_t pair, const double *given, double *counts)
{
    const struct lng_lexicon_pairs *p = l->pairs;
    const int32_t *targets = p->ids[1];
    const int64_t begin = p->starts[1][pair], end = p->starts[1][pair + 1];
    if (l->first) {
        const double share = 1.0 / (double)(p->starts[0][pair + 1] - p->starts[0][pair] + 1);
        for (int64_t j = begin; j < end; j++)
            counts[targets[j]] += share;
        return;
    }
    for (int64_t j = begin; j < end; j++)
        if (given[targets[j]] > 0.0)
            counts[targets[j]] += given[targets[j]] / l->normalisers[j];
}

static void count_null(struct learner *l, struct desk *desk)
{
    const struct lng_lexicon_pairs *p = l->pairs;
    const int32_t words = p->options.target_words;
    double sum = 0.0;
    for (int64_t pair = 0; pair < p->count; pair++)
        count_pair(l, pair, l->null, desk->counts);
    for (int32_t t = 0; t < words; t++)
        sum += desk->counts[t];
    for (int32_t t = 0; t < words; t++)
        l->null[t] = sum > 0.0 ? desk->counts[t] / sum : 0.0;
    memset(desk->counts, 0, (size_t)words * sizeof *desk->counts);
}

/* Task 0 is the empty word: the longest one. */
static void count_word(struct learner *l, struct desk *desk, int64_t task)
{
    const struct lng_lexicon_pairs *p = l->pairs;
    const int32_t word = (int32_t)task - 1;
    if (word < 0) {
        count_null(l, desk);
        return;
    }
    const int64_t list = l->list_offsets[word], room = l->list_offsets[word + 1] - list;
    int32_t *targets = l->list_targets + list, count = 0;
    double *values = l->list_values + list, sum = 0.0;
    for (int32_t i = 0; i < l->list_counts[word]; i++)
        desk->given[targets[i]] = values[i];
    for (int64_t at = l->where_offsets[word]; at < l->where_offsets[word + 1]; at++)
        count_pair(l, l->where[at], desk->given, desk->counts);
    if (l->first) {
        for (int32_t t = 0; room > 0 && t < p->options.target_words; t++)
            if (desk->counts[t] > 0.0)
                desk->entries[count++] = (struct entry){desk->counts[t], t};
        for (int32_t i = 0; i < count; i++)
            sum += desk->entries[i].value;
        if (count > room)
            qsort(desk->entries, (size_t)count, sizeof *desk->entries, by_value);
    } else {
        for (; count < l->list_counts[word]; count++)
            sum += desk->counts[targets[count]];
    }
    for (int32_t i = 0; i < count; i++) {
        const int32_t t = l->first ? desk->entries[i].target : targets[i];
        if (i < room) {
            targets[i] = t;
            values[i] = sum > 0.0 ? desk->counts[t] / sum : 0.0;
        }
        desk->counts[t] = desk->given[t] = 0.0;
    }
    l->list_counts[word] = (int32_t)(count < room ? count : room);
}

/* ---- memory ---- */

static enum lng_status index_words(struct learner *l)
{
    const struct lng_lexicon_pairs *p = l->pairs;
    const int32_t words = p->options.source_words;
    const size_t tokens = p->id_count[0];
    l->where_offsets = lng_alloc((size_t)words + 1, sizeof *l->where_offsets);
    l->where = lng_alloc(tokens, sizeof *l->where);
    l->list_offsets = lng_alloc((size_t)words + 1, sizeof *l->list_offsets);
    if (l->where_offsets == NULL || l->where == NULL || l->list_offsets == NULL)
        return LNG_ERR_MEMORY;
    int64_t *next = l->list_offsets; /* until it is filled below */
    for (size_t i = 0; i < tokens; i++)
        l->where_offsets[p->ids[0][i] + 1]++;
    for (int32_t word = 0; word < words; word++)
        next[word] = l->where_offsets[word + 1] += l->where_offsets[word];
    for (int64_t pair = p->count; pair-- > 0;)
        for (int64_t i = p->starts[0][pair]; i < p->starts[0][pair + 1]; i++)
            l->where[--next[p->ids[0][i]]] = (int32_t)pair;
    next[0] = 0;
    for (int32_t word = 0; word < words; word++) {
        const int64_t most = p->followed;
        int64_t met = 0; /* no more targets than tokens in its pairs */
        for (int64_t at = l->where_offsets[word]; met < most && at < l->where_offsets[word + 1];
             at++)
            met += p->starts[1][l->where[at] + 1] - p->starts[1][l->where[at]];
        l->list_offsets[word + 1] = l->list_offsets[word] + (met < most ? met : most);
    }
    return LNG_OK;
}

static enum lng_status open_learner(struct learner *l)
{
    const struct lng_lexicon_options *o = &l->pairs->options;
    const size_t words = (size_t)o->target_words, threads = (size_t)o->threads;
    LNG_TRY(index_words(l));
    const size_t listed = (size_t)l->list_offsets[o->source_words];
    l->list_counts = lng_alloc((size_t)o->source_words, sizeof *l->list_counts);
    l->list_targets = lng_alloc(listed, sizeof *l->list_targets);
    l->list_values = lng_alloc(listed, sizeof *l->list_values);
    l->null = lng_alloc(words, sizeof *l->null);
    l->normalisers = lng_alloc(l->pairs->id_count[1], sizeof *l->normalisers);
    l->desks = lng_alloc(threads, sizeof *l->desks);
    if (!l->list_counts || !l->list_targets || !l->list_values || !l->null || !l->normalisers ||
        !l->desks)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < threads; i++) {
        struct desk *desk = &l->desks[i];
        desk->learner = l;
        desk->given = lng_alloc(words, sizeof *desk->given);
        desk->counts = lng_alloc(words, sizeof *desk->counts);
        desk->entries = lng_alloc(words, sizeof *desk->entries);
        if (!desk->given || !desk->counts || !desk->entries)
            return LNG_ERR_MEMORY;
    }
    l->desks[0].reports = l->progress != NULL;
    return LNG_OK;
}

static void close_learner(struct learner *l)
{
    for (int i = 0; l->desks != NULL && i < l->pairs->options.threads; i++) {
        lng_free(l->desks[i].given);
        lng_free(l->desks[i].counts);
        lng_free(l->desks[i].entries);
    }
    lng_free(l->desks);
    lng_free(l->where_offsets);
    lng_free(l->where);
    lng_free(l->list_offsets);
    lng_free(l->list_counts);
    lng_free(l->list_targets);
    lng_free(l->list_values);
    lng_free(l->null);
    lng_free(l->normalisers);
}

/* ---- the result ---- */

void lng_lexicon_release(struct lng_lexicon *lexicon)
{
    lng_free(lexicon->offsets);
    lng_free(lexicon->targets);
    lng_free(lexicon->probabilities);
    *lexicon = (struct lng_lexicon){0};
}

static enum lng_status take_best(struct learner *l, struct lng_lexicon *lexicon)
{
    const struct lng_lexicon_options *o = &l->pairs->options;
    struct entry *entries = l->desks[0].entries;
    int64_t most = 0, count = 0;
    for (int32_t word = 0; word < o->source_words; word++)
        most += l->list_counts[word] < o->best ? l->list_counts[word] : o->best;
    lexicon->source_words = o->source_words;
    lexicon->offsets = lng_alloc((size_t)o->source_words + 1, sizeof *lexicon->offsets);
    lexicon->targets = lng_alloc((size_t)most, sizeof *lexicon->targets);
    lexicon->probabilities = lng_alloc((size_t)most, sizeof *lexicon->probabilities);
    if (!lexicon->offsets || !lexicon->targets || !lexicon->probabilities)
        return LNG_ERR_MEMORY;
    for (int32_t word = 0; word < o->source_words; word++) {
        const int64_t list = l->list_offsets[word];
        const int32_t held = l->list_counts[word];
        for (int32_t i = 0; i < held; i++)
            entries[i] = (struct entry){l->list_values[list + i], l->list_targets[list + i]};
        if (held > 1)
            qsort(entries, (size_t)held, sizeof *entries, by_value);
        for (int32_t i = 0; i < held && i < o->best && entries[i].value > o->threshold; i++) {
            lexicon->targets[count] = entries[i].target;
            lexicon->probabilities[count++] = entries[i].value;
        }
        lexicon->offsets[word + 1] = count;
    }
    return LNG_OK;
}

enum lng_status lng_lexicon_learn(const struct lng_lexicon_pairs *pairs,
                                  struct lng_progress *progress, struct lng_lexicon *lexicon)
{
    LNG_FAIL_IF(pairs->count == 0 || pairs->count > INT32_MAX, LNG_ERR_FORMAT,
                "lexicon: expected 1 to %d sentence pairs, found %lld", INT32_MAX,
                (long long)pairs->count);
    struct learner l = {.pairs = pairs, .progress = progress, .first = true};
    struct lng_lexicon made = {0};
    enum lng_status status = open_learner(&l);
    const int64_t words = pairs->options.source_words, blocks = (pairs->count + BLOCK - 1) / BLOCK;
    for (int i = 0; status == LNG_OK && i < pairs->options.iterations; i++) {
        if (!l.first)
            status = run_phase(&l, blocks, normalise_block);
        l.done_before += (uint64_t)words / 2;
        if (status == LNG_OK)
            status = run_phase(&l, words + 1, count_word);
        l.first = false;
        l.done_before = (uint64_t)(words * (i + 1));
        if (progress != NULL)
            lng_progress_update(progress, l.done_before, NULL);
    }
    if (status == LNG_OK)
        status = take_best(&l, &made);
    close_learner(&l);
    if (status != LNG_OK) {
        lng_lexicon_release(&made);
        return status;
    }
    *lexicon = made;
    return LNG_OK;
}
