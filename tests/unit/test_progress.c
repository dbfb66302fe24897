#include "host/base/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
    unsetenv("NO_COLOR");
}

TestSuite(progress, .init = setup, .fini = scratch_remove);
TestSuite(log, .init = setup, .fini = scratch_remove);

static void expect_seconds(double seconds, const char *want)
{
    char text[32];
    lng_progress_format_seconds(seconds, text, sizeof text);
    cr_assert_str_eq(text, want);
}

Test(progress, times)
{
    expect_seconds(0, "0s");
    expect_seconds(59.4, "59s");
    expect_seconds(59.6, "1m00s");
    expect_seconds(185, "3m05s");
    expect_seconds(2 * 3600 + 7 * 60 + 59, "2h07m");
    expect_seconds(3 * 86400 + 4 * 3600, "3d04h");
    expect_seconds(-1, "?");
    expect_seconds(0.0 / 0.0, "?");
    expect_seconds(1e300, "?");
}

Test(progress, line_has_share_rate_and_time_left)
{
    struct lng_progress progress;
    char text[200];
    lng_progress_start(&progress, "translate", "lines", 0, 6000);
    double start = progress.mark_time;
    lng_progress_format(&progress, start, NULL, text, sizeof text);
    cr_assert_str_eq(text, "translate 0/6000 lines 0.0%");
    progress.done = 1200;
    lng_progress_format(&progress, start + 3, "loss 3.21", text, sizeof text);
    cr_assert_str_eq(text, "translate 1200/6000 lines 20.0%, 400/s, 12s left, loss 3.21");
    /* Half the old rate and half the new one, 800 a second. */
    progress.done = 1200 + 2400;
    lng_progress_format(&progress, start + 6, NULL, text, sizeof text);
    cr_assert_str_eq(text, "translate 3600/6000 lines 60.0%, 600/s, 4s left");
    progress.done = 5999;
    lng_progress_format(&progress, start + 6.1, NULL, text, sizeof text);
    cr_assert(strstr(text, " 99.9%") != NULL, "%s", text);
    progress.done = 6000;
    lng_progress_format(&progress, start + 6.2, NULL, text, sizeof text);
    cr_assert(strstr(text, "100.0%") != NULL && strstr(text, "left") == NULL, "%s", text);
    lng_progress_format(&progress, start + 6.2, NULL, text, 10);
    cr_assert_str_eq(text, "translate");
}

/* A first step that took long says little: the figure gets better before it is smoothed. */
Test(progress, first_figures)
{
    struct lng_progress progress;
    char text[200];
    lng_progress_start(&progress, "work", "steps", 0, 0);
    double start = progress.mark_time;
    progress.done = 1;
    lng_progress_format(&progress, start + 0.25, NULL, text, sizeof text);
    cr_assert_str_eq(text, "work 1 steps, 4.00/s");
    progress.done = 150;
    lng_progress_format(&progress, start + 0.5, NULL, text, sizeof text);
    cr_assert_str_eq(text, "work 150 steps, 300/s");
}

Test(progress, unknown_total_and_resumed_work)
{
    struct lng_progress progress;
    char text[200];
    lng_progress_start(&progress, "train", "updates", 1000, 0);
    progress.done = 1010;
    lng_progress_format(&progress, progress.mark_time + 4, NULL, text, sizeof text);
    cr_assert_str_eq(text, "train 1010 updates, 2.50/s");
    lng_progress_start(&progress, "train", "updates", 0, 0);
    progress.done = 50000;
    lng_progress_format(&progress, progress.mark_time + 1, NULL, text, sizeof text);
    cr_assert_str_eq(text, "train 50000 updates, 50.0k/s");
}

