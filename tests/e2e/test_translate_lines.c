/* Odd lines: one line out for each line in, in order, whatever the lines are. Through the library. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/mem.h"
#include "host/infer/score.h"
#include "host/infer/translate.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

struct rig {
    struct lng_device *device;
    struct lng_model model;
    struct lng_tokenizer *tokenizer;
    struct lng_translate_options options;
    struct lng_translator *translator;
    struct lng_buffer out;
    int writes, fail_at;
};

/* Ids 2 to 17 are the words a to p; the last is replaced by one with a newline in it. */
static struct lng_tokenizer *open_words(int count)
{
    struct lng_vocab *vocab;
    check_ok(lng_vocab_open(&vocab));
    check_ok(lng_vocab_add(vocab, "</s>", 4, NULL));
    check_ok(lng_vocab_add(vocab, "<unk>", 5, NULL));
    for (int i = 0; i < count; i++) {
        char word = (char)('a' + i);
        check_ok(i < 15
                     ? lng_vocab_add(vocab, &word, 1, NULL)
                     : lng_vocab_add(vocab, i == 15 ? "new\nline" : &word, i == 15 ? 8 : 1, NULL));
    }
    check_ok(lng_vocab_add(vocab, "<pad>", 5, NULL));
    struct lng_tokenizer *tokenizer;
    check_ok(lng_tokenizer_open_symbols(vocab, NULL, &tokenizer));
    return tokenizer;
}

static enum lng_status collect(void *context, const char *data, size_t size)
{
    struct rig *rig = context;
    if (++rig->writes == rig->fail_at)
        return lng_fail(LNG_ERR_IO, "no room");
    return lng_buffer_append(&rig->out, data, size);
}

static void open_translator(struct rig *rig)
{
    lng_translator_close(rig->translator);
    rig->translator = NULL;
    check_ok(lng_translator_open(&rig->model, rig->tokenizer, &rig->options, &rig->translator));
}

static struct rig *rig_open(void)
{
    struct rig *rig = lng_alloc(1, sizeof *rig);
    struct lng_hparams h = tiny_hparams();
    struct lng_device_options device_options = {.threads = 1};
    check_ok(lng_device_open("cpu", &device_options, &rig->device));
    tiny_model_init(&rig->model, rig->device, &h, 11, 0.7f);
    rig->tokenizer = open_words(16);
    rig->options = lng_translate_options_default();
    rig->options.search.beam.beam = 2;
    rig->options.search.beam.max_factor = 1.0;
    rig->options.search.beam.max_extra = 3;
    rig->options.search.beam.min_length = 3; /* some words, whatever the model would like */
    rig->options.max_segment = 16;
    rig->options.window = 7;
    open_translator(rig);
    return rig;
}

static void rig_close(struct rig *rig)
{
    lng_translator_close(rig->translator);
    lng_tokenizer_close(rig->tokenizer);
    lng_model_release(&rig->model);
    lng_device_close(rig->device);
    lng_buffer_release(&rig->out);
    lng_free(rig);
}

/* The translation of one line alone. */
static void translate_alone(struct rig *rig, const char *text, struct lng_buffer *result)
{
    struct lng_slice line = lng_slice_of(text);
    check_ok(lng_translator_texts(rig->translator, &line, 1, result));
    cr_assert(result->length > 0 && result->data[result->length - 1] == '\n');
    result->data[--result->length] = '\0';
}

static enum lng_status translate_bytes(struct rig *rig, const void *data, size_t size,
                                       const char *prefixes)
{
    struct lng_lines *input, *prefix_lines = NULL;
    check_ok(lng_lines_open(scratch_write("input", data, size), &input));
    if (prefixes != NULL)
        check_ok(
            lng_lines_open(scratch_write("prefixes", prefixes, strlen(prefixes)), &prefix_lines));
    lng_buffer_clear(&rig->out);
    rig->writes = 0;
    enum lng_status status = lng_translator_run(rig->translator, input, prefix_lines, collect, rig);
    lng_lines_close(input);
    lng_lines_close(prefix_lines);
    return status;
}

