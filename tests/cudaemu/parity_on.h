/* The parity suite on device cuda, the plugin being the double's EMU_VARIANT. */
#include "tests/cudaemu/on_double.h"

__attribute__((constructor)) static void choose_device(void)
{
    setenv("LNG_PARITY_DEVICE", "cuda", 0);
    setenv("LNG_PARITY_SEEDS", EMU_SEEDS, 0);
}

#include "tests/parity/test_parity.c"
