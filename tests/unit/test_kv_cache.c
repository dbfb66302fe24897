/* Where the keys of a search lie: each position of each hypothesis in a row of its own, whatever the shape. */
#include <stdint.h>
#include <string.h>

#include <criterion/criterion.h>

#include "host/base/mem.h"
#include "host/infer/kv_cache.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"

static struct lng_device *device;
static struct lng_model model;

static void setup(void)
{
    struct lng_hparams h = tiny_hparams();
    check_ok(lng_device_open("cpu", &(struct lng_device_options){.threads = 1}, &device));
    tiny_model_init(&model, device, &h, 3, 0.5f);
}

static void finish(void)
{
    lng_model_release(&model);
    lng_device_close(device);
}

TestSuite(kv_cache, .init = setup, .fini = finish);

/* rows [slots, time] of hypotheses that stay in their own slots. */
static void straight_rows(struct lng_kv_cache *cache, int64_t *rows)
{
    const struct lng_beam_live itself = {.parent = 0};
    for (int64_t slot = 0; slot < cache->slots; slot++) {
        int side;
        lng_kv_begin(cache, slot, &side);
        for (int64_t t = 0; t + 1 < cache->time; t++)
            lng_kv_advance(cache, slot, &itself, 1, t, &side);
        for (int64_t s = 0; s < cache->time; s++)
            rows[slot * cache->time + s] = lng_kv_lineage(cache, side, slot)[s] + s;
    }
}

/* No two places share a row, and all rows are there; sixteen positions of a slot are neighbours. */
static void check_shape(int64_t time, int64_t slots)
{
    struct lng_kv_cache cache;
    const size_t count = (size_t)(time * slots);
    check_ok(lng_kv_cache_init(&cache, &model, time * slots, 1, slots));
    check_ok(lng_kv_cache_shape(&cache, time, slots));
    int64_t *rows = lng_alloc(count, sizeof *rows);
    uint8_t *used = lng_alloc(count, 1);
    straight_rows(&cache, rows);
    for (int64_t i = 0; i < time * slots; i++) {
        cr_assert(rows[i] >= 0 && rows[i] < time * slots && rows[i] < cache.layers[0].self_k.rows,
                  "%d x %d: row %d", (int)time, (int)slots, (int)rows[i]);
        cr_assert(!used[rows[i]], "%d x %d: row %d twice", (int)time, (int)slots, (int)rows[i]);
        used[rows[i]] = 1;
        cr_assert(i % time % 16 == 0 || rows[i] == rows[i - 1] + 1, "%d x %d: position %d",
                  (int)time, (int)slots, (int)(i % time));
    }
    lng_free(rows);
    lng_free(used);
    lng_kv_cache_release(&cache);
}

Test(kv_cache, no_row_twice)
{
    static const int64_t more_slots[] = {1, 2, 3, 5, 16, 17, 64};
    for (int64_t time = 1; time <= 70; time++)
        for (size_t i = 0; i < sizeof more_slots / sizeof *more_slots; i++)
            check_shape(time, more_slots[i]);
    check_shape(1000, 7);
    check_shape(16, 1000);
}

/* A beam of four whose hypotheses part and end: each finds the rows that its ancestors wrote. */
Test(kv_cache, lineage_follows_parents)
{
    enum { TIME = 45, SLOTS = 12, BEAM = 4, BASE = 4 };
    struct lng_kv_cache cache;
    int64_t rows[SLOTS * TIME];
    check_ok(lng_kv_cache_init(&cache, &model, TIME * SLOTS, 1, 3));
    check_ok(lng_kv_cache_shape(&cache, TIME, SLOTS));
    straight_rows(&cache, rows);
    int writers[BEAM][TIME] = {{0}}, next[BEAM][TIME], side, count = 1;
    lng_kv_begin(&cache, BASE, &side);
    for (int t = 0; t < TIME; t++) {
        for (int i = 0; i < count; i++)
            for (int s = 0; s <= t; s++) {
                int64_t row = lng_kv_lineage(&cache, side, BASE + i)[s] + s;
                cr_assert(row == rows[(BASE + writers[i][s]) * TIME + s], "step %d, %d of %d", t, s,
                          i);
            }
        struct lng_beam_live live[BEAM];
        const int before = count;
        count = t % 7 == 6 ? 2 : BEAM;
        for (int i = 0; i < count; i++) {
            live[i] =
                (struct lng_beam_live){.parent = t % 5 == 4 ? i % before : (i * 3 + t) % before};
            memcpy(next[i], writers[live[i].parent], sizeof next[i]);
            if (t + 1 < TIME)
                next[i][t + 1] = i;
        }
        memcpy(writers, next, sizeof writers);
        if (t + 1 < TIME)
            lng_kv_advance(&cache, BASE, live, count, t, &side);
    }
    lng_kv_cache_release(&cache);
}

Test(kv_cache, refuses)
{
    struct lng_kv_cache cache = {0};
    check_fails(lng_kv_cache_init(&cache, &model, (int64_t)INT32_MAX + 1, 1, 1), LNG_ERR_MEMORY,
                "too many");
    check_fails(lng_kv_cache_init(&cache, &model, INT64_MAX / 2, 1, 1), LNG_ERR_MEMORY, "too many");
    check_ok(lng_kv_cache_init(&cache, &model, 100, 1, 1));
    check_ok(lng_kv_cache_shape(&cache, 33, 3));
    check_fails(lng_kv_cache_shape(&cache, 34, 3), LNG_ERR_MEMORY, "planned for 100");
    check_fails(lng_kv_cache_shape(&cache, INT64_MAX, 2), LNG_ERR_MEMORY, "planned for 100");
    check_fails(lng_kv_cache_shape(&cache, 0, 3), LNG_ERR_MEMORY, "hypotheses");
    lng_kv_cache_release(&cache);
}
