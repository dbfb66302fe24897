/* The steps that tokenisations are made of; for host/eval/tokenize*.c alone. Two buffers take turns: a step reads
 * the first and leaves its result there, the second is room to work in. Errors: LNG_ERR_MEMORY. */
#ifndef LNG_HOST_EVAL_TOKENIZE_RULES_H
#define LNG_HOST_EVAL_TOKENIZE_RULES_H

#include <stdbool.h>

#include "host/base/text.h"

struct lng_text_pair {
    struct lng_buffer text, room;
};
void lng_text_pair_release(struct lng_text_pair *pair);
/* Makes what is in `room` the text. */
void lng_text_pair_turn(struct lng_text_pair *pair);

/* Every `what` becomes `with`. */
LNG_MUST_CHECK enum lng_status lng_rule_replace(struct lng_text_pair *pair, const char *what,
                                                const char *with);
/* &quot; &amp; &lt; &gt;, in this order: "&amp;lt;" becomes "<". */
LNG_MUST_CHECK enum lng_status lng_rule_entities(struct lng_text_pair *pair);
/* One space before and one after. */
LNG_MUST_CHECK enum lng_status lng_rule_pad(struct lng_text_pair *pair);
/* Printable ASCII but letters, digits and ' , - . stands alone. */
LNG_MUST_CHECK enum lng_status lng_rule_punctuation(struct lng_text_pair *pair);
/* . and , apart unless between digits; - apart after a digit. */
LNG_MUST_CHECK enum lng_status lng_rule_stops_and_dashes(struct lng_text_pair *pair);

/* Code points `low` to `high`. */
struct lng_code_range {
    uint32_t low, high;
};
/* Code points in one of ranges [count] get a space on both sides or, where `remove`, go away. */
LNG_MUST_CHECK enum lng_status lng_rule_ranges(struct lng_text_pair *pair,
                                               const struct lng_code_range *ranges, size_t count,
                                               bool remove);
/* Unicode punctuation apart unless between numbers; symbols apart. */
LNG_MUST_CHECK enum lng_status lng_rule_international(struct lng_text_pair *pair);

/* Appends the words of `text`, split at Python's white space; each code point by itself where `characters`. */
LNG_MUST_CHECK enum lng_status lng_rule_words(struct lng_slice text, bool characters,
                                              struct lng_buffer *tokens);

#endif
