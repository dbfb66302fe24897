/* lingster bench from outside: every workload on a tiny model, every field of the report, bad input. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_folder.h"

#define SHAPE                                                                                   \
    "--dim 16 --heads 2 --ffn-dim 32 --enc-depth 1 --dec-depth 2 --vocab-size 60 --device cpu " \
    "--threads 2 --quiet"
enum { VOCABULARY = 60 };

static void setup(void)
{
    scratch_make();
}
TestSuite(bench, .init = setup, .fini = scratch_remove, .timeout = 60);

/* @ in words stands for the scratch folder. */
static void run(struct program *program, const char *words, const char *input, int want)
{
    char all[2048];
    size_t used = 0;
    for (const char *c = words; *c != '\0' && used < sizeof all - 300; c++)
        if (*c == '@')
            used += (size_t)snprintf(all + used, 256, "%s", scratch_path(""));
        else
            all[used++] = *c;
    all[used] = '\0';
    program_run(program, all, input, input != NULL ? strlen(input) : 0, NULL);
    cr_assert(program->status == want, "lingster %s: status %d: %s%s", all, program->status,
              program->out, program->err);
}

/* The only report of a run. */
static json_t *report_of(const char *words, const char *input)
{
    struct program p;
    json_error_t error;
    run(&p, words, input, 0);
    cr_assert(strchr(p.out, '\n') == p.out + p.out_length - 1, "one line: %s", p.out);
    json_t *root = json_loads(p.out, JSON_REJECT_DUPLICATES, &error);
    cr_assert(root != NULL, "%s: %s", error.text, p.out);
    program_release(&p);
    return root;
}

/* "a.b.c"; asserts that it is there. */
static json_t *at(const json_t *root, const char *path)
{
    char text[128];
    json_t *value = (json_t *)root;
    snprintf(text, sizeof text, "%s", path);
    for (char *rest = text, *key; (key = strsep(&rest, ".")) != NULL;) {
        value = json_object_get(value, key);
        cr_assert(value != NULL, "%s: there is no %s", path, key);
    }
    return value;
}

static double number(const json_t *root, const char *path)
{
    cr_assert(json_is_number(at(root, path)), "%s is no number", path);
    return json_number_value(at(root, path));
}

static void check_spread(const json_t *root, const char *path)
{
    char name[128];
    double values[3];
    static const char *const keys[] = {"min", "median", "max"};
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s.%s", path, keys[i]);
        values[i] = number(root, name);
    }
    cr_assert(values[0] >= 0 && values[0] <= values[1] && values[1] <= values[2], "%s", path);
}

static void check_head(const json_t *root, const char *workload, bool model)
{
    static const char *const numbers[] = {
        "machine.cores",          "machine.threads",     "config.seed",
        "config.repetitions",     "config.warmup",       "memory.peak_rss_bytes",
        "memory.heap_peak_bytes", "memory.program_bytes"};
    static const char *const shape[] = {
        "source_vocab", "target_vocab", "dim",         "encoder_layers", "decoder_layers",
        "heads",        "encoder_ffn",  "decoder_ffn", "parameters",     "bytes"};
    char path[64];
    cr_assert(json_integer_value(at(root, "schema")) == 1);
    cr_assert_str_eq(json_string_value(at(root, "workload")), workload);
    cr_assert(json_is_string(at(root, "lingster")) && json_is_string(at(root, "machine.cpu")));
    cr_assert_str_eq(json_string_value(at(root, "machine.device")), "cpu");
    cr_assert(json_string_length(at(root, "machine.instructions")) > 0);
    cr_assert(json_is_string(at(root, "config.dtype")));
    (void)at(root, "memory.plan_bytes");
    (void)at(root, "memory.cache_bytes");
    (void)at(root, "memory.predicted_bytes");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        cr_assert(number(root, numbers[i]) >= 0);
    for (size_t i = 0; model && i < sizeof shape / sizeof shape[0]; i++) {
        snprintf(path, sizeof path, "model.%s", shape[i]);
        cr_assert(number(root, path) > 0);
    }
    cr_assert((json_object_get(root, "model") != NULL) == model);
}

