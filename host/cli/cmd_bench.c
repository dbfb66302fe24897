/* lingster bench: measures workloads, one report each. */
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/bench.h"
#include "host/cli/bench_plan.h"
#include "host/cli/cmd.h"
#include "host/cli/infer_setup.h"
#include "host/cli/train_setup.h"
#include "host/store/model_dir.h"

enum needs { NONE, INFERENCE, TRAINING, PROCESSES };
static const struct workload {
    const char *name;
    enum needs model;
    bool sentences;
    enum lng_status (*run)(struct lng_bench *bench, json_t *report);
    enum lng_status (*plan)(struct lng_bench *bench, json_t *plan);
} workloads[] = {
#define LNG_BENCH_WORKLOAD(id, model, sentences, summary) \
    {#id, model, sentences, lng_bench_##id, lng_bench_plan_##id},
#include "host/cli/bench_workloads.def"
};
static const char known_workloads[] =
#define LNG_BENCH_WORKLOAD(id, model, sentences, summary) ", " #id
#include "host/cli/bench_workloads.def"
    ;
enum { WORKLOADS = sizeof workloads / sizeof workloads[0] };

static enum lng_status find_workload(const char *name, const struct workload **found)
{
    for (int i = 0; i < WORKLOADS; i++)
        if (strcmp(workloads[i].name, name) == 0) {
            *found = &workloads[i];
            return LNG_OK;
        }
    return lng_fail(LNG_ERR_USAGE, "unknown workload '%.60s'; expected one of: %s", name,
                    known_workloads + 2);
}

/* ---- the model ---------------------------------------------------------------------------------- */

enum lng_status lng_bench_shape(const struct lng_options *options, int32_t vocabulary,
                                int32_t decoder_layers, struct lng_hparams *hparams)
{
    struct lng_hparams h = lng_setup_shape(options);
    h.source_vocab = h.target_vocab = vocabulary;
    h.decoder_layers = decoder_layers;
    h.pad = vocabulary - 1;
    LNG_TRY(lng_hparams_check(&h));
    *hparams = h;
    return LNG_OK;
}

enum lng_status lng_bench_random_model(const struct lng_options *options, struct lng_device *device,
                                       enum lng_dtype dtype, bool training, int32_t vocabulary,
                                       int32_t decoder_layers, struct lng_model *model)
{
    struct lng_hparams h;
    LNG_TRY(lng_bench_shape(options, vocabulary, decoder_layers, &h));
    LNG_TRY(lng_model_init(model, device, &h, dtype, training));
    enum lng_status status = lng_model_randomize(model, (uint64_t)options->seed, false);
    if (status != LNG_OK)
        lng_model_release(model);
    return status;
}

/* A shape beside a model that has one would be ignored. */
static enum lng_status check_shape_options(const struct lng_options *options)
{
    static const struct {
        enum lng_option_id id;
        const char *name;
    } shape[] = {
        {LNG_OPTION_bench_vocab_size, "vocab-size"},
        {LNG_OPTION_enc_depth, "enc-depth"},
        {LNG_OPTION_dec_depth, "dec-depth"},
        {LNG_OPTION_dim, "dim"},
        {LNG_OPTION_heads, "heads"},
        {LNG_OPTION_ffn_dim, "ffn-dim"},
        {LNG_OPTION_dec_ffn_dim, "dec-ffn-dim"},
        {LNG_OPTION_activation, "activation"},
        {LNG_OPTION_norm_position, "norm-position"},
        {LNG_OPTION_norm, "norm"},
        {LNG_OPTION_tied, "tied"},
    };
    for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++)
        LNG_FAIL_IF(options->bench_model != NULL &&
                        options->origin[shape[i].id].source > LNG_SOURCE_DERIVED,
                    LNG_ERR_USAGE,
                    "%s (from %s) is for random models; --model has a shape of its own",
                    shape[i].name, options->origin[shape[i].id].where);
    return LNG_OK;
}