/* Sends standard error to a file until read_back. */
static void capture(void)
{
    int fd = open(scratch_path("stderr"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    close(fd);
}

static const char *read_back(const char *name)
{
    static struct lng_buffer content;
    check_ok(lng_file_read(scratch_path(name), 1 << 20, &content));
    return content.data;
}

Test(progress, plain_lines_come_now_and_then)
{
    capture();
    struct lng_progress progress;
    lng_progress_start(&progress, "work", "steps", 5, 10);
    cr_assert(!progress.terminal && progress.interval == 30);
    lng_progress_update(&progress, 6, NULL);
    cr_assert_str_eq(read_back("stderr"), "");
    progress.interval = 0;
    lng_progress_update(&progress, 7, "loss 1");
    lng_progress_finish(&progress);
    const char *shown = read_back("stderr");
    cr_assert(strstr(shown, "work 7/10 steps 70.0%") != NULL, "%s", shown);
    cr_assert(strstr(shown, "loss 1\n") != NULL, "%s", shown);
    cr_assert(strstr(shown, "work 2 steps in 0s") != NULL, "%s", shown);
    cr_assert(strchr(shown, '\r') == NULL && strchr(shown, '\033') == NULL);
}

Test(log, lines_levels_and_file)
{
    capture();
    check_ok(lng_log_open_file(scratch_path("log")));
    lng_info("hello %d", 7);
    lng_warn("careful\n");
    lng_debug("not shown");
    lng_log_set_level(LNG_LOG_WARNING);
    lng_info("not shown");
    lng_log_set_level(LNG_LOG_DEBUG);
    lng_debug("now \033[31mshown\nin one line");
    check_ok(lng_log_open_file(NULL));
    lng_info("only on stderr");
    char copy[1000];
    snprintf(copy, sizeof copy, "%s", read_back("log"));
    int year, month, day, hour, minute, second, used = 0;
    cr_assert(sscanf(copy, "%d-%d-%d %d:%d:%d %n", &year, &month, &day, &hour, &minute, &second,
                     &used) == 6 &&
              used == 20);
    cr_assert(strncmp(copy + 20, "hello 7\n", 8) == 0, "%s", copy);
    cr_assert(strstr(copy, " warning: careful\n2") != NULL, "%s", copy);
    cr_assert(strstr(copy, "debug: now ?[31mshown?in one line\n") != NULL, "%s", copy);
    cr_assert(strstr(copy, "not shown") == NULL && strstr(copy, "only") == NULL);
    const char *shown = read_back("stderr");
    cr_assert(strncmp(shown, copy, strlen(copy)) == 0);
    cr_assert(strstr(shown, "only on stderr\n") != NULL);
}

Test(log, long_lines_are_cut)
{
    capture();
    char text[10000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    lng_info("%s", text);
    lng_info("next");
    const char *shown = read_back("stderr");
    const char *newline = strchr(shown, '\n');
    cr_assert(newline != NULL && newline - shown > 4000 && newline - shown < 4100);
    cr_assert(strstr(newline, "next\n") != NULL);
}

Test(log, file_that_cannot_be_opened)
{
    check_fails(lng_log_open_file(scratch_path("no/log")), LNG_ERR_IO, "no/log");
}

/* Standard error becomes a pseudo-terminal; returns its other end. */
static int capture_terminal(void)
{
    int outer = posix_openpt(O_RDWR | O_NOCTTY);
    if (outer < 0 || grantpt(outer) != 0 || unlockpt(outer) != 0)
        cr_skip_test("no pseudo-terminals here");
    int inner = open(ptsname(outer), O_RDWR | O_NOCTTY);
    cr_assert(inner >= 0 && dup2(inner, STDERR_FILENO) == STDERR_FILENO);
    setenv("TERM", "xterm", 1);
    return outer;
}

Test(log, status_line_stays_below_on_a_terminal)
{
    int outer = capture_terminal();
    cr_assert(lng_log_on_terminal());
    lng_log_set_status_line("50%");
    lng_warn("careful");
    lng_log_set_status_line("");
    setenv("NO_COLOR", "1", 1);
    lng_warn("plain");
    char shown[1000] = "";
    size_t length = 0;
    /* A terminal hands out what was written in pieces. */
    struct pollfd wait = {.fd = outer, .events = POLLIN};
    while (strstr(shown, "plain\r\n") == NULL) {
        int ready = poll(&wait, 1, 10000);
        cr_assert(ready != 0, "nothing more after '%s'", shown);
        ssize_t got = ready > 0 ? read(outer, shown + length, sizeof shown - 1 - length) : -1;
        cr_assert(got > 0 || errno == EINTR || errno == EAGAIN, "%s", strerror(errno));
        if (got > 0)
            shown[length += (size_t)got] = '\0';
    }
    cr_assert(strncmp(shown, "\r\033[K50%\r\033[K\033[33m2", 17) == 0, "%s", shown);
    const char *after = strstr(shown, "careful\033[0m\r\n50%\r\033[K2");
    cr_assert(after != NULL, "%s", shown);
    cr_assert(strstr(after, "warning: plain\r\n") != NULL && strstr(after, "\033[33m") == NULL);
    setenv("TERM", "dumb", 1);
    cr_assert(!lng_log_on_terminal());
}
