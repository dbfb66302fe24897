#include "kernels/cpu/cpu_pool.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "host/base/mem.h"

/* The gate: a count of jobs, whether the newest is open to joiners, and how many have joined. */
enum { GATE_JOINED = 0xFFFF, GATE_OPEN = 0x10000, GATE_JOB = 0x20000 };
/* Some tens of microseconds: bridges the gap between two ops of a step and no more. */
enum { SPINS = 1000 };

struct worker {
    struct lng_cpu_pool *pool;
    pthread_t handle;
    int index;
};

/* A thread's own share of a job's tasks, a cache line each. */
struct share {
    _Atomic int64_t next;
    int64_t end;
    char apart[64 - 2 * sizeof(int64_t)];
};

struct lng_cpu_pool {
    int threads;
    struct share *shares;   /* [threads] */
    struct worker *workers; /* threads - 1 */
    int started;
    _Atomic uint64_t gate;
    _Atomic int sleepers;
    _Atomic bool stop;
    lng_cpu_task *function;
    void *context;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

/* Own tasks first: the same rows as in the op before, so that they lie in this core's cache; then whatever
 * the others have not begun. */
static void work(struct lng_cpu_pool *pool, int thread)
{
    for (int turn = 0; turn < pool->threads; turn++) {
        struct share *share = &pool->shares[(thread + turn) % pool->threads];
        for (;;) {
            int64_t task = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
            if (task >= share->end)
                break;
            pool->function(pool->context, task, thread);
        }
    }
}

static bool job_waits(struct lng_cpu_pool *pool, uint64_t seen)
{
    uint64_t gate = atomic_load(&pool->gate);
    return (gate & GATE_OPEN) && gate / GATE_JOB != seen;
}

static void sleep_until_job(struct lng_cpu_pool *pool, uint64_t seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (job_waits(pool, seen) || atomic_load_explicit(&pool->stop, memory_order_relaxed))
            return;
        _mm_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!job_waits(pool, seen) && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct lng_cpu_pool *pool = worker->pool;
    uint64_t seen = 0;
    while (!atomic_load(&pool->stop)) {
        uint64_t gate = atomic_load(&pool->gate);
        if (!(gate & GATE_OPEN) || gate / GATE_JOB == seen) {
            sleep_until_job(pool, seen);
            continue;
        }
        if (!atomic_compare_exchange_weak(&pool->gate, &gate, gate + 1))
            continue;
        seen = gate / GATE_JOB;
        work(pool, worker->index);
        atomic_fetch_sub_explicit(&pool->gate, 1, memory_order_release);
    }
    return NULL;
}

void lng_cpu_pool_run(struct lng_cpu_pool *pool, int64_t tasks, lng_cpu_task *function,
                      void *context)
{
    if (tasks <= 1 || pool->started == 0) {
        for (int64_t task = 0; task < tasks; task++)
            function(context, task, 0);
        return;
    }
    pool->function = function;
    pool->context = context;
    for (int t = 0; t < pool->threads; t++) {
        atomic_store_explicit(&pool->shares[t].next, tasks * t / pool->threads,
                              memory_order_relaxed);
        pool->shares[t].end = tasks * (t + 1) / pool->threads;
    }
    /* No one is inside: the last job ended with its gate shut and empty. */
    atomic_fetch_add(&pool->gate, GATE_JOB + GATE_OPEN);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
    work(pool, 0);
    atomic_fetch_sub(&pool->gate, GATE_OPEN);
    for (int i = 0; atomic_load_explicit(&pool->gate, memory_order_acquire) & GATE_JOINED; i++) {
        if (i < SPINS)
            _mm_pause();
        else
            sched_yield();
    }
}

enum lng_status lng_cpu_pool_open(int threads, struct lng_cpu_pool **out)
{
    struct lng_cpu_pool *pool = lng_alloc(1, sizeof *pool);
    if (!pool)
        return LNG_ERR_MEMORY;
    pool->threads = threads;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->workers = lng_alloc((size_t)threads, sizeof *pool->workers);
    pool->shares = lng_alloc((size_t)threads, sizeof *pool->shares);
    if (!pool->workers || !pool->shares) {
        lng_cpu_pool_close(pool);
        return LNG_ERR_MEMORY;
    }
    for (int i = 0; i + 1 < threads; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .index = i + 1};
        if (pthread_create(&worker->handle, NULL, worker_main, worker) != 0) {
            lng_cpu_pool_close(pool);
            return lng_fail(LNG_ERR_DEVICE,
                            "cannot start worker thread %d of %d; ask for fewer threads", i + 1,
                            threads);
        }
        pool->started++;
    }
    *out = pool;
    return LNG_OK;
}

void lng_cpu_pool_close(struct lng_cpu_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i].handle, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    lng_free(pool->workers);
    lng_free(pool->shares);
    lng_free(pool);
}
