/* What is written beside translations: alignments of every level and head, word scores, flags and what
 * they lead to, pictures; and that none of it depends on the batch or changes a translation. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/infer/attention_map.h"
#include "host/infer/risk.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/translate_rig.h"
#include "tests/support/xml_check.h"

static json_t *parse(struct lng_slice text)
{
    json_error_t error;
    json_t *root = json_loadb(text.data, text.length, 0, &error);
    cr_assert(root != NULL, "%s: %.*s", error.text, (int)text.length, text.data);
    return root;
}

/* json_object_get of a path of keys and indices, "segments/0/hypotheses/1/alignment". */
static const json_t *at(const json_t *value, const char *path)
{
    struct lng_slice rest = lng_slice_of(path), key;
    while (lng_text_split(&rest, '/', &key)) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)key.length, key.data);
        value = name[0] >= '0' && name[0] <= '9' ? json_array_get(value, (size_t)(name[0] - '0'))
                                                 : json_object_get(value, name);
        cr_assert(value != NULL, "no %s in %s", name, path);
    }
    return value;
}

static struct lng_buffer sample(int lines)
{
    struct lng_buffer text = {0};
    for (int i = 0; i < lines; i++)
        check_ok(lng_buffer_append_format(&text, "%s %s\n", translate_rig_kind(i),
                                          translate_rig_kind(i * 5 + 2)));
    check_ok(lng_buffer_append_text(&text, "a b c d e f g h i j k l m n o a b c d e f\n"));
    return text;
}

/* ---- alignments ---- */

enum { MOST = 24 };

/* Soft alignment of one line with the options as they are. */
static void soft(struct translate_rig *rig, const char *text, double m[MOST][MOST], size_t *rows,
                 size_t *columns)
{
    rig->options.format = LNG_TRANSLATE_JSON;
    rig->options.alignment = LNG_TRANSLATE_ALIGNMENT_SOFT;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, text, strlen(text), NULL));
    json_t *root = parse(translate_rig_line(rig, 0));
    const json_t *list = at(root, "segments/0/hypotheses/0/alignment");
    *rows = json_array_size(list);
    cr_assert(*rows > 1 && *rows <= MOST);
    for (size_t t = 0; t < *rows; t++) {
        const json_t *row = json_array_get(list, t);
        *columns = json_array_size(row);
        cr_assert(*columns <= MOST);
        for (size_t s = 0; s < *columns; s++)
            m[t][s] = json_number_value(json_array_get(row, s));
    }
    json_decref(root);
}

Test(annotation, layers_and_heads)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_search_options *o = &rig->options.search;
    static double heads[2][8][MOST][MOST], mean[MOST][MOST], got[MOST][MOST];
    size_t rows, columns;
    int count = rig->model.hparams.decoder_heads;
    cr_assert(rig->model.hparams.decoder_layers == 2 && count <= 8);
    for (o->alignment_layer = 0; o->alignment_layer < 2; o->alignment_layer++)
        for (o->alignment_head = 0; o->alignment_head < count; o->alignment_head++)
            soft(rig, "a b c d e\n", heads[o->alignment_layer][o->alignment_head], &rows, &columns);
    for (int layer = LNG_SEARCH_ALL_LAYERS; layer < 2; layer++) {
        int first = layer == LNG_SEARCH_ALL_LAYERS ? 0 : layer == LNG_SEARCH_LAST_LAYER ? 1 : layer;
        int last = layer == LNG_SEARCH_ALL_LAYERS ? 1 : first;
        o->alignment_layer = layer;
        o->alignment_head = -1;
        soft(rig, "a b c d e\n", got, &rows, &columns);
        cr_assert(columns == 6);
        double apart = 0.0;
        for (size_t t = 0; t < rows; t++)
            for (size_t s = 0; s < columns; s++) {
                mean[t][s] = 0.0;
                for (int l = first; l <= last; l++)
                    for (int h = 0; h < count; h++)
                        mean[t][s] += heads[l][h][t][s] / (count * (last - first + 1));
                cr_assert(fabs(mean[t][s] - got[t][s]) < 1e-6, "layer %d: %zu, %zu", layer, t, s);
                apart = fmax(apart, fabs(heads[0][0][t][s] - got[t][s]));
            }
        cr_assert(apart > 1e-3);
    }
    o->alignment_layer = 2;
    check_fails(lng_translator_open(&rig->model, rig->tokenizer, &rig->options, &rig->translator),
                LNG_ERR_RANGE, "alignment");
    rig->translator = NULL;
    translate_rig_close(rig);
    scratch_remove();
}

