/* lingster compare: the same work on two devices, and by how much they differ. The reference is the side
 * that is taken to be right (--against), the other is tested.
 *
 * Work: translations of all lines; log-probabilities of the reference's translations on both; every
 * operation of a first batch; optionally some steps of training. What comes out is a list of cases, each
 * with figures against limits (compare_limits.def), which the reports print. */
#ifndef LNG_HOST_CLI_COMPARE_H
#define LNG_HOST_CLI_COMPARE_H

#include "host/base/file.h"
#include "host/cli/compare_case.h"
#include "host/config/options.h"
#include "host/model/model.h"
#include "tokenizer/tokenizer.h"

enum lng_compare_side { LNG_COMPARE_REFERENCE, LNG_COMPARE_TESTED, LNG_COMPARE_SIDES };

/* One token sequence a line, in one list. */
struct lng_compare_range {
    size_t begin, count;
};
struct lng_compare_texts {
    struct lng_ids ids;
    struct lng_compare_range *ranges; /* [count] */
    size_t count, capacity;
};

/* A line that the two sides translate differently, at the first token that differs. */
struct lng_compare_difference {
    size_t text;   /* in compare->source */
    int32_t place; /* of the token, from 0 */
    /* By side; token -1 where a translation has ended. Log-probability of the token after the common
     * beginning, and ranking score of the whole translation, both as the reference computes them. */
    int32_t tokens[LNG_COMPARE_SIDES];
    double logprobs[LNG_COMPARE_SIDES], scores[LNG_COMPARE_SIDES];
    bool near_tie;
};

/* The gradient of one parameter, at its worst over all steps. */
struct lng_compare_gradient {
    char name[LNG_PARAM_NAME_BYTES];
    double nmse, max_error;
    int step; /* where nmse was worst, from 1 */
};

struct lng_compare {
    const struct lng_options *options;
    const struct lng_tokenizer *tokenizer;
    int32_t forced_bos; /* -1 = none */
    enum lng_compare_class class;
    const char *devices[LNG_COMPARE_SIDES]; /* names, borrowed */
    enum lng_dtype dtypes[LNG_COMPARE_SIDES];
    struct lng_model *models[LNG_COMPARE_SIDES]; /* borrowed */
    /* what is compared; blank lines are left out */
    struct lng_compare_texts source, targets[LNG_COMPARE_SIDES];
    uint64_t *numbers; /* [source.count] line numbers, from 1 */
    size_t number_capacity;
    uint64_t lines, blank, cut, repaired;
    /* what was found */
    struct lng_compare_cases cases;
    struct lng_compare_difference *differences;
    size_t difference_count, difference_capacity;
    struct lng_compare_gradient *gradients; /* empty without training */
    size_t gradient_count;
    double seconds;
};

/* Zeroed but for what is borrowed and given. models are set before each of the functions below. */
void lng_compare_init(struct lng_compare *compare, const struct lng_options *options,
                      const struct lng_tokenizer *tokenizer, int32_t forced_bos);
void lng_compare_release(struct lng_compare *compare);

/* Reads --limit-lines of the input. Lines of more than 256 tokens are cut there, and counted.
 * LNG_ERR_FORMAT when there is no line but blank ones. */
LNG_MUST_CHECK enum lng_status lng_compare_read(struct lng_compare *compare,
                                                struct lng_lines *input);

/* Translates everything on both sides; adds the case of the translations. Fills targets and
 * differences. Both need models for inference, and so do the next two. */
LNG_MUST_CHECK enum lng_status lng_compare_translate(struct lng_compare *compare);
/* Log-probabilities of targets[LNG_COMPARE_REFERENCE]. */
LNG_MUST_CHECK enum lng_status lng_compare_score(struct lng_compare *compare);
/* Every operation of one forward pass, or with training models of one training step. Each is run on the
 * reference's inputs: after each, the tested device goes on with the reference's results, so that an
 * error is that operation's own. Changes the weights of training models. */
LNG_MUST_CHECK enum lng_status lng_compare_operations(struct lng_compare *compare, bool training);
/* --train-steps steps, dropout and all. Each step starts from the reference's weights on both sides, so
 * that it tests one step: where a gradient is nearly zero, Adam's first steps turn a difference in its
 * last bits into a whole step of the weight, and from there on the two would be different models. */
LNG_MUST_CHECK enum lng_status lng_compare_train(struct lng_compare *compare);

/* ---- shared by the functions above -------------------------------------------------------------- */

/* Pairs packed for the model. All zero is empty. */
struct lng_compare_batch {
    struct lng_ids ids[2]; /* source, target */
    int32_t *offsets[2];
    size_t offset_capacity[2];
    struct lng_sequences source, target; /* views of the above */
};
void lng_compare_batch_release(struct lng_compare_batch *batch);
/* Pairs order[*next], order[*next + 1], ... until one side would have more than `tokens`, at least one;
 * *next moves on. clip: a pair that is longer alone is cut to fit. */
LNG_MUST_CHECK enum lng_status lng_compare_batch_fill(struct lng_compare_batch *batch,
                                                      const struct lng_compare_texts *source,
                                                      const struct lng_compare_texts *target,
                                                      const size_t *order, size_t count,
                                                      size_t *next, int64_t tokens, bool clip);
/* 0, 1, 2, ...; lng_free it. */
LNG_MUST_CHECK enum lng_status lng_compare_order(size_t count, size_t **order);

/* Teacher-forced: logprobs [target->ids.count] of the targets of the pairs in `order`. */
LNG_MUST_CHECK enum lng_status lng_compare_force(struct lng_model *model,
                                                 const struct lng_compare_texts *source,
                                                 const struct lng_compare_texts *target,
                                                 const size_t *order, size_t count, int64_t tokens,
                                                 float *logprobs);

/* Tokens of each side for batches that are looked into closely: both devices work through the logits in
 * one piece, and what is kept of each operation fits in memory. */
int64_t lng_compare_close_tokens(const struct lng_compare *compare, bool training);
/* A workspace for such a batch. */
LNG_MUST_CHECK enum lng_status lng_compare_workspace(const struct lng_model *model, int64_t tokens,
                                                     bool training,
                                                     struct lng_workspace **workspace);
/* Forward and backward, added to the gradients; `step` from 1 chooses the dropout masks. */
LNG_MUST_CHECK enum lng_status lng_compare_train_batch(const struct lng_compare *compare,
                                                       struct lng_model *model,
                                                       struct lng_workspace *workspace,
                                                       const struct lng_compare_batch *batch,
                                                       int step, struct lng_loss_sums *sums);
/* The optimiser on both sides, with gradients that are equal already: adds the cases of its operations. */
LNG_MUST_CHECK enum lng_status lng_compare_optimizer(struct lng_compare *compare);

#endif
