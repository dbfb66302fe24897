/* The parts of lingster compare: measures, limits, reports; and that it finds what was planted, where. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/cli/compare_report.h"
#include "host/store/model_dir.h"
#include "tests/support/check.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/xml_check.h"

/* ---- measures and limits ------------------------------------------------------------------------ */

Test(compare_parts, errors)
{
    static const float reference[] = {3, -4, 0, INFINITY}, tested[] = {3, -4.5f, 0, INFINITY};
    struct lng_compare_error error = {0};
    cr_assert(lng_compare_error_nmse(&error) == 0 && lng_compare_error_max(&error) == 0);
    lng_compare_error_add(&error, tested, reference, 4);
    cr_assert(fabs(lng_compare_error_nmse(&error) - 0.25 / 25) < 1e-15);
    cr_assert(fabs(lng_compare_error_max(&error) - 0.5 / 4) < 1e-15);
    static const float pairs[][2] = {
        {NAN, 1}, {1, NAN}, {NAN, NAN}, {INFINITY, -INFINITY}, {1e30f, INFINITY}, {1e-30f, 0}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        error = (struct lng_compare_error){0};
        lng_compare_error_add(&error, &pairs[i][0], &pairs[i][1], 1);
        cr_assert(isinf(lng_compare_error_nmse(&error)) && isinf(lng_compare_error_max(&error)),
                  "pair %zu", i);
    }
}

Test(compare_parts, limits)
{
    static const enum lng_dtype f32 = LNG_DTYPE_F32, bf16 = LNG_DTYPE_BF16, i8 = LNG_DTYPE_I8;
    cr_assert(lng_compare_class_of(f32, f32) == LNG_COMPARE_F32);
    cr_assert(lng_compare_class_of(f32, bf16) == LNG_COMPARE_BF16);
    cr_assert(lng_compare_class_of(bf16, bf16) == LNG_COMPARE_BF16);
    cr_assert(lng_compare_class_of(i8, bf16) == LNG_COMPARE_I8);
    cr_assert(lng_compare_class_of(i8, i8) == LNG_COMPARE_I8S);
    for (int what = 0; what < LNG_COMPARE_WHATS; what++)
        for (int class = 0; class < LNG_COMPARE_CLASSES; class ++) {
            struct lng_compare_limit one = lng_compare_limit_of(what, class, 1);
            struct lng_compare_limit two = lng_compare_limit_of(what, class, 2);
            bool trained = class == LNG_COMPARE_F32 || class == LNG_COMPARE_BF16;
            bool row = one.fail > 0 && one.warn > 0 && one.warn <= one.fail;
            cr_assert(row || (what >= LNG_COMPARE_LOSS && !trained), "row %d, %s", what,
                      lng_compare_class_name(class));
            cr_assert(two.warn == 2 * one.warn && two.fail == 2 * one.fail);
        }
    struct lng_compare_limit limit = {1, 2};
    cr_assert(lng_compare_judge(1, limit) == LNG_COMPARE_OK);
    cr_assert(lng_compare_judge(1.5, limit) == LNG_COMPARE_WARN);
    cr_assert(lng_compare_judge(2.5, limit) == LNG_COMPARE_FAIL);
    cr_assert(lng_compare_judge(NAN, limit) == LNG_COMPARE_FAIL);
    cr_assert(lng_compare_judge(INFINITY, limit) == LNG_COMPARE_FAIL);
}

