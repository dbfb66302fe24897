#include "host/documents/encode.h"

#include <stdlib.h>
#include <string.h>

static const struct entity {
    const char *name;
    uint32_t code_point;
} entities[] = {
#define LNG_ENTITY(name, code_point) {name, code_point},
#include "host/documents/html_entities.def"
#undef LNG_ENTITY
};

enum { LONGEST_ENTITY = 8 };

static int compare_entities(const void *key, const void *entry)
{
    return strcmp(key, ((const struct entity *)entry)->name);
}

/* "#65" or "#x41"; LNG_UTF8_INVALID when it is neither or no character of XML. */
static uint32_t numeric_reference(const char *text, size_t length)
{
    bool hex = length > 1 && (text[1] | 32) == 'x';
    uint32_t value = 0;
    size_t first = hex ? 2 : 1;
    if (length <= first || length > first + 8)
        return LNG_UTF8_INVALID;
    for (size_t i = first; i < length; i++) {
        int digit = text[i] >= '0' && text[i] <= '9'        ? text[i] - '0'
                    : hex && strchr("abcdef", text[i] | 32) ? (text[i] | 32) - 'a' + 10
                                                            : -1;
        if (digit < 0)
            return LNG_UTF8_INVALID;
        value = value * (hex ? 16 : 10) + (uint32_t)digit;
    }
    bool fine = (value >= 0x20 || value == '\t' || value == '\n') && value <= 0x10FFFF &&
                (value < 0xD800 || value > 0xDFFF);
    return fine ? value : LNG_UTF8_INVALID;
}

size_t lng_decode_reference(const char *text, size_t length, char out[4], size_t *out_length)
{
    size_t end = 1;
    char name[LONGEST_ENTITY + 1];
    uint32_t value = LNG_UTF8_INVALID;
    if (length < 3 || text[0] != '&')
        return 0;
    while (end < length && end <= 10 && text[end] != ';')
        end++;
    if (end >= length || text[end] != ';' || end == 1)
        return 0;
    if (text[1] == '#') {
        value = numeric_reference(text + 1, end - 1);
    } else if (end - 1 <= LONGEST_ENTITY && memchr(text + 1, '\0', end - 1) == NULL) {
        memcpy(name, text + 1, end - 1);
        name[end - 1] = '\0';
        const struct entity *found = bsearch(name, entities, sizeof entities / sizeof entities[0],
                                             sizeof entities[0], compare_entities);
        value = found != NULL ? found->code_point : LNG_UTF8_INVALID;
    }
    if (value == LNG_UTF8_INVALID)
        return 0;
    *out_length = lng_utf8_encode(value, out);
    return end + 1;
}

/* ---- the other way ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c & 0x80) != 0;
}

static const char *xml_spelling(enum lng_encoding encoding, char c)
{
    bool quotes = encoding == LNG_ENCODING_ATTRIBUTE;
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return quotes ? "&quot;" : NULL;
    case '\'':
        return quotes ? "&#39;" : NULL;
    default:
        return (unsigned char)c < ' ' && !is_space(c) ? " " : NULL;
    }
}

static const char *po_spelling(char c)
{
    switch (c) {
    case '\\':
        return "\\\\";
    case '"':
        return "\\\"";
    case '\n':
        return "\\n";
    case '\t':
        return "\\t";
    case '\r':
        return "\\r";
    default:
        return (unsigned char)c < ' ' ? " " : NULL;
    }
}

/* "1." or "1)" begins a list. */
static bool is_list_number(struct lng_slice text, size_t at, size_t line)
{
    size_t digits = line;
    while (digits < at && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    return digits > line && digits == at;
}

/* Would text[at] be markup in Markdown? Where it is not sure, yes: an escaped character reads the same. */
static bool is_markup(struct lng_slice text, size_t at, size_t line, bool cell)
{
    char before = at > 0 ? text.data[at - 1] : ' ';
    char after = at + 1 < text.length ? text.data[at + 1] : ' ';
    bool first = at == line;
    switch (text.data[at]) {
    case '`':
    case '[':
    case ']':
    case '~':
        return true;
    case '|':
        return cell || first;
    case '*':
        return first || !(is_space(before) && is_space(after));
    case '_':
        return first ||
               !((is_space(before) && is_space(after)) || (is_alnum(before) && is_alnum(after)));
    case '\\':
    case '&':
        return !is_space(after);
    case '<':
        return is_alnum(after) || after == '/' || after == '!' || after == '?';
    case '#':
        return first || at + 1 == text.length || after == '#' || is_space(before);
    case '>':
    case '+':
    case '-':
    case '=':
    case ':':
        return first;
    case '.':
    case ')':
        return is_list_number(text, at, line);
    default:
        return false;
    }
}

static const char *webvtt_spelling(char c)
{
    return is_space(c) ? " " : c == '>' ? "&gt;" : c == '<' ? "&lt;" : c == '&' ? "&amp;" : NULL;
}

static const char *spelling_of(enum lng_encoding encoding, struct lng_slice text, size_t at)
{
    char c = text.data[at];
    bool arrow = encoding == LNG_ENCODING_SUBRIP && c == '>' && at >= 2 &&
                 memcmp(text.data + at - 2, "--", 2) == 0;
    switch (encoding) {
    case LNG_ENCODING_XML:
    case LNG_ENCODING_ATTRIBUTE:
        return xml_spelling(encoding, c);
    case LNG_ENCODING_PO:
        return po_spelling(c);
    case LNG_ENCODING_WEBVTT:
        return webvtt_spelling(c);
    default:
        return is_space(c) || arrow ? " " : NULL;
    }
}

enum lng_status lng_encode(enum lng_encoding encoding, struct lng_slice text, size_t begin,
                           size_t end, size_t line, struct lng_buffer *out)
{
    bool markdown = encoding == LNG_ENCODING_MARKDOWN || encoding == LNG_ENCODING_MARKDOWN_CELL;
    for (size_t at = begin; at < end; at++) {
        const char *spelling = markdown ? NULL : spelling_of(encoding, text, at);
        if (markdown && is_markup(text, at, line, encoding == LNG_ENCODING_MARKDOWN_CELL))
            LNG_TRY(lng_buffer_append_byte(out, '\\'));
        LNG_TRY(spelling != NULL ? lng_buffer_append_text(out, spelling)
                                 : lng_buffer_append_byte(out, text.data[at]));
    }
    return LNG_OK;
}
