/* The pass over one entry of a corpus when it is opened: counts, filters, index, report. */
#ifndef LNG_HOST_DATA_CORPUS_SCAN_H
#define LNG_HOST_DATA_CORPUS_SCAN_H

#include "host/base/file.h"
#include "host/data/alignment_file.h"
#include "host/data/corpus.h"
#include "host/data/pair_index.h"

struct lng_corpus_scan {
    /* in; all borrowed */
    const char *source_path, *target_path; /* target_path NULL: tab-separated source file */
    int source_fd, target_fd;
    size_t max_line_bytes;
    double max_length_ratio;               /* 0 = any */
    size_t buffer_bytes;                   /* more than a line that could be kept */
    uint64_t first_line;                   /* sentence id of the first line */
    struct lng_pair_index *index;          /* kept pairs are added */
    struct lng_atomic_file *report;        /* rows are added; may be NULL */
    struct lng_alignment_file *alignments; /* a line for each pair; may be NULL */
    /* out */
    struct lng_corpus_counts counts;
    uint64_t source_digest,
        target_digest; /* of the files' bytes; target 0 when there is one file */
    uint64_t alignment_digest;
};

/* Errors as lng_corpus_open. */
LNG_MUST_CHECK enum lng_status lng_corpus_scan_run(struct lng_corpus_scan *scan);

#endif
