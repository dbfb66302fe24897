/* Where time goes, and what of a device's speed that is. */
#include <string.h>

#include "host/cli/bench.h"

enum lng_status lng_bench_add_object(json_t *list, json_t **object)
{
    json_t *made = json_object();
    LNG_FAIL_IF(made == NULL || json_array_append_new(list, made) != 0, LNG_ERR_MEMORY,
                "out of memory for the report");
    *object = made;
    return LNG_OK;
}

static enum lng_status add_part(json_t *parts, const char *name, double seconds, double all,
                                int64_t calls)
{
    json_t *part;
    LNG_TRY(lng_bench_add_object(parts, &part));
    LNG_TRY(lng_json_set(part, "phase", json_string(name)));
    LNG_TRY(lng_json_set(part, "seconds", lng_json_number(seconds)));
    LNG_TRY(lng_json_set(part, "share", lng_json_number(seconds / all)));
    return lng_json_set(part, "calls", json_integer(calls));
}

enum lng_status lng_bench_add_phases(const struct lng_phase_times *times, double seconds,
                                     json_t *report)
{
    json_t *phases, *parts;
    double rest = seconds;
    LNG_TRY(lng_bench_section(report, "phases", &phases));
    LNG_TRY(lng_json_set(phases, "seconds", lng_json_number(seconds)));
    parts = json_array();
    LNG_TRY(lng_json_set(phases, "parts", parts));
    for (int i = 0; i < LNG_PHASE_COUNT; i++) {
        rest -= times->seconds[i];
        LNG_TRY(add_part(parts, lng_phase_name((enum lng_phase)i), times->seconds[i], seconds,
                         times->calls[i]));
    }
    /* Events are read to half a microsecond. */
    return add_part(parts, "gaps", rest > 0 ? rest : 0, seconds, 0);
}

/* ---- peaks -------------------------------------------------------------------------------------- */

double lng_bench_nominal_peak(const char *name, enum lng_dtype dtype)
{
    static const struct {
        const char *name;
        double bf16, f32, int8;
    } peaks[] = {
#define LNG_BENCH_PEAK(name, bf16, f32, int8, bytes) {name, bf16, f32, int8},
#include "host/cli/bench_workloads.def"
    };
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++)
        if (strstr(name, peaks[i].name) != NULL)
            return dtype == LNG_DTYPE_BF16  ? peaks[i].bf16
                   : dtype == LNG_DTYPE_F32 ? peaks[i].f32
                   : dtype == LNG_DTYPE_I8  ? peaks[i].int8
                                            : 0;
    return 0;
}

static enum lng_status add_share(json_t *object, const char *peak_key, const char *share_key,
                                 double rate, double peak)
{
    LNG_TRY(lng_json_set(object, peak_key, peak > 0 ? lng_json_number(peak) : json_null()));
    return lng_json_set(object, share_key, peak > 0 ? lng_json_number(rate / peak) : json_null());
}

enum lng_status lng_bench_add_utilization(const struct lng_bench *bench, double rate,
                                          json_t *report)
{
    struct lng_hardware gpu;
    json_t *object;
    double nominal = lng_device_hardware(bench->device, &gpu)
                         ? lng_bench_nominal_peak(gpu.name, bench->dtype)
                         : 0;
    LNG_TRY(lng_bench_section(report, "utilization", &object));
    LNG_TRY(lng_json_set(object, "gflop_per_second", lng_json_number(rate)));
    LNG_TRY(add_share(object, "measured_peak", "of_measured", rate, bench->peak));
    return add_share(object, "nominal_peak", "of_nominal", rate, nominal);
}