enum lng_status lng_bench_open_model(struct lng_bench *bench, bool training)
{
    const struct lng_options *o = bench->options;
    if (o->bench_model == NULL)
        return lng_bench_random_model(o, bench->device, bench->dtype, training, o->bench_vocab_size,
                                      o->dec_depth, &bench->model);
    struct lng_model_data data = {0};
    enum lng_status status =
        lng_model_load(o->bench_model, bench->device, bench->dtype, training, &bench->model, &data);
    lng_model_data_release(&data);
    return status;
}

void lng_bench_close_model(struct lng_bench *bench)
{
    if (bench->model.device != NULL)
        lng_model_release(&bench->model);
}

/* Of the model that would be opened, the shape. */
static enum lng_status describe_model(struct lng_bench *bench, bool training)
{
    const struct lng_options *o = bench->options;
    struct lng_model_data data = {0};
    struct lng_hparams h;
    enum lng_status status = LNG_OK;
    if (o->bench_model == NULL) {
        status = lng_bench_shape(o, o->bench_vocab_size, o->dec_depth, &h);
    } else {
        status = lng_model_data_open_lazily(o->bench_model, &data);
        if (status == LNG_OK)
            h = data.hparams;
    }
    if (status == LNG_OK)
        status = lng_model_describe(&bench->model, bench->device, &h, bench->dtype, training);
    lng_model_data_release(&data);
    return status;
}

/* ---- the device --------------------------------------------------------------------------------- */

/* cuda, cuda:0, cuda:1, ... */
static bool is_gpu_name(const char *name)
{
    const char *number = name + 5;
    return strcmp(name, "cuda") == 0 || (strncmp(name, "cuda:", 5) == 0 && *number != '\0' &&
                                         strspn(number, "0123456789") == strlen(number));
}

enum lng_status lng_bench_open_device(struct lng_bench *bench)
{
    const struct lng_options *o = bench->options;
    struct lng_device_options device_options = {.threads = o->threads};
    if (bench->device != NULL)
        return LNG_OK;
    enum lng_status status = lng_device_open(o->device, &device_options, &bench->device);
    if (status == LNG_ERR_UNSUPPORTED && o->bench_dry_run && is_gpu_name(o->device)) {
        lng_warn("%s; planned as for the cpu", lng_error_message());
        status = lng_device_open("cpu", &device_options, &bench->device);
    }
    LNG_TRY(status);
    lng_setup_remark(bench->device);
    bench->held_bytes = lng_bench_held(bench);
    return lng_device_supports(bench->device, bench->dtype);
}

void lng_bench_close_device(struct lng_bench *bench)
{
    lng_device_close(bench->device);
    bench->device = NULL;
}

/* ---- one workload ------------------------------------------------------------------------------- */

enum lng_status lng_bench_write(const char *path, const struct lng_buffer *text)
{
    struct lng_infer_output output;
    LNG_TRY(lng_infer_output_open(&output, path, NULL, 0));
    enum lng_status status =
        lng_infer_output_write(&output, text->data ? text->data : "", text->length);
    enum lng_status closed = lng_infer_output_close(&output);
    return status != LNG_OK ? status : closed;
}

static enum lng_status print(const json_t *report, bool json)
{
    struct lng_buffer text = {0};
    enum lng_status status =
        json ? lng_json_print_compact(report, &text) : lng_bench_text(report, &text);
    if (status == LNG_OK)
        status = lng_buffer_append_byte(&text, '\n');
    if (status == LNG_OK)
        status = lng_bench_write(NULL, &text);
    lng_buffer_release(&text);
    return status;
}

static enum lng_status check_workload(const struct lng_bench *bench,
                                      const struct workload *workload)
{
    const char *model = bench->options->bench_model;
    LNG_FAIL_IF(workload->model == TRAINING && bench->dtype == LNG_DTYPE_I8, LNG_ERR_USAGE,
                "%s: expected --dtype f32 or bf16, int8 is not trained in", workload->name);
    LNG_FAIL_IF(workload->model == NONE && model != NULL, LNG_ERR_USAGE,
                "%s works on shapes, not on a model; leave --model out", workload->name);
    LNG_FAIL_IF(workload->model == PROCESSES && model == NULL, LNG_ERR_USAGE,
                "%s translates with a model as users do; expected --model DIR", workload->name);
    return LNG_OK;
}

