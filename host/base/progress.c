#include "host/base/progress.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/base/clock.h"
#include "host/base/log.h"

enum { LINE_CAPACITY = 250 };

static const double redraw_seconds = 0.2;
/* A rate is news after this long, and an old one counts for half. */
static const double rate_seconds = 2.0;

void lng_progress_start(struct lng_progress *progress, const char *what, const char *unit,
                        uint64_t done, uint64_t total)
{
    double now = lng_clock();
    *progress = (struct lng_progress){
        .what = what,
        .unit = unit,
        .done = done,
        .total = total,
        .done_before = done,
        .started = now,
        .shown = now,
        .mark_time = now,
        .mark_done = done,
        .interval = 30,
        .terminal = lng_log_on_terminal(),
    };
}

void lng_progress_format_seconds(double seconds, char *text, size_t capacity)
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(text, capacity, "?");
        return;
    }
    long long whole = (long long)(seconds + 0.5);
    if (whole < 60)
        snprintf(text, capacity, "%llds", whole);
    else if (whole < 3600)
        snprintf(text, capacity, "%lldm%02llds", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf(text, capacity, "%lldh%02lldm", whole / 3600, whole / 60 % 60);
    else
        snprintf(text, capacity, "%lldd%02lldh", whole / 86400, whole / 3600 % 24);
}

static void format_rate(double rate, char *text, size_t capacity)
{
    if (rate >= 1e6)
        snprintf(text, capacity, "%.2fM/s", rate / 1e6);
    else if (rate >= 1e4)
        snprintf(text, capacity, "%.1fk/s", rate / 1e3);
    else
        snprintf(text, capacity, rate >= 100 ? "%.0f/s" : rate >= 10 ? "%.1f/s" : "%.2f/s", rate);
}

static void update_rate(struct lng_progress *progress, double now)
{
    double elapsed = now - progress->mark_time;
    if (!(elapsed > 0) || progress->done < progress->mark_done)
        return;
    double latest = (double)(progress->done - progress->mark_done) / elapsed;
    /* The first figure may come of a single step: it is made better until it is news. */
    bool first = progress->mark_time <= progress->started;
    if (first)
        progress->rate = latest;
    if (elapsed >= rate_seconds) {
        progress->rate = first ? latest : (progress->rate + latest) / 2;
        progress->mark_time = now;
        progress->mark_done = progress->done;
    }
}

void lng_progress_format(struct lng_progress *progress, double now, const char *detail, char *text,
                         size_t capacity)
{
    update_rate(progress, now);
    char amount[64], speed[32] = "", left[64] = "", time_left[32];
    if (progress->total > 0)
        snprintf(amount, sizeof amount, "%llu/%llu", (unsigned long long)progress->done,
                 (unsigned long long)progress->total);
    else
        snprintf(amount, sizeof amount, "%llu", (unsigned long long)progress->done);
    if (progress->rate > 0)
        format_rate(progress->rate, speed, sizeof speed);
    if (progress->total > progress->done && progress->rate > 0) {
        double remaining = (double)(progress->total - progress->done) / progress->rate;
        lng_progress_format_seconds(remaining, time_left, sizeof time_left);
        snprintf(left, sizeof left, ", %s left", time_left);
    }
    char share[16] = "";
    if (progress->total > 0)
        snprintf(share, sizeof share, " %.1f%%",
                 floor(1000.0 * (double)progress->done / (double)progress->total) / 10);
    snprintf(text, capacity, "%s %s %s%s%s%s%s%s%s", progress->what, amount, progress->unit, share,
             speed[0] ? ", " : "", speed, left, detail && detail[0] ? ", " : "",
             detail ? detail : "");
}

/* A line wider than the terminal would wrap, and then could not be redrawn. */
static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

void lng_progress_update(struct lng_progress *progress, uint64_t done, const char *detail)
{
    progress->done = done;
    double now = lng_clock();
    if (now - progress->shown < (progress->terminal ? redraw_seconds : progress->interval))
        return;
    progress->shown = now;
    if (lng_log_get_level() < LNG_LOG_INFO)
        return;
    char text[LINE_CAPACITY];
    size_t width = progress->terminal ? terminal_width() : sizeof text;
    lng_progress_format(progress, now, detail, text, width < sizeof text ? width : sizeof text);
    if (progress->terminal)
        lng_log_set_status_line(text);
    else
        lng_info("%s", text);
}

void lng_progress_finish(struct lng_progress *progress)
{
    if (progress->terminal)
        lng_log_set_status_line("");
    double elapsed = lng_clock() - progress->started;
    char took[32], speed[32];
    lng_progress_format_seconds(elapsed, took, sizeof took);
    uint64_t done = progress->done - progress->done_before;
    format_rate((double)done / (elapsed > 1e-9 ? elapsed : 1e-9), speed, sizeof speed);
    lng_info("%s %llu %s in %s, %s", progress->what, (unsigned long long)done, progress->unit, took,
             speed);
}
