#include "host/train/schedule.h"

#include <math.h>

double lng_progress_in(const struct lng_run_progress *progress, enum lng_unit unit)
{
    switch (unit) {
    case LNG_UNIT_UPDATES:
        return (double)progress->updates;
    case LNG_UNIT_EPOCHS:
        return progress->epochs;
    case LNG_UNIT_TARGETS:
        break;
    }
    return (double)progress->targets;
}

/* Where linear and cosine end, in the unit of decay-until, or in that of the run's own limit. */
static struct lng_quantity decay_end(const struct lng_options *options)
{
    if (options->decay_until.value > 0)
        return options->decay_until;
    if (options->max_updates > 0)
        return (struct lng_quantity){options->max_updates, LNG_UNIT_UPDATES};
    return (struct lng_quantity){options->max_epochs, LNG_UNIT_EPOCHS};
}

/* From 0 at the end of the warm-up to 1 at the end of the decay. */
static double decay_fraction(const struct lng_options *options,
                             const struct lng_run_progress *progress)
{
    struct lng_quantity end = decay_end(options);
    double start = options->warmup.unit == end.unit ? (double)options->warmup.value : 0;
    double span = (double)end.value - start;
    double fraction = span > 0 ? (lng_progress_in(progress, end.unit) - start) / span : 1;
    return fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
}

double lng_schedule_lr(const struct lng_options *options, const struct lng_run_progress *progress)
{
    double warmup = (double)options->warmup.value;
    /* The update being made counts: the first one already has a step of the warm-up behind it. */
    double t = lng_progress_in(progress, options->warmup.unit) +
               (options->warmup.unit == LNG_UNIT_UPDATES ? 1 : 0);
    if (t < warmup)
        return options->warmup_start_lr + (options->lr - options->warmup_start_lr) * t / warmup;
    double rate = options->lr, fraction = decay_fraction(options, progress);
    const double pi = 3.14159265358979323846;
    switch (options->schedule) {
    case LNG_OPT_SCHEDULE_INVERSE_SQRT:
        rate = warmup > 0 ? options->lr * sqrt(warmup / t) : options->lr;
        break;
    case LNG_OPT_SCHEDULE_LINEAR:
        rate = options->lr + (options->min_lr - options->lr) * fraction;
        break;
    case LNG_OPT_SCHEDULE_COSINE:
        rate = options->min_lr + (options->lr - options->min_lr) * 0.5 * (1 + cos(pi * fraction));
        break;
    case LNG_OPT_SCHEDULE_CONSTANT:
        break;
    }
    return rate < options->min_lr ? options->min_lr : rate;
}
