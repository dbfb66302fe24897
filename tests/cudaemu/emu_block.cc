/* One block at a time: its threads are fibers of one thread of the host. A thread runs until it waits, in a
 * barrier or a warp collective; a kernel that never waits runs on one fiber. */
#include "tests/cudaemu/emu.h"

#include <algorithm>
#include <map>
#include <stdio.h>
#include <string>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cudaemu
{

struct meeting {
    operation which;
    unsigned mask, arrived;
    const char *file;
    int line;
    void *arguments[32];
};
struct warp {
    unsigned gone; /* lanes that have exited or never were */
    int meetings;
    meeting meeting_of[32];
};
struct barrier_state {
    unsigned arrived, live, exited;
    barrier_kind kind;
    int sum, result;
    const char *file;
    int line;
    std::vector<gpu_thread *> waiting;
};

gpu_thread *current;
uintptr_t running_on;
static gpu_thread *const threads = new gpu_thread[most_threads]();
static warp warps[most_warps];
static barrier_state &all = *new barrier_state();
static unsigned thread_count;
timeline progress;
static schedule order;
static bool by_priority;

/* Threads that can run; a ring. */
static constexpr unsigned ring = 2 * most_threads;
static gpu_thread *ready[ring];
static unsigned ready_first, ready_count;

static void ready_last(gpu_thread *thread)
{
    ready[(ready_first + ready_count++) % ring] = thread;
}
static void ready_next(gpu_thread *thread)
{
    ready_first = (ready_first + ring - 1) % ring;
    ready[ready_first] = thread;
    ready_count++;
}
/* Half of the blocks of a random schedule draw evenly; in the others warps have random priorities, so that
 * one runs far ahead: that finds more. */
static unsigned choose()
{
    if (!by_priority)
        return random_number() % ready_count;
    unsigned best = 0;
    for (unsigned i = 1; i < ready_count; i++)
        if (ready[(ready_first + i) % ring]->priority >
            ready[(ready_first + best) % ring]->priority)
            best = i;
    return best;
}
static gpu_thread *ready_take()
{
    if (ready_count == 0)
        return nullptr;
    if (order == schedule::random)
        std::swap(ready[ready_first], ready[(ready_first + choose()) % ring]);
    gpu_thread *thread = ready[ready_first];
    ready_first = (ready_first + 1) % ring;
    ready_count--;
    return thread;
}

unsigned lane()
{
    return current->lane;
}
unsigned live_lanes()
{
    return ~warps[current->warp].gone;
}
static void enter_thread(gpu_thread *thread)
{
    current = thread;
    ::threadIdx = thread->index;
}
[[noreturn]] static void deadlock()
{
    std::map<std::string, unsigned> places;
    unsigned exited = 0;
    for (unsigned i = 0; i < thread_count; i++) {
        const gpu_thread &one = threads[i];
        if (one.done) {
            exited++;
            continue;
        }
        char text[400];
        int length =
            snprintf(text, sizeof text, "%s at %s:%d", name_of(one.waits_in), one.file, one.line);
        if (one.waits_in != OPERATION_BARRIER)
            snprintf(text + length, sizeof text - (size_t)length, ", mask %08x", one.mask);
        places[text]++;
    }
    say("cudaemu: error [deadlock]: no thread of the block can run\n");
    for (const auto &place : places)
        say("  %u threads wait in %s\n", place.second, place.first.c_str());
    if (exited > 0)
        say("  %u threads have exited\n", exited);
    current = nullptr;
    say_where();
    stop();
}
static void give_fiber(gpu_thread *thread)
{
    thread->on = fiber_take();
    thread->on->assigned = thread;
}
/* Another thread runs, until somebody makes this one ready. */
static void wait_in(operation which, unsigned mask, const char *file, int line)
{
    gpu_thread *own = current;
    own->waits_in = which;
    own->mask = mask;
    own->file = file;
    own->line = line;
    gpu_thread *next = ready_take();
    if (next == nullptr)
        deadlock();
    if (next->on == nullptr)
        give_fiber(next);
    fiber_switch(next->on);
    enter_thread(own);
}

static bool same_place(const char *file, int line, const char *other_file, int other_line)
{
    return line == other_line && (file == other_file || strcmp(file, other_file) == 0);
}

static void barrier_release()
{
    if (all.exited > 0)
        die("barrier",
            "__syncthreads at %s:%d is reached by %u threads of %u: the others have exited",
            all.file, all.line, all.arrived, thread_count);
    all.result = all.sum;
    all.arrived = 0;
    progress.barrier = ++progress.clock;
    if (order == schedule::reverse)
        std::reverse(all.waiting.begin(), all.waiting.end());
    for (gpu_thread *thread : all.waiting)
        ready_last(thread);
    all.waiting.clear();
}
int barrier(barrier_kind kind, int predicate, const char *file, int line)
{
    if (all.arrived == 0) {
        all.kind = kind;
        all.sum = kind == BARRIER_AND;
        all.file = file;
        all.line = line;
    } else if (all.kind != kind || !same_place(all.file, all.line, file, line)) {
        die("barrier", "threads of one block wait in different places: %s:%d and %s:%d", all.file,
            all.line, file, line);
    }
    if (kind == BARRIER_COUNT)
        all.sum += predicate != 0;
    else if (kind == BARRIER_AND)
        all.sum = all.sum && predicate;
    else if (kind == BARRIER_OR)
        all.sum = all.sum || predicate;
    if (++all.arrived == all.live) {
        barrier_release();
        return all.result;
    }
    all.waiting.push_back(current);
    wait_in(OPERATION_BARRIER, 0, file, line);
    return all.result;
}

/* The lanes go on before anyone else does: a warp runs until it waits for another, so that few stacks are
 * in the cache at a time. */
static void complete(warp &own, int which, const gpu_thread *last)
{
    meeting done = own.meeting_of[which];
    own.meeting_of[which] = own.meeting_of[--own.meetings];
    collective_body body = body_of(done.which);
    if (body != nullptr)
        body(done.arguments, done.arrived);
    progress.clock++;
    gpu_thread *first = threads + (&own - warps) * 32;
    for (int i = 0; i < 32; i++) {
        gpu_thread *thread = first + (order == schedule::reverse ? i : 31 - i);
        if (!(done.arrived >> thread->lane & 1))
            continue;
        thread->joined = progress.clock;
        if (thread != last)
            ready_next(thread);
    }
}
static meeting &meeting_for(warp &own, operation which, unsigned mask, const char *file, int line,
                            int *at)
{
    int i = 0;
    while (i < own.meetings && !(own.meeting_of[i].mask & mask))
        i++;
    meeting &found = own.meeting_of[i];
    *at = i;
    if (i == own.meetings) {
        own.meetings++;
        found.which = which;
        found.mask = mask;
        found.arrived = 0;
        found.file = file;
        found.line = line;
    } else if (found.mask != mask || found.which != which) {
        die("divergence",
            "lanes of one warp meet in different operations: %s, mask %08x, at %s:%d and %s, mask "
            "%08x, at %s:%d",
            name_of(found.which), found.mask, found.file, found.line, name_of(which), mask, file,
            line);
    } else if (!same_place(found.file, found.line, file, line)) {
        die("divergence", "lanes of one warp reach %s from different places: %s:%d and %s:%d",
            name_of(which), found.file, found.line, file, line);
    }
    return found;
}
void collective(operation which, unsigned mask, void *argument, const char *file, int line)
{
    gpu_thread *own = current;
    warp &group = warps[own->warp];
    if (!(mask >> own->lane & 1))
        die("mask", "%s at %s:%d: lane %u calls, but is not in its mask %08x", name_of(which), file,
            line, own->lane, mask);
    int at;
    meeting &met = meeting_for(group, which, mask, file, line, &at);
    met.arguments[own->lane] = argument;
    met.arrived |= 1u << own->lane;
    if (met.arrived == (mask & ~group.gone))
        complete(group, at, own);
    else
        wait_in(which, mask, file, line);
}

static void thread_exits(gpu_thread *thread)
{
    if (!thread->copies.empty())
        die("copy", "a thread exits before its copy issued at %s:%d has been waited for",
            thread->copies[0].file, thread->copies[0].line);
    thread->done = true;
    thread->on = nullptr;
    all.live--;
    all.exited++;
    if (all.arrived > 0 && all.arrived == all.live)
        barrier_release();
    warp &own = warps[thread->warp];
    own.gone |= 1u << thread->lane;
    for (int i = 0; i < own.meetings; i++)
        if (own.meeting_of[i].arrived == (own.meeting_of[i].mask & ~own.gone))
            complete(own, i--, nullptr);
}
/* A fiber's life: it runs threads to their ends, one after another while they have not begun elsewhere. */
void run_fiber()
{
    for (;;) {
        fiber *own = fiber_current();
        gpu_thread *thread = own->assigned;
        do {
            thread->on = own;
            enter_thread(thread);
            running->request.body(running->arguments.get());
            thread_exits(thread);
            thread = ready_take();
        } while (thread != nullptr && thread->on == nullptr);
        if (thread == nullptr && all.live > 0)
            deadlock();
        fiber_give(own);
        fiber_switch(thread != nullptr ? thread->on : fiber_main());
    }
}

static void begin_threads(dim3 block)
{
    thread_count = block.x * block.y * block.z;
    uint32_t of_warp = 0;
    by_priority = order == schedule::random && random_number() & 1;
    for (unsigned i = 0; i < thread_count; i++) {
        gpu_thread &one = threads[i];
        one.index = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
        one.number = i;
        one.lane = i % 32;
        one.warp = i / 32;
        one.on = nullptr;
        one.done = false;
        one.joined = 0;
        one.copy_group = 0;
        one.copies.clear();
        if (by_priority && i % 32 == 0)
            of_warp = random_number() << 8;
        if (by_priority)
            one.priority = of_warp | (random_number() & 0xFF);
        ready[order == schedule::reverse ? thread_count - 1 - i : i] = &one;
    }
    ready_first = 0;
    ready_count = thread_count;
    for (unsigned i = 0; i < (thread_count + 31) / 32; i++) {
        unsigned lanes = std::min(32u, thread_count - i * 32);
        warps[i].gone = lanes == 32 ? 0 : ~0u << lanes;
        warps[i].meetings = 0;
    }
}
void run_block(const running_launch &launch, size_t number)
{
    const dim3 grid = launch.request.grid;
    order = options().order;
    running_on = this_thread();
    progress = {(uint32_t)number, 1, 0, threads};
    ::blockIdx = {(unsigned)(number % grid.x), (unsigned)(number / grid.x % grid.y),
                  (unsigned)(number / ((size_t)grid.x * grid.y))};
    begin_threads(launch.request.block);
    all.arrived = all.exited = 0;
    all.live = thread_count;
    shared_begin_block();
    race_block_begin();
    gpu_thread *first = ready_take();
    give_fiber(first);
    fiber_switch(first->on);
    current = nullptr;
    shared_end_block();
}

} // namespace cudaemu