Test(compare_parts, views)
{
    static const enum lng_dtype dtypes[] = {LNG_DTYPE_F32, LNG_DTYPE_BF16, LNG_DTYPE_F64,
                                            LNG_DTYPE_I8, LNG_DTYPE_I32};
    static const float values[6] = {1, -2, 3, 4, -5, 6};
    struct lng_device *device;
    check_ok(lng_device_open("ref", NULL, &device));
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        void *memory;
        float got[6], all[10], between = 0;
        check_ok(lng_device_alloc(device, 10 * sizeof(double), &memory));
        struct lng_view view = {memory, dtypes[i], 2, 3, 5}, whole = view;
        whole.rows = 1;
        whole.cols = whole.stride = 10;
        check_ok(lng_compare_view_write(device, view, values));
        check_ok(lng_compare_view_read(device, view, got));
        cr_assert(memcmp(got, values, sizeof got) == 0, "%s", lng_dtype_name(dtypes[i]));
        check_ok(lng_compare_view_read(device, whole, all));
        for (int k = 3; k < 10; k++)
            between += k == 5 || k == 6 || k == 7 ? 0 : fabsf(all[k]);
        cr_assert(between == 0 && all[5] == 4, "only the view is written");
        lng_device_free(device, memory);
    }
    lng_device_close(device);
}

/* ---- a comparison of two models ----------------------------------------------------------------- */

static const struct lng_command command = {"compare", LNG_FOR_COMPARE, "", 0, 0, false, ""};

static struct lng_device *devices[2];
static struct lng_model models[2];
static struct lng_model_data data[2];
static struct lng_tokenizer *tokenizer;
static struct lng_options options;
static struct lng_compare compare;

/* ref against cpu, in f32; "with" options as NAME=VALUE, ended by NULL. */
static void begin(bool training, enum lng_dtype tested, const char *const *with)
{
    static const char *const names[] = {"ref", "cpu"};
    static const char text[] =
        "a b c\n\nd e f g h\np o n m l k\n  \r\nq zz a\na a a\nf e d c b a\n";
    scratch_make();
    save_words_model(scratch_path("model"));
    scratch_write("text", text, sizeof text - 1);
    check_ok(lng_options_init(&options, &command));
    for (; with != NULL && *with != NULL; with += 2)
        check_ok(lng_options_set(&options, with[0], with[1]));
    check_ok(lng_options_set(&options, "model", scratch_path("model")));
    check_ok(lng_tokenizer_open_directory(scratch_path("model"), &tokenizer));
    lng_compare_init(&compare, &options, tokenizer, -1);
    for (int side = 0; side < 2; side++) {
        enum lng_dtype dtype = side == LNG_COMPARE_TESTED ? tested : LNG_DTYPE_F32;
        bool narrow = dtype == LNG_DTYPE_BF16; /* ref computes in it on any machine */
        check_ok(lng_device_open(names[narrow ? 0 : side],
                                 &(struct lng_device_options){.threads = 1}, &devices[side]));
        /* with all parameters where that can be, for tests that change them */
        check_ok(lng_model_load(scratch_path("model"), devices[side], dtype,
                                training || dtype != LNG_DTYPE_I8, &models[side], &data[side]));
        compare.models[side] = &models[side];
        compare.devices[side] = lng_device_name(devices[side]);
        compare.dtypes[side] = dtype;
    }
    struct lng_lines *lines;
    check_ok(lng_lines_open(scratch_path("text"), &lines));
    check_ok(lng_compare_read(&compare, lines));
    lng_lines_close(lines);
    cr_assert(compare.lines == 8 && compare.blank == 2 && compare.source.count == 6);
    cr_assert(compare.numbers[0] == 1 && compare.numbers[5] == 8);
}

static void end(void)
{
    lng_compare_release(&compare);
    for (int side = 0; side < 2; side++) {
        lng_model_release(&models[side]);
        lng_model_data_release(&data[side]);
        lng_device_close(devices[side]);
    }
    lng_tokenizer_close(tokenizer);
    lng_options_release(&options);
    scratch_remove();
}

/* Multiplies the tensor on one side, or sets part of it. */
static float *values_of(int side)
{
    float *values = lng_alloc((size_t)models[side].params.total, sizeof *values);
    cr_assert(values != NULL);
    check_ok(lng_model_get_values(&models[side], values));
    return values;
}
static void put_values(int side, float *values)
{
    check_ok(lng_model_set_values(&models[side], values));
    lng_free(values);
}
static void scale(int side, enum lng_param_id id, int layer, float factor)
{
    const struct lng_param *param = lng_params_find(&models[side].params, id, layer);
    cr_assert(param != NULL);
    float *values = values_of(side);
    for (int64_t i = 0; i < param->rows * param->cols; i++)
        values[param->offset + i] *= factor;
    put_values(side, values);
}

