#include "host/documents/markdown_gap.h"

#include <string.h>

#include "host/documents/encode.h"
#include "host/documents/protect.h"

/* Deeper spans are left to translation in runs, longer ones are not looked through. */
enum { DEEPEST = 32, FARTHEST = 256 };

struct unit {
    const struct lng_md_block *block;
    struct lng_document *document;
    size_t lengths[DEEPEST]; /* of the marks of open spans */
    uint32_t pairs[DEEPEST];
    size_t depth;
    size_t found[DEEPEST]; /* by find_opening */
};

/* ---- spans that stay as they are ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static size_t run_before(const char *bytes, size_t at, char c)
{
    size_t begin = at;
    while (begin > 0 && bytes[begin - 1] == c)
        begin--;
    return at - begin;
}

static size_t run_after(const struct lng_document *document, size_t at, char c)
{
    size_t end = at;
    while (end < document->size && document->bytes[end] == c)
        end++;
    return end - at;
}

/* The bytes of a span of code around its text: a blank at both ends may belong to the marks. */
static bool code_bounds(const struct lng_document *document, struct lng_md_event *keep)
{
    const char *bytes = document->bytes;
    size_t begin = keep->visible, end = keep->visible_end;
    while (begin > 0 && is_blank(bytes[begin - 1]))
        begin--;
    while (end < document->size && is_blank(bytes[end]))
        end++;
    size_t marks = run_before(bytes, begin, '`');
    if (marks == 0 || run_after(document, end, '`') != marks)
        return false;
    keep->begin = begin - marks;
    keep->end = end + marks;
    return true;
}

static bool address_bounds(const struct lng_document *document, struct lng_md_event *keep)
{
    keep->begin = keep->visible - 1;
    keep->end = keep->visible_end + 1;
    return keep->visible > 0 && document->bytes[keep->begin] == '<' &&
           keep->end <= document->size && document->bytes[keep->end - 1] == '>';
}

/* "[text]" or "[text][]", a link whose text is its label: with another text it would be none. */
static bool reference_bounds(const struct lng_document *document, struct lng_md_event *keep)
{
    const char *bytes = document->bytes;
    size_t begin = keep->visible, end = keep->visible_end, size = document->size;
    while (begin > 0 && strchr("*_~`", bytes[begin - 1]) != NULL)
        begin--;
    while (end < size && bytes[end] != '\0' && strchr("*_~`", bytes[end]) != NULL)
        end++;
    if (begin == 0 || bytes[begin - 1] != '[' || end >= size || bytes[end] != ']')
        return false;
    bool empty = end + 2 < size && memcmp(bytes + end + 1, "[]", 2) == 0;
    if (!empty && end + 1 < size && (bytes[end + 1] == '(' || bytes[end + 1] == '['))
        return false;
    keep->begin = begin - 1 - (begin > 1 && bytes[begin - 2] == '!' && keep->span == MD_SPAN_IMG);
    keep->end = end + 1 + (empty ? 2 : 0);
    return true;
}

/* The event that leaves what event i enters, with the text in between; block->count when there is none. */
static size_t find_leave(const struct lng_md_block *block, size_t i, struct lng_md_event *keep)
{
    size_t depth = 0, far = i + FARTHEST < block->count ? i + FARTHEST : block->count;
    keep->visible = SIZE_MAX;
    keep->span = block->events[i].span;
    for (; i < far; i++) {
        const struct lng_md_event *event = &block->events[i];
        depth += event->kind == LNG_MD_ENTER;
        if (event->kind < LNG_MD_SOFT) {
            keep->visible = keep->visible == SIZE_MAX ? event->begin : keep->visible;
            keep->visible_end = event->end;
        }
        if (event->kind == LNG_MD_LEAVE && --depth == 0)
            return keep->visible != SIZE_MAX ? i : block->count;
    }
    return block->count;
}

