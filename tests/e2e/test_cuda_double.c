/* The whole program with device cuda, on the double of tests/cudaemu: training and translation as on the CPU.
 * Skipped where the double was not built (no CUDA headers). LNG_TEST_GPU=1: on the real plugin and GPU. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/cpu_variants.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"

enum { STEPS = 20, SENTENCES = 20, PAIRS = 60 };

static char plugin[4200];

/* The double's plugin lies beside the program, in cudaemu/plain. */
static void setup(void)
{
    const char *binary = getenv("LNG_TEST_BINARY"), *gpu = getenv("LNG_TEST_GPU");
    cr_assert(binary != NULL);
    const char *folder = gpu != NULL && gpu[0] == '1' ? "" : "cudaemu/plain/";
    snprintf(plugin, sizeof plugin, "LNG_CUDA_PLUGIN=%.*s%sliblingster-cuda.so",
             (int)(strrchr(binary, '/') + 1 - binary), binary, folder);
    scratch_make();
}
static void teardown(void)
{
    scratch_remove();
}
TestSuite(cuda_double, .init = setup, .fini = teardown, .timeout = 300);

static void need_plugin(void)
{
    if (access(strchr(plugin, '=') + 1, R_OK) != 0)
        cr_skip_test("%s is not there: built without CUDA's headers", strchr(plugin, '=') + 1);
}

static void run(const char *words, const char *input, struct program *program)
{
    const char *environment[] = {plugin, NULL};
    program_run(program, words, input, input != NULL ? strlen(input) : 0, environment);
}

static void write_corpus(void)
{
    char *source = calloc(PAIRS, 64), *target = calloc(PAIRS, 64), *links = calloc(PAIRS, 64);
    cr_assert(source != NULL && target != NULL && links != NULL);
    srand(5);
    for (int i = 0; i < PAIRS; i++) {
        for (int k = 1 + rand() % 7, n = 0; k > 0; k--, n++) {
            int word = rand() % 12;
            if (n % 4 != 3) /* some words have none */
                sprintf(links + strlen(links), "%d-%d ", n, n / 2);
            sprintf(source + strlen(source), "s%d ", word);
            sprintf(target + strlen(target), "t%d ", word * 5 % 12);
        }
        strcat(source, "\n");
        strcat(target, "\n");
        strcat(links, "\n");
    }
    scratch_write("train.a", links, strlen(links));
    free(links);
    scratch_write("train.s", source, strlen(source));
    scratch_write("train.t", target, strlen(target));
    free(source);
    free(target);
}

/* What every update says of `key`; with alignments where that is theirs. */
static void train(const char *device, const char *dtype, const char *key, double losses[STEPS])
{
    static const char config[] =
        "tokenizer: symbols\ntied: target\nenc-depth: 2\ndec-depth: 2\ndim: 32\nheads: 2\n"
        "ffn-dim: 48\ndropout: 0.1\nattention-dropout: 0.1\nffn-dropout: 0.1\nlr: 0.005\n"
        "max-length: 16\nwarmup: 10u\nbatch-tokens: 128\nlog-every: 1u\nema: 0.01\nthreads: "
        "1\nclip-norm: 1\n";
    char words[4096], name[64];
    struct program program;
    const char *config_path = scratch_write("config.yml", config, sizeof config - 1);
    bool guided = strcmp(key, "alignment") == 0;
    snprintf(name, sizeof name, "run-%s-%s", device, dtype);
    snprintf(words, sizeof words,
             "train %s --source-vocab %s --target-vocab %s --train-source %s --train-target %s "
             "--device %s --dtype %s --max-updates %d --output %s%s%s",
             config_path, scratch_path("s.json"), scratch_path("t.json"), scratch_path("train.s"),
             scratch_path("train.t"), device, dtype, STEPS, scratch_path(name),
             guided ? " --guided-alignment-weight 1 --guided-alignment " : "",
             guided ? scratch_path("train.a") : "");
    run(words, NULL, &program);
    cr_assert(program.status == 0, "%s %s: status %d: %s", device, dtype, program.status,
              program.err);
    program_release(&program);
    char path[4200], line[4096];
    snprintf(path, sizeof path, "%s/metrics.jsonl", scratch_path(name));
    FILE *metrics = fopen(path, "r");
    cr_assert(metrics != NULL);
    int found = 0;
    while (fgets(line, sizeof line, metrics) != NULL) {
        json_t *row = json_loads(line, 0, NULL);
        const char *event = json_string_value(json_object_get(row, "event"));
        if (event != NULL && strcmp(event, "train") == 0 && found < STEPS)
            losses[found++] = json_number_value(json_object_get(row, key));
        json_decref(row);
    }
    (void)fclose(metrics);
    cr_assert(found == STEPS, "expected %d training lines, found %d", STEPS, found);
}

