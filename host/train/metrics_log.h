/* RUN_DIR/metrics.jsonl: one JSON object a line for everything a run reports, for plots and dashboards. */
#ifndef LNG_HOST_TRAIN_METRICS_LOG_H
#define LNG_HOST_TRAIN_METRICS_LOG_H

#include <stdio.h>

#include "host/base/status.h"

struct lng_metrics_log {
    FILE *file;
    char *path;
};

/* Appends to the file at `path`. */
LNG_MUST_CHECK enum lng_status lng_metrics_log_open(struct lng_metrics_log *log, const char *path);
void lng_metrics_log_close(struct lng_metrics_log *log);

struct lng_metric {
    const char *name;
    double value; /* NaN and infinities become null; whole numbers are written without a point */
};
/* {"event": event, "time": seconds since 1970, name: value, ...}, one line, flushed. */
LNG_MUST_CHECK enum lng_status lng_metrics_log_write(struct lng_metrics_log *log, const char *event,
                                                     const struct lng_metric *metrics,
                                                     size_t count);

#endif
