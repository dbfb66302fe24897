/* Inside kernels/ only: a backend in a shared library of its own, opened when it is first asked for, so that
 * the program starts where CUDA's libraries and driver are not.
 *
 * The library exports one function, lng_cuda_plugin. What it needs of the program (errors, memory) it is
 * handed, because the program's own functions are not visible to it everywhere. */
#ifndef LNG_KERNELS_PLUGIN_H
#define LNG_KERNELS_PLUGIN_H

#include "kernels/backend.h"

/* Changes when an operation, or the size of its arguments, does: structs are shared. */
static inline size_t lng_plugin_shape(void)
{
    size_t shape = sizeof(struct lng_backend);
#define LNG_OP(name) shape = shape * 31 + sizeof(struct lng_##name##_args);
#include "kernels/ops.def"
#undef LNG_OP
    return shape;
}

struct lng_plugin_services {
    const char *version; /* program and plugin must be of one build */
    size_t shape;        /* lng_plugin_shape */
    enum lng_status (*fail)(enum lng_status code, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
    void *(*alloc)(size_t count, size_t size);
    void (*free)(void *memory);
};

/* The backend, or NULL with the message set when versions or shapes differ. services must live on. */
typedef const struct lng_backend *lng_plugin_entry(const struct lng_plugin_services *services);

/* Opens liblingster-cuda.so once a process: $LNG_CUDA_PLUGIN, else beside the program or library, in the
 * lib folder next to its own, or where the system looks. LNG_ERR_UNSUPPORTED with the reason when it is
 * not there or cannot be used. Thread-safe. */
/* Whether this installation has the plugin at all, usable or not. */
bool lng_plugin_is_there(void);

LNG_MUST_CHECK enum lng_status lng_plugin_open_cuda(const struct lng_backend **backend);

#endif
