/* What workloads would do. What follows from more than the options is asked of the code that does it. */
#include "host/cli/bench_plan.h"

#include <string.h>

#include "host/infer/decode_measure.h"

/* ---- lists -------------------------------------------------------------------------------------- */

static bool on_gpu(const struct lng_bench *bench)
{
    return strncmp(bench->options->device, "cuda", 4) == 0 ||
           strncmp(lng_device_name(bench->device), "cuda", 4) == 0;
}

void lng_bench_list_products(const struct lng_bench *bench, struct lng_bench_product *products)
{
    /* The larger ones, which training and encoding make, are worth measuring where they take no time. */
    static const int64_t rows[] = {1, 4, 8, 32, 64, 128, 256, 1024, 4096, 16384};
    enum { ALL = sizeof rows / sizeof rows[0], OF_CPU = ALL - 2 };
    const struct lng_options *o = bench->options;
    const size_t count = on_gpu(bench) ? ALL : OF_CPU;
    const int64_t shapes[LNG_BENCH_PRODUCTS - 1][2] = {{o->dim, o->dim},
                                                       {o->dim, o->ffn_dim},
                                                       {o->ffn_dim, o->dim},
                                                       {o->dim, o->bench_vocab_size}};
    for (int i = 0; i < LNG_BENCH_PRODUCTS - 1; i++)
        products[i] = (struct lng_bench_product){
            .in = shapes[i][0], .out = shapes[i][1], .rows = rows, .count = count};
    struct lng_bench_product *last = &products[LNG_BENCH_PRODUCTS - 1];
    const int64_t automatic = on_gpu(bench) ? 8192 : 1024;
    *last = (struct lng_bench_product){.square = o->bench_square > 0 ? o->bench_square : automatic,
                                       .count = 1};
    last->in = last->out = last->square;
    last->rows = &last->square;
}

int64_t lng_bench_attention_sentences(const struct lng_options *options, int64_t length)
{
    return options->bench_batch_tokens > length ? options->bench_batch_tokens / length : 1;
}

enum lng_status lng_bench_check_attention(const struct lng_bench *bench)
{
    const struct lng_options *o = bench->options;
    LNG_FAIL_IF(bench->dtype == LNG_DTYPE_I8, LNG_ERR_USAGE,
                "attention: expected --dtype f32 or bf16, int8 models compute it in f32");
    LNG_FAIL_IF(o->dim % o->heads != 0, LNG_ERR_USAGE,
                "attention: expected --dim to be a multiple of --heads, found %d and %d", o->dim,
                o->heads);
    return LNG_OK;
}

/* ---- plans -------------------------------------------------------------------------------------- */

static enum lng_status set(json_t *plan, const char *key, int64_t value)
{
    return lng_json_set(plan, key, json_integer(value));
}

static enum lng_status add_passes(const struct lng_bench *bench, json_t *plan)
{
    return set(plan, "passes",
               bench->options->bench_warmup + (int64_t)bench->options->bench_repetitions);
}

static enum lng_status plan_search(struct lng_bench *bench, int64_t batch, json_t *plan)
{
    const struct lng_bench_sentences *s = &bench->sentences;
    const struct lng_bench_search how = {
        .beam = bench->options->beam_size, .batch = batch, .workers = 1};
    const struct lng_search_options options = lng_bench_search_options(s, &how);
    struct lng_search_stats stats;
    LNG_TRY(set(plan, "sentences", (int64_t)s->count));
    LNG_TRY(set(plan, "source_tokens", (int64_t)s->ids.count));
    /* 0: until the model ends. */
    LNG_TRY(set(plan, "target_tokens", s->target_tokens));
    LNG_TRY(set(plan, "beam_size", how.beam));
    LNG_TRY(add_passes(bench, plan));
    LNG_TRY(lng_search_measure(&bench->model, &options, s->longest, s->most, (int64_t)s->count,
                               &stats));
    LNG_TRY(set(plan, "sentences_at_once", stats.sentences_at_once));
    LNG_TRY(set(plan, "cache_bytes", (int64_t)stats.cache_bytes));
    return set(plan, "plan_bytes", (int64_t)stats.device_bytes);
}