static enum lng_compare_verdict verdict_of(enum lng_compare_section section, const char *name)
{
    for (size_t i = 0; i < compare.cases.count; i++)
        if (compare.cases.list[i].section == section &&
            strcmp(compare.cases.list[i].name, name) == 0)
            return lng_compare_case_verdict(&compare.cases.list[i]);
    cr_assert(false, "there is no case %s", name);
    return LNG_COMPARE_FAIL;
}

static void expect_reports(void)
{
    struct lng_buffer text = {0}, xml = {0}, json = {0};
    int cases, failures;
    struct lng_compare_tally tally = lng_compare_count(&compare);
    check_ok(lng_compare_report_text(&compare, &text));
    cr_assert(strstr(text.data, tally.failures > 0 ? "\nFAIL: " : "\nPASS: ") != NULL, "%s",
              text.data);
    check_ok(lng_compare_report_junit(&compare, &xml));
    cr_assert(xml_well_formed(xml.data, "testcase", &cases), "%s", xml.data);
    cr_assert(xml_well_formed(xml.data, "failure", &failures));
    cr_assert((size_t)cases == tally.cases && (size_t)failures == tally.failures);
    check_ok(lng_compare_report_json(&compare, &json));
    lng_buffer_release(&text);
    lng_buffer_release(&xml);
    lng_buffer_release(&json);
}

Test(compare_parts, equal_models_agree)
{
    begin(false, LNG_DTYPE_F32, NULL);
    check_ok(lng_compare_translate(&compare));
    check_ok(lng_compare_score(&compare));
    check_ok(lng_compare_operations(&compare, false));
    struct lng_compare_tally tally = lng_compare_count(&compare);
    cr_assert(tally.failures == 0 && tally.cases >= 7, "%zu of %zu", tally.failures, tally.cases);
    cr_assert(compare.difference_count == 0 && compare.gradient_count == 0);
    expect_reports();
    end();
}

/* One matrix is off by a thousandth: its products say so, and no other operation does. */
Test(compare_parts, a_planted_difference_is_found_where_it_is)
{
    begin(false, LNG_DTYPE_F32, NULL);
    scale(LNG_COMPARE_TESTED, LNG_PARAM_DEC_FFN_IN_W, 0, 1.001f);
    check_ok(lng_compare_translate(&compare));
    check_ok(lng_compare_score(&compare));
    check_ok(lng_compare_operations(&compare, false));
    cr_assert(verdict_of(LNG_COMPARE_OPERATIONS, "linear_fwd") == LNG_COMPARE_FAIL);
    static const char *const others[] = {"embed_fwd", "attention_fwd", "norm_fwd", "loss"};
    for (size_t i = 0; i < 4; i++)
        cr_assert(verdict_of(LNG_COMPARE_OPERATIONS, others[i]) == LNG_COMPARE_OK, "%s", others[i]);
    expect_reports();
    end();
    begin(false, LNG_DTYPE_F32, NULL);
    scale(LNG_COMPARE_TESTED, LNG_PARAM_DEC_CROSS_NORM_GAMMA, 1, 1.2f);
    check_ok(lng_compare_translate(&compare));
    check_ok(lng_compare_score(&compare));
    check_ok(lng_compare_operations(&compare, false));
    cr_assert(verdict_of(LNG_COMPARE_OPERATIONS, "norm_fwd") == LNG_COMPARE_FAIL);
    cr_assert(verdict_of(LNG_COMPARE_OPERATIONS, "linear_fwd") == LNG_COMPARE_OK);
    cr_assert(verdict_of(LNG_COMPARE_LOGPROBS, "teacher-forced") == LNG_COMPARE_FAIL);
    expect_reports();
    end();
}

/* The most frequent token of the reference's translations gets a twin, which each side's bias sets `gap`
 * behind or before it: the two sides then choose differently wherever it would come. */
