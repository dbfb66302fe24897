/* lingster bench from outside: every workload on a tiny model, every field of the report, bad input. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "tests/support/check.h"
#include "tests/support/cpu_variants.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_folder.h"

#define SHAPE_OF(device)                                                                           \
    "--dim 16 --heads 2 --ffn-dim 32 --enc-depth 1 --dec-depth 2 --vocab-size 60 --device " device \
    " --threads 2 --quiet"
#define SHAPE SHAPE_OF("cpu")
enum { VOCABULARY = 60 };

static char plugin[4200]; /* the double's, beside the program; nothing: the program's own */

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
    const char *environment[] = {plugin, NULL};
    program_run(program, all, input, input != NULL ? strlen(input) : 0,
                plugin[0] != '\0' ? environment : NULL);
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
    bool gpu = plugin[0] != '\0';
    cr_assert_str_eq(json_string_value(at(root, "machine.device")), gpu ? "cuda" : "cpu");
    cr_assert(json_is_null(at(root, "machine.gpu")) == !gpu);
    cr_assert(json_is_null(at(root, "memory.gpu_used_bytes")) == !gpu);
    cr_assert(json_is_null(at(root, "memory.gpu_held_bytes")) == !gpu);
    cr_assert(gpu || json_string_length(at(root, "machine.instructions")) > 0);
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

Test(bench, train_writes_its_pairs)
{
    struct lng_buffer out = {0};
    struct lng_slice rest, line, source;
    json_t *root = report_of("bench train " SHAPE " --json --batch-tokens 40 --length 5 "
                             "--repetitions 1 -o @pairs",
                             NULL);
    check_ok(lng_file_read(scratch_path("pairs"), 1 << 20, &out));
    rest = (struct lng_slice){out.data, out.length};
    for (int i = 0; i < 8; i++) {
        cr_assert(lng_text_split(&rest, '\n', &line) && lng_text_split(&line, '\t', &source));
        for (int side = 0; side < 2; side++) {
            struct lng_slice word, words = side == 0 ? source : line;
            int count = 0, id = -1;
            for (; lng_text_next_word(&words, &word); count++)
                id = atoi(word.data);
            cr_assert(count == 5 && id == 0, "five tokens, the last one the end");
        }
    }
    cr_assert(number(root, "work.first_loss") > 0 && number(root, "work.last_loss") > 0);
    lng_buffer_release(&out);
    json_decref(root);
}

