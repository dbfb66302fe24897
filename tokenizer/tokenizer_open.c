#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tokenizer/languages.h"
#include "tokenizer/tokenizer_parts.h"

enum { MAX_CONFIG_BYTES = 4 << 20 };

void lng_tokenizer_close(struct lng_tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    for (int i = 0; i < 2; i++) {
        struct lng_tokenizer_side *side = &tokenizer->sides[i];
        if (i == 0 || !tokenizer->shared_spm)
            lng_spm_close(side->spm);
        if (i == 0 || !tokenizer->shared_vocab)
            lng_vocab_close(side->vocab);
        lng_free(side->id_of_piece);
    }
    lng_free(tokenizer->never);
    lng_free(tokenizer->languages);
    lng_free(tokenizer->eos);
    lng_free(tokenizer->unk);
    lng_free(tokenizer->pad);
    lng_free(tokenizer->code_texts[0]);
    lng_free(tokenizer->code_texts[1]);
    lng_free(tokenizer);
}

static enum lng_status find_special(const struct lng_vocab *vocab, const char *side,
                                    const char *name, int32_t *id)
{
    *id = lng_vocab_find(vocab, name, strlen(name));
    LNG_FAIL_IF(*id < 0, LNG_ERR_FORMAT,
                "the %s vocabulary of %d entries has no '%.60s', which every model needs", side,
                lng_vocab_size(vocab), name);
    return LNG_OK;
}

static enum lng_status prepare_side(struct lng_tokenizer *tokenizer, int index)
{
    struct lng_tokenizer_side *side = &tokenizer->sides[index];
    const char *name = index == 0 ? "source" : "target";
    LNG_TRY(find_special(side->vocab, name, tokenizer->eos, &side->eos));
    LNG_TRY(find_special(side->vocab, name, tokenizer->unk, &side->unk));
    LNG_TRY(find_special(side->vocab, name, tokenizer->pad, &side->pad));
    LNG_FAIL_IF(side->eos == side->unk || side->eos == side->pad || side->unk == side->pad,
                LNG_ERR_FORMAT, "two of the special entries '%.60s', '%.60s', '%.60s' are the same",
                tokenizer->eos, tokenizer->unk, tokenizer->pad);
    if (side->spm == NULL)
        return LNG_OK;
    int32_t pieces = lng_spm_get_info(side->spm)->pieces;
    side->id_of_piece = lng_alloc((size_t)pieces, sizeof *side->id_of_piece);
    if (side->id_of_piece == NULL)
        return LNG_ERR_MEMORY;
    for (int32_t i = 0; i < pieces; i++) {
        size_t length;
        const char *piece = lng_spm_piece(side->spm, i, &length);
        int32_t id = lng_vocab_find(side->vocab, piece, length);
        side->id_of_piece[i] = id == side->eos || id == side->pad ? -1 : id;
    }
    return LNG_OK;
}

/* A control piece of the target model (<s>, <pad>), or the byte piece of a control character. */
static bool never_produced(const struct lng_tokenizer *tokenizer,
                           const struct lng_tokenizer_side *side, int32_t id)
{
    bool language = id >= tokenizer->codes.begin && id < tokenizer->codes.end;
    if (id == side->pad || language)
        return true;
    if (side->spm == NULL || id == side->eos || id == side->unk)
        return false;
    struct lng_slice entry = lng_vocab_entry(side->vocab, id);
    int32_t piece = lng_spm_id(side->spm, entry.data, entry.length);
    enum lng_spm_kind kind = lng_spm_piece_kind(side->spm, piece);
    return kind == LNG_SPM_CONTROL ||
           (kind == LNG_SPM_BYTE && strtol(entry.data + 1, NULL, 16) < 32);
}

static bool is_language(struct lng_slice entry)
{
    return entry.length > 4 && memcmp(entry.data, ">>", 2) == 0 &&
           memcmp(entry.data + entry.length - 2, "<<", 2) == 0;
}

