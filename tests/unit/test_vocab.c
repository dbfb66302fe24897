/* Vocabularies: strict reading, dense ids, building from symbols. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/spm_fixture.h"
#include "tokenizer/vocab.h"

static struct lng_vocab *parse(const char *json)
{
    struct lng_vocab *vocab = NULL;
    check_ok(lng_vocab_parse_json(json, strlen(json), &vocab));
    return vocab;
}

static void check_entry(const struct lng_vocab *vocab, int32_t id, const char *text)
{
    struct lng_slice entry = lng_vocab_entry(vocab, id);
    cr_assert(entry.length == strlen(text) && strcmp(entry.data, text) == 0, "%d: '%s' not '%s'",
              id, entry.data, text);
    cr_assert(lng_vocab_find(vocab, text, strlen(text)) == id);
}

static uint64_t hash_of(const struct lng_vocab *vocab)
{
    struct lng_hash *hash;
    check_ok(lng_hash_open(&hash));
    lng_vocab_hash(vocab, hash);
    uint64_t value = lng_hash_value(hash);
    lng_hash_close(hash);
    return value;
}

Test(vocab, reads_json_in_any_order)
{
    struct lng_vocab *vocab = parse(
        "{\"b\": 2, \"</s>\": 0, \"\\u2581the\": 3, \"<unk>\": 1, \"\\\"\\\\\\n\": 4, \"\": 5}");
    cr_assert(lng_vocab_size(vocab) == 6);
    check_entry(vocab, 0, "</s>");
    check_entry(vocab, 3, "\xE2\x96\x81the");
    check_entry(vocab, 4, "\"\\\n");
    check_entry(vocab, 5, "");
    cr_assert(lng_vocab_find(vocab, "c", 1) == -1 && lng_vocab_find(vocab, "b\0", 2) == -1);
    cr_assert(lng_vocab_entry(vocab, -1).data == NULL && lng_vocab_entry(vocab, 6).data == NULL);
    cr_assert(lng_vocab_find(vocab, "b", (size_t)1 << 40) == -1);
    lng_vocab_close(vocab);
}

Test(vocab, refuses_what_is_not_a_vocabulary)
{
    static const struct {
        const char *json, *word;
    } cases[] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{}", "at least one"},
        {"{\"a\": 0", "line 1"},
        {"{\"a\": 0} x", "line 1"},
        {"{\"a\": 0, \"a\": 1}", "duplicate"},
        {"{\"a\": 0, \"b\": 0}", "same id 0"},
        {"{\"a\": 0, \"b\": 2}", "id 2, expected 0 to 1"},
        {"{\"a\": 1, \"b\": 2}", "expected 0 to 1"},
        {"{\"a\": -1}", "id -1"},
        {"{\"a\": 1.0}", "no integer"},
        {"{\"a\": \"0\"}", "no integer"},
        {"{\"a\": null}", "no integer"},
        {"{\"a\": 9223372036854775807}", "id 9223372036854775807"},
        {"{\"a\": 10000000000000000000000}", "line 1"},
        {"{\"a\\u0000b\": 0}", "line 1"},
        {"{\"\xFF\": 0}", "line 1"},
        {"{\"\\ud800\": 0}", "line 1"},
    };
    struct lng_vocab *vocab = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_fails(lng_vocab_parse_json(cases[i].json, strlen(cases[i].json), &vocab),
                    LNG_ERR_FORMAT, cases[i].word);
        cr_assert(vocab == NULL);
    }
    char *deep = lng_alloc(200001, 1);
    memset(deep, '[', 200000);
    check_fails(lng_vocab_parse_json(deep, 200000, &vocab), LNG_ERR_FORMAT, "line 1");
    lng_free(deep);
    char *longest = lng_alloc(6000, 1);
    snprintf(longest, 6000, "{\"%05000d\": 0}", 1);
    check_fails(lng_vocab_parse_json(longest, strlen(longest), &vocab), LNG_ERR_FORMAT,
                "5000 bytes");
    lng_free(longest);
    scratch_make();
    check_fails(lng_vocab_read_json(scratch_path("none.json"), &vocab), LNG_ERR_IO, "none.json");
    check_fails(lng_vocab_read_json(scratch_write("bad.json", "{", 1), &vocab), LNG_ERR_FORMAT,
                "bad.json");
    scratch_remove();
}

Test(vocab, written_json_reads_back)
{
    struct lng_vocab *vocab, *again;
    check_ok(lng_vocab_open(&vocab));
    for (uint32_t c = 1; c < 0x3000; c += c < 300 ? 1 : 97) {
        char text[8];
        check_ok(lng_vocab_add(vocab, text, lng_utf8_encode(c, text), NULL));
    }
    scratch_make();
    const char *path = scratch_path("vocab.json");
    check_ok(lng_vocab_write_json(vocab, path));
    check_ok(lng_vocab_read_json(path, &again));
    cr_assert(lng_vocab_size(again) == lng_vocab_size(vocab) && lng_vocab_size(vocab) > 400);
    for (int32_t i = 0; i < lng_vocab_size(vocab); i++)
        check_entry(again, i, lng_vocab_entry(vocab, i).data);
    cr_assert(hash_of(vocab) == hash_of(again));
    lng_vocab_close(again);
    check_ok(lng_vocab_copy(vocab, &again));
    cr_assert(hash_of(vocab) == hash_of(again));
    check_ok(lng_vocab_add(again, "more", 4, NULL));
    cr_assert(hash_of(vocab) != hash_of(again));
    lng_vocab_close(again);
    lng_vocab_close(vocab);
    struct lng_vocab *small = parse("{\"a\": 0, \"\\u00e9\\t\": 1}");
    struct lng_buffer json = {0};
    check_ok(lng_vocab_format_json(small, &json));
    cr_assert_str_eq(json.data, "{\n  \"a\": 0,\n  \"\xC3\xA9\\u0009\": 1\n}\n");
    lng_buffer_release(&json);
    lng_vocab_close(small);
    scratch_remove();
}

Test(vocab, adding_is_strict)
{
    struct lng_vocab *vocab;
    int32_t id = 77;
    check_ok(lng_vocab_open(&vocab));
    cr_assert(lng_vocab_find(vocab, "a", 1) == -1 && lng_vocab_size(vocab) == 0);
    check_ok(lng_vocab_add(vocab, "a", 1, &id));
    cr_assert(id == 0);
    id = 77;
    check_fails(lng_vocab_add(vocab, "a", 1, &id), LNG_ERR_FORMAT, "each text once");
    check_fails(lng_vocab_add(vocab, "\xC3", 1, &id), LNG_ERR_FORMAT, "UTF-8");
    check_fails(lng_vocab_add(vocab, "x\0y", 3, &id), LNG_ERR_FORMAT, "NUL");
    cr_assert(id == 77 && lng_vocab_size(vocab) == 1);
    for (int i = 0; i < 20000; i++) {
        char text[16];
        int length = snprintf(text, sizeof text, "s%d", i);
        check_ok(lng_vocab_add(vocab, text, (size_t)length, NULL));
    }
    for (int i = 0; i < 20000; i++) {
        char text[16];
        snprintf(text, sizeof text, "s%d", i);
        check_entry(vocab, i + 1, text);
    }
    lng_vocab_close(vocab);
}

Test(vocab, reads_lines)
{
    struct lng_vocab *vocab = NULL;
    check_ok(lng_vocab_parse_lines("<blank>\n<s>\r\nx y\n", 17, &vocab));
    cr_assert(lng_vocab_size(vocab) == 3);
    check_entry(vocab, 1, "<s>\r"); /* only one line has it, so it is part of the entry */
    check_entry(vocab, 2, "x y");
    struct lng_vocab *windows = NULL;
    check_ok(lng_vocab_parse_lines("<blank>\r\n<s>\r\nx y\r\n", 19, &windows));
    check_entry(windows, 1, "<s>");
    cr_assert(lng_vocab_first_difference(vocab, windows) == 1);
    cr_assert(lng_vocab_first_difference(vocab, vocab) == -1);
    lng_vocab_close(windows);
    lng_vocab_close(vocab);
    vocab = NULL;
    check_fails(lng_vocab_parse_lines("a\n\nb", 4, &vocab), LNG_ERR_FORMAT, "line 2");
    check_fails(lng_vocab_parse_lines("a\nb\na", 5, &vocab), LNG_ERR_FORMAT, "line 3");
    check_fails(lng_vocab_parse_lines("", 0, &vocab), LNG_ERR_FORMAT, "line 1");
    cr_assert(vocab == NULL);
}

