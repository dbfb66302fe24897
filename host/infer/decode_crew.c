#include "host/infer/decode_crew.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/infer/steer.h"

/* Hypotheses in a step below which threads are better put to one batch. */
enum { FEWEST_ROWS = 16, MESSAGE = 2048 };

struct mate {
    struct lng_crew *crew;
    struct lng_device *device;
    struct lng_model model;
    struct lng_search *search;
    pthread_t thread;
    bool started;
};

struct lng_crew {
    struct mate *mates;
    int32_t count;
    pthread_mutex_t queue_mutex, done_mutex;
    /* the present run */
    struct lng_search_queue *queue;
    const struct lng_search_input *inputs;
    int64_t input_count;
    lng_search_done done;
    void *context;
    enum lng_status status;
    char message[MESSAGE];
};

static enum lng_status open_mate(struct lng_crew *crew, const struct lng_search *search,
                                 const struct lng_search_options *options, int32_t number)
{
    const struct lng_device *device = search->model->device;
    const int threads = lng_device_threads(device);
    struct mate *mate = &crew->mates[number];
    mate->crew = crew;
    LNG_TRY(
        lng_device_open(lng_device_name(device),
                        &(struct lng_device_options){.threads = threads / crew->count +
                                                                (number < threads % crew->count)},
                        &mate->device));
    lng_model_share(search->model, mate->device, &mate->model);
    struct lng_search_options own = *options;
    own.workers = 1;
    own.cache_bytes = search->options.cache_bytes / (size_t)crew->count;
    return lng_search_open(&mate->model, &own, &mate->search);
}

enum lng_status lng_crew_open(struct lng_search *search, const struct lng_search_options *options)
{
    const int threads = lng_device_threads(search->model->device);
    const int32_t wanted = options->workers == 0 ? threads : options->workers;
    const int32_t count = wanted < threads ? wanted : threads;
    if (count < 2 || options->steering.member_count > 0 ||
        strcmp(lng_device_name(search->model->device), "cpu") != 0)
        return LNG_OK;
    struct lng_crew *crew = lng_alloc(1, sizeof *crew);
    if (crew == NULL)
        return LNG_ERR_MEMORY;
    crew->mates = lng_alloc((size_t)count, sizeof *crew->mates);
    if (crew->mates == NULL) {
        lng_free(crew);
        return LNG_ERR_MEMORY;
    }
    pthread_mutex_init(&crew->queue_mutex, NULL);
    pthread_mutex_init(&crew->done_mutex, NULL);
    crew->count = count;
    for (int32_t i = 0; i < count; i++) {
        enum lng_status status = open_mate(crew, search, options, i);
        if (status != LNG_OK) {
            lng_crew_close(crew);
            return status;
        }
    }
    search->crew = crew;
    return LNG_OK;
}

void lng_crew_close(struct lng_crew *crew)
{
    if (crew == NULL)
        return;
    for (int32_t i = 0; i < crew->count; i++) {
        lng_search_close(crew->mates[i].search);
        lng_model_release(&crew->mates[i].model);
        lng_device_close(crew->mates[i].device);
    }
    pthread_mutex_destroy(&crew->queue_mutex);
    pthread_mutex_destroy(&crew->done_mutex);
    lng_free(crew->mates);
    lng_free(crew);
}

bool lng_crew_pays(const struct lng_search *search, const struct lng_search_input *longest,
                   int64_t count)
{
    const struct lng_crew *crew = search->crew;
    if (crew == NULL)
        return false;
    const int64_t beam = search->options.beam.beam, time = lng_search_time(search, longest);
    const int64_t rows = beam > FEWEST_ROWS ? beam : FEWEST_ROWS;
    const size_t bytes = lng_kv_position_bytes(search->model) + lng_steer_position_bytes(search);
    return count * beam >= (int64_t)FEWEST_ROWS * crew->count &&
           rows * time <= (int64_t)(search->options.cache_bytes / (size_t)crew->count / bytes);
}

enum lng_status lng_crew_prepare(struct lng_crew *crew, const struct lng_search_input *inputs,
                                 int64_t count)
{
    enum lng_status status = LNG_OK;
    for (int32_t i = 0; i < crew->count && status == LNG_OK; i++)
        status = lng_search_prepare(crew->mates[i].search, inputs, count,
                                    (count + crew->count - 1) / crew->count);
    if (status != LNG_OK)
        lng_crew_release_plans(crew);
    return status;
}

void lng_crew_release_plans(struct lng_crew *crew)
{
    for (int32_t i = 0; crew != NULL && i < crew->count; i++)
        lng_search_release_plan(crew->mates[i].search);
}

/* The first failure is the crew's: its message belongs to the thread that failed. */
static void stop(struct lng_crew *crew, enum lng_status status)
{
    pthread_mutex_lock(&crew->queue_mutex);
    if (crew->status == LNG_OK) {
        crew->status = status;
        strncpy(crew->message, lng_error_message(), MESSAGE - 1);
    }
    crew->queue->stopped = true;
    pthread_mutex_unlock(&crew->queue_mutex);
}

/* Once somebody has failed nothing more is handed on. */
static enum lng_status hand_on(void *context, const struct lng_search_result *result)
{
    struct lng_crew *crew = context;
    pthread_mutex_lock(&crew->done_mutex);
    pthread_mutex_lock(&crew->queue_mutex);
    enum lng_status status = crew->status;
    pthread_mutex_unlock(&crew->queue_mutex);
    if (status == LNG_OK) {
        status = crew->done(crew->context, result);
        if (status != LNG_OK)
            stop(crew, status);
    }
    pthread_mutex_unlock(&crew->done_mutex);
    return status;
}

static void *work(void *argument)
{
    struct mate *mate = argument;
    struct lng_crew *crew = mate->crew;
    enum lng_status status =
        lng_search_work(mate->search, crew->queue, crew->inputs, crew->input_count, hand_on, crew);
    if (status != LNG_OK)
        stop(crew, status);
    return NULL;
}

enum lng_status lng_crew_run(struct lng_search *search, struct lng_search_queue *queue,
                             const struct lng_search_input *inputs, lng_search_done done,
                             void *context)
{
    struct lng_crew *crew = search->crew;
    crew->queue = queue;
    crew->inputs = inputs;
    crew->input_count = queue->count;
    crew->done = done;
    crew->context = context;
    crew->status = LNG_OK;
    queue->mutex = &crew->queue_mutex;
    queue->takers = crew->count;
    for (int32_t i = 1; i < crew->count; i++)
        crew->mates[i].started =
            pthread_create(&crew->mates[i].thread, NULL, work, &crew->mates[i]) == 0;
    (void)work(&crew->mates[0]); /* what waits for a thread that could not be had, it takes too */
    for (int32_t i = 1; i < crew->count; i++)
        if (crew->mates[i].started)
            pthread_join(crew->mates[i].thread, NULL);
    crew->queue = NULL;
    LNG_FAIL_IF(crew->status != LNG_OK, crew->status, "%s", crew->message);
    return LNG_OK;
}

void lng_crew_add_stats(const struct lng_crew *crew, struct lng_search_stats *stats)
{
    for (int32_t i = 0; crew != NULL && i < crew->count; i++) {
        const struct lng_search_stats mate = lng_search_get_stats(crew->mates[i].search);
        stats->steps += mate.steps;
        stats->rows += mate.rows;
        stats->groups += mate.groups;
        stats->encoded += mate.encoded;
        stats->device_bytes += mate.device_bytes;
        stats->cache_bytes += mate.cache_bytes;
        stats->sentences_at_once += mate.sentences_at_once;
    }
}
