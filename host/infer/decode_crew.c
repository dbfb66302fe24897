#include "host/infer/decode_crew.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/infer/steer.h"

/* Hypotheses in a step below which threads are better put to one batch; workers of a GPU. */
enum { FEWEST_ROWS = 16, MOST_ON_GPU = 8, DEFAULT_ON_GPU = 2, MESSAGE = 2048 };

struct mate {
    struct lng_crew *crew;
    struct lng_device *device; /* NULL: it works on its model's own */
    struct lng_model shared;   /* on that device */
    struct lng_search *search; /* NULL: not opened yet */
    pthread_t thread;
    bool started;
};

struct lng_crew {
    struct lng_search_options options; /* of each */
    int32_t *banned;                   /* what they point to */
    struct mate
        *mates; /* the first of each model come before the second of any: so do those that work */
    int32_t count, models;
    int32_t most;        /* count, or as many as memory was found for */
    bool gpu, when_full; /* when_full: more than one a model only where each has a full batch */
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

static bool is_gpu(const struct lng_device *device)
{
    return strncmp(lng_device_name(device), "cuda", 4) == 0;
}

/* How many batches are worth having at once for each model. */
static int32_t count_each(const struct lng_search *search, const struct lng_search_options *options)
{
    const struct lng_device *device = search->model->device;
    const int32_t wanted = options->workers;
    int32_t most = 1;
    if (strcmp(lng_device_name(device), "cpu") == 0)
        most = lng_device_threads(device);
    else if (is_gpu(device) && !search->model->training) /* handles of weights would not follow */
        most = wanted == 0 ? DEFAULT_ON_GPU : MOST_ON_GPU;
    return wanted == 0 || wanted > most ? most : wanted;
}

/* A device of its own for a mate, and its model there. */
static enum lng_status open_device(struct mate *mate, const struct lng_model *model, int32_t number)
{
    const struct lng_crew *crew = mate->crew;
    const int threads = crew->gpu ? 0 : lng_device_threads(model->device);
    const struct lng_device_options options = {.threads = threads / crew->count +
                                                          (number < threads % crew->count)};
    LNG_TRY(lng_device_open(lng_device_name(model->device), &options, &mate->device));
    return lng_model_share(model, mate->device, &mate->shared);
}

static void close_mate(struct mate *mate)
{
    lng_search_close(mate->search);
    if (mate->shared.device != NULL)
        lng_model_release(&mate->shared);
    lng_device_close(mate->device);
    *mate = (struct mate){.crew = mate->crew};
}

/* The first mate on a GPU works where the search itself, or the copy's owner, does: its memory is there already. */
static enum lng_status open_mate(struct lng_search *search, int32_t number)
{
    struct lng_crew *crew = search->crew;
    struct mate *mate = &crew->mates[number];
    const int32_t of = number % crew->models;
    struct lng_model *model = of == 0 ? search->model : crew->options.copies[of - 1];
    if (mate->search != NULL)
        return LNG_OK;
    enum lng_status status = LNG_OK;
    if (!crew->gpu || number >= crew->models) {
        status = open_device(mate, model, number);
        model = &mate->shared;
    }
    struct lng_search_options own = crew->options;
    own.workers = 1;
    own.copy_count = 0;
    own.cache_bytes = search->options.cache_bytes / (size_t)(crew->count / crew->models);
    if (status == LNG_OK)
        status = lng_search_open(model, &own, &mate->search);
    if (status != LNG_OK)
        close_mate(mate);
    return status;
}

enum lng_status lng_crew_open(struct lng_search *search, const struct lng_search_options *options)
{
    const int32_t models = 1 + options->copy_count;
    const int32_t count = models * count_each(search, options);
    if (count < 2 || options->steering.member_count > 0)
        return LNG_OK;
    struct lng_crew *crew = lng_alloc(1, sizeof *crew);
    if (crew == NULL)
        return LNG_ERR_MEMORY;
    crew->mates = lng_alloc((size_t)count, sizeof *crew->mates);
    crew->banned = lng_alloc(options->banned_count + 1, sizeof *crew->banned);
    if (crew->mates == NULL || crew->banned == NULL) {
        lng_free(crew->mates);
        lng_free(crew->banned);
        lng_free(crew);
        return LNG_ERR_MEMORY;
    }
    if (options->banned_count > 0)
        memcpy(crew->banned, options->banned, options->banned_count * sizeof *crew->banned);
    crew->options = *options;
    crew->options.banned = crew->banned;
    pthread_mutex_init(&crew->queue_mutex, NULL);
    pthread_mutex_init(&crew->done_mutex, NULL);
    crew->count = crew->most = count;
    crew->models = models;
    crew->gpu = is_gpu(search->model->device);
    crew->when_full = crew->gpu && options->workers == 0;
    for (int32_t i = 0; i < count; i++)
        crew->mates[i].crew = crew;
    search->crew = crew; /* which the caller closes with the search, also after a failure: */
    for (int32_t i = 0; i < count && !crew->gpu; i++)
        LNG_TRY(open_mate(search, i));
    return LNG_OK;
}

void lng_crew_close(struct lng_crew *crew)
{
    if (crew == NULL)
        return;
    for (int32_t i = 0; i < crew->count; i++)
        close_mate(&crew->mates[i]);
    pthread_mutex_destroy(&crew->queue_mutex);
    pthread_mutex_destroy(&crew->done_mutex);
    lng_free(crew->mates);
    lng_free(crew->banned);
    lng_free(crew);
}

int32_t lng_crew_size(const struct lng_search *search, const struct lng_search_input *longest,
                      int64_t count)
{
    const struct lng_crew *crew = search->crew;
    if (crew == NULL)
        return 1;
    const int32_t each = crew->count / crew->models;
    const int64_t beam = search->options.beam.beam, time = lng_search_time(search, longest);
    const int64_t rows = beam > FEWEST_ROWS ? beam : FEWEST_ROWS;
    const size_t bytes = lng_kv_position_bytes(search->model) + lng_steer_position_bytes(search);
    if (rows * time > (int64_t)(search->options.cache_bytes / (size_t)each / bytes))
        return 1;
    const bool all =
        crew->most == crew->count && count * beam >= (int64_t)FEWEST_ROWS * crew->count;
    if (all && (!crew->when_full || count >= crew->count * lng_search_full_seats(search)))
        return crew->count;
    return crew->most >= crew->models && count * beam >= (int64_t)FEWEST_ROWS * crew->models
               ? crew->models
               : 1;
}

enum lng_status lng_crew_prepare(struct lng_search *search, const struct lng_search_input *inputs,
                                 int64_t count, int32_t mates)
{
    struct lng_crew *crew = search->crew;
    enum lng_status status = LNG_OK;
    for (int32_t i = 0; i < mates && status == LNG_OK; i++) {
        status = open_mate(search, i);
        if (status == LNG_ERR_MEMORY) /* the next run need not try */
            crew->most = i >= crew->models ? crew->models : 1;
    }
    for (int32_t i = 0; i < mates && status == LNG_OK; i++)
        status =
            lng_search_prepare(crew->mates[i].search, inputs, count, (count + mates - 1) / mates);
    if (status != LNG_OK)
        lng_crew_release_plans(crew);
    return status;
}

int32_t lng_crew_fewer(const struct lng_crew *crew, int32_t mates)
{
    return mates > crew->models && crew->most >= crew->models ? crew->models : 1;
}

void lng_crew_release_plans(struct lng_crew *crew)
{
    for (int32_t i = 0; crew != NULL && i < crew->count; i++) {
        struct lng_search *search = crew->mates[i].search;
        if (search == NULL || search->plan.seats == 0)
            continue;
        lng_search_release_plan(search);
        lng_device_trim(search->model->device);
    }
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
                             const struct lng_search_input *inputs, int32_t mates,
                             lng_search_done done, void *context)
{
    struct lng_crew *crew = search->crew;
    crew->queue = queue;
    crew->inputs = inputs;
    crew->input_count = queue->count;
    crew->done = done;
    crew->context = context;
    crew->status = LNG_OK;
    queue->mutex = &crew->queue_mutex;
    queue->takers = mates;
    for (int32_t i = 1; i < mates; i++)
        crew->mates[i].started =
            pthread_create(&crew->mates[i].thread, NULL, work, &crew->mates[i]) == 0;
    (void)work(&crew->mates[0]); /* what waits for a thread that could not be had, it takes too */
    for (int32_t i = 1; i < mates; i++)
        if (crew->mates[i].started)
            pthread_join(crew->mates[i].thread, NULL);
    crew->queue = NULL;
    LNG_FAIL_IF(crew->status != LNG_OK, crew->status, "%s", crew->message);
    return LNG_OK;
}

void lng_crew_add_stats(const struct lng_crew *crew, const struct lng_search *search,
                        struct lng_search_stats *stats)
{
    for (int32_t i = 0; crew != NULL && i < crew->count; i++) {
        if (crew->mates[i].search == NULL)
            continue;
        const struct lng_search_stats mate = lng_search_get_stats(crew->mates[i].search);
        stats->steps += mate.steps;
        stats->rows += mate.rows;
        stats->places += mate.places;
        stats->groups += mate.groups;
        stats->encoded += mate.encoded;
        stats->device_bytes += mate.device_bytes;
        stats->cache_bytes += mate.cache_bytes;
        stats->sentences_at_once += mate.sentences_at_once;
        if (crew->mates[i].search->model->device == search->model->device)
            continue;
        stats->repeats.plain += mate.repeats.plain;
        stats->repeats.recorded += mate.repeats.recorded;
        stats->repeats.replayed += mate.repeats.replayed;
        stats->repeats.refused += mate.repeats.refused;
    }
}
