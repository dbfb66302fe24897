/* Journals: what was written is read; what was cut, changed or is somebody else's is never believed. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/journal.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

static void no_blocks_left(void)
{
    scratch_remove();
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

TestSuite(journal, .init = (void (*)(void))scratch_make, .fini = no_blocks_left);

static const char settings[] = "beam-size 4\nmodel/a%20b.json 0123\nempty \n";
enum { ENTRIES = 3 };
static const struct lng_journal_entry entries[ENTRIES] = {
    {false, 10, 0x1111, 0, 100, 0x2222},
    {false, 25, 0xFEDCBA9876543210, 7, 250, 0x3333},
    {true, 26, 0x4444, 8, UINT64_MAX, 0x5555},
};

static int open_file(const char *name)
{
    int fd = open(scratch_path(name), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    cr_assert(fd >= 0);
    return fd;
}

static struct lng_slice setting_slice(void)
{
    return lng_slice_of(settings);
}

/* A journal with all entries in the file "j", and its bytes. */
static void make(struct lng_buffer *bytes)
{
    struct lng_journal journal;
    int fd = open_file("j");
    check_ok(lng_journal_read(&journal, fd, "j"));
    cr_assert(journal.ours && !journal.begun && journal.size == 0);
    check_ok(lng_journal_begin(&journal, setting_slice()));
    for (int i = 0; i < ENTRIES; i++)
        check_ok(lng_journal_append(&journal, &entries[i]));
    lng_journal_release(&journal);
    close(fd);
    check_ok(lng_file_read(scratch_path("j"), 1 << 20, bytes));
}

static bool same_entry(const struct lng_journal_entry *a, const struct lng_journal_entry *b)
{
    return a->finished == b->finished && a->lines == b->lines && a->input == b->input &&
           a->second == b->second && a->bytes == b->bytes && a->output == b->output;
}

/* Reads these bytes as a journal. */
static void read_bytes(struct lng_journal *journal, int *fd, const void *bytes, size_t size)
{
    scratch_write("read", bytes, size);
    *fd = open_file("read");
    check_ok(lng_journal_read(journal, *fd, "read"));
}

Test(journal, round_trip)
{
    struct lng_buffer bytes = {0};
    struct lng_journal journal;
    int fd;
    make(&bytes);
    read_bytes(&journal, &fd, bytes.data, bytes.length);
    cr_assert(journal.begun && journal.ours && journal.dropped == 0);
    cr_assert(journal.size == bytes.length);
    cr_assert(same_entry(&journal.last, &entries[ENTRIES - 1]));
    cr_assert_str_eq(journal.settings.data, settings);
    check_ok(lng_journal_check_settings(&journal, setting_slice()));
    /* what follows the end of the output is nothing */
    check_ok(lng_journal_append(&journal, &entries[1]));
    lng_journal_release(&journal);
    check_ok(lng_journal_read(&journal, fd, "read"));
    cr_assert(journal.last.finished && journal.dropped > 0);
    lng_journal_release(&journal);
    close(fd);
    lng_buffer_release(&bytes);
}

/* Cut anywhere it holds as many entries as are whole, and new ones go in place of the rest. */
Test(journal, truncated)
{
    struct lng_buffer bytes = {0};
    make(&bytes);
    for (size_t size = 0; size <= bytes.length; size++) {
        struct lng_journal journal;
        int fd, whole = 0;
        read_bytes(&journal, &fd, bytes.data, size);
        size_t newlines = 0;
        for (size_t i = 0; i < size; i++)
            newlines += bytes.data[i] == '\n';
        whole = newlines > 5 ? (int)newlines - 5 : 0;
        cr_assert(journal.ours, "at %zu", size);
        cr_assert(journal.begun == (newlines >= 5), "at %zu", size);
        cr_assert(journal.size + journal.dropped == size);
        struct lng_journal_entry none = {0};
        cr_assert(same_entry(&journal.last, whole > 0 ? &entries[whole - 1] : &none), "at %zu",
                  size);
        if (journal.begun && whole < ENTRIES) {
            check_ok(lng_journal_append(&journal, &entries[whole]));
            lng_journal_release(&journal);
            check_ok(lng_journal_read(&journal, fd, "read"));
            cr_assert(same_entry(&journal.last, &entries[whole]) && journal.dropped == 0);
        }
        lng_journal_release(&journal);
        close(fd);
    }
    lng_buffer_release(&bytes);
}

