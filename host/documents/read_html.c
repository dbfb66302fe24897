/* HTML: units are what stands between tags of blocks. The tokens are ours (html_tokens.h); DECISIONS.md says why. */
#include <string.h>

#include "host/base/mem.h"
#include "host/documents/encode.h"
#include "host/documents/formats.h"
#include "host/documents/html_tokens.h"
#include "host/documents/inline_xml.h"

struct html {
    struct lng_document *document;
    struct lng_buffer text;
    bool open; /* a unit is begun */
};

/* What bytes [begin, end) say, to html->text: character references that are known are resolved. */
static enum lng_status decode(struct html *html, size_t begin, size_t end)
{
    const char *bytes = html->document->bytes;
    char out[4];
    size_t length;
    lng_buffer_clear(&html->text);
    while (begin < end) {
        size_t taken = lng_decode_reference(bytes + begin, end - begin, out, &length);
        LNG_TRY(taken > 0 ? lng_buffer_append(&html->text, out, length)
                          : lng_buffer_append_byte(&html->text, bytes[begin]));
        begin += taken > 0 ? taken : 1;
    }
    return LNG_OK;
}

/* A reference at `at` that is not resolved, with or without its semicolon: its length, 0 when there is none. */
static size_t unknown_reference(const char *text, size_t length)
{
    char out[4];
    size_t ignored, end = 1;
    if (text[0] != '&' || lng_decode_reference(text, length, out, &ignored) > 0)
        return 0;
    end += end < length && text[end] == '#';
    size_t first = end;
    while (end < length && (((text[end] | 32) >= 'a' && (text[end] | 32) <= 'z') ||
                            (text[end] >= '0' && text[end] <= '9')))
        end++;
    end += end > first && end < length && text[end] == ';';
    return end > first ? end : 0;
}

static enum lng_status add_text(struct html *html, size_t begin, size_t end)
{
    const char *bytes = html->document->bytes;
    for (size_t at = begin; at < end;) {
        size_t unknown = unknown_reference(bytes + at, end - at);
        size_t next = at + unknown;
        while (unknown == 0 && next < end && unknown_reference(bytes + next, end - next) == 0)
            next++;
        LNG_TRY(decode(html, at, next));
        LNG_TRY(lng_document_add(html->document, unknown > 0 ? LNG_PIECE_KEEP : LNG_PIECE_TEXT, at,
                                 next, html->text.data, html->text.length, 0));
        at = next;
    }
    return LNG_OK;
}

static enum lng_status begin(struct html *html)
{
    if (html->open)
        return LNG_OK;
    html->open = true;
    return lng_document_begin_unit(html->document, LNG_ENCODING_XML);
}

static enum lng_status end(struct html *html)
{
    if (!html->open)
        return LNG_OK;
    html->open = false;
    return lng_document_end_unit(html->document);
}

static bool is_excluded(const struct lng_document *document, const struct lng_html_token *token)
{
    struct lng_slice value;
    return lng_html_find(document, token, "translate", &value) && value.length == 2 &&
           strncasecmp(value.data, "no", 2) == 0;
}

/* An element that stays as it is and is a word of the sentence: what the translator sees is its text. */
static enum lng_status add_kept(struct html *html, const struct lng_html_token *start,
                                size_t behind)
{
    struct lng_html_token token;
    size_t last = start->end;
    for (size_t at = start->end; at < behind && lng_html_next(html->document, at, &token);
         at = token.end)
        last = token.kind == LNG_HTML_END ? token.begin : last;
    LNG_TRY(begin(html));
    LNG_TRY(decode(html, start->end, last));
    bool plain = html->text.length > 0 && memchr(html->text.data, '<', html->text.length) == NULL;
    return lng_document_add(html->document, plain ? LNG_PIECE_KEEP : LNG_PIECE_POINT, start->begin,
                            behind, html->text.data, html->text.length, 0);
}

/* The document's encoding must be UTF-8, as far as it says. */
static enum lng_status check_meta(const struct lng_document *document,
                                  const struct lng_html_token *token)
{
    struct lng_slice value;
    if (!lng_html_find(document, token, "charset", &value)) {
        if (!lng_html_find(document, token, "content", &value))
            return LNG_OK;
        const char *found = memmem(value.data, value.length, "charset=", 8);
        if (found == NULL)
            return LNG_OK;
        value.length -= (size_t)(found + 8 - value.data);
        value.data = found + 8;
    }
    value = lng_text_trim(value);
    bool fine = (value.length == 5 && strncasecmp(value.data, "utf-8", 5) == 0) ||
                (value.length == 4 && strncasecmp(value.data, "utf8", 4) == 0);
    LNG_FAIL_IF(
        !fine, LNG_ERR_FORMAT,
        "%s: line %zu: expected charset=utf-8, found %.*s; convert the file, its charset too",
        document->name, lng_document_line(document, token->begin),
        (int)(value.length < 40 ? value.length : 40), value.data);
    return LNG_OK;
}

