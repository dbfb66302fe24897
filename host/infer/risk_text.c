/* What the two texts of a pair have in common: words, numbers, addresses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>

#include "host/base/mem.h"
#include "host/infer/risk.h"

enum { FEWEST_WORDS = 4 };

void lng_risk_scratch_release(struct lng_risk_scratch *scratch)
{
    for (int side = 0; side < 2; side++) {
        lng_free(scratch->words[side]);
        lng_buffer_release(&scratch->digits[side]);
    }
    *scratch = (struct lng_risk_scratch){0};
}

static enum lng_status add(struct lng_risk_scratch *scratch, int side, const char *data,
                           size_t length)
{
    size_t n = scratch->counts[side];
    LNG_TRY(
        lng_grow(&scratch->words[side], &scratch->capacity[side], n + 1, sizeof **scratch->words));
    scratch->words[side][n] = (struct lng_slice){data, length};
    scratch->counts[side] = n + 1;
    return LNG_OK;
}

static int compare(const void *left, const void *right)
{
    const struct lng_slice *a = left, *b = right;
    size_t least = a->length < b->length ? a->length : b->length;
    int order = least > 0 ? memcmp(a->data, b->data, least) : 0;
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static void sort(struct lng_risk_scratch *scratch)
{
    for (int side = 0; side < 2; side++)
        if (scratch->counts[side] > 1)
            qsort(scratch->words[side], scratch->counts[side], sizeof **scratch->words, compare);
}

/* How many pieces one side has more often than the other. */
static double difference(struct lng_risk_scratch *scratch)
{
    size_t i = 0, k = 0, different = 0;
    sort(scratch);
    while (i < scratch->counts[0] && k < scratch->counts[1]) {
        int order = compare(&scratch->words[0][i], &scratch->words[1][k]);
        different += order != 0;
        i += order <= 0;
        k += order >= 0;
    }
    return (double)(different + scratch->counts[0] - i + scratch->counts[1] - k);
}

/* ---- addresses ---- */

static bool address_byte(char c)
{
    return c > ' ' && c < 0x7F && strchr("<>\"`{}|\\^", c) == NULL;
}

static bool name_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr(".-_+%", c) != NULL);
}

/* Where an address whose mark ("://", "www.", "@") is at `at` begins and ends; false when it is none. */
static bool find_address(struct lng_slice text, size_t at, size_t *begin, size_t *end)
{
    const char *c = text.data + at;
    size_t left = text.length - at;
    bool scheme = left > 3 && memcmp(c, "://", 3) == 0;
    bool web = left > 4 && memcmp(c, "www.", 4) == 0 && (at == 0 || !name_byte(c[-1]));
    bool mail = *c == '@';
    if (!scheme && !web && !mail)
        return false;
    *begin = at;
    *end = at + 1;
    while (!web && *begin > 0 && name_byte(text.data[*begin - 1]))
        (*begin)--;
    if (!web && *begin == at) /* before looking further: a line may be full of such marks */
        return false;
    while (*end < text.length &&
           (mail ? name_byte(text.data[*end]) : address_byte(text.data[*end])))
        (*end)++;
    while (*end > at + 1 && strchr(".,;:!?)]'", text.data[*end - 1]) != NULL)
        (*end)--;
    bool dot = mail && memchr(text.data + at, '.', *end - at) != NULL;
    return mail ? dot : web ? *end > at + 4 : *end > at + 3;
}

/* The address that begins at or after `from`; false when there is none. */
static bool next_address(struct lng_slice text, size_t from, size_t *begin, size_t *end)
{
    for (size_t at = from; at < text.length; at++) {
        char c = text.data[at];
        if ((c == ':' || c == 'w' || c == '@') && find_address(text, at, begin, end) &&
            *end > from) {
            *begin = *begin > from ? *begin : from;
            return true;
        }
    }
    return false;
}

static enum lng_status collect_addresses(struct lng_risk_scratch *scratch, int side,
                                         struct lng_slice text)
{
    scratch->counts[side] = 0;
    for (size_t at = 0, begin, end; next_address(text, at, &begin, &end); at = end)
        LNG_TRY(add(scratch, side, text.data + begin, end - begin));
    return LNG_OK;
}

/* ---- numbers and words, outside addresses ---- */

typedef enum lng_status (*collect)(struct lng_risk_scratch *scratch, int side,
                                   struct lng_slice text);

static enum lng_status between_addresses(struct lng_risk_scratch *scratch, int side,
                                         struct lng_slice text, collect collect_part)
{
    size_t at = 0, begin, end;
    scratch->counts[side] = 0;
    for (; next_address(text, at, &begin, &end); at = end)
        LNG_TRY(collect_part(scratch, side, (struct lng_slice){text.data + at, begin - at}));
    return collect_part(scratch, side, (struct lng_slice){text.data + at, text.length - at});
}

