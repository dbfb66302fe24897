/* Bytes of a regular file, or of memory, read at any place within bounds. Nothing is mapped: a file
 * that shrinks while it is read is an error, not a signal. */
#ifndef LNG_HOST_STORE_BLOB_H
#define LNG_HOST_STORE_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/base/text.h"

struct lng_blob {
    char *name;                /* for messages; owned */
    const unsigned char *data; /* memory, borrowed; NULL for a file */
    uint64_t size;
    int fd; /* -1 for memory */
};

/* LNG_ERR_IO when it cannot be opened or is not a regular file (folders, pipes and devices are refused
 * without waiting for them). */
LNG_MUST_CHECK enum lng_status lng_blob_open(struct lng_blob *blob, const char *path);
/* `data` must outlive the blob. */
LNG_MUST_CHECK enum lng_status lng_blob_open_memory(struct lng_blob *blob, const char *name,
                                                    const void *data, size_t size);
/* Fine on a zeroed or closed blob. */
void lng_blob_close(struct lng_blob *blob);

/* Bytes [offset, offset + size). LNG_ERR_FORMAT past the end or when the file shrank, LNG_ERR_IO. */
LNG_MUST_CHECK enum lng_status lng_blob_read(const struct lng_blob *blob, uint64_t offset, void *to,
                                             size_t size);
/* The whole file, NUL-terminated, into `content` (cleared first). More than `limit` bytes is
 * LNG_ERR_RANGE. Unlike lng_file_read it refuses pipes and devices. */
LNG_MUST_CHECK enum lng_status lng_blob_read_file(const char *path, size_t limit,
                                                  struct lng_buffer *content);
/* XXH3 of bytes [offset, offset + size), read in pieces. */
LNG_MUST_CHECK enum lng_status lng_blob_checksum(const struct lng_blob *blob, uint64_t offset,
                                                 uint64_t size, uint64_t *checksum);
/* ": this is ..." when the first bytes are those of something else that people save under a model's
 * name by mistake (an HTML page, a git-lfs pointer, a zip archive), "" otherwise. */
const char *lng_blob_hint(const struct lng_blob *blob);

#endif