/* Line i of the output; asserts that it is there. */
static struct lng_slice output_line(const struct rig *rig, size_t i)
{
    struct lng_slice rest = {rig->out.data, rig->out.length}, line = {NULL, 0};
    for (size_t n = 0; n <= i; n++)
        cr_assert(lng_text_split(&rest, '\n', &line), "no line %zu", i);
    return line;
}

static size_t count_lines(const struct rig *rig)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->out.length; i++)
        count += rig->out.data[i] == '\n';
    return count;
}

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
    struct rig *rig = rig_open();
    struct lng_buffer input = {0}, ordinary = {0};
    static const char *const words[] = {"c d e", "f", "g h i j k", "l l l"};
    for (int i = 0; i < ODD_LINES; i++) {
        check_ok(lng_buffer_append(&input, odd_lines[i].bytes, odd_lines[i].size));
        check_ok(lng_buffer_append_byte(&input, '\n'));
        check_ok(lng_buffer_append_text(&input, words[i % 4]));
        check_ok(lng_buffer_append_text(&input, i + 1 < ODD_LINES ? "\n" : ""));
    }
    check_ok(translate_bytes(rig, input.data, input.length, NULL));
    cr_assert(count_lines(rig) == 2 * ODD_LINES, "%zu lines", count_lines(rig));
    cr_assert(rig->out.data[rig->out.length - 1] == '\n', "the last line has its newline");
    for (int i = 0; i < ODD_LINES; i++) {
        struct lng_slice odd = output_line(rig, 2 * (size_t)i);
        bool returned = odd.length > 0 && odd.data[odd.length - 1] == '\r';
        cr_assert(returned == odd_lines[i].carriage_return, "line %d", i);
        odd.length -= returned;
        if (odd_lines[i].like == NULL) {
            cr_assert(odd.length == 0, "line %d became '%.*s'", i, (int)odd.length, odd.data);
        } else {
            struct lng_buffer like = {0};
            translate_alone(rig, odd_lines[i].like, &like);
            cr_assert(lng_slice_equals(odd, like.data), "line %d: '%.*s', expected '%s'", i,
                      (int)odd.length, odd.data, like.data);
            lng_buffer_release(&like);
        }
        lng_buffer_clear(&ordinary);
        translate_alone(rig, words[i % 4], &ordinary);
        cr_assert(ordinary.length > 0);
        cr_assert(lng_slice_equals(output_line(rig, 2 * (size_t)i + 1), ordinary.data));
    }
    struct lng_translate_stats stats = lng_translator_get_stats(rig->translator);
    cr_assert(stats.repaired == 3 && stats.cut == 0);
    lng_buffer_release(&input);
    lng_buffer_release(&ordinary);
    rig_close(rig);
    scratch_remove();
}

Test(translate_lines, ends_of_input)
{
    static const struct {
        const char *input;
        size_t lines;
    } cases[] = {{"", 0}, {"\n", 1}, {"a", 1}, {"a\n", 1}, {"a\n\n", 2}, {"\n\na", 3}, {"\r\n", 1}};
    scratch_make();
    struct rig *rig = rig_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_ok(translate_bytes(rig, cases[i].input, strlen(cases[i].input), NULL));
        cr_assert(count_lines(rig) == cases[i].lines, "case %zu: %zu lines", i, count_lines(rig));
    }
    struct lng_buffer plain = {0};
    translate_alone(rig, "c d e", &plain);
    check_ok(translate_bytes(rig,
                             "\xEF\xBB\xBF"
                             "c d e\nc d e",
                             14, NULL));
    cr_assert(lng_slice_equals(output_line(rig, 0), plain.data), "a byte order mark is dropped");
    cr_assert(lng_slice_equals(output_line(rig, 1), plain.data));
    lng_buffer_release(&plain);
    rig_close(rig);
    scratch_remove();
}

