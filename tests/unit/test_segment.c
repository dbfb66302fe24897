/* Cutting overlong lines: nothing lost, nothing too long, cut where it reads best. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/base/text.h"
#include "tests/support/check.h"
#include "tokenizer/segment.h"

/* Words: runs without ASCII white space. */
static enum lng_status count_words(void *context, const char *text, size_t length, size_t *cost)
{
    struct lng_slice rest = {text, length}, word;
    size_t words = 0;
    (void)context;
    while (lng_text_next_word(&rest, &word))
        words++;
    *cost = words;
    return LNG_OK;
}

static enum lng_status count_characters(void *context, const char *text, size_t length,
                                        size_t *cost)
{
    (void)context;
    *cost = lng_utf8_count(text, length);
    return LNG_OK;
}

static enum lng_status refuse(void *context, const char *text, size_t length, size_t *cost)
{
    (void)context;
    (void)text;
    (void)cost;
    return length > 5 ? LNG_OK : lng_fail(LNG_ERR_INTERRUPTED, "no more");
}

static struct lng_segments split(const char *text, size_t length, size_t limit,
                                 lng_segment_measure measure)
{
    struct lng_segments segments = {0};
    check_ok(lng_segment_split(text, length, limit, measure, NULL, "en", &segments));
    size_t at = 0;
    cr_assert(segments.count > 0);
    for (size_t i = 0; i < segments.count; i++) {
        struct lng_segment segment = segments.data[i];
        size_t cost = segment.end - segment.begin;
        cr_assert(segment.begin == at && (segment.end > segment.begin || length == 0));
        if (measure != NULL)
            check_ok(measure(NULL, text + segment.begin, cost, &cost));
        cr_assert(cost <= limit ||
                      lng_utf8_count(text + segment.begin, segment.end - segment.begin) == 1,
                  "segment %zu costs %zu", i, cost);
        at = segment.end;
    }
    cr_assert(at == length);
    return segments;
}

static void check_split(const char *text, size_t limit, lng_segment_measure measure,
                        const char *const *want, size_t count)
{
    struct lng_segments segments = split(text, strlen(text), limit, measure);
    for (size_t i = 0; i < segments.count && i < count; i++) {
        size_t length = segments.data[i].end - segments.data[i].begin;
        cr_assert(length == strlen(want[i]) &&
                      memcmp(text + segments.data[i].begin, want[i], length) == 0,
                  "segment %zu is '%.*s', not '%s'", i, (int)length, text + segments.data[i].begin,
                  want[i]);
    }
    cr_assert(segments.count == count, "%zu segments", segments.count);
    lng_segments_release(&segments);
}

#define CHECK_SPLIT(text, limit, measure, ...)                                  \
    do {                                                                        \
        static const char *const want_[] = {__VA_ARGS__};                       \
        check_split(text, limit, measure, want_, sizeof want_ / sizeof *want_); \
    } while (0)

Test(segment, what_fits_is_left_alone)
{
    CHECK_SPLIT("One. Two. Three.", 16, NULL, "One. Two. Three.");
    CHECK_SPLIT("", 1, NULL, "");
    CHECK_SPLIT("   ", 1, count_words, "   ");
}

Test(segment, cuts_between_sentences_first)
{
    CHECK_SPLIT("He came, at last. She left! Who knows? Nobody, I fear.", 6, count_words,
                "He came, at last. She left! ", "Who knows? Nobody, I fear.");
    CHECK_SPLIT("I met Dr. Smith today. J. R. Hall was there. Fine.", 5, count_words,
                "I met Dr. Smith today. ", "J. R. Hall was there. ", "Fine.");
    CHECK_SPLIT("\xE4\xBB\x8A\xE6\x97\xA5\xE3\x80\x82\xE6\x98\x8E\xE6\x97\xA5\xE3\x80\x82", 4,
                count_characters, "\xE4\xBB\x8A\xE6\x97\xA5\xE3\x80\x82",
                "\xE6\x98\x8E\xE6\x97\xA5\xE3\x80\x82");
}

