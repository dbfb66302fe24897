/* Which target words a source word becomes, and how probably: IBM Model 1 (Brown et al. 1993, section 4.2), that is
 *   t(f | e) in proportion to  sum over pairs, and over places of f and of e in them, of t(f | e) / sum over e' of t(f | e')
 * where e' runs through the pair's source words and one empty word; by EM from a uniform start.
 *
 * The result is a function of the pairs alone: every sum has one order, whatever the number of threads. */
#ifndef LNG_HOST_DATA_LEXICON_H
#define LNG_HOST_DATA_LEXICON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/progress.h"
#include "host/base/status.h"

struct lng_lexicon_options {
    int32_t source_words, target_words; /* ids are below these */
    int32_t best;                       /* targets of a source word at most, 1 or more */
    double threshold;                   /* and only those with a probability above it, 0 or more */
    int iterations;                     /* of EM, 1 or more */
    int threads;                        /* 1 or more; never changes the result */
    /* Bytes for everything here. Half of it at most is for probabilities while they are learned, and bounds how many
     * targets of a source word are followed after the first iteration, to 1024 or less; the other is for
     * pairs, which are thinned out evenly where they are more: 8 bytes a source token, 12 a target token, 16 a pair. */
    int64_t memory;
};

/* ---- pairs ---- */

struct lng_lexicon_pairs {
    struct lng_lexicon_options options;
    int32_t followed;     /* targets of a source word, see memory */
    int64_t room;         /* bytes for pairs */
    uint64_t seen, every; /* pairs offered; one in so many is taken */
    int32_t *ids[2];      /* source and target tokens, end to end; owned */
    size_t id_count[2], id_capacity[2];
    int64_t *starts[2]; /* [count + 1] of each side; owned */
    size_t start_capacity[2];
    int64_t count; /* pairs held */
};

/* LNG_ERR_RANGE when the memory is not enough for the vocabularies, with what would be. */
LNG_MUST_CHECK enum lng_status lng_lexicon_pairs_init(struct lng_lexicon_pairs *pairs,
                                                      const struct lng_lexicon_options *options);
/* Fine on a zeroed one. */
void lng_lexicon_pairs_release(struct lng_lexicon_pairs *pairs);
/* Counts the next pair; false: it is left out, for want of memory, and need not be read. */
bool lng_lexicon_pairs_next(struct lng_lexicon_pairs *pairs);
/* The pair that lng_lexicon_pairs_next was true of. LNG_ERR_RANGE for ids outside the vocabularies. */
LNG_MUST_CHECK enum lng_status lng_lexicon_pairs_add(struct lng_lexicon_pairs *pairs,
                                                     const int32_t *source, size_t source_count,
                                                     const int32_t *target, size_t target_count);

/* ---- learning ---- */

/* Targets of source word s: [offsets[s], offsets[s + 1]), most probable first, at equal probability by id. */
struct lng_lexicon {
    int32_t source_words;
    int64_t *offsets;      /* [source_words + 1]; owned, like all */
    int32_t *targets;      /* [offsets[source_words]] */
    double *probabilities; /* the same */
};
/* progress (may be NULL) counts source words times iterations; it is neither started nor finished.
 * LNG_ERR_FORMAT without a single pair. */
LNG_MUST_CHECK enum lng_status lng_lexicon_learn(const struct lng_lexicon_pairs *pairs,
                                                 struct lng_progress *progress,
                                                 struct lng_lexicon *lexicon);
/* Fine on a zeroed one. */
void lng_lexicon_release(struct lng_lexicon *lexicon);

#endif