static enum lng_status list_ids(struct lng_tokenizer *tokenizer)
{
    const struct lng_tokenizer_side *target = &tokenizer->sides[LNG_SIDE_TARGET];
    const struct lng_tokenizer_side *source = &tokenizer->sides[LNG_SIDE_SOURCE];
    size_t never_room = 0, language_room = 0;
    for (int32_t i = 0; i < lng_vocab_size(target->vocab); i++) {
        if (!never_produced(tokenizer, target, i))
            continue;
        LNG_TRY(lng_grow(&tokenizer->never, &never_room, tokenizer->never_count + 1,
                         sizeof *tokenizer->never));
        tokenizer->never[tokenizer->never_count++] = i;
    }
    for (int32_t i = 0; source->spm != NULL && i < lng_vocab_size(source->vocab); i++) {
        if (!is_language(lng_vocab_entry(source->vocab, i)))
            continue;
        LNG_TRY(lng_grow(&tokenizer->languages, &language_room, tokenizer->language_count + 1,
                         sizeof *tokenizer->languages));
        tokenizer->languages[tokenizer->language_count++] = i;
    }
    return LNG_OK;
}

static enum lng_status digest(struct lng_tokenizer *tokenizer)
{
    struct lng_hash *hash;
    LNG_TRY(lng_hash_open(&hash));
    for (int i = 0; i < 2; i++) {
        const struct lng_tokenizer_side *side = &tokenizer->sides[i];
        uint64_t model = side->spm != NULL ? lng_spm_get_info(side->spm)->checksum : 0;
        const int32_t special[] = {side->eos, side->unk, side->pad};
        lng_hash_add(hash, &model, sizeof model);
        lng_hash_add(hash, special, sizeof special);
        lng_vocab_hash(side->vocab, hash);
    }
    if (tokenizer->clean != LNG_CLEAN_NONE) {
        const char *clean = lng_clean_name(tokenizer->clean);
        lng_hash_add(hash, clean, strlen(clean));
    }
    tokenizer->digest = lng_hash_value(hash);
    lng_hash_close(hash);
    return LNG_OK;
}

static enum lng_status open_models(struct lng_tokenizer *tokenizer,
                                   const struct lng_tokenizer_parts *parts)
{
    if (parts->source_spm == NULL) {
        LNG_FAIL_IF(parts->target_spm != NULL, LNG_ERR_USAGE,
                    "a target SentencePiece model without a source one");
        return LNG_OK;
    }
    enum lng_status status =
        lng_spm_open(parts->source_spm, parts->source_spm_size, &tokenizer->sides[0].spm);
    if (status != LNG_OK)
        return lng_fail_context(status, "the source side");
    tokenizer->shared_spm =
        parts->target_spm == NULL ||
        (parts->source_spm_size == parts->target_spm_size &&
         memcmp(parts->source_spm, parts->target_spm, parts->source_spm_size) == 0);
    if (tokenizer->shared_spm) {
        tokenizer->sides[1].spm = tokenizer->sides[0].spm;
        return LNG_OK;
    }
    status = lng_spm_open(parts->target_spm, parts->target_spm_size, &tokenizer->sides[1].spm);
    return status == LNG_OK ? LNG_OK : lng_fail_context(status, "the target side");
}

static enum lng_status copy_languages(struct lng_tokenizer *tokenizer,
                                      const struct lng_languages *languages)
{
    const char *const texts[] = {languages->source, languages->target};
    for (int i = 0; i < 2; i++) {
        tokenizer->code_texts[i] = texts[i] != NULL ? lng_strdup(texts[i]) : NULL;
        if (texts[i] != NULL && tokenizer->code_texts[i] == NULL)
            return LNG_ERR_MEMORY;
    }
    tokenizer->codes = *languages;
    tokenizer->codes.source = tokenizer->code_texts[0];
    tokenizer->codes.target = tokenizer->code_texts[1];
    return LNG_OK;
}

