/* Workload train: updates on random pairs. */
#include <string.h>

#include "host/base/mem.h"
#include "host/cli/bench.h"
#include "host/cli/bench_plan.h"
#include "host/train/trainer.h"
#include "host/train/update.h"

enum { TARGET_SEED = 0x7A67 /* added to --seed */ };
static const double learning_rate = 1e-4;

struct updates {
    struct lng_bench *bench;
    struct lng_bench_sentences target;
    int32_t *offsets[2]; /* [sentences + 1], source and target */
    struct lng_workspace *workspace;
    struct lng_optimizer optimizer;
    struct lng_update turns[2]; /* by turns, as the device runs behind */
    int asked, ended;           /* so many updates */
    struct lng_regularization regularization;
};

/* Multiplications and additions of the products of one update, forward and backward: three times those of a forward
 * pass, without what --recompute computes again. A target token attends to what is before it, half of all on average. */
double lng_bench_count_operations(const struct lng_hparams *h, const struct lng_bench_sentences *s,
                                  const struct lng_bench_sentences *t)
{
    double d = h->dim, forward = 0;
    double encoder = 4 * d * d + 2 * d * h->encoder_ffn;
    double decoder = 6 * d * d + 2 * d * h->decoder_ffn; /* keys and values of the source: below */
    for (size_t i = 0; i < s->count; i++) {
        double source = s->lengths.data[i], target = t->lengths.data[i];
        forward += h->encoder_layers * (source * encoder + 2 * source * source * d);
        forward += h->decoder_layers * (target * decoder + source * 2 * d * d +
                                        target * (target + 1) * d + 2 * target * source * d);
        forward += target * d * h->target_vocab;
    }
    return 3 * 2 * forward;
}

static enum lng_status find_offsets(const struct lng_bench_sentences *s, int32_t **offsets)
{
    LNG_FAIL_IF(s->ids.count > INT32_MAX, LNG_ERR_RANGE, "expected a batch of fewer tokens");
    *offsets = lng_alloc(s->count + 1, sizeof **offsets);
    if (*offsets == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < s->count; i++)
        (*offsets)[i + 1] = (*offsets)[i] + s->lengths.data[i];
    return LNG_OK;
}

/* So many sentences that their targets are about --batch-tokens. */
static enum lng_status open_sentences(struct updates *u)
{
    struct lng_bench *bench = u->bench;
    const struct lng_options *o = bench->options;
    const struct lng_hparams *h = &bench->model.hparams;
    uint64_t seed = (uint64_t)o->seed;
    double mean = o->bench_length > 0 ? o->bench_length : LNG_BENCH_MEAN_TARGET;
    size_t count = (size_t)((double)o->bench_batch_tokens / mean + 0.5);
    LNG_TRY(lng_bench_sentences_random(h, seed, count > 0 ? count : 1, o->bench_length,
                                       &bench->sentences));
    LNG_TRY(lng_bench_sentences_targets(h, seed + TARGET_SEED, &bench->sentences, &u->target));
    LNG_TRY(find_offsets(&bench->sentences, &u->offsets[0]));
    return find_offsets(&u->target, &u->offsets[1]);
}

static struct lng_batch_limits limits_of(const struct updates *u)
{
    return (struct lng_batch_limits){
        .source_rows = (int64_t)u->bench->sentences.ids.count,
        .target_rows = (int64_t)u->target.ids.count,
        .sentences = (int64_t)u->bench->sentences.count,
        .backward = true,
        .recompute = u->bench->options->recompute,
    };
}

static enum lng_status open_updates(struct updates *u)
{
    struct lng_bench *bench = u->bench;
    LNG_TRY(open_sentences(u));
    struct lng_batch_limits limits = limits_of(u);
    u->regularization = lng_regularization_of(bench->options);
    LNG_TRY(lng_workspace_open(&bench->model, &limits, &u->workspace));
    LNG_TRY(lng_optimizer_init(&u->optimizer, &bench->model, false));
    for (int i = 0; i < 2; i++)
        LNG_TRY(lng_update_open(&u->turns[i], &u->optimizer, u->workspace, 1));
    return LNG_OK;
}

static void close_updates(struct updates *u)
{
    lng_bench_sentences_release(&u->target);
    for (int side = 0; side < 2; side++)
        lng_free(u->offsets[side]);
    for (int i = 0; i < 2; i++)
        lng_update_close(&u->turns[i]);
    lng_workspace_close(u->workspace);
    lng_optimizer_release(&u->optimizer);
}

/* Forward and backward of the next update. */
static enum lng_status ask_for_gradients(struct updates *u)
{
    struct lng_bench *bench = u->bench;
    struct lng_update *update = &u->turns[u->asked++ % 2];
    struct lng_sequences source = {.ids = bench->sentences.ids.data,
                                   .offsets = u->offsets[0],
                                   .count = (int64_t)bench->sentences.count};
    struct lng_sequences target = {
        .ids = u->target.ids.data, .offsets = u->offsets[1], .count = (int64_t)u->target.count};
    u->regularization.update++;
    LNG_TRY(lng_update_begin(update));
    return lng_update_batch(update, &source, &target, &u->regularization);
}