/* 100,000 characters: words, one word, and no space at all in between. */
Test(translate_lines, very_long_lines)
{
    scratch_make();
    struct rig *rig = rig_open();
    rig->options.search.beam.max_factor = 0.3;
    rig->options.search.beam.beam = 1;
    open_translator(rig);
    struct lng_buffer input = {0};
    for (int i = 0; i < 50000; i++)
        check_ok(lng_buffer_append_format(&input, "%c ", 'a' + i % 11 * i % 7));
    check_ok(lng_buffer_append_text(&input, "\nc d e\n"));
    for (int i = 0; i < 100000; i++)
        check_ok(lng_buffer_append_byte(&input, 'x'));
    check_ok(lng_buffer_append_text(&input, "\nc d e\n"));
    check_ok(translate_bytes(rig, input.data, input.length, NULL));
    cr_assert(count_lines(rig) == 4);
    struct lng_buffer alone = {0};
    translate_alone(rig, "c d e", &alone);
    cr_assert(lng_slice_equals(output_line(rig, 1), alone.data));
    cr_assert(lng_slice_equals(output_line(rig, 3), alone.data));
    struct lng_slice words = output_line(rig, 0), one = output_line(rig, 2);
    cr_assert(words.length > 5000, "%zu bytes of 3125 segments", words.length);
    cr_assert(one.length > 0);
    /* the first segment is what 16 tokens are */
    char first[33];
    memcpy(first, input.data, 32);
    first[32] = '\0';
    lng_buffer_clear(&alone);
    translate_alone(rig, first, &alone);
    cr_assert(memcmp(words.data, alone.data, alone.length) == 0 && words.data[alone.length] == ' ');
    struct lng_translate_stats stats = lng_translator_get_stats(rig->translator);
    cr_assert(stats.cut == 1, "%llu", (unsigned long long)stats.cut);
    lng_buffer_release(&alone);
    lng_buffer_release(&input);
    rig_close(rig);
    scratch_remove();
}

/* ---- many lines through a pipe ---- */

enum { PIPE_LINES = 6000, KINDS = 11 };

static const char *kind_of(int i)
{
    static const char *const kinds[KINDS] = {"a b c",   "d",         "",         "e f g h i j",
                                             "k l",     "m n o a b", "c c",      "  ",
                                             "d e f g", "h",         "i a i a i"};
    return kinds[i * i % KINDS];
}

static void *feed(void *context)
{
    FILE *stream = context;
    for (int i = 0; i < PIPE_LINES; i++)
        fprintf(stream, "%s\n", kind_of(i));
    fclose(stream);
    return NULL;
}

Test(translate_lines, many_lines_through_a_pipe)
{
    struct rig *rig = rig_open();
    rig->options.window = 500;
    open_translator(rig);
    int ends[2];
    cr_assert(pipe(ends) == 0);
    FILE *stream = fdopen(ends[1], "w");
    pthread_t writer;
    cr_assert(pthread_create(&writer, NULL, feed, stream) == 0);
    struct lng_lines *input;
    check_ok(lng_lines_open_fd(ends[0], "a pipe", &input));
    check_ok(lng_translator_run(rig->translator, input, NULL, collect, rig));
    pthread_join(writer, NULL);
    lng_lines_close(input);
    close(ends[0]);
    cr_assert(rig->writes == PIPE_LINES / 500, "written window by window: %d", rig->writes);
    struct lng_buffer expected[KINDS] = {{0}};
    for (int i = 0; i < KINDS; i++) {
        lng_buffer_clear(&expected[i * i % KINDS]); /* i and KINDS - i are of one kind */
        translate_alone(rig, kind_of(i), &expected[i * i % KINDS]);
    }
    struct lng_slice rest = {rig->out.data, rig->out.length}, line;
    for (int i = 0; i < PIPE_LINES; i++) {
        cr_assert(lng_text_split(&rest, '\n', &line));
        cr_assert(lng_slice_equals(line, expected[i * i % KINDS].data), "line %d", i);
    }
    cr_assert(rest.length == 0);
    for (int i = 0; i < KINDS; i++)
        lng_buffer_release(&expected[i]);
    rig_close(rig);
}

