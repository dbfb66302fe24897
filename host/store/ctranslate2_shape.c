/* From the variables of a file to hyper-parameters. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/store/ctranslate2_internal.h"
#include "host/store/hparams_json.h"
#include "host/store/position_table.h"
#include "host/store/safetensors.h"

enum {
    LISTED = 1200,     /* bytes of problems in a message; the rest is counted */
    MOST_OFFSET = 16,  /* position of a table's first row; fairseq's is pad + 1 = 2 */
    DEFAULT_HEADS = 8, /* before revision 3 the spec's name said it */
    BIG_HEADS = 16,
};

enum lng_status lng_ct2_problem(struct lng_ct2_problems *problems, enum lng_status code,
                                const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (problems->count++ == 0 || code == LNG_ERR_UNSUPPORTED)
        problems->code = code;
    if (problems->text.length > LISTED)
        return LNG_OK;
    return lng_buffer_append_format(&problems->text, "%s%s", problems->text.length ? "; " : "",
                                    text);
}

const struct lng_ct2_variable *lng_ct2_use(struct lng_ct2_reading *reading, const char *name)
{
    const struct lng_ct2_variable *variable = lng_ct2_find(reading->file, name);
    if (!variable)
        return NULL;
    reading->used[variable - reading->file->list] = true;
    bool integers = variable->type == LNG_CT2_I8 || variable->type == LNG_CT2_I16;
    const struct lng_ct2_variable *scale =
        integers ? lng_ct2_scale_of(reading->file, variable) : NULL;
    if (scale)
        reading->used[scale - reading->file->list] = true;
    return variable;
}

/* ---- settings ---- */

static enum lng_status read_setting(struct lng_ct2_reading *reading, enum lng_ct2_setting setting,
                                    const struct lng_ct2_variable **variable, double *value)
{
    const char *old = lng_ct2_setting_old_name(setting);
    *variable = lng_ct2_use(reading, lng_ct2_setting_name(setting));
    if (!*variable && old)
        *variable = lng_ct2_use(reading, old);
    return *variable ? lng_ct2_read_number(reading->file, *variable, value) : LNG_OK;
}

static enum lng_status setting_or(struct lng_ct2_reading *reading, enum lng_ct2_setting setting,
                                  double fallback, double *value)
{
    const struct lng_ct2_variable *variable;
    *value = fallback;
    return read_setting(reading, setting, &variable, value);
}

/* What both stacks must agree in. */
static enum lng_status common_setting(struct lng_ct2_reading *reading, enum lng_ct2_setting encoder,
                                      enum lng_ct2_setting decoder, double fallback, double *value)
{
    double other;
    LNG_TRY(setting_or(reading, encoder, fallback, value));
    LNG_TRY(setting_or(reading, decoder, fallback, &other));
    if (*value == other)
        return LNG_OK;
    return lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED,
                           "%s is %g and %s %g, but lingster has one for both",
                           lng_ct2_setting_name(encoder), *value, lng_ct2_setting_name(decoder),
                           other);
}

static enum lng_status find_heads(struct lng_ct2_reading *reading)
{
    struct lng_hparams *h = &reading->hparams;
    double by_spec = strcmp(reading->file->spec, "TransformerBig") == 0 ? BIG_HEADS : DEFAULT_HEADS;
    double heads[2];
    LNG_TRY(setting_or(reading, LNG_CT2_ENCODER_HEADS, by_spec, &heads[0]));
    LNG_TRY(setting_or(reading, LNG_CT2_DECODER_HEADS, by_spec, &heads[1]));
    for (int i = 0; i < 2; i++)
        if (!(heads[i] >= 1 && heads[i] <= h->dim && fmod((double)h->dim, heads[i]) == 0))
            return lng_ct2_problem(&reading->problems, LNG_ERR_RANGE,
                                   "%g attention heads do not divide the width %d", heads[i],
                                   h->dim);
    h->encoder_heads = (int32_t)heads[0];
    h->decoder_heads = (int32_t)heads[1];
    return LNG_OK;
}

