#define EMU_VARIANT "plain"
#include "tests/cudaemu/int8_on.h"