static void vocabulary(const char *side)
{
    char words[4096], text[16], json[16];
    struct program program;
    snprintf(text, sizeof text, "train.%s", side);
    snprintf(json, sizeof json, "%s.json", side);
    snprintf(words, sizeof words,
             "vocab --model-type symbols --vocab-size 100 --input %s --output %s",
             scratch_path(text), scratch_path(json));
    run(words, NULL, &program);
    cr_assert(program.status == 0, "%s", program.err);
    program_release(&program);
}

/* Same data, same weights, same dropout masks: every update's loss (or cost of alignment), while errors add up. */
static void compare_training(const char *dtype, const char *key, double limit)
{
    double cpu[STEPS], cuda[STEPS];
    need_plugin();
    write_corpus();
    vocabulary("s");
    vocabulary("t");
    train("cpu", dtype, key, cpu);
    train("cuda", dtype, key, cuda);
    /* What alignments cost depends on how long the batch's sentences are. */
    bool falls = strcmp(key, "loss") == 0;
    cr_assert(!falls || cpu[STEPS - 1] < 0.98 * cpu[0], "nothing was learned: %g to %g", cpu[0],
              cpu[STEPS - 1]);
    for (int i = 0; i < STEPS; i++)
        cr_assert(fabs(cuda[i] - cpu[i]) <= limit * fabs(cpu[i]), "update %d: %s %.7g on cpu, %.7g",
                  i + 1, key, cpu[i], cuda[i]);
}

Test(cuda_double, trains_as_the_cpu_in_f32)
{
    compare_training("f32", "loss", 1e-4);
}

Test(cuda_double, trains_as_the_cpu_in_bf16)
{
    if (!cpu_has_bf16())
        cr_skip_test("the cpu computes in no bf16 here");
    compare_training("bf16", "loss", 1e-2);
}

Test(cuda_double, guided_alignment_as_the_cpu)
{
    compare_training("f32", "alignment", 1e-4);
}

static char *demo_lines(void)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/configs/demo/sample.en", getenv("LNG_TEST_ROOT"));
    FILE *sample = fopen(path, "r");
    cr_assert(sample != NULL, "%s", path);
    char *text = calloc(SENTENCES, 512), line[512];
    cr_assert(text != NULL);
    for (int i = 0; i < SENTENCES && fgets(line, sizeof line, sample) != NULL; i++)
        strcat(text, line);
    (void)fclose(sample);
    return text;
}

static void translate(const char *device, const char *text, struct program *program)
{
    char words[4400];
    snprintf(words, sizeof words,
             "translate -q -m %s/configs/demo --beam-size 4 --json --device %s --threads 1",
             getenv("LNG_TEST_ROOT"), device);
    run(words, text, program);
    cr_assert(program->status == 0, "%s: %s", device, program->err);
}

static double score_of(const json_t *row)
{
    return json_number_value(
        json_object_get(json_array_get(json_object_get(row, "hypotheses"), 0), "normalized_score"));
}

