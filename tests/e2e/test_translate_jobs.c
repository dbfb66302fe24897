/* Jobs of lingster translate: interrupted anywhere and gone on with, refused where that would be wrong, and
 * many files at once. LNG_TEST_JOB_LINES sets how long the job is that is killed. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/philox.h"
#include "host/base/text.h"
#include "host/store/journal.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

enum { MOST_WORDS = 40 };

static void set_up(void)
{
    scratch_make();
    save_words_model(scratch_path("model"));
}

TestSuite(translate_jobs, .init = set_up, .fini = scratch_remove);

/* ---- running ---- */

static const char common[] = "translate -m @model --device cpu --threads 1 --max-length-factor 2";

/* "translate ..." with `more`; @ stands for the scratch folder. The words, ended by NULL, are static. */
static const char *const *words_of(const char *more)
{
    static char all[8192];
    static const char *words[MOST_WORDS + 1];
    size_t used = 0, count = 0;
    for (int part = 0; part < 2; part++) {
        for (const char *c = part == 0 ? common : more; *c != '\0'; c++)
            if (*c == '@')
                used += (size_t)snprintf(all + used, 512, "%s", scratch_path(""));
            else
                all[used++] = *c;
        all[used++] = ' ';
    }
    all[used] = '\0';
    for (char *rest = all, *word; (word = strsep(&rest, " ")) != NULL && count < MOST_WORDS;)
        if (*word != '\0')
            words[count++] = word;
    words[count] = NULL;
    return words;
}

static void run_input(const char *more, const char *input, int status, const char *message)
{
    struct program p;
    program_run_arguments(&p, words_of(more), input, input ? strlen(input) : 0, NULL);
    cr_assert(p.status == status, "%s: status %d: %s", more, p.status, p.err);
    cr_assert(strstr(p.err, message) != NULL, "%s: no '%s' in: %s", more, message, p.err);
    program_release(&p);
}

static void run(const char *more, int status, const char *message)
{
    run_input(more, NULL, status, message);
}

static off_t size_of(const char *name)
{
    struct stat found;
    return stat(scratch_path(name), &found) == 0 ? found.st_size : -1;
}

static void read_file(const char *name, struct lng_buffer *content)
{
    check_ok(lng_file_read(scratch_path(name), 1 << 30, content));
}

static void same_files(const char *a, const char *b)
{
    struct lng_buffer first = {0}, second = {0};
    read_file(a, &first);
    read_file(b, &second);
    cr_assert(first.length == second.length && memcmp(first.data, second.data, first.length) == 0,
              "%s and %s differ", a, b);
    lng_buffer_release(&first);
    lng_buffer_release(&second);
}

static void same_unpacked(const char *packed, const char *plain)
{
    struct lng_lines *a, *b;
    struct lng_line x, y;
    bool got_a = true, got_b = true;
    check_ok(lng_lines_open(scratch_path(packed), &a));
    check_ok(lng_lines_open(scratch_path(plain), &b));
    while (got_a && got_b) {
        check_ok(lng_lines_next(a, &x, &got_a));
        check_ok(lng_lines_next(b, &y, &got_b));
        cr_assert(got_a == got_b);
        cr_assert(!got_a || (x.length == y.length && memcmp(x.data, y.data, x.length) == 0));
    }
    lng_lines_close(a);
    lng_lines_close(b);
}

/* Lines of 0 to 7 words; few of them come twice. */
static void write_text(const char *name, int lines, uint32_t seed)
{
    struct lng_buffer text = {0};
    for (int i = 0; i < lines; i++) {
        struct lng_philox r = lng_philox4x32((uint32_t)i, 0, 0, 0, seed, 1);
        for (uint32_t w = 0; w < r.word[0] % 8; w++)
            check_ok(lng_buffer_append_format(&text, "%c ", 'a' + (int)(r.word[1] >> 3 * w) % 16));
        check_ok(lng_buffer_append_byte(&text, '\n'));
    }
    scratch_write(name, text.data, text.length);
    lng_buffer_release(&text);
}

