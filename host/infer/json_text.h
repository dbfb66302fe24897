/* JSON written straight into a buffer, for output of a great many lines. */
#ifndef LNG_HOST_INFER_JSON_TEXT_H
#define LNG_HOST_INFER_JSON_TEXT_H

#include "host/base/text.h"

/* A string with quotes; bad UTF-8 is repaired, control characters and U+2028 / U+2029 are escaped. */
LNG_MUST_CHECK enum lng_status lng_json_append_string(struct lng_buffer *out, const char *text,
                                                      size_t length);
/* A number with nine digits, enough for any float; null for what JSON cannot say. */
LNG_MUST_CHECK enum lng_status lng_json_append_number(struct lng_buffer *out, double value);
/* `, "key": ` or, after '{', `"key": `. The key is plain ASCII. */
LNG_MUST_CHECK enum lng_status lng_json_append_key(struct lng_buffer *out, const char *key);
/* A comma and a space, unless an array or object was just opened. */
LNG_MUST_CHECK enum lng_status lng_json_append_comma(struct lng_buffer *out);

#endif
