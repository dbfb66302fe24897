#include "host/eval/tokenize_rules.h"

#include <string.h>
#include <unicode/uchar.h>

#include "host/eval/tokenize.h"

void lng_text_pair_release(struct lng_text_pair *pair)
{
    lng_buffer_release(&pair->text);
    lng_buffer_release(&pair->room);
}

void lng_text_pair_turn(struct lng_text_pair *pair)
{
    struct lng_buffer swap = pair->text;
    pair->text = pair->room;
    pair->room = swap;
}

static struct lng_slice text_of(const struct lng_text_pair *pair)
{
    return (struct lng_slice){pair->text.data ? pair->text.data : "", pair->text.length};
}

enum lng_status lng_rule_replace(struct lng_text_pair *pair, const char *what, const char *with)
{
    size_t length = strlen(what);
    const char *from = text_of(pair).data, *end = from + pair->text.length;
    const char *hit = memmem(from, (size_t)(end - from), what, length);
    if (hit == NULL)
        return LNG_OK;
    lng_buffer_clear(&pair->room);
    for (; hit != NULL; hit = memmem(from, (size_t)(end - from), what, length)) {
        LNG_TRY(lng_buffer_append(&pair->room, from, (size_t)(hit - from)));
        LNG_TRY(lng_buffer_append_text(&pair->room, with));
        from = hit + length;
    }
    LNG_TRY(lng_buffer_append(&pair->room, from, (size_t)(end - from)));
    lng_text_pair_turn(pair);
    return LNG_OK;
}

enum lng_status lng_rule_entities(struct lng_text_pair *pair)
{
    LNG_TRY(lng_rule_replace(pair, "&quot;", "\""));
    LNG_TRY(lng_rule_replace(pair, "&amp;", "&"));
    LNG_TRY(lng_rule_replace(pair, "&lt;", "<"));
    return lng_rule_replace(pair, "&gt;", ">");
}

enum lng_status lng_rule_pad(struct lng_text_pair *pair)
{
    struct lng_slice text = text_of(pair);
    lng_buffer_clear(&pair->room);
    LNG_TRY(lng_buffer_append_byte(&pair->room, ' '));
    LNG_TRY(lng_buffer_append(&pair->room, text.data, text.length));
    LNG_TRY(lng_buffer_append_byte(&pair->room, ' '));
    lng_text_pair_turn(pair);
    return LNG_OK;
}

/* ---- bytes: parts of longer UTF-8 sequences are neither digits nor ASCII punctuation, which is what these
 * rules need to know. Each pass matches left to right without overlap. ---- */

/* No pass makes more than three bytes of one. */
static enum lng_status begin_pass(struct lng_text_pair *pair)
{
    LNG_FAIL_IF(pair->text.length > SIZE_MAX / 4, LNG_ERR_MEMORY, "out of memory");
    lng_buffer_clear(&pair->room);
    return lng_buffer_reserve(&pair->room, pair->text.length * 3);
}

static void end_pass(struct lng_text_pair *pair, size_t written)
{
    pair->room.length = written;
    pair->room.data[written] = '\0';
    lng_text_pair_turn(pair);
}

static bool stands_alone(char c)
{
    return (c >= 0x20 && c <= 0x26) || (c >= 0x28 && c <= 0x2B) || c == 0x2F ||
           (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
}

enum lng_status lng_rule_punctuation(struct lng_text_pair *pair)
{
    LNG_TRY(begin_pass(pair));
    char *out = pair->room.data;
    for (size_t i = 0; i < pair->text.length; i++) {
        char c = pair->text.data[i];
        bool alone = stands_alone(c);
        if (alone)
            *out++ = ' ';
        *out++ = c;
        if (alone)
            *out++ = ' ';
    }
    end_pass(pair, (size_t)(out - pair->room.data));
    return LNG_OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_stop(char c)
{
    return c == '.' || c == ',';
}

enum stop_pass { STOP_AFTER, STOP_BEFORE, DASH_AFTER, STOP_PASSES };

static bool matches(enum stop_pass pass, char first, char second)
{
    if (pass == STOP_AFTER)
        return !is_digit(first) && is_stop(second);
    if (pass == STOP_BEFORE)
        return is_stop(first) && !is_digit(second);
    return is_digit(first) && second == '-';
}

enum lng_status lng_rule_stops_and_dashes(struct lng_text_pair *pair)
{
    for (enum stop_pass pass = STOP_AFTER; pass < STOP_PASSES; pass++) {
        LNG_TRY(begin_pass(pair));
        const char *text = pair->text.data;
        char *out = pair->room.data;
        size_t length = pair->text.length;
        for (size_t i = 0; i < length; i++) {
            if (i + 1 == length || !matches(pass, text[i], text[i + 1])) {
                *out++ = text[i];
                continue;
            }
            if (pass == STOP_BEFORE)
                *out++ = ' ';
            *out++ = text[i++];
            *out++ = ' ';
            *out++ = text[i];
            if (pass != STOP_BEFORE)
                *out++ = ' ';
        }
        end_pass(pair, (size_t)(out - pair->room.data));
    }
    return LNG_OK;
}

/* ---- code points ---- */

static bool in_ranges(uint32_t c, const struct lng_code_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].low && c <= ranges[i].high)
            return true;
    return false;
}