/* Whether the journal of this part speaks of any line; a commit may be late where syncing is slow. */
static bool is_committed(const char *part)
{
    char name[256];
    struct lng_buffer journal = {0};
    snprintf(name, sizeof name, "%.*s.progress", (int)(strlen(part) - strlen(".part")), part);
    bool committed = size_of(part) >= 0 &&
                     lng_file_read(scratch_path(name), 1 << 20, &journal) == LNG_OK &&
                     journal.data != NULL && strstr(journal.data, "\nat ") != NULL;
    lng_buffer_release(&journal);
    return committed;
}

static bool has_come_to(const char *part, off_t bytes)
{
    return size_of(part) >= bytes && is_committed(part);
}

/* Feeds the text to the job through `to`, but for its last line, so that it cannot come to an end; sends it
 * the signal as soon as `part` has so many bytes. */
static void feed_and_interrupt(int pid, int to, const char *text_name, const char *part,
                               off_t bytes, int number)
{
    struct lng_buffer text = {0};
    size_t fed = 0;
    read_file(text_name, &text);
    while (text.data[text.length - 2] != '\n')
        text.length--;
    text.length--;
    fcntl(to, F_SETFL, O_NONBLOCK);
    for (int waited = 0; !has_come_to(part, bytes) && waited < 60000; waited++) {
        ssize_t n = write(to, text.data + fed, text.length - fed);
        fed += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            usleep(500);
    }
    cr_assert(has_come_to(part, bytes), "%s has only %lld bytes", part, (long long)size_of(part));
    kill(pid, number);
    close(to); /* an end of the input that comes with a signal is none */
    int status = program_wait(pid);
    cr_assert(status == (number == SIGKILL ? 128 + SIGKILL : 1), "status %d", status);
    lng_buffer_release(&text);
}

