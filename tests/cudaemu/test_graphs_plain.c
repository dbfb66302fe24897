#define EMU_VARIANT "plain"
#define EMU_CASES 3
#include "tests/cudaemu/graphs_on.h"
