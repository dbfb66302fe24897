/* What a run tells: a line in the log now and then, a JSON line for everything, progress on a terminal. */
#ifndef LNG_HOST_TRAIN_REPORT_H
#define LNG_HOST_TRAIN_REPORT_H

#include "host/base/progress.h"
#include "host/train/metrics_log.h"
#include "host/train/optimizer.h"
#include "host/train/run_state.h"

struct lng_report {
    const struct lng_options *options; /* borrowed */
    struct lng_metrics_log metrics;
    struct lng_progress progress;
    struct lng_loss_sums sums; /* since the last line */
    double norm_sum;           /* gradient norms since then */
    int64_t updates, clipped;  /* since then */
    int64_t targets_before;    /* state at the last line */
    double seconds_before;
    double lr;
};

LNG_MUST_CHECK enum lng_status lng_report_open(struct lng_report *report,
                                               const struct lng_options *options,
                                               const char *run_dir,
                                               const struct lng_run_state *state, bool resumed);
void lng_report_close(struct lng_report *report);

/* Takes a finished update in. */
void lng_report_update(struct lng_report *report, const struct lng_run_state *state,
                       const struct lng_loss_sums *sums, const struct lng_step_result *step,
                       double lr);
/* Writes what happened since the last time; event "train". */
LNG_MUST_CHECK enum lng_status lng_report_write(struct lng_report *report,
                                                const struct lng_run_state *state);
/* Event "valid". */
LNG_MUST_CHECK enum lng_status lng_report_validation(struct lng_report *report,
                                                     const struct lng_run_state *state,
                                                     const struct lng_validation *validation,
                                                     double seconds);
/* Event "save". */
LNG_MUST_CHECK enum lng_status lng_report_save(struct lng_report *report,
                                               const struct lng_run_state *state);
/* Event "end" or "interrupted". */
LNG_MUST_CHECK enum lng_status lng_report_end(struct lng_report *report,
                                              const struct lng_run_state *state, bool interrupted);

#endif
