/* GNU gettext's PO files. The scanner is ours: libgettextpo is under the GPL and writes files anew. */
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/documents/encode.h"
#include "host/documents/formats.h"
#include "host/documents/scan_lines.h"

enum { MOST_PLURALS = 16 };

/* A string, of one or more quoted parts: from its first quote to behind its last. */
struct value {
    size_t begin, end;
    bool set, empty;
};

struct entry {
    struct value id, plural, text[MOST_PLURALS];
    size_t forms;            /* values in text */
    bool indexed;            /* msgstr[0] instead of msgstr */
    bool context, fuzzy;     /* context: there is a msgctxt */
    size_t flags, flags_end; /* the line "#, ..." */
    size_t place;            /* where a line of flags would stand */
    size_t line;
    struct value *last; /* where a quoted line belongs */
};

struct po {
    struct lng_document *document;
    const struct lng_read_options *options;
    struct entry entry;
    struct value ignored;
    int plurals; /* of the header; 0 = it does not say */
    char mark;   /* the last byte of a line's end */
};

static enum lng_status fail_at(const struct po *po, size_t line, const char *found)
{
    return lng_fail(LNG_ERR_FORMAT, "%s: line %zu: expected an entry of a PO file, found %s",
                    po->document->name, line, found);
}

/* ---- strings ---- */

/* Checks the quoted string of a line that begins with a quote, and adds it to the value. */
static enum lng_status add_string(struct po *po, const struct lng_scan *line, size_t quote,
                                  struct value *value)
{
    const char *bytes = po->document->bytes;
    size_t at = quote + 1, end = line->end;
    while (end > at && (bytes[end - 1] == ' ' || bytes[end - 1] == '\t'))
        end--;
    while (at < end && bytes[at] != '"')
        at += bytes[at] == '\\' && at + 1 < end ? 2 : 1;
    if (at >= end)
        return fail_at(po, line->number, "a string without its closing quote");
    if (at + 1 != end)
        return fail_at(po, line->number, "text behind a string");
    if (!value->set) {
        value->begin = quote;
        value->empty = true;
    }
    value->set = true;
    value->empty = value->empty && at == quote + 1;
    value->end = at + 1;
    return LNG_OK;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : 99;
}

/* Appends what the escape at text[0] (a backslash) says; returns the bytes it takes. */
static size_t unescape(const char *text, size_t length, char *out)
{
    static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
    const char *simple = length > 1 && text[1] != '\0' ? strchr(from, text[1]) : NULL;
    size_t at = 1, value = 0;
    int base = length > 1 && text[1] == 'x' ? 16 : 8;
    if (simple != NULL) {
        *out = to[simple - from];
        return 2;
    }
    at += base == 16;
    for (size_t most = at + (base == 16 ? 2 : 3);
         at < most && at < length && digit_of(text[at]) < base;)
        value = value * (size_t)base + (size_t)digit_of(text[at++]);
    bool number = at > (base == 16 ? 2u : 1u);
    *out = number ? (char)value : length > 1 ? text[1] : '\\';
    return number ? at : length > 1 ? 2 : 1;
}

/* Where the next part's content begins behind a closing quote; the end of the value when there is none. */
static size_t next_part(const struct lng_document *document, size_t quote, size_t end)
{
    const char *open =
        quote + 1 < end ? memchr(document->bytes + quote + 1, '"', end - quote - 1) : NULL;
    return open != NULL ? (size_t)(open - document->bytes) + 1 : end;
}

/* Text of one part, escapes resolved; *at is moved to what ends it: a quote or "\n". */
static enum lng_status add_text(struct lng_document *document, size_t *at, struct lng_buffer *text)
{
    const char *bytes = document->bytes;
    size_t begin = *at;
    lng_buffer_clear(text);
    while (bytes[*at] != '"' && !(bytes[*at] == '\\' && bytes[*at + 1] == 'n')) {
        char c = bytes[*at];
        *at += c == '\\' ? unescape(bytes + *at, document->size - *at, &c) : 1;
        LNG_TRY(lng_buffer_append_byte(text, c));
    }
    size_t end = *at;
    /* A space before the end of a part goes with the wrap. */
    bool wraps = bytes[end] == '"' && end > begin && bytes[end - 1] == ' ';
    return lng_document_add(document, LNG_PIECE_TEXT, begin, end - wraps, text->data,
                            text->length - wraps, 0);
}