/* Handles a start tag; returns where to go on. */
static enum lng_status read_start(struct html *html, const struct lng_html_token *token, size_t *at)
{
    struct lng_document *document = html->document;
    struct lng_slice value;
    bool excluded = is_excluded(document, token);
    *at = token->end;
    if (lng_html_is(document, token, "meta"))
        LNG_TRY(check_meta(document, token));
    if (lng_html_is(document, token, "html") && lng_html_find(document, token, "lang", &value))
        lng_inline_set_language(document, value);
    if (token->role == LNG_HTML_KEEP || (excluded && token->role == LNG_HTML_INLINE)) {
        *at = lng_html_skip(document, token);
        return add_kept(html, token, *at);
    }
    switch (token->role) {
    case LNG_HTML_INLINE:
        LNG_TRY(begin(html));
        return lng_document_add(document, LNG_PIECE_OPEN, token->begin, token->end, NULL, 0, 0);
    case LNG_HTML_POINT:
    case LNG_HTML_HARD:
        LNG_TRY(begin(html));
        return lng_document_add(document,
                                token->role == LNG_HTML_HARD ? LNG_PIECE_HARD : LNG_PIECE_POINT,
                                token->begin, token->end, NULL, 0, 0);
    default:
        LNG_TRY(end(html));
    }
    if (token->role == LNG_HTML_OPAQUE || token->role == LNG_HTML_RAW || excluded)
        *at = lng_html_skip(document, token);
    if (token->role == LNG_HTML_TITLE && !excluded) {
        *at = lng_html_skip(document, token);
        size_t close = *at;
        while (close > token->end && document->bytes[close - 1] != '<')
            close--;
        LNG_TRY(begin(html));
        LNG_TRY(add_text(html, token->end, close > token->end ? close - 1 : *at));
        LNG_TRY(end(html));
    }
    return LNG_OK;
}

static enum lng_status read_token(struct html *html, const struct lng_html_token *token, size_t *at)
{
    *at = token->end;
    switch (token->kind) {
    case LNG_HTML_TEXT:
        LNG_TRY(begin(html));
        return add_text(html, token->begin, token->end);
    case LNG_HTML_START:
        return read_start(html, token, at);
    case LNG_HTML_OTHER:
        return html->open ? lng_document_add(html->document, LNG_PIECE_POINT, token->begin,
                                             token->end, NULL, 0, 0)
                          : LNG_OK;
    default:
        if (token->role != LNG_HTML_INLINE && token->role != LNG_HTML_KEEP)
            return end(html);
        return html->open ? lng_document_add(html->document, LNG_PIECE_CLOSE, token->begin,
                                             token->end, NULL, 0, 0)
                          : LNG_OK;
    }
}

enum lng_status lng_read_html(struct lng_document *document, const struct lng_read_options *options)
{
    struct html html = {.document = document};
    struct lng_html_token token;
    enum lng_status status;
    (void)options;
    LNG_TRY(lng_document_check_text(document, true));
    for (size_t at = lng_document_mark(document); lng_html_next(document, at, &token);)
        LNG_TRY_OR_FAIL(read_token(&html, &token, &at));
    status = end(&html);
fail:
    lng_buffer_release(&html.text);
    return status;
}

/* ---- attributes ---- */

/* Is the attribute shown to readers? */
static bool is_shown(const struct lng_document *document, const struct lng_html_token *token,
                     struct lng_slice name)
{
    static const char *const shown[] = {"alt", "title", "placeholder", "aria-label", "summary"};
    struct lng_slice value;
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        if (strlen(shown[i]) == name.length && strncasecmp(shown[i], name.data, name.length) == 0)
            return true;
    return name.length == 7 && strncasecmp(name.data, "content", 7) == 0 &&
           lng_html_is(document, token, "meta") && lng_html_find(document, token, "name", &value) &&
           ((value.length == 11 && strncasecmp(value.data, "description", 11) == 0) ||
            (value.length == 8 && strncasecmp(value.data, "keywords", 8) == 0));
}

/* Values without quotes stay: what replaces them may hold a space. */
static bool is_quoted(const struct lng_document *document, struct lng_slice value)
{
    const char *before = value.data - 1, *behind = value.data + value.length;
    return value.length > 0 && before > document->bytes && (*before == '"' || *before == '\'') &&
           behind < document->bytes + document->size && *behind == *before;
}

static enum lng_status read_attributes(struct html *html, const struct lng_html_token *token)
{
    struct lng_document *document = html->document;
    struct lng_slice name, value;
    size_t at = 0;
    while (lng_html_attribute(document, token, &at, &name, &value)) {
        if (!is_shown(document, token, name) || !is_quoted(document, value))
            continue;
        size_t begin = (size_t)(value.data - document->bytes);
        LNG_TRY(lng_document_begin_unit(document, LNG_ENCODING_ATTRIBUTE));
        LNG_TRY(add_text(html, begin, begin + value.length));
        LNG_TRY(lng_document_end_unit(document));
    }
    return LNG_OK;
}

enum lng_status lng_read_html_attributes(struct lng_document *document,
                                         const struct lng_read_options *options)
{
    struct html html = {.document = document};
    struct lng_html_token token;
    struct lng_slice value;
    enum lng_status status;
    (void)options;
    LNG_TRY(lng_document_check_text(document, true));
    for (size_t at = lng_document_mark(document); lng_html_next(document, at, &token);) {
        at = token.end;
        if (token.kind != LNG_HTML_START)
            continue;
        if (lng_html_is(document, &token, "html") &&
            lng_html_find(document, &token, "lang", &value))
            lng_inline_set_language(document, value);
        bool stays = is_excluded(document, &token) || token.role == LNG_HTML_RAW ||
                     token.role == LNG_HTML_OPAQUE || token.role == LNG_HTML_KEEP;
        if (!is_excluded(document, &token))
            LNG_TRY_OR_FAIL(read_attributes(&html, &token));
        at = stays ? lng_html_skip(document, &token) : at;
    }
    status = LNG_OK;
fail:
    lng_buffer_release(&html.text);
    return status;
}
