#include "host/train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/train/report.h"
#include "host/train/snapshot.h"
#include "host/train/update.h"

enum { MAX_SKIPS_IN_A_ROW = 50 };

/* An update, and what is known when its batches are taken: the run's state gets it when the update has ended. */
struct attempt {
    struct lng_update update;
    int64_t sources, sentences;
    double lr, epochs;
    struct lng_data_position position;
};

struct trainer {
    const struct lng_training *training;
    const struct lng_options *options;
    struct lng_model *model;
    struct lng_optimizer optimizer;
    struct lng_workspace *workspace;
    struct lng_prefetch *prefetch;
    struct lng_run_state state;
    struct lng_report report;
    struct lng_snapshot snapshot;
    struct attempt attempts[2]; /* by turns */
    struct attempt *behind;     /* asked for, not ended yet; NULL = none */
    double counted;             /* the clock, when state.seconds was last added to */
    int skips_in_a_row;
    int64_t saved_update; /* of the newest checkpoint; -1 = none yet */
};

struct lng_regularization lng_regularization_of(const struct lng_options *options)
{
    return (struct lng_regularization){
        .dropout = options->dropout,
        .embedding_dropout = options->embedding_dropout,
        .attention_dropout = options->attention_dropout,
        .ffn_dropout = options->ffn_dropout,
        .source_word_dropout = options->source_word_dropout,
        .target_word_dropout = options->target_word_dropout,
        .label_smoothing = options->label_smoothing,
        .smoothing_kind = options->label_smoothing_kind == LNG_OPT_SMOOTHING_OTHERS
                              ? LNG_SMOOTHING_OTHERS
                              : LNG_SMOOTHING_UNIFORM,
        .r_drop = options->r_drop,
        .seed = (uint64_t)options->seed,
    };
}

/* How often a pair stands in its batch. */
static int copies_of(const struct lng_options *options)
{
    return options->r_drop > 0 ? 2 : 1;
}

struct lng_batch_options lng_train_batch_options(const struct lng_training *training)
{
    const struct lng_options *options = training->options;
    const struct lng_hparams *h = &training->model->hparams;
    return (struct lng_batch_options){
        .max_tokens = options->train_batch_tokens / copies_of(options),
        .max_sentences = options->train_batch_sentences,
        .max_length = options->train_max_length,
        .crop = options->max_length_crop,
        .aligned = lng_corpus_is_aligned(training->corpus),
        .source_eos = h->source_eos,
        .target_eos = h->eos,
        .source_unknown = training->source_unknown,
        .target_unknown = training->target_unknown,
    };
}

/* ---- opening ---------------------------------------------------------------------------------- */

static enum lng_status open_workspace(struct trainer *t)
{
    struct lng_batch_options batch = lng_train_batch_options(t->training);
    int64_t rows = batch.max_tokens > 0 ? batch.max_tokens : batch.max_sentences * batch.max_length;
    int64_t sentences = batch.max_sentences > 0 ? batch.max_sentences : rows;
    int copies = copies_of(t->options);
    /* Every target token to every source token of the longest sentence: a few bytes beside the rest of a token. */
    int64_t links = batch.aligned ? copies * rows * batch.max_length : 0;
    LNG_FAIL_IF(links > INT32_MAX, LNG_ERR_RANGE,
                "guided alignment: batches of %lld tokens of sentences of up to %lld may have more "
                "than %d links: lower --batch-tokens or --max-length",
                (long long)rows, (long long)batch.max_length, INT32_MAX);
    struct lng_batch_limits limits = {
        .source_rows = copies * rows,
        .target_rows = copies * rows,
        .sentences = copies * sentences,
        .links = links,
        .backward = true,
        .recompute = t->options->recompute,
    };
    size_t plan = lng_workspace_plan(t->model, &limits);
    size_t parameters =
        (size_t)t->model->params.total * lng_dtype_size(lng_device_real(t->model->device));
    lng_info("memory: %.1f MB for a batch, %.1f MB for parameters, gradients and Adam",
             (double)plan / 1e6, (double)parameters * (t->options->ema > 0 ? 6 : 4) / 1e6);
    return lng_workspace_open(t->model, &limits, &t->workspace);
}

