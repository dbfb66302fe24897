#include <string.h>

#include "host/store/marian_vocab.h"

/* Why not libyaml: vocabularies have keys that YAML 1.1 gives a meaning to (null, =, <<), and pieces with U+0085 or
 * U+2028, which it takes for ends of lines. */

struct scan {
    const char *name, *at, *end;
    size_t line;
    struct lng_buffer key;
};

static enum lng_status unexpected(const struct scan *scan, const char *expected)
{
    const char *stop =
        scan->at < scan->end ? memchr(scan->at, '\n', (size_t)(scan->end - scan->at)) : NULL;
    size_t left = (size_t)((stop ? stop : scan->end) - scan->at);
    return lng_fail(LNG_ERR_FORMAT, "%s:%zu: expected %s, found '%.*s'", scan->name, scan->line,
                    expected, left > 40 ? 40 : (int)left, left > 0 ? scan->at : "");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The character `ahead` of the place, '\n' past the end. */
static char peek(const struct scan *scan, size_t ahead)
{
    return (size_t)(scan->end - scan->at) > ahead ? scan->at[ahead] : '\n';
}

static void skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end && is_blank(*scan->at))
        scan->at++;
}

static void next_line(struct scan *scan)
{
    const char *stop = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));
    scan->at = stop ? stop + 1 : scan->end;
    scan->line += stop != NULL;
}

/* Nothing but blanks and a comment to the end of the line, which is then passed. `started`: a comment needs a blank
 * before it. */
static enum lng_status end_line(struct scan *scan, const char *expected)
{
    const char *start = scan->at;
    skip_blanks(scan);
    if (peek(scan, 0) != '\n' && (peek(scan, 0) != '#' || scan->at == start))
        return unexpected(scan, expected);
    next_line(scan);
    return LNG_OK;
}

/* A line break inside a quoted key: one is a space (nothing after a backslash), each further one a newline. Blanks
 * around it do not count; the key's before `keep` stay. */
static enum lng_status fold(struct scan *scan, size_t keep, bool escaped)
{
    size_t breaks = 0;
    struct lng_buffer *key = &scan->key;
    while (!escaped && key->length > keep && is_blank(key->data[key->length - 1]))
        key->data[--key->length] = '\0';
    while (scan->at < scan->end && (is_blank(*scan->at) || *scan->at == '\n')) {
        breaks += *scan->at == '\n';
        scan->line += *scan->at++ == '\n';
    }
    if (breaks == 1 && !escaped)
        return lng_buffer_append_byte(key, ' ');
    for (; breaks > 1; breaks--)
        LNG_TRY(lng_buffer_append_byte(key, '\n'));
    return LNG_OK;
}

static enum lng_status read_single_quoted(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end;) {
        if (*scan->at == '\n') {
            LNG_TRY(fold(scan, 0, false));
        } else if (*scan->at != '\'') {
            LNG_TRY(lng_buffer_append_byte(&scan->key, *scan->at++));
        } else if (peek(scan, 1) == '\'') {
            LNG_TRY(lng_buffer_append_byte(&scan->key, '\''));
            scan->at += 2;
        } else {
            scan->at++;
            return LNG_OK;
        }
    }
    return unexpected(scan, "the end of a key in single quotes");
}

static enum lng_status read_hex(struct scan *scan, int digits, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++) {
        char c = peek(scan, 0);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return unexpected(scan, "hexadecimal digits after \\x, \\u or \\U");
        *value = *value << 4 | (uint32_t)digit;
        scan->at++;
    }
    return LNG_OK;
}

/* Characters after a backslash, and what they stand for. */
static const struct {
    char name;
    uint16_t code;
} escapes[] = {
    {'0', 0},   {'a', 7},     {'b', 8},    {'t', 9},    {'\t', 9},     {'n', 10},
    {'v', 11},  {'f', 12},    {'r', 13},   {'e', 27},   {' ', ' '},    {'"', '"'},
    {'/', '/'}, {'\\', '\\'}, {'N', 0x85}, {'_', 0xA0}, {'L', 0x2028}, {'P', 0x2029},
};

/* After the backslash. */
static enum lng_status read_escape(struct scan *scan)
{
    char c = peek(scan, 0), text[4];
    uint32_t code = LNG_UTF8_INVALID, low;
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++)
        code = escapes[i].name == c ? escapes[i].code : code;
    if (code == LNG_UTF8_INVALID && c != 'x' && c != 'u' && c != 'U')
        return unexpected(scan, "an escape that YAML has after '\\'");
    scan->at++;
    if (code == LNG_UTF8_INVALID) {
        LNG_TRY(read_hex(scan, c == 'x' ? 2 : c == 'u' ? 4 : 8, &code));
        if (code >= 0xD800 && code < 0xDC00 && peek(scan, 0) == '\\' && peek(scan, 1) == 'u') {
            scan->at += 2;
            LNG_TRY(read_hex(scan, 4, &low));
            bool pair = low >= 0xDC00 && low < 0xE000;
            code = pair ? 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00)) : LNG_UTF8_INVALID;
        }
    }
    LNG_FAIL_IF(code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) || code == 0, LNG_ERR_FORMAT,
                "%s:%zu: an escape stands for no character, or for NUL", scan->name, scan->line);
    return lng_buffer_append(&scan->key, text, lng_utf8_encode(code, text));
}

