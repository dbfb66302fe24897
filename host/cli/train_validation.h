/* Validation of `lingster train`: loss on the whole set, and translations of it judged by the metrics that
 * early stopping watches. */
#ifndef LNG_HOST_CLI_TRAIN_VALIDATION_H
#define LNG_HOST_CLI_TRAIN_VALIDATION_H

#include "host/cli/train_setup.h"
#include "host/data/evaluation_set.h"
#include "host/infer/decode.h"
#include "host/train/trainer.h"
#include "host/train/validate.h"

struct lng_train_validation {
    const struct lng_options *options;
    const struct lng_tokenizer *tokenizer;
    struct lng_encoder_context encoder_context;
    struct lng_evaluation_set set;
    struct lng_batch_window window;
    struct lng_loss_validator loss;
    struct lng_search *search;       /* NULL when only loss metrics are watched */
    struct lng_search_input *inputs; /* [input_count] */
    struct lng_buffer *translations; /* [input_count] */
    size_t input_count;
};

/* Reads --valid-source and --valid-target. model: the one that will be validated. */
LNG_MUST_CHECK enum lng_status lng_train_validation_open(struct lng_train_validation *validation,
                                                         const struct lng_options *options,
                                                         const struct lng_tokenizer *tokenizer,
                                                         struct lng_model *model);
/* Fine on a zeroed struct. */
void lng_train_validation_close(struct lng_train_validation *validation);

/* For struct lng_validator; context is the struct. */
enum lng_status lng_train_validate(void *context, struct lng_model *model,
                                   struct lng_validation *result);

#endif
