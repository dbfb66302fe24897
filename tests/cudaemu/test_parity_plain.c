#define EMU_VARIANT "plain"
#define EMU_SEEDS "20"
#include "tests/cudaemu/parity_on.h"
