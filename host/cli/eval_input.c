#include "host/cli/eval_input.h"

#include <inttypes.h>
#include <string.h>

#include "host/base/mem.h"

void lng_eval_input_close(struct lng_eval_input *input)
{
    for (size_t i = 0; input->files != NULL && i < input->count; i++)
        lng_lines_close(input->files[i]);
    lng_free(input->files);
    lng_free(input->paths);
    lng_free(input->lines);
    lng_free(input->counts);
    *input = (struct lng_eval_input){0};
}

enum lng_status lng_eval_input_open(struct lng_eval_input *input, const struct lng_options *options)
{
    size_t from_standard_input = 0;
    *input =
        (struct lng_eval_input){.systems = options->hypotheses.count,
                                .count = options->hypotheses.count + options->references.count};
    input->paths = lng_alloc(input->count, sizeof *input->paths);
    input->files = lng_alloc(input->count, sizeof *input->files);
    input->lines = lng_alloc(input->count, sizeof *input->lines);
    input->counts = lng_alloc(input->count, sizeof *input->counts);
    if (!input->paths || !input->files || !input->lines || !input->counts)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < input->count; i++) {
        input->paths[i] = i < input->systems ? options->hypotheses.items[i]
                                             : options->references.items[i - input->systems];
        from_standard_input += strcmp(input->paths[i], "-") == 0;
    }
    LNG_FAIL_IF(from_standard_input > 1, LNG_ERR_USAGE,
                "standard input (-) can be one of the files, not %zu", from_standard_input);
    for (size_t i = 0; i < input->count; i++)
        LNG_TRY(lng_lines_open(input->paths[i], &input->files[i]));
    return LNG_OK;
}

/* The next line of file i; *got false at its end. */
static enum lng_status read_line(struct lng_eval_input *input, size_t i, bool *got)
{
    struct lng_line line;
    LNG_TRY(lng_lines_next(input->files[i], &line, got));
    if (*got) {
        input->lines[i] = (struct lng_slice){line.data, line.length - line.carriage_return};
        input->counts[i]++;
    }
    return LNG_OK;
}

/* Some file has ended: all must have. Reads the others to their ends, to say how long they are. */
static enum lng_status check_lengths(struct lng_eval_input *input)
{
    for (size_t i = 0; i < input->count; i++)
        for (bool got = true; got;)
            LNG_TRY(read_line(input, i, &got));
    for (size_t i = 1; i < input->count; i++)
        LNG_FAIL_IF(input->counts[i] != input->counts[0], LNG_ERR_MISMATCH,
                    "hypothesis %s has %" PRIu64 " lines, but %s %s has %" PRIu64
                    "; line n of both must belong together",
                    input->paths[0], input->counts[0],
                    i < input->systems ? "hypothesis" : "reference", input->paths[i],
                    input->counts[i]);
    LNG_FAIL_IF(input->counts[0] == 0, LNG_ERR_FORMAT,
                "%s is empty: expected at least one line to judge", input->paths[0]);
    return LNG_OK;
}

enum lng_status lng_eval_input_next(struct lng_eval_input *input, bool *got)
{
    size_t read = 0;
    for (size_t i = 0; i < input->count; i++) {
        LNG_TRY(read_line(input, i, got));
        read += *got;
    }
    *got = read == input->count;
    if (!*got)
        return check_lengths(input);
    return LNG_OK;
}
