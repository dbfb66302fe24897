/* libFuzzer target: any bytes as a CTranslate2 model.bin, imported with vocabularies that fit it; text that begins with
 * '{' as its config.json, with '[' as a vocabulary, and any as a list of lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/store/ctranslate2_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_WORDS = 4096 };

/* What was accepted lies inside the file and can be read, or is refused for its scale or type. */
static void use(const struct lng_ct2_file *file, size_t size)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct lng_ct2_variable *variable = &file->list[i];
        if (variable->offset > size || variable->bytes > size - variable->offset ||
            variable->elements == 0 || lng_ct2_find(file, variable->name) != variable)
            abort();
        bool same = false, zero;
        double number;
        char *text;
        float *values = lng_alloc((size_t)variable->elements, sizeof *values);
        (void)!lng_ct2_read_f32(file, variable, values);
        (void)!lng_ct2_read_number(file, variable, &number);
        if (lng_ct2_read_text(file, variable, &text) == LNG_OK)
            lng_free(text);
        if (lng_ct2_same(file, variable, &file->list[0], &same) != LNG_OK || (i == 0 && !same))
            abort();
        (void)lng_ct2_feature(variable->name, &zero);
        lng_free(values);
    }
}

static struct lng_vocab *words(const struct lng_ct2_file *file, const char *name)
{
    static const char *const special[] = {"<blank>", "<s>", "</s>", "<unk>"};
    const struct lng_ct2_variable *table = lng_ct2_find(file, name);
    int64_t count = table ? table->shape[0] : 4;
    struct lng_vocab *vocab;
    if (lng_vocab_open(&vocab) != LNG_OK)
        abort();
    for (int64_t i = 0; i < count && i < MOST_WORDS; i++) {
        char word[16];
        snprintf(word, sizeof word, "%d", (int)i);
        const char *entry = i < 4 ? special[i] : word;
        if (lng_vocab_add(vocab, entry, strlen(entry), NULL) != LNG_OK)
            abort();
    }
    return vocab;
}

/* What was imported is a model. */
static void import(const struct lng_ct2_file *file, bool shared)
{
    struct lng_ct2_config config;
    struct lng_import import;
    struct lng_buffer warnings = {0};
    if (lng_ct2_config_read(&config, NULL, file, &warnings) != LNG_OK)
        return;
    struct lng_vocab *source = words(file, "encoder/embeddings_0/weight"),
                     *target = shared ? NULL : words(file, "decoder/embeddings/weight");
    if (lng_ct2_import_file(file, &config, source, target, &import) == LNG_OK) {
        if (lng_hparams_check(&import.data.hparams) != LNG_OK || !import.data.values ||
            !import.choices.data || !import.pad)
            abort();
        lng_import_release(&import);
    }
    lng_ct2_config_release(&config);
    lng_buffer_release(&warnings);
}

static void parse_text(const char *text, size_t size)
{
    struct lng_ct2_config config = {0};
    struct lng_buffer warnings = {0};
    struct lng_vocab *vocab;
    if (size > 0 && text[0] == '{')
        (void)!lng_ct2_config_parse(&config, "config.json", text, size, &warnings);
    else if (lng_ct2_vocab_parse(text, size, size > 0 && text[0] == '[', &vocab) == LNG_OK)
        lng_vocab_close(vocab);
    lng_ct2_config_release(&config);
    lng_buffer_release(&warnings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lng_ct2_file file;
    if (lng_ct2_open_memory(&file, "fuzz", data, size) == LNG_OK) {
        use(&file, size);
        import(&file, false);
        import(&file, true);
        lng_ct2_close(&file);
    }
    parse_text((const char *)data, size);
    return 0;
}
