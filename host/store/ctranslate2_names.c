#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/store/ctranslate2_internal.h"

/* ---- settings ---- */

static const struct {
    const char *name, *old;
    enum lng_ct2_type type;
} settings[LNG_CT2_SETTING_COUNT] = {
#define LNG_CT2_SETTING(id, type, name, old) {name, old, LNG_CT2_##type},
#include "host/store/ctranslate2_names.def"
};

const char *lng_ct2_setting_name(enum lng_ct2_setting setting)
{
    return settings[setting].name;
}

const char *lng_ct2_setting_old_name(enum lng_ct2_setting setting)
{
    return settings[setting].old;
}

enum lng_ct2_type lng_ct2_setting_type(enum lng_ct2_setting setting)
{
    return settings[setting].type;
}

/* ---- parameters ---- */

static const struct {
    const char *name;
    bool needed;
} params[LNG_PARAM_COUNT] = {
#define LNG_CT2_PARAM(id, name, needed) [LNG_PARAM_##id] = {name, needed},
#include "host/store/ctranslate2_names.def"
};

static void expand(const char *pattern, int layer, char name[LNG_CT2_NAME_BYTES])
{
    const char *hole = strstr(pattern, "{}");
    if (hole)
        snprintf(name, LNG_CT2_NAME_BYTES, "%.*s%d%s", (int)(hole - pattern), pattern, layer,
                 hole + 2);
    else
        snprintf(name, LNG_CT2_NAME_BYTES, "%s", pattern);
}

bool lng_ct2_param_name(enum lng_param_id id, int layer, char name[LNG_CT2_NAME_BYTES])
{
    if (!params[id].name)
        return false;
    expand(params[id].name, layer, name);
    return true;
}

bool lng_ct2_param_optional(enum lng_param_id id)
{
    return !params[id].needed;
}

bool lng_ct2_attention_scope(int which, const struct lng_hparams *h, char name[LNG_CT2_NAME_BYTES])
{
    static const char *const scopes[] = {
#define LNG_CT2_ATTENTION(name) name,
#include "host/store/ctranslate2_names.def"
    };
    int count = (int)(sizeof scopes / sizeof scopes[0]);
    for (int i = 0; i < count; i++) {
        int layers = strncmp(scopes[i], "encoder", 7) == 0 ? h->encoder_layers : h->decoder_layers;
        if (which < layers) {
            expand(scopes[i], which, name);
            return true;
        }
        which -= layers;
    }
    return false;
}

/* ---- what is not supported ---- */

static bool part_fits(const char *part, size_t length, const char *pattern)
{
    size_t size = strlen(pattern);
    if (pattern[size - 1] == '*')
        return length >= size - 1 && memcmp(part, pattern, size - 1) == 0;
    return length == size && memcmp(part, pattern, size) == 0;
}

const char *lng_ct2_feature(const char *name, bool *zero)
{
    static const struct {
        const char *part;
        bool zero;
        const char *what;
    } features[] = {
#define LNG_CT2_FEATURE(part, zero, what) {part, zero, what},
#include "host/store/ctranslate2_names.def"
    };
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        for (const char *part = name; part; part = strchr(part, '/')) {
            part += *part == '/';
            size_t length = strcspn(part, "/");
            if (part_fits(part, length, features[i].part)) {
                *zero = features[i].zero;
                return features[i].what;
            }
        }
    }
    return NULL;
}

/* ---- older names ---- */

static enum lng_status replace(char **name, const char *from, const char *to)
{
    const char *at = strstr(*name, from);
    if (!at)
        return LNG_OK;
    char *fresh = lng_format("%.*s%s%s", (int)(at - *name), *name, to, at + strlen(from));
    if (!fresh)
        return LNG_ERR_MEMORY;
    lng_free(*name);
    *name = fresh;
    return LNG_OK;
}

static enum lng_status rename_old(char **name)
{
    static const char *const pairs[][2] = {
#define LNG_CT2_OLD(from, to) {from, to},
#include "host/store/ctranslate2_names.def"
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        LNG_TRY(replace(name, pairs[i][0], pairs[i][1]));
    /* The decoder's multi_head attends to the source; its own attention is the masked one. */
    if (strncmp(*name, "encoder/", 8) == 0)
        return replace(name, "multi_head", "self_attention");
    LNG_TRY(replace(name, "masked_multi_head", "self_attention"));
    return replace(name, "multi_head", "attention");
}

char *lng_ct2_rename(const char *name, bool revision_1)
{
    char *fresh = lng_strdup(name);
    enum lng_status status = fresh ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK && revision_1)
        status = rename_old(&fresh);
    if (status == LNG_OK && strncmp(fresh, "encoder/embeddings/", 19) == 0)
        status = replace(&fresh, "embeddings", "embeddings_0");
    if (status == LNG_OK)
        return fresh;
    lng_free(fresh);
    return NULL;
}

/* ---- activations ---- */

static const struct {
    int code;
    enum lng_activation activation;
} codes[] = {
#define LNG_CT2_CODE(code, activation) {code, LNG_ACTIVATION_##activation},
#include "host/store/ctranslate2_names.def"
};
enum { CODES = sizeof codes / sizeof codes[0] };

bool lng_ct2_activation(double code, enum lng_activation *activation)
{
    for (int i = 0; i < CODES; i++) {
        if ((double)codes[i].code == code) {
            *activation = codes[i].activation;
            return true;
        }
    }
    return false;
}

int lng_ct2_activation_code(enum lng_activation activation)
{
    for (int i = 0; i < CODES; i++)
        if (codes[i].activation == activation)
            return codes[i].code;
    return -1;
}