/* ---- what is known about a line ---- */

static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    cr_assert(value != NULL, "no %s", key);
    return value;
}

static const json_t *element(const json_t *array, size_t i)
{
    const json_t *value = json_array_get(array, i);
    cr_assert(value != NULL, "no element %zu", i);
    return value;
}

static json_t *parse_line(const struct rig *rig, size_t i)
{
    struct lng_slice line = output_line(rig, i);
    json_error_t error;
    json_t *root = json_loadb(line.data, line.length, 0, &error);
    cr_assert(root != NULL, "line %zu: %s: %.*s", i, error.text, (int)line.length, line.data);
    return root;
}

/* Sums, lengths and weights of one segment's hypothesis. */
static void check_hypothesis(const json_t *h, size_t source_tokens,
                             enum lng_translate_alignment kind)
{
    const json_t *tokens = member(h, "tokens"), *scores = member(h, "token_scores");
    const json_t *alignment = member(h, "alignment");
    double sum = 0.0;
    size_t n = json_array_size(tokens);
    cr_assert(n > 0 && json_array_size(scores) == n);
    for (size_t i = 0; i < n; i++)
        sum += json_real_value(element(scores, i));
    cr_assert(fabs(sum - json_number_value(member(h, "score"))) < 1e-5);
    cr_assert(fabs(sum / (double)n - json_number_value(member(h, "normalized_score"))) < 1e-5);
    cr_assert_str_eq(json_string_value(element(tokens, n - 1)), "</s>");
    cr_assert(json_array_size(alignment) == (kind == LNG_TRANSLATE_ALIGNMENT_SOFT ? n : n - 1));
    for (size_t t = 0; t < json_array_size(alignment); t++) {
        const json_t *row = element(alignment, t);
        double total = 0.0;
        for (size_t s = 0; s < json_array_size(row); s++)
            total += json_number_value(element(row, s));
        if (kind == LNG_TRANSLATE_ALIGNMENT_SOFT)
            cr_assert(json_array_size(row) == source_tokens && fabs(total - 1.0) < 1e-5);
        else
            cr_assert((size_t)json_integer_value(element(row, 1)) == t &&
                      (size_t)json_integer_value(element(row, 0)) + 1 < source_tokens);
    }
}

