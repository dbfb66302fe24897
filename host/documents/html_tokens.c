#include "host/documents/html_tokens.h"

#include <stdlib.h>
#include <string.h>

static const struct element {
    const char *name;
    enum lng_html_role role;
} elements[] = {
#define LNG_HTML(name, role) {name, LNG_HTML_##role},
#include "host/documents/html_elements.def"
#undef LNG_HTML
};

static bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static enum lng_html_role role_of(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++)
        if (strlen(elements[i].name) == length && strncasecmp(elements[i].name, name, length) == 0)
            return elements[i].role;
    return LNG_HTML_BLOCK;
}

/* Moves `at` (behind the name) over the next attribute; false when '>' or the end comes first. `at` is then there. */
static bool next_attribute(const char *bytes, size_t size, size_t *at, struct lng_slice *name,
                           struct lng_slice *value)
{
    size_t i = *at;
    while (i < size && (is_space(bytes[i]) || bytes[i] == '/'))
        i++;
    *at = i;
    if (i >= size || bytes[i] == '>')
        return false;
    size_t begin = i++;
    while (i < size && !is_space(bytes[i]) && bytes[i] != '/' && bytes[i] != '>' && bytes[i] != '=')
        i++;
    *name = (struct lng_slice){bytes + begin, i - begin};
    *value = (struct lng_slice){bytes + i, 0};
    size_t equals = i;
    while (equals < size && is_space(bytes[equals]))
        equals++;
    *at = i;
    if (equals >= size || bytes[equals] != '=')
        return true;
    for (i = equals + 1; i < size && is_space(bytes[i]);)
        i++;
    char quote = i < size && (bytes[i] == '"' || bytes[i] == '\'') ? bytes[i++] : 0;
    begin = i;
    while (i < size && (quote != 0 ? bytes[i] != quote : !is_space(bytes[i]) && bytes[i] != '>'))
        i++;
    *value = (struct lng_slice){bytes + begin, i - begin};
    *at = quote != 0 && i < size ? i + 1 : i;
    return true;
}

/* A start or end tag at `at`; false when there is none: a '<' then is text, or the file ends within it. */
static bool read_tag(const struct lng_document *document, size_t at, struct lng_html_token *token)
{
    const char *bytes = document->bytes;
    size_t size = document->size, name = at + 1;
    struct lng_slice ignored, value;
    bool end_tag = name < size && bytes[name] == '/';
    name += end_tag;
    if (name >= size || !is_letter(bytes[name]))
        return false;
    size_t i = name;
    while (i < size && !is_space(bytes[i]) && bytes[i] != '/' && bytes[i] != '>')
        i++;
    size_t length = i - name;
    while (next_attribute(bytes, size, &i, &ignored, &value)) {
    }
    if (i >= size)
        return false;
    *token = (struct lng_html_token){.kind = end_tag ? LNG_HTML_END : LNG_HTML_START,
                                     .role = role_of(bytes + name, length),
                                     .begin = at,
                                     .end = i + 1,
                                     .name = name,
                                     .name_length = length,
                                     .closed = bytes[i - 1] == '/'};
    return true;
}

/* Comment, doctype or the like at `at`; its end, 0 when it is none. */
static size_t read_other(const struct lng_document *document, size_t at)
{
    const char *bytes = document->bytes, *end;
    size_t left = document->size - at;
    if (left >= 4 && memcmp(bytes + at, "<!--", 4) == 0) {
        if (left >= 5 && bytes[at + 4] == '>')
            return at + 5;
        if (left >= 6 && memcmp(bytes + at + 4, "->", 2) == 0)
            return at + 6;
        end = memmem(bytes + at + 4, left - 4, "-->", 3);
        return end != NULL ? (size_t)(end - bytes) + 3 : document->size;
    }
    bool bogus = left >= 2 && (bytes[at + 1] == '!' || bytes[at + 1] == '?' ||
                               (bytes[at + 1] == '/' && left >= 3 && !is_letter(bytes[at + 2])));
    if (!bogus)
        return 0;
    if (left >= 9 && memcmp(bytes + at, "<![CDATA[", 9) == 0) {
        end = memmem(bytes + at, left, "]]>", 3);
        return end != NULL ? (size_t)(end - bytes) + 3 : document->size;
    }
    end = memchr(bytes + at, '>', left);
    return end != NULL ? (size_t)(end - bytes) + 1 : document->size;
}

