#include "host/store/resumable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/clock.h"
#include "host/base/file.h"
#include "host/base/mem.h"

enum { READ_BYTES = 1 << 18, MOST_TRIES = 100, SYNC_SHARE = 20 };

/* ---- names, the lock ---- */

static enum lng_status set_names(struct lng_resumable *output, const char *path)
{
    char resolved[PATH_MAX];
    struct stat found;
    bool present = stat(path, &found) == 0;
    LNG_FAIL_IF(present && S_ISDIR(found.st_mode), LNG_ERR_USAGE, "cannot write %s: it is a folder",
                path);
    output->packing = lng_packing_of(path);
    if (present && realpath(path, resolved) != NULL)
        path = resolved;
    output->has_mode = present;
    output->mode = present ? found.st_mode & 07777 : 0;
    output->path = lng_strdup(path);
    output->part = lng_format("%s.part", path);
    output->progress = lng_format("%s.progress", path);
    return output->path && output->part && output->progress ? LNG_OK : LNG_ERR_MEMORY;
}

/* The journal is the lock as well. Whoever finishes removes it, so what was locked must still be there. */
static enum lng_status lock(struct lng_resumable *output)
{
    for (int i = 0; i < MOST_TRIES; i++) {
        int fd = open(output->progress, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        LNG_FAIL_IF(fd < 0, LNG_ERR_IO, "cannot write %s: %s: %s", output->path, output->progress,
                    strerror(errno));
        output->progress_fd = fd;
        int failed = flock(fd, LOCK_EX | LOCK_NB);
        LNG_FAIL_IF(failed && errno == EWOULDBLOCK, LNG_ERR_IO,
                    "%s: another process is at work on this output; wait for it or choose another",
                    output->path);
        struct stat held, there;
        LNG_FAIL_IF(fstat(fd, &held) != 0, LNG_ERR_IO, "%s: %s", output->progress, strerror(errno));
        LNG_FAIL_IF(!S_ISREG(held.st_mode), LNG_ERR_IO, "%s is not a regular file",
                    output->progress);
        if (stat(output->progress, &there) == 0 && there.st_dev == held.st_dev &&
            there.st_ino == held.st_ino)
            return LNG_OK;
        close(fd);
        output->progress_fd = -1;
    }
    return lng_fail(LNG_ERR_IO, "%s comes and goes: other processes are at work on it",
                    output->progress);
}

/* ---- what is there ---- */

/* Adds the first `bytes` bytes of a file to the hash; *have is how many there were. */
static enum lng_status hash_file(int fd, const char *name, uint64_t bytes, struct lng_hash *hash,
                                 uint64_t *have)
{
    char *buffer = lng_alloc(READ_BYTES, 1);
    if (buffer == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    uint64_t done = 0;
    while (done < bytes) {
        size_t want = bytes - done < READ_BYTES ? (size_t)(bytes - done) : READ_BYTES;
        ssize_t n = pread(fd, buffer, want, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        LNG_GOTO_FAIL_IF(n < 0, LNG_ERR_IO, "cannot read %s: %s", name, strerror(errno));
        if (n == 0)
            break;
        lng_hash_add(hash, buffer, (size_t)n);
        done += (uint64_t)n;
    }
    *have = done;
fail:
    lng_free(buffer);
    return status;
}

static enum lng_status size_of(const char *path, bool *exists, uint64_t *size)
{
    struct stat found;
    *exists = stat(path, &found) == 0;
    LNG_FAIL_IF(!*exists && errno != ENOENT, LNG_ERR_IO, "%s: %s", path, strerror(errno));
    LNG_FAIL_IF(*exists && !S_ISREG(found.st_mode), LNG_ERR_IO, "%s is not a regular file", path);
    *size = *exists ? (uint64_t)found.st_size : 0;
    return LNG_OK;
}

static const char start_again[] = "--overwrite starts again";

/* Whether the file still starts with what the journal's last entry speaks of. */
static enum lng_status check_content(struct lng_resumable *output, int fd, const char *name)
{
    const struct lng_journal_entry *last = &output->journal.last;
    uint64_t have = 0;
    if (last->bytes == 0)
        return LNG_OK;
    LNG_TRY(hash_file(fd, name, last->bytes, output->hash, &have));
    LNG_FAIL_IF(have < last->bytes, LNG_ERR_MISMATCH,
                "%s has only %llu of the %llu bytes that were written to it; %s", name,
                (unsigned long long)have, (unsigned long long)last->bytes, start_again);
    LNG_FAIL_IF(lng_hash_value(output->hash) != last->output, LNG_ERR_MISMATCH,
                "%s was changed since it was written; put it back as it was, or %s", name,
                start_again);
    return LNG_OK;
}

/* The journal says that all is there, and part is gone: then path must be what part was. */
static enum lng_status check_finished(struct lng_resumable *output)
{
    bool exists;
    uint64_t size;
    LNG_TRY(size_of(output->path, &exists, &size));
    LNG_FAIL_IF(!exists, LNG_ERR_MISMATCH,
                "%s was finished, but is not there any more (%s says so); %s", output->path,
                output->progress, start_again);
    LNG_FAIL_IF(size != output->journal.last.bytes, LNG_ERR_MISMATCH,
                "%s was changed since it was finished; it is kept, %s", output->path, start_again);
    int fd = open(output->path, O_RDONLY | O_CLOEXEC);
    LNG_FAIL_IF(fd < 0, LNG_ERR_IO, "cannot read %s: %s", output->path, strerror(errno));
    enum lng_status status = check_content(output, fd, output->path);
    close(fd);
    output->finished = status == LNG_OK;
    return status;
}

/* Whether a new journal may be begun over what is there. */
static enum lng_status check_fresh(const struct lng_resumable *output, bool has_part,
                                   uint64_t part_size)
{
    const struct lng_journal *journal = &output->journal;
    LNG_FAIL_IF(!journal->ours, LNG_ERR_FORMAT,
                "%s is in the way: it is no journal of this lingster; move it away, or choose "
                "another output",
                output->progress);
    LNG_FAIL_IF(has_part && part_size > 0 && journal->dropped == 0, LNG_ERR_MISMATCH,
                "%s is in the way: %s, which would say what it is, is missing or empty; move it "
                "away, or %s",
                output->part, output->progress, start_again);
    LNG_FAIL_IF(has_part && part_size > 0, LNG_ERR_FORMAT, "%s is damaged from byte %llu on; %s",
                output->progress, (unsigned long long)journal->size, start_again);
    return LNG_OK;
}

static enum lng_status check(struct lng_resumable *output, struct lng_slice settings)
{
    struct lng_journal *journal = &output->journal;
    bool has_part;
    uint64_t part_size;
    LNG_TRY(size_of(output->part, &has_part, &part_size));
    if (!journal->begun)
        return check_fresh(output, has_part, part_size);
    LNG_TRY(lng_journal_check_settings(journal, settings));
    output->undone = journal->dropped;
    if (!has_part && journal->last.finished)
        return check_finished(output);
    LNG_FAIL_IF(!has_part && journal->last.bytes > 0, LNG_ERR_MISMATCH,
                "%s is missing, but %s says that %llu lines are done; put it back, or %s",
                output->part, output->progress, (unsigned long long)journal->last.lines,
                start_again);
    return LNG_OK;
}

/* ---- opening ---- */

static enum lng_status set_mode(const struct lng_resumable *output, unsigned mode)
{
    LNG_FAIL_IF(output->has_mode && fchmod(output->part_fd, (mode_t)mode) != 0, LNG_ERR_IO,
                "cannot give %s its mode: %s", output->part, strerror(errno));
    return LNG_OK;
}

static enum lng_status open_part(struct lng_resumable *output)
{
    output->part_fd = open(output->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    LNG_FAIL_IF(output->part_fd < 0, LNG_ERR_IO, "cannot write %s: %s", output->part,
                strerror(errno));
    LNG_TRY(check_content(output, output->part_fd, output->part));
    output->bytes = output->journal.last.bytes;
    LNG_FAIL_IF(ftruncate(output->part_fd, (off_t)output->bytes) != 0, LNG_ERR_IO,
                "cannot write %s: %s", output->part, strerror(errno));
    /* Read-only waits for the end: it could not be opened again to go on. */
    return set_mode(output, output->mode | S_IRUSR | S_IWUSR);
}

static enum lng_status put_in_place(struct lng_resumable *output)
{
    LNG_TRY(set_mode(output, output->mode));
    LNG_FAIL_IF(rename(output->part, output->path) != 0, LNG_ERR_IO, "cannot put %s in place: %s",
                output->path, strerror(errno));
    return lng_sync_parent(output->path);
}

static enum lng_status start(struct lng_resumable *output, struct lng_slice settings,
                             bool overwrite)
{
    LNG_TRY(lock(output));
    LNG_TRY(lng_journal_read(&output->journal, output->progress_fd, output->progress));
    LNG_TRY(lng_hash_open(&output->hash));
    if (!overwrite)
        LNG_TRY(check(output, settings));
    if (output->finished)
        return LNG_OK;
    if (overwrite || !output->journal.begun) {
        /* Part goes first: without it a journal of nothing is begun anew without further ado. */
        LNG_FAIL_IF(unlink(output->part) != 0 && errno != ENOENT, LNG_ERR_IO,
                    "cannot remove %s: %s", output->part, strerror(errno));
        LNG_TRY(lng_journal_begin(&output->journal, settings));
    }
    LNG_TRY(open_part(output));
    LNG_TRY(lng_sync_parent(output->path));
    if (output->journal.last.finished) {
        LNG_TRY(put_in_place(output));
        output->finished = true;
    }
    return LNG_OK;
}

enum lng_status lng_resumable_open(struct lng_resumable *output, const char *path,
                                   struct lng_slice settings, bool overwrite)
{
    struct lng_resumable fresh = {.part_fd = -1, .progress_fd = -1};
    enum lng_status status = set_names(&fresh, path);
    if (status == LNG_OK)
        status = start(&fresh, settings, overwrite);
    if (status == LNG_OK) {
        *output = fresh;
        return LNG_OK;
    }
    /* An empty journal under our lock (it is read only then) is one that this call made. */
    struct stat found;
    if (fresh.journal.name != NULL && fstat(fresh.progress_fd, &found) == 0 && found.st_size == 0)
        unlink(fresh.progress);
    lng_resumable_close(&fresh);
    return status;
}

/* ---- writing ---- */

static enum lng_status fail_writing(const struct lng_resumable *output)
{
    return lng_fail(LNG_ERR_IO,
                    "cannot write %s: %s; what is done is kept, and the same command goes on",
                    output->part, strerror(errno));
}

enum lng_status lng_resumable_write(struct lng_resumable *output, const void *piece, size_t size)
{
    const char *data = piece;
    if (output->packing != LNG_PACKING_NONE) {
        lng_buffer_clear(&output->packed);
        LNG_TRY(lng_pack(output->packing, piece, size, &output->packed));
        data = output->packed.data;
        size = output->packed.length;
    }
    for (size_t done = 0; done < size;) {
        ssize_t n =
            pwrite(output->part_fd, data + done, size - done, (off_t)(output->bytes + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_writing(output);
        done += (size_t)n;
    }
    lng_hash_add(output->hash, data, size);
    output->bytes += size;
    return LNG_OK;
}

static enum lng_status put_on_disk(struct lng_resumable *output, bool finished, uint64_t lines,
                                   uint64_t input, uint64_t second)
{
    struct lng_journal_entry entry = {finished, lines,         input,
                                      second,   output->bytes, lng_hash_value(output->hash)};
    if (fdatasync(output->part_fd) != 0)
        return fail_writing(output);
    return lng_journal_append(&output->journal, &entry);
}

enum lng_status lng_resumable_commit(struct lng_resumable *output, uint64_t lines, uint64_t input,
                                     uint64_t second)
{
    double start = lng_clock();
    if (start - output->synced < SYNC_SHARE * output->sync_seconds)
        return LNG_OK;
    LNG_TRY(put_on_disk(output, false, lines, input, second));
    output->synced = lng_clock();
    output->sync_seconds = output->synced - start;
    return LNG_OK;
}

enum lng_status lng_resumable_finish(struct lng_resumable *output, uint64_t lines, uint64_t input,
                                     uint64_t second)
{
    /* An empty file of a packed kind is one empty piece: readers refuse no bytes at all. */
    if (output->bytes == 0 && output->packing != LNG_PACKING_NONE)
        LNG_TRY(lng_resumable_write(output, "", 0));
    LNG_TRY(put_on_disk(output, true, lines, input, second));
    LNG_TRY(put_in_place(output));
    output->finished = true;
    return LNG_OK;
}

void lng_resumable_close(struct lng_resumable *output)
{
    bool part_is_open = output->part != NULL && output->part_fd >= 0;
    if (part_is_open && !output->finished && output->journal.last.lines == 0) {
        unlink(output->part);
        unlink(output->progress);
    }
    if (part_is_open)
        close(output->part_fd);
    if (output->part != NULL && output->progress_fd >= 0)
        close(output->progress_fd);
    lng_journal_release(&output->journal);
    lng_hash_close(output->hash);
    lng_buffer_release(&output->packed);
    lng_free(output->path);
    lng_free(output->part);
    lng_free(output->progress);
    *output = (struct lng_resumable){.part_fd = -1, .progress_fd = -1};
}

void lng_resumable_forget(const char *path)
{
    char resolved[PATH_MAX];
    char *progress = lng_format("%s.progress", realpath(path, resolved) != NULL ? resolved : path);
    if (progress != NULL)
        unlink(progress);
    lng_free(progress);
}
