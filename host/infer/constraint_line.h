/* A line of a file of constraints: JSON, {"positive": ["phrase", ...], "negative": ["phrase", ...]}, either may be
 * missing; an array alone is the positive ones; a blank line demands nothing. */
#ifndef LNG_HOST_INFER_CONSTRAINT_LINE_H
#define LNG_HOST_INFER_CONSTRAINT_LINE_H

#include "host/base/text.h"

struct lng_constraint_phrase {
    size_t begin, length; /* of texts */
    bool negative;
};
/* {0} is an empty one. */
struct lng_constraint_line {
    struct lng_buffer texts;
    struct lng_constraint_phrase
        *phrases; /* as written, white space at their ends left out; none twice */
    size_t count, capacity;
};

void lng_constraint_line_clear(struct lng_constraint_line *line);
void lng_constraint_line_release(struct lng_constraint_line *line);

static inline struct lng_slice lng_constraint_text(const struct lng_constraint_line *line, size_t i)
{
    return (struct lng_slice){line->texts.data + line->phrases[i].begin, line->phrases[i].length};
}

/* Fills a cleared line. LNG_ERR_FORMAT for what is no such JSON, empty phrases and unknown keys; LNG_ERR_RANGE for too
 * many or too long ones; LNG_ERR_MISMATCH where a positive phrase holds a negative one. */
LNG_MUST_CHECK enum lng_status lng_constraint_line_parse(struct lng_constraint_line *line,
                                                         const char *json, size_t size);

#endif
