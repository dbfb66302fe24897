/* Inside tests/cudaemu: what the files of the double share.
 *
 * emu_fiber.cc     stacks and switches              emu_memory.cc    allocations, copies, fills
 * emu_block.cc     one block: scheduler, barriers   emu_stream.cc    queues, events; emu_graph.cc captures, graphs
 * emu_warp.cc      shuffles, votes, tensor cores    emu_device.cc    properties, errors, their names
 * emu_shared.cc    shared memory, late copies       emu_cublaslt.cc  descriptors; emu_matmul.cc the product
 * emu_launch.cc    grids, limits of a launch        emu_race.cc      the race checker
 * emu_report.cc    settings, ends with a message
 *
 * Compiled without sanitizers in every variant: they would slow the scheduler and find nothing in a kernel. Few
 * files differ between variants (CUDAEMU_ASAN, CUDAEMU_RACE). One lock (struct entry) is held in every call of the runtime. */
#ifndef LNG_TESTS_CUDAEMU_EMU_H
#define LNG_TESTS_CUDAEMU_EMU_H

#include "tests/cudaemu/cudaemu.h"

#include <functional>
#include <memory>
#include <mutex>
#include <stddef.h>
#include <vector>

#ifdef CUDAEMU_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

/* The vector code of emu_matmul.cc and emu_warp.cc, for two kinds of machine. */
#if defined(__GNUC__) && !defined(__clang__)
#define CUDAEMU_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CUDAEMU_CLONES
#endif
#define CUDAEMU_API extern "C" cudaError_t CUDARTAPI

