/* Training through the program: it learns, it resumes bit for bit, it survives being killed. */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/mem.h"
#include "host/store/checkpoint.h"
#include "host/store/hf.h"
#include "host/store/model_dir.h"
#include "host/store/run_dir.h"
#include "tests/support/check.h"
#include "tests/support/cpu_variants.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"

enum { PAIRS = 120 };

/* A corpus in which the target is the source backwards, in other words. */
static void write_corpus(void)
{
    char *source = calloc(PAIRS, 64), *target = calloc(PAIRS, 64);
    cr_assert(source && target);
    srand(3);
    for (int i = 0; i < PAIRS; i++) {
        int length = 1 + rand() % 6, word[6];
        for (int k = 0; k < length; k++)
            word[k] = rand() % 9;
        for (int k = 0; k < length; k++) {
            sprintf(source + strlen(source), "s%d ", word[k]);
            sprintf(target + strlen(target), "t%d ", word[length - 1 - k]);
        }
        strcat(source, "\n");
        strcat(target, "\n");
    }
    scratch_write("train.s", source, strlen(source));
    scratch_write("train.t", target, strlen(target));
    free(source);
    free(target);
}

static const char config[] =
    "tokenizer: symbols\ntied: target\nenc-depth: 2\ndec-depth: 2\ndim: 16\n"
    "heads: 2\nffn-dim: 32\ndropout: 0.1\nattention-dropout: 0.1\nlr: 0.01\n"
    "warmup: 20u\nmax-length: 16\nbatch-tokens: 128\nlog-every: 10u\nsave-every: 10u\n"
    "valid-every: 20u\nema: 0.01\nthreads: 1\n";

static void setup(void)
{
    scratch_make();
    write_corpus();
    scratch_write("run.yml", config, sizeof config - 1);
    struct program program;
    for (int i = 0; i < 2; i++) {
        char words[2048];
        snprintf(words, sizeof words,
                 "vocab --model-type symbols --vocab-size 50 --input %s --output %s",
                 scratch_path(i ? "train.t" : "train.s"), scratch_path(i ? "t.json" : "s.json"));
        program_expect(&program, words, 0);
        program_release(&program);
    }
}

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

/* Everything of two checkpoints that decides the future must have equal bits. */
static void check_same_state(const char *a_run, const char *b_run, uint64_t update)
{
    static const char *const names[] = {LNG_SECTION_PARAMETERS, LNG_SECTION_ADAM_M,
                                        LNG_SECTION_ADAM_V, LNG_SECTION_EMA};
    char *paths[2] = {lng_checkpoint_path(scratch_path(a_run), update),
                      lng_checkpoint_path(scratch_path(b_run), update)};
    struct lng_checkpoint files[2];
    for (int i = 0; i < 2; i++)
        check_ok(lng_checkpoint_open(&files[i], paths[i]));
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        const struct lng_checkpoint_section *a = lng_checkpoint_find(&files[0], names[n]),
                                            *b = lng_checkpoint_find(&files[1], names[n]);
        cr_assert(a && b && a->length == b->length && a->length > 1000);
        cr_assert(a->checksum == b->checksum, "%s differs after update %llu", names[n],
                  (unsigned long long)update);
    }
    for (int i = 0; i < 2; i++) {
        lng_checkpoint_close(&files[i]);
        lng_free(paths[i]);
    }
}

Test(train, n_plus_n_updates_equal_2n, .timeout = 120)
{
    setup();
    struct program program;
    program_expect(&program, train_words("whole", "--max-updates 40"), 0);
    program_release(&program);
    program_expect(&program, train_words("parts", "--max-updates 20"), 0);
    program_release(&program);
    program_expect(&program, train_words("parts", "--max-updates 40"), 0);
    cr_assert(strstr(program.err, "going on after update 20") != NULL, "%s", program.err);
    program_release(&program);
    check_same_state("whole", "parts", 40);
    /* Threads do not change a bit either. */
    program_expect(&program,
                   train_words("threads", "--max-updates 40 --threads 3 --loader-threads 2"), 0);
    program_release(&program);
    check_same_state("whole", "threads", 40);
    /* Neither does recomputing activations. */
    program_expect(&program, train_words("recompute", "--max-updates 40 --recompute"), 0);
    program_release(&program);
    check_same_state("whole", "recompute", 40);
    scratch_remove();
}

Test(train, recomputing_changes_no_bit, .timeout = 120)
{
    static const char *const cases[] = {
        "--max-updates 20 --dtype bf16 --accumulate 2 --ffn-dropout 0.1",
        "--max-updates 20 --accumulate 3 --norm-position pre --activation swish",
        "--max-updates 20 --dtype bf16 --norm-position pre --norm rms --r-drop 1",
    };
    setup();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int again = 0; again < 2 && (cpu_has_bf16() || !strstr(cases[i], "bf16")); again++) {
            struct program program;
            char name[16], words[512];
            snprintf(name, sizeof name, "%s%zu", again ? "again" : "kept", i);
            snprintf(words, sizeof words, "%s%s", cases[i], again ? " --recompute" : "");
            program_expect(&program, train_words(name, words), 0);
            program_release(&program);
            if (again)
                check_same_state((char[]){'k', 'e', 'p', 't', (char)('0' + i), 0}, name, 20);
        }
    struct program program;
    program_expect(&program, train_words("refused", "--recompute=maybe"), 2);
    cr_assert(strstr(program.err, "recompute") != NULL, "%s", program.err);
    program_release(&program);
    scratch_remove();
}

