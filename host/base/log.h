/* What the program says beside its results: on standard error, and in a file as well when asked.
 * Thread-safe; a line is one write(2), so that lines of several processes do not mix. */
#ifndef LNG_HOST_BASE_LOG_H
#define LNG_HOST_BASE_LOG_H

#include <stdbool.h>

#include "host/base/status.h"

enum lng_log_level {
    LNG_LOG_ERROR,
    LNG_LOG_WARNING,
    LNG_LOG_INFO, /* shown unless told otherwise */
    LNG_LOG_DEBUG,
};

/* Lines above `level` are not shown; quiet is LNG_LOG_WARNING, verbose LNG_LOG_DEBUG. */
void lng_log_set_level(enum lng_log_level level);
enum lng_log_level lng_log_get_level(void);

/* "2024-05-01 12:00:00 warning: ..." in local time, the word only above info. Control characters
 * become '?', a newline at the end may be left out, long lines are cut at 4 kB. */
void lng_log(enum lng_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define lng_info(...) lng_log(LNG_LOG_INFO, __VA_ARGS__)
#define lng_warn(...) lng_log(LNG_LOG_WARNING, __VA_ARGS__)
#define lng_debug(...) lng_log(LNG_LOG_DEBUG, __VA_ARGS__)

/* Every line that is shown also goes to the end of this file, until the next call; NULL ends it.
 * LNG_ERR_IO with path and reason. */
LNG_MUST_CHECK enum lng_status lng_log_open_file(const char *path);

/* Whether standard error is a terminal on which a line can be redrawn. */
bool lng_log_on_terminal(void);

/* The line that stays below all others on a terminal (progress); "" removes it. Does nothing elsewhere. */
void lng_log_set_status_line(const char *text);

#endif
