/* Lines as users have them, made fit for tokenizers. */
#ifndef LNG_HOST_INFER_LINE_TEXT_H
#define LNG_HOST_INFER_LINE_TEXT_H

#include <string.h>

#include "host/base/blank_text.h"
#include "host/base/text.h"

/* A byte order mark belongs to the file, not to its first line. */
static inline struct lng_slice lng_line_without_mark(struct lng_slice line)
{
    bool marked = line.length >= 3 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0;
    return marked ? (struct lng_slice){line.data + 3, line.length - 3} : line;
}

/* Without the CR of a CR LF. */
static inline struct lng_slice lng_line_without_return(struct lng_slice line)
{
    line.length -= line.length > 0 && line.data[line.length - 1] == '\r';
    return line;
}

/* Appends valid UTF-8 without NUL: U+FFFD for bad sequences, a space for NUL. *repaired: there were any. */
LNG_MUST_CHECK static inline enum lng_status
lng_line_append_clean(struct lng_buffer *out, struct lng_slice line, bool *repaired)
{
    size_t begin = out->length, replaced = 0;
    LNG_TRY(lng_buffer_append_repaired(out, line.data, line.length, &replaced));
    for (size_t i = begin; i < out->length; i++)
        if (out->data[i] == '\0')
            out->data[i] = ' ';
    *repaired = replaced > 0;
    return LNG_OK;
}

#endif
