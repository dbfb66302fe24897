/* Lines of an open plain file, front to back, as fast as it can be read, with their places and a
 * digest of all bytes. Lines too long for the buffer are passed over, not kept. */
#ifndef LNG_HOST_DATA_LINE_SCAN_H
#define LNG_HOST_DATA_LINE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/bytes.h"
#include "host/base/status.h"

struct lng_line_scan {
    int fd;           /* borrowed */
    const char *path; /* for messages; borrowed */
    unsigned char *buffer;
    size_t capacity, start, end; /* [start, end) is not handed out yet */
    uint64_t base;               /* place in the file of buffer[0] */
    uint64_t lines;              /* handed out */
    bool over;                   /* nothing is left in the file */
    struct lng_hash *hash;
};

struct lng_scanned_line {
    const char
        *data; /* not NUL-terminated, valid until the next call; NULL: longer than the buffer */
    uint64_t length; /* without the newline; a carriage return is still in it */
    uint64_t offset; /* in the file */
};

/* Reads `fd` from its start. Lines of up to `capacity` - 1 bytes are seen whole. */
LNG_MUST_CHECK enum lng_status lng_line_scan_open(struct lng_line_scan *scan, int fd,
                                                  const char *path, size_t capacity);
/* *got = false at the end of the file. LNG_ERR_IO. */
LNG_MUST_CHECK enum lng_status lng_line_scan_next(struct lng_line_scan *scan,
                                                  struct lng_scanned_line *line, bool *got);
/* Fine on a zeroed struct. */
void lng_line_scan_close(struct lng_line_scan *scan);

#endif
