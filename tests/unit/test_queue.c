/* Order and errors; what needs several threads at once is in tests/threads. */
#include "host/base/queue.h"

#include <stdint.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"

Test(queue, first_in_first_out_round_the_end)
{
    struct lng_queue queue;
    check_ok(lng_queue_init(&queue, 3));
    intptr_t in = 1, out = 1;
    void *item;
    for (int round = 0; round < 10; round++) {
        while (lng_queue_count(&queue) < 3)
            cr_assert(lng_queue_push(&queue, (void *)in++));
        for (int i = 0; i < 2; i++)
            cr_assert(lng_queue_pop(&queue, &item) && (intptr_t)item == out++);
    }
    cr_assert(lng_queue_try_pop(&queue, &item) && (intptr_t)item == out);
    item = NULL;
    cr_assert(!lng_queue_try_pop(&queue, &item) && item == NULL);
    lng_queue_release(&queue);
    lng_queue_release(&queue);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(queue, closed_takes_nothing_and_gives_the_rest)
{
    struct lng_queue queue;
    int value;
    void *item = NULL;
    check_ok(lng_queue_init(&queue, 2));
    cr_assert(lng_queue_push(&queue, &value));
    lng_queue_close(&queue);
    lng_queue_close(&queue);
    cr_assert(!lng_queue_push(&queue, &value));
    cr_assert(lng_queue_pop(&queue, &item) && item == &value);
    cr_assert(!lng_queue_pop(&queue, &item));
    lng_queue_release(&queue);
}

Test(queue, bad_sizes)
{
    struct lng_queue queue = {0};
    check_fails(lng_queue_init(&queue, 0), LNG_ERR_RANGE, "at least 1");
    check_fails(lng_queue_init(&queue, SIZE_MAX / 2), LNG_ERR_MEMORY, "no memory");
    lng_queue_release(&queue);
}

static enum lng_status count_or_fail(void *context)
{
    int *value = context;
    LNG_FAIL_IF(*value < 0, LNG_ERR_FORMAT, "line 7: expected text, found %d", *value);
    ++*value;
    return LNG_OK;
}

Test(worker, result_and_message_reach_the_joiner)
{
    struct lng_worker worker = {0};
    check_ok(lng_worker_join(&worker));
    int value = 41;
    check_ok(lng_worker_start(&worker, "a name longer than fifteen bytes", count_or_fail, &value));
    check_ok(lng_worker_join(&worker));
    cr_assert(value == 42);
    value = -1;
    check_ok(lng_worker_start(&worker, "failing", count_or_fail, &value));
    check_fails(lng_worker_join(&worker), LNG_ERR_FORMAT, "line 7: expected text, found -1");
    check_ok(lng_worker_join(&worker));
}
