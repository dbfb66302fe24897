/* A bounded queue between threads, and a thread whose failure reaches the one that joins it. */
#ifndef LNG_HOST_BASE_QUEUE_H
#define LNG_HOST_BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "host/base/status.h"

/* First in, first out; any number of threads at either end. The pointers stay the callers'. */
struct lng_queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    void **items;
    size_t capacity, first, count;
    bool closed;
};

/* capacity >= 1, else LNG_ERR_RANGE. */
LNG_MUST_CHECK enum lng_status lng_queue_init(struct lng_queue *queue, size_t capacity);
/* No thread may be inside any more. What is still queued is the caller's to pop first. Fine when zeroed. */
void lng_queue_release(struct lng_queue *queue);

/* Waits while full. False when the queue is closed: the item was not taken. */
bool lng_queue_push(struct lng_queue *queue, void *item);
/* Waits while empty. False when the queue is closed and nothing is left. */
bool lng_queue_pop(struct lng_queue *queue, void **item);
/* Like pop, but never waits: false also when there is nothing now. */
bool lng_queue_try_pop(struct lng_queue *queue, void **item);
/* Wakes everybody: no more pushes; what is queued can still be popped. More than once is fine. */
void lng_queue_close(struct lng_queue *queue);
size_t lng_queue_count(struct lng_queue *queue);

/* A thread. All signals are blocked in it, so that they reach the main one. Do not move a started one. */
struct lng_worker {
    pthread_t thread;
    enum lng_status (*run)(void *context);
    void *context;
    enum lng_status status;
    char message[512];
    bool started;
};

/* Starts run(context); `name` (15 bytes are kept) shows in debuggers. LNG_ERR_MEMORY when the system has
 * no thread to give. */
LNG_MUST_CHECK enum lng_status lng_worker_start(struct lng_worker *worker, const char *name,
                                                enum lng_status (*run)(void *context),
                                                void *context);
/* Waits for the end and returns what run returned, its message becoming this thread's. LNG_OK on a
 * zeroed or already joined worker. */
LNG_MUST_CHECK enum lng_status lng_worker_join(struct lng_worker *worker);

#endif