/* The same text, or another of a score so near that rounding decides. */
Test(cuda_double, translates_as_the_cpu)
{
    static const double NEAR = 1e-4;
    struct program cpu, cuda;
    need_plugin();
    char *text = demo_lines();
    translate("cpu", text, &cpu);
    translate("cuda", text, &cuda);
    int lines = 0, ties = 0;
    char *state_a = NULL, *state_b = NULL;
    char *a = strtok_r(cpu.out, "\n", &state_a), *b = strtok_r(cuda.out, "\n", &state_b);
    for (; a != NULL && b != NULL; lines++) {
        json_t *want = json_loads(a, 0, NULL), *got = json_loads(b, 0, NULL);
        cr_assert(want != NULL && got != NULL);
        const char *want_text = json_string_value(json_object_get(want, "translation"));
        const char *got_text = json_string_value(json_object_get(got, "translation"));
        cr_assert(fabs(score_of(want) - score_of(got)) < NEAR, "line %d: %g on cpu, %g: %s / %s",
                  lines, score_of(want), score_of(got), want_text, got_text);
        ties += strcmp(want_text, got_text) != 0;
        json_decref(want);
        json_decref(got);
        a = strtok_r(NULL, "\n", &state_a);
        b = strtok_r(NULL, "\n", &state_b);
    }
    cr_assert(lines == SENTENCES && a == NULL && b == NULL, "%d lines", lines);
    cr_assert(ties <= 1, "%d of %d lines differ", ties, lines);
    program_release(&cpu);
    program_release(&cuda);
    free(text);
}

/* `lingster train` of a model that fits, by batches of `tokens`, on a device of `megabytes`. */
static void train_in(int megabytes, long tokens, struct program *program)
{
    char words[4096], memory[64];
    snprintf(memory, sizeof memory, "LNG_CUDAEMU_MEMORY=%d", megabytes);
    snprintf(words, sizeof words,
             "train --tokenizer symbols --tied target --enc-depth 1 --dec-depth 1 --dim 32 --heads "
             "2 --ffn-dim 48 "
             "--max-length 16 --max-updates 1 --device cuda --batch-tokens %ld --source-vocab %s "
             "--target-vocab %s --train-source %s --train-target %s --output %s --overwrite",
             tokens, scratch_path("s.json"), scratch_path("t.json"), scratch_path("train.s"),
             scratch_path("train.t"), scratch_path("run-memory"));
    const char *environment[] = {plugin, memory, NULL};
    program_run(program, words, NULL, 0, environment);
}

/* The message says what was planned and what would fit; and that does fit. */
Test(cuda_double, out_of_memory_in_training_says_what_fits)
{
    struct program program;
    long tokens = 0;
    need_plugin();
    if (getenv("LNG_TEST_GPU") != NULL)
        cr_skip_test("a GPU's memory is as large as it is");
    write_corpus();
    vocabulary("s");
    vocabulary("t");
    train_in(128, 1000000, &program);
    cr_assert(program.status == 1, "status %d: %s", program.status, program.err);
    const char *plan = strstr(program.err, "a batch of 1000000 source and 1000000 target tokens");
    cr_assert(plan != NULL && strstr(program.err, "out of memory"), "%s", program.err);
    const char *advice = strstr(plan, "; --batch-tokens ");
    cr_assert(advice != NULL && sscanf(advice, "; --batch-tokens %ld would fit", &tokens) == 1,
              "%s", plan);
    cr_assert(tokens > 10000 && tokens < 1000000, "%s", plan);
    program_release(&program);
    train_in(128, tokens, &program);
    cr_assert(program.status == 0, "%ld tokens: %s", tokens, program.err);
    program_release(&program);
}

