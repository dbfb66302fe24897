/* Inside host/infer: what the search made of sentences, by what was searched. Bounded memory: two halves,
 * the young one being filled; when it is full the old one is emptied and they change places, and what is
 * found in the old one moves to the young one. */
#ifndef LNG_HOST_INFER_REPEAT_CACHE_H
#define LNG_HOST_INFER_REPEAT_CACHE_H

#include "host/infer/decode.h"

/* Equal inputs have equal hashes. */
uint64_t lng_repeat_hash(const struct lng_search_input *input);
bool lng_repeat_same(const struct lng_search_input *a, const struct lng_search_input *b);

struct lng_repeat_cache;
/* bytes: of all it holds. */
LNG_MUST_CHECK enum lng_status lng_repeat_cache_open(size_t bytes, struct lng_repeat_cache **cache);
/* NULL is fine. */
void lng_repeat_cache_close(struct lng_repeat_cache *cache);
size_t lng_repeat_cache_bytes(const struct lng_repeat_cache *cache);

/* Keeps a result (result->index does not matter), unless it is too large or there already. */
LNG_MUST_CHECK enum lng_status lng_repeat_cache_put(struct lng_repeat_cache *cache, uint64_t hash,
                                                    const struct lng_search_input *input,
                                                    const struct lng_search_result *result);
/* Hands the result for an equal input to `done`, as the search would, with this index; *found = false
 * when there is none. */
LNG_MUST_CHECK enum lng_status lng_repeat_cache_get(struct lng_repeat_cache *cache, uint64_t hash,
                                                    const struct lng_search_input *input,
                                                    int64_t index, lng_search_done done,
                                                    void *context, bool *found);

#endif
