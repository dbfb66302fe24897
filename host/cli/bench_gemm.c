/* Workload gemm: products as layers of the shape asked for and their output make them, by number of rows. */
#include <string.h>

#include "host/base/mem.h"
#include "host/cli/bench.h"
#include "kernels/ops.h"

enum { PRODUCTS = 4 };
struct product {
    int64_t in, out;
};
static const int64_t row_counts[] = {1, 4, 8, 32, 64, 128, 256, 1024};
enum { ROW_COUNTS = sizeof row_counts / sizeof row_counts[0] };
static const double least_seconds = 5e-3; /* of a repetition, so that the clock does not count */

/* One matrix, with inputs and outputs for the largest number of rows. */
struct rig {
    struct lng_device *device;
    void *master, *x, *y;
    struct lng_weight *weight;
    enum lng_dtype activation;
    int64_t in, out;
};

static void close_rig(struct rig *rig)
{
    lng_weight_release(rig->device, rig->weight);
    lng_device_free(rig->device, rig->master);
    lng_device_free(rig->device, rig->x);
    lng_device_free(rig->device, rig->y);
}

/* Values in [-1, 1) without a pattern that could be guessed; as reals, then in the type of activations. */
static enum lng_status fill_random(struct lng_device *device, void *to, int64_t count,
                                   enum lng_dtype dtype)
{
    float *values = lng_alloc((size_t)count, sizeof *values);
    void *reals = NULL;
    size_t bytes = (size_t)count * sizeof *values;
    uint32_t state = 12345;
    if (values == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) * (2.0f / (1 << 24)) - 1.0f;
    }
    enum lng_status status = lng_device_alloc(device, bytes, &reals);
    if (status == LNG_OK)
        status = lng_device_write(device, reals, values, bytes);
    if (status == LNG_OK)
        status = lng_copy(device, &(struct lng_copy_args){
                                      .x = lng_view_make(reals, LNG_DTYPE_F32, 1, count),
                                      .y = lng_view_make(to, dtype, 1, count),
                                  });
    if (status == LNG_OK)
        status = lng_device_sync(device);
    lng_device_free(device, reals);
    lng_free(values);
    return status;
}

static enum lng_status open_rig(struct rig *rig, const struct lng_bench *bench,
                                const struct product *product)
{
    struct lng_device *device = bench->device;
    enum lng_dtype real = lng_device_real(device);
    int64_t rows = row_counts[ROW_COUNTS - 1];
    *rig = (struct rig){.device = device, .in = product->in, .out = product->out};
    rig->activation = lng_device_activation(device, bench->dtype);
    size_t size = lng_dtype_size(rig->activation);
    LNG_TRY(lng_device_alloc(device, (size_t)(rig->in * rig->out) * lng_dtype_size(real),
                             &rig->master));
    LNG_TRY(lng_device_alloc(device, (size_t)(rows * rig->in) * size, &rig->x));
    LNG_TRY(lng_device_alloc(device, (size_t)(rows * rig->out) * size, &rig->y));
    LNG_TRY(fill_random(device, rig->master, rig->in * rig->out, real));
    LNG_TRY(fill_random(device, rig->x, rows * rig->in, rig->activation));
    return lng_weight_prepare(device, lng_view_make(rig->master, real, rig->out, rig->in),
                              bench->dtype, LNG_WEIGHT_INFERENCE, &rig->weight);
}

static enum lng_status multiply(const struct rig *rig, int64_t rows, int64_t times)
{
    const struct lng_linear_fwd_args args = {
        .x = lng_view_make(rig->x, rig->activation, rows, rig->in),
        .weight = rig->weight,
        .y = lng_view_make(rig->y, rig->activation, rows, rig->out),
        .activation = LNG_ACTIVATION_NONE,
    };
    for (int64_t i = 0; i < times; i++)
        LNG_TRY(lng_linear_fwd(rig->device, &args));
    return lng_device_sync(rig->device);
}

/* rates [repetitions]: 1e9 multiplications and additions a second. */
static enum lng_status time_rows(const struct rig *rig, int64_t rows, double *rates, int count)
{
    double work = 2e-9 * (double)rows * (double)rig->in * (double)rig->out;
    int64_t times = 1;
    for (;;) { /* warm-up, and how many make a repetition */
        struct lng_bench_clock start = lng_bench_start();
        LNG_TRY(multiply(rig, rows, times));
        if (lng_bench_stop(start).seconds >= least_seconds || times >= 1 << 20)
            break;
        times *= 2;
    }
    for (int i = 0; i < count; i++) {
        struct lng_bench_clock start = lng_bench_start();
        LNG_TRY(multiply(rig, rows, times));
        rates[i] = work * (double)times / lng_bench_stop(start).seconds;
    }
    return LNG_OK;
}

static enum lng_status add_row(json_t *list, const struct rig *rig, int64_t rows, double *rates,
                               size_t count)
{
    json_t *row = json_object();
    LNG_FAIL_IF(row == NULL || json_array_append_new(list, row) != 0, LNG_ERR_MEMORY,
                "out of memory for the report");
    LNG_TRY(lng_json_set(row, "in", json_integer(rig->in)));
    LNG_TRY(lng_json_set(row, "out", json_integer(rig->out)));
    LNG_TRY(lng_json_set(row, "rows", json_integer(rows)));
    LNG_TRY(lng_json_set(row, "gop_per_second", lng_json_number(lng_bench_median(rates, count))));
    LNG_TRY(lng_json_set(row, "min", lng_json_number(rates[0])));
    return lng_json_set(row, "max", lng_json_number(rates[count - 1]));
}

static enum lng_status measure(struct lng_bench *bench, const struct product *product,
                               double *rates, json_t *list)
{
    struct rig rig;
    int count = bench->options->bench_repetitions;
    enum lng_status status = open_rig(&rig, bench, product);
    for (int i = 0; i < ROW_COUNTS && status == LNG_OK; i++) {
        status = time_rows(&rig, row_counts[i], rates, count);
        if (status == LNG_OK)
            status = add_row(list, &rig, row_counts[i], rates, (size_t)count);
    }
    close_rig(&rig);
    return status;
}

enum lng_status lng_bench_gemm(struct lng_bench *bench, json_t *report)
{
    const struct lng_options *o = bench->options;
    const struct product products[PRODUCTS] = {
        {o->dim, o->dim},
        {o->dim, o->ffn_dim},
        {o->ffn_dim, o->dim},
        {o->dim, o->bench_vocab_size},
    };
    double *rates = lng_alloc((size_t)o->bench_repetitions, sizeof *rates);
    json_t *list = json_array();
    enum lng_status status = rates != NULL ? LNG_OK : LNG_ERR_MEMORY;
    if (lng_json_set(report, "products", list) != LNG_OK)
        status = LNG_ERR_MEMORY;
    for (int i = 0; i < PRODUCTS && status == LNG_OK; i++)
        status = measure(bench, &products[i], rates, list);
    lng_free(rates);
    return status == LNG_OK ? lng_bench_add_memory(bench, report, NULL) : status;
}
