/* lingster eval's results as JSON. */
#include <stdio.h>

#include "host/cli/eval_run.h"
#include "host/store/json.h"

static enum lng_status add_bleu(json_t *object, const struct lng_bleu_options *options,
                                const struct lng_bleu_counts *counts)
{
    struct lng_bleu_score bleu = lng_bleu_compute(counts, options);
    json_t *precisions = json_array();
    for (int n = 0; n < LNG_BLEU_ORDERS; n++)
        if (json_array_append_new(precisions, lng_json_number(bleu.precisions[n])) != 0) {
            json_decref(precisions);
            return lng_fail(LNG_ERR_MEMORY, "out of memory");
        }
    LNG_TRY(lng_json_set(object, "precisions", precisions));
    LNG_TRY(lng_json_set(object, "brevity_penalty", lng_json_number(bleu.brevity_penalty)));
    LNG_TRY(lng_json_set(object, "ratio", lng_json_number(bleu.ratio)));
    LNG_TRY(lng_json_set(object, "hypothesis_length", json_integer(counts->hypothesis_length)));
    return lng_json_set(object, "reference_length", json_integer(counts->reference_length));
}

static enum lng_status add_ter(json_t *object, const struct lng_ter_counts *counts)
{
    LNG_TRY(lng_json_set(object, "edits", json_integer((json_int_t)counts->edits)));
    return lng_json_set(object, "reference_length", lng_json_number(counts->reference_length));
}

static enum lng_status add_pair(json_t *object, const char *part_name, int64_t part,
                                const char *whole_name, int64_t whole)
{
    LNG_TRY(lng_json_set(object, part_name, json_integer(part)));
    return lng_json_set(object, whole_name, json_integer(whole));
}

static enum lng_status add_error(json_t *object, enum lng_metric_error error,
                                 const struct lng_error_counts *counts)
{
    switch (error) {
    case LNG_METRIC_WER:
        return add_pair(object, "edits", counts->word_edits, "words", counts->words);
    case LNG_METRIC_CER:
        return add_pair(object, "edits", counts->character_edits, "characters", counts->characters);
    case LNG_METRIC_SENTENCE_ACCURACY:
        return add_pair(object, "exact", counts->exact, "segments", counts->segments);
    case LNG_METRIC_TOKEN_ACCURACY:
        return add_pair(object, "in_place", counts->in_place, "places", counts->places);
    case LNG_METRIC_F1:
        break;
    }
    LNG_TRY(lng_json_set(object, "precision", lng_json_number(lng_token_precision(counts))));
    return lng_json_set(object, "recall", lng_json_number(lng_token_recall(counts)));
}

static enum lng_status add_resampling(json_t *object, const struct lng_eval_result *result)
{
    if (result->has_interval) {
        LNG_TRY(lng_json_set(object, "confidence_mean", lng_json_number(result->interval.mean)));
        LNG_TRY(lng_json_set(object, "confidence_half_width",
                             lng_json_number(result->interval.half_width)));
    }
    return result->has_p ? lng_json_set(object, "p_value", lng_json_number(result->p)) : LNG_OK;
}

static enum lng_status add_signature(const struct lng_eval *eval, size_t m, json_t *object)
{
    struct lng_buffer name = {0}, signature = {0};
    enum lng_status status = lng_eval_names(eval, m, &name, &signature);
    if (status == LNG_OK)
        status = lng_json_set(object, "name", json_string(name.data));
    if (status == LNG_OK && signature.length > 0)
        status = lng_json_set(object, "signature", json_string(signature.data));
    lng_buffer_release(&name);
    lng_buffer_release(&signature);
    return status;
}