static enum lng_status add_head(struct lng_bench *bench, const struct workload *workload,
                                json_t *report)
{
    LNG_TRY(lng_bench_add_head(bench, workload->name, report));
    lng_info("%s: on %s (%s) with %d threads, in %s", workload->name,
             lng_device_name(bench->device), lng_device_instructions(bench->device),
             lng_device_threads(bench->device), lng_dtype_name(bench->dtype));
    return LNG_OK;
}

static enum lng_status measure(struct lng_bench *bench, const struct workload *workload,
                               json_t *report)
{
    if (workload->model == PROCESSES) { /* they are to find the device as if nobody used it */
        lng_bench_close_device(bench);
        LNG_TRY(workload->run(bench, report));
        LNG_TRY(lng_bench_open_device(bench));
        LNG_TRY(add_head(bench, workload, report));
        return lng_bench_add_memory(bench, report, NULL);
    }
    LNG_TRY(lng_bench_open_device(bench));
    bench->held_bytes = lng_bench_held(bench);
    if (workload->model != NONE)
        LNG_TRY(lng_bench_open_model(bench, workload->model == TRAINING));
    if (workload->sentences)
        LNG_TRY(lng_bench_sentences_open(bench->options, &bench->model.hparams, &bench->sentences));
    LNG_TRY(add_head(bench, workload, report));
    return workload->run(bench, report);
}

static enum lng_status make_plan(struct lng_bench *bench, const struct workload *workload,
                                 json_t *report)
{
    json_t *plan;
    LNG_TRY(lng_bench_open_device(bench));
    if (workload->model != NONE)
        LNG_TRY(describe_model(bench, workload->model == TRAINING));
    if (workload->sentences)
        LNG_TRY(lng_bench_sentences_open(bench->options, &bench->model.hparams, &bench->sentences));
    LNG_TRY(add_head(bench, workload, report));
    LNG_TRY(lng_json_set(report, "dry_run", json_true()));
    LNG_TRY(lng_bench_section(report, "plan", &plan));
    LNG_TRY(lng_json_set(plan, "device", json_string(bench->options->device)));
    LNG_TRY(workload->plan(bench, plan));
    if (workload->model == NONE)
        return LNG_OK;
    return lng_json_set(plan, "parameter_bytes",
                        json_integer(bench->model.params.total * (json_int_t)sizeof(float)));
}

static enum lng_status run_workload(struct lng_bench *bench, const struct workload *workload)
{
    json_t *report = json_object();
    LNG_FAIL_IF(report == NULL, LNG_ERR_MEMORY, "out of memory for the report");
    enum lng_status status = check_workload(bench, workload);
    if (status == LNG_OK)
        status = bench->options->bench_dry_run ? make_plan(bench, workload, report)
                                               : measure(bench, workload, report);
    if (status == LNG_OK)
        status = print(report, bench->options->json);
    json_decref(report);
    lng_bench_sentences_release(&bench->sentences);
    lng_bench_close_model(bench);
    return status;
}

enum lng_status lng_cmd_bench(const struct lng_options *options)
{
    struct lng_bench bench = {.options = options, .dtype = lng_infer_compute_type(options->dtype)};
    const struct workload *workload = NULL;
    for (size_t i = 0; i < options->arguments.count; i++)
        LNG_TRY(find_workload(options->arguments.items[i], &workload));
    LNG_TRY(check_shape_options(options));
    bench.program_bytes = lng_mem_resident();
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < options->arguments.count && status == LNG_OK; i++) {
        status = find_workload(options->arguments.items[i], &workload);
        if (status == LNG_OK)
            status = run_workload(&bench, workload);
    }
    lng_bench_close_device(&bench);
    return status;
}
