#include "tokenizer/tokenizer.h"

#include <string.h>

#include "host/base/mem.h"
#include "tokenizer/tokenizer_parts.h"

enum { LONGEST_LANGUAGE_BYTES = 64 };

static enum lng_status push(struct lng_encoding *to, int32_t id, size_t begin, size_t end)
{
    if (to->ids != NULL)
        return lng_ids_push(to->ids, id);
    struct lng_token_spans *spans = to->spans;
    LNG_TRY(lng_grow(&spans->data, &spans->capacity, spans->count + 1, sizeof *spans->data));
    spans->data[spans->count++] = (struct lng_token_span){id, begin, end};
    return LNG_OK;
}

/* An ordinary piece or word: never a special id. */
static int32_t find_text(const struct lng_tokenizer_side *side, const char *text, size_t length)
{
    int32_t id = lng_vocab_find(side->vocab, text, length);
    return id < 0 || id == side->eos || id == side->pad ? side->unk : id;
}

enum lng_status lng_encoding_push_piece(void *context, const struct lng_spm_token *piece)
{
    struct lng_encoding *to = context;
    int32_t id = to->side->id_of_piece[piece->id];
    /* A run of characters that this model does not know may still be an entry of a joint vocabulary. */
    if (id < 0 || piece->id == lng_spm_get_info(to->side->spm)->unknown_id)
        id = find_text(to->side, piece->name.data, piece->name.length);
    const size_t *origins = to->clean.origins;
    return push(to, id, to->shift + (origins != NULL ? origins[piece->begin] : piece->begin),
                to->shift + (origins != NULL ? origins[piece->end] : piece->end));
}

enum lng_status lng_encoding_clean(const struct lng_tokenizer *tokenizer, enum lng_side side,
                                   struct lng_encoding *to, const char *text, size_t length,
                                   struct lng_slice *part)
{
    *part = (struct lng_slice){text + to->shift, length - to->shift};
    if (side == LNG_SIDE_TARGET || tokenizer->clean == LNG_CLEAN_NONE)
        return LNG_OK;
    LNG_TRY(lng_clean_opus_mt(part->data, part->length, &to->clean));
    if (to->clean.text.length > 0)
        *part = (struct lng_slice){to->clean.text.data, to->clean.text.length};
    else
        part->length = 0;
    return LNG_OK;
}

static enum lng_status push_words(struct lng_encoding *to, const char *text, size_t length)
{
    struct lng_slice rest = {text, length}, word;
    struct lng_buffer repaired = {0};
    enum lng_status status = LNG_OK;
    while (status == LNG_OK && lng_text_next_word(&rest, &word)) {
        size_t begin = (size_t)(word.data - text), end = begin + word.length;
        if (!lng_utf8_valid(word.data, word.length)) {
            lng_buffer_clear(&repaired);
            status = lng_buffer_append_repaired(&repaired, word.data, word.length, NULL);
            word = (struct lng_slice){repaired.data, repaired.length};
        }
        if (status == LNG_OK)
            status = push(to, find_text(to->side, word.data, word.length), to->shift + begin,
                          to->shift + end);
    }
    lng_buffer_release(&repaired);
    return status;
}

/* Bytes of the ">>xx<<" that `text` starts with, 0 when it starts with none. */
static size_t language_length(const char *text, size_t length)
{
    size_t limit = length < LONGEST_LANGUAGE_BYTES ? length : LONGEST_LANGUAGE_BYTES;
    if (limit < 5 || memcmp(text, ">>", 2) != 0)
        return 0;
    for (size_t i = 2; i + 1 < limit && (unsigned char)text[i] > ' '; i++)
        if (text[i] == '<' && text[i + 1] == '<')
            return i > 2 ? i + 2 : 0;
    return 0;
}