/* Sentences are then fewer at once, and translated as ever. */
Test(cuda_double, translates_in_little_memory)
{
    static const char *const memory[] = {"LNG_CUDAEMU_MEMORY=2048", "LNG_CUDAEMU_MEMORY=90",
                                         "LNG_CUDAEMU_MEMORY=48"};
    static const char text[] = "A dog runs.\nTwo men sit on a bench.\n";
    struct program program[3];
    char words[4400];
    need_plugin();
    if (getenv("LNG_TEST_GPU") != NULL)
        cr_skip_test("a GPU's memory is as large as it is");
    snprintf(words, sizeof words, "translate -q -m %s/configs/demo --beam-size 4 --device cuda",
             getenv("LNG_TEST_ROOT"));
    for (int i = 0; i < 3; i++) {
        const char *environment[] = {plugin, memory[i], NULL};
        program_run(&program[i], words, text, strlen(text), environment);
    }
    cr_assert(program[0].status == 0, "%s", program[0].err);
    cr_assert(program[1].status == 0, "%s", program[1].err);
    cr_assert_str_eq(program[1].out, program[0].out);
    cr_assert(program[2].status == 1 && strstr(program[2].err, "out of memory"), "%s",
              program[2].err);
    for (int i = 0; i < 3; i++)
        program_release(&program[i]);
}

/* Steps as graphs or launched one by one: the same bytes, and the program says what became of them. */
Test(cuda_double, graphs_change_no_byte)
{
    static const char *const settings[] = {"LNG_CUDA_GRAPHS=1", "LNG_CUDA_GRAPHS=0"};
    static const char *const dtypes[] = {"bf16", "int8"};
    static const char text[] = "A dog runs.\nTwo men sit on a bench.\nA man.\n";
    need_plugin();
    for (int d = 0; d < 2; d++) {
        struct program program[2];
        char words[4400];
        snprintf(words, sizeof words,
                 "translate -m %s/configs/demo --beam-size 2 --n-best 2 --json --alignment soft "
                 "--device cuda --dtype %s",
                 getenv("LNG_TEST_ROOT"), dtypes[d]);
        for (int i = 0; i < 2; i++) {
            const char *environment[] = {plugin, settings[i], NULL};
            program_run(&program[i], words, text, strlen(text), environment);
            cr_assert(program[i].status == 0, "%s", program[i].err);
        }
        int replayed = 0;
        const char *said = strstr(program[0].err, "graphs: ");
        cr_assert(said != NULL && sscanf(said, "graphs: %d steps replayed", &replayed) == 1 &&
                      replayed > 0,
                  "%s", program[0].err);
        cr_assert(strstr(program[1].err, "graphs: ") == NULL, "%s", program[1].err);
        cr_assert_str_eq(program[0].out, program[1].out);
        program_release(&program[0]);
        program_release(&program[1]);
    }
}

Test(cuda_double, says_why_there_is_no_gpu)
{
    const char *environment[] = {"LNG_CUDA_PLUGIN=/nowhere/plugin.so", NULL};
    struct program program;
    char words[4400];
    snprintf(words, sizeof words, "translate -m %s/configs/demo --device cuda",
             getenv("LNG_TEST_ROOT"));
    program_run(&program, words, "Hello.\n", 7, environment);
    cr_assert(program.status == 1 && program.out_length == 0);
    cr_assert(strstr(program.err, "no device cuda") && strstr(program.err, "/nowhere/plugin.so"),
              "%s", program.err);
    program_release(&program);
    snprintf(words, sizeof words, "translate -m %s/configs/demo --device auto",
             getenv("LNG_TEST_ROOT"));
    program_run(&program, words, "Hello.\n", 7, environment);
    cr_assert(program.status == 0 && program.out_length > 1, "%s", program.err);
    cr_assert(strstr(program.err, "not on a GPU: "), "%s", program.err);
    program_release(&program);
}

Test(cuda_double, refuses_a_gpu_that_is_not_there)
{
    struct program program;
    char words[4400];
    need_plugin();
    snprintf(words, sizeof words, "translate -m %s/configs/demo --device cuda:63",
             getenv("LNG_TEST_ROOT"));
    run(words, "Hello.\n", &program);
    cr_assert(program.status == 1 && strstr(program.err, "cuda:63") != NULL, "%s", program.err);
    program_release(&program);
    snprintf(words, sizeof words, "translate -m %s/configs/demo --device cuda:x",
             getenv("LNG_TEST_ROOT"));
    run(words, "Hello.\n", &program);
    cr_assert(program.status == 1 && strstr(program.err, "unknown device") != NULL, "%s",
              program.err);
    program_release(&program);
}