static void check_json(enum lng_translate_alignment kind)
{
    static const char text[] =
        "a b c\n\nd e\xFF \"f\"\\ \x01\r\na b c d e f g h i a b c d e f g h i j k\n";
    scratch_make();
    struct rig *rig = rig_open();
    rig->options.search.beam.beam = 4;
    rig->options.search.beam.n_best = 3;
    struct lng_buffer plain = {0};
    translate_alone(rig, "a b c", &plain);
    rig->options.format = LNG_TRANSLATE_JSON;
    rig->options.alignment = kind;
    open_translator(rig);
    lng_buffer_clear(&plain);
    translate_alone(rig, "a b c", &plain); /* texts stay plain */
    check_ok(translate_bytes(rig, text, sizeof text - 1, NULL));
    cr_assert(count_lines(rig) == 4);
    for (size_t i = 0; i < 4; i++) {
        json_t *root = parse_line(rig, i);
        const json_t *segments = member(root, "segments"), *list = member(root, "hypotheses");
        cr_assert((size_t)json_integer_value(member(root, "line")) == i);
        cr_assert(json_array_size(segments) == (i == 1 ? 0 : i == 3 ? 2 : 1), "line %zu", i);
        cr_assert(json_array_size(list) == (i == 1 ? 0 : 3));
        double totals[3] = {0, 0, 0};
        for (size_t s = 0; s < json_array_size(segments); s++) {
            const json_t *segment = element(segments, s);
            cr_assert(json_is_true(member(segment, "exact_stop")));
            for (size_t r = 0; r < 3; r++) {
                const json_t *h = element(member(segment, "hypotheses"), r);
                check_hypothesis(h, json_array_size(member(segment, "source_tokens")), kind);
                totals[r] += json_number_value(member(h, "score"));
            }
        }
        for (size_t r = 0; r < json_array_size(list); r++)
            cr_assert(fabs(totals[r] - json_number_value(member(element(list, r), "score"))) <
                      1e-5);
        const char *translation = json_string_value(member(root, "translation"));
        cr_assert(strchr(translation, '\n') == NULL);
        cr_assert(i != 0 || strcmp(translation, plain.data) == 0);
        cr_assert(i == 1 ||
                  strcmp(translation, json_string_value(member(element(list, 0), "text"))) == 0);
        if (i == 2)
            cr_assert_str_eq(json_string_value(member(root, "source")),
                             "d e\xEF\xBF\xBD \"f\"\\ \x01");
        json_decref(root);
    }
    lng_buffer_release(&plain);
    rig_close(rig);
    scratch_remove();
}

Test(translate_lines, json_soft)
{
    check_json(LNG_TRANSLATE_ALIGNMENT_SOFT);
}

Test(translate_lines, json_hard)
{
    check_json(LNG_TRANSLATE_ALIGNMENT_HARD);
}

Test(translate_lines, nbest_and_alignment)
{
    scratch_make();
    struct rig *rig = rig_open();
    rig->options.search.beam.n_best = 2;
    rig->options.format = LNG_TRANSLATE_NBEST;
    open_translator(rig);
    check_ok(translate_bytes(rig, "a b\n\nc d e\n", 11, NULL));
    cr_assert(count_lines(rig) == 5);
    struct lng_buffer best = {0};
    translate_alone(rig, "c d e", &best);
    double total[2], score[2];
    for (int i = 0; i < 2; i++) {
        struct lng_slice line = output_line(rig, 3 + (size_t)i), piece;
        cr_assert(lng_text_split(&line, '|', &piece) && lng_slice_equals(piece, "2 "));
        const char *at = strstr(line.data, "||| Score= ");
        cr_assert(sscanf(at, "||| Score= %lf ||| %lf", &total[i], &score[i]) == 2);
        cr_assert(i == 1 || memcmp(line.data + 3, best.data, best.length) == 0);
        cr_assert(total[i] <= score[i] && score[i] < 0.0);
    }
    cr_assert(score[0] >= score[1]);
    cr_assert(lng_slice_equals(output_line(rig, 2), "1 |||  ||| Score= 0.000000 ||| 0.000000"));

    rig->options.format = LNG_TRANSLATE_PLAIN;
    rig->options.alignment = LNG_TRANSLATE_ALIGNMENT_HARD;
    open_translator(rig);
    check_ok(translate_bytes(rig, "c d e\n\n", 7, NULL));
    struct lng_slice line = output_line(rig, 0);
    cr_assert(memcmp(line.data, best.data, best.length) == 0);
    cr_assert(strncmp(line.data + best.length, " ||| ", 5) == 0);
    unsigned s, t;
    cr_assert(sscanf(line.data + best.length + 5, "%u-%u", &s, &t) == 2 && s < 3 && t == 0);
    cr_assert(lng_slice_equals(output_line(rig, 1), " |||"));
    lng_buffer_release(&best);
    rig_close(rig);
    scratch_remove();
}

