/* What lingster eval computes: each metric asked for, of each system. */
#ifndef LNG_HOST_CLI_EVAL_RUN_H
#define LNG_HOST_CLI_EVAL_RUN_H

#include "host/config/options.h"
#include "host/eval/significance.h"

enum { LNG_EVAL_METRICS = LNG_OPT_METRIC_F1 + 1 };

/* One metric of one system. */
struct lng_eval_result {
    double sums[LNG_METRIC_MAX_WIDTH]; /* of all segments, as lng_metric_to_row has them */
    double *rows;                      /* of each segment; kept only for resampling */
    size_t row_capacity;
    double score;
    bool has_interval, has_p;
    struct lng_interval interval;
    double p; /* of the difference from the first system */
};

struct lng_eval_system {
    const char *path;
    uint64_t looks_tokenized; /* lines that end in " ." */
    struct lng_eval_result results[LNG_EVAL_METRICS];
};

struct lng_eval {
    const struct lng_options *options;
    struct lng_metric metrics[LNG_EVAL_METRICS]; /* [metric_count], in the order asked for */
    enum lng_opt_metric words[LNG_EVAL_METRICS]; /* their names on the command line */
    size_t metric_count;
    struct lng_eval_system *systems;
    size_t system_count, reference_count, segments;
    int64_t resamples; /* or trials; 0 = none */
};

/* Reads --metrics and their options. Release in any case. */
LNG_MUST_CHECK enum lng_status lng_eval_init(struct lng_eval *eval,
                                             const struct lng_options *options);
void lng_eval_release(struct lng_eval *eval);

/* Adds a segment: the systems' lines, then the references. */
LNG_MUST_CHECK enum lng_status lng_eval_add(struct lng_eval *eval, const struct lng_slice *lines);
/* Scores, intervals and p-values, when all segments are in. */
LNG_MUST_CHECK enum lng_status lng_eval_finish(struct lng_eval *eval);

/* The statistics behind a result. */
union lng_statistics lng_eval_statistics(const struct lng_eval *eval, size_t system, size_t metric);
/* "BLEU", and "nrefs:1|..." or nothing; both appended. */
LNG_MUST_CHECK enum lng_status lng_eval_names(const struct lng_eval *eval, size_t metric,
                                              struct lng_buffer *name,
                                              struct lng_buffer *signature);

/* ---- reports, on standard output: eval_text.c, eval_json.c ---- */

/* One line a metric, or a table of several systems. */
LNG_MUST_CHECK enum lng_status lng_eval_print_text(const struct lng_eval *eval);
LNG_MUST_CHECK enum lng_status lng_eval_print_json(const struct lng_eval *eval);
/* The scores of one line, for --sentence-level, after lng_eval_finish. */
LNG_MUST_CHECK enum lng_status lng_eval_print_sentence(const struct lng_eval *eval);

#endif
