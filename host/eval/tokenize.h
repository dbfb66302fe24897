/* The tokenisations of sacreBLEU that need no model. */
#ifndef LNG_HOST_EVAL_TOKENIZE_H
#define LNG_HOST_EVAL_TOKENIZE_H

#include <stdbool.h>

#include "host/base/text.h"

enum lng_tokenization {
    LNG_TOKENIZATION_13A,  /* mteval-v13a, the default of sacreBLEU */
    LNG_TOKENIZATION_CHAR, /* every code point that is no space */
    LNG_TOKENIZATION_NONE, /* the text as it is, split at spaces */
};

/* "13a", "char", "none", as in sacreBLEU's signatures. */
const char *lng_tokenization_name(enum lng_tokenization tokenization);

/* Unicode white space as Python's str.split sees it: 29 code points. */
bool lng_is_python_space(uint32_t code_point);

/* Appends the tokens of one line, one space between two. LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_tokenize(enum lng_tokenization tokenization, const char *text,
                                            size_t length, struct lng_buffer *tokens);

#endif
