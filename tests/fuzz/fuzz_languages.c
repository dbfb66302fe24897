/* libFuzzer target: the language tokens of a model directory. Up to three texts between lines of "---":
 * tokenizer_config.json, added_tokens.json, special_tokens_map.json. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/languages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES = 5 };

static json_t *next_text(const char **at, size_t *left, size_t flags)
{
    static const char separator[] = "\n---\n";
    const char *end = *left > 0 ? memmem(*at, *left, separator, sizeof separator - 1) : NULL;
    size_t length = end != NULL ? (size_t)(end - *at) : *left;
    json_t *json = NULL;
    if (length > 0)
        json = json_loadb(*at, length, JSON_REJECT_DUPLICATES | flags, NULL);
    size_t taken = end != NULL ? length + sizeof separator - 1 : length;
    *at += taken;
    *left -= taken;
    return json;
}

/* What was accepted lies behind the pieces, and is the same when it is written and read. */
static void use(const struct lng_languages *languages, const struct lng_vocab *vocab)
{
    struct lng_languages again;
    if (languages->begin != PIECES || languages->end <= PIECES ||
        languages->end > lng_vocab_size(vocab))
        abort();
    json_t *written = lng_languages_to_json(languages);
    if (written == NULL ||
        lng_languages_from_json("again", written, lng_vocab_size(vocab), &again) != LNG_OK ||
        again.begin != languages->begin || again.end != languages->end ||
        again.last != languages->last)
        abort();
    json_decref(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const pieces[PIECES] = {"<s>", "<pad>", "</s>", "<unk>", "a"};
    const char *at = (const char *)data;
    size_t left = size;
    struct lng_vocab *vocab;
    struct lng_languages languages;
    /* The configuration may hold numbers of any size, and is read so. */
    json_t *config = next_text(&at, &left, JSON_DECODE_INT_AS_REAL);
    json_t *added = next_text(&at, &left, 0), *special = next_text(&at, &left, 0);
    if (lng_vocab_open(&vocab) != LNG_OK)
        abort();
    for (int i = 0; i < PIECES; i++)
        if (lng_vocab_add(vocab, pieces[i], strlen(pieces[i]), NULL) != LNG_OK)
            abort();
    if (lng_languages_add("fuzz", config, added, special, vocab, &languages) == LNG_OK)
        use(&languages, vocab);
    if (lng_languages_from_json("fuzz", config, PIECES, &languages) == LNG_OK &&
        (languages.begin < 1 || languages.end <= languages.begin || languages.end > PIECES))
        abort();
    lng_vocab_close(vocab);
    json_decref(config);
    json_decref(added);
    json_decref(special);
    return 0;
}