Test(bench, gemm)
{
    json_t *root = report_of("bench gemm " SHAPE " --json --repetitions 1 --square 48", NULL), *row;
    size_t i;
    check_head(root, "gemm", false);
    cr_assert(json_array_size(at(root, "products")) == 4 * 8 + 1);
    json_array_foreach(at(root, "products"), i, row)
        cr_assert(number(row, "gop_per_second") > 0 && number(row, "rows") >= 1 &&
                  number(row, "in") >= 16 && number(row, "out") >= 16);
    row = json_array_get(at(root, "products"), 32);
    cr_assert(number(row, "in") == 48 && number(row, "out") == 48 && number(row, "rows") == 48);
    cr_assert(number(root, "utilization.measured_peak") == number(row, "gop_per_second"));
    cr_assert(number(root, "utilization.of_measured") == 1);
    cr_assert(json_is_null(at(root, "utilization.of_nominal")));
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

/* On the smallest model alone: of the values each is measured. */
Test(bench, grow_training_and_width)
{
    json_t *root = report_of("bench grow --dim 2 --heads 1 --ffn-dim 2 --enc-depth 1 --dec-depth 1 "
                             "--vocab-size 9 --device cpu --threads 2 --quiet --json --repetitions "
                             "1 --warmup 0 --batch-tokens 600 --axes update_length",
                             NULL);
    const json_t *length = json_array_get(at(root, "curves"), 0);
    cr_assert_str_eq(json_string_value(at(length, "axis")), "update_length");
    cr_assert(json_array_size(at(length, "points")) == 6);
    const json_t *point = json_array_get(at(length, "points"), 5);
    cr_assert(number(point, "update_length") == 512 && number(point, "plan_bytes") > 0);
    cr_assert_float_eq(number(point, "tokens_per_second") * number(point, "seconds_per_update"),
                       512, 1e-6);
    json_decref(root);
    root = report_of("bench grow " SHAPE " --json --repetitions 1 --warmup 0 --batch-sentences 1 "
                     "--length 2 --axes width",
                     NULL);
    cr_assert(json_array_size(at(json_array_get(at(root, "curves"), 0), "points")) == 4);
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

/* The parts are all there, and add up to all. */
static void check_phases(const json_t *root, const char *const *present)
{
    const json_t *part;
    double shares = 0, seconds = 0;
    size_t i, found = 0;
    json_array_foreach(at(root, "phases.parts"), i, part)
    {
        const char *name = json_string_value(at(part, "phase"));
        shares += number(part, "share");
        seconds += number(part, "seconds");
        for (const char *const *p = present; *p != NULL; p++)
            if (strcmp(*p, name) == 0) {
                cr_assert(number(part, "calls") > 0 && number(part, "seconds") > 0, "%s", name);
                found++;
            }
    }
    for (; *present != NULL; present++)
        found--;
    cr_assert(found == 0, "phases are missing");
    cr_assert(seconds >= 0.999 * number(root, "phases.seconds") && shares >= 0.999);
}
static const char *const training_phases[] = {
    "gemm", "attention", "element-wise", "loss", "optimizer", "copy", NULL};
static const char *const search_phases[] = {"gemm",   "attention", "element-wise",
                                            "search", "copy",      NULL};

/* The same updates in less memory. */
Test(bench, recomputes)
{
    static const char *const words[2] = {
        "bench train " SHAPE " --json --batch-tokens 90 --repetitions 2",
        "bench train " SHAPE " --json --batch-tokens 90 --repetitions 2 --recompute"};
    static const char *const plans[2] = {
        "bench train " SHAPE " --json --batch-tokens 900 --dry-run",
        "bench train " SHAPE " --json --batch-tokens 900 --dry-run --recompute"};
    json_t *roots[2], *planned[2];
    for (int i = 0; i < 2; i++) {
        roots[i] = report_of(words[i], NULL);
        planned[i] = report_of(plans[i], NULL);
        cr_assert(json_is_true(at(roots[i], "config.recompute")) == (i == 1));
    }
    cr_assert(number(roots[0], "work.last_loss") == number(roots[1], "work.last_loss"));
    cr_assert(number(planned[1], "plan.plan_bytes") < number(planned[0], "plan.plan_bytes"));
    for (int i = 0; i < 2; i++) {
        json_decref(roots[i]);
        json_decref(planned[i]);
    }
}

Test(bench, phases)
{
    json_t *root =
        report_of("bench train " SHAPE " --json --batch-tokens 90 --repetitions 1 --phases", NULL);
    check_phases(root, training_phases);
    cr_assert(json_is_null(at(root, "utilization.of_measured")), "gemm did not run");
    json_decref(root);
    root = report_of("bench decode " SHAPE " --json --sentences 3 --repetitions 1 --phases", NULL);
    check_phases(root, search_phases);
    json_decref(root);
    root = report_of("bench latency " SHAPE " --json --sentences 3 --repetitions 1", NULL);
    cr_assert(json_object_get(root, "phases") == NULL);
    json_decref(root);
}

static void check_attention(const json_t *root)
{
    const json_t *rows = at(root, "lengths"), *row;
    size_t i;
    cr_assert(json_array_size(rows) == 4);
    json_array_foreach(rows, i, row)
    {
        double length = i < 2 ? 16 : 32, causal = i % 2 ? 2 : 1;
        cr_assert(number(row, "length") == length && number(row, "sentences") == 64 / length);
        cr_assert(json_is_true(at(row, "causal")) == (i % 2 == 1));
        double gflop = 4e-9 * 64 / length * length * length * 16 / causal;
        cr_assert_float_eq(number(row, "forward_tflop_per_second") * 1e3 *
                               number(row, "forward_seconds"),
                           gflop, 1e-12);
        cr_assert_float_eq(number(row, "backward_tflop_per_second") * 1e3 *
                               number(row, "backward_seconds"),
                           2.5 * gflop, 1e-12);
    }
}

Test(bench, attention)
{
    json_t *root = report_of(
        "bench attention " SHAPE " --json --repetitions 1 --longest 40 --batch-tokens 64", NULL);
    check_head(root, "attention", false);
    check_attention(root);
    json_decref(root);
}

Test(bench, startup)
{
    json_t *root = report_of("bench startup -m configs/demo --device cpu --quiet --json "
                             "--repetitions 2 --warmup 0",
                             NULL);
    check_head(root, "startup", false);
    const json_t *processes = at(root, "processes");
    cr_assert(json_array_size(processes) == 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *one = json_array_get(processes, i);
        cr_assert_str_eq(json_string_value(at(one, "process")), i == 0 ? "version" : "translate");
        check_spread(one, "total_ms");
        check_spread(one, "cpu_ms");
        check_spread(one, "peak_rss_bytes");
        cr_assert(number(one, "first_output_ms.min") > 0);
        cr_assert(number(one, "first_output_ms.min") <= number(one, "total_ms.max"));
    }
    json_decref(root);
}

static void check_memory(const json_t *root, size_t uses)
{
    cr_assert(json_array_size(at(root, "uses")) == uses);
    for (size_t i = 0; i < uses; i++) {
        const json_t *use = json_array_get(at(root, "uses"), i);
        cr_assert_str_eq(json_string_value(at(use, "use")), i == 0 ? "translate" : "train");
        cr_assert(number(use, "plan_bytes") > 0 && number(use, "held_bytes") > 0);
        /* Of a tiny model the host's own structs are a part. */
        cr_assert(number(use, "held_over_plan") > 0.9 && number(use, "held_over_plan") < 4);
    }
}

Test(bench, memory)
{
    json_t *root = report_of("bench memory " SHAPE " --json --sentences 3 --batch-tokens 90", NULL);
    check_head(root, "memory", true);
    check_memory(root, 2);
    json_decref(root);
    root = report_of("bench memory " SHAPE " --json --sentences 3 --dtype int8", NULL);
    check_memory(root, 1);
    json_decref(root);
}

/* ---- on a GPU ----------------------------------------------------------------------------------- */

/* The double's plugin lies beside the program. */
static void take_double(void)
{
    const char *binary = getenv("LNG_TEST_BINARY");
    snprintf(plugin, sizeof plugin, "LNG_CUDA_PLUGIN=%.*scudaemu/plain/liblingster-cuda.so",
             (int)(strrchr(binary, '/') + 1 - binary), binary);
    if (access(strchr(plugin, '=') + 1, R_OK) != 0)
        cr_skip_test("%s is not there: built without CUDA's headers", strchr(plugin, '=') + 1);
}
#define GPU_SHAPE SHAPE_OF("cuda") " --json --repetitions 1 "

Test(bench, gpu_decoding)
{
    take_double();
    json_t *root = report_of("bench decode " GPU_SHAPE "--sentences 3 --length 5 --phases", NULL);
    check_head(root, "decode", true);
    check_runs(root, 1);
    check_phases(root, search_phases);
    cr_assert_str_eq(json_string_value(at(root, "machine.gpu.name")), "emulated CUDA device");
    cr_assert(number(root, "machine.gpu.memory_bytes") >= number(root, "memory.gpu_used_bytes"));
    cr_assert(number(root, "machine.gpu.compute_capability") == 90);
    json_decref(root);
    root = report_of("bench latency " GPU_SHAPE "--sentences 2 --length 3 --phases --dtype bf16",
                     NULL);
    check_head(root, "latency", true);
    check_phases(root, search_phases);
    json_decref(root);
}

Test(bench, gpu_training)
{
    take_double();
    json_t *root =
        report_of("bench train " GPU_SHAPE "--batch-tokens 45 --length 9 --phases", NULL);
    check_head(root, "train", true);
    check_phases(root, training_phases);
    json_decref(root);
}

Test(bench, gpu_kernels)
{
    take_double();
    json_t *root = report_of("bench gemm " GPU_SHAPE "--square 64 --dtype bf16", NULL);
    check_head(root, "gemm", false);
    cr_assert(json_array_size(at(root, "products")) == 4 * 10 + 1);
    json_decref(root);
    root =
        report_of("bench attention " GPU_SHAPE "--longest 32 --batch-tokens 64 --dtype bf16", NULL);
    check_head(root, "attention", false);
    check_attention(root);
    json_decref(root);
}

Test(bench, gpu_memory_and_growth)
{
    take_double();
    json_t *root = report_of("bench memory " GPU_SHAPE "--sentences 2 --batch-tokens 45", NULL);
    check_head(root, "memory", true);
    check_memory(root, 2);
    json_decref(root);
    root = report_of("bench grow " GPU_SHAPE "--warmup 0 --batch-sentences 2 --axes threads "
                     "--length 3",
                     NULL);
    check_head(root, "grow", false);
    json_decref(root);
}

Test(bench, gpu_startup)
{
    take_double();
    json_t *root = report_of("bench startup -m configs/demo --device cuda --quiet --json "
                             "--repetitions 1 --warmup 0",
                             NULL);
    check_head(root, "startup", false);
    json_decref(root);
}

/* ---- dry runs ----------------------------------------------------------------------------------- */

static json_t *plan_of(const char *words)
{
    char all[512];
    snprintf(all, sizeof all, "bench %s --dry-run --json --quiet", words);
    json_t *root = report_of(all, NULL);
    cr_assert(json_is_true(at(root, "dry_run")));
    cr_assert(json_object_get(root, "seconds") == NULL && json_object_get(root, "rates") == NULL);
    (void)at(root, "plan.device");
    return root;
}

Test(bench, dry_run_of_every_workload)
{
    static const struct {
        const char *words, *key;
    } cases[] = {
        {"decode --sentences 3 --length 7", "plan.cache_bytes"},
        {"latency --sentences 3", "plan.plan_bytes"},
        {"train --batch-tokens 25000", "plan.gflop"},
        {"gemm", "plan.products"},
        {"attention --longest 64", "plan.lengths"},
        {"startup -m configs/demo", "plan.commands"},
        {"memory --sentences 3", "plan.train"},
        {"grow", "plan.curves.batch"},
        {"grow --axes width,update_tokens", "plan.curves.width"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *root = plan_of(cases[i].words);
        (void)at(root, cases[i].key);
        json_decref(root);
    }
}

/* As much as the search then takes, on both devices. */
static void check_planned(const char *words)
{
    char all[512];
    json_t *plan = plan_of(words);
    snprintf(all, sizeof all, "bench %s --json --quiet", words);
    json_t *root = report_of(all, NULL);
    cr_assert(number(plan, "plan.plan_bytes") == number(root, "memory.plan_bytes"));
    cr_assert(number(plan, "plan.cache_bytes") == number(root, "memory.cache_bytes"));
    cr_assert(number(plan, "plan.target_tokens") == number(root, "work.target_tokens"));
    cr_assert(number(plan, "plan.sentences_at_once") == number(root, "work.sentences_at_once"));
    json_decref(plan);
    json_decref(root);
}

Test(bench, dry_run_knows_the_memory)
{
    static const char *const types[] = {"f32", "int8", "bf16"};
    for (int i = 0; i < 2 + cpu_has_bf16(); i++) {
        char words[256];
        snprintf(words, sizeof words,
                 "decode " SHAPE " --workers 1 --repetitions 1 --warmup 0 --sentences 9 "
                 "--batch-sentences 4 --dtype %s",
                 types[i]);
        check_planned(words);
    }
    take_double();
    check_planned(
        "latency " SHAPE_OF("cuda") " --repetitions 1 --warmup 0 --sentences 2 --length 4");
}

Test(bench, dry_run_without_the_gpu)
{
    snprintf(plugin, sizeof plugin, "LNG_CUDA_PLUGIN=%s", scratch_path("nowhere.so"));
    struct program p;
    run(&p, "bench decode latency --dry-run --device cuda:1 --sentences 2", NULL, 0);
    cr_assert(strstr(p.err, "planned as for the cpu") != NULL, "%s", p.err);
    cr_assert(strstr(p.out, "plan.device                          cuda:1") != NULL, "%s", p.out);
    program_release(&p);
    run(&p, "bench decode --device cuda --sentences 2", NULL, 1);
    program_release(&p);
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
        {"bench grow --axes update_tokens --dtype int8 --dim 16 --heads 2", "is of training", 2},
        {"bench train --dtype int8 --dim 16", "int8 is not trained in", 2},
        {"bench attention --dtype int8", "int8 models compute it in f32", 2},
        {"bench attention --longest 8", "longest", 2},
        {"bench gemm --square -1", "square", 2},
        {"bench startup", "expected --model DIR", 2},
        {"bench startup --model @nowhere --repetitions 1 --warmup 0", "status 1", 1},
        {"bench decode --dry-run --device cudax", "unknown device", 1},
        {"bench decode --dry-run --device cuda:", "unknown device", 1},
        {"bench deco --dry-run", "unknown workload 'deco'", 2},
        {"bench startup --dry-run", "expected --model DIR", 2},
        {"bench decode --dry-run --model @nowhere", "nowhere", 1},
        {"bench decode --dry-run --ids @nowhere --dim 16", "nowhere", 1},
        {"bench train --dry-run --dtype int8", "int8 is not trained in", 2},
        {"bench memory --dry-run --dim 15 --heads 2", "multiple of heads", 2},
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
