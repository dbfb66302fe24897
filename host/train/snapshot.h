/* A run's checkpoints: parameters, optimiser and run state, saved as a whole and restored bit for bit. */
#ifndef LNG_HOST_TRAIN_SNAPSHOT_H
#define LNG_HOST_TRAIN_SNAPSHOT_H

#include "host/train/optimizer.h"
#include "host/train/run_state.h"

/* What a checkpoint is made of. Borrowed. */
struct lng_snapshot {
    struct lng_model *model;
    struct lng_optimizer *optimizer;
    struct lng_run_state *state;
    const char *options_text; /* YAML, may be NULL */
    uint64_t vocabulary_digest;
};

/* Writes RUN_DIR/checkpoints/update-N.ckpt and removes all but the newest `keep`. */
LNG_MUST_CHECK enum lng_status lng_snapshot_save(const struct lng_snapshot *snapshot,
                                                 const char *run_dir, int keep);

/* Writes RUN_DIR/best-METRIC.ckpt: the parameters the model holds now (the moving average, where
 * validation has put it there) and no optimiser. */
LNG_MUST_CHECK enum lng_status lng_snapshot_save_best(const struct lng_snapshot *snapshot,
                                                      const char *run_dir, const char *metric);
/* The path of that file; lng_free it. */
char *lng_best_path(const char *run_dir, const char *metric) __attribute__((warn_unused_result));

/* Restores model, optimiser and state from the newest whole checkpoint of the run; *found = false and
 * nothing changed when it has none. LNG_ERR_MISMATCH when it belongs to another architecture or vocabulary. */
LNG_MUST_CHECK enum lng_status lng_snapshot_restore(const struct lng_snapshot *snapshot,
                                                    const char *run_dir, bool *found);

#endif
