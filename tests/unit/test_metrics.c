/* BLEU, chrF and TER against what sacreBLEU gave the same corpora; error rates by hand. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/eval/metric.h"
#include "tests/support/failing_memory.h"

enum { MAX_REFERENCES = 4 };

static json_t *load_golden(void)
{
    const char *root = getenv("LNG_TEST_ROOT");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/data/metrics_golden.json", root ? root : ".");
    json_error_t error;
    json_t *golden = json_load_file(path, 0, &error);
    cr_assert(golden != NULL, "%s: %s", path, error.text);
    return golden;
}

static struct lng_slice slice_of(const json_t *text)
{
    return (struct lng_slice){json_string_value(text), json_string_length(text)};
}

Test(metrics, tokenization_13a_equals_sacrebleu)
{
    json_t *golden = load_golden(), *row;
    size_t index, differing = 0;
    json_array_foreach(json_object_get(golden, "tokenize_13a"), index, row)
    {
        struct lng_slice line = slice_of(json_array_get(row, 0));
        const char *want = json_string_value(json_array_get(row, 1));
        struct lng_buffer tokens = {0};
        cr_assert(lng_tokenize(LNG_TOKENIZATION_13A, line.data, line.length, &tokens) == LNG_OK);
        const char *got = tokens.data ? tokens.data : "";
        cr_assert(strcmp(got, want) == 0, "line %zu: '%.*s'\n got '%s'\nwant '%s'", index,
                  (int)line.length, line.data, got, want);
        differing += strcmp(want, line.data) != 0;
        lng_buffer_release(&tokens);
    }
    cr_assert(index == 200 && differing > 100);
    json_decref(golden);
}

/* Feeds a corpus to `add`, segment by segment. */
typedef enum lng_status (*add_segment)(void *counts, struct lng_slice hypothesis,
                                       const struct lng_slice *references, size_t count);

static size_t add_corpus(const json_t *corpus, add_segment add, void *counts)
{
    const json_t *hypotheses = json_object_get(corpus, "hypotheses");
    const json_t *references = json_object_get(corpus, "references");
    size_t segments = json_array_size(hypotheses), reference_count = json_array_size(references);
    cr_assert(segments > 0 && reference_count > 0 && reference_count <= MAX_REFERENCES);
    for (size_t i = 0; i < segments; i++) {
        struct lng_slice refs[MAX_REFERENCES];
        for (size_t r = 0; r < reference_count; r++)
            refs[r] = slice_of(json_array_get(json_array_get(references, r), i));
        cr_assert(add(counts, slice_of(json_array_get(hypotheses, i)), refs, reference_count) ==
                  LNG_OK);
    }
    return segments;
}

static struct lng_metric metric;
static enum lng_status add_to(void *sums, struct lng_slice hypothesis,
                              const struct lng_slice *references, size_t count)
{
    return lng_metric_add(&metric, sums, hypothesis, references, count);
}

static double score_of(const json_t *corpus)
{
    union lng_statistics sums = {0};
    add_corpus(corpus, add_to, &sums);
    return lng_metric_score(&metric, &sums);
}

static void check_value(const json_t *corpus, const char *key, double got)
{
    double want = json_number_value(json_object_get(corpus, key));
    cr_assert(fabs(got - want) < 1e-9, "%s: got %.12f, sacreBLEU %.12f", key, got, want);
}

static void check_bleu(const json_t *corpus)
{
    metric = (struct lng_metric){.kind = LNG_METRIC_BLEU, .bleu = lng_bleu_options_default()};
    for (enum lng_tokenization t = LNG_TOKENIZATION_13A; t < LNG_TOKENIZATIONS; t++) {
        const json_t *want =
            json_object_get(json_object_get(corpus, "bleu"), lng_tokenization_name(t));
        union lng_statistics sums = {0};
        metric.bleu.tokenization = t;
        add_corpus(corpus, add_to, &sums);
        struct lng_bleu_score got = lng_bleu_compute(&sums.bleu, &metric.bleu);
        check_value(want, "score", got.score);
        check_value(want, "bp", got.brevity_penalty);
        const json_t *lengths = json_object_get(want, "lengths");
        cr_assert(sums.bleu.hypothesis_length == json_integer_value(json_array_get(lengths, 0)));
        cr_assert(sums.bleu.reference_length == json_integer_value(json_array_get(lengths, 1)));
        for (size_t n = 0; n < LNG_BLEU_ORDERS; n++)
            cr_assert(fabs(got.precisions[n] - json_number_value(json_array_get(
                                                   json_object_get(want, "precisions"), n))) <
                      1e-9);
    }
}

