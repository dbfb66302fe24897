/* What counts as white space between words. */
#ifndef LNG_HOST_BASE_BLANK_TEXT_H
#define LNG_HOST_BASE_BLANK_TEXT_H

#include "host/base/text.h"

/* Nothing but white space (Unicode White_Space and what has no width). */
static inline bool lng_line_is_blank(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint32_t c;
        at += lng_utf8_decode(text + at, length - at, &c);
        bool space = c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
                     (c >= 0x2000 && c <= 0x200B) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
                     c == 0x205F || c == 0x2060 || c == 0x3000 || c == 0xFEFF;
        if (!space)
            return false;
    }
    return true;
}

#endif