static void check_runs(const json_t *root, size_t count)
{
    check_spread(root, "seconds");
    check_spread(root, "cpu_seconds");
    cr_assert(json_array_size(at(root, "runs")) == count);
    cr_assert(number(json_array_get(at(root, "runs"), 0), "seconds") > 0);
    cr_assert(number(json_array_get(at(root, "runs"), 0), "cpu_seconds") >= 0);
}

/* ---- workloads ---------------------------------------------------------------------------------- */

Test(bench, decode)
{
    json_t *root = report_of("bench decode " SHAPE " --json --sentences 7 --length 9 "
                             "--batch-sentences 3 --beam-size 2 --repetitions 3",
                             NULL);
    check_head(root, "decode", true);
    check_runs(root, 3);
    check_spread(root, "rates.target_tokens_per_second");
    check_spread(root, "rates.sentences_per_second");
    cr_assert(json_is_null(at(root, "model.path")) && json_is_null(at(root, "config.ids")));
    cr_assert(number(root, "config.beam_size") == 2 && number(root, "config.batch_sentences") == 3);
    cr_assert(json_is_true(at(root, "config.forced_length")));
    cr_assert(number(root, "work.sentences") == 7 && number(root, "work.source_tokens") == 63);
    cr_assert(number(root, "work.target_tokens") == 63);
    cr_assert(number(root, "work.steps") == 27, "three batches of nine steps");
    cr_assert(number(root, "work.sentences_at_once") == 3);
    cr_assert(number(root, "memory.plan_bytes") > number(root, "memory.cache_bytes"));
    json_decref(root);
}

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)
/* A real model, as the libraries alone would outweigh a tiny one. */
Test(bench, memory_is_what_was_planned)
{
    static const char *const types[] = {"f32", "int8"};
    for (int i = 0; i < 2; i++) {
        char command[256];
        snprintf(command, sizeof command,
                 "bench decode --model configs/demo --dtype %s --json --sentences 64 --length 27 "
                 "--batch-sentences 32 --beam-size 4 --repetitions 1 --warmup 0",
                 types[i]);
        json_t *root = report_of(command, NULL);
        const double predicted = number(root, "memory.predicted_bytes");
        const double peak = number(root, "memory.peak_rss_bytes");
        cr_assert(predicted == number(root, "memory.program_bytes") + number(root, "model.bytes") +
                                   number(root, "memory.plan_bytes"));
        cr_assert(predicted > 0.8 * peak && predicted < 1.2 * peak, "%s: %.1f MB, not %.1f",
                  types[i], peak * 1e-6, predicted * 1e-6);
        json_decref(root);
    }
}
#endif

Test(bench, every_sentence_has_its_own_length)
{
    json_t *root = report_of("bench decode " SHAPE " --json --ids - -o @out --beam-size 3 "
                             "--repetitions 1 --batch-sentences 2",
                             "3 4 0\t5\n7 0\t1\r\n 8  9 10 0 \t12\n5 0\n");
    struct lng_buffer out = {0};
    struct lng_slice rest, line, word;
    static const int want[] = {5, 1, 12};
    check_ok(lng_file_read(scratch_path("out"), 1 << 20, &out));
    rest = (struct lng_slice){out.data, out.length};
    for (int i = 0; i < 3; i++) {
        int count = 0;
        cr_assert(lng_text_split(&rest, '\n', &line));
        for (; lng_text_next_word(&line, &word); count++) {
            int id = atoi(word.data);
            cr_assert(id > 0 && id < VOCABULARY, "the end is never among them");
        }
        cr_assert(count == want[i], "line %d has %d tokens", i + 1, count);
    }
    cr_assert(lng_text_split(&rest, '\n', &line) && line.length > 0, "the last one ends itself");
    cr_assert(number(root, "work.source_tokens") == 11);
    lng_buffer_release(&out);
    json_decref(root);
}

