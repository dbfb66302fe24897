/* What lies beside model.bin: config.json and the vocabularies. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/ctranslate2_internal.h"

enum { CONFIG_BYTES = 1 << 20 };

/* ---- special tokens ---- */

static enum lng_status set_text(char **text, const char *value)
{
    char *copy = value ? lng_strdup(value) : NULL;
    if (value && !copy)
        return LNG_ERR_MEMORY;
    lng_free(*text);
    *text = copy;
    return LNG_OK;
}

static enum lng_status set_defaults(struct lng_ct2_config *config)
{
    config->epsilon = NAN;
    LNG_TRY(set_text(&config->unk, LNG_UNK_TEXT));
    LNG_TRY(set_text(&config->bos, "<s>"));
    LNG_TRY(set_text(&config->eos, LNG_EOS_TEXT));
    return set_text(&config->start, "<s>");
}

void lng_ct2_config_release(struct lng_ct2_config *config)
{
    lng_free(config->unk);
    lng_free(config->bos);
    lng_free(config->eos);
    lng_free(config->start);
    *config = (struct lng_ct2_config){0};
}

/* ---- config.json ---- */

static enum lng_status parse_token(const json_t *root, const char *name, const char *key,
                                   char **text)
{
    const char *value;
    if (!lng_json_has(root, key))
        return LNG_OK;
    LNG_TRY(lng_json_get_string(root, name, key, &value));
    return set_text(text, value);
}

static enum lng_status parse_flag(const json_t *root, const char *name, const char *key, bool *flag)
{
    return lng_json_has(root, key) ? lng_json_get_bool(root, name, key, flag) : LNG_OK;
}

/* Keys that say nothing, or that lingster cannot follow. */
static enum lng_status parse_others(struct lng_ct2_config *config, const json_t *root,
                                    const char *name, struct lng_buffer *warnings)
{
    static const struct {
        const char *key, *what;
    } known[] = {
#define LNG_CT2_TOKEN(field, key, variable) {key, NULL},
#define LNG_CT2_FLAG(field, key, variable) {key, NULL},
#define LNG_CT2_OBSTACLE(key, what) {key, what},
#include "host/store/ctranslate2_names.def"
        {LNG_CT2_START_KEY, NULL},
        {LNG_CT2_EPSILON_KEY, NULL},
        {LNG_CT2_OURS_KEY, NULL},
    };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value)
    {
        size_t i = 0, count = sizeof known / sizeof known[0];
        while (i < count && strcmp(key, known[i].key) != 0)
            i++;
        if (i == count)
            LNG_TRY(
                lng_buffer_append_format(warnings, "%s: key \"%.80s\" is not used\n", name, key));
        else if (known[i].what && !json_is_false(value) && !json_is_null(value))
            config->obstacle = known[i].what;
    }
    return LNG_OK;
}

enum lng_status lng_ct2_config_parse(struct lng_ct2_config *config, const char *name,
                                     const char *text, size_t size, struct lng_buffer *warnings)
{
    enum lng_status status;
    json_t *root = NULL;
    char found[LNG_JSON_TEXT_BYTES];
    LNG_TRY_OR_FAIL(lng_json_parse(name, text, size, &root));
    LNG_GOTO_FAIL_IF(!json_is_object(root), LNG_ERR_FORMAT, "%s: expected an object, found %s",
                     name, lng_json_describe(root, found));
#define LNG_CT2_TOKEN(field, key, variable) \
    LNG_TRY_OR_FAIL(parse_token(root, name, key, &config->field));
#define LNG_CT2_FLAG(field, key, variable) \
    LNG_TRY_OR_FAIL(parse_flag(root, name, key, &config->field));
#include "host/store/ctranslate2_names.def"
    if (json_is_null(json_object_get(root, LNG_CT2_START_KEY)))
        LNG_TRY_OR_FAIL(set_text(&config->start, NULL));
    else
        LNG_TRY_OR_FAIL(parse_token(root, name, LNG_CT2_START_KEY, &config->start));
    if (lng_json_has(root, LNG_CT2_EPSILON_KEY))
        LNG_TRY_OR_FAIL(
            lng_json_get_double(root, name, LNG_CT2_EPSILON_KEY, 1e-30, 0.5, &config->epsilon));
    config->ours = lng_json_has(root, LNG_CT2_OURS_KEY);
    status = parse_others(config, root, name, warnings);
fail:
    json_decref(root);
    return status;
}

static enum lng_status read_json(struct lng_ct2_config *config, const char *directory,
                                 struct lng_buffer *warnings)
{
    struct lng_buffer text = {0};
    char *path = lng_path_join(directory, "config.json");
    enum lng_status status = path ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK && lng_file_exists(path)) {
        status = lng_blob_read_file(path, CONFIG_BYTES, &text);
        if (status == LNG_OK)
            status = lng_ct2_config_parse(config, path, text.data, text.length, warnings);
    }
    lng_buffer_release(&text);
    lng_free(path);
    return status;
}

/* ---- the same as variables ---- */

static enum lng_status variable_text(const struct lng_ct2_file *file, const char *name, char **text)
{
    const struct lng_ct2_variable *variable = lng_ct2_find(file, name);
    char *fresh;
    if (!variable)
        return LNG_OK;
    LNG_TRY(lng_ct2_read_text(file, variable, &fresh));
    lng_free(*text);
    *text = fresh;
    return LNG_OK;
}

static enum lng_status variable_flag(const struct lng_ct2_file *file, const char *name, bool *flag)
{
    const struct lng_ct2_variable *variable = lng_ct2_find(file, name);
    double value;
    if (!variable)
        return LNG_OK;
    LNG_TRY(lng_ct2_read_number(file, variable, &value));
    *flag = value != 0;
    return LNG_OK;
}

