/* Options from files, presets and the environment, and back into a file. */
#include "host/config/options.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

static const struct lng_command train = {"train", LNG_FOR_TRAIN, "CONFIG.yml...", 0,
                                         -1,      true,          "Train a model."};
static const struct lng_command translate = {"translate", LNG_FOR_TRANSLATE, "", 0, 0,
                                             false,       "Translate text."};

enum { MAX_WORDS = 32 };

/* Parses "lingster <command> words...", words separated by single spaces. */
static enum lng_status parse_with(struct lng_options *options, const struct lng_command *command,
                                  const char *words, char *const *environment)
{
    static char copy[2048];
    char *argv[MAX_WORDS] = {(char *)command->name};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    check_ok(lng_options_init(options, command));
    return lng_options_parse(options, argc, argv, environment);
}

static enum lng_status parse(struct lng_options *options, const struct lng_command *command,
                             const char *words)
{
    return parse_with(options, command, words, NULL);
}

/* ---- all sources together ---- */

static const char *write_text(const char *name, const char *text)
{
    return scratch_write(name, text, strlen(text));
}

Test(option_sources, the_stronger_source_wins)
{
    scratch_make();
    write_text("weak.yml", "dim: 1\n"); /* never read: the name is taken by the file's own preset */
    write_text("own.yml", "dim: 32\nheads: 2\nffn-dim: 64\ndropout: 0.4\nenc-depth: 3\n");
    const char *first = write_text("first.yml", "heads: 4\npreset: own\nffn-dim: 128\n");
    const char *second = write_text("second.yml", "ffn-dim: 256\ndropout: 0.2\n");
    char words[512];
    snprintf(words, sizeof words, "--output r %s --config %s --dec-ffn-dim 99", first, second);
    char *environment[] = {"PATH=/bin",
                           "LINGSTER_DROPOUT=0.3",
                           "LINGSTER_DEC_FFN_DIM=98",
                           "LINGSTER_BEAM_SIZE=7",
                           "LINGSTER_TRAIN_SOURCE=a:b",
                           "LINGSTER_PRESETS=/x",
                           "LINGSTER_TRAIN_TARGET=c:d",
                           NULL};
    struct lng_options o;
    check_ok(parse_with(&o, &train, words, environment));
    cr_assert(o.dim == 32, "preset over default");
    cr_assert(o.enc_depth == 3 && o.heads == 4, "file over its preset, whatever the order");
    cr_assert(o.ffn_dim == 256, "later file over earlier");
    cr_assert(o.dropout == 0.3, "environment over file");
    cr_assert(o.dec_ffn_dim == 99, "command line over environment");
    cr_assert(o.train_source.count == 2);
    cr_assert_str_eq(o.train_source.items[1], "b");
    cr_assert(o.origin[LNG_OPTION_dim].source == LNG_SOURCE_PRESET);
    cr_assert(o.origin[LNG_OPTION_dropout].source == LNG_SOURCE_ENVIRONMENT);
    cr_assert_str_eq(o.origin[LNG_OPTION_dropout].where, "LINGSTER_DROPOUT");
    lng_options_release(&o);
    scratch_remove();
}

Test(option_sources, a_preset_given_outside_stands_for_the_files)
{
    scratch_make();
    write_text("own.yml", "dim: 32\n");
    const char *file = write_text("run.yml", "preset: own\nheads: 4\n");
    char words[512];
    setenv("LINGSTER_PRESETS", scratch_path("elsewhere"), 1);
    check_ok(lng_make_directories(scratch_path("elsewhere")));
    write_text("elsewhere/other.yml", "enc-depth: 2\nheads: 16\n");
    snprintf(words, sizeof words, "--output r %s --preset other", file);
    struct lng_options o;
    check_ok(parse(&o, &train, words));
    cr_assert(o.enc_depth == 2 && o.heads == 4 && o.dim == 512);
    cr_assert_str_eq(o.preset, "other");
    lng_options_release(&o);
    scratch_remove();
}

Test(option_sources, presets_in_a_circle)
{
    scratch_make();
    write_text("a.yml", "preset: b\n");
    write_text("b.yml", "preset: a\n");
    struct lng_options o;
    check_ok(lng_options_init(&o, &train));
    check_fails(lng_options_read_file(&o, scratch_path("a.yml")), LNG_ERR_USAGE, "in a circle");
    lng_options_release(&o);
    scratch_remove();
}

Test(option_sources, environment_mistakes)
{
    static char *const mistakes[] = {"LINGSTER_BAEM_SIZE=3", "LINGSTER_BEAM_SIZE=x",
                                     "LINGSTER_HELP=1", "LINGSTER_BEAM_SIZE=", "LINGSTER_=1"};
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        char *environment[] = {mistakes[i], NULL};
        struct lng_options o;
        check_fails(parse_with(&o, &translate, "-m m", environment), LNG_ERR_USAGE, "environment");
        lng_options_release(&o);
    }
}

Test(option_sources, files_that_cannot_be_read)
{
    struct lng_options o;
    check_fails(parse(&o, &train, "/nonexistent/run.yml --output r"), LNG_ERR_IO,
                "/nonexistent/run.yml");
    lng_options_release(&o);
    check_fails(parse(&o, &train, "/dev/zero --output r"), LNG_ERR_RANGE, "/dev/zero");
    lng_options_release(&o);
    check_fails(parse(&o, &train, "/ --output r"), LNG_ERR_IO, "/");
    lng_options_release(&o);
}

/* ---- presets that come with the program ---- */