/* Tokens of this tokenizer are words of one letter: the levels differ in their numbers only. */
Test(annotation, levels_and_ends)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    static double m[3][MOST][MOST];
    size_t rows[3], columns[3];
    static const char line[] = "a b c d e\n";
    for (int level = 0; level < 3; level++) {
        rig->options.alignment_level = (enum lng_align_level)level;
        rig->options.alignment_eos = LNG_ALIGN_EOS_USUAL;
        soft(rig, line, m[level], &rows[level], &columns[level]);
        cr_assert(rows[level] == rows[0] && columns[level] == 6);
        for (size_t t = 0; t < rows[0]; t++)
            for (size_t s = 0; s < 6; s++)
                cr_assert(fabs(m[level][t][s] - m[0][t][s]) < 1e-6);
        size_t kept = rows[0], fewer;
        rig->options.alignment_eos = LNG_ALIGN_EOS_DROP;
        static double dropped[MOST][MOST];
        soft(rig, line, dropped, &fewer, &columns[level]);
        cr_assert(fewer == kept - 1 && columns[level] == 5);
        size_t factor = level == LNG_ALIGN_LEVEL_CHARACTER ? 2 : 1;
        for (int keep = 0; keep < 2; keep++)
            for (int above = 0; above < 2; above++) {
                struct lng_buffer expected = {0};
                size_t width = keep ? 6 : 5;
                check_ok(lng_buffer_append_text(&expected, " |||"));
                for (size_t t = 0; t < kept - !keep; t++) {
                    size_t best = 0;
                    for (size_t s = 1; s < width; s++)
                        best = m[0][t][s] > m[0][t][best] ? s : best;
                    for (size_t s = 0; s < width; s++)
                        if (above ? m[0][t][s] > 0.15 : s == best)
                            check_ok(lng_buffer_append_format(
                                &expected, " %zu-%zu", s < 5 ? factor * s : 4 * factor + 1,
                                t < kept - 1 ? factor * t : (kept - 2) * factor + 1));
                }
                rig->options.format = LNG_TRANSLATE_PLAIN;
                rig->options.alignment =
                    above ? LNG_TRANSLATE_ALIGNMENT_THRESHOLD : LNG_TRANSLATE_ALIGNMENT_HARD;
                rig->options.alignment_threshold = 0.15;
                rig->options.alignment_eos = keep ? LNG_ALIGN_EOS_KEEP : LNG_ALIGN_EOS_USUAL;
                translate_rig_reopen(rig);
                check_ok(translate_rig_bytes(rig, line, sizeof line - 1, NULL));
                struct lng_slice got = translate_rig_line(rig, 0);
                const char *mark = strstr(got.data, " |||");
                got = (struct lng_slice){mark, got.length - (size_t)(mark - got.data)};
                cr_assert(lng_slice_equals(got, expected.data), "level %d: '%.*s', not '%s'", level,
                          (int)got.length, got.data, expected.data);
                lng_buffer_release(&expected);
            }
    }
    translate_rig_close(rig);
    scratch_remove();
}