/* Starts the job on the file "text" and interrupts it. */
static void interrupt_at(const char *more, const char *part, off_t bytes, int number)
{
    int in[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    cr_assert(pipe2(in, O_CLOEXEC) == 0 && null >= 0);
    int pid = program_start(words_of(more), NULL, in[0], null, null);
    close(in[0]);
    close(null);
    feed_and_interrupt(pid, in[1], "text", part, bytes, number);
}

/* ---- interrupted ---- */

static int job_lines(void)
{
    const char *text = getenv("LNG_TEST_JOB_LINES");
    return text != NULL ? atoi(text) : 4000;
}

/* At three moments, drawn by chance, each later than the one before. */
static void kill_and_resume(const char *more, const char *out, const char *whole, int number,
                            uint32_t seed)
{
    char part[64], from_file[256];
    off_t total = size_of(whole);
    snprintf(part, sizeof part, "%s.part", out);
    snprintf(from_file, sizeof from_file, "-i @text %s", more);
    struct lng_philox r = lng_philox4x32(0, 0, 0, 0, seed, 2);
    for (int i = 0; i < 3; i++) {
        off_t before = size_of(part) > 0 ? size_of(part) : 0;
        interrupt_at(more, part, before + 1 + (off_t)(r.word[i] % (uint32_t)(total / 5)), number);
        cr_assert(size_of(out) < 0 && size_of(part) > before, "not there before it is whole");
    }
    run(from_file, 0, "going on after line");
    same_files(out, whole);
    cr_assert(size_of(part) < 0);
}

Test(translate_jobs, killed_three_times)
{
    write_text("text", job_lines(), 1);
    run("-i @text -o @whole --window 100", 0, "translated");
    kill_and_resume("-o @killed --window 100", "killed", "whole", SIGKILL, 1);
    cr_assert(size_of("whole.progress") < 0 && size_of("killed.progress") < 0);
}

Test(translate_jobs, every_signal_and_packing)
{
    write_text("text", 1500, 2);
    run("-i @text -o @plain --json --alignment hard", 0, "translated");
    run("-i @text -o @whole.gz --json --alignment hard --window 50", 0, "translated");
    run("-i @text -o @whole.zst --json --alignment hard --window 50", 0, "translated");
    kill_and_resume("-o @a.gz --json --alignment hard --window 50", "a.gz", "whole.gz", SIGTERM, 2);
    kill_and_resume("-o @a.zst --json --alignment hard --window 50", "a.zst", "whole.zst", SIGKILL,
                    3);
    kill_and_resume("-o @a --json --alignment hard --window 70", "a", "plain", SIGINT, 4);
    same_unpacked("a.gz", "plain");
    same_unpacked("a.zst", "plain");
    run("-i @text -o @a.gz --json --alignment hard --window 50", 0, "translated");
    same_files("a.gz", "whole.gz"); /* anew, over what is there */
}

/* No settings of speed are a part of what was begun; with prefixes, and from a pipe. */
Test(translate_jobs, gone_on_with_otherwise)
{
    write_text("text", 1500, 3);
    write_text("prefixes", 1500, 4);
    run("-i @text --prefix @prefixes -o @whole --n-best 2", 0, "translated");
    interrupt_at("--prefix @prefixes -o @out --n-best 2 --window 50", "out.part", 5000, SIGKILL);
    run("-i @text -o @out --n-best 2", 1, "prefixes given, now it is none");
    struct lng_buffer text = {0};
    read_file("text", &text);
    run_input("--prefix @prefixes -o @out --n-best 2 --window 70 --batch-tokens 100 --quiet "
              "--repeat-cache 0",
              text.data, 0, "");
    same_files("out", "whole");
    lng_buffer_release(&text);
}

Test(translate_jobs, full_disk)
{
    struct rlimit limit = {9000, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
    write_text("text", 1500, 5);
    run("-i @text -o @whole", 0, "translated");
    cr_assert(size_of("whole") > 9000);
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    run("-i @text -o @out --window 50", 1, "the same command goes on");
    run("-i @text -o @out --window 50", 1, "the same command goes on");
    cr_assert(setrlimit(RLIMIT_FSIZE, &none) == 0);
    run("-i @text -o @out --window 50", 0, "going on after line");
    same_files("out", "whole");
}

/* ---- refused ---- */

static const char begun[] = "-i @text -o @out --window 50";

/* 500 lines or more are done, and what was written after the last commit is cut off: going on does that
 * before it looks at the input. */
static void begin(void)
{
    write_text("text", 1500, 6);
    interrupt_at("-o @out --window 500", "out.part", 5000, SIGKILL);
    struct lng_journal journal;
    int fd = open(scratch_path("out.progress"), O_RDWR | O_CLOEXEC);
    check_ok(lng_journal_read(&journal, fd, "out.progress"));
    cr_assert(journal.last.lines >= 500);
    cr_assert(truncate(scratch_path("out.part"), (off_t)journal.last.bytes) == 0);
    cr_assert(ftruncate(fd, (off_t)journal.size) == 0);
    lng_journal_release(&journal);
    close(fd);
}

/* The unfinished job is as it was, and the message says what is wrong. */
static void refused(const char *more, const char *message)
{
    off_t part = size_of("out.part"), progress = size_of("out.progress");
    run(more, 1, message);
    cr_assert(size_of("out.part") == part && size_of("out.progress") == progress);
    cr_assert(size_of("out") < 0);
}

Test(translate_jobs, other_settings)
{
    begin();
    refused("-i @text -o @out --beam-size 2", "beam-size 4, now it is 2");
    refused("-i @text -o @out --json", "json false, now it is true");
    refused("-i @text -o @out --max-segment 20", "max-segment 256, now it is 20");
    refused("-i @text -o @out --device ref", "device cpu, now it is ref");
    struct lng_buffer config = {0};
    read_file("model/generation_config.json", &config);
    check_ok(lng_buffer_append_byte(&config, '\n'));
    scratch_write("model/generation_config.json", config.data, config.length);
    refused(begun, "model/generation_config.json");
    config.length--;
    scratch_write("model/generation_config.json", config.data, config.length);
    scratch_write("model/README.md", "hello\n", 6);
    run(begun, 0, "going on after line");
    lng_buffer_release(&config);
}

Test(translate_jobs, changed_files)
{
    begin();
    struct lng_buffer text = {0}, part = {0};
    read_file("text", &text);
    read_file("out.part", &part);
    scratch_write("text", text.data, 500);
    refused(begun, "of it were translated: it was changed since");
    text.data[10] ^= 3;
    scratch_write("text", text.data, text.length);
    refused(begun, "were changed since they were translated");
    text.data[10] ^= 3;
    scratch_write("text", text.data, text.length);
    part.data[100] ^= 1;
    scratch_write("out.part", part.data, part.length);
    refused(begun, "out.part was changed since it was written");
    scratch_write("out.part", part.data, 99);
    refused(begun, "has only 99 of the");
    cr_assert(remove(scratch_path("out.part")) == 0);
    refused(begun, "out.part is missing");
    part.data[100] ^= 1;
    scratch_write("out.part", part.data, part.length);
    /* What is not translated yet may change: the result is that of the text as it is now. */
    check_ok(lng_buffer_append_text(&text, "a b c\nd e f\n"));
    scratch_write("text", text.data, text.length);
    run(begun, 0, "going on after line");
    run("-i @text -o @whole", 0, "translated");
    same_files("out", "whole");
    lng_buffer_release(&text);
    lng_buffer_release(&part);
}

/* Whatever is wrong with the journal, the result is right or there is none. */
Test(translate_jobs, damaged_journal)
{
    begin();
    run("-i @text -o @whole", 0, "translated");
    struct lng_buffer journal = {0}, part = {0};
    read_file("out.progress", &journal);
    read_file("out.part", &part);
    for (int i = 0; i < 24; i++) {
        struct lng_philox r = lng_philox4x32((uint32_t)i, 0, 0, 0, 7, 3);
        size_t at = r.word[0] % journal.length;
        struct program p;
        bool cut = i % 2 == 0;
        journal.data[at] = (char)(journal.data[at] ^ (cut ? 0 : 1 << r.word[1] % 8));
        scratch_write("out.progress", journal.data, cut ? at : journal.length);
        scratch_write("out.part", part.data, part.length);
        program_run_arguments(&p, words_of(begun), NULL, 0, NULL);
        if (p.status == 0)
            same_files("out", "whole");
        else
            cr_assert(p.status == 1 && strstr(p.err, "--overwrite") != NULL, "%s", p.err);
        program_release(&p);
        journal.data[at] = (char)(journal.data[at] ^ (cut ? 0 : 1 << r.word[1] % 8));
        remove(scratch_path("out"));
    }
    scratch_write("out.progress", "a shopping list\n", 16);
    scratch_write("out.part", part.data, part.length);
    refused(begun, "it is no journal of this lingster");
    run("-i @text -o @out --overwrite", 0, "translated 1500 lines");
    same_files("out", "whole");
    lng_buffer_release(&journal);
    lng_buffer_release(&part);
}

Test(translate_jobs, two_processes)
{
    int in[2];
    cr_assert(pipe(in) == 0);
    fcntl(in[1], F_SETFD, FD_CLOEXEC); /* else the program holds its own input open */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int pid = program_start(words_of("-o @out --window 1"), NULL, in[0], null, null);
    close(in[0]);
    close(null);
    cr_assert(write(in[1], "a\nb\n", 4) == 4);
    while (size_of("out.part") <= 0)
        usleep(1000);
    run_input("-o @out --window 1", "a\nb\n", 1, "another process is at work");
    run_input("-o @out --window 1 --overwrite", "a\nb\n", 1, "another process is at work");
    close(in[1]);
    cr_assert(program_wait(pid) == 0);
    cr_assert(size_of("out") > 0 && size_of("out.part") < 0 && size_of("out.progress") < 0);
}

/* ---- several files ---- */

static void write_three(void)
{
    write_text("a.en", 30, 7);
    write_text("b.en", 40, 8);
    write_text("c.tok.en", 0, 9);
    run("-i @a.en -o @a.want", 0, "translated 30");
    run("-i @b.en -o @b.want", 0, "translated 40");
}

Test(translate_jobs, several_files)
{
    write_three();
    run("-i @a.en @b.en @c.tok.en --output-dir @out/deep", 0, "translated 70 lines");
    same_files("out/deep/a.en", "a.want");
    same_files("out/deep/b.en", "b.want");
    cr_assert(size_of("out/deep/c.tok.en") == 0);
    run("--input @a.en --input @c.tok.en -o {dir}/{stem}.de.gz @b.en", 0, "translated 70 lines");
    same_unpacked("a.de.gz", "a.want");
    same_unpacked("b.de.gz", "b.want");
    cr_assert(size_of("c.tok.de.gz") > 0);
    write_text("a.pre", 30, 10);
    write_text("b.pre", 40, 11);
    run("@a.en @b.en --prefix {dir}/{stem}.pre -o @{name}.de", 0, "translated 70 lines");
    run("@a.en --prefix @a.pre -o @a.want", 0, "translated");
    same_files("a.en.de", "a.want");
}

/* What fails does not take the others along, and is all that is done the next time. */
Test(translate_jobs, one_file_fails)
{
    write_three();
    scratch_write("damaged.gz", "\x1F\x8B\x08 this is not gzip", 20);
    struct program p;
    static const char words[] = "@a.en @missing @damaged.gz @b.en --output-dir @out";
    program_run_arguments(&p, words_of(words), NULL, 0, NULL);
    cr_assert(p.status == 1, "%s", p.err);
    cr_assert(strstr(p.err, "missing") && strstr(p.err, "damaged.gz") &&
                  strstr(p.err, "2 of 4 files failed"),
              "%s", p.err);
    program_release(&p);
    same_files("out/a.en", "a.want");
    same_files("out/b.en", "b.want");
    cr_assert(size_of("out/damaged.gz.part") < 0 && size_of("out/damaged.gz.progress") < 0);
    cr_assert(size_of("out/a.en.progress") > 0, "it knows what is done");
    write_text("missing", 5, 12);
    write_text("damaged.gz", 6, 13);
    run(words, 0, "out/a.en is whole already");
    run("@missing -o @want", 0, "translated 5 lines");
    same_files("out/missing", "want");
    cr_assert(size_of("out/a.en.progress") < 0 && size_of("out/missing.progress") < 0);
    /* the same with a text that has changed since */
    cr_assert(remove(scratch_path("missing")) == 0);
    run(words, 1, "1 of 4 files failed");
    write_text("a.en", 31, 7);
    run(words, 1, "it was changed since");
    write_text("missing", 5, 12);
    run(words, 1, "1 of 4 files failed");
    run("@a.en @missing @damaged.gz @b.en --output-dir @out --overwrite", 0, "translated");
}

Test(translate_jobs, killed_in_the_second_file)
{
    write_text("a.en", 60, 14);
    write_text("b.en", 1500, 15);
    run("@a.en @b.en --output-dir @whole", 0, "translated 1560 lines");
    /* the second comes through a pipe this time */
    char text[512];
    snprintf(text, sizeof text, "%s", scratch_path("text"));
    cr_assert(rename(scratch_path("b.en"), text) == 0 && mkfifo(scratch_path("b.en"), 0666) == 0);
    int to = open(scratch_path("b.en"), O_RDWR | O_CLOEXEC);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int pid = program_start(words_of("@a.en @b.en --output-dir @out --window 50"), NULL, null, null,
                            null);
    close(null);
    feed_and_interrupt(pid, to, "text", "out/b.en.part", 5000, SIGKILL);
    cr_assert(rename(text, scratch_path("b.en")) == 0);
    run("@a.en @b.en --output-dir @out --window 50", 0, "out/a.en is whole already");
    same_files("out/a.en", "whole/a.en");
    same_files("out/b.en", "whole/b.en");
    cr_assert(size_of("out/a.en.progress") < 0 && size_of("out/b.en.progress") < 0);
}

Test(translate_jobs, wrong_usage)
{
    write_text("a", 2, 1);
    write_text("b", 2, 1);
    cr_assert(mkdir(scratch_path("d"), 0777) == 0);
    write_text("d/a", 2, 1);
    write_text("out.part", 2, 1);
    run("@a @b", 2, "2 inputs need an output each");
    run("@a @b -o @out", 2, "2 inputs need an output each");
    run("@a @b --output-dir @o --prefix @a", 2, "2 inputs need prefixes each");
    run("@a --output-dir @o -o @p", 2, "not both");
    run("@a @d/a --output-dir @o", 2, "would both become");
    run("@a @b --output-dir @.", 2, "both input and output");
    run("@a @b -o {dir}/b", 2, "would both become");
    run("@out.part -o @out", 2, "out.part is both input and output");
    run("--output-dir @o", 2, "standard input has no name");
    run("@a - -o @{name}", 2, "standard input has no name");
    run("@a --repeat-cache -1 -o @o", 2, "repeat-cache");
    run("@a -o @d", 2, "it is a folder");
    run("@d -o @o", 1, "d");
}

/* Repetitions are counted, and lines a second said. */
Test(translate_jobs, report)
{
    run_input("", "a b\nc\na b\na b\n", 0, "2 sentences were the same");
    run_input("--repeat-cache 0", "a b\nc\na b\na b\n", 0, "translated 4 lines (");
}
