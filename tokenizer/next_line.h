/* How a corpus is handed to what learns from it. */
#ifndef LNG_TOKENIZER_NEXT_LINE_H
#define LNG_TOKENIZER_NEXT_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "host/base/status.h"

/* Sets *text and *length (valid until the next call) and *got = true, or *got = false at the end. What is not
 * LNG_OK ends the work and is handed on. */
typedef enum lng_status (*lng_next_line)(void *context, const char **text, size_t *length,
                                         bool *got);

#endif
