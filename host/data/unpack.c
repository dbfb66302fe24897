#include "host/data/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"

static enum lng_status open_plain(const char *path, int *fd)
{
    int opened = open(path, O_RDONLY | O_CLOEXEC);
    LNG_FAIL_IF(opened < 0, LNG_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    *fd = opened;
    return LNG_OK;
}

static enum lng_status copy_lines(struct lng_lines *lines, struct lng_atomic_file *copy)
{
    for (;;) {
        struct lng_line line;
        bool got;
        LNG_TRY(lng_lines_next(lines, &line, &got));
        if (!got)
            return LNG_OK;
        LNG_TRY(lng_atomic_write(copy, line.data, line.length));
        if (line.newline)
            LNG_TRY(lng_atomic_write(copy, "\n", 1));
    }
}

/* Writes the plain text of `path` to `copy_path`, whole or not at all. */
static enum lng_status unpack(const char *path, const char *copy_path)
{
    struct lng_lines *lines = NULL;
    struct lng_atomic_file copy = {0};
    LNG_TRY(lng_lines_open(path, &lines));
    enum lng_status status = lng_atomic_open(&copy, copy_path);
    if (status != LNG_OK) {
        lng_lines_close(lines);
        return status;
    }
    status = copy_lines(lines, &copy);
    if (status == LNG_OK)
        status = lng_atomic_commit(&copy);
    else
        lng_atomic_discard(&copy);
    lng_lines_close(lines);
    return status;
}

/* Whether the file begins like gzip or zstd. */
static bool is_packed(int fd)
{
    unsigned char magic[4] = {0};
    ssize_t got = pread(fd, magic, sizeof magic, 0);
    return (got >= 3 && memcmp(magic, "\x1F\x8B\x08", 3) == 0) ||
           (got == 4 && memcmp(magic, "\x28\xB5\x2F\xFD", 4) == 0);
}

/* The name of the unpacked copy: NULL when there is no memory. */
static char *cached_path(const char *path, const struct stat *info, const char *directory)
{
    char *whole = realpath(path, NULL);
    struct {
        uint64_t place, size, seconds, nanoseconds;
    } identity = {
        .place = lng_checksum(whole ? whole : path, strlen(whole ? whole : path)),
        .size = (uint64_t)info->st_size,
        .seconds = (uint64_t)info->st_mtim.tv_sec,
        .nanoseconds = (uint64_t)info->st_mtim.tv_nsec,
    };
    lng_free_foreign(whole);
    return lng_format("%s/%s-%016llx.txt", directory, lng_path_name(path),
                      (unsigned long long)lng_checksum(&identity, sizeof identity));
}

static char *nameless_path(const char *directory)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return lng_format("%s/lingster-%ld-%llx.txt", directory, (long)getpid(),
                      (unsigned long long)now.tv_sec * 1000000000ull +
                          (unsigned long long)now.tv_nsec);
}

static enum lng_status open_copy(const char *path, char *copy_path, bool keep, int *fd)
{
    if (copy_path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    if (!keep || !lng_file_exists(copy_path))
        status = unpack(path, copy_path);
    if (status == LNG_OK)
        status = open_plain(copy_path, fd);
    if (!keep)
        unlink(copy_path);
    lng_free(copy_path);
    return status;
}

enum lng_status lng_unpack_open(const char *path, const char *cache_directory, int *fd)
{
    struct stat info = {0};
    bool standard_input = strcmp(path, "-") == 0;
    LNG_FAIL_IF(!standard_input && stat(path, &info) != 0, LNG_ERR_IO, "cannot open %s: %s", path,
                strerror(errno));
    LNG_FAIL_IF(S_ISDIR(info.st_mode), LNG_ERR_IO, "%s is a folder; expected a text file", path);
    bool regular = S_ISREG(info.st_mode);
    if (regular) {
        int plain;
        LNG_TRY(open_plain(path, &plain));
        if (!is_packed(plain)) {
            *fd = plain;
            return LNG_OK;
        }
        close(plain);
    }
    const char *directory = cache_directory;
    if (directory == NULL)
        directory = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    LNG_TRY(lng_make_directories(directory));
    bool keep = regular && cache_directory != NULL;
    return open_copy(path, keep ? cached_path(path, &info, directory) : nameless_path(directory),
                     keep, fd);
}
