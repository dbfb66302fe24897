#include "host/eval/tokenize.h"

#include <string.h>

#include "host/base/mem.h"

const char *lng_tokenization_name(enum lng_tokenization tokenization)
{
    static const char *const names[] = {"13a", "char", "none"};
    return names[tokenization];
}

bool lng_is_python_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_stop(char c)
{
    return c == '.' || c == ',';
}

/* Printable ASCII but letters, digits and ' , - . : stands alone. */
static bool stands_alone(char c)
{
    return (c >= 0x20 && c <= 0x26) || (c >= 0x28 && c <= 0x2B) || c == 0x2F ||
           (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
}

/* Text without trailing white space. */
static size_t strip_end(const char *text, size_t length)
{
    size_t end = 0;
    for (size_t at = 0; at < length;) {
        uint32_t c;
        at += lng_utf8_decode(text + at, length - at, &c);
        if (!lng_is_python_space(c))
            end = at;
    }
    return end;
}

/* Appends text with every `what` replaced. */
static enum lng_status replace(struct lng_buffer *out, const struct lng_buffer *in,
                               const char *what, const char *with)
{
    size_t length = strlen(what);
    const char *from = in->data ? in->data : "", *end = from + in->length;
    lng_buffer_clear(out);
    for (const char *hit; (hit = memmem(from, (size_t)(end - from), what, length)) != NULL;) {
        LNG_TRY(lng_buffer_append(out, from, (size_t)(hit - from)));
        LNG_TRY(lng_buffer_append_text(out, with));
        from = hit + length;
    }
    return lng_buffer_append(out, from, (size_t)(end - from));
}

/* The four passes of mteval-v13a; each matches left to right without overlap. They look at bytes: parts of
 * longer UTF-8 sequences are neither digits nor punctuation, which is what the rules need to know. */
enum pass { PASS_ALONE, PASS_STOP_AFTER, PASS_STOP_BEFORE, PASS_DASH, PASSES };

static bool matches_pair(enum pass pass, char first, char second)
{
    switch (pass) {
    case PASS_STOP_AFTER:
        return !is_digit(first) && is_stop(second);
    case PASS_STOP_BEFORE:
        return is_stop(first) && !is_digit(second);
    case PASS_DASH:
        return is_digit(first) && second == '-';
    case PASS_ALONE:
    case PASSES:
        break;
    }
    return false;
}

static enum lng_status run_pass(struct lng_buffer *out, const struct lng_buffer *in, enum pass pass)
{
    lng_buffer_clear(out);
    for (size_t i = 0; i < in->length; i++) {
        char c = in->data[i];
        if (pass == PASS_ALONE && stands_alone(c)) {
            LNG_TRY(lng_buffer_append(out, (char[]){' ', c, ' '}, 3));
        } else if (i + 1 < in->length && matches_pair(pass, c, in->data[i + 1])) {
            char second = in->data[++i];
            if (pass == PASS_STOP_BEFORE)
                LNG_TRY(lng_buffer_append(out, (char[]){' ', c, ' ', second}, 4));
            else
                LNG_TRY(lng_buffer_append(out, (char[]){c, ' ', second, ' '}, 4));
        } else {
            LNG_TRY(lng_buffer_append_byte(out, c));
        }
    }
    return LNG_OK;
}

static enum lng_status normalize_13a(struct lng_buffer *a, struct lng_buffer *b)
{
    static const char *const replaced[][2] = {
        {"<skipped>", ""}, {"-\n", ""},   {"\n", " "},   {"&quot;", "\""},
        {"&amp;", "&"},    {"&lt;", "<"}, {"&gt;", ">"},
    };
    for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++) {
        LNG_TRY(replace(b, a, replaced[i][0], replaced[i][1]));
        struct lng_buffer swap = *a;
        *a = *b;
        *b = swap;
    }
    return LNG_OK;
}

static enum lng_status tokenize_13a(const char *text, size_t length, struct lng_buffer *a,
                                    struct lng_buffer *b)
{
    LNG_TRY(lng_buffer_append(a, text, strip_end(text, length)));
    LNG_TRY(normalize_13a(a, b));
    lng_buffer_clear(b);
    LNG_TRY(lng_buffer_append_byte(b, ' '));
    LNG_TRY(lng_buffer_append(b, a->data, a->length));
    LNG_TRY(lng_buffer_append_byte(b, ' '));
    for (enum pass pass = PASS_ALONE; pass < PASSES; pass++) {
        LNG_TRY(run_pass(a, b, pass));
        struct lng_buffer swap = *a;
        *a = *b;
        *b = swap;
    }
    return LNG_OK; /* the result is in b */
}

/* Appends the words of `text`, split at white space; each code point by itself where `characters`. */
static enum lng_status append_words(const char *text, size_t length, bool characters,
                                    struct lng_buffer *tokens)
{
    bool inside = false, first = true;
    for (size_t at = 0; at < length;) {
        uint32_t c;
        size_t bytes = lng_utf8_decode(text + at, length - at, &c);
        if (lng_is_python_space(c)) {
            inside = false;
        } else {
            if ((!inside || characters) && !first)
                LNG_TRY(lng_buffer_append_byte(tokens, ' '));
            LNG_TRY(lng_buffer_append(tokens, text + at, bytes));
            inside = true;
            first = false;
        }
        at += bytes;
    }
    return LNG_OK;
}

enum lng_status lng_tokenize(enum lng_tokenization tokenization, const char *text, size_t length,
                             struct lng_buffer *tokens)
{
    if (tokenization != LNG_TOKENIZATION_13A)
        return append_words(text, length, tokenization == LNG_TOKENIZATION_CHAR, tokens);
    struct lng_buffer a = {0}, b = {0};
    enum lng_status status = tokenize_13a(text, length, &a, &b);
    if (status == LNG_OK)
        status = append_words(b.data, b.length, false, tokens);
    lng_buffer_release(&a);
    lng_buffer_release(&b);
    return status;
}
