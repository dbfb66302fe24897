/* How far long work has come: a redrawn line on a terminal, a plain log line now and then elsewhere. */
#ifndef LNG_HOST_BASE_PROGRESS_H
#define LNG_HOST_BASE_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* Belongs to one thread. Times are lng_clock() seconds. */
struct lng_progress {
    const char *what, *unit; /* "translate", "lines"; borrowed */
    uint64_t done, total;    /* total 0 = not known */
    uint64_t done_before;    /* what lay behind already at the start */
    double started, shown;
    double mark_time; /* the rate is that since the mark, smoothed */
    uint64_t mark_done;
    double rate;     /* units a second; 0 = not known yet */
    double interval; /* seconds between plain lines; 30 unless changed after the start */
    int terminal;
};

/* At the start of the work, or where it resumes: `done` of it lies behind already. */
void lng_progress_start(struct lng_progress *progress, const char *what, const char *unit,
                        uint64_t done, uint64_t total);
/* Cheap enough for every batch: shows something a few times a second at most. `detail` (may be NULL) is
 * put at the end: "loss 3.21". */
void lng_progress_update(struct lng_progress *progress, uint64_t done, const char *detail);
/* Removes the redrawn line and logs one with the total and the mean rate. */
void lng_progress_finish(struct lng_progress *progress);

/* The line at time `now`, without newline, cut to `capacity`: "translate 1200/6000 lines 20.0%, 400/s,
 * 12s left, loss 3.21". Updates the rate. */
void lng_progress_format(struct lng_progress *progress, double now, const char *detail, char *text,
                         size_t capacity);
/* "42s", "3m05s", "2h07m", "3d04h"; "?" for what is not a time. */
void lng_progress_format_seconds(double seconds, char *text, size_t capacity);

#endif
