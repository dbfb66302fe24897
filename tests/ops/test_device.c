#include <criterion/criterion.h>
#include <string.h>

#include "host/base/mem.h"
#include "kernels/ops.h"
#include "tests/support/check.h"
#include "tests/support/rig.h"

Test(device, opens_by_name)
{
    static const struct {
        const char *asked, *name;
        enum lng_dtype real;
    } known[] = {
        {"ref", "ref", LNG_DTYPE_F32},
        {"ref64", "ref64", LNG_DTYPE_F64},
        {"cpu", "cpu", LNG_DTYPE_F32},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct lng_device *device = NULL;
        RIG_OK(lng_device_open(known[i].asked, NULL, &device));
        cr_assert_str_eq(lng_device_name(device), known[i].name);
        cr_assert_eq(lng_device_real(device), known[i].real);
        cr_assert(lng_device_threads(device) >= 1);
        cr_assert(lng_device_logit_rows(device, 65000) >= 1);
        cr_assert(lng_device_logit_rows(device, INT64_C(1) << 40) >= 1);
        RIG_OK(lng_device_supports(device, LNG_DTYPE_F32));
        RIG_OK(lng_device_sync(device));
        lng_device_close(device);
    }
}

Test(device, automatic_choice_is_never_a_reference)
{
    struct lng_device *device = NULL;
    RIG_OK(lng_device_open("auto", NULL, &device));
    cr_assert(strncmp(lng_device_name(device), "ref", 3) != 0);
    lng_device_close(device);
}

Test(device, refuses_unknown_names_and_threads)
{
    struct lng_device *device = NULL;
    cr_assert_eq(lng_device_open("gpu", NULL, &device), LNG_ERR_UNSUPPORTED);
    cr_assert_str_eq(lng_error_message(),
                     "unknown device \"gpu\", expected one of: auto, cpu, cuda, cuda:N, ref, "
                     "ref64");
    cr_assert_eq(lng_device_open("cpu", &(struct lng_device_options){.threads = -1}, &device),
                 LNG_ERR_RANGE);
    cr_assert_null(device);
}

/* What was copied stays as it was when it was asked for, whatever is written after it. */
Test(device, landings)
{
    static const char *const names[] = {"ref", "ref64", "cpu"};
    for (int i = 0; i < 3; i++) {
        struct lng_device *device;
        struct lng_landing *landing, *none = NULL;
        void *memory;
        const void *landed;
        RIG_OK(lng_device_open(names[i], NULL, &device));
        cr_assert(!lng_device_runs_behind(device));
        RIG_OK(lng_device_alloc(device, 4, &memory));
        RIG_OK(lng_landing_open(device, 10, &landing));
        RIG_OK(lng_landing_wait(device, landing, &landed));
        cr_assert(memcmp(landed, "\0\0\0\0\0\0\0\0\0\0", 10) == 0);
        RIG_OK(lng_device_write(device, memory, "abcd", 4));
        RIG_OK(lng_landing_copy(device, landing, 6, memory, 4));
        RIG_OK(lng_device_write(device, memory, "efgh", 4));
        RIG_OK(lng_landing_copy(device, landing, 1, memory, 3));
        RIG_OK(lng_landing_copy(device, landing, 10, NULL, 0));
        RIG_OK(lng_landing_wait(device, landing, &landed));
        cr_assert(memcmp(landed, "\0efg\0\0abcd", 10) == 0);
        cr_assert_eq(lng_landing_copy(device, landing, 7, memory, 4), LNG_ERR_SHAPE);
        cr_assert_eq(lng_landing_copy(device, landing, 11, memory, 0), LNG_ERR_SHAPE);
        cr_assert_eq(lng_landing_copy(device, landing, SIZE_MAX, memory, 2), LNG_ERR_SHAPE);
        cr_assert_eq(lng_landing_copy(device, landing, 0, NULL, 4), LNG_ERR_SHAPE);
        cr_assert_eq(lng_landing_open(device, 0, &none), LNG_ERR_SHAPE);
        cr_assert_eq(lng_landing_open(device, SIZE_MAX - 8, &none), LNG_ERR_MEMORY);
        cr_assert_null(none);
        lng_landing_close(device, landing);
        lng_landing_close(device, NULL);
        lng_device_free(device, memory);
        lng_device_close(device);
    }
}

