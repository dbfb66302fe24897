#include "host/data/prefetch.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/base/queue.h"
#include "host/data/long_report.h"
#include "host/data/window_fill.h"

enum {
    SLOTS = 2, /* windows in memory: one handed out, one being prepared */
    AUTOMATIC_BATCHES = 100,
    AUTOMATIC_LEAST = 1024,
    AUTOMATIC_MOST = 65536,
    BYTES_PER_TOKEN = 4, /* a guess for the automatic window */
    MESSAGE_BYTES = 512,
};

enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READY, SLOT_FAILED };

/* Window number n since opening lives in slot n % SLOTS. */
struct slot {
    struct lng_window_fill fill;
    enum slot_state state;
    size_t claimed, done; /* parts; each is claimed in order and done in any */
    size_t failed_part;   /* the first of those that failed, when status says so */
    enum lng_status status;
    char message[MESSAGE_BYTES];
};

struct lng_prefetch {
    struct lng_window_plan plan;
    uint64_t windows, epochs;
    uint64_t settings_digest;
    struct lng_worker *workers;
    int worker_count;

    /* Shared with the workers, under `lock`; a window's fill belongs to who claimed its part,
     * and to the consumer while the slot is ready. */
    pthread_mutex_t lock;
    pthread_cond_t work, ready;
    bool lock_made, work_made, ready_made;
    atomic_bool stop;
    struct slot slots[SLOTS];
    uint64_t begun, taken; /* windows since opening: begun by workers, left by the consumer */
    uint64_t next_epoch, next_window; /* to begin */
    bool failed;                      /* begin no more */

    /* The consumer's own. */
    struct lng_data_position position; /* of the window that is handed out, or comes first */
    bool inside; /* a window is being handed out: position.batch is the next */
    struct lng_long_report report;
    uint64_t window_long_pairs;
    struct lng_prefetch_totals totals;
    struct lng_fill_texts texts;
};

/* ---- workers: all but the encoding itself under the lock ---- */

static void fail_slot(struct lng_prefetch *prefetch, struct slot *slot, size_t part,
                      enum lng_status status)
{
    prefetch->failed = true;
    if (slot->status != LNG_OK && slot->failed_part < part)
        return;
    slot->status = status;
    slot->failed_part = part;
    snprintf(slot->message, sizeof slot->message, "%s", lng_error_message());
}

static bool may_begin(const struct lng_prefetch *prefetch)
{
    return !prefetch->failed && prefetch->begun - prefetch->taken < SLOTS &&
           (prefetch->epochs == 0 || prefetch->next_epoch < prefetch->epochs);
}

static void begin_window(struct lng_prefetch *prefetch)
{
    struct slot *slot = &prefetch->slots[prefetch->begun++ % SLOTS];
    slot->claimed = slot->done = 0;
    slot->state = SLOT_FILLING;
    pthread_cond_broadcast(&prefetch->work);
    enum lng_status status = lng_window_fill_begin(&slot->fill, &prefetch->plan,
                                                   prefetch->next_epoch, prefetch->next_window);
    if (status != LNG_OK) {
        fail_slot(prefetch, slot, 0, status);
        slot->state = SLOT_FAILED;
        pthread_cond_broadcast(&prefetch->ready);
    }
    if (++prefetch->next_window == prefetch->windows) {
        prefetch->next_window = 0;
        prefetch->next_epoch++;
    }
}

/* The next part that nobody works on, of the earliest window; begins a window when there is
 * room. */
static bool claim(struct lng_prefetch *prefetch, struct slot **claimed, size_t *part)
{
    for (;;) {
        for (uint64_t n = prefetch->taken; n < prefetch->begun; n++) {
            struct slot *slot = &prefetch->slots[n % SLOTS];
            if (slot->state == SLOT_FILLING && slot->status == LNG_OK &&
                slot->claimed < slot->fill.part_count) {
                *claimed = slot;
                *part = slot->claimed++;
                return true;
            }
        }
        if (!may_begin(prefetch))
            return false;
        begin_window(prefetch);
    }
}

/* Books a part; whoever does the last one makes the batches. A failed window waits for the parts
 * that were claimed before: all earlier ones are among them, so the first failure is always the
 * same. */
