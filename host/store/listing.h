/* The files in a folder that are somebody's: regular (or a link to one), not hidden, not half written. */
#ifndef LNG_HOST_STORE_LISTING_H
#define LNG_HOST_STORE_LISTING_H

#include <stddef.h>

#include "host/base/status.h"

struct lng_listing {
    char **names; /* in the order of their bytes; owned */
    size_t count, capacity;
};

/* LNG_ERR_IO when the folder cannot be read. Names that are not UTF-8 are left out. */
LNG_MUST_CHECK enum lng_status lng_listing_make(struct lng_listing *listing, const char *directory);
void lng_listing_release(struct lng_listing *listing);

#endif
