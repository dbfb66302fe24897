/* lingster compare from outside: verdicts, reports, exit status. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"
#include "tests/support/xml_check.h"

static const char text[] = "a b c\n\nd e f g h\np o n m l k\n   \nq zz a\n\xFF b\r\na a a";

static void setup(void)
{
    scratch_make();
    save_words_model(scratch_path("model"));
    scratch_write("text", text, sizeof text - 1);
}
TestSuite(compare, .init = setup, .fini = scratch_remove);

/* @ in words stands for the scratch folder. */
static void run(struct program *program, const char *words, const char *input, int want)
{
    char all[4096];
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

/* The emulated GPU, beside the program; LNG_TEST_GPU=1: the real one. */
static const char *cuda_plugin(void)
{
    static char plugin[4200];
    const char *binary = getenv("LNG_TEST_BINARY"), *gpu = getenv("LNG_TEST_GPU");
    cr_assert(binary != NULL);
    snprintf(plugin, sizeof plugin, "LNG_CUDA_PLUGIN=%.*s%sliblingster-cuda.so",
             (int)(strrchr(binary, '/') + 1 - binary), binary,
             gpu != NULL && gpu[0] == '1' ? "" : "cudaemu/plain/");
    return plugin;
}

static json_t *read_json(const char *name)
{
    json_error_t error;
    json_t *root = json_load_file(scratch_path(name), JSON_REJECT_DUPLICATES, &error);
    cr_assert(root != NULL, "%s: %s", name, error.text);
    return root;
}

static size_t count_verdict(const json_t *root, const char *verdict)
{
    size_t count = 0, i;
    json_t *one;
    json_array_foreach(json_object_get(root, "cases"), i, one) count +=
        strcmp(json_string_value(json_object_get(one, "verdict")), verdict) == 0;
    return count;
}

static int count_xml(const char *name, const char *element)
{
    struct lng_buffer xml = {0};
    int count;
    check_ok(lng_file_read(scratch_path(name), 1 << 24, &xml));
    cr_assert(xml_well_formed(xml.data, element, &count), "%s", xml.data);
    lng_buffer_release(&xml);
    return count;
}

static bool has_case(const json_t *root, const char *section, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(
        json_object_get(root, "cases"), i,
        one) if (strcmp(json_string_value(json_object_get(one, "section")), section) == 0 &&
                 strcmp(json_string_value(json_object_get(one, "name")), name) == 0) return true;
    return false;
}

Test(compare, cpu_against_ref)
{
    struct program p;
    run(&p,
        "compare -m @model -i @text --device cpu --against ref --threads 2 --train-steps 2 "
        "--json @out.json --junit @out.xml",
        NULL, 0);
    cr_assert(strstr(p.out, "cpu in f32, tested against ref in f32") != NULL, "%s", p.out);
    cr_assert(strstr(p.out, "\nPASS: ") != NULL && strstr(p.out, "8 lines, 2 of them blank"), "%s",
              p.out);
    program_release(&p);
    json_t *root = read_json("out.json"), *lines = json_object_get(root, "lines");
    cr_assert(strcmp(json_string_value(json_object_get(root, "verdict")), "fail") != 0);
    cr_assert(json_integer_value(json_object_get(lines, "read")) == 8);
    cr_assert(json_integer_value(json_object_get(lines, "compared")) == 6);
    cr_assert(json_array_size(json_object_get(root, "differences")) == 0);
    cr_assert(json_array_size(json_object_get(root, "gradients")) > 20);
    cr_assert(has_case(root, "translations", "tokens"));
    cr_assert(has_case(root, "log-probabilities", "teacher-forced"));
    cr_assert(has_case(root, "operations", "attention_fwd"));
    cr_assert(has_case(root, "training operations", "attention_bwd"));
    cr_assert(has_case(root, "training", "step 2"));
    cr_assert(has_case(root, "training", "gradients"));
    cr_assert((size_t)count_xml("out.xml", "testcase") ==
              json_array_size(json_object_get(root, "cases")));
    cr_assert(count_xml("out.xml", "failure") == 0);
    json_decref(root);
}

/* Exit status 1, and every report says what is past its limit. */
Test(compare, past_the_limits)
{
    struct program p;
    run(&p,
        "compare -m @model --device ref --dtype bf16 --against cpu -q --tolerance 1e-6 "
        "--json @out.json --junit @out.xml",
        "a b c\n\nd e f\n", 1);
    cr_assert(strstr(p.out, "\nFAIL: ") != NULL && strstr(p.out, "limits of bf16 times 1e-06"),
              "%s", p.out);
    cr_assert(strstr(p.err, "past their limits") != NULL && strstr(p.err, "linear_fwd") != NULL,
              "%s", p.err);
    program_release(&p);
    json_t *root = read_json("out.json");
    cr_assert(strcmp(json_string_value(json_object_get(root, "verdict")), "fail") == 0);
    size_t failures = count_verdict(root, "fail");
    cr_assert(failures >= 2 && (size_t)count_xml("out.xml", "failure") == failures);
    json_decref(root);
    run(&p, "compare -m @model --device ref --dtype bf16 --against cpu -q", "a b c\n\nd e f\n", 0);
    cr_assert(p.err_length == 0, "%s", p.err);
    program_release(&p);
}

Test(compare, first_lines_only)
{
    struct program p;
    run(&p, "compare -m @model -i - --device cpu --against ref --limit-lines 2 --beam-size 1",
        "a b\n\nc\n", 0);
    cr_assert(strstr(p.out, "2 lines, 1 of them blank") != NULL, "%s", p.out);
    program_release(&p);
}

Test(compare, cuda_against_cpu, .timeout = 300)
{
    static const char *const types[] = {"f32 --train-steps 2", "bf16 --train-steps 2", "int8"};
    const char *plugin = cuda_plugin(), *environment[] = {plugin, NULL};
    if (access(strchr(plugin, '=') + 1, R_OK) != 0)
        cr_skip_test("%s is not there: built without CUDA's headers", strchr(plugin, '=') + 1);
    for (int i = 0; i < 3; i++) {
        struct program p;
        char words[1024];
        snprintf(words, sizeof words,
                 "compare -q -m %s -i %s --device cuda --against cpu --threads 1 --dtype %s",
                 scratch_path("model"), scratch_path("text"), types[i]);
        program_run(&p, words, NULL, 0, environment);
        cr_assert(p.status == 0 && strstr(p.out, "cuda in ") != NULL, "%s: %s%s", words, p.out,
                  p.err);
        program_release(&p);
    }
}

static const struct {
    const char *words, *input, *part;
    int status;
} bad[] = {
    {"compare -m @model -i @none --against ref --device cpu", NULL, "none", 1},
    {"compare -m @nothing -i @text --against ref --device cpu", NULL, "nothing", 1},
    {"compare -m @model --against ref --device cpu", "", "nothing to compare", 1},
    {"compare -m @model --against ref --device cpu", "\n  \n", "2 blank lines", 1},
    {"compare -m @model -i @text --against ref --device gpu", NULL, "unknown device", 1},
    {"compare -m @model -i @text --against tpu --device cpu", NULL, "unknown device", 1},
    {"compare -m @model -i @text --device cpu", NULL, "on both sides", 2},
    {"compare -i @text --device cpu", NULL, "--model DIR is required", 2},
    {"compare -m @model -i @text --dtype int8 --train-steps 1", NULL, "int8", 2},
    {"compare -m @model -i @text --dtype f16", NULL, "dtype", 2},
    {"compare -m @model -i @text --against ref --device cpu --json @none/x", NULL, "none/x", 1},
    {"compare -m @model -i @text --against ref --device cpu --junit @none/x", NULL, "none/x", 1},
};

Test(compare, errors)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct program p;
        run(&p, bad[i].words, bad[i].input, bad[i].status);
        cr_assert(strstr(p.err, bad[i].part) != NULL, "%s: %s", bad[i].words, p.err);
        program_release(&p);
    }
}