enum lng_status lng_tokenizer_open_parts(const struct lng_tokenizer_parts *parts,
                                         struct lng_tokenizer **tokenizer)
{
    enum lng_status status = LNG_OK;
    struct lng_tokenizer *fresh = lng_alloc(1, sizeof *fresh);
    if (fresh == NULL)
        return LNG_ERR_MEMORY;
    fresh->shared_spm = true;
    fresh->clean = parts->source_spm != NULL ? parts->clean : LNG_CLEAN_NONE;
    fresh->shared_vocab = parts->target_vocab == NULL || parts->target_vocab == parts->source_vocab;
    LNG_TRY_OR_FAIL(open_models(fresh, parts));
    fresh->eos = lng_strdup(parts->eos != NULL ? parts->eos : LNG_EOS_TEXT);
    fresh->unk = lng_strdup(parts->unk != NULL ? parts->unk : LNG_UNK_TEXT);
    fresh->pad = lng_strdup(parts->pad != NULL ? parts->pad : LNG_PAD_TEXT);
    if (fresh->eos == NULL || fresh->unk == NULL || fresh->pad == NULL) {
        status = LNG_ERR_MEMORY;
        goto fail;
    }
    fresh->sides[0].vocab = parts->source_vocab;
    fresh->sides[1].vocab = fresh->shared_vocab ? parts->source_vocab : parts->target_vocab;
    LNG_TRY_OR_FAIL(prepare_side(fresh, 0));
    LNG_TRY_OR_FAIL(prepare_side(fresh, 1));
    LNG_TRY_OR_FAIL(copy_languages(fresh, &parts->languages));
    LNG_TRY_OR_FAIL(list_ids(fresh));
    LNG_TRY_OR_FAIL(digest(fresh));
    *tokenizer = fresh;
    return LNG_OK;
fail:
    /* The vocabularies stay the caller's. */
    fresh->sides[0].vocab = fresh->sides[1].vocab = NULL;
    lng_tokenizer_close(fresh);
    return status;
}

enum lng_status lng_tokenizer_open_symbols(struct lng_vocab *source, struct lng_vocab *target,
                                           struct lng_tokenizer **tokenizer)
{
    const struct lng_tokenizer_parts parts = {.source_vocab = source, .target_vocab = target};
    return lng_tokenizer_open_parts(&parts, tokenizer);
}

/* </s>, <unk>, the model's other pieces, <pad>. */
static enum lng_status vocab_of_model(const void *bytes, size_t size, struct lng_vocab **vocab)
{
    struct lng_spm *spm = NULL;
    struct lng_vocab *fresh = NULL;
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_spm_open(bytes, size, &spm));
    LNG_TRY_OR_FAIL(lng_vocab_open(&fresh));
    LNG_TRY_OR_FAIL(lng_vocab_add(fresh, LNG_EOS_TEXT, strlen(LNG_EOS_TEXT), NULL));
    LNG_TRY_OR_FAIL(lng_vocab_add(fresh, LNG_UNK_TEXT, strlen(LNG_UNK_TEXT), NULL));
    const struct lng_spm_info *info = lng_spm_get_info(spm);
    for (int32_t i = 0; i < info->pieces; i++) {
        size_t length;
        const char *piece = lng_spm_piece(spm, i, &length);
        bool special = i == info->unknown_id || strcmp(piece, LNG_EOS_TEXT) == 0 ||
                       strcmp(piece, LNG_UNK_TEXT) == 0 || strcmp(piece, LNG_PAD_TEXT) == 0;
        if (!special)
            LNG_TRY_OR_FAIL(lng_vocab_add(fresh, piece, length, NULL));
    }
    LNG_TRY_OR_FAIL(lng_vocab_add(fresh, LNG_PAD_TEXT, strlen(LNG_PAD_TEXT), NULL));
    *vocab = fresh;
    fresh = NULL;
fail:
    lng_vocab_close(fresh);
    lng_spm_close(spm);
    return status;
}

