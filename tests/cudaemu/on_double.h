/* Makes a test's device cuda the double's EMU_VARIANT. */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Before any test: $B/tests/cudaemu/test_x finds $B/cudaemu/EMU_VARIANT/liblingster-cuda.so. */
__attribute__((constructor)) static void choose_plugin(void)
{
    char self[PATH_MAX], plugin[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    snprintf(plugin, sizeof plugin, "%s/../../cudaemu/" EMU_VARIANT "/liblingster-cuda.so",
             dirname(self));
    setenv("LNG_CUDA_PLUGIN", plugin, 0);
}
