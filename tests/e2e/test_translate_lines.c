/* Odd lines: one line out for each line in, in order, whatever the lines are. Through the library. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/translate_rig.h"

/* Each odd line is followed by an ordinary one, which must come out as it does alone. */
static const struct odd {
    const char *bytes;
    size_t size;
    const char *like; /* translates as this text; NULL = to nothing */
    bool carriage_return;
} odd_lines[] = {
#define ODD(text, like, carriage_return)             \
    {                                                \
        text, sizeof text - 1, like, carriage_return \
    }
    ODD("", NULL, false),
    ODD("   \t ", NULL, false),
    ODD("\r", NULL, true),
    ODD("a b\r", "a b", true),
    ODD("a\0b", "a b", false),
    ODD("\0\0\0", NULL, false),
    ODD("a \xFF\xFE b", "a zz b", false),
    ODD("\xE2\x82", "zz", false),
    ODD("\xED\xA0\x80 c", "zz c", false),
    ODD("</s> <pad> <unk> c", "zz zz zz c", false),
    ODD("a\rb", "a b", false),
    ODD("\xC2\xA0 \xE3\x80\x80", NULL, false),
    ODD("a ||| b", "a zz b", false),
};
enum { ODD_LINES = sizeof odd_lines / sizeof odd_lines[0] };

Test(translate_lines, odd_lines)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_buffer input = {0}, ordinary = {0};
    static const char *const words[] = {"c d e", "f", "g h i j k", "l l l"};
    for (int i = 0; i < ODD_LINES; i++) {
        check_ok(lng_buffer_append(&input, odd_lines[i].bytes, odd_lines[i].size));
        check_ok(lng_buffer_append_byte(&input, '\n'));
        check_ok(lng_buffer_append_text(&input, words[i % 4]));
        check_ok(lng_buffer_append_text(&input, i + 1 < ODD_LINES ? "\n" : ""));
    }
    check_ok(translate_rig_bytes(rig, input.data, input.length, NULL));
    cr_assert(translate_rig_count(rig) == 2 * ODD_LINES, "%zu lines", translate_rig_count(rig));
    cr_assert(rig->out.data[rig->out.length - 1] == '\n', "the last line has its newline");
    for (int i = 0; i < ODD_LINES; i++) {
        struct lng_slice odd = translate_rig_line(rig, 2 * (size_t)i);
        bool returned = odd.length > 0 && odd.data[odd.length - 1] == '\r';
        cr_assert(returned == odd_lines[i].carriage_return, "line %d", i);
        odd.length -= returned;
        if (odd_lines[i].like == NULL) {
            cr_assert(odd.length == 0, "line %d became '%.*s'", i, (int)odd.length, odd.data);
        } else {
            struct lng_buffer like = {0};
            translate_rig_alone(rig, odd_lines[i].like, &like);
            cr_assert(lng_slice_equals(odd, like.data), "line %d: '%.*s', expected '%s'", i,
                      (int)odd.length, odd.data, like.data);
            lng_buffer_release(&like);
        }
        lng_buffer_clear(&ordinary);
        translate_rig_alone(rig, words[i % 4], &ordinary);
        cr_assert(ordinary.length > 0);
        cr_assert(lng_slice_equals(translate_rig_line(rig, 2 * (size_t)i + 1), ordinary.data));
    }
    struct lng_translate_stats stats = lng_translator_get_stats(rig->translator);
    cr_assert(stats.repaired == 3 && stats.cut == 0);
    lng_buffer_release(&input);
    lng_buffer_release(&ordinary);
    translate_rig_close(rig);
    scratch_remove();
}

Test(translate_lines, ends_of_input)
{
    static const struct {
        const char *input;
        size_t lines;
    } cases[] = {{"", 0}, {"\n", 1}, {"a", 1}, {"a\n", 1}, {"a\n\n", 2}, {"\n\na", 3}, {"\r\n", 1}};
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_ok(translate_rig_bytes(rig, cases[i].input, strlen(cases[i].input), NULL));
        cr_assert(translate_rig_count(rig) == cases[i].lines, "case %zu: %zu lines", i,
                  translate_rig_count(rig));
    }
    struct lng_buffer plain = {0};
    translate_rig_alone(rig, "c d e", &plain);
    check_ok(translate_rig_bytes(rig,
                                 "\xEF\xBB\xBF"
                                 "c d e\nc d e",
                                 14, NULL));
    cr_assert(lng_slice_equals(translate_rig_line(rig, 0), plain.data),
              "a byte order mark is dropped");
    cr_assert(lng_slice_equals(translate_rig_line(rig, 1), plain.data));
    lng_buffer_release(&plain);
    translate_rig_close(rig);
    scratch_remove();
}

/* 100,000 characters: words, one word, and no space at all in between. */
Test(translate_lines, very_long_lines)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    rig->options.search.beam.max_factor = 0.3;
    rig->options.search.beam.beam = 1;
    translate_rig_reopen(rig);
    struct lng_buffer input = {0};
    for (int i = 0; i < 50000; i++)
        check_ok(lng_buffer_append_format(&input, "%c ", 'a' + i % 11 * i % 7));
    check_ok(lng_buffer_append_text(&input, "\nc d e\n"));
    for (int i = 0; i < 100000; i++)
        check_ok(lng_buffer_append_byte(&input, 'x'));
    check_ok(lng_buffer_append_text(&input, "\nc d e\n"));
    check_ok(translate_rig_bytes(rig, input.data, input.length, NULL));
    cr_assert(translate_rig_count(rig) == 4);
    struct lng_buffer alone = {0};
    translate_rig_alone(rig, "c d e", &alone);
    cr_assert(lng_slice_equals(translate_rig_line(rig, 1), alone.data));
    cr_assert(lng_slice_equals(translate_rig_line(rig, 3), alone.data));
    struct lng_slice words = translate_rig_line(rig, 0), one = translate_rig_line(rig, 2);
    cr_assert(words.length > 5000, "%zu bytes of 3125 segments", words.length);
    cr_assert(one.length > 0);
    /* the first segment is what 16 tokens are */
    char first[33];
    memcpy(first, input.data, 32);
    first[32] = '\0';
    lng_buffer_clear(&alone);
    translate_rig_alone(rig, first, &alone);
    cr_assert(memcmp(words.data, alone.data, alone.length) == 0 && words.data[alone.length] == ' ');
    struct lng_translate_stats stats = lng_translator_get_stats(rig->translator);
    cr_assert(stats.cut == 1, "%llu", (unsigned long long)stats.cut);
    lng_buffer_release(&alone);
    lng_buffer_release(&input);
    translate_rig_close(rig);
    scratch_remove();
}

