/* Finding placeholders: what is one, what is none, overlaps, bad and endless regular expressions. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "tests/support/check.h"
#include "tokenizer/placeholder.h"

/* The placeholders of a text, with '|' between them. */
static void found(struct lng_placeholders *placeholders, const char *text, char *out, size_t size)
{
    struct lng_placeholder_ranges ranges = {0};
    check_ok(lng_placeholder_find(placeholders, text, strlen(text), &ranges));
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ranges.count; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", i > 0 ? "|" : "",
                                 (int)(ranges.data[i].end - ranges.data[i].begin),
                                 text + ranges.data[i].begin);
    lng_placeholder_ranges_release(&ranges);
}

Test(placeholder, builtin)
{
    static const char *const cases[][2] = {
        {"Hello {{name}}, and {{{raw}}}!", "{{name}}|{{{raw}}}"},
        {"%1$s has %d of %ld files (%.2f %%) %(user)s %@", "%1$s|%d|%ld|%.2f|%%|%(user)s|%@"},
        {"100% of 5%dollar, a 20 % discount, 20 %ige", ""},
        {"100%% and %%s, %dx%d", "%%|%%|%d|%d"},
        {"%s%s, %1 of %2", "%s|%s|%1|%2"},
        {"{0} of {} by {user.name} at {0:N2}", "{0}|{}|{user.name}|{0:N2}"},
        {"{ name } and { a b } and { }", "{ name }"},
        {"{n, plural, one {# file} other {{n} files}} in {dir}",
         "{n, plural, one {# file} other {{n} files}}|{dir}"},
        {"${HOME} and #{x} and %{y} and $PATH and %TEMP%", "${HOME}|#{x}|%{y}|$PATH|%TEMP%"},
        {"$name has $5", "$name"},
        {"See https://a.example/b?c=%20d&e=(f), or www.example.org.",
         "https://a.example/b?c=%20d&e=(f)|www.example.org"},
        {"(see app+x://a.b/c_(d), or **www.a.b/c...d**).", "app+x://a.b/c_(d)|www.a.b/c...d"},
        {"[https://a.b/c](http://[::1]/x)", "https://a.b/c|http://[::1]/x"},
        {"write to jane.doe+x@mail.example.org, now", "jane.doe+x@mail.example.org"},
        {"a <b class=\"x\">bold</b> <br/> 1 < 2 > 0", "<b class=\"x\">|</b>|<br/>"},
        {"<!-- note --> __PH__ __PH_2__ snake__case__x", "<!-- note -->|__PH__|__PH_2__"},
        {"<% x %> {% if y %} [[z]]", "<% x %>|{% if y %}|[[z]]"},
        {"Preis: ä{0}ö — „%s“", "{0}|%s"},
        {"", ""},
        {"nothing here, at all.", ""},
    };
    struct lng_placeholders *placeholders = NULL;
    char out[512];
    check_ok(lng_placeholders_open(true, NULL, 0, &placeholders));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        found(placeholders, cases[i][0], out, sizeof out);
        cr_assert_str_eq(out, cases[i][1], "'%s': '%s', not '%s'", cases[i][0], out, cases[i][1]);
    }
    lng_placeholders_close(placeholders);
}

static uint32_t next(uint32_t *draw)
{
    return lng_philox4x32((*draw)++, 0, 0, 0, 11, 0).word[0];
}

/* An expression that is left out because a text has none of its `needs` would have found nothing. */
Test(placeholder, needs_are_in_every_match)
{
    static const char *const patterns[] = {
#define LNG_PLACEHOLDER(name, needs, pattern) pattern,
#include "tokenizer/placeholder.def"
#undef LNG_PLACEHOLDER
    };
    static const char *const parts[] = {"{",    "}",       "{{", "}}", "%", "%s",  "$",    "a",
                                        "name", "_",       "<",  ">",  "/", "://", "@",    ".",
                                        "www.", "mailto:", "[[", " ",  "#", "!",   "<!--", "--",
                                        ", 1",  " plural", "]]", "1",  "%", ":",   "ä"};
    enum { TEXTS = 4000, PARTS = sizeof parts / sizeof *parts };
    struct lng_placeholders *quick = NULL, *slow = NULL;
    uint32_t draw = 0;
    size_t some = 0;
    check_ok(lng_placeholders_open(true, NULL, 0, &quick));
    check_ok(lng_placeholders_open(false, patterns, sizeof patterns / sizeof *patterns, &slow));
    for (int i = 0; i < TEXTS; i++) {
        char text[64] = "", left[256], right[256];
        for (uint32_t n = 1 + next(&draw) % 7; n > 0; n--)
            strcat(text, parts[next(&draw) % PARTS]);
        found(quick, text, left, sizeof left);
        found(slow, text, right, sizeof right);
        cr_assert_str_eq(left, right, "'%s': '%s', not '%s'", text, left, right);
        some += left[0] != '\0';
    }
    cr_assert(some > TEXTS / 20, "only %zu texts had a placeholder", some);
    lng_placeholders_close(quick);
    lng_placeholders_close(slow);
}