static void complete(struct lng_prefetch *prefetch, struct slot *slot, size_t part,
                     enum lng_status status)
{
    if (status != LNG_OK)
        fail_slot(prefetch, slot, part, status);
    slot->done++;
    bool over = slot->status != LNG_OK || slot->claimed == slot->fill.part_count;
    if (!over || slot->done < slot->claimed)
        return;
    if (slot->status == LNG_OK) {
        pthread_mutex_unlock(&prefetch->lock);
        status = lng_window_fill_finish(&slot->fill, &prefetch->plan);
        pthread_mutex_lock(&prefetch->lock);
        if (status != LNG_OK)
            fail_slot(prefetch, slot, part, status);
    }
    slot->state = slot->status == LNG_OK ? SLOT_READY : SLOT_FAILED;
    pthread_cond_broadcast(&prefetch->ready);
}

/* Does one part if there is one. Called and left with the lock held. */
static bool work_once(struct lng_prefetch *prefetch, struct lng_fill_texts *texts)
{
    struct slot *slot;
    size_t part;
    if (!claim(prefetch, &slot, &part))
        return false;
    pthread_mutex_unlock(&prefetch->lock);
    enum lng_status status =
        lng_window_fill_part(&slot->fill, &prefetch->plan, part, texts, &prefetch->stop);
    pthread_mutex_lock(&prefetch->lock);
    complete(prefetch, slot, part, status);
    return true;
}

static enum lng_status run_worker(void *context)
{
    struct lng_prefetch *prefetch = context;
    struct lng_fill_texts texts = {0};
    pthread_mutex_lock(&prefetch->lock);
    while (!atomic_load(&prefetch->stop)) {
        if (!work_once(prefetch, &texts))
            pthread_cond_wait(&prefetch->work, &prefetch->lock);
    }
    pthread_mutex_unlock(&prefetch->lock);
    lng_fill_texts_release(&texts);
    return LNG_OK;
}

/* ---- the consumer ---- */

/* The window whose turn it is, once it is ready; NULL after the last epoch. */
static struct slot *wait_for_window(struct lng_prefetch *prefetch)
{
    double start = lng_clock();
    struct slot *slot = &prefetch->slots[prefetch->taken % SLOTS];
    pthread_mutex_lock(&prefetch->lock);
    for (;;) {
        bool begun = prefetch->begun > prefetch->taken;
        if (begun && (slot->state == SLOT_READY || slot->state == SLOT_FAILED))
            break;
        if (!begun && !may_begin(prefetch)) {
            slot = NULL;
            break;
        }
        if (prefetch->worker_count == 0)
            (void)work_once(prefetch, &prefetch->texts);
        else
            pthread_cond_wait(&prefetch->ready, &prefetch->lock);
    }
    pthread_mutex_unlock(&prefetch->lock);
    prefetch->totals.wait_seconds += lng_clock() - start;
    return slot;
}

/* Counts what the window dropped; in the first epoch it goes into the report. */
static enum lng_status enter_window(struct lng_prefetch *prefetch, const struct slot *slot)
{
    const struct lng_window_fill *fill = &slot->fill;
    LNG_FAIL_IF(prefetch->position.batch > fill->batches.batch_count, LNG_ERR_MISMATCH,
                "the checkpoint stands at batch %llu of a window that has %zu: the data or the "
                "settings are not those of the run",
                (unsigned long long)prefetch->position.batch, fill->batches.batch_count);
    prefetch->window_long_pairs = 0;
    for (size_t i = 0; i < fill->part_count; i++) {
        const struct lng_encoded *part = &fill->parts[i];
        prefetch->window_long_pairs += part->dropped_count;
        prefetch->totals.cropped += part->cropped;
        prefetch->totals.source_unknown += part->source_unknown;
        prefetch->totals.target_unknown += part->target_unknown;
        if (fill->epoch == 0)
            LNG_TRY(lng_long_report_add(&prefetch->report, prefetch->plan.corpus, part,
                                        prefetch->plan.batch.max_length));
    }
    prefetch->totals.long_pairs += prefetch->window_long_pairs;
    prefetch->inside = true;
    return LNG_OK;
}

