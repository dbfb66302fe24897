/* Device and pinned memory, copies and fills. Device memory is one reserved range, with ground nobody owns
 * between allocations; under AddressSanitizer each allocation is one of the heap. It starts as all ones. */
#include "tests/cudaemu/emu.h"

#include <map>
#include <stdlib.h>
#include <sys/mman.h>

namespace cudaemu
{

struct allocation {
    size_t bytes;
    uint64_t serial;
};
typedef std::map<uintptr_t, allocation> allocations;
static constexpr size_t granule = 256;
static allocations device, pinned;
static size_t used;
static uint64_t serials;

static size_t rounded(size_t bytes)
{
    return (bytes + granule - 1) / granule * granule;
}
static const allocation *find(const allocations &all, const void *at, size_t bytes)
{
    auto after = all.upper_bound((uintptr_t)at);
    if (after == all.begin())
        return nullptr;
    --after;
    return (uintptr_t)at + bytes <= after->first + after->second.bytes ? &after->second : nullptr;
}
static bool lies_in(const allocations &all, const void *at, size_t bytes)
{
    return find(all, at, bytes) != nullptr;
}
uint64_t allocation_serial(const void *at)
{
    const allocation *one = find(device, at, 1);
    if (one == nullptr)
        one = find(pinned, at, 1);
    return one == nullptr ? 0 : one->serial;
}
bool is_device(const void *at, size_t bytes)
{
    return lies_in(device, at, bytes);
}
bool is_pinned(const void *at, size_t bytes)
{
    return lies_in(pinned, at, bytes);
}
void check_device(const void *at, size_t bytes, const char *what)
{
    if (!is_device(at, bytes))
        die("address", "%s: [%p, +%zu) is not in one allocation of device memory", what, at, bytes);
}
size_t device_memory_used()
{
    return used;
}

#ifdef CUDAEMU_ASAN
span device_arena()
{
    return {nullptr, 0};
}
device_access::device_access()
{
}
device_access::~device_access()
{
}
static void *take(size_t bytes)
{
    void *at = aligned_alloc(granule, rounded(bytes));
    if (at != nullptr)
        __asan_poison_memory_region(static_cast<char *>(at) + bytes, rounded(bytes) - bytes);
    return at;
}
static void give(void *at, size_t bytes)
{
    __asan_unpoison_memory_region(at, rounded(bytes));
    free(at);
}
#else
static span arena;
static size_t top; /* of the arena, handed out so far */
static int accesses;
static std::multimap<size_t, void *> &idle = *new std::multimap<size_t, void *>;

span device_arena()
{
    return arena;
}
static void open_arena(bool open)
{
    constexpr size_t page = 4096;
    if (options().protect && top > 0)
        mprotect(arena.at, (top + page - 1) / page * page,
                 open ? PROT_READ | PROT_WRITE : PROT_NONE);
}
device_access::device_access()
{
    if (accesses++ == 0)
        open_arena(true);
}
device_access::~device_access()
{
    if (--accesses == 0)
        open_arena(false);
}
static bool reserve()
{
    const int closed = options().protect ? PROT_NONE : PROT_READ | PROT_WRITE;
    size_t bytes = options().memory * 2; /* holes */
    void *room = mmap(nullptr, bytes, closed, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return false;
    arena = {static_cast<unsigned char *>(room), bytes};
    race_arena(arena);
    catch_faults();
    return true;
}
static void *take(size_t bytes)
{
    if (arena.at == nullptr && !reserve())
        return nullptr;
    const size_t needed = rounded(bytes) + granule;
    auto found = idle.find(needed);
    void *at;
    if (found != idle.end()) {
        at = found->second;
        idle.erase(found);
    } else {
        if (needed > arena.bytes - top)
            return nullptr;
        at = arena.at + top;
        top += needed;
    }
    race_allocated(at, bytes);
    return at;
}
static void give(void *at, size_t bytes)
{
    race_freed(at, bytes);
    idle.emplace(rounded(bytes) + granule, at);
}
#endif

static cudaError_t allocate(void **out, size_t bytes)
{
    *out = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    if (bytes > options().memory || rounded(bytes) > options().memory - used)
        return failed(cudaErrorMemoryAllocation);
    void *at = take(bytes);
    if (at == nullptr)
        return failed(cudaErrorMemoryAllocation);
    device[(uintptr_t)at] = {bytes, ++serials};
    used += rounded(bytes);
    device_access access;
    memset(at, 0xFF, bytes);
    *out = at;
    return cudaSuccess;
}
static void release(void *at)
{
    auto found = device.find((uintptr_t)at);
    if (found == device.end())
        return;
    const size_t bytes = found->second.bytes;
    device.erase(found);
    used -= rounded(bytes);
    give(at, bytes);
}

/* Which sides of a copy are device memory, as its kind says? */
static cudaError_t check_copy(const void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    static const struct {
        bool to, from;
    } sides[] = {{false, false}, {true, false}, {false, true}, {true, true}};
    const bool to_device = is_device(to, bytes), from_device = is_device(from, bytes);
    if ((unsigned)kind > cudaMemcpyDefault)
        return failed(cudaErrorInvalidMemcpyDirection);
    if (bytes == 0 || kind == cudaMemcpyDefault)
        return cudaSuccess;
    if (to_device != sides[kind].to || from_device != sides[kind].from)
        return failed(cudaErrorInvalidValue,
                      "a copy of %zu bytes, kind %d: to %p (%s), from %p (%s)", bytes, (int)kind,
                      to, to_device ? "in a device allocation" : "not in a device allocation", from,
                      from_device ? "in a device allocation" : "not in a device allocation");
    return cudaSuccess;
}
static void copy_now(void *to, const void *from, size_t bytes)
{
    device_access access;
    if (is_device(from, bytes))
        race_read(from, bytes, "a copy");
    else if (is_device(to, bytes))
        race_written(to, bytes);
    memmove(to, from, bytes);
}
static bool pageable(const void *at, size_t bytes)
{
    return !is_device(at, bytes) && !is_pinned(at, bytes);
}

} // namespace cudaemu

using namespace cudaemu;

CUDAEMU_API cudaMalloc(void **out, size_t bytes)
{
    entry guard;
    cudaError_t error = refuse_capture();
    return error != cudaSuccess ? error : allocate(out, bytes);
}
CUDAEMU_API cudaFree(void *at)
{
    entry guard;
    if (at == nullptr)
        return cudaSuccess;
    cudaError_t error = refuse_capture();
    if (error != cudaSuccess && device_lost() == cudaSuccess)
        return error;
    if (device.find((uintptr_t)at) == device.end())
        return failed(cudaErrorInvalidValue, "cudaFree of %p, which is no allocation", at);
    host_wait wait;
    drain_all();
    release(at); /* a lost device's, too: it is no leak of the program's */
    return error;
}
CUDAEMU_API cudaMallocAsync(void **out, size_t bytes, cudaStream_t)
{
    entry guard;
    cudaError_t error = refuse_capture(); /* as a node of a graph: not here */
    return error != cudaSuccess ? error : allocate(out, bytes);
}
CUDAEMU_API cudaFreeAsync(void *at, cudaStream_t stream)
{
    entry guard;
    if (at == nullptr)
        return cudaSuccess;
    if (device.find((uintptr_t)at) == device.end())
        return failed(cudaErrorInvalidValue, "cudaFreeAsync of %p, which is no allocation", at);
    return enqueue(stream, {"cudaFreeAsync", HOST_NODE, [at] { release(at); }, {}, {}});
}
CUDAEMU_API cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    entry guard;
    *out = nullptr;
    cudaError_t error = refuse_capture();
    if (error != cudaSuccess || bytes == 0)
        return error;
    void *at = aligned_alloc(granule, rounded(bytes));
    if (at == nullptr)
        return failed(cudaErrorMemoryAllocation);
    pinned[(uintptr_t)at] = {bytes, ++serials};
    *out = at;
    return cudaSuccess;
}
CUDAEMU_API cudaMallocHost(void **out, size_t bytes)
{
    return cudaHostAlloc(out, bytes, cudaHostAllocDefault);
}
CUDAEMU_API cudaFreeHost(void *at)
{
    entry guard;
    if (at == nullptr)
        return cudaSuccess;
    cudaError_t error = refuse_capture();
    if (error != cudaSuccess && device_lost() == cudaSuccess)
        return error;
    if (pinned.erase((uintptr_t)at) == 0)
        return failed(cudaErrorInvalidValue, "cudaFreeHost of %p, which is no allocation", at);
    host_wait wait;
    drain_all();
    free(at);
    return cudaSuccess;
}
CUDAEMU_API cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    entry guard;
    cudaError_t error = refuse_capture();
    if (error == cudaSuccess)
        error = check_copy(to, from, bytes, kind);
    if (error != cudaSuccess)
        return error;
    host_wait wait;
    drain_stream(nullptr);
    copy_now(to, from, bytes);
    return cudaSuccess;
}
/* From pageable memory the bytes are staged at once, to pageable memory the call waits. */
CUDAEMU_API cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    entry guard;
    cudaError_t error = check_copy(to, from, bytes, kind);
    if (error != cudaSuccess || bytes == 0)
        return error;
    if (!capturing(stream) && pageable(from, bytes)) {
        const char *first = static_cast<const char *>(from);
        auto staged = std::make_shared<std::vector<char>>(first, first + bytes);
        return enqueue(stream,
                       {"a copy", COPY_NODE, [=] { copy_now(to, staged->data(), bytes); }, {}, {}});
    }
    error =
        enqueue(stream, {"a copy", COPY_NODE, [=] { copy_now(to, from, bytes); }, {}, {to, from}});
    if (error == cudaSuccess && !capturing(stream) && pageable(to, bytes)) {
        host_wait wait;
        drain_stream(stream);
    }
    return error;
}
CUDAEMU_API cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    entry guard;
    if (width > to_pitch || width > from_pitch)
        return failed(cudaErrorInvalidPitchValue);
    for (size_t row = 0; row < height; row++) {
        cudaError_t error = cudaMemcpyAsync(static_cast<char *>(to) + row * to_pitch,
                                            static_cast<const char *>(from) + row * from_pitch,
                                            width, kind, stream);
        if (error != cudaSuccess)
            return error;
    }
    return cudaSuccess;
}
CUDAEMU_API cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream)
{
    entry guard;
    if (bytes == 0)
        return cudaSuccess;
    if (!is_device(at, bytes))
        return failed(cudaErrorInvalidValue, "a fill of [%p, +%zu), which is not in one allocation",
                      at, bytes);
    return enqueue(stream, {"a fill",
                            FILL_NODE,
                            [=] {
                                device_access access;
                                race_written(at, bytes);
                                memset(at, value, bytes);
                            },
                            {},
                            {at}});
}
CUDAEMU_API cudaMemset(void *at, int value, size_t bytes)
{
    return cudaMemsetAsync(at, value, bytes, nullptr);
}
CUDAEMU_API cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    entry guard;
    *total = options().memory;
    *free_bytes = options().memory - used;
    return cudaSuccess;
}
CUDAEMU_API cudaPointerGetAttributes(cudaPointerAttributes *out, const void *at)
{
    entry guard;
    *out = {};
    out->type = is_device(at, 1)   ? cudaMemoryTypeDevice
                : is_pinned(at, 1) ? cudaMemoryTypeHost
                                   : cudaMemoryTypeUnregistered;
    out->devicePointer = is_device(at, 1) ? const_cast<void *>(at) : nullptr;
    return cudaSuccess;
}