/* Pieces of a value: text, hard breaks for \n, breaks where a string is wrapped after a space. */
static enum lng_status add_pieces(struct lng_document *document, const struct value *value,
                                  struct lng_buffer *text)
{
    const char *bytes = document->bytes;
    size_t at = value->begin + 1;
    while (at < value->end) {
        if (bytes[at] == '"') {
            size_t next = next_part(document, at, value->end);
            bool wraps = next < value->end && bytes[at - 1] == ' ';
            if (wraps)
                LNG_TRY(lng_document_add(document, LNG_PIECE_BREAK, at - 1, next, NULL, 0, 0));
            at = next;
        } else if (bytes[at] == '\\' && bytes[at + 1] == 'n') {
            size_t begin = at;
            at += 2;
            while (at < value->end && bytes[at] == '"' &&
                   next_part(document, at, value->end) < value->end)
                at = next_part(document, at, value->end);
            LNG_TRY(lng_document_add(document, LNG_PIECE_HARD, begin, at, NULL, 0, 0));
        } else {
            LNG_TRY(add_text(document, &at, text));
        }
    }
    return LNG_OK;
}

/* The translation of `from` takes the place of `to`, wrapped as `from` is. */
static enum lng_status fill(struct po *po, const struct value *from, const struct value *to)
{
    struct lng_document *document = po->document;
    size_t first = document->piece_count;
    struct lng_buffer text = {0};
    char *before = NULL, *after = NULL;
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_document_begin_unit(document, LNG_ENCODING_PO));
    LNG_TRY_OR_FAIL(add_pieces(document, from, &text));
    size_t begin = first < document->piece_count ? document->pieces[first].begin : from->begin + 1;
    size_t end = first < document->piece_count ? document->pieces[document->piece_count - 1].end
                                               : from->end - 1;
    before = lng_strndup(document->bytes + from->begin, begin - from->begin);
    after = lng_strndup(document->bytes + end, from->end - end);
    status = before != NULL && after != NULL
                 ? lng_document_end_unit_at(document, to->begin, to->end, before, after)
                 : LNG_ERR_MEMORY;
fail:
    lng_free(before);
    lng_free(after);
    lng_buffer_release(&text);
    return status;
}

/* ---- entries ---- */

/* The word `fuzzy` among the flags: its place, and whether it is there. */
static bool find_fuzzy(const struct lng_document *document, size_t begin, size_t end, size_t *at)
{
    const char *found = memmem(document->bytes + begin, end - begin, "fuzzy", 5);
    if (found == NULL)
        return false;
    *at = (size_t)(found - document->bytes);
    return true;
}

static enum lng_status mark_fuzzy(struct po *po)
{
    const struct entry *entry = &po->entry;
    struct lng_document *document = po->document;
    bool crlf = entry->place > 1 && document->bytes[entry->place - 2] == '\r';
    const char *line = po->mark == '\r' ? "#, fuzzy\r" : crlf ? "#, fuzzy\r\n" : "#, fuzzy\n";
    if (entry->flags_end > 0)
        return lng_document_edit(document, entry->flags + 2, entry->flags + 2, " fuzzy,", 7);
    return lng_document_edit(document, entry->place, entry->place, line, strlen(line));
}

