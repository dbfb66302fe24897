/* The course of a search: sentences wait in a queue, longest first, take places as they become free, and go on step by
 * step until they are done. */
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/constrain_step.h"
#include "host/infer/decode_crew.h"
#include "host/infer/decode_state.h"
#include "host/infer/steer.h"

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int compare_inputs(const void *left, const void *right, void *context)
{
    const struct lng_search *search = context;
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    const struct lng_search_input *x = &search->inputs[a], *y = &search->inputs[b];
    int32_t time_x = lng_search_time(search, x), time_y = lng_search_time(search, y);
    if (time_x != time_y)
        return time_x > time_y ? -1 : 1;
    if (x->source_length != y->source_length)
        return x->source_length > y->source_length ? -1 : 1;
    return (a > b) - (a < b);
}

/* How many sentences of `time` positions the cache can hold. */
static int64_t seats_for(const struct lng_search *search, int64_t time)
{
    return min64(search->plan.seats, search->plan.positions / time / search->options.beam.beam);
}

static enum lng_status reshape(struct lng_search *search, int64_t time)
{
    search->open_seats = seats_for(search, time);
    search->vacant_count = 0;
    for (int64_t i = search->open_seats; i-- > 0;)
        search->vacant[search->vacant_count++] = (int32_t)i;
    int64_t slots = search->open_seats * search->options.beam.beam;
    if (search->steer != NULL)
        LNG_TRY(lng_steer_reshape(search, time, slots));
    return lng_kv_cache_shape(&search->cache, time, slots);
}

static enum lng_status seat_group(struct lng_search *search, const int64_t *members, int64_t group,
                                  int64_t source_first)
{
    for (int64_t i = 0; i < group; i++) {
        int64_t index = members[i];
        const struct lng_search_input *input = &search->inputs[index];
        int32_t number = search->vacant[search->vacant_count - 1];
        struct lng_seat *seat = &search->seats[number];
        LNG_TRY(input->exact_length > 0 ? lng_beam_start_exact(&seat->beam, input->exact_length,
                                                               input->prefix, input->prefix_length)
                                        : lng_beam_start(&seat->beam, input->source_length,
                                                         input->prefix, input->prefix_length));
        search->vacant_count--;
        search->active[search->active_count++] = number;
        seat->input = index;
        if (input->constraints != NULL)
            seat->beam.max_length = lng_search_time(search, input);
        if (search->constrain != NULL)
            lng_constrain_seat_begin(search, number);
        seat->base = (int64_t)number * search->options.beam.beam;
        seat->source_first = source_first + search->offsets[i];
        seat->source_length = input->source_length;
        lng_kv_begin(&search->cache, seat->base, &seat->side);
        if (search->steer != NULL)
            LNG_TRY(lng_steer_seat(search, number, input));
    }
    return LNG_OK;
}

/* As many of the sentences members[*done ..] as the workspace holds; *done counts them. */
static enum lng_status encode_some(struct lng_search *search, int64_t group, int64_t *done)
{
    const int64_t *members = search->group + *done;
    int64_t part = 0, rows = 0;
    search->offsets[0] = 0;
    for (; part < group - *done; part++) {
        const struct lng_search_input *input = &search->inputs[members[part]];
        if (part > 0 && rows + input->source_length > search->plan.encode_rows)
            break;
        memcpy(search->ids + rows, input->source,
               (size_t)input->source_length * sizeof *search->ids);
        rows += input->source_length;
        search->offsets[part + 1] = (int32_t)rows;
    }
    int64_t first = lng_kv_take_source(&search->cache, rows);
    LNG_FAIL_IF(first < 0, LNG_ERR_INTERNAL, "search: no room for %lld source rows",
                (long long)rows);
    struct lng_sequences sequences = {
        .ids = search->ids, .offsets = search->offsets, .count = part};
    struct lng_view encoded;
    LNG_TRY(lng_model_encode(search->model, search->workspace, &sequences, &encoded));
    LNG_TRY(lng_decoder_project_source(search->model, encoded, search->cache.layers, first,
                                       &search->cache.scratch));
    if (search->steer != NULL)
        LNG_TRY(lng_steer_encode(search, &sequences, first));
    search->stats.groups++;
    search->stats.encoded += rows;
    *done += part;
    return seat_group(search, members, part, first);
}

static enum lng_status encode_group(struct lng_search *search, int64_t group)
{
    int64_t done = 0;
    while (done < group)
        LNG_TRY(encode_some(search, group, &done));
    return LNG_OK;
}

static void lock(const struct lng_search_queue *queue)
{
    if (queue->mutex != NULL)
        pthread_mutex_lock(queue->mutex);
}

static void unlock(const struct lng_search_queue *queue)
{
    if (queue->mutex != NULL)
        pthread_mutex_unlock(queue->mutex);
}