static struct lng_vocab *build(const char *const *lines, size_t max_size, uint64_t min_count)
{
    struct fixture_list list = {lines};
    struct lng_vocab *vocab = NULL;
    check_ok(lng_vocab_build_symbols(fixture_next_of_list, &list, max_size, min_count, &vocab));
    return vocab;
}

Test(vocab, builds_from_symbols_by_count_then_bytes)
{
    static const char *const lines[] = {"b a  c a\r",      "",   "a b d\t</s> <unk> <pad>",
                                        "\xC3\xA9 \xFF c", "  ", NULL};
    struct lng_vocab *vocab = build(lines, 0, 1);
    static const char *const want[] = {"</s>",     "<unk>",        "a",    "b", "c", "d",
                                       "\xC3\xA9", "\xEF\xBF\xBD", "<pad>"};
    cr_assert(lng_vocab_size(vocab) == 9, "%d", lng_vocab_size(vocab));
    for (int32_t i = 0; i < 9; i++)
        check_entry(vocab, i, want[i]);
    lng_vocab_close(vocab);
    vocab = build(lines, 5, 1);
    cr_assert(lng_vocab_size(vocab) == 5);
    check_entry(vocab, 3, "b");
    check_entry(vocab, 4, "<pad>");
    lng_vocab_close(vocab);
    vocab = build(lines, 0, 3);
    cr_assert(lng_vocab_size(vocab) == 4);
    check_entry(vocab, 2, "a");
    lng_vocab_close(vocab);
}