/* The start of the window after the one that is handed out. */
static struct lng_data_position next_window(const struct lng_prefetch *prefetch)
{
    struct lng_data_position next = prefetch->position;
    next.batch = 0;
    next.report_bytes = prefetch->report.bytes;
    next.long_pairs += prefetch->window_long_pairs;
    if (++next.window == prefetch->windows) {
        next.window = next.long_pairs = 0;
        next.epoch++;
    }
    return next;
}

static enum lng_status end_epoch(const struct lng_prefetch *prefetch)
{
    const struct lng_data_position *last = &prefetch->position;
    const struct lng_batch_options *batch = &prefetch->plan.batch;
    uint64_t dropped = last->long_pairs + prefetch->window_long_pairs;
    LNG_FAIL_IF(
        last->batch_index == 0, LNG_ERR_RANGE,
        "none of %llu pairs can be trained on: all have more than %lld tokens on a side, or "
        "none; raise the maximum length, or check that the vocabulary fits the corpus",
        (unsigned long long)dropped, (long long)batch->max_length);
    if (last->epoch == 0 && dropped > 0)
        lng_info("first epoch: %llu of %llu pairs left out: more than %lld tokens on a side, or "
                 "none%s%s",
                 (unsigned long long)dropped,
                 (unsigned long long)lng_corpus_count(prefetch->plan.corpus),
                 (long long)batch->max_length,
                 prefetch->report.fd >= 0 ? "; they are listed in " : "",
                 prefetch->report.fd >= 0 ? prefetch->report.path : "");
    return LNG_OK;
}

/* Gives the slot back to the workers. */
static enum lng_status leave_window(struct lng_prefetch *prefetch)
{
    struct lng_data_position next = next_window(prefetch);
    if (next.window == 0)
        LNG_TRY(end_epoch(prefetch));
    prefetch->position = next;
    prefetch->inside = false;
    pthread_mutex_lock(&prefetch->lock);
    prefetch->slots[prefetch->taken % SLOTS].state = SLOT_FREE;
    prefetch->taken++;
    pthread_cond_broadcast(&prefetch->work);
    pthread_mutex_unlock(&prefetch->lock);
    return LNG_OK;
}

static void hand_out(struct lng_prefetch *prefetch, struct lng_pair_batch *batch)
{
    struct lng_data_position *position = &prefetch->position;
    const struct lng_window_fill *fill = &prefetch->slots[prefetch->taken % SLOTS].fill;
    *batch = lng_batch_window_get(&fill->batches, (size_t)position->batch++);
    batch->epoch = position->epoch;
    batch->batch_index = position->batch_index++;
    prefetch->totals.pairs += (uint64_t)batch->count;
    prefetch->totals.source_tokens += (uint64_t)batch->source_tokens;
    prefetch->totals.target_tokens += (uint64_t)batch->target_tokens;
}

static size_t batches_here(const struct lng_prefetch *prefetch)
{
    return prefetch->slots[prefetch->taken % SLOTS].fill.batches.batch_count;
}

enum lng_status lng_prefetch_next(struct lng_prefetch *prefetch, struct lng_pair_batch *batch,
                                  bool *got)
{
    for (;;) {
        if (prefetch->inside && prefetch->position.batch < batches_here(prefetch)) {
            hand_out(prefetch, batch);
            *got = true;
            return LNG_OK;
        }
        if (prefetch->inside)
            LNG_TRY(leave_window(prefetch));
        struct slot *slot = wait_for_window(prefetch);
        if (slot == NULL) {
            *got = false;
            return LNG_OK;
        }
        if (slot->state == SLOT_FAILED)
            return lng_fail(slot->status, "%s", slot->message);
        LNG_TRY(enter_window(prefetch, slot));
    }
}

struct lng_data_position lng_prefetch_position(const struct lng_prefetch *prefetch)
{
    if (prefetch->inside && prefetch->position.batch == batches_here(prefetch))
        return next_window(prefetch);
    return prefetch->position;
}

