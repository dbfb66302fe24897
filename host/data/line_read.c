#include "host/data/line_read.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static enum lng_status changed(const char *path, uint64_t line)
{
    return lng_fail(LNG_ERR_MISMATCH,
                    "line %llu of %s is not where it was when training began: the file was changed "
                    "meanwhile; put it back, or start a new run",
                    (unsigned long long)line, path);
}

/* One byte more than the text is read: it must still be what ended it. */
enum lng_status lng_line_read(int fd, const char *path, uint64_t line, uint64_t offset,
                              uint32_t length, struct lng_buffer *text)
{
    lng_buffer_clear(text);
    LNG_TRY(lng_buffer_reserve(text, (size_t)length + 1));
    size_t have = 0, wanted = (size_t)length + 1;
    while (have < wanted) {
        ssize_t got = pread(fd, text->data + have, wanted - have, (off_t)(offset + have));
        if (got < 0 && errno == EINTR)
            continue;
        LNG_FAIL_IF(got < 0, LNG_ERR_IO, "cannot read line %llu of %s: %s",
                    (unsigned long long)line, path, strerror(errno));
        if (got == 0)
            break;
        have += (size_t)got;
    }
    if (have < length || (have == wanted && memchr("\r\n\t", text->data[length], 3) == NULL))
        return changed(path, line);
    text->length = length;
    text->data[length] = '\0';
    return LNG_OK;
}
