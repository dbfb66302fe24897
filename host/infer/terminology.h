/* A list of terms: how certain words of a source are to be translated. Also the dictionary of unknown words. */
#ifndef LNG_HOST_INFER_TERMINOLOGY_H
#define LNG_HOST_INFER_TERMINOLOGY_H

#include "host/base/text.h"

enum {
    LNG_TERMINOLOGY_MAX_BYTES = 256 << 20,
    LNG_TERMINOLOGY_MAX_TERM_BYTES = 1024,
};

struct lng_terminology;

/* A file of lines "source TAB target", UTF-8; blank lines and lines that begin with '#' are left out. LNG_ERR_FORMAT
 * names the line that has not two parts, a part too long, or a source that was there before with another
 * target. ignore_case: A and a are the same in sources. */
LNG_MUST_CHECK enum lng_status lng_terminology_open(const char *path, bool ignore_case,
                                                    struct lng_terminology **terminology);
/* NULL is fine. */
void lng_terminology_close(struct lng_terminology *terminology);
size_t lng_terminology_count(const struct lng_terminology *terminology);

/* The target of a whole term, or data NULL. Borrowed. */
LNG_MUST_CHECK enum lng_status lng_terminology_look_up(struct lng_terminology *terminology,
                                                       struct lng_slice source,
                                                       struct lng_slice *target);

/* Calls back with each term's target that stands in the text as whole words: from the left, at each place the longest, none
 * inside another; borrowed. What is not LNG_OK ends it and is handed on. One thread at a time. */
typedef enum lng_status (*lng_terminology_found)(void *context, struct lng_slice target);
LNG_MUST_CHECK enum lng_status lng_terminology_find(struct lng_terminology *terminology,
                                                    struct lng_slice text,
                                                    lng_terminology_found found, void *context);

#endif
