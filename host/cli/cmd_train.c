/* lingster train: parallel text -> a trained model directory. Resumes where --output already holds a run. */
#include <signal.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/cmd.h"
#include "host/cli/infer_setup.h"
#include "host/cli/train_setup.h"
#include "host/cli/train_validation.h"
#include "host/store/hf.h"
#include "host/store/model_dir.h"
#include "host/store/run_dir.h"
#include "host/train/snapshot.h"
#include "host/train/trainer.h"

/* ---- signals ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

/* The first signal asks for an orderly end; a second one of the same kind ends the process. */
static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- the run directory ------------------------------------------------------------------------ */

static enum lng_status append_path(const char *directory, const char *name, char **path)
{
    *path = lng_path_join(directory, name);
    return *path ? LNG_OK : LNG_ERR_MEMORY;
}

static enum lng_status remove_in(const char *run_dir, const char *name)
{
    char *path;
    LNG_TRY(append_path(run_dir, name, &path));
    enum lng_status status = lng_remove_tree(path);
    lng_free(path);
    return status;
}

/* --overwrite: what an earlier run left goes; files of others stay. */
static enum lng_status clear_run(const char *run_dir)
{
    static const char *const names[] = {"checkpoints", "model", "metrics.jsonl", "train.log",
                                        "config.yml"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        LNG_TRY(remove_in(run_dir, names[i]));
    for (int m = 0; m < LNG_VALID_METRICS; m++) {
        char *path = lng_best_path(run_dir, lng_choice_word(LNG_CHOICES_valid_metric, m));
        if (path == NULL)
            return LNG_ERR_MEMORY;
        enum lng_status status = lng_remove_tree(path);
        lng_free(path);
        LNG_TRY(status);
    }
    char *checkpoints;
    LNG_TRY(append_path(run_dir, "checkpoints", &checkpoints));
    enum lng_status status = lng_make_directories(checkpoints);
    lng_free(checkpoints);
    return status;
}

static enum lng_status open_log(const char *run_dir)
{
    char *path;
    LNG_TRY(append_path(run_dir, "train.log", &path));
    enum lng_status status = lng_log_open_file(path);
    lng_free(path);
    return status;
}

static enum lng_status write_config(const char *run_dir, const struct lng_buffer *text)
{
    char *path;
    LNG_TRY(append_path(run_dir, "config.yml", &path));
    enum lng_status status = lng_file_write(path, text->data, text->length);
    lng_free(path);
    return status;
}

/* The tokenizer's files are there from the start, so that checkpoints can be translated with. */
static enum lng_status save_tokenizer(const char *run_dir, const struct lng_tokenizer *tokenizer)
{
    char *path = lng_run_model_path(run_dir);
    enum lng_status status = path ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK && !lng_directory_exists(path)) {
        status = lng_make_directories(path);
        if (status == LNG_OK)
            status = lng_tokenizer_save(tokenizer, path);
    }
    lng_free(path);
    return status;
}

/* ---- the finished model ----------------------------------------------------------------------- */

/* Parameters of the final model: the mean of the last checkpoints, the best one, or the last. */
static enum lng_status choose_final(const struct lng_options *options,
                                    const struct lng_train_result *result,
                                    struct lng_model_data *data)
{
    const char *run_dir = options->output;
    uint64_t *updates = NULL;
    size_t count = 0;
    LNG_TRY(lng_checkpoint_list(run_dir, &updates, &count));
    size_t wanted = options->average_last > 0 ? (size_t)options->average_last : 1;
    size_t first = count > wanted ? count - wanted : 0, chosen = 0;
    char **paths = lng_alloc(count - first + 1, sizeof *paths);
    enum lng_status status = paths ? LNG_OK : LNG_ERR_MEMORY;
    bool best =
        options->average_last == 0 && result->best.count > 0 && result->best.best[0].update >= 0;
    if (status == LNG_OK && best) {
        const char *metric =
            lng_choice_word(LNG_CHOICES_valid_metric, (int)result->best.best[0].metric);
        lng_info("final model: best %s, after update %lld", metric,
                 (long long)result->best.best[0].update);
        paths[chosen++] = lng_best_path(run_dir, metric);
    } else if (status == LNG_OK) {
        lng_info("final model: mean of %zu checkpoints up to update %lld", count - first,
                 (long long)result->updates);
        for (size_t i = first; i < count; i++)
            paths[chosen++] = lng_checkpoint_path(run_dir, updates[i]);
    }
    for (size_t i = 0; i < chosen && status == LNG_OK; i++)
        status = paths[i] ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status = lng_model_average((const char *const *)paths, chosen, data);
    for (size_t i = 0; i < chosen; i++)
        lng_free(paths[i]);
    lng_free(paths);
    lng_free(updates);
    return status;
}

