#include "host/store/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "host/base/mem.h"

static const char folder[] = "checkpoints";

char *lng_run_model_path(const char *run_dir)
{
    return lng_path_join(run_dir, "model");
}

char *lng_checkpoint_path(const char *run_dir, uint64_t update)
{
    char name[64];
    snprintf(name, sizeof name, "%s/update-%010" PRIu64 ".ckpt", folder, update);
    return lng_path_join(run_dir, name);
}

/* ---- the lock ---- */

static enum lng_status take_lock(const char *path, int *lock)
{
    enum lng_status status = LNG_OK;
    char text[32] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    LNG_FAIL_IF(fd < 0, LNG_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int reason = errno;
        ssize_t got = pread(fd, text, sizeof text - 1, 0);
        text[got > 0 ? strcspn(text, "\n") : 0] = '\0';
        LNG_GOTO_FAIL_IF(reason == EWOULDBLOCK, LNG_ERR_IO,
                         "%s: another trainer (process %s) is working in this folder; wait for it, "
                         "or give another --output",
                         path, text[0] ? text : "unknown");
        LNG_GOTO_FAIL_IF(true, LNG_ERR_IO, "%s: cannot be locked: %s", path, strerror(reason));
    }
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    LNG_GOTO_FAIL_IF(ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length,
                     LNG_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    *lock = fd;
    return LNG_OK;
fail:
    close(fd);
    return status;
}

enum lng_status lng_run_lock(const char *run_dir, int *lock)
{
    char *checkpoints = lng_path_join(run_dir, folder), *path = lng_path_join(run_dir, ".lock");
    enum lng_status status =
        checkpoints && path ? lng_make_directories(checkpoints) : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status = take_lock(path, lock);
    if (status == LNG_OK)
        lng_atomic_sweep(checkpoints); /* whoever left something there is gone */
    lng_free(checkpoints);
    lng_free(path);
    return status;
}

void lng_run_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}

/* ---- the checkpoints of a run ---- */

/* "update-N.ckpt" and nothing else. */
static bool parse_name(const char *name, uint64_t *update)
{
    static const char start[] = "update-", end[] = ".ckpt";
    if (strncmp(name, start, sizeof start - 1) != 0)
        return false;
    const char *digits = name + sizeof start - 1;
    size_t count = strspn(digits, "0123456789");
    if (count < 10 || count > 18 || strcmp(digits + count, end) != 0)
        return false;
    *update = strtoull(digits, NULL, 10);
    return true;
}

static int rising(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

enum lng_status lng_checkpoint_list(const char *run_dir, uint64_t **updates, size_t *count)
{
    enum lng_status status = LNG_OK;
    uint64_t *list = NULL, update;
    size_t used = 0, capacity = 0;
    char *path = lng_path_join(run_dir, folder);
    if (!path)
        return LNG_ERR_MEMORY;
    DIR *entries = opendir(path);
    LNG_GOTO_FAIL_IF(!entries && errno != ENOENT, LNG_ERR_IO, "%s: cannot be listed: %s", path,
                     strerror(errno));
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        if (!parse_name(entry->d_name, &update))
            continue;
        LNG_TRY_OR_FAIL(lng_grow(&list, &capacity, used + 1, sizeof *list));
        list[used++] = update;
    }
    if (used > 0)
        qsort(list, used, sizeof *list, rising);
    *updates = list;
    *count = used;
    list = NULL;
fail:
    if (entries)
        closedir(entries);
    lng_free(list);
    lng_free(path);
    return status;
}

static enum lng_status open_update(const char *run_dir, uint64_t update,
                                   struct lng_checkpoint *checkpoint)
{
    char *path = lng_checkpoint_path(run_dir, update);
    enum lng_status status = path ? lng_checkpoint_open(checkpoint, path) : LNG_ERR_MEMORY;
    lng_free(path);
    return status;
}

enum lng_status lng_checkpoint_open_latest(const char *run_dir, struct lng_checkpoint *checkpoint,
                                           uint64_t *update, bool *found,
                                           struct lng_buffer *warnings)
{
    uint64_t *updates = NULL;
    size_t count = 0;
    LNG_TRY(lng_checkpoint_list(run_dir, &updates, &count));
    enum lng_status status = LNG_OK;
    bool opened = false;
    for (size_t i = count; i > 0 && !opened; i--) {
        status = open_update(run_dir, updates[i - 1], checkpoint);
        opened = status == LNG_OK;
        if (opened && update)
            *update = updates[i - 1];
        if (status != LNG_OK && status != LNG_ERR_FORMAT && status != LNG_ERR_MISMATCH)
            break; /* not damage: an older one would silently throw work away */
        if (!opened && warnings &&
            lng_buffer_append_format(warnings, "%s\n", lng_error_message()) != LNG_OK) {
            status = LNG_ERR_MEMORY;
            break;
        }
    }
    if (status != LNG_OK && count > 1)
        (void)lng_fail_context(status, "%s: no checkpoint can be used", run_dir);
    if (status == LNG_OK)
        *found = opened;
    lng_free(updates);
    return status;
}

enum lng_status lng_checkpoint_prune(const char *run_dir, size_t keep)
{
    uint64_t *updates = NULL;
    size_t count = 0;
    enum lng_status status = LNG_OK;
    keep = keep > 0 ? keep : 1;
    LNG_TRY(lng_checkpoint_list(run_dir, &updates, &count));
    for (size_t i = 0; i + keep < count && status == LNG_OK; i++) {
        char *path = lng_checkpoint_path(run_dir, updates[i]);
        status = path ? lng_remove_tree(path) : LNG_ERR_MEMORY;
        lng_free(path);
    }
    lng_free(updates);
    return status;
}
