/* lingster translate and lingster score from outside: a model directory, pipes, files, errors. */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_folder.h"

/* A random model for the words a to p in the folder "model" of the scratch folder. */
static void write_model(void)
{
    scratch_make();
    tiny_folder_write("model", 11, 'a');
}

/* MODEL in words is replaced by the model's folder. */
static void run(struct program *program, const char *words, const char *input, size_t size,
                int want)
{
    char all[2048];
    const char *at = strstr(words, "MODEL");
    snprintf(all, sizeof all, "%.*s%s%s", (int)(at - words), words, scratch_path("model"), at + 5);
    program_run(program, all, input, size, NULL);
    cr_assert(program->status == want, "lingster %s: status %d: %s", all, program->status,
              program->err);
}

static size_t count_lines(const struct program *program)
{
    size_t count = 0;
    for (size_t i = 0; i < program->out_length; i++)
        count += program->out[i] == '\n';
    return count;
}

static const char odd[] = "a b c\n\n  \r\nd\0e\n\xFF\xFE g\nd e f\r\n\xEF\xBB\xBF\nlast one";
enum { ODD_LINES = 8 };

Test(translate_cli, pipes_files_threads_and_devices)
{
    write_model();
    struct program first, p;
    run(&first, "translate -m MODEL --device cpu --threads 1", odd, sizeof odd - 1, 0);
    cr_assert(count_lines(&first) == ODD_LINES, "%s", first.out);
    cr_assert(first.out[first.out_length - 1] == '\n');
    cr_assert(strstr(first.err, "translated 8 lines") != NULL, "%s", first.err);
    cr_assert(strstr(first.err, "not UTF-8") != NULL);
    static const char *const same[] = {
        "translate -m MODEL --device cpu --threads 4 --batch-sentences 1 -q",
        "translate -m MODEL --device cpu --threads 2 --window 1 --batch-tokens 3 -i -",
        "translate -m MODEL --device ref",
    };
    for (size_t i = 0; i < 3; i++) {
        run(&p, same[i], odd, sizeof odd - 1, 0);
        cr_assert(p.out_length == first.out_length && memcmp(p.out, first.out, p.out_length) == 0,
                  "%s gives something else", same[i]);
        cr_assert((i == 0) == (strstr(p.err, "translated") == NULL));
        program_release(&p);
    }
    char words[4096];
    scratch_write("in.txt", odd, sizeof odd - 1);
    snprintf(words, sizeof words, "translate -m MODEL -i %s -o %s", scratch_path("in.txt"),
             scratch_path("out.txt"));
    run(&p, words, NULL, 0, 0);
    cr_assert(p.out_length == 0);
    program_release(&p);
    struct lng_buffer written = {0};
    check_ok(lng_file_read(scratch_path("out.txt"), 1 << 20, &written));
    cr_assert(written.length == first.out_length &&
              memcmp(written.data, first.out, written.length) == 0);
    lng_buffer_release(&written);
    run(&p, "translate -m MODEL", "", 0, 0);
    cr_assert(p.out_length == 0);
    program_release(&p);
    program_release(&first);
    scratch_remove();
}

Test(translate_cli, score_of_own_translation)
{
    write_model();
    struct program json, p;
    static const char source[] = "a b c\nd e f g\nh\n";
    run(&json, "translate -m MODEL --json --min-length 4", source, sizeof source - 1, 0);
    struct lng_buffer target = {0};
    double expected[3];
    const char *at = json.out;
    for (int i = 0; i < 3; i++, at = strchr(at, '\n') + 1) {
        char text[256];
        cr_assert(sscanf(strstr(at, "\"translation\": \""), "\"translation\": \"%255[^\"]", text) ==
                  1);
        cr_assert(sscanf(strstr(at, "\"score\": "), "\"score\": %lf", &expected[i]) == 1);
        check_ok(lng_buffer_append_format(&target, "%s\n", text));
    }
    program_release(&json);
    char words[4096];
    scratch_write("s", source, sizeof source - 1);
    scratch_write("t", target.data, target.length);
    snprintf(words, sizeof words, "score -m MODEL --source %s --target %s", scratch_path("s"),
             scratch_path("t"));
    run(&p, words, NULL, 0, 0);
    double scores[3];
    cr_assert(sscanf(p.out, "%lf\n%lf\n%lf\n", &scores[0], &scores[1], &scores[2]) == 3);
    for (int i = 0; i < 3; i++)
        cr_assert(fabs(scores[i] - expected[i]) < 1e-4, "%g, %g", scores[i], expected[i]);
    cr_assert(strstr(p.err, "perplexity") != NULL);
    program_release(&p);
    scratch_write("t", "a\n", 2);
    run(&p, words, NULL, 0, 1);
    cr_assert(strstr(p.err, "differ in length") != NULL, "%s", p.err);
    program_release(&p);
    lng_buffer_release(&target);
    scratch_remove();
}

