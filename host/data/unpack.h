/* Text files opened for random access, whatever they are packed in.
 *
 * Plain regular files are read where they lie. gzip and zstd (known by their first bytes) are
 * unpacked once into the cache folder, `NAME-<digest of place, size and time>.txt`, and found
 * there the next time. What is no regular file (a pipe, "-" for standard input) is copied to a
 * file that has no name any more once it is open. */
#ifndef LNG_HOST_DATA_UNPACK_H
#define LNG_HOST_DATA_UNPACK_H

#include "host/base/status.h"

/* *fd is the caller's to close; it reads plain text. cache_directory is made when needed; NULL =
 * nameless files in $TMPDIR or /tmp. LNG_ERR_IO; LNG_ERR_FORMAT for a cut or damaged compressed
 * file. */
LNG_MUST_CHECK enum lng_status lng_unpack_open(const char *path, const char *cache_directory,
                                               int *fd);

#endif
