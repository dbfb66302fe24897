#include <jansson.h>
#include <stdlib.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tokenizer/languages.h"
#include "tokenizer/tokenizer_parts.h"

static enum lng_status write_bytes(const char *directory, const char *name, const void *bytes,
                                   size_t size)
{
    char *path = lng_path_join(directory, name);
    if (path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_file_write(path, bytes, size);
    lng_free(path);
    return status;
}

static enum lng_status write_model(const char *directory, const char *name,
                                   const struct lng_spm *spm)
{
    size_t size;
    const void *bytes = lng_spm_bytes(spm, &size);
    return write_bytes(directory, name, bytes, size);
}

static enum lng_status write_vocab(const char *directory, const char *name,
                                   const struct lng_vocab *vocab)
{
    char *path = lng_path_join(directory, name);
    if (path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_vocab_write_json(vocab, path);
    lng_free(path);
    return status;
}

/* Takes `json` (NULL = memory ran out). */
static enum lng_status write_json(const char *directory, const char *name, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2)) : NULL;
    struct lng_buffer content = {0};
    json_decref(json);
    if (text == NULL)
        return lng_fail(LNG_ERR_MEMORY, "no memory to write %s", name);
    enum lng_status status = lng_buffer_append_format(&content, "%s\n", text);
    lng_free_foreign(text);
    if (status == LNG_OK)
        status = write_bytes(directory, name, content.data, content.length);
    lng_buffer_release(&content);
    return status;
}

enum lng_status lng_tokenizer_save(const struct lng_tokenizer *tokenizer, const char *directory)
{
    const struct lng_tokenizer_side *source = &tokenizer->sides[LNG_SIDE_SOURCE];
    const struct lng_tokenizer_side *target = &tokenizer->sides[LNG_SIDE_TARGET];
    if (source->spm != NULL) {
        LNG_TRY(write_model(directory, "source.spm", source->spm));
        LNG_TRY(write_model(directory, "target.spm", target->spm));
    }
    LNG_TRY(write_vocab(directory, "vocab.json", source->vocab));
    if (!tokenizer->shared_vocab)
        LNG_TRY(write_vocab(directory, "target_vocab.json", target->vocab));
    LNG_TRY(write_json(directory, "special_tokens_map.json",
                       json_pack("{s:s, s:s, s:s}", "eos_token", tokenizer->eos, "unk_token",
                                 tokenizer->unk, "pad_token", tokenizer->pad)));
    json_t *own = json_pack("{s:s, s:s}", "kind", source->spm != NULL ? "sentencepiece" : "symbols",
                            "clean", lng_clean_name(tokenizer->clean));
    if (own != NULL && tokenizer->codes.begin < tokenizer->codes.end &&
        json_object_set_new(own, "languages", lng_languages_to_json(&tokenizer->codes)) != 0) {
        json_decref(own);
        own = NULL;
    }
    return write_json(
        directory, "tokenizer_config.json",
        json_pack("{s:s, s:n, s:n, s:s, s:s, s:s, s:i, s:{}, s:b, s:o}", "tokenizer_class",
                  source->spm != NULL ? "MarianTokenizer" : "LingsterSymbols", "source_lang",
                  "target_lang", "eos_token", tokenizer->eos, "unk_token", tokenizer->unk,
                  "pad_token", tokenizer->pad, "model_max_length", 512, "sp_model_kwargs",
                  "separate_vocabs", !tokenizer->shared_vocab, "lingster", own));
}
