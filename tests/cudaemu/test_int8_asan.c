#define EMU_VARIANT "asan"
#include "tests/cudaemu/int8_on.h"