Test(device, memory)
{
    static const char *const names[] = {"ref", "ref64", "cpu"};
    for (int i = 0; i < 3; i++) {
        struct lng_device *device;
        void *memory[3];
        char text[] = "lingster", back[9] = "", zeros[1000];
        RIG_OK(lng_device_open(names[i], NULL, &device));
        for (int n = 0; n < 3; n++) {
            RIG_OK(lng_device_alloc(device, n == 0 ? 0 : 1000, &memory[n]));
            cr_assert((uintptr_t)memory[n] % 256 == 0);
        }
        RIG_OK(lng_device_read(device, zeros, memory[1], 1000));
        for (int n = 0; n < 1000; n++)
            cr_assert(zeros[n] == 0);
        RIG_OK(lng_device_write(device, memory[1], text, sizeof text));
        RIG_OK(lng_device_read(device, back, memory[1], sizeof back));
        cr_assert_str_eq(back, "lingster");
        RIG_OK(lng_device_write(device, NULL, NULL, 0));
        cr_assert_eq(lng_device_read(device, NULL, memory[1], 4), LNG_ERR_SHAPE);
        void *none = NULL;
        cr_assert_eq(lng_device_alloc(device, SIZE_MAX - 8, &none), LNG_ERR_MEMORY);
        cr_assert_null(none);
        for (int n = 0; n < 3; n++)
            lng_device_free(device, memory[n]);
        lng_device_free(device, NULL);
        lng_device_close(device);
    }
    cr_assert_eq(lng_mem_get_stats().blocks_live, 0);
}

Test(device, views)
{
    float data[12];
    struct lng_view view = lng_view_make(data, LNG_DTYPE_F32, 3, 4);
    struct lng_view part = lng_view_cols(lng_view_rows(view, 1, 2), 2, 2);
    cr_assert(part.data == data + 6 && part.rows == 2 && part.cols == 2 && part.stride == 4);
    view.data = NULL; /* a measuring pass */
    cr_assert_null(lng_view_cols(lng_view_rows(view, 1, 2), 2, 2).data);
}

/* Every allocation of an operation may fail; it then says so, and a later call works. */
Test(device, running_out_of_memory)
{
    struct rig rig;
    rig_open(&rig, "ref", 1);
    struct lng_view x = rig_random(&rig, LNG_DTYPE_F32, 4, 8, 1);
    struct lng_view master = rig_random(&rig, LNG_DTYPE_F32, 8, 8, 1);
    struct lng_view y = rig_output(&rig, LNG_DTYPE_F32, 4, 8);
    for (int compute = LNG_DTYPE_F32; compute <= LNG_DTYPE_I8; compute++) {
        enum lng_status status = LNG_ERR_MEMORY;
        for (size_t n = 1; status != LNG_OK && n < 50; n++) {
            struct lng_weight *weight = NULL;
            size_t blocks = lng_mem_get_stats().blocks_live;
            lng_mem_fail_nth(n, 0);
            status = lng_weight_prepare(rig.device, master, (enum lng_dtype)compute, 0, &weight);
            cr_assert((status == LNG_OK) == (weight != NULL));
            if (status == LNG_OK)
                status = lng_linear_fwd(
                    rig.device, &(struct lng_linear_fwd_args){.x = x, .weight = weight, .y = y});
            lng_mem_fail_nth(0, 0);
            lng_weight_release(rig.device, weight);
            cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY);
            cr_assert_eq(lng_mem_get_stats().blocks_live, blocks);
            cr_assert(status == LNG_OK || n < 49);
        }
        cr_assert_eq(status, LNG_OK);
    }
    rig_close(&rig);
}

static enum lng_status count_up(void *context)
{
    int *calls = context;
    ++*calls;
    return *calls == 3 ? lng_fail(LNG_ERR_RANGE, "the third call") : LNG_OK;
}

/* Nothing is recorded here: the work is called each time, and its status handed on. */
Test(device, repeated_work_is_simply_done)
{
    static const char *const names[] = {"cpu", "ref", "ref64"};
    char key[LNG_REPEAT_KEY + 1] = {0};
    for (int i = 0; i < 3; i++) {
        struct lng_device *device;
        int calls = 0;
        check_ok(lng_device_open(names[i], NULL, &device));
        cr_assert(!lng_device_repeats(device));
        check_ok(lng_device_repeat(device, key, LNG_REPEAT_KEY, count_up, &calls));
        check_ok(lng_device_repeat(device, key, LNG_REPEAT_KEY, count_up, &calls));
        check_fails(lng_device_repeat(device, key, LNG_REPEAT_KEY, count_up, &calls), LNG_ERR_RANGE,
                    "the third call");
        check_fails(lng_device_repeat(device, key, sizeof key, count_up, &calls), LNG_ERR_SHAPE,
                    "at most 768 bytes, found 769");
        struct lng_repeat_stats stats = lng_device_repeat_stats(device);
        cr_assert(calls == 3 && stats.plain == 3 && stats.recorded == 0 && stats.replayed == 0 &&
                  stats.refused == 0);
        lng_device_close(device);
    }
}