/* Takes the flag out, with a comma, or the line when nothing else is on it. */
static enum lng_status clear_fuzzy(struct po *po)
{
    struct lng_document *document = po->document;
    const char *bytes = document->bytes;
    size_t begin = po->entry.flags, end = po->entry.flags_end, at = 0;
    if (!find_fuzzy(document, begin, end, &at))
        return LNG_OK;
    size_t after = at + 5;
    while (after < end && bytes[after] == ' ')
        after++;
    if (after < end && bytes[after] == ',')
        return lng_document_edit(document, at - (bytes[at - 1] == ' '), after + 1, "", 0);
    size_t before = at;
    while (before > begin + 2 && bytes[before - 1] == ' ')
        before--;
    if (before > begin + 2 && bytes[before - 1] == ',')
        return lng_document_edit(document, before - 1, at + 5, "", 0);
    const char *line = memchr(bytes + end, po->mark, document->size - end);
    return lng_document_edit(document, begin,
                             line != NULL ? (size_t)(line - bytes) + 1 : document->size, "", 0);
}

/* The header: its charset must be UTF-8, and it says how many plural forms there are. */
static enum lng_status read_header(struct po *po)
{
    const struct value *text = &po->entry.text[0];
    const char *bytes = po->document->bytes + text->begin;
    size_t size = text->end - text->begin;
    const char *charset = memmem(bytes, size, "charset=", 8);
    const char *plurals = memmem(bytes, size, "nplurals=", 9);
    static const char *const fine[] = {"UTF-8", "utf8", "US-ASCII", "ASCII", "CHARSET"};
    bool known = charset == NULL;
    size_t length = 0;
    while (charset != NULL && strchr(" \t\\\"\r\n", charset[8 + length]) == NULL)
        length++;
    for (size_t i = 0; !known && i < sizeof fine / sizeof fine[0]; i++)
        known = length == strlen(fine[i]) && strncasecmp(charset + 8, fine[i], length) == 0;
    LNG_FAIL_IF(!known, LNG_ERR_FORMAT,
                "%s: expected charset=UTF-8, found %.*s; convert it: msgconv -t UTF-8",
                po->document->name, (int)(length < 40 ? length : 40), charset + 8);
    po->plurals = plurals != NULL && digit_of(plurals[9]) < 10 ? digit_of(plurals[9]) : 0;
    return LNG_OK;
}

static enum lng_status finish_entry(struct po *po)
{
    struct entry *entry = &po->entry;
    bool wanting = false;
    if (!entry->id.set)
        return LNG_OK;
    if (entry->id.empty && !entry->context)
        return entry->forms > 0 ? read_header(po) : LNG_OK;
    bool odd = entry->forms == 0 || entry->plural.set != entry->indexed ||
               (entry->plural.set && po->plurals > 0 && entry->forms != (size_t)po->plurals);
    if (odd || entry->id.empty) {
        po->document->skipped += odd;
        return LNG_OK;
    }
    for (size_t i = 0; i < entry->forms; i++)
        wanting |= entry->text[i].empty;
    if (!wanting && !entry->fuzzy)
        return LNG_OK;
    if (po->options->review && !entry->fuzzy)
        LNG_TRY(mark_fuzzy(po));
    if (!po->options->review && entry->fuzzy)
        LNG_TRY(clear_fuzzy(po));
    for (size_t i = 0; i < entry->forms; i++) {
        bool singular = !entry->plural.set || (i == 0 && entry->forms > 1);
        if (entry->text[i].empty || entry->fuzzy)
            LNG_TRY(fill(po, singular ? &entry->id : &entry->plural, &entry->text[i]));
    }
    return LNG_OK;
}

/* ---- lines ---- */

/* Does the line begin with this word, and what follows it? */
static bool keyword(const struct lng_document *document, const struct lng_scan *line,
                    const char *word, size_t *after)
{
    size_t length = strlen(word);
    if (line->end - line->begin < length ||
        memcmp(document->bytes + line->begin, word, length) != 0)
        return false;
    *after = line->begin + length;
    return true;
}

/* "[12]" behind msgstr. */
static enum lng_status read_index(struct po *po, const struct lng_scan *line, size_t *after)
{
    const char *bytes = po->document->bytes;
    size_t at = *after + 1, index = 0;
    while (at < line->end && bytes[at] >= '0' && bytes[at] <= '9' && index < 100)
        index = index * 10 + (size_t)(bytes[at++] - '0');
    if (at == *after + 1 || at >= line->end || bytes[at] != ']' || index != po->entry.forms ||
        index >= MOST_PLURALS)
        return fail_at(po, line->number, "msgstr with another index than the next one");
    *after = at + 1;
    return LNG_OK;
}