Test(segment, then_at_clauses_words_and_characters)
{
    CHECK_SPLIT("first one two, second one two; third one two", 4, count_words, "first one two, ",
                "second one two; ", "third one two");
    CHECK_SPLIT("aa bb cc dd ee", 2, count_words, "aa bb ", "cc dd ", "ee");
    CHECK_SPLIT("1,000,000 is more", 1, count_words, "1,000,000 ", "is ", "more");
    CHECK_SPLIT("abcdefghij", 4, NULL, "abcd", "efgh", "ij");
    CHECK_SPLIT("\xC3\xA9\xC3\xA9\xC3\xA9", 3, NULL, "\xC3\xA9", "\xC3\xA9", "\xC3\xA9");
    CHECK_SPLIT("\xF0\x9F\x98\x80x", 1, NULL, "\xF0\x9F\x98\x80", "x");
    CHECK_SPLIT("Short one. Thisisoneverylongwordwithoutend. Ok.", 20, NULL, "Short one. ",
                "Thisisoneverylongwor", "dwithoutend. ", "Ok.");
}

Test(segment, long_lines_are_whole_and_quick)
{
    static const char *const parts[] = {
        "This is a sentence, of a kind. ",
        "word ",
        "x",
        "\xE4\xB8\xAD\xE6\x96\x87\xE3\x80\x82",
        " ",
        "\xFF\x80\xC3",
        "a\0b. ",
        "\xE0\xB8\xA0\xE0\xB8\xB2\xE0\xB8\xA9\xE0\xB8\xB2\xE0\xB9\x84\xE0\xB8\x97\xE0\xB8\xA2",
        "e\xCC\x81\xCC\x81\xCC\x81",
        ". ",
    };
    size_t size = 200000;
    char *text = lng_alloc(size, 1);
    for (size_t kind = 0; kind < sizeof parts / sizeof parts[0]; kind++) {
        size_t part = kind == 6 ? 5 : strlen(parts[kind]);
        for (size_t i = 0; i < size; i++)
            text[i] = parts[kind][i % part];
        for (size_t limit = 7; limit < 3000; limit *= 19) {
            struct lng_segments bytes = split(text, size, limit, NULL);
            struct lng_segments words = split(text, size, limit, count_words);
            struct lng_segments characters = split(text, size, limit, count_characters);
            cr_assert(bytes.count >= size / limit);
            lng_segments_release(&bytes);
            lng_segments_release(&words);
            lng_segments_release(&characters);
        }
    }
    lng_free(text);
}

Test(segment, random_texts_come_back_whole)
{
    static const char *const pieces[] = {
        "a",  "B",    ".",  ". ",           ", ", " ", "Dr. ", "! ", "\xE4\xB8\xAD",
        "\n", "\xFF", "\"", "\xE3\x80\x82", "9"};
    uint32_t state = 1;
    for (int round = 0; round < 400; round++) {
        char text[800];
        size_t length = 0;
        while (length < 700 && (state = state * 1664525u + 1013904223u) >> 16 > 300) {
            const char *piece = pieces[(state >> 12) % 14];
            memcpy(text + length, piece, strlen(piece));
            length += strlen(piece);
        }
        struct lng_segments segments =
            split(text, length, 1 + state % 40, round % 2 ? count_words : NULL);
        lng_segments_release(&segments);
    }
}

Test(segment, bad_calls_are_refused)
{
    struct lng_segments segments = {0};
    check_ok(lng_segment_split("kept", 4, 9, NULL, NULL, NULL, &segments));
    check_fails(lng_segment_split("abc", 3, 0, NULL, NULL, NULL, &segments), LNG_ERR_RANGE,
                "1 or more");
    check_fails(lng_segment_split("abc", (size_t)1 << 31, 5, NULL, NULL, NULL, &segments),
                LNG_ERR_RANGE, "text file");
    check_fails(lng_segment_split("abc", 3, 2, refuse, NULL, NULL, &segments), LNG_ERR_INTERRUPTED,
                "no more");
    check_ok(lng_segment_split("a. b. c.", 8, 3, NULL, NULL, "no such locale", &segments));
    cr_assert(segments.count == 4 && segments.data[0].end == 4, "%zu", segments.count);
    lng_segments_release(&segments);
    for (size_t n = 1; n < 10; n++) {
        lng_mem_fail_nth(n, 1);
        enum lng_status status =
            lng_segment_split("One two. Three four.", 20, 5, NULL, NULL, "en", &segments);
        lng_mem_fail_nth(0, 0);
        cr_assert(status == LNG_OK || (status == LNG_ERR_MEMORY && segments.count == 0));
        lng_segments_release(&segments);
    }
}
