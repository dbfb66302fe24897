/* Files that can be gone on with: after every step, and whatever happened to what lies there. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/resumable.h"
#include "tests/support/check.h"
#include "tests/support/failing_memory.h"
#include "tests/support/scratch.h"

static void no_blocks_left(void)
{
    scratch_remove();
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

TestSuite(resumable, .init = (void (*)(void))scratch_make, .fini = no_blocks_left);

static const char settings[] = "beam-size 4\n";
static const char *const pieces[] = {"one\n", "two two\n", "", "three\n"};
enum { PIECES = 4 };

static enum lng_status try_open(struct lng_resumable *output, const char *name, bool overwrite)
{
    return lng_resumable_open(output, scratch_path(name), lng_slice_of(settings), overwrite);
}

/* Pieces from `from` up to `to`, each committed. Commits come with a rate limit: lifted here. */
static void write_pieces(struct lng_resumable *output, int from, int to)
{
    for (int i = from; i < to; i++) {
        check_ok(lng_resumable_write(output, pieces[i], strlen(pieces[i])));
        output->sync_seconds = 0;
        check_ok(lng_resumable_commit(output, (uint64_t)i + 1, 100 + (uint64_t)i, 7));
    }
}

static void check_whole(const char *name)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got;
    check_ok(lng_lines_open(scratch_path(name), &lines));
    for (int i = 0; i < PIECES; i++) {
        if (*pieces[i] == '\0')
            continue;
        check_ok(lng_lines_next(lines, &line, &got));
        cr_assert(got && strncmp(line.data, pieces[i], line.length) == 0, "%s", line.data);
    }
    check_ok(lng_lines_next(lines, &line, &got));
    cr_assert(!got);
    lng_lines_close(lines);
}

static void append_bytes(const char *name, const char *bytes)
{
    FILE *file = fopen(scratch_path(name), "a");
    cr_assert(file != NULL && fputs(bytes, file) >= 0 && fclose(file) == 0);
}

static void refused(const char *name, enum lng_status status, const char *message)
{
    struct lng_resumable output;
    cr_assert(try_open(&output, name, false) == status, "%s", lng_error_message());
    cr_assert(strstr(lng_error_message(), message) != NULL, "%s", lng_error_message());
}

/* Stops after every piece, with a piece of the next one behind what is committed. */
Test(resumable, interrupted_everywhere)
{
    static const char *const names[] = {"plain", "packed.gz", "packed.zst"};
    for (int n = 0; n < 3; n++) {
        struct lng_buffer unbroken = {0}, broken = {0};
        struct lng_resumable output;
        check_ok(try_open(&output, names[n], false));
        write_pieces(&output, 0, PIECES);
        check_ok(lng_resumable_finish(&output, PIECES, 1, 2));
        lng_resumable_close(&output);
        check_whole(names[n]);
        check_ok(lng_file_read(scratch_path(names[n]), 1000, &unbroken));
        lng_resumable_forget(scratch_path(names[n]));
        for (int done = 0; done <= PIECES; done++) {
            check_ok(try_open(&output, names[n], false));
            cr_assert(!output.finished && (int)output.journal.last.lines == done);
            cr_assert(done == 0 || output.journal.last.input == 99 + (uint64_t)done);
            if (done < PIECES)
                write_pieces(&output, done, done + 1);
            check_ok(lng_resumable_write(&output, "torn", 4));
            lng_resumable_close(&output);
        }
        check_ok(try_open(&output, names[n], false));
        check_ok(lng_resumable_finish(&output, PIECES, 1, 2));
        lng_resumable_close(&output);
        check_ok(lng_file_read(scratch_path(names[n]), 1000, &broken));
        cr_assert(broken.length == unbroken.length &&
                      memcmp(broken.data, unbroken.data, broken.length) == 0,
                  "%s", names[n]);
        lng_resumable_forget(scratch_path(names[n]));
        lng_buffer_release(&unbroken);
        lng_buffer_release(&broken);
    }
    cr_assert(scratch_count() == 3, "only the outputs are left");
}