enum lng_status lng_tokenizer_open_spm(const char *source_path, const char *target_path,
                                       struct lng_tokenizer **tokenizer)
{
    struct lng_buffer source = {0}, target = {0};
    struct lng_tokenizer_parts parts = {0};
    enum lng_status status;
    const char *at = source_path;
    LNG_TRY_OR_FAIL(lng_file_read(source_path, LNG_SPM_MAX_BYTES, &source));
    LNG_TRY_OR_FAIL(vocab_of_model(source.data, source.length, &parts.source_vocab));
    if (target_path != NULL) {
        at = target_path;
        LNG_TRY_OR_FAIL(lng_file_read(target_path, LNG_SPM_MAX_BYTES, &target));
        LNG_TRY_OR_FAIL(vocab_of_model(target.data, target.length, &parts.target_vocab));
        parts.target_spm = target.data;
        parts.target_spm_size = target.length;
    }
    parts.source_spm = source.data;
    parts.source_spm_size = source.length;
    LNG_TRY_OR_FAIL(lng_tokenizer_open_parts(&parts, tokenizer));
    parts.source_vocab = parts.target_vocab = NULL;
fail:
    if (status != LNG_OK && status != LNG_ERR_IO)
        status = lng_fail_context(status, "%s", at);
    lng_vocab_close(parts.source_vocab);
    lng_vocab_close(parts.target_vocab);
    lng_buffer_release(&source);
    lng_buffer_release(&target);
    return status;
}

/* ---- a directory ---- */

struct directory {
    const char *path;
    struct lng_buffer source, target, config;
    json_t *json; /* tokenizer_config.json; NULL when there is none */
    struct lng_tokenizer_parts parts;
    bool symbols;
};

