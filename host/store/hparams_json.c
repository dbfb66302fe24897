#include "host/store/hparams_json.h"

#include <stddef.h>
#include <string.h>

static const char *const activation_names[] = {
    [LNG_ACTIVATION_NONE] = "linear", [LNG_ACTIVATION_RELU] = "relu",
    [LNG_ACTIVATION_GELU] = "gelu",   [LNG_ACTIVATION_GELU_TANH] = "gelu_new",
    [LNG_ACTIVATION_SWISH] = "silu",  [LNG_ACTIVATION_GELU_SIGMOID] = "quick_gelu",
};
static const char *const norm_names[] = {"layer", "rms"};
static const char *const position_names[] = {"A", "B", "C", "learned"};
static const char *const tie_names[] = {"all", "target", "none"};
static const char *const score_names[] = {"dot", "additive"};

enum kind {
    KIND_INT,
    KIND_BOOL,
    KIND_DOUBLE,
    KIND_NAME,
    KIND_OPTIONAL, /* an integer that need not be there; -1 is not written */
};

/* Names stand for enum values 0, 1, ... in their order. */
static const struct field {
    const char *key;
    enum kind kind;
    bool extra; /* Hugging Face has no key for it */
    size_t offset;
    const char *const *names;
    int name_count;
} fields[] = {
#define FIELD(name, kind, extra)                                        \
    {                                                                   \
#name, kind, extra, offsetof(struct lng_hparams, name), NULL, 0 \
    }
#define NAMES(name, extra, list)                                           \
    {                                                                      \
#name, KIND_NAME, extra, offsetof(struct lng_hparams, name), list, \
            (int)(sizeof list / sizeof list[0])                            \
    }
    FIELD(source_vocab, KIND_INT, false),
    FIELD(target_vocab, KIND_INT, false),
    FIELD(dim, KIND_INT, false),
    FIELD(encoder_layers, KIND_INT, false),
    FIELD(decoder_layers, KIND_INT, false),
    FIELD(encoder_heads, KIND_INT, false),
    FIELD(decoder_heads, KIND_INT, false),
    FIELD(encoder_ffn, KIND_INT, false),
    FIELD(decoder_ffn, KIND_INT, false),
    NAMES(activation, false, activation_names),
    FIELD(pre_norm, KIND_BOOL, true),
    NAMES(norm, true, norm_names),
    FIELD(norm_epsilon, KIND_DOUBLE, true),
    NAMES(positions, true, position_names),
    FIELD(max_positions, KIND_INT, false),
    FIELD(position_offset, KIND_INT, true),
    FIELD(scale_embedding, KIND_BOOL, false),
    NAMES(tie, false, tie_names),
    FIELD(output_bias, KIND_BOOL, true),
    NAMES(attention_score, true, score_names),
    FIELD(attention_scaled, KIND_BOOL, true),
    FIELD(eos, KIND_INT, false),
    FIELD(unk, KIND_INT, true),
    FIELD(pad, KIND_INT, false),
    FIELD(source_eos, KIND_INT, true),
    FIELD(decoder_start, KIND_INT, true),
    FIELD(alignment_layer, KIND_OPTIONAL, true),
#undef FIELD
#undef NAMES
};

static json_t *value_of(const struct field *field, const struct lng_hparams *hparams)
{
    const char *at = (const char *)hparams + field->offset;
    switch (field->kind) {
    case KIND_INT:
    case KIND_OPTIONAL: {
        int32_t value;
        memcpy(&value, at, sizeof value);
        return json_integer(value);
    }
    case KIND_BOOL: {
        bool value;
        memcpy(&value, at, sizeof value);
        return json_boolean(value);
    }
    case KIND_DOUBLE: {
        double value;
        memcpy(&value, at, sizeof value);
        return lng_json_number(value);
    }
    default: {
        int value;
        memcpy(&value, at, sizeof value);
        return json_string(field->names[value]);
    }
    }
}

static bool among(const struct field *field, enum lng_hparams_keys which)
{
    return which == LNG_HPARAMS_ALL || (which == LNG_HPARAMS_EXTRA && field->extra);
}

