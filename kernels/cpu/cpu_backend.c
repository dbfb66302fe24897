#include "kernels/cpu/cpu_device.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/mem.h"

enum { MAX_THREADS = 256 };

/* The cores this process may use, which can be fewer than the machine has. */
static int available_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (int)cores : 1;
}

static void cpu_close(struct lng_device *device)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    if (!cpu)
        return;
    lng_cpu_pool_close(cpu->pool);
    for (int i = 0; cpu->private && i < cpu->threads; i++)
        lng_free(cpu->private[i]);
    lng_free(cpu->private);
    lng_free(cpu->shared);
    lng_free(cpu);
    device->state = NULL;
}

static enum lng_status cpu_open(struct lng_device *device, const struct lng_device_options *options)
{
    enum lng_status status = LNG_OK;
    int threads = options && options->threads > 0 ? options->threads : available_cores();
    LNG_FAIL_IF(threads > MAX_THREADS, LNG_ERR_RANGE, "threads: expected at most %d, found %d",
                MAX_THREADS, threads);
    struct lng_cpu *cpu = lng_alloc(1, sizeof *cpu);
    if (!cpu)
        return LNG_ERR_MEMORY;
    device->state = cpu;
    device->threads = cpu->threads = threads;
    LNG_TRY_OR_FAIL(lng_cpu_choose_isa(cpu));
    cpu->private = lng_alloc((size_t)threads, sizeof *cpu->private);
    if (!cpu->private)
        status = LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(status);
    LNG_TRY_OR_FAIL(lng_cpu_pool_open(threads, &cpu->pool));
    return LNG_OK;
fail:
    cpu_close(device);
    return status;
}

/* Fewer address translations. Only advice: a kernel without huge pages loses speed, nothing else. */
static void advise_huge(void *memory, size_t bytes)
{
    const uintptr_t page = 2 << 20;
    uintptr_t first = ((uintptr_t)memory + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)memory + bytes) & ~(page - 1);
    if (end > first)
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
}

void *lng_cpu_memory(size_t bytes)
{
    void *memory = lng_alloc(bytes, 1);
    if (memory)
        advise_huge(memory, bytes);
    return memory;
}

enum lng_status lng_cpu_reserve(struct lng_cpu *cpu, size_t private_bytes, size_t shared_bytes)
{
    if (private_bytes > cpu->private_bytes) {
        cpu->private_bytes = 0;
        for (int i = 0; i < cpu->threads; i++) {
            lng_free(cpu->private[i]);
            cpu->private[i] = lng_cpu_memory(private_bytes);
            if (!cpu->private[i])
                return LNG_ERR_MEMORY;
        }
        cpu->private_bytes = private_bytes;
    }
    if (shared_bytes > cpu->shared_bytes) {
        cpu->shared_bytes = 0;
        lng_free(cpu->shared);
        cpu->shared = lng_cpu_memory(shared_bytes);
        if (!cpu->shared)
            return LNG_ERR_MEMORY;
        cpu->shared_bytes = shared_bytes;
    }
    return LNG_OK;
}

static enum lng_status cpu_alloc(struct lng_device *device, size_t bytes, void **memory)
{
    LNG_TRY(lng_backend_ref.alloc(device, bytes, memory));
    advise_huge(*memory, bytes);
    return LNG_OK;
}
static void cpu_free(struct lng_device *device, void *memory)
{
    lng_backend_ref.free(device, memory);
}
static enum lng_status cpu_write(struct lng_device *device, void *to, const void *from,
                                 size_t bytes)
{
    return lng_backend_ref.write(device, to, from, bytes);
}
static enum lng_status cpu_read(struct lng_device *device, void *to, const void *from, size_t bytes)
{
    return lng_backend_ref.read(device, to, from, bytes);
}
static enum lng_status cpu_sync(struct lng_device *device)
{
    (void)device;
    return LNG_OK;
}
static enum lng_dtype cpu_activation(const struct lng_device *device, enum lng_dtype compute)
{
    return lng_backend_ref.activation(device, compute);
}
static enum lng_status cpu_supports(const struct lng_device *device, enum lng_dtype compute)
{
    if (compute == LNG_DTYPE_F32 || compute == LNG_DTYPE_I8)
        return LNG_OK;
    LNG_FAIL_IF(compute != LNG_DTYPE_BF16, LNG_ERR_UNSUPPORTED,
                "device cpu cannot compute in %s; it offers f32, bf16 and int8",
                lng_dtype_name(compute));
    LNG_FAIL_IF(!lng_cpu_of(device)->bf16, LNG_ERR_UNSUPPORTED,
                "device cpu cannot compute in bf16 here: the processor has no AVX512_BF16 (or "
                "LNG_CPU_ISA forbids it); use f32");
    return LNG_OK;
}
static const char *cpu_instructions(const struct lng_device *device)
{
    const struct lng_cpu *cpu = lng_cpu_of(device);
    if (cpu->simd == &lng_simd_avx2)
        return "avx2";
    if (cpu->simd != &lng_simd_avx512)
        return "base";
    if (cpu->bf16 && cpu->gemm_tiles == cpu->simd->gemm_amx)
        return cpu->vnni ? "avx512 vnni bf16 amx" : "avx512 bf16 amx";
    if (cpu->bf16)
        return cpu->vnni ? "avx512 vnni bf16" : "avx512 bf16";
    return cpu->vnni ? "avx512 vnni" : "avx512";
}
/* Few rows would have the output matrix and its gradient pass through the caches too often: about 40 MB
 * of logits, in whole chunks of the weight gradient's sums where that is possible. */
static int64_t cpu_logit_rows(const struct lng_device *device, int64_t vocabulary)
{
    enum { ELEMENTS = 10 * 1000 * 1000, CHUNK = 480, BLOCK = 48, MOST = 8160 };
    (void)device;
    int64_t rows = ELEMENTS / (vocabulary < 1 ? 1 : vocabulary);
    rows = rows >= CHUNK ? rows / CHUNK * CHUNK : rows / BLOCK * BLOCK;
    return rows < BLOCK ? BLOCK : rows > MOST ? MOST : rows;
}
const struct lng_backend lng_backend_cpu = {
    .name = "cpu",
    .real = LNG_DTYPE_F32,
    .fuses_logits = true,
    .byte_caches = true,
    .refines = true,
    .ops =
        {
#define LNG_OP(name) .name = lng_cpu_##name,
#include "kernels/ops.def"
#undef LNG_OP
        },
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .write = cpu_write,
    .read = cpu_read,
    .sync = cpu_sync,
    .activation = cpu_activation,
    .supports = cpu_supports,
    .logit_rows = cpu_logit_rows,
    .instructions = cpu_instructions,
    .weight_prepare = lng_cpu_weight_prepare,
    .weight_prepare_rows = lng_cpu_weight_prepare_rows,
    .rows_compute = 1u << LNG_DTYPE_F32 | 1u << LNG_DTYPE_BF16 | 1u << LNG_DTYPE_I8,
    .weight_refresh = lng_cpu_weight_refresh,
    .weight_release = lng_cpu_weight_release,
    .weight_keep_rows = lng_cpu_weight_keep_rows,
};
