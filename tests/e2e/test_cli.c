/* The frame of the program: help, usage, errors, exit status, descriptors. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "tests/support/program.h"
#include "tests/support/scratch.h"

static const char *const commands[] = {
#define LNG_COMMAND(id, bit, arguments, min_arguments, max_arguments, arguments_are_config, \
                    summary)                                                                \
#id,
#include "host/cli/commands.def"
#undef LNG_COMMAND
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void run(struct program *program, const char *words)
{
    program_run(program, words, NULL, 0, NULL);
}

Test(cli, general_words)
{
    struct program p;
    run(&p, "--help");
    cr_assert(p.status == 0 && p.err_length == 0);
    for (int i = 0; i < COMMAND_COUNT; i++)
        cr_assert(strstr(p.out, commands[i]) != NULL, "%s is not in --help", commands[i]);
    program_release(&p);
    run(&p, "--version");
    cr_assert(p.status == 0);
    cr_assert_str_eq(p.out, "lingster " LNG_VERSION "\n");
    program_release(&p);
    run(&p, "--completions");
    cr_assert(p.status == 0 && strncmp(p.out, commands[0], strlen(commands[0])) == 0);
    program_release(&p);
}

Test(cli, every_command_has_help_usage_and_completions)
{
    for (int i = 0; i < COMMAND_COUNT; i++) {
        struct program p;
        char words[64], want[64];
        snprintf(words, sizeof words, "%s --help", commands[i]);
        snprintf(want, sizeof want, "Usage: lingster %s [OPTION...]", commands[i]);
        run(&p, words);
        cr_assert(p.status == 0 && p.err_length == 0, "%s: %s", words, p.err);
        cr_assert(strncmp(p.out, want, strlen(want)) == 0, "%s", p.out);
        cr_assert(strstr(p.out, " General:") && strstr(p.out, "--dump-config"));
        cr_assert(strstr(p.out, "--completions") == NULL, "hidden");
        for (char *line = p.out, *end; (end = strchr(line, '\n')); line = end + 1)
            cr_assert(end - line < 80, "%s: a line of %td columns", words, end - line);
        program_release(&p);
        snprintf(words, sizeof words, "help %s", commands[i]);
        run(&p, words);
        cr_assert(p.status == 0 && strncmp(p.out, want, strlen(want)) == 0);
        program_release(&p);
        snprintf(words, sizeof words, "%s --usage", commands[i]);
        run(&p, words);
        cr_assert(p.status == 0 && strncmp(p.out, "Usage: ", 7) == 0);
        program_release(&p);
        snprintf(words, sizeof words, "%s --completions", commands[i]);
        run(&p, words);
        cr_assert(p.status == 0 && strstr(p.out, "--config\n") != NULL);
        program_release(&p);
    }
}

static const struct {
    const char *words, *part;
} bad[] = {
    {"", "lingster: expected a command"},
    {"--hlep", "lingster: unknown option '--hlep'; options stand after the command"},
    {"vocba", "lingster: unknown command 'vocba'; did you mean 'vocab'?"},
    {"help vocba", "did you mean 'vocab'?"},
    {"zzzzzz", "unknown command 'zzzzzz'; 'lingster --help' lists them"},
    {"vocab --ouptut x", "lingster vocab: unknown option '--ouptut'; did you mean '--output'?"},
    {"vocab --input", "lingster vocab: --input needs a value"},
    {"vocab --input a", "lingster vocab: --output PATH is required"},
    {"vocab --input a --output b c", "lingster vocab: unexpected argument 'c'"},
    {"vocab --input a --output b --vocab-size 0", "lingster vocab: --vocab-size: expected"},
};
ParameterizedTestParameters(cli, wrong_usage)
{
    static int index[sizeof bad / sizeof bad[0]];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        index[i] = (int)i;
    return cr_make_param_array(int, index, sizeof bad / sizeof bad[0]);
}
ParameterizedTest(int *index, cli, wrong_usage)
{
    struct program p;
    run(&p, bad[*index].words);
    cr_assert(p.status == 2, "exit status %d", p.status);
    cr_assert(p.out_length == 0);
    cr_assert(strstr(p.err, bad[*index].part) != NULL, "%s", p.err);
    cr_assert(strchr(p.err, '\n') == p.err + p.err_length - 1, "one line: %s", p.err);
    program_release(&p);
}

Test(cli, what_fails_is_not_wrong_usage)
{
    struct program p;
    run(&p, "vocab --input /nonexistent/text --output /nonexistent/out");
    cr_assert(p.status == 1);
    cr_assert(strstr(p.err, "lingster vocab: ") && strstr(p.err, "/nonexistent/text"));
    program_release(&p);
    run(&p, "vocab --config /nonexistent/run.yml");
    cr_assert(p.status == 1);
    program_release(&p);
}

Test(cli, messages_do_not_command_the_terminal)
{
    struct program p;
    const char *arguments[] = {"vocab", "--\x1b[31mred\nline", NULL};
    program_run_arguments(&p, arguments, NULL, 0, NULL);
    cr_assert(p.status == 2);
    for (size_t i = 0; i + 1 < p.err_length; i++)
        cr_assert((unsigned char)p.err[i] >= 0x20, "control character %d", p.err[i]);
    program_release(&p);
}

/* ---- configuration files ---- */