/* One event for each span of code, address in angle brackets, and link that is its own label. */
static void collapse_kept(struct lng_md_block *block)
{
    const struct lng_document *document = block->document;
    size_t kept = 0;
    for (size_t i = 0; i < block->count; i++) {
        struct lng_md_event event = block->events[i], keep = {.kind = LNG_MD_KEEP};
        bool link = event.span == MD_SPAN_A || event.span == MD_SPAN_IMG;
        bool whole = event.kind == LNG_MD_ENTER && (link || event.span == MD_SPAN_CODE);
        size_t last = whole ? find_leave(block, i, &keep) : block->count;
        whole = last < block->count &&
                (!link ? code_bounds(document, &keep)
                       : address_bounds(document, &keep) || reference_bounds(document, &keep));
        block->events[kept++] = whole ? keep : event;
        i = whole ? last : i;
    }
    block->count = kept;
}

/* ---- marks ---- */

/* How many bytes open a span whose text begins at `end`; 0 = not known. */
static size_t open_length(const char *bytes, size_t floor, size_t end, MD_SPANTYPE span)
{
    size_t length = 0;
    switch ((int)span) {
    case MD_SPAN_EM:
        length = 1;
        break;
    case MD_SPAN_STRONG:
        length = 2;
        break;
    case MD_SPAN_A:
        return end > floor && bytes[end - 1] == '[' ? 1 : 0;
    case MD_SPAN_IMG:
        return end > floor + 1 && memcmp(bytes + end - 2, "![", 2) == 0 ? 2 : 0;
    case MD_SPAN_DEL:
        length = run_before(bytes, end, '~');
        return length <= 2 && length <= end - floor ? length : 0;
    default:
        return 0;
    }
    if (end - floor < length)
        return 0;
    char mark = end > floor ? bytes[end - 1] : 0;
    return (mark == '*' || mark == '_') && (length == 1 || bytes[end - 2] == mark) ? length : 0;
}

/* "(...)" or "[...]" at `at`: its length, 0 when it does not end before `limit`. */
static size_t bracketed(const char *bytes, size_t at, size_t limit)
{
    char open = bytes[at], close = open == '(' ? ')' : ']', quote = 0;
    size_t depth = 0;
    bool angle = false;
    for (size_t i = at; i < limit; i++) {
        char c = bytes[i];
        if (c == '\\') {
            i++;
        } else if (angle || quote != 0) {
            angle = angle && c != '>';
            quote = c == quote ? 0 : quote;
        } else if (c == '<' && i == at + 1) {
            angle = true;
        } else if ((c == '"' || c == '\'') && open == '(' && is_blank(bytes[i - 1])) {
            quote = c;
        } else if (c == open) {
            depth++;
        } else if (c == close && --depth == 0) {
            return i + 1 - at;
        }
    }
    return 0;
}

/* How many bytes close the span opened by `open` bytes, at `at`; 0 = not known. */
static size_t close_length(const char *bytes, size_t at, size_t limit, MD_SPANTYPE span,
                           size_t open)
{
    if (span == MD_SPAN_A || span == MD_SPAN_IMG) {
        size_t length = 1;
        if (at >= limit || bytes[at] != ']')
            return 0;
        if (at + 1 < limit && (bytes[at + 1] == '(' || bytes[at + 1] == '['))
            length += bracketed(bytes, at + 1, limit);
        return length;
    }
    if (limit - at < open || open == 0 || strchr("*_~", bytes[at]) == NULL)
        return 0;
    return run_before(bytes, at + open, bytes[at]) >= open ? open : 0;
}

/* ---- gaps ---- */

struct gap {
    size_t first, last; /* events without bytes */
    size_t begin, end;
};

/* Nothing but what may stand between lines: blanks and marks of quotes. */
static bool is_line_end(const char *bytes, size_t begin, size_t end)
{
    bool line = false;
    for (size_t i = begin; i < end; i++) {
        line |= bytes[i] == '\n';
        if (!is_blank(bytes[i]) && bytes[i] != '>' && !(bytes[i] == '\\' && !line))
            return false;
    }
    return line;
}

