#include "host/train/early_stop.h"

void lng_early_stop_init(struct lng_early_stop *stop, const struct lng_options *options)
{
    *stop = (struct lng_early_stop){.patience = options->early_stopping_patience};
    const struct lng_string_list *words = &options->early_stopping_metrics;
    for (size_t i = 0; i < words->count && stop->count < LNG_VALID_METRICS; i++) {
        int metric = lng_choice_value(LNG_CHOICES_valid_metric, words->items[i]);
        if (metric >= 0)
            stop->best[stop->count++] =
                (struct lng_best){.metric = (enum lng_opt_valid_metric)metric, .update = -1};
    }
}

bool lng_metric_rises(enum lng_opt_valid_metric metric)
{
    switch (metric) {
    case LNG_OPT_VALID_METRIC_LOSS:
    case LNG_OPT_VALID_METRIC_PERPLEXITY:
    case LNG_OPT_VALID_METRIC_WER:
    case LNG_OPT_VALID_METRIC_CER:
        return false;
    case LNG_OPT_VALID_METRIC_ACCURACY:
    case LNG_OPT_VALID_METRIC_BLEU:
    case LNG_OPT_VALID_METRIC_CHRF:
    case LNG_OPT_VALID_METRIC_SENTENCE_ACCURACY:
        break;
    }
    return true;
}

/* false for NaN on either side but the very first finite value. */
static bool better(const struct lng_best *best, double value)
{
    if (value != value)
        return false;
    if (best->update < 0)
        return true;
    return lng_metric_rises(best->metric) ? value > best->value : value < best->value;
}

enum lng_status lng_early_stop_update(struct lng_early_stop *stop,
                                      const struct lng_validation *validation, int64_t update,
                                      bool *improved)
{
    for (size_t i = 0; i < stop->count; i++)
        LNG_FAIL_IF(!validation->known[stop->best[i].metric], LNG_ERR_INTERNAL,
                    "validation did not measure %s",
                    lng_choice_word(LNG_CHOICES_valid_metric, (int)stop->best[i].metric));
    for (size_t i = 0; i < stop->count; i++) {
        struct lng_best *best = &stop->best[i];
        double value = validation->value[best->metric];
        improved[i] = better(best, value);
        if (improved[i])
            *best = (struct lng_best){best->metric, value, update, 0};
        else
            best->stalled++;
    }
    return LNG_OK;
}

bool lng_early_stop_reached(const struct lng_early_stop *stop)
{
    if (stop->patience == 0 || stop->count == 0)
        return false;
    for (size_t i = 0; i < stop->count; i++)
        if (stop->best[i].stalled < stop->patience)
            return false;
    return true;
}
