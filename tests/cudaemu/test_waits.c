/* Training on the double, its streams run only when something waits for them: how often the host waits, what the device
 * has left to do then, and that updates asked for ahead end as if each had been waited for. */
#define EMU_VARIANT "plain"
#include "tests/cudaemu/on_double.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/store/checkpoint.h"
#include "host/store/run_dir.h"
#include "host/train/trainer.h"
#include "host/train/update.h"
#include "kernels/observe.h"
#include "tests/cudaemu/count_on.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/word_encoder.h"

enum { PAIRS = 60, WORDS = 5, VOCABULARY = 40, MOST_BAD = 4 };

/* Before any test, as the double reads it once. */
__attribute__((constructor)) static void queue_streams(void)
{
    setenv("LNG_CUDAEMU_ASYNC", "1", 1);
}

static void setup(void)
{
    scratch_make();
    lng_log_set_level(LNG_LOG_ERROR);
}
TestSuite(waits, .init = setup, .fini = scratch_remove, .timeout = 200);

/* A run: further options by name, and which attempts at an update are to fail or to be the last. */
struct plan {
    const char *name;
    const char *options[14];
    int bad[MOST_BAD]; /* from 1, in the order of their steps */
    int interrupt_after;
};

struct session {
    struct lng_device *device;
    struct lng_model model;
    struct lng_corpus *corpus;
    struct lng_options options;
    const struct plan *plan;
    int steps;
    volatile sig_atomic_t interrupted;
};

/* All of one length, so that each batch takes the memory that every other does. */
static struct lng_corpus *make_corpus(void)
{
    char *text = calloc(PAIRS, 8 * WORDS);
    struct lng_corpus *corpus;
    for (int i = 0; i < PAIRS; i++)
        for (int k = 0; k < WORDS; k++)
            sprintf(text + strlen(text), "%d%c", (i * 7 + k * k * 3) % 20,
                    k + 1 < WORDS ? ' ' : '\n');
    scratch_write("s", text, strlen(text));
    scratch_write("t", text, strlen(text));
    free(text);
    const struct lng_corpus_files files = {scratch_path("s"), scratch_path("t")};
    check_ok(
        lng_corpus_open(&(struct lng_corpus_options){.files = &files, .file_count = 1}, &corpus));
    return corpus;
}

static const struct lng_command command = {.name = "train", .bit = LNG_FOR_TRAIN};

static void session_open(struct session *s, const struct plan *plan)
{
    static const char *const common[][2] = {
        {"batch-tokens", "24"}, {"max-length", "16"}, {"lr", "0.01"},         {"warmup", "5u"},
        {"dropout", "0.1"},     {"clip-norm", "0.5"}, {"log-every", "1u"},    {"save-every", "3u"},
        {"ema", "0.1"},         {"keep-last", "99"},  {"loader-threads", "1"}};
    *s = (struct session){.plan = plan};
    check_ok(lng_options_init(&s->options, &command));
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        check_ok(lng_options_set(&s->options, common[i][0], common[i][1]));
    for (size_t i = 0; plan->options[i] != NULL; i += 2)
        check_ok(lng_options_set(&s->options, plan->options[i], plan->options[i + 1]));
    struct lng_hparams h = tiny_hparams();
    h.source_vocab = h.target_vocab = VOCABULARY;
    h.pad = h.decoder_start = VOCABULARY - 1;
    check_ok(lng_device_open("cuda", NULL, &s->device));
    check_ok(lng_model_init(
        &s->model, s->device, &h,
        s->options.train_dtype == LNG_OPT_TRAIN_DTYPE_BF16 ? LNG_DTYPE_BF16 : LNG_DTYPE_F32, true));
    s->corpus = make_corpus();
}

static void session_close(struct session *s)
{
    lng_corpus_close(s->corpus);
    lng_model_release(&s->model);
    lng_device_close(s->device);
    lng_options_release(&s->options);
}

/* A gradient of NaN in the attempts that are to fail; the signal before the next of the last. */
static enum lng_status look_on(void *context, struct lng_device *device,
                               const struct lng_op_call *call)
{
    struct session *s = context;
    const float bad = NAN;
    s->steps += strcmp(call->op, "gradient_stats") == 0;
    s->interrupted = s->plan->interrupt_after > 0 && s->steps >= s->plan->interrupt_after;
    for (int i = 0; i < MOST_BAD; i++)
        if (s->plan->bad[i] == s->steps + 1 && strcmp(call->op, "embed_bwd") == 0)
            return lng_device_write(device, s->model.gradients, &bad, sizeof bad);
    return LNG_OK;
}

