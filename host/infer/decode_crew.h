/* Inside host/infer: several searches that share one queue, each with its own batch and memory: on a processor with
 * several cores one a thread, on a GPU two, of which one is searched by the host while the GPU works for the other, and
 * so on each of several GPUs. Faster than one batch where there is work enough. */
#ifndef LNG_HOST_INFER_DECODE_CREW_H
#define LNG_HOST_INFER_DECODE_CREW_H

#include "host/infer/decode_state.h"

/* Fills search->crew where options and device allow it, to be closed also after a failure; nothing else changes. On a
 * GPU it takes memory when it first works, and not if there is none. */
LNG_MUST_CHECK enum lng_status lng_crew_open(struct lng_search *search,
                                             const struct lng_search_options *options);
/* NULL is fine. */
void lng_crew_close(struct lng_crew *crew);

/* How many of the crew so many inputs keep busy, their share of the memory sufficing for a batch of the longest; 1: the
 * search had better work alone. */
int32_t lng_crew_size(const struct lng_search *search, const struct lng_search_input *longest,
                      int64_t count);
/* Opens so many of the crew and makes room for the longest of the inputs in each, as lng_search_prepare. LNG_ERR_MEMORY
 * where a share of the memory is too little; nothing is held then. */
LNG_MUST_CHECK enum lng_status lng_crew_prepare(struct lng_search *search,
                                                const struct lng_search_input *inputs,
                                                int64_t count, int32_t mates);
/* The next smaller number that it is worth trying with then. */
int32_t lng_crew_fewer(const struct lng_crew *crew, int32_t mates);
/* Gives that back; NULL is fine. */
void lng_crew_release_plans(struct lng_crew *crew);
/* So many, prepared, translate all that waits in the queue; `done` is called on any thread, by one at a time. */
LNG_MUST_CHECK enum lng_status lng_crew_run(struct lng_search *search,
                                            struct lng_search_queue *queue,
                                            const struct lng_search_input *inputs, int32_t mates,
                                            lng_search_done done, void *context);
/* Adds what its searches counted. */
void lng_crew_add_stats(const struct lng_crew *crew, const struct lng_search *search,
                        struct lng_search_stats *stats);

#endif
