/* Inside kernels/cpu only: the device state, its worker threads and scratch, and the op functions. */
#ifndef LNG_KERNELS_CPU_DEVICE_H
#define LNG_KERNELS_CPU_DEVICE_H

#include "kernels/backend.h"
#include "kernels/cpu/cpu_pool.h"
#include "kernels/cpu/cpu_slab.h"
#include "kernels/cpu/simd/simd.h"

struct lng_cpu {
    struct lng_cpu_pool *pool;
    const struct lng_simd *simd;
    int threads;
    bool bf16; /* AVX512_BF16 is there and allowed */
    bool vnni;
    bool tiles; /* operands laid out for AMX: A by rows, k a multiple of 16 pairs or quads */
    void (*gemm_tiles)(const struct lng_gemm *g);
    void (*gemm_i8)(const struct lng_gemm_i8 *g);
    void **private; /* [threads] scratch of each worker */
    size_t private_bytes;
    void *shared; /* scratch of the running op */
    size_t shared_bytes;
    struct lng_cpu_slab *weights; /* memory of this device's weights */
};

static inline struct lng_cpu *lng_cpu_of(const struct lng_device *device)
{
    return (struct lng_cpu *)device->state;
}

/* Makes cpu->private[*] and cpu->shared at least this big; contents are undefined. Grows rarely. */
LNG_MUST_CHECK enum lng_status lng_cpu_reserve(struct lng_cpu *cpu, size_t private_bytes,
                                               size_t shared_bytes);

/* cpu_isa.c: the best instructions of this machine, or those that LNG_CPU_ISA names. */
LNG_MUST_CHECK enum lng_status lng_cpu_choose_isa(struct lng_cpu *cpu);

/* As lng_alloc, in huge pages where the system has them. */
void *lng_cpu_memory(size_t bytes) __attribute__((malloc, warn_unused_result));

static inline void lng_cpu_run(struct lng_cpu *cpu, int64_t tasks, lng_cpu_task *function,
                               void *context)
{
    lng_cpu_pool_run(cpu->pool, tasks, function, context);
}

static inline int64_t lng_cpu_ceil(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
static inline int64_t lng_cpu_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Weights for products: panels of nr columns (see simd.h). */
struct lng_cpu_weight {
    struct lng_weight head;
    void *forward;  /* B [in, out] */
    void *backward; /* B [out, in], with LNG_WEIGHT_BACKWARD */
    int64_t forward_panel, backward_panel;
    float *scales; /* I8: [out] */
    int8_t *rest;  /* of a table in I8: [out, in], or NULL; see lng_weight_rows */
    float *rest_scales;
    int32_t *less; /* I8 with VNNI: [out] 128 times the sum of each column */
    /* With lng_weight_keep_rows, BF16 and I8: the same values row by row, [out, rows_pitch] (cpu_select.c). */
    uint32_t *rows;
    int64_t rows_pitch;
};
/* I8 with a backward pass is ref's: nobody trains in it. */
static inline bool lng_cpu_weight_is_ref(const struct lng_weight *weight)
{
    return weight->compute == LNG_DTYPE_I8 && (weight->flags & LNG_WEIGHT_BACKWARD);
}
enum lng_status lng_cpu_weight_prepare(struct lng_device *device, struct lng_view master,
                                       enum lng_dtype compute, int flags,
                                       struct lng_weight **weight);
enum lng_status lng_cpu_weight_refresh(struct lng_device *device, struct lng_weight *weight);
enum lng_status lng_cpu_weight_keep_rows(struct lng_device *device, struct lng_weight *weight);
/* Fills weight->rows, where there are such, from what is packed. */
void lng_cpu_weight_fill_rows(struct lng_cpu *cpu, struct lng_cpu_weight *weight);
void lng_cpu_weight_release(struct lng_device *device, struct lng_weight *weight);
/* cpu_weight_rows.c: weights without a master. */
enum lng_status lng_cpu_weight_prepare_rows(struct lng_device *device,
                                            const struct lng_weight_rows *rows,
                                            enum lng_dtype compute, struct lng_weight **weight);
/* ref, which takes other activations than f32, cannot read such a weight. */
static inline enum lng_status lng_cpu_check_table(const char *op, const struct lng_view *table,
                                                  enum lng_dtype activation)
{
    LNG_FAIL_IF(table->data == NULL && activation != LNG_DTYPE_F32, LNG_ERR_UNSUPPORTED,
                "%s: rows: expected f32 activations, found %s", op, lng_dtype_name(activation));
    return LNG_OK;
}
/* Row `row` of W out of the panels of an I8 weight, with its rest. values [in] */
void lng_cpu_weight_row(const struct lng_cpu *cpu, const struct lng_cpu_weight *weight, int64_t row,
                        float *values);

/* cpu_attention_step.c: a row of f32 to a row of a cache of f32, bf16 or I8. */
void lng_cpu_store_cache(const struct lng_cpu *cpu, const float *from, const struct lng_view *cache,
                         int64_t row, int64_t heads);
/* cpu_candidates.c: log-sum-exp of a row from that of its blocks of LNG_CPU_SCAN columns, in order. */
double lng_cpu_log_sum(const struct lng_cpu_sum *sums, int64_t blocks);

/* One function an op; those without a faster way of their own hand over to ref (cpu_fallback.c). */
#define LNG_OP(name) \
    enum lng_status lng_cpu_##name(struct lng_device *device, const struct lng_##name##_args *args);
#include "kernels/ops.def"
#undef LNG_OP

#endif