static enum lng_status next_broken(void *context, const char **text, size_t *length, bool *got)
{
    (void)context;
    (void)text;
    (void)length;
    (void)got;
    return lng_fail(LNG_ERR_IO, "no disk");
}

Test(vocab, bad_corpora_are_named)
{
    static const char *const nothing[] = {"", " \t", "</s> <pad>", NULL};
    struct fixture_list list = {nothing};
    struct lng_vocab *vocab = NULL;
    check_fails(lng_vocab_build_symbols(fixture_next_of_list, &list, 0, 1, &vocab), LNG_ERR_FORMAT,
                "no symbol");
    check_fails(lng_vocab_build_symbols(fixture_next_of_list, &list, 3, 1, &vocab), LNG_ERR_RANGE,
                "4 or more");
    check_fails(lng_vocab_build_symbols(next_broken, NULL, 0, 1, &vocab), LNG_ERR_IO, "no disk");
    cr_assert(vocab == NULL);
}

Test(vocab, survives_every_failed_allocation)
{
    static const char json[] = "{\"a\": 0, \"b\": 1, \"c\": 2}";
    static const char *const lines[] = {"a b c a", "d e f \xFF", NULL};
    for (size_t n = 1; n < 40; n++) {
        size_t before = lng_mem_get_stats().blocks_live;
        struct lng_vocab *vocab = NULL, *built = NULL;
        struct fixture_list list = {lines};
        lng_mem_fail_nth(n, 1);
        enum lng_status status = lng_vocab_parse_json(json, sizeof json - 1, &vocab);
        enum lng_status second = lng_vocab_build_symbols(fixture_next_of_list, &list, 0, 1, &built);
        lng_mem_fail_nth(0, 0);
        cr_assert((status == LNG_OK) == (vocab != NULL) && (second == LNG_OK) == (built != NULL));
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY);
        cr_assert(second == LNG_OK || second == LNG_ERR_MEMORY);
        lng_vocab_close(vocab);
        lng_vocab_close(built);
        cr_assert(lng_mem_get_stats().blocks_live == before);
    }
}