enum lng_status lng_rule_ranges(struct lng_text_pair *pair, const struct lng_code_range *ranges,
                                size_t count, bool remove)
{
    struct lng_slice text = text_of(pair);
    lng_buffer_clear(&pair->room);
    for (size_t at = 0, bytes; at < text.length; at += bytes) {
        uint32_t c;
        bytes = lng_utf8_decode(text.data + at, text.length - at, &c);
        bool inside = in_ranges(c, ranges, count);
        if (inside && remove)
            continue;
        if (inside)
            LNG_TRY(lng_buffer_append_byte(&pair->room, ' '));
        LNG_TRY(lng_buffer_append(&pair->room, text.data + at, bytes));
        if (inside)
            LNG_TRY(lng_buffer_append_byte(&pair->room, ' '));
    }
    lng_text_pair_turn(pair);
    return LNG_OK;
}

enum category { OTHER, NUMBER, PUNCTUATION, SYMBOL };

static enum category category_of(uint32_t c)
{
    if (c > 0x10FFFF)
        return OTHER;
    uint32_t mask = U_GET_GC_MASK((UChar32)c);
    return mask & U_GC_N_MASK   ? NUMBER
           : mask & U_GC_P_MASK ? PUNCTUATION
           : mask & U_GC_S_MASK ? SYMBOL
                                : OTHER;
}

/* One of the two rules on pairs: what is no number before punctuation, punctuation before what is no number. */
static enum lng_status international_pass(struct lng_text_pair *pair, bool punctuation_first)
{
    struct lng_slice text = text_of(pair);
    lng_buffer_clear(&pair->room);
    for (size_t at = 0, bytes, more; at < text.length; at += bytes) {
        uint32_t c, next;
        bytes = lng_utf8_decode(text.data + at, text.length - at, &c);
        const char *second = text.data + at + bytes;
        more = lng_utf8_decode(second, text.length - at - bytes, &next);
        enum category a = category_of(c), b = more > 0 ? category_of(next) : OTHER;
        bool hit = more > 0 && (punctuation_first ? a == PUNCTUATION && b != NUMBER
                                                  : a != NUMBER && b == PUNCTUATION);
        if (hit && punctuation_first)
            LNG_TRY(lng_buffer_append_byte(&pair->room, ' '));
        LNG_TRY(lng_buffer_append(&pair->room, text.data + at, bytes));
        if (!hit)
            continue;
        LNG_TRY(lng_buffer_append_byte(&pair->room, ' '));
        LNG_TRY(lng_buffer_append(&pair->room, second, more));
        if (!punctuation_first)
            LNG_TRY(lng_buffer_append_byte(&pair->room, ' '));
        bytes += more;
    }
    lng_text_pair_turn(pair);
    return LNG_OK;
}

enum lng_status lng_rule_international(struct lng_text_pair *pair)
{
    LNG_TRY(international_pass(pair, false));
    LNG_TRY(international_pass(pair, true));
    struct lng_slice text = text_of(pair);
    lng_buffer_clear(&pair->room);
    for (size_t at = 0, bytes; at < text.length; at += bytes) {
        uint32_t c;
        bytes = lng_utf8_decode(text.data + at, text.length - at, &c);
        const char *space = category_of(c) == SYMBOL ? " " : "";
        LNG_TRY(lng_buffer_append_text(&pair->room, space));
        LNG_TRY(lng_buffer_append(&pair->room, text.data + at, bytes));
        LNG_TRY(lng_buffer_append_text(&pair->room, space));
    }
    lng_text_pair_turn(pair);
    return LNG_OK;
}

enum lng_status lng_rule_words(struct lng_slice text, bool characters, struct lng_buffer *tokens)
{
    bool inside = false, first = true;
    size_t start = 0;
    for (size_t at = 0, bytes; at <= text.length; at += bytes) {
        uint32_t c = ' ';
        bytes = at < text.length ? lng_utf8_decode(text.data + at, text.length - at, &c) : 1;
        bool space = lng_is_python_space(c);
        if (inside && (space || characters)) {
            if (!first)
                LNG_TRY(lng_buffer_append_byte(tokens, ' '));
            LNG_TRY(lng_buffer_append(tokens, text.data + start, at - start));
            first = inside = false;
        }
        if (!inside && !space) {
            start = at;
            inside = true;
        }
    }
    return LNG_OK;
}