/* Pairs whose ids fit --window-memory, by the corpus's mean length; 0 = what prefetching finds good. Two
 * windows are in memory, and a token takes 16 bytes at most (host/data/prefetch.h), and about as much again for its
 * alignments, where there are any. */
static uint64_t window_pairs(const struct trainer *t)
{
    if (t->options->window_memory == 0)
        return 0;
    struct lng_corpus_counts counts = lng_corpus_get_counts(t->training->corpus, SIZE_MAX);
    uint64_t characters = (counts.source_characters + counts.target_characters) / counts.kept + 2;
    uint64_t bytes = lng_corpus_is_aligned(t->training->corpus) ? 32 : 16;
    uint64_t pairs = (uint64_t)t->options->window_memory / (2 * (bytes * characters + 64));
    uint64_t most = LNG_PREFETCH_MAX_WINDOW;
    return pairs < 1 ? 1 : pairs < most ? pairs : most;
}

static enum lng_status open_prefetch(struct trainer *t, bool resumed)
{
    const struct lng_options *options = t->options;
    char *report = lng_format("%s/dropped-long.tsv", t->training->run_dir);
    if (report == NULL)
        return LNG_ERR_MEMORY;
    struct lng_prefetch_options prefetch = {
        .corpus = t->training->corpus,
        .encoder = t->training->encoder,
        .batch = lng_train_batch_options(t->training),
        .seed = (uint64_t)options->seed,
        .window_pairs = window_pairs(t),
        .threads = options->loader_threads,
        .long_report_path = report,
        .position = resumed ? &t->state.position : NULL,
    };
    enum lng_status status = lng_prefetch_open(&prefetch, &t->prefetch);
    if (status == LNG_ERR_MISMATCH && resumed) {
        lng_warn("%s; the order of batches changes from here on", lng_error_message());
        prefetch.accept_new_settings = true;
        status = lng_prefetch_open(&prefetch, &t->prefetch);
    }
    lng_free(report);
    return status;
}

/* The bests of the metrics that are still watched survive a resume; the patience is the new one. */
static void merge_early_stop(struct lng_early_stop *stop, const struct lng_options *options)
{
    struct lng_early_stop wanted;
    lng_early_stop_init(&wanted, options);
    for (size_t i = 0; i < wanted.count; i++)
        for (size_t j = 0; j < stop->count; j++)
            if (stop->best[j].metric == wanted.best[i].metric)
                wanted.best[i] = stop->best[j];
    *stop = wanted;
}

static enum lng_status open_run(struct trainer *t)
{
    bool resumed = false;
    LNG_TRY(lng_snapshot_restore(&t->snapshot, t->training->run_dir, &resumed));
    if (!resumed) {
        t->state.seed = (uint64_t)t->options->seed;
        LNG_TRY(lng_model_randomize(t->model, t->state.seed, t->options->init_depth_scale));
        lng_optimizer_release(&t->optimizer); /* the average starts from the parameters */
        LNG_TRY(lng_optimizer_init(&t->optimizer, t->model, t->options->ema > 0));
    } else {
        lng_info("going on after update %lld (epoch %.2f)", (long long)t->state.progress.updates,
                 t->state.progress.epochs);
    }
    t->saved_update = resumed ? t->state.progress.updates : -1;
    merge_early_stop(&t->state.stop, t->options);
    LNG_TRY(open_workspace(t));
    for (int i = 0; i < 2; i++)
        LNG_TRY(lng_update_open(&t->attempts[i].update, &t->optimizer, t->workspace,
                                t->options->accumulate));
    LNG_TRY(open_prefetch(t, resumed));
    return lng_report_open(&t->report, t->options, t->training->run_dir, &t->state, resumed);
}

