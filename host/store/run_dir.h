/* The folder of a training run:
 *
 *   RUN_DIR/.lock                              held while a trainer works in it
 *   RUN_DIR/checkpoints/update-0000012000.ckpt the newest ones
 *   RUN_DIR/model/                             the exported model (hf.h) */
#ifndef LNG_HOST_STORE_RUN_DIR_H
#define LNG_HOST_STORE_RUN_DIR_H

#include "host/store/checkpoint.h"

/* Makes RUN_DIR and its checkpoints folder where needed and takes the lock, which ends with the process
 * at the latest. LNG_ERR_IO naming the process when another trainer has it. */
LNG_MUST_CHECK enum lng_status lng_run_lock(const char *run_dir, int *lock);
/* -1 is fine. */
void lng_run_unlock(int lock);

/* Paths inside a run; lng_free them, NULL as lng_alloc. */
char *lng_run_model_path(const char *run_dir) __attribute__((warn_unused_result));
char *lng_checkpoint_path(const char *run_dir, uint64_t update) __attribute__((warn_unused_result));

/* Update numbers of the checkpoints in a run, rising; *updates is the caller's (lng_free). A run without
 * any has count 0. They may still be damaged. */
LNG_MUST_CHECK enum lng_status lng_checkpoint_list(const char *run_dir, uint64_t **updates,
                                                   size_t *count);
/* Opens the newest that is whole. What was passed over is told in `warnings`, a line each (may be NULL).
 * *found = false when the run has no checkpoint at all; when it has some and none is whole, or the
 * newest is of a newer program, that is an error. update may be NULL. */
LNG_MUST_CHECK enum lng_status lng_checkpoint_open_latest(const char *run_dir,
                                                          struct lng_checkpoint *checkpoint,
                                                          uint64_t *update, bool *found,
                                                          struct lng_buffer *warnings);
/* Removes all but the newest `keep` (at least 1). */
LNG_MUST_CHECK enum lng_status lng_checkpoint_prune(const char *run_dir, size_t keep);

#endif
