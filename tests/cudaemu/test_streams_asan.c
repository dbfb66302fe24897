#define EMU_VARIANT "asan"
#define EMU_TYPES 1
#include "tests/cudaemu/streams_on.h"
