/* What lingster quantize says: errors of tensors, sizes, and how translations differ. */
#ifndef LNG_HOST_CLI_QUANTIZE_REPORT_H
#define LNG_HOST_CLI_QUANTIZE_REPORT_H

#include "host/config/options.h"
#include "host/eval/significance.h"
#include "host/store/json.h"
#include "host/store/model_data.h"

/* Of one metric, before and after. */
struct lng_quantize_score {
    struct lng_metric metric;
    double before, after;
    double p; /* paired bootstrap */
};
enum { LNG_QUANTIZE_SCORES = 2 }; /* BLEU, chrF2 */

struct lng_quantize_texts {
    bool translated, judged; /* what --input and --reference asked for */
    uint64_t lines, changed;
    struct lng_quantize_score scores[LNG_QUANTIZE_SCORES];
};

/* Translates --input with the model as it was, in f32, and with that in `directory`, in its own type. */
LNG_MUST_CHECK enum lng_status lng_quantize_compare_texts(const struct lng_options *options,
                                                          const char *directory,
                                                          struct lng_quantize_texts *texts);

/* The whole report as JSON: tensors [{name, elements, relative_error, largest_error}], relative_error over all,
 * bytes {before, after}, and with texts lines, changed, scores [{metric, before, after, difference, p}]. The caller
 * gives it back with json_decref. before and after agree in shape. */
LNG_MUST_CHECK enum lng_status lng_quantize_report(const struct lng_model_data *before,
                                                   const struct lng_model_data *after,
                                                   const struct lng_quantize_texts *texts,
                                                   json_t **report);
/* The same as a table; appends. `type` is what the model was made into. */
LNG_MUST_CHECK enum lng_status lng_quantize_report_text(const json_t *report, const char *type,
                                                        struct lng_buffer *text);

#endif
