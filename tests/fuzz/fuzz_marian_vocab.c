/* libFuzzer target: any bytes as a vocabulary of Marian, in YAML, JSON or lines. */
#include <stdlib.h>
#include <string.h>

#include "host/store/marian_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 40 };

/* What was accepted has all ids, and survives being written and read. */
static void use(const struct lng_vocab *vocab)
{
    struct lng_buffer yaml = {0}, warnings = {0};
    struct lng_vocab *again = NULL;
    int32_t eos = lng_vocab_find(vocab, LNG_EOS_TEXT, strlen(LNG_EOS_TEXT));
    int32_t unk = lng_vocab_find(vocab, LNG_UNK_TEXT, strlen(LNG_UNK_TEXT));
    if (lng_vocab_size(vocab) != ROWS || eos < 0 || unk < 0 ||
        lng_marian_vocab_format(vocab, ROWS, eos, unk, &yaml) != LNG_OK ||
        lng_marian_vocab_parse("again", LNG_MARIAN_VOCAB_YAML, yaml.data, yaml.length, ROWS, &again,
                               &warnings) != LNG_OK ||
        warnings.length > 0)
        abort();
    for (int32_t id = 0; id < ROWS; id++) {
        struct lng_slice a = lng_vocab_entry(vocab, id), b = lng_vocab_entry(again, id);
        if (a.length != b.length || memcmp(a.data, b.data, a.length) != 0)
            abort();
    }
    lng_vocab_close(again);
    lng_buffer_release(&yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int format = LNG_MARIAN_VOCAB_YAML; format <= LNG_MARIAN_VOCAB_LINES; format++) {
        struct lng_vocab *vocab = NULL;
        struct lng_buffer warnings = {0};
        if (lng_marian_vocab_parse("fuzz", (enum lng_marian_vocab_format)format, (const char *)data,
                                   size, ROWS, &vocab, &warnings) == LNG_OK)
            use(vocab);
        lng_vocab_close(vocab);
        lng_buffer_release(&warnings);
    }
    return 0;
}
