/* Guided alignment through the program: what it teaches, that it resumes bit for bit, and what it refuses. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/store/checkpoint.h"
#include "host/store/model_dir.h"
#include "host/store/run_dir.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"

enum { PAIRS = 400, TESTS = 60, LONGEST = 6 };

/* Pairs whose target is the source backwards, in other words, and their alignments: NAME.s, NAME.t, NAME.a. */
static void write_corpus(const char *name, int pairs)
{
    static const char *const suffixes[] = {"s", "t", "a"};
    FILE *files[3];
    for (int f = 0; f < 3; f++) {
        char file[64];
        snprintf(file, sizeof file, "%s.%s", name, suffixes[f]);
        files[f] = fopen(scratch_path(file), "w");
        cr_assert(files[f] != NULL);
    }
    for (int i = 0; i < pairs; i++) {
        int length = 1 + rand() % LONGEST, word[LONGEST];
        for (int k = 0; k < length; k++)
            word[k] = rand() % 9;
        for (int k = 0; k < length; k++) {
            fprintf(files[0], "s%d ", word[k]);
            fprintf(files[1], "t%d ", word[length - 1 - k]);
            fprintf(files[2], "%d-%d ", k, length - 1 - k);
        }
        for (int f = 0; f < 3; f++)
            fputc('\n', files[f]);
    }
    for (int f = 0; f < 3; f++)
        cr_assert(fclose(files[f]) == 0);
}

static const char config[] =
    "tokenizer: symbols\ntied: target\nenc-depth: 2\ndec-depth: 3\ndim: 32\nheads: 2\n"
    "ffn-dim: 64\nlr: 0.01\nwarmup: 40u\nmax-length: 16\nbatch-tokens: 256\nlog-every: 10u\n"
    "threads: 1\n";

static void run_well(const char *words)
{
    struct program program;
    program_expect(&program, words, 0);
    program_release(&program);
}

static void setup(void)
{
    scratch_make();
    srand(3);
    write_corpus("train", PAIRS);
    write_corpus("test", TESTS);
    scratch_write("run.yml", config, sizeof config - 1);
    for (int i = 0; i < 2; i++) {
        char words[2048];
        snprintf(words, sizeof words,
                 "vocab --model-type symbols --vocab-size 50 --input %s --output %s",
                 scratch_path(i ? "train.t" : "train.s"), scratch_path(i ? "t.json" : "s.json"));
        run_well(words);
    }
}

TestSuite(guided, .init = setup, .fini = scratch_remove, .timeout = 120);

/* The train command for a run directory of the scratch folder; static storage. */
static const char *train_words(const char *name, const char *more)
{
    static char words[8192];
    snprintf(words, sizeof words,
             "train %s --source-vocab %s --target-vocab %s --train-source %s --train-target %s "
             "--output %s %s",
             scratch_path("run.yml"), scratch_path("s.json"), scratch_path("t.json"),
             scratch_path("train.s"), scratch_path("train.t"), scratch_path(name), more);
    return words;
}

static const char *guided_words(const char *name, const char *more)
{
    char words[4096];
    snprintf(words, sizeof words, "--guided-alignment %s %s", scratch_path("train.a"), more);
    return train_words(name, words);
}

static void check_same_state(const char *a_run, const char *b_run, uint64_t update)
{
    static const char *const names[] = {LNG_SECTION_PARAMETERS, LNG_SECTION_ADAM_M,
                                        LNG_SECTION_ADAM_V};
    char *paths[2] = {lng_checkpoint_path(scratch_path(a_run), update),
                      lng_checkpoint_path(scratch_path(b_run), update)};
    struct lng_checkpoint files[2];
    for (int i = 0; i < 2; i++)
        check_ok(lng_checkpoint_open(&files[i], paths[i]));
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        const struct lng_checkpoint_section *a = lng_checkpoint_find(&files[0], names[n]),
                                            *b = lng_checkpoint_find(&files[1], names[n]);
        cr_assert(a && b && a->length == b->length && a->length > 1000);
        cr_assert(a->checksum == b->checksum, "%s and %s: %s differs", a_run, b_run, names[n]);
    }
    for (int i = 0; i < 2; i++) {
        lng_checkpoint_close(&files[i]);
        lng_free(paths[i]);
    }
}

static struct lng_buffer read_scratch(const char *name)
{
    struct lng_buffer text = {0};
    check_ok(lng_file_read(scratch_path(name), 1 << 20, &text));
    return text;
}

/* Translates the test set with alignments of words; the output is the caller's. */
static void translate(const char *name, const char *more, struct program *program)
{
    char words[4096], model[256];
    snprintf(model, sizeof model, "%s/model", name);
    snprintf(words, sizeof words,
             "translate -m %s -i %s --beam-size 1 --threads 1 --alignment hard --alignment-level "
             "word %s",
             scratch_path(model), scratch_path("test.s"), more);
    words[strlen(words) - (more[0] == '\0')] = '\0'; /* no empty argument */
    program_expect(program, words, 0);
}

/* Links of the test set that a model finds, in percent of all; by its usual layer or that of `more`. */
static double share_found(const char *name, const char *more)
{
    struct program program;
    translate(name, more, &program);
    struct lng_buffer wanted = read_scratch("test.a");
    struct lng_slice all = {wanted.data, wanted.length}, want;
    struct lng_slice rest = {program.out, program.out_length}, line;
    int found = 0, links = 0;
    while (lng_text_split(&all, '\n', &want) && lng_text_split(&rest, '\n', &line)) {
        char text[512];
        snprintf(text, sizeof text, "%.*s ", (int)line.length, line.data);
        const char *mark = strstr(text, "|||");
        struct lng_slice link;
        while (lng_text_next_word(&want, &link)) {
            char one[16];
            snprintf(one, sizeof one, " %.*s ", (int)link.length, link.data);
            found += mark != NULL && strstr(mark, one) != NULL;
            links++;
        }
    }
    lng_buffer_release(&wanted);
    program_release(&program);
    cr_assert(links > 100);
    return 100.0 * found / links;
}