static enum lng_status find_activation(struct lng_ct2_reading *reading)
{
    double code;
    LNG_TRY(
        common_setting(reading, LNG_CT2_ENCODER_ACTIVATION, LNG_CT2_DECODER_ACTIVATION, 0, &code));
    if (!lng_ct2_activation(code, &reading->hparams.activation))
        return lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED, "activation code %g", code);
    return lng_buffer_append_format(reading->choices, "activation: %s: code %g\n",
                                    lng_activation_hf_name(reading->hparams.activation), code);
}

/* A flag, or the factor itself; always sqrt(D) when nothing is said. */
static enum lng_status find_scale(struct lng_ct2_reading *reading, enum lng_ct2_setting setting,
                                  bool *scaled)
{
    const struct lng_ct2_variable *variable;
    double value = 0, root = sqrt((double)reading->hparams.dim);
    LNG_TRY(read_setting(reading, setting, &variable, &value));
    *scaled = !variable || (variable->type == LNG_CT2_I8 ? value != 0 : value != 1);
    if (!variable || variable->type == LNG_CT2_I8 || !*scaled || fabs(value / root - 1) < 1e-3)
        return LNG_OK;
    return lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED,
                           "embeddings are scaled by %g, expected 1 or the root of the width",
                           value);
}

static enum lng_status find_scales(struct lng_ct2_reading *reading)
{
    bool encoder, decoder;
    LNG_TRY(find_scale(reading, LNG_CT2_ENCODER_SCALE, &encoder));
    LNG_TRY(find_scale(reading, LNG_CT2_DECODER_SCALE, &decoder));
    reading->hparams.scale_embedding = encoder;
    if (encoder == decoder)
        return LNG_OK;
    return lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED,
                           "the embeddings of one stack only are scaled");
}

/* Norms: their place, their kind and their epsilon. */
static enum lng_status find_norms(struct lng_ct2_reading *reading)
{
    static const char *const final[] = {"encoder/layer_norm/gamma", "decoder/layer_norm/gamma"};
    struct lng_hparams *h = &reading->hparams;
    double pre_norm, said = reading->config->epsilon;
    LNG_TRY(
        common_setting(reading, LNG_CT2_ENCODER_PRE_NORM, LNG_CT2_DECODER_PRE_NORM, 1, &pre_norm));
    h->pre_norm = pre_norm != 0;
    for (int i = 0; i < 2; i++)
        if (h->pre_norm != (lng_ct2_find(reading->file, final[i]) != NULL))
            LNG_TRY(lng_ct2_problem(
                &reading->problems, LNG_ERR_UNSUPPORTED, "%s: a %s-norm stack %s a final norm",
                final[i], h->pre_norm ? "pre" : "post", h->pre_norm ? "without" : "with"));
    bool beta = lng_ct2_find(reading->file, "encoder/layer_0/self_attention/layer_norm/beta");
    h->norm = beta ? LNG_NORM_LAYER : LNG_NORM_RMS;
    h->norm_epsilon = isfinite(said) ? said : beta ? 1e-5 : 1e-6;
    return lng_buffer_append_format(reading->choices, "norm epsilon: %g: %s\n", h->norm_epsilon,
                                    isfinite(said) ? "config.json"
                                                   : "CTranslate2's own, config.json says none");
}

/* ---- sizes ---- */

/* Layers 0 .. count - 1 of which at least one variable is there; a hole is found with the missing tensors. */
static int32_t count_layers(const struct lng_ct2_file *file, const char *stack)
{
    size_t length = strlen(stack);
    int32_t count = 0;
    for (size_t i = 0; i < file->count; i++) {
        int32_t layer = 0, digits = 0;
        const char *at = file->list[i].name;
        if (strncmp(at, stack, length) != 0)
            continue;
        for (at += length; *at >= '0' && *at <= '9' && digits < 6; at++, digits++)
            layer = layer * 10 + (*at - '0');
        if (digits > 0 && *at == '/' && layer >= count)
            count = layer + 1;
    }
    return count;
}