static void check_bleu_options(const json_t *corpus)
{
    static const struct {
        const char *key;
        enum lng_bleu_smoothing smoothing;
        double value; /* negative: the default */
        bool lowercase;
    } cases[] = {
        {"bleu_none", LNG_BLEU_SMOOTH_NONE, -1, false},
        {"bleu_floor", LNG_BLEU_SMOOTH_FLOOR, -1, false},
        {"bleu_add-k", LNG_BLEU_SMOOTH_ADD_K, -1, false},
        {"bleu_floor_2", LNG_BLEU_SMOOTH_FLOOR, 2, false},
        {"bleu_add-k_0.5", LNG_BLEU_SMOOTH_ADD_K, 0.5, false},
        {"bleu_lowercase", LNG_BLEU_SMOOTH_EXP, -1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        metric = (struct lng_metric){.kind = LNG_METRIC_BLEU};
        metric.bleu = (struct lng_bleu_options){
            .smoothing = cases[i].smoothing,
            .smooth_value =
                cases[i].value < 0 ? lng_bleu_smooth_value(cases[i].smoothing) : cases[i].value,
            .lowercase = cases[i].lowercase};
        check_value(corpus, cases[i].key, score_of(corpus));
    }
}

static void check_sentence(const json_t *corpus)
{
    const json_t *references = json_object_get(corpus, "references");
    struct lng_slice refs[MAX_REFERENCES];
    size_t count = json_array_size(references);
    for (size_t r = 0; r < count; r++)
        refs[r] = slice_of(json_array_get(json_array_get(references, r), 0));
    struct lng_bleu_counts counts = {0};
    struct lng_bleu_options options = lng_bleu_options_default();
    options.effective_order = true;
    struct lng_slice first = slice_of(json_array_get(json_object_get(corpus, "hypotheses"), 0));
    cr_assert(lng_bleu_add(&counts, &options, first, refs, count) == LNG_OK);
    check_value(corpus, "sentence_bleu", lng_bleu_compute(&counts, &options).score);
}

static void check_chrf(const json_t *corpus)
{
    metric = (struct lng_metric){.kind = LNG_METRIC_CHRF, .chrf = lng_chrf_options_default(false)};
    check_value(corpus, "chrf", score_of(corpus));
    metric.chrf.eps_smoothing = true;
    check_value(corpus, "chrf_eps", score_of(corpus));
    metric.chrf = lng_chrf_options_default(true);
    check_value(corpus, "chrf++", score_of(corpus));
    metric.chrf = (struct lng_chrf_options){
        .character_order = 4, .word_order = 1, .beta = 3, .lowercase = true, .whitespace = true};
    check_value(corpus, "chrf_options", score_of(corpus));
}

static void check_ter(const json_t *corpus)
{
    const json_t *want = json_object_get(corpus, "ter");
    for (size_t bits = 0; bits < 16; bits++) {
        metric = (struct lng_metric){.kind = LNG_METRIC_TER};
        metric.ter = (struct lng_tercom_options){bits & 1, bits & 2, bits & 4, bits & 8};
        double got = score_of(corpus), wanted = json_number_value(json_array_get(want, bits));
        cr_assert(fabs(got - wanted) < 1e-9, "TER, options %zu: got %.12f, sacreBLEU %.12f", bits,
                  got, wanted);
    }
}

Test(metrics, bleu_chrf_and_ter_equal_sacrebleu)
{
    json_t *golden = load_golden(), *corpus;
    size_t index;
    json_array_foreach(json_object_get(golden, "corpora"), index, corpus)
    {
        check_bleu(corpus);
        check_bleu_options(corpus);
        check_sentence(corpus);
        check_chrf(corpus);
        check_ter(corpus);
    }
    cr_assert(index == 60);
    json_decref(golden);
}

Test(metrics, ter_moves_blocks_as_sacrebleu)
{
    json_t *golden = load_golden(), *row;
    size_t index, edits = 0;
    const struct lng_tercom_options options = {0};
    json_array_foreach(json_object_get(golden, "ter_shifts"), index, row)
    {
        struct lng_ter_counts counts = {0};
        struct lng_slice reference = slice_of(json_array_get(row, 1));
        cr_assert(lng_ter_add(&counts, &options, slice_of(json_array_get(row, 0)), &reference, 1) ==
                  LNG_OK);
        double want = json_number_value(json_array_get(row, 2));
        cr_assert(counts.edits == want, "row %zu: %g edits, sacreBLEU %g", index, counts.edits,
                  want);
        edits += (size_t)want;
    }
    cr_assert(index == 100 && edits > 200);
    json_decref(golden);
}

Test(metrics, lower_case_is_pythons)
{
    json_t *golden = load_golden(), *row;
    size_t index;
    struct lng_buffer lower = {0};
    json_array_foreach(json_object_get(golden, "lowercase"), index, row)
    {
        lng_buffer_clear(&lower);
        cr_assert(lng_lowercase(slice_of(json_array_get(row, 0)), &lower) == LNG_OK);
        cr_assert_str_eq(lower.data, json_string_value(json_array_get(row, 1)));
    }
    cr_assert(index == 8);
    lng_buffer_clear(&lower);
    cr_assert(lng_lowercase(lng_slice_of("\xFF\xC3\x84X\xC3"), &lower) == LNG_OK);
    cr_assert_str_eq(lower.data, "\xFF\xC3\xA4x\xC3", "bytes that are no UTF-8 stay");
    lng_buffer_release(&lower);
    json_decref(golden);
}

Test(metrics, signatures_name_what_was_done)
{
    static const char version[] = "|version:2.6.0-compatible:lingster-" LNG_VERSION;
    struct lng_buffer text = {0};
    struct lng_signature with = {.references = 2};
    metric = (struct lng_metric){.kind = LNG_METRIC_BLEU, .bleu = lng_bleu_options_default()};
    metric.bleu.smoothing = LNG_BLEU_SMOOTH_FLOOR;
    metric.bleu.smooth_value = 0.1;
    cr_assert(lng_metric_signature(&metric, &with, &text) == LNG_OK);
    cr_assert(strncmp(text.data, "nrefs:2|case:mixed|eff:no|tok:13a|smooth:floor[0.10]|", 53) == 0);
    cr_assert_str_eq(text.data + 52, version);
    lng_buffer_clear(&text);
    metric = (struct lng_metric){.kind = LNG_METRIC_CHRF, .chrf = lng_chrf_options_default(true)};
    with.bootstrap = 1000;
    with.seed = 7;
    cr_assert(lng_metric_signature(&metric, &with, &text) == LNG_OK);
    cr_assert(strstr(text.data, "nrefs:2|bs:1000|seed:7|case:mixed|eff:yes|nc:6|nw:2|space:no|v") ==
              text.data);
    lng_buffer_clear(&text);
    metric = (struct lng_metric){.kind = LNG_METRIC_ERROR};
    cr_assert(lng_metric_signature(&metric, &with, &text) == LNG_OK && text.length == 0,
              "sacreBLEU has no such metric");
    lng_buffer_release(&text);
}

Test(metrics, error_rates_by_hand)
{
    struct lng_error_counts counts = {0};
    struct lng_slice reference = lng_slice_of("a b c d");
    cr_assert(lng_error_add(&counts, lng_slice_of("a x c"), &reference, 1, true) == LNG_OK);
    cr_assert(counts.word_edits == 2 && counts.words == 4 && counts.exact == 0);
    cr_assert(counts.character_edits == 3 && counts.characters == 7);
    cr_assert(lng_error_add(&counts, reference, &reference, 1, true) == LNG_OK);
    cr_assert(fabs(lng_word_error_rate(&counts) - 25) < 1e-12);
    cr_assert(fabs(lng_character_error_rate(&counts) - 100 * 3.0 / 14) < 1e-12);
    cr_assert(fabs(lng_sentence_accuracy(&counts) - 50) < 1e-12);
    struct lng_error_counts nothing = {0};
    struct lng_slice empty = lng_slice_of("");
    cr_assert(lng_error_add(&nothing, empty, &empty, 1, true) == LNG_OK);
    cr_assert(lng_word_error_rate(&nothing) == 0 && lng_character_error_rate(&nothing) == 0);
    cr_assert(lng_error_add(&nothing, reference, &empty, 1, true) == LNG_OK);
    cr_assert(lng_word_error_rate(&nothing) == 100 && lng_character_error_rate(&nothing) == 100);
    struct lng_slice both[] = {lng_slice_of("x y"), lng_slice_of("ä b")};
    struct lng_error_counts closest = {0};
    cr_assert(lng_error_add(&closest, lng_slice_of("a b"), both, 2, true) == LNG_OK);
    cr_assert(closest.word_edits == 1 && closest.character_edits == 1 && closest.characters == 3);
}

/* Three of four words stand in their places on one line, none of two on the other. */
Test(metrics, token_measures_by_hand)
{
    struct lng_error_counts counts = {0};
    struct lng_slice reference = lng_slice_of("a b c d");
    cr_assert(lng_error_add(&counts, lng_slice_of("a b x d"), &reference, 1, true) == LNG_OK);
    reference = lng_slice_of("b a");
    cr_assert(lng_error_add(&counts, lng_slice_of("a b b"), &reference, 1, true) == LNG_OK);
    cr_assert(counts.in_place == 3 && counts.places == 7);
    cr_assert(counts.matches == 5 && counts.hypothesis_words == 7 && counts.words == 6);
    cr_assert(fabs(lng_token_accuracy(&counts) - 300.0 / 7) < 1e-12);
    cr_assert(fabs(lng_token_precision(&counts) - 500.0 / 7) < 1e-12);
    cr_assert(fabs(lng_token_recall(&counts) - 500.0 / 6) < 1e-12);
    cr_assert(fabs(lng_token_f1(&counts) - 1000.0 / 13) < 1e-12);
}

Test(metrics, no_reference_is_refused)
{
    struct lng_slice text = lng_slice_of("a");
    for (enum lng_metric_kind kind = LNG_METRIC_BLEU; kind <= LNG_METRIC_ERROR; kind++) {
        union lng_statistics sums = {0};
        metric = (struct lng_metric){.kind = kind};
        cr_assert(lng_metric_add(&metric, &sums, text, NULL, 0) == LNG_ERR_USAGE);
        cr_assert(strstr(lng_error_message(), "reference") != NULL);
    }
}

/* Whatever allocation fails, it is said and nothing is lost. */
Test(metrics, out_of_memory)
{
    struct lng_slice own = lng_slice_of("a b \xC3\x84 c, d"), other = lng_slice_of("b a c, D e");
    for (enum lng_metric_kind kind = LNG_METRIC_BLEU; kind <= LNG_METRIC_ERROR; kind++) {
        metric = (struct lng_metric){.kind = kind};
        if (kind == LNG_METRIC_BLEU)
            metric.bleu = (struct lng_bleu_options){.lowercase = true};
        if (kind == LNG_METRIC_CHRF)
            metric.chrf = lng_chrf_options_default(true);
        struct failing_memory memory = {0};
        size_t live = lng_mem_get_stats().blocks_live;
        while (failing_memory_try(&memory)) {
            union lng_statistics sums = {0};
            failing_memory_check(&memory, lng_metric_add(&metric, &sums, own, &other, 1));
        }
        cr_assert(lng_mem_get_stats().blocks_live == live && memory.tries > 4, "metric %d", kind);
    }
}
