/* What options say about each other. */
#include "host/config/option_table.h"

static enum lng_status derive(struct lng_options *options, enum lng_option_id id, const char *value)
{
    if (options->origin[id].source > LNG_SOURCE_DERIVED)
        return LNG_OK;
    LNG_TRY(lng_option_assign(options, id, &value, 1, true, false));
    options->origin[id] = (struct lng_option_origin){LNG_SOURCE_DERIVED, "other options"};
    return LNG_OK;
}

static enum lng_status derive_from(struct lng_options *options, enum lng_option_id id,
                                   enum lng_option_id from)
{
    struct lng_buffer text = {0};
    enum lng_status status = lng_option_append_value(options, from, 0, &text);
    if (status == LNG_OK)
        status = derive(options, id, text.data);
    lng_buffer_release(&text);
    return status;
}

static const char *where(const struct lng_options *options, enum lng_option_id id)
{
    return options->origin[id].where;
}

static enum lng_status check_shape(const struct lng_options *options)
{
    LNG_FAIL_IF(options->dim % options->heads != 0, LNG_ERR_USAGE,
                "dim (%d, from %s) must be a multiple of heads (%d, from %s)", options->dim,
                where(options, LNG_OPTION_dim), options->heads, where(options, LNG_OPTION_heads));
    LNG_FAIL_IF(options->dim % 2 != 0, LNG_ERR_USAGE, "dim (%d, from %s) must be even",
                options->dim, where(options, LNG_OPTION_dim));
    return LNG_OK;
}

static enum lng_status check_vocabularies(const struct lng_options *options)
{
    bool separate = options->source_vocab != NULL || options->target_vocab != NULL;
    LNG_FAIL_IF(options->vocab != NULL && separate, LNG_ERR_USAGE,
                "give either vocab (from %s) or source-vocab and target-vocab, not both",
                where(options, LNG_OPTION_vocab));
    LNG_FAIL_IF((options->source_vocab == NULL) != (options->target_vocab == NULL), LNG_ERR_USAGE,
                "source-vocab and target-vocab belong together: %s is missing",
                options->source_vocab == NULL ? "source-vocab" : "target-vocab");
    LNG_FAIL_IF(separate && options->tied == LNG_OPT_TIED_ALL, LNG_ERR_USAGE,
                "tied: all (from %s) needs one shared vocabulary; say tied: target or tied: none",
                where(options, LNG_OPTION_tied));
    return LNG_OK;
}

static enum lng_status check_corpus(const struct lng_options *options)
{
    LNG_FAIL_IF(options->train_source.count != options->train_target.count, LNG_ERR_USAGE,
                "train-source has %zu files and train-target %zu: they are read in pairs",
                options->train_source.count, options->train_target.count);
    size_t aligned = options->guided_alignment.count;
    size_t corpora = options->train_source.count + options->train_tsv.count;
    LNG_FAIL_IF(aligned != 0 && aligned != corpora, LNG_ERR_USAGE,
                "guided-alignment has %zu files, and there are %zu corpora (train-source, then "
                "train-tsv): expected one for each",
                aligned, corpora);
    LNG_FAIL_IF((options->valid_source == NULL) != (options->valid_target == NULL), LNG_ERR_USAGE,
                "valid-source and valid-target belong together: %s is missing",
                options->valid_source == NULL ? "valid-source" : "valid-target");
    return LNG_OK;
}

static enum lng_status check_schedule(const struct lng_options *options)
{
    bool falls_to_an_end = options->schedule == LNG_OPT_SCHEDULE_LINEAR ||
                           options->schedule == LNG_OPT_SCHEDULE_COSINE;
    bool has_end =
        options->decay_until.value > 0 || options->max_updates > 0 || options->max_epochs > 0;
    LNG_FAIL_IF(falls_to_an_end && !has_end, LNG_ERR_USAGE,
                "schedule: %s (from %s) needs decay-until, max-updates or max-epochs",
                lng_choice_word(LNG_CHOICES_schedule, (int)options->schedule),
                where(options, LNG_OPTION_schedule));
    LNG_FAIL_IF(options->min_lr > options->lr, LNG_ERR_USAGE,
                "min-lr (%g, from %s) is above lr (%g, from %s)", options->min_lr,
                where(options, LNG_OPTION_min_lr), options->lr, where(options, LNG_OPTION_lr));
    LNG_FAIL_IF(options->weight_decay > 0 && options->optimizer == LNG_OPT_OPTIMIZER_ADAM,
                LNG_ERR_USAGE, "weight-decay (%g, from %s) needs optimizer: adamw",
                options->weight_decay, where(options, LNG_OPTION_weight_decay));
    return LNG_OK;
}

