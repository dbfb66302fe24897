/* Validation by loss: teacher-forced, no dropout, no smoothing. */
#ifndef LNG_HOST_TRAIN_VALIDATE_H
#define LNG_HOST_TRAIN_VALIDATE_H

#include "host/data/batch.h"
#include "host/model/model.h"
#include "host/train/early_stop.h"

struct lng_loss_validator {
    struct lng_workspace *workspace;
    struct lng_model *model;
};

/* Memory for batches within these limits. */
LNG_MUST_CHECK enum lng_status lng_loss_validator_open(struct lng_loss_validator *validator,
                                                       struct lng_model *model,
                                                       const struct lng_batch_window *window);
void lng_loss_validator_close(struct lng_loss_validator *validator);

/* Fills in loss (nats a target token), perplexity and accuracy (percent of target tokens). */
LNG_MUST_CHECK enum lng_status lng_loss_validate(struct lng_loss_validator *validator,
                                                 const struct lng_batch_window *window,
                                                 struct lng_validation *validation);

#endif
