/* libFuzzer: any bytes as a vocabulary (JSON, lines) and as text for a symbol tokenizer and the segmenter. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/segment.h"
#include "tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is written must read back as it was. */
static void write_and_read(const struct lng_vocab *vocab)
{
    struct lng_buffer json = {0};
    struct lng_vocab *again = NULL;
    if (lng_vocab_format_json(vocab, &json) != LNG_OK ||
        lng_vocab_parse_json(json.data, json.length, &again) != LNG_OK ||
        lng_vocab_size(again) != lng_vocab_size(vocab))
        abort();
    for (int32_t id = 0; id < lng_vocab_size(vocab); id++) {
        struct lng_slice entry = lng_vocab_entry(vocab, id);
        if (lng_vocab_find(again, entry.data, entry.length) != id)
            abort();
    }
    lng_vocab_close(again);
    lng_buffer_release(&json);
}

static void use_as_text(struct lng_vocab *vocab, const char *text, size_t size)
{
    struct lng_tokenizer *tokenizer = NULL;
    struct lng_ids ids = {0};
    struct lng_buffer decoded = {0};
    if (lng_tokenizer_open_symbols(vocab, NULL, &tokenizer) != LNG_OK) {
        lng_vocab_close(vocab);
        return;
    }
    if (lng_tokenizer_encode(tokenizer, LNG_SIDE_SOURCE, text, size, &ids) != LNG_OK ||
        lng_tokenizer_decode(tokenizer, LNG_SIDE_TARGET, ids.data, ids.count, &decoded) != LNG_OK)
        abort();
    lng_ids_release(&ids);
    lng_buffer_release(&decoded);
    lng_tokenizer_close(tokenizer);
}

static void cut(const char *text, size_t size)
{
    struct lng_segments segments = {0};
    size_t limit = 1 + size / 7, at = 0;
    if (lng_segment_split(text, size, limit, NULL, NULL, NULL, &segments) != LNG_OK)
        abort();
    for (size_t i = 0; i < segments.count; i++) {
        struct lng_segment segment = segments.data[i];
        if (segment.begin != at || segment.end < segment.begin ||
            (segment.end - segment.begin > limit && segment.end - segment.begin > 4))
            abort();
        at = segment.end;
    }
    if (at != size)
        abort();
    lng_segments_release(&segments);
}

struct input {
    const char *text;
    size_t size;
};

static enum lng_status next(void *context, const char **text, size_t *length, bool *got)
{
    struct input *input = context;
    *got = input->text != NULL;
    *text = input->text;
    *length = input->size;
    input->text = NULL;
    return LNG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = size > 0 ? (const char *)data : "";
    struct input input = {text, size};
    struct lng_vocab *vocab = NULL;
    if (lng_vocab_parse_json(text, size, &vocab) == LNG_OK) {
        write_and_read(vocab);
        lng_vocab_close(vocab);
    }
    vocab = NULL;
    if (lng_vocab_parse_lines(text, size, &vocab) == LNG_OK) {
        write_and_read(vocab);
        lng_vocab_close(vocab);
    }
    vocab = NULL;
    if (lng_vocab_build_symbols(next, &input, 0, 1, &vocab) == LNG_OK) {
        write_and_read(vocab);
        use_as_text(vocab, text, size);
    }
    cut(text, size);
    return 0;
}
