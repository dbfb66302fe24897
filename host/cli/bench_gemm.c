/* Workload gemm: products as layers of the shape asked for and their output make them, by number of rows. */
#include <string.h>

#include "host/base/mem.h"
#include "host/cli/bench.h"
#include "host/cli/bench_plan.h"
#include "kernels/ops.h"

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

enum lng_status lng_bench_fill(struct lng_device *device, void *to, int64_t count,
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
                                const struct lng_bench_product *product, int64_t rows)
{
    struct lng_device *device = bench->device;
    enum lng_dtype real = lng_device_real(device);
    *rig = (struct rig){.device = device, .in = product->in, .out = product->out};
    rig->activation = lng_device_activation(device, bench->dtype);
    size_t size = lng_dtype_size(rig->activation);
    LNG_TRY(lng_device_alloc(device, (size_t)(rig->in * rig->out) * lng_dtype_size(real),
                             &rig->master));
    LNG_TRY(lng_device_alloc(device, (size_t)(rows * rig->in) * size, &rig->x));
    LNG_TRY(lng_device_alloc(device, (size_t)(rows * rig->out) * size, &rig->y));
    LNG_TRY(lng_bench_fill(device, rig->master, rig->in * rig->out, real));
    LNG_TRY(lng_bench_fill(device, rig->x, rows * rig->in, rig->activation));
    return lng_weight_prepare(device, lng_view_make(rig->master, real, rig->out, rig->in),
                              bench->dtype, LNG_WEIGHT_INFERENCE, &rig->weight);
}

/* One number of rows. */
struct rows_of {
    const struct rig *rig;
    int64_t rows;
};

static enum lng_status multiply(void *context, int64_t times)
{
    const struct rows_of *of = context;
    const struct rig *rig = of->rig;
    const struct lng_linear_fwd_args args = {
        .x = lng_view_make(rig->x, rig->activation, of->rows, rig->in),
        .weight = rig->weight,
        .y = lng_view_make(rig->y, rig->activation, of->rows, rig->out),
        .activation = LNG_ACTIVATION_NONE,
    };
    for (int64_t i = 0; i < times; i++)
        LNG_TRY(lng_linear_fwd(rig->device, &args));
    return lng_device_sync(rig->device);
}

enum lng_status lng_bench_time_work(lng_bench_work work, void *context, double *seconds, int count)
{
    int64_t times = 1;
    for (;;) { /* warm-up, and how many make a repetition */
        struct lng_bench_clock start = lng_bench_start();
        LNG_TRY(work(context, times));
        if (lng_bench_stop(start).seconds >= least_seconds || times >= 1 << 20)
            break;
        times *= 2;
    }
    for (int i = 0; i < count; i++) {
        struct lng_bench_clock start = lng_bench_start();
        LNG_TRY(work(context, times));
        seconds[i] = lng_bench_stop(start).seconds / (double)times;
    }
    return LNG_OK;
}

/* rates [repetitions]: 1e9 multiplications and additions a second. */
static enum lng_status time_rows(const struct rig *rig, int64_t rows, double *rates, int count)
{
    double work = 2e-9 * (double)rows * (double)rig->in * (double)rig->out;
    struct rows_of of = {rig, rows};
    LNG_TRY(lng_bench_time_work(multiply, &of, rates, count));
    for (int i = 0; i < count; i++)
        rates[i] = work / rates[i];
    return LNG_OK;
}

static enum lng_status add_row(json_t *list, const struct rig *rig, int64_t rows, double *rates,
                               size_t count)
{
    json_t *row;
    LNG_TRY(lng_bench_add_object(list, &row));
    LNG_TRY(lng_json_set(row, "in", json_integer(rig->in)));
    LNG_TRY(lng_json_set(row, "out", json_integer(rig->out)));
    LNG_TRY(lng_json_set(row, "rows", json_integer(rows)));
    LNG_TRY(lng_json_set(row, "gop_per_second", lng_json_number(lng_bench_median(rates, count))));
    LNG_TRY(lng_json_set(row, "min", lng_json_number(rates[0])));
    return lng_json_set(row, "max", lng_json_number(rates[count - 1]));
}

/* All numbers of rows of one matrix, or the square product alone. */
static enum lng_status measure(struct lng_bench *bench, const struct lng_bench_product *product,
                               double *rates, json_t *list)
{
    struct rig rig;
    int count = bench->options->bench_repetitions;
    enum lng_status status = open_rig(&rig, bench, product, product->rows[product->count - 1]);
    for (size_t i = 0; i < product->count && status == LNG_OK; i++) {
        status = time_rows(&rig, product->rows[i], rates, count);
        if (status == LNG_OK)
            status = add_row(list, &rig, product->rows[i], rates, (size_t)count);
    }
    close_rig(&rig);
    return status;
}

enum lng_status lng_bench_gemm(struct lng_bench *bench, json_t *report)
{
    struct lng_bench_product products[LNG_BENCH_PRODUCTS];
    double *rates = lng_alloc((size_t)bench->options->bench_repetitions, sizeof *rates);
    json_t *list = json_array();
    enum lng_status status = rates != NULL ? LNG_OK : LNG_ERR_MEMORY;
    lng_bench_list_products(bench, products);
    if (lng_json_set(report, "products", list) != LNG_OK)
        status = LNG_ERR_MEMORY;
    for (int i = 0; i < LNG_BENCH_PRODUCTS && status == LNG_OK; i++)
        status = measure(bench, &products[i], rates, list);
    lng_free(rates);
    LNG_TRY(status);
    /* The square one is the last. */
    const json_t *square = json_array_get(list, json_array_size(list) - 1);
    bench->peak = json_real_value(json_object_get(square, "gop_per_second"));
    LNG_TRY(lng_bench_add_utilization(bench, bench->peak, report));
    return lng_bench_add_memory(bench, report, NULL);
}
