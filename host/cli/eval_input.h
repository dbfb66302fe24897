/* The files of lingster eval, read side by side: the systems' outputs, then the references. */
#ifndef LNG_HOST_CLI_EVAL_INPUT_H
#define LNG_HOST_CLI_EVAL_INPUT_H

#include "host/base/file.h"
#include "host/base/text.h"
#include "host/config/options.h"

struct lng_eval_input {
    const char **paths;
    struct lng_lines **files;
    struct lng_slice
        *lines;       /* [count]: the current segment, without the newline; valid until the next */
    uint64_t *counts; /* lines read of each */
    size_t count, systems; /* files; the first `systems` are hypotheses */
};

/* Opens all files. Close in any case. */
LNG_MUST_CHECK enum lng_status lng_eval_input_open(struct lng_eval_input *input,
                                                   const struct lng_options *options);
void lng_eval_input_close(struct lng_eval_input *input);

/* The next line of every file; *got false at the end of all. LNG_ERR_MISMATCH when some are longer than others,
 * LNG_ERR_FORMAT when all are empty. */
LNG_MUST_CHECK enum lng_status lng_eval_input_next(struct lng_eval_input *input, bool *got);

#endif
