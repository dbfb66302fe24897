/* The queue, the workers and the allocator with many threads at once; built with ThreadSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/base/queue.h"

enum { PRODUCERS = 4, CONSUMERS = 3, ITEMS = 5000 };

struct consumer {
    struct lng_queue *queue;
    uint64_t sum, count;
    int out_of_order;
};

struct producer {
    struct lng_queue *queue;
    uintptr_t number;
};

static enum lng_status produce(void *context)
{
    struct producer *producer = context;
    for (uintptr_t i = 1; i <= ITEMS; i++)
        LNG_FAIL_IF(!lng_queue_push(producer->queue, (void *)(producer->number << 32 | i)),
                    LNG_ERR_INTERNAL, "closed too early");
    return LNG_OK;
}

static enum lng_status consume(void *context)
{
    struct consumer *consumer = context;
    uintptr_t last[PRODUCERS] = {0};
    void *item;
    while (lng_queue_pop(consumer->queue, &item)) {
        uintptr_t value = (uintptr_t)item, from = value >> 32;
        value &= 0xFFFFFFFF;
        consumer->out_of_order += value <= last[from];
        last[from] = value;
        consumer->sum += value;
        consumer->count++;
    }
    return LNG_OK;
}

static void nothing_is_lost_or_reordered(void **state)
{
    (void)state;
    struct lng_queue queue;
    assert_int_equal(lng_queue_init(&queue, 8), LNG_OK);
    struct lng_worker producers[PRODUCERS], consumers[CONSUMERS];
    struct producer producer[PRODUCERS];
    struct consumer consumer[CONSUMERS] = {{0}};
    for (int i = 0; i < CONSUMERS; i++) {
        consumer[i].queue = &queue;
        assert_int_equal(lng_worker_start(&consumers[i], "consumer", consume, &consumer[i]),
                         LNG_OK);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        producer[i] = (struct producer){&queue, (uintptr_t)i};
        assert_int_equal(lng_worker_start(&producers[i], "producer", produce, &producer[i]),
                         LNG_OK);
    }
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(lng_worker_join(&producers[i]), LNG_OK);
    lng_queue_close(&queue);
    uint64_t sum = 0, count = 0;
    for (int i = 0; i < CONSUMERS; i++) {
        assert_int_equal(lng_worker_join(&consumers[i]), LNG_OK);
        assert_int_equal(consumer[i].out_of_order, 0);
        sum += consumer[i].sum;
        count += consumer[i].count;
    }
    assert_int_equal(count, PRODUCERS * ITEMS);
    assert_int_equal(sum, (uint64_t)PRODUCERS * ITEMS * (ITEMS + 1) / 2);
    lng_queue_release(&queue);
}

static void close_wakes_everybody(void **state)
{
    (void)state;
    struct lng_queue empty, full;
    assert_int_equal(lng_queue_init(&empty, 1), LNG_OK);
    assert_int_equal(lng_queue_init(&full, 1), LNG_OK);
    assert_true(lng_queue_push(&full, &full));
    struct lng_worker waiting[4];
    struct consumer consumer[2] = {{.queue = &empty}, {.queue = &empty}};
    struct producer producer[2] = {{&full, 0}, {&full, 1}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lng_worker_start(&waiting[i], "waits", consume, &consumer[i]), LNG_OK);
        assert_int_equal(lng_worker_start(&waiting[2 + i], "waits", produce, &producer[i]), LNG_OK);
    }
    double until = lng_clock() + 0.05;
    while (lng_clock() < until)
        ;
    lng_queue_close(&empty);
    lng_queue_close(&full);
    for (int i = 0; i < 4; i++)
        assert_int_equal(lng_worker_join(&waiting[i]), i < 2 ? LNG_OK : LNG_ERR_INTERNAL);
    assert_string_equal(lng_error_message(), "closed too early");
    lng_queue_release(&empty);
    lng_queue_release(&full);
}

static enum lng_status allocate_and_fail(void *context)
{
    int number = *(int *)context;
    for (int i = 0; i < 500; i++) {
        char *memory = lng_alloc((size_t)(number * 100 + i), 3);
        if (memory == NULL)
            return LNG_ERR_MEMORY;
        lng_debug("thread %d, round %d", number, i);
        lng_free(memory);
    }
    return lng_fail(LNG_ERR_FORMAT, "thread %d", number);
}

static void messages_and_memory_are_each_threads_own(void **state)
{
    (void)state;
    struct lng_worker workers[4];
    int numbers[4];
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        assert_int_equal(lng_worker_start(&workers[i], "fails", allocate_and_fail, &numbers[i]),
                         LNG_OK);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(lng_worker_join(&workers[i]), LNG_ERR_FORMAT);
        char *want = lng_format("thread %d", i);
        assert_string_equal(lng_error_message(), want);
        lng_free(want);
    }
    assert_int_equal(lng_mem_get_stats().blocks_live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_or_reordered),
        cmocka_unit_test(close_wakes_everybody),
        cmocka_unit_test(messages_and_memory_are_each_threads_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
