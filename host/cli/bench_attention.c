/* Workload attention: self-attention of packed sentences as a layer of the shape asked for makes it, by length.
 *
 * Multiplications and additions: forward 4 S^2 D a sentence (two products), half where causal; backward 2.5 times that
 * (five products; Dao 2023, section 4.1). */
#include "host/base/mem.h"
#include "host/cli/bench.h"
#include "host/cli/bench_plan.h"
#include "kernels/ops.h"

struct rig {
    struct lng_device *device;
    void *qkv, *o, *d_o, *d_qkv, *lse;
    int32_t *offsets;
    uint32_t *ids;
    enum lng_dtype activation;
    int64_t sentences, rows, dim, heads;
    bool causal;
};

static void close_rig(struct rig *rig)
{
    void *const owned[] = {rig->qkv, rig->o,   rig->d_o,    rig->d_qkv,
                           rig->lse, rig->ids, rig->offsets};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        lng_device_free(rig->device, owned[i]);
}

static enum lng_status write_offsets(struct rig *rig, int64_t length)
{
    int32_t *offsets = lng_alloc((size_t)rig->sentences + 1, sizeof *offsets);
    if (offsets == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t i = 0; i <= rig->sentences; i++)
        offsets[i] = (int32_t)(i * length);
    enum lng_status status = lng_device_write(rig->device, rig->offsets, offsets,
                                              (size_t)(rig->sentences + 1) * sizeof *offsets);
    lng_free(offsets);
    return status;
}

static enum lng_status open_rig(struct rig *rig, const struct lng_bench *bench, int64_t length)
{
    struct lng_device *device = bench->device;
    const struct lng_options *o = bench->options;
    const int64_t sentences = lng_bench_attention_sentences(o, length), rows = sentences * length;
    *rig = (struct rig){.device = device,
                        .activation = lng_device_activation(device, bench->dtype),
                        .sentences = sentences,
                        .rows = rows,
                        .dim = o->dim,
                        .heads = o->heads};
    const int64_t count = rows * rig->dim;
    const struct {
        void **memory;
        int64_t count;
    } activations[] = {
        {&rig->qkv, 3 * count}, {&rig->o, count}, {&rig->d_o, count}, {&rig->d_qkv, 3 * count}};
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        LNG_TRY(lng_device_alloc(device,
                                 (size_t)activations[i].count * lng_dtype_size(rig->activation),
                                 activations[i].memory));
    void *offsets, *ids;
    LNG_TRY(lng_device_alloc(
        device, (size_t)(rows * rig->heads) * lng_dtype_size(lng_device_real(device)), &rig->lse));
    LNG_TRY(lng_device_alloc(device, (size_t)(sentences + 1) * sizeof(int32_t), &offsets));
    rig->offsets = offsets;
    LNG_TRY(lng_device_alloc(device, (size_t)sentences * sizeof(uint32_t), &ids));
    rig->ids = ids;
    LNG_TRY(write_offsets(rig, length));
    LNG_TRY(lng_bench_fill(device, rig->qkv, 3 * count, rig->activation));
    return lng_bench_fill(device, rig->d_o, count, rig->activation);
}

/* Columns of a fused [rows, 3 dim]. */
static struct lng_view part(const struct rig *rig, void *fused, int which)
{
    return lng_view_cols(lng_view_make(fused, rig->activation, rig->rows, 3 * rig->dim),
                         which * rig->dim, rig->dim);
}

static double scale_of(const struct rig *rig)
{
    return 1 / __builtin_sqrt((double)rig->dim / (double)rig->heads);
}

static enum lng_status forward(void *context, int64_t times)
{
    const struct rig *rig = context;
    const struct lng_attention_fwd_args args = {
        .q = part(rig, rig->qkv, 0),
        .k = part(rig, rig->qkv, 1),
        .v = part(rig, rig->qkv, 2),
        .o = lng_view_make(rig->o, rig->activation, rig->rows, rig->dim),
        .q_offsets = rig->offsets,
        .k_offsets = rig->offsets,
        .sentence_ids = rig->ids,
        .lse = rig->lse,
        .sentences = rig->sentences,
        .heads = rig->heads,
        .causal = rig->causal,
        .scale = scale_of(rig),
        .score = LNG_ATTENTION_DOT,
    };
    for (int64_t i = 0; i < times; i++)
        LNG_TRY(lng_attention_fwd(rig->device, &args));
    return lng_device_sync(rig->device);
}

