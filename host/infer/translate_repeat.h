/* Inside host/infer: sentences that are the same are searched once.
 *
 * What the search makes of a sentence depends on its input alone (decode.h), so that of an earlier one that
 * was equal in every field does as well, to the last bit. Within a window all are compared; of earlier
 * windows as many are kept as the memory allows (repeat_cache.h). */
#ifndef LNG_HOST_INFER_TRANSLATE_REPEAT_H
#define LNG_HOST_INFER_TRANSLATE_REPEAT_H

#include "host/infer/translate_window.h"

struct lng_repeats;
/* cache_bytes: kept of earlier windows at most; 0 = every sentence is searched. */
LNG_MUST_CHECK enum lng_status lng_repeats_open(size_t cache_bytes, struct lng_repeats **repeats);
/* NULL is fine. */
void lng_repeats_close(struct lng_repeats *repeats);

/* Gives each of the window's segments its hypotheses; w->inputs[i] is what is searched for segment i. */
LNG_MUST_CHECK enum lng_status lng_repeats_search(struct lng_translator *translator);

#endif
