#include "host/store/listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/mem.h"
#include "host/base/text.h"

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool wanted(DIR *entries, const char *name)
{
    struct stat info;
    return name[0] != '.' && !strstr(name, ".tmp-") && lng_utf8_valid(name, strlen(name)) &&
           fstatat(dirfd(entries), name, &info, 0) == 0 && S_ISREG(info.st_mode);
}

static enum lng_status add(struct lng_listing *listing, const char *name)
{
    LNG_TRY(
        lng_grow(&listing->names, &listing->capacity, listing->count + 1, sizeof *listing->names));
    listing->names[listing->count] = lng_strdup(name);
    return listing->names[listing->count++] ? LNG_OK : LNG_ERR_MEMORY;
}

enum lng_status lng_listing_make(struct lng_listing *listing, const char *directory)
{
    struct lng_listing fresh = {0};
    DIR *entries = opendir(directory);
    LNG_FAIL_IF(!entries, LNG_ERR_IO, "%s: cannot be listed: %s", directory, strerror(errno));
    enum lng_status status = LNG_OK;
    for (const struct dirent *entry; status == LNG_OK && (entry = readdir(entries));)
        if (wanted(entries, entry->d_name))
            status = add(&fresh, entry->d_name);
    closedir(entries);
    if (status != LNG_OK) {
        lng_listing_release(&fresh);
        return status;
    }
    if (fresh.count > 0)
        qsort(fresh.names, fresh.count, sizeof *fresh.names, by_bytes);
    *listing = fresh;
    return LNG_OK;
}

void lng_listing_release(struct lng_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        lng_free(listing->names[i]);
    lng_free(listing->names);
    *listing = (struct lng_listing){0};
}
