/* Workloads that translate: decode, latency. */
#include <string.h>

#include "host/base/mem.h"
#include "host/cli/bench.h"

/* ---- one pass ----------------------------------------------------------------------------------- */

enum lng_status lng_bench_open_search(struct lng_model *model,
                                      const struct lng_bench_sentences *sentences,
                                      const struct lng_bench_search *how,
                                      struct lng_search **search)
{
    struct lng_search_options options = lng_search_options_default();
    options.beam.beam = how->beam;
    options.allow_unk = true; /* as others do */
    options.batch_sentences = how->batch;
    options.scores = false; /* as translate does for plain text */
    options.workers = how->workers;
    options.batch_tokens = how->batch * (int64_t)sentences->longest;
    options.max_rows = how->batch * how->beam;
    options.cache_bytes = SIZE_MAX;
    return lng_search_open(model, &options, search);
}

struct pass {
    struct lng_bench_output *output;
    size_t first;
    int64_t tokens;
};

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct pass *pass = context;
    const struct lng_hypothesis *best = &result->hypotheses[0];
    struct lng_bench_output *to = pass->output;
    size_t size = (size_t)best->length, begin = to != NULL ? to->ids.count : 0;
    pass->tokens += best->length;
    if (to == NULL)
        return LNG_OK;
    LNG_TRY(lng_grow(&to->ids.data, &to->ids.capacity, begin + size, sizeof *to->ids.data));
    memcpy(to->ids.data + begin, best->tokens, size * sizeof *best->tokens);
    to->ids.count += size;
    to->begin[pass->first + (size_t)result->index] = begin;
    to->size[pass->first + (size_t)result->index] = size;
    return LNG_OK;
}

enum lng_status lng_bench_translate(struct lng_search *search,
                                    const struct lng_bench_sentences *sentences, size_t first,
                                    size_t count, struct lng_bench_output *output, int64_t *tokens)
{
    struct lng_search_input *inputs = lng_alloc(count, sizeof *inputs);
    struct pass pass = {.output = output, .first = first};
    if (inputs == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        inputs[i] = (struct lng_search_input){
            .source = sentences->ids.data + sentences->begin[first + i],
            .source_length = sentences->lengths.data[first + i],
            .exact_length = sentences->produced.data[first + i],
        };
    enum lng_status status = lng_search_run(search, inputs, (int64_t)count, keep, &pass);
    lng_free(inputs);
    if (status == LNG_OK)
        *tokens = pass.tokens;
    return status;
}

/* ---- output ------------------------------------------------------------------------------------- */

static enum lng_status open_output(struct lng_bench_output *output, size_t sentences)
{
    output->begin = lng_alloc(sentences, sizeof *output->begin);
    output->size = lng_alloc(sentences, sizeof *output->size);
    return output->begin != NULL && output->size != NULL ? LNG_OK : LNG_ERR_MEMORY;
}

static void close_output(struct lng_bench_output *output)
{
    lng_ids_release(&output->ids);
    lng_free(output->begin);
    lng_free(output->size);
}

static enum lng_status write_output(const struct lng_bench_output *output, size_t sentences,
                                    const char *path)
{
    struct lng_buffer text = {0};
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < sentences && status == LNG_OK; i++) {
        const int32_t *ids = output->ids.data + output->begin[i];
        for (size_t k = 0; k < output->size[i] && status == LNG_OK; k++)
            status = lng_buffer_append_format(&text, k == 0 ? "%d" : " %d", ids[k]);
        if (status == LNG_OK)
            status = lng_buffer_append_byte(&text, '\n');
    }
    if (status == LNG_OK)
        status = lng_bench_write(path, &text);
    lng_buffer_release(&text);
    return status;
}

/* Translates all once more, not timed, and writes what came out. */
static enum lng_status output_translations(struct lng_search *search,
                                           const struct lng_bench_sentences *sentences,
                                           const char *path)
{
    struct lng_bench_output output = {0};
    int64_t tokens;
    enum lng_status status = open_output(&output, sentences->count);
    if (status == LNG_OK)
        status = lng_bench_translate(search, sentences, 0, sentences->count, &output, &tokens);
    if (status == LNG_OK)
        status = write_output(&output, sentences->count, path);
    close_output(&output);
    return status;
}

