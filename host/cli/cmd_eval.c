/* lingster eval: translations and references -> BLEU, chrF and error rates. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/cmd.h"
#include "host/eval/bleu.h"
#include "host/eval/chrf.h"
#include "host/eval/error_rate.h"
#include "host/store/json.h"

enum {
    METRICS = LNG_OPT_METRIC_SENTENCE_ACCURACY + 1,
    TOKENIZED_LINES = 100, /* sacreBLEU warns from here on */
};

/* The hypothesis and its references, read side by side; file 0 is the hypothesis. */
struct inputs {
    const char **paths;
    struct lng_lines **files;
    struct lng_slice *lines; /* the current segment */
    uint64_t *counts;
    size_t count;
};

struct judgement {
    bool wanted[METRICS];
    enum lng_tokenization tokenization;
    size_t references;
    uint64_t segments, looks_tokenized;
    struct lng_bleu_counts bleu;
    struct lng_chrf_counts chrf, chrf_words;
    struct lng_error_counts errors;
};

static void close_inputs(struct inputs *inputs)
{
    for (size_t i = 0; inputs->files != NULL && i < inputs->count; i++)
        lng_lines_close(inputs->files[i]);
    lng_free(inputs->files);
    lng_free(inputs->paths);
    lng_free(inputs->lines);
    lng_free(inputs->counts);
    *inputs = (struct inputs){0};
}

static enum lng_status open_inputs(const struct lng_options *options, struct inputs *inputs)
{
    size_t count = options->references.count + 1, from_standard_input = 0;
    inputs->paths = lng_alloc(count, sizeof *inputs->paths);
    inputs->files = lng_alloc(count, sizeof *inputs->files);
    inputs->lines = lng_alloc(count, sizeof *inputs->lines);
    inputs->counts = lng_alloc(count, sizeof *inputs->counts);
    if (!inputs->paths || !inputs->files || !inputs->lines || !inputs->counts)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        inputs->paths[i] = i == 0 ? options->hypothesis : options->references.items[i - 1];
        from_standard_input += strcmp(inputs->paths[i], "-") == 0;
    }
    LNG_FAIL_IF(from_standard_input > 1, LNG_ERR_USAGE,
                "standard input (-) can be one of the files, not %zu", from_standard_input);
    inputs->count = count;
    for (size_t i = 0; i < count; i++)
        LNG_TRY(lng_lines_open(inputs->paths[i], &inputs->files[i]));
    return LNG_OK;
}

/* The next line of file i; *got false at its end. */
static enum lng_status read_line(struct inputs *inputs, size_t i, bool *got)
{
    struct lng_line line;
    LNG_TRY(lng_lines_next(inputs->files[i], &line, got));
    if (*got) {
        inputs->lines[i] = (struct lng_slice){line.data, line.length - line.carriage_return};
        inputs->counts[i]++;
    }
    return LNG_OK;
}

/* Some file has ended: all must have. Reads the others to their ends, to say how long they are. */
static enum lng_status check_lengths(struct inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++)
        for (bool got = true; got;)
            LNG_TRY(read_line(inputs, i, &got));
    for (size_t i = 1; i < inputs->count; i++)
        LNG_FAIL_IF(inputs->counts[i] != inputs->counts[0], LNG_ERR_MISMATCH,
                    "hypothesis %s has %" PRIu64 " lines, but reference %s has %" PRIu64
                    "; line n of both must belong together",
                    inputs->paths[0], inputs->counts[0], inputs->paths[i], inputs->counts[i]);
    LNG_FAIL_IF(inputs->counts[0] == 0, LNG_ERR_FORMAT,
                "%s is empty: expected at least one line to judge", inputs->paths[0]);
    return LNG_OK;
}

static bool ends_like_tokens(struct lng_slice line)
{
    return line.length >= 2 && memcmp(line.data + line.length - 2, " .", 2) == 0;
}

static enum lng_status add_segment(struct judgement *j, const struct lng_slice *lines)
{
    struct lng_slice hypothesis = lines[0];
    const struct lng_slice *references = lines + 1;
    if (j->wanted[LNG_OPT_METRIC_BLEU])
        LNG_TRY(lng_bleu_add(&j->bleu, j->tokenization, hypothesis, references, j->references));
    if (j->wanted[LNG_OPT_METRIC_CHRF])
        LNG_TRY(lng_chrf_add(&j->chrf, false, hypothesis, references, j->references));
    if (j->wanted[LNG_OPT_METRIC_CHRF_PLUS_PLUS])
        LNG_TRY(lng_chrf_add(&j->chrf_words, true, hypothesis, references, j->references));
    if (j->wanted[LNG_OPT_METRIC_WER] || j->wanted[LNG_OPT_METRIC_CER] ||
        j->wanted[LNG_OPT_METRIC_SENTENCE_ACCURACY])
        LNG_TRY(lng_error_add(&j->errors, hypothesis, references, j->references));
    j->looks_tokenized += ends_like_tokens(hypothesis);
    j->segments++;
    return LNG_OK;
}

