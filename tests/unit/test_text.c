#include "host/base/text.h"

#include <float.h>
#include <locale.h>
#include <stdint.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"

Test(text, utf8_round_trip_of_every_scalar_value)
{
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        char bytes[4];
        uint32_t back;
        size_t length = lng_utf8_encode(c, bytes);
        cr_assert(lng_utf8_decode(bytes, length, &back) == length && back == c, "U+%04X", c);
        if (length > 1)
            cr_assert(lng_utf8_decode(bytes, length - 1, &back) == length - 1 &&
                          back == LNG_UTF8_INVALID,
                      "cut U+%04X", c);
    }
    char bytes[4];
    cr_assert(lng_utf8_encode(0xD800, bytes) == 3 && memcmp(bytes, "\xEF\xBF\xBD", 3) == 0);
    cr_assert(lng_utf8_encode(0x110000, bytes) == 3);
}

static const struct {
    const char *bytes;
    size_t length, taken;
} invalid[] = {
    {"\x80", 1, 1},          {"\xC0\xAF", 2, 1},     {"\xC1\x80", 2, 1},
    {"\xE0\x9F\xBF", 3, 1},  {"\xED\xA0\x80", 3, 1}, {"\xF0\x8F\xBF\xBF", 4, 1},
    {"\xF4\x90\x80", 3, 1},  {"\xF5\x80", 2, 1},     {"\xFF", 1, 1},
    {"\xE2\x82", 2, 2},      {"\xE2\x82Q", 3, 2},    {"\xF0\x9F\x98", 3, 3},
    {"\xF0\x9F\x98Q", 4, 3}, {"\xC3", 1, 1},         {"\xC3Q", 2, 1},
};

Test(text, utf8_invalid_subparts)
{
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        uint32_t c;
        size_t taken = lng_utf8_decode(invalid[i].bytes, invalid[i].length, &c);
        cr_assert(c == LNG_UTF8_INVALID, "case %zu", i);
        cr_assert(taken == invalid[i].taken, "case %zu: %zu", i, taken);
        cr_assert(!lng_utf8_valid(invalid[i].bytes, invalid[i].length));
    }
    uint32_t c = 7;
    cr_assert(lng_utf8_decode("", 0, &c) == 0 && c == 7);
}

Test(text, utf8_count_and_first_invalid)
{
    const char *text = "na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80";
    cr_assert(lng_utf8_count(text, strlen(text)) == 9);
    cr_assert(lng_utf8_first_invalid(text, strlen(text)) == strlen(text));
    cr_assert(lng_utf8_first_invalid("ab\xFFzz", 5) == 2);
    cr_assert(lng_utf8_valid("a\0b", 3) && lng_utf8_count("a\0b", 3) == 3);
    cr_assert(lng_utf8_count("\xE2\x82\xFFx", 4) == 3);
}

