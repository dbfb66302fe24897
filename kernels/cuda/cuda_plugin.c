/* The plugin's entry, and the functions of host/base that its sources call, handed on to the program. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "kernels/plugin.h"

static const struct lng_plugin_services *program;

enum lng_status lng_fail(enum lng_status code, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return program->fail(code, "%s", message);
}

void *lng_alloc(size_t count, size_t size)
{
    return program->alloc(count, size);
}

void lng_free(void *memory)
{
    program->free(memory);
}

extern const struct lng_backend lng_backend_cuda;
lng_plugin_entry lng_cuda_plugin __attribute__((visibility("default")));

const struct lng_backend *lng_cuda_plugin(const struct lng_plugin_services *services)
{
    if (strcmp(services->version, LNG_VERSION) != 0) {
        (void)services->fail(LNG_ERR_UNSUPPORTED,
                             "the CUDA plugin is of version " LNG_VERSION
                             ", the program of version %s; install both from one build",
                             services->version);
        return NULL;
    }
    if (services->shape != lng_plugin_shape()) {
        (void)services->fail(LNG_ERR_UNSUPPORTED,
                             "the CUDA plugin is of another build than the program: build both "
                             "again (make)");
        return NULL;
    }
    program = services;
    return &lng_backend_cuda;
}
