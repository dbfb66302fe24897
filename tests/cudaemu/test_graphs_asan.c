#define EMU_VARIANT "asan"
#define EMU_CASES 1
#include "tests/cudaemu/graphs_on.h"
