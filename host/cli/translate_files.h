/* Which files `lingster translate` reads and writes: inputs from --input and the arguments, outputs from
 * --output or --output-dir, prefixes and constraints from
 * --prefix and --constraints.
 *
 * --output, --prefix and --constraints may be patterns, made a path for each input:
 *   {name}  the input's file name
 *   {stem}  the same without .gz or .zst, and without what then follows the last dot
 *   {dir}   the folder it lies in, "." for none */
#ifndef LNG_HOST_CLI_TRANSLATE_FILES_H
#define LNG_HOST_CLI_TRANSLATE_FILES_H

#include "host/config/options.h"

struct lng_translate_file {
    char *input;       /* "-" = standard input */
    char *output;      /* NULL = standard output */
    char *prefix;      /* NULL = none */
    char *constraints; /* NULL = none */
};

struct lng_translate_files {
    struct lng_translate_file *list;
    size_t count; /* >= 1 */
};

/* LNG_ERR_USAGE when several inputs would become one output, when an output is an input (or would be
 * while it grows, see resumable.h), or a pattern has no name to fill in. Makes --output-dir. Release in any
 * case. */
LNG_MUST_CHECK enum lng_status lng_translate_files_init(struct lng_translate_files *files,
                                                        const struct lng_options *options);
/* Fine on a zeroed one. */
void lng_translate_files_release(struct lng_translate_files *files);

/* Whether output to it cannot be gone on with: standard output, a pipe, a device. */
bool lng_translate_is_stream(const char *output);

#endif