/* Bytes of the run of digits at `at`; *count digits. They are appended to `digits` as ASCII. */
static enum lng_status take_digits(struct lng_slice text, size_t at, struct lng_buffer *digits,
                                   size_t *bytes, size_t *count)
{
    size_t begin = at;
    *count = 0;
    while (at < text.length) {
        uint32_t c;
        size_t step = lng_utf8_decode(text.data + at, text.length - at, &c);
        int32_t digit = c == LNG_UTF8_INVALID ? -1 : u_charDigitValue((UChar32)c);
        if (digit < 0)
            break;
        LNG_TRY(lng_buffer_append_byte(digits, (char)('0' + digit)));
        (*count)++;
        at += step;
    }
    *bytes = at - begin;
    return LNG_OK;
}

/* What may stand between thousands. */
static bool is_separator(uint32_t c)
{
    static const uint32_t separators[] = {' ',    ',',    '.',    '\'',   0xA0,
                                          0x2009, 0x2019, 0x202F, 0x066C, 0xFF0C};
    for (size_t i = 0; i < sizeof separators / sizeof separators[0]; i++)
        if (c == separators[i])
            return true;
    return false;
}

static enum lng_status collect_numbers(struct lng_risk_scratch *scratch, int side,
                                       struct lng_slice text)
{
    struct lng_buffer *digits = &scratch->digits[side];
    for (size_t at = 0; at < text.length;) {
        uint32_t c;
        size_t step, count, bytes, before = digits->length;
        LNG_TRY(take_digits(text, at, digits, &bytes, &count));
        if (count == 0) {
            at += lng_utf8_decode(text.data + at, text.length - at, &c);
            continue;
        }
        at += bytes;
        for (size_t group = count; group <= 3 && at < text.length; group = count) {
            step = lng_utf8_decode(text.data + at, text.length - at, &c);
            size_t length = digits->length;
            if (!is_separator(c))
                break;
            LNG_TRY(take_digits(text, at + step, digits, &bytes, &count));
            if (count != 3) {
                digits->length = length;
                break;
            }
            at += step + bytes;
        }
        LNG_TRY(lng_buffer_append_byte(digits, ' '));
        LNG_TRY(add(scratch, side, NULL, digits->length - 1 - before)); /* placed below */
    }
    return LNG_OK;
}

/* The digits' buffer may have moved while it grew. */
static void place_numbers(struct lng_risk_scratch *scratch, int side)
{
    size_t at = 0;
    for (size_t i = 0; i < scratch->counts[side]; i++) {
        scratch->words[side][i].data = scratch->digits[side].data + at;
        at += scratch->words[side][i].length + 1;
    }
}

static enum lng_status collect_words(struct lng_risk_scratch *scratch, int side,
                                     struct lng_slice text)
{
    size_t begin = 0;
    bool inside = false;
    for (size_t at = 0, step; at < text.length; at += step) {
        uint32_t c;
        step = lng_utf8_decode(text.data + at, text.length - at, &c);
        UChar32 code = c == LNG_UTF8_INVALID ? ' ' : (UChar32)c;
        bool alone = u_hasBinaryProperty(code, UCHAR_IDEOGRAPHIC) || (c >= 0x3040 && c <= 0x30FF);
        bool letter = u_isalpha(code) || (inside && (U_GET_GC_MASK(code) & U_GC_M_MASK) != 0);
        if (inside && (alone || !letter))
            LNG_TRY(add(scratch, side, text.data + begin, at - begin));
        if (alone)
            LNG_TRY(add(scratch, side, text.data + at, step));
        begin = inside && letter && !alone ? begin : at;
        inside = letter && !alone;
    }
    return inside ? add(scratch, side, text.data + begin, text.length - begin) : LNG_OK;
}

static double share_copied(struct lng_risk_scratch *scratch)
{
    size_t copied = 0, all = scratch->counts[1];
    if (all < FEWEST_WORDS || scratch->counts[0] == 0)
        return 0.0;
    sort(scratch);
    for (size_t i = 0; i < all; i++)
        copied += bsearch(&scratch->words[1][i], scratch->words[0], scratch->counts[0],
                          sizeof **scratch->words, compare) != NULL;
    return (double)copied / (double)all;
}

enum lng_status lng_risk_measure_texts(struct lng_risk_scratch *scratch, struct lng_slice source,
                                       struct lng_slice target, struct lng_risk_values *values)
{
    struct lng_slice texts[2] = {source, target};
    for (int side = 0; side < 2; side++)
        if (texts[side].data == NULL)
            texts[side] = (struct lng_slice){"", 0};
    for (int side = 0; side < 2; side++)
        LNG_TRY(collect_addresses(scratch, side, texts[side]));
    values->values[LNG_RISK_URLS] = difference(scratch);
    for (int side = 0; side < 2; side++) {
        lng_buffer_clear(&scratch->digits[side]);
        LNG_TRY(between_addresses(scratch, side, texts[side], collect_numbers));
        place_numbers(scratch, side);
    }
    values->values[LNG_RISK_NUMBERS] = difference(scratch);
    for (int side = 0; side < 2; side++)
        LNG_TRY(between_addresses(scratch, side, texts[side], collect_words));
    values->values[LNG_RISK_COPY] = share_copied(scratch);
    return LNG_OK;
}
