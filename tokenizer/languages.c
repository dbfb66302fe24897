#include "tokenizer/languages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"

enum { MOST_LANGUAGES = 10000 };
static const char mask[] = "<mask>";

struct reading {
    const char *directory;
    struct lng_vocab *vocab;
    int32_t begin; /* of the language tokens */
};

/* ---- JSON files beside the model ---- */

static enum lng_status read_json(const char *directory, const char *name, json_t **root)
{
    struct lng_buffer content = {0};
    json_error_t error;
    char *path = lng_path_join(directory, name);
    enum lng_status status = path ? LNG_OK : LNG_ERR_MEMORY;
    *root = NULL;
    if (status == LNG_OK && lng_file_exists(path)) {
        status = lng_file_read(path, 4 << 20, &content);
        if (status == LNG_OK)
            *root = json_loadb(content.data ? content.data : "", content.length,
                               JSON_REJECT_DUPLICATES, &error);
        if (status == LNG_OK && *root == NULL)
            status = lng_fail(LNG_ERR_FORMAT, "%s: line %d, column %d: %s", path, error.line,
                              error.column, error.text);
        if (status == LNG_OK && !json_is_object(*root))
            status = lng_fail(LNG_ERR_FORMAT, "%s: expected a JSON object, found an array", path);
    }
    if (status != LNG_OK) {
        json_decref(*root);
        *root = NULL;
    }
    lng_buffer_release(&content);
    lng_free(path);
    return status;
}

static const char *text_of(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

/* ---- tokens behind the pieces ---- */

static enum lng_status add_token(struct reading *in, const char *text)
{
    int32_t size = lng_vocab_size(in->vocab);
    if (text == NULL || lng_vocab_find(in->vocab, text, strlen(text)) >= 0)
        return LNG_OK;
    LNG_FAIL_IF(size - in->begin >= MOST_LANGUAGES, LNG_ERR_FORMAT,
                "%s: more than %d language tokens", in->directory, MOST_LANGUAGES);
    return lng_vocab_add(in->vocab, text, strlen(text), NULL);
}

struct numbered {
    int64_t id;
    const char *text;
};

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct numbered *)a)->id, y = ((const struct numbered *)b)->id;
    return (x > y) - (x < y);
}

/* {"id": {"content": token}} or {"token": id}: those at and after the end of the vocabulary, in the order of their ids. */
static enum lng_status add_numbered(struct reading *in, const json_t *object, bool ids_are_keys)
{
    size_t count = 0, room = json_object_size(object);
    struct numbered *list = lng_alloc(room, sizeof *list);
    const char *key;
    json_t *value;
    if (list == NULL)
        return LNG_ERR_MEMORY;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        struct numbered *token = &list[count];
        token->id = ids_are_keys ? strtoll(key, NULL, 10) : json_integer_value(value);
        token->text = ids_are_keys ? text_of(value) : key;
        count += token->text != NULL && token->id >= in->begin;
    }
    qsort(list, count, sizeof *list, by_id);
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < count && status == LNG_OK; i++) {
        if (list[i].id != lng_vocab_size(in->vocab))
            status = lng_fail(
                LNG_ERR_FORMAT, "%s: expected the added token of id %d, found '%.60s' of id %lld",
                in->directory, lng_vocab_size(in->vocab), list[i].text, (long long)list[i].id);
        else
            status = add_token(in, list[i].text);
    }
    lng_free(list);
    return status;
}

static enum lng_status add_listed(struct reading *in, const json_t *list)
{
    size_t i;
    const json_t *token;
    json_array_foreach(list, i, token) LNG_TRY(add_token(in, text_of(token)));
    return LNG_OK;
}

/* Those that transformers' tokenizer of M2M-100 knows by itself. */
static enum lng_status add_known(struct reading *in, const json_t *config)
{
    static const struct {
        const char *list, *code;
    } known[] = {
#define LNG_M2M_LANGUAGE(list, code) {list, code},
#include "tokenizer/m2m_languages.def"
#undef LNG_M2M_LANGUAGE
    };
    const char *tokenizer = text_of(json_object_get(config, "tokenizer_class"));
    const char *list = text_of(json_object_get(config, "language_codes"));
    if (tokenizer == NULL || strcmp(tokenizer, "M2M100Tokenizer") != 0)
        return LNG_OK;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char token[16];
        if (strcmp(known[i].list, list != NULL ? list : "m2m100") != 0)
            continue;
        snprintf(token, sizeof token, "__%s__", known[i].code);
        LNG_TRY(add_token(in, token));
    }
    return LNG_OK;
}

/* The first of these places that says something. */
static enum lng_status add_languages(struct reading *in, const json_t *config, const json_t *added,
                                     const json_t *special)
{
    static const char *const lists[] = {"extra_special_tokens", "additional_special_tokens"};
    LNG_TRY(add_numbered(in, json_object_get(config, "added_tokens_decoder"), true));
    if (lng_vocab_size(in->vocab) == in->begin)
        LNG_TRY(add_numbered(in, added, false));
    for (int i = 0; i < 4 && lng_vocab_size(in->vocab) == in->begin; i++)
        LNG_TRY(add_listed(in, json_object_get(i < 2 ? config : special, lists[i % 2])));
    return lng_vocab_size(in->vocab) == in->begin ? add_known(in, config) : LNG_OK;
}

/* ---- the pieces ---- */