static void close_trainer(struct trainer *t)
{
    lng_report_close(&t->report);
    lng_prefetch_close(t->prefetch);
    for (int i = 0; i < 2; i++)
        lng_update_close(&t->attempts[i].update);
    lng_workspace_close(t->workspace);
    lng_optimizer_release(&t->optimizer);
}

/* ---- one update ------------------------------------------------------------------------------- */

static enum lng_status next_batch(struct trainer *t, struct lng_pair_batch *batch)
{
    bool got;
    LNG_TRY(lng_prefetch_next(t->prefetch, batch, &got));
    LNG_FAIL_IF(!got, LNG_ERR_INTERNAL, "the training data ended");
    return LNG_OK;
}

/* number: of updates made before this one. */
static enum lng_status train_batch(struct trainer *t, struct attempt *attempt,
                                   const struct lng_pair_batch *batch, int64_t number)
{
    struct lng_sequences source = {batch->source_ids, batch->source_offsets, batch->sentence_ids,
                                   batch->count};
    struct lng_sequences target = {batch->target_ids, batch->target_offsets, batch->sentence_ids,
                                   batch->count};
    struct lng_regularization regularization = lng_regularization_of(t->options);
    struct lng_guide guide = {batch->link_offsets, batch->link_sources,
                              t->options->guided_alignment_weight,
                              t->model->hparams.alignment_layer};
    regularization.guide = batch->link_offsets != NULL ? &guide : NULL;
    regularization.update = (uint32_t)number;
    LNG_TRY(lng_update_batch(&attempt->update, &source, &target, &regularization));
    attempt->sources += batch->source_tokens;
    attempt->sentences += batch->count;
    return LNG_OK;
}

/* What to do about a gradient that is not finite, by --nan-policy. */
static enum lng_status handle_nonfinite(struct trainer *t, const struct lng_step_result *step)
{
    long long update = (long long)t->state.progress.updates + 1;
    LNG_FAIL_IF(
        t->options->nan_policy == LNG_OPT_NAN_POLICY_STOP, LNG_ERR_RANGE,
        "update %lld: %lld gradient entries are not finite; lower --lr, raise --warmup, or use "
        "--nan-policy skip",
        update, (long long)step->nonfinite);
    LNG_FAIL_IF(
        ++t->skips_in_a_row > MAX_SKIPS_IN_A_ROW, LNG_ERR_RANGE,
        "%d updates in a row had gradients that are not finite: training has diverged; go back to "
        "an earlier checkpoint with a lower --lr",
        MAX_SKIPS_IN_A_ROW);
    t->state.skipped++;
    bool back = t->options->nan_policy == LNG_OPT_NAN_POLICY_ROLLBACK && t->saved_update >= 0;
    lng_warn("update %lld: %lld gradient entries are not finite; %s", update,
             (long long)step->nonfinite,
             back ? "going back to the last checkpoint" : "the batch is skipped");
    if (!back)
        return LNG_OK;
    /* Parameters go back, data and counters of what happened go on: the same batch does not come again. */
    struct lng_run_state now = t->state;
    bool found;
    LNG_TRY(lng_snapshot_restore(&t->snapshot, t->training->run_dir, &found));
    now.rollbacks++;
    now.progress.updates = t->state.progress.updates;
    now.optimizer_steps = t->state.optimizer_steps;
    t->state = now;
    return LNG_OK;
}

/* Whether a multiple of `every` was passed on the way from `before` to `after`. */
static bool is_due(struct lng_quantity every, const struct lng_run_progress *before,
                   const struct lng_run_progress *after)
{
    if (every.value <= 0)
        return false;
    double size = (double)every.value;
    return floor(lng_progress_in(before, every.unit) / size + 1e-9) <
           floor(lng_progress_in(after, every.unit) / size + 1e-9);
}

