/* Sentences of token ids for measuring: from a file, or random. */
#ifndef LNG_HOST_CLI_BENCH_INPUT_H
#define LNG_HOST_CLI_BENCH_INPUT_H

#include "host/config/options.h"
#include "host/model/hparams.h"
#include "tokenizer/ids.h"

#define LNG_BENCH_MEAN_TARGET 28.35 /* tokens of a target as long as in news */

struct lng_bench_sentences {
    struct lng_ids ids;     /* all, end to end */
    struct lng_ids lengths; /* [count] source tokens, >= 1 */
    struct lng_ids
        produced;  /* [count] tokens to produce, none of them EOS; 0: until the model ends */
    size_t *begin; /* [count] in ids */
    size_t count;
    int64_t target_tokens; /* sum of produced */
    int32_t longest, most; /* of lengths and of produced */
};

/* --ids, or --sentences random ones of --length from --seed. Release in any case.
 * LNG_ERR_FORMAT or LNG_ERR_RANGE with file and line: no line at all, an empty one, what is no number, ids outside the
 * vocabulary, lengths below 1. */
LNG_MUST_CHECK enum lng_status lng_bench_sentences_open(const struct lng_options *options,
                                                        const struct lng_hparams *hparams,
                                                        struct lng_bench_sentences *sentences);
/* Random ones, all of one length (0: as in news). */
LNG_MUST_CHECK enum lng_status lng_bench_sentences_random(const struct lng_hparams *hparams,
                                                          uint64_t seed, size_t count,
                                                          int32_t length,
                                                          struct lng_bench_sentences *sentences);
/* Random targets for them, the end token included, as long as `produced` says. */
LNG_MUST_CHECK enum lng_status
lng_bench_sentences_targets(const struct lng_hparams *hparams, uint64_t seed,
                            const struct lng_bench_sentences *sources,
                            struct lng_bench_sentences *targets);
void lng_bench_sentences_release(struct lng_bench_sentences *sentences);

#endif
