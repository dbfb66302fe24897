#include "host/infer/translate.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/infer/align.h"
#include "host/infer/attention_map.h"
#include "host/infer/line_text.h"
#include "host/infer/risk_line.h"
#include "host/infer/translate_repeat.h"
#include "host/infer/translate_window.h"

/* A window also ends at so much text or so many tokens, so that long lines do not add up. */
enum { WINDOW_BYTES = 16 << 20, WINDOW_TOKENS = 2 << 20 };

struct lng_translate_options lng_translate_options_default(void)
{
    return (struct lng_translate_options){
        .search = lng_search_options_default(),
        .window = 10000,
        .repeat_bytes = (size_t)64 << 20,
        .max_segment = 256,
        .source_language = -1,
        .forced_bos = -1,
    };
}

static enum lng_status check_vocabulary(const struct lng_model *model,
                                        const struct lng_tokenizer *tokenizer, enum lng_side side)
{
    bool source = side == LNG_SIDE_SOURCE;
    int32_t has = source ? model->hparams.source_vocab : model->hparams.target_vocab;
    int32_t wants = lng_tokenizer_size(tokenizer, side);
    LNG_FAIL_IF(wants > has, LNG_ERR_MISMATCH,
                "the %s vocabulary has %d entries, the model only %d: they do not belong together",
                source ? "source" : "target", wants, has);
    return LNG_OK;
}

enum lng_status lng_translate_open_search(struct lng_model *model,
                                          const struct lng_tokenizer *tokenizer,
                                          const struct lng_search_options *options,
                                          struct lng_search **search)
{
    LNG_TRY(check_vocabulary(model, tokenizer, LNG_SIDE_SOURCE));
    LNG_TRY(check_vocabulary(model, tokenizer, LNG_SIDE_TARGET));
    struct lng_search_options all = *options;
    size_t never_count;
    const int32_t *never = lng_tokenizer_never(tokenizer, &never_count);
    int32_t known = lng_tokenizer_size(tokenizer, LNG_SIDE_TARGET);
    int32_t rows = model->hparams.target_vocab;
    size_t capacity = all.banned_count + never_count + (size_t)(rows - known), count = 0;
    int32_t *banned = lng_alloc(capacity, sizeof *banned);
    if (banned == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < all.banned_count; i++)
        banned[count++] = all.banned[i];
    for (size_t i = 0; i < never_count && !all.any_token; i++)
        banned[count++] = never[i];
    for (int32_t id = known; id < rows && !all.any_token; id++)
        banned[count++] = id;
    all.banned = banned;
    all.banned_count = count;
    enum lng_status status = lng_search_open(model, &all, search);
    lng_free(banned);
    return status;
}

static enum lng_status collect_languages(struct lng_translator *translator)
{
    const struct lng_vocab *vocab = lng_tokenizer_vocab(translator->tokenizer, LNG_SIDE_SOURCE);
    size_t capacity = 0;
    const char *name;
    for (size_t i = 0; (name = lng_tokenizer_language(translator->tokenizer, i)) != NULL; i++) {
        LNG_TRY(lng_grow(&translator->languages, &capacity, i + 1, sizeof *translator->languages));
        translator->languages[i] = lng_vocab_find(vocab, name, strlen(name));
        translator->language_count = i + 1;
    }
    return LNG_OK;
}

