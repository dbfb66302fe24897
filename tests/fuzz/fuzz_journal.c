/* libFuzzer target: journals of interrupted work. What holds can be appended to, and is then read back. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/store/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append_and_read_back(struct lng_journal *journal, int fd)
{
    struct lng_journal again;
    struct lng_journal_entry entry = journal->last;
    entry.finished = true;
    if (lng_journal_append(journal, &entry) != LNG_OK)
        abort();
    if (lng_journal_read(&again, fd, "fuzz") != LNG_OK || !again.last.finished ||
        again.size != journal->size || again.dropped != 0 ||
        again.settings.length != journal->settings.length)
        abort();
    lng_journal_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lng_journal journal;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (lng_journal_read(&journal, fd, "fuzz") == LNG_OK) {
        if (journal.size + journal.dropped != size || (journal.begun && !journal.ours) ||
            (!journal.begun && journal.last.lines != 0))
            abort();
        if (journal.begun && !journal.last.finished)
            append_and_read_back(&journal, fd);
    }
    lng_journal_release(&journal);
    close(fd);
    return 0;
}
