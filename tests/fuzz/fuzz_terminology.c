/* libFuzzer target: a list of terms, and itself as the text that is searched for them. The first byte says whether case counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/infer/terminology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum lng_status found(void *context, struct lng_slice target)
{
    if (target.length == 0 || target.length > LNG_TERMINOLOGY_MAX_TERM_BYTES)
        abort();
    ++*(size_t *)context;
    return LNG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lng_terminology *terminology;
    struct lng_slice target;
    char path[64];
    size_t places = 0;
    if (size == 0)
        return 0;
    lng_lines_set_chunk((size_t)16 << size % 8); /* as in fuzz_lines.c */
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (lng_terminology_open(path, data[0] & 1, &terminology) == LNG_OK) {
        struct lng_slice text = {(const char *)data + 1, size - 1};
        enum lng_status status = lng_terminology_find(terminology, text, found, &places);
        if ((status == LNG_OK && places > size) ||
            (status == LNG_OK && places > 0 && lng_terminology_count(terminology) == 0))
            abort();
        (void)!lng_terminology_look_up(terminology, text, &target);
        lng_terminology_close(terminology);
    }
    close(fd);
    return 0;
}