/* Numbers of a line in segments go on through the line, on both sides. */
Test(annotation, numbers_through_segments)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    static const char line[] = "a b c d e f g h i j k l m n o a b c d e f\n";
    for (int level = 0; level < 3; level++) {
        rig->options.alignment = LNG_TRANSLATE_ALIGNMENT_HARD;
        rig->options.alignment_level = (enum lng_align_level)level;
        translate_rig_reopen(rig);
        check_ok(translate_rig_bytes(rig, line, sizeof line - 1, NULL));
        struct lng_slice got = translate_rig_line(rig, 0), link;
        const char *mark = strstr(got.data, " ||| ");
        size_t text = (size_t)(mark - got.data), n = 0, largest = 0;
        unsigned factor = level == LNG_ALIGN_LEVEL_CHARACTER ? 2 : 1;
        struct lng_slice rest = {mark + 5, got.length - text - 5};
        for (; lng_text_split(&rest, ' ', &link); n++) {
            unsigned s, t;
            cr_assert(sscanf(link.data, "%u-%u", &s, &t) == 2);
            cr_assert(t == factor * n && s % factor == 0 && s < factor * 21, "link %zu: %u-%u", n,
                      s, t);
            largest = s > largest ? s : largest;
        }
        cr_assert(strstr(got.data, "new line") != NULL || n == (text + 1) / 2);
        cr_assert(largest >= factor * 16, "nothing links to the second segment");
    }
    translate_rig_close(rig);
    scratch_remove();
}

/* ---- scores ---- */

Test(annotation, word_scores)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    rig->options.word_scores = true;
    rig->options.format = LNG_TRANSLATE_JSON;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, "a b c\n\n", 7, NULL));
    json_t *root = parse(translate_rig_line(rig, 0));
    const json_t *h = at(root, "segments/0/hypotheses/0"), *words = at(h, "words");
    const json_t *scores = at(h, "token_scores");
    size_t n = json_array_size(scores);
    double sum = 0.0;
    for (size_t i = 0; i < json_array_size(words); i++) {
        const json_t *word = json_array_get(words, i);
        const char *text = json_string_value(at(h, "text"));
        int begin = (int)json_integer_value(at(word, "begin"));
        int end = (int)json_integer_value(at(word, "end"));
        cr_assert(
            strncmp(text + begin, json_string_value(at(word, "word")), (size_t)(end - begin)) == 0);
        cr_assert(json_number_value(at(word, "min_token_score")) <= 0.0);
        sum += json_number_value(at(word, "score"));
    }
    double all = json_number_value(at(h, "score"));
    cr_assert(fabs(sum + json_number_value(json_array_get(scores, n - 1)) - all) < 1e-5);
    cr_assert(fabs(json_number_value(at(h, "mean_score")) - all / (double)n) < 1e-6);
    rig->options.format = LNG_TRANSLATE_PLAIN;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, "a b c\n\n", 7, NULL));
    const char *mark = strstr(translate_rig_line(rig, 0).data, " ||| WordScores= ");
    cr_assert(mark != NULL);
    for (size_t i = 0; i < n; i++) {
        double score;
        mark = strchr(mark + (i == 0 ? 5 : 1), ' ');
        cr_assert(sscanf(mark, "%lf", &score) == 1);
        cr_assert(fabs(score - json_number_value(json_array_get(scores, i))) < 1e-5);
    }
    cr_assert(lng_slice_equals(translate_rig_line(rig, 1), " ||| WordScores="));
    json_decref(root);
    translate_rig_close(rig);
    scratch_remove();
}

/* ---- flags ---- */

static enum lng_status collect(void *context, const char *data, size_t size)
{
    return lng_buffer_append(context, data, size);
}

static void keep_lines(struct translate_rig *rig, const struct lng_buffer *input,
                       struct lng_buffer *output)
{
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, input->data, input->length, NULL));
    lng_buffer_clear(output);
    check_ok(lng_buffer_append(output, rig->out.data, rig->out.length));
}