static void plant_twin(float gap)
{
    check_ok(lng_compare_translate(&compare));
    int counts[TINY_V] = {0}, most = 2;
    const struct lng_ids *ids = &compare.targets[LNG_COMPARE_REFERENCE].ids;
    for (size_t i = 0; i < ids->count; i++)
        counts[ids->data[i]]++;
    for (int token = 2; token < TINY_PAD; token++)
        most = counts[token] > counts[most] ? token : most;
    cr_assert(counts[most] > 0);
    int twin = most == 2 ? 3 : 2;
    compare.cases.count = 0;
    for (int side = 0; side < 2; side++) {
        const struct lng_params *params = &models[side].params;
        const struct lng_param *table = lng_params_find(params, LNG_PARAM_SHARED, -1);
        const struct lng_param *bias = lng_params_find(params, LNG_PARAM_OUTPUT_BIAS, -1);
        float *values = values_of(side);
        memcpy(values + table->offset + twin * table->cols,
               values + table->offset + most * table->cols, (size_t)table->cols * sizeof *values);
        values[bias->offset + twin] =
            values[bias->offset + most] + (side == LNG_COMPARE_REFERENCE ? -gap : gap);
        put_values(side, values);
    }
}

Test(compare_parts, near_ties_are_listed_and_counted)
{
    static const char *const greedy[] = {"beam-size", "1", NULL};
    begin(false, LNG_DTYPE_F32, greedy);
    plant_twin(1e-5f);
    check_ok(lng_compare_translate(&compare));
    cr_assert(compare.difference_count > 0);
    for (size_t i = 0; i < compare.difference_count; i++) {
        const struct lng_compare_difference *d = &compare.differences[i];
        double gap = d->logprobs[LNG_COMPARE_REFERENCE] - d->logprobs[LNG_COMPARE_TESTED];
        cr_assert(d->near_tie && d->tokens[0] != d->tokens[1]);
        cr_assert(fabs(gap - 1e-5) < 5e-6, "%g", gap);
    }
    bool more = compare.difference_count > 1; /* than may be */
    cr_assert(verdict_of(LNG_COMPARE_TRANSLATIONS, "tokens") ==
              (more ? LNG_COMPARE_FAIL : LNG_COMPARE_OK));
    expect_reports();
    end();
    begin(false, LNG_DTYPE_F32, greedy);
    plant_twin(0.05f);
    check_ok(lng_compare_translate(&compare));
    cr_assert(compare.difference_count > 0 && !compare.differences[0].near_tie);
    cr_assert(verdict_of(LNG_COMPARE_TRANSLATIONS, "tokens") == LNG_COMPARE_FAIL);
    expect_reports();
    end();
}

/* With a beam, the score of the whole counts: as good is fine, worse is not. */
Test(compare_parts, near_ties_of_whole_translations)
{
    begin(false, LNG_DTYPE_F32, NULL);
    plant_twin(1e-6f);
    check_ok(lng_compare_translate(&compare));
    cr_assert(compare.difference_count > 0);
    for (size_t i = 0; i < compare.difference_count; i++)
        cr_assert(compare.differences[i].near_tie);
    end();
    begin(false, LNG_DTYPE_F32, NULL);
    const struct lng_param *bias = lng_params_find(&models[0].params, LNG_PARAM_OUTPUT_BIAS, -1);
    float *values = values_of(LNG_COMPARE_TESTED);
    values[bias->offset + TINY_EOS] += 2; /* ends too soon */
    put_values(LNG_COMPARE_TESTED, values);
    check_ok(lng_compare_translate(&compare));
    size_t worse = 0;
    for (size_t i = 0; i < compare.difference_count; i++) {
        const struct lng_compare_difference *d = &compare.differences[i];
        double lack = d->scores[LNG_COMPARE_REFERENCE] - d->scores[LNG_COMPARE_TESTED];
        cr_assert(lack <= 1e-4 || !d->near_tie, "%g", lack);
        worse += !d->near_tie;
    }
    cr_assert(worse > 0);
    cr_assert(verdict_of(LNG_COMPARE_TRANSLATIONS, "tokens") == LNG_COMPARE_FAIL);
    end();
}

