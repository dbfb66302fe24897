/* What the plugin's double was given to do, for tests that have opened device cuda. */
#include <dlfcn.h>

#include <criterion/criterion.h>

#include "tests/cudaemu/cudaemu_counts.h"

static void emu_count(struct cudaemu_counts *counts)
{
    void (*get)(struct cudaemu_counts *) = NULL;
    void *plugin = dlopen(getenv("LNG_CUDA_PLUGIN"), RTLD_NOW | RTLD_NOLOAD);
    cr_assert(plugin != NULL, "%s", dlerror());
    *(void **)&get = dlsym(plugin, "cudaemu_get_counts");
    cr_assert(get != NULL, "%s", dlerror());
    get(counts);
    dlclose(plugin);
}
