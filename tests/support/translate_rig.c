#include "tests/support/translate_rig.h"

#include <criterion/criterion.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

struct lng_tokenizer *translate_rig_words(int count)
{
    struct lng_vocab *vocab;
    check_ok(lng_vocab_open(&vocab));
    check_ok(lng_vocab_add(vocab, "</s>", 4, NULL));
    check_ok(lng_vocab_add(vocab, "<unk>", 5, NULL));
    for (int i = 0; i < count; i++) {
        char word = (char)('a' + i);
        check_ok(i < 15
                     ? lng_vocab_add(vocab, &word, 1, NULL)
                     : lng_vocab_add(vocab, i == 15 ? "new\nline" : &word, i == 15 ? 8 : 1, NULL));
    }
    check_ok(lng_vocab_add(vocab, "<pad>", 5, NULL));
    struct lng_tokenizer *tokenizer;
    check_ok(lng_tokenizer_open_symbols(vocab, NULL, &tokenizer));
    return tokenizer;
}

enum lng_status translate_rig_collect(void *context, const char *data, size_t size)
{
    struct translate_rig *rig = context;
    if (++rig->writes == rig->fail_at)
        return lng_fail(LNG_ERR_IO, "no room");
    return lng_buffer_append(&rig->out, data, size);
}

void translate_rig_reopen(struct translate_rig *rig)
{
    lng_translator_close(rig->translator);
    rig->translator = NULL;
    check_ok(lng_translator_open(&rig->model, rig->tokenizer, &rig->options, &rig->translator));
}

struct translate_rig *translate_rig_open(void)
{
    struct translate_rig *rig = lng_alloc(1, sizeof *rig);
    struct lng_hparams h = tiny_hparams();
    struct lng_device_options device_options = {.threads = 1};
    check_ok(lng_device_open("cpu", &device_options, &rig->device));
    tiny_model_init(&rig->model, rig->device, &h, 11, 0.7f);
    rig->tokenizer = translate_rig_words(16);
    rig->options = lng_translate_options_default();
    rig->options.search.beam.beam = 2;
    rig->options.search.beam.max_factor = 1.0;
    rig->options.search.beam.max_extra = 3;
    rig->options.search.beam.min_length = 3; /* some words, whatever the model would like */
    rig->options.max_segment = 16;
    rig->options.window = 7;
    translate_rig_reopen(rig);
    return rig;
}

void translate_rig_close(struct translate_rig *rig)
{
    lng_translator_close(rig->translator);
    lng_tokenizer_close(rig->tokenizer);
    lng_model_release(&rig->model);
    lng_device_close(rig->device);
    lng_buffer_release(&rig->out);
    lng_free(rig);
}

void translate_rig_alone(struct translate_rig *rig, const char *text, struct lng_buffer *result)
{
    struct lng_slice line = lng_slice_of(text);
    check_ok(lng_translator_texts(rig->translator, &line, 1, result));
    cr_assert(result->length > 0 && result->data[result->length - 1] == '\n');
    result->data[--result->length] = '\0';
}

enum lng_status translate_rig_bytes(struct translate_rig *rig, const void *data, size_t size,
                                    const char *prefixes)
{
    struct lng_lines *input, *prefix_lines = NULL;
    check_ok(lng_lines_open(scratch_write("input", data, size), &input));
    if (prefixes != NULL)
        check_ok(
            lng_lines_open(scratch_write("prefixes", prefixes, strlen(prefixes)), &prefix_lines));
    lng_buffer_clear(&rig->out);
    rig->writes = 0;
    enum lng_status status =
        lng_translator_run(rig->translator, input, prefix_lines, translate_rig_collect, rig);
    lng_lines_close(input);
    lng_lines_close(prefix_lines);
    return status;
}

struct lng_slice translate_rig_line(const struct translate_rig *rig, size_t i)
{
    struct lng_slice rest = {rig->out.data, rig->out.length}, line = {NULL, 0};
    for (size_t n = 0; n <= i; n++)
        cr_assert(lng_text_split(&rest, '\n', &line), "no line %zu", i);
    return line;
}

size_t translate_rig_count(const struct translate_rig *rig)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->out.length; i++)
        count += rig->out.data[i] == '\n';
    return count;
}

const char *translate_rig_kind(int i)
{
    static const char *const kinds[TRANSLATE_RIG_KINDS] = {
        "a b c", "d",  "",        "e f g h i j", "k l",      "m n o a b",
        "c c",   "  ", "d e f g", "h",           "i a i a i"};
    return kinds[i * i % TRANSLATE_RIG_KINDS];
}
