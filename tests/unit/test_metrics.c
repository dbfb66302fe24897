/* BLEU and chrF against what sacreBLEU gave the same corpora; error rates by hand. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/eval/bleu.h"
#include "host/eval/chrf.h"
#include "host/eval/error_rate.h"

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

static enum lng_tokenization tokenization;
static enum lng_status add_bleu(void *counts, struct lng_slice hypothesis,
                                const struct lng_slice *references, size_t count)
{
    return lng_bleu_add(counts, tokenization, hypothesis, references, count);
}
static enum lng_status add_chrf(void *counts, struct lng_slice hypothesis,
                                const struct lng_slice *references, size_t count)
{
    return lng_chrf_add(counts, false, hypothesis, references, count);
}
static enum lng_status add_chrf_words(void *counts, struct lng_slice hypothesis,
                                      const struct lng_slice *references, size_t count)
{
    return lng_chrf_add(counts, true, hypothesis, references, count);
}

static void check_value(const json_t *corpus, const char *key, double got)
{
    double want = json_number_value(json_object_get(corpus, key));
    cr_assert(fabs(got - want) < 1e-9, "%s: got %.12f, sacreBLEU %.12f", key, got, want);
}

static void check_bleu(const json_t *corpus)
{
    for (tokenization = LNG_TOKENIZATION_13A; tokenization <= LNG_TOKENIZATION_NONE;
         tokenization++) {
        const json_t *want =
            json_object_get(json_object_get(corpus, "bleu"), lng_tokenization_name(tokenization));
        struct lng_bleu_counts counts = {0};
        add_corpus(corpus, add_bleu, &counts);
        struct lng_bleu_score got = lng_bleu_compute(&counts, LNG_BLEU_SMOOTH_EXP, false);
        check_value(want, "score", got.score);
        check_value(want, "bp", got.brevity_penalty);
        const json_t *lengths = json_object_get(want, "lengths");
        cr_assert(counts.hypothesis_length == json_integer_value(json_array_get(lengths, 0)));
        cr_assert(counts.reference_length == json_integer_value(json_array_get(lengths, 1)));
        for (size_t n = 0; n < LNG_BLEU_ORDERS; n++)
            cr_assert(fabs(got.precisions[n] - json_number_value(json_array_get(
                                                   json_object_get(want, "precisions"), n))) <
                      1e-9);
        if (tokenization != LNG_TOKENIZATION_13A)
            continue;
        check_value(corpus, "bleu_none",
                    lng_bleu_compute(&counts, LNG_BLEU_SMOOTH_NONE, false).score);
        check_value(corpus, "bleu_floor",
                    lng_bleu_compute(&counts, LNG_BLEU_SMOOTH_FLOOR, false).score);
        check_value(corpus, "bleu_add-k",
                    lng_bleu_compute(&counts, LNG_BLEU_SMOOTH_ADD_K, false).score);
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
    struct lng_slice first = slice_of(json_array_get(json_object_get(corpus, "hypotheses"), 0));
    cr_assert(lng_bleu_add(&counts, LNG_TOKENIZATION_13A, first, refs, count) == LNG_OK);
    check_value(corpus, "sentence_bleu",
                lng_bleu_compute(&counts, LNG_BLEU_SMOOTH_EXP, true).score);
}

Test(metrics, bleu_and_chrf_equal_sacrebleu)
{
    json_t *golden = load_golden(), *corpus;
    size_t index;
    json_array_foreach(json_object_get(golden, "corpora"), index, corpus)
    {
        check_bleu(corpus);
        check_sentence(corpus);
        struct lng_chrf_counts chrf = {0}, words = {0};
        add_corpus(corpus, add_chrf, &chrf);
        add_corpus(corpus, add_chrf_words, &words);
        check_value(corpus, "chrf", lng_chrf_compute(&chrf, false));
        check_value(corpus, "chrf++", lng_chrf_compute(&words, true));
    }
    cr_assert(index == 60);
    json_decref(golden);
}

Test(metrics, signatures_name_what_was_done)
{
    struct lng_buffer text = {0};
    cr_assert(lng_bleu_signature(&text, 2, LNG_TOKENIZATION_13A, LNG_BLEU_SMOOTH_EXP, false) ==
              LNG_OK);
    cr_assert(strstr(text.data, "nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0-") ==
              text.data);
    lng_buffer_clear(&text);
    cr_assert(lng_chrf_signature(&text, 1, true) == LNG_OK);
    cr_assert(strstr(text.data, "nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:") ==
              text.data);
    lng_buffer_release(&text);
}

Test(metrics, error_rates_by_hand)
{
    struct lng_error_counts counts = {0};
    struct lng_slice reference = lng_slice_of("a b c d");
    cr_assert(lng_error_add(&counts, lng_slice_of("a x c"), &reference, 1) == LNG_OK);
    cr_assert(counts.word_edits == 2 && counts.words == 4 && counts.exact == 0);
    cr_assert(counts.character_edits == 3 && counts.characters == 7);
    cr_assert(lng_error_add(&counts, reference, &reference, 1) == LNG_OK);
    cr_assert(fabs(lng_word_error_rate(&counts) - 25) < 1e-12);
    cr_assert(fabs(lng_character_error_rate(&counts) - 100 * 3.0 / 14) < 1e-12);
    cr_assert(fabs(lng_sentence_accuracy(&counts) - 50) < 1e-12);
    struct lng_slice both[] = {lng_slice_of("x y"), lng_slice_of("ä b")};
    struct lng_error_counts closest = {0};
    cr_assert(lng_error_add(&closest, lng_slice_of("a b"), both, 2) == LNG_OK);
    cr_assert(closest.word_edits == 1 && closest.character_edits == 1 && closest.characters == 3);
}

Test(metrics, no_reference_is_refused)
{
    struct lng_bleu_counts bleu = {0};
    struct lng_chrf_counts chrf = {0};
    struct lng_error_counts error = {0};
    struct lng_slice text = lng_slice_of("a");
    cr_assert(lng_bleu_add(&bleu, LNG_TOKENIZATION_13A, text, NULL, 0) == LNG_ERR_USAGE);
    cr_assert(lng_chrf_add(&chrf, false, text, NULL, 0) == LNG_ERR_USAGE);
    cr_assert(lng_error_add(&error, text, NULL, 0) == LNG_ERR_USAGE);
    cr_assert(strstr(lng_error_message(), "reference") != NULL);
}