/* ---- reports ------------------------------------------------------------------------------------ */

static enum lng_status add_work(const struct lng_bench *bench, json_t *report, int64_t tokens)
{
    json_t *work;
    LNG_TRY(lng_bench_section(report, "work", &work));
    LNG_TRY(lng_json_set(work, "sentences", json_integer((json_int_t)bench->sentences.count)));
    LNG_TRY(
        lng_json_set(work, "source_tokens", json_integer((json_int_t)bench->sentences.ids.count)));
    return lng_json_set(work, "target_tokens", json_integer(tokens));
}

static enum lng_status add_search(const struct lng_bench_search *how, const struct lng_bench *bench,
                                  json_t *report)
{
    json_t *config;
    LNG_TRY(lng_bench_section(report, "config", &config));
    LNG_TRY(lng_json_set(config, "beam_size", json_integer(how->beam)));
    LNG_TRY(lng_json_set(config, "batch_sentences", json_integer(how->batch)));
    LNG_TRY(lng_json_set(config, "workers", json_integer(how->workers)));
    LNG_TRY(lng_json_set(config, "ids",
                         bench->options->bench_ids ? json_string(bench->options->bench_ids)
                                                   : json_null()));
    LNG_TRY(lng_json_set(config, "length", json_integer(bench->options->bench_length)));
    return lng_json_set(config, "forced_length", json_boolean(bench->sentences.most > 0));
}

static enum lng_status add_steps(json_t *report, const struct lng_search_stats *before,
                                 const struct lng_search_stats *after, int passes)
{
    json_t *work;
    double steps = (double)(after->steps - before->steps);
    LNG_TRY(lng_bench_section(report, "work", &work));
    LNG_TRY(lng_json_set(work, "steps", json_integer((json_int_t)(steps / passes))));
    LNG_TRY(lng_json_set(work, "mean_rows",
                         lng_json_number((double)(after->rows - before->rows) / steps)));
    return lng_json_set(work, "sentences_at_once", json_integer(after->sentences_at_once));
}

/* ---- decode ------------------------------------------------------------------------------------- */

static enum lng_status time_passes(struct lng_bench *bench, struct lng_search *search,
                                   struct lng_bench_clock *runs, int64_t *tokens)
{
    const struct lng_options *o = bench->options;
    const struct lng_bench_sentences *s = &bench->sentences;
    for (int i = 0; i < o->bench_warmup; i++)
        LNG_TRY(lng_bench_translate(search, s, 0, s->count, NULL, tokens));
    for (int i = 0; i < o->bench_repetitions; i++) {
        struct lng_bench_clock start = lng_bench_start();
        LNG_TRY(lng_bench_translate(search, s, 0, s->count, NULL, tokens));
        LNG_TRY(lng_device_sync(bench->device));
        runs[i] = lng_bench_stop(start);
    }
    return LNG_OK;
}

static enum lng_status decode(struct lng_bench *bench, struct lng_search *search,
                              struct lng_bench_clock *runs, json_t *report)
{
    const struct lng_options *o = bench->options;
    size_t count = (size_t)o->bench_repetitions;
    int64_t tokens = 0;
    struct lng_search_stats before = lng_search_get_stats(search), after;
    LNG_TRY(time_passes(bench, search, runs, &tokens));
    after = lng_search_get_stats(search);
    LNG_TRY(add_work(bench, report, tokens));
    LNG_TRY(add_steps(report, &before, &after, o->bench_warmup + o->bench_repetitions));
    LNG_TRY(lng_bench_add_runs(report, runs, count));
    LNG_TRY(lng_bench_add_rate(report, "target_tokens_per_second", (double)tokens, runs, count));
    LNG_TRY(lng_bench_add_rate(report, "sentences_per_second", (double)bench->sentences.count, runs,
                               count));
    LNG_TRY(lng_bench_add_memory(bench, report, &after));
    return o->bench_output != NULL ? output_translations(search, &bench->sentences, o->bench_output)
                                   : LNG_OK;
}

