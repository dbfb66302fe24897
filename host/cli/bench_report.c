/* What measurements have in common: clocks, statistics, the parts of the report. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host/base/clock.h"
#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/cli/bench.h"

/* ---- times -------------------------------------------------------------------------------------- */

struct lng_bench_clock lng_bench_start(void)
{
    return (struct lng_bench_clock){lng_clock(), lng_clock_cpu()};
}

struct lng_bench_clock lng_bench_stop(struct lng_bench_clock start)
{
    return (struct lng_bench_clock){lng_clock() - start.seconds,
                                    lng_clock_cpu() - start.cpu_seconds};
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double lng_bench_percentile(double *values, size_t count, double p)
{
    qsort(values, count, sizeof *values, compare_doubles);
    double rank = ceil(p * (double)count);
    size_t at = rank < 1 ? 0 : (size_t)rank - 1;
    return values[at < count ? at : count - 1];
}

double lng_bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* ---- parts -------------------------------------------------------------------------------------- */

enum lng_status lng_bench_section(json_t *report, const char *key, json_t **section)
{
    json_t *there = json_object_get(report, key);
    if (there == NULL) {
        there = json_object();
        LNG_TRY(lng_json_set(report, key, there));
    }
    *section = there;
    return LNG_OK;
}

enum lng_status lng_bench_add_spread(json_t *object, const char *key, double *values, size_t count)
{
    json_t *spread;
    LNG_TRY(lng_bench_section(object, key, &spread));
    LNG_TRY(lng_json_set(spread, "median", lng_json_number(lng_bench_median(values, count))));
    LNG_TRY(lng_json_set(spread, "min", lng_json_number(values[0])));
    return lng_json_set(spread, "max", lng_json_number(values[count - 1]));
}

/* Of f(run) for all runs: 0 seconds, 1 processor seconds, else amount a second. */
static enum lng_status add_spread_of(json_t *object, const char *key,
                                     const struct lng_bench_clock *runs, size_t count, int what,
                                     double amount)
{
    double *values = lng_alloc(count, sizeof *values);
    if (values == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        values[i] = what == 0   ? runs[i].seconds
                    : what == 1 ? runs[i].cpu_seconds
                                : amount / runs[i].seconds;
    enum lng_status status = lng_bench_add_spread(object, key, values, count);
    lng_free(values);
    return status;
}

enum lng_status lng_bench_add_runs(json_t *report, const struct lng_bench_clock *runs, size_t count)
{
    json_t *list = json_array();
    LNG_TRY(add_spread_of(report, "seconds", runs, count, 0, 0));
    LNG_TRY(add_spread_of(report, "cpu_seconds", runs, count, 1, 0));
    LNG_TRY(lng_json_set(report, "runs", list));
    for (size_t i = 0; i < count; i++) {
        json_t *one = json_object();
        LNG_FAIL_IF(one == NULL || json_array_append_new(list, one) != 0, LNG_ERR_MEMORY,
                    "out of memory for the report");
        LNG_TRY(lng_json_set(one, "seconds", lng_json_number(runs[i].seconds)));
        LNG_TRY(lng_json_set(one, "cpu_seconds", lng_json_number(runs[i].cpu_seconds)));
    }
    return LNG_OK;
}

enum lng_status lng_bench_add_rate(json_t *report, const char *name, double amount,
                                   const struct lng_bench_clock *runs, size_t count)
{
    json_t *rates;
    LNG_TRY(lng_bench_section(report, "rates", &rates));
    return add_spread_of(rates, name, runs, count, 2, amount);
}

/* ---- head --------------------------------------------------------------------------------------- */

/* As /proc/cpuinfo calls it; "unknown" elsewhere. */
static enum lng_status find_cpu(char *name, size_t size)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got = true;
    snprintf(name, size, "unknown");
    if (lng_lines_open("/proc/cpuinfo", &lines) != LNG_OK)
        return LNG_OK;
    while (lng_lines_next(lines, &line, &got) == LNG_OK && got) {
        const char *colon = memchr(line.data, ':', line.length);
        if (strncmp(line.data, "model name", 10) != 0 || colon == NULL)
            continue;
        struct lng_slice rest = {colon + 1, line.length - (size_t)(colon + 1 - line.data)};
        rest = lng_text_trim(rest);
        if (lng_utf8_valid(rest.data, rest.length))
            snprintf(name, size, "%.*s", (int)rest.length, rest.data);
        break;
    }
    lng_lines_close(lines);
    return LNG_OK;
}

static enum lng_status add_gpu(const struct lng_bench *bench, json_t *machine)
{
    struct lng_hardware gpu;
    json_t *object;
    if (!lng_device_hardware(bench->device, &gpu))
        return lng_json_set(machine, "gpu", json_null());
    const struct {
        const char *key;
        int64_t value;
    } rows[] = {
        {"memory_bytes", (int64_t)gpu.memory_bytes},
        {"multiprocessors", gpu.multiprocessors},
        {"compute_capability", gpu.compute_capability},
        {"driver", gpu.driver},
        {"runtime", gpu.runtime},
    };
    LNG_TRY(lng_bench_section(machine, "gpu", &object));
    LNG_TRY(lng_json_set(object, "name", json_string(gpu.name)));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        LNG_TRY(lng_json_set(object, rows[i].key, json_integer(rows[i].value)));
    return LNG_OK;
}

static enum lng_status add_machine(const struct lng_bench *bench, json_t *report)
{
    json_t *machine;
    char cpu[128];
    LNG_TRY(find_cpu(cpu, sizeof cpu));
    LNG_TRY(lng_bench_section(report, "machine", &machine));
    LNG_TRY(lng_json_set(machine, "cpu", json_string(cpu)));
    LNG_TRY(lng_json_set(machine, "cores", json_integer(sysconf(_SC_NPROCESSORS_ONLN))));
    LNG_TRY(lng_json_set(machine, "device", json_string(lng_device_name(bench->device))));
    LNG_TRY(
        lng_json_set(machine, "instructions", json_string(lng_device_instructions(bench->device))));
    LNG_TRY(lng_json_set(machine, "threads", json_integer(lng_device_threads(bench->device))));
    return add_gpu(bench, machine);
}

static json_t *bytes_of(size_t bytes)
{
    return json_integer((json_int_t)bytes);
}

size_t lng_bench_held(const struct lng_bench *bench)
{
    struct lng_hardware gpu;
    return lng_device_hardware(bench->device, &gpu) ? gpu.used_bytes
                                                    : lng_mem_get_stats().bytes_live;
}

enum lng_status lng_bench_add_memory(const struct lng_bench *bench, json_t *report,
                                     const struct lng_search_stats *stats)
{
    struct rusage usage;
    json_t *memory;
    LNG_TRY(lng_bench_section(report, "memory", &memory));
    (void)getrusage(RUSAGE_SELF, &usage);
    LNG_TRY(lng_json_set(memory, "peak_rss_bytes", bytes_of((size_t)usage.ru_maxrss * 1024)));
    LNG_TRY(lng_json_set(memory, "heap_peak_bytes", bytes_of(lng_mem_get_stats().bytes_peak)));
    LNG_TRY(lng_json_set(memory, "program_bytes", bytes_of(bench->program_bytes)));
    LNG_TRY(lng_json_set(memory, "plan_bytes",
                         stats != NULL ? bytes_of(stats->device_bytes) : json_null()));
    LNG_TRY(lng_json_set(memory, "cache_bytes",
                         stats != NULL ? bytes_of(stats->cache_bytes) : json_null()));
    struct lng_hardware gpu;
    const bool is_gpu = lng_device_hardware(bench->device, &gpu);
    LNG_TRY(
        lng_json_set(memory, "gpu_used_bytes", is_gpu ? bytes_of(gpu.used_bytes) : json_null()));
    const size_t more =
        is_gpu && gpu.used_bytes > bench->held_bytes ? gpu.used_bytes - bench->held_bytes : 0;
    LNG_TRY(lng_json_set(memory, "gpu_held_bytes", is_gpu ? bytes_of(more) : json_null()));
    const bool shared = strcmp(lng_device_name(bench->device), "cpu") == 0;
    return lng_json_set(
        memory, "predicted_bytes",
        stats != NULL && shared
            ? bytes_of(bench->program_bytes + lng_model_bytes(&bench->model) + stats->device_bytes)
            : json_null());
}

static enum lng_status add_model(const struct lng_bench *bench, json_t *report)
{
    const struct lng_hparams *h = &bench->model.hparams;
    const char *path = bench->options->bench_model;
    json_t *model, *name = path != NULL ? json_string(path) : json_null();
    LNG_TRY(lng_bench_section(report, "model", &model));
    LNG_TRY(lng_json_set(model, "path", name != NULL ? name : json_string("(not UTF-8)")));
    const struct {
        const char *key;
        int64_t value;
    } rows[] = {
        {"source_vocab", h->source_vocab},
        {"target_vocab", h->target_vocab},
        {"dim", h->dim},
        {"encoder_layers", h->encoder_layers},
        {"decoder_layers", h->decoder_layers},
        {"heads", h->decoder_heads},
        {"encoder_ffn", h->encoder_ffn},
        {"decoder_ffn", h->decoder_ffn},
        {"parameters", bench->model.params.total},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        LNG_TRY(lng_json_set(model, rows[i].key, json_integer(rows[i].value)));
    return lng_json_set(model, "bytes",
                        bench->model.tensors != NULL ? bytes_of(lng_model_bytes(&bench->model))
                                                     : json_null());
}

enum lng_status lng_bench_add_head(const struct lng_bench *bench, const char *workload,
                                   json_t *report)
{
    const struct lng_options *o = bench->options;
    json_t *config;
    LNG_TRY(lng_json_set(report, "schema", json_integer(LNG_BENCH_SCHEMA)));
    LNG_TRY(lng_json_set(report, "workload", json_string(workload)));
    LNG_TRY(lng_json_set(report, "lingster", json_string(LNG_VERSION)));
    LNG_TRY(add_machine(bench, report));
    if (bench->model.device != NULL)
        LNG_TRY(add_model(bench, report));
    LNG_TRY(lng_bench_section(report, "config", &config));
    LNG_TRY(lng_json_set(config, "dtype", json_string(lng_dtype_name(bench->dtype))));
    LNG_TRY(lng_json_set(config, "seed", json_integer(o->seed)));
    LNG_TRY(lng_json_set(config, "repetitions", json_integer(o->bench_repetitions)));
    return lng_json_set(config, "warmup", json_integer(o->bench_warmup));
}