static enum lng_status judge(struct inputs *inputs, struct judgement *j)
{
    for (;;) {
        size_t read = 0;
        for (size_t i = 0; i < inputs->count; i++) {
            bool got;
            LNG_TRY(read_line(inputs, i, &got));
            read += got;
        }
        if (read < inputs->count)
            return check_lengths(inputs);
        LNG_TRY(add_segment(j, inputs->lines));
    }
}

/* ---- the result ---- */

/* "nrefs:1|case:mixed|..." of BLEU, chrF and chrF++. */
static enum lng_status signature_of(const struct judgement *j, enum lng_opt_metric metric,
                                    struct lng_buffer *text)
{
    lng_buffer_clear(text);
    if (metric == LNG_OPT_METRIC_BLEU)
        return lng_bleu_signature(text, j->references, j->tokenization, LNG_BLEU_SMOOTH_EXP, false);
    return lng_chrf_signature(text, j->references, metric == LNG_OPT_METRIC_CHRF_PLUS_PLUS);
}

static double score_of(const struct judgement *j, enum lng_opt_metric metric)
{
    switch (metric) {
    case LNG_OPT_METRIC_BLEU:
        return lng_bleu_compute(&j->bleu, LNG_BLEU_SMOOTH_EXP, false).score;
    case LNG_OPT_METRIC_CHRF:
        return lng_chrf_compute(&j->chrf, false);
    case LNG_OPT_METRIC_CHRF_PLUS_PLUS:
        return lng_chrf_compute(&j->chrf_words, true);
    case LNG_OPT_METRIC_WER:
        return lng_word_error_rate(&j->errors);
    case LNG_OPT_METRIC_CER:
        return lng_character_error_rate(&j->errors);
    case LNG_OPT_METRIC_SENTENCE_ACCURACY:
        break;
    }
    return lng_sentence_accuracy(&j->errors);
}

/* What an error rate counts and out of how many. */
static void error_counts(const struct judgement *j, enum lng_opt_metric metric, int64_t *part,
                         int64_t *whole)
{
    const struct lng_error_counts *errors = &j->errors;
    bool words = metric == LNG_OPT_METRIC_WER, characters = metric == LNG_OPT_METRIC_CER;
    *part = words ? errors->word_edits : characters ? errors->character_edits : errors->exact;
    *whole = words ? errors->words : characters ? errors->characters : errors->segments;
}

static enum lng_status print_metric(const struct judgement *j, enum lng_opt_metric metric,
                                    struct lng_buffer *signature)
{
    double score = score_of(j, metric);
    int64_t part, whole;
    error_counts(j, metric, &part, &whole);
    switch (metric) {
    case LNG_OPT_METRIC_BLEU: {
        struct lng_bleu_score bleu = lng_bleu_compute(&j->bleu, LNG_BLEU_SMOOTH_EXP, false);
        LNG_TRY(signature_of(j, metric, signature));
        printf("BLEU|%s = %.2f %.1f/%.1f/%.1f/%.1f (BP = %.3f ratio = %.3f hyp_len = %" PRId64
               " ref_len = %" PRId64 ")\n",
               signature->data, score, bleu.precisions[0], bleu.precisions[1], bleu.precisions[2],
               bleu.precisions[3], bleu.brevity_penalty, bleu.ratio, j->bleu.hypothesis_length,
               j->bleu.reference_length);
        break;
    }
    case LNG_OPT_METRIC_CHRF:
    case LNG_OPT_METRIC_CHRF_PLUS_PLUS:
        LNG_TRY(signature_of(j, metric, signature));
        printf("chrF2%s|%s = %.2f\n", metric == LNG_OPT_METRIC_CHRF ? "" : "++", signature->data,
               score);
        break;
    case LNG_OPT_METRIC_WER:
        printf("WER = %.2f (edits = %" PRId64 " words = %" PRId64 ")\n", score, part, whole);
        break;
    case LNG_OPT_METRIC_CER:
        printf("CER = %.2f (edits = %" PRId64 " characters = %" PRId64 ")\n", score, part, whole);
        break;
    case LNG_OPT_METRIC_SENTENCE_ACCURACY:
        printf("sentence-accuracy = %.2f (exact = %" PRId64 " segments = %" PRId64 ")\n", score,
               part, whole);
        break;
    }
    return LNG_OK;
}

static enum lng_status add_bleu_json(const struct judgement *j, json_t *object)
{
    struct lng_bleu_score bleu = lng_bleu_compute(&j->bleu, LNG_BLEU_SMOOTH_EXP, false);
    json_t *precisions = json_array();
    for (int n = 0; n < LNG_BLEU_ORDERS; n++)
        if (json_array_append_new(precisions, lng_json_number(bleu.precisions[n])) != 0) {
            json_decref(precisions);
            return lng_fail(LNG_ERR_MEMORY, "out of memory");
        }
    LNG_TRY(lng_json_set(object, "precisions", precisions));
    LNG_TRY(lng_json_set(object, "brevity_penalty", lng_json_number(bleu.brevity_penalty)));
    LNG_TRY(lng_json_set(object, "ratio", lng_json_number(bleu.ratio)));
    LNG_TRY(lng_json_set(object, "hypothesis_length", json_integer(j->bleu.hypothesis_length)));
    return lng_json_set(object, "reference_length", json_integer(j->bleu.reference_length));
}

