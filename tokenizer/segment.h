/* Cuts one overlong line into segments that a model can take. */
#ifndef LNG_TOKENIZER_SEGMENT_H
#define LNG_TOKENIZER_SEGMENT_H

#include <stddef.h>

#include "host/base/status.h"

struct lng_segment {
    size_t begin, end; /* bytes of the text */
};
/* {0} is an empty list. */
struct lng_segments {
    struct lng_segment *data;
    size_t count, capacity;
};
void lng_segments_release(struct lng_segments *segments);

/* What a text costs: tokens, usually (lng_tokenizer_measure_source). Anything but LNG_OK is handed on. */
typedef enum lng_status (*lng_segment_measure)(void *context, const char *text, size_t length,
                                               size_t *cost);

/* Appends the segments of a text, in order and without gaps: put together they are the text, byte for byte. Nothing is cut
 * that costs at most `limit`; so a line within the limit is one segment, and an empty text is one empty
 * segment. Otherwise the cut is made between sentences (ICU; not after "Dr." and the like), failing that after
 * clause punctuation, then where a line may break (Unicode line breaking), then between code points, and as
 * much as the limit allows goes into each segment. Only a single code point may cost more than the limit. White space
 * belongs to the segment before it: who translates the segments apart puts it back between the results.
 * `measure` NULL counts bytes. `locale` is for sentence rules ("de", NULL = root). Bad UTF-8 is cut byte by byte.
 * LNG_ERR_RANGE when limit is 0 or the text longer than 1 GiB. */
LNG_MUST_CHECK enum lng_status lng_segment_split(const char *text, size_t length, size_t limit,
                                                 lng_segment_measure measure, void *context,
                                                 const char *locale, struct lng_segments *segments);

#endif
