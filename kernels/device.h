/* Devices: open by name, memory, copies, prepared weights.
 *
 * "cpu"   fast CPU path (default)         "ref"    plain C, double accumulation, one thread: the truth
 * "ref64" ref with every real in double   "cuda"   the first GPU; "cuda:1" the second, ...
 * "auto"  cuda when there is a GPU that can be used, else cpu
 *
 * Work on a device is asynchronous and in order; only lng_device_sync, lng_device_read and lng_landing_wait wait.
 * Pointers made by lng_device_alloc may be device memory: never dereference them above kernels/. */
#ifndef LNG_KERNELS_DEVICE_H
#define LNG_KERNELS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"

enum lng_dtype {
    LNG_DTYPE_F32,
    LNG_DTYPE_BF16,
    LNG_DTYPE_I8,
    LNG_DTYPE_I32,
    LNG_DTYPE_F64, /* ref64 only */
};

size_t lng_dtype_size(enum lng_dtype dtype);
const char *lng_dtype_name(enum lng_dtype dtype);

/* A row-major matrix in device memory; borrowed, never owns. stride in elements, >= cols.
 * data NULL means "absent" where an argument is optional. */
struct lng_view {
    void *data;
    enum lng_dtype dtype;
    int64_t rows, cols, stride;
};

static inline struct lng_view lng_view_make(void *data, enum lng_dtype dtype, int64_t rows,
                                            int64_t cols)
{
    return (struct lng_view){data, dtype, rows, cols, cols};
}
/* Rows [first, first + count) and columns [first, first + count) of a view. */
struct lng_view lng_view_rows(struct lng_view view, int64_t first, int64_t count);
struct lng_view lng_view_cols(struct lng_view view, int64_t first, int64_t count);

struct lng_device;

struct lng_device_options {
    int threads; /* CPU worker threads; 0 = one a core */
    bool fast;   /* false = strict: fixed reduction order, no TF32, same bits on every run */
};

/* LNG_ERR_UNSUPPORTED with the list of known names when `name` is none of them.
 * options NULL = defaults. The caller closes with lng_device_close. */
LNG_MUST_CHECK enum lng_status lng_device_open(const char *name,
                                               const struct lng_device_options *options,
                                               struct lng_device **device);
void lng_device_close(struct lng_device *device);

const char *lng_device_name(const struct lng_device *device);
/* Of a device that "auto" chose: why it is no GPU although this installation serves them; else "". */
const char *lng_device_remark(const struct lng_device *device);
int lng_device_threads(const struct lng_device *device);
/* The instructions in use, such as "avx512 vnni bf16", of a GPU its kind, "NVIDIA H200, sm_90": where they differ, so may
 * roundings. "" where there is no choice. Good while the device is open. */
const char *lng_device_instructions(const struct lng_device *device);
/* What a GPU is; of all programs that use it the memory in use. */
struct lng_hardware {
    char name[128];
    size_t memory_bytes, used_bytes;
    int multiprocessors, compute_capability; /* 90 for 9.0 */
    int driver, runtime;                     /* versions of CUDA, 12040 for 12.4 */
};
/* False for devices that are no hardware of their own, *hardware then is untouched. */
bool lng_device_hardware(struct lng_device *device, struct lng_hardware *hardware);
/* Dtype of statistics, parameters and gradients: F32, or F64 on ref64. */
enum lng_dtype lng_device_real(const struct lng_device *device);
/* Dtype in which activations are stored when computing in `compute` (F32 or BF16). */
enum lng_dtype lng_device_activation(const struct lng_device *device, enum lng_dtype compute);
/* LNG_OK when matrix products in `compute` are available on this machine, else why not. */
LNG_MUST_CHECK enum lng_status lng_device_supports(const struct lng_device *device,
                                                   enum lng_dtype compute);
/* How many rows of logits to work on at once: bounds the [rows, V] scratch of loss and search. */
int64_t lng_device_logit_rows(const struct lng_device *device, int64_t vocabulary);
/* Whether lng_candidates computes logits that are nowhere stored (ops.h). Not while somebody looks on (observe.h). */
bool lng_device_fuses_logits(const struct lng_device *device);
/* Whether keys and values of decoding can be kept in I8 (lng_cache_width). */
bool lng_device_byte_caches(const struct lng_device *device);
/* Whether the largest logits of int8 are computed again (LNG_REFINED). */
bool lng_device_refines(const struct lng_device *device);
/* Bytes that could still be allocated; SIZE_MAX where that is not known: a CPU's memory is the system's. */
size_t lng_device_free_memory(struct lng_device *device);
/* Gives back what was freed and is kept for later, so that other devices of the same GPU can have it. Waits. */
void lng_device_trim(struct lng_device *device);

/* 256-byte aligned, zeroed. Released with lng_device_free (NULL is fine). */
LNG_MUST_CHECK enum lng_status lng_device_alloc(struct lng_device *device, size_t bytes,
                                                void **memory);
void lng_device_free(struct lng_device *device, void *memory);
/* host -> device (host memory may be reused on return), device -> host (waits). */
LNG_MUST_CHECK enum lng_status lng_device_write(struct lng_device *device, void *to,
                                                const void *from, size_t bytes);
LNG_MUST_CHECK enum lng_status lng_device_read(struct lng_device *device, void *to,
                                               const void *from, size_t bytes);
LNG_MUST_CHECK enum lng_status lng_device_sync(struct lng_device *device);
/* Whether work may still be under way when the call that asked for it has returned. */
bool lng_device_runs_behind(const struct lng_device *device);

/* Reading without waiting at once: host memory [bytes, zeroed], which copies reach in order with the device's other
 * work. A copy returns at once. lng_landing_wait waits for the copies so far, and for nothing that was asked for after
 * them; the memory is then good until the next copy. */
