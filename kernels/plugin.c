#include "kernels/plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/mem.h"

static const char LIBRARY[] = "liblingster-cuda.so";

/* What the one attempt found. */
static struct {
    pthread_once_t once;
    const struct lng_backend *backend;
    bool there;
    char reason[512];
} cuda = {.once = PTHREAD_ONCE_INIT};

static struct lng_plugin_services services = {
    .version = LNG_VERSION, .fail = lng_fail, .alloc = lng_alloc, .free = lng_free};

/* The folder of the program or library this code is in, ending in '/'; "" when unknown. */
static void own_folder(char *path, size_t size)
{
    Dl_info info;
    path[0] = '\0';
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    path[length > 0 ? length : 0] = '\0';
    /* In a shared library: where that lies, not the program that uses it. */
    if (dladdr((void *)services.version, &info) != 0 && info.dli_fname != NULL &&
        strchr(info.dli_fname, '/') != NULL && strstr(info.dli_fname, ".so") != NULL)
        snprintf(path, size, "%s", info.dli_fname);
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        slash[1] = '\0';
    else
        path[0] = '\0';
}

/* Without the driver the plugin is of no use, and its libraries (cuBLAS) are some 200 MB to look through. Left open:
 * the plugin wants it too. */
static bool driver_is_there(void)
{
    return dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) != NULL;
}

static void *find_library(char *reason, size_t size)
{
    static const char *const places[] = {"", "../lib/"};
    const char *chosen = getenv("LNG_CUDA_PLUGIN");
    char folder[4096], path[4200];
    void *library = NULL;
    reason[0] = '\0';
    if (chosen != NULL && chosen[0] != '\0') {
        cuda.there = true;
        library = dlopen(chosen, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL)
            snprintf(reason, size, "LNG_CUDA_PLUGIN: %s", dlerror());
        return library;
    }
    own_folder(folder, sizeof folder);
    for (size_t i = 0; folder[0] != '\0' && i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, sizeof path, "%s%s%s", folder, places[i], LIBRARY);
        if (access(path, F_OK) != 0)
            continue;
        cuda.there = true;
        if (!driver_is_there()) {
            snprintf(reason, size, "the NVIDIA driver is not installed: %s", dlerror());
            return NULL;
        }
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL)
            snprintf(reason, size, "%s", dlerror());
        return library;
    }
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    cuda.there = library != NULL;
    if (library == NULL)
        snprintf(reason, size, "%s is not there: this is a build for the CPU alone", LIBRARY);
    return library;
}

static void open_once(void)
{
    void *library = find_library(cuda.reason, sizeof cuda.reason);
    if (library == NULL)
        return;
    lng_plugin_entry *entry;
    void *symbol = dlsym(library, "lng_cuda_plugin");
    memcpy(&entry, &symbol, sizeof entry);
    services.shape = lng_plugin_shape();
    cuda.backend = symbol != NULL ? entry(&services) : NULL;
    if (cuda.backend == NULL)
        snprintf(cuda.reason, sizeof cuda.reason, "%s",
                 symbol != NULL ? lng_error_message()
                                : "its plugin has no function lng_cuda_plugin");
}

bool lng_plugin_is_there(void)
{
    (void)pthread_once(&cuda.once, open_once);
    return cuda.there;
}

enum lng_status lng_plugin_open_cuda(const struct lng_backend **backend)
{
    (void)pthread_once(&cuda.once, open_once);
    LNG_FAIL_IF(cuda.backend == NULL, LNG_ERR_UNSUPPORTED,
                "no device cuda: %s; use --device cpu or auto", cuda.reason);
    *backend = cuda.backend;
    return LNG_OK;
}
