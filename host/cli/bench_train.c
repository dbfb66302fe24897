/* Workload train: updates on random pairs. */
#include <string.h>

#include "host/base/mem.h"
#include "host/cli/bench.h"
#include "host/train/optimizer.h"
#include "host/train/trainer.h"

enum { TARGET_SEED = 0x7A67 /* added to --seed */ };
static const double learning_rate = 1e-4;

struct updates {
    struct lng_bench *bench;
    struct lng_bench_sentences target;
    int32_t *offsets[2]; /* [sentences + 1], source and target */
    struct lng_workspace *workspace;
    struct lng_optimizer optimizer;
    struct lng_regularization regularization;
};

/* Multiplications and additions of the products of one update, forward and backward: three times those of a forward
 * pass. A target token attends to what is before it, half of all on average. */
static double count_operations(const struct lng_hparams *h, const struct updates *u)
{
    const struct lng_bench_sentences *s = &u->bench->sentences;
    double d = h->dim, forward = 0;
    double encoder = 4 * d * d + 2 * d * h->encoder_ffn;
    double decoder = 6 * d * d + 2 * d * h->decoder_ffn; /* keys and values of the source: below */
    for (size_t i = 0; i < s->count; i++) {
        double source = s->lengths.data[i], target = u->target.lengths.data[i];
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

static enum lng_status open_updates(struct updates *u)
{
    struct lng_bench *bench = u->bench;
    LNG_TRY(open_sentences(u));
    struct lng_batch_limits limits = {
        .source_rows = (int64_t)bench->sentences.ids.count,
        .target_rows = (int64_t)u->target.ids.count,
        .sentences = (int64_t)bench->sentences.count,
        .backward = true,
    };
    u->regularization = lng_regularization_of(bench->options);
    LNG_TRY(lng_workspace_open(&bench->model, &limits, &u->workspace));
    return lng_optimizer_init(&u->optimizer, &bench->model, false);
}

static void close_updates(struct updates *u)
{
    lng_bench_sentences_release(&u->target);
    for (int side = 0; side < 2; side++)
        lng_free(u->offsets[side]);
    lng_workspace_close(u->workspace);
    lng_optimizer_release(&u->optimizer);
}

static enum lng_status make_update(struct updates *u, double *loss)
{
    struct lng_bench *bench = u->bench;
    struct lng_sequences source = {.ids = bench->sentences.ids.data,
                                   .offsets = u->offsets[0],
                                   .count = (int64_t)bench->sentences.count};
    struct lng_sequences target = {
        .ids = u->target.ids.data, .offsets = u->offsets[1], .count = (int64_t)u->target.count};
    struct lng_loss_sums sums;
    struct lng_step_result result;
    u->regularization.update++;
    LNG_TRY(lng_model_zero_gradients(&bench->model));
    LNG_TRY(
        lng_model_train(&bench->model, u->workspace, &source, &target, &u->regularization, &sums));
    LNG_TRY(lng_optimizer_step(&u->optimizer, bench->options, learning_rate, sums.tokens, &result));
    *loss = sums.loss / sums.tokens;
    return lng_device_sync(bench->device);
}

static enum lng_status add_report(struct updates *u, const struct lng_bench_clock *runs,
                                  double loss, json_t *report)
{
    const struct lng_bench *bench = u->bench;
    const struct lng_options *o = bench->options;
    size_t count = (size_t)o->bench_repetitions;
    double operations = count_operations(&bench->model.hparams, u);
    double sources = (double)bench->sentences.ids.count, targets = (double)u->target.ids.count;
    json_t *work, *config;
    LNG_TRY(lng_bench_section(report, "config", &config));
    LNG_TRY(lng_json_set(config, "batch_tokens", json_integer(o->bench_batch_tokens)));
    LNG_TRY(lng_json_set(config, "length", json_integer(o->bench_length)));
    LNG_TRY(lng_bench_section(report, "work", &work));
    LNG_TRY(lng_json_set(work, "sentences", json_integer((json_int_t)bench->sentences.count)));
    LNG_TRY(lng_json_set(work, "source_tokens", json_integer((json_int_t)sources)));
    LNG_TRY(lng_json_set(work, "target_tokens", json_integer((json_int_t)targets)));
    LNG_TRY(lng_json_set(work, "gflop", lng_json_number(operations / 1e9)));
    LNG_TRY(lng_json_set(work, "last_loss", lng_json_number(loss)));
    LNG_TRY(lng_bench_add_runs(report, runs, count));
    LNG_TRY(lng_bench_add_rate(report, "target_tokens_per_second", targets, runs, count));
    LNG_TRY(lng_bench_add_rate(report, "tokens_per_second", sources + targets, runs, count));
    LNG_TRY(lng_bench_add_rate(report, "gflop_per_second", operations / 1e9, runs, count));
    return lng_bench_add_memory(bench, report, NULL);
}

enum lng_status lng_bench_train(struct lng_bench *bench, json_t *report)
{
    const struct lng_options *o = bench->options;
    struct updates u = {.bench = bench};
    struct lng_bench_clock *runs = lng_alloc((size_t)o->bench_repetitions, sizeof *runs);
    double loss = 0;
    enum lng_status status = runs != NULL ? open_updates(&u) : LNG_ERR_MEMORY;
    for (int i = -o->bench_warmup; i < o->bench_repetitions && status == LNG_OK; i++) {
        struct lng_bench_clock start = lng_bench_start();
        status = make_update(&u, &loss);
        if (i >= 0)
            runs[i] = lng_bench_stop(start);
    }
    if (status == LNG_OK)
        status = add_report(&u, runs, loss, report);
    close_updates(&u);
    lng_free(runs);
    return status;
}
