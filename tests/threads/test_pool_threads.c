/* The CPU device's worker threads, under ThreadSanitizer: many small jobs, several pools at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/cpu/cpu_pool.h"

enum { TASKS = 37, JOBS = 2000, THREADS = 4 };

struct job {
    int done[TASKS]; /* plain: each task has one owner, and the caller reads after the job */
    int threads[THREADS];
};

static void count(void *context, int64_t task, int thread)
{
    struct job *job = context;
    job->done[task]++;
    job->threads[thread]++;
}

static int run_jobs(int threads, int pause_every)
{
    struct lng_cpu_pool *pool = NULL;
    int bad = lng_cpu_pool_open(threads, &pool) != LNG_OK;
    for (int i = 0; i < JOBS && !bad; i++) {
        struct job job;
        memset(&job, 0, sizeof job);
        int64_t tasks = 1 + i % TASKS;
        lng_cpu_pool_run(pool, tasks, count, &job);
        int by_threads = 0;
        for (int t = 0; t < threads; t++)
            by_threads += job.threads[t];
        for (int64_t t = 0; t < TASKS; t++)
            bad += job.done[t] != (t < tasks);
        bad += by_threads != tasks;
        if (pause_every && i % pause_every == 0)
            usleep(300); /* long enough for the workers to fall asleep */
    }
    lng_cpu_pool_close(pool);
    return bad;
}

static void every_task_runs_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= THREADS; threads++)
        assert_int_equal(run_jobs(threads, 0), 0);
}

static void sleeping_workers_wake(void **state)
{
    (void)state;
    assert_int_equal(run_jobs(THREADS, 10), 0);
}

static void *own_pool(void *result)
{
    *(int *)result = run_jobs(3, 50);
    return NULL;
}

static void pools_beside_each_other(void **state)
{
    (void)state;
    pthread_t handles[3];
    int bad[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&handles[i], NULL, own_pool, &bad[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(handles[i], NULL);
        assert_int_equal(bad[i], 0);
    }
}

static void idle_pools_close(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct lng_cpu_pool *pool = NULL;
        assert_int_equal(lng_cpu_pool_open(1 + i % THREADS, &pool), LNG_OK);
        lng_cpu_pool_close(pool);
    }
    lng_cpu_pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(sleeping_workers_wake),
        cmocka_unit_test(pools_beside_each_other),
        cmocka_unit_test(idle_pools_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
