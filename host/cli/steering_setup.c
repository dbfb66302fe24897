#include "host/cli/steering_setup.h"

#include <string.h>

#include "host/base/log.h"
#include "host/base/mem.h"

static enum lng_status same_vocabulary(const char *path, const char *first_path, const char *side,
                                       const struct lng_vocab *vocab, const struct lng_vocab *first)
{
    const int32_t size = lng_vocab_size(vocab), wanted = lng_vocab_size(first);
    LNG_FAIL_IF(size != wanted, LNG_ERR_MISMATCH,
                "%s: %s vocabulary: expected the %d entries of %s, found %d; models of an ensemble "
                "share their vocabularies",
                path, side, wanted, first_path, size);
    for (int32_t id = 0; id < size; id++) {
        struct lng_slice a = lng_vocab_entry(vocab, id), b = lng_vocab_entry(first, id);
        LNG_FAIL_IF(a.length != b.length || memcmp(a.data, b.data, a.length) != 0, LNG_ERR_MISMATCH,
                    "%s: %s vocabulary: entry %d: expected '%s' as in %s, found '%s'; models of an "
                    "ensemble share their vocabularies",
                    path, side, id, b.data, first_path, a.data);
    }
    return LNG_OK;
}

static enum lng_status check_tokenizer(const char *path, const char *first_path,
                                       const struct lng_tokenizer *tokenizer,
                                       const struct lng_tokenizer *first)
{
    static const char *const names[] = {"source", "target"};
    const enum lng_side sides[] = {LNG_SIDE_SOURCE, LNG_SIDE_TARGET};
    for (size_t i = 0; i < 2; i++)
        LNG_TRY(same_vocabulary(path, first_path, names[i],
                                lng_tokenizer_vocab(tokenizer, sides[i]),
                                lng_tokenizer_vocab(first, sides[i])));
    return LNG_OK;
}

/* Model `path` beside the first: the first one's tokenizer is used. */
static enum lng_status open_member(const struct lng_options *options, const char *path,
                                   const struct lng_infer_setup *first,
                                   struct lng_steering_setup *setup)
{
    struct lng_model_data data = {0};
    struct lng_tokenizer *tokenizer = NULL;
    struct lng_model *model = &setup->models[setup->opened];
    enum lng_status status;
    LNG_TRY(lng_model_data_open_lazily(path, &data));
    status =
        lng_model_place(&data, first->device,
                        lng_infer_choose_type(options, first->device, data.stored), false, model);
    if (status != LNG_OK) {
        lng_model_data_release(&data);
        return lng_fail_context(status, "%s", path);
    }
    setup->opened++;
    if (data.directory == NULL || data.generation.forced_bos != first->data.generation.forced_bos)
        status =
            lng_fail(LNG_ERR_MISMATCH,
                     "%s: expected a model directory with a vocabulary and the same forced first "
                     "token as %s",
                     path, options->model);
    if (status == LNG_OK)
        status = lng_tokenizer_open_directory(data.directory, &tokenizer);
    if (status == LNG_OK)
        status = check_tokenizer(path, options->model, tokenizer, first->tokenizer);
    if (status == LNG_OK)
        lng_info("%s: model %zu of the ensemble, %zu MiB", path, setup->opened + 1,
                 lng_model_bytes(model) >> 20);
    lng_tokenizer_close(tokenizer);
    lng_model_data_release(&data);
    return status;
}

static enum lng_status open_members(const struct lng_options *options,
                                    const struct lng_infer_setup *first,
                                    struct lng_steering_setup *setup)
{
    setup->count = options->models.count - 1;
    setup->models = lng_alloc(setup->count, sizeof *setup->models);
    setup->members = lng_alloc(setup->count, sizeof *setup->members);
    if (setup->models == NULL || setup->members == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < setup->count; i++) {
        LNG_TRY(open_member(options, options->models.items[i + 1], first, setup));
        setup->members[i] = &setup->models[i];
    }
    if (options->ensemble_weights.count == 0)
        return LNG_OK;
    setup->weights = lng_alloc(setup->count + 1, sizeof *setup->weights);
    if (setup->weights == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i <= setup->count; i++)
        LNG_FAIL_IF(lng_parse_double(options->ensemble_weights.items[i], 1e-6, 1e6,
                                     &setup->weights[i]) != LNG_OK,
                    LNG_ERR_USAGE,
                    "ensemble-weights: expected numbers from 1e-6 to 1e6, found '%s'",
                    options->ensemble_weights.items[i]);
    return LNG_OK;
}

static enum lng_status open_shortlist(const struct lng_options *options,
                                      const struct lng_infer_setup *first,
                                      struct lng_steering_setup *setup)
{
    const struct lng_shortlist_options wanted = {.first = options->shortlist_first,
                                                 .best = options->shortlist_best,
                                                 .threshold = options->shortlist_threshold};
    struct lng_shortlist *list = &setup->shortlist;
    LNG_TRY(lng_shortlist_read(options->shortlist,
                               lng_tokenizer_vocab(first->tokenizer, LNG_SIDE_SOURCE),
                               lng_tokenizer_vocab(first->tokenizer, LNG_SIDE_TARGET),
                               lng_tokenizer_is_shared(first->tokenizer), &wanted, list));
    lng_info("%s: the first %lld of %d target words, %lld targets of %lld source words",
             options->shortlist, (long long)list->first, list->target_rows,
             (long long)list->offsets[list->source_words], (long long)list->source_words);
    if (list->lines_left_out > 0)
        lng_warn("%s: %lld lines have words that the vocabularies have not", options->shortlist,
                 (long long)list->lines_left_out);
    return LNG_OK;
}

enum lng_status lng_steering_setup_open(const struct lng_options *options,
                                        const struct lng_infer_setup *first,
                                        struct lng_steering_setup *setup,
                                        struct lng_search_options *search)
{
    struct lng_steering *s = &search->steering;
    *setup = (struct lng_steering_setup){0};
    if (options->models.count > 1)
        LNG_TRY(open_members(options, first, setup));
    if (options->shortlist != NULL)
        LNG_TRY(open_shortlist(options, first, setup));
    s->choice = options->sample         ? LNG_CHOICE_SAMPLE
                : options->alternatives ? LNG_CHOICE_ALTERNATIVES
                                        : LNG_CHOICE_BEST;
    s->sampling = (struct lng_sampling){.temperature = options->sampling_temperature,
                                        .top_p = options->sampling_top_p,
                                        .top_k = options->sampling_top_k,
                                        .seed = (uint64_t)options->seed};
    s->min_alternative_probability = options->min_alternative_probability;
    s->repetition_penalty = options->repetition_penalty;
    s->no_repeat_ngram = options->no_repeat_ngram;
    s->coverage_penalty = options->coverage_penalty;
    s->members = setup->members;
    s->member_count = (int32_t)setup->count;
    s->weights = setup->weights;
    s->ensemble =
        options->ensemble == LNG_OPT_ENSEMBLE_MEAN ? LNG_ENSEMBLE_MEAN : LNG_ENSEMBLE_LOG_LINEAR;
    s->shortlist = options->shortlist ? &setup->shortlist : NULL;
    return LNG_OK;
}

void lng_steering_setup_close(struct lng_steering_setup *setup)
{
    for (size_t i = 0; i < setup->opened; i++)
        lng_model_release(&setup->models[i]);
    lng_free(setup->models);
    lng_free(setup->members);
    lng_free(setup->weights);
    lng_shortlist_release(&setup->shortlist);
    *setup = (struct lng_steering_setup){0};
}
