/* Shared memory: garbage at the start of every block, no more than was asked for; and copies to it that
 * arrive late, as cp.async's do. */
#include "tests/cudaemu/emu.h"

#include <algorithm>
#include <stdlib.h>
#include <sys/mman.h>

extern "C" {
/* shared.ld */
extern unsigned char cudaemu_shared_begin[], cudaemu_shared_end[];
}

namespace cudaemu
{

static constexpr size_t granule = 128;
static span dynamic;
static std::vector<span> &gaps = *new std::vector<span>;

static size_t rounded(size_t bytes)
{
    return (bytes + granule - 1) / granule * granule;
}
unsigned char *dynamic_shared()
{
    return dynamic.at;
}
span dynamic_span()
{
    return dynamic;
}
span static_span()
{
    return {cudaemu_shared_begin, (size_t)(cudaemu_shared_end - cudaemu_shared_begin)};
}

#ifdef CUDAEMU_ASAN
static void poison(void *at, size_t bytes)
{
    __asan_poison_memory_region(at, bytes);
}
static void unpoison(void *at, size_t bytes)
{
    __asan_unpoison_memory_region(at, bytes);
}
#endif

/* Behind its end: forbidden memory, or a page that is not there. */
void shared_open(size_t bytes)
{
    dynamic = {nullptr, bytes};
    if (bytes == 0)
        return;
#ifdef CUDAEMU_ASAN
    dynamic.at = static_cast<unsigned char *>(aligned_alloc(granule, rounded(bytes) + granule));
    if (dynamic.at == nullptr)
        die("memory", "no room for shared memory");
    poison(dynamic.at + bytes, rounded(bytes) + granule - bytes);
#else
    static unsigned char *end;
    constexpr size_t page = 4096, most = (shared_most + page - 1) / page * page;
    if (end == nullptr) {
        void *room =
            mmap(nullptr, most + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED)
            die("memory", "no room for shared memory");
        end = static_cast<unsigned char *>(room) + most;
        mprotect(end, page, PROT_NONE);
    }
    dynamic.at = end - rounded(bytes);
#endif
}
void shared_close()
{
#ifdef CUDAEMU_ASAN
    if (dynamic.at != nullptr) {
        unpoison(dynamic.at, rounded(dynamic.bytes) + granule);
        free(dynamic.at);
    }
#endif
    dynamic = {nullptr, 0};
}

/* All ones are NaNs as floats, -1 as integers. An instruction, since guard zones lie between. */
static void fill(span room)
{
    asm volatile("rep stosb" : "+D"(room.at), "+c"(room.bytes) : "a"(0xFF) : "memory");
}
void shared_begin_block()
{
    gaps.clear();
    if (dynamic.bytes > 0)
        fill(dynamic);
    if (static_span().bytes > 0)
        fill(static_span());
}
void forbid_shared(void *at, size_t bytes)
{
    unsigned char *from = static_cast<unsigned char *>(at);
    for (const span &gap : gaps)
        if (gap.at == from)
            return;
    if (from < dynamic.at || from + bytes > dynamic.at + dynamic.bytes)
        die("shared",
            "arrays taken from dynamic shared memory are larger than the %zu bytes of the "
            "launch",
            dynamic.bytes);
    gaps.push_back({from, bytes});
#ifdef CUDAEMU_ASAN
    poison(at, bytes);
#endif
    race_forbid(at, bytes);
}
void shared_end_block()
{
#ifdef CUDAEMU_ASAN
    for (const span &gap : gaps)
        unpoison(gap.at, gap.bytes);
#endif
}

static bool lies_in(const void *at, size_t bytes, span room)
{
    const unsigned char *from = static_cast<const unsigned char *>(at);
    return from >= room.at && from + bytes <= room.at + room.bytes;
}
void check_shared(const void *at, size_t bytes, const char *what, const char *file, int line)
{
    if ((uintptr_t)at % bytes != 0)
        die("misaligned", "%s at %s:%d: address %p is not a multiple of %zu", what, file, line, at,
            bytes);
    if (!lies_in(at, bytes, dynamic) && !lies_in(at, bytes, static_span()))
        die("address", "%s at %s:%d: %p is not in the block's shared memory", what, file, line, at);
}

/* Copies to shared memory. */
static void check_touch([[maybe_unused]] const void *at, [[maybe_unused]] const char *what,
                        [[maybe_unused]] const late_copy &copy)
{
#ifdef CUDAEMU_ASAN
    void *bad = __asan_region_is_poisoned(const_cast<void *>(at), 16);
    if (bad != nullptr)
        die("address", "%s of the copy at %s:%d touches forbidden memory at %p", what, copy.file,
            copy.line, bad);
#endif
}
static void finish(const late_copy &copy, void *pc)
{
    check_touch(copy.to, "the destination", copy);
    race_access(copy.to, 16, true, pc);
    if (!copy.valid) {
        memset(copy.to, 0, 16);
        return;
    }
    check_touch(copy.from, "the source", copy);
    race_access(copy.from, 16, false, pc);
    memcpy(copy.to, copy.from, 16);
}
void copy_async(void *to, const void *from, bool valid, const char *file, int line)
{
    check_shared(to, 16, "the destination of a copy", file, line);
    if (valid && (uintptr_t)from % 16 != 0)
        die("misaligned", "the source %p of the copy at %s:%d is not a multiple of 16", from, file,
            line);
    if (valid && !is_device(from, 16))
        die("address", "the source [%p, +16) of the copy at %s:%d is not in one allocation", from,
            file, line);
    late_copy copy = {to, from, valid, current->copy_group, file, line};
    check_touch(to, "the destination", copy);
    race_pending(to, 16, __builtin_return_address(0));
    memset(to, 0xFF, 16); /* until waited for */
    current->copies.push_back(copy);
}
void copy_async_commit()
{
    current->copy_group++;
}
void copy_async_wait(int keep)
{
    std::vector<late_copy> &copies = current->copies;
    size_t done = 0;
    while (done < copies.size() && copies[done].group < current->copy_group - keep)
        finish(copies[done++], __builtin_return_address(0));
    copies.erase(copies.begin(), copies.begin() + (std::ptrdiff_t)done);
}

} // namespace cudaemu
