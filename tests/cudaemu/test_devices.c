/* Two GPUs in one process, used in turn and by several threads. */
#define EMU_VARIANT "plain"
#include "tests/cudaemu/on_double.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "host/base/mem.h"
#include "kernels/ops.h"
#include "tests/support/rig.h"

enum { ROWS = 5, IN = 24, OUT = 16 };

static void setup(void)
{
    setenv("LNG_CUDAEMU_DEVICES", "2", 1);
}
TestSuite(devices, .init = setup);

/* One product on one device. */
struct work {
    struct rig rig;
    struct lng_view x, master, y;
    struct lng_weight *weight;
    enum lng_status status;
    char message[256];
};

static void begin(struct work *work, const char *device)
{
    rig_open(&work->rig, device, 1);
    work->x = rig_random(&work->rig, LNG_DTYPE_F32, ROWS, IN, 1);
    work->master = rig_random(&work->rig, LNG_DTYPE_F32, OUT, IN, 1);
    work->y = rig_output(&work->rig, LNG_DTYPE_F32, ROWS, OUT);
    RIG_OK(lng_weight_prepare(work->rig.device, work->master, LNG_DTYPE_F32, 0, &work->weight));
}

/* A kernel of ours and a product of cuBLASLt's. */
static void *multiply(void *context)
{
    struct work *work = context;
    struct lng_fill_args fill = {.y = work->y, .value = 3};
    work->status = lng_fill(work->rig.device, &fill);
    if (work->status == LNG_OK)
        work->status = lng_linear_fwd(
            work->rig.device,
            &(struct lng_linear_fwd_args){.x = work->x, .weight = work->weight, .y = work->y});
    snprintf(work->message, sizeof work->message, "%s", lng_error_message());
    return NULL;
}

static void end(struct work *work)
{
    lng_weight_release(work->rig.device, work->weight);
    rig_close(&work->rig);
}

static void expect_same(struct work *a, struct work *b)
{
    cr_assert(a->status == LNG_OK, "%s", a->message);
    cr_assert(b->status == LNG_OK, "%s", b->message);
    cr_assert(memcmp(rig_get(&a->rig, a->y), rig_get(&b->rig, b->y), sizeof(double) * ROWS * OUT) ==
              0);
}

Test(devices, take_turns)
{
    struct work first, second;
    begin(&first, "cuda:0");
    begin(&second, "cuda:1");
    cr_assert_str_eq(lng_device_name(second.rig.device), "cuda:1");
    for (int i = 0; i < 2; i++) {
        multiply(&first);
        multiply(&second);
        expect_same(&first, &second);
    }
    end(&first);
    multiply(&second);
    cr_assert(second.status == LNG_OK, "%s", second.message);
    end(&second);
}

/* A thread begins with the first GPU as its own. */
Test(devices, serve_other_threads)
{
    struct work first, second;
    pthread_t thread;
    begin(&first, "cuda:0");
    begin(&second, "cuda:1");
    multiply(&first);
    cr_assert(pthread_create(&thread, NULL, multiply, &second) == 0);
    pthread_join(thread, NULL);
    expect_same(&first, &second);
    end(&second);
    end(&first);
}

Test(devices, are_counted)
{
    struct lng_device *device = NULL;
    cr_assert_eq(lng_device_open("cuda:2", NULL, &device), LNG_ERR_UNSUPPORTED);
    cr_assert(strstr(lng_error_message(), "expected cuda:0 to cuda:1"), "%s", lng_error_message());
    cr_assert_null(device);
}

Test(devices, say_what_is_free)
{
    struct lng_device *device;
    void *memory;
    setenv("LNG_CUDAEMU_MEMORY", "256", 1);
    RIG_OK(lng_device_open("cuda", NULL, &device));
    size_t before = lng_device_free_memory(device);
    cr_assert(before > 0 && before <= (size_t)256 << 20, "%zu", before);
    RIG_OK(lng_device_alloc(device, (size_t)64 << 20, &memory));
    cr_assert(before - lng_device_free_memory(device) >= (size_t)64 << 20);
    lng_device_free(device, memory);
    cr_assert(lng_device_free_memory(device) == before);
    cr_assert_eq(lng_device_alloc(device, (size_t)300 << 20, &memory), LNG_ERR_MEMORY);
    cr_assert(strstr(lng_error_message(), "315 MB asked for"), "%s", lng_error_message());
    lng_device_close(device);
    RIG_OK(lng_device_open("cpu", NULL, &device));
    cr_assert(lng_device_free_memory(device) == SIZE_MAX);
    lng_device_close(device);
}

/* Whatever the device still answers, closing frees the host's memory and leaves the message that says why. */
Test(devices, close_when_lost)
{
    struct lng_device *devices[2];
    void *memory;
    char value[4], message[512];
    size_t before = lng_mem_get_stats().blocks_live;
    setenv("LNG_CUDAEMU_FATAL_LAUNCH", "1", 1);
    RIG_OK(lng_device_open("cuda:0", NULL, &devices[0]));
    RIG_OK(lng_device_open("cuda:1", NULL, &devices[1]));
    RIG_OK(lng_device_alloc(devices[1], sizeof value, &memory));
    struct lng_view y = lng_view_make(memory, LNG_DTYPE_F32, 1, 1);
    RIG_OK(lng_fill(devices[1], &(struct lng_fill_args){.y = y, .value = 1}));
    cr_assert_eq(lng_device_read(devices[1], value, memory, sizeof value), LNG_ERR_DEVICE);
    snprintf(message, sizeof message, "%s", lng_error_message());
    cr_assert(strstr(message, "cudaErrorIllegalAddress"), "%s", message);
    lng_device_close(devices[0]);
    lng_device_close(devices[1]);
    cr_assert_str_eq(lng_error_message(), message);
    cr_assert_eq(lng_mem_get_stats().blocks_live, before);
}
