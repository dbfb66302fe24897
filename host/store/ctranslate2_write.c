#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/model/positions.h"
#include "host/store/ctranslate2_put.h"
#include "host/store/numbers.h"

/* CTranslate2 stops at the end of a table: as many rows as its own converters give sinusoids. */
enum { TABLE_ROWS = 2048 };

struct writing {
    const struct lng_ct2_export_args *args;
    const struct lng_hparams *h;
    const struct lng_vocab *target; /* or the shared one */
    bool pad_dropped, pad_never;    /* left out; given the bias that it is never chosen with */
    bool start_from_zero;
    enum lng_ct2_type vectors; /* of all that is never quantised */
};

static bool row_is_zero(const struct writing *writing, enum lng_param_id id, int64_t row)
{
    const struct lng_model_data *data = writing->args->data;
    const struct lng_param *param = lng_params_find(&data->params, id, -1);
    const float *values = param ? data->values + param->offset + row * param->cols : NULL;
    for (int64_t i = 0; param && i < param->cols; i++)
        if (values[i] != 0)
            return false;
    return true;
}

static void plan_pad(struct writing *writing)
{
    const struct lng_hparams *h = writing->h;
    bool empty = h->pad >= 0 && h->pad != h->eos && h->pad != h->unk &&
                 row_is_zero(writing, LNG_PARAM_SHARED, h->pad) &&
                 row_is_zero(writing, LNG_PARAM_TARGET_EMBED, h->pad);
    writing->start_from_zero = h->decoder_start < 0 || (empty && h->decoder_start == h->pad);
    empty = empty && row_is_zero(writing, LNG_PARAM_OUTPUT, h->pad);
    /* One matrix for two vocabularies keeps all its rows: the source's has no entry to leave out. */
    bool one = h->tie != LNG_TIE_ALL || !writing->args->target;
    writing->pad_dropped = empty && one && h->pad == h->target_vocab - 1;
    writing->pad_never = empty && !writing->pad_dropped;
}

/* ---- what can be written ---- */

static enum lng_status check_shape(const struct writing *writing)
{
    const struct lng_hparams *h = writing->h;
    enum lng_ct2_type type = writing->args->type;
    LNG_FAIL_IF((unsigned)type >= LNG_CT2_TYPE_COUNT || type == LNG_CT2_I32, LNG_ERR_DTYPE,
                "CTranslate2 models are written in float32, float16, bfloat16, int16 or int8");
    LNG_TRY(lng_hparams_check(h));
    LNG_FAIL_IF(h->attention_score != LNG_ATTENTION_DOT, LNG_ERR_UNSUPPORTED,
                "CTranslate2 has no additive attention");
    LNG_FAIL_IF(lng_ct2_activation_code(h->activation) < 0, LNG_ERR_UNSUPPORTED,
                "CTranslate2 does not have this activation");
    LNG_FAIL_IF(h->unk < 0, LNG_ERR_UNSUPPORTED,
                "CTranslate2 needs an entry for unknown words, the model has none");
    LNG_FAIL_IF(h->positions == LNG_POSITIONS_LEARNED && h->position_offset >= h->max_positions,
                LNG_ERR_RANGE, "no position of the learned table is used");
    return LNG_OK;
}

static const char *text_of(const struct lng_vocab *vocab, int32_t id)
{
    return lng_vocab_entry(vocab, id).data;
}

static enum lng_status check_vocabularies(const struct writing *writing)
{
    const struct lng_hparams *h = writing->h;
    const struct lng_vocab *source = writing->args->source, *target = writing->target;
    LNG_FAIL_IF(lng_vocab_size(source) != h->source_vocab ||
                    lng_vocab_size(target) != h->target_vocab,
                LNG_ERR_MISMATCH, "expected vocabularies of %d and %d entries, found %d and %d",
                h->source_vocab, h->target_vocab, lng_vocab_size(source), lng_vocab_size(target));
    const char *unk = text_of(target, h->unk), *eos = text_of(target, h->eos);
    LNG_FAIL_IF(lng_vocab_find(source, unk, strlen(unk)) < 0, LNG_ERR_MISMATCH,
                "expected the unknown entry \"%.60s\" in the source vocabulary too", unk);
    LNG_FAIL_IF(
        h->source_eos >= 0 && strcmp(text_of(source, h->source_eos), eos) != 0, LNG_ERR_MISMATCH,
        "CTranslate2 ends sources and targets by the same entry, found \"%.60s\" and \"%.60s\"",
        text_of(source, h->source_eos), eos);
    return LNG_OK;
}

