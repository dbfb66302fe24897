#include "kernels/cuda/cuda_pool.h"

#include "host/base/mem.h"
#include "kernels/cuda/cuda_device.h"

struct block {
    void *memory;
    size_t bytes;
    bool used;
    struct block *next;
};
struct cuda_pool {
    struct block *blocks;
    size_t bytes; /* taken from CUDA */
    uint64_t given;
};

enum { MEGABYTE = 1000000 };

enum lng_status cuda_pool_open(struct cuda_pool **pool)
{
    struct cuda_pool *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    *pool = made;
    return LNG_OK;
}

/* Blocks nobody uses, or all of them, back to CUDA. */
static void release(struct cuda_pool *pool, bool used_too)
{
    struct block **link = &pool->blocks;
    while (*link != NULL) {
        struct block *block = *link;
        if (block->used && !used_too) {
            link = &block->next;
            continue;
        }
        *link = block->next;
        pool->bytes -= block->bytes;
        (void)cudaFree(block->memory);
        lng_free(block);
    }
}

void cuda_pool_trim(struct cuda_pool *pool)
{
    release(pool, false);
}

void cuda_pool_close(struct cuda_pool *pool)
{
    if (pool == NULL)
        return;
    release(pool, true);
    lng_free(pool);
}

size_t cuda_pool_idle(const struct cuda_pool *pool)
{
    size_t bytes = 0;
    for (const struct block *block = pool->blocks; block != NULL; block = block->next)
        bytes += block->used ? 0 : block->bytes;
    return bytes;
}

/* The smallest free block that holds `bytes` and is at most an eighth larger. */
static struct block *find(struct cuda_pool *pool, size_t bytes)
{
    struct block *best = NULL;
    for (struct block *block = pool->blocks; block != NULL; block = block->next)
        if (!block->used && block->bytes >= bytes && block->bytes <= bytes + bytes / 8 &&
            (best == NULL || block->bytes < best->bytes))
            best = block;
    return best;
}

static enum lng_status out_of_memory(const struct cuda_pool *pool, const struct lng_device *device,
                                     size_t bytes)
{
    size_t free_bytes = 0, total = 0;
    (void)cudaMemGetInfo(&free_bytes, &total);
    return lng_fail(LNG_ERR_MEMORY,
                    "%s: out of memory: %zu MB asked for, %zu MB in use here, %zu of %zu MB free; "
                    "nvidia-smi shows who else uses this GPU, --device cuda:1 takes another",
                    device->name, bytes / MEGABYTE + 1, pool->bytes / MEGABYTE,
                    free_bytes / MEGABYTE, total / MEGABYTE);
}

enum lng_status cuda_pool_take(struct cuda_pool *pool, struct lng_device *device, size_t bytes,
                               void **memory)
{
    if (bytes == 0)
        bytes = 1;
    struct block *block = find(pool, bytes);
    if (block != NULL) {
        block->used = true;
        *memory = block->memory;
        return LNG_OK;
    }
    LNG_FAIL_IF(cuda_state_of(device)->capturing, LNG_ERR_MEMORY,
                "%s: %zu bytes are needed while operations are recorded", device->name, bytes);
    void *fresh = NULL;
    cudaError_t error = cudaMalloc(&fresh, bytes);
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        CUDA_TRY(device, "allocation", cudaStreamSynchronize(cuda_stream(device)));
        release(pool, false);
        error = cudaMalloc(&fresh, bytes);
    }
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return out_of_memory(pool, device, bytes);
    }
    CUDA_TRY(device, "allocation", error);
    block = lng_alloc(1, sizeof *block);
    if (block == NULL) {
        (void)cudaFree(fresh);
        return LNG_ERR_MEMORY;
    }
    *block = (struct block){fresh, bytes, true, pool->blocks};
    pool->blocks = block;
    pool->bytes += bytes;
    *memory = fresh;
    return LNG_OK;
}

/* Use after this is seen on the double only where the block is really given back. */
#ifdef LNG_CUDAEMU
enum { KEEP = 0 };
#else
enum { KEEP = 1 };
#endif

uint64_t cuda_pool_given(const struct cuda_pool *pool)
{
    return pool->given;
}

void cuda_pool_give(struct cuda_pool *pool, void *memory)
{
    pool->given++;
    for (struct block *block = pool->blocks; block != NULL; block = block->next)
        if (block->memory == memory)
            block->used = false;
    if (!KEEP)
        release(pool, false);
}
