/* ICU's break iterators (words, sentences, lines), opened once for each language and then copied: opening one
 * reads its rules, which takes longer than a short text. */
#ifndef LNG_TOKENIZER_BREAKS_H
#define LNG_TOKENIZER_BREAKS_H

#include <unicode/ubrk.h>

#include "host/base/status.h"

/* An iterator without a text; ubrk_close it. language: as ICU takes it, "de" or "pt_BR"; "" or NULL for the rules of
 * all. LNG_ERR_MEMORY, or LNG_ERR_INTERNAL where ICU has no rules. Any thread. */
LNG_MUST_CHECK enum lng_status lng_breaks_open(UBreakIteratorType type, const char *language,
                                               UBreakIterator **breaks);

#endif
