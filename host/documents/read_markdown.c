/* Markdown: md4c (CommonMark and tables) says what is text and what spans there are (markdown_gap.h). */
#include <string.h>

#include "host/base/mem.h"
#include "host/documents/formats.h"
#include "host/documents/markdown_gap.h"
#include "host/documents/scan_lines.h"

enum { LARGEST = 1 << 28 };

struct markdown {
    struct lng_md_block block;
    bool inside;   /* a block whose text is translated */
    size_t budget; /* events left: a small table can stand for very many cells */
    enum lng_status status;
};

static int finish(struct markdown *m, enum lng_status status)
{
    m->status = status;
    return status == LNG_OK ? 0 : 1;
}

static int add_event(struct markdown *m, struct lng_md_event event)
{
    struct lng_md_block *block = &m->block;
    if (m->budget-- == 0) {
        m->budget = 0;
        return finish(
            m,
            lng_fail(LNG_ERR_FORMAT,
                     "%s: expected Markdown, found markup that stands for far more than its size",
                     block->document->name));
    }
    if (!m->inside)
        return 0;
    enum lng_status status =
        lng_grow(&block->events, &block->capacity, block->count + 1, sizeof *block->events);
    if (status == LNG_OK)
        block->events[block->count++] = event;
    return finish(m, status);
}

/* Nothing but what stands between the head and the rows of a table? */
static bool is_delimiter_row(const char *text, size_t length)
{
    bool bar = false, dash = false;
    for (size_t i = 0; i < length && text[i] != '\n' && text[i] != '\r'; i++) {
        if (strchr("|-: \t", text[i]) == NULL)
            return false;
        bar |= text[i] == '|';
        dash |= text[i] == '-';
    }
    return bar && dash;
}

/* Tables with delimiters shorter than three ("|-|-|") are none to md4c, but to GitHub; as text they would be spoilt. */
static bool holds_table(const struct lng_md_block *block)
{
    const char *bytes = block->document->bytes;
    size_t begin = SIZE_MAX, end = 0;
    for (size_t i = 0; i < block->count; i++) {
        const struct lng_md_event *event = &block->events[i];
        if (event->kind >= LNG_MD_SOFT)
            continue;
        begin = event->begin < begin ? event->begin : begin;
        end = event->end > end ? event->end : end;
    }
    for (size_t at = begin; at < end; at++) {
        if (bytes[at] != '\n' && bytes[at] != '\r')
            continue;
        size_t line = at + 1;
        while (line < end && strchr(" \t>", bytes[line]) != NULL)
            line++;
        if (is_delimiter_row(bytes + line, end - line))
            return true;
    }
    return false;
}

static enum lng_status finish_block(struct markdown *m)
{
    if (!holds_table(&m->block))
        return lng_md_finish_block(&m->block);
    m->block.document->skipped++;
    return LNG_OK;
}

static int on_block(struct markdown *m, MD_BLOCKTYPE type, bool enter)
{
    enum lng_status status = m->inside ? finish_block(m) : LNG_OK;
    bool cell = type == MD_BLOCK_TD || type == MD_BLOCK_TH;
    m->block.count = 0;
    m->inside = enter && (cell || type == MD_BLOCK_P || type == MD_BLOCK_H || type == MD_BLOCK_LI);
    m->block.encoding = cell ? LNG_ENCODING_MARKDOWN_CELL : LNG_ENCODING_MARKDOWN;
    if (status != LNG_OK)
        return finish(m, status);
    struct lng_md_event nothing = {.kind = LNG_MD_SOFT};
    bool inside = m->inside;
    m->inside = false;
    int result = add_event(m, nothing);
    m->inside = inside;
    return result;
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *context)
{
    (void)detail;
    return on_block(context, type, true);
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *context)
{
    (void)detail;
    return on_block(context, type, false);
}

static int enter_span(MD_SPANTYPE type, void *detail, void *context)
{
    (void)detail;
    return add_event(context, (struct lng_md_event){.kind = LNG_MD_ENTER, .span = type});
}

static int leave_span(MD_SPANTYPE type, void *detail, void *context)
{
    (void)detail;
    return add_event(context, (struct lng_md_event){.kind = LNG_MD_LEAVE, .span = type});
}

static int on_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *context)
{
    struct markdown *m = context;
    const struct lng_document *document = m->block.document;
    struct lng_md_event event = {.kind = LNG_MD_TEXT};
    bool ours = text >= document->bytes && text + size <= document->bytes + document->size;
    switch (type) {
    case MD_TEXT_BR:
        event.kind = LNG_MD_HARD;
        break;
    case MD_TEXT_SOFTBR:
        event.kind = LNG_MD_SOFT;
        break;
    case MD_TEXT_CODE:
        event.kind = LNG_MD_CODE;
        break;
    case MD_TEXT_HTML:
        event.kind = LNG_MD_TAG;
        break;
    case MD_TEXT_ENTITY:
        event.kind = LNG_MD_ENTITY;
        break;
    default:
        break;
    }
    if (event.kind < LNG_MD_SOFT) {
        if (!ours || size == 0)
            return 0;
        event.begin = (size_t)(text - document->bytes);
        event.end = event.begin + size;
    }
    return add_event(m, event);
}

/* Where Markdown begins behind a byte order mark and front matter, "---" or "+++" around YAML or TOML. */
static size_t find_start(const struct lng_document *document)
{
    struct lng_scan line = {.next = lng_document_mark(document)};
    size_t start = line.next;
    const char *bytes = document->bytes;
    if (!lng_scan_next(document, &line) || line.end - line.begin != 3 ||
        (memcmp(bytes + line.begin, "---", 3) != 0 && memcmp(bytes + line.begin, "+++", 3) != 0))
        return start;
    const char *mark = bytes + line.begin;
    while (lng_scan_next(document, &line))
        if (line.end - line.begin == 3 &&
            (memcmp(bytes + line.begin, mark, 3) == 0 ||
             (mark[0] == '-' && memcmp(bytes + line.begin, "...", 3) == 0)))
            return line.next;
    return start;
}

enum lng_status lng_read_markdown(struct lng_document *document,
                                  const struct lng_read_options *options)
{
    static const MD_PARSER parser = {
        .flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS,
        .enter_block = enter_block,
        .leave_block = leave_block,
        .enter_span = enter_span,
        .leave_span = leave_span,
        .text = on_text,
    };
    struct markdown m = {.block = {.document = document}, .budget = 1000 + 16 * document->size};
    size_t start = find_start(document);
    (void)options;
    LNG_TRY(lng_document_check_text(document, true));
    LNG_FAIL_IF(document->size > LARGEST, LNG_ERR_RANGE,
                "%s: expected at most 256 MiB of Markdown, found %zu bytes", document->name,
                document->size);
    int result = md_parse(document->bytes + start, (MD_SIZE)(document->size - start), &parser, &m);
    lng_free(m.block.events);
    if (m.status != LNG_OK)
        return m.status;
    LNG_FAIL_IF(result != 0, LNG_ERR_MEMORY, "%s: not enough memory to parse it", document->name);
    return LNG_OK;
}