enum lng_status lng_bench_plan_decode(struct lng_bench *bench, json_t *plan)
{
    return plan_search(bench, bench->options->bench_batch, plan);
}

enum lng_status lng_bench_plan_latency(struct lng_bench *bench, json_t *plan)
{
    return plan_search(bench, 1, plan);
}

enum lng_status lng_bench_plan_gemm(struct lng_bench *bench, json_t *plan)
{
    struct lng_bench_product products[LNG_BENCH_PRODUCTS];
    json_t *list = json_array(), *row;
    lng_bench_list_products(bench, products);
    LNG_TRY(lng_json_set(plan, "products", list));
    for (int i = 0; i < LNG_BENCH_PRODUCTS; i++)
        for (size_t k = 0; k < products[i].count; k++) {
            LNG_TRY(lng_bench_add_object(list, &row));
            LNG_TRY(set(row, "in", products[i].in));
            LNG_TRY(set(row, "out", products[i].out));
            LNG_TRY(set(row, "rows", products[i].rows[k]));
        }
    return LNG_OK;
}

enum lng_status lng_bench_plan_attention(struct lng_bench *bench, json_t *plan)
{
    const struct lng_options *o = bench->options;
    LNG_TRY(lng_bench_check_attention(bench));
    json_t *list = json_array(), *row;
    LNG_TRY(lng_json_set(plan, "lengths", list));
    LNG_TRY(set(plan, "heads", o->heads));
    LNG_TRY(set(plan, "head_width", o->dim / o->heads));
    for (int64_t length = LNG_BENCH_SHORTEST; length <= o->bench_longest; length *= 2) {
        LNG_TRY(lng_bench_add_object(list, &row));
        LNG_TRY(set(row, "length", length));
        LNG_TRY(set(row, "sentences", lng_bench_attention_sentences(o, length)));
    }
    return LNG_OK;
}

enum lng_status lng_bench_plan_startup(struct lng_bench *bench, json_t *plan)
{
    struct lng_bench_command commands[LNG_BENCH_COMMANDS];
    json_t *list = json_array();
    lng_bench_list_commands(bench, commands);
    LNG_TRY(lng_json_set(plan, "commands", list));
    for (int i = 0; i < LNG_BENCH_COMMANDS; i++) {
        struct lng_buffer line = {0};
        enum lng_status status = LNG_OK;
        for (const char *const *word = commands[i].words; *word != NULL && status == LNG_OK; word++)
            status =
                lng_buffer_append_format(&line, word == commands[i].words ? "%s" : " %s", *word);
        json_t *text = status == LNG_OK ? json_string(line.data) : NULL;
        lng_buffer_release(&line);
        LNG_TRY(status);
        LNG_FAIL_IF(json_array_append_new(list, text != NULL ? text : json_string("(not UTF-8)")) !=
                        0,
                    LNG_ERR_MEMORY, "out of memory for the report");
    }
    return add_passes(bench, plan);
}

enum lng_status lng_bench_plan_memory(struct lng_bench *bench, json_t *plan)
{
    json_t *translate, *train;
    LNG_TRY(lng_bench_section(plan, "translate", &translate));
    LNG_TRY(plan_search(bench, bench->options->bench_batch, translate));
    if (bench->dtype == LNG_DTYPE_I8)
        return LNG_OK;
    lng_bench_sentences_release(&bench->sentences);
    LNG_TRY(lng_bench_section(plan, "train", &train));
    return lng_bench_plan_train(bench, train);
}

enum lng_status lng_bench_plan_grow(struct lng_bench *bench, json_t *plan)
{
    json_t *curves;
    LNG_TRY(lng_bench_section(plan, "curves", &curves));
    LNG_TRY(lng_bench_list_curves(bench, curves));
    return add_passes(bench, plan);
}
