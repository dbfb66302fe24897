#include "host/cli/quantize_report.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/file.h"
#include "host/base/mem.h"

/* Sums over one tensor or all. */
struct error_sums {
    double squares, difference, largest;
};

static struct error_sums measure(const float *before, const float *after, int64_t count)
{
    struct error_sums sums = {0};
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)after[i] - (double)before[i]);
        sums.squares += (double)before[i] * before[i];
        sums.difference += d * d;
        sums.largest = d > sums.largest ? d : sums.largest;
    }
    return sums;
}

static double relative(const struct error_sums *sums)
{
    return sums->squares > 0 ? sqrt(sums->difference / sums->squares) : 0.0;
}

/* Matrices; vectors are kept as they were, or are rounded to bf16 like the rest. */
static enum lng_status add_tensors(json_t *report, const struct lng_model_data *before,
                                   const struct lng_model_data *after)
{
    struct error_sums all = {0};
    json_t *list = json_array();
    LNG_TRY(lng_json_set(report, "tensors", list));
    for (size_t i = 0; i < before->params.count; i++) {
        const struct lng_param *param = &before->params.list[i];
        const int64_t count = param->rows * param->cols;
        struct error_sums sums =
            measure(before->values + param->offset, after->values + param->offset, count);
        all.squares += sums.squares;
        all.difference += sums.difference;
        if (sums.largest == 0)
            continue;
        json_t *row = json_pack("{s:s, s:I}", "name", param->name, "elements", (json_int_t)count);
        LNG_FAIL_IF(row == NULL || json_array_append_new(list, row) != 0, LNG_ERR_MEMORY,
                    "out of memory");
        LNG_TRY(lng_json_set(row, "relative_error", lng_json_number(relative(&sums))));
        LNG_TRY(lng_json_set(row, "largest_error", lng_json_number(sums.largest)));
    }
    return lng_json_set(report, "relative_error", lng_json_number(relative(&all)));
}

/* Of model.safetensors; without one (a checkpoint) of the parameters in f32. */
static json_int_t file_bytes(const struct lng_model_data *data)
{
    struct stat info;
    char *path = data->directory ? lng_path_join(data->directory, "model.safetensors") : NULL;
    bool found = path && stat(path, &info) == 0;
    lng_free(path);
    return found ? (json_int_t)info.st_size
                 : (json_int_t)(data->params.total * (int64_t)sizeof(float));
}

static enum lng_status add_score(json_t *list, const struct lng_quantize_score *score)
{
    struct lng_buffer name = {0};
    enum lng_status status = lng_metric_name(&score->metric, &name);
    json_t *row = json_object();
    if (status == LNG_OK && (row == NULL || json_array_append_new(list, row) != 0))
        status = lng_fail(LNG_ERR_MEMORY, "out of memory");
    LNG_TRY_OR_FAIL(status);
    LNG_TRY_OR_FAIL(lng_json_set(row, "metric", json_string(name.data)));
    LNG_TRY_OR_FAIL(lng_json_set(row, "before", lng_json_number(score->before)));
    LNG_TRY_OR_FAIL(lng_json_set(row, "after", lng_json_number(score->after)));
    LNG_TRY_OR_FAIL(lng_json_set(row, "difference", lng_json_number(score->after - score->before)));
    LNG_TRY_OR_FAIL(lng_json_set(row, "p", lng_json_number(score->p)));
fail:
    lng_buffer_release(&name);
    return status;
}

static enum lng_status fill(json_t *report, const struct lng_model_data *before,
                            const struct lng_model_data *after,
                            const struct lng_quantize_texts *texts)
{
    LNG_TRY(add_tensors(report, before, after));
    LNG_TRY(lng_json_set(
        report, "bytes",
        json_pack("{s:I, s:I}", "before", file_bytes(before), "after", file_bytes(after))));
    if (!texts->translated)
        return LNG_OK;
    LNG_TRY(lng_json_set(report, "lines", json_integer((json_int_t)texts->lines)));
    LNG_TRY(lng_json_set(report, "changed", json_integer((json_int_t)texts->changed)));
    if (!texts->judged)
        return LNG_OK;
    json_t *scores = json_array();
    LNG_TRY(lng_json_set(report, "scores", scores));
    for (size_t i = 0; i < LNG_QUANTIZE_SCORES; i++)
        LNG_TRY(add_score(scores, &texts->scores[i]));
    return LNG_OK;
}

enum lng_status lng_quantize_report(const struct lng_model_data *before,
                                    const struct lng_model_data *after,
                                    const struct lng_quantize_texts *texts, json_t **report)
{
    json_t *root = json_object();
    LNG_FAIL_IF(root == NULL, LNG_ERR_MEMORY, "out of memory");
    enum lng_status status = fill(root, before, after, texts);
    if (status == LNG_OK)
        *report = root;
    else
        json_decref(root);
    return status;
}

/* ---- as text ---- */

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static json_int_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

enum lng_status lng_quantize_report_text(const json_t *report, const char *type,
                                         struct lng_buffer *text)
{
    const json_t *tensors = json_object_get(report, "tensors"),
                 *bytes = json_object_get(report, "bytes"),
                 *scores = json_object_get(report, "scores");
    const double before = (double)integer(bytes, "before"), after = (double)integer(bytes, "after");
    LNG_TRY(lng_buffer_append_format(text, "%-36s %12s  %14s  %13s\n", "tensor", "elements",
                                     "relative error", "largest error"));
    for (size_t i = 0; i < json_array_size(tensors); i++) {
        const json_t *row = json_array_get(tensors, i);
        LNG_TRY(lng_buffer_append_format(
            text, "%-36s %12lld  %14.6f  %13.6f\n", json_string_value(json_object_get(row, "name")),
            (long long)integer(row, "elements"), number(row, "relative_error"),
            number(row, "largest_error")));
    }
    LNG_TRY(lng_buffer_append_format(
        text, "relative error of all: %.6f\nmodel file: %.0f bytes, before %.0f (%.1f %%)\n",
        number(report, "relative_error"), after, before, before > 0 ? 100 * after / before : 0.0));
    if (json_object_get(report, "lines"))
        LNG_TRY(lng_buffer_append_format(text, "translations: %lld of %lld changed\n",
                                         (long long)integer(report, "changed"),
                                         (long long)integer(report, "lines")));
    for (size_t i = 0; i < json_array_size(scores); i++) {
        const json_t *row = json_array_get(scores, i);
        LNG_TRY(lng_buffer_append_format(text, "%s: %s %.2f, before %.2f: %+.2f (p = %.4f)\n",
                                         json_string_value(json_object_get(row, "metric")), type,
                                         number(row, "after"), number(row, "before"),
                                         number(row, "difference"), number(row, "p")));
    }
    return LNG_OK;
}
