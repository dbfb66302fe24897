#include "host/cli/output_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"

/* Hidden files and folders are somebody's too. */
static enum lng_status look_into(const char *folder, bool *empty)
{
    DIR *entries = opendir(folder);
    LNG_FAIL_IF(entries == NULL, LNG_ERR_IO, "%s: cannot be listed: %s", folder, strerror(errno));
    *empty = true;
    for (const struct dirent *entry; *empty && (entry = readdir(entries)) != NULL;)
        *empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(entries);
    return LNG_OK;
}

static bool holds(const char *folder, const char *path)
{
    char *inner = realpath(path, NULL), *outer = realpath(folder, NULL);
    size_t length = outer != NULL ? strlen(outer) : 0;
    bool inside = inner != NULL && outer != NULL && strncmp(inner, outer, length) == 0 &&
                  (inner[length] == '/' || inner[length] == '\0' || length == 1);
    lng_free_foreign(inner);
    lng_free_foreign(outer);
    return inside;
}

enum lng_status lng_output_folder_check(const char *folder, const char *const *inputs,
                                        size_t input_count, bool overwrite)
{
    bool empty;
    if (!lng_file_exists(folder))
        return LNG_OK;
    LNG_FAIL_IF(!lng_directory_exists(folder), LNG_ERR_USAGE,
                "%s is a file; choose another name for the folder, which is made", folder);
    LNG_TRY(look_into(folder, &empty));
    LNG_FAIL_IF(!empty && !overwrite, LNG_ERR_USAGE,
                "%s is there already; choose another folder, or --overwrite to replace it with all "
                "it holds",
                folder);
    for (size_t i = 0; i < input_count; i++)
        LNG_FAIL_IF(holds(folder, inputs[i]), LNG_ERR_USAGE,
                    "%s holds the input %s; choose another folder to write", folder, inputs[i]);
    return LNG_OK;
}