double lng_prefetch_epochs(const struct lng_prefetch *prefetch)
{
    const struct lng_data_position *position = &prefetch->position;
    double pairs = (double)(position->window * prefetch->plan.window_pairs);
    if (prefetch->inside && batches_here(prefetch) > 0) {
        const struct lng_window_fill *fill = &prefetch->slots[prefetch->taken % SLOTS].fill;
        pairs += (double)fill->pairs * (double)position->batch / (double)batches_here(prefetch);
    }
    return (double)position->epoch + pairs / (double)lng_corpus_count(prefetch->plan.corpus);
}

uint64_t lng_prefetch_window_pairs(const struct lng_prefetch *prefetch)
{
    return prefetch->plan.window_pairs;
}

struct lng_prefetch_totals lng_prefetch_get_totals(const struct lng_prefetch *prefetch)
{
    return prefetch->totals;
}

/* ---- open and close ---- */

static uint64_t digest_settings(const struct lng_prefetch *prefetch)
{
    const struct lng_window_plan *plan = &prefetch->plan;
    const struct lng_batch_options *batch = &plan->batch;
    uint64_t words[] = {
        plan->seed,
        plan->window_pairs,
        plan->shuffle,
        plan->encoder.digest,
        (uint64_t)batch->max_tokens,
        (uint64_t)batch->max_sentences,
        (uint64_t)batch->max_length,
        batch->crop,
        batch->keep_empty,
        batch->in_order,
        (uint64_t)batch->source_eos,
        (uint64_t)batch->target_eos,
    };
    return lng_checksum(words, sizeof words);
}

/* About AUTOMATIC_BATCHES batches, as far as the bytes tell. */
static uint64_t automatic_window(const struct lng_corpus *corpus,
                                 const struct lng_batch_options *batch)
{
    struct lng_corpus_counts counts = lng_corpus_get_counts(corpus, SIZE_MAX);
    uint64_t bytes =
        counts.source_bytes > counts.target_bytes ? counts.source_bytes : counts.target_bytes;
    uint64_t tokens = bytes / counts.kept / BYTES_PER_TOKEN + 1;
    uint64_t pairs = UINT64_MAX;
    if (batch->max_tokens > 0)
        pairs = (uint64_t)batch->max_tokens / tokens + 1;
    if (batch->max_sentences > 0 && (uint64_t)batch->max_sentences < pairs)
        pairs = (uint64_t)batch->max_sentences;
    pairs *= AUTOMATIC_BATCHES;
    return pairs < AUTOMATIC_LEAST  ? AUTOMATIC_LEAST
           : pairs > AUTOMATIC_MOST ? AUTOMATIC_MOST
                                    : pairs;
}

static enum lng_status set_position(struct lng_prefetch *prefetch,
                                    const struct lng_prefetch_options *options)
{
    uint64_t corpus_digest = lng_corpus_digest(options->corpus);
    prefetch->settings_digest = digest_settings(prefetch);
    if (options->position != NULL && options->position->corpus_digest != 0) {
        struct lng_data_position position = *options->position;
        LNG_FAIL_IF(
            position.corpus_digest != corpus_digest, LNG_ERR_MISMATCH,
            "the training corpus is not the one the checkpoint was made with (digest %016llx, "
            "expected %016llx): put the files and the filter settings back as they were, or "
            "start a new run",
            (unsigned long long)corpus_digest, (unsigned long long)position.corpus_digest);
        bool same = position.settings_digest == prefetch->settings_digest;
        LNG_FAIL_IF(
            !same && !options->accept_new_settings, LNG_ERR_MISMATCH,
            "the seed, the vocabulary or the batch settings are not those the checkpoint was "
            "made with: put them back as they were, or start a new run");
        LNG_FAIL_IF(position.window >= prefetch->windows && same, LNG_ERR_MISMATCH,
                    "the checkpoint stands at window %llu of %llu of the training corpus",
                    (unsigned long long)position.window, (unsigned long long)prefetch->windows);
        if (!same) {
            position.batch = 0;
            position.window %= prefetch->windows;
        }
        prefetch->position = position;
    }
    prefetch->position.corpus_digest = corpus_digest;
    prefetch->position.settings_digest = prefetch->settings_digest;
    prefetch->next_epoch = prefetch->position.epoch;
    prefetch->next_window = prefetch->position.window;
    return LNG_OK;
}