/* Takes in what came of the update that was asked for last. */
static enum lng_status end_update(struct trainer *t)
{
    struct attempt *attempt = t->behind;
    const struct lng_run_progress before = t->state.progress;
    struct lng_loss_sums sums;
    struct lng_step_result step;
    t->behind = NULL;
    LNG_TRY(lng_update_end(&attempt->update, t->options, &sums, &step));
    double now = lng_clock();
    t->state.seconds += now - t->counted;
    t->counted = now;
    t->state.progress.epochs = attempt->epochs;
    t->state.progress.targets += (int64_t)sums.tokens;
    t->state.sources += attempt->sources;
    t->state.sentences += attempt->sentences;
    t->state.position = attempt->position;
    if (step.nonfinite > 0 || !isfinite(step.gradient_norm)) {
        LNG_TRY(handle_nonfinite(t, &step));
    } else {
        t->skips_in_a_row = 0;
        t->state.progress.updates++;
        lng_report_update(&t->report, &t->state, &sums, &step, attempt->lr);
    }
    if (is_due(t->options->log_every, &before, &t->state.progress))
        return lng_report_write(&t->report, &t->state);
    return LNG_OK;
}

/* The first batch of an update, which follows on `number` others. */
static enum lng_status begin_update(struct trainer *t, struct attempt *attempt,
                                    const struct lng_pair_batch *batch, int64_t number)
{
    attempt->sources = attempt->sentences = 0;
    LNG_TRY(lng_update_begin(&attempt->update));
    return train_batch(t, attempt, batch, number);
}

/* The update behind ends, whether or not this one could begin: what went wrong there is told first. */
static enum lng_status end_behind(struct trainer *t, enum lng_status begun)
{
    char why[1024] = "";
    if (begun != LNG_OK)
        snprintf(why, sizeof why, "%s", lng_error_message());
    LNG_TRY(end_update(t));
    return begun == LNG_OK ? LNG_OK : lng_fail(begun, "%s", why);
}

/* Asks for an update. The one behind ends when the device has the first batch of this one to go on with. Until then
 * nobody knows whether it is made: if it is not, this one has another number, and that batch is computed again. */
static enum lng_status make_update(struct trainer *t)
{
    struct attempt *attempt = &t->attempts[t->behind == &t->attempts[0]];
    struct lng_pair_batch batch;
    if (t->behind == NULL)
        t->counted = lng_clock();
    const int64_t number = t->state.progress.updates + (t->behind != NULL);
    enum lng_status begun = next_batch(t, &batch);
    if (begun == LNG_OK)
        begun = begin_update(t, attempt, &batch, number);
    if (t->behind != NULL)
        begun = end_behind(t, begun);
    LNG_TRY(begun);
    if (t->state.progress.updates != number)
        LNG_TRY(begin_update(t, attempt, &batch, t->state.progress.updates));
    for (int i = 1; i < t->options->accumulate; i++) {
        LNG_TRY(next_batch(t, &batch));
        LNG_TRY(train_batch(t, attempt, &batch, t->state.progress.updates));
    }
    attempt->lr = lng_schedule_lr(t->options, &t->state.progress);
    LNG_TRY(lng_update_step(&attempt->update, t->options, attempt->lr));
    attempt->epochs = lng_prefetch_epochs(t->prefetch);
    attempt->position = lng_prefetch_position(t->prefetch);
    t->behind = attempt;
    return LNG_OK;
}

/* ---- between updates -------------------------------------------------------------------------- */

static enum lng_status save(struct trainer *t)
{
    if (t->saved_update == t->state.progress.updates)
        return LNG_OK;
    LNG_TRY(lng_snapshot_save(&t->snapshot, t->training->run_dir, t->options->keep_last));
    t->saved_update = t->state.progress.updates;
    return lng_report_save(&t->report, &t->state);
}

