/* What `lingster compare` found, as text, JSON and JUnit's XML. Each appends to a buffer. */
#ifndef LNG_HOST_CLI_COMPARE_REPORT_H
#define LNG_HOST_CLI_COMPARE_REPORT_H

#include "host/base/text.h"
#include "host/cli/compare.h"

struct lng_compare_tally {
    size_t cases, warnings, failures;
};
struct lng_compare_tally lng_compare_count(const struct lng_compare *compare);

/* One line without a newline: what failed, or that nothing did. */
LNG_MUST_CHECK enum lng_status lng_compare_summarize(const struct lng_compare *compare,
                                                     struct lng_buffer *text);
/* A table that a person reads; ends in a line that begins with PASS or FAIL. */
LNG_MUST_CHECK enum lng_status lng_compare_report_text(const struct lng_compare *compare,
                                                       struct lng_buffer *text);
/* {lingster, verdict, model, input, tested, reference, limits, tolerance, options, lines, seconds,
 *  cases: [{section, name, verdict, count, counted, figures: {NAME: {value, warn, fail}}, where}],
 *  differences: [{line, place, near_tie, tested, reference: {token, id, logprob, score}}],
 *  gradients: [{name, nmse, max, step}]}. A value that is not finite is null. */
LNG_MUST_CHECK enum lng_status lng_compare_report_json(const struct lng_compare *compare,
                                                       struct lng_buffer *text);
/* A test case for each case, by section. */
LNG_MUST_CHECK enum lng_status lng_compare_report_junit(const struct lng_compare *compare,
                                                        struct lng_buffer *text);

#endif