/* NULL (and a problem) unless it is there and a matrix. */
static enum lng_status find_matrix(struct lng_ct2_reading *reading, enum lng_param_id id,
                                   const struct lng_ct2_variable **matrix)
{
    char name[LNG_CT2_NAME_BYTES], found[LNG_SHAPE_TEXT_BYTES];
    *matrix = NULL;
    if (!lng_ct2_param_name(id, 0, name))
        return LNG_OK;
    const struct lng_ct2_variable *variable = lng_ct2_use(reading, name);
    if (!variable)
        return lng_ct2_problem(&reading->problems, LNG_ERR_FORMAT, "\"%s\" is missing", name);
    if (variable->rank != 2)
        return lng_ct2_problem(&reading->problems, LNG_ERR_SHAPE,
                               "\"%s\": expected a matrix, found shape %s", name,
                               lng_shape_text(variable->shape, variable->rank, found));
    *matrix = variable;
    return LNG_OK;
}

static enum lng_status check_vocabulary(struct lng_ct2_reading *reading, const char *side,
                                        const struct lng_ct2_variable *matrix, int32_t entries,
                                        bool *whole)
{
    if (matrix->shape[0] == entries)
        return LNG_OK;
    *whole = false;
    return lng_ct2_problem(
        &reading->problems, LNG_ERR_MISMATCH,
        "\"%s\": expected a row for each of the %d entries of the %s vocabulary, "
        "found %lld",
        matrix->name, entries, side, (long long)matrix->shape[0]);
}

static enum lng_status find_tie(struct lng_ct2_reading *reading,
                                const struct lng_ct2_variable *source,
                                const struct lng_ct2_variable *target,
                                const struct lng_ct2_variable *output)
{
    static const char *const names[] = {"all", "target and output", "none"};
    bool output_same, source_same;
    LNG_TRY(lng_ct2_same(reading->file, target, output, &output_same));
    LNG_TRY(lng_ct2_same(reading->file, source, target, &source_same));
    enum lng_tie tie = !output_same                      ? LNG_TIE_NONE
                       : source_same && !reading->target ? LNG_TIE_ALL
                                                         : LNG_TIE_TARGET;
    reading->hparams.tie = tie;
    return lng_buffer_append_format(
        reading->choices, "tied embeddings: %s: by comparing the stored matrices\n", names[tie]);
}

static enum lng_status find_sizes(struct lng_ct2_reading *reading, bool *whole)
{
    struct lng_hparams *h = &reading->hparams;
    const struct lng_ct2_variable *source, *target, *output, *encoder_ffn, *decoder_ffn;
    LNG_TRY(find_matrix(reading, LNG_PARAM_SOURCE_EMBED, &source));
    LNG_TRY(find_matrix(reading, LNG_PARAM_TARGET_EMBED, &target));
    LNG_TRY(find_matrix(reading, LNG_PARAM_OUTPUT, &output));
    LNG_TRY(find_matrix(reading, LNG_PARAM_ENC_FFN_IN_W, &encoder_ffn));
    LNG_TRY(find_matrix(reading, LNG_PARAM_DEC_FFN_IN_W, &decoder_ffn));
    *whole = source && target && output && encoder_ffn && decoder_ffn;
    if (!*whole)
        return LNG_OK;
    int32_t appended = reading->pad_appended;
    int32_t source_appended = reading->target ? reading->source_pad_appended : appended;
    h->source_vocab = lng_vocab_size(reading->source);
    h->target_vocab = lng_vocab_size(reading->target ? reading->target : reading->source);
    LNG_TRY(check_vocabulary(reading, "source", source, h->source_vocab - source_appended, whole));
    LNG_TRY(check_vocabulary(reading, "target", target, h->target_vocab - appended, whole));
    LNG_TRY(check_vocabulary(reading, "target", output, h->target_vocab - appended, whole));
    /* Whatever is too large for int32 is too large for the check that follows, and stays so. */
    h->dim = (int32_t)(target->shape[1] < INT32_MAX ? target->shape[1] : INT32_MAX);
    h->encoder_ffn = (int32_t)(encoder_ffn->shape[0] < INT32_MAX ? encoder_ffn->shape[0] : 0);
    h->decoder_ffn = (int32_t)(decoder_ffn->shape[0] < INT32_MAX ? decoder_ffn->shape[0] : 0);
    h->encoder_layers = count_layers(reading->file, "encoder/layer_");
    h->decoder_layers = count_layers(reading->file, "decoder/layer_");
    char name[LNG_CT2_NAME_BYTES];
    h->output_bias = reading->pad_appended || (lng_ct2_param_name(LNG_PARAM_OUTPUT_BIAS, 0, name) &&
                                               lng_ct2_find(reading->file, name));
    return find_tie(reading, source, target, output);
}

