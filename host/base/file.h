/* Files: whole reads, maps, lines (plain, gzip, zstd), writes that happen whole or not at all.
 * Failures are LNG_ERR_IO with the path and the system's reason, unless said otherwise. */
#ifndef LNG_HOST_BASE_FILE_H
#define LNG_HOST_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/base/text.h"

/* ---- paths ---- */

/* "a" + "b" -> "a/b", an absolute `name` stays itself, "" + "b" -> "b". lng_free it; NULL as lng_alloc. */
char *lng_path_join(const char *directory, const char *name) __attribute__((warn_unused_result));
/* The last component, inside `path`; "" when it ends in '/'. */
const char *lng_path_name(const char *path);
/* The folder a path lies in: "." for a bare name, "/" for one in the root. lng_free it. */
char *lng_path_parent(const char *path) __attribute__((warn_unused_result));

struct lng_file_info {
    uint64_t size;
    int64_t modified; /* nanoseconds since 1970 */
    bool directory, regular;
};
LNG_MUST_CHECK enum lng_status lng_file_get_info(const char *path, struct lng_file_info *info);
/* False also when it cannot be looked at. */
bool lng_file_exists(const char *path);
bool lng_directory_exists(const char *path);

/* mkdir -p: fine when it is there already. */
LNG_MUST_CHECK enum lng_status lng_make_directories(const char *path);
/* Removes a file, or a folder with all that is in it (links are not followed). Fine when absent. */
LNG_MUST_CHECK enum lng_status lng_remove_tree(const char *path);

/* ---- reading ---- */

/* The whole file into `content` (cleared first; NUL-terminated). "-" is standard input. More than
 * `limit` bytes is LNG_ERR_RANGE and nothing is kept. */
LNG_MUST_CHECK enum lng_status lng_file_read(const char *path, size_t limit,
                                             struct lng_buffer *content);

/* A file mapped read-only. The size is that at opening: who shrinks a mapped file breaks its readers,
 * so files of ours are only ever replaced (lng_atomic_file). */
struct lng_map {
    const unsigned char *data; /* not NULL, even for an empty file */
    size_t size;
};
LNG_MUST_CHECK enum lng_status lng_map_open(struct lng_map *map, const char *path);
/* Fine on a zeroed or closed map. */
void lng_map_close(struct lng_map *map);

/* ---- lines ---- */

/* One line. data[length] is 0, and there may be NUL bytes before it. Valid until the next call. */
struct lng_line {
    const char *data;
    size_t length;        /* without the newline */
    bool newline;         /* false only for a last line without one */
    bool carriage_return; /* the last byte is '\r'; it is still part of data */
};

struct lng_lines;

/* Opens `path`; "-" is standard input. gzip and zstd, also of several members, are recognised by their
 * first bytes. */
LNG_MUST_CHECK enum lng_status lng_lines_open(const char *path, struct lng_lines **lines);
/* Reads from a descriptor that stays the caller's; `name` is for messages. */
LNG_MUST_CHECK enum lng_status lng_lines_open_fd(int fd, const char *name,
                                                 struct lng_lines **lines);
/* *got = false at the end: an empty file has no line, "a\n" one, "a\n\n" two. A cut or damaged
 * compressed file is LNG_ERR_FORMAT, a line longer than the limit LNG_ERR_RANGE; both name the line. */
LNG_MUST_CHECK enum lng_status lng_lines_next(struct lng_lines *lines, struct lng_line *line,
                                              bool *got);
/* Number of the line read last, from 1; 0 before the first. */
uint64_t lng_lines_number(const struct lng_lines *lines);
/* Longest line accepted, in bytes; 1 GiB unless told. */
void lng_lines_set_limit(struct lng_lines *lines, size_t bytes);
/* For tests: files opened from now on are read in pieces of so many bytes (64 KiB unless told), so that what happens
 * between pieces happens in short files too. Brought into LNG_LINES_LEAST_CHUNK .. 64 KiB. Not while another
 * thread opens files. */
enum { LNG_LINES_LEAST_CHUNK = 16 };
void lng_lines_set_chunk(size_t bytes);
/* From now on each line that is given out is added to `hash` (bytes.h), a newline after it. Borrowed; NULL
 * ends it. */
struct lng_hash;
void lng_lines_set_hash(struct lng_lines *lines, struct lng_hash *hash);
/* NULL is fine. */
void lng_lines_close(struct lng_lines *lines);

/* ---- writing ---- */

/* A file that appears at `path` whole or not at all: written beside it under a name of its own, synced
 * and renamed by lng_atomic_commit. An existing file keeps its mode; a symbolic link is followed; what
 * is not a regular file (/dev/null, a pipe) is written to directly. */
struct lng_atomic_file {
    char *path;      /* where it will be */
    char *temporary; /* where it is now; NULL when written directly */
    char *buffer;
    size_t buffered;
    uint64_t written; /* bytes so far */
    int fd;           /* -1 when not open */
};
/* Also sweeps what dead processes left beside `path`. */
LNG_MUST_CHECK enum lng_status lng_atomic_open(struct lng_atomic_file *file, const char *path);
LNG_MUST_CHECK enum lng_status lng_atomic_write(struct lng_atomic_file *file, const void *data,
                                                size_t size);
/* Flush, fsync, close, rename, fsync of the folder. After a failure nothing is left but the old file;
 * either way the struct is released. */
LNG_MUST_CHECK enum lng_status lng_atomic_commit(struct lng_atomic_file *file);
/* Gives up: the old file stays. Fine after a commit and on a zeroed struct. */
void lng_atomic_discard(struct lng_atomic_file *file);

/* All three in one. */
LNG_MUST_CHECK enum lng_status lng_file_write(const char *path, const void *data, size_t size);

/* The same for a folder: fill `temporary`, then commit syncs every file in it and puts it at `path`,
 * replacing a folder that is there in one step where the file system can (renameat2). */
struct lng_atomic_directory {
    char *path, *temporary;
};
LNG_MUST_CHECK enum lng_status lng_atomic_directory_open(struct lng_atomic_directory *directory,
                                                         const char *path);
LNG_MUST_CHECK enum lng_status lng_atomic_directory_commit(struct lng_atomic_directory *directory);
void lng_atomic_directory_discard(struct lng_atomic_directory *directory);

/* Makes names that came or went beside `path` last: fsync of the folder it lies in. */
LNG_MUST_CHECK enum lng_status lng_sync_parent(const char *path);

/* Removes temporary files and folders in `directory` whose process on this host is dead, or that were
 * not touched for a day. Returns how many; trouble is not reported. */
size_t lng_atomic_sweep(const char *directory);

/* Flushes standard output and reports what went wrong with any write to it so far. Before success is
 * claimed. */
LNG_MUST_CHECK enum lng_status lng_stdout_finish(void);

#endif