static enum lng_status add_metric(const struct lng_eval *eval, size_t system, size_t m,
                                  json_t *object)
{
    const struct lng_metric *metric = &eval->metrics[m];
    const struct lng_eval_result *result = &eval->systems[system].results[m];
    union lng_statistics sums = lng_eval_statistics(eval, system, m);
    LNG_TRY(lng_json_set(object, "score", lng_json_number(result->score)));
    LNG_TRY(add_resampling(object, result));
    LNG_TRY(add_signature(eval, m, object));
    switch (metric->kind) {
    case LNG_METRIC_BLEU:
        return add_bleu(object, &metric->bleu, &sums.bleu);
    case LNG_METRIC_TER:
        return add_ter(object, &sums.ter);
    case LNG_METRIC_ERROR:
        return add_error(object, metric->error, &sums.error);
    case LNG_METRIC_CHRF:
        break;
    }
    return LNG_OK;
}

static enum lng_status add_system(const struct lng_eval *eval, size_t system, json_t *object)
{
    for (size_t m = 0; m < eval->metric_count; m++) {
        json_t *metric = json_object();
        const char *key = lng_choice_word(LNG_CHOICES_metric, (int)eval->words[m]);
        LNG_TRY(lng_json_set(object, key, metric));
        LNG_TRY(add_metric(eval, system, m, metric));
    }
    return LNG_OK;
}

static enum lng_status add_systems(const struct lng_eval *eval, json_t *list)
{
    for (size_t s = 0; s < eval->system_count; s++) {
        json_t *system = json_object();
        LNG_FAIL_IF(json_array_append_new(list, system) != 0, LNG_ERR_MEMORY, "out of memory");
        const char *path = eval->systems[s].path;
        struct lng_buffer name = {0};
        enum lng_status status =
            lng_buffer_append_repaired(&name, path, lng_slice_of(path).length, NULL);
        if (status == LNG_OK)
            status = lng_json_set(system, "system", json_string(name.data ? name.data : ""));
        lng_buffer_release(&name);
        LNG_TRY(status);
        LNG_TRY(add_system(eval, s, system));
    }
    return LNG_OK;
}

static enum lng_status fill(const struct lng_eval *eval, json_t *root)
{
    LNG_TRY(lng_json_set(root, "segments", json_integer((json_int_t)eval->segments)));
    LNG_TRY(lng_json_set(root, "references", json_integer((json_int_t)eval->reference_count)));
    if (eval->system_count == 1)
        return add_system(eval, 0, root);
    json_t *systems = json_array();
    LNG_TRY(lng_json_set(root, "systems", systems));
    return add_systems(eval, systems);
}

enum lng_status lng_eval_print_json(const struct lng_eval *eval)
{
    json_t *root = json_object();
    LNG_FAIL_IF(root == NULL, LNG_ERR_MEMORY, "out of memory");
    struct lng_buffer text = {0};
    enum lng_status status = fill(eval, root);
    if (status == LNG_OK)
        status = lng_json_print(root, &text);
    if (status == LNG_OK)
        fwrite(text.data, 1, text.length, stdout);
    lng_buffer_release(&text);
    json_decref(root);
    return status;
}

static enum lng_status fill_sentence(const struct lng_eval *eval, json_t *root)
{
    for (size_t m = 0; m < eval->metric_count; m++)
        LNG_TRY(lng_json_set(root, lng_choice_word(LNG_CHOICES_metric, (int)eval->words[m]),
                             lng_json_number(eval->systems[0].results[m].score)));
    return LNG_OK;
}

static enum lng_status print_sentence_object(const struct lng_eval *eval)
{
    json_t *root = json_object();
    LNG_FAIL_IF(root == NULL, LNG_ERR_MEMORY, "out of memory");
    struct lng_buffer text = {0};
    enum lng_status status = fill_sentence(eval, root);
    if (status == LNG_OK)
        status = lng_json_print_compact(root, &text);
    if (status == LNG_OK)
        printf("%s\n", text.data);
    lng_buffer_release(&text);
    json_decref(root);
    return status;
}

enum lng_status lng_eval_print_sentence(const struct lng_eval *eval)
{
    if (eval->options->json)
        return print_sentence_object(eval);
    for (size_t m = 0; m < eval->metric_count; m++)
        printf("%s%.*f", m == 0 ? "" : "\t", eval->options->width,
               eval->systems[0].results[m].score);
    putchar('\n');
    return LNG_OK;
}
