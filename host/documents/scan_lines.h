/* Lines of a document, as readers of line formats walk them. */
#ifndef LNG_HOST_DOCUMENTS_SCAN_LINES_H
#define LNG_HOST_DOCUMENTS_SCAN_LINES_H

#include <string.h>

#include "host/documents/document.h"

/* Lines end in LF or CR LF; in CR where the document has no LF at all. */
struct lng_scan {
    size_t begin, end; /* of the line, without what ends it */
    size_t next;       /* where the next one begins */
    size_t number;     /* from 1 */
    char mark;         /* the last byte of each line's end */
};

/* Set begin = end = next to where to start and number to 0; false at the end. */
static inline bool lng_scan_next(const struct lng_document *document, struct lng_scan *scan)
{
    if (scan->next >= document->size)
        return false;
    if (scan->number == 0)
        scan->mark = memchr(document->bytes, '\n', document->size) != NULL ? '\n' : '\r';
    scan->begin = scan->next;
    scan->end = scan->begin;
    while (scan->end < document->size && document->bytes[scan->end] != scan->mark)
        scan->end++;
    scan->next = scan->end < document->size ? scan->end + 1 : scan->end;
    if (scan->mark == '\n' && scan->next > scan->end && scan->end > scan->begin &&
        document->bytes[scan->end - 1] == '\r')
        scan->end--;
    scan->number++;
    return true;
}

/* Nothing but spaces and tabs on it? */
static inline bool lng_scan_blank(const struct lng_document *document, const struct lng_scan *scan)
{
    for (size_t i = scan->begin; i < scan->end; i++)
        if (document->bytes[i] != ' ' && document->bytes[i] != '\t')
            return false;
    return true;
}

#endif
