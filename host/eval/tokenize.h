/* The tokenisations of sacreBLEU that need no model, and what they share with its other metrics. */
#ifndef LNG_HOST_EVAL_TOKENIZE_H
#define LNG_HOST_EVAL_TOKENIZE_H

#include <stdbool.h>

#include "host/base/text.h"

enum lng_tokenization {
    LNG_TOKENIZATION_13A,  /* mteval-v13a, the default of sacreBLEU */
    LNG_TOKENIZATION_CHAR, /* every code point that is no space */
    LNG_TOKENIZATION_NONE, /* the text as it is, split at spaces */
    LNG_TOKENIZATION_ZH,   /* Chinese characters one by one, the rest as 13a does */
    LNG_TOKENIZATION_INTL, /* mteval-v14 international: punctuation and symbols of Unicode 15 (ICU 72) */
    LNG_TOKENIZATIONS,
};

/* "13a", "char", "none", "zh", "intl", as in sacreBLEU's signatures. */
const char *lng_tokenization_name(enum lng_tokenization tokenization);

/* Unicode white space as Python's str.split sees it: 29 code points. */
bool lng_is_python_space(uint32_t code_point);
/* `text` without such white space at its end. */
struct lng_slice lng_strip_end(struct lng_slice text);

/* Appends the text in lower case: Unicode's full mapping without a locale, as Python's str.lower ("İ" becomes two
 * code points, a final sigma is told by its neighbours). Bytes that are no UTF-8 stay. LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_lowercase(struct lng_slice text, struct lng_buffer *out);

/* Appends the tokens of one line, one space between two. LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_tokenize(enum lng_tokenization tokenization, const char *text,
                                            size_t length, struct lng_buffer *tokens);

/* What Tercom does to a line before it compares words. */
struct lng_tercom_options {
    bool normalized; /* punctuation apart, XML entities read */
    bool no_punct;   /* . , ? : ; ! " ( ) removed */
    bool
        asian_support; /* the same for Asian scripts, and ideographs apart; needs one of the two above */
    bool case_sensitive; /* else in lower case */
};
/* Appends the tokens of one line, one space between two, as TER compares them. LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_tokenize_tercom(const struct lng_tercom_options *options,
                                                   struct lng_slice text,
                                                   struct lng_buffer *tokens);

#endif
