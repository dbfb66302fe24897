/* Every metric behind one face: a segment gives a row of statistics, rows are summed, sums give the score. So
 * resampling needs to know nothing about metrics. */
#ifndef LNG_HOST_EVAL_METRIC_H
#define LNG_HOST_EVAL_METRIC_H

#include "host/eval/bleu.h"
#include "host/eval/chrf.h"
#include "host/eval/error_rate.h"
#include "host/eval/ter.h"

enum lng_metric_kind {
    LNG_METRIC_BLEU,
    LNG_METRIC_CHRF,
    LNG_METRIC_TER,
    LNG_METRIC_ERROR, /* of `error` below */
};
/* What lng_error_counts are made into. */
enum lng_metric_error {
    LNG_METRIC_WER,
    LNG_METRIC_CER,
    LNG_METRIC_SENTENCE_ACCURACY,
    LNG_METRIC_TOKEN_ACCURACY,
    LNG_METRIC_F1,
};

struct lng_metric {
    enum lng_metric_kind kind;
    union {
        struct lng_bleu_options bleu;
        struct lng_chrf_options chrf;
        struct lng_tercom_options ter;
        enum lng_metric_error error;
    };
};

/* Statistics of a segment or of a corpus; which member is that of the metric's kind. */
union lng_statistics {
    struct lng_bleu_counts bleu;
    struct lng_chrf_counts chrf;
    struct lng_ter_counts ter;
    struct lng_error_counts error;
};

/* Adds one segment. */
LNG_MUST_CHECK enum lng_status lng_metric_add(const struct lng_metric *metric,
                                              union lng_statistics *sums,
                                              struct lng_slice hypothesis,
                                              const struct lng_slice *references,
                                              size_t reference_count);
/* In percent. */
double lng_metric_score(const struct lng_metric *metric, const union lng_statistics *sums);

/* Numbers in a row of statistics; at most LNG_METRIC_MAX_WIDTH. */
size_t lng_metric_width(const struct lng_metric *metric);
enum { LNG_METRIC_MAX_WIDTH = 3 * LNG_CHRF_MAX_ORDERS };
/* Statistics as a row [width] and back; whole numbers below 2^53 stay exact. */
void lng_metric_to_row(const struct lng_metric *metric, const union lng_statistics *sums,
                       double *row);
void lng_metric_from_row(const struct lng_metric *metric, const double *row,
                         union lng_statistics *sums);

/* "BLEU", "chrF2++", "TER", "WER", ...; appends. */
LNG_MUST_CHECK enum lng_status lng_metric_name(const struct lng_metric *metric,
                                               struct lng_buffer *text);

/* What a signature says beside the metric's own fields. */
struct lng_signature {
    size_t references;
    int64_t bootstrap, randomization; /* resamples or trials; 0 = none */
    int64_t seed;                     /* of either */
};
/* "nrefs:1|bs:1000|seed:12345|case:mixed|...|version:2.6.0-compatible:lingster-0.1.0" of BLEU, chrF and TER; of
 * others nothing. Appends. */
LNG_MUST_CHECK enum lng_status lng_metric_signature(const struct lng_metric *metric,
                                                    const struct lng_signature *with,
                                                    struct lng_buffer *text);

#endif