static double last_metric(const char *run_name, const char *event, const char *key);

/* Both copies of a pair count for --batch-tokens: half of it without R-Drop is the same batches. */
Test(train, r_drop_resumes_exactly_and_counts_pairs_once, .timeout = 120)
{
    setup();
    struct program program;
    static const char *const runs[][2] = {
        {"whole", "--max-updates 30 --r-drop 5"},
        {"parts", "--max-updates 10 --r-drop 5"},
        {"parts", "--max-updates 30 --r-drop 5"},
        {"threads", "--max-updates 30 --r-drop 5 --threads 3 --loader-threads 2 --recompute"},
        {"plain", "--max-updates 30 --batch-tokens 64"},
        {"off", "--max-updates 30 --batch-tokens 64 --r-drop 0"},
        {"odd", "--max-updates 30 --r-drop 5 --batch-tokens 129 --batch-sentences 3"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        program_expect(&program, train_words(runs[i][0], runs[i][1]), 0);
        program_release(&program);
    }
    check_same_state("whole", "parts", 30);
    check_same_state("whole", "threads", 30);
    check_same_state("plain", "off", 30);
    static const char *const counted[] = {"targets", "sources", "epoch"};
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++)
        cr_assert(last_metric("whole", "train", counted[i]) ==
                      last_metric("plain", "train", counted[i]),
                  "%s", counted[i]);
    cr_assert(last_metric("whole", "train", "accuracy") > 10);
    scratch_remove();
}

Test(train, r_drop_refusals, .timeout = 60)
{
    setup();
    static const char *const cases[][2] = {
        {"--r-drop 5 --batch-tokens 31", "batch-tokens (31, from "},
        {"--r-drop 5 --batch-tokens 1", "at least twice max-length (16, from "},
        {"--r-drop 5 --dropout 0 --attention-dropout 0", "there is no dropout"},
        {"--r-drop -1", "r-drop"},
        {"--r-drop nan", "r-drop"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct program program;
        program_expect(&program, train_words("refused", cases[i][0]), 2);
        cr_assert(strstr(program.err, cases[i][1]) != NULL, "%s: %s", cases[i][0], program.err);
        program_release(&program);
    }
    scratch_remove();
}

/* Starts the program with arguments separated by spaces, its streams closed off; returns its pid. */
static int start_quietly(const char *words)
{
    char copy[8192], *arguments[64];
    int count = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, " "); word && count < 63; word = strtok(NULL, " "))
        arguments[count++] = word;
    arguments[count] = NULL;
    FILE *null = fopen("/dev/null", "r+");
    cr_assert(null != NULL);
    int pid = program_start((const char *const *)arguments, NULL, fileno(null), fileno(null),
                            fileno(null));
    fclose(null);
    return pid;
}

/* Starts a run, kills it at a moment of its own choosing, and goes on, until update 40 is reached. */
Test(train, killed_runs_go_on_exactly, .timeout = 120)
{
    setup();
    struct program program;
    program_expect(&program, train_words("whole", "--max-updates 40 --save-every 2u"), 0);
    program_release(&program);
    for (int attempt = 0; attempt < 8; attempt++) {
        const char *words = train_words("killed", "--max-updates 40 --save-every 2u");
        int pid = start_quietly(words);
        usleep((useconds_t)(20000 + 15000 * attempt));
        kill(pid, SIGKILL);
        program_wait(pid);
    }
    program_expect(&program, train_words("killed", "--max-updates 40 --save-every 2u"), 0);
    program_release(&program);
    check_same_state("whole", "killed", 40);
    scratch_remove();
}

Test(train, sigterm_saves_and_ends_well, .timeout = 60)
{
    setup();
    const char *words =
        train_words("stopped", "--max-updates 100000 --save-every 50000u --log-every 5u");
    int pid = start_quietly(words);
    char metrics[4096];
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", scratch_path("stopped"));
    /* Wait for the first report: then it is in the loop. */
    for (int tries = 0; tries < 500; tries++) {
        struct lng_buffer text = {0};
        bool there =
            lng_file_read(metrics, 1 << 20, &text) == LNG_OK && strstr(text.data, "\"train\"");
        lng_buffer_release(&text);
        if (there)
            break;
        usleep(20000);
    }
    kill(pid, SIGTERM);
    cr_assert(program_wait(pid) == 0);
    uint64_t *updates;
    size_t saved;
    check_ok(lng_checkpoint_list(scratch_path("stopped"), &updates, &saved));
    cr_assert(saved == 1 && updates[0] > 0 && updates[0] < 50000);
    lng_free(updates);
    scratch_remove();
}

