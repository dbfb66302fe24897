#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/mem.h"

enum { BUFFER_BYTES = 1 << 16, LONGEST_STEM = 180, MOST_TRIES = 10000, STALE_SECONDS = 24 * 3600 };

/* Tells hosts that share a folder apart: a process number means nothing elsewhere. */
static unsigned host_number(void)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    unsigned number = 2166136261u;
    for (const char *at = name; *at != '\0'; at++)
        number = (number ^ (unsigned char)*at) * 16777619u;
    return number;
}

/* "NAME.tmp-HOST-PID-N" beside path. */
static char *temporary_name(const char *path, unsigned n)
{
    char *parent = lng_path_parent(path);
    if (parent == NULL)
        return NULL;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    size_t start = length;
    while (start > 0 && path[start - 1] != '/')
        start--;
    size_t stem = length - start < LONGEST_STEM ? length - start : LONGEST_STEM;
    char *name = lng_format("%s/%.*s.tmp-%08x-%ld-%u", parent, (int)stem, path + start,
                            host_number(), (long)getpid(), n);
    lng_free(parent);
    return name;
}

/* Whether a file name is one of temporary_name's that nobody is going to finish. */
static bool is_stale(int directory, const char *name)
{
    const char *mark = NULL;
    for (const char *at = strstr(name, ".tmp-"); at != NULL; at = strstr(at + 1, ".tmp-"))
        mark = at;
    unsigned host, n;
    long pid;
    int used = 0;
    if (mark == NULL || sscanf(mark, ".tmp-%8x-%ld-%u%n", &host, &pid, &n, &used) != 3 ||
        mark[used] != '\0' || pid <= 0)
        return false;
    if (host == host_number())
        return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    struct stat found;
    return fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           time(NULL) - found.st_mtime > STALE_SECONDS;
}

static int drop_entry(const char *path, const struct stat *found, int kind, struct FTW *where)
{
    (void)found, (void)kind, (void)where;
    return remove(path);
}

/* Unlike lng_remove_tree it leaves the error message alone: that of the failure before it counts. */
static bool drop_tree(const char *path)
{
    return nftw(path, drop_entry, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

size_t lng_atomic_sweep(const char *directory)
{
    DIR *entries = opendir(directory);
    if (entries == NULL)
        return 0;
    size_t removed = 0;
    const struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        if (!is_stale(dirfd(entries), entry->d_name))
            continue;
        char *path = lng_path_join(directory, entry->d_name);
        if (path != NULL)
            removed += drop_tree(path);
        lng_free(path);
    }
    closedir(entries);
    return removed;
}

static void sweep_beside(const char *path)
{
    char *parent = lng_path_parent(path);
    if (parent != NULL)
        lng_atomic_sweep(parent);
    lng_free(parent);
}

/* A rename lasts only once the folder it happened in is on disk. */
enum lng_status lng_sync_parent(const char *path)
{
    char *parent = lng_path_parent(path);
    if (parent == NULL)
        return LNG_ERR_MEMORY;
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some network file systems cannot sync a folder: they say EINVAL. */
    bool done = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    int reason = errno;
    if (fd >= 0)
        close(fd);
    enum lng_status status = LNG_OK;
    if (!done)
        status = lng_fail(LNG_ERR_IO, "cannot sync the folder %s: %s", parent, strerror(reason));
    lng_free(parent);
    return status;
}

static void release(struct lng_atomic_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->temporary != NULL)
        unlink(file->temporary);
    lng_free(file->path);
    lng_free(file->temporary);
    lng_free(file->buffer);
    *file = (struct lng_atomic_file){.fd = -1};
}