static enum lng_status check_options(const struct lng_prefetch_options *options)
{
    LNG_TRY(lng_batch_options_check(&options->batch));
    LNG_FAIL_IF(options->threads < 0 || options->threads > LNG_PREFETCH_MAX_THREADS, LNG_ERR_RANGE,
                "%d threads for the training data: expected 0 to %d", options->threads,
                LNG_PREFETCH_MAX_THREADS);
    LNG_FAIL_IF(options->window_pairs > LNG_PREFETCH_MAX_WINDOW, LNG_ERR_RANGE,
                "a shuffle window of %llu pairs: expected at most %d",
                (unsigned long long)options->window_pairs, LNG_PREFETCH_MAX_WINDOW);
    return LNG_OK;
}

static enum lng_status start_threads(struct lng_prefetch *prefetch, int threads)
{
    prefetch->lock_made = pthread_mutex_init(&prefetch->lock, NULL) == 0;
    prefetch->work_made = pthread_cond_init(&prefetch->work, NULL) == 0;
    prefetch->ready_made = pthread_cond_init(&prefetch->ready, NULL) == 0;
    LNG_FAIL_IF(!prefetch->lock_made || !prefetch->work_made || !prefetch->ready_made,
                LNG_ERR_MEMORY, "the system has no lock to give");
    prefetch->workers = lng_alloc((size_t)threads, sizeof *prefetch->workers);
    if (prefetch->workers == NULL)
        return LNG_ERR_MEMORY;
    for (; prefetch->worker_count < threads; prefetch->worker_count++)
        LNG_TRY(lng_worker_start(&prefetch->workers[prefetch->worker_count], "lingster-data",
                                 run_worker, prefetch));
    return LNG_OK;
}

enum lng_status lng_prefetch_open(const struct lng_prefetch_options *options,
                                  struct lng_prefetch **prefetch)
{
    LNG_TRY(check_options(options));
    struct lng_prefetch *fresh = lng_alloc(1, sizeof *fresh);
    if (fresh == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    uint64_t window = options->window_pairs;
    fresh->report.fd = -1;
    fresh->epochs = options->epochs;
    fresh->plan = (struct lng_window_plan){
        .corpus = options->corpus,
        .encoder = options->encoder,
        .batch = options->batch,
        .seed = options->seed,
        .window_pairs = window ? window : automatic_window(options->corpus, &options->batch),
        .shuffle = !options->no_shuffle && !options->batch.in_order,
    };
    fresh->windows = lng_window_plan_count(&fresh->plan);
    LNG_TRY_OR_FAIL(set_position(fresh, options));
    LNG_TRY_OR_FAIL(lng_long_report_open(&fresh->report, options->long_report_path,
                                         fresh->position.report_bytes));
    LNG_TRY_OR_FAIL(start_threads(fresh, options->threads));
    *prefetch = fresh;
    return LNG_OK;
fail:
    lng_prefetch_close(fresh);
    return status;
}

void lng_prefetch_close(struct lng_prefetch *prefetch)
{
    if (prefetch == NULL)
        return;
    if (prefetch->worker_count > 0) {
        pthread_mutex_lock(&prefetch->lock);
        atomic_store(&prefetch->stop, true);
        pthread_cond_broadcast(&prefetch->work);
        pthread_mutex_unlock(&prefetch->lock);
    }
    for (int i = 0; i < prefetch->worker_count; i++)
        (void)!lng_worker_join(&prefetch->workers[i]);
    for (int i = 0; i < SLOTS; i++)
        lng_window_fill_release(&prefetch->slots[i].fill);
    if (prefetch->lock_made)
        pthread_mutex_destroy(&prefetch->lock);
    if (prefetch->work_made)
        pthread_cond_destroy(&prefetch->work);
    if (prefetch->ready_made)
        pthread_cond_destroy(&prefetch->ready);
    lng_long_report_close(&prefetch->report);
    lng_fill_texts_release(&prefetch->texts);
    lng_free(prefetch->workers);
    lng_free(prefetch);
}