static enum lng_status backward(void *context, int64_t times)
{
    const struct rig *rig = context;
    const struct lng_attention_bwd_args args = {
        .q = part(rig, rig->qkv, 0),
        .k = part(rig, rig->qkv, 1),
        .v = part(rig, rig->qkv, 2),
        .o = lng_view_make(rig->o, rig->activation, rig->rows, rig->dim),
        .d_o = lng_view_make(rig->d_o, rig->activation, rig->rows, rig->dim),
        .d_q = part(rig, rig->d_qkv, 0),
        .d_k = part(rig, rig->d_qkv, 1),
        .d_v = part(rig, rig->d_qkv, 2),
        .q_offsets = rig->offsets,
        .k_offsets = rig->offsets,
        .sentence_ids = rig->ids,
        .lse = rig->lse,
        .sentences = rig->sentences,
        .heads = rig->heads,
        .causal = rig->causal,
        .scale = scale_of(rig),
        .score = LNG_ATTENTION_DOT,
    };
    for (int64_t i = 0; i < times; i++)
        LNG_TRY(lng_attention_bwd(rig->device, &args));
    return lng_device_sync(rig->device);
}

static enum lng_status time_one(struct rig *rig, lng_bench_work work, double gflop,
                                const char *name, double *seconds, int count, json_t *row)
{
    char key[64];
    LNG_TRY(lng_bench_time_work(work, rig, seconds, count));
    double median = lng_bench_median(seconds, (size_t)count);
    snprintf(key, sizeof key, "%s_seconds", name);
    LNG_TRY(lng_json_set(row, key, lng_json_number(median)));
    snprintf(key, sizeof key, "%s_tflop_per_second", name);
    return lng_json_set(row, key, lng_json_number(1e-3 * gflop / median));
}

static enum lng_status measure(struct rig *rig, int64_t length, double *seconds, int count,
                               json_t *list)
{
    for (int causal = 0; causal < 2; causal++) {
        json_t *row;
        double gflop = 4e-9 * (double)rig->sentences * (double)length * (double)length *
                       (double)rig->dim / (causal ? 2 : 1);
        rig->causal = causal;
        LNG_TRY(lng_bench_add_object(list, &row));
        LNG_TRY(lng_json_set(row, "length", json_integer(length)));
        LNG_TRY(lng_json_set(row, "sentences", json_integer(rig->sentences)));
        LNG_TRY(lng_json_set(row, "causal", json_boolean(causal)));
        LNG_TRY(time_one(rig, forward, gflop, "forward", seconds, count, row));
        LNG_TRY(time_one(rig, backward, 2.5 * gflop, "backward", seconds, count, row));
    }
    return LNG_OK;
}

enum lng_status lng_bench_attention(struct lng_bench *bench, json_t *report)
{
    const int count = bench->options->bench_repetitions;
    LNG_TRY(lng_bench_check_attention(bench));
    json_t *list = json_array();
    LNG_TRY(lng_json_set(report, "lengths", list));
    double *seconds = lng_alloc((size_t)count, sizeof *seconds);
    enum lng_status status = seconds != NULL ? LNG_OK : LNG_ERR_MEMORY;
    for (int64_t length = LNG_BENCH_SHORTEST;
         length <= bench->options->bench_longest && status == LNG_OK; length *= 2) {
        struct rig rig;
        status = open_rig(&rig, bench, length);
        if (status == LNG_OK)
            status = measure(&rig, length, seconds, count, list);
        close_rig(&rig);
    }
    lng_free(seconds);
    return status == LNG_OK ? lng_bench_add_memory(bench, report, NULL) : status;
}
