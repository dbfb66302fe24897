#include "host/documents/protect.h"

#include <string.h>

#include "host/documents/encode.h"

enum { LONGEST_NAME = 64, LONGEST_TAG = 4096 };

static bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_letter(c) || is_digit(c) || c == '_';
}

static size_t count_words(const char *text, size_t length, size_t from)
{
    size_t at = from;
    while (at < length && is_word(text[at]))
        at++;
    return at - from;
}

/* "{...}" or "{{...}}", opened at `at`: on one line, nothing braced inside. */
static size_t braced(const char *text, size_t length, size_t at)
{
    size_t depth = 0, i = at;
    while (i < length && text[i] == '{' && depth < 3) {
        depth++;
        i++;
    }
    size_t first = i;
    while (i < length && i - first <= LONGEST_NAME && text[i] != '{' && text[i] != '}' &&
           text[i] != '\n')
        i++;
    for (size_t closed = 0; closed < depth; closed++)
        if (i >= length || text[i++] != '}')
            return 0;
    return depth > 0 && i > first + depth ? i - at : 0;
}

/* %[n$][flags][width][.precision][size]conversion; a space is no flag: "100 % der" is not one. */
static size_t printf_directive(const char *text, size_t length, size_t at)
{
    size_t i = at + 1;
    if (i < length && text[i] == '%')
        return 2;
    if (i < length && text[i] == '{')
        return braced(text, length, i) > 0 ? 1 + braced(text, length, i) : 0;
    if (i < length && text[i] == '(') {
        size_t name = count_words(text, length, i + 1);
        i += 1 + name;
        if (name == 0 || i >= length || text[i++] != ')')
            return 0;
    }
    while (i < length && text[i] != '\0' && strchr("-+#0123456789.*'$", text[i]) != NULL)
        i++;
    while (i < length && text[i] != '\0' && strchr("hlqjztL", text[i]) != NULL)
        i++;
    if (i >= length || text[i] == '\0' || strchr("diouxXeEfFgGaAcsSpn@", text[i]) == NULL)
        return 0;
    return i + 1 < length && is_letter(text[i + 1]) ? 0 : i + 1 - at;
}

static bool is_address(char c)
{
    return (unsigned char)c > ' ' && c != '<' && c != '>' && c != '"' && c != '`' && c != '{' &&
           c != '}' && c != '|' && c != '\\' && c != '^' && c != '[' && c != ']';
}

static size_t address_end(const char *text, size_t length, size_t at)
{
    size_t end = at, open = 0;
    for (; end < length && is_address(text[end]); end++) {
        open += text[end] == '(';
        if (text[end] == ')' && open-- == 0)
            break;
    }
    while (end > at && strchr(".,;:!?'*_~", text[end - 1]) != NULL)
        end--;
    return end;
}

/* "scheme://x", "www.x.y" or "mailto:x" at the start of a word. */
static size_t url(const char *text, size_t length, size_t at)
{
    size_t i = at;
    if (at > 0 && (is_letter(text[at - 1]) || is_digit(text[at - 1])))
        return 0;
    if (length - at > 7 && memcmp(text + at, "mailto:", 7) == 0)
        return address_end(text, length, at) - at;
    while (i < length && i - at < 12 && (is_letter(text[i]) || (i > at && text[i] == '+')))
        i++;
    bool scheme = i > at && length - i > 3 && memcmp(text + i, "://", 3) == 0;
    bool host = length - at > 5 && memcmp(text + at, "www.", 4) == 0 && is_word(text[at + 4]);
    if (!scheme && !host)
        return 0;
    size_t end = address_end(text, length, at);
    return end > i + (scheme ? 3 : 1) ? end - at : 0;
}

/* An e-mail address whose '@' is at `at`: *begin is where it starts. */
static size_t email(const char *text, size_t length, size_t from, size_t at, size_t *begin)
{
    size_t first = at, end = at + 1, dot = 0;
    while (first > from && (is_word(text[first - 1]) || strchr(".+-", text[first - 1]) != NULL))
        first--;
    for (; end < length && (is_word(text[end]) || text[end] == '-' || text[end] == '.'); end++)
        dot = text[end] == '.' && end + 1 < length && is_word(text[end + 1]) ? end : dot;
    while (end > at && (text[end - 1] == '.' || text[end - 1] == '-'))
        end--;
    *begin = first;
    return first < at && dot > at + 1 ? end - first : 0;
}

static size_t tag_end(const char *text, size_t length, size_t at)
{
    char quote = 0;
    for (; at < length && at <= LONGEST_TAG; at++) {
        if (quote != 0)
            quote = text[at] == quote ? 0 : quote;
        else if (text[at] == '"' || text[at] == '\'')
            quote = text[at - 1] == '=' ? text[at] : 0;
        else if (text[at] == '>')
            return at + 1;
        else if (text[at] == '<')
            return 0;
    }
    return 0;
}

size_t lng_protect_tag(const char *text, size_t length, struct lng_protected *found)
{
    size_t name = 1;
    if (length < 3 || text[0] != '<')
        return 0;
    if (length >= 7 && memcmp(text, "<!--", 4) == 0) {
        const char *end = memmem(text + 4, length - 4, "-->", 3);
        *found = (struct lng_protected){LNG_PIECE_POINT, 0, 0, 0, 0};
        return end != NULL ? (found->end = (size_t)(end - text) + 3) : 0;
    }
    bool close = text[1] == '/';
    name += close;
    size_t last = name;
    while (last < length && (is_word(text[last]) || text[last] == '-' || text[last] == ':'))
        last++;
    if (name >= length || !(is_letter(text[name]) || (is_digit(text[name]) && !close)))
        return 0;
    if (last < length && strchr(" \t\r\n/>.=", text[last]) == NULL)
        return 0;
    size_t end = tag_end(text, length, last);
    if (end == 0)
        return 0;
    /* A number is a time of WebVTT. */
    bool point = !close && (text[end - 2] == '/' || is_digit(text[name]));
    *found = (struct lng_protected){close   ? LNG_PIECE_CLOSE
                                    : point ? LNG_PIECE_POINT
                                            : LNG_PIECE_OPEN,
                                    0, end, name, last - name};
    return end;
}

bool lng_protect_find(const char *text, size_t length, size_t from, struct lng_protected *found)
{
    char reference[4];
    size_t ignored;
    for (size_t at = from; at < length; at++) {
        size_t taken = 0, begin = at;
        char c = text[at];
        if (c == '<') {
            taken = lng_protect_tag(text + at, length - at, found);
            if (taken > 0) {
                found->begin = at;
                found->end = at + taken;
                found->name += at;
                return true;
            }
        } else if (c == '{') {
            taken = braced(text, length, at);
        } else if (c == '%') {
            taken = printf_directive(text, length, at);
        } else if (c == '$' && at + 1 < length) {
            taken = text[at + 1] == '{' ? braced(text, length, at + 1)
                                        : count_words(text, length, at + 1);
            taken = taken > 0 && !is_digit(text[at + 1]) ? taken + 1 : 0;
        } else if (c == '&') {
            taken = lng_decode_reference(text + at, length - at, reference, &ignored);
        } else if (c == '@') {
            taken = email(text, length, from, at, &begin);
        } else if (is_letter(c)) {
            taken = url(text, length, at);
        }
        if (taken > 0) {
            *found = (struct lng_protected){LNG_PIECE_KEEP, begin, begin + taken, 0, 0};
            return true;
        }
    }
    return false;
}
