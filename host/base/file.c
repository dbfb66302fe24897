#include "host/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/mem.h"

enum { READ_STEP = 1 << 16 };

char *lng_path_join(const char *directory, const char *name)
{
    size_t length = strlen(directory);
    if (name[0] == '/' || length == 0)
        return lng_strdup(name);
    return lng_format("%s%s%s", directory, directory[length - 1] == '/' ? "" : "/", name);
}

const char *lng_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *lng_path_parent(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    if (length == 0)
        return lng_strdup(".");
    while (length > 1 && path[length - 1] == '/')
        length--;
    return lng_strndup(path, length);
}

enum lng_status lng_file_get_info(const char *path, struct lng_file_info *info)
{
    struct stat found;
    LNG_FAIL_IF(stat(path, &found) != 0, LNG_ERR_IO, "%s: %s", path, strerror(errno));
    *info = (struct lng_file_info){
        .size = (uint64_t)found.st_size,
        .modified = (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec,
        .directory = S_ISDIR(found.st_mode),
        .regular = S_ISREG(found.st_mode),
    };
    return LNG_OK;
}

bool lng_file_exists(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0;
}

bool lng_directory_exists(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

enum lng_status lng_make_directories(const char *path)
{
    char *partial = lng_strdup(path);
    if (partial == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    for (char *at = partial; *at != '\0'; at++) {
        bool complete = at[1] == '\0' || (at[1] == '/' && at[0] != '/');
        if (!complete)
            continue;
        char after = at[1];
        at[1] = '\0';
        /* Not only EEXIST: on the way down a parent may be there and closed to us. */
        if (mkdir(partial, 0777) != 0 && !lng_directory_exists(partial)) {
            int reason = errno == EEXIST ? ENOTDIR : errno;
            LNG_GOTO_FAIL_IF(true, LNG_ERR_IO, "cannot make the folder %s: %s: %s", path, partial,
                             strerror(reason));
        }
        at[1] = after;
    }
fail:
    lng_free(partial);
    return status;
}

static int remove_entry(const char *path, const struct stat *found, int kind, struct FTW *where)
{
    (void)found, (void)kind, (void)where;
    return remove(path);
}

enum lng_status lng_remove_tree(const char *path)
{
    LNG_FAIL_IF(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT,
                LNG_ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    return LNG_OK;
}

static enum lng_status read_all(int fd, const char *name, size_t limit, struct lng_buffer *content)
{
    for (;;) {
        LNG_TRY(lng_buffer_reserve(content, READ_STEP));
        size_t room = content->capacity - content->length - 1;
        ssize_t got = read(fd, content->data + content->length, room);
        if (got < 0 && errno == EINTR)
            continue;
        LNG_FAIL_IF(got < 0, LNG_ERR_IO, "cannot read %s: %s", name, strerror(errno));
        if (got == 0)
            return LNG_OK;
        content->length += (size_t)got;
        content->data[content->length] = '\0';
        LNG_FAIL_IF(content->length > limit, LNG_ERR_RANGE,
                    "%s is larger than the %zu bytes accepted here", name, limit);
    }
}

enum lng_status lng_file_read(const char *path, size_t limit, struct lng_buffer *content)
{
    lng_buffer_clear(content);
    bool standard_input = strcmp(path, "-") == 0;
    int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    LNG_FAIL_IF(fd < 0, LNG_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    enum lng_status status = LNG_OK;
    struct stat found;
    if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > 0) {
        LNG_GOTO_FAIL_IF((uint64_t)found.st_size > limit, LNG_ERR_RANGE,
                         "%s has %lld bytes, more than the %zu accepted here", path,
                         (long long)found.st_size, limit);
        /* One step more than the file, so that the read that meets the end needs no growth. */
        LNG_TRY_OR_FAIL(lng_buffer_reserve(content, (size_t)found.st_size + READ_STEP));
    }
    status = read_all(fd, standard_input ? "standard input" : path, limit, content);
fail:
    if (!standard_input)
        close(fd);
    if (status != LNG_OK)
        lng_buffer_clear(content);
    return status;
}

enum lng_status lng_map_open(struct lng_map *map, const char *path)
{
    static const unsigned char nothing[1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    LNG_FAIL_IF(fd < 0, LNG_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    enum lng_status status = LNG_OK;
    struct stat found;
    LNG_GOTO_FAIL_IF(fstat(fd, &found) != 0, LNG_ERR_IO, "cannot look at %s: %s", path,
                     strerror(errno));
    LNG_GOTO_FAIL_IF(!S_ISREG(found.st_mode), LNG_ERR_IO, "%s is not a regular file", path);
    size_t size = (size_t)found.st_size;
    void *data = NULL;
    if (size > 0) {
        data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        LNG_GOTO_FAIL_IF(data == MAP_FAILED, LNG_ERR_IO, "cannot map %s: %s", path,
                         strerror(errno));
    }
    *map = (struct lng_map){size > 0 ? data : nothing, size};
fail:
    close(fd);
    return status;
}

void lng_map_close(struct lng_map *map)
{
    if (map->size > 0)
        munmap((void *)map->data, map->size);
    *map = (struct lng_map){0};
}

enum lng_status lng_stdout_finish(void)
{
    errno = 0;
    int flushed = fflush(stdout);
    int reason = errno;
    LNG_FAIL_IF(flushed != 0 || ferror(stdout), LNG_ERR_IO, "cannot write standard output: %s",
                reason ? strerror(reason) : "an earlier write failed");
    return LNG_OK;
}