/* Without guidance the last layer aligns best by itself, the first one badly. */
Test(guided, alignments_are_learnt)
{
    static const char usual[] = "--max-updates 250 --dropout 0 --seed 5";
    char words[256];
    snprintf(words, sizeof words, "%s --guided-alignment-weight 1 --guided-alignment-layer 0",
             usual);
    run_well(train_words("plain", usual));
    run_well(guided_words("guided", words));
    double plain = share_found("plain", "--alignment-head 0.mean"), last = share_found("plain", "");
    double guided = share_found("guided", "");
    fprintf(stderr, "links found: %.1f%%; without guidance %.1f%%, by the last layer %.1f%%\n",
            guided, plain, last);
    cr_assert(guided > 75 && guided > plain + 20 && guided > last);
    struct lng_buffer log = read_scratch("guided/train.log"),
                      metrics = read_scratch("guided/metrics.jsonl"),
                      other = read_scratch("plain/metrics.jsonl");
    cr_assert(strstr(log.data, ", alignment ") != NULL);
    cr_assert(strstr(metrics.data, "\"alignment\":") != NULL);
    cr_assert(strstr(other.data, "\"alignment\":") == NULL);
    const char *first = strstr(metrics.data, "\"alignment\":");
    double before = strtod(first + 12, NULL), after = before;
    for (const char *at = first; at != NULL; at = strstr(at + 1, "\"alignment\":"))
        after = strtod(at + 12, NULL);
    cr_assert(before > 1 && after < before / 2, "cost %g, then %g", before, after);
    lng_buffer_release(&log);
    lng_buffer_release(&metrics);
    lng_buffer_release(&other);
}

/* Translation takes the layer that was trained, and says so nowhere else. */
Test(guided, the_trained_layer_is_remembered)
{
    run_well(guided_words("first", "--max-updates 60 --guided-alignment-layer 0"));
    struct lng_model_data data;
    check_ok(lng_model_data_open(scratch_path("first"), &data));
    cr_assert(data.hparams.alignment_layer == 0);
    lng_model_data_release(&data);
    struct program usual, first, last;
    translate("first", "", &usual);
    translate("first", "--alignment-head 0.mean", &first);
    translate("first", "--alignment-head last.mean", &last);
    cr_assert_str_eq(usual.out, first.out);
    cr_assert(strcmp(usual.out, last.out) != 0);
    program_release(&usual);
    program_release(&first);
    program_release(&last);
}

Test(guided, resumes_exactly_and_threads_change_nothing)
{
    static const char *const runs[][2] = {
        {"whole", "--max-updates 20"},
        {"parts", "--max-updates 7"},
        {"parts", "--max-updates 20"},
        {"threads", "--max-updates 20 --threads 3 --loader-threads 2 --recompute"},
        {"pairs", "--max-updates 9 --r-drop 5 --accumulate 2"},
        {"pairs-parts", "--max-updates 4 --r-drop 5 --accumulate 2"},
        {"pairs-parts", "--max-updates 9 --r-drop 5 --accumulate 2 --recompute"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        char more[256];
        snprintf(more, sizeof more, "%s --attention-dropout 0.1", runs[i][1]);
        run_well(guided_words(runs[i][0], more));
    }
    check_same_state("whole", "parts", 20);
    check_same_state("whole", "threads", 20);
    check_same_state("pairs", "pairs-parts", 9);
    /* Other alignments (one link less), or none, are another corpus. */
    struct lng_buffer alignments = read_scratch("train.a");
    memset(alignments.data, ' ', 3);
    scratch_write("train.a", alignments.data, alignments.length);
    lng_buffer_release(&alignments);
    for (int with = 0; with < 2; with++) {
        struct program program;
        const char *more = "--max-updates 25";
        program_expect(&program, with ? guided_words("whole", more) : train_words("whole", more),
                       1);
        cr_assert(strstr(program.err, "training corpus is not the one") != NULL, "%s", program.err);
        program_release(&program);
    }
}

Test(guided, refusals)
{
    char two[256], short_file[256];
    scratch_write("short.a", "0-0\n", 4);
    snprintf(two, sizeof two, "--guided-alignment %s --guided-alignment %s",
             scratch_path("train.a"), scratch_path("train.a"));
    snprintf(short_file, sizeof short_file, "--guided-alignment %s", scratch_path("short.a"));
    const struct {
        const char *more;
        int status;
        const char *what;
    } cases[] = {
        {two, 2, "guided-alignment has 2 files, and there are 1 corpora"},
        {short_file, 1, "short.a has 1 lines but"},
        {"--guided-alignment-cost mse", 2, "ce"},
        {"--guided-alignment-layer 3", 2, "expected last or a decoder layer from 0 to 2, found 3"},
        {"--guided-alignment-layer first", 2, "found first"},
        {"--guided-alignment-weight -1", 2, "guided-alignment-weight"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct program program;
        program_expect(&program, train_words("refused", cases[i].more), cases[i].status);
        cr_assert(strstr(program.err, cases[i].what) != NULL, "%s: %s", cases[i].more, program.err);
        program_release(&program);
    }
}
