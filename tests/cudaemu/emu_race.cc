/* Data races, reads of what nobody wrote, stray and host-memory accesses, whatever the schedule of the run.
 *
 * The compiler (-fsanitize=thread) calls __tsan_read4 and the like before each access of a kernel; libtsan is
 * not linked, they end here. Each two bytes of device and shared memory have a cell: who wrote and who read
 * them last, and when on the block's clock of barriers and warp collectives. Two accesses, one a write, by
 * threads that nothing orders are an error. Blocks of one launch are never ordered, but by __threadfence and
 * an atomic. A cell remembers one writer and one reader (or that a warp or a block read), so a race can be
 * missed, not invented, except that all threads storing one value is a race here too. */
#include "tests/cudaemu/emu.h"

#ifndef CUDAEMU_RACE

namespace cudaemu
{
void note_atomic(const void *, size_t, void *)
{
}
void note_fence()
{
}
void race_arena(span)
{
}
void race_allocated(const void *, size_t)
{
}
void race_freed(const void *, size_t)
{
}
void race_written(const void *, size_t)
{
}
void race_read(const void *, size_t, const char *)
{
}
void race_launch_begin()
{
}
void race_launch_end()
{
}
void race_block_begin()
{
}
void race_forbid(const void *, size_t)
{
}
void race_access(const void *, size_t, bool, void *)
{
}
void race_pending(const void *, size_t, void *)
{
}
} // namespace cudaemu

#else

#include <algorithm>
#include <link.h>
#include <map>
#include <set>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

