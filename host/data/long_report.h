/* The report of pairs that were dropped for their number of tokens, known only once they are
 * encoded: tab-separated rows of corpus, line, reason, source tokens, target tokens, written in
 * the first epoch as the pairs come up. A run that resumes cuts the report back to where its
 * checkpoint was, so that it ends up the same as without the interruption. */
#ifndef LNG_HOST_DATA_LONG_REPORT_H
#define LNG_HOST_DATA_LONG_REPORT_H

#include "host/data/batch.h"
#include "host/data/corpus.h"

struct lng_long_report {
    int fd;           /* -1 = no report */
    const char *path; /* borrowed */
    uint64_t bytes;
};

/* Opens or makes `path` (NULL = no report) and keeps its first `bytes` bytes; 0 = begins anew. A
 * file that is shorter (rows were lost in a crash) goes on where it ends. */
LNG_MUST_CHECK enum lng_status lng_long_report_open(struct lng_long_report *report,
                                                    const char *path, uint64_t bytes);
/* A row for each dropped pair of the part. LNG_ERR_IO, LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_long_report_add(struct lng_long_report *report,
                                                   const struct lng_corpus *corpus,
                                                   const struct lng_encoded *part,
                                                   int64_t max_length);
void lng_long_report_close(struct lng_long_report *report);

#endif