Test(bench, companions_change_nothing)
{
    struct lng_buffer alone = {0}, together = {0};
    json_decref(
        report_of("bench decode " SHAPE " --json --sentences 9 --batch-sentences 1 -o @a", NULL));
    json_decref(
        report_of("bench decode " SHAPE " --json --sentences 9 --batch-sentences 4 -o @b", NULL));
    check_ok(lng_file_read(scratch_path("a"), 1 << 20, &alone));
    check_ok(lng_file_read(scratch_path("b"), 1 << 20, &together));
    cr_assert_str_eq(alone.data, together.data);
    lng_buffer_release(&alone);
    lng_buffer_release(&together);
}

Test(bench, latency)
{
    json_t *root =
        report_of("bench latency " SHAPE " --json --sentences 5 --length 4 --repetitions 2 "
                  "--dtype int8",
                  NULL);
    check_head(root, "latency", true);
    check_runs(root, 2);
    cr_assert(number(root, "config.batch_sentences") == 1);
    double p50 = number(root, "milliseconds.p50"), p95 = number(root, "milliseconds.p95");
    double p99 = number(root, "milliseconds.p99");
    cr_assert(p50 > 0 && p50 <= p95 && p95 <= p99 && p99 <= number(root, "milliseconds.max"));
    cr_assert(number(root, "milliseconds.mean") > 0);
    json_decref(root);
}

Test(bench, train)
{
    json_t *root = report_of(
        "bench train " SHAPE " --json --batch-tokens 90 --length 9 --repetitions 4", NULL);
    check_head(root, "train", true);
    check_runs(root, 4);
    check_spread(root, "rates.target_tokens_per_second");
    check_spread(root, "rates.tokens_per_second");
    check_spread(root, "rates.gflop_per_second");
    cr_assert(number(root, "work.target_tokens") == 90 && number(root, "work.source_tokens") == 90);
    /* Ten pairs of nine tokens by hand: 6 * (90 (4 + 4) 256 + 10 * 2 * 81 * 16) in the encoder, ... */
    double encoder = 90 * (4 * 256 + 2 * 16 * 32) + 10 * 2 * 81 * 16;
    double decoder = 90 * (6 * 256 + 2 * 16 * 32) + 90 * 2 * 256 + 10 * (90 * 16 + 2 * 81 * 16);
    double want = 6 * (encoder + 2 * decoder + 90.0 * 16 * VOCABULARY) / 1e9;
    cr_assert_float_eq(number(root, "work.gflop"), want, 1e-12);
    cr_assert(number(root, "work.last_loss") > 0);
    json_decref(root);
}

Test(bench, gemm)
{
    json_t *root = report_of("bench gemm " SHAPE " --json --repetitions 1", NULL), *row;
    size_t i;
    check_head(root, "gemm", false);
    cr_assert(json_array_size(at(root, "products")) == 4 * 8);
    json_array_foreach(at(root, "products"), i, row)
        cr_assert(number(row, "gop_per_second") > 0 && number(row, "rows") >= 1 &&
                  number(row, "in") >= 16 && number(row, "out") >= 16);
    json_decref(root);
}

Test(bench, grow)
{
    json_t *root =
        report_of("bench grow " SHAPE " --json --repetitions 1 --warmup 0 --batch-sentences 2 "
                  "--axes beam,layers --length 3",
                  NULL);
    check_head(root, "grow", false);
    cr_assert(json_array_size(at(root, "curves")) == 2);
    const json_t *curve = json_array_get(at(root, "curves"), 0);
    cr_assert_str_eq(json_string_value(at(curve, "axis")), "beam");
    cr_assert(json_array_size(at(curve, "points")) == 6);
    const json_t *point = json_array_get(at(curve, "points"), 5);
    cr_assert(number(point, "beam") == 16 && number(point, "seconds_per_sentence") > 0);
    cr_assert(number(point, "tokens_per_second") > 0 && number(point, "plan_bytes") > 0);
    const json_t *fit = json_array_get(at(curve, "fits"), 0);
    cr_assert(number(fit, "from") == 5 && number(fit, "to") == 16);
    (void)number(fit, "seconds_exponent");
    cr_assert(number(fit, "bytes_exponent") > 0);
    json_decref(root);
}

