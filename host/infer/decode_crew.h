/* Inside host/infer: several searches that share one model and one queue, each with its own batch, memory and threads. On a
 * processor with several cores that is faster than one batch on all of them, where there is work enough. */
#ifndef LNG_HOST_INFER_DECODE_CREW_H
#define LNG_HOST_INFER_DECODE_CREW_H

#include "host/infer/decode_state.h"

/* Fills search->crew where options and device allow it; nothing else changes. */
LNG_MUST_CHECK enum lng_status lng_crew_open(struct lng_search *search,
                                             const struct lng_search_options *options);
/* NULL is fine. */
void lng_crew_close(struct lng_crew *crew);

/* Whether so many inputs keep each of the crew busy, and its share of the memory suffices for a batch of the longest. */
bool lng_crew_pays(const struct lng_search *search, const struct lng_search_input *longest,
                   int64_t count);
/* Makes room for the longest of the inputs in each of the crew, as lng_search_prepare. LNG_ERR_MEMORY where a share of the
 * memory is too little; nothing is held then. */
LNG_MUST_CHECK enum lng_status
lng_crew_prepare(struct lng_crew *crew, const struct lng_search_input *inputs, int64_t count);
/* Gives that back; NULL is fine. */
void lng_crew_release_plans(struct lng_crew *crew);
/* Prepared, translates all that waits in the queue; `done` is called on any thread, by one at a time. */
LNG_MUST_CHECK enum lng_status lng_crew_run(struct lng_search *search,
                                            struct lng_search_queue *queue,
                                            const struct lng_search_input *inputs,
                                            lng_search_done done, void *context);
/* Adds what its searches counted. */
void lng_crew_add_stats(const struct lng_crew *crew, struct lng_search_stats *stats);

#endif