Test(translate_cli, every_search_stop_and_penalty)
{
    write_model();
    struct program p;
    static const char *const words[] = {
        "translate -m MODEL --search-stop heuristic --n-best 2",
        "translate -m MODEL --search-stop filled --length-penalty ctranslate2",
        "translate -m MODEL --search-stop shrink --length-penalty wu",
        "translate -m MODEL --beam-size 1 --length-penalty none --alignment hard",
        "translate -m MODEL --beam-size 8 --n-best 8 --alignment soft --json",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        run(&p, words[i], "a b c\nd e\n", 10, 0);
        cr_assert(count_lines(&p) == (i == 0 ? 4 : 2), "%s: %s", words[i], p.out);
        program_release(&p);
    }
    scratch_remove();
}

Test(translate_cli, errors)
{
    write_model();
    struct program p;
    run(&p, "translate -m MODEL --n-best 9 --beam-size 2", "a\n", 2, 2);
    program_release(&p);
    run(&p, "translate -m MODEL/none", "a\n", 2, 1);
    cr_assert(strstr(p.err, "none") != NULL);
    program_release(&p);
    run(&p, "translate -m MODEL -i /nowhere/in", "a\n", 2, 1);
    cr_assert(strstr(p.err, "/nowhere/in") != NULL);
    program_release(&p);
    run(&p, "translate -m MODEL -o /nowhere/out", "a\n", 2, 1);
    cr_assert(strstr(p.err, "/nowhere/out") != NULL);
    program_release(&p);
    run(&p, "translate -m MODEL -o /dev/full", "a\n", 2, 1);
    cr_assert(strstr(p.err, "/dev/full") != NULL, "%s", p.err);
    program_release(&p);
    char words[2048];
    scratch_write("both", "a\n", 2);
    snprintf(words, sizeof words, "translate -m MODEL -i %s -o %s", scratch_path("both"),
             scratch_path("both"));
    run(&p, words, NULL, 0, 2);
    cr_assert(strstr(p.err, "both input and output") != NULL);
    program_release(&p);
    struct lng_buffer kept = {0};
    check_ok(lng_file_read(scratch_path("both"), 100, &kept));
    cr_assert(kept.length == 2);
    lng_buffer_release(&kept);
    scratch_remove();
}

/* SIGINT: the window at hand is finished and written, and the program says that this is not all. */
Test(translate_cli, interrupted)
{
    write_model();
    int in[2], out[2], err[2];
    cr_assert(pipe(in) == 0 && pipe(out) == 0 && pipe(err) == 0);
    const char *arguments[] = {
        "translate", "-m", scratch_path("model"), "--window", "2", "--max-length-extra", "2", NULL};
    int pid = program_start(arguments, NULL, in[0], out[1], err[1]);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    cr_assert(write(in[1], "a\nb\n", 4) == 4);
    char text[65536];
    size_t got = 0, lines = 0;
    while (lines < 2) { /* both are there: it waits for more now */
        ssize_t n = read(out[0], text + got, sizeof text - got);
        cr_assert(n > 0);
        for (ssize_t i = 0; i < n; i++)
            lines += text[got + (size_t)i] == '\n';
        got += (size_t)n;
    }
    signal(SIGPIPE, SIG_IGN);
    kill(pid, SIGINT);
    usleep(50000);
    ssize_t n = write(in[1], "c\nd\ne\nf\n", 8); /* fails where the signal came before it read on */
    cr_assert(n == 8 || n == -1);
    close(in[1]);
    while ((n = read(out[0], text, sizeof text)) > 0)
        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
    n = read(err[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    cr_assert(program_wait(pid) == 1);
    cr_assert(lines == 2 || lines == 4, "%zu lines", lines);
    char message[64];
    snprintf(message, sizeof message, "interrupted after line %zu", lines);
    got = strlen(text);
    while (got < sizeof text - 1 && (n = read(err[0], text + got, sizeof text - 1 - got)) > 0)
        got += (size_t)n;
    text[got] = '\0';
    cr_assert(strstr(text, message) != NULL, "%s", text);
    close(out[0]);
    close(err[0]);
    scratch_remove();
}