/* The number after "key": in the last line of metrics.jsonl that holds `event`. */
static double last_metric(const char *run_name, const char *event, const char *key)
{
    char path[4096], quoted[64];
    snprintf(path, sizeof path, "%s/metrics.jsonl", scratch_path(run_name));
    struct lng_buffer text = {0};
    check_ok(lng_file_read(path, 1 << 20, &text));
    double value = NAN;
    struct lng_slice rest = {text.data, text.length}, line;
    while (lng_text_split(&rest, '\n', &line)) {
        char copy[4096];
        snprintf(copy, sizeof copy, "%.*s", (int)line.length, line.data);
        snprintf(quoted, sizeof quoted, "\"%s\"", event);
        if (strstr(copy, quoted) == NULL)
            continue;
        snprintf(quoted, sizeof quoted, "\"%s\":", key);
        const char *at = strstr(copy, quoted);
        cr_assert(at != NULL, "no %s in %s", key, copy);
        value = strtod(at + strlen(quoted), NULL);
    }
    lng_buffer_release(&text);
    return value;
}

Test(train, learns_to_reverse_and_exports_a_model, .timeout = 120)
{
    setup();
    char more[4096];
    snprintf(
        more, sizeof more,
        "--max-updates 600 --dropout 0 --attention-dropout 0 --label-smoothing 0 --valid-source %s "
        "--valid-target %s --valid-every 200u --early-stopping-metrics sentence-accuracy,loss "
        "--seed 5",
        scratch_path("train.s"), scratch_path("train.t"));
    struct program program;
    program_expect(&program, train_words("learn", more), 0);
    program_release(&program);
    cr_assert(last_metric("learn", "valid", "loss") < 0.05, "loss %g",
              last_metric("learn", "valid", "loss"));
    cr_assert(last_metric("learn", "train", "loss") < 0.1);
    struct lng_model_data data;
    check_ok(lng_model_data_open(scratch_path("learn"), &data));
    cr_assert(data.hparams.dim == 16 && data.values[0] != 0);
    lng_model_data_release(&data);
    cr_assert(lng_file_exists(scratch_path("learn/model/config.json")));
    cr_assert(lng_file_exists(scratch_path("learn/best-loss.ckpt")));
    scratch_remove();
}

/* Pre-norm with everything tied is what M2M-100 computes: <pad> is entry 1, positions start at 2. */
Test(train, pre_norm_follows_m2m_100, .timeout = 60)
{
    setup();
    char words[8192];
    snprintf(
        words, sizeof words,
        "train %s --norm-position pre --tied all --vocab %s --train-source %s --train-target %s "
        "--output %s --max-updates 3",
        scratch_path("run.yml"), scratch_path("s.json"), scratch_path("train.s"),
        scratch_path("train.s"), scratch_path("pre"));
    struct program program;
    program_expect(&program, words, 0);
    program_release(&program);
    struct lng_model_data data;
    check_ok(lng_model_data_open(scratch_path("pre"), &data));
    cr_assert(data.hparams.pad == 1 && data.hparams.position_offset == 2);
    cr_assert(data.hparams.decoder_start == data.hparams.eos && data.hparams.unk == 2);
    cr_assert(lng_hf_obstacle(&data.hparams, &data.params, data.values) == NULL);
    lng_model_data_release(&data);
    scratch_remove();
}

Test(train, refuses_what_cannot_work, .timeout = 60)
{
    setup();
    struct program program;
    scratch_write("short.t", "t1\n", 3);
    char words[8192];
    snprintf(words, sizeof words,
             "train %s --source-vocab %s --target-vocab %s --train-source %s --train-target %s "
             "--output %s",
             scratch_path("run.yml"), scratch_path("s.json"), scratch_path("t.json"),
             scratch_path("train.s"), scratch_path("short.t"), scratch_path("bad"));
    program_expect(&program, words, 1);
    cr_assert(strstr(program.err, "120") && strstr(program.err, "short.t"), "%s", program.err);
    program_release(&program);
    program_expect(&program, train_words("one", "--max-updates 3"), 0);
    program_release(&program);
    /* Another architecture, and another vocabulary, in the same run directory. */
    program_expect(&program, train_words("one", "--max-updates 6 --dim 32"), 1);
    cr_assert(strstr(program.err, "dim") || strstr(program.err, "d_model"), "%s", program.err);
    program_release(&program);
    scratch_write("t.json", "{\"</s>\":0,\"<unk>\":1,\"t9\":2,\"<pad>\":3}", 37);
    program_expect(&program, train_words("one", "--max-updates 6"), 1);
    program_release(&program);
    scratch_write("empty", "", 0);
    snprintf(words, sizeof words,
             "train %s --source-vocab %s --target-vocab %s --train-source %s --train-target %s "
             "--output %s",
             scratch_path("run.yml"), scratch_path("s.json"), scratch_path("s.json"),
             scratch_path("empty"), scratch_path("empty"), scratch_path("none"));
    program_expect(&program, words, 1);
    cr_assert(strstr(program.err, "empty") != NULL, "%s", program.err);
    program_release(&program);
    scratch_remove();
}
