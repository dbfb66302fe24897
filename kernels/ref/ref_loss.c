/* Label-smoothed cross-entropy with its gradient, of rows and of pairs that are to agree, and the best continuations of each sentence. */
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

/* The loss of a row is -sum of w[j] lp[j] with w = at_target for j = t and elsewhere for the rest. */
struct wanted {
    double at_target, elsewhere, total;
};
static struct wanted wanted_of(double smoothing, enum lng_smoothing kind, double count)
{
    struct wanted w;
    w.elsewhere = kind == LNG_SMOOTHING_UNIFORM ? smoothing / count
                  : count > 1                   ? smoothing / (count - 1)
                                                : 0;
    w.at_target = 1 - smoothing + (kind == LNG_SMOOTHING_UNIFORM ? w.elsewhere : 0);
    w.total = w.at_target + (count - 1) * w.elsewhere;
    return w;
}

static double row_loss(const struct lng_view *logits, int64_t n, int64_t target, double lse,
                       const struct wanted *w)
{
    double loss = -w->at_target * (ref_load(logits, n, target) - lse);
    for (int64_t j = 0; w->elsewhere > 0 && j < logits->cols; j++)
        if (j != target)
            loss -= w->elsewhere * (ref_load(logits, n, j) - lse);
    return loss;
}

enum lng_status REF(loss)(struct lng_device *device, const struct lng_loss_args *args)
{
    (void)device;
    const struct lng_view *logits = &args->logits;
    struct wanted w = wanted_of(args->smoothing, args->kind, (double)logits->cols);
    double sums[3] = {0};
    LNG_TRY(REF(check_range)("loss: targets", args->targets, logits->rows, 0, logits->cols));
    for (int64_t n = 0; n < logits->rows; n++) {
        int64_t best, target = args->targets[n];
        double lse = row_log_sum(logits, n, &best);
        double logprob = ref_load(logits, n, target) - lse;
        sums[0] += row_loss(logits, n, target, lse, &w);
        sums[1] -= logprob;
        sums[2] += best == target;
        if (args->token_logprob != NULL)
            args->token_logprob[n] = (float)logprob;
        for (int64_t j = 0; args->d_logits && j < logits->cols; j++) {
            double p = exp(ref_load(logits, n, j) - lse);
            double wanted = j == target ? w.at_target : w.elsewhere;
            ref_store(logits, n, j, args->gradient_scale * (w.total * p - wanted));
        }
    }
    for (int i = 0; args->sums != NULL && i < 3; i++)
        args->sums[i] += sums[i];
    return LNG_OK;
}

/* KL(p1 || p2) of the predictions of two rows. */
static double divergence(const struct lng_view *logits, const int64_t row[2], const double lse[2])
{
    double sum = 0;
    for (int64_t j = 0; j < logits->cols; j++) {
        double lp1 = ref_load(logits, row[0], j) - lse[0];
        sum += exp(lp1) * (lp1 - (ref_load(logits, row[1], j) - lse[1]));
    }
    return sum;
}

/* d KL(p1 || p2) / d z1 = p1 (log p1 - log p2 - KL(p1 || p2)), and d KL(p2 || p1) / d z1 = p1 - p2. */
static void pair_gradient(const struct lng_pair_loss_args *args, const int64_t row[2],
                          const double lse[2], const double kl[2], int64_t target)
{
    const struct lng_view *logits = &args->logits;
    struct wanted w = wanted_of(args->smoothing, args->kind, (double)logits->cols);
    for (int64_t j = 0; j < logits->cols; j++) {
        double lp[2], p[2], wanted = j == target ? w.at_target : w.elsewhere;
        for (int i = 0; i < 2; i++) {
            lp[i] = ref_load(logits, row[i], j) - lse[i];
            p[i] = exp(lp[i]);
        }
        for (int i = 0; i < 2; i++) {
            double apart = p[i] * (lp[i] - lp[1 - i] - kl[i]) + p[i] - p[1 - i];
            ref_store(logits, row[i], j,
                      args->gradient_scale *
                          (w.total * p[i] - wanted + args->divergence / 2 * apart));
        }
    }
}

enum lng_status REF(pair_loss)(struct lng_device *device, const struct lng_pair_loss_args *args)
{
    (void)device;
    const struct lng_view *logits = &args->logits;
    const int64_t pairs = logits->rows / 2;
    struct wanted w = wanted_of(args->smoothing, args->kind, (double)logits->cols);
    double sums[3] = {0};
    LNG_TRY(REF(check_range)("pair_loss: targets", args->targets, pairs, 0, logits->cols));
    for (int64_t n = 0; n < pairs; n++) {
        const int64_t row[2] = {n, pairs + n}, swapped[2] = {pairs + n, n};
        int64_t target = args->targets[n];
        double lse[2];
        for (int i = 0; i < 2; i++) {
            int64_t best;
            lse[i] = row_log_sum(logits, row[i], &best);
            sums[0] += row_loss(logits, row[i], target, lse[i], &w);
            sums[1] -= ref_load(logits, row[i], target) - lse[i];
            sums[2] += best == target;
        }
        double kl[2] = {divergence(logits, row, lse),
                        divergence(logits, swapped, (double[]){lse[1], lse[0]})};
        sums[0] += args->divergence / 2 * (kl[0] + kl[1]);
        pair_gradient(args, row, lse, kl, target);
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

/* The same with logits from x, weight and bias. */
static enum lng_status candidates_of_product(struct lng_device *device,
                                             const struct lng_candidates_args *args)
{
    struct lng_candidates_args stored = *args;
    stored.logits.stride = args->logits.cols;
    stored.logits.data = lng_alloc((size_t)(args->logits.rows * args->logits.cols),
                                   lng_dtype_size(args->logits.dtype));
    if (stored.logits.data == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status =
        REF(linear_fwd)(device, &(struct lng_linear_fwd_args){
                                    .x = args->x,
                                    .weight = args->weight,
                                    .bias = args->bias,
                                    .y = stored.logits,
                                    .refine = args->weight->compute == LNG_DTYPE_I8,
                                });
    if (status == LNG_OK)
        status = REF(candidates)(device, &stored);
    lng_free(stored.logits.data);
    return status;
}

enum lng_status REF(candidates)(struct lng_device *device, const struct lng_candidates_args *args)
{
    const struct lng_view *logits = &args->logits;
    LNG_TRY(REF(check_offsets)("candidates: row_offsets", args->row_offsets, args->sentences,
                               logits->rows));
    if (logits->data == NULL && logits->rows > 0)
        return candidates_of_product(device, args);
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