static bool same(const struct lng_buffer *a, const struct lng_buffer *b)
{
    return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

Test(annotation, flags_change_nothing)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_buffer input = sample(60), plain = {0}, flagged = {0}, report = {0};
    struct lng_risk_options risk = lng_risk_options_default();
    keep_lines(rig, &input, &plain);
    for (int i = 0; i < LNG_RISK_COUNT; i++)
        risk.thresholds[i] = 1.0;
    risk.report = collect;
    risk.report_context = &report;
    rig->options.risk = &risk;
    keep_lines(rig, &input, &flagged);
    cr_assert(same(&plain, &flagged));
    static const char heading[] = "line\tflag\tvalue\tthreshold\taction\n0\t";
    cr_assert(strncmp(report.data, heading, sizeof heading - 1) == 0);
    cr_assert(strstr(report.data, "\tmargin\t") != NULL,
              "the second best is found though not given");
    cr_assert(strstr(report.data, "\tkept\n") != NULL);
    cr_assert(lng_translator_get_stats(rig->translator).flagged > 30);
    rig->options.format = LNG_TRANSLATE_JSON;
    keep_lines(rig, &input, &flagged);
    json_t *root = parse(translate_rig_line(rig, 0));
    cr_assert(json_array_size(at(root, "hypotheses")) == 1, "as many as were asked for");
    cr_assert(json_array_size(at(root, "segments/0/hypotheses")) == 1);
    cr_assert(json_object_size(at(root, "risks")) == LNG_RISK_COUNT);
    cr_assert(json_array_size(at(root, "flags")) > 0);
    cr_assert_str_eq(json_string_value(at(root, "action")), "kept");
    json_decref(root);
    lng_buffer_release(&input);
    lng_buffer_release(&plain);
    lng_buffer_release(&flagged);
    lng_buffer_release(&report);
    translate_rig_close(rig);
    scratch_remove();
}

Test(annotation, source_and_empty)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_risk_options risk = lng_risk_options_default();
    rig->options.risk = &risk;
    rig->options.alignment = LNG_TRANSLATE_ALIGNMENT_HARD;
    risk.thresholds[LNG_RISK_REPETITION] = 1.0; /* every line but blank ones */
    risk.fallback = LNG_RISK_FALLBACK_SOURCE;
    translate_rig_reopen(rig);
    static const char text[] = "a  b\xFF\r\n\nc\n";
    check_ok(translate_rig_bytes(rig, text, sizeof text - 1, NULL));
    cr_assert(lng_slice_equals(translate_rig_line(rig, 0), "a  b\xEF\xBF\xBD |||\r"));
    cr_assert(lng_slice_equals(translate_rig_line(rig, 1), " |||"));
    cr_assert(lng_slice_equals(translate_rig_line(rig, 2), "c |||"));
    risk.fallback = LNG_RISK_FALLBACK_EMPTY;
    rig->options.format = LNG_TRANSLATE_JSON;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, text, sizeof text - 1, NULL));
    json_t *root = parse(translate_rig_line(rig, 0));
    cr_assert_str_eq(json_string_value(at(root, "translation")), "");
    cr_assert_str_eq(json_string_value(at(root, "action")), "empty");
    cr_assert(strlen(json_string_value(at(root, "hypotheses/0/text"))) > 0, "what the model said");
    cr_assert(lng_translator_get_stats(rig->translator).replaced == 2);
    json_decref(root);
    /* a close second is no reason to give neither */
    risk.thresholds[LNG_RISK_REPETITION] = 0.0;
    risk.thresholds[LNG_RISK_MARGIN] = 1e9;
    risk.retry = true;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, text, sizeof text - 1, NULL));
    root = parse(translate_rig_line(rig, 0));
    cr_assert_str_eq(json_string_value(at(root, "action")), "kept");
    cr_assert_str_eq(json_string_value(at(root, "flags/0")), "margin");
    json_decref(root);
    translate_rig_close(rig);
    scratch_remove();
}

