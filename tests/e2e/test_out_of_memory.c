/* Every command with memory that runs out at one allocation after another: each time it says so or copes,
 * frees what it holds, and never crashes. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/cmd.h"
#include "tests/support/check.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

enum { MOST_WORDS = 64 };

static const struct entry {
    struct lng_command command;
    enum lng_status (*run)(const struct lng_options *options);
} commands[] = {
#define LNG_COMMAND(id, bit, arguments, min_arguments, max_arguments, arguments_are_config, \
                    summary)                                                                \
    {{#id, bit, arguments, min_arguments, max_arguments, arguments_are_config, summary},    \
     lng_cmd_##id},
#include "host/cli/commands.def"
#undef LNG_COMMAND
};

/* "COMMAND word word"; @ in a word stands for the scratch folder. As in main.c. */
static enum lng_status run(const char *line)
{
    static char text[4096];
    char *words[MOST_WORDS + 1], *none[] = {NULL}, *rest = NULL;
    int count = 0;
    size_t used = 0;
    for (const char *c = line; *c != '\0' && used < sizeof text - 300; c++)
        if (*c == '@')
            used += (size_t)snprintf(text + used, 256, "%s", scratch_path(""));
        else
            text[used++] = *c;
    text[used] = '\0';
    for (char *word = strtok_r(text, " ", &rest); word && count < MOST_WORDS;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    words[count] = NULL;
    const struct entry *entry = commands;
    while (strcmp(entry->command.name, words[0]) != 0)
        entry++;
    struct lng_options options;
    struct lng_buffer dump = {0};
    LNG_TRY(lng_options_init(&options, &entry->command));
    enum lng_status status = lng_options_parse(&options, count, words, none);
    if (status == LNG_OK)
        status = lng_options_dump(&options, &dump);
    if (status == LNG_OK)
        status = entry->run(&options);
    lng_buffer_release(&dump);
    lng_options_release(&options);
    return status;
}

/* prepare removes what a run would find of the one before it. Of all allocations about `trials` are tried:
 * the first half of them one by one, then ever larger steps, for what comes late is mostly more of the same. */
static void torture(const char *line, int trials, void (*prepare)(void))
{
    size_t failures = 0;
    prepare();
    check_ok(run(line)); /* the libraries' own first-time work */
    prepare();
    size_t live = lng_mem_get_stats().blocks_live;
    size_t before = lng_mem_get_stats().allocations;
    check_ok(run(line));
    size_t count = lng_mem_get_stats().allocations - before;
    cr_assert(lng_mem_get_stats().blocks_live == live, "%s: leaks when all is well", line);
    double step = 1;
    for (double n = 1; n <= (double)count; n += step) {
        for (int forever = 0; forever < 2; forever++) {
            prepare();
            lng_mem_fail_nth((size_t)n, forever);
            enum lng_status status = run(line);
            lng_mem_fail_nth(0, 0);
            cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY,
                      "%s: allocation %.0f of %zu fails%s: status '%s', %s", line, n, count,
                      forever ? " and all later ones" : "", lng_status_text(status),
                      lng_error_message());
            cr_assert(lng_mem_get_stats().blocks_live == live,
                      "%s: allocation %.0f of %zu fails%s: %zd blocks leak", line, n, count,
                      forever ? " and all later ones" : "",
                      (ssize_t)(lng_mem_get_stats().blocks_live - live));
            failures += status == LNG_ERR_MEMORY;
        }
        if (n > trials / 2)
            step = fmax(1, step * exp(log((double)count / n) / (trials / 2)));
    }
    cr_assert(count > 0 && failures > 0, "%s: %zu allocations, %zu failures", line, count,
              failures);
}

static void nothing(void)
{
}

static void remove_output(void)
{
    check_ok(lng_remove_tree(scratch_path("out")));
}

static void setup(void)
{
    scratch_make();
    lng_log_set_level(LNG_LOG_ERROR);
}

TestSuite(memory, .init = setup, .fini = scratch_remove, .timeout = 300);

/* The model directory @model, and text for it. */
static void write_model(void)
{
    static const char text[] = "a b c\n\nd e\n\xFF f\n";
    save_words_model(scratch_path("model"));
    scratch_write("text", text, sizeof text - 1);
}

Test(memory, translate)
{
    write_model();
    torture("translate -m @model -i @text -o @out --device ref --max-length-factor 1 --beam-size 2",
            120, nothing);
    torture("translate -m @model -i @text -o @out --device cpu --threads 1 --json --alignment hard "
            "--n-best 2 --beam-size 2 --max-length-factor 1",
            200, nothing);
}

Test(memory, translate_steered)
{
    static const char list[] = "b a 0.9\nc b 0.5\n";
    write_model();
    scratch_write("list", list, sizeof list - 1);
    torture("translate -m @model -m @model -i @text -o @out --device cpu --threads 1 --sample "
            "--n-best 2 --ensemble mean --ensemble-weights 1,2 --repetition-penalty 2 "
            "--coverage-penalty 0.1 --shortlist @list --shortlist-first 3 --max-length-factor 1",
            250, nothing);
}

