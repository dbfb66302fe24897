#define EMU_VARIANT "race"
#include "tests/cudaemu/int8_on.h"