static enum lng_status train(const struct plan *plan, struct lng_train_result *result,
                             struct cudaemu_counts *counts)
{
    struct session s;
    struct cudaemu_counts before, after;
    session_open(&s, plan);
    const struct lng_op_observer observer = {look_on, &s};
    const struct lng_training training = {
        .options = &s.options,
        .model = &s.model,
        .corpus = s.corpus,
        .encoder = {.encode = word_encode, .digest = 1},
        .source_unknown = -1,
        .target_unknown = -1,
        .run_dir = scratch_path(plan->name),
        .interrupted = &s.interrupted,
    };
    int lock;
    check_ok(lng_run_lock(training.run_dir, &lock)); /* makes the folders */
    lng_device_observe(s.device, &observer);
    emu_count(&before);
    enum lng_status status = lng_train(&training, result);
    emu_count(&after);
    session_close(&s);
    lng_run_unlock(lock);
    if (counts != NULL)
        *counts = (struct cudaemu_counts){.kernels = after.kernels - before.kernels,
                                          .waits = after.waits - before.waits,
                                          .idle = after.idle - before.idle};
    return status;
}

static void train_whole(const struct plan *plan, int64_t updates)
{
    struct lng_train_result result;
    check_ok(train(plan, &result, NULL));
    cr_assert_eq(result.updates, updates, "%s: %lld updates", plan->name,
                 (long long)result.updates);
}

/* All that the events tell but times, a line each; lng_free. */
static char *told(const char *run)
{
    static const char *const times[] = {"time", "seconds", "targets_per_second"};
    char path[4200], line[4096];
    struct lng_buffer all = {0};
    snprintf(path, sizeof path, "%s/metrics.jsonl", scratch_path(run));
    FILE *file = fopen(path, "r");
    cr_assert(file != NULL, "%s", path);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *row = json_loads(line, 0, NULL);
        for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
            json_object_del(row, times[i]);
        char *text = json_dumps(row, JSON_REAL_PRECISION(17));
        check_ok(lng_buffer_append_text(&all, text));
        check_ok(lng_buffer_append_text(&all, "\n"));
        free(text);
        json_decref(row);
    }
    (void)fclose(file);
    return all.data;
}

static uint64_t last_checkpoint(const char *run, uint64_t checksums[4])
{
    static const char *const names[] = {LNG_SECTION_PARAMETERS, LNG_SECTION_ADAM_M,
                                        LNG_SECTION_ADAM_V, LNG_SECTION_EMA};
    struct lng_checkpoint file;
    struct lng_buffer warnings = {0};
    uint64_t update = 0;
    bool found;
    check_ok(lng_checkpoint_open_latest(scratch_path(run), &file, &update, &found, &warnings));
    cr_assert(found, "%s", run);
    for (int i = 0; i < 4; i++) {
        const struct lng_checkpoint_section *section = lng_checkpoint_find(&file, names[i]);
        cr_assert(section != NULL && section->length > 1000);
        checksums[i] = section->checksum;
    }
    lng_checkpoint_close(&file);
    lng_buffer_release(&warnings);
    return update;
}

/* Parameters, moments and average of the last checkpoints, bit by bit, and, where asked, what was told. */
static void expect_same(const char *a, const char *b, bool events)
{
    uint64_t sums[2][4];
    cr_assert_eq(last_checkpoint(a, sums[0]), last_checkpoint(b, sums[1]));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(sums[0][i], sums[1][i], "%s and %s: section %d", a, b, i);
    if (!events)
        return;
    char *texts[2] = {told(a), told(b)};
    cr_assert_str_eq(texts[0], texts[1]);
    lng_free(texts[0]);
    lng_free(texts[1]);
}

/* Of an update there is one wait, and the next one's work is queued meanwhile; of one that must end first, as a
 * checkpoint follows, there is one too. */
