#include "host/eval/tokenize.h"

#include <limits.h>
#include <string.h>
#include <unicode/ucasemap.h>

#include "host/eval/tokenize_rules.h"

const char *lng_tokenization_name(enum lng_tokenization tokenization)
{
    static const char *const names[LNG_TOKENIZATIONS] = {"13a", "char", "none", "zh", "intl"};
    return names[tokenization];
}

bool lng_is_python_space(uint32_t c)
{
    if (c < 0x80)
        return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

struct lng_slice lng_strip_end(struct lng_slice text)
{
    size_t end = 0;
    for (size_t at = 0; at < text.length;) {
        uint32_t c;
        at += lng_utf8_decode(text.data + at, text.length - at, &c);
        if (!lng_is_python_space(c))
            end = at;
    }
    return (struct lng_slice){text.data, end};
}

/* ---- lower case ---- */

/* Lower case of valid UTF-8. ICU answers how much room it needs where it had too little. */
static enum lng_status lower_valid(UCaseMap *map, struct lng_slice text, struct lng_buffer *out)
{
    LNG_FAIL_IF(text.length > INT_MAX / 4, LNG_ERR_RANGE, "a line of %zu bytes is too long",
                text.length);
    size_t room = text.length + 16;
    for (int attempt = 0; attempt < 2; attempt++) {
        UErrorCode error = U_ZERO_ERROR;
        LNG_TRY(lng_buffer_reserve(out, room));
        int32_t needed = ucasemap_utf8ToLower(map, out->data + out->length, (int32_t)room,
                                              text.data, (int32_t)text.length, &error);
        if (error == U_BUFFER_OVERFLOW_ERROR) {
            room = (size_t)needed + 1;
            continue;
        }
        LNG_FAIL_IF(U_FAILURE(error), LNG_ERR_INTERNAL, "ICU cannot make lower case: %s",
                    u_errorName(error));
        out->length += (size_t)needed;
        out->data[out->length] = '\0';
        return LNG_OK;
    }
    return lng_fail(LNG_ERR_INTERNAL, "ICU needs ever more room for lower case");
}

static enum lng_status lower_any(UCaseMap *map, struct lng_slice text, struct lng_buffer *out)
{
    while (text.length > 0) {
        size_t valid = lng_utf8_first_invalid(text.data, text.length), bad = 0;
        if (valid > 0)
            LNG_TRY(lower_valid(map, (struct lng_slice){text.data, valid}, out));
        if (valid < text.length) {
            uint32_t c;
            bad = lng_utf8_decode(text.data + valid, text.length - valid, &c);
            LNG_TRY(lng_buffer_append(out, text.data + valid, bad));
        }
        text = (struct lng_slice){text.data + valid + bad, text.length - valid - bad};
    }
    return LNG_OK;
}

static bool is_ascii(struct lng_slice text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] >= 0x80)
            return false;
    return true;
}

