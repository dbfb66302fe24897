#include "host/documents/protect.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/documents/encode.h"
#include "tokenizer/placeholder.h"

enum { LONGEST_TAG = 4096 };

struct lng_protector {
    struct lng_placeholders *placeholders;
    struct lng_placeholder_ranges ranges; /* of the text at hand */
    struct lng_protected *found;
    size_t capacity;
};

enum lng_status lng_protector_open(struct lng_protector **protector)
{
    struct lng_protector *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_placeholders_open(true, NULL, 0, &made->placeholders);
    if (status != LNG_OK) {
        lng_protector_close(made);
        return status;
    }
    *protector = made;
    return LNG_OK;
}

void lng_protector_close(struct lng_protector *protector)
{
    if (protector == NULL)
        return;
    lng_placeholders_close(protector->placeholders);
    lng_placeholder_ranges_release(&protector->ranges);
    lng_free(protector->found);
    lng_free(protector);
}

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

/* The tag or reference at `at`, in places of the text. *unclosed: a comment was found not to end, so that no later one
 * does. */
static bool markup_at(const char *text, size_t length, size_t at, bool *unclosed,
                      struct lng_protected *found)
{
    char reference[4];
    size_t ignored, taken;
    if (text[at] == '&') {
        taken = lng_decode_reference(text + at, length - at, reference, &ignored);
        *found = (struct lng_protected){LNG_PIECE_KEEP, at, at + taken, 0, 0};
        return taken > 0;
    }
    bool comment = length - at > 4 && memcmp(text + at, "<!--", 4) == 0;
    if (text[at] != '<' || (comment && *unclosed))
        return false;
    taken = lng_protect_tag(text + at, length - at, found);
    *unclosed |= comment && taken == 0;
    found->begin = at;
    found->end = at + taken;
    found->name += at;
    return taken > 0;
}

enum lng_status lng_protector_find(struct lng_protector *protector, const char *text, size_t length,
                                   struct lng_protected_list *list)
{
    struct lng_placeholder_ranges *ranges = &protector->ranges;
    size_t next = 0, count = 0;
    bool unclosed = false;
    ranges->count = 0;
    LNG_TRY(lng_placeholder_find(protector->placeholders, text, length, ranges));
    for (size_t at = 0; at < length;) {
        struct lng_protected found;
        while (next < ranges->count && ranges->data[next].begin < at)
            next++;
        bool markup = markup_at(text, length, at, &unclosed, &found);
        if (!markup && (next == ranges->count || ranges->data[next].begin > at)) {
            at++;
            continue;
        }
        if (!markup)
            found = (struct lng_protected){LNG_PIECE_KEEP, at, ranges->data[next].end, 0, 0};
        LNG_TRY(
            lng_grow(&protector->found, &protector->capacity, count + 1, sizeof *protector->found));
        protector->found[count++] = found;
        at = found.end;
    }
    *list = (struct lng_protected_list){protector->found, count};
    return LNG_OK;
}
