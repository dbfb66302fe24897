/* lingster compare: the same work on two devices or in two types of numbers, and a verdict. */
#include <string.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/cli/cmd.h"
#include "host/cli/compare_report.h"
#include "host/cli/infer_setup.h"

/* Both sides, and what the model directory says. */
struct session {
    struct lng_device *devices[LNG_COMPARE_SIDES];
    struct lng_model models[LNG_COMPARE_SIDES];
    struct lng_model_data data; /* all but the values */
    struct lng_tokenizer *tokenizer;
    struct lng_compare compare;
};

static void close_models(struct session *s)
{
    for (int side = 0; side < LNG_COMPARE_SIDES; side++)
        if (s->models[side].device != NULL)
            lng_model_release(&s->models[side]);
    lng_model_data_release(&s->data);
}

static void close_session(struct session *s)
{
    lng_compare_release(&s->compare);
    close_models(s);
    lng_tokenizer_close(s->tokenizer);
    for (int side = 0; side < LNG_COMPARE_SIDES; side++)
        if (s->devices[side] != NULL)
            lng_device_close(s->devices[side]);
}

static enum lng_status open_models(struct session *s, const struct lng_options *options,
                                   bool training)
{
    for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
        lng_model_data_release(&s->data);
        LNG_TRY(lng_model_load(options->model, s->devices[side], s->compare.dtypes[side], training,
                               &s->models[side], &s->data));
        s->compare.models[side] = &s->models[side];
    }
    return LNG_OK;
}

/* A comparison of a thing with itself passes whatever it computes: in CI that hides a GPU gone missing. */
static enum lng_status open_devices(struct session *s, const struct lng_options *options)
{
    struct lng_compare *compare = &s->compare;
    struct lng_device_options device_options = {.threads = options->threads};
    const char *names[] = {options->against, options->device};
    const enum lng_opt_dtype dtypes[] = {options->against_dtype, options->dtype};
    for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
        LNG_TRY(lng_device_open(names[side], &device_options, &s->devices[side]));
        compare->devices[side] = lng_device_name(s->devices[side]);
        compare->dtypes[side] = lng_infer_compute_type(dtypes[side]);
        LNG_TRY(lng_device_supports(s->devices[side], compare->dtypes[side]));
    }
    compare->class = lng_compare_class_of(compare->dtypes[0], compare->dtypes[1]);
    const char *remark = lng_device_remark(s->devices[LNG_COMPARE_TESTED]);
    LNG_FAIL_IF(strcmp(compare->devices[0], compare->devices[1]) == 0 &&
                    compare->dtypes[0] == compare->dtypes[1],
                LNG_ERR_USAGE,
                "%s in %s on both sides: expected two devices or two types; say --device, "
                "--against, --dtype or --against-dtype%s%s",
                compare->devices[0], lng_dtype_name(compare->dtypes[0]),
                remark[0] != '\0' ? "; " : "", remark);
    return LNG_OK;
}

static enum lng_status open_session(struct session *s, const struct lng_options *options)
{
    LNG_TRY(open_devices(s, options));
    LNG_TRY(open_models(s, options, false));
    LNG_FAIL_IF(s->data.directory == NULL, LNG_ERR_IO,
                "%s: found a model but no vocabulary beside it; expected a model directory",
                options->model);
    LNG_TRY(lng_tokenizer_open_directory(s->data.directory, &s->tokenizer));
    s->compare.tokenizer = s->tokenizer;
    s->compare.forced_bos = s->data.generation.forced_bos;
    return LNG_OK;
}

static enum lng_status read_input(struct session *s, const struct lng_options *options)
{
    const char *path = options->input != NULL ? options->input : "-";
    struct lng_lines *lines;
    LNG_TRY(lng_lines_open(path, &lines));
    enum lng_status status = lng_compare_read(&s->compare, lines);
    lng_lines_close(lines);
    return status == LNG_OK ? LNG_OK : lng_fail_context(status, "%s", path);
}

static enum lng_status run(struct session *s, const struct lng_options *options)
{
    struct lng_compare *compare = &s->compare;
    lng_info("translating %zu sentences on both", compare->source.count);
    LNG_TRY(lng_compare_translate(compare));
    lng_info("scoring the translations of %s", compare->devices[LNG_COMPARE_REFERENCE]);
    LNG_TRY(lng_compare_score(compare));
    lng_info("comparing operations");
    LNG_TRY(lng_compare_operations(compare, false));
    if (options->train_steps == 0)
        return LNG_OK;
    /* Weights for inference and for training may be laid out in different ways. */
    close_models(s);
    LNG_TRY(open_models(s, options, true));
    lng_info("comparing operations of a training step");
    LNG_TRY(lng_compare_operations(compare, true));
    close_models(s);
    LNG_TRY(open_models(s, options, true));
    lng_info("training for %d steps on both", options->train_steps);
    return lng_compare_train(compare);
}

/* ---- reports ------------------------------------------------------------------------------------ */

typedef enum lng_status report(const struct lng_compare *compare, struct lng_buffer *text);

/* path NULL: not asked for. */
static enum lng_status write_report(const struct lng_compare *compare, report *make,
                                    const char *path)
{
    struct lng_buffer text = {0};
    if (path == NULL)
        return LNG_OK;
    enum lng_status status = make(compare, &text);
    if (status == LNG_OK)
        status = lng_file_write(path, text.data, text.length);
    lng_buffer_release(&text);
    return status;
}

static enum lng_status print_report(const struct lng_compare *compare)
{
    struct lng_buffer text = {0};
    struct lng_infer_output output = {.stream = stdout};
    enum lng_status status = lng_compare_report_text(compare, &text);
    if (status == LNG_OK)
        status = lng_infer_output_write(&output, text.data, text.length);
    lng_buffer_release(&text);
    return status;
}

static enum lng_status report_all(const struct lng_compare *compare,
                                  const struct lng_options *options)
{
    LNG_TRY(print_report(compare));
    LNG_TRY(write_report(compare, lng_compare_report_json, options->compare_json));
    LNG_TRY(write_report(compare, lng_compare_report_junit, options->junit));
    if (lng_compare_count(compare).failures == 0)
        return LNG_OK;
    struct lng_buffer why = {0};
    enum lng_status status = lng_compare_summarize(compare, &why);
    if (status == LNG_OK)
        status = lng_fail(LNG_ERR_MISMATCH, "%s", why.data);
    lng_buffer_release(&why);
    return status;
}

enum lng_status lng_cmd_compare(const struct lng_options *options)
{
    struct session session = {0};
    double start = lng_clock();
    enum lng_status status;
    lng_compare_init(&session.compare, options, NULL, -1);
    LNG_TRY_OR_FAIL(open_session(&session, options));
    LNG_TRY_OR_FAIL(read_input(&session, options));
    LNG_TRY_OR_FAIL(run(&session, options));
    session.compare.seconds = lng_clock() - start;
    status = report_all(&session.compare, options);
fail:
    close_session(&session);
    return status;
}
