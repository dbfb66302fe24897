/* lingster quantize, from outside, and its models in translate, convert and info. */
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/json.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

static const char text[] = "a b c\nd e f g\nh\n\nb b b a c d\nk l m n o p\n";

static void setup(void)
{
    scratch_make();
    save_words_model(scratch_path("model"));
    scratch_write("text", text, sizeof text - 1);
}

TestSuite(quantize, .init = setup, .fini = scratch_remove);

/* Runs "COMMAND ..." in which @ stands for the scratch folder; it must end with `status`. */
static struct program run(int status, const char *words, const char *const *environment)
{
    struct program p;
    struct lng_buffer line = {0};
    for (const char *c = words; *c != '\0'; c++)
        check_ok(*c == '@' ? lng_buffer_append_format(&line, "%s/", scratch_path(""))
                           : lng_buffer_append_byte(&line, *c));
    program_run(&p, line.data, NULL, 0, environment);
    cr_assert(p.status == status, "%s: %d: %s", line.data, p.status, p.err);
    lng_buffer_release(&line);
    return p;
}

static void check_same_output(const char *a, const char *b, const char *const *environment)
{
    struct program first = run(0, a, environment), second = run(0, b, NULL);
    cr_assert(first.out_length > 0 && strcmp(first.out, second.out) == 0, "%s: %s\n%s: %s", a,
              first.out, b, second.out);
    program_release(&first);
    program_release(&second);
}

/* The stored rows are those that --dtype int8 makes of the model it came from; every device and set of instructions
 * computes with the same ones. */
Test(quantize, int8_is_what_int8_products_take)
{
    static const char given[] = "translate -m @model --device cpu --dtype int8 -i @text --json";
    static const char stored[] = "translate -m @small --device cpu -i @text --json";
    const char *base[] = {"LNG_CPU_ISA=base", NULL};
    struct program p = run(0, "quantize -m @model -o @small --device cpu", NULL);
    cr_assert(strstr(p.out, "embed.weight") && strstr(p.out, "relative error of all: 0.00"), "%s",
              p.out);
    program_release(&p);
    check_same_output(stored, given, NULL);
    check_same_output("translate -m @small --device cpu -i @text",
                      "translate -m @small --device "
                      "ref -i @text",
                      base);
    check_same_output("score -m @small --source @text --target @text --device cpu",
                      "score -m @model --source @text --target @text --device cpu --dtype int8",
                      NULL);
    p = run(0, "info @small", NULL);
    cr_assert(strstr(p.out, "matrices: int8") && strstr(p.out, "quantized: int8"), "%s", p.out);
    program_release(&p);
}

/* --dtype f32 and convert take the floats that the rows stand for. */
Test(quantize, other_commands_take_the_floats)
{
    struct program p = run(0, "quantize -m @model -o @small --device cpu", NULL);
    program_release(&p);
    p = run(0, "convert @small @floats", NULL);
    cr_assert(strstr(p.err, "matrices are int8; they are taken as the floats"), "%s", p.err);
    program_release(&p);
    check_same_output("translate -m @small --dtype f32 --device cpu -i @text --json",
                      "translate -m @floats --device cpu -i @text --json", NULL);
    check_same_output("translate -m @small --dtype f32 --device ref -i @text",
                      "translate -m @floats --device ref -i @text", NULL);
}

Test(quantize, report_as_json)
{
    struct program p =
        run(0, "quantize -m @model -o @small --device cpu -i @text --reference @text --json", NULL);
    json_t *report;
    check_ok(lng_json_parse("report", p.out, p.out_length, &report));
    const json_t *tensors = json_object_get(report, "tensors");
    cr_assert(json_array_size(tensors) > 5);
    for (size_t i = 0; i < json_array_size(tensors); i++) {
        const json_t *row = json_array_get(tensors, i);
        double error = json_number_value(json_object_get(row, "relative_error"));
        cr_assert(error > 0 && error < 0.02, "%s", json_string_value(json_object_get(row, "name")));
        cr_assert(json_number_value(json_object_get(row, "largest_error")) > 0);
    }
    cr_assert(json_integer_value(json_object_get(report, "lines")) == 6);
    cr_assert(json_integer_value(json_object_get(report, "changed")) <= 6);
    const json_t *scores = json_object_get(report, "scores");
    cr_assert(json_array_size(scores) == 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *row = json_array_get(scores, i);
        double before = json_number_value(json_object_get(row, "before")),
               after = json_number_value(json_object_get(row, "after")),
               p_value = json_number_value(json_object_get(row, "p"));
        cr_assert(before >= 0 && after >= 0 && p_value >= 0 && p_value <= 1);
        cr_assert(json_number_value(json_object_get(row, "difference")) == after - before);
        cr_assert(after != before || p_value == 1);
    }
    json_decref(report);
    program_release(&p);
}

Test(quantize, bf16_is_half_the_size)
{
    struct lng_file_info before, after;
    struct program p =
        run(0, "quantize -m @model -o @half --save-dtype bf16 --device cpu -i @text", NULL);
    cr_assert(strstr(p.out, "translations: ") && !strstr(p.out, "BLEU"), "%s", p.out);
    program_release(&p);
    check_ok(lng_file_get_info(scratch_path("model/model.safetensors"), &before));
    check_ok(lng_file_get_info(scratch_path("half/model.safetensors"), &after));
    cr_assert(after.size < before.size && after.size > before.size / 2 - 8192);
}

/* Nothing is left behind, and what was there stays. */
Test(quantize, refusals)
{
    struct program p = run(0, "quantize -m @model -o @small --device cpu", NULL);
    program_release(&p);
    scratch_write("short", "x\n", 2);
    scratch_write("nothing", "", 0);
    const size_t entries = scratch_count();
    const struct {
        int status;
        const char *words, *part;
    } cases[] = {
        {2, "quantize -m @model", "--output PATH is required"},
        {2, "quantize -o @x", "--model DIR is required"},
        {2, "quantize -m @model -o @x --save-dtype f32", "save-dtype"},
        {2, "quantize -m @model -o @x --reference @text", "--reference needs --input"},
        {2, "quantize -m @small -o @x", "is int8 already"},
        {2, "quantize -m @model -o @small", "small"},
        {1, "quantize -m @none -o @x", "none"},
        {1, "quantize -m @model -o @x -i @none --device cpu", "none"},
        {1, "quantize -m @model -o @x -i @nothing --device cpu", "expected text, found no line"},
        {1, "quantize -m @model -o @x -i @text --reference @short --device cpu",
         "expected 6 lines"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p = run(cases[i].status, cases[i].words, NULL);
        cr_assert(strstr(p.err, cases[i].part), "%s: %s", cases[i].words, p.err);
        program_release(&p);
        cr_assert(scratch_count() == entries, "%s", cases[i].words);
    }
    p = run(0, "quantize -m @model -o @small --overwrite --device cpu", NULL);
    program_release(&p);
}