/* The step of the update that was asked for last, the one before it having ended. */
static enum lng_status ask_for_step(struct updates *u)
{
    return lng_update_step(&u->turns[(u->asked - 1) % 2], u->bench->options, learning_rate);
}

/* The next update ends. Where the device runs behind and this is not the last, it has the gradients of another to go on
 * with meanwhile, as in training; so the time of a call is that of an update, from one end to the next. */
static enum lng_status make_update(struct updates *u, bool last, double *loss)
{
    struct lng_loss_sums sums;
    struct lng_step_result result;
    const bool ahead = !last && lng_device_runs_behind(u->bench->device);
    if (u->asked == u->ended) {
        LNG_TRY(ask_for_gradients(u));
        LNG_TRY(ask_for_step(u));
    }
    if (ahead)
        LNG_TRY(ask_for_gradients(u));
    LNG_TRY(lng_update_end(&u->turns[u->ended++ % 2], u->bench->options, &sums, &result));
    *loss = sums.loss / sums.tokens;
    return ahead ? ask_for_step(u) : LNG_OK;
}

static enum lng_status add_work(const struct updates *u, json_t *object)
{
    const struct lng_bench *bench = u->bench;
    double operations =
        lng_bench_count_operations(&bench->model.hparams, &bench->sentences, &u->target);
    LNG_TRY(lng_json_set(object, "sentences", json_integer((json_int_t)bench->sentences.count)));
    LNG_TRY(lng_json_set(object, "source_tokens",
                         json_integer((json_int_t)bench->sentences.ids.count)));
    LNG_TRY(lng_json_set(object, "target_tokens", json_integer((json_int_t)u->target.ids.count)));
    return lng_json_set(object, "gflop", lng_json_number(operations / 1e9));
}

static enum lng_status add_config(const struct lng_options *o, json_t *report)
{
    json_t *config;
    LNG_TRY(lng_bench_section(report, "config", &config));
    LNG_TRY(lng_json_set(config, "batch_tokens", json_integer(o->bench_batch_tokens)));
    LNG_TRY(lng_json_set(config, "recompute", json_boolean(o->recompute)));
    return lng_json_set(config, "length", json_integer(o->bench_length));
}

/* A line a pair: ids of the source, a tab, ids of the target. */
static enum lng_status write_pairs(const struct updates *u, const char *path)
{
    const struct lng_bench_sentences *sides[] = {&u->bench->sentences, &u->target};
    struct lng_buffer text = {0};
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < u->target.count && status == LNG_OK; i++)
        for (int side = 0; side < 2 && status == LNG_OK; side++) {
            const struct lng_bench_sentences *s = sides[side];
            for (int32_t k = 0; k < s->lengths.data[i] && status == LNG_OK; k++)
                status = lng_buffer_append_format(&text, k == 0 ? "%d" : " %d",
                                                  s->ids.data[s->begin[i] + (size_t)k]);
            if (status == LNG_OK)
                status = lng_buffer_append_byte(&text, side == 0 ? '\t' : '\n');
        }
    if (status == LNG_OK)
        status = lng_bench_write(path, &text);
    lng_buffer_release(&text);
    return status;
}

static enum lng_status add_report(struct updates *u, const struct lng_bench_clock *runs,
                                  const double loss[2], json_t *report)
{
    const struct lng_bench *bench = u->bench;
    const struct lng_options *o = bench->options;
    size_t count = (size_t)o->bench_repetitions;
    double sources = (double)bench->sentences.ids.count, targets = (double)u->target.ids.count;
    json_t *work;
    LNG_TRY(add_config(o, report));
    LNG_TRY(lng_bench_section(report, "work", &work));
    LNG_TRY(add_work(u, work));
    double gflop = json_real_value(json_object_get(work, "gflop"));
    LNG_TRY(lng_json_set(work, "first_loss", lng_json_number(loss[0])));
    LNG_TRY(lng_json_set(work, "last_loss", lng_json_number(loss[1])));
    LNG_TRY(lng_bench_add_runs(report, runs, count));
    LNG_TRY(lng_bench_add_rate(report, "target_tokens_per_second", targets, runs, count));
    LNG_TRY(lng_bench_add_rate(report, "tokens_per_second", sources + targets, runs, count));
    LNG_TRY(lng_bench_add_rate(report, "gflop_per_second", gflop, runs, count));
    const json_t *rate = json_object_get(json_object_get(report, "rates"), "gflop_per_second");
    LNG_TRY(
        lng_bench_add_utilization(bench, json_real_value(json_object_get(rate, "median")), report));
    return lng_bench_add_memory(bench, report, NULL);
}

