#include "host/config/yaml.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "host/base/mem.h"
#include "tests/support/check.h"

static enum lng_status read_text(struct lng_yaml *yaml, const char *text)
{
    return lng_yaml_read(yaml, "run.yml", text, strlen(text));
}

Test(yaml, scalars_lists_and_places)
{
    struct lng_yaml yaml;
    check_ok(read_text(&yaml, "# a comment\n"
                              "dim: 512\n"
                              "train-source:\n"
                              "  - a.en   # first\n"
                              "  - 'it''s.en'\n"
                              "flow: [x, \"y, z\\n\"]\n"
                              "\"quoted key\":    \"null\"\n"
                              "empty:\n"
                              "none: ~\n"));
    cr_assert(yaml.count == 6);
    const struct lng_yaml_entry *e = yaml.entries;
    cr_assert_str_eq(e[0].key, "dim");
    cr_assert(e[0].count == 1 && !e[0].is_list && !e[0].is_null);
    cr_assert_str_eq(e[0].items[0], "512");
    cr_assert(e[0].line == 2 && e[0].column == 1 && e[0].value_line == 2 && e[0].value_column == 6);
    cr_assert(e[1].is_list && e[1].count == 2);
    cr_assert_str_eq(e[1].items[0], "a.en");
    cr_assert_str_eq(e[1].items[1], "it's.en");
    cr_assert(e[2].is_list && e[2].count == 2 && e[2].line == 6);
    cr_assert_str_eq(e[2].items[1], "y, z\n");
    cr_assert_str_eq(e[3].key, "quoted key");
    cr_assert(!e[3].is_null);
    cr_assert_str_eq(e[3].items[0], "null");
    cr_assert(e[4].is_null && e[5].is_null);
    lng_yaml_release(&yaml);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(yaml, words_that_yaml_types_stay_text)
{
    struct lng_yaml yaml;
    check_ok(read_text(&yaml, "yes: no\n0x1F: 1e3\n1_000: 12:30:45\n\"\\x85\": .nan\n"));
    cr_assert(yaml.count == 4);
    cr_assert_str_eq(yaml.entries[0].key, "yes");
    cr_assert_str_eq(yaml.entries[0].items[0], "no");
    cr_assert_str_eq(yaml.entries[1].key, "0x1F");
    cr_assert_str_eq(yaml.entries[2].items[0], "12:30:45");
    cr_assert_str_eq(yaml.entries[3].key, "\xC2\x85");
    cr_assert_str_eq(yaml.entries[3].items[0], ".nan");
    lng_yaml_release(&yaml);
}

Test(yaml, nothing_is_an_empty_mapping)
{
    static const char *const texts[] = {"",      "\n\n",       "# only a comment\n",
                                        "---\n", "---\n...\n", "{}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct lng_yaml yaml = {.count = 99};
        check_ok(read_text(&yaml, texts[i]));
        cr_assert(yaml.count == 0, "text %zu", i);
        lng_yaml_release(&yaml);
    }
}

/* Each must be refused with a message that says where. */
static const struct {
    const char *text, *part;
} bad[] = {
    {"b: 1\na: \xC3\x28\n", "run.yml:2:5"},  /* bad UTF-8 */
    {"a: \xED\xA0\x80\n", "run.yml:1:"},     /* a surrogate */
    {"a: \xF5\x80\x80\x80\n", "run.yml:1:"}, /* past Unicode */
    {"a: \xE2\x82", "run.yml:1:"},           /* cut */
    {"a: 1\n\tb: 2\n", "run.yml:2:"},        /* tab as indentation */
    {"a: {b: 1}\n", "run.yml:1:4"},          /* nested mapping */
    {"a:\n  b: 1\n", "run.yml:2:3"},         /* the same in block style */
    {"a: [x, [y]]\n", "run.yml:1:8"},        /* nested list */
    {"a: &anchor 1\n", "run.yml:1:4"},       /* anchor */
    {"a: &anchor [1]\n", "run.yml:1:4"},     /* on a list */
    {"a: *anchor\n", "run.yml:1:4"},         /* alias */
    {"a: !!int 1\n", "run.yml:1:4"},         /* tag */
    {"? [a]\n: 1\n", "run.yml:1:3"},         /* a list as key */
    {"a: 1\nb: 2\na: 3\n", "run.yml:3:1: duplicate key 'a', first given in line 1"},
    {"- a\n- b\n", "run.yml:1:1: expected lines"},  /* a list */
    {"just text\n", "run.yml:1:1: expected lines"}, /* a scalar */
    {"a: 1\n---\nb: 2\n", "run.yml:2:1: expected one document"},
    {"a: \"never closed\n", "run.yml:"},
    {"a: [1, 2\n", "run.yml:"},
    {"a: 1\n  b: 2\n", "run.yml:2:"},
    {"a: \"\\0\"\n", "run.yml:1:4: a value holds a NUL byte"},
    {"%YAML 9.9\n---\na: 1\n", "run.yml:1:"},
    {"&x {a: 1}\n", "run.yml:1:1: anchors"},
};

ParameterizedTestParameters(yaml, refused)
{
    static int index[sizeof bad / sizeof bad[0]];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        index[i] = (int)i;
    return cr_make_param_array(int, index, sizeof bad / sizeof bad[0]);
}
ParameterizedTest(int *index, yaml, refused)
{
    struct lng_yaml yaml = {.count = 99};
    check_fails(read_text(&yaml, bad[*index].text), LNG_ERR_FORMAT, bad[*index].part);
    cr_assert(yaml.count == 99, "touched on failure");
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(yaml, a_nul_byte_is_refused)
{
    struct lng_yaml yaml;
    check_fails(lng_yaml_read(&yaml, "run.yml", "a: b\0c\n", 7), LNG_ERR_FORMAT, "run.yml:1:5");
}

Test(yaml, depth_and_aliases_cost_nothing, .timeout = 10)
{
    size_t length = LNG_YAML_MAX_BYTES;
    char *text = lng_alloc(length + 1, 1);
    struct lng_yaml yaml;
    memset(text, '[', length);
    check_fails(read_text(&yaml, text), LNG_ERR_FORMAT, "run.yml:1:1");
    memcpy(text, "a: ", 3);
    check_fails(read_text(&yaml, text), LNG_ERR_FORMAT, "run.yml:1:5");
    memset(text, '{', length);
    check_fails(read_text(&yaml, text), LNG_ERR_FORMAT, "run.yml:1:2");
    for (size_t i = 0; i + 1 < length; i += 2)
        memcpy(text + i, "? ", 2);
    check_fails(read_text(&yaml, text), LNG_ERR_FORMAT, "run.yml:1:3");
    lng_free(text);
    check_fails(read_text(&yaml, "a: &a [x, x]\nb: [*a, *a]\n"), LNG_ERR_FORMAT, "anchors");
}

Test(yaml, limits, .timeout = 20)
{
    struct lng_yaml yaml;
    struct lng_buffer {
        char *data;
        size_t length;
    } text = {lng_alloc(LNG_YAML_MAX_BYTES + 2, 1), 0};
    memset(text.data, '#', LNG_YAML_MAX_BYTES + 1);
    check_ok(lng_yaml_read(&yaml, "run.yml", text.data, LNG_YAML_MAX_BYTES));
    lng_yaml_release(&yaml);
    check_fails(lng_yaml_read(&yaml, "run.yml", text.data, LNG_YAML_MAX_BYTES + 1), LNG_ERR_RANGE,
                "at most 1048576 bytes");
    for (int i = 0; i <= LNG_YAML_MAX_ENTRIES; i++)
        text.length += (size_t)sprintf(text.data + text.length, "k%d: 1\n", i);
    check_fails(lng_yaml_read(&yaml, "run.yml", text.data, text.length), LNG_ERR_RANGE,
                "more than 2000 keys");
    text.length = (size_t)sprintf(text.data, "a:\n");
    for (int i = 0; i <= LNG_YAML_MAX_ITEMS; i++)
        text.length += (size_t)sprintf(text.data + text.length, "- x\n");
    check_fails(lng_yaml_read(&yaml, "run.yml", text.data, text.length), LNG_ERR_RANGE,
                "more than 100000 values");
    lng_free(text.data);
}

Test(yaml, every_allocation_may_fail)
{
    static const char text[] = "a: 1\nb: [x, y]\nc: z\n";
    bool done = false;
    size_t tries = 0;
    while (!done) {
        struct lng_yaml yaml;
        lng_mem_fail_nth(++tries, 0);
        enum lng_status status = read_text(&yaml, text);
        lng_mem_fail_nth(0, 0);
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY);
        done = status == LNG_OK;
        if (done)
            lng_yaml_release(&yaml);
        cr_assert(lng_mem_get_stats().blocks_live == 0, "leak when allocation %zu fails", tries);
    }
    cr_assert(tries > 5);
}