/* ---- variables ---- */

static double setting_value(const struct writing *writing, enum lng_ct2_setting setting)
{
    const struct lng_hparams *h = writing->h;
    switch (setting) {
    case LNG_CT2_ENCODER_HEADS:
        return h->encoder_heads;
    case LNG_CT2_DECODER_HEADS:
        return h->decoder_heads;
    case LNG_CT2_ENCODER_PRE_NORM:
    case LNG_CT2_DECODER_PRE_NORM:
        return h->pre_norm;
    case LNG_CT2_ENCODER_ACTIVATION:
    case LNG_CT2_DECODER_ACTIVATION:
        return lng_ct2_activation_code(h->activation);
    case LNG_CT2_ENCODER_SCALE:
    case LNG_CT2_DECODER_SCALE:
        return h->scale_embedding;
    case LNG_CT2_ALIGNMENT_LAYER:
        return -1; /* the last */
    case LNG_CT2_ALIGNMENT_HEADS:
        return 1; /* the first of them, as Marian */
    case LNG_CT2_START_FROM_ZERO:
        return writing->start_from_zero;
    default:
        return 0;
    }
}

static enum lng_status put_settings(const struct writing *writing, struct lng_ct2_put *put)
{
    char scope[LNG_CT2_NAME_BYTES], name[2 * LNG_CT2_NAME_BYTES];
    for (int i = 0; i < LNG_CT2_SETTING_COUNT; i++) {
        enum lng_ct2_setting setting = (enum lng_ct2_setting)i;
        LNG_TRY(lng_ct2_put_number(put, lng_ct2_setting_name(setting),
                                   lng_ct2_setting_type(setting), setting_value(writing, setting)));
    }
    bool plain = !writing->h->attention_scaled;
    for (int i = 0; plain && lng_ct2_attention_scope(i, writing->h, scope); i++) {
        snprintf(name, sizeof name, "%s%s", scope, LNG_CT2_QUERIES_SCALE);
        LNG_TRY(lng_ct2_put_number(put, name, LNG_CT2_F32, 1));
    }
    return LNG_OK;
}

/* The bias that keeps <pad> from being chosen, where its rows do not. */
static enum lng_status put_bias(const struct writing *writing, struct lng_ct2_put *put,
                                const char *name, const float *values, int64_t count)
{
    float *copy = lng_alloc((size_t)count, sizeof *copy);
    if (!copy)
        return LNG_ERR_MEMORY;
    if (values)
        memcpy(copy, values, (size_t)count * sizeof *copy);
    if (writing->pad_never)
        copy[writing->h->pad] = LNG_IMPORT_NEVER;
    /* Half precision has no number as small; its smallest does as well. */
    for (int64_t i = 0; i < count && writing->vectors == LNG_CT2_F16; i++)
        copy[i] = copy[i] <= LNG_IMPORT_NEVER ? -LNG_F16_MAX : copy[i];
    enum lng_status status = lng_ct2_put_tensor(put, name, writing->vectors, copy, 0, count);
    lng_free(copy);
    return status;
}

static enum lng_status put_param(const struct writing *writing, struct lng_ct2_put *put,
                                 const struct lng_param *param)
{
    char name[LNG_CT2_NAME_BYTES];
    const float *values = writing->args->data->values + param->offset;
    bool entries = param->id == LNG_PARAM_SHARED || param->id == LNG_PARAM_TARGET_EMBED ||
                   param->id == LNG_PARAM_OUTPUT ||
                   (param->id == LNG_PARAM_SOURCE_EMBED && !writing->args->target);
    LNG_FAIL_IF(!lng_ct2_param_name(param->id, param->layer, name), LNG_ERR_INTERNAL,
                "%s: CTranslate2 has no name for %s", writing->args->directory, param->name);
    if (param->id == LNG_PARAM_OUTPUT_BIAS)
        return put_bias(writing, put, name, values, param->cols - writing->pad_dropped);
    if (param->id == LNG_PARAM_ENCODER_POSITIONS || param->id == LNG_PARAM_DECODER_POSITIONS) {
        int32_t first = writing->h->position_offset;
        return lng_ct2_put_tensor(put, name, writing->vectors, values + first * param->cols,
                                  param->rows - first, param->cols);
    }
    if (param->rows == 1)
        return lng_ct2_put_tensor(put, name, writing->vectors, values, 0, param->cols);
    return lng_ct2_put_tensor(put, name, writing->args->type, values,
                              param->rows - (entries && writing->pad_dropped), param->cols);
}