namespace cudaemu
{

/* Stamps: launch 16 bits, block 16, thread 10, clock 18, which of the two bytes 2, and 2: of a write whether it
 * was atomic, of a read who else read (enum reader_group). A write of 0 is none; by_host: a copy, a fill or a
 * product wrote. */
struct cell {
    uint64_t write, read;
};
static constexpr uint64_t by_host = 1;
static constexpr uint32_t last_clock = (1u << 18) - 1, last_launch = (1u << 16) - 1;
static constexpr int most_reports = 10;

struct shadow {
    uintptr_t at;
    size_t bytes;
    cell *cells;
    bool is_shared;
};
static shadow arena, dynamic, fixed;
static uintptr_t image, image_end; /* of the plugin: constants, __device__ variables */
static std::map<uintptr_t, size_t> &live = *new std::map<uintptr_t, size_t>;
static std::vector<span> &gaps = *new std::vector<span>;
static uint64_t launch_number;
/* Who has published what it did: a fence, then an atomic; and whether this block has received: an atomic. */
static std::vector<uint8_t> &fences = *new std::vector<uint8_t>;
static bool received;
static int reports;
static std::set<std::pair<void *, const char *>> &reported =
    *new std::set<std::pair<void *, const char *>>;

struct attempt {
    uintptr_t at;
    size_t bytes;
    bool write, atomic;
    void *pc;
};

/* Of the current thread, now. */
static uint64_t stamp(uint32_t halves, uint32_t low)
{
    return launch_number << 48 | (uint64_t)(progress.block & 0xFFFF) << 32 |
           (uint64_t)current->number << 22 | (uint64_t)std::min(progress.clock, last_clock) << 4 |
           halves << 2 | low;
}
static uint32_t block_in(uint64_t stamp)
{
    return stamp >> 32 & 0xFFFF;
}
static uint32_t thread_in(uint64_t stamp)
{
    return stamp >> 22 & 0x3FF;
}
static uint32_t clock_in(uint64_t stamp)
{
    return stamp >> 4 & last_clock;
}
static uint32_t halves_in(uint64_t stamp)
{
    return stamp >> 2 & 3;
}

static cell *reserve(size_t bytes)
{
    void *room = mmap(nullptr, bytes / 2 * sizeof(cell), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        die("memory", "no room for the race checker's cells; LNG_CUDAEMU_MEMORY=<MiB> takes less");
    return static_cast<cell *>(room);
}

__attribute__((format(printf, 3, 4))) static void report(const char *kind, const attempt &what,
                                                         const char *format, ...)
{
    if (!reported.insert({what.pc, kind}).second)
        return;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say("cudaemu: error [%s]: %s of %zu bytes at %p, %s\n", kind,
        what.atomic  ? "atomic update"
        : what.write ? "write"
                     : "read",
        what.bytes, (void *)what.at, text);
    say_where();
    say_line(what.pc);
    if (++reports >= most_reports)
        stop();
}

/* Device memory of which no write is known. */
static void report_unwritten(const attempt &what)
{
    auto after = live.upper_bound(what.at);
    bool allocated = after != live.begin();
    if (allocated) {
        --after;
        allocated = what.at + what.bytes <= after->first + after->second;
    }
    if (!allocated)
        report("address", what, "which is in no allocation (freed, or never made)");
    else if (!what.write || what.atomic)
        report("uninitialised", what, "device memory that was never written");
}
static bool published(uint64_t stamp)
{
    return received && fences[block_in(stamp)] == 2;
}
/* Against an earlier access of the same launch. */
static void check_order(uint64_t earlier, reader_group group, const char *verb, const attempt &what)
{
    if (block_in(earlier) != (progress.block & 0xFFFF)) {
        if (!published(earlier))
            report("race", what, "and block %u, thread %u %s it, in no order", block_in(earlier),
                   thread_in(earlier), verb);
    } else if (!happened_before(thread_in(earlier), clock_in(earlier), group)) {
        report("race", what, "and thread %u of this block %s it, with no barrier between",
               thread_in(earlier), verb);
    }
}
/* What is known of a cell's readers after this one; `counts`: of earlier ones there is something to keep. */
static uint64_t read_stamp(uint64_t earlier, bool counts, uint32_t halves)
{
    const reader_group group = (reader_group)(earlier & 3);
    const uint32_t thread = thread_in(earlier);
    counts = counts && halves_in(earlier) == halves;
    if (counts && block_in(earlier) != (progress.block & 0xFFFF))
        return stamp(halves, READER_BLOCK);
    if (counts && (thread != current->number || group != READER_ONE) &&
        !happened_before(thread, clock_in(earlier), group))
        return stamp(halves, group != READER_BLOCK && thread / 32 == current->number / 32
                                 ? READER_WARP
                                 : READER_BLOCK);
    return stamp(halves, READER_ONE);
}
static void check_cell(cell &one, bool is_shared, uint32_t halves, const attempt &what)
{
    if (!what.write && one.read == stamp(halves, READER_ONE))
        return; /* read before, and not written since */
    bool written = one.write >> 48 == launch_number, read = one.read >> 48 == launch_number;
    if (is_shared) { /* another block's shared memory is another memory */
        written = written && block_in(one.write) == (progress.block & 0xFFFF);
        read = read && block_in(one.read) == (progress.block & 0xFFFF);
        if (!written && (!what.write || what.atomic))
            report("uninitialised", what, "shared memory that this block has not written");
    } else if (one.write == 0) {
        report_unwritten(what);
    }
    if (written && !(what.atomic && one.write & 1) && halves_in(one.write) & halves)
        check_order(one.write, READER_ONE, "wrote", what);
    if (!what.write) {
        one.read = read_stamp(one.read, read, halves);
        return;
    }
    if (read && halves_in(one.read) & halves)
        check_order(one.read, (reader_group)(one.read & 3), "read", what);
    one.write = stamp(halves, what.atomic);
    one.read = 0;
}
static const shadow *shadow_of(uintptr_t at)
{
    for (const shadow *one : {&arena, &dynamic, &fixed})
        if (at - one->at < one->bytes)
            return one;
    return nullptr;
}
static void check_gaps(const attempt &what)
{
    if (what.at + what.bytes > dynamic.at + dynamic.bytes)
        report("address", what, "beyond the launch's dynamic shared memory");
    for (const span &gap : gaps)
        if (what.at + what.bytes > (uintptr_t)gap.at && what.at < (uintptr_t)gap.at + gap.bytes)
            report("address", what, "between two arrays of dynamic shared memory");
}
static bool is_private(uintptr_t at)
{
    return on_own_stack(at) ||
           at - (uintptr_t)running->arguments.get() < running->request.argument_bytes ||
           (at >= image && at < image_end);
}
static void check_access(const attempt &what)
{
    if (!in_kernel())
        return;
    const shadow *memory = shadow_of(what.at);
    if (memory == nullptr) {
        if (!is_private(what.at))
            report("host-memory", what,
                   "neither device nor shared memory nor the thread's own variables");
        return;
    }
    if (memory == &dynamic)
        check_gaps(what);
    const uintptr_t begin = what.at - memory->at, end = std::min(begin + what.bytes, memory->bytes);
    const cell before = memory->cells[begin / 2];
    for (uintptr_t i = begin / 2; i <= (end - 1) / 2; i++) {
        cell &one = memory->cells[i];
        const uint32_t halves = (i * 2 >= begin ? 1 : 0) | (i * 2 + 1 < end ? 2 : 0);
        if (i > begin / 2 && begin % 2 == 0 && halves == 3 && one.write == before.write &&
            one.read == before.read)
            one = memory->cells[begin / 2]; /* as its neighbour */
        else
            check_cell(one, memory->is_shared, halves, what);
    }
}

/* What the runtime says. */
static void forget(uintptr_t at, size_t bytes)
{
    constexpr uintptr_t page = 4096;
    char *first = reinterpret_cast<char *>(arena.cells + (at - arena.at) / 2);
    char *end = reinterpret_cast<char *>(arena.cells + (at - arena.at + bytes + 1) / 2);
    char *whole = first + (page - (uintptr_t)first % page) % page;
    char *whole_end = end - (uintptr_t)end % page;
    if (whole >= whole_end) {
        std::fill(first, end, 0);
        return;
    }
    std::fill(first, whole, 0);
    madvise(whole, (size_t)(whole_end - whole), MADV_DONTNEED); /* reads as zeros then */
    std::fill(whole_end, end, 0);
}
void race_arena(span room)
{
    arena = {(uintptr_t)room.at, room.bytes, reserve(room.bytes), false};
}
void race_allocated(const void *at, size_t bytes)
{
    live[(uintptr_t)at] = bytes;
}
void race_freed(const void *at, size_t bytes)
{
    live.erase((uintptr_t)at);
    forget((uintptr_t)at, bytes);
}
void race_written(const void *at, size_t bytes)
{
    const uintptr_t first = (uintptr_t)at - arena.at;
    for (uintptr_t i = first / 2; i < (first + bytes + 1) / 2; i++)
        arena.cells[i] = {by_host, 0};
}
void race_read(const void *at, size_t bytes, const char *what)
{
    const uintptr_t first = (uintptr_t)at - arena.at;
    for (uintptr_t i = first / 2; i < (first + bytes + 1) / 2; i++)
        if (arena.cells[i].write == 0) {
            say("cudaemu: error [uninitialised]: %s reads device memory that was never written, "
                "%zu "
                "bytes into [%p, +%zu)\n",
                what, i * 2 - first, at, bytes);
            stop();
        }
}
/* Stamps of 65,535 launches ago would come again. */
static void restart_stamps()
{
    launch_number = 1;
    for (const auto &one : live)
        for (uintptr_t i = (one.first - arena.at) / 2;
             i < (one.first - arena.at + one.second + 1) / 2; i++) {
            cell &old = arena.cells[i];
            old = {old.write != 0 ? by_host : 0, 0};
        }
    std::fill(dynamic.cells, dynamic.cells + shared_most / 2, cell{0, 0});
    std::fill(fixed.cells, fixed.cells + fixed.bytes / 2, cell{0, 0});
}
static int find_image(dl_phdr_info *info, size_t, void *own)
{
    uintptr_t first = UINTPTR_MAX, end = 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            const auto &part = info->dlpi_phdr[i];
            first = std::min<uintptr_t>(first, info->dlpi_addr + part.p_vaddr);
            end = std::max<uintptr_t>(end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
        }
    if ((uintptr_t)own < first || (uintptr_t)own >= end)
        return 0;
    image = first;
    image_end = end;
    return 1;
}
void race_launch_begin()
{
    if (dynamic.cells == nullptr) {
        const span room = static_span();
        dynamic.cells = reserve(shared_most + 256);
        fixed = {(uintptr_t)room.at, room.bytes, reserve(room.bytes + 2), true};
        dl_iterate_phdr(find_image, reinterpret_cast<void *>(race_launch_begin));
    }
    if (++launch_number > last_launch)
        restart_stamps();
    dynamic.at = (uintptr_t)dynamic_span().at;
    dynamic.bytes = dynamic_span().bytes;
    dynamic.is_shared = true;
    fences.assign(1 << 16, 0);
}
void race_launch_end()
{
    if (reports > 0)
        stop();
}
void race_block_begin()
{
    gaps.clear();
    received = false;
}
void race_forbid(const void *at, size_t bytes)
{
    gaps.push_back({static_cast<unsigned char *>(const_cast<void *>(at)), bytes});
}
void race_access(const void *at, size_t bytes, bool write, void *pc)
{
    check_access({(uintptr_t)at, bytes, write, false, pc});
}
void race_pending(const void *at, size_t bytes, void *pc)
{
    race_access(at, bytes, true, pc);
    const shadow *memory = shadow_of((uintptr_t)at);
    const uintptr_t first = ((uintptr_t)at - memory->at) / 2;
    for (size_t i = 0; i < bytes / 2; i++)
        memory->cells[first + i].write = 0;
}
void note_atomic(const void *at, size_t bytes, void *pc)
{
    check_access({(uintptr_t)at, bytes, true, true, pc});
    if (!in_kernel())
        return;
    received = true;
    uint8_t &fence = fences[progress.block & 0xFFFF];
    fence = fence == 1 ? 2 : fence;
}
void note_fence()
{
    if (in_kernel())
        fences[progress.block & 0xFFFF] = 1;
}

} // namespace cudaemu

/* What the compiler calls. */
#define RACE_HOOK(name, bytes, write)                                        \
    extern "C" void __tsan_##name##bytes(void *at)                           \
    {                                                                        \
        cudaemu::race_access(at, bytes, write, __builtin_return_address(0)); \
    }
#define RACE_HOOKS(bytes)                   \
    RACE_HOOK(read, bytes, false)           \
    RACE_HOOK(write, bytes, true)           \
    RACE_HOOK(unaligned_read, bytes, false) \
    RACE_HOOK(unaligned_write, bytes, true) \
    RACE_HOOK(volatile_read, bytes, false)  \
    RACE_HOOK(volatile_write, bytes, true)
RACE_HOOKS(1)
RACE_HOOKS(2)
RACE_HOOKS(4)
RACE_HOOKS(8)
RACE_HOOKS(16)
extern "C" void __tsan_read_range(void *at, unsigned long bytes)
{
    cudaemu::race_access(at, bytes, false, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(void *at, unsigned long bytes)
{
    cudaemu::race_access(at, bytes, true, __builtin_return_address(0));
}
extern "C" void __tsan_init()
{
}
extern "C" void __tsan_func_entry(void *)
{
}
extern "C" void __tsan_func_exit()
{
}
extern "C" void __tsan_vptr_update(void **, void *)
{
}
extern "C" void __tsan_vptr_read(void **)
{
}

/* Copies and fills of structures, which the compiler leaves to the library: the kernels' objects, and they
 * alone, call these (cudaemu.mk renames them there). */
static void check_copy(void *to, const void *from, size_t bytes, void *pc)
{
    if (bytes == 0 || !cudaemu::in_kernel())
        return;
    if (from != nullptr)
        cudaemu::race_access(from, bytes, false, pc);
    cudaemu::race_access(to, bytes, true, pc);
}
extern "C" void *cudaemu_memcpy(void *to, const void *from, size_t bytes)
{
    check_copy(to, from, bytes, __builtin_return_address(0));
    return memcpy(to, from, bytes);
}
extern "C" void *cudaemu_memmove(void *to, const void *from, size_t bytes)
{
    check_copy(to, from, bytes, __builtin_return_address(0));
    return memmove(to, from, bytes);
}
extern "C" void *cudaemu_memset(void *to, int value, size_t bytes)
{
    check_copy(to, nullptr, bytes, __builtin_return_address(0));
    return memset(to, value, bytes);
}
extern "C" void *__tsan_memcpy(void *, const void *, size_t)
    __attribute__((alias("cudaemu_memcpy")));
extern "C" void *__tsan_memmove(void *, const void *, size_t)
    __attribute__((alias("cudaemu_memmove")));
extern "C" void *__tsan_memset(void *, int, size_t) __attribute__((alias("cudaemu_memset")));

#endif