/* Adds the closing marks of a gap from its begin on, as many as are understood; *at ends behind them. */
static enum lng_status add_closing(struct unit *u, struct gap *gap, size_t *at, bool *understood)
{
    const struct lng_md_event *events = u->block->events;
    *at = gap->begin;
    for (; gap->first < gap->last && events[gap->first].kind == LNG_MD_LEAVE; gap->first++) {
        size_t length = u->depth > 0 && u->depth <= DEEPEST
                            ? close_length(u->document->bytes, *at, gap->end,
                                           events[gap->first].span, u->lengths[u->depth - 1])
                            : 0;
        *understood = length > 0;
        if (!*understood)
            return LNG_OK;
        LNG_TRY(lng_document_add(u->document, LNG_PIECE_CLOSE, *at, *at + length, NULL, 0,
                                 u->pairs[--u->depth]));
        *at += length;
    }
    return LNG_OK;
}

/* The opening marks before the end of a gap: where they begin, and whether they are understood. Their lengths go to
 * u->found, the last mark's first. */
static size_t find_opening(struct unit *u, const struct gap *gap, size_t floor, size_t *first_open,
                           bool *understood)
{
    const struct lng_md_event *events = u->block->events;
    size_t begin = gap->end, count = 0;
    *first_open = gap->last;
    *understood = true;
    while (*first_open > gap->first && events[*first_open - 1].kind == LNG_MD_ENTER) {
        size_t length = open_length(u->document->bytes, floor, begin, events[*first_open - 1].span);
        *understood = length > 0 && count + u->depth < DEEPEST;
        if (!*understood)
            break;
        u->found[count++] = length;
        begin -= length;
        --*first_open;
    }
    return begin;
}

static enum lng_status add_opening(struct unit *u, size_t count, size_t begin)
{
    while (count > 0) {
        size_t length = u->found[--count];
        u->lengths[u->depth] = length;
        u->pairs[u->depth++] = ++u->document->pairs;
        LNG_TRY(lng_document_add(u->document, LNG_PIECE_OPEN, begin, begin + length, NULL, 0,
                                 u->document->pairs));
        begin += length;
    }
    return LNG_OK;
}

/* Between two texts. What is not understood becomes an end without a beginning: the block is then translated in runs.
 * *escape = the bytes that belong to the text behind it. */
static enum lng_status add_gap(struct unit *u, struct gap gap, size_t *escape)
{
    const char *bytes = u->document->bytes;
    bool soft = false, hard = false, closed = true, opened = true;
    size_t at, first_open, pieces = u->document->piece_count;
    *escape = 0;
    for (size_t i = gap.first; i < gap.last; i++) {
        soft |= u->block->events[i].kind == LNG_MD_SOFT;
        hard |= u->block->events[i].kind == LNG_MD_HARD;
    }
    LNG_TRY(add_closing(u, &gap, &at, &closed));
    size_t slash = gap.end > at && bytes[gap.end - 1] == '\\' && !soft && !hard;
    gap.end -= slash;
    size_t open = find_opening(u, &gap, at, &first_open, &opened);
    bool middle = first_open == gap.first + soft + hard;
    bool rest = soft || hard ? is_line_end(bytes, at, open) : at == open;
    *escape = slash;
    if (closed && opened && middle && rest) {
        LNG_TRY(lng_document_add(u->document, hard ? LNG_PIECE_HARD : LNG_PIECE_BREAK, at, open,
                                 NULL, 0, 0));
        return add_opening(u, gap.last - first_open, open);
    }
    u->document->piece_count = pieces;
    u->depth = 0;
    return lng_document_add(u->document, LNG_PIECE_CLOSE, gap.begin, gap.end, NULL, 0, 0);
}

/* ---- texts ---- */

static bool is_name(const char *name, size_t length, const char *want)
{
    return strlen(want) == length && strncasecmp(name, want, length) == 0;
}

