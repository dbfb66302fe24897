#define EMU_VARIANT "race"
#define EMU_CASES 2
#include "tests/cudaemu/graphs_on.h"
