#include "host/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/base/mem.h"

enum { LONGEST_WORD = 64 };

size_t lng_utf8_decode(const char *text, size_t length, uint32_t *code_point)
{
    if (length == 0)
        return 0;
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char lead = bytes[0];
    if (lead < 0x80) {
        *code_point = lead;
        return 1;
    }
    *code_point = LNG_UTF8_INVALID;
    if (lead < 0xC2 || lead > 0xF4)
        return 1;
    size_t needed = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t value = lead & (0xFFu >> (needed + 1));
    /* Only the second byte's range depends on the lead: overlong forms, surrogates and the top. */
    unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < needed; i++) {
        if (i >= length || bytes[i] < low || bytes[i] > high)
            return i;
        value = value << 6 | (bytes[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *code_point = value;
    return needed;
}

size_t lng_utf8_encode(uint32_t code_point, char out[4])
{
    uint32_t c = code_point;
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        c = 0xFFFD;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

size_t lng_utf8_harmless(const char *text, size_t length, bool *harmless)
{
    uint32_t c;
    size_t taken = lng_utf8_decode(text, length, &c);
    *harmless = c != LNG_UTF8_INVALID && c >= 0x20 && (c < 0x7F || c > 0x9F);
    return taken;
}

size_t lng_utf8_first_invalid(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        uint32_t code_point;
        size_t taken = lng_utf8_decode(text + at, length - at, &code_point);
        if (code_point == LNG_UTF8_INVALID)
            break;
        at += taken;
    }
    return at;
}

bool lng_utf8_valid(const char *text, size_t length)
{
    return lng_utf8_first_invalid(text, length) == length;
}

size_t lng_utf8_count(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t at = 0; at < length; count++) {
        uint32_t code_point;
        at += lng_utf8_decode(text + at, length - at, &code_point);
    }
    return count;
}

struct lng_slice lng_slice_of(const char *text)
{
    return (struct lng_slice){text, strlen(text)};
}

bool lng_slice_equals(struct lng_slice slice, const char *text)
{
    return slice.length == strlen(text) && memcmp(slice.data, text, slice.length) == 0;
}

bool lng_text_ends_in(const char *text, const char *suffix)
{
    size_t length = strlen(text), end = strlen(suffix);
    return length > end && strcmp(text + length - end, suffix) == 0;
}

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

struct lng_slice lng_text_trim(struct lng_slice slice)
{
    while (slice.length > 0 && is_blank(slice.data[0])) {
        slice.data++;
        slice.length--;
    }
    while (slice.length > 0 && is_blank(slice.data[slice.length - 1]))
        slice.length--;
    return slice;
}

bool lng_text_split(struct lng_slice *rest, char separator, struct lng_slice *piece)
{
    if (rest->data == NULL)
        return false;
    const char *end = rest->length ? memchr(rest->data, separator, rest->length) : NULL;
    if (end == NULL) {
        *piece = *rest;
        *rest = (struct lng_slice){NULL, 0};
        return true;
    }
    *piece = (struct lng_slice){rest->data, (size_t)(end - rest->data)};
    rest->length -= piece->length + 1;
    rest->data = end + 1;
    return true;
}

bool lng_text_next_word(struct lng_slice *rest, struct lng_slice *word)
{
    struct lng_slice left = *rest;
    while (left.length > 0 && is_blank(left.data[0])) {
        left.data++;
        left.length--;
    }
    size_t length = 0;
    while (length < left.length && !is_blank(left.data[length]))
        length++;
    *rest = (struct lng_slice){left.data + length, left.length - length};
    if (length == 0)
        return false;
    *word = (struct lng_slice){left.data, length};
    return true;
}

enum lng_status lng_parse_int64(const char *text, int64_t low, int64_t high, int64_t *value)
{
    const char *digits = text + (*text == '-' || *text == '+');
    size_t count = strspn(digits, "0123456789");
    LNG_FAIL_IF(count == 0 || digits[count] != '\0', LNG_ERR_FORMAT,
                "expected a whole number, found '%.60s'", text);
    errno = 0;
    long long parsed = strtoll(text, NULL, 10);
    LNG_FAIL_IF(errno == ERANGE || parsed < low || parsed > high, LNG_ERR_RANGE,
                "expected a whole number from %lld to %lld, found '%.60s'", (long long)low,
                (long long)high, text);
    *value = parsed;
    return LNG_OK;
}

enum lng_status lng_parse_double(const char *text, double low, double high, double *value)
{
    bool plausible = *text != '\0' && text[strspn(text, "+-.eE0123456789")] == '\0';
    char *end = NULL;
    double parsed = 0;
    if (plausible) {
        /* glibc's C locale is static: nothing to free. */
        locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        parsed = strtod_l(text, &end, c_locale);
    }
    LNG_FAIL_IF(!plausible || end == text || *end != '\0', LNG_ERR_FORMAT,
                "expected a number, found '%.60s'", text);
    LNG_FAIL_IF(!isfinite(parsed) || !(parsed >= low && parsed <= high), LNG_ERR_RANGE,
                "expected a number from %g to %g, found '%.60s'", low, high, text);
    *value = parsed;
    return LNG_OK;
}

enum lng_status lng_parse_bool(const char *text, bool *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *value = i % 2 == 1;
            return LNG_OK;
        }
    }
    return lng_fail(LNG_ERR_FORMAT, "expected true or false, found '%.60s'", text);
}

