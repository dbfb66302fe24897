#include "host/infer/token_texts.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/infer/word_text.h"

static const char meta_space[] = "\xE2\x96\x81"; /* U+2581 stands for a space in pieces */

/* "<0x0A>": the byte, else -1. */
static int byte_of(struct lng_slice entry)
{
    static const char digits[] = "0123456789ABCDEF";
    if (entry.length != 6 || memcmp(entry.data, "<0x", 3) != 0 || entry.data[5] != '>')
        return -1;
    const char *high = strchr(digits, entry.data[3]), *low = strchr(digits, entry.data[4]);
    bool fine = high != NULL && low != NULL && *high != '\0' && *low != '\0';
    return fine ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

static enum lng_status append_piece(struct lng_buffer *out, struct lng_slice entry)
{
    int byte = byte_of(entry);
    if (byte >= 0)
        return lng_buffer_append_byte(out, (char)byte);
    for (size_t at = 0; at < entry.length;) {
        bool space = entry.length - at >= 3 && memcmp(entry.data + at, meta_space, 3) == 0;
        LNG_TRY(lng_buffer_append_byte(out, space ? ' ' : entry.data[at]));
        at += space ? 3 : 1;
    }
    return LNG_OK;
}

static enum lng_status append_token(struct lng_buffer *out, const struct lng_tokenizer *tokenizer,
                                    int32_t id)
{
    struct lng_slice entry = lng_vocab_entry(lng_tokenizer_vocab(tokenizer, LNG_SIDE_TARGET), id);
    if (id == lng_tokenizer_eos(tokenizer, LNG_SIDE_TARGET) ||
        id == lng_tokenizer_pad(tokenizer, LNG_SIDE_TARGET) || entry.data == NULL)
        return LNG_OK;
    bool symbols = lng_tokenizer_get_kind(tokenizer) == LNG_TOKENIZER_SYMBOLS;
    if (symbols)
        LNG_TRY(lng_buffer_append_byte(out, ' '));
    if (id == lng_tokenizer_unk(tokenizer, LNG_SIDE_TARGET))
        return lng_buffer_append_text(out, "\xE2\x81\x87");
    return symbols ? lng_buffer_append(out, entry.data, entry.length) : append_piece(out, entry);
}

enum lng_status lng_token_texts_init(struct lng_token_texts *texts,
                                     const struct lng_tokenizer *tokenizer)
{
    int32_t count = lng_tokenizer_size(tokenizer, LNG_SIDE_TARGET);
    struct lng_token_texts made = {.count = count};
    struct lng_buffer all = {0};
    enum lng_status status = LNG_ERR_MEMORY;
    made.offsets = lng_alloc((size_t)count + 1, sizeof *made.offsets);
    made.continues = lng_alloc((size_t)count, sizeof *made.continues);
    if (made.offsets == NULL || made.continues == NULL)
        goto fail;
    for (int32_t id = 0; id < count; id++) {
        LNG_TRY_OR_FAIL(append_token(&all, tokenizer, id));
        LNG_GOTO_FAIL_IF(all.length > UINT32_MAX, LNG_ERR_RANGE, "a vocabulary of %zu bytes",
                         all.length);
        made.offsets[id + 1] = (uint32_t)all.length;
        const char *piece = all.data + made.offsets[id];
        size_t length = all.length - made.offsets[id];
        bool part = length > 0 && ((unsigned char)piece[0] & 0xC0) == 0x80; /* of a code point */
        bool lead = length == 1 && (unsigned char)piece[0] >= 0x80;
        made.continues[id] = part || lead || lng_word_begins(piece, length);
    }
    LNG_TRY_OR_FAIL(lng_buffer_reserve(&all, 1));
    made.text = all.data;
    *texts = made;
    return LNG_OK;
fail:
    lng_buffer_release(&all);
    lng_token_texts_release(&made);
    return status;
}

void lng_token_texts_release(struct lng_token_texts *texts)
{
    lng_free(texts->text);
    lng_free(texts->offsets);
    lng_free(texts->continues);
    *texts = (struct lng_token_texts){0};
}
