/* One line of an open file, whose place is known. */
#ifndef LNG_HOST_DATA_LINE_READ_H
#define LNG_HOST_DATA_LINE_READ_H

#include <stdint.h>

#include "host/base/text.h"

/* Reads `length` bytes at `offset` into the buffer, which is cleared first; line `line`, from 1, of `path`, for messages.
 * LNG_ERR_MISMATCH when the text does not end there with its line or a tab any more. Any number of threads. */
LNG_MUST_CHECK enum lng_status lng_line_read(int fd, const char *path, uint64_t line,
                                             uint64_t offset, uint32_t length,
                                             struct lng_buffer *text);

#endif