/* Family A from position 1 is what CTranslate2 computes by itself. */
static bool stores_table(const struct lng_hparams *h)
{
    return h->positions != LNG_POSITIONS_LEARNED &&
           !(h->positions == LNG_POSITIONS_A && h->position_offset == 1);
}

static enum lng_status put_table(const struct writing *writing, struct lng_ct2_put *put)
{
    const struct lng_hparams *h = writing->h;
    char name[LNG_CT2_NAME_BYTES];
    int64_t rows = h->max_positions > TABLE_ROWS ? h->max_positions : TABLE_ROWS;
    if (!stores_table(h) || !lng_ct2_param_name(LNG_PARAM_DECODER_POSITIONS, -1, name))
        return LNG_OK;
    float *table = lng_alloc((size_t)((rows + h->position_offset) * h->dim), sizeof *table);
    if (!table)
        return LNG_ERR_MEMORY;
    lng_positions_fill(table, rows + h->position_offset, h->dim, h->positions);
    enum lng_status status = lng_ct2_put_tensor(
        put, name, writing->vectors, table + (int64_t)h->position_offset * h->dim, rows, h->dim);
    lng_free(table);
    return status;
}

static enum lng_status put_variables(const struct writing *writing, struct lng_ct2_put *put)
{
    const struct lng_model_data *data = writing->args->data;
    char name[LNG_CT2_NAME_BYTES];
    LNG_TRY(put_settings(writing, put));
    for (size_t i = 0; i < data->params.count; i++)
        LNG_TRY(put_param(writing, put, &data->params.list[i]));
    if (!writing->h->output_bias && writing->pad_never &&
        lng_ct2_param_name(LNG_PARAM_OUTPUT_BIAS, -1, name))
        LNG_TRY(put_bias(writing, put, name, NULL, writing->h->target_vocab));
    return put_table(writing, put);
}

/* ---- aliases ---- */

static enum lng_status put_aliases(const struct writing *writing, struct lng_ct2_put *put)
{
    const struct lng_hparams *h = writing->h;
    const struct {
        enum lng_param_id alias, of;
        bool needed;
    } aliases[] = {
        {LNG_PARAM_OUTPUT, LNG_PARAM_TARGET_EMBED, h->tie != LNG_TIE_NONE},
        {LNG_PARAM_SOURCE_EMBED, LNG_PARAM_TARGET_EMBED, h->tie == LNG_TIE_ALL},
        {LNG_PARAM_ENCODER_POSITIONS, LNG_PARAM_DECODER_POSITIONS, stores_table(h)},
    };
    char name[LNG_CT2_NAME_BYTES];
    uint32_t count = 0;
    for (int i = 0; i < 3; i++)
        count += aliases[i].needed;
    LNG_TRY(lng_ct2_put_u32(put, count));
    for (int i = 0; i < 3; i++) {
        if (aliases[i].needed && lng_ct2_param_name(aliases[i].alias, -1, name))
            LNG_TRY(lng_ct2_put_string(put, name));
        if (aliases[i].needed && lng_ct2_param_name(aliases[i].of, -1, name))
            LNG_TRY(lng_ct2_put_string(put, name));
    }
    return LNG_OK;
}