/* ---- training ----------------------------------------------------------------------------------- */

Test(compare_parts, training_agrees)
{
    static const char *const steps[] = {"train-steps", "3", NULL};
    begin(true, LNG_DTYPE_F32, steps);
    float *before = values_of(LNG_COMPARE_REFERENCE);
    check_ok(lng_compare_translate(&compare));
    check_ok(lng_compare_operations(&compare, true));
    put_values(LNG_COMPARE_REFERENCE, before);
    check_ok(lng_compare_train(&compare));
    struct lng_compare_tally tally = lng_compare_count(&compare);
    for (size_t i = 0; i < compare.cases.count; i++)
        cr_assert(lng_compare_case_verdict(&compare.cases.list[i]) != LNG_COMPARE_FAIL, "%s: %s",
                  compare.cases.list[i].name, compare.cases.list[i].where);
    cr_assert(tally.failures == 0 && compare.gradient_count == models[0].params.count);
    for (int step = 1; step <= 3; step++) {
        char name[16];
        snprintf(name, sizeof name, "step %d", step);
        (void)verdict_of(LNG_COMPARE_TRAINING, name);
    }
    static const char *const ops[] = {"linear_bwd", "attention_bwd", "norm_bwd",
                                      "embed_bwd",  "adam",          "gradient_stats"};
    for (size_t i = 0; i < 6; i++)
        cr_assert(verdict_of(LNG_COMPARE_STEP_OPERATIONS, ops[i]) != LNG_COMPARE_FAIL);
    expect_reports();
    end();
}

/* bf16 is not within the limits of f32: of its products, of losses, of gradients. */
Test(compare_parts, training_that_differs_is_found)
{
    static const char *const steps[] = {"train-steps", "2", NULL};
    begin(true, LNG_DTYPE_BF16, steps);
    check_ok(lng_compare_translate(&compare));
    check_ok(lng_compare_operations(&compare, true));
    cr_assert(verdict_of(LNG_COMPARE_STEP_OPERATIONS, "linear_fwd") == LNG_COMPARE_FAIL);
    cr_assert(verdict_of(LNG_COMPARE_STEP_OPERATIONS, "linear_bwd") == LNG_COMPARE_FAIL);
    cr_assert(verdict_of(LNG_COMPARE_STEP_OPERATIONS, "attention_bwd") == LNG_COMPARE_OK);
    cr_assert(verdict_of(LNG_COMPARE_STEP_OPERATIONS, "adam") == LNG_COMPARE_OK);
    check_ok(lng_compare_train(&compare));
    cr_assert(verdict_of(LNG_COMPARE_TRAINING, "step 1") == LNG_COMPARE_FAIL);
    cr_assert(verdict_of(LNG_COMPARE_TRAINING, "gradients") == LNG_COMPARE_FAIL);
    expect_reports();
    end();
}

/* ---- reports ------------------------------------------------------------------------------------ */

Test(compare_parts, reports_of_odd_text)
{
    begin(false, LNG_DTYPE_F32, NULL);
    check_ok(lng_options_set(&options, "model", "a<b>&\"c\"\x01\xFF]]>"));
    struct lng_compare_case c = {.section = LNG_COMPARE_OPERATIONS, .counted = "calls"};
    snprintf(c.name, sizeof c.name, "<&>\"");
    snprintf(c.where, sizeof c.where, "&amp; <x> \x02 \xC3");
    lng_compare_case_add(&c, "nmse", INFINITY, (struct lng_compare_limit){1, 2});
    check_ok(lng_compare_cases_add(&compare.cases, &c));
    expect_reports();
    struct lng_buffer json = {0};
    check_ok(lng_compare_report_json(&compare, &json));
    cr_assert(strstr(json.data, "\"value\": null") != NULL, "%s", json.data);
    cr_assert(strstr(json.data, "\"verdict\": \"fail\"") != NULL);
    lng_buffer_release(&json);
    end();
}
