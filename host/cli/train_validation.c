#include "host/cli/train_validation.h"

#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/eval/bleu.h"
#include "host/eval/chrf.h"
#include "host/eval/error_rate.h"

static bool wants_translation(const struct lng_options *options)
{
    struct lng_early_stop stop;
    lng_early_stop_init(&stop, options);
    for (size_t i = 0; i < stop.count; i++)
        if (stop.best[i].metric > LNG_OPT_VALID_METRIC_ACCURACY)
            return true;
    return false;
}

static struct lng_batch_options batch_options(const struct lng_options *options,
                                              const struct lng_hparams *hparams)
{
    return (struct lng_batch_options){
        .max_tokens = options->train_batch_tokens > options->train_max_length
                          ? options->train_batch_tokens
                          : options->train_max_length,
        .max_length = options->train_max_length,
        .crop = true,
        .keep_empty = true,
        .in_order = true,
        .source_eos = hparams->source_eos,
        .target_eos = hparams->eos,
        .source_unknown = -1,
        .target_unknown = -1,
    };
}

/* The sources of the first sentences, as the window holds them. */
static enum lng_status prepare_inputs(struct lng_train_validation *v)
{
    int64_t most = v->options->valid_max_sentences;
    size_t wanted = most > 0 && (size_t)most < v->set.count ? (size_t)most : v->set.count;
    v->inputs = lng_alloc(wanted, sizeof *v->inputs);
    v->translations = lng_alloc(wanted, sizeof *v->translations);
    if (v->inputs == NULL || v->translations == NULL)
        return LNG_ERR_MEMORY;
    for (size_t b = 0; b < v->window.batch_count; b++) {
        struct lng_pair_batch batch = lng_batch_window_get(&v->window, b);
        for (int64_t s = 0; s < batch.count && v->input_count < wanted; s++) {
            int32_t first = batch.source_offsets[s], last = batch.source_offsets[s + 1];
            v->inputs[v->input_count++] = (struct lng_search_input){
                .source = batch.source_ids + first, .source_length = last - first};
        }
    }
    return LNG_OK;
}

static enum lng_status open_search(struct lng_train_validation *v, struct lng_model *model)
{
    struct lng_search_options search = lng_search_options_default();
    size_t banned;
    search.banned = lng_tokenizer_never(v->tokenizer, &banned);
    search.banned_count = banned;
    search.beam.beam = v->options->valid_beam_size;
    search.beam.n_best = 1;
    LNG_TRY(prepare_inputs(v));
    return lng_search_open(model, &search, &v->search);
}

enum lng_status lng_train_validation_open(struct lng_train_validation *validation,
                                          const struct lng_options *options,
                                          const struct lng_tokenizer *tokenizer,
                                          struct lng_model *model)
{
    struct lng_train_validation v = {.options = options, .tokenizer = tokenizer};
    struct lng_corpus_files files = {options->valid_source, options->valid_target};
    struct lng_batch_options batch = batch_options(options, &model->hparams);
    struct lng_encoder encoder;
    uint64_t cropped;
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_setup_encoder(options, tokenizer, false, &v.encoder_context, &encoder));
    LNG_TRY_OR_FAIL(lng_evaluation_set_open(&v.set, &files));
    LNG_TRY_OR_FAIL(lng_evaluation_set_encode(&v.set, &encoder, &batch, &v.window, &cropped));
    if (cropped > 0)
        lng_warn("%llu validation pairs are longer than --max-length %d and were cut",
                 (unsigned long long)cropped, options->train_max_length);
    LNG_TRY_OR_FAIL(lng_loss_validator_open(&v.loss, model, &v.window));
    if (wants_translation(options))
        LNG_TRY_OR_FAIL(open_search(&v, model));
    *validation = v;
    return LNG_OK;
fail:
    lng_train_validation_close(&v);
    return status;
}

void lng_train_validation_close(struct lng_train_validation *v)
{
    lng_search_close(v->search);
    lng_loss_validator_close(&v->loss);
    for (size_t i = 0; v->translations != NULL && i < v->input_count; i++)
        lng_buffer_release(&v->translations[i]);
    lng_free(v->translations);
    lng_free(v->inputs);
    lng_batch_window_release(&v->window);
    lng_evaluation_set_close(&v->set);
    *v = (struct lng_train_validation){0};
}

static enum lng_status keep_translation(void *context, const struct lng_search_result *result)
{
    struct lng_train_validation *v = context;
    const struct lng_hypothesis *best = &result->hypotheses[0];
    struct lng_buffer *text = &v->translations[result->index];
    lng_buffer_clear(text);
    return lng_tokenizer_decode(v->tokenizer, LNG_SIDE_TARGET, best->tokens, (size_t)best->length,
                                text);
}

static void set(struct lng_validation *result, enum lng_opt_valid_metric metric, double value)
{
    result->value[metric] = value;
    result->known[metric] = true;
}

/* Text that is already tokenised (symbols) is judged as it is; other text as sacreBLEU does by default. */
static enum lng_status judge(const struct lng_train_validation *v, struct lng_validation *result)
{
    struct lng_bleu_options how = lng_bleu_options_default();
    const struct lng_chrf_options chrf_how = lng_chrf_options_default(false);
    if (lng_tokenizer_get_kind(v->tokenizer) == LNG_TOKENIZER_SYMBOLS)
        how.tokenization = LNG_TOKENIZATION_NONE;
    struct lng_bleu_counts bleu = {0};
    struct lng_chrf_counts chrf = {0};
    struct lng_error_counts errors = {0};
    for (size_t i = 0; i < v->input_count; i++) {
        const struct lng_buffer *text = &v->translations[i];
        struct lng_slice hypothesis = {text->data ? text->data : "", text->length};
        struct lng_slice reference = lng_evaluation_set_line(&v->set, LNG_SIDE_TARGET, i);
        LNG_TRY(lng_bleu_add(&bleu, &how, hypothesis, &reference, 1));
        LNG_TRY(lng_chrf_add(&chrf, &chrf_how, hypothesis, &reference, 1));
        LNG_TRY(lng_error_add(&errors, hypothesis, &reference, 1, true));
    }
    set(result, LNG_OPT_VALID_METRIC_BLEU, lng_bleu_compute(&bleu, &how).score);
    set(result, LNG_OPT_VALID_METRIC_CHRF, lng_chrf_compute(&chrf, &chrf_how));
    set(result, LNG_OPT_VALID_METRIC_WER, lng_word_error_rate(&errors));
    set(result, LNG_OPT_VALID_METRIC_CER, lng_character_error_rate(&errors));
    set(result, LNG_OPT_VALID_METRIC_SENTENCE_ACCURACY, lng_sentence_accuracy(&errors));
    return LNG_OK;
}

enum lng_status lng_train_validate(void *context, struct lng_model *model,
                                   struct lng_validation *result)
{
    struct lng_train_validation *v = context;
    (void)model; /* the one given at opening */
    LNG_TRY(lng_loss_validate(&v->loss, &v->window, result));
    if (v->search == NULL)
        return LNG_OK;
    LNG_TRY(lng_search_run(v->search, v->inputs, (int64_t)v->input_count, keep_translation, v));
    return judge(v, result);
}