static enum lng_status read_double_quoted(struct scan *scan)
{
    size_t keep = 0;
    for (scan->at++; scan->at < scan->end;) {
        if (*scan->at == '\n') {
            LNG_TRY(fold(scan, keep, false));
        } else if (*scan->at == '"') {
            scan->at++;
            return LNG_OK;
        } else if (*scan->at != '\\') {
            LNG_TRY(lng_buffer_append_byte(&scan->key, *scan->at++));
        } else {
            scan->at++;
            bool line_break =
                peek(scan, 0) == '\n' || (peek(scan, 0) == '\r' && peek(scan, 1) == '\n');
            LNG_TRY(line_break ? fold(scan, keep, true) : read_escape(scan));
            keep = scan->key.length;
        }
    }
    return unexpected(scan, "the end of a key in double quotes");
}

/* Up to ": " (implicit keys), a comment or the end of the line. */
static enum lng_status read_plain(struct scan *scan, bool explicit_key)
{
    const char *start = scan->at;
    char first = peek(scan, 0), second = peek(scan, 1);
    bool blank_after = is_blank(second) || second == '\n';
    if (strchr(",[]{}#&*!|>'\"%@`", first) || (strchr("-?:", first) && blank_after))
        return unexpected(scan,
                          "a key (one that starts so must be quoted; lists, anchors, aliases, "
                          "tags and blocks are not read)");
    for (; scan->at < scan->end && *scan->at != '\n'; scan->at++) {
        char after = peek(scan, 1);
        if (*scan->at == ':' && (is_blank(after) || after == '\n')) {
            if (explicit_key)
                return unexpected(scan, "one scalar after '? '");
            break;
        }
        if (*scan->at == '#' && is_blank(scan->at[-1]))
            break;
    }
    const char *stop = scan->at;
    while (stop > start && is_blank(stop[-1]))
        stop--;
    return lng_buffer_append(&scan->key, start, (size_t)(stop - start));
}

static enum lng_status read_id(struct scan *scan, uint64_t *id)
{
    static const char expected[] = "': ' and an integer id";
    if (peek(scan, 0) != ':' || !is_blank(peek(scan, 1)))
        return unexpected(scan, expected);
    scan->at++;
    skip_blanks(scan);
    const char *start = scan->at;
    uint64_t value = 0;
    while (peek(scan, 0) >= '0' && peek(scan, 0) <= '9' && scan->at - start < 10)
        value = value * 10 + (uint64_t)(*scan->at++ - '0');
    bool octal = scan->at - start > 1 && *start == '0'; /* to some readers of YAML */
    if (scan->at == start || octal) {
        scan->at = start;
        return unexpected(scan, "an integer id");
    }
    *id = value;
    return end_line(scan, "nothing after the id");
}

static enum lng_status read_entry(struct scan *scan, uint64_t *id)
{
    bool explicit_key = peek(scan, 0) == '?' && is_blank(peek(scan, 1));
    if (explicit_key) {
        scan->at++;
        skip_blanks(scan);
    }
    lng_buffer_clear(&scan->key);
    LNG_TRY(peek(scan, 0) == '"'    ? read_double_quoted(scan)
            : peek(scan, 0) == '\'' ? read_single_quoted(scan)
                                    : read_plain(scan, explicit_key));
    if (explicit_key)
        LNG_TRY(end_line(scan, "nothing after the key"));
    else
        skip_blanks(scan);
    return read_id(scan, id);
}

/* "---" or "..." alone on a line. */
static bool at_marker(const struct scan *scan, const char *marker)
{
    return scan->end - scan->at >= 3 && memcmp(scan->at, marker, 3) == 0 &&
           (is_blank(peek(scan, 3)) || peek(scan, 3) == '\n');
}

static enum lng_status read_document(struct scan *scan, lng_marian_vocab_visit visit, void *context)
{
    bool started = false, over = false;
    while (scan->at < scan->end) {
        const char *line = scan->at;
        uint64_t id = 0;
        skip_blanks(scan);
        if (peek(scan, 0) == '\n' || peek(scan, 0) == '#') {
            next_line(scan);
            continue;
        }
        if (line != scan->at)
            return unexpected(scan, "keys at the start of their lines");
        if (over || (started && at_marker(scan, "---")))
            return unexpected(scan, "one document");
        if (at_marker(scan, "...") || at_marker(scan, "---")) {
            over = *scan->at == '.';
            scan->at += 3;
            started = true;
            LNG_TRY(end_line(scan, "nothing after the document marker"));
            continue;
        }
        started = true;
        LNG_TRY(read_entry(scan, &id));
        LNG_TRY(visit(context, scan->key.data ? scan->key.data : "", scan->key.length, id));
    }
    return LNG_OK;
}

enum lng_status lng_marian_yaml_entries(const char *name, const char *text, size_t size,
                                        lng_marian_vocab_visit visit, void *context)
{
    struct scan scan = {.name = name, .at = text, .end = text + size, .line = 1};
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        scan.at += 3;
    enum lng_status status = read_document(&scan, visit, context);
    lng_buffer_release(&scan.key);
    return status;
}
