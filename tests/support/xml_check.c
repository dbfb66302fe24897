#include "tests/support/xml_check.h"

#include <ctype.h>
#include <string.h>

#include "host/base/text.h"

enum { DEEPEST = 16 };

struct name {
    const char *at;
    size_t length;
};

static struct name take_name(const char **c)
{
    struct name name = {*c, 0};
    while (isalnum((unsigned char)**c) || strchr("-_.:", **c ? **c : ' ') != NULL) {
        (*c)++;
        name.length++;
    }
    return name;
}

static bool is_entity(const char *c)
{
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"};
    for (int i = 0; i < 5; i++)
        if (strncmp(c, entities[i], strlen(entities[i])) == 0)
            return true;
    return false;
}

/* Text up to `end` (a quote, or '<'). */
static bool take_text(const char **c, char end)
{
    for (; **c != end; (*c)++) {
        bool control = (unsigned char)**c < 0x20 && **c != '\n';
        if (control || **c == '<' || (**c == '&' && !is_entity(*c)))
            return false;
    }
    return true;
}

static bool take_attributes(const char **c)
{
    while (isspace((unsigned char)**c)) {
        (*c)++;
        if (**c == '/' || **c == '>')
            return true;
        if (take_name(c).length == 0 || strncmp(*c, "=\"", 2) != 0)
            return false;
        *c += 2;
        if (!take_text(c, '"'))
            return false;
        (*c)++;
    }
    return true;
}

static bool same(struct name a, struct name b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static bool take_tag(const char **c, struct name open[DEEPEST], int *depth, struct name wanted,
                     int *elements)
{
    bool closing = (*c)[1] == '/';
    *c += 1 + closing;
    struct name name = take_name(c);
    if (name.length == 0)
        return false;
    if (closing) {
        bool fits = *depth > 0 && same(name, open[*depth - 1]) && **c == '>';
        (*depth)--;
        *c += fits;
        return fits;
    }
    *elements += same(name, wanted);
    if (!take_attributes(c) || *depth >= DEEPEST)
        return false;
    if (**c == '/')
        (*c)++;
    else
        open[(*depth)++] = name;
    return *(*c)++ == '>';
}

bool xml_well_formed(const char *text, const char *name, int *elements)
{
    static const char head[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    struct name open[DEEPEST], wanted = {name, name != NULL ? strlen(name) : 0};
    int depth = 0, found = 0;
    const char *c = text + strlen(head);
    if (strncmp(text, head, strlen(head)) != 0 || !lng_utf8_valid(text, strlen(text)) || *c != '<')
        return false;
    do {
        if (!take_tag(&c, open, &depth, wanted, &found))
            return false;
        if (depth > 0 && !take_text(&c, '<'))
            return false;
    } while (depth > 0);
    if (elements != NULL)
        *elements = found;
    return strcmp(c, "\n") == 0;
}