/* One bit changed anywhere: what comes from there on is not believed, what came before is. */
Test(journal, bits_flipped)
{
    struct lng_buffer bytes = {0};
    make(&bytes);
    for (size_t bit = 0; bit < 8 * bytes.length; bit++) {
        struct lng_journal journal;
        int fd;
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        read_bytes(&journal, &fd, bytes.data, bytes.length);
        cr_assert(journal.size <= bit / 8, "bit %zu: %llu bytes hold", bit,
                  (unsigned long long)journal.size);
        int whole = -5;
        for (size_t i = 0; i < journal.size; i++)
            whole += bytes.data[i] == '\n';
        cr_assert(whole < ENTRIES);
        cr_assert(whole <= 0 || same_entry(&journal.last, &entries[whole - 1]), "bit %zu", bit);
        lng_journal_release(&journal);
        close(fd);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
    lng_buffer_release(&bytes);
}

Test(journal, foreign)
{
    static const char *const texts[] = {
        "hello\n", "lingster journal 2 0123456789abcdef\n", "lingster journa1", "\x1F\x8B\x08",
        "\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct lng_journal journal;
        int fd;
        read_bytes(&journal, &fd, texts[i], strlen(texts[i]));
        cr_assert(!journal.ours && !journal.begun && journal.size == 0, "text %zu", i);
        lng_journal_release(&journal);
        close(fd);
    }
    /* A line of two megabytes, a file of zeros: read in bounded memory, nothing taken. */
    struct lng_buffer big = {0};
    check_ok(lng_buffer_append_text(&big, "lingster journal 1"));
    while (big.length < 2 << 20)
        check_ok(lng_buffer_append_text(&big, " 0123456789abcdef"));
    struct lng_journal journal;
    int fd;
    read_bytes(&journal, &fd, big.data, big.length);
    cr_assert(journal.ours && !journal.begun && journal.dropped == big.length);
    lng_journal_release(&journal);
    close(fd);
    lng_buffer_release(&big);
}

/* Entries go forward only, even with good checksums. */
Test(journal, backwards)
{
    struct lng_journal journal;
    int fd = open_file("j");
    check_ok(lng_journal_read(&journal, fd, "j"));
    check_ok(lng_journal_begin(&journal, setting_slice()));
    check_ok(lng_journal_append(&journal, &entries[1]));
    check_ok(lng_journal_append(&journal, &entries[0]));
    lng_journal_release(&journal);
    check_ok(lng_journal_read(&journal, fd, "j"));
    cr_assert(same_entry(&journal.last, &entries[1]) && journal.dropped > 0);
    lng_journal_release(&journal);
    close(fd);
}

Test(journal, settings_differ)
{
    static const struct {
        const char *now, *message;
    } cases[] = {
        {"beam-size 5\nmodel/a%20b.json 0123\nempty \n", "beam-size 4, now it is 5"},
        {"beam-size 4\nempty \n", "model/a%20b.json 0123, now it is nothing"},
        {"beam-size 4\nmodel/a%20b.json 0123\nempty \nnew 1\n", "new nothing, now it is 1"},
        {"beam-size 4\nmodel/a%20b.json 0123\nempty x\n", "empty , now it is x"},
        {"", "beam-size 4, now it is nothing"},
    };
    struct lng_journal journal;
    int fd = open_file("j");
    check_ok(lng_journal_read(&journal, fd, "j"));
    check_ok(lng_journal_begin(&journal, setting_slice()));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert(lng_journal_check_settings(&journal, lng_slice_of(cases[i].now)) ==
                  LNG_ERR_MISMATCH);
        cr_assert(strstr(lng_error_message(), cases[i].message) != NULL, "%s", lng_error_message());
    }
    /* begun anew with others */
    check_ok(lng_journal_begin(&journal, lng_slice_of(cases[0].now)));
    lng_journal_release(&journal);
    check_ok(lng_journal_read(&journal, fd, "j"));
    cr_assert_str_eq(journal.settings.data, cases[0].now);
    cr_assert(journal.last.lines == 0 && journal.dropped == 0);
    lng_journal_release(&journal);
    close(fd);
}

Test(journal, cannot_be_written)
{
    struct lng_journal journal;
    scratch_write("j", "", 0);
    int fd = open(scratch_path("j"), O_RDONLY | O_CLOEXEC);
    check_ok(lng_journal_read(&journal, fd, "j"));
    cr_assert(lng_journal_begin(&journal, setting_slice()) == LNG_ERR_IO);
    cr_assert(strstr(lng_error_message(), "cannot write j") != NULL);
    lng_journal_release(&journal);
    close(fd);
}