enum lng_status lng_encoding_push_languages(const struct lng_tokenizer *tokenizer,
                                            struct lng_encoding *to, const char *text,
                                            size_t length, size_t *used)
{
    size_t at = 0, size;
    while (tokenizer->language_count > 0 && (size = language_length(text + at, length - at)) > 0) {
        LNG_TRY(push(to, find_text(to->side, text + at, size), at, at + size));
        at += size;
        while (at < length && text[at] == ' ')
            at++;
    }
    *used = at;
    return LNG_OK;
}

static enum lng_status encode(const struct lng_tokenizer *tokenizer, enum lng_side side,
                              const char *text, size_t length, struct lng_encoding *to)
{
    struct lng_slice part;
    to->side = &tokenizer->sides[side];
    if (to->side->spm == NULL)
        return push_words(to, text, length);
    if (side == LNG_SIDE_SOURCE)
        LNG_TRY(lng_encoding_push_languages(tokenizer, to, text, length, &to->shift));
    enum lng_status status = lng_encoding_clean(tokenizer, side, to, text, length, &part);
    if (status == LNG_OK)
        status = lng_spm_encode_pieces(to->side->spm, part.data, part.length,
                                       lng_encoding_push_piece, to);
    lng_clean_text_release(&to->clean);
    return status;
}

enum lng_status lng_tokenizer_encode(const struct lng_tokenizer *tokenizer, enum lng_side side,
                                     const char *text, size_t length, struct lng_ids *ids)
{
    struct lng_encoding to = {.ids = ids};
    size_t before = ids->count;
    enum lng_status status = encode(tokenizer, side, text, length, &to);
    if (status != LNG_OK)
        ids->count = before;
    return status;
}

enum lng_status lng_tokenizer_encode_spans(const struct lng_tokenizer *tokenizer,
                                           enum lng_side side, const char *text, size_t length,
                                           struct lng_token_spans *spans)
{
    struct lng_encoding to = {.spans = spans};
    size_t before = spans->count;
    enum lng_status status = encode(tokenizer, side, text, length, &to);
    if (status != LNG_OK)
        spans->count = before;
    return status;
}

void lng_token_spans_release(struct lng_token_spans *spans)
{
    lng_free(spans->data);
    *spans = (struct lng_token_spans){0};
}

const struct lng_languages *lng_tokenizer_languages(const struct lng_tokenizer *tokenizer)
{
    return &tokenizer->codes;
}

enum lng_status lng_tokenizer_measure_source(void *tokenizer, const char *text, size_t length,
                                             size_t *count)
{
    struct lng_ids ids = {0};
    enum lng_status status = lng_tokenizer_encode(tokenizer, LNG_SIDE_SOURCE, text, length, &ids);
    if (status == LNG_OK)
        *count = ids.count;
    lng_ids_release(&ids);
    return status;
}

/* A run of pieces between special ids, as SentencePiece writes it. */
static enum lng_status decode_pieces(const struct lng_tokenizer_side *side, const int32_t *ids,
                                     size_t count, struct lng_buffer *text)
{
    struct lng_slice *names = lng_alloc(count, sizeof *names);
    if (names == NULL)
        return LNG_ERR_MEMORY;
    size_t kept = 0, start = text->length;
    for (size_t i = 0; i < count; i++) {
        size_t length;
        if (ids[i] == side->eos || ids[i] == side->pad)
            continue;
        if (ids[i] == side->unk) {
            const char *unknown =
                lng_spm_piece(side->spm, lng_spm_get_info(side->spm)->unknown_id, &length);
            names[kept++] = (struct lng_slice){unknown, length};
        } else {
            names[kept++] = lng_vocab_entry(side->vocab, ids[i]);
        }
    }
    enum lng_status status = lng_spm_decode_pieces(side->spm, names, kept, text);
    lng_free(names);
    LNG_TRY(status);
    /* Entries that only the other side's model knows come out as they are, with U+2581 for a space. */
    size_t to = start;
    for (size_t from = start; from < text->length;) {
        bool mark = text->length - from >= 3 && memcmp(text->data + from, "\xE2\x96\x81", 3) == 0;
        char c = mark ? ' ' : text->data[from];
        text->data[to++] = c == '\n' || c == '\r' || c == '\0' ? ' ' : c;
        from += mark ? 3 : 1;
    }
    text->length = to;
    if (text->data != NULL)
        text->data[to] = '\0';
    return LNG_OK;
}

