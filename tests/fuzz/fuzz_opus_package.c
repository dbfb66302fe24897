/* libFuzzer target: any bytes as an OPUS-MT package, and as text to clean. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/opus_package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void unpack(const uint8_t *data, size_t size)
{
    char path[64], folder[] = "/tmp/fuzz-opus-XXXXXX";
    int fd = memfd_create("package", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || !mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum lng_status status = lng_opus_unpack(path, folder);
    if (status != LNG_OK && status != LNG_ERR_FORMAT && status != LNG_ERR_UNSUPPORTED &&
        status != LNG_ERR_RANGE)
        abort();
    if (lng_remove_tree(folder) != LNG_OK)
        abort();
    close(fd);
}

static void clean(const uint8_t *data, size_t size)
{
    struct lng_clean_text text = {0};
    if (lng_clean_opus_mt((const char *)data, size, &text) != LNG_OK)
        abort();
    for (size_t i = 0, last = 0; i <= text.text.length; i++) {
        if (text.origins[i] < last || text.origins[i] > size)
            abort();
        last = text.origins[i];
    }
    lng_clean_text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unpack(data, size);
    clean(data, size);
    return 0;
}