enum lng_status lng_bench_decode(struct lng_bench *bench, json_t *report)
{
    const struct lng_options *o = bench->options;
    struct lng_bench_search how = {
        .beam = o->beam_size, .batch = o->bench_batch, .workers = o->bench_workers};
    struct lng_search *search = NULL;
    struct lng_bench_clock *runs = lng_alloc((size_t)o->bench_repetitions, sizeof *runs);
    enum lng_status status = runs != NULL ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status = add_search(&how, bench, report);
    if (status == LNG_OK)
        status = lng_bench_open_search(&bench->model, &bench->sentences, &how, &search);
    if (status == LNG_OK)
        status = decode(bench, search, runs, report);
    lng_search_close(search);
    lng_free(runs);
    return status;
}

/* ---- latency ------------------------------------------------------------------------------------ */

/* milliseconds [repetitions * sentences]. */
static enum lng_status time_sentences(struct lng_bench *bench, struct lng_search *search,
                                      struct lng_bench_clock *runs, double *milliseconds,
                                      int64_t *tokens)
{
    const struct lng_options *o = bench->options;
    const struct lng_bench_sentences *s = &bench->sentences;
    for (int i = -o->bench_warmup; i < o->bench_repetitions; i++) {
        struct lng_bench_clock start = lng_bench_start();
        *tokens = 0;
        for (size_t k = 0; k < s->count; k++) {
            int64_t produced;
            struct lng_bench_clock one = lng_bench_start();
            LNG_TRY(lng_bench_translate(search, s, k, 1, NULL, &produced));
            LNG_TRY(lng_device_sync(bench->device));
            *tokens += produced;
            if (i >= 0)
                milliseconds[(size_t)i * s->count + k] = 1e3 * lng_bench_stop(one).seconds;
        }
        if (i >= 0)
            runs[i] = lng_bench_stop(start);
    }
    return LNG_OK;
}

static enum lng_status add_milliseconds(json_t *report, double *values, size_t count)
{
    static const struct {
        const char *name;
        double share;
    } percentiles[] = {{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"max", 1}};
    json_t *object;
    double sum = 0;
    LNG_TRY(lng_bench_section(report, "milliseconds", &object));
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++)
        LNG_TRY(lng_json_set(
            object, percentiles[i].name,
            lng_json_number(lng_bench_percentile(values, count, percentiles[i].share))));
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return lng_json_set(object, "mean", lng_json_number(sum / (double)count));
}

static enum lng_status latency(struct lng_bench *bench, struct lng_search *search,
                               struct lng_bench_clock *runs, double *milliseconds, json_t *report)
{
    const struct lng_options *o = bench->options;
    size_t count = (size_t)o->bench_repetitions;
    int64_t tokens = 0;
    struct lng_search_stats before = lng_search_get_stats(search), after;
    LNG_TRY(time_sentences(bench, search, runs, milliseconds, &tokens));
    after = lng_search_get_stats(search);
    LNG_TRY(add_work(bench, report, tokens));
    LNG_TRY(add_steps(report, &before, &after, o->bench_warmup + o->bench_repetitions));
    LNG_TRY(lng_bench_add_runs(report, runs, count));
    LNG_TRY(lng_bench_add_rate(report, "target_tokens_per_second", (double)tokens, runs, count));
    LNG_TRY(add_milliseconds(report, milliseconds, count * bench->sentences.count));
    LNG_TRY(lng_bench_add_memory(bench, report, &after));
    return o->bench_output != NULL ? output_translations(search, &bench->sentences, o->bench_output)
                                   : LNG_OK;
}

enum lng_status lng_bench_latency(struct lng_bench *bench, json_t *report)
{
    const struct lng_options *o = bench->options;
    struct lng_bench_search how = {.beam = o->beam_size, .batch = 1, .workers = 1};
    struct lng_search *search = NULL;
    size_t count = (size_t)o->bench_repetitions;
    struct lng_bench_clock *runs = lng_alloc(count, sizeof *runs);
    double *milliseconds = lng_alloc(count * bench->sentences.count, sizeof *milliseconds);
    enum lng_status status = runs != NULL && milliseconds != NULL ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status = add_search(&how, bench, report);
    if (status == LNG_OK)
        status = lng_bench_open_search(&bench->model, &bench->sentences, &how, &search);
    if (status == LNG_OK)
        status = latency(bench, search, runs, milliseconds, report);
    lng_search_close(search);
    lng_free(runs);
    lng_free(milliseconds);
    return status;
}
