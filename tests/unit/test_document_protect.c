/* What stays as it is in a text of a document: markup and placeholders in one list. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/documents/protect.h"
#include "tests/support/check.h"

static void found(struct lng_protector *protector, const char *text, char *out, size_t size)
{
    static const char *const kinds = "t<>.k";
    struct lng_protected_list list;
    check_ok(lng_protector_find(protector, text, strlen(text), &list));
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < list.count; i++)
        used += (size_t)snprintf(
            out + used, size - used, "%s%c%.*s", i > 0 ? "|" : "", kinds[list.data[i].kind],
            (int)(list.data[i].end - list.data[i].begin), text + list.data[i].begin);
}

Test(document_protect, markup_and_placeholders)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"nothing", ""},
        {"a <b>dog</b> {0}&amp;<br/>", "<<b>|></b>|k{0}|k&amp;|.<br/>"},
        /* A tag holds what is in it, '>' in quotes too; a placeholder what begins after it. */
        {"<a href=\"http://x.org\" title=\">\">%s</a>",
         "<<a href=\"http://x.org\" title=\">\">|k%s|></a>"},
        {"{{<b>}} http://x.org/?a=1&amp;b <c", "k{{<b>}}|khttp://x.org/?a=1&amp;b"},
        {"<!-- {0} --> <!-- {1} <!--", ".<!-- {0} -->|k{1}"},
        {"<00:01.000>x <c.y>z &unknown; a < b > c & d", ".<00:01.000>|<<c.y>"},
        {"write to a@b.org, \xFF %d", "ka@b.org|k%d"},
    };
    struct lng_protector *protector;
    char out[512];
    check_ok(lng_protector_open(&protector));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        found(protector, cases[i][0], out, sizeof out);
        cr_assert_str_eq(out, cases[i][1], "'%s': '%s', not '%s'", cases[i][0], out, cases[i][1]);
    }
    lng_protector_close(protector);
    lng_protector_close(NULL);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* The work grows with the text, whatever it is made of. */
Test(document_protect, long_texts, .timeout = 20)
{
    static const char *const seeds[] = {"<!-- ", "<",  "<a b=\"", "<a ", "&",
                                        "&#",    "a@", "{",       "www."};
    enum { SIZE = 1 << 19 };
    struct lng_protector *protector;
    struct lng_protected_list list;
    char *text = lng_alloc(SIZE, 1);
    check_ok(lng_protector_open(&protector));
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        for (size_t at = 0; at < SIZE; at++)
            text[at] = seeds[i][at % strlen(seeds[i])];
        check_ok(lng_protector_find(protector, text, SIZE, &list));
    }
    lng_protector_close(protector);
    lng_free(text);
}
