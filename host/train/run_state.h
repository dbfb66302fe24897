/* What a training run must remember beside its parameters to go on exactly where it stopped. */
#ifndef LNG_HOST_TRAIN_RUN_STATE_H
#define LNG_HOST_TRAIN_RUN_STATE_H

#include "host/data/position.h"
#include "host/train/early_stop.h"
#include "host/train/schedule.h"

enum { LNG_RUN_STATE_BYTES = 1024 }; /* room for the written form */

struct lng_run_state {
    struct lng_run_progress progress; /* finished updates, epochs, target tokens */
    int64_t sources;                  /* source tokens */
    int64_t sentences;
    int64_t optimizer_steps;
    int64_t skipped; /* updates not made for non-finite gradients */
    int64_t rollbacks;
    double seconds; /* of training, validation and saving left out */
    uint64_t seed;
    struct lng_data_position position; /* of the next batch */
    struct lng_early_stop stop;
};

/* One write, one read; versioned. LNG_ERR_FORMAT for anything else than what was written. */
LNG_MUST_CHECK enum lng_status lng_run_state_write(const struct lng_run_state *state,
                                                   struct lng_writer *writer);
LNG_MUST_CHECK enum lng_status lng_run_state_read(struct lng_run_state *state,
                                                  struct lng_reader *reader);

#endif