/* ---- attention ---- */

/* A number of one attention; *value stays as it is when the file has none. */
static enum lng_status scope_number(struct lng_ct2_reading *reading, const char *scope,
                                    const char *key, double *value)
{
    char name[2 * LNG_CT2_NAME_BYTES];
    snprintf(name, sizeof name, "%s%s", scope, key);
    const struct lng_ct2_variable *variable = lng_ct2_use(reading, name);
    return variable ? lng_ct2_read_number(reading->file, variable, value) : LNG_OK;
}

static enum lng_status find_attention(struct lng_ct2_reading *reading)
{
    struct lng_hparams *h = &reading->hparams;
    char scope[LNG_CT2_NAME_BYTES];
    bool plain = false;
    for (int i = 0; lng_ct2_attention_scope(i, h, scope); i++) {
        int32_t heads = scope[0] == 'e' ? h->encoder_heads : h->decoder_heads;
        double width = (double)h->dim / heads, usual = 1 / sqrt(width);
        double scale = usual, kv_heads = heads, head_width = width;
        LNG_TRY(scope_number(reading, scope, LNG_CT2_QUERIES_SCALE, &scale));
        LNG_TRY(scope_number(reading, scope, "num_heads_kv", &kv_heads));
        LNG_TRY(scope_number(reading, scope, "head_dim", &head_width));
        if (kv_heads != heads || head_width != width)
            return lng_ct2_problem(
                &reading->problems, LNG_ERR_UNSUPPORTED,
                "%s*: %g heads of keys and values of width %g, expected %d of %g", scope, kv_heads,
                head_width, heads, width);
        bool scaled = fabs(scale / usual - 1) < 1e-3;
        if ((!scaled && scale != 1) || (i > 0 && plain == scaled))
            return lng_ct2_problem(
                &reading->problems, LNG_ERR_UNSUPPORTED,
                "%squeries_scale: %g, expected %g in all attentions, or 1 in all", scope, scale,
                usual);
        plain = !scaled;
    }
    h->attention_scaled = !plain;
    return LNG_OK;
}

/* ---- positions ---- */

struct table {
    const struct lng_ct2_variable *variable; /* NULL: none is stored */
    enum lng_positions family;
    int32_t offset;
};

static enum lng_status recognise(struct lng_ct2_reading *reading, enum lng_param_id id,
                                 struct table *table)
{
    char name[LNG_CT2_NAME_BYTES], found[LNG_SHAPE_TEXT_BYTES];
    /* What CTranslate2 computes when it has no table. */
    *table = (struct table){NULL, LNG_POSITIONS_A, 1};
    if (!lng_ct2_param_name(id, 0, name) || !lng_ct2_find(reading->file, name))
        return LNG_OK;
    const struct lng_ct2_variable *variable = lng_ct2_use(reading, name);
    if (variable->rank != 2 || variable->shape[1] != reading->hparams.dim)
        return lng_ct2_problem(
            &reading->problems, LNG_ERR_SHAPE, "\"%s\": expected shape [positions, %d], found %s",
            name, reading->hparams.dim, lng_shape_text(variable->shape, variable->rank, found));
    float *values = lng_alloc((size_t)variable->elements, sizeof *values);
    if (!values)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_ct2_read_f32(reading->file, variable, values);
    if (status == LNG_OK)
        status = lng_position_table_recognise(values, variable->shape[0], variable->shape[1],
                                              MOST_OFFSET, &table->family, &table->offset);
    table->variable = variable;
    lng_free(values);
    return status;
}

