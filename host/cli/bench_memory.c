/* Workload memory: what was planned, and what is held, at the end of translating and of an update. Held counts from an open
 * device without a model; of a GPU, what CUDA and its libraries took since is in it. */
#include "host/cli/bench.h"

static enum lng_status add_use(const char *name, size_t plan, size_t before, size_t held,
                               json_t *uses)
{
    json_t *row;
    const double used = held > before ? (double)(held - before) : 0;
    LNG_TRY(lng_bench_add_object(uses, &row));
    LNG_TRY(lng_json_set(row, "use", json_string(name)));
    LNG_TRY(lng_json_set(row, "plan_bytes", json_integer((json_int_t)plan)));
    LNG_TRY(lng_json_set(row, "held_bytes", json_integer((json_int_t)used)));
    return lng_json_set(row, "held_over_plan", lng_json_number(used / (double)plan));
}

/* A pass over all sentences; all its memory is still there. */
static enum lng_status translate(struct lng_bench *bench, size_t before, json_t *uses)
{
    const struct lng_options *o = bench->options;
    const struct lng_bench_search how = {
        .beam = o->beam_size, .batch = o->bench_batch, .workers = 1};
    struct lng_search *search;
    int64_t tokens;
    LNG_TRY(lng_bench_open_search(&bench->model, &bench->sentences, &how, &search));
    enum lng_status status =
        lng_bench_translate(search, &bench->sentences, 0, bench->sentences.count, NULL, &tokens);
    if (status == LNG_OK) {
        const size_t plan =
            lng_model_bytes(&bench->model) + lng_search_get_stats(search).device_bytes;
        status = add_use("translate", plan, before, lng_bench_held(bench), uses);
    }
    lng_search_close(search);
    return status;
}

/* In another life of the device, so that nothing is left of what was before. */
static enum lng_status train(struct lng_bench *bench, json_t *uses)
{
    size_t plan = 0, held = 0;
    lng_bench_sentences_release(&bench->sentences);
    lng_bench_close_model(bench);
    lng_bench_close_device(bench);
    LNG_TRY(lng_bench_open_device(bench));
    const size_t before = lng_bench_held(bench);
    LNG_TRY(lng_bench_open_model(bench, true));
    LNG_TRY(lng_bench_update_once(bench, &plan, &held));
    return add_use("train", plan, before, held, uses);
}

enum lng_status lng_bench_memory(struct lng_bench *bench, json_t *report)
{
    json_t *uses = json_array();
    LNG_TRY(lng_json_set(report, "uses", uses));
    LNG_TRY(translate(bench, bench->held_bytes, uses));
    LNG_TRY(lng_bench_add_memory(bench, report, NULL));
    return bench->dtype == LNG_DTYPE_I8 ? LNG_OK : train(bench, uses);
}