static enum lng_status begin_entry(struct po *po, const struct lng_scan *line)
{
    LNG_TRY(finish_entry(po));
    po->entry = (struct entry){.place = line->begin, .line = line->number};
    return LNG_OK;
}

static enum lng_status read_value(struct po *po, const struct lng_scan *line, size_t after,
                                  struct value *value)
{
    const char *bytes = po->document->bytes;
    while (after < line->end && (bytes[after] == ' ' || bytes[after] == '\t'))
        after++;
    if (after >= line->end || bytes[after] != '"')
        return fail_at(po, line->number, "a keyword without a string");
    if (value->set && value != &po->ignored)
        return fail_at(po, line->number, "the same keyword twice");
    po->entry.last = value;
    return add_string(po, line, after, value);
}

static enum lng_status read_comment(struct po *po, const struct lng_scan *line)
{
    struct entry *entry = &po->entry;
    size_t after, ignored;
    if (entry->id.set)
        LNG_TRY(begin_entry(po, line));
    if (keyword(po->document, line, "#,", &after)) {
        entry->flags = line->begin;
        entry->flags_end = line->end;
        entry->fuzzy |= find_fuzzy(po->document, after, line->end, &ignored);
    }
    if (keyword(po->document, line, "#~", &after)) /* obsolete: what stood before it goes with it */
        *entry = (struct entry){0};
    if (!keyword(po->document, line, "#|", &after))
        entry->place = line->next;
    entry->last = NULL;
    return LNG_OK;
}

static enum lng_status read_keyword(struct po *po, const struct lng_scan *line)
{
    struct entry *entry = &po->entry;
    size_t after;
    if (keyword(po->document, line, "msgctxt", &after)) {
        if (entry->id.set)
            LNG_TRY(begin_entry(po, line));
        entry->context = true;
        po->ignored = (struct value){0};
        return read_value(po, line, after, &po->ignored);
    }
    if (keyword(po->document, line, "msgid_plural", &after))
        return read_value(po, line, after, &entry->plural);
    if (keyword(po->document, line, "msgid", &after)) {
        if (entry->id.set)
            LNG_TRY(begin_entry(po, line));
        return read_value(po, line, after, &entry->id);
    }
    if (!keyword(po->document, line, "msgstr", &after))
        return fail_at(po, line->number, "something else");
    if (!entry->id.set)
        return fail_at(po, line->number, "msgstr without msgid");
    if (after < line->end && po->document->bytes[after] == '[') {
        LNG_TRY(read_index(po, line, &after));
        entry->indexed = true;
    } else if (entry->forms > 0) {
        return fail_at(po, line->number, "a second msgstr");
    }
    return read_value(po, line, after, &entry->text[entry->forms++]);
}

enum lng_status lng_read_po(struct lng_document *document, const struct lng_read_options *options)
{
    struct po po = {.document = document, .options = options};
    struct lng_scan line = {.next = lng_document_mark(document)};
    LNG_TRY(lng_document_check_text(document, true));
    po.entry.place = line.next;
    while (lng_scan_next(document, &line)) {
        while (line.begin < line.end && strchr(" \t", document->bytes[line.begin]) != NULL)
            line.begin++;
        po.mark = line.mark;
        if (line.begin == line.end) { /* a flag goes to what is below */
            if (!po.entry.id.set && !po.entry.context)
                po.entry.place = line.next;
            continue;
        }
        if (document->bytes[line.begin] == '#') {
            LNG_TRY(read_comment(&po, &line));
        } else if (document->bytes[line.begin] == '"') {
            if (po.entry.last == NULL)
                return fail_at(&po, line.number, "a string without a keyword");
            LNG_TRY(add_string(&po, &line, line.begin, po.entry.last));
        } else {
            LNG_TRY(read_keyword(&po, &line));
        }
    }
    return finish_entry(&po);
}
