/* Inside kernels/ only: what a backend provides. ops.c checks shapes, then calls through the table. */
#ifndef LNG_KERNELS_BACKEND_H
#define LNG_KERNELS_BACKEND_H

#include <math.h>

#include "kernels/device.h"
#include "kernels/ops.h"

/* Without a kernel-side check: ops.c has done them all. */
struct lng_op_table {
#define LNG_OP(name) \
    enum lng_status (*name)(struct lng_device * device, const struct lng_##name##_args *args);
#include "kernels/ops.def"
#undef LNG_OP
};

/* Head of every backend's weight handle. */
struct lng_weight {
    struct lng_view master; /* [out, in]; data NULL: made of rows, there is none */
    enum lng_dtype compute;
    int flags;
    size_t bytes;
    bool rows; /* lng_weight_keep_rows made them */
};

/* What lng_gradient_stats writes to scale (ops.h). */
static inline double lng_gradient_scale(const struct lng_gradient_stats_args *args)
{
    const double norm = sqrt(args->out[0]) / args->tokens;
    if (args->out[1] > 0 || !isfinite(norm))
        return 0;
    return (args->clip_norm > 0 && norm > args->clip_norm ? args->clip_norm / norm : 1) /
           args->tokens;
}

/* Head of every backend's landing. */
struct lng_landing {
    unsigned char *memory; /* of the host */
    size_t bytes;
};

struct lng_backend {
    const char *name;
    enum lng_dtype real;
    bool fuses_logits; /* candidates with logits.data NULL */
    bool byte_caches;  /* attention_step with caches of I8, and copy to them */
    bool refines;      /* logits of I8 as LNG_REFINED says */
    struct lng_op_table ops;
    enum lng_status (*open)(struct lng_device *device, const struct lng_device_options *options);
    void (*close)(struct lng_device *device);
    enum lng_status (*alloc)(struct lng_device *device, size_t bytes, void **memory);
    void (*free)(struct lng_device *device, void *memory);
    enum lng_status (*write)(struct lng_device *device, void *to, const void *from, size_t bytes);
    enum lng_status (*read)(struct lng_device *device, void *to, const void *from, size_t bytes);
    enum lng_status (*sync)(struct lng_device *device);
    /* NULL: work is done when its call returns, and a landing is plain memory. close waits for what still lands. */
    enum lng_status (*landing_open)(struct lng_device *device, size_t bytes,
                                    struct lng_landing **landing);
    void (*landing_close)(struct lng_device *device, struct lng_landing *landing);
    enum lng_status (*landing_copy)(struct lng_device *device, struct lng_landing *landing,
                                    size_t at, const void *from, size_t bytes);
    enum lng_status (*landing_wait)(struct lng_device *device, struct lng_landing *landing);
    enum lng_dtype (*activation)(const struct lng_device *device, enum lng_dtype compute);
    enum lng_status (*supports)(const struct lng_device *device, enum lng_dtype compute);
    int64_t (*logit_rows)(const struct lng_device *device, int64_t vocabulary);
    size_t (*free_memory)(struct lng_device *device);             /* NULL: nobody knows */
    void (*trim)(struct lng_device *device);                      /* NULL: nothing is kept */
    const char *(*instructions)(const struct lng_device *device); /* NULL: there is no choice */
    bool (*hardware)(struct lng_device *device, struct lng_hardware *hardware); /* NULL: none */
    /* Points of time between pieces of work, by number below LNG_TIMER_MARKS; NULL: work is done when its call returns,
     * and the host's clock serves. *marks is the backend's own, NULL before the first. `between` waits for both. */
    enum lng_status (*mark)(struct lng_device *device, void **marks, size_t number);
    enum lng_status (*between)(struct lng_device *device, void *marks, size_t from, size_t to,
                               double *seconds);
    void (*marks_release)(struct lng_device *device, void *marks);
    /* NULL: work is called. Counts in device->repeats. */
    enum lng_status (*repeat)(struct lng_device *device, const void *key, size_t bytes,
                              lng_device_work work, void *context);
    enum lng_status (*weight_prepare)(struct lng_device *device, struct lng_view master,
                                      enum lng_dtype compute, int flags,
                                      struct lng_weight **weight);
    /* Without a master, for the dtypes of compute in rows_compute (bits 1 << dtype). NULL: none. */
    enum lng_status (*weight_prepare_rows)(struct lng_device *device,
                                           const struct lng_weight_rows *rows,
                                           enum lng_dtype compute, struct lng_weight **weight);
    unsigned rows_compute;
    enum lng_status (*weight_refresh)(struct lng_device *device, struct lng_weight *weight);
    /* NULL: one by one. */
    enum lng_status (*weights_refresh)(struct lng_device *device, struct lng_weight *const *weights,
                                       size_t count);
    void (*weight_release)(struct lng_device *device, struct lng_weight *weight);
    /* NULL: devices may use one handle at the same time. */
    enum lng_status (*weight_share)(struct lng_device *device, const struct lng_weight *weight,
                                    struct lng_weight **shared);
    /* NULL: select_logits reads tables only. From any thread; sets weight->rows. */
    enum lng_status (*weight_keep_rows)(struct lng_device *device, struct lng_weight *weight);
};

struct lng_op_observer;
struct lng_timer;
enum { LNG_TIMER_MARKS = 8192 };

struct lng_device {
    const struct lng_backend *backend;
    int threads;
    bool fast;
    int ordinal;      /* which GPU; -1: none */
    char name[16];    /* "cpu", "cuda:1" */
    char remark[256]; /* lng_device_remark */
    void *state;      /* the backend's own */
    struct lng_repeat_stats repeats;
    const struct lng_op_observer *observer; /* observe.h; NULL: nobody looks */
    struct lng_timer *timer;                /* timing.h; NULL: nothing is timed */
};

/* Backends of this library; device.c is the one place that lists them. */
extern const struct lng_backend lng_backend_ref, lng_backend_ref64, lng_backend_cpu;

#endif
