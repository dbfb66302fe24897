/* What is written beside a translation, from options: alignments, word scores, pictures, flags. */
#ifndef LNG_HOST_CLI_ANNOTATION_SETUP_H
#define LNG_HOST_CLI_ANNOTATION_SETUP_H

#include "host/base/file.h"
#include "host/cli/translate_files.h"
#include "host/infer/attention_map.h"
#include "host/infer/risk.h"
#include "host/infer/translate.h"

struct lng_annotation_setup {
    struct lng_attention_map *map;
    struct lng_risk_options risk;
    struct lng_atomic_file flags; /* the report */
};
/* Sets the parts of `translate` that are about annotation. The setup must stay where it is while
 * they are used; close it in any case. LNG_ERR_USAGE for values that mean nothing. */
LNG_MUST_CHECK enum lng_status lng_annotation_setup_open(const struct lng_options *options,
                                                         const struct lng_translate_files *files,
                                                         struct lng_annotation_setup *setup,
                                                         struct lng_translate_options *translate);
/* Finishes what was written to files. To be called only where the translation succeeded, or was interrupted. */
LNG_MUST_CHECK enum lng_status lng_annotation_setup_finish(struct lng_annotation_setup *setup);
/* Fine on a zeroed one. Files that were not finished do not appear. */
void lng_annotation_setup_close(struct lng_annotation_setup *setup);

#endif
