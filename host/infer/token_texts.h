/* What each target token adds to a text, for judging hypotheses while they grow. */
#ifndef LNG_HOST_INFER_TOKEN_TEXTS_H
#define LNG_HOST_INFER_TOKEN_TEXTS_H

#include "tokenizer/tokenizer.h"

struct lng_token_texts {
    char *text;         /* one after the other */
    uint32_t *offsets;  /* [count + 1] */
    uint8_t *continues; /* [count] nonzero: it goes on with the word before it, if there is one */
    int32_t count;
};

/* The texts of the target side: " Haus" for the piece that begins a word, a byte for a byte piece, nothing for the end
 * of sentence and padding. */
LNG_MUST_CHECK enum lng_status lng_token_texts_init(struct lng_token_texts *texts,
                                                    const struct lng_tokenizer *tokenizer);
/* Fine on a zeroed struct. */
void lng_token_texts_release(struct lng_token_texts *texts);

/* Empty for an id outside. */
static inline struct lng_slice lng_token_text(const struct lng_token_texts *texts, int32_t id)
{
    if (id < 0 || id >= texts->count)
        return (struct lng_slice){"", 0};
    uint32_t begin = texts->offsets[id];
    return (struct lng_slice){texts->text + begin, texts->offsets[id + 1] - begin};
}

static inline bool lng_token_continues(const struct lng_token_texts *texts, int32_t id)
{
    return id >= 0 && id < texts->count && texts->continues[id] != 0;
}

#endif
