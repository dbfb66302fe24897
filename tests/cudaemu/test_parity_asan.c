#define EMU_VARIANT "asan"
#define EMU_SEEDS "8"
#include "tests/cudaemu/parity_on.h"
