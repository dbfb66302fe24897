/* Sides of a pair, and a growing list of token ids ({0} is an empty one). */
#ifndef LNG_TOKENIZER_IDS_H
#define LNG_TOKENIZER_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/mem.h"

/* Which side of a sentence pair. */
enum lng_side {
    LNG_SIDE_SOURCE = 0,
    LNG_SIDE_TARGET = 1,
};

struct lng_ids {
    int32_t *data;
    size_t count, capacity;
};

LNG_MUST_CHECK static inline enum lng_status lng_ids_push(struct lng_ids *ids, int32_t id)
{
    LNG_TRY(lng_grow(&ids->data, &ids->capacity, ids->count + 1, sizeof *ids->data));
    ids->data[ids->count++] = id;
    return LNG_OK;
}

/* Forgets the ids, keeps the memory. */
static inline void lng_ids_clear(struct lng_ids *ids)
{
    ids->count = 0;
}

static inline void lng_ids_release(struct lng_ids *ids)
{
    lng_free(ids->data);
    ids->data = NULL;
    ids->count = ids->capacity = 0;
}

#endif
