#include "host/infer/json_text.h"

#include <math.h>

enum lng_status lng_json_append_string(struct lng_buffer *out, const char *text, size_t length)
{
    LNG_TRY(lng_buffer_append_byte(out, '"'));
    for (size_t at = 0; at < length;) {
        uint32_t c;
        size_t step = lng_utf8_decode(text + at, length - at, &c);
        if (c == LNG_UTF8_INVALID)
            LNG_TRY(lng_buffer_append_text(out, "\xEF\xBF\xBD"));
        else if (c < 0x20 || c == 0x7F || c == 0x2028 || c == 0x2029)
            LNG_TRY(lng_buffer_append_format(out, "\\u%04x", (unsigned)c));
        else if (c == '"' || c == '\\')
            LNG_TRY(lng_buffer_append_format(out, "\\%c", (int)c));
        else
            LNG_TRY(lng_buffer_append(out, text + at, step));
        at += step;
    }
    return lng_buffer_append_byte(out, '"');
}

enum lng_status lng_json_append_number(struct lng_buffer *out, double value)
{
    if (!isfinite(value))
        return lng_buffer_append_text(out, "null");
    return lng_buffer_append_format(out, "%.9g", value);
}

enum lng_status lng_json_append_comma(struct lng_buffer *out)
{
    char last = out->length > 0 ? out->data[out->length - 1] : '[';
    return last == '[' || last == '{' || last == '\n' ? LNG_OK : lng_buffer_append_text(out, ", ");
}

enum lng_status lng_json_append_key(struct lng_buffer *out, const char *key)
{
    LNG_TRY(lng_json_append_comma(out));
    return lng_buffer_append_format(out, "\"%s\": ", key);
}