static enum lng_status write_model(const struct writing *writing)
{
    struct lng_ct2_put put = {.file.fd = -1, .counting = true};
    char *path = lng_path_join(writing->args->directory, "model.bin");
    enum lng_status status = path ? LNG_OK : LNG_ERR_MEMORY;
    put.name = path;
    if (status == LNG_OK)
        status = put_variables(writing, &put);
    if (status == LNG_OK)
        status = lng_atomic_open(&put.file, path);
    if (status != LNG_OK)
        goto fail;
    put.counting = false;
    LNG_TRY_OR_FAIL(lng_ct2_put_u32(&put, LNG_CT2_VERSION));
    LNG_TRY_OR_FAIL(lng_ct2_put_string(&put, LNG_CT2_SPEC));
    LNG_TRY_OR_FAIL(lng_ct2_put_u32(&put, LNG_CT2_REVISION));
    LNG_TRY_OR_FAIL(lng_ct2_put_u32(&put, put.count));
    LNG_TRY_OR_FAIL(put_variables(writing, &put));
    LNG_TRY_OR_FAIL(put_aliases(writing, &put));
    status = lng_atomic_commit(&put.file);
fail:
    lng_atomic_discard(&put.file);
    lng_free(path);
    return status;
}

/* ---- beside it ---- */

static enum lng_status write_json(const char *directory, const char *name, const json_t *root)
{
    char *path = lng_path_join(directory, name);
    enum lng_status status = path ? lng_json_write(path, root) : LNG_ERR_MEMORY;
    lng_free(path);
    return status;
}

static enum lng_status write_vocabulary(const struct writing *writing, const char *name,
                                        const struct lng_vocab *vocab, int32_t entries)
{
    enum lng_status status = LNG_OK;
    json_t *root = json_array();
    for (int32_t i = 0; i < entries; i++) {
        struct lng_slice entry = lng_vocab_entry(vocab, i);
        LNG_GOTO_FAIL_IF(json_array_append_new(root, json_stringn(entry.data, entry.length)) != 0,
                         LNG_ERR_MEMORY, "%s: out of memory", name);
    }
    status = write_json(writing->args->directory, name, root);
fail:
    json_decref(root);
    return status;
}

static enum lng_status write_vocabularies(const struct writing *writing)
{
    const struct lng_hparams *h = writing->h;
    int32_t entries = h->target_vocab - writing->pad_dropped;
    if (!writing->args->target)
        return write_vocabulary(writing, "shared_vocabulary.json", writing->target, entries);
    LNG_TRY(write_vocabulary(writing, "source_vocabulary.json", writing->args->source,
                             h->source_vocab));
    return write_vocabulary(writing, "target_vocabulary.json", writing->target, entries);
}

static enum lng_status fill_config(const struct writing *writing, json_t *root)
{
    const struct lng_hparams *h = writing->h;
    /* From a zero embedding any token will do, but it must be an entry. */
    int32_t first = writing->start_from_zero ? h->eos : h->decoder_start;
    const struct {
        const char *unk, *bos, *eos;
        bool add_source_bos, add_source_eos;
    } config = {
        .unk = text_of(writing->target, h->unk),
        .bos = text_of(writing->target, first),
        .eos = text_of(writing->target, h->eos),
        .add_source_eos = h->source_eos >= 0,
    };
#define LNG_CT2_TOKEN(field, key, variable) \
    LNG_TRY(lng_json_set(root, key, json_string(config.field)));
#define LNG_CT2_FLAG(field, key, variable) \
    LNG_TRY(lng_json_set(root, key, json_boolean(config.field)));
#include "host/store/ctranslate2_names.def"
    LNG_TRY(lng_json_set(root, LNG_CT2_START_KEY, json_string(config.bos)));
    LNG_TRY(lng_json_set(root, LNG_CT2_EPSILON_KEY, json_real(h->norm_epsilon)));
    return lng_json_set(root, LNG_CT2_OURS_KEY, json_pack("{s:i}", "version", 1));
}

static enum lng_status write_config(const struct writing *writing)
{
    json_t *root = json_object();
    enum lng_status status = fill_config(writing, root);
    if (status == LNG_OK)
        status = write_json(writing->args->directory, "config.json", root);
    json_decref(root);
    return status;
}

enum lng_status lng_ct2_export(const struct lng_ct2_export_args *args)
{
    struct writing writing = {
        .args = args,
        .h = &args->data->hparams,
        .target = args->target ? args->target : args->source,
        .vectors =
            args->type == LNG_CT2_F16 || args->type == LNG_CT2_BF16 ? args->type : LNG_CT2_F32,
    };
    LNG_TRY(check_shape(&writing));
    LNG_TRY(check_vocabularies(&writing));
    plan_pad(&writing);
    LNG_TRY(write_model(&writing));
    LNG_TRY(write_vocabularies(&writing));
    return write_config(&writing);
}