static enum lng_status add_tag(struct lng_document *document, const struct lng_md_event *event)
{
    struct lng_protected tag;
    const char *bytes = document->bytes + event->begin;
    size_t length = event->end - event->begin;
    /* Part of a tag, when it goes over several lines: an end without a beginning. */
    enum lng_piece_kind kind = LNG_PIECE_CLOSE;
    if (lng_protect_tag(bytes, length, &tag) == length) {
        kind = tag.kind;
        if (kind != LNG_PIECE_CLOSE && is_name(bytes + tag.name, tag.name_length, "br"))
            kind = LNG_PIECE_HARD;
        else if (is_name(bytes + tag.name, tag.name_length, "img"))
            kind = LNG_PIECE_POINT;
    }
    return lng_document_add(document, kind, event->begin, event->end, NULL, 0, 0);
}

static enum lng_status add_event(struct lng_document *document, const struct lng_md_event *event,
                                 size_t begin)
{
    const char *bytes = document->bytes;
    size_t size = event->end - event->begin, length = size;
    char out[4];
    switch (event->kind) {
    case LNG_MD_TAG:
        return add_tag(document, event);
    case LNG_MD_KEEP:
        return lng_document_add(document, LNG_PIECE_KEEP, begin, event->end, bytes + event->visible,
                                event->visible_end - event->visible, 0);
    case LNG_MD_ENTITY:
        if (lng_decode_reference(bytes + event->begin, size, out, &length) == size)
            return lng_document_add(document, LNG_PIECE_TEXT, begin, event->end, out, length, 0);
        return lng_document_add(document, LNG_PIECE_KEEP, begin, event->end, NULL, 0, 0);
    default:
        return lng_document_add(document, LNG_PIECE_TEXT, begin, event->end, bytes + event->begin,
                                size, 0);
    }
}

/* Closing marks behind the last text, those that are understood; the rest lies outside the unit. */
static enum lng_status add_end(struct unit *u, size_t i, size_t begin)
{
    struct gap gap = {i, u->block->count, begin, begin};
    bool understood = true;
    size_t at;
    while (gap.end < u->document->size && u->document->bytes[gap.end] != '\n')
        gap.end++;
    return add_closing(u, &gap, &at, &understood);
}

static enum lng_status add_unit(struct unit *u)
{
    const struct lng_md_block *block = u->block;
    size_t end = SIZE_MAX, i = 0, escape;
    for (; i < block->count; i++) {
        const struct lng_md_event *event = &block->events[i];
        size_t without = i;
        if (event->kind >= LNG_MD_SOFT)
            continue;
        while (without > 0 && block->events[without - 1].kind >= LNG_MD_SOFT)
            without--;
        struct gap gap = {without, i, end, event->begin};
        if (end != SIZE_MAX) {
            if (event->begin < end)
                return LNG_OK; /* not in the order of the bytes: no unit is made of it */
            LNG_TRY(add_gap(u, gap, &escape));
        } else {
            /* Marks before the first text, as far as they are understood. */
            bool opened;
            size_t first_open, floor = event->begin > 256 ? event->begin - 256 : 0;
            size_t slash = event->begin > 0 && event->kind == LNG_MD_TEXT &&
                           u->document->bytes[event->begin - 1] == '\\';
            gap.end -= slash;
            size_t open = find_opening(u, &gap, floor, &first_open, &opened);
            LNG_TRY(add_opening(u, gap.last - first_open, open));
            escape = slash;
        }
        LNG_TRY(add_event(u->document, event, event->begin - escape));
        end = event->end;
    }
    while (i > 0 && block->events[i - 1].kind >= LNG_MD_SOFT)
        i--;
    return end != SIZE_MAX ? add_end(u, i, end) : LNG_OK;
}

enum lng_status lng_md_finish_block(struct lng_md_block *block)
{
    struct unit unit = {.block = block, .document = block->document};
    collapse_kept(block);
    if (block->count == 0)
        return LNG_OK;
    LNG_TRY(lng_document_begin_unit(block->document, block->encoding));
    LNG_TRY(add_unit(&unit));
    block->count = 0;
    return lng_document_end_unit(block->document);
}
