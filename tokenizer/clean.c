#include "tokenizer/clean.h"

#include <string.h>
#include <unicode/uchar.h>

#include "host/base/mem.h"

static const char *const names[] = {[LNG_CLEAN_NONE] = "none", [LNG_CLEAN_OPUS_MT] = "opus-mt"};

const char *lng_clean_name(enum lng_clean clean)
{
    return names[clean];
}

bool lng_clean_find(const char *name, enum lng_clean *clean)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0) {
            *clean = (enum lng_clean)i;
            return true;
        }
    return false;
}

/* What stands for a character; NULL = itself. */
static const char *replacement(uint32_t code_point)
{
    switch (code_point) {
#define LNG_CLEAN_CHARACTER(code, text) \
    case code:                          \
        return text;
#include "tokenizer/clean.def"
    default:
        return U_GET_GC_MASK((UChar32)code_point) & U_GC_C_MASK ? " " : NULL;
    }
}

/* All of one origin. A space after a space, or at the start, is left out. */
static enum lng_status append(struct lng_clean_text *clean, const char *text, size_t length,
                              size_t origin)
{
    struct lng_buffer *to = &clean->text;
    LNG_TRY(lng_grow(&clean->origins, &clean->capacity, to->length + length + 1,
                     sizeof *clean->origins));
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ' && (to->length == 0 || to->data[to->length - 1] == ' '))
            continue;
        clean->origins[to->length] = origin;
        LNG_TRY(lng_buffer_append_byte(to, text[i]));
    }
    return LNG_OK;
}

enum lng_status lng_clean_opus_mt(const char *text, size_t length, struct lng_clean_text *clean)
{
    size_t end = 0;
    lng_buffer_clear(&clean->text);
    LNG_TRY(lng_grow(&clean->origins, &clean->capacity, 1, sizeof *clean->origins));
    for (size_t at = 0; at < length;) {
        uint32_t code_point;
        size_t size = lng_utf8_decode(text + at, length - at, &code_point);
        size_t before = clean->text.length;
        const char *other = code_point == LNG_UTF8_INVALID ? NULL : replacement(code_point);
        LNG_TRY(append(clean, other ? other : text + at, other ? strlen(other) : size, at));
        at += size;
        end = clean->text.length > before ? at : end;
    }
    clean->origins[clean->text.length] = end;
    if (clean->text.length > 0 && clean->text.data[clean->text.length - 1] == ' ') {
        size_t last = --clean->text.length;
        clean->text.data[last] = '\0';
        if (last > 0 &&
            clean->origins[last] == clean->origins[last - 1]) /* ". " of one character */
            clean->origins[last] = end;
    }
    return LNG_OK;
}

void lng_clean_text_release(struct lng_clean_text *clean)
{
    lng_buffer_release(&clean->text);
    lng_free(clean->origins);
    *clean = (struct lng_clean_text){0};
}
