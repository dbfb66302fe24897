#include "host/infer/stand_in.h"

#include <string.h>

static const char *const names[] = {
#define LNG_STAND_IN(name) name,
#include "host/infer/stand_in.def"
#undef LNG_STAND_IN
};

/* How strict the choice among a vocabulary's entries is. */
enum pass { CAPITALS, WORDS, ANY, PASSES };

/* The ids of a text when none is unknown; count 0 otherwise. */
static enum lng_status encode_known(const struct lng_tokenizer *tokenizer, enum lng_side side,
                                    struct lng_slice text, struct lng_ids *ids)
{
    int32_t unk = lng_tokenizer_unk(tokenizer, side);
    lng_ids_clear(ids);
    LNG_TRY(lng_tokenizer_encode(tokenizer, side, text.data, text.length, ids));
    for (size_t i = 0; i < ids->count; i++)
        if (ids->data[i] == unk) {
            lng_ids_clear(ids);
            break;
        }
    return LNG_OK;
}

static enum lng_status offer(const struct lng_tokenizer *tokenizer, struct lng_slice text,
                             bool must_be_known, struct lng_ids *ids, struct lng_stand_ins *to)
{
    enum { LONGEST_SOURCE = 4 };
    LNG_TRY(encode_known(tokenizer, LNG_SIDE_TARGET, text, ids));
    if (ids->count != 1 || to->count == LNG_STAND_INS)
        return LNG_OK;
    int32_t token = ids->data[0];
    size_t never_count;
    const int32_t *never = lng_tokenizer_never(tokenizer, &never_count);
    for (size_t i = 0; i < never_count; i++)
        if (never[i] == token)
            return LNG_OK;
    for (size_t i = 0; i < to->count; i++)
        if (to->data[i].token == token)
            return LNG_OK;
    LNG_TRY(encode_known(tokenizer, LNG_SIDE_SOURCE, text, ids));
    if (must_be_known && (ids->count == 0 || ids->count > LONGEST_SOURCE))
        return LNG_OK;
    to->data[to->count++] = (struct lng_stand_in){text, token};
    return LNG_OK;
}

static bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

/* The word that an entry stands for; length 0 where the pass does not want it. */
static struct lng_slice word_of(const struct lng_tokenizer *tokenizer, int32_t id, enum pass pass)
{
    static const char space[] = "\xE2\x96\x81";
    const struct lng_slice none = {"", 0};
    struct lng_slice text = lng_vocab_entry(lng_tokenizer_vocab(tokenizer, LNG_SIDE_TARGET), id);
    bool symbols = lng_tokenizer_get_kind(tokenizer) == LNG_TOKENIZER_SYMBOLS;
    if (id == lng_tokenizer_eos(tokenizer, LNG_SIDE_TARGET) ||
        id == lng_tokenizer_unk(tokenizer, LNG_SIDE_TARGET) ||
        id == lng_tokenizer_pad(tokenizer, LNG_SIDE_TARGET) || text.data == NULL)
        return none;
    if (!symbols) {
        if (text.length <= 3 || memcmp(text.data, space, 3) != 0)
            return none;
        text.data += 3;
        text.length -= 3;
    }
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool fine = pass == CAPITALS ? is_letter((char)c) : c > ' ' && c != '<' && c != '>';
        if (!fine)
            return none;
    }
    bool capital = text.data[0] >= 'A' && text.data[0] <= 'Z';
    return pass == CAPITALS && (!capital || text.length < 4) ? none : text;
}

enum lng_status lng_stand_ins_find(const struct lng_tokenizer *tokenizer,
                                   struct lng_stand_ins *stand_ins)
{
    struct lng_ids ids = {0};
    struct lng_stand_ins found = {.count = 0};
    enum lng_status status = LNG_OK;
    int32_t size = lng_tokenizer_size(tokenizer, LNG_SIDE_TARGET);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == LNG_OK; i++)
        status = offer(tokenizer, lng_slice_of(names[i]), true, &ids, &found);
    for (enum pass pass = CAPITALS; pass < PASSES; pass++)
        for (int32_t id = 0; id < size && found.count < LNG_STAND_INS && status == LNG_OK; id++) {
            struct lng_slice word = word_of(tokenizer, id, pass);
            if (word.length > 0)
                status = offer(tokenizer, word, pass != ANY, &ids, &found);
        }
    lng_ids_release(&ids);
    if (status == LNG_OK)
        *stand_ins = found;
    return status;
}