static enum lng_status read_variables(struct lng_ct2_config *config,
                                      const struct lng_ct2_file *file)
{
    bool target_bos = true, from_user = false;
#define LNG_CT2_TOKEN(field, key, variable) LNG_TRY(variable_text(file, variable, &config->field));
#define LNG_CT2_FLAG(field, key, variable) LNG_TRY(variable_flag(file, variable, &config->field));
#include "host/store/ctranslate2_names.def"
    LNG_TRY(variable_flag(file, LNG_CT2_TARGET_BOS, &target_bos));
    LNG_TRY(variable_flag(file, LNG_CT2_USER_START, &from_user));
    return set_text(&config->start, from_user ? NULL : target_bos ? config->bos : config->eos);
}

enum lng_status lng_ct2_config_read(struct lng_ct2_config *config, const char *directory,
                                    const struct lng_ct2_file *file, struct lng_buffer *warnings)
{
    struct lng_ct2_config fresh = {0};
    enum lng_status status = set_defaults(&fresh);
    if (status == LNG_OK && directory)
        status = read_json(&fresh, directory, warnings);
    if (status == LNG_OK && file->version < 6)
        status = read_variables(&fresh, file);
    if (status == LNG_OK)
        *config = fresh;
    else
        lng_ct2_config_release(&fresh);
    return status;
}

/* ---- vocabularies ---- */

static enum lng_status parse_array(const char *text, size_t size, struct lng_vocab *vocab)
{
    enum lng_status status;
    json_t *root = NULL, *entry;
    char found[LNG_JSON_TEXT_BYTES];
    size_t i;
    LNG_TRY_OR_FAIL(lng_json_parse("vocabulary", text, size, &root));
    LNG_GOTO_FAIL_IF(!json_is_array(root), LNG_ERR_FORMAT, "expected an array of entries, found %s",
                     lng_json_describe(root, found));
    json_array_foreach(root, i, entry)
    {
        LNG_GOTO_FAIL_IF(!json_is_string(entry), LNG_ERR_FORMAT,
                         "entry %zu: expected a string, found %s", i,
                         lng_json_describe(entry, found));
        LNG_TRY_OR_FAIL(
            lng_vocab_add(vocab, json_string_value(entry), json_string_length(entry), NULL));
    }
fail:
    json_decref(root);
    return status;
}

enum lng_status lng_ct2_vocab_parse(const char *text, size_t size, bool json,
                                    struct lng_vocab **vocab)
{
    struct lng_vocab *fresh;
    if (!json)
        return lng_vocab_parse_lines(text, size, vocab);
    LNG_TRY(lng_vocab_open(&fresh));
    enum lng_status status = parse_array(text, size, fresh);
    if (status == LNG_OK)
        *vocab = fresh;
    else
        lng_vocab_close(fresh);
    return status;
}

static enum lng_status read_file(const char *path, bool json, const char *unk,
                                 struct lng_vocab **vocab)
{
    struct lng_buffer text = {0};
    struct lng_vocab *fresh = NULL;
    enum lng_status status = lng_blob_read_file(path, LNG_VOCAB_MAX_FILE_BYTES, &text);
    if (status == LNG_OK) {
        status = lng_ct2_vocab_parse(text.data, text.length, json, &fresh);
        if (status == LNG_OK && lng_vocab_find(fresh, unk, strlen(unk)) < 0)
            status = lng_vocab_add(fresh, unk, strlen(unk), NULL);
        if (status != LNG_OK)
            status = lng_fail_context(status, "%s", path);
    }
    lng_buffer_release(&text);
    if (status == LNG_OK)
        *vocab = fresh;
    else
        lng_vocab_close(fresh);
    return status;
}

/* *vocab stays as it is when there is no such file. */
static enum lng_status read_either(const char *directory, const char *stem, const char *unk,
                                   struct lng_vocab **vocab)
{
    static const char *const ends[] = {"json", "txt"};
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", stem, ends[i]);
        char *path = lng_path_join(directory, name);
        if (!path)
            return LNG_ERR_MEMORY;
        bool found = lng_file_exists(path);
        enum lng_status status = found ? read_file(path, i == 0, unk, vocab) : LNG_OK;
        lng_free(path);
        if (found || status != LNG_OK)
            return status;
    }
    return LNG_OK;
}

enum lng_status lng_ct2_vocabs_read(const char *directory, const char *unk,
                                    struct lng_vocab **source, struct lng_vocab **target)
{
    struct lng_vocab *shared = NULL, *from = NULL, *to = NULL;
    enum lng_status status;
    LNG_TRY_OR_FAIL(read_either(directory, "shared_vocabulary", unk, &shared));
    if (!shared) {
        LNG_TRY_OR_FAIL(read_either(directory, "source_vocabulary", unk, &from));
        LNG_TRY_OR_FAIL(read_either(directory, "target_vocabulary", unk, &to));
        LNG_GOTO_FAIL_IF(!from || !to, LNG_ERR_IO,
                         "%s: expected shared_vocabulary.json (or .txt), or source_vocabulary and "
                         "target_vocabulary, found no %s vocabulary",
                         directory,
                         from ? "target"
                         : to ? "source"
                              : "such");
        if (lng_vocab_first_difference(from, to) < 0) { /* one vocabulary, saved twice */
            lng_vocab_close(to);
            to = NULL;
        }
    }
    *source = shared ? shared : from;
    *target = to;
    return LNG_OK;
fail:
    lng_vocab_close(shared);
    lng_vocab_close(from);
    lng_vocab_close(to);
    return status;
}