static enum lng_status check_run(const struct lng_options *options)
{
    LNG_FAIL_IF(options->average_last > options->keep_last, LNG_ERR_USAGE,
                "average-last (%d, from %s) needs keep-last (%d, from %s) to be at least as many",
                options->average_last, where(options, LNG_OPTION_average_last), options->keep_last,
                where(options, LNG_OPTION_keep_last));
    return LNG_OK;
}

static enum lng_status check_r_drop(const struct lng_options *options)
{
    if (options->r_drop == 0)
        return LNG_OK;
    LNG_FAIL_IF(
        options->train_batch_tokens < 2 * (int64_t)options->train_max_length, LNG_ERR_USAGE,
        "r-drop (%g, from %s) puts each pair into its batch twice: batch-tokens (%lld, from "
        "%s) must be at least twice max-length (%d, from %s)",
        options->r_drop, where(options, LNG_OPTION_r_drop), (long long)options->train_batch_tokens,
        where(options, LNG_OPTION_train_batch_tokens), options->train_max_length,
        where(options, LNG_OPTION_train_max_length));
    LNG_FAIL_IF(options->dropout == 0 && options->embedding_dropout == 0 &&
                    options->attention_dropout == 0 && options->ffn_dropout == 0 &&
                    options->source_word_dropout == 0 && options->target_word_dropout == 0,
                LNG_ERR_USAGE,
                "r-drop (%g, from %s) compares what two kinds of dropout predict, and there is no "
                "dropout: raise dropout, or leave r-drop out",
                options->r_drop, where(options, LNG_OPTION_r_drop));
    return LNG_OK;
}

/* The architecture: of a model to be trained, or of a random one. */
static enum lng_status finish_shape(struct lng_options *options)
{
    bool pre = options->norm_position == LNG_OPT_NORM_POSITION_PRE;
    LNG_TRY(derive_from(options, LNG_OPTION_dec_ffn_dim, LNG_OPTION_ffn_dim));
    LNG_TRY(derive(options, LNG_OPTION_positions, pre ? "a" : "b"));
    LNG_TRY(derive(options, LNG_OPTION_output_bias, pre ? "false" : "true"));
    return check_shape(options);
}

static enum lng_status finish_train(struct lng_options *options)
{
    LNG_TRY(finish_shape(options));
    LNG_TRY(derive_from(options, LNG_OPTION_embedding_dropout, LNG_OPTION_dropout));
    LNG_TRY(check_vocabularies(options));
    LNG_TRY(check_corpus(options));
    LNG_TRY(check_schedule(options));
    LNG_TRY(check_r_drop(options));
    return check_run(options);
}

/* The values that --compat stands for. */
static enum lng_status finish_compat(struct lng_options *options)
{
    static const struct {
        enum lng_option_id id;
        const char *values[4]; /* by enum lng_opt_compat */
    } rows[] = {
#define LNG_COMPAT(id, marian, ctranslate2, hf) {LNG_OPTION_##id, {NULL, marian, ctranslate2, hf}},
#include "host/config/compat.def"
#undef LNG_COMPAT
    };
    if (options->compat == LNG_OPT_COMPAT_NONE)
        return LNG_OK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        LNG_TRY(derive(options, rows[i].id, rows[i].values[options->compat]));
    return LNG_OK;
}