static void expect_one_wait(const char *accumulate, const char *dtype)
{
    struct lng_train_result result;
    struct cudaemu_counts counts[2];
    const char *updates[2] = {"4", "11"};
    for (int i = 0; i < 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s-%s-%d", accumulate, dtype, i);
        const struct plan plan = {name,
                                  {"accumulate", accumulate, "dtype", dtype, "save-every", "100u",
                                   "max-updates", updates[i], NULL},
                                  {0},
                                  0};
        check_ok(train(&plan, &result, &counts[i]));
    }
    fprintf(stderr, "accumulate %s, %s: %d and %d waits, %d and %d of them idle\n", accumulate,
            dtype, (int)counts[0].waits, (int)counts[1].waits, (int)counts[0].idle,
            (int)counts[1].idle);
    cr_assert(counts[1].kernels > 2 * counts[0].kernels);
    cr_assert_eq(counts[1].waits - counts[0].waits, 7);
    cr_assert_eq(counts[1].idle, counts[0].idle);
}

Test(waits, are_one_an_update_with_work_behind_it)
{
    expect_one_wait("1", "f32");
    expect_one_wait("1", "bf16");
    expect_one_wait("8", "f32");
}

/* Asking waits for nothing, ending for one update only. */
Test(waits, are_at_the_end_of_an_update_alone)
{
    static const struct plan plan = {"", {NULL}, {0}, 0};
    struct session s;
    struct lng_optimizer optimizer;
    struct lng_workspace *workspace;
    struct lng_update updates[2];
    struct lng_loss_sums sums;
    struct lng_step_result step;
    struct cudaemu_counts counts[5];
    struct tiny_corpus corpus = tiny_corpus_make(3, 9, 5);
    const struct lng_sequences sentences = {
        .ids = corpus.ids, .offsets = corpus.offsets, .count = 3};
    const struct lng_batch_limits limits = {.source_rows = corpus.offsets[3],
                                            .target_rows = corpus.offsets[3],
                                            .sentences = 3,
                                            .backward = true};
    const struct lng_regularization regularization = {.dropout = 0.1};
    session_open(&s, &plan);
    check_ok(lng_model_randomize(&s.model, 3, false));
    check_ok(lng_workspace_open(&s.model, &limits, &workspace));
    check_ok(lng_optimizer_init(&optimizer, &s.model, true));
    for (int i = 0; i < 2; i++)
        check_ok(lng_update_open(&updates[i], &optimizer, workspace, 2));
    for (int i = 0; i < 3; i++) { /* the first takes scratch memory */
        struct lng_update *update = &updates[i % 2];
        emu_count(&counts[i]);
        check_ok(lng_update_begin(update));
        for (int k = 0; k < 2; k++)
            check_ok(lng_update_batch(update, &sentences, &sentences, &regularization));
        if (i == 2)
            check_ok(lng_update_end(&updates[1], &s.options, &sums, &step));
        emu_count(&counts[3]);
        check_ok(lng_update_step(update, &s.options, 1e-3));
        if (i == 0)
            check_ok(lng_update_end(update, &s.options, &sums, &step));
    }
    cr_assert(counts[2].waits == counts[1].waits, "asking for an update");
    cr_assert(counts[3].waits == counts[2].waits + 1 && counts[3].idle == counts[2].idle);
    check_ok(lng_update_end(&updates[0], &s.options, &sums, &step));
    emu_count(&counts[4]);
    cr_assert(counts[4].waits == counts[3].waits + 1 && counts[4].idle == counts[3].idle + 1);
    cr_assert(sums.tokens == 2 * corpus.offsets[3] && sums.loss > 0 && step.gradient_norm > 0);
    cr_assert_eq(optimizer.steps, 3);
    for (int i = 0; i < 2; i++)
        lng_update_close(&updates[i]);
    lng_optimizer_release(&optimizer);
    lng_workspace_close(workspace);
    tiny_corpus_release(&corpus);
    session_close(&s);
}

/* With validation, of nothing, due after every update none is asked for ahead. */
#define EACH_WAITED_FOR "valid-every", "1u"
#define AHEAD "valid-every", "1000u"

static void expect_as_waited_for(const char *policy, const char *accumulate,
                                 const int bad[MOST_BAD])
{
    const struct plan plans[2] = {
        {"ahead",
         {AHEAD, "nan-policy", policy, "accumulate", accumulate, "max-updates", "13", NULL},
         {bad[0], bad[1], bad[2], bad[3]},
         0},
        {"waited",
         {EACH_WAITED_FOR, "nan-policy", policy, "accumulate", accumulate, "max-updates", "13",
          NULL},
         {bad[0], bad[1], bad[2], bad[3]},
         0}};
    for (int i = 0; i < 2; i++)
        train_whole(&plans[i], 13);
    expect_same("ahead", "waited", true);
}