/* Optimal string alignment distance, or any number from `enough` on where it is not less; both words shorter than
 * LONGEST_WORD. */
static unsigned edit_distance(const char *a, size_t a_length, const char *b, size_t b_length,
                              unsigned enough)
{
    if ((a_length > b_length ? a_length - b_length : b_length - a_length) >= enough)
        return enough;
    unsigned rows[3][LONGEST_WORD + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    unsigned least = 0; /* of the row above */
    for (size_t j = 0; j <= b_length; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned least_above = least;
        least = row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            unsigned best = above[j - 1] + !same;
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
            least = best < least ? best : least;
        }
        /* A row is made of the two above it. */
        if (least >= enough && least_above >= enough)
            return enough;
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b_length];
}

const char *lng_text_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strlen(word);
    if (length == 0 || length >= LONGEST_WORD)
        return NULL;
    const char *nearest = NULL;
    unsigned fewest = (unsigned)(length < 3 ? 1 : (length + 2) / 3) + 1;
    for (size_t i = 0; i < count; i++) {
        size_t candidate_length = candidates[i] ? strlen(candidates[i]) : LONGEST_WORD;
        if (candidate_length >= LONGEST_WORD)
            continue;
        unsigned distance = edit_distance(word, length, candidates[i], candidate_length, fewest);
        if (distance < fewest) {
            fewest = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

enum lng_status lng_buffer_reserve(struct lng_buffer *buffer, size_t extra)
{
    LNG_FAIL_IF(extra >= SIZE_MAX / 2 - buffer->length, LNG_ERR_MEMORY,
                "no memory for a text of %zu + %zu bytes", buffer->length, extra);
    bool fresh = buffer->data == NULL;
    LNG_TRY(lng_grow(&buffer->data, &buffer->capacity, buffer->length + extra + 1, 1));
    if (fresh)
        buffer->data[0] = '\0';
    return LNG_OK;
}

enum lng_status lng_buffer_append(struct lng_buffer *buffer, const void *data, size_t length)
{
    LNG_TRY(lng_buffer_reserve(buffer, length));
    if (length > 0)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
    return LNG_OK;
}

enum lng_status lng_buffer_append_text(struct lng_buffer *buffer, const char *text)
{
    return lng_buffer_append(buffer, text, strlen(text));
}

enum lng_status lng_buffer_append_byte(struct lng_buffer *buffer, char byte)
{
    return lng_buffer_append(buffer, &byte, 1);
}

enum lng_status lng_buffer_append_format(struct lng_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    LNG_FAIL_IF(length < 0, LNG_ERR_INTERNAL, "cannot format '%.60s'", format);
    LNG_TRY(lng_buffer_reserve(buffer, (size_t)length));
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->length += (size_t)length;
    return LNG_OK;
}

enum lng_status lng_buffer_append_repaired(struct lng_buffer *buffer, const char *text,
                                           size_t length, size_t *replaced)
{
    size_t count = 0, at = 0;
    while (at < length) {
        size_t valid = lng_utf8_first_invalid(text + at, length - at);
        LNG_TRY(lng_buffer_append(buffer, text + at, valid));
        at += valid;
        if (at < length) {
            uint32_t code_point;
            at += lng_utf8_decode(text + at, length - at, &code_point);
            LNG_TRY(lng_buffer_append(buffer, "\xEF\xBF\xBD", 3));
            count++;
        }
    }
    if (replaced != NULL)
        *replaced = count;
    return LNG_OK;
}

void lng_buffer_clear(struct lng_buffer *buffer)
{
    buffer->length = 0;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

void lng_buffer_release(struct lng_buffer *buffer)
{
    lng_free(buffer->data);
    *buffer = (struct lng_buffer){0};
}
