/* libFuzzer target: a line of word alignments, its pair behind it, with newlines between the three. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/data/alignment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Tokens of three bytes, whatever lies there. */
static void cut(struct lng_alignment_room *room, enum lng_side side, struct lng_slice text)
{
    for (size_t at = 0; at < text.length; at += 3)
        if (lng_text_spans_push(&room->tokens[side], at,
                                at + 3 < text.length ? at + 3 : text.length) != LNG_OK)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lng_slice rest = {(const char *)data, size}, line, texts[2];
    struct lng_alignment_room room = {0};
    struct lng_ids out = {0};
    size_t links = 0;
    if (!lng_text_split(&rest, '\n', &line) || !lng_text_split(&rest, '\n', &texts[0]) ||
        !lng_text_split(&rest, '\n', &texts[1]) || texts[0].length * texts[1].length > 1 << 20)
        return 0;
    if (lng_alignment_read(&room, line, texts[0], texts[1]) == LNG_OK) {
        cut(&room, LNG_SIDE_SOURCE, texts[0]);
        cut(&room, LNG_SIDE_TARGET, texts[1]);
        size_t sources = room.tokens[0].count, targets = room.tokens[1].count;
        if (lng_alignment_spread(&room, texts[0], texts[1], sources, targets, &out, &links) !=
                LNG_OK ||
            out.count != targets + links)
            abort();
        size_t next = targets;
        for (size_t t = 0; t < targets; t++)
            for (int32_t i = 0; i < out.data[t]; i++, next++)
                if (next >= out.count || out.data[next] < 0 || (size_t)out.data[next] >= sources ||
                    (i > 0 && out.data[next] <= out.data[next - 1]))
                    abort();
        if (next != out.count)
            abort();
    }
    lng_ids_release(&out);
    lng_alignment_room_release(&room);
    return 0;
}