static enum lng_status check_required(const struct lng_options *options)
{
    static const struct {
        unsigned commands;
        enum lng_option_id id;
    } required[] = {
        {LNG_FOR_VOCAB, LNG_OPTION_vocab_inputs},
        {LNG_FOR_VOCAB | LNG_FOR_TRAIN | LNG_FOR_SHORTLIST | LNG_FOR_AVERAGE | LNG_FOR_QUANTIZE,
         LNG_OPTION_output},
        {LNG_FOR_SHORTLIST | LNG_FOR_SCORE | LNG_FOR_COMPARE | LNG_FOR_QUANTIZE, LNG_OPTION_model},
        {LNG_FOR_TRANSLATE, LNG_OPTION_models},
        {LNG_FOR_SCORE, LNG_OPTION_source},
        {LNG_FOR_SCORE, LNG_OPTION_target},
        {LNG_FOR_EVAL, LNG_OPTION_hypotheses},
        {LNG_FOR_EVAL, LNG_OPTION_references},
    };
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        enum lng_option_id id = required[i].id;
        LNG_FAIL_IF((required[i].commands & options->command->bit) != 0 &&
                        options->origin[id].source == LNG_SOURCE_DEFAULT,
                    LNG_ERR_USAGE, "--%s %s is required; see 'lingster %s --help'",
                    lng_option_rows[id].name, lng_option_rows[id].metavar, options->command->name);
    }
    return LNG_OK;
}

static enum lng_status check_comparison(const struct lng_options *options)
{
    bool quantized =
        options->dtype == LNG_OPT_DTYPE_INT8 || options->against_dtype == LNG_OPT_DTYPE_INT8;
    LNG_FAIL_IF(options->train_steps > 0 && quantized, LNG_ERR_USAGE,
                "train-steps (%d, from %s) needs f32 or bf16 on both sides: int8 is not trained in",
                options->train_steps, where(options, LNG_OPTION_train_steps));
    return LNG_OK;
}

/* As sacreBLEU: intervals are for one system, tests for several, and neither for single sentences. */
static enum lng_status check_evaluation(const struct lng_options *options)
{
    bool paired = options->paired != LNG_OPT_PAIRED_NONE;
    size_t systems = options->hypotheses.count;
    LNG_FAIL_IF(LNG_OPTION_IS_SET(options, smooth_value) &&
                    options->smooth_method != LNG_OPT_SMOOTH_METHOD_FLOOR &&
                    options->smooth_method != LNG_OPT_SMOOTH_METHOD_ADD_K,
                LNG_ERR_USAGE,
                "smooth-value (from %s) is for --smooth-method floor and add-k alone",
                where(options, LNG_OPTION_smooth_value));
    LNG_FAIL_IF(paired && systems == 1, LNG_ERR_USAGE,
                "paired (from %s) needs several systems: give --hypothesis more than once",
                where(options, LNG_OPTION_paired));
    LNG_FAIL_IF(options->confidence && systems > 1, LNG_ERR_USAGE,
                "confidence (from %s) is for one system, found %zu; --paired bs gives intervals "
                "for several",
                where(options, LNG_OPTION_confidence), systems);
    LNG_FAIL_IF(options->sentence_level && (paired || options->confidence || systems > 1),
                LNG_ERR_USAGE,
                "sentence-level (from %s) is for one system, without --confidence and --paired",
                where(options, LNG_OPTION_sentence_level));
    LNG_FAIL_IF(options->resamples > 0 && !paired && !options->confidence, LNG_ERR_USAGE,
                "resamples (from %s) is for --confidence and --paired",
                where(options, LNG_OPTION_resamples));
    return LNG_OK;
}

enum lng_status lng_options_finish(struct lng_options *options, bool complete)
{
    if (options->command->bit & LNG_FOR_TRAIN)
        LNG_TRY(finish_train(options));
    if (options->command->bit & LNG_FOR_BENCH) {
        LNG_TRY(finish_shape(options));
        LNG_TRY(derive_from(options, LNG_OPTION_embedding_dropout, LNG_OPTION_dropout));
    }
    if (options->command->bit & LNG_FOR_TRANSLATE) {
        LNG_TRY(finish_compat(options));
        LNG_TRY(lng_option_check_search(options));
        options->model = options->models.count > 0 ? options->models.items[0] : NULL;
    }
    if (options->command->bit & LNG_FOR_SHORTLIST)
        LNG_TRY(check_corpus(options));
    if (options->command->bit & LNG_FOR_COMPARE)
        LNG_TRY(check_comparison(options));
    if (options->command->bit & LNG_FOR_EVAL && complete)
        LNG_TRY(check_evaluation(options));
    return complete ? check_required(options) : LNG_OK;
}
