/* Learning-rate schedules and the progress of a run they are a function of. */
#ifndef LNG_HOST_TRAIN_SCHEDULE_H
#define LNG_HOST_TRAIN_SCHEDULE_H

#include "host/config/options.h"

/* How far a run is. */
struct lng_run_progress {
    int64_t updates; /* finished optimiser steps */
    double epochs;   /* passes over the corpus, with fraction */
    int64_t targets; /* target tokens seen, EOS included */
};

/* The progress in the unit of a quantity. */
double lng_progress_in(const struct lng_run_progress *progress, enum lng_unit unit);

/* Learning rate of the update that `progress` is about to make (so updates counts from 0):
 *   warm-up       linear from warmup-start-lr to lr while t < warmup, t = progress + one update
 *   inverse-sqrt  lr * sqrt(warmup / t)      (Vaswani et al. 2017, eq. 3, with its peak as lr)
 *   linear        from lr down to min-lr at decay-until
 *   cosine        the same along half a cosine (Loshchilov & Hutter 2017)
 *   constant      lr
 * never under min-lr after the warm-up. */
double lng_schedule_lr(const struct lng_options *options, const struct lng_run_progress *progress);

#endif