static const struct {
    const char *text, *part;
} bad_files[] = {
    {"vocab-size: \xC3\x28\n", ":1:"},
    {"\tvocab-size: 5\n", ":1:"},
    {"vocab-size: 5\nvocab-size: 6\n", ":2:1: duplicate key"},
    {"vocab-size: many\n", ":1:13: vocab-size: expected a whole number"},
    {"vocab-size: 3\n", ":1:13: vocab-size: expected a whole number from 4"},
    {"character-coverage: .nan\n", ":1:21: character-coverage: expected a number"},
    {"vocab-sizes: 100\n", ":1:1: unknown option 'vocab-sizes'; did you mean 'vocab-size'?"},
    {"vocab-size: &a 5\n", ":1:13: anchors"},
    {"vocab-size: *a\n", ":1:13"},
    {"vocab-size:\n  deeper: 5\n", ":2:3"},
    {"model-type: unigran\n", "did you mean 'unigram'?"},
    {"enc-depth: 5\n", ":1:1: 'enc-depth' is an option of other commands, not of vocab"},
};
ParameterizedTestParameters(cli, bad_configuration)
{
    static int index[sizeof bad_files / sizeof bad_files[0]];
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++)
        index[i] = (int)i;
    return cr_make_param_array(int, index, sizeof bad_files / sizeof bad_files[0]);
}
ParameterizedTest(int *index, cli, bad_configuration)
{
    scratch_make();
    const char *path =
        scratch_write("run.yml", bad_files[*index].text, strlen(bad_files[*index].text));
    struct program p;
    const char *arguments[] = {"vocab", "--input", "a", "--output", "b", "--config", path, NULL};
    program_run_arguments(&p, arguments, NULL, 0, NULL);
    cr_assert(p.status == 2, "exit status %d: %s", p.status, p.err);
    cr_assert(strstr(p.err, bad_files[*index].part) && strstr(p.err, path), "%s", p.err);
    program_release(&p);
    scratch_remove();
}

Test(cli, nesting_a_million_deep_ends_at_once, .timeout = 20)
{
    struct program p;
    static char deep[1000000];
    memset(deep, '[', sizeof deep);
    program_run(&p, "vocab --config -", deep, sizeof deep, NULL);
    cr_assert(p.status == 2 && strstr(p.err, "standard input:1:1") != NULL, "%s", p.err);
    program_release(&p);
}

/* Lines that are not comments. */
static void strip_comments(char *text)
{
    char *out = text;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
        if (*line != '#') {
            memmove(out, line, (size_t)(end + 1 - line));
            out += end + 1 - line;
        }
    *out = '\0';
}

Test(cli, dump_config_round_trip)
{
    static const char *const environment[] = {"LINGSTER_SEED=77", NULL};
    struct program first, second;
    program_run(&first,
                "vocab --dump-config --input a --input b\"c --vocab-size 3K --model-type bpe "
                "--user-defined-symbols <x>,<y> --byte-fallback",
                NULL, 0, environment);
    cr_assert(first.status == 0, "%s", first.err);
    cr_assert(strstr(first.out, "\nvocab-size: 3000\n") && strstr(first.out, "\nseed: 77\n"));
    cr_assert(strstr(first.out, "; from LINGSTER_SEED\n"));
    program_run(&second, "vocab --dump-config --config -", first.out, first.out_length, NULL);
    cr_assert(second.status == 0, "%s", second.err);
    strip_comments(first.out);
    strip_comments(second.out);
    cr_assert_str_eq(first.out, second.out);
    program_release(&first);
    program_release(&second);
}

