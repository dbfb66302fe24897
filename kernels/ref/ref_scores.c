/* Scores of tokens: log-probabilities of one model or several, single places changed. */
#include "kernels/ref/ref.h"

static double combine(enum lng_combine how, double old, double value)
{
    if (how == LNG_COMBINE_WRITE)
        return value;
    if (how == LNG_COMBINE_ADD)
        return old + value;
    double high = old > value ? old : value, low = old > value ? value : old;
    return low == -INFINITY ? high : high + log1p(exp(low - high));
}

enum lng_status REF(log_probs)(struct lng_device *device, const struct lng_log_probs_args *args)
{
    (void)device;
    const struct lng_view *x = &args->logits;
    if (args->count != NULL)
        LNG_TRY(REF(check_range)("log_probs: count", args->count, x->rows, 1, x->cols + 1));
    for (int64_t r = 0; r < x->rows; r++) {
        int64_t count = args->count ? args->count[r] : x->cols;
        double highest = -INFINITY, sum = 0;
        for (int64_t j = 0; j < count; j++)
            highest = fmax(highest, ref_load(x, r, j));
        for (int64_t j = 0; j < count; j++)
            sum += exp(ref_load(x, r, j) - highest);
        double lse = highest + log(sum);
        for (int64_t j = 0; j < x->cols; j++) {
            /* rounded as candidates rounds it, so that one model's scores are the same bits */
            double logprob = j < count ? (lng_real)(ref_load(x, r, j) - lse) : -INFINITY;
            double value = args->factor * logprob + args->offset;
            if (j < count)
                value = combine(args->combine, args->combine ? ref_load(&args->y, r, j) : 0, value);
            ref_store(&args->y, r, j, j < count ? value : -INFINITY);
        }
    }
    return LNG_OK;
}

enum lng_status REF(edit_scores)(struct lng_device *device, const struct lng_edit_scores_args *args)
{
    (void)device;
    for (int64_t i = 0; i < args->edit_count; i++) {
        const struct lng_score_edit *e = &args->edits[i];
        LNG_FAIL_IF(e->row < 0 || e->row >= args->y.rows || e->column < 0 ||
                        e->column >= args->y.cols,
                    LNG_ERR_RANGE, "edit_scores: edits: place (%d, %d) of number %lld is outside",
                    e->row, e->column, (long long)i);
        double old = ref_load(&args->y, e->row, e->column);
        ref_store(&args->y, e->row, e->column,
                  e->add == -INFINITY ? -INFINITY : old * (double)e->multiply + (double)e->add);
    }
    return LNG_OK;
}