static enum lng_status export_to(const struct lng_model_data *data,
                                 const struct lng_options *options,
                                 const struct lng_tokenizer *tokenizer,
                                 const struct lng_train_result *result, const char *path)
{
    struct lng_atomic_directory directory;
    LNG_TRY(lng_atomic_directory_open(&directory, path));
    enum lng_status status;
    char *provenance = lng_format("{\"trained_by\":\"lingster " LNG_VERSION
                                  "\",\"updates\":%lld,\"target_tokens\":%lld,\"seed\":%lld}",
                                  (long long)result->updates, (long long)result->targets,
                                  (long long)options->seed);
    LNG_GOTO_FAIL_IF(provenance == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
    LNG_TRY_OR_FAIL(lng_tokenizer_save(tokenizer, directory.temporary));
    struct lng_hf_save_args args = {
        .directory = directory.temporary,
        .hparams = &data->hparams,
        .params = &data->params,
        .values = data->values,
        .dtype = options->save_dtype == LNG_OPT_TRAIN_DTYPE_BF16 ? LNG_DTYPE_BF16 : LNG_DTYPE_F32,
        .provenance = provenance,
        .generation = {.beams = 4, .max_length = 512, .length_penalty = 1, .forced_bos = -1},
    };
    LNG_TRY_OR_FAIL(lng_hf_save(&args));
    LNG_TRY_OR_FAIL(lng_atomic_directory_commit(&directory));
    lng_info("model written to %s", path);
fail:
    if (status != LNG_OK)
        lng_atomic_directory_discard(&directory);
    lng_free(provenance);
    return status;
}

static enum lng_status export_model(const struct lng_options *options,
                                    const struct lng_tokenizer *tokenizer,
                                    const struct lng_train_result *result)
{
    struct lng_model_data data;
    LNG_TRY(choose_final(options, result, &data));
    char *path = lng_run_model_path(options->output);
    enum lng_status status =
        path ? export_to(&data, options, tokenizer, result, path) : LNG_ERR_MEMORY;
    lng_free(path);
    lng_model_data_release(&data);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------ */

/* Everything a run holds open. */
struct session {
    struct lng_tokenizer *tokenizer;
    struct lng_corpus *corpus;
    struct lng_device *device;
    struct lng_model model;
    struct lng_encoder_context encoder_context;
    struct lng_train_validation validation;
    struct lng_buffer options_text;
    int lock;
};

static void close_session(struct session *s)
{
    lng_train_validation_close(&s->validation);
    lng_model_release(&s->model);
    if (s->device != NULL)
        lng_device_close(s->device);
    lng_corpus_close(s->corpus);
    lng_tokenizer_close(s->tokenizer);
    lng_buffer_release(&s->options_text);
    if (lng_log_open_file(NULL) != LNG_OK)
        lng_warn("%s", lng_error_message());
    lng_run_unlock(s->lock);
}

static enum lng_status open_session(struct session *s, const struct lng_options *options)
{
    LNG_TRY(lng_setup_tokenizer(options, &s->tokenizer));
    struct lng_hparams hparams;
    LNG_TRY(lng_setup_hparams(options, s->tokenizer, &hparams));
    LNG_TRY(lng_run_lock(options->output, &s->lock));
    if (options->overwrite)
        LNG_TRY(clear_run(options->output));
    LNG_TRY(open_log(options->output));
    LNG_TRY(lng_options_dump(options, &s->options_text));
    LNG_TRY(write_config(options->output, &s->options_text));
    LNG_TRY(save_tokenizer(options->output, s->tokenizer));
    LNG_TRY(lng_setup_corpus(options, options->output, &s->corpus));
    struct lng_device_options device_options = {.threads = options->threads};
    LNG_TRY(lng_device_open(options->device, &device_options, &s->device));
    enum lng_dtype compute =
        options->train_dtype == LNG_OPT_TRAIN_DTYPE_BF16 ? LNG_DTYPE_BF16 : LNG_DTYPE_F32;
    LNG_TRY(lng_model_init(&s->model, s->device, &hparams, compute, true));
    lng_info("%s, %d threads, %s products: %.2f million parameters, vocabularies of %d and %d",
             lng_device_name(s->device), lng_device_threads(s->device), lng_dtype_name(compute),
             (double)s->model.params.total / 1e6, hparams.source_vocab, hparams.target_vocab);
    lng_setup_remark(s->device);
    if (options->valid_source != NULL)
        LNG_TRY(lng_train_validation_open(&s->validation, options, s->tokenizer, &s->model));
    return LNG_OK;
}

static enum lng_status run_session(struct session *s, const struct lng_options *options)
{
    struct lng_training training = {
        .options = options,
        .model = &s->model,
        .corpus = s->corpus,
        .source_unknown = lng_tokenizer_unk(s->tokenizer, LNG_SIDE_SOURCE),
        .target_unknown = lng_tokenizer_unk(s->tokenizer, LNG_SIDE_TARGET),
        .run_dir = options->output,
        .options_text = s->options_text.data,
        .vocabulary_digest = lng_tokenizer_digest(s->tokenizer),
        .interrupted = &interrupted,
    };
    if (options->valid_source != NULL)
        training.validator = (struct lng_validator){lng_train_validate, &s->validation};
    LNG_TRY(lng_setup_encoder(options, s->tokenizer, true, &s->encoder_context, &training.encoder));
    struct lng_train_result result;
    watch_signals();
    LNG_TRY(lng_train(&training, &result));
    static const char *const ends[] = {"--max-updates reached", "--max-epochs reached",
                                       "no metric got better", "interrupted"};
    lng_info("%s after %lld updates and %lld target tokens", ends[result.end],
             (long long)result.updates, (long long)result.targets);
    if (result.end == LNG_TRAIN_END_INTERRUPTED) {
        lng_info("saved; run the same command again to go on");
        return LNG_OK;
    }
    return export_model(options, s->tokenizer, &result);
}

enum lng_status lng_cmd_train(const struct lng_options *options)
{
    struct session session = {.lock = -1};
    enum lng_status status = open_session(&session, options);
    if (status == LNG_OK)
        status = run_session(&session, options);
    close_session(&session);
    return status;
}
