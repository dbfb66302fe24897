/* libFuzzer target: any bytes as a text file, plain, gzip or zstd. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MOST_LINES = 10000 }; /* a small compressed file may hold very many */
    struct lng_lines *lines;
    struct lng_line line;
    uint64_t count = 0;
    bool got = true;
    /* The same in pieces of 16 bytes to 2 KiB: what the reader does between pieces happens in short inputs too. */
    lng_lines_set_chunk((size_t)16 << size % 8);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
        abort();
    if (lng_lines_open_fd(fd, "fuzz", &lines) == LNG_OK) {
        lng_lines_set_limit(lines, 1 << 20);
        while (count < MOST_LINES && lng_lines_next(lines, &line, &got) == LNG_OK && got) {
            if (lng_lines_number(lines) != ++count || line.data[line.length] != '\0' ||
                line.carriage_return != (line.length > 0 && line.data[line.length - 1] == '\r'))
                abort();
        }
        lng_lines_close(lines);
    }
    close(fd);
    return 0;
}