Test(bench, several_workloads_and_text)
{
    struct program p;
    run(&p, "bench decode latency " SHAPE " --sentences 2 --length 3 --repetitions 1", NULL, 0);
    const char *second = strstr(p.out, "latency");
    cr_assert(strstr(p.out, "rates.target_tokens_per_second.median") != NULL && second != NULL);
    cr_assert(strstr(second, "milliseconds.p99") != NULL, "%s", p.out);
    program_release(&p);
}

Test(bench, model_directory)
{
    tiny_folder_write("model", 1, 'a');
    json_t *root = report_of("bench decode -m @model --json --device cpu --quiet --sentences 2 "
                             "--repetitions 1 --dtype int8",
                             NULL);
    cr_assert(strstr(json_string_value(at(root, "model.path")), "model") != NULL);
    cr_assert_str_eq(json_string_value(at(root, "config.dtype")), "int8");
    json_decref(root);
}

/* ---- bad input ---------------------------------------------------------------------------------- */

Test(bench, bad_sentences)
{
    static const struct {
        const char *input, *message;
    } cases[] = {
        {"", "found nothing"},
        {"1 2\n\n", "line 2: expected token ids separated by spaces, found an empty sentence"},
        {"\t4\n", "found an empty sentence"},
        {"1 60\n", "line 1: token: expected a whole number from 0 to 59, found '60'"},
        {"1 -1\n", "found '-1'"},
        {"1 two\n", "found 'two'"},
        {"1 99999999999999999999999999\n", "expected a number from 0 to 59"},
        {"1 2\t0\n", "tokens to produce: expected a whole number from 1 to 100000, found '0'"},
        {"1 2\t-3\n", "found '-3'"},
        {"1 2\t100001\n", "found '100001'"},
        {"1 2\tx\n", "found 'x'"},
        {"1 2\t\n", "tokens to produce"},
        {"1 2\t3\t4\n", "one tab at most"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct program p;
        run(&p, "bench decode " SHAPE " --ids -", cases[i].input, 1);
        cr_assert(strstr(p.err, cases[i].message) != NULL && p.out_length == 0, "%s: %s",
                  cases[i].input, p.err);
        program_release(&p);
    }
}

Test(bench, bad_options)
{
    static const struct {
        const char *words, *message;
        int status;
    } cases[] = {
        {"bench", "WORKLOAD", 2},
        {"bench deco", "unknown workload 'deco'; expected one of: decode, latency, train", 2},
        {"bench decode --sentences 0", "sentences", 2},
        {"bench decode --dim 15 --heads 2", "multiple of heads", 2},
        {"bench decode --model x --dim 16", "dim (from the command line) is for random models", 2},
        {"bench grow --model x", "leave --model out", 2},
        {"bench grow --axes depth", "depth", 2},
        {"bench train --dtype int8 --dim 16", "int8 is not trained in", 2},
        {"bench decode --model @nowhere", "nowhere", 1},
        {"bench decode --ids @nowhere --dim 16", "nowhere", 1},
        {"bench decode --dim 16 --heads 2 --ffn-dim 16 --vocab-size 60 --sentences 1 -o @no/way",
         "no/way", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct program p;
        run(&p, cases[i].words, NULL, cases[i].status);
        cr_assert(strstr(p.err, cases[i].message) != NULL, "%s: %s", cases[i].words, p.err);
        program_release(&p);
    }
}