static enum lng_status vocab_of_pieces(const struct lng_spm *spm, struct lng_vocab **vocab)
{
    static const char *const first[] = {"<s>", LNG_PAD_TEXT, LNG_EOS_TEXT, LNG_UNK_TEXT};
    struct lng_vocab *fresh = NULL;
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_vocab_open(&fresh));
    for (int i = 0; i < 4; i++)
        LNG_TRY_OR_FAIL(lng_vocab_add(fresh, first[i], strlen(first[i]), NULL));
    const struct lng_spm_info *info = lng_spm_get_info(spm);
    for (int32_t id = 0; id < info->pieces; id++) {
        size_t length;
        const char *piece = lng_spm_piece(spm, id, &length);
        if (id != info->unknown_id && lng_vocab_find(fresh, piece, length) < 0)
            LNG_TRY_OR_FAIL(lng_vocab_add(fresh, piece, length, NULL));
    }
    *vocab = fresh;
    fresh = NULL;
fail:
    lng_vocab_close(fresh);
    return status;
}

static enum lng_status read_pieces(const char *directory, const struct lng_spm *spm,
                                   struct lng_vocab **vocab)
{
    char *path = lng_path_join(directory, "vocab.json");
    if (path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status =
        lng_file_exists(path) ? lng_vocab_read_json(path, vocab) : vocab_of_pieces(spm, vocab);
    lng_free(path);
    return status;
}

static bool is_true(const json_t *config, const char *key)
{
    return json_is_true(json_object_get(config, key));
}

enum lng_status lng_languages_add(const char *name, const json_t *config, const json_t *added,
                                  const json_t *special, struct lng_vocab *vocab,
                                  struct lng_languages *languages)
{
    struct reading in = {.directory = name, .vocab = vocab, .begin = lng_vocab_size(vocab)};
    LNG_TRY(add_languages(&in, config, added, special));
    int32_t end = lng_vocab_size(vocab);
    LNG_FAIL_IF(end == in.begin, LNG_ERR_FORMAT,
                "%s: expected language tokens in tokenizer_config.json, added_tokens.json or "
                "special_tokens_map.json, found none",
                name);
    int32_t masked = lng_vocab_find(vocab, mask, sizeof mask - 1);
    *languages = (struct lng_languages){
        .begin = in.begin,
        .end = masked > in.begin ? masked : end,
        .last = is_true(config, "legacy_behaviour"),
        .source = text_of(json_object_get(config, "src_lang")),
        .target = text_of(json_object_get(config, "tgt_lang")),
    };
    return LNG_OK;
}

enum lng_status lng_languages_read(const char *directory, const json_t *config,
                                   const struct lng_spm *spm, struct lng_vocab **vocab,
                                   struct lng_languages *languages)
{
    json_t *added = NULL, *special = NULL;
    struct lng_vocab *fresh = NULL;
    enum lng_status status;
    LNG_TRY_OR_FAIL(read_pieces(directory, spm, &fresh));
    LNG_TRY_OR_FAIL(read_json(directory, "added_tokens.json", &added));
    LNG_TRY_OR_FAIL(read_json(directory, "special_tokens_map.json", &special));
    LNG_TRY_OR_FAIL(lng_languages_add(directory, config, added, special, fresh, languages));
    *vocab = fresh;
    fresh = NULL;
fail:
    lng_vocab_close(fresh);
    json_decref(added);
    json_decref(special);
    return status;
}

/* ---- lingster's own ---- */

json_t *lng_languages_to_json(const struct lng_languages *languages)
{
    return json_pack("{s:i, s:i, s:b, s:s?, s:s?}", "begin", (int)languages->begin, "end",
                     (int)languages->end, "last", (int)languages->last, "source", languages->source,
                     "target", languages->target);
}

enum lng_status lng_languages_from_json(const char *file, const json_t *object, int32_t size,
                                        struct lng_languages *languages)
{
    double begin = json_number_value(json_object_get(object, "begin"));
    double end = json_number_value(json_object_get(object, "end"));
    LNG_FAIL_IF(!(begin >= 1 && end > begin && end <= size), LNG_ERR_FORMAT,
                "%s: languages: expected entries of the vocabulary of %d, found %g to %g", file,
                size, begin, end);
    *languages = (struct lng_languages){
        .begin = (int32_t)begin,
        .end = (int32_t)end,
        .last = is_true(object, "last"),
        .source = text_of(json_object_get(object, "source")),
        .target = text_of(json_object_get(object, "target")),
    };
    return LNG_OK;
}

/* ---- asking ---- */

enum lng_status lng_tokenizer_find_language(const struct lng_tokenizer *tokenizer, const char *code,
                                            int32_t *id)
{
    const struct lng_vocab *vocab = lng_tokenizer_vocab(tokenizer, LNG_SIDE_TARGET);
    const struct lng_languages *l = lng_tokenizer_languages(tokenizer);
    LNG_FAIL_IF(l->begin == l->end, LNG_ERR_USAGE,
                "language '%.40s': this model has no language tokens; leave the option out", code);
    struct lng_buffer text = {0};
    enum lng_status status = LNG_OK;
    int32_t found = -1;
    for (int form = 0; form < 2 && found < 0 && status == LNG_OK; form++) {
        lng_buffer_clear(&text);
        status = lng_buffer_append_format(&text, form == 0 ? "%s" : "__%s__", code);
        if (status == LNG_OK)
            found = lng_vocab_find(vocab, text.data, text.length);
        found = found >= l->begin && found < l->end ? found : -1;
    }
    lng_buffer_clear(&text);
    for (int32_t i = l->begin; i < l->end && found < 0 && status == LNG_OK; i++)
        status = lng_buffer_append_format(&text, " %s", lng_vocab_entry(vocab, i).data);
    if (status == LNG_OK && found < 0)
        status = lng_fail(LNG_ERR_USAGE, "language '%.40s': expected one of%s", code, text.data);
    lng_buffer_release(&text);
    if (status == LNG_OK)
        *id = found;
    return status;
}
