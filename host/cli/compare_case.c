#include "host/cli/compare_case.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/bf16.h"
#include "host/base/mem.h"

enum lng_compare_class lng_compare_class_of(enum lng_dtype a, enum lng_dtype b)
{
    if (a == LNG_DTYPE_I8 && b == LNG_DTYPE_I8)
        return LNG_COMPARE_I8S;
    if (a == LNG_DTYPE_I8 || b == LNG_DTYPE_I8)
        return LNG_COMPARE_I8;
    return a == LNG_DTYPE_BF16 || b == LNG_DTYPE_BF16 ? LNG_COMPARE_BF16 : LNG_COMPARE_F32;
}

const char *lng_compare_class_name(enum lng_compare_class class)
{
    static const char *const names[LNG_COMPARE_CLASSES] = {"f32", "bf16", "int8", "int8-int8"};
    return names[class];
}

struct lng_compare_limit lng_compare_limit_of(enum lng_compare_what what,
                                              enum lng_compare_class class, double tolerance)
{
    static const struct lng_compare_limit limits[LNG_COMPARE_WHATS][LNG_COMPARE_CLASSES] = {
#define LNG_COMPARE_LIMIT(what, class, warn, fail) \
    [LNG_COMPARE_##what][LNG_COMPARE_##class] = {warn, fail},
#include "host/cli/compare_limits.def"
    };
    struct lng_compare_limit limit = limits[what][class];
    return (struct lng_compare_limit){limit.warn * tolerance, limit.fail * tolerance};
}

enum lng_compare_verdict lng_compare_judge(double value, struct lng_compare_limit limit)
{
    if (!(value <= limit.fail))
        return LNG_COMPARE_FAIL;
    return value <= limit.warn ? LNG_COMPARE_OK : LNG_COMPARE_WARN;
}

const char *lng_compare_verdict_name(enum lng_compare_verdict verdict)
{
    static const char *const names[] = {"ok", "warn", "fail"};
    return names[verdict];
}

const char *lng_compare_section_name(enum lng_compare_section section)
{
    static const char *const names[LNG_COMPARE_SECTIONS] = {
        "translations", "log-probabilities", "operations", "training operations", "training"};
    return names[section];
}

void lng_compare_case_add(struct lng_compare_case *c, const char *name, double value,
                          struct lng_compare_limit limit)
{
    c->figures[c->figure_count++] = (struct lng_compare_figure){name, value, limit};
}

enum lng_compare_verdict lng_compare_case_verdict(const struct lng_compare_case *c)
{
    enum lng_compare_verdict worst = LNG_COMPARE_OK;
    for (int i = 0; i < c->figure_count; i++) {
        enum lng_compare_verdict one = lng_compare_judge(c->figures[i].value, c->figures[i].limit);
        worst = one > worst ? one : worst;
    }
    return worst;
}

enum lng_status lng_compare_cases_add(struct lng_compare_cases *cases,
                                      const struct lng_compare_case *c)
{
    LNG_TRY(lng_grow(&cases->list, &cases->capacity, cases->count + 1, sizeof *cases->list));
    cases->list[cases->count++] = *c;
    return LNG_OK;
}

void lng_compare_cases_release(struct lng_compare_cases *cases)
{
    lng_free(cases->list);
    *cases = (struct lng_compare_cases){0};
}

/* ---- numbers ------------------------------------------------------------------------------------ */

void lng_compare_error_add(struct lng_compare_error *error, const float *tested,
                           const float *reference, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double t = (double)tested[i], r = (double)reference[i];
        if (t == r && !isfinite(r)) /* the same infinity */
            continue;
        if (!isfinite(t) || !isfinite(r)) {
            error->broken = true;
            continue;
        }
        double difference = fabs(t - r);
        error->difference += difference * difference;
        error->square += r * r;
        error->worst = fmax(error->worst, difference);
        error->largest = fmax(error->largest, fabs(r));
    }
}

static double ratio(const struct lng_compare_error *error, double part, double whole)
{
    if (error->broken)
        return INFINITY;
    return part == 0 ? 0 : part / whole;
}

double lng_compare_error_nmse(const struct lng_compare_error *error)
{
    return ratio(error, error->difference, error->square);
}

double lng_compare_error_max(const struct lng_compare_error *error)
{
    return ratio(error, error->worst, error->largest);
}

/* ---- views -------------------------------------------------------------------------------------- */

static float load(const void *from, enum lng_dtype dtype, size_t i)
{
    switch (dtype) {
    case LNG_DTYPE_F32:
        return ((const float *)from)[i];
    case LNG_DTYPE_BF16:
        return lng_bf16_to_f32(((const uint16_t *)from)[i]);
    case LNG_DTYPE_I8:
        return (float)((const int8_t *)from)[i];
    case LNG_DTYPE_I32:
        return (float)((const int32_t *)from)[i];
    case LNG_DTYPE_F64:
        break;
    }
    return (float)((const double *)from)[i];
}

static void store(void *to, enum lng_dtype dtype, size_t i, float value)
{
    switch (dtype) {
    case LNG_DTYPE_F32:
        ((float *)to)[i] = value;
        return;
    case LNG_DTYPE_BF16:
        ((uint16_t *)to)[i] = lng_f32_to_bf16(value);
        return;
    case LNG_DTYPE_I8:
        ((int8_t *)to)[i] = (int8_t)value;
        return;
    case LNG_DTYPE_I32:
        ((int32_t *)to)[i] = (int32_t)value;
        return;
    case LNG_DTYPE_F64:
        break;
    }
    ((double *)to)[i] = (double)value;
}

/* Everything from the first to the last element of a view, what lies between its rows included. */
static enum lng_status read_span(struct lng_device *device, const struct lng_view *view,
                                 size_t *bytes, void **span)
{
    size_t size = lng_dtype_size(view->dtype);
    size_t elements = (size_t)((view->rows - 1) * view->stride + view->cols);
    void *memory = lng_alloc(elements, size);
    if (memory == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_device_read(device, memory, view->data, elements * size);
    if (status != LNG_OK) {
        lng_free(memory);
        return status;
    }
    *bytes = elements * size;
    *span = memory;
    return LNG_OK;
}

enum lng_status lng_compare_view_read(struct lng_device *device, struct lng_view view,
                                      float *values)
{
    void *span;
    size_t bytes;
    if (view.rows == 0 || view.cols == 0)
        return LNG_OK;
    LNG_TRY(read_span(device, &view, &bytes, &span));
    for (int64_t row = 0; row < view.rows; row++)
        for (int64_t col = 0; col < view.cols; col++)
            values[row * view.cols + col] =
                load(span, view.dtype, (size_t)(row * view.stride + col));
    lng_free(span);
    return LNG_OK;
}

enum lng_status lng_compare_view_write(struct lng_device *device, struct lng_view view,
                                       const float *values)
{
    void *span;
    size_t bytes;
    if (view.rows == 0 || view.cols == 0)
        return LNG_OK;
    LNG_TRY(read_span(device, &view, &bytes, &span));
    for (int64_t row = 0; row < view.rows; row++)
        for (int64_t col = 0; col < view.cols; col++)
            store(span, view.dtype, (size_t)(row * view.stride + col),
                  values[row * view.cols + col]);
    enum lng_status status = lng_device_write(device, view.data, span, bytes);
    lng_free(span);
    return status;
}
