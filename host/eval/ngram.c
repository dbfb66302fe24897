#include "host/eval/ngram.h"

#include "host/base/mem.h"

/* A reference's n-gram that the hypothesis does not have: no longer one that starts with it can match. */
#define NO_NGRAM UINT32_MAX

struct entry {
    uint64_t key;
    uint32_t order; /* entries of another order are free places */
    uint32_t number;
};

struct tally {
    uint32_t own, most; /* counts in the hypothesis, and the most in one reference */
    uint32_t there;     /* count in the reference `side` */
    uint32_t side;
};

struct counter {
    struct entry *table;
    size_t table_size;
    struct tally *tallies; /* [number of n-grams of the hypothesis] */
    uint32_t count;        /* of distinct n-grams of the hypothesis */
    uint32_t *numbers;     /* of the n-gram that starts at each unit, all sides end to end */
};

static void release(struct counter *counter)
{
    lng_free(counter->table);
    lng_free(counter->tallies);
    lng_free(counter->numbers);
}

static enum lng_status prepare(struct counter *counter, size_t own, size_t all)
{
    LNG_FAIL_IF(all > INT32_MAX, LNG_ERR_RANGE, "a segment of %zu units: too long to judge", all);
    counter->table_size = 16;
    while (counter->table_size < own * 2)
        counter->table_size *= 2;
    counter->table = lng_alloc(counter->table_size, sizeof *counter->table);
    counter->tallies = lng_alloc(own, sizeof *counter->tallies);
    counter->numbers = lng_alloc(all, sizeof *counter->numbers);
    return counter->table && counter->tallies && counter->numbers ? LNG_OK : LNG_ERR_MEMORY;
}

static struct entry *find(const struct counter *counter, uint64_t key, uint32_t order)
{
    uint64_t hash = key * 0x9E3779B97F4A7C15u;
    size_t place = (hash ^ hash >> 32) & (counter->table_size - 1);
    while (counter->table[place].order == order && counter->table[place].key != key)
        place = (place + 1) & (counter->table_size - 1);
    return &counter->table[place];
}

static uint64_t key_of(const uint32_t *numbers, const struct lng_units *units, size_t i,
                       uint32_t order)
{
    uint32_t last = units->list[i + order - 1];
    return order == 1 ? last : (uint64_t)numbers[i] << 32 | last;
}

static void count_own(struct counter *counter, const struct lng_units *own, uint32_t order)
{
    counter->count = 0;
    for (size_t i = 0; i + order <= own->count; i++) {
        uint64_t key = key_of(counter->numbers, own, i, order);
        struct entry *entry = find(counter, key, order);
        if (entry->order != order) {
            *entry = (struct entry){key, order, counter->count};
            counter->tallies[counter->count++] = (struct tally){0};
        }
        counter->tallies[entry->number].own++;
        counter->numbers[i] = entry->number;
    }
}

static void count_reference(struct counter *counter, const struct lng_units *units,
                            uint32_t *numbers, uint32_t side, uint32_t order)
{
    for (size_t i = 0; i + order <= units->count; i++) {
        if (order > 1 && numbers[i] == NO_NGRAM)
            continue;
        const struct entry *entry = find(counter, key_of(numbers, units, i, order), order);
        numbers[i] = entry->order == order ? entry->number : NO_NGRAM;
        if (numbers[i] == NO_NGRAM)
            continue;
        struct tally *tally = &counter->tallies[numbers[i]];
        if (tally->side != side) {
            tally->side = side;
            tally->there = 0;
        }
        if (++tally->there > tally->most)
            tally->most = tally->there;
    }
}

enum lng_status lng_ngram_matches(const struct lng_units *own, const struct lng_units *references,
                                  size_t reference_count, int orders, int64_t *matches)
{
    struct counter counter = {0};
    size_t all = own->count;
    for (size_t r = 0; r < reference_count; r++)
        all += references[r].count;
    enum lng_status status = prepare(&counter, own->count, all);
    for (uint32_t order = 1; status == LNG_OK && order <= (uint32_t)orders; order++) {
        count_own(&counter, own, order);
        uint32_t *numbers = counter.numbers + own->count;
        for (size_t r = 0; r < reference_count; r++) {
            count_reference(&counter, &references[r], numbers, (uint32_t)r + 1, order);
            numbers += references[r].count;
        }
        matches[order - 1] = 0;
        for (uint32_t i = 0; i < counter.count; i++) {
            const struct tally *tally = &counter.tallies[i];
            matches[order - 1] += tally->own < tally->most ? tally->own : tally->most;
        }
    }
    release(&counter);
    return status;
}