namespace cudaemu
{

constexpr unsigned most_threads = 1024, most_warps = most_threads / 32;
constexpr size_t shared_default = 48 << 10, shared_most = 227 << 10;
constexpr int exit_status = 86;

enum class schedule { forward, reverse, random };
struct settings {
    schedule order;
    uint64_t seed;
    bool async;    /* streams are queues */
    bool protect;  /* device memory is closed to the host */
    size_t memory; /* bytes the devices have, together */
    int devices;
    bool mixed;            /* those of odd numbers are of another kind */
    uint64_t fatal_launch; /* the how manieth is the device's last; 0: none */
};
const settings &options();
uint32_t random_number();
/* The calling thread's device; see cudaSetDevice. */
int current_device();

/* A call of the runtime: one at a time. */
struct entry {
    entry();
    ~entry();
};

/* One thread of a block. */
struct fiber;
struct late_copy {
    void *to;
    const void *from;
    bool valid;
    int group;
    const char *file;
    int line;
};
struct gpu_thread {
    uint3 index;
    unsigned number, lane, warp;
    fiber *on;
    bool done;
    operation waits_in;
    unsigned mask;
    const char *file;
    int line;
    uint32_t joined;   /* when it last left a warp collective, on the block's clock */
    uint32_t priority; /* in a random schedule */
    int copy_group;
    std::vector<late_copy> copies;
};
/* The thread that runs; NULL outside kernels. */
extern gpu_thread *current;
/* The host's thread that runs it. Others may be anywhere in the backend's code meanwhile. A variable of each thread's own
 * would do, were it not for fibers, which go from one to the next. */
extern uintptr_t running_on;
inline uintptr_t this_thread()
{
    uintptr_t pointer;
    asm volatile("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
}
inline bool in_kernel()
{
    return current != nullptr && running_on == this_thread();
}

/* A launch being run. */
struct running_launch {
    launch_request request;
    std::shared_ptr<void> arguments;
};
extern const running_launch *running;
void run_launch(const running_launch &launch);
/* A block, to its end. number: of the block, in the grid. */
void run_block(const running_launch &launch, size_t number);
[[noreturn]] void run_fiber();

/* emu_fiber.cc */
struct fiber {
    void *stack_pointer;
    const void *stack;
    size_t size;
    void *fake_stack;
    gpu_thread *assigned;
};
fiber *fiber_take();
void fiber_give(fiber *one);
void fiber_switch(fiber *to);
fiber *fiber_current();
fiber *fiber_main();
bool on_own_stack(uintptr_t at);

/* emu_warp.cc: args[l] is lane l's argument where `lanes` has bit l. */
typedef void (*collective_body)(void *const *arguments, unsigned lanes);
collective_body body_of(operation which);
const char *name_of(operation which);

/* emu_shared.cc */
void shared_open(size_t bytes);
void shared_begin_block();
void shared_end_block();
void shared_close();
struct span {
    unsigned char *at;
    size_t bytes;
};
span dynamic_span();
span static_span();
void finish_copies(gpu_thread *thread);

/* emu_memory.cc */
struct device_access {
    device_access();
    ~device_access();
};
bool is_device(const void *at, size_t bytes);
bool is_pinned(const void *at, size_t bytes);
/* Dies unless it lies in one allocation of device memory. */
void check_device(const void *at, size_t bytes, const char *what);
/* Which allocation of device or pinned memory lies there: a number never used again; 0: none. */
uint64_t allocation_serial(const void *at);
size_t device_memory_used();
span device_arena();

/* emu_stream.cc */
enum node_kind { KERNEL_NODE, COPY_NODE, FILL_NODE, HOST_NODE };
/* Something for a stream to do. */
struct task {
    const char *name;
    node_kind kind;
    std::function<void()> run;
    std::vector<span> arguments; /* read when it is captured: where addresses are looked for */
    std::vector<const void *> pointers; /* further addresses that it names */
};
cudaError_t enqueue(cudaStream_t stream, task work);
void drain_stream(cudaStream_t stream);
void drain_all();
/* Around what a call of the host waits for: counted where there was something to wait for (cudaemu_counts.h). */
class host_wait
{
  public:
    host_wait();
    ~host_wait();

  private:
    uint64_t before;
};
bool capturing(cudaStream_t stream);
/* A stream of another device than the calling thread's. */
bool elsewhere(cudaStream_t stream);
/* emu_graph.cc: a call that waits for the device, which no capture allows: cudaSuccess outside one, else the
 * capture is void. */
cudaError_t refuse_capture();

/* emu_device.cc: remembers it for cudaGetLastError. */
cudaError_t failed(cudaError_t error);
cudaError_t failed(cudaError_t error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* cudaSuccess, or what the device does not recover from. */
cudaError_t device_lost();
void lose_device();

/* emu_report.cc */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_where(); /* kernel, block, thread */
void say_line(void *pc);
void catch_faults();
[[noreturn]] void stop();

/* Where the block is. Its clock goes on at every barrier and warp collective. */
struct timeline {
    uint32_t block, clock, barrier; /* barrier: the clock after the last one */
    const gpu_thread *threads;
};
extern timeline progress;
/* The race checker's question: is all that thread `number` did up to `clock` before what the current thread
 * does now? For a thread, for all of its warp, or for all of the block. */
enum reader_group { READER_ONE, READER_WARP, READER_BLOCK };
inline bool happened_before(uint32_t number, uint32_t clock, reader_group group)
{
    if (clock < progress.barrier)
        return true;
    if (group == READER_BLOCK)
        return false;
    const gpu_thread &other = progress.threads[number];
    if (group == READER_ONE && &other == current)
        return true;
    return other.warp == current->warp && clock < current->joined && clock < other.joined;
}

/* emu_race.cc; nothing, in the other variants. */
void race_arena(span arena);
void race_allocated(const void *at, size_t bytes);
void race_freed(const void *at, size_t bytes);
/* A copy, a fill or a product writes or reads device memory. */
void race_written(const void *at, size_t bytes);
void race_read(const void *at, size_t bytes, const char *what);
void race_launch_begin();
void race_launch_end();
void race_block_begin();
void race_forbid(const void *at, size_t bytes);
/* A thread's access. */
void race_access(const void *at, size_t bytes, bool write, void *pc);
/* A copy is under way: until it ends, nobody may read there. */
void race_pending(const void *at, size_t bytes, void *pc);

} // namespace cudaemu

#endif
