/* Which validation was the best, by each metric, and whether it is time to stop. */
#ifndef LNG_HOST_TRAIN_EARLY_STOP_H
#define LNG_HOST_TRAIN_EARLY_STOP_H

#include "host/config/options.h"

enum { LNG_VALID_METRICS = LNG_OPT_VALID_METRIC_SENTENCE_ACCURACY + 1 };

/* One validation, by enum lng_opt_valid_metric; what was not measured is not known. */
struct lng_validation {
    double value[LNG_VALID_METRICS];
    bool known[LNG_VALID_METRICS];
};

struct lng_best {
    enum lng_opt_valid_metric metric;
    double value;
    int64_t update;  /* -1: no validation yet */
    int64_t stalled; /* validations since */
};

struct lng_early_stop {
    struct lng_best best[LNG_VALID_METRICS];
    size_t count;     /* metrics watched, in the order of the option */
    int64_t patience; /* 0 = never stop */
};

/* From early-stopping-metrics and early-stopping-patience. */
void lng_early_stop_init(struct lng_early_stop *stop, const struct lng_options *options);

/* true where a larger value is a better one. */
bool lng_metric_rises(enum lng_opt_valid_metric metric);

/* Takes a validation in. improved [LNG_VALID_METRICS] says, by place in best, which got better (NaN never
 * does). LNG_ERR_INTERNAL when a watched metric was not measured. */
LNG_MUST_CHECK enum lng_status lng_early_stop_update(struct lng_early_stop *stop,
                                                     const struct lng_validation *validation,
                                                     int64_t update, bool *improved);

/* No metric got better for `patience` validations. */
bool lng_early_stop_reached(const struct lng_early_stop *stop);

#endif