static enum lng_status validate(struct trainer *t)
{
    const struct lng_validator *validator = &t->training->validator;
    if (validator->validate == NULL)
        return LNG_OK;
    struct lng_validation validation = {0};
    bool improved[LNG_VALID_METRICS] = {false};
    double started = lng_clock();
    LNG_TRY(lng_optimizer_use_average(&t->optimizer, true));
    LNG_TRY(validator->validate(validator->context, t->model, &validation));
    LNG_TRY(
        lng_early_stop_update(&t->state.stop, &validation, t->state.progress.updates, improved));
    for (size_t i = 0; i < t->state.stop.count; i++)
        if (improved[i])
            LNG_TRY(lng_snapshot_save_best(
                &t->snapshot, t->training->run_dir,
                lng_choice_word(LNG_CHOICES_valid_metric, (int)t->state.stop.best[i].metric)));
    LNG_TRY(lng_optimizer_use_average(&t->optimizer, false));
    return lng_report_validation(&t->report, &t->state, &validation, lng_clock() - started);
}

/* true, with the reason, when the run is over at this point of it. */
static bool is_over(const struct trainer *t, const struct lng_run_progress *progress,
                    enum lng_train_end *end)
{
    const struct lng_options *options = t->options;
    if (options->max_updates > 0 && progress->updates >= options->max_updates)
        *end = LNG_TRAIN_END_UPDATES;
    else if (options->max_epochs > 0 && progress->epochs >= (double)options->max_epochs)
        *end = LNG_TRAIN_END_EPOCHS;
    else if (lng_early_stop_reached(&t->state.stop))
        *end = LNG_TRAIN_END_STALLED;
    else if (t->training->interrupted != NULL && *t->training->interrupted)
        *end = LNG_TRAIN_END_INTERRUPTED;
    else
        return false;
    return true;
}

/* Whether the update behind ends before another is asked for: always where nothing is to be gained by waiting, and where
 * parameters may be saved or measured after it. That it is made is assumed: if not, less is due. */
static bool is_next_to_end(const struct trainer *t)
{
    const struct lng_run_progress *before = &t->state.progress;
    const struct lng_run_progress after = {.updates = before->updates + 1,
                                           .epochs = t->behind->epochs,
                                           .targets =
                                               before->targets + (int64_t)t->behind->update.tokens};
    enum lng_train_end end;
    return !lng_device_runs_behind(t->model->device) || is_over(t, &after, &end) ||
           is_due(t->options->valid_every, before, &after) ||
           is_due(t->options->save_every, before, &after);
}

/* Ends the update behind, and does what is due after it. */
static enum lng_status end_and_look(struct trainer *t)
{
    const struct lng_run_progress before = t->state.progress, *after = &t->state.progress;
    enum lng_train_end end;
    LNG_TRY(end_update(t));
    bool over = is_over(t, after, &end), interrupted = over && end == LNG_TRAIN_END_INTERRUPTED;
    if (!interrupted && (over || is_due(t->options->valid_every, &before, after)))
        LNG_TRY(validate(t));
    return is_due(t->options->save_every, &before, after) ? save(t) : LNG_OK;
}

static enum lng_status run(struct trainer *t, enum lng_train_end *end)
{
    while (t->behind != NULL || !is_over(t, &t->state.progress, end)) {
        if (t->behind != NULL && is_next_to_end(t))
            LNG_TRY(end_and_look(t));
        else
            LNG_TRY(make_update(t));
    }
    LNG_TRY(save(t));
    return lng_optimizer_use_average(&t->optimizer, true);
}

enum lng_status lng_train(const struct lng_training *training, struct lng_train_result *result)
{
    struct trainer t = {
        .training = training, .options = training->options, .model = training->model};
    t.snapshot = (struct lng_snapshot){t.model, &t.optimizer, &t.state, training->options_text,
                                       training->vocabulary_digest};
    enum lng_status status;
    enum lng_train_end end;
    LNG_TRY_OR_FAIL(lng_optimizer_init(&t.optimizer, t.model, training->options->ema > 0));
    LNG_TRY_OR_FAIL(open_run(&t));
    LNG_TRY_OR_FAIL(run(&t, &end));
    LNG_TRY_OR_FAIL(lng_report_end(&t.report, &t.state, end == LNG_TRAIN_END_INTERRUPTED));
    *result = (struct lng_train_result){end, t.state.progress.updates, t.state.progress.targets,
                                        t.state.seconds, t.state.stop};
fail:
    close_trainer(&t);
    return status;
}