Test(memory, shortlist)
{
    write_model();
    scratch_write("target", "b c d\n\ne f\ng\n", 13);
    torture("shortlist -m @model --train-source @text --train-target @target -o @list --threads 2",
            100, nothing);
    torture("shortlist -m @model --train-source @text --train-target @target -o @out --binary "
            "--threads 1 --shortlist-best 2",
            60, nothing);
    torture("translate -m @model -i @text -o @out --device cpu --threads 1 --dtype int8 "
            "--shortlist @list --max-length-factor 1",
            60, nothing);
}

static void remove_annotations(void)
{
    static const char *const names[] = {"out", "out.part", "out.progress", "flags", "map.svg"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_ok(lng_remove_tree(scratch_path(names[i])));
}

Test(memory, translate_annotated)
{
    write_model();
    torture("translate -m @model -i @text -o @out --device cpu --threads 1 --json --alignment soft "
            "--alignment-level word --alignment-head mean.mean --word-scores --beam-size 2 "
            "--max-length-factor 1 --flags @flags --risk-repetition 1 --on-risk retry,source "
            "--attention-map @map.svg",
            160, remove_annotations);
}

Test(memory, score)
{
    write_model();
    torture("score -m @model --source @text --target @text -o @out --device cpu --threads 1 --json "
            "--word-scores",
            200, nothing);
}

Test(memory, compare)
{
    write_model();
    int keep = dup(1), null = open("/dev/null", O_WRONLY);
    cr_assert(keep >= 0 && null >= 0 && dup2(null, 1) == 1);
    torture("compare -m @model -i @text --device cpu --against ref --threads 1 --beam-size 1 "
            "--batch-tokens 64 --train-steps 1 --limit-lines 1 --json @out --junit @out",
            120, nothing);
    fflush(stdout);
    dup2(keep, 1);
    close(keep);
    close(null);
}

Test(memory, average_and_info)
{
    write_model();
    torture("average -o @out @model @model", 100, remove_output);
    int keep = dup(1), null = open("/dev/null", O_WRONLY);
    cr_assert(keep >= 0 && null >= 0 && dup2(null, 1) == 1);
    torture("info @model", 100, nothing);
    torture("info --json @model", 100, nothing);
    fflush(stdout);
    dup2(keep, 1);
    close(keep);
    close(null);
}

Test(memory, eval)
{
    static const char hypothesis[] = "a b c d e\nthe tree\n", reference[] = "a b c e\nthe tree.\n";
    scratch_write("hypothesis", hypothesis, sizeof hypothesis - 1);
    scratch_write("reference", reference, sizeof reference - 1);
    int keep = dup(1), null = open("/dev/null", O_WRONLY);
    cr_assert(keep >= 0 && null >= 0 && dup2(null, 1) == 1);
    torture("eval --hypothesis @hypothesis --reference @reference --reference @hypothesis --json",
            200, nothing);
    fflush(stdout);
    dup2(keep, 1);
    close(keep);
    close(null);
}

static void write_corpus(void)
{
    struct lng_buffer source = {0}, target = {0};
    for (unsigned i = 0; i < 60; i++)
        for (unsigned k = 0; k <= i % 5; k++) {
            const char *end = k == i % 5 ? "\n" : " ";
            check_ok(
                lng_buffer_append_format(&source, "%c%s", (char)('a' + i * (k + 1) % 16), end));
            check_ok(
                lng_buffer_append_format(&target, "%c%s", (char)('a' + i * (k + 3) % 16), end));
        }
    scratch_write("train.s", source.data, source.length);
    scratch_write("train.t", target.data, target.length);
    lng_buffer_release(&source);
    lng_buffer_release(&target);
}

Test(memory, vocab)
{
    write_corpus();
    torture("vocab --model-type symbols --vocab-size 30 --input @train.s --input @train.t "
            "--output @out.json",
            100, nothing);
    torture("vocab --vocab-size 21 --input @train.s --output @out.spm", 60, nothing);
}

static const char train[] =
    "train --tokenizer symbols --vocab @v.json --train-source @train.s --train-target @train.t "
    "--output @out --enc-depth 1 --dec-depth 1 --dim 8 --heads 2 --ffn-dim 8 --batch-tokens 64 "
    "--max-length 16 "
    "--device cpu --threads 1 --max-updates 4 --save-every 2u --log-every 2u --ema 0.01";

Test(memory, train)
{
    write_corpus();
    check_ok(run("vocab --model-type symbols --vocab-size 30 --input @train.s --input @train.t "
                 "--output @v.json"));
    torture(train, 200, remove_output);
}

/* A run that is there is gone on with, and validated. */
static void keep_a_run(void)
{
    remove_output();
    check_ok(run(train));
}

Test(memory, resume_and_validate)
{
    static char words[1024];
    write_corpus();
    check_ok(run("vocab --model-type symbols --vocab-size 30 --input @train.s --input @train.t "
                 "--output @v.json"));
    snprintf(words, sizeof words,
             "%s --max-updates 6 --valid-every 2u --valid-source @train.s --valid-target @train.t "
             "--valid-max-sentences 3",
             train);
    torture(words, 120, keep_a_run);
}
