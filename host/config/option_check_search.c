/* What the options of lingster translate say about each other. */
#include "host/config/option_table.h"

static const char *where(const struct lng_options *options, enum lng_option_id id)
{
    return options->origin[id].where;
}

/* Options that do something only together with another. */
static enum lng_status check_company(const struct lng_options *options)
{
    const struct {
        enum lng_option_id id;
        bool works;
        const char *needs;
    } rows[] = {
        {LNG_OPTION_sampling_temperature, options->sample, "--sample"},
        {LNG_OPTION_sampling_top_k, options->sample, "--sample"},
        {LNG_OPTION_sampling_top_p, options->sample, "--sample"},
        {LNG_OPTION_min_alternative_probability, options->alternatives, "--alternatives"},
        {LNG_OPTION_shortlist_first, options->shortlist != NULL, "--shortlist"},
        {LNG_OPTION_shortlist_best, options->shortlist != NULL, "--shortlist"},
        {LNG_OPTION_shortlist_threshold, options->shortlist != NULL, "--shortlist"},
        {LNG_OPTION_ensemble, options->models.count > 1, "several --model"},
        {LNG_OPTION_ensemble_weights, options->models.count > 1, "several --model"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        LNG_FAIL_IF(options->origin[rows[i].id].source > LNG_SOURCE_DERIVED && !rows[i].works,
                    LNG_ERR_USAGE, "%s (from %s) does nothing without %s",
                    lng_option_rows[rows[i].id].name, where(options, rows[i].id), rows[i].needs);
    return LNG_OK;
}

/* Samples and alternatives are no beam search. */
static enum lng_status check_choice(const struct lng_options *options)
{
    static const enum lng_option_id of_beams[] = {LNG_OPTION_beam_size, LNG_OPTION_search_stop};
    LNG_FAIL_IF(options->sample && options->alternatives, LNG_ERR_USAGE,
                "sample (from %s) and alternatives (from %s): choose one",
                where(options, LNG_OPTION_sample), where(options, LNG_OPTION_alternatives));
    enum lng_option_id kind = options->sample ? LNG_OPTION_sample : LNG_OPTION_alternatives;
    for (size_t i = 0; i < sizeof of_beams / sizeof of_beams[0]; i++)
        LNG_FAIL_IF(options->origin[of_beams[i]].source > LNG_SOURCE_DERIVED, LNG_ERR_USAGE,
                    "%s (from %s) is for beam search, not for %s (from %s); --n-best says how many "
                    "there are",
                    lng_option_rows[of_beams[i]].name, where(options, of_beams[i]),
                    lng_option_rows[kind].name, where(options, kind));
    LNG_FAIL_IF(options->alternatives && options->n_best < 2, LNG_ERR_USAGE,
                "alternatives (from %s) needs --n-best 2 or more",
                where(options, LNG_OPTION_alternatives));
    return LNG_OK;
}

enum lng_status lng_option_check_search(const struct lng_options *options)
{
    bool beams = !options->sample && !options->alternatives;
    /* With --compat the model may have a say. */
    bool beam_known =
        options->compat == LNG_OPT_COMPAT_NONE || LNG_OPTION_IS_SET(options, beam_size);
    LNG_FAIL_IF(beams && beam_known && options->n_best > options->beam_size, LNG_ERR_USAGE,
                "n-best (%d, from %s) is more than beam-size (%d, from %s)", options->n_best,
                where(options, LNG_OPTION_n_best), options->beam_size,
                where(options, LNG_OPTION_beam_size));
    LNG_FAIL_IF(options->max_length > 0 && options->min_length > options->max_length, LNG_ERR_USAGE,
                "min-length (%d, from %s) is more than max-length (%d, from %s)",
                options->min_length, where(options, LNG_OPTION_min_length), options->max_length,
                where(options, LNG_OPTION_max_length));
    if (!beams)
        LNG_TRY(check_choice(options));
    LNG_TRY(check_company(options));
    const size_t weights = options->ensemble_weights.count, models = options->models.count;
    LNG_FAIL_IF(weights > 0 && weights != models, LNG_ERR_USAGE,
                "ensemble-weights has %zu weights for %zu models", weights, models);
    return LNG_OK;
}
