#define EMU_VARIANT "race"
#define EMU_SEEDS "8"
#include "tests/cudaemu/parity_on.h"
