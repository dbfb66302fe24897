/* The journal of a long piece of work whose output grows in a file: what was asked for, and how far it has
 * come. Text, one entry a line, each ended by a checksum of the file up to there:
 *
 *   lingster journal 1 CHECK
 *   set NAME VALUE CHECK              what the work depends on; any number of lines
 *   begin CHECK
 *   at LINES INPUT SECOND BYTES OUTPUT CHECK     numbers decimal, checksums 16 hexadecimal digits
 *   end LINES INPUT SECOND BYTES OUTPUT CHECK    the output is whole
 *
 * It is only ever appended to and synced, so what a crash leaves is whole lines and a part of one. What
 * follows the first line that does not hold is not believed; less is then known to be done, nothing is
 * known wrongly. */
#ifndef LNG_HOST_STORE_JOURNAL_H
#define LNG_HOST_STORE_JOURNAL_H

#include <stdbool.h>

#include "host/base/bytes.h"
#include "host/base/text.h"

struct lng_journal_entry {
    bool finished;
    uint64_t lines;  /* of the input that are done */
    uint64_t input;  /* checksum of these lines, a newline after each */
    uint64_t second; /* the same of a second input that goes with the first; 0 = none */
    uint64_t bytes;  /* of the output that they became */
    uint64_t output; /* checksum of these bytes */
};

struct lng_journal {
    const char *name;              /* for messages; borrowed */
    int fd;                        /* borrowed; read and write */
    bool begun;                    /* settings are whole */
    bool ours;                     /* empty, or starts as a journal does */
    struct lng_buffer settings;    /* "NAME VALUE\n" each */
    struct lng_journal_entry last; /* zeros where there is none */
    uint64_t size, dropped;        /* bytes that hold, and bytes after them */
    struct lng_hash *hash;         /* of the bytes that hold */
};

/* Reads what is there, from the start of `fd`; changes nothing. LNG_ERR_IO or LNG_ERR_MEMORY; what is no
 * journal is no error, see `ours` and `begun`. Release in any case. */
LNG_MUST_CHECK enum lng_status lng_journal_read(struct lng_journal *journal, int fd,
                                                const char *name);
/* Starts anew: drops all and writes the settings, as above. Values hold no newline. */
LNG_MUST_CHECK enum lng_status lng_journal_begin(struct lng_journal *journal,
                                                 struct lng_slice settings);
/* Adds an entry and waits until it is on disk. What it speaks of must be there already. */
LNG_MUST_CHECK enum lng_status lng_journal_append(struct lng_journal *journal,
                                                  const struct lng_journal_entry *entry);
/* LNG_ERR_MISMATCH naming the first setting in which the journal differs from `settings`. */
LNG_MUST_CHECK enum lng_status lng_journal_check_settings(const struct lng_journal *journal,
                                                          struct lng_slice settings);
/* Fine on a zeroed one; the descriptor stays open. */
void lng_journal_release(struct lng_journal *journal);

#endif
