/* Terms, lines of constraints, whole words: values and bad input. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/constraint_line.h"
#include "host/infer/terminology.h"
#include "host/infer/word_text.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

Test(demand_files, whole_words)
{
    static const struct {
        const char *text, *phrase;
        int64_t at;
    } cases[] = {
        {"das Haus steht", "Haus", 4},
        {"die Haustür", "Haus", -1},
        {"ein Rathaus", "haus", -1},
        {"Haus", "Haus", 0},
        {"Haustür, Haus.", "Haus", 10},
        {"im Häuschen", "chen", -1},
        {"\xE5\x9C\xA8\xE4\xB8\x9C\xE4\xBA\xAC", "\xE4\xB8\x9C", 3},
        {"a_b", "b", -1},
        {"C++ ist", "C++", 0},
        {"xC++", "C++", -1},
        {"", "a", -1},
        {"e\xCC\x81"
         "a",
         "e", -1},
        {"5 %", "%", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t at =
            lng_word_find(cases[i].text, strlen(cases[i].text), lng_slice_of(cases[i].phrase), 0);
        cr_assert(at == cases[i].at, "'%s' in '%s': %lld", cases[i].phrase, cases[i].text,
                  (long long)at);
    }
    cr_assert(lng_word_find("abc", 3, (struct lng_slice){"", 0}, 0) == LNG_WORD_NOWHERE);
}

static enum lng_status collect(void *context, struct lng_slice target)
{
    struct lng_buffer *out = context;
    LNG_TRY(lng_buffer_append(out, target.data, target.length));
    return lng_buffer_append_byte(out, '|');
}

static void check_terms(struct lng_terminology *terms, const char *text, const char *expected)
{
    struct lng_buffer out = {0};
    check_ok(lng_buffer_append_text(&out, ""));
    check_ok(lng_terminology_find(terms, lng_slice_of(text), collect, &out));
    cr_assert_str_eq(out.data, expected, "'%s': '%s', expected '%s'", text, out.data, expected);
    lng_buffer_release(&out);
}

Test(demand_files, terminology)
{
    scratch_make();
    static const char text[] =
        "\xEF\xBB\xBF# of a railway\ntrain\tZug\r\n\ntrain station\tBahnhof\n"
        "train station clock\tBahnhofsuhr\nStra\xC3\x9F"
        "e\troad\ntrain\tZug\n";
    const char *path = scratch_write("terms.tsv", text, sizeof text - 1);
    struct lng_terminology *terms = NULL;
    struct lng_slice target;
    check_ok(lng_terminology_open(path, false, &terms));
    cr_assert(lng_terminology_count(terms) == 4);
    check_terms(terms, "The train leaves the train station, train!", "Zug|Bahnhof|Zug|");
    check_terms(terms, "trains, Train, a retrain; train stations", "Zug|");
    check_terms(terms, "train station clock train stationclock", "Bahnhofsuhr|Zug|");
    check_terms(terms, "", "");
    check_terms(terms, "\xFF train \xC3", "Zug|");
    check_ok(lng_terminology_look_up(terms, lng_slice_of("train station"), &target));
    cr_assert(lng_slice_equals(target, "Bahnhof"));
    check_ok(lng_terminology_look_up(terms, lng_slice_of("train stat"), &target));
    cr_assert_null(target.data);
    check_ok(lng_terminology_look_up(terms, lng_slice_of(""), &target));
    cr_assert_null(target.data);
    lng_terminology_close(terms);
    check_ok(lng_terminology_open(path, true, &terms));
    check_terms(terms, "The TRAIN Station; STRASSE", "Bahnhof|road|");
    lng_terminology_close(terms);
    scratch_remove();
}

Test(demand_files, bad_terminology)
{
    scratch_make();
    static char longest[3000];
    memset(longest, 'a', 1025);
    strcpy(longest + 1025, "\tb\n");
    const struct {
        const char *bytes;
        size_t size;
        const char *part;
    } cases[] = {
        {"a\n", 2, "line 1"},
        {"a\tb\nc\td\te\n", 10, "line 2"},
        {"a\t \n", 4, "line 1"},
        {"\tb\n", 3, "line 1"},
        {"a\tb\na\tc\n", 8, "lines 1 and 2"},
        {"a\xFF\tb\n", 5, "UTF-8"},
        {"a\0c\tb\n", 6, "NUL"},
        {longest, 1028, "1024"},
        {"\x1F\x8B\x08\x00zz", 6, "terms.tsv"},
    };
    struct lng_terminology *terms = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = scratch_write("terms.tsv", cases[i].bytes, cases[i].size);
        cr_assert(lng_terminology_open(path, i % 2, &terms) != LNG_OK, "case %zu", i);
        cr_assert(strstr(lng_error_message(), cases[i].part) &&
                      strstr(lng_error_message(), "terms.tsv"),
                  "%s", lng_error_message());
    }
    cr_assert(lng_terminology_open("/nonexistent/x", false, &terms) == LNG_ERR_IO);
    check_ok(lng_terminology_open(scratch_write("empty", "", 0), false, &terms));
    check_terms(terms, "anything", "");
    lng_terminology_close(terms);
    scratch_remove();
}

static enum lng_status parse(struct lng_constraint_line *line, const char *text)
{
    lng_constraint_line_clear(line);
    return lng_constraint_line_parse(line, text, strlen(text));
}

Test(demand_files, constraint_lines)
{
    struct lng_constraint_line line = {0};
    check_ok(parse(&line, ""));
    check_ok(parse(&line, "  "));
    cr_assert(line.count == 0);
    check_ok(parse(&line, "[\"das Haus\", \" am Ende \", \"das Haus\"]"));
    cr_assert(line.count == 2 && lng_slice_equals(lng_constraint_text(&line, 1), "am Ende"));
    check_ok(parse(&line, "{\"positive\": [\"a\"], \"negative\": [\"b\", \"a b\"]}"));
    cr_assert(line.count == 3 && line.phrases[2].negative && !line.phrases[0].negative);
    check_ok(parse(&line, "{\"negative\": [\"haus\"], \"positive\": [\"Haust\xC3\xBCr\"]}"));
    check_ok(parse(&line, "{}"));
    static const struct {
        const char *text;
        enum lng_status status;
        const char *part;
    } bad[] = {
        {"a", LNG_ERR_FORMAT, "constraints"},
        {"\"a\"", LNG_ERR_FORMAT, ""},
        {"[\"a\"", LNG_ERR_FORMAT, ""},
        {"[1]", LNG_ERR_FORMAT, "1"},
        {"[[\"a\"]]", LNG_ERR_FORMAT, "array"},
        {"[\"\"]", LNG_ERR_FORMAT, "empty"},
        {"[\" \"]", LNG_ERR_FORMAT, "empty"},
        {"[\"a\\nb\"]", LNG_ERR_FORMAT, "line end"},
        {"{\"positiv\": [\"a\"]}", LNG_ERR_FORMAT, "positiv"},
        {"{\"positive\": \"a\"}", LNG_ERR_FORMAT, "array"},
        {"{\"positive\": [\"a\"], \"positive\": [\"b\"]}", LNG_ERR_FORMAT, ""},
        {"{\"positive\": [\"the red house\"], \"negative\": [\"red\"]}", LNG_ERR_MISMATCH, "red"},
        {"[\"\xFF\"]", LNG_ERR_FORMAT, ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_fails(parse(&line, bad[i].text), bad[i].status, bad[i].part);
    struct lng_buffer text = {0};
    check_ok(lng_buffer_append_byte(&text, '['));
    for (int i = 0; i < 65; i++)
        check_ok(lng_buffer_append_format(&text, "%s\"p%d\"", i ? "," : "", i));
    check_ok(lng_buffer_append_byte(&text, ']'));
    check_fails(parse(&line, text.data), LNG_ERR_RANGE, "64");
    lng_buffer_clear(&text);
    check_ok(lng_buffer_append_text(&text, "[\""));
    for (int i = 0; i < 1025; i++)
        check_ok(lng_buffer_append_byte(&text, 'a'));
    check_ok(lng_buffer_append_text(&text, "\"]"));
    check_fails(parse(&line, text.data), LNG_ERR_RANGE, "1025");
    lng_buffer_release(&text);
    lng_constraint_line_release(&line);
}