/* ---- standard streams ---- */

Test(cli, a_full_or_closed_output_is_an_error)
{
    const char *arguments[] = {"vocab", "--help", NULL};
    int full = open("/dev/full", O_WRONLY), null = open("/dev/null", O_RDWR);
    cr_assert(program_wait(program_start(arguments, NULL, null, full, null)) == 1);
    cr_assert(program_wait(program_start(arguments, NULL, null, -1, null)) == 1);
    int ends[2];
    cr_assert(pipe2(ends, O_CLOEXEC) == 0);
    close(ends[0]);
    cr_assert(program_wait(program_start(arguments, NULL, null, ends[1], null)) == 1, "no reader");
    cr_assert(program_wait(program_start(arguments, NULL, -1, null, -1)) == 0,
              "unused ones may be");
}

/* ---- vocab ---- */

static size_t make_corpus(char *text, size_t capacity)
{
    static const char *const words[] = {"the",   "small", "house",  "is",   "red",
                                        "green", "tree",  "stands", "near", "river"};
    size_t used = 0;
    unsigned state = 1;
    for (int line = 0; line < 400; line++)
        for (int w = 0; w < 6; w++) {
            state = state * 1103515245u + 12345u;
            used += (size_t)snprintf(text + used, capacity - used, "%s%c",
                                     words[(state >> 16) % 10], w == 5 ? '\n' : ' ');
        }
    return used;
}

Test(cli, vocab_learns_pieces)
{
    static char text[32768];
    scratch_make();
    size_t length = make_corpus(text, sizeof text);
    memcpy(text + length, "a\0b\n\n", 5); /* a line with NUL, and an empty one */
    const char *corpus = scratch_write("text", text, length + 5);
    const char *output = scratch_path("v.spm");
    const char *arguments[] = {"vocab", "--input",  corpus, "--vocab-size",
                               "26",    "--output", output, NULL};
    struct program p;
    program_run_arguments(&p, arguments, NULL, 0, NULL);
    cr_assert(p.status == 0, "%s", p.err);
    cr_assert(p.out_length == 0);
    cr_assert(strstr(p.err, "left out 1 of 402 lines: they held NUL bytes"), "%s", p.err);
    cr_assert(strstr(p.err, "left out 1 of 402 lines: they were empty"), "%s", p.err);
    cr_assert(strstr(p.err, "26 entries (unigram) from 400 lines"), "%s", p.err);
    cr_assert(access(output, R_OK) == 0);
    cr_assert(scratch_count() == 2, "nothing else is left");
    program_release(&p);
    arguments[4] = "50000";
    program_run_arguments(&p, arguments, NULL, 0, NULL);
    cr_assert(p.status == 1 && strstr(p.err, "50000"), "%s", p.err);
    program_release(&p);
    scratch_remove();
}

Test(cli, vocab_lists_symbols)
{
    scratch_make();
    const char *output = scratch_path("v.json");
    const char *arguments[] = {"vocab", "--input", "-", "--model-type", "symbols", "-q",
                               "-o",    output,    NULL};
    struct program p;
    static const char text[] = "b a b\r\nc b a";
    program_run_arguments(&p, arguments, text, sizeof text - 1, NULL);
    cr_assert(p.status == 0 && p.err_length == 0, "%s", p.err);
    program_release(&p);
    char content[256] = "", *out = content;
    int fd = open(output, O_RDONLY);
    cr_assert(fd >= 0 && read(fd, content, sizeof content - 1) > 0);
    close(fd);
    for (char *c = content; *c != '\0'; c++)
        if (!isspace((unsigned char)*c))
            *out++ = *c;
    *out = '\0';
    cr_assert_str_eq(content, "{\"</s>\":0,\"<unk>\":1,\"b\":2,\"a\":3,\"c\":4,\"<pad>\":5}");
    scratch_remove();
}
