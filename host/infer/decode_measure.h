/* What a search would take, without taking it. */
#ifndef LNG_HOST_INFER_DECODE_MEASURE_H
#define LNG_HOST_INFER_DECODE_MEASURE_H

#include "host/infer/decode.h"

/* stats: device_bytes, cache_bytes and sentences_at_once of a search by one worker, as lng_search_get_stats has them after
 * `sentences` sentences of at most `source` tokens, translated to `exact` tokens at most (0: as long as options allow).
 * model: a shape on a device is enough, see lng_model_describe. Without steering, alignment and constraints.
 * LNG_ERR_MEMORY as lng_search_run. */
LNG_MUST_CHECK enum lng_status lng_search_measure(struct lng_model *model,
                                                  const struct lng_search_options *options,
                                                  int64_t source, int64_t exact, int64_t sentences,
                                                  struct lng_search_stats *stats);

#endif