/* One more update, each piece of its work timed. */
static enum lng_status add_phases(struct updates *u, json_t *report)
{
    struct lng_device *device = u->bench->device;
    struct lng_phase_times times;
    double loss;
    LNG_TRY(lng_device_time_begin(device));
    struct lng_bench_clock start = lng_bench_start();
    LNG_TRY(make_update(u, true, &loss));
    double seconds = lng_bench_stop(start).seconds;
    LNG_TRY(lng_device_time_end(device, &times));
    return lng_bench_add_phases(&times, seconds, report);
}

enum lng_status lng_bench_train(struct lng_bench *bench, json_t *report)
{
    const struct lng_options *o = bench->options;
    struct updates u = {.bench = bench};
    struct lng_bench_clock *runs = lng_alloc((size_t)o->bench_repetitions, sizeof *runs);
    double loss[2] = {0}; /* of the first update and of the last */
    enum lng_status status = runs != NULL ? open_updates(&u) : LNG_ERR_MEMORY;
    for (int i = -o->bench_warmup; i < o->bench_repetitions && status == LNG_OK; i++) {
        struct lng_bench_clock start = lng_bench_start();
        status = make_update(&u, i + 1 == o->bench_repetitions, &loss[1]);
        if (i >= 0)
            runs[i] = lng_bench_stop(start);
        if (i == -o->bench_warmup)
            loss[0] = loss[1];
    }
    if (status == LNG_OK)
        status = add_report(&u, runs, loss, report);
    if (status == LNG_OK && o->bench_phases)
        status = add_phases(&u, report);
    if (status == LNG_OK && o->bench_output != NULL)
        status = write_pairs(&u, o->bench_output);
    close_updates(&u);
    lng_free(runs);
    return status;
}

/* Parameters, gradients and two moments; weights that products take besides are in lng_model_bytes of a real model. */
static size_t state_bytes(const struct updates *u)
{
    const struct lng_model *model = &u->bench->model;
    size_t reals = (size_t)model->params.total * lng_dtype_size(lng_device_real(model->device));
    return model->tensors != NULL ? lng_model_bytes(model) + 2 * reals : 4 * reals;
}

enum lng_status lng_bench_plan_train(struct lng_bench *bench, json_t *plan)
{
    const struct lng_options *o = bench->options;
    struct updates u = {.bench = bench};
    enum lng_status status = open_sentences(&u);
    struct lng_batch_limits limits = limits_of(&u);
    size_t bytes = status == LNG_OK ? lng_workspace_plan(&bench->model, &limits) : 0;
    if (status == LNG_OK)
        status = add_work(&u, plan);
    if (status == LNG_OK)
        status =
            lng_json_set(plan, "updates", json_integer(o->bench_warmup + o->bench_repetitions));
    if (status == LNG_OK)
        status =
            lng_json_set(plan, "plan_bytes", json_integer((json_int_t)(bytes + state_bytes(&u))));
    close_updates(&u);
    return status;
}

enum lng_status lng_bench_update_once(struct lng_bench *bench, size_t *plan_bytes,
                                      size_t *held_bytes)
{
    struct updates u = {.bench = bench};
    double loss;
    enum lng_status status = open_updates(&u);
    if (status == LNG_OK)
        status = make_update(&u, true, &loss);
    if (status == LNG_OK) {
        struct lng_batch_limits limits = limits_of(&u);
        *plan_bytes = lng_workspace_plan(&bench->model, &limits) + state_bytes(&u);
        *held_bytes = lng_bench_held(bench);
    }
    close_updates(&u);
    return status;
}

enum lng_status lng_bench_time_updates(struct lng_bench *bench, double *seconds, double *tokens,
                                       double *bytes)
{
    const struct lng_options *o = bench->options;
    struct updates u = {.bench = bench};
    double *times = lng_alloc((size_t)o->bench_repetitions, sizeof *times), loss;
    enum lng_status status = times != NULL ? open_updates(&u) : LNG_ERR_MEMORY;
    for (int i = -o->bench_warmup; i < o->bench_repetitions && status == LNG_OK; i++) {
        struct lng_bench_clock start = lng_bench_start();
        status = make_update(&u, i + 1 == o->bench_repetitions, &loss);
        if (i >= 0)
            times[i] = lng_bench_stop(start).seconds;
    }
    if (status == LNG_OK) {
        struct lng_batch_limits limits = limits_of(&u);
        *seconds = lng_bench_median(times, (size_t)o->bench_repetitions);
        *tokens = (double)u.target.ids.count;
        *bytes = (double)(lng_workspace_plan(&bench->model, &limits) + state_bytes(&u));
    }
    close_updates(&u);
    lng_bench_sentences_release(&bench->sentences);
    lng_free(times);
    return status;
}