enum lng_status lng_translator_open(struct lng_model *model, const struct lng_tokenizer *tokenizer,
                                    const struct lng_translate_options *options,
                                    struct lng_translator **translator)
{
    LNG_FAIL_IF(options->window < 1, LNG_ERR_RANGE, "window: expected 1 line or more, found %lld",
                (long long)options->window);
    LNG_FAIL_IF(options->max_segment < 1, LNG_ERR_RANGE,
                "longest segment: expected 1 token or more, found %d", options->max_segment);
    LNG_FAIL_IF(options->forced_bos >= model->hparams.target_vocab, LNG_ERR_RANGE,
                "forced first token %d is outside the vocabulary of %d entries",
                options->forced_bos, model->hparams.target_vocab);
    LNG_FAIL_IF(options->source_language >= model->hparams.source_vocab, LNG_ERR_RANGE,
                "source language %d is outside the vocabulary of %d entries",
                options->source_language, model->hparams.source_vocab);
    struct lng_translator *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    made->model = model;
    made->tokenizer = tokenizer;
    made->options = *options;
    made->options.search.banned = NULL;
    made->options.search.banned_count = 0;
    struct lng_search_options search = options->search;
    search.alignment = lng_translate_wants_weights(options);
    search.scores = options->format != LNG_TRANSLATE_PLAIN || options->word_scores ||
                    options->map != NULL || options->risk != NULL;
    search.allow_unk = search.allow_unk || options->demand.replace_unk;
    search.beam.n_best = lng_risk_n_best(options);
    enum lng_status status =
        lng_demander_open(tokenizer, &options->demand, search.beam.max_length, &made->demander);
    if (made->demander != NULL)
        search.texts = &made->demander->token_texts;
    made->options.search.allow_unk = search.allow_unk; /* for a second search */
    made->options.search.texts = search.texts;
    if (status == LNG_OK)
        status = lng_translate_open_search(model, tokenizer, &search, &made->search);
    if (status == LNG_OK)
        status = lng_repeats_open(options->repeat_bytes, &made->repeats);
    if (status == LNG_OK)
        status = collect_languages(made);
    if (status == LNG_OK)
        status = lng_risk_state_open(options, &made->risk_state);
    if (status != LNG_OK) {
        lng_translator_close(made);
        return status;
    }
    *translator = made;
    return LNG_OK;
}

void lng_translator_close(struct lng_translator *translator)
{
    if (translator == NULL)
        return;
    lng_search_close(translator->search);
    lng_demander_close(translator->demander);
    lng_risk_state_close(translator->risk_state);
    if (translator->align != NULL)
        lng_align_release(translator->align);
    lng_free(translator->align);
    lng_repeats_close(translator->repeats);
    lng_window_release(&translator->window);
    lng_buffer_release(&translator->out);
    lng_buffer_release(&translator->scratch);
    lng_free(translator->languages);
    lng_free(translator);
}

void lng_translator_set_constraints(struct lng_translator *translator, struct lng_lines *lines)
{
    if (translator->demander != NULL)
        translator->demander->demand_lines = lines;
}

static bool window_is_full(const struct lng_translator *translator)
{
    const struct lng_window *w = &translator->window;
    return w->line_count >= (size_t)translator->options.window || w->texts.length >= WINDOW_BYTES ||
           w->ids.count >= WINDOW_TOKENS;
}

/* The prefix of the line read last. */
static enum lng_status next_prefix(struct lng_lines *prefixes, uint64_t number,
                                   struct lng_slice *prefix)
{
    struct lng_line line;
    bool got;
    *prefix = (struct lng_slice){NULL, 0};
    if (prefixes == NULL)
        return LNG_OK;
    LNG_TRY(lng_lines_next(prefixes, &line, &got));
    LNG_FAIL_IF(!got, LNG_ERR_MISMATCH,
                "there are only %llu prefixes, but more lines to translate; expected one a line",
                (unsigned long long)(number - 1));
    *prefix = lng_line_without_return((struct lng_slice){line.data, line.length});
    if (number == 1)
        *prefix = lng_line_without_mark(*prefix);
    return LNG_OK;
}

/* Reads until the window is full; *ended says that there is no more. */
static enum lng_status fill_window(struct lng_translator *translator, struct lng_lines *input,
                                   struct lng_lines *prefixes, bool *ended)
{
    lng_window_clear(&translator->window);
    lng_demander_clear(translator->demander);
    while (!window_is_full(translator)) {
        struct lng_line line;
        struct lng_slice prefix;
        bool got;
        LNG_TRY(lng_lines_next(input, &line, &got));
        if (!got) {
            *ended = true;
            return LNG_OK;
        }
        uint64_t number = lng_lines_number(input);
        LNG_TRY(next_prefix(prefixes, number, &prefix));
        LNG_TRY(lng_demand_next_line(translator->demander, number));
        struct lng_slice text = {line.data, line.length};
        enum lng_status status =
            lng_window_add(translator, number == 1 ? lng_line_without_mark(text) : text, prefix);
        if (status != LNG_OK)
            return lng_fail_context(status, "line %llu", (unsigned long long)number);
    }
    return LNG_OK;
}