static enum lng_status add_metric_json(const struct judgement *j, enum lng_opt_metric metric,
                                       json_t *object, struct lng_buffer *signature)
{
    static const char *const names[METRICS][2] = {
        [LNG_OPT_METRIC_WER] = {"edits", "words"},
        [LNG_OPT_METRIC_CER] = {"edits", "characters"},
        [LNG_OPT_METRIC_SENTENCE_ACCURACY] = {"exact", "segments"},
    };
    LNG_TRY(lng_json_set(object, "score", lng_json_number(score_of(j, metric))));
    if (names[metric][0] != NULL) {
        int64_t part, whole;
        error_counts(j, metric, &part, &whole);
        LNG_TRY(lng_json_set(object, names[metric][0], json_integer(part)));
        return lng_json_set(object, names[metric][1], json_integer(whole));
    }
    LNG_TRY(signature_of(j, metric, signature));
    LNG_TRY(lng_json_set(object, "signature", json_string(signature->data)));
    return metric == LNG_OPT_METRIC_BLEU ? add_bleu_json(j, object) : LNG_OK;
}

static enum lng_status fill_json(const struct judgement *j, json_t *root)
{
    struct lng_buffer signature = {0};
    enum lng_status status = lng_json_set(root, "segments", json_integer((json_int_t)j->segments));
    if (status == LNG_OK)
        status = lng_json_set(root, "references", json_integer((json_int_t)j->references));
    for (int m = 0; m < METRICS && status == LNG_OK; m++) {
        if (!j->wanted[m])
            continue;
        json_t *object = json_object();
        status = lng_json_set(root, lng_choice_word(LNG_CHOICES_metric, m), object);
        if (status == LNG_OK)
            status = add_metric_json(j, (enum lng_opt_metric)m, object, &signature);
    }
    lng_buffer_release(&signature);
    return status;
}

static enum lng_status print_json(const struct judgement *j)
{
    json_t *root = json_object();
    LNG_FAIL_IF(root == NULL, LNG_ERR_MEMORY, "out of memory");
    struct lng_buffer text = {0};
    enum lng_status status = fill_json(j, root);
    if (status == LNG_OK)
        status = lng_json_print(root, &text);
    if (status == LNG_OK)
        fwrite(text.data, 1, text.length, stdout);
    lng_buffer_release(&text);
    json_decref(root);
    return status;
}

/* In the order in which they were asked for. */
static enum lng_status print_lines(const struct lng_options *options, const struct judgement *j)
{
    struct lng_buffer signature = {0};
    enum lng_status status = LNG_OK;
    bool printed[METRICS] = {false};
    for (size_t i = 0; i < options->metrics.count && status == LNG_OK; i++) {
        int metric = lng_choice_value(LNG_CHOICES_metric, options->metrics.items[i]);
        if (metric < 0 || printed[metric])
            continue;
        printed[metric] = true;
        status = print_metric(j, (enum lng_opt_metric)metric, &signature);
    }
    lng_buffer_release(&signature);
    return status;
}

enum lng_status lng_cmd_eval(const struct lng_options *options)
{
    static const enum lng_tokenization tokenizations[] = {
        [LNG_OPT_TOKENIZE_13A] = LNG_TOKENIZATION_13A,
        [LNG_OPT_TOKENIZE_CHAR] = LNG_TOKENIZATION_CHAR,
        [LNG_OPT_TOKENIZE_NONE] = LNG_TOKENIZATION_NONE,
    };
    struct judgement judgement = {.tokenization = tokenizations[options->tokenize],
                                  .references = options->references.count};
    for (size_t i = 0; i < options->metrics.count; i++) {
        int metric = lng_choice_value(LNG_CHOICES_metric, options->metrics.items[i]);
        if (metric >= 0)
            judgement.wanted[metric] = true;
    }
    struct inputs inputs = {0};
    enum lng_status status = open_inputs(options, &inputs);
    if (status == LNG_OK)
        status = judge(&inputs, &judgement);
    close_inputs(&inputs);
    LNG_TRY(status);
    if (judgement.looks_tokenized >= TOKENIZED_LINES && judgement.wanted[LNG_OPT_METRIC_BLEU] &&
        judgement.tokenization == LNG_TOKENIZATION_13A)
        lng_warn("%" PRIu64 " lines of %s end in ' .': it looks tokenised, which makes BLEU "
                 "incomparable; detokenise it, or judge it as it is with --tokenize none",
                 judgement.looks_tokenized, options->hypothesis);
    return options->json ? print_json(&judgement) : print_lines(options, &judgement);
}