/* Killed between the end and its name, or after it: nothing more is to be done. */
Test(resumable, finished)
{
    struct lng_resumable output;
    check_ok(try_open(&output, "out", false));
    write_pieces(&output, 0, PIECES);
    check_ok(lng_resumable_finish(&output, PIECES, 1, 2));
    lng_resumable_close(&output);
    check_ok(try_open(&output, "out", false));
    cr_assert(output.finished && output.journal.last.lines == PIECES);
    lng_resumable_close(&output);
    char part[4096];
    snprintf(part, sizeof part, "%s", scratch_path("out.part"));
    cr_assert(rename(scratch_path("out"), part) == 0);
    check_ok(try_open(&output, "out", false));
    cr_assert(output.finished);
    lng_resumable_close(&output);
    check_whole("out");
    cr_assert(!lng_file_exists(part));
    append_bytes("out", "mine\n");
    refused("out", LNG_ERR_MISMATCH, "was changed since it was finished");
    cr_assert(remove(scratch_path("out")) == 0);
    refused("out", LNG_ERR_MISMATCH, "is not there any more");
    check_ok(try_open(&output, "out", true));
    cr_assert(!output.finished && output.journal.last.lines == 0);
    lng_resumable_close(&output);
    cr_assert(scratch_count() == 0, "nothing done, nothing left");
}

static void make_unfinished(void)
{
    struct lng_resumable output;
    check_ok(try_open(&output, "out", true));
    write_pieces(&output, 0, 2);
    lng_resumable_close(&output);
}

Test(resumable, what_is_in_the_way)
{
    struct lng_resumable output;
    make_unfinished();
    cr_assert(lng_resumable_open(&output, scratch_path("out"), lng_slice_of("beam-size 5\n"),
                                 false) == LNG_ERR_MISMATCH);
    cr_assert(strstr(lng_error_message(), "begun with beam-size 4, now it is 5") != NULL);
    scratch_write("out.part", "one\nTwo two\n", 12);
    refused("out", LNG_ERR_MISMATCH, "was changed since it was written");
    scratch_write("out.part", "one\n", 4);
    refused("out", LNG_ERR_MISMATCH, "has only 4 of the 12 bytes");
    cr_assert(remove(scratch_path("out.part")) == 0);
    refused("out", LNG_ERR_MISMATCH, "out.part is missing");
    scratch_write("out.part", "one\ntwo two\n", 12);
    check_ok(try_open(&output, "out", false));
    cr_assert(output.journal.last.lines == 2, "put back as it was");
    lng_resumable_close(&output);
    scratch_write("out.progress", "my notes\n", 9);
    refused("out", LNG_ERR_FORMAT, "it is no journal of this lingster");
    cr_assert(remove(scratch_path("out.progress")) == 0);
    refused("out", LNG_ERR_MISMATCH, "out.part is in the way");
    cr_assert(!lng_file_exists(scratch_path("out.progress")), "a refusal leaves nothing");
    scratch_write("out.progress", "lingster journal 1 00", 21);
    refused("out", LNG_ERR_FORMAT, "is damaged from byte 0 on");
    cr_assert(remove(scratch_path("out.part")) == 0);
    check_ok(try_open(&output, "out", false)); /* torn at its birth */
    lng_resumable_close(&output);
    cr_assert(mkdir(scratch_path("folder"), 0777) == 0);
    refused("folder", LNG_ERR_USAGE, "it is a folder");
    refused("no/where", LNG_ERR_IO, "no/where");
    cr_assert(mkdir(scratch_path("x.part"), 0777) == 0);
    refused("x", LNG_ERR_IO, "x.part is not a regular file");
}