Test(text, utf8_harmless)
{
    static const struct {
        const char *text;
        size_t taken;
        bool harmless;
    } cases[] = {
        {"a", 1, true},         {"\xC3\xA4", 2, true}, {"\xF0\x9F\x98\x80", 4, true},
        {"\xC2\xA0", 2, true},  {" ", 1, true},        {"\n", 1, false},
        {"\x1B[", 1, false},    {"\x7F", 1, false},    {"\xC2\x80", 2, false},
        {"\xC2\x9B", 2, false}, {"\x9B", 1, false},    {"\xE2\x82", 2, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool harmless = !cases[i].harmless;
        size_t taken = lng_utf8_harmless(cases[i].text, strlen(cases[i].text), &harmless);
        cr_assert(taken == cases[i].taken && harmless == cases[i].harmless, "case %zu", i);
    }
}

Test(text, trim_split_words)
{
    struct lng_slice slice = lng_text_trim(lng_slice_of(" \t a b\r\n"));
    cr_assert(lng_slice_equals(slice, "a b"));
    cr_assert(lng_text_trim(lng_slice_of(" \n")).length == 0);

    struct lng_slice rest = lng_slice_of("a,,b"), piece;
    cr_assert(lng_text_split(&rest, ',', &piece) && lng_slice_equals(piece, "a"));
    cr_assert(lng_text_split(&rest, ',', &piece) && lng_slice_equals(piece, ""));
    cr_assert(lng_text_split(&rest, ',', &piece) && lng_slice_equals(piece, "b"));
    cr_assert(!lng_text_split(&rest, ',', &piece));
    rest = lng_slice_of("");
    cr_assert(lng_text_split(&rest, ',', &piece) && piece.length == 0);
    cr_assert(!lng_text_split(&rest, ',', &piece));
    rest = lng_slice_of("x,");
    cr_assert(lng_text_split(&rest, ',', &piece) && lng_slice_equals(piece, "x"));
    cr_assert(lng_text_split(&rest, ',', &piece) && piece.length == 0);
    cr_assert(!lng_text_split(&rest, ',', &piece));

    rest = lng_slice_of("  one\ttwo ");
    cr_assert(lng_text_next_word(&rest, &piece) && lng_slice_equals(piece, "one"));
    cr_assert(lng_text_next_word(&rest, &piece) && lng_slice_equals(piece, "two"));
    cr_assert(!lng_text_next_word(&rest, &piece));
}

Test(text, parse_int64)
{
    int64_t value = 99;
    check_ok(lng_parse_int64("-12", -20, 20, &value));
    cr_assert(value == -12);
    check_ok(lng_parse_int64("9223372036854775807", INT64_MIN, INT64_MAX, &value));
    cr_assert(value == INT64_MAX);
    check_ok(lng_parse_int64("-9223372036854775808", INT64_MIN, INT64_MAX, &value));
    cr_assert(value == INT64_MIN);
    value = 99;
    static const char *const wrong[] = {"",    " 1", "1 ", "1x",  "0x10",
                                        "1.0", "-",  "+",  "1e3", "--1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_fails(lng_parse_int64(wrong[i], -10, 10, &value), LNG_ERR_FORMAT, "whole number");
    check_fails(lng_parse_int64("21", 0, 20, &value), LNG_ERR_RANGE, "from 0 to 20, found '21'");
    check_fails(lng_parse_int64("9223372036854775808", INT64_MIN, INT64_MAX, &value), LNG_ERR_RANGE,
                "9223372036854775808");
    cr_assert(value == 99);
}

Test(text, parse_double)
{
    double value = 99;
    check_ok(lng_parse_double("1e-3", 0, 1, &value));
    cr_assert(value == 1e-3);
    check_ok(lng_parse_double("-.5", -1, 1, &value));
    cr_assert(value == -0.5);
    check_ok(lng_parse_double("1e-400", 0, 1, &value));
    cr_assert(value == 0);
    value = 99;
    static const char *const wrong[] = {"",   "nan", "inf", "0x1p3", "1,5", " 1",
                                        "1 ", "e5",  "1e",  "1.2.3", "+-1", "."};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_fails(lng_parse_double(wrong[i], -10, 10, &value), LNG_ERR_FORMAT, "a number");
    check_fails(lng_parse_double("1e999", -DBL_MAX, DBL_MAX, &value), LNG_ERR_RANGE, "1e999");
    check_fails(lng_parse_double("1.5", 0, 1, &value), LNG_ERR_RANGE, "from 0 to 1");
    cr_assert(value == 99);
}

Test(text, parse_double_ignores_the_locale)
{
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL)
        cr_skip_test("no locale with a decimal comma installed");
    double value;
    check_ok(lng_parse_double("1.5", 0, 2, &value));
    cr_assert(value == 1.5);
}

Test(text, parse_bool)
{
    bool value = false;
    check_ok(lng_parse_bool("Yes", &value));
    cr_assert(value);
    check_ok(lng_parse_bool("off", &value));
    cr_assert(!value);
    check_fails(lng_parse_bool("maybe", &value), LNG_ERR_FORMAT, "maybe");
}

Test(text, nearest)
{
    static const char *const names[] = {"translate", NULL, "train", "score", "average"};
    cr_assert_str_eq(lng_text_nearest("tarin", names, 5), "train");
    cr_assert_str_eq(lng_text_nearest("tranlsate", names, 5), "translate");
    cr_assert_str_eq(lng_text_nearest("SCORES", names, 5), "score");
    cr_assert(lng_text_nearest("quantize", names, 5) == NULL);
    cr_assert(lng_text_nearest("", names, 5) == NULL);
    char longer[200];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    cr_assert(lng_text_nearest(longer, names, 5) == NULL);
}

Test(text, buffer_grows_and_clears)
{
    struct lng_buffer buffer = {0};
    for (int i = 0; i < 1000; i++)
        check_ok(lng_buffer_append_format(&buffer, "%d,", i));
    cr_assert(buffer.length == 10 * 2 + 90 * 3 + 900 * 4);
    cr_assert(strncmp(buffer.data, "0,1,2,", 6) == 0 && strlen(buffer.data) == buffer.length);
    lng_buffer_clear(&buffer);
    cr_assert(buffer.length == 0 && buffer.data[0] == '\0');
    check_ok(lng_buffer_append(&buffer, "a\0b", 3));
    check_ok(lng_buffer_append_byte(&buffer, 'c'));
    check_ok(lng_buffer_append_text(&buffer, "de"));
    check_ok(lng_buffer_append(&buffer, NULL, 0));
    cr_assert(buffer.length == 6 && memcmp(buffer.data, "a\0bcde", 7) == 0);
    lng_buffer_release(&buffer);
    cr_assert(buffer.data == NULL && lng_mem_get_stats().blocks_live == 0);
}

Test(text, buffer_survives_failed_growth)
{
    struct lng_buffer buffer = {0};
    check_ok(lng_buffer_append_text(&buffer, "kept"));
    char block[100] = {0};
    lng_mem_fail_nth(1, 0);
    check_fails(lng_buffer_append(&buffer, block, sizeof block), LNG_ERR_MEMORY, "no memory");
    check_fails(lng_buffer_reserve(&buffer, SIZE_MAX - 2), LNG_ERR_MEMORY, "no memory");
    cr_assert_str_eq(buffer.data, "kept");
    lng_buffer_release(&buffer);
}

Test(text, repair)
{
    struct lng_buffer buffer = {0};
    size_t replaced = 9;
    check_ok(lng_buffer_append_repaired(&buffer, "a\xFF\xE2\x82z\xC3\xA9", 7, &replaced));
    cr_assert(replaced == 2);
    cr_assert_str_eq(buffer.data, "a\xEF\xBF\xBD\xEF\xBF\xBDz\xC3\xA9");
    lng_buffer_clear(&buffer);
    check_ok(lng_buffer_append_repaired(&buffer, "fine", 4, &replaced));
    cr_assert(replaced == 0 && strcmp(buffer.data, "fine") == 0);
    lng_buffer_release(&buffer);
}
