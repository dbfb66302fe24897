/* Stand-ins: words that a model reads and writes where a placeholder is. */
#ifndef LNG_HOST_INFER_STAND_IN_H
#define LNG_HOST_INFER_STAND_IN_H

#include "tokenizer/tokenizer.h"

enum { LNG_STAND_INS = 32 };

struct lng_stand_in {
    struct lng_slice text; /* in the source; borrowed from the tokenizer or static */
    int32_t token;         /* in the target */
};
struct lng_stand_ins {
    struct lng_stand_in data[LNG_STAND_INS]; /* the best first, all different */
    size_t count;
};

/* Those that suit the two vocabularies: first the words of stand_in.def, then other entries that begin a word, last
 * (a source that has none of the target's words) any. None only when the target has no words. */
LNG_MUST_CHECK enum lng_status lng_stand_ins_find(const struct lng_tokenizer *tokenizer,
                                                  struct lng_stand_ins *stand_ins);

#endif
