/* What is said about each line: JSON, n-best lists, alignments, and scores of given translations. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/score.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/translate_rig.h"

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

static json_t *parse_line(const struct translate_rig *rig, size_t i)
{
    struct lng_slice line = translate_rig_line(rig, i);
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
    struct translate_rig *rig = translate_rig_open();
    rig->options.search.beam.beam = 4;
    rig->options.search.beam.n_best = 3;
    struct lng_buffer plain = {0};
    translate_rig_alone(rig, "a b c", &plain);
    rig->options.format = LNG_TRANSLATE_JSON;
    rig->options.alignment = kind;
    translate_rig_reopen(rig);
    lng_buffer_clear(&plain);
    translate_rig_alone(rig, "a b c", &plain); /* texts stay plain */
    check_ok(translate_rig_bytes(rig, text, sizeof text - 1, NULL));
    cr_assert(translate_rig_count(rig) == 4);
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
    translate_rig_close(rig);
    scratch_remove();
}

Test(translate_formats, json_soft)
{
    check_json(LNG_TRANSLATE_ALIGNMENT_SOFT);
}

Test(translate_formats, json_hard)
{
    check_json(LNG_TRANSLATE_ALIGNMENT_HARD);
}

Test(translate_formats, nbest_and_alignment)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    rig->options.search.beam.n_best = 2;
    rig->options.format = LNG_TRANSLATE_NBEST;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, "a b\n\nc d e\n", 11, NULL));
    cr_assert(translate_rig_count(rig) == 5);
    struct lng_buffer best = {0};
    translate_rig_alone(rig, "c d e", &best);
    double total[2], score[2];
    for (int i = 0; i < 2; i++) {
        struct lng_slice line = translate_rig_line(rig, 3 + (size_t)i), piece;
        cr_assert(lng_text_split(&line, '|', &piece) && lng_slice_equals(piece, "2 "));
        const char *at = strstr(line.data, "||| Score= ");
        cr_assert(sscanf(at, "||| Score= %lf ||| %lf", &total[i], &score[i]) == 2);
        cr_assert(i == 1 || memcmp(line.data + 3, best.data, best.length) == 0);
        cr_assert(total[i] <= score[i] && score[i] < 0.0);
    }
    cr_assert(score[0] >= score[1]);
    cr_assert(
        lng_slice_equals(translate_rig_line(rig, 2), "1 |||  ||| Score= 0.000000 ||| 0.000000"));

    rig->options.format = LNG_TRANSLATE_PLAIN;
    rig->options.alignment = LNG_TRANSLATE_ALIGNMENT_HARD;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, "c d e\n\n", 7, NULL));
    struct lng_slice line = translate_rig_line(rig, 0);
    cr_assert(memcmp(line.data, best.data, best.length) == 0);
    cr_assert(strncmp(line.data + best.length, " ||| ", 5) == 0);
    unsigned s, t;
    cr_assert(sscanf(line.data + best.length + 5, "%u-%u", &s, &t) == 2 && s < 3 && t == 0);
    cr_assert(lng_slice_equals(translate_rig_line(rig, 1), " |||"));
    lng_buffer_release(&best);
    translate_rig_close(rig);
    scratch_remove();
}

/* ---- scoring ---- */

static enum lng_status score_bytes(struct translate_rig *rig, struct lng_scorer *scorer,
                                   const char *source, size_t source_size, const char *target,
                                   size_t target_size)
{
    struct lng_lines *lines[2];
    check_ok(lng_lines_open(scratch_write("source", source, source_size), &lines[0]));
    check_ok(lng_lines_open(scratch_write("target", target, target_size), &lines[1]));
    lng_buffer_clear(&rig->out);
    rig->writes = 0;
    enum lng_status status = lng_scorer_run(scorer, lines[0], lines[1], translate_rig_collect, rig);
    lng_lines_close(lines[0]);
    lng_lines_close(lines[1]);
    return status;
}

Test(translate_formats, scores_of_own_translations)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_buffer source = {0}, target = {0};
    double expected[60];
    for (int i = 0; i < 60; i++)
        check_ok(lng_buffer_append_format(&source, "%s %s\n",
                                          translate_rig_kind(i) /* blank, too */,
                                          translate_rig_kind(i * 3 + 1)));
    rig->options.format = LNG_TRANSLATE_JSON;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, source.data, source.length, NULL));
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
        {LNG_SCORE_PLAIN, 10000, 4096, 0, -1, -1, NULL, NULL, NULL, false},
        {LNG_SCORE_PLAIN, 7, 3, 0, -1, -1, NULL, NULL, NULL, false},
        {LNG_SCORE_PLAIN, 25, 40, 2, -1, -1, NULL, NULL, NULL, false},
        {LNG_SCORE_JSON, 50, 100, 0, -1, -1, NULL, NULL, NULL, false},
    };
    struct lng_buffer first = {0};
    for (size_t c = 0; c < 4; c++) {
        struct lng_scorer *scorer;
        check_ok(lng_scorer_open(&rig->model, rig->tokenizer, &settings[c], &scorer));
        check_ok(score_bytes(rig, scorer, source.data, source.length, target.data, target.length));
        cr_assert(translate_rig_count(rig) == 60);
        if (c == 0)
            check_ok(lng_buffer_append(&first, rig->out.data, rig->out.length));
        else if (c < 3)
            cr_assert(first.length == rig->out.length &&
                          memcmp(first.data, rig->out.data, first.length) == 0,
                      "setting %zu gives other scores", c);
        for (size_t i = 0; i < 60; i++) {
            struct lng_slice line = translate_rig_line(rig, i);
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
    translate_rig_close(rig);
    scratch_remove();
}

Test(translate_formats, scoring_odd_pairs)
{
    static const char source[] = "a\0b\n\n\xFF\na\na b c", target[] = "c\xFE\nd\n\nb\r\na";
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_score_options options = lng_score_options_default();
    struct lng_scorer *scorer = NULL;
    check_ok(lng_scorer_open(&rig->model, rig->tokenizer, &options, &scorer));
    check_ok(score_bytes(rig, scorer, source, sizeof source - 1, target, sizeof target - 1));
    cr_assert(translate_rig_count(rig) == 5);
    struct lng_score_stats stats = lng_scorer_get_stats(scorer);
    cr_assert(stats.lines == 5 && stats.repaired == 2 && stats.tokens == 9);
    check_ok(score_bytes(rig, scorer, "", 0, "", 0));
    check_fails(score_bytes(rig, scorer, "a\nb\n", 4, "a\n", 2), LNG_ERR_MISMATCH, "after line");
    cr_assert(translate_rig_count(rig) == 1, "the pair before is written");
    check_fails(score_bytes(rig, scorer, "", 0, "a\n", 2), LNG_ERR_MISMATCH, "after line");
    rig->fail_at = 1;
    check_fails(score_bytes(rig, scorer, "a\n", 2, "a\n", 2), LNG_ERR_IO, "no room");
    lng_scorer_close(scorer);
    options.batch_tokens = 0;
    check_fails(lng_scorer_open(&rig->model, rig->tokenizer, &options, &scorer), LNG_ERR_RANGE,
                "batches");
    translate_rig_close(rig);
    scratch_remove();
}