static enum lng_status decode_words(const struct lng_tokenizer_side *side, const int32_t *ids,
                                    size_t count, struct lng_buffer *text)
{
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == side->eos || ids[i] == side->pad)
            continue;
        struct lng_slice word = lng_vocab_entry(side->vocab, ids[i]);
        if (ids[i] == side->unk)
            word = lng_slice_of("\xE2\x81\x87");
        if (!first)
            LNG_TRY(lng_buffer_append_byte(text, ' '));
        LNG_TRY(lng_buffer_append(text, word.data, word.length));
        first = false;
    }
    return LNG_OK;
}

static void trim_from(struct lng_buffer *text, size_t start)
{
    if (text->data == NULL)
        return;
    struct lng_slice kept =
        lng_text_trim((struct lng_slice){text->data + start, text->length - start});
    memmove(text->data + start, kept.data, kept.length);
    text->length = start + kept.length;
    text->data[text->length] = '\0';
}

enum lng_status lng_tokenizer_decode(const struct lng_tokenizer *tokenizer, enum lng_side which,
                                     const int32_t *ids, size_t count, struct lng_buffer *text)
{
    const struct lng_tokenizer_side *side = &tokenizer->sides[which];
    size_t start = text->length;
    for (size_t i = 0; i < count; i++)
        LNG_FAIL_IF(ids[i] < 0 || ids[i] >= lng_vocab_size(side->vocab), LNG_ERR_RANGE,
                    "token id %d at position %zu, expected 0 to %d", ids[i], i,
                    lng_vocab_size(side->vocab) - 1);
    enum lng_status status = side->spm == NULL ? decode_words(side, ids, count, text)
                                               : decode_pieces(side, ids, count, text);
    if (status != LNG_OK)
        text->length = start;
    else
        trim_from(text, start);
    return status;
}

enum lng_tokenizer_kind lng_tokenizer_get_kind(const struct lng_tokenizer *tokenizer)
{
    return tokenizer->sides[0].spm != NULL ? LNG_TOKENIZER_SPM : LNG_TOKENIZER_SYMBOLS;
}

enum lng_clean lng_tokenizer_get_clean(const struct lng_tokenizer *tokenizer)
{
    return tokenizer->clean;
}

bool lng_tokenizer_is_shared(const struct lng_tokenizer *tokenizer)
{
    return tokenizer->shared_vocab;
}

int32_t lng_tokenizer_size(const struct lng_tokenizer *tokenizer, enum lng_side side)
{
    return lng_vocab_size(tokenizer->sides[side].vocab);
}

int32_t lng_tokenizer_eos(const struct lng_tokenizer *tokenizer, enum lng_side side)
{
    return tokenizer->sides[side].eos;
}

int32_t lng_tokenizer_unk(const struct lng_tokenizer *tokenizer, enum lng_side side)
{
    return tokenizer->sides[side].unk;
}

int32_t lng_tokenizer_pad(const struct lng_tokenizer *tokenizer, enum lng_side side)
{
    return tokenizer->sides[side].pad;
}

const struct lng_vocab *lng_tokenizer_vocab(const struct lng_tokenizer *tokenizer,
                                            enum lng_side side)
{
    return tokenizer->sides[side].vocab;
}

const int32_t *lng_tokenizer_never(const struct lng_tokenizer *tokenizer, size_t *count)
{
    *count = tokenizer->never_count;
    return tokenizer->never;
}

const char *lng_tokenizer_language(const struct lng_tokenizer *tokenizer, size_t index)
{
    if (index >= tokenizer->language_count)
        return NULL;
    return lng_vocab_entry(tokenizer->sides[0].vocab, tokenizer->languages[index]).data;
}

uint64_t lng_tokenizer_digest(const struct lng_tokenizer *tokenizer)
{
    return tokenizer->digest;
}