/* Takes sentences for the places that are free, unless it pays to wait for a larger group or for a better shape: none, then.
 * Of the last ones every taker gets its share. */
static enum lng_status take_group(struct lng_search *search, int64_t *group)
{
    struct lng_search_queue *queue = search->queue;
    const int64_t *waiting = queue->order + queue->next, left = queue->count - queue->next;
    *group = 0;
    if (left == 0)
        return LNG_OK;
    const int64_t time = lng_search_time(search, &search->inputs[waiting[0]]);
    if (search->active_count == 0)
        LNG_TRY(reshape(search, time));
    else if (seats_for(search, time) >= 2 * search->open_seats)
        return LNG_OK; /* shorter ones are next: drain, then carve for twice as many */
    const int64_t share = (left + queue->takers - 1) / queue->takers;
    const int64_t most = min64(search->vacant_count, share);
    const int64_t room = lng_kv_source_room(&search->cache);
    int64_t taken = 0, tokens = 0;
    for (; taken < most; taken++) {
        const int64_t length = search->inputs[waiting[taken]].source_length;
        if (tokens + length > room)
            break;
        tokens += length;
        search->group[taken] = waiting[taken];
    }
    const bool worth_it = search->active_count == 0 || taken == share ||
                          4 * taken >= search->open_seats || 4 * tokens >= search->plan.source_rows;
    if (!worth_it)
        return LNG_OK;
    queue->next += taken;
    *group = taken;
    return LNG_OK;
}

/* Lets waiting sentences in. *more: there is something to do. */
static enum lng_status admit(struct lng_search *search, bool *more)
{
    int64_t group;
    lock(search->queue);
    enum lng_status status = take_group(search, &group);
    *more = !search->queue->stopped && (group > 0 || search->active_count > 0);
    unlock(search->queue);
    LNG_TRY(status);
    return *more && group > 0 ? encode_group(search, group) : LNG_OK;
}

enum lng_status lng_search_work(struct lng_search *search, struct lng_search_queue *queue,
                                const struct lng_search_input *inputs, int64_t count,
                                lng_search_done done, void *context)
{
    LNG_TRY(lng_search_prepare(search, inputs, count,
                               (queue->count + queue->takers - 1) / queue->takers));
    search->inputs = inputs;
    search->count = count;
    search->queue = queue;
    bool more = true;
    enum lng_status status = lng_constrain_run_open(search);
    while (status == LNG_OK && more) {
        status = admit(search, &more);
        if (status == LNG_OK && more)
            status = lng_search_step(search, done, context);
    }
    if (search->active_count > 0 || status != LNG_OK) { /* forget sentences in flight */
        search->active_count = 0;
        lng_kv_clear_source(&search->cache);
    }
    lng_constrain_run_close(search);
    search->inputs = NULL;
    search->queue = NULL;
    return status;
}

/* What a pool of the device would keep others cannot have. */
static void give_plan_back(struct lng_search *search)
{
    if (search->plan.seats == 0)
        return;
    lng_search_release_plan(search);
    lng_device_trim(search->model->device);
}

/* By the crew where there is work and memory enough for all of it. Only one of the two keeps memory: both have the same
 * allowance. */
static enum lng_status work_off(struct lng_search *search, struct lng_search_queue *queue,
                                const struct lng_search_input *inputs, lng_search_done done,
                                void *context)
{
    int32_t mates = lng_crew_size(search, &inputs[queue->order[0]], queue->count);
    if (search->stats.workers == 0)
        search->stats.workers = 1;
    for (; mates > 1; mates = lng_crew_fewer(search->crew, mates)) {
        give_plan_back(search);
        enum lng_status status = lng_crew_prepare(search, inputs, queue->count, mates);
        if (status == LNG_OK && mates > search->stats.workers)
            search->stats.workers = mates;
        if (status == LNG_OK)
            return lng_crew_run(search, queue, inputs, mates, done, context);
        if (status != LNG_ERR_MEMORY)
            return status;
    }
    lng_crew_release_plans(search->crew);
    return lng_search_work(search, queue, inputs, queue->count, done, context);
}

enum lng_status lng_search_run(struct lng_search *search, const struct lng_search_input *inputs,
                               int64_t count, lng_search_done done, void *context)
{
    if (count == 0)
        return LNG_OK;
    int64_t *order = lng_alloc((size_t)count, sizeof *order);
    if (order == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    search->inputs = inputs;
    qsort_r(order, (size_t)count, sizeof *order, compare_inputs, search);
    search->inputs = NULL;
    struct lng_search_queue queue = {.order = order, .count = count, .takers = 1};
    enum lng_status status = work_off(search, &queue, inputs, done, context);
    lng_free(order);
    return status;
}
