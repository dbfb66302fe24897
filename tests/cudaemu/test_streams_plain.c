#define EMU_VARIANT "plain"
#define EMU_TYPES 3
#include "tests/cudaemu/streams_on.h"
