/* A file whose making can be interrupted at any moment and gone on with: NAME.part grows, NAME.progress
 * (journal.h) says how far it is good, and when all is there NAME.part becomes NAME. The same bytes come out
 * however often it was interrupted.
 *
 * What is in the way of going on is an error that says so, never a reason to lose what is there: other
 * settings, a journal that is damaged or somebody else's, NAME.part changed or missing, another process at
 * work on it. `overwrite` starts anew whatever is there, but for the other process. */
#ifndef LNG_HOST_STORE_RESUMABLE_H
#define LNG_HOST_STORE_RESUMABLE_H

#include "host/base/pack.h"
#include "host/store/journal.h"

struct lng_resumable {
    char *path, *part, *progress; /* path: links followed */
    enum lng_packing packing;     /* by the name of the path */
    int part_fd, progress_fd;     /* -1 when not open */
    struct lng_journal journal;   /* journal.last is where it goes on */
    struct lng_hash *hash;        /* of the bytes in part */
    struct lng_buffer packed;
    uint64_t bytes;  /* in part */
    bool finished;   /* path was whole before this was opened: there is nothing to do */
    uint64_t undone; /* bytes of the journal that did not hold and were dropped */
    double synced, sync_seconds;
    unsigned mode; /* of the file that is replaced */
    bool has_mode;
};

/* Takes hold of the output, or of the unfinished one; a new journal gets the settings. Nothing is changed
 * before all is found good. LNG_ERR_USAGE for a folder, LNG_ERR_MISMATCH and LNG_ERR_FORMAT as above. */
LNG_MUST_CHECK enum lng_status lng_resumable_open(struct lng_resumable *output, const char *path,
                                                  struct lng_slice settings, bool overwrite);
/* Appends: a piece is packed by itself. After a failure only close is allowed. */
LNG_MUST_CHECK enum lng_status lng_resumable_write(struct lng_resumable *output, const void *piece,
                                                   size_t size);
/* All that was written so far came of so many lines with these checksums. Puts it on disk, unless that
 * would come to more than a twentieth of the time. */
LNG_MUST_CHECK enum lng_status lng_resumable_commit(struct lng_resumable *output, uint64_t lines,
                                                    uint64_t input, uint64_t second);
/* The same, and that it is all: path is there after this. The journal stays until lng_resumable_forget. */
LNG_MUST_CHECK enum lng_status lng_resumable_finish(struct lng_resumable *output, uint64_t lines,
                                                    uint64_t input, uint64_t second);
/* Leaves what it takes to go on, and nothing where no line is done. Fine on a zeroed or closed one. */
void lng_resumable_close(struct lng_resumable *output);
/* Removes the journal of a finished output; fine when there is none. */
void lng_resumable_forget(const char *path);

#endif