Test(placeholder, own_expressions_and_overlaps)
{
    const char *const extra[] = {"[A-Z]{2}-[0-9]+", "x*", "\\{0\\} of \\{1\\}", "ß+"};
    struct lng_placeholders *placeholders = NULL;
    char out[512];
    check_ok(lng_placeholders_open(true, extra, 4, &placeholders));
    found(placeholders, "AB-12 {0} of {1} {2} aßßb", out, sizeof out);
    cr_assert_str_eq(out, "AB-12|{0} of {1}|{2}|ßß");
    found(placeholders, "\xFF\xC3 AB-12\xF0", out, sizeof out);
    cr_assert_str_eq(out, "AB-12", "bad UTF-8 keeps the offsets");
    lng_placeholders_close(placeholders);
    check_ok(lng_placeholders_open(false, extra, 1, &placeholders));
    found(placeholders, "AB-12 {0}", out, sizeof out);
    cr_assert_str_eq(out, "AB-12");
    lng_placeholders_close(placeholders);
}

Test(placeholder, refuses)
{
    struct lng_placeholders *placeholders = NULL;
    static const char *const bad[] = {"(a", "a{2,1}", "[z-a]", "*", "\\"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_fails(lng_placeholders_open(true, &bad[i], 1, &placeholders), LNG_ERR_FORMAT, bad[i]);
    static char longest[LNG_PLACEHOLDER_MAX_PATTERN_BYTES + 2];
    memset(longest, 'a', sizeof longest - 1);
    const char *texts[LNG_PLACEHOLDER_MAX_PATTERNS + 1];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        texts[i] = longest;
    check_fails(lng_placeholders_open(true, texts, 1, &placeholders), LNG_ERR_RANGE, "4096");
    check_fails(lng_placeholders_open(true, texts, sizeof texts / sizeof texts[0], &placeholders),
                LNG_ERR_RANGE, "64");
    const char *const none[] = {""};
    check_fails(lng_placeholders_open(true, none, 1, &placeholders), LNG_ERR_RANGE, "0");
    cr_assert_null(placeholders);
}

/* Neither time nor the stack is used up. */
Test(placeholder, endless_expressions, .timeout = 20)
{
    static const char *const endless[] = {"(a+)+$", "(a|a)*b", "(.*)*x", "((a?){30}){30}b"};
    static char text[20000];
    memset(text, 'a', sizeof text - 1);
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++) {
        struct lng_placeholders *placeholders = NULL;
        struct lng_placeholder_ranges ranges = {0};
        check_ok(lng_placeholders_open(false, &endless[i], 1, &placeholders));
        text[sizeof text - 2] = '!';
        check_fails(lng_placeholder_find(placeholders, text, sizeof text - 1, &ranges),
                    LNG_ERR_RANGE, endless[i]);
        lng_placeholder_ranges_release(&ranges);
        lng_placeholders_close(placeholders);
    }
}

/* The own table takes a megabyte of anything in one breath. */
Test(placeholder, long_texts, .timeout = 20)
{
    static const char *const seeds[] = {"a",
                                        "a@",
                                        "{",
                                        "{a",
                                        "%",
                                        "%(",
                                        "<a ",
                                        "__a",
                                        "http://",
                                        "$A",
                                        "[[a",
                                        "a://",
                                        "w://a.",
                                        "w://(",
                                        "<!-- ",
                                        " ",
                                        "www.",
                                        "a.",
                                        "{a,plural,",
                                        "{a,plural,x{b}",
                                        "{a,select,x{b{c}} "};
    enum { SIZE = 1 << 18 };
    struct lng_placeholders *placeholders = NULL;
    char *text = lng_alloc(SIZE, 1);
    check_ok(lng_placeholders_open(true, NULL, 0, &placeholders));
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        struct lng_placeholder_ranges ranges = {0};
        size_t length = strlen(seeds[i]);
        for (size_t at = 0; at < SIZE; at++)
            text[at] = seeds[i][at % length];
        check_ok(lng_placeholder_find(placeholders, text, SIZE, &ranges));
        lng_placeholder_ranges_release(&ranges);
    }
    lng_placeholders_close(placeholders);
    lng_free(text);
}
