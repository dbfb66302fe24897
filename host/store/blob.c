#include "host/store/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"

enum { PIECE = 1 << 20 };

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode))
        return "a folder";
    if (S_ISFIFO(mode))
        return "a pipe";
    if (S_ISSOCK(mode))
        return "a socket";
    return "a device";
}

enum lng_status lng_blob_open(struct lng_blob *blob, const char *path)
{
    enum lng_status status = LNG_OK;
    struct stat info;
    /* NONBLOCK: opening a pipe without a writer must not wait. Regular files ignore it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    LNG_FAIL_IF(fd < 0, LNG_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    LNG_GOTO_FAIL_IF(fstat(fd, &info) != 0, LNG_ERR_IO, "%s: %s", path, strerror(errno));
    LNG_GOTO_FAIL_IF(!S_ISREG(info.st_mode), LNG_ERR_IO, "%s: expected a regular file, found %s",
                     path, kind_of(info.st_mode));
    char *name = lng_strdup(path);
    if (!name) {
        status = LNG_ERR_MEMORY;
        goto fail;
    }
    *blob = (struct lng_blob){.name = name, .size = (uint64_t)info.st_size, .fd = fd};
    return LNG_OK;
fail:
    close(fd);
    return status;
}

enum lng_status lng_blob_open_memory(struct lng_blob *blob, const char *name, const void *data,
                                     size_t size)
{
    char *copy = lng_strdup(name);
    if (!copy)
        return LNG_ERR_MEMORY;
    *blob = (struct lng_blob){
        .name = copy, .data = data ? data : (const unsigned char *)"", .size = size, .fd = -1};
    return LNG_OK;
}

void lng_blob_close(struct lng_blob *blob)
{
    if (blob->name && !blob->data && blob->fd >= 0)
        close(blob->fd);
    lng_free(blob->name);
    *blob = (struct lng_blob){.fd = -1};
}

enum lng_status lng_blob_read(const struct lng_blob *blob, uint64_t offset, void *to, size_t size)
{
    LNG_FAIL_IF(offset > blob->size || size > blob->size - offset, LNG_ERR_FORMAT,
                "%s: expected %zu bytes at offset %" PRIu64 ", but the file has %" PRIu64
                " bytes: it is cut or damaged",
                blob->name, size, offset, blob->size);
    if (blob->data) {
        if (size > 0)
            memcpy(to, blob->data + offset, size);
        return LNG_OK;
    }
    unsigned char *at = to;
    while (size > 0) {
        ssize_t got = pread(blob->fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        LNG_FAIL_IF(got < 0, LNG_ERR_IO, "%s: cannot be read: %s", blob->name, strerror(errno));
        LNG_FAIL_IF(got == 0, LNG_ERR_FORMAT,
                    "%s: ended at offset %" PRIu64 " of %" PRIu64
                    ": it became shorter while it was read",
                    blob->name, offset, blob->size);
        at += got;
        size -= (size_t)got;
        offset += (uint64_t)got;
    }
    return LNG_OK;
}

enum lng_status lng_blob_checksum(const struct lng_blob *blob, uint64_t offset, uint64_t size,
                                  uint64_t *checksum)
{
    enum lng_status status = LNG_OK;
    struct lng_hash *hash = NULL;
    size_t most = size < PIECE ? (size_t)size : PIECE;
    unsigned char *piece = lng_alloc(most, 1);
    if (!piece)
        return LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(lng_hash_open(&hash));
    while (size > 0) {
        size_t count = size < most ? (size_t)size : most;
        LNG_TRY_OR_FAIL(lng_blob_read(blob, offset, piece, count));
        lng_hash_add(hash, piece, count);
        offset += count;
        size -= count;
    }
    *checksum = lng_hash_value(hash);
fail:
    lng_hash_close(hash);
    lng_free(piece);
    return status;
}

enum lng_status lng_blob_read_file(const char *path, size_t limit, struct lng_buffer *content)
{
    struct lng_blob blob;
    content->length = 0;
    LNG_TRY(lng_blob_open(&blob, path));
    enum lng_status status = LNG_OK;
    LNG_GOTO_FAIL_IF(blob.size > limit, LNG_ERR_RANGE, "%s: expected at most %zu bytes, found %llu",
                     path, limit, (unsigned long long)blob.size);
    LNG_TRY_OR_FAIL(lng_buffer_reserve(content, (size_t)blob.size));
    LNG_TRY_OR_FAIL(lng_blob_read(&blob, 0, content->data, (size_t)blob.size));
    content->length = (size_t)blob.size;
    content->data[content->length] = '\0';
fail:
    lng_blob_close(&blob);
    return status;
}

const char *lng_blob_hint(const struct lng_blob *blob)
{
    static const char html[] = ": this is an HTML page, the download went wrong";
    static const struct {
        const char *bytes, *text;
    } known[] = {
        {"version ", ": this is a git-lfs pointer, fetch the file itself with `git lfs pull`"},
        {"<!DOCTYP", html},
        {"<!doctyp", html},
        {"<html", html},
        {"<HTML", html},
        {"PK\3\4", ": this is a zip archive (PyTorch's .bin, or .npz)"},
        {"\x93NUMPY", ": this is a single array (.npy)"},
        {"LNGCKPT1", ": this is a lingster checkpoint"},
    };
    unsigned char start[8] = {0};
    size_t size = blob->size < sizeof start ? (size_t)blob->size : sizeof start;
    if (lng_blob_read(blob, 0, start, size) == LNG_OK)
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if (memcmp(start, known[i].bytes, strlen(known[i].bytes)) == 0)
                return known[i].text;
    return "";
}
