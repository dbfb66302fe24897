#define EMU_VARIANT "race"
#define EMU_TYPES 1
#include "tests/cudaemu/streams_on.h"
