/* Timing of each piece of a device's work: what is counted, where, and what it leaves alone. */
#include <criterion/criterion.h>
#include <string.h>

#include "kernels/observe.h"
#include "kernels/ops.h"
#include "tests/support/rig.h"

enum { ROWS = 3, WIDTH = 8 };

static enum lng_status fill(struct rig *rig, struct lng_view y)
{
    return lng_fill(rig->device, &(struct lng_fill_args){.y = y, .value = 2});
}

static void check_device(const char *device)
{
    struct rig rig;
    struct lng_phase_times times;
    struct lng_weight *weight;
    float one = 1;
    rig_open(&rig, device, 1);
    struct lng_view x = rig_random(&rig, LNG_DTYPE_F32, ROWS, WIDTH, 1);
    struct lng_view master = rig_random(&rig, LNG_DTYPE_F32, WIDTH, WIDTH, 1);
    struct lng_view y = rig_output(&rig, LNG_DTYPE_F32, ROWS, WIDTH);
    RIG_OK(lng_weight_prepare(rig.device, master, LNG_DTYPE_F32, 0, &weight));
    struct lng_linear_fwd_args product = {.x = x, .weight = weight, .y = y};
    RIG_OK(fill(&rig, y)); /* not timed */
    RIG_OK(lng_device_time_begin(rig.device));
    for (int i = 0; i < 5000; i++) /* more than is kept before it is added up */
        RIG_OK(fill(&rig, y));
    RIG_OK(lng_linear_fwd(rig.device, &product));
    RIG_OK(lng_weight_refresh(rig.device, weight));
    RIG_OK(lng_device_write(rig.device, y.data, &one, sizeof one));
    RIG_OK(lng_device_read(rig.device, &one, y.data, sizeof one));
    RIG_OK(lng_device_time_end(rig.device, &times));
    cr_assert(times.calls[LNG_PHASE_ELEMENTWISE] == 5000);
    cr_assert(times.calls[LNG_PHASE_GEMM] == 1 && times.calls[LNG_PHASE_OPTIMIZER] == 1);
    cr_assert(times.calls[LNG_PHASE_COPY] == 2 && times.calls[LNG_PHASE_ATTENTION] == 0);
    cr_assert(times.seconds[LNG_PHASE_GEMM] > 0 && times.seconds[LNG_PHASE_ELEMENTWISE] > 0);
    cr_assert(times.seconds[LNG_PHASE_ATTENTION] == 0);
    RIG_OK(fill(&rig, y)); /* no longer */
    lng_weight_release(rig.device, weight);
    rig_close(&rig);
}

Test(timing, cpu)
{
    check_device("cpu");
}

Test(timing, reference)
{
    check_device("ref");
}

Test(timing, refused_work_counts_nowhere)
{
    struct rig rig;
    struct lng_phase_times times;
    rig_open(&rig, "cpu", 1);
    struct lng_view y = rig_output(&rig, LNG_DTYPE_F32, ROWS, WIDTH);
    RIG_OK(lng_device_time_begin(rig.device));
    cr_assert(lng_device_write(rig.device, NULL, "x", 1) == LNG_ERR_SHAPE);
    RIG_OK(fill(&rig, y));
    RIG_OK(lng_device_time_end(rig.device, &times));
    cr_assert(times.calls[LNG_PHASE_ELEMENTWISE] == 1 && times.calls[LNG_PHASE_COPY] == 0);
    rig_close(&rig);
}

Test(timing, once_at_a_time)
{
    struct rig rig;
    struct lng_phase_times times;
    rig_open(&rig, "cpu", 1);
    cr_assert(lng_device_time_end(rig.device, &times) == LNG_ERR_USAGE);
    RIG_OK(lng_device_time_begin(rig.device));
    cr_assert(lng_device_time_begin(rig.device) == LNG_ERR_USAGE);
    rig_close(&rig); /* with the timer */
}

Test(timing, names)
{
    cr_assert_str_eq(lng_phase_name(LNG_PHASE_GEMM), "gemm");
    cr_assert_str_eq(lng_phase_name(LNG_PHASE_COPY), "copy");
}
