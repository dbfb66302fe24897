#include "host/base/queue.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"

enum lng_status lng_queue_init(struct lng_queue *queue, size_t capacity)
{
    LNG_FAIL_IF(capacity == 0, LNG_ERR_RANGE, "expected a queue of at least 1 place, found 0");
    void **items = lng_alloc(capacity, sizeof *items);
    if (items == NULL)
        return LNG_ERR_MEMORY;
    *queue = (struct lng_queue){.items = items, .capacity = capacity};
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    pthread_cond_init(&queue->not_full, NULL);
    return LNG_OK;
}

void lng_queue_release(struct lng_queue *queue)
{
    if (queue->items == NULL)
        return;
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->lock);
    lng_free(queue->items);
    *queue = (struct lng_queue){0};
}

bool lng_queue_push(struct lng_queue *queue, void *item)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == queue->capacity && !queue->closed)
        pthread_cond_wait(&queue->not_full, &queue->lock);
    bool taken = !queue->closed;
    if (taken) {
        queue->items[(queue->first + queue->count) % queue->capacity] = item;
        queue->count++;
        pthread_cond_signal(&queue->not_empty);
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

/* With the lock held. */
static bool take_first(struct lng_queue *queue, void **item)
{
    if (queue->count == 0)
        return false;
    *item = queue->items[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    pthread_cond_signal(&queue->not_full);
    return true;
}

bool lng_queue_pop(struct lng_queue *queue, void **item)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->closed)
        pthread_cond_wait(&queue->not_empty, &queue->lock);
    bool taken = take_first(queue, item);
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

bool lng_queue_try_pop(struct lng_queue *queue, void **item)
{
    pthread_mutex_lock(&queue->lock);
    bool taken = take_first(queue, item);
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void lng_queue_close(struct lng_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_cond_broadcast(&queue->not_full);
    pthread_mutex_unlock(&queue->lock);
}

size_t lng_queue_count(struct lng_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t count = queue->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

static void *run_worker(void *context)
{
    struct lng_worker *worker = context;
    worker->status = worker->run(worker->context);
    if (worker->status != LNG_OK)
        snprintf(worker->message, sizeof worker->message, "%s", lng_error_message());
    return NULL;
}

enum lng_status lng_worker_start(struct lng_worker *worker, const char *name,
                                 enum lng_status (*run)(void *context), void *context)
{
    *worker = (struct lng_worker){.run = run, .context = context};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, run_worker, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    LNG_FAIL_IF(error != 0, LNG_ERR_MEMORY, "cannot start the thread %s: %s", name,
                strerror(error));
    worker->started = true;
    char short_name[16];
    snprintf(short_name, sizeof short_name, "%s", name);
    pthread_setname_np(worker->thread, short_name);
    return LNG_OK;
}

enum lng_status lng_worker_join(struct lng_worker *worker)
{
    if (!worker->started)
        return LNG_OK;
    pthread_join(worker->thread, NULL);
    worker->started = false;
    if (worker->status != LNG_OK)
        (void)lng_fail(worker->status, "%s", worker->message);
    return worker->status;
}
