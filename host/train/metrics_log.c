#include "host/train/metrics_log.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/base/mem.h"

enum lng_status lng_metrics_log_open(struct lng_metrics_log *log, const char *path)
{
    char *copy = lng_strdup(path);
    if (copy == NULL)
        return LNG_ERR_MEMORY;
    FILE *file = fopen(path, "ae");
    if (file == NULL) {
        lng_free(copy);
        return lng_fail(LNG_ERR_IO, "%s: cannot append: %s", path, strerror(errno));
    }
    *log = (struct lng_metrics_log){file, copy};
    return LNG_OK;
}

void lng_metrics_log_close(struct lng_metrics_log *log)
{
    if (log->file != NULL)
        fclose(log->file);
    lng_free(log->path);
    *log = (struct lng_metrics_log){0};
}

static json_t *number(double value)
{
    if (!isfinite(value))
        return json_null();
    if (value == floor(value) && fabs(value) < 1e15)
        return json_integer((json_int_t)value);
    return json_real(value);
}

enum lng_status lng_metrics_log_write(struct lng_metrics_log *log, const char *event,
                                      const struct lng_metric *metrics, size_t count)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    json_t *line = json_object();
    int failed = json_object_set_new(line, "event", json_string(event));
    double seconds = round(1e3 * ((double)now.tv_sec + 1e-9 * (double)now.tv_nsec)) / 1e3;
    failed |= json_object_set_new(line, "time", json_real(seconds));
    for (size_t i = 0; i < count; i++)
        failed |= json_object_set_new(line, metrics[i].name, number(metrics[i].value));
    char *text = failed ? NULL : json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(line);
    LNG_FAIL_IF(text == NULL, LNG_ERR_MEMORY, "%s: no memory for a line", log->path);
    bool written = fprintf(log->file, "%s\n", text) > 0 && fflush(log->file) == 0;
    lng_free_foreign(text);
    LNG_FAIL_IF(!written, LNG_ERR_IO, "%s: cannot write: %s", log->path, strerror(errno));
    return LNG_OK;
}