Test(waits, change_no_bit)
{
    expect_as_waited_for("skip", "1", (int[MOST_BAD]){0});
}
Test(waits, change_no_bit_of_several_batches)
{
    expect_as_waited_for("skip", "3", (int[MOST_BAD]){2, 8, 9, 0});
}
Test(waits, change_nothing_about_updates_that_are_skipped)
{
    expect_as_waited_for("skip", "1", (int[MOST_BAD]){1, 5, 6, 11});
    char *text = told("ahead");
    cr_assert(strstr(text, "\"skipped\": 4") != NULL, "%s", text);
    lng_free(text);
}
Test(waits, change_nothing_about_going_back)
{
    expect_as_waited_for("rollback", "1", (int[MOST_BAD]){1, 5, 6, 12});
    char *text = told("ahead");
    cr_assert(strstr(text, "\"rollbacks\": 3") != NULL, "%s", text);
    lng_free(text);
}

/* The message has the number of the update that failed; nothing of it was saved. */
Test(waits, change_nothing_about_stopping)
{
    static const struct plan plans[2] = {
        {"ahead", {AHEAD, "nan-policy", "stop", "max-updates", "13", NULL}, {8}, 0},
        {"waited", {EACH_WAITED_FOR, "nan-policy", "stop", "max-updates", "13", NULL}, {8}, 0}};
    struct lng_train_result result;
    uint64_t sums[4];
    for (int i = 0; i < 2; i++) {
        check_fails(train(&plans[i], &result, NULL), LNG_ERR_RANGE,
                    "update 8: 1 gradient entries are not finite");
        cr_assert_eq(last_checkpoint(plans[i].name, sums), 6);
    }
    expect_same("ahead", "waited", true);
}

/* In parts, one of them cut short by a signal: as in one go. */
Test(waits, change_nothing_about_resuming)
{
    static const struct plan plans[] = {{"whole", {AHEAD, "max-updates", "13", NULL}, {0}, 0},
                                        {"parts", {AHEAD, "max-updates", "13", NULL}, {0}, 5},
                                        {"parts", {AHEAD, "max-updates", "11", NULL}, {0}, 0},
                                        {"parts", {AHEAD, "max-updates", "13", NULL}, {0}, 0}};
    struct lng_train_result result;
    train_whole(&plans[0], 13);
    check_ok(train(&plans[1], &result, NULL));
    cr_assert(result.end == LNG_TRAIN_END_INTERRUPTED && result.updates == 5, "%lld",
              (long long)result.updates);
    train_whole(&plans[2], 11);
    train_whole(&plans[3], 13);
    expect_same("whole", "parts", false);
}

static void expect_as_kept(const char *dtype, const char *position)
{
    const struct plan plans[2] = {{"kept",
                                   {AHEAD, "dtype", dtype, "norm-position", position, "accumulate",
                                    "2", "max-updates", "5", NULL},
                                   {0},
                                   0},
                                  {"again",
                                   {AHEAD, "dtype", dtype, "norm-position", position, "accumulate",
                                    "2", "max-updates", "5", "recompute", "true", NULL},
                                   {0},
                                   0}};
    struct cudaemu_counts counts[2];
    struct lng_train_result result;
    for (int i = 0; i < 2; i++)
        check_ok(train(&plans[i], &result, &counts[i]));
    expect_same("kept", "again", true);
    fprintf(stderr, "%s, %s: %d kernels, recomputing %d\n", dtype, position, (int)counts[0].kernels,
            (int)counts[1].kernels);
    cr_assert(counts[1].kernels > counts[0].kernels + counts[0].kernels / 10);
}

/* Layers computed again are queued as all else, and have the bits that were kept. */
Test(waits, change_nothing_about_recomputing)
{
    expect_as_kept("f32", "post");
}
Test(waits, change_nothing_about_recomputing_in_bf16)
{
    expect_as_kept("bf16", "pre");
}

/* Wherever that happens: with its message, and everything is given back. */
Test(waits, end_with_a_lost_device)
{
    static const struct plan plan = {"lost", {AHEAD, "max-updates", "13", NULL}, {0}, 0};
    struct lng_train_result result;
    size_t before = lng_mem_get_stats().blocks_live;
    setenv("LNG_CUDAEMU_FATAL_LAUNCH", "1500", 1);
    check_fails(train(&plan, &result, NULL), LNG_ERR_DEVICE, "cudaErrorIllegalAddress");
    cr_assert_eq(lng_mem_get_stats().blocks_live, before);
}