bool lng_html_next(const struct lng_document *document, size_t at, struct lng_html_token *token)
{
    const char *bytes = document->bytes;
    size_t size = document->size;
    if (at >= size)
        return false;
    if (bytes[at] == '<') {
        if (read_tag(document, at, token))
            return true;
        size_t end = read_other(document, at);
        /* A tag that the file ends within is nothing more. */
        if (end == 0 && at + 1 < size && (is_letter(bytes[at + 1]) || bytes[at + 1] == '/'))
            end = size;
        if (end > 0) {
            *token = (struct lng_html_token){.kind = LNG_HTML_OTHER, .begin = at, .end = end};
            return true;
        }
    }
    const char *next = memchr(bytes + at + 1, '<', size - at - 1);
    *token = (struct lng_html_token){
        .kind = LNG_HTML_TEXT, .begin = at, .end = next != NULL ? (size_t)(next - bytes) : size};
    return true;
}

bool lng_html_is(const struct lng_document *document, const struct lng_html_token *token,
                 const char *name)
{
    return strlen(name) == token->name_length &&
           strncasecmp(document->bytes + token->name, name, token->name_length) == 0;
}

static bool same_name(const struct lng_document *document, const struct lng_html_token *one,
                      const struct lng_html_token *other)
{
    return one->name_length == other->name_length &&
           strncasecmp(document->bytes + one->name, document->bytes + other->name,
                       one->name_length) == 0;
}

/* "</name" behind which no letter follows, from `at` on. */
static size_t skip_raw(const struct lng_document *document, const struct lng_html_token *start)
{
    const char *bytes = document->bytes;
    size_t length = start->name_length;
    for (size_t at = start->end; at + 2 + length < document->size; at++) {
        const char *next = memchr(bytes + at, '<', document->size - at);
        if (next == NULL || (size_t)(next - bytes) + 2 + length >= document->size)
            break;
        at = (size_t)(next - bytes);
        char behind = bytes[at + 2 + length];
        if (bytes[at + 1] != '/' || strncasecmp(next + 2, bytes + start->name, length) != 0 ||
            !(is_space(behind) || behind == '/' || behind == '>'))
            continue;
        next = memchr(next, '>', document->size - at);
        return next != NULL ? (size_t)(next - bytes) + 1 : document->size;
    }
    return document->size;
}

size_t lng_html_skip(const struct lng_document *document, const struct lng_html_token *start)
{
    struct lng_html_token token;
    size_t depth = 1, at = start->end;
    if (start->role == LNG_HTML_RAW || start->role == LNG_HTML_TITLE)
        return skip_raw(document, start);
    if (start->closed || start->role == LNG_HTML_POINT || start->role == LNG_HTML_HARD)
        return start->end;
    while (depth > 0 && lng_html_next(document, at, &token)) {
        bool raw = token.kind == LNG_HTML_START && token.role == LNG_HTML_RAW;
        if (token.kind == LNG_HTML_START && !token.closed && same_name(document, start, &token))
            depth++;
        else if (token.kind == LNG_HTML_END && same_name(document, start, &token))
            depth--;
        at = raw ? skip_raw(document, &token) : token.end;
    }
    return at;
}

bool lng_html_attribute(const struct lng_document *document, const struct lng_html_token *token,
                        size_t *at, struct lng_slice *name, struct lng_slice *value)
{
    if (*at == 0)
        *at = token->name + token->name_length;
    return next_attribute(document->bytes, token->end - 1, at, name, value);
}

bool lng_html_find(const struct lng_document *document, const struct lng_html_token *token,
                   const char *name, struct lng_slice *value)
{
    struct lng_slice found;
    size_t at = 0;
    while (lng_html_attribute(document, token, &at, &found, value))
        if (strlen(name) == found.length && strncasecmp(found.data, name, found.length) == 0)
            return true;
    return false;
}
