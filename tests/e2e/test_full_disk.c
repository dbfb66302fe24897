/* A disk that fills up while a command writes: exit status 1, a reason, and nothing half written is left. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/store/model_dir.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

TestSuite(full_disk, .init = (void (*)(void))scratch_make, .fini = scratch_remove);

/* No file of this process and its children grows past this. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* @ in words stands for the scratch folder. Static storage. */
static char *expand(const char *words)
{
    static char all[4096];
    size_t used = 0;
    for (const char *c = words; *c != '\0'; c++)
        if (*c == '@')
            used += (size_t)snprintf(all + used, 256, "%s", scratch_path(""));
        else
            all[used++] = *c;
    all[used] = '\0';
    return all;
}

static void run(struct program *p, const char *words)
{
    program_run(p, expand(words), NULL, 0, NULL);
}

static void run_well(const char *words)
{
    struct program p;
    run(&p, words);
    cr_assert(p.status == 0, "%s: status %d: %s", words, p.status, p.err);
    program_release(&p);
}

/* `name` is what the message must be about. */
static void run_out(const char *words, const char *name)
{
    struct program p;
    run(&p, words);
    cr_assert(p.status == 1, "%s: status %d: %s", words, p.status, p.err);
    cr_assert(strstr(p.err, name) != NULL, "%s: no %s in: %s", words, name, p.err);
    cr_assert(strstr(p.err, "File too large") || strstr(p.err, "No space left"), "%s: %s", words,
              p.err);
    program_release(&p);
}

static void write_lines(const char *name, const char *line, int count)
{
    struct lng_buffer text = {0};
    for (int i = 0; i < count; i++)
        check_ok(lng_buffer_append_format(&text, "%s %c\n", line, 'a' + i % 15));
    scratch_write(name, text.data, text.length);
    lng_buffer_release(&text);
}

Test(full_disk, vocab)
{
    write_lines("text", "the tree is green", 50);
    limit_files(16384); /* the normalisation table alone is larger */
    size_t before = scratch_count();
    run_out("vocab --vocab-size 24 --input @text --output @v.spm", "v.spm");
    cr_assert(scratch_count() == before, "something was left behind");
    run_out("vocab --model-type symbols --vocab-size 30 --input @text --output /dev/full",
            "/dev/full");
}

Test(full_disk, translate_and_score)
{
    save_words_model(scratch_path("model"));
    write_lines("text", "a b c", 300);
    limit_files(4096);
    run_out("translate -q -m @model -i @text -o @out --max-length 20 --device ref --json", "out");
    run_out("score -q -m @model --source @text --target @text -o @out --device cpu --json", "out");
    run_out("score -m @model --source @text --target @text -o /dev/full --device cpu", "/dev/full");
    run_out("translate -m @model -i @text -o /dev/full --device cpu --max-length 4", "/dev/full");
}

Test(full_disk, average)
{
    save_words_model(scratch_path("model"));
    limit_files(8192); /* the tokenizer's files fit, the parameters do not */
    size_t before = scratch_count();
    run_out("average -o @out @model @model", "out");
    cr_assert(scratch_count() == before, "something was left behind");
}

Test(full_disk, commands_that_print)
{
    save_words_model(scratch_path("model"));
    write_lines("text", "a b c", 3);
    static const char *const lines[] = {
        "info @model",
        "info --json @model",
        "eval --hypothesis @text --reference @text",
        "train --dump-config --vocab x --train-source a --train-target b --output c",
        "translate -q --device cpu -m @model -i @text",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const char *arguments[32] = {NULL};
        char *rest = NULL, *word = strtok_r(expand(lines[i]), " ", &rest);
        for (int count = 0; word != NULL; word = strtok_r(NULL, " ", &rest))
            arguments[count++] = word;
        int full = open("/dev/full", O_WRONLY), null = open("/dev/null", O_RDWR);
        cr_assert(program_wait(program_start(arguments, NULL, null, full, null)) == 1, "%s",
                  lines[i]);
        cr_assert(program_wait(program_start(arguments, NULL, null, null, null)) == 0, "%s",
                  lines[i]);
        close(full);
        close(null);
    }
}

/* The checkpoint that was there before stays, whole, and the run goes on from it when there is room again. */
Test(full_disk, train)
{
    static const char train[] =
        "train --tokenizer symbols --vocab @v.json --train-source @text --train-target @text "
        "--output @run --enc-depth 1 --dec-depth 1 --dim 16 --heads 2 --ffn-dim 16 --batch-tokens "
        "64 "
        "--max-length 16 --device cpu --threads 1 --log-every 2u --save-every 2u --max-updates ";
    char words[1024];
    write_lines("text", "a b c", 60);
    run_well("vocab --model-type symbols --vocab-size 30 --input @text --output @v.json");
    snprintf(words, sizeof words, "%s4", train);
    run_well(words);
    limit_files(20000);
    snprintf(words, sizeof words, "%s8", train);
    run_out(words, "checkpoints");
    limit_files(RLIM_INFINITY);
    struct lng_model_data data;
    check_ok(lng_model_data_open(scratch_path("run"), &data));
    lng_model_data_release(&data);
    struct program p;
    run(&p, words);
    cr_assert(p.status == 0 && strstr(p.err, "going on after update 4"), "status %d: %s", p.status,
              p.err);
    program_release(&p);
}
