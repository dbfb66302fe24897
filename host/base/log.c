#include "host/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/base/text.h"

enum { LINE_CAPACITY = 4096, STATUS_CAPACITY = 256 };

/* To the start of the line, and nothing on it. */
#define CLEAR_LINE "\r\033[K"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int shown_level = LNG_LOG_INFO;
static int file = -1;
static char status_line[STATUS_CAPACITY];

void lng_log_set_level(enum lng_log_level level)
{
    atomic_store(&shown_level, (int)level);
}

enum lng_log_level lng_log_get_level(void)
{
    return (enum lng_log_level)atomic_load(&shown_level);
}

bool lng_log_on_terminal(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

/* There is nobody to tell when a log line cannot be written. */
static void write_line(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t done = write(fd, text, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        text += done;
        length -= (size_t)done;
    }
}

/* Text from files may hold escape sequences that do things to a terminal. */
static void make_harmless(char *text)
{
    bool harmless;
    for (size_t left = strlen(text), taken; left > 0; text += taken, left -= taken) {
        taken = lng_utf8_harmless(text, left, &harmless);
        if (!harmless)
            memset(text, '?', taken);
    }
}

static void write_to_terminal(enum lng_log_level level, const char *line)
{
    const char *colour = "", *plain = "";
    if (level <= LNG_LOG_WARNING && (getenv("NO_COLOR") == NULL || *getenv("NO_COLOR") == '\0')) {
        colour = level == LNG_LOG_ERROR ? "\033[31m" : "\033[33m";
        plain = "\033[0m";
    }
    char text[LINE_CAPACITY + STATUS_CAPACITY + 64];
    snprintf(text, sizeof text, "%s%s%s%s\n%s", status_line[0] ? CLEAR_LINE : "", colour, line,
             plain, status_line);
    write_line(STDERR_FILENO, text, strlen(text));
}

void lng_log(enum lng_log_level level, const char *format, ...)
{
    static const char *const words[] = {"error: ", "warning: ", "", "debug: "};
    if (level > lng_log_get_level())
        return;
    char line[LINE_CAPACITY];
    time_t now = time(NULL);
    struct tm local;
    size_t length = strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S ", localtime_r(&now, &local));
    length += (size_t)snprintf(line + length, sizeof line - length, "%s", words[level]);
    size_t message = length;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + length, sizeof line - length - 1, format, arguments);
    va_end(arguments);
    length = strlen(line);
    if (length > message && line[length - 1] == '\n')
        line[--length] = '\0';
    make_harmless(line + message);

    pthread_mutex_lock(&lock);
    if (lng_log_on_terminal())
        write_to_terminal(level, line);
    line[length] = '\n';
    if (!lng_log_on_terminal())
        write_line(STDERR_FILENO, line, length + 1);
    if (file >= 0)
        write_line(file, line, length + 1);
    pthread_mutex_unlock(&lock);
}

enum lng_status lng_log_open_file(const char *path)
{
    int fd = -1;
    if (path != NULL) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        LNG_FAIL_IF(fd < 0, LNG_ERR_IO, "cannot write the log %s: %s", path, strerror(errno));
    }
    pthread_mutex_lock(&lock);
    if (file >= 0)
        close(file);
    file = fd;
    pthread_mutex_unlock(&lock);
    return LNG_OK;
}

void lng_log_set_status_line(const char *text)
{
    if (!lng_log_on_terminal())
        return;
    pthread_mutex_lock(&lock);
    if (text[0] != '\0' || status_line[0] != '\0') {
        snprintf(status_line, sizeof status_line, "%s", text);
        make_harmless(status_line);
        char drawn[STATUS_CAPACITY + 8];
        snprintf(drawn, sizeof drawn, CLEAR_LINE "%s", status_line);
        write_line(STDERR_FILENO, drawn, strlen(drawn));
    }
    pthread_mutex_unlock(&lock);
}