static enum lng_status read_bytes(const char *directory, const char *name, size_t limit,
                                  struct lng_buffer *content)
{
    char *path = lng_path_join(directory, name);
    if (path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_file_read(path, limit, content);
    lng_free(path);
    return status;
}

static enum lng_status exists_in(const char *directory, const char *name, bool *exists)
{
    char *path = lng_path_join(directory, name);
    if (path == NULL)
        return LNG_ERR_MEMORY;
    *exists = lng_file_exists(path);
    lng_free(path);
    return LNG_OK;
}

static enum lng_status read_vocab(const char *directory, const char *name, struct lng_vocab **vocab)
{
    char *path = lng_path_join(directory, name);
    if (path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_vocab_read_json(path, vocab);
    lng_free(path);
    return status;
}

/* "unk_token": "<unk>" or {"content": "<unk>", ...}; NULL when it is not there. */
static const char *special_name(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    const char *name =
        json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    return name != NULL && name[0] != '\0' ? name : NULL;
}

static enum lng_status read_config(struct directory *in)
{
    static const char name[] = "tokenizer_config.json";
    bool exists;
    json_error_t error;
    LNG_TRY(exists_in(in->path, name, &exists));
    if (!exists)
        return LNG_OK;
    LNG_TRY(read_bytes(in->path, name, MAX_CONFIG_BYTES, &in->config));
    /* transformers writes 10^30 for a model_max_length that it does not know. */
    in->json = json_loadb(in->config.data, in->config.length,
                          JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    LNG_FAIL_IF(in->json == NULL, LNG_ERR_FORMAT, "%s/%s: line %d, column %d: %s", in->path, name,
                error.line, error.column, error.text);
    LNG_FAIL_IF(!json_is_object(in->json), LNG_ERR_FORMAT, "%s/%s: expected a JSON object",
                in->path, name);
    in->parts.eos = special_name(in->json, "eos_token");
    in->parts.unk = special_name(in->json, "unk_token");
    in->parts.pad = special_name(in->json, "pad_token");
    const char *kind =
        json_string_value(json_object_get(json_object_get(in->json, "lingster"), "kind"));
    LNG_FAIL_IF(
        kind != NULL && strcmp(kind, "symbols") != 0 && strcmp(kind, "sentencepiece") != 0,
        LNG_ERR_FORMAT,
        "%s/%s: tokenizer kind '%.40s', expected symbols or sentencepiece: the model is newer "
        "than this program",
        in->path, name, kind);
    in->symbols = kind != NULL && strcmp(kind, "symbols") == 0;
    const char *clean =
        json_string_value(json_object_get(json_object_get(in->json, "lingster"), "clean"));
    LNG_FAIL_IF(clean != NULL && !lng_clean_find(clean, &in->parts.clean), LNG_ERR_FORMAT,
                "%s/%s: source text cleaned by '%.40s', expected none or opus-mt: the model is "
                "newer than this program",
                in->path, name, clean);
    return LNG_OK;
}

/* One SentencePiece model and its vocabulary, language tokens behind. */
static enum lng_status read_multilingual(struct directory *in)
{
    struct lng_spm *spm = NULL;
    LNG_TRY(read_bytes(in->path, LNG_LANGUAGES_SPM, LNG_SPM_MAX_BYTES, &in->source));
    enum lng_status status = lng_spm_open(in->source.data, in->source.length, &spm);
    if (status != LNG_OK)
        return lng_fail_context(status, "%s/" LNG_LANGUAGES_SPM, in->path);
    status =
        lng_languages_read(in->path, in->json, spm, &in->parts.source_vocab, &in->parts.languages);
    lng_spm_close(spm);
    in->parts.source_spm = in->source.data;
    in->parts.source_spm_size = in->source.length;
    return status;
}

static enum lng_status read_vocabs(struct directory *in)
{
    const json_t *flag = json_object_get(in->json, "separate_vocabs");
    const json_t *languages = json_object_get(json_object_get(in->json, "lingster"), "languages");
    bool separate;
    LNG_TRY(read_vocab(in->path, "vocab.json", &in->parts.source_vocab));
    LNG_TRY(exists_in(in->path, "target_vocab.json", &separate));
    LNG_FAIL_IF(json_is_true(flag) && !separate, LNG_ERR_FORMAT,
                "%s: tokenizer_config.json says separate_vocabs, but there is no target_vocab.json",
                in->path);
    if (separate && !json_is_false(flag))
        LNG_TRY(read_vocab(in->path, "target_vocab.json", &in->parts.target_vocab));
    if (languages != NULL)
        return lng_languages_from_json(in->path, languages, lng_vocab_size(in->parts.source_vocab),
                                       &in->parts.languages);
    return LNG_OK;
}

static enum lng_status read_models(struct directory *in)
{
    if (in->symbols)
        return LNG_OK;
    LNG_TRY(read_bytes(in->path, "source.spm", LNG_SPM_MAX_BYTES, &in->source));
    LNG_TRY(read_bytes(in->path, "target.spm", LNG_SPM_MAX_BYTES, &in->target));
    LNG_FAIL_IF(in->source.length == 0 || in->target.length == 0, LNG_ERR_FORMAT, "%s: %s is empty",
                in->path, in->source.length == 0 ? "source.spm" : "target.spm");
    in->parts.source_spm = in->source.data;
    in->parts.source_spm_size = in->source.length;
    in->parts.target_spm = in->target.data;
    in->parts.target_spm_size = in->target.length;
    return LNG_OK;
}

enum lng_status lng_tokenizer_open_directory(const char *directory,
                                             struct lng_tokenizer **tokenizer)
{
    struct directory in = {.path = directory};
    enum lng_status status;
    bool own, multilingual;
    LNG_TRY_OR_FAIL(read_config(&in));
    LNG_TRY_OR_FAIL(exists_in(directory, "source.spm", &own));
    LNG_TRY_OR_FAIL(exists_in(directory, LNG_LANGUAGES_SPM, &multilingual));
    if (multilingual && !own && !in.symbols) {
        LNG_TRY_OR_FAIL(read_multilingual(&in));
    } else {
        LNG_TRY_OR_FAIL(read_models(&in));
        LNG_TRY_OR_FAIL(read_vocabs(&in));
    }
    status = lng_tokenizer_open_parts(&in.parts, tokenizer);
    if (status != LNG_OK) {
        status = lng_fail_context(status, "%s", directory);
        goto fail;
    }
    in.parts.source_vocab = in.parts.target_vocab = NULL;
fail:
    lng_vocab_close(in.parts.source_vocab);
    lng_vocab_close(in.parts.target_vocab);
    lng_buffer_release(&in.source);
    lng_buffer_release(&in.target);
    lng_buffer_release(&in.config);
    json_decref(in.json);
    return status;
}
