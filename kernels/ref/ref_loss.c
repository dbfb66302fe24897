/* Label-smoothed cross-entropy with its gradient, and the best continuations of each sentence. */
#include "kernels/ref/ref.h"

/* log of the sum of exponentials of row n, and its first largest column. */
static double row_log_sum(const struct lng_view *logits, int64_t n, int64_t *best)
{
    double highest = -INFINITY, sum = 0;
    *best = 0;
    for (int64_t j = 0; j < logits->cols; j++) {
        double value = ref_load(logits, n, j);
        if (value > highest) {
            highest = value;
            *best = j;
        }
    }
    for (int64_t j = 0; j < logits->cols; j++)
        sum += exp(ref_load(logits, n, j) - highest);
    return highest + log(sum);
}

enum lng_status REF(loss)(struct lng_device *device, const struct lng_loss_args *args)
{
    (void)device;
    const struct lng_view *logits = &args->logits;
    double count = (double)logits->cols;
    /* The loss is -sum of w[j] lp[j] with w = at_target for j = t and elsewhere for the rest. */
    double elsewhere = args->kind == LNG_SMOOTHING_UNIFORM ? args->smoothing / count
                       : count > 1                         ? args->smoothing / (count - 1)
                                                           : 0;
    double at_target = 1 - args->smoothing + (args->kind == LNG_SMOOTHING_UNIFORM ? elsewhere : 0);
    double total = at_target + (count - 1) * elsewhere, sums[3] = {0};
    LNG_TRY(REF(check_range)("loss: targets", args->targets, logits->rows, 0, logits->cols));
    for (int64_t n = 0; n < logits->rows; n++) {
        int64_t best, target = args->targets[n];
        double lse = row_log_sum(logits, n, &best);
        double logprob = ref_load(logits, n, target) - lse, loss = -at_target * logprob;
        for (int64_t j = 0; elsewhere > 0 && j < logits->cols; j++)
            if (j != target)
                loss -= elsewhere * (ref_load(logits, n, j) - lse);
        sums[0] += loss;
        sums[1] -= logprob;
        sums[2] += best == target;
        if (args->token_logprob != NULL)
            args->token_logprob[n] = (float)logprob;
        for (int64_t j = 0; args->d_logits && j < logits->cols; j++) {
            double p = exp(ref_load(logits, n, j) - lse);
            double wanted = j == target ? at_target : elsewhere;
            ref_store(logits, n, j, args->gradient_scale * (total * p - wanted));
        }
    }
    for (int i = 0; args->sums != NULL && i < 3; i++)
        args->sums[i] += sums[i];
    return LNG_OK;
}

static bool is_better(const struct lng_candidate *a, const struct lng_candidate *b)
{
    if (a->score != b->score)
        return a->score > b->score;
    return a->row != b->row ? a->row < b->row : a->token < b->token;
}

/* Keeps out [k] sorted. An unfilled place has score -inf and row -1: no candidate with a score of -inf
 * or NaN gets before it. */
static void offer(struct lng_candidate *out, int64_t k, struct lng_candidate candidate)
{
    int64_t place = k;
    while (place > 0 && is_better(&candidate, &out[place - 1]))
        place--;
    if (place == k)
        return;
    for (int64_t i = k - 1; i > place; i--)
        out[i] = out[i - 1];
    out[place] = candidate;
}

static bool is_allowed(const struct lng_candidates_args *args, int64_t r, int64_t token)
{
    if (args->forced != NULL && args->forced[r] >= 0)
        return token == args->forced[r];
    if (args->eos_banned != NULL && args->eos_banned[r] != 0 && token == args->eos)
        return false;
    for (int64_t i = 0; i < args->banned_count; i++)
        if (args->banned[i] == token)
            return false;
    return true;
}

enum lng_status REF(candidates)(struct lng_device *device, const struct lng_candidates_args *args)
{
    (void)device;
    const struct lng_view *logits = &args->logits;
    LNG_TRY(REF(check_offsets)("candidates: row_offsets", args->row_offsets, args->sentences,
                               logits->rows));
    for (int64_t b = 0; b < args->sentences; b++) {
        struct lng_candidate *out = args->out + b * args->k;
        for (int64_t i = 0; i < args->k; i++)
            out[i] = (struct lng_candidate){-INFINITY, -INFINITY, -1, -1};
        for (int64_t r = args->row_offsets[b]; r < args->row_offsets[b + 1]; r++) {
            int64_t best;
            double lse = args->normalized ? 0 : row_log_sum(logits, r, &best);
            for (int64_t j = 0; j < logits->cols; j++) {
                float logprob = (float)(ref_load(logits, r, j) - lse);
                float score = args->row_scores[r] + logprob;
                if (is_allowed(args, r, j))
                    offer(out, args->k,
                          (struct lng_candidate){score, logprob, (int32_t)r, (int32_t)j});
            }
        }
    }
    return LNG_OK;
}