enum lng_status lng_lowercase(struct lng_slice text, struct lng_buffer *out)
{
    LNG_TRY(lng_buffer_reserve(out, text.length));
    if (is_ascii(text)) {
        for (size_t i = 0; i < text.length; i++) {
            char c = text.data[i];
            out->data[out->length++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
        out->data[out->length] = '\0';
        return LNG_OK;
    }
    UErrorCode error = U_ZERO_ERROR;
    UCaseMap *map = ucasemap_open("", 0, &error);
    LNG_FAIL_IF(U_FAILURE(error), LNG_ERR_MEMORY, "ICU cannot make lower case: %s",
                u_errorName(error));
    enum lng_status status = lower_any(map, text, out);
    ucasemap_close(map);
    return status;
}

/* ---- BLEU ---- */

/* The ranges of sacreBLEU's zh. Its list has two above U+FFFF that its way of comparing turns into U+2001 to U+2A6D
 * and U+2F81 to U+2FA1; they are kept as they act, quotation marks, dashes and "€" included. */
static const struct lng_code_range chinese[] = {
    {0x3400, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9},
    {0x2001, 0x2A6D}, {0x2F81, 0x2FA1}, {0xFF00, 0xFFEF}, {0x2E80, 0x2EFF}, {0x3000, 0x303F},
    {0x31C0, 0x31EF}, {0x2F00, 0x2FDF}, {0x2FF0, 0x2FFF}, {0x3100, 0x312F}, {0x31A0, 0x31BF},
    {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0x3200, 0x33FF},
};

static enum lng_status apply(enum lng_tokenization tokenization, struct lng_text_pair *pair)
{
    if (tokenization == LNG_TOKENIZATION_INTL)
        return lng_rule_international(pair);
    if (tokenization == LNG_TOKENIZATION_ZH) {
        LNG_TRY(lng_rule_ranges(pair, chinese, sizeof chinese / sizeof chinese[0], false));
    } else {
        LNG_TRY(lng_rule_replace(pair, "<skipped>", ""));
        LNG_TRY(lng_rule_replace(pair, "-\n", ""));
        LNG_TRY(lng_rule_replace(pair, "\n", " "));
        LNG_TRY(lng_rule_entities(pair));
        LNG_TRY(lng_rule_pad(pair));
    }
    LNG_TRY(lng_rule_punctuation(pair));
    return lng_rule_stops_and_dashes(pair);
}

/* Without white space at both ends. */
static struct lng_slice strip(struct lng_slice text)
{
    text = lng_strip_end(text);
    while (text.length > 0) {
        uint32_t c;
        size_t bytes = lng_utf8_decode(text.data, text.length, &c);
        if (!lng_is_python_space(c))
            break;
        text = (struct lng_slice){text.data + bytes, text.length - bytes};
    }
    return text;
}

enum lng_status lng_tokenize(enum lng_tokenization tokenization, const char *text, size_t length,
                             struct lng_buffer *tokens)
{
    struct lng_slice line = {text, length};
    if (tokenization == LNG_TOKENIZATION_NONE || tokenization == LNG_TOKENIZATION_CHAR)
        return lng_rule_words(line, tokenization == LNG_TOKENIZATION_CHAR, tokens);
    line = tokenization == LNG_TOKENIZATION_ZH ? strip(line) : lng_strip_end(line);
    struct lng_text_pair pair = {0};
    enum lng_status status = lng_buffer_append(&pair.text, line.data, line.length);
    if (status == LNG_OK)
        status = apply(tokenization, &pair);
    if (status == LNG_OK)
        status =
            lng_rule_words((struct lng_slice){pair.text.data, pair.text.length}, false, tokens);
    lng_text_pair_release(&pair);
    return status;
}

/* ---- TER ---- */

/* What sacreBLEU's Tercom tokenizer sets apart: ideographs, strokes, radicals, compatibility forms, and its
 * U+3200 to U+3F22 as written there. Its rules for kana match nothing in padded text. */
static const struct lng_code_range ideographs[] = {
    {0x4E00, 0x9FFF}, {0x3400, 0x4DBF}, {0x31C0, 0x31EF}, {0x2E80, 0x2EFF},
    {0x3300, 0x33FF}, {0xF900, 0xFAFF}, {0xFE30, 0xFE4F}, {0x3200, 0x3F22},
};
static const struct lng_code_range asian_punctuation[] = {
    {0x3001, 0x3002}, {0x3008, 0x3011}, {0x3014, 0x301F}, {0xFF61, 0xFF65},
    {0x30FB, 0x30FB}, {0xFF0E, 0xFF0E}, {0xFF0C, 0xFF0C}, {0xFF1F, 0xFF1F},
    {0xFF1A, 0xFF1B}, {0xFF01, 0xFF02}, {0xFF08, 0xFF09},
};
static const struct lng_code_range western_punctuation[] = {
    {'.', '.'}, {',', ','}, {'?', '?'}, {':', ';'}, {'!', '"'}, {'(', ')'},
};
#define LENGTH(list) (sizeof(list) / sizeof(list)[0])

static enum lng_status normalize(struct lng_text_pair *pair, bool asian_support)
{
    LNG_TRY(lng_rule_replace(pair, "\n-", ""));
    LNG_TRY(lng_rule_replace(pair, "\n", " "));
    LNG_TRY(lng_rule_entities(pair));
    LNG_TRY(lng_rule_pad(pair));
    LNG_TRY(lng_rule_punctuation(pair));
    LNG_TRY(lng_rule_replace(pair, "'s ", " 's "));
    LNG_TRY(lng_rule_stops_and_dashes(pair));
    if (!asian_support)
        return LNG_OK;
    LNG_TRY(lng_rule_ranges(pair, ideographs, LENGTH(ideographs), false));
    return lng_rule_ranges(pair, asian_punctuation, LENGTH(asian_punctuation), false);
}

enum lng_status lng_tokenize_tercom(const struct lng_tercom_options *options, struct lng_slice text,
                                    struct lng_buffer *tokens)
{
    struct lng_text_pair pair = {0};
    enum lng_status status;
    text = lng_strip_end(text);
    LNG_TRY_OR_FAIL(options->case_sensitive ? lng_buffer_append(&pair.text, text.data, text.length)
                                            : lng_lowercase(text, &pair.text));
    if (options->normalized && text.length > 0)
        LNG_TRY_OR_FAIL(normalize(&pair, options->asian_support));
    if (options->no_punct)
        LNG_TRY_OR_FAIL(
            lng_rule_ranges(&pair, western_punctuation, LENGTH(western_punctuation), true));
    if (options->no_punct && options->asian_support)
        LNG_TRY_OR_FAIL(lng_rule_ranges(&pair, asian_punctuation, LENGTH(asian_punctuation), true));
    LNG_TRY_OR_FAIL(
        lng_rule_words((struct lng_slice){pair.text.data, pair.text.length}, false, tokens));
fail:
    lng_text_pair_release(&pair);
    return status;
}
