/* The training loop: batches in, updates, reports, validation, checkpoints, until it is time to stop. */
#ifndef LNG_HOST_TRAIN_TRAINER_H
#define LNG_HOST_TRAIN_TRAINER_H

#include <signal.h>

#include "host/config/options.h"
#include "host/data/prefetch.h"
#include "host/model/model.h"
#include "host/train/early_stop.h"

/* Measures the model as it is (fills in what it measured). The trainer measures nothing itself, so that it
 * needs neither search nor metrics. */
struct lng_validator {
    enum lng_status (*validate)(void *context, struct lng_model *model,
                                struct lng_validation *validation);
    void *context;
};

struct lng_training {
    const struct lng_options *options;
    struct lng_model *model; /* opened for training; initialised or not, see lng_train */
    const struct lng_corpus *corpus;
    struct lng_encoder encoder;
    int32_t source_unknown, target_unknown; /* counted for the log; -1 = not */
    struct lng_validator validator;         /* validate NULL = no validation */
    const char *run_dir;
    const char *options_text; /* YAML kept in the checkpoints */
    uint64_t vocabulary_digest;
    const volatile sig_atomic_t *interrupted; /* nonzero: save and stop. May be NULL */
};

enum lng_train_end {
    LNG_TRAIN_END_UPDATES,     /* --max-updates */
    LNG_TRAIN_END_EPOCHS,      /* --max-epochs */
    LNG_TRAIN_END_STALLED,     /* early stopping */
    LNG_TRAIN_END_INTERRUPTED, /* can be resumed */
};

struct lng_train_result {
    enum lng_train_end end;
    int64_t updates, targets;
    double seconds;
    struct lng_early_stop best;
};

/* Starts a run in run_dir, or goes on with the one that is there; random parameters come from options->seed.
 * At the end (also when interrupted) there is a checkpoint of the last update. With an EMA the model then
 * holds the average. Progress goes to the log and to run_dir/metrics.jsonl. */
LNG_MUST_CHECK enum lng_status lng_train(const struct lng_training *training,
                                         struct lng_train_result *result);

/* The regularisation that the options ask for. */
struct lng_regularization lng_regularization_of(const struct lng_options *options);

/* How prefetching cuts this run's batches. */
struct lng_batch_options lng_train_batch_options(const struct lng_training *training);

#endif
