/* The pairs that a lexicon is learned from, held within a limit of memory. */
#include <string.h>

#include "host/base/mem.h"
#include "host/data/lexicon.h"

enum { MOST_FOLLOWED = 1024, SOURCE_BYTES = 8, TARGET_BYTES = 12, PAIR_BYTES = 16 };
enum { LISTED_BYTES = sizeof(int32_t) + sizeof(double) };

/* What is needed whatever the pairs: dense arrays of each thread, offsets and results. */
static int64_t fixed_bytes(const struct lng_lexicon_options *o)
{
    const int64_t dense = (int64_t)o->target_words * 20 * (o->threads + 1);
    return dense + (int64_t)o->source_words * (32 + (int64_t)o->best * LISTED_BYTES);
}

enum lng_status lng_lexicon_pairs_init(struct lng_lexicon_pairs *pairs,
                                       const struct lng_lexicon_options *options)
{
    const struct lng_lexicon_options *o = options;
    LNG_FAIL_IF(o->source_words < 1 || o->target_words < 1 || o->best < 1 || o->iterations < 1 ||
                    o->threads < 1 || !(o->threshold >= 0.0),
                LNG_ERR_RANGE,
                "lexicon: expected words, targets, iterations and threads of 1 or more and a "
                "threshold of 0 or more, found %d, %d, %d, %d, %d and %g",
                o->source_words, o->target_words, o->best, o->iterations, o->threads, o->threshold);
    const int32_t best = o->best < o->target_words ? o->best : o->target_words;
    const int64_t each = (int64_t)o->source_words * LISTED_BYTES, fixed = fixed_bytes(o);
    const int64_t least = fixed + 2 * each * best;
    LNG_FAIL_IF(o->memory < least, LNG_ERR_RANGE,
                "memory for a lexicon of %d source and %d target words, %d targets each: expected "
                "%lld bytes or more, found %lld",
                o->source_words, o->target_words, best, (long long)least, (long long)o->memory);
    const int64_t affordable = (o->memory - fixed) / 2 / each;
    *pairs = (struct lng_lexicon_pairs){.options = *o, .every = 1};
    pairs->options.best = best;
    pairs->followed = (int32_t)(affordable < MOST_FOLLOWED ? affordable : MOST_FOLLOWED);
    if (pairs->followed > o->target_words)
        pairs->followed = o->target_words;
    pairs->room = o->memory - fixed - each * pairs->followed;
    return LNG_OK;
}

void lng_lexicon_pairs_release(struct lng_lexicon_pairs *pairs)
{
    for (int side = 0; side < 2; side++) {
        lng_free(pairs->ids[side]);
        lng_free(pairs->starts[side]);
    }
    *pairs = (struct lng_lexicon_pairs){0};
}

bool lng_lexicon_pairs_next(struct lng_lexicon_pairs *pairs)
{
    return pairs->seen++ % pairs->every == 0;
}

static int64_t bytes_of(const struct lng_lexicon_pairs *pairs)
{
    return (int64_t)pairs->id_count[0] * SOURCE_BYTES + (int64_t)pairs->id_count[1] * TARGET_BYTES +
           pairs->count * PAIR_BYTES;
}

/* Every second pair goes. */
static void thin_out(struct lng_lexicon_pairs *pairs)
{
    const int64_t kept = (pairs->count + 1) / 2;
    for (int side = 0; side < 2; side++) {
        int64_t *starts = pairs->starts[side], next = 0;
        for (int64_t i = 0; i < kept; i++) {
            const int64_t from = starts[2 * i], count = starts[2 * i + 1] - from;
            memmove(pairs->ids[side] + next, pairs->ids[side] + from,
                    (size_t)count * sizeof *pairs->ids[side]);
            starts[i] = next;
            next += count;
        }
        starts[kept] = next;
        pairs->id_count[side] = (size_t)next;
    }
    pairs->count = kept;
    pairs->every *= 2;
}

enum lng_status lng_lexicon_pairs_add(struct lng_lexicon_pairs *pairs, const int32_t *source,
                                      size_t source_count, const int32_t *target,
                                      size_t target_count)
{
    const struct {
        const int32_t *ids;
        size_t count;
        int32_t words;
    } sides[] = {{source, source_count, pairs->options.source_words},
                 {target, target_count, pairs->options.target_words}};
    for (int side = 0; side < 2; side++) {
        const size_t held = pairs->id_count[side], count = sides[side].count;
        for (size_t i = 0; i < count; i++)
            LNG_FAIL_IF(sides[side].ids[i] < 0 || sides[side].ids[i] >= sides[side].words,
                        LNG_ERR_RANGE, "lexicon: token %d is outside the vocabulary of %d entries",
                        sides[side].ids[i], sides[side].words);
        LNG_TRY(lng_grow(&pairs->ids[side], &pairs->id_capacity[side], held + count,
                         sizeof *pairs->ids[side]));
        LNG_TRY(lng_grow(&pairs->starts[side], &pairs->start_capacity[side],
                         (size_t)pairs->count + 2, sizeof *pairs->starts[side]));
    }
    for (int side = 0; side < 2; side++) {
        const size_t held = pairs->id_count[side], count = sides[side].count;
        if (count > 0)
            memcpy(pairs->ids[side] + held, sides[side].ids, count * sizeof *sides[side].ids);
        pairs->id_count[side] = held + count;
        pairs->starts[side][pairs->count + 1] = (int64_t)(held + count);
    }
    pairs->count++;
    while (pairs->count > 1 && bytes_of(pairs) > pairs->room)
        thin_out(pairs);
    return LNG_OK;
}
