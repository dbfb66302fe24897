#include "host/data/line_scan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/base/mem.h"

enum lng_status lng_line_scan_open(struct lng_line_scan *scan, int fd, const char *path,
                                   size_t capacity)
{
    struct lng_line_scan fresh = {.fd = fd, .path = path, .capacity = capacity};
    LNG_FAIL_IF(lseek(fd, 0, SEEK_SET) != 0, LNG_ERR_IO, "cannot read %s from its start: %s", path,
                strerror(errno));
    LNG_TRY(lng_hash_open(&fresh.hash));
    fresh.buffer = lng_alloc(capacity, 1);
    if (fresh.buffer == NULL) {
        lng_hash_close(fresh.hash);
        return LNG_ERR_MEMORY;
    }
    *scan = fresh;
    return LNG_OK;
}

/* Reads once behind what is there, which it first moves to the front. */
static enum lng_status refill(struct lng_line_scan *scan)
{
    if (scan->start > 0) {
        memmove(scan->buffer, scan->buffer + scan->start, scan->end - scan->start);
        scan->base += scan->start;
        scan->end -= scan->start;
        scan->start = 0;
    }
    ssize_t got;
    do {
        got = read(scan->fd, scan->buffer + scan->end, scan->capacity - scan->end);
    } while (got < 0 && errno == EINTR);
    LNG_FAIL_IF(got < 0, LNG_ERR_IO, "cannot read %s after line %llu: %s", scan->path,
                (unsigned long long)scan->lines, strerror(errno));
    lng_hash_add(scan->hash, scan->buffer + scan->end, (size_t)got);
    scan->end += (size_t)got;
    scan->over = got == 0;
    return LNG_OK;
}

enum lng_status lng_line_scan_next(struct lng_line_scan *scan, struct lng_scanned_line *line,
                                   bool *got)
{
    uint64_t offset = scan->base + scan->start;
    size_t seen = 0; /* bytes from start that hold no newline */
    bool passed_over = false;
    for (;;) {
        unsigned char *from = scan->buffer + scan->start;
        size_t have = scan->end - scan->start;
        unsigned char *newline = memchr(from + seen, '\n', have - seen);
        bool last = newline == NULL && scan->over;
        if (newline != NULL || (last && (have > 0 || passed_over))) {
            size_t length = newline != NULL ? (size_t)(newline - from) : have;
            *line = (struct lng_scanned_line){
                .data = passed_over ? NULL : (const char *)from,
                .length = scan->base + scan->start + length - offset,
                .offset = offset,
            };
            scan->start += length + (newline != NULL);
            scan->lines++;
            *got = true;
            return LNG_OK;
        }
        if (last) {
            *got = false;
            return LNG_OK;
        }
        if (have == scan->capacity) {
            passed_over = true;
            scan->start = scan->end;
            have = 0;
        }
        seen = have;
        LNG_TRY(refill(scan));
    }
}

void lng_line_scan_close(struct lng_line_scan *scan)
{
    lng_hash_close(scan->hash);
    lng_free(scan->buffer);
    *scan = (struct lng_line_scan){0};
}