struct lng_landing;
LNG_MUST_CHECK enum lng_status lng_landing_open(struct lng_device *device, size_t bytes,
                                                struct lng_landing **landing);
void lng_landing_close(struct lng_device *device, struct lng_landing *landing); /* NULL is fine */
LNG_MUST_CHECK enum lng_status lng_landing_copy(struct lng_device *device,
                                                struct lng_landing *landing, size_t at,
                                                const void *from, size_t bytes);
LNG_MUST_CHECK enum lng_status lng_landing_wait(struct lng_device *device,
                                                struct lng_landing *landing, const void **memory);

/* Work that recurs, such as a step of decoding. `work` calls operations of this device (ops.h) and nothing else
 * of it: no memory, no copies, no waiting. `key` [bytes, at most LNG_REPEAT_KEY; a struct that was zeroed before it
 * was filled] is all that those calls depend on: two equal keys promise the same calls with the same arguments, as
 * long as no memory of the device is freed between them. A device may then record the calls, once, and later
 * run what it recorded instead of `work`; the results have the same bits. So `work` is called once, not at all, or
 * (where recording fails: then simply as always) twice, and leaves the host's state as it was.
 * Its status is handed on. */
enum { LNG_REPEAT_KEY = 768 };
typedef enum lng_status (*lng_device_work)(void *context);
LNG_MUST_CHECK enum lng_status lng_device_repeat(struct lng_device *device, const void *key,
                                                 size_t bytes, lng_device_work work, void *context);
/* Whether this kind of device records at all, switched on or not: shapes are then worth rounding up to few. */
bool lng_device_repeats(const struct lng_device *device);
/* What became of the calls of lng_device_repeat so far. */
struct lng_repeat_stats {
    int64_t plain;    /* work was done as if called directly */
    int64_t recorded; /* recorded, and run from that */
    int64_t replayed; /* run from an earlier record */
    int64_t refused;  /* of the plain ones: a record could not be made, or not be run */
};
struct lng_repeat_stats lng_device_repeat_stats(const struct lng_device *device);

/* A weight matrix W [out, in] as the device wants it for products: cast, packed, or just a pointer.
 * The master view (f32; f64 on ref64) stays the caller's and must outlive the handle. */
struct lng_weight;
enum lng_weight_flags {
    LNG_WEIGHT_INFERENCE = 0,
    LNG_WEIGHT_BACKWARD = 1, /* lng_linear_bwd will be called with it */
};
LNG_MUST_CHECK enum lng_status lng_weight_prepare(struct lng_device *device, struct lng_view master,
                                                  enum lng_dtype compute, int flags,
                                                  struct lng_weight **weight);
/* After the master, or a bias that goes with it, changed (an optimiser step). Reuses its memory. */
LNG_MUST_CHECK enum lng_status lng_weight_refresh(struct lng_device *device,
                                                  struct lng_weight *weight);
/* The same for several, which takes a GPU fewer launches. */
LNG_MUST_CHECK enum lng_status lng_weights_refresh(struct lng_device *device,
                                                   struct lng_weight *const *weights, size_t count);
void lng_weight_release(struct lng_device *device, struct lng_weight *weight);
/* The weight for another device of the same kind (on a GPU: of the same one), to be used at the same time: values are
 * those of `weight`, which must be whole (lng_device_sync), neither change nor go meanwhile. *shared is a handle that
 * the caller releases on `device`, or, where one serves all, `weight` itself. */
LNG_MUST_CHECK enum lng_status
lng_weight_share(struct lng_device *device, struct lng_weight *weight, struct lng_weight **shared);
/* From now on single rows can be read as products see them (lng_select_logits), which takes memory once; after
 * a refresh too. A device that cannot does nothing. May be called by several threads at once. */
LNG_MUST_CHECK enum lng_status lng_weight_keep_rows(struct lng_device *device,
                                                    struct lng_weight *weight);
bool lng_weight_has_rows(const struct lng_weight *weight);
/* Bytes held beside the master. */
size_t lng_weight_bytes(const struct lng_weight *weight);

/* A weight matrix in host memory that no device need keep: F32, or I8 with one scale a row, value = q * scale. */
struct lng_weight_rows {
    enum lng_dtype dtype;
    int64_t rows, cols;
    const void *values;  /* [rows, cols] */
    const float *scales; /* I8: [rows], finite and > 0; else NULL */
    /* Single rows will be read (lng_embed_fwd, LNG_REFINED). A weight in I8 then keeps what rounding left of them too:
     * a value is q * scale + rest * rest_scale there, and q * scale in products. */
    bool table;
    const int8_t *rest;       /* I8, of a table: [rows, cols], or NULL */
    const float *rest_scales; /* with rest: as scales */
};
/* Whether the device makes weights without a master for products in `compute`. Where it does not, the values go into
 * a master and lng_weight_prepare is the way. */
bool lng_weight_takes_rows(const struct lng_device *device, enum lng_dtype compute);
/* A weight for inference without a master: `rows` is borrowed for the call. I8 rows need compute I8 and are taken as
 * they are; F32 rows become what lng_weight_prepare makes of such a master. It cannot be refreshed. In I8 it also
 * serves as the table of lng_embed_fwd. LNG_ERR_SHAPE, LNG_ERR_DTYPE, LNG_ERR_RANGE (a scale
 * that is not finite and > 0), LNG_ERR_UNSUPPORTED, LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_weight_prepare_rows(struct lng_device *device,
                                                       const struct lng_weight_rows *rows,
                                                       enum lng_dtype compute,
                                                       struct lng_weight **weight);

#endif