static enum lng_status open_temporary(struct lng_atomic_file *file)
{
    int fd = -1;
    char *name = NULL;
    for (unsigned n = 0; fd < 0 && n < MOST_TRIES; n++) {
        lng_free(name);
        name = temporary_name(file->path, n);
        if (name == NULL)
            return LNG_ERR_MEMORY;
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    if (fd < 0) {
        int reason = errno;
        lng_free(name);
        return lng_fail(LNG_ERR_IO, "cannot write %s: %s", file->path, strerror(reason));
    }
    file->fd = fd;
    file->temporary = name;
    return LNG_OK;
}

enum lng_status lng_atomic_open(struct lng_atomic_file *file, const char *path)
{
    char resolved[PATH_MAX];
    struct stat found;
    bool present = stat(path, &found) == 0;
    if (present && realpath(path, resolved) != NULL)
        path = resolved;
    LNG_FAIL_IF(present && S_ISDIR(found.st_mode), LNG_ERR_IO, "cannot write %s: it is a folder",
                path);
    struct lng_atomic_file fresh = {.fd = -1};
    enum lng_status status = LNG_ERR_MEMORY;
    fresh.path = lng_strdup(path);
    fresh.buffer = lng_alloc(BUFFER_BYTES, 1);
    if (fresh.path == NULL || fresh.buffer == NULL)
        goto fail;
    if (present && !S_ISREG(found.st_mode)) {
        fresh.fd = open(path, O_WRONLY | O_CLOEXEC);
        LNG_GOTO_FAIL_IF(fresh.fd < 0, LNG_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    } else {
        sweep_beside(path);
        LNG_TRY_OR_FAIL(open_temporary(&fresh));
        LNG_GOTO_FAIL_IF(present && fchmod(fresh.fd, found.st_mode & 07777) != 0, LNG_ERR_IO,
                         "cannot give %s its mode: %s", fresh.temporary, strerror(errno));
    }
    *file = fresh;
    return LNG_OK;
fail:
    release(&fresh);
    return status;
}

static enum lng_status write_through(struct lng_atomic_file *file, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t done = write(file->fd, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        LNG_FAIL_IF(done < 0, LNG_ERR_IO, "cannot write %s: %s%s", file->path, strerror(errno),
                    errno == ENOSPC ? ": make room on the disk, what was there before is kept"
                                    : "");
        data += done;
        size -= (size_t)done;
    }
    return LNG_OK;
}

static enum lng_status flush(struct lng_atomic_file *file)
{
    size_t size = file->buffered;
    file->buffered = 0;
    return write_through(file, file->buffer, size);
}

enum lng_status lng_atomic_write(struct lng_atomic_file *file, const void *data, size_t size)
{
    if (size > BUFFER_BYTES - file->buffered)
        LNG_TRY(flush(file));
    if (size >= BUFFER_BYTES) {
        LNG_TRY(write_through(file, data, size));
    } else if (size > 0) {
        memcpy(file->buffer + file->buffered, data, size);
        file->buffered += size;
    }
    file->written += size;
    return LNG_OK;
}

enum lng_status lng_atomic_commit(struct lng_atomic_file *file)
{
    enum lng_status status = flush(file);
    if (status != LNG_OK)
        goto fail;
    /* A pipe or a device has nothing to sync: EINVAL or EROFS. */
    LNG_GOTO_FAIL_IF(fsync(file->fd) != 0 && file->temporary != NULL, LNG_ERR_IO,
                     "cannot sync %s: %s", file->path, strerror(errno));
    int fd = file->fd;
    file->fd = -1;
    LNG_GOTO_FAIL_IF(close(fd) != 0 && errno != EINTR, LNG_ERR_IO, "cannot close %s: %s",
                     file->path, strerror(errno));
    if (file->temporary != NULL) {
        LNG_GOTO_FAIL_IF(rename(file->temporary, file->path) != 0, LNG_ERR_IO,
                         "cannot put %s in place: %s", file->path, strerror(errno));
        lng_free(file->temporary);
        file->temporary = NULL;
        status = lng_sync_parent(file->path);
    }
fail:
    release(file);
    return status;
}

void lng_atomic_discard(struct lng_atomic_file *file)
{
    if (file->path != NULL)
        release(file);
}

enum lng_status lng_file_write(const char *path, const void *data, size_t size)
{
    struct lng_atomic_file file;
    LNG_TRY(lng_atomic_open(&file, path));
    enum lng_status status = lng_atomic_write(&file, data, size);
    if (status == LNG_OK)
        return lng_atomic_commit(&file);
    lng_atomic_discard(&file);
    return status;
}

enum lng_status lng_atomic_directory_open(struct lng_atomic_directory *directory, const char *path)
{
    struct lng_atomic_directory fresh = {.path = lng_strdup(path)};
    if (fresh.path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    LNG_GOTO_FAIL_IF(lng_file_exists(path) && !lng_directory_exists(path), LNG_ERR_IO,
                     "cannot write the folder %s: a file of that name is there", path);
    sweep_beside(path);
    int made = -1;
    for (unsigned n = 0; made != 0 && n < MOST_TRIES; n++) {
        lng_free(fresh.temporary);
        fresh.temporary = temporary_name(path, n);
        if (fresh.temporary == NULL) {
            status = LNG_ERR_MEMORY;
            goto fail;
        }
        made = mkdir(fresh.temporary, 0777);
        if (made != 0 && errno != EEXIST)
            break;
    }
    LNG_GOTO_FAIL_IF(made != 0, LNG_ERR_IO, "cannot write the folder %s: %s", path,
                     strerror(errno));
    *directory = fresh;
    return LNG_OK;
fail:
    lng_free(fresh.path);
    lng_free(fresh.temporary);
    return status;
}

static int sync_entry(const char *path, const struct stat *found, int kind, struct FTW *where)
{
    (void)where;
    if (kind != FTW_DP && !(kind == FTW_F && S_ISREG(found->st_mode)))
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
    int reason = errno;
    close(fd);
    errno = reason;
    return result;
}

/* Puts the new folder in place; afterwards `temporary` is the old one, or absent. */
static enum lng_status exchange(const char *temporary, const char *path)
{
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return LNG_OK;
    if (errno != ENOENT && errno != EINVAL && errno != ENOSYS)
        return lng_fail(LNG_ERR_IO, "cannot put %s in place: %s", path, strerror(errno));
    if (rename(temporary, path) == 0)
        return LNG_OK;
    /* No exchange on this file system, and the old folder is not empty: two steps. */
    char *aside = lng_format("%s.old", temporary);
    if (aside == NULL)
        return LNG_ERR_MEMORY;
    bool moved = rename(path, aside) == 0;
    bool placed = moved && rename(temporary, path) == 0;
    int reason = errno;
    if (placed)
        drop_tree(aside);
    else if (moved)
        (void)rename(aside, path);
    lng_free(aside);
    LNG_FAIL_IF(!placed, LNG_ERR_IO, "cannot put %s in place: %s", path, strerror(reason));
    return LNG_OK;
}

enum lng_status lng_atomic_directory_commit(struct lng_atomic_directory *directory)
{
    enum lng_status status = LNG_OK;
    LNG_GOTO_FAIL_IF(nftw(directory->temporary, sync_entry, 16, FTW_DEPTH | FTW_PHYS) != 0,
                     LNG_ERR_IO, "cannot sync %s: %s", directory->temporary, strerror(errno));
    LNG_TRY_OR_FAIL(exchange(directory->temporary, directory->path));
    status = lng_sync_parent(directory->path);
fail:
    lng_atomic_directory_discard(directory);
    return status;
}

void lng_atomic_directory_discard(struct lng_atomic_directory *directory)
{
    if (directory->temporary != NULL)
        drop_tree(directory->temporary);
    lng_free(directory->path);
    lng_free(directory->temporary);
    *directory = (struct lng_atomic_directory){0};
}