/* Lines that say a token twice are searched again; what comes back has no flag, or stays what it was. */
Test(annotation, retry)
{
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_buffer input = sample(60), plain = {0}, tried = {0};
    struct lng_risk_options risk = lng_risk_options_default();
    keep_lines(rig, &input, &plain);
    rig->options.risk = &risk;
    risk.thresholds[LNG_RISK_REPETITION] = 2.0;
    risk.retry = true;
    risk.retry_beam = 6;
    rig->options.format = LNG_TRANSLATE_JSON;
    keep_lines(rig, &input, &tried);
    struct lng_slice rest = {plain.data, plain.length}, first;
    int retried = 0, kept = 0;
    for (size_t i = 0; i < 61; i++) {
        json_t *root = parse(translate_rig_line(rig, i));
        const char *action = json_string_value(at(root, "action"));
        const char *text = json_string_value(at(root, "translation"));
        bool again = strcmp(action, "retried") == 0;
        cr_assert(lng_text_split(&rest, '\n', &first));
        cr_assert(lng_slice_equals(first, text) == !again, "line %zu: %s", i, action);
        cr_assert((json_array_size(at(root, "flags")) > 0) == (strcmp(action, "kept") == 0));
        if (again)
            cr_assert(json_number_value(at(root, "risks/repetition")) < 2.0);
        if (json_array_size(at(root, "hypotheses")) > 0)
            cr_assert_str_eq(json_string_value(at(root, "hypotheses/0/text")), text);
        cr_assert(json_array_size(at(root, "hypotheses")) <= 1);
        retried += again;
        kept += strcmp(action, "kept") == 0;
        json_decref(root);
    }
    cr_assert(retried >= 5, "%d retried, %d kept", retried, kept);
    cr_assert(lng_translator_get_stats(rig->translator).retried == (uint64_t)retried);
    risk.retry_beam = 1;
    rig->options.search.beam.n_best = 2;
    struct lng_translator *other;
    check_fails(lng_translator_open(&rig->model, rig->tokenizer, &rig->options, &other),
                LNG_ERR_RANGE, "second search");
    lng_buffer_release(&input);
    lng_buffer_release(&plain);
    lng_buffer_release(&tried);
    translate_rig_close(rig);
    scratch_remove();
}

/* ---- everything at once ---- */

static void run_all(struct translate_rig *rig, const struct lng_buffer *input, const char *name,
                    struct lng_risk_options *risk, struct lng_buffer *all)
{
    struct lng_attention_map *map;
    struct lng_buffer file = {0};
    uint64_t left_out = 1;
    check_ok(lng_attention_map_open(scratch_path(name), &map));
    rig->options.map = map;
    risk->report = collect;
    risk->report_context = all;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, input->data, input->length, NULL));
    cr_assert(!lng_file_exists(scratch_path(name)), "not there before it is whole");
    check_ok(lng_attention_map_finish(map, &left_out));
    cr_assert(left_out == 0);
    lng_attention_map_close(map);
    check_ok(lng_buffer_append(all, rig->out.data, rig->out.length));
    check_ok(lng_file_read(scratch_path(name), 1 << 26, &file));
    check_ok(lng_buffer_append(all, file.data, file.length));
    if (strstr(name, ".svg") != NULL)
        cr_assert(xml_well_formed(file.data, "rect", NULL));
    else
        json_decref(parse((struct lng_slice){file.data, file.length}));
    lng_buffer_release(&file);
}

Test(annotation, batch_invariance)
{
    static const struct {
        const char *map;
        int64_t window, sentences, tokens;
    } cases[] = {{"a.svg", 1000, 0, 4096},
                 {"b.svg", 1, 1, 4096},
                 {"c.svg", 7, 3, 20},
                 {"a.json", 1000, 0, 4096},
                 {"b.json", 3, 2, 11}};
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    struct lng_buffer input = sample(60), first = {0}, all = {0};
    struct lng_risk_options risk = lng_risk_options_default();
    for (int i = 0; i < LNG_RISK_COUNT; i++)
        risk.thresholds[i] = 2.0;
    risk.retry = true;
    risk.fallback = LNG_RISK_FALLBACK_SOURCE;
    rig->options.risk = &risk;
    rig->options.word_scores = true;
    rig->options.format = LNG_TRANSLATE_JSON;
    rig->options.alignment = LNG_TRANSLATE_ALIGNMENT_SOFT;
    rig->options.alignment_level = LNG_ALIGN_LEVEL_WORD;
    rig->options.search.alignment_layer = LNG_SEARCH_ALL_LAYERS;
    rig->options.search.alignment_head = -1;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        rig->options.window = cases[c].window;
        rig->options.search.batch_sentences = cases[c].sentences;
        rig->options.search.batch_tokens = cases[c].tokens;
        bool fresh = cases[c].window == 1000;
        lng_buffer_clear(&all);
        run_all(rig, &input, cases[c].map, &risk, fresh ? &first : &all);
        cr_assert(fresh || same(&first, &all), "%s differs", cases[c].map);
        if (c == 2)
            lng_buffer_clear(&first);
    }
    lng_buffer_release(&input);
    lng_buffer_release(&first);
    lng_buffer_release(&all);
    translate_rig_close(rig);
    scratch_remove();
}
