#include "host/infer/compat.h"

#include <math.h>

#include "host/store/import.h"

static const double marian_epsilon = 1e-6, other_epsilon = 1e-5;

/* ---- the model ---- */

static enum lng_status change_positions(struct lng_model_data *data, enum lng_positions from,
                                        enum lng_positions to, const char *why,
                                        struct lng_buffer *choices)
{
    struct lng_hparams *h = &data->hparams;
    if (h->positions != from)
        return LNG_OK;
    h->positions = to;
    return lng_buffer_append_format(choices, "positions: sinusoids of family %s: %s\n",
                                    to == LNG_POSITIONS_A ? "A" : "B", why);
}

static enum lng_status change_epsilon(struct lng_model_data *data, double epsilon, const char *why,
                                      struct lng_buffer *choices)
{
    if (data->hparams.norm_epsilon == epsilon)
        return LNG_OK;
    data->hparams.norm_epsilon = epsilon;
    return lng_buffer_append_format(choices, "norm epsilon: %g: %s\n", epsilon, why);
}

/* The logit of <pad>, whose row is zero in what Marian trained; a model without output bias has 0 already. */
static enum lng_status change_pad(struct lng_model_data *data, float logit, const char *why,
                                  struct lng_buffer *choices)
{
    const struct lng_param *bias = lng_params_find(&data->params, LNG_PARAM_OUTPUT_BIAS, -1);
    int32_t pad = data->hparams.pad;
    if (!bias || pad < 0 || data->values[bias->offset + pad] == logit)
        return LNG_OK;
    data->values[bias->offset + pad] = logit;
    return lng_buffer_append_format(choices, "padding: %s: %s\n",
                                    logit == 0 ? "in the normaliser" : "no part of the vocabulary",
                                    why);
}

enum lng_status lng_compat_model(enum lng_opt_compat compat, struct lng_model_data *data,
                                 struct lng_buffer *choices)
{
    static const char marian[] = "Marian's own",
                      conversion[] = "as its conversion of Marian's has it";
    bool of_marian = data->origin == LNG_ORIGIN_MARIAN;
    bool converted = data->origin == LNG_ORIGIN_TRANSFORMERS && !data->hparams.pre_norm;
    if (compat == LNG_OPT_COMPAT_MARIAN && converted) {
        LNG_TRY(change_positions(data, LNG_POSITIONS_B, LNG_POSITIONS_A, marian, choices));
        LNG_TRY(change_epsilon(data, marian_epsilon, marian, choices));
        return change_pad(data, LNG_IMPORT_NEVER, "Marian has none", choices);
    }
    if (compat == LNG_OPT_COMPAT_CTRANSLATE2 && converted)
        return change_pad(data, LNG_IMPORT_NEVER, "CTranslate2's conversion drops it", choices);
    if ((compat == LNG_OPT_COMPAT_CTRANSLATE2 || compat == LNG_OPT_COMPAT_HF) && of_marian) {
        LNG_TRY(change_positions(data, LNG_POSITIONS_A, LNG_POSITIONS_B, conversion, choices));
        LNG_TRY(change_epsilon(data, other_epsilon, conversion, choices));
    }
    return compat == LNG_OPT_COMPAT_HF && of_marian ? change_pad(data, 0, conversion, choices)
                                                    : LNG_OK;
}

void lng_compat_decoder(enum lng_opt_compat compat, struct lng_model *model)
{
    model->raw_decoder_keys = compat == LNG_OPT_COMPAT_MARIAN && model->hparams.pre_norm;
}

/* ---- the search ---- */

/* decoder.yml of a model of Marian's, kept with it. */
static void marian_search(const struct lng_options *options, const struct lng_generation *said,
                          struct lng_translate_options *t)
{
    struct lng_beam_options *beam = &t->search.beam;
    if (!LNG_OPTION_IS_SET(options, beam_size) && said->beams > 0)
        beam->beam = said->beams;
    if (!LNG_OPTION_IS_SET(options, length_penalty_alpha) && isfinite(said->length_penalty))
        beam->alpha = said->length_penalty;
    beam->limit = LNG_BEAM_LIMIT_CUT;
    beam->factor_up = true;
}

static void ct2_search(const struct lng_model_data *data, struct lng_translate_options *t)
{
    t->search.beam.limit = LNG_BEAM_LIMIT_CUT;
    t->search.beam.forced_free = true;
    t->search.beam.lone_eos = true;
    t->search.renormalise = true;
    t->search.allow_pad = data->hparams.pre_norm; /* post-norm: no part of the vocabulary */
    t->search.any_token = true;
}

static void hf_search(const struct lng_options *options, const struct lng_hf_generation *said,
                      struct lng_translate_options *t)
{
    static const enum lng_beam_stop stops[] = {
        [LNG_HF_STOPPING_FALSE] = LNG_BEAM_STOP_HEURISTIC,
        [LNG_HF_STOPPING_TRUE] = LNG_BEAM_STOP_EARLY,
        [LNG_HF_STOPPING_NEVER] = LNG_BEAM_STOP_NEVER,
    };
    struct lng_beam_options *beam = &t->search.beam;
    if (!LNG_OPTION_IS_SET(options, beam_size) && said->beams > 0)
        beam->beam = said->beams;
    if (!LNG_OPTION_IS_SET(options, length_penalty_alpha))
        beam->alpha = said->length_penalty;
    if (!LNG_OPTION_IS_SET(options, search_stop))
        beam->stop = stops[said->early_stopping];
    if (!LNG_OPTION_IS_SET(options, max_length) && said->max_tokens > 0)
        beam->max_length = said->max_tokens;
    if (!LNG_OPTION_IS_SET(options, min_length))
        beam->min_length = said->min_tokens;
    beam->limit = said->forced_eos ? LNG_BEAM_LIMIT_EOS : LNG_BEAM_LIMIT_CUT;
    beam->forced_free = true;
    t->search.allow_pad = true;
    t->search.banned = said->banned;
    t->search.banned_count = said->banned_count;
    t->forced_bos = said->forced_bos;
    t->search.any_token = true;
}

void lng_compat_search(const struct lng_options *options, const struct lng_model_data *data,
                       const struct lng_hf_generation *hf, struct lng_translate_options *translate)
{
    switch (options->compat) {
    case LNG_OPT_COMPAT_MARIAN:
        marian_search(options, &data->generation, translate);
        break;
    case LNG_OPT_COMPAT_CTRANSLATE2:
        ct2_search(data, translate);
        break;
    case LNG_OPT_COMPAT_HF:
        hf_search(options, hf, translate);
        break;
    case LNG_OPT_COMPAT_NONE:
        break;
    }
}
