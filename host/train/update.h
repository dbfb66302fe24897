/* One update, asked for without waiting: gradients of its batches and a step of the optimiser. What came of it is read
 * later, when the device has something else to go on with. */
#ifndef LNG_HOST_TRAIN_UPDATE_H
#define LNG_HOST_TRAIN_UPDATE_H

#include "host/train/optimizer.h"

struct lng_update {
    struct lng_optimizer *optimizer; /* borrowed, as the workspace */
    struct lng_workspace *workspace;
    struct lng_landing *landing;   /* sums of the batches, then what the step needs to end */
    struct lng_loss_later *losses; /* [most] */
    int most, batches;
    double tokens; /* target tokens of the batches so far */
};

/* For up to `most` batches an update. */
LNG_MUST_CHECK enum lng_status lng_update_open(struct lng_update *update,
                                               struct lng_optimizer *optimizer,
                                               struct lng_workspace *workspace, int most);
void lng_update_close(struct lng_update *update);

/* In this order, none of them waiting: begin (gradients are zero), batch by batch, step. */
LNG_MUST_CHECK enum lng_status lng_update_begin(struct lng_update *update);
LNG_MUST_CHECK enum lng_status lng_update_batch(struct lng_update *update,
                                                const struct lng_sequences *source,
                                                const struct lng_sequences *target,
                                                const struct lng_regularization *regularization);
LNG_MUST_CHECK enum lng_status lng_update_step(struct lng_update *update,
                                               const struct lng_options *options, double lr);
/* Waits for the step, but for nothing that was asked for after it. Of all batches the sums, added in their order. Before
 * the step of another update. */
LNG_MUST_CHECK enum lng_status lng_update_end(struct lng_update *update,
                                              const struct lng_options *options,
                                              struct lng_loss_sums *sums,
                                              struct lng_step_result *result);

#endif