enum lng_status lng_ct2_find_positions(struct lng_ct2_reading *reading)
{
    struct lng_hparams *h = &reading->hparams;
    struct table encoder, decoder;
    LNG_TRY(recognise(reading, LNG_PARAM_ENCODER_POSITIONS, &encoder));
    LNG_TRY(recognise(reading, LNG_PARAM_DECODER_POSITIONS, &decoder));
    bool stored = encoder.variable && decoder.variable;
    bool same = encoder.family == decoder.family && encoder.offset == decoder.offset;
    bool learned = encoder.family == LNG_POSITIONS_LEARNED || !same;
    int64_t rows = encoder.variable ? encoder.variable->shape[0] : h->max_positions;
    if (learned && (!stored || decoder.variable->shape[0] != rows))
        return lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED,
                               "learned positions must be stored for both stacks, equally many");
    h->positions = learned ? LNG_POSITIONS_LEARNED : encoder.family;
    h->position_offset = learned ? 0 : encoder.offset;
    h->max_positions = (int32_t)(rows < INT32_MAX ? rows : INT32_MAX);
    if (learned)
        return lng_buffer_append_format(reading->choices,
                                        "positions: learned: the stored tables are no sinusoids\n");
    return lng_buffer_append_format(reading->choices, "positions: family %c from %d: %s\n",
                                    "ABC"[h->positions], (int)h -> position_offset,
                                    encoder.variable
                                        ? "recognised in the stored table"
                                        : "what CTranslate2 computes, no table is stored");
}

/* ---- the whole ---- */

enum lng_status lng_ct2_check_spec(const struct lng_ct2_file *file)
{
    static const char *const known[] = {"", "TransformerBase", "TransformerBig", LNG_CT2_SPEC};
    bool found = false;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        found = found || strcmp(file->spec, known[i]) == 0;
    LNG_FAIL_IF(!found, LNG_ERR_UNSUPPORTED,
                "%s: expected an encoder-decoder (%s), found spec \"%.60s\"", file->blob.name,
                LNG_CT2_SPEC, file->spec);
    LNG_FAIL_IF(file->revision > LNG_CT2_REVISION, LNG_ERR_UNSUPPORTED,
                "%s: expected revision 1 to %d of the spec, found %u: a newer CTranslate2 wrote it",
                file->blob.name, LNG_CT2_REVISION, file->revision);
    return LNG_OK;
}

enum lng_status lng_ct2_find_shape(struct lng_ct2_reading *reading, bool *whole)
{
    struct lng_hparams *h = &reading->hparams;
    double ignored;
    LNG_TRY(setting_or(reading, LNG_CT2_ENCODER_MERGE, 0, &ignored));
    LNG_TRY(setting_or(reading, LNG_CT2_ALIGNMENT_LAYER, 0, &ignored));
    LNG_TRY(setting_or(reading, LNG_CT2_ALIGNMENT_HEADS, 0, &ignored));
    LNG_TRY(find_activation(reading));
    LNG_TRY(find_norms(reading));
    LNG_TRY(find_sizes(reading, whole));
    if (!*whole)
        return LNG_OK;
    LNG_TRY(find_heads(reading));
    LNG_TRY(find_scales(reading));
    LNG_TRY(lng_ct2_find_positions(reading));
    if (lng_hparams_check(h) != LNG_OK) {
        *whole = false;
        return lng_ct2_problem(&reading->problems, LNG_ERR_RANGE, "%s", lng_error_message());
    }
    return find_attention(reading);
}