Test(translate_lines, prefixes)
{
    scratch_make();
    struct rig *rig = rig_open();
    struct lng_buffer alone = {0};
    translate_alone(rig, "a b c", &alone);
    check_ok(translate_bytes(rig, "a b c\na b c\n\nd\n", 15, "\nm n\r\no\n\n"));
    cr_assert(lng_slice_equals(output_line(rig, 0), alone.data));
    cr_assert(strncmp(output_line(rig, 1).data, "m n", 3) == 0);
    cr_assert(output_line(rig, 2).length == 0);
    check_fails(translate_bytes(rig, "a\nb\n", 4, "m\n"), LNG_ERR_MISMATCH, "only 1 prefixes");
    check_fails(translate_bytes(rig, "a\nb\n", 4, "m\nn\no\n"), LNG_ERR_MISMATCH, "more prefixes");
    rig->options.forced_bos = 9; /* is not shown */
    open_translator(rig);
    check_ok(translate_bytes(rig, "a b c\n", 6, "m n\n"));
    cr_assert(strncmp(output_line(rig, 0).data, "m n", 3) == 0);
    lng_buffer_release(&alone);
    rig_close(rig);
    scratch_remove();
}

Test(translate_lines, interrupted_and_failed)
{
    static const char text[] = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
    scratch_make();
    struct rig *rig = rig_open();
    volatile sig_atomic_t flag = 1;
    rig->options.window = 4;
    rig->options.interrupted = &flag;
    open_translator(rig);
    check_fails(translate_bytes(rig, text, sizeof text - 1, NULL), LNG_ERR_INTERRUPTED, "line 4");
    cr_assert(count_lines(rig) == 4);
    flag = 0;
    rig->fail_at = 2;
    check_fails(translate_bytes(rig, text, sizeof text - 1, NULL), LNG_ERR_IO, "no room");
    cr_assert(count_lines(rig) == 4);
    rig->fail_at = 0;
    check_ok(translate_bytes(rig, text, sizeof text - 1, NULL));
    cr_assert(count_lines(rig) == 10);

    struct lng_translator *none = NULL;
    struct lng_tokenizer *large = open_words(20);
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
    rig_close(rig);
    scratch_remove();
}

/* ---- scoring ---- */

static enum lng_status score_bytes(struct rig *rig, struct lng_scorer *scorer, const char *source,
                                   size_t source_size, const char *target, size_t target_size)
{
    struct lng_lines *lines[2];
    check_ok(lng_lines_open(scratch_write("source", source, source_size), &lines[0]));
    check_ok(lng_lines_open(scratch_write("target", target, target_size), &lines[1]));
    lng_buffer_clear(&rig->out);
    rig->writes = 0;
    enum lng_status status = lng_scorer_run(scorer, lines[0], lines[1], collect, rig);
    lng_lines_close(lines[0]);
    lng_lines_close(lines[1]);
    return status;
}