/* Damage at the end of the journal costs work, not truth. */
Test(resumable, journal_cut)
{
    struct lng_resumable output;
    make_unfinished();
    struct lng_file_info info;
    check_ok(lng_file_get_info(scratch_path("out.progress"), &info));
    cr_assert(truncate(scratch_path("out.progress"), (off_t)info.size - 3) == 0);
    check_ok(try_open(&output, "out", false));
    cr_assert(output.journal.last.lines == 1 && output.bytes == 4 && output.undone > 0);
    write_pieces(&output, 1, PIECES);
    check_ok(lng_resumable_finish(&output, PIECES, 1, 2));
    lng_resumable_close(&output);
    check_whole("out");
}

Test(resumable, one_process_at_a_time)
{
    struct lng_resumable output;
    check_ok(try_open(&output, "out", false));
    refused("out", LNG_ERR_IO, "another process is at work");
    struct lng_resumable second;
    cr_assert(try_open(&second, "out", true) == LNG_ERR_IO, "--overwrite does not break the lock");
    write_pieces(&output, 0, PIECES);
    check_ok(lng_resumable_finish(&output, PIECES, 1, 2));
    lng_resumable_close(&output);
    check_whole("out");
}

Test(resumable, links_and_modes)
{
    struct lng_resumable output;
    scratch_write("real", "old\n", 4);
    struct stat found;
    cr_assert(chmod(scratch_path("real"), 0440) == 0);
    cr_assert(symlink("real", scratch_path("link")) == 0);
    check_ok(try_open(&output, "link", false));
    cr_assert(stat(scratch_path("real.part"), &found) == 0 && (found.st_mode & 0777) == 0640,
              "part can be opened again to go on");
    write_pieces(&output, 0, PIECES);
    check_ok(lng_resumable_finish(&output, PIECES, 1, 2));
    lng_resumable_close(&output);
    lng_resumable_forget(scratch_path("link"));
    cr_assert(lstat(scratch_path("link"), &found) == 0 && S_ISLNK(found.st_mode));
    cr_assert(stat(scratch_path("real"), &found) == 0 && (found.st_mode & 0777) == 0440);
    check_whole("real");
    cr_assert(scratch_count() == 2);
}

Test(resumable, full_disk)
{
    struct lng_resumable output;
    struct rlimit limit = {1000, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    check_ok(try_open(&output, "out", false));
    write_pieces(&output, 0, 2);
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    char large[2000] = {0};
    cr_assert(lng_resumable_write(&output, large, sizeof large) == LNG_ERR_IO);
    cr_assert(strstr(lng_error_message(), "the same command goes on") != NULL);
    lng_resumable_close(&output);
    check_ok(try_open(&output, "out", false));
    cr_assert(output.journal.last.lines == 2 && output.bytes == 12);
    write_pieces(&output, 2, PIECES);
    check_ok(lng_resumable_finish(&output, PIECES, 1, 2));
    lng_resumable_close(&output);
    check_whole("out");
}

/* Nothing leaks and nothing is lost, whichever allocation fails. */
Test(resumable, out_of_memory)
{
    make_unfinished();
    struct failing_memory memory = {0};
    while (failing_memory_try(&memory)) {
        struct lng_resumable output = {.part_fd = -1, .progress_fd = -1};
        failing_memory_check(&memory, try_open(&output, "out", false));
        cr_assert(!memory.done || output.journal.last.lines == 2);
        lng_resumable_close(&output);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* No lines at all. */
Test(resumable, empty_output)
{
    static const char *const names[] = {"plain", "packed.gz", "packed.zst"};
    for (int i = 0; i < 3; i++) {
        struct lng_resumable output;
        struct lng_file_info info;
        check_ok(try_open(&output, names[i], false));
        check_ok(lng_resumable_finish(&output, 0, 0, 0));
        lng_resumable_close(&output);
        check_ok(lng_file_get_info(scratch_path(names[i]), &info));
        cr_assert((info.size > 0) == (i > 0), "an empty packed file is one empty piece");
        check_ok(try_open(&output, names[i], false));
        cr_assert(output.finished);
        lng_resumable_close(&output);
    }
}
