/* Adam / AdamW over the flat buffers of a model, with gradient clipping and a moving average. */
#ifndef LNG_HOST_TRAIN_OPTIMIZER_H
#define LNG_HOST_TRAIN_OPTIMIZER_H

#include "host/config/options.h"
#include "host/model/model.h"

struct lng_optimizer {
    struct lng_model *model; /* borrowed */
    void *m, *v;             /* device, [params.total] real */
    void *ema;               /* device; NULL when no average is kept */
    void *spare;             /* device; used to swap in the average */
    double *stats;           /* device [3]: of lng_gradient_stats, and the scale of the step */
    int64_t steps;           /* finished steps; bias correction depends on it */
    bool averaged;           /* the model holds the average at the moment */
};

struct lng_step_result {
    double gradient_norm; /* of the mean gradient, before clipping; NaN-free */
    int64_t nonfinite;    /* entries that were not finite: the step was not made */
    bool clipped;
};

LNG_MUST_CHECK enum lng_status lng_optimizer_init(struct lng_optimizer *optimizer,
                                                  struct lng_model *model, bool moving_average);
void lng_optimizer_release(struct lng_optimizer *optimizer);

/* Asks for one step with the gradients in the model, divided by `tokens`, and does not wait: the device decides whether
 * and how far to clip, and that a gradient with non-finite entries changes nothing. Repacks the model's weights. Copies
 * what lng_optimizer_end needs, LNG_STEP_LANDING bytes, to `at` in the landing. */
enum { LNG_STEP_LANDING = 2 * sizeof(double) };
LNG_MUST_CHECK enum lng_status lng_optimizer_begin(struct lng_optimizer *optimizer,
                                                   const struct lng_options *options, double lr,
                                                   double tokens, struct lng_landing *landing,
                                                   size_t at);
/* What became of the step: before the next begins. landed: what came to `at`. */
void lng_optimizer_end(struct lng_optimizer *optimizer, const struct lng_options *options,
                       double tokens, const void *landed, struct lng_step_result *result);

/* Both at once, waiting. One step with the gradients in the model, divided by `tokens`. A gradient with non-finite entries
 * changes nothing. Repacks the model's weights. */
LNG_MUST_CHECK enum lng_status lng_optimizer_step(struct lng_optimizer *optimizer,
                                                  const struct lng_options *options, double lr,
                                                  double tokens, struct lng_step_result *result);

/* Puts the moving average in the model's place (average = true) or the weights back; no-op without one.
 * Validation and export use the average. */
LNG_MUST_CHECK enum lng_status lng_optimizer_use_average(struct lng_optimizer *optimizer,
                                                         bool average);

#endif
