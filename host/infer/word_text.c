#include "host/infer/word_text.h"

#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

static bool without_spaces(uint32_t c)
{
    if (c < 0x0E00)
        return false;
    UErrorCode code = U_ZERO_ERROR;
    switch (uscript_getScript((UChar32)c, &code)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_THAI:
    case USCRIPT_LAO:
    case USCRIPT_KHMER:
    case USCRIPT_MYANMAR:
        return true;
    default:
        return false;
    }
}

bool lng_word_character(uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
    if (c == LNG_UTF8_INVALID)
        return false;
    bool mark = (U_GET_GC_MASK((UChar32)c) & U_GC_M_MASK) != 0;
    return (mark || u_isalnum((UChar32)c)) && !without_spaces(c);
}

bool lng_word_begins(const char *text, size_t length)
{
    uint32_t c;
    return lng_utf8_decode(text, length, &c) > 0 && lng_word_character(c);
}

bool lng_word_ends(const char *text, size_t length)
{
    size_t at = length;
    while (at > 0 && length - at < 4 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
        at--;
    at -= at > 0;
    return lng_word_begins(text + at, length - at);
}

bool lng_word_boundary(const char *text, size_t length, size_t at)
{
    return !(lng_word_ends(text, at) && lng_word_begins(text + at, length - at));
}

int64_t lng_word_find(const char *text, size_t length, struct lng_slice phrase, size_t from)
{
    while (phrase.length > 0 && from + phrase.length <= length) {
        const char *hit = memmem(text + from, length - from, phrase.data, phrase.length);
        if (hit == NULL)
            break;
        size_t at = (size_t)(hit - text);
        if (lng_word_boundary(text, length, at) &&
            lng_word_boundary(text, length, at + phrase.length))
            return (int64_t)at;
        from = at + 1;
    }
    return LNG_WORD_NOWHERE;
}
