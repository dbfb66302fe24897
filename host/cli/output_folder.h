/* The folder that a command makes as a whole. */
#ifndef LNG_HOST_CLI_OUTPUT_FOLDER_H
#define LNG_HOST_CLI_OUTPUT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "host/base/status.h"

/* Whether `folder` may be put in place with all it held before gone: one with something in it only with
 * `overwrite`, and never one that an input lies in. LNG_ERR_USAGE says what to do instead. */
LNG_MUST_CHECK enum lng_status lng_output_folder_check(const char *folder,
                                                       const char *const *inputs,
                                                       size_t input_count, bool overwrite);

#endif