/* ---- many lines through a pipe ---- */

enum { PIPE_LINES = 6000, KINDS = TRANSLATE_RIG_KINDS };

static void *feed(void *context)
{
    FILE *stream = context;
    for (int i = 0; i < PIPE_LINES; i++)
        fprintf(stream, "%s\n", translate_rig_kind(i));
    fclose(stream);
    return NULL;
}

Test(translate_lines, many_lines_through_a_pipe)
{
    struct translate_rig *rig = translate_rig_open();
    rig->options.window = 500;
    translate_rig_reopen(rig);
    int ends[2];
    cr_assert(pipe(ends) == 0);
    FILE *stream = fdopen(ends[1], "w");
    pthread_t writer;
    cr_assert(pthread_create(&writer, NULL, feed, stream) == 0);
    struct lng_lines *input;
    check_ok(lng_lines_open_fd(ends[0], "a pipe", &input));
    check_ok(lng_translator_run(rig->translator, input, NULL, translate_rig_collect, rig));
    pthread_join(writer, NULL);
    lng_lines_close(input);
    close(ends[0]);
    cr_assert(rig->writes == PIPE_LINES / 500, "written window by window: %d", rig->writes);
    struct lng_buffer expected[KINDS] = {{0}};
    for (int i = 0; i < KINDS; i++) {
        lng_buffer_clear(&expected[i * i % KINDS]); /* i and KINDS - i are of one kind */
        translate_rig_alone(rig, translate_rig_kind(i), &expected[i * i % KINDS]);
    }
    struct lng_slice rest = {rig->out.data, rig->out.length}, line;
    for (int i = 0; i < PIPE_LINES; i++) {
        cr_assert(lng_text_split(&rest, '\n', &line));
        cr_assert(lng_slice_equals(line, expected[i * i % KINDS].data), "line %d", i);
    }
    cr_assert(rest.length == 0);
    for (int i = 0; i < KINDS; i++)
        lng_buffer_release(&expected[i]);
    translate_rig_close(rig);
}

Test(translate_lines, prefixes)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_buffer alone = {0};
    translate_rig_alone(rig, "a b c", &alone);
    check_ok(translate_rig_bytes(rig, "a b c\na b c\n\nd\n", 15, "\nm n\r\no\n\n"));
    cr_assert(lng_slice_equals(translate_rig_line(rig, 0), alone.data));
    cr_assert(strncmp(translate_rig_line(rig, 1).data, "m n", 3) == 0);
    cr_assert(translate_rig_line(rig, 2).length == 0);
    check_fails(translate_rig_bytes(rig, "a\nb\n", 4, "m\n"), LNG_ERR_MISMATCH, "only 1 prefixes");
    check_fails(translate_rig_bytes(rig, "a\nb\n", 4, "m\nn\no\n"), LNG_ERR_MISMATCH,
                "more prefixes");
    rig->options.forced_bos = 9; /* is not shown */
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, "a b c\n", 6, "m n\n"));
    cr_assert(strncmp(translate_rig_line(rig, 0).data, "m n", 3) == 0);
    lng_buffer_release(&alone);
    translate_rig_close(rig);
    scratch_remove();
}

Test(translate_lines, interrupted_and_failed)
{
    static const char text[] = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    volatile sig_atomic_t flag = 1;
    rig->options.window = 4;
    rig->options.interrupted = &flag;
    translate_rig_reopen(rig);
    check_fails(translate_rig_bytes(rig, text, sizeof text - 1, NULL), LNG_ERR_INTERRUPTED,
                "line 4");
    cr_assert(translate_rig_count(rig) == 4);
    flag = 0;
    rig->fail_at = 2;
    check_fails(translate_rig_bytes(rig, text, sizeof text - 1, NULL), LNG_ERR_IO, "no room");
    cr_assert(translate_rig_count(rig) == 4);
    rig->fail_at = 0;
    check_ok(translate_rig_bytes(rig, text, sizeof text - 1, NULL));
    cr_assert(translate_rig_count(rig) == 10);

    struct lng_translator *none = NULL;
    struct lng_tokenizer *large = translate_rig_words(20);
    check_fails(lng_translator_open(&rig->model, large, &rig->options, &none), LNG_ERR_MISMATCH,
                "belong together");
    lng_tokenizer_close(large);
    rig->options.window = 0;
    check_fails(lng_translator_open(&rig->model, rig->tokenizer, &rig->options, &none),
                LNG_ERR_RANGE, "window");
    rig->options.window = 1;
    rig->options.max_segment = 0;
    check_fails(lng_translator_open(&rig->model, rig->tokenizer, &rig->options, &none),
                LNG_ERR_RANGE, "segment");
    cr_assert(none == NULL);
    translate_rig_close(rig);
    scratch_remove();
}
