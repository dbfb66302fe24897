#include "host/data/alignment.h"

#include <ctype.h>
#include <string.h>

enum { SHOWN_BYTES = 24, MOST_DIGITS = 8 };

void lng_alignment_room_release(struct lng_alignment_room *room)
{
    lng_free(room->links);
    lng_free(room->linked);
    lng_token_spans_release(&room->found);
    for (int side = 0; side < 2; side++) {
        lng_text_spans_release(&room->tokens[side]);
        lng_text_spans_release(&room->words[side]);
    }
    *room = (struct lng_alignment_room){0};
}

/* ---- reading ---- */

static bool read_number(struct lng_slice *rest, uint32_t *number)
{
    size_t digits = 0;
    *number = 0;
    while (digits < rest->length && digits <= MOST_DIGITS && rest->data[digits] >= '0' &&
           rest->data[digits] <= '9')
        *number = *number * 10 + (uint32_t)(rest->data[digits++] - '0');
    rest->data += digits;
    rest->length -= digits;
    return digits > 0 && digits <= MOST_DIGITS;
}

static enum lng_status refuse(struct lng_slice word)
{
    char shown[SHOWN_BYTES + 1];
    size_t length = word.length < SHOWN_BYTES ? word.length : SHOWN_BYTES;
    for (size_t i = 0; i < length; i++)
        shown[i] = (char)(isgraph((unsigned char)word.data[i]) ? word.data[i] : '?');
    shown[length] = '\0';
    if (memchr(word.data, '\0', word.length) != NULL)
        return lng_fail(LNG_ERR_FORMAT, "expected links such as 0-0 1-2, found a NUL byte");
    return lng_fail(LNG_ERR_FORMAT, "expected links such as 0-0 1-2, found \"%s\"%s", shown,
                    length < word.length ? "..." : "");
}

static enum lng_status check_place(const char *side, struct lng_word_link link, uint32_t place,
                                   size_t words)
{
    LNG_FAIL_IF(place >= words, LNG_ERR_RANGE,
                "link %u-%u: expected a %s word from 0 to %zu, found %u: words are counted between "
                "white space",
                link.source, link.target, side, words - 1, place);
    return LNG_OK;
}

enum lng_status lng_alignment_read(struct lng_alignment_room *room, struct lng_slice line,
                                   struct lng_slice source, struct lng_slice target)
{
    struct lng_slice rest = line, word;
    room->words[LNG_SIDE_SOURCE].count = room->words[LNG_SIDE_TARGET].count = 0;
    room->link_count = 0;
    LNG_TRY(lng_text_spans_find(source, LNG_ALIGN_LEVEL_WORD, &room->words[LNG_SIDE_SOURCE]));
    LNG_TRY(lng_text_spans_find(target, LNG_ALIGN_LEVEL_WORD, &room->words[LNG_SIDE_TARGET]));
    while (lng_text_next_word(&rest, &word)) {
        struct lng_slice left = word;
        struct lng_word_link link;
        bool fine = read_number(&left, &link.source) && left.length > 0 && left.data[0] == '-';
        if (fine) {
            left.data++;
            left.length--;
            fine = read_number(&left, &link.target) && left.length == 0;
        }
        if (!fine)
            return refuse(word);
        LNG_TRY(check_place("source", link, link.source, room->words[LNG_SIDE_SOURCE].count));
        LNG_TRY(check_place("target", link, link.target, room->words[LNG_SIDE_TARGET].count));
        LNG_TRY(lng_grow(&room->links, &room->link_capacity, room->link_count + 1,
                         sizeof *room->links));
        room->links[room->link_count++] = link;
    }
    return LNG_OK;
}

/* ---- from words to tokens ---- */

/* The words [*first, *last) of token i < count; none for a text without characters. */
static void words_of(const struct lng_alignment_room *room, enum lng_side side,
                     struct lng_slice text, size_t i, size_t count, size_t *first, size_t *last)
{
    size_t k = lng_text_spans_stand_in(&room->tokens[side], text.data, i, count);
    *first = *last = 0;
    if (k < count)
        lng_text_spans_touched(&room->words[side], room->tokens[side].data[k], first, last);
}

/* Marks the source words that target words [first, last) are linked to; whether there are any. */
static bool mark(struct lng_alignment_room *room, size_t first, size_t last)
{
    bool any = false;
    memset(room->linked, 0, room->words[LNG_SIDE_SOURCE].count);
    for (size_t l = 0; l < room->link_count; l++) {
        bool here = room->links[l].target >= first && room->links[l].target < last;
        if (here)
            room->linked[room->links[l].source] = 1;
        any = any || here;
    }
    return any;
}

static size_t at_most(size_t count, size_t most)
{
    return count < most ? count : most;
}

enum lng_status lng_alignment_spread(struct lng_alignment_room *room, struct lng_slice source,
                                     struct lng_slice target, size_t source_count,
                                     size_t target_count, struct lng_ids *out, size_t *links)
{
    size_t sources = at_most(room->tokens[LNG_SIDE_SOURCE].count, source_count);
    size_t targets = at_most(room->tokens[LNG_SIDE_TARGET].count, target_count);
    size_t counts = out->count, first, last;
    LNG_TRY(lng_grow(&room->linked, &room->linked_capacity, room->words[LNG_SIDE_SOURCE].count + 1,
                     sizeof *room->linked));
    for (size_t t = 0; t < target_count; t++)
        LNG_TRY(lng_ids_push(out, 0));
    for (size_t t = 0; t < targets && room->link_count > 0; t++) {
        words_of(room, LNG_SIDE_TARGET, target, t, targets, &first, &last);
        if (!mark(room, first, last))
            continue;
        for (size_t s = 0; s < sources; s++) {
            words_of(room, LNG_SIDE_SOURCE, source, s, sources, &first, &last);
            while (first < last && !room->linked[first])
                first++;
            if (first == last)
                continue;
            LNG_TRY(lng_ids_push(out, (int32_t)s));
            out->data[counts + t]++;
        }
    }
    *links = out->count - counts - target_count;
    return LNG_OK;
}