static bool is_absent(const struct field *field, const struct lng_hparams *hparams)
{
    int32_t value;
    if (field->kind != KIND_OPTIONAL)
        return false;
    memcpy(&value, (const char *)hparams + field->offset, sizeof value);
    return value == -1;
}

enum lng_status lng_hparams_to_json(const struct lng_hparams *hparams, enum lng_hparams_keys which,
                                    json_t *object)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (among(&fields[i], which) && !is_absent(&fields[i], hparams))
            LNG_TRY(lng_json_set(object, fields[i].key, value_of(&fields[i], hparams)));
    return LNG_OK;
}

static enum lng_status read_name(const struct field *field, const json_t *object, const char *file,
                                 char *at)
{
    const char *name;
    LNG_TRY(lng_json_get_string(object, file, field->key, &name));
    for (int i = 0; i < field->name_count; i++) {
        if (strcmp(field->names[i], name) == 0) {
            memcpy(at, &i, sizeof i);
            return LNG_OK;
        }
    }
    struct lng_buffer known = {0};
    for (int i = 0; i < field->name_count; i++)
        LNG_TRY(lng_buffer_append_format(&known, "%s%s", i ? ", " : "", field->names[i]));
    char found[LNG_JSON_TEXT_BYTES];
    enum lng_status status =
        lng_fail(LNG_ERR_FORMAT, "%s: key \"%s\": expected one of %s, found %s", file, field->key,
                 known.data, lng_json_describe(json_object_get(object, field->key), found));
    lng_buffer_release(&known);
    return status;
}

static enum lng_status read_field(const struct field *field, const json_t *object, const char *file,
                                  struct lng_hparams *hparams)
{
    char *at = (char *)hparams + field->offset;
    switch (field->kind) {
    case KIND_INT:
    case KIND_OPTIONAL: {
        int64_t value = 0;
        LNG_TRY(lng_json_get_int(object, file, field->key, INT32_MIN, INT32_MAX, &value));
        int32_t narrow = (int32_t)value;
        memcpy(at, &narrow, sizeof narrow);
        return LNG_OK;
    }
    case KIND_BOOL: {
        bool value = false;
        LNG_TRY(lng_json_get_bool(object, file, field->key, &value));
        memcpy(at, &value, sizeof value);
        return LNG_OK;
    }
    case KIND_DOUBLE: {
        double value = 0;
        LNG_TRY(lng_json_get_double(object, file, field->key, -1e300, 1e300, &value));
        memcpy(at, &value, sizeof value);
        return LNG_OK;
    }
    default:
        return read_name(field, object, file, at);
    }
}

enum lng_status lng_hparams_from_json(const json_t *object, const char *file,
                                      enum lng_hparams_keys needed, struct lng_hparams *hparams)
{
    struct lng_hparams result = *hparams;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if ((among(&fields[i], needed) && fields[i].kind != KIND_OPTIONAL) ||
            lng_json_has(object, fields[i].key))
            LNG_TRY(read_field(&fields[i], object, file, &result));
    *hparams = result;
    return LNG_OK;
}

const char *lng_activation_hf_name(enum lng_activation activation)
{
    return activation_names[activation];
}

bool lng_activation_from_hf(const char *name, enum lng_activation *activation)
{
    static const struct {
        const char *name;
        enum lng_activation activation;
    } known[] = {
        {"relu", LNG_ACTIVATION_RELU},
        {"silu", LNG_ACTIVATION_SWISH},
        {"swish", LNG_ACTIVATION_SWISH},
        {"gelu", LNG_ACTIVATION_GELU},
        {"gelu_python", LNG_ACTIVATION_GELU},
        {"gelu_new", LNG_ACTIVATION_GELU_TANH},
        {"gelu_fast", LNG_ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", LNG_ACTIVATION_GELU_TANH},
        {"quick_gelu", LNG_ACTIVATION_GELU_SIGMOID},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0) {
            *activation = known[i].activation;
            return true;
        }
    }
    return false;
}
