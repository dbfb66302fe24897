/* The commands. Each gets complete, checked options and leaves printing of errors and exiting to
 * main. */
#ifndef LNG_HOST_CLI_CMD_H
#define LNG_HOST_CLI_CMD_H

#include "host/config/options.h"

#define LNG_COMMAND(id, bit, arguments, min_arguments, max_arguments, arguments_are_config, \
                    summary)                                                                \
    LNG_MUST_CHECK enum lng_status lng_cmd_##id(const struct lng_options *options);
#include "host/cli/commands.def"
#undef LNG_COMMAND

#endif