Test(translate_lines, scores_of_own_translations)
{
    scratch_make();
    struct rig *rig = rig_open();
    struct lng_buffer source = {0}, target = {0};
    double expected[60];
    for (int i = 0; i < 60; i++)
        check_ok(lng_buffer_append_format(&source, "%s %s\n", kind_of(i) /* blank, too */,
                                          kind_of(i * 3 + 1)));
    rig->options.format = LNG_TRANSLATE_JSON;
    open_translator(rig);
    check_ok(translate_bytes(rig, source.data, source.length, NULL));
    int blank = 0;
    for (size_t i = 0; i < 60; i++) {
        json_t *root = parse_line(rig, i);
        const json_t *list = member(root, "hypotheses");
        const char *text = json_string_value(member(root, "translation"));
        bool none = json_array_size(list) == 0 || strstr(text, "new line") != NULL;
        expected[i] = none ? NAN : json_number_value(member(element(list, 0), "score"));
        blank += none;
        check_ok(lng_buffer_append_format(&target, "%s%s\n", text, i % 5 == 0 ? "\r" : ""));
        json_decref(root);
    }
    cr_assert(blank < 30);
    static const struct lng_score_options settings[] = {
        {LNG_SCORE_PLAIN, 10000, 4096, 0, -1, NULL, NULL, NULL},
        {LNG_SCORE_PLAIN, 7, 3, 0, -1, NULL, NULL, NULL},
        {LNG_SCORE_PLAIN, 25, 40, 2, -1, NULL, NULL, NULL},
        {LNG_SCORE_JSON, 50, 100, 0, -1, NULL, NULL, NULL},
    };
    struct lng_buffer first = {0};
    for (size_t c = 0; c < 4; c++) {
        struct lng_scorer *scorer;
        check_ok(lng_scorer_open(&rig->model, rig->tokenizer, &settings[c], &scorer));
        check_ok(score_bytes(rig, scorer, source.data, source.length, target.data, target.length));
        cr_assert(count_lines(rig) == 60);
        if (c == 0)
            check_ok(lng_buffer_append(&first, rig->out.data, rig->out.length));
        else if (c < 3)
            cr_assert(first.length == rig->out.length &&
                          memcmp(first.data, rig->out.data, first.length) == 0,
                      "setting %zu gives other scores", c);
        for (size_t i = 0; i < 60; i++) {
            struct lng_slice line = output_line(rig, i);
            double score;
            if (c < 3) {
                cr_assert(sscanf(line.data, "%lf", &score) == 1);
            } else {
                json_t *root = parse_line(rig, i);
                score = json_number_value(member(root, "score"));
                double mean = json_number_value(member(root, "normalized_score"));
                size_t n = json_array_size(member(root, "tokens"));
                cr_assert(n == json_array_size(member(root, "token_scores")) && n > 0);
                cr_assert(fabs(mean - score / (double)n) < 1e-5);
                json_decref(root);
            }
            cr_assert(score < 0.0);
            cr_assert(isnan(expected[i]) || fabs(score - expected[i]) < 1e-4, "line %zu: %g, %g", i,
                      score, expected[i]);
        }
        lng_scorer_close(scorer);
    }
    lng_buffer_release(&first);
    lng_buffer_release(&source);
    lng_buffer_release(&target);
    rig_close(rig);
    scratch_remove();
}

Test(translate_lines, scoring_odd_pairs)
{
    static const char source[] = "a\0b\n\n\xFF\na\na b c", target[] = "c\xFE\nd\n\nb\r\na";
    scratch_make();
    struct rig *rig = rig_open();
    struct lng_score_options options = lng_score_options_default();
    struct lng_scorer *scorer = NULL;
    check_ok(lng_scorer_open(&rig->model, rig->tokenizer, &options, &scorer));
    check_ok(score_bytes(rig, scorer, source, sizeof source - 1, target, sizeof target - 1));
    cr_assert(count_lines(rig) == 5);
    struct lng_score_stats stats = lng_scorer_get_stats(scorer);
    cr_assert(stats.lines == 5 && stats.repaired == 2 && stats.tokens == 9);
    check_ok(score_bytes(rig, scorer, "", 0, "", 0));
    check_fails(score_bytes(rig, scorer, "a\nb\n", 4, "a\n", 2), LNG_ERR_MISMATCH, "after line");
    cr_assert(count_lines(rig) == 1, "the pair before is written");
    check_fails(score_bytes(rig, scorer, "", 0, "a\n", 2), LNG_ERR_MISMATCH, "after line");
    rig->fail_at = 1;
    check_fails(score_bytes(rig, scorer, "a\n", 2, "a\n", 2), LNG_ERR_IO, "no room");
    lng_scorer_close(scorer);
    options.batch_tokens = 0;
    check_fails(lng_scorer_open(&rig->model, rig->tokenizer, &options, &scorer), LNG_ERR_RANGE,
                "batches");
    rig_close(rig);
    scratch_remove();
}