static const char *const presets[] = {"transformer-tiny",
                                      "transformer-small",
                                      "transformer-base",
                                      "transformer-big",
                                      "base-prenorm",
                                      "deep-shallow",
                                      "g2p",
                                      "multi30k-tiny",
                                      "demo"};

Test(option_sources, presets_are_sound)
{
    const char *root = getenv("LNG_TEST_ROOT");
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        char words[512];
        snprintf(words, sizeof words, "%s/configs/%s.yml --output r", root, presets[i]);
        struct lng_options o;
        check_ok(parse(&o, &train, words));
        lng_options_release(&o);
    }
    struct lng_options o;
    char words[512];
    snprintf(words, sizeof words, "%s/configs/multi30k-tiny.yml --output r", root);
    check_ok(parse(&o, &train, words));
    cr_assert(o.dim == 128 && o.ffn_dim == 256 && o.heads == 4 && o.enc_depth == 4, "from tiny");
    cr_assert(o.adam_epsilon == 1e-8 && o.beta2 == 0.98, "own, and from base through tiny");
    lng_options_release(&o);
}

/* ---- dump ---- */

static void dump(const struct lng_options *options, struct lng_buffer *text)
{
    *text = (struct lng_buffer){0};
    check_ok(lng_options_dump(options, text));
}

/* Without comments, where the origins stand. */
static void strip(struct lng_buffer *text)
{
    char *out = text->data;
    for (char *line = text->data; *line != '\0';) {
        char *end = strchr(line, '\n') + 1;
        if (*line != '#') {
            memmove(out, line, (size_t)(end - line));
            out += end - line;
        }
        line = end;
    }
    *out = '\0';
}

Test(option_sources, dump_reproduces)
{
    struct lng_options o, again;
    check_ok(
        parse(&o, &train,
              "--output r --dim 64 --lr 0.00030000000000000003 --warmup 3Mt --train-source a\"b "
              "--train-source \\c --train-target d:e --train-target '#f --vocab \xE2\x82\xAC.spm "
              "--schedule cosine --max-updates 5 --dropout 0.30000000000000004 --positions c"));
    struct lng_buffer first, second;
    dump(&o, &first);
    cr_assert(strstr(first.data, "\ndim: 64\n") != NULL);
    cr_assert(strstr(first.data, "\n#train-tsv:\n") != NULL);
    cr_assert(strstr(first.data, "from the command line") != NULL);
    check_ok(lng_options_init(&again, &train));
    check_ok(lng_options_read_text(&again, "dump", first.data, first.length));
    check_ok(lng_options_finish(&again, true));
    cr_assert(again.dim == 64 && again.lr == o.lr && again.dropout == o.dropout);
    cr_assert_str_eq(again.train_source.items[0], "a\"b");
    cr_assert_str_eq(again.train_source.items[1], "\\c");
    cr_assert_str_eq(again.train_target.items[0], "d:e");
    cr_assert_str_eq(again.train_target.items[1], "'#f");
    cr_assert_str_eq(again.vocab, "\xE2\x82\xAC.spm");
    dump(&again, &second);
    strip(&first);
    strip(&second);
    cr_assert_str_eq(first.data, second.data);
    lng_buffer_release(&first);
    lng_buffer_release(&second);
    lng_options_release(&o);
    lng_options_release(&again);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(option_sources, dump_of_awkward_text)
{
    struct lng_options o, again;
    static const char awkward[] =
        "tab\there\nline\x7F \xC2\x85 \xE2\x80\xA8 \xEF\xBB\xBF \xF0\x9F\x8E\x89";
    check_ok(lng_options_init(&o, &train));
    check_ok(lng_options_set(&o, "output", awkward));
    check_ok(lng_options_finish(&o, false));
    struct lng_buffer text;
    dump(&o, &text);
    check_ok(lng_options_init(&again, &train));
    check_ok(lng_options_read_text(&again, "dump", text.data, text.length));
    cr_assert_str_eq(again.output, awkward);
    lng_buffer_release(&text);
    check_ok(lng_options_set(&o, "output", "\xFF"));
    check_fails(lng_options_dump(&o, &text), LNG_ERR_FORMAT, "not UTF-8");
    lng_buffer_release(&text);
    lng_options_release(&again);
    lng_options_release(&o);
}

/* ---- memory ---- */

Test(option_sources, every_allocation_may_fail)
{
    scratch_make();
    const char *file = write_text("run.yml", "dim: 64\ntrain-source: [a, b]\npreset: own\n");
    write_text("own.yml", "vocab: v\n");
    char words[512];
    snprintf(words, sizeof words, "%s --output r --train-target x --train-target y", file);
    char *argv[] = {"train",          words, "--output", "r", "--train-target", "x",
                    "--train-target", "y",   NULL};
    argv[1] = (char *)file;
    char *environment[] = {"LINGSTER_DROPOUT=0.3", NULL};
    bool done = false;
    size_t tries = 0;
    while (!done) {
        struct lng_options o;
        lng_mem_fail_nth(++tries, 0);
        enum lng_status status = lng_options_init(&o, &train);
        if (status == LNG_OK)
            status = lng_options_parse(&o, 8, argv, environment);
        lng_mem_fail_nth(0, 0);
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY, "%s", lng_error_message());
        done = status == LNG_OK;
        lng_options_release(&o);
        cr_assert(lng_mem_get_stats().blocks_live == 0, "leak when allocation %zu fails", tries);
    }
    cr_assert(tries > 20);
    scratch_remove();
}
