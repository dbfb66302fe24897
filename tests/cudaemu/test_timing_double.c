/* Timing by events, on the double: with streams that run late, and with work that is else a graph. */
#define EMU_VARIANT "plain"
#include "tests/cudaemu/on_double.h"

#include <criterion/criterion.h>
#include <string.h>

#include "kernels/observe.h"
#include "kernels/ops.h"
#include "tests/support/rig.h"

enum { ROWS = 3, WIDTH = 8, TIMES = 6 };

static void late(void)
{
    setenv("LNG_CUDAEMU_ASYNC", "1", 1);
}
TestSuite(timing_double, .init = late);

struct work {
    struct rig rig;
    struct lng_view y;
};

static enum lng_status fill(void *context)
{
    struct work *work = context;
    return lng_fill(work->rig.device, &(struct lng_fill_args){.y = work->y, .value = 2});
}

/* More pairs than there are events. */
Test(timing_double, events_are_used_again)
{
    struct work work;
    struct lng_phase_times times;
    rig_open(&work.rig, "cuda", 1);
    work.y = rig_output(&work.rig, LNG_DTYPE_F32, ROWS, WIDTH);
    RIG_OK(lng_device_time_begin(work.rig.device));
    for (int i = 0; i < 4500; i++)
        RIG_OK(fill(&work));
    RIG_OK(lng_device_time_end(work.rig.device, &times));
    cr_assert(times.calls[LNG_PHASE_ELEMENTWISE] == 4500);
    cr_assert(times.seconds[LNG_PHASE_ELEMENTWISE] > 0);
    rig_close(&work.rig);
}

Test(timing_double, repeated_work_is_done_directly)
{
    struct work work;
    struct lng_phase_times times;
    const int key = 1;
    rig_open(&work.rig, "cuda", 1);
    work.y = rig_output(&work.rig, LNG_DTYPE_F32, ROWS, WIDTH);
    for (int i = 0; i < TIMES; i++)
        RIG_OK(lng_device_repeat(work.rig.device, &key, sizeof key, fill, &work));
    int64_t plain = lng_device_repeat_stats(work.rig.device).plain;
    cr_assert(lng_device_repeat_stats(work.rig.device).replayed == TIMES - 2);
    RIG_OK(lng_device_time_begin(work.rig.device));
    for (int i = 0; i < TIMES; i++)
        RIG_OK(lng_device_repeat(work.rig.device, &key, sizeof key, fill, &work));
    RIG_OK(lng_device_time_end(work.rig.device, &times));
    cr_assert(times.calls[LNG_PHASE_ELEMENTWISE] == TIMES);
    cr_assert(lng_device_repeat_stats(work.rig.device).plain == plain + TIMES);
    RIG_OK(lng_device_repeat(work.rig.device, &key, sizeof key, fill, &work));
    cr_assert(lng_device_repeat_stats(work.rig.device).replayed == TIMES - 1, "as before");
    rig_close(&work.rig);
}

Test(timing_double, hardware)
{
    struct work work;
    struct lng_hardware before, after;
    void *memory;
    rig_open(&work.rig, "cuda", 1);
    cr_assert(lng_device_hardware(work.rig.device, &before));
    RIG_OK(lng_device_alloc(work.rig.device, 1 << 20, &memory));
    cr_assert(lng_device_hardware(work.rig.device, &after));
    cr_assert(after.used_bytes >= before.used_bytes + (1 << 20));
    cr_assert_str_eq(after.name, "emulated CUDA device");
    cr_assert(after.compute_capability == 90 && after.driver > 12000 && after.runtime > 12000);
    cr_assert(after.memory_bytes == before.memory_bytes && after.multiprocessors > 0);
    lng_device_free(work.rig.device, memory);
    rig_close(&work.rig);
}
