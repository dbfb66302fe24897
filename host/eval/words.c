#include "host/eval/words.h"

#include <string.h>

#include "host/base/mem.h"

enum { FIRST_TABLE = 64 };

enum lng_status lng_units_append(struct lng_units *units, uint32_t unit)
{
    if (units->count == units->capacity)
        LNG_TRY(lng_grow(&units->list, &units->capacity, units->count + 1, sizeof *units->list));
    units->list[units->count++] = unit;
    return LNG_OK;
}

void lng_units_release(struct lng_units *units)
{
    lng_free(units->list);
    *units = (struct lng_units){0};
}

void lng_words_release(struct lng_words *words)
{
    lng_free(words->list);
    lng_free(words->table);
    *words = (struct lng_words){0};
}

/* FNV-1a, its bits spread once more since the low ones choose the place. */
static uint64_t hash(struct lng_slice word)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < word.length; i++)
        h = (h ^ (unsigned char)word.data[i]) * 0x100000001B3u;
    return h ^ h >> 32;
}

/* Where the word is, or the free place where it belongs. */
static size_t place_of(const struct lng_words *words, struct lng_slice word)
{
    size_t place = hash(word) & (words->table_size - 1);
    for (uint32_t entry; (entry = words->table[place]) != 0;) {
        struct lng_slice known = words->list[entry - 1];
        if (known.length == word.length && memcmp(known.data, word.data, word.length) == 0)
            break;
        place = (place + 1) & (words->table_size - 1);
    }
    return place;
}

/* Keeps the table at most half full. */
static enum lng_status make_room(struct lng_words *words)
{
    if (words->count + 1 <= words->table_size / 2)
        return LNG_OK;
    LNG_FAIL_IF(words->count >= UINT32_MAX / 2, LNG_ERR_RANGE, "a segment has too many words");
    size_t size = words->table_size > 0 ? words->table_size * 2 : FIRST_TABLE;
    uint32_t *table = lng_alloc(size, sizeof *table);
    if (table == NULL)
        return LNG_ERR_MEMORY;
    lng_free(words->table);
    words->table = table;
    words->table_size = size;
    for (size_t i = 0; i < words->count; i++)
        table[place_of(words, words->list[i])] = (uint32_t)i + 1;
    return LNG_OK;
}

enum lng_status lng_words_number(struct lng_words *words, struct lng_slice word, uint32_t *number)
{
    LNG_TRY(make_room(words));
    size_t place = place_of(words, word);
    if (words->table[place] == 0) {
        if (words->count == words->capacity)
            LNG_TRY(
                lng_grow(&words->list, &words->capacity, words->count + 1, sizeof *words->list));
        words->list[words->count++] = word;
        words->table[place] = (uint32_t)words->count;
    }
    *number = words->table[place] - 1;
    return LNG_OK;
}

enum lng_status lng_words_split(struct lng_words *words, struct lng_slice text,
                                struct lng_units *units)
{
    struct lng_slice word;
    uint32_t number;
    while (lng_text_next_word(&text, &word)) {
        LNG_TRY(lng_words_number(words, word, &number));
        LNG_TRY(lng_units_append(units, number));
    }
    return LNG_OK;
}

enum lng_status lng_words_characters(struct lng_words *words, struct lng_slice text,
                                     struct lng_units *units)
{
    for (size_t at = 0; at < text.length;) {
        uint32_t code_point, number;
        size_t bytes = lng_utf8_decode(text.data + at, text.length - at, &code_point);
        if (code_point == LNG_UTF8_INVALID)
            bytes = 1;
        LNG_TRY(lng_words_number(words, (struct lng_slice){text.data + at, bytes}, &number));
        LNG_TRY(lng_units_append(units, number));
        at += bytes;
    }
    return LNG_OK;
}
