/* The search of lingster translate as its options have it, for lines and for documents alike. */
#ifndef LNG_HOST_CLI_TRANSLATE_SEARCH_H
#define LNG_HOST_CLI_TRANSLATE_SEARCH_H

#include "host/cli/gpu_list.h"
#include "host/cli/infer_setup.h"
#include "host/cli/steering_setup.h"
#include "host/config/options.h"
#include "host/infer/translate.h"

struct lng_translate_search {
    struct lng_infer_setup setup;
    struct lng_steering_setup steering;
    struct lng_gpu_list gpus;
};

/* What options alone say. Strings are borrowed from them. */
struct lng_translate_options lng_translate_search_options(const struct lng_options *options);

/* Opens the model or models, and adds to *translate what depends on them. Zero *search first; close it in any case, after
 * the translator. */
LNG_MUST_CHECK enum lng_status lng_translate_search_open(const struct lng_options *options,
                                                         struct lng_translate_search *search,
                                                         struct lng_translate_options *translate);
void lng_translate_search_close(struct lng_translate_search *search);

#endif