static enum lng_status check_prefixes_ended(struct lng_lines *prefixes, uint64_t lines)
{
    struct lng_line line;
    bool got = false;
    if (prefixes != NULL)
        LNG_TRY(lng_lines_next(prefixes, &line, &got));
    LNG_FAIL_IF(got, LNG_ERR_MISMATCH,
                "there are more prefixes than the %llu lines to translate; expected one a line",
                (unsigned long long)lines);
    return LNG_OK;
}

enum lng_status lng_translator_run(struct lng_translator *translator, struct lng_lines *input,
                                   struct lng_lines *prefixes, lng_translate_write write,
                                   void *context)
{
    const struct lng_translate_options *o = &translator->options;
    uint64_t lines = lng_lines_number(input);
    for (bool ended = false; !ended;) {
        LNG_TRY(fill_window(translator, input, prefixes, &ended));
        if (ended)
            LNG_TRY(check_prefixes_ended(prefixes, lng_lines_number(input)));
        if (ended)
            LNG_TRY(lng_demand_check_ended(translator->demander, lng_lines_number(input)));
        translator->lines_done = lines;
        translator->running = true;
        enum lng_status status = lng_window_search(translator);
        translator->running = false;
        LNG_TRY(status);
        LNG_TRY(lng_risk_apply(translator, lines));
        if (o->map != NULL)
            LNG_TRY(lng_attention_map_add_window(o->map, translator, lines));
        lng_buffer_clear(&translator->out);
        LNG_TRY(lng_window_format(translator, lines));
        lines += translator->window.line_count;
        if (translator->out.length > 0)
            LNG_TRY(write(context, translator->out.data, translator->out.length));
        if (o->progress != NULL)
            o->progress(o->progress_context, lines);
        LNG_FAIL_IF(!ended && o->interrupted != NULL && *o->interrupted, LNG_ERR_INTERRUPTED,
                    "interrupted after line %llu; what was translated so far is written",
                    (unsigned long long)lines);
    }
    return LNG_OK;
}

/* Does something with a window that was searched. */
typedef enum lng_status (*finish_window)(struct lng_translator *translator, void *context);

static enum lng_status translate_texts(struct lng_translator *translator,
                                       const struct lng_slice *lines, size_t count,
                                       finish_window finish, void *context)
{
    struct lng_slice none = {NULL, 0};
    for (size_t done = 0; done < count;) {
        lng_window_clear(&translator->window);
        lng_demander_clear(translator->demander);
        for (; done < count && !window_is_full(translator); done++)
            LNG_TRY(lng_window_add(translator, lng_line_without_return(lines[done]), none));
        LNG_TRY(lng_window_search(translator));
        LNG_TRY(finish(translator, context));
    }
    return LNG_OK;
}

static enum lng_status append_plain(struct lng_translator *translator, void *text)
{
    struct lng_translate_options given = translator->options;
    lng_buffer_clear(&translator->out);
    translator->options.format = LNG_TRANSLATE_PLAIN;
    translator->options.alignment = LNG_TRANSLATE_ALIGNMENT_NONE;
    translator->options.word_scores = false;
    enum lng_status status = lng_window_format(translator, 0);
    translator->options = given;
    if (status == LNG_OK && translator->out.length > 0)
        status = lng_buffer_append(text, translator->out.data, translator->out.length);
    return status;
}

enum lng_status lng_translator_texts(struct lng_translator *translator,
                                     const struct lng_slice *lines, size_t count,
                                     struct lng_buffer *text)
{
    return translate_texts(translator, lines, count, append_plain, text);
}

struct aligned_taker {
    lng_take_aligned take;
    void *context;
};

static enum lng_status take_aligned(struct lng_translator *translator, void *context)
{
    const struct aligned_taker *taker = context;
    return lng_window_take_aligned(translator, taker->take, taker->context);
}

enum lng_status lng_translator_aligned(struct lng_translator *translator,
                                       const struct lng_slice *lines, size_t count,
                                       lng_take_aligned take, void *context)
{
    struct aligned_taker taker = {take, context};
    LNG_FAIL_IF(
        translator->options.alignment == LNG_TRANSLATE_ALIGNMENT_NONE, LNG_ERR_INTERNAL,
        "translation with what corresponds: expected a translator opened with an alignment");
    return translate_texts(translator, lines, count, take_aligned, &taker);
}

struct lng_translate_stats lng_translator_get_stats(const struct lng_translator *translator)
{
    struct lng_translate_stats stats = translator->stats;
    stats.search = lng_search_get_stats(translator->search);
    return stats;
}
