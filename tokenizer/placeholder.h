/* Placeholders: parts of a text that a translation must hold byte for byte, whatever a model makes of them:
 * {{name}}, %1$s, {0}, ${x}, URLs, e-mail addresses, tags, __PH__ (tokenizer/placeholder.def), and what
 * further regular expressions match (ICU's syntax). */
#ifndef LNG_TOKENIZER_PLACEHOLDER_H
#define LNG_TOKENIZER_PLACEHOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "host/base/status.h"

enum {
    LNG_PLACEHOLDER_MAX_PATTERNS = 64,
    LNG_PLACEHOLDER_MAX_PATTERN_BYTES = 4096,
};

struct lng_placeholder_range {
    size_t begin, end; /* bytes of the text; begin < end */
};
/* {0} is an empty list. */
struct lng_placeholder_ranges {
    struct lng_placeholder_range *data;
    size_t count, capacity;
};
void lng_placeholder_ranges_release(struct lng_placeholder_ranges *ranges);

/* Compiled patterns. Finding changes it: one thread at a time. */
struct lng_placeholders;

/* builtin: with the table's own patterns. extra: NUL-terminated UTF-8 regular expressions. LNG_ERR_FORMAT names
 * the one that is not sound, and where; LNG_ERR_RANGE when there are too many or one is too long. */
LNG_MUST_CHECK enum lng_status lng_placeholders_open(bool builtin, const char *const *extra,
                                                     size_t extra_count,
                                                     struct lng_placeholders **placeholders);
/* NULL is fine. */
void lng_placeholders_close(struct lng_placeholders *placeholders);

/* Appends the placeholders of a text, rising and apart from one another. Where matches overlap, the one that begins
 * first counts, of those the longest; empty matches are none. Bad UTF-8 matches as U+FFFD. What a
 * pattern may cost is bounded: LNG_ERR_RANGE names one that backtracks without end. */
LNG_MUST_CHECK enum lng_status lng_placeholder_find(struct lng_placeholders *placeholders,
                                                    const char *text, size_t length,
                                                    struct lng_placeholder_ranges *ranges);

#endif
