#include "host/cli/translate_search.h"

#include "host/infer/compat.h"

enum { NO_MAX_LENGTH = 1 << 20 };

static enum lng_beam_rule rule_of(enum lng_opt_length_penalty penalty)
{
    switch (penalty) {
    case LNG_OPT_LENGTH_PENALTY_CTRANSLATE2:
        return LNG_BEAM_RULE_CTRANSLATE2;
    case LNG_OPT_LENGTH_PENALTY_WU:
        return LNG_BEAM_RULE_WU;
    case LNG_OPT_LENGTH_PENALTY_NONE:
        return LNG_BEAM_RULE_NONE;
    default:
        return LNG_BEAM_RULE_MARIAN;
    }
}

static enum lng_beam_stop stop_of(enum lng_opt_search_stop stop)
{
    switch (stop) {
    case LNG_OPT_SEARCH_STOP_HEURISTIC:
        return LNG_BEAM_STOP_HEURISTIC;
    case LNG_OPT_SEARCH_STOP_NEVER:
        return LNG_BEAM_STOP_NEVER;
    case LNG_OPT_SEARCH_STOP_EARLY:
        return LNG_BEAM_STOP_EARLY;
    case LNG_OPT_SEARCH_STOP_FILLED:
        return LNG_BEAM_STOP_FILLED;
    case LNG_OPT_SEARCH_STOP_SHRINK:
        return LNG_BEAM_STOP_SHRINK;
    default:
        return LNG_BEAM_STOP_EXACT;
    }
}

static struct lng_demand_options demand_options(const struct lng_options *options)
{
    return (struct lng_demand_options){
        .constraints = options->constraints != NULL,
        .terminology = options->terminology,
        .terminology_ignore_case = options->terminology_ignore_case,
        .placeholders = options->placeholders,
        .patterns = (const char *const *)options->placeholder.items,
        .pattern_count = options->placeholder.count,
        .prefix_bias = options->prefix != NULL ? options->prefix_bias : 0.0,
        .replace_unk = options->replace_unk,
        .unk_dictionary = options->replace_unk ? options->unk_dictionary : NULL,
    };
}

struct lng_translate_options lng_translate_search_options(const struct lng_options *options)
{
    struct lng_translate_options t = lng_translate_options_default();
    struct lng_beam_options *beam = &t.search.beam;
    beam->beam = options->beam_size;
    beam->n_best = options->n_best;
    beam->rule = rule_of(options->length_penalty);
    beam->stop = stop_of(options->search_stop);
    beam->alpha = options->length_penalty_alpha;
    beam->word_penalty = options->word_penalty;
    beam->min_length = options->min_length;
    beam->max_length = options->max_length > 0 ? options->max_length : NO_MAX_LENGTH;
    beam->max_factor = options->max_length_factor;
    beam->max_extra = options->max_length_extra;
    t.search.allow_unk = options->allow_unk;
    t.search.batch_tokens = options->batch_tokens;
    t.search.batch_sentences = options->batch_sentences;
    t.search.workers = options->workers;
    t.format = options->json         ? LNG_TRANSLATE_JSON
               : options->n_best > 1 ? LNG_TRANSLATE_NBEST
                                     : LNG_TRANSLATE_PLAIN;
    t.window = options->window;
    t.max_segment = options->max_segment;
    t.repeat_bytes = (size_t)options->repeat_cache;
    t.demand = demand_options(options);
    return t;
}

/* Constrained beams choose by their own rule, on the first model's log-probabilities. */
static enum lng_status check_together(const struct lng_translate_options *t)
{
    const struct lng_demand_options *d = &t->demand;
    const char *demand = d->constraints                            ? "--constraints"
                         : d->terminology != NULL                  ? "--terminology"
                         : d->placeholders || d->pattern_count > 0 ? "--placeholders"
                         : d->prefix_bias > 0                      ? "--prefix-bias"
                                                                   : NULL;
    LNG_FAIL_IF(demand != NULL && lng_steering_is_on(&t->search.steering), LNG_ERR_USAGE,
                "%s cannot be used together with --sample, --alternatives, penalties, several "
                "models or --shortlist",
                demand);
    return LNG_OK;
}

enum lng_status lng_translate_search_open(const struct lng_options *options,
                                          struct lng_translate_search *search,
                                          struct lng_translate_options *translate)
{
    struct lng_infer_setup *setup = &search->setup;
    struct lng_gpu_list *gpus = &search->gpus;
    struct lng_options first = *options;
    LNG_TRY(lng_gpu_list_parse(options->device, gpus));
    LNG_FAIL_IF(gpus->count > 1 && options->models.count > 1, LNG_ERR_USAGE,
                "--device %s: several models translate on one GPU; name one, or give one --model",
                options->device);
    first.device = gpus->names[0];
    LNG_TRY(lng_infer_setup_open(&first, setup));
    LNG_TRY(lng_gpu_list_open(gpus, &setup->model));
    translate->search.copies = (struct lng_model *const *)gpus->copies;
    translate->search.copy_count = gpus->opened;
    LNG_TRY(lng_steering_setup_open(options, setup, &search->steering, &translate->search));
    translate->forced_bos = setup->data.generation.forced_bos;
    lng_compat_search(options, &setup->data, &setup->generation, translate);
    if (translate->search.steering.choice != LNG_CHOICE_BEST) /* whatever a toolkit's beam is */
        translate->search.beam.beam = options->n_best;
    LNG_TRY(
        lng_infer_languages(options, setup, &translate->source_language, &translate->forced_bos));
    return check_together(translate);
}

void lng_translate_search_close(struct lng_translate_search *search)
{
    lng_steering_setup_close(&search->steering);
    lng_gpu_list_close(&search->gpus);
    lng_infer_setup_close(&search->setup);
}
