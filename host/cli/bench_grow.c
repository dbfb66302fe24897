/* Workload grow: how time and memory of decoding, and of an update, grow with one thing at a time. Cost grows as x^e where
 * log cost = e log x + constant; e by least squares. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/bench.h"
#include "host/cli/bench_plan.h"

enum { MOST_VALUES = 12, DEFAULT_LENGTH = 27, HEAD_WIDTH = 64, MOST_BATCH_OF_CPU = 256 };

/* What a point of a curve is measured with. */
struct point {
    int64_t length, beam, batch, vocabulary, threads, layers, width;
    int64_t update_tokens, update_length; /* > 0: of training */
};
static bool is_training(const struct point *point)
{
    return point->update_tokens > 0 || point->update_length > 0;
}
static const struct axis {
    const char *name;
    size_t offset;  /* in struct point */
    int64_t corner; /* > 0: the exponents on both sides of it are told too */
    int64_t values[MOST_VALUES + 1];
} axes[] = {
#define LNG_BENCH_AXIS(name, corner, ...) \
    {#name, offsetof(struct point, name), corner, {__VA_ARGS__}},
#include "host/cli/bench_workloads.def"
};
enum { AXES = sizeof axes / sizeof axes[0] };

/* Device and model of the last point, kept as long as they serve. */
struct rig {
    struct lng_bench *bench;
    struct point made;
    struct lng_device *device;
    struct lng_model model;
    struct lng_options options; /* those of the point */
};

/* Of one curve. */
struct curve {
    const struct axis *axis;
    double x[MOST_VALUES], seconds[MOST_VALUES], bytes[MOST_VALUES];
    size_t count;
};

static void close_rig(struct rig *rig)
{
    if (rig->model.device != NULL)
        lng_model_release(&rig->model);
    lng_device_close(rig->device);
    rig->device = NULL;
}

static void set_options(struct rig *rig, const struct point *point)
{
    struct lng_options *o = &rig->options;
    *o = *rig->bench->options;
    if (point->width != o->dim) {
        o->dim = (int32_t)point->width;
        o->heads = o->dim / HEAD_WIDTH;
        o->ffn_dim = o->dec_ffn_dim = 4 * o->dim;
    }
    if (point->update_tokens > 0)
        o->bench_batch_tokens = point->update_tokens;
    if (point->update_length > 0)
        o->bench_length = (int32_t)point->update_length;
}

static enum lng_status open_rig(struct rig *rig, const struct point *point)
{
    const struct lng_options *o = &rig->options;
    set_options(rig, point);
    if (rig->device != NULL && rig->made.vocabulary == point->vocabulary &&
        rig->made.threads == point->threads && rig->made.layers == point->layers &&
        rig->made.width == point->width && is_training(&rig->made) == is_training(point))
        return LNG_OK;
    close_rig(rig);
    struct lng_device_options device_options = {.threads = (int)point->threads};
    LNG_TRY(lng_device_open(o->device, &device_options, &rig->device));
    rig->made = *point;
    return lng_bench_random_model(o, rig->device, rig->bench->dtype, is_training(point),
                                  (int32_t)point->vocabulary, (int32_t)point->layers, &rig->model);
}

/* Median seconds a sentence of `times` batches; bytes that the search planned. */
static enum lng_status time_point(struct rig *rig, const struct point *point, double *seconds,
                                  double *bytes)
{
    const struct lng_options *o = rig->bench->options;
    struct lng_bench_search how = {
        .beam = (int32_t)point->beam, .batch = point->batch, .workers = o->bench_workers};
    struct lng_bench_sentences sentences = {0};
    struct lng_search *search = NULL;
    double *times = lng_alloc((size_t)o->bench_repetitions, sizeof *times);
    int64_t tokens;
    enum lng_status status = times != NULL ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status =
            lng_bench_sentences_random(&rig->model.hparams, (uint64_t)o->seed, (size_t)point->batch,
                                       (int32_t)point->length, &sentences);
    if (status == LNG_OK)
        status = lng_bench_open_search(&rig->model, &sentences, &how, &search);
    for (int i = -o->bench_warmup; i < o->bench_repetitions && status == LNG_OK; i++) {
        struct lng_bench_clock start = lng_bench_start();
        status = lng_bench_translate(search, &sentences, 0, sentences.count, NULL, &tokens);
        if (status == LNG_OK)
            status = lng_device_sync(rig->device);
        if (i >= 0)
            times[i] = lng_bench_stop(start).seconds / (double)point->batch;
    }
    if (status == LNG_OK) {
        *seconds = lng_bench_median(times, (size_t)o->bench_repetitions);
        *bytes = (double)lng_search_get_stats(search).device_bytes;
    }
    lng_search_close(search);
    lng_bench_sentences_release(&sentences);
    lng_free(times);
    return status;
}

/* ---- reports ------------------------------------------------------------------------------------ */

/* Slope of log y over log x of values [first, end); NaN for fewer than two. */
static double exponent(const double *x, const double *y, size_t first, size_t end)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (size_t i = first; i < end; i++) {
        double a = log(x[i]), b = log(y[i]);
        n += 1;
        sx += a;
        sy += b;
        sxx += a * a;
        sxy += a * b;
    }
    return n < 2 ? (double)NAN : (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

static enum lng_status add_fit(json_t *fits, const struct curve *c, size_t first, size_t end)
{
    json_t *fit;
    LNG_TRY(lng_bench_add_object(fits, &fit));
    LNG_TRY(lng_json_set(fit, "from", lng_json_number(c->x[first])));
    LNG_TRY(lng_json_set(fit, "to", lng_json_number(c->x[end - 1])));
    LNG_TRY(lng_json_set(fit, "seconds_exponent",
                         lng_json_number(exponent(c->x, c->seconds, first, end))));
    return lng_json_set(fit, "bytes_exponent",
                        lng_json_number(exponent(c->x, c->bytes, first, end)));
}

/* Over the upper half, and on both sides of the corner. */
static enum lng_status add_fits(json_t *object, const struct curve *c)
{
    json_t *fits = json_array();
    size_t corner = 0;
    LNG_TRY(lng_json_set(object, "fits", fits));
    LNG_TRY(add_fit(fits, c, c->count > 2 ? c->count / 2 : 0, c->count));
    while (corner < c->count && c->x[corner] < (double)c->axis->corner)
        corner++;
    if (c->axis->corner == 0 || corner == 0 || corner + 1 >= c->count)
        return LNG_OK;
    LNG_TRY(add_fit(fits, c, 0, corner + 1));
    return add_fit(fits, c, corner, c->count);
}

static enum lng_status time_update(struct rig *rig, double *seconds, double *tokens, double *bytes)
{
    struct lng_bench bench = {.options = &rig->options,
                              .device = rig->device,
                              .dtype = rig->bench->dtype,
                              .model = rig->model};
    return lng_bench_time_updates(&bench, seconds, tokens, bytes);
}

static enum lng_status add_point(json_t *points, const struct curve *c, const struct point *point,
                                 double tokens)
{
    json_t *object;
    size_t i = c->count - 1;
    LNG_TRY(lng_bench_add_object(points, &object));
    LNG_TRY(lng_json_set(object, c->axis->name, json_integer((json_int_t)c->x[i])));
    LNG_TRY(lng_json_set(object, is_training(point) ? "seconds_per_update" : "seconds_per_sentence",
                         lng_json_number(c->seconds[i])));
    LNG_TRY(lng_json_set(object, "tokens_per_second", lng_json_number(tokens / c->seconds[i])));
    return lng_json_set(object, "plan_bytes", json_integer((json_int_t)c->bytes[i]));
}

/* Whether the device has such a point, and it takes no longer there than it is worth. */
static bool is_possible(const struct lng_bench *bench, const struct point *point)
{
    return point->threads <= lng_device_threads(bench->device) &&
           (point->batch <= MOST_BATCH_OF_CPU || point->batch == bench->options->bench_batch ||
            strncmp(lng_device_name(bench->device), "cuda", 4) == 0);
}

static struct point point_at(const struct point *usual, const struct axis *axis, int i)
{
    struct point point = *usual;
    memcpy((char *)&point + axis->offset, &axis->values[i], sizeof axis->values[i]);
    return point;
}

static enum lng_status measure_axis(struct rig *rig, const struct axis *axis,
                                    const struct point *usual, json_t *curves)
{
    struct curve c = {.axis = axis};
    json_t *object, *points;
    LNG_TRY(lng_bench_add_object(curves, &object));
    LNG_TRY(lng_json_set(object, "axis", json_string(axis->name)));
    points = json_array();
    LNG_TRY(lng_json_set(object, "points", points));
    for (int i = 0; i < MOST_VALUES && axis->values[i] > 0; i++) {
        const struct point point = point_at(usual, axis, i);
        double tokens = (double)point.length, *seconds = &c.seconds[c.count];
        if (!is_possible(rig->bench, &point))
            continue;
        LNG_FAIL_IF(is_training(&point) && rig->bench->dtype == LNG_DTYPE_I8, LNG_ERR_USAGE,
                    "grow: %s is of training; expected --dtype f32 or bf16", axis->name);
        LNG_TRY(open_rig(rig, &point));
        if (is_training(&point))
            LNG_TRY(time_update(rig, seconds, &tokens, &c.bytes[c.count]));
        else
            LNG_TRY(time_point(rig, &point, seconds, &c.bytes[c.count]));
        c.x[c.count++] = (double)axis->values[i];
        lng_info("  %s %lld: %.3g ms", axis->name, (long long)axis->values[i], 1e3 * *seconds);
        LNG_TRY(add_point(points, &c, &point, tokens));
    }
    return add_fits(object, &c);
}

static bool is_wanted(const struct lng_options *o, const char *name)
{
    for (size_t i = 0; i < o->bench_axes.count; i++)
        if (strcmp(o->bench_axes.items[i], name) == 0)
            return true;
    return false;
}

static enum lng_status add_config(json_t *report, const struct point *usual)
{
    json_t *config;
    LNG_TRY(lng_bench_section(report, "config", &config));
    for (int i = 0; i < AXES; i++) {
        int64_t value;
        memcpy(&value, (const char *)usual + axes[i].offset, sizeof value);
        LNG_TRY(lng_json_set(config, axes[i].name, json_integer(value)));
    }
    return LNG_OK;
}

static struct point usual_point(const struct lng_bench *bench)
{
    const struct lng_options *o = bench->options;
    return (struct point){
        .length = o->bench_length > 0 ? o->bench_length : DEFAULT_LENGTH,
        .beam = 1,
        .batch = o->bench_batch,
        .vocabulary = o->bench_vocab_size,
        .threads = lng_device_threads(bench->device),
        .layers = o->dec_depth,
        .width = o->dim,
    };
}

static enum lng_status list_curve(const struct lng_bench *bench, const struct axis *axis,
                                  json_t *list)
{
    const struct point usual = usual_point(bench);
    json_t *values = json_array();
    enum lng_status status = lng_json_set(list, axis->name, values);
    for (int k = 0; k < MOST_VALUES && axis->values[k] > 0 && status == LNG_OK; k++) {
        const struct point point = point_at(&usual, axis, k);
        if (is_possible(bench, &point) &&
            json_array_append_new(values, json_integer(axis->values[k])) != 0)
            status = lng_fail(LNG_ERR_MEMORY, "out of memory for the report");
    }
    return status;
}

enum lng_status lng_bench_list_curves(const struct lng_bench *bench, json_t *curves)
{
    for (int i = 0; i < AXES; i++)
        if (is_wanted(bench->options, axes[i].name))
            LNG_TRY(list_curve(bench, &axes[i], curves));
    return LNG_OK;
}

enum lng_status lng_bench_grow(struct lng_bench *bench, json_t *report)
{
    const struct lng_options *o = bench->options;
    const struct point usual = usual_point(bench);
    struct rig rig = {.bench = bench};
    json_t *curves = json_array();
    LNG_TRY(lng_json_set(report, "curves", curves));
    LNG_TRY(add_config(report, &usual));
    enum lng_status status = LNG_OK;
    for (int i = 0; i < AXES && status == LNG_OK; i++)
        if (is_wanted(o, axes[i].name))
            status = measure_axis(&rig, &axes[i], &usual, curves);
    close_rig(&rig);
    return status == LNG_OK ? lng_bench_add_memory(bench, report, NULL) : status;
}
