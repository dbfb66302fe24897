#include "host/documents/document.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>

#include "host/base/mem.h"

void lng_document_init(struct lng_document *document, const char *name, const char *bytes,
                       size_t size)
{
    *document = (struct lng_document){.name = name, .bytes = bytes, .size = size};
}

void lng_document_release(struct lng_document *document)
{
    lng_free(document->pieces);
    lng_free(document->units);
    lng_free(document->edits);
    lng_buffer_release(&document->visible);
    lng_buffer_release(&document->extra);
    lng_buffer_release(&document->results);
    *document = (struct lng_document){0};
}

/* ---- building ---- */

enum lng_status lng_document_begin_unit(struct lng_document *document, enum lng_encoding encoding)
{
    LNG_TRY(lng_buffer_reserve(&document->visible, 0));
    LNG_TRY(lng_grow(&document->units, &document->unit_capacity, document->unit_count + 1,
                     sizeof *document->units));
    document->units[document->unit_count++] =
        (struct lng_document_unit){.piece = document->piece_count, .encoding = encoding};
    return LNG_OK;
}

enum lng_status lng_document_add(struct lng_document *document, enum lng_piece_kind kind,
                                 size_t begin, size_t end, const char *visible,
                                 size_t visible_length, uint32_t pair)
{
    if (begin == end)
        return LNG_OK;
    struct lng_piece piece = {.kind = kind, .pair = pair, .begin = begin, .end = end};
    if (kind == LNG_PIECE_TEXT || kind == LNG_PIECE_KEEP) {
        if (visible == NULL) {
            visible = document->bytes + begin;
            visible_length = end - begin;
        }
        piece.visible = document->visible.length;
        LNG_TRY(lng_buffer_append_repaired(&document->visible, visible, visible_length, NULL));
        piece.visible_length = document->visible.length - piece.visible;
    }
    LNG_TRY(lng_grow(&document->pieces, &document->piece_capacity, document->piece_count + 1,
                     sizeof *document->pieces));
    document->pieces[document->piece_count++] = piece;
    return LNG_OK;
}

bool lng_text_has_letter(const char *text, size_t length)
{
    uint32_t c;
    for (size_t at = 0; at < length;) {
        at += lng_utf8_decode(text + at, length - at, &c);
        if (c != LNG_UTF8_INVALID && u_isalpha((UChar32)c))
            return true;
    }
    return false;
}

static bool says_something(const struct lng_document *document,
                           const struct lng_document_unit *unit)
{
    for (size_t i = 0; i < unit->piece_count; i++) {
        const struct lng_piece *piece = &document->pieces[unit->piece + i];
        if (piece->kind == LNG_PIECE_TEXT &&
            lng_text_has_letter(document->visible.data + piece->visible, piece->visible_length))
            return true;
    }
    return false;
}

static enum lng_status append_extra(struct lng_document *document, const char *text, size_t length,
                                    size_t *at)
{
    *at = document->extra.length;
    return lng_buffer_append(&document->extra, text, length);
}

static enum lng_status add_edit(struct lng_document *document, struct lng_edit *edit,
                                const char *before, size_t before_length, const char *after,
                                size_t after_length)
{
    LNG_TRY(append_extra(document, before, before_length, &edit->before));
    LNG_TRY(append_extra(document, after, after_length, &edit->after));
    edit->before_length = before_length;
    edit->after_length = after_length;
    edit->order = document->edit_count;
    LNG_TRY(lng_grow(&document->edits, &document->edit_capacity, document->edit_count + 1,
                     sizeof *document->edits));
    document->edits[document->edit_count++] = *edit;
    return LNG_OK;
}

enum lng_status lng_document_end_unit(struct lng_document *document)
{
    struct lng_document_unit *unit = &document->units[document->unit_count - 1];
    unit->piece_count = document->piece_count - unit->piece;
    if (!says_something(document, unit)) {
        document->piece_count = unit->piece;
        document->unit_count--;
        return LNG_OK;
    }
    struct lng_edit edit = {.begin = document->pieces[unit->piece].begin,
                            .end = document->pieces[document->piece_count - 1].end,
                            .unit = document->unit_count - 1,
                            .in_place = true};
    return add_edit(document, &edit, "", 0, "", 0);
}

enum lng_status lng_document_end_unit_at(struct lng_document *document, size_t begin, size_t end,
                                         const char *before, const char *after)
{
    struct lng_document_unit *unit = &document->units[document->unit_count - 1];
    struct lng_edit edit = {.begin = begin, .end = end, .unit = document->unit_count - 1};
    unit->piece_count = document->piece_count - unit->piece;
    before = before != NULL ? before : "";
    after = after != NULL ? after : "";
    return add_edit(document, &edit, before, strlen(before), after, strlen(after));
}

enum lng_status lng_document_edit(struct lng_document *document, size_t begin, size_t end,
                                  const char *text, size_t length)
{
    struct lng_edit edit = {.begin = begin, .end = end, .unit = SIZE_MAX};
    return add_edit(document, &edit, text, length, "", 0);
}

/* ---- looking ---- */

size_t lng_document_mark(const struct lng_document *document)
{
    return document->size >= 3 && memcmp(document->bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

size_t lng_document_line(const struct lng_document *document, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && i < document->size; i++)
        line += document->bytes[i] == '\n';
    return line;
}

enum lng_status lng_document_check_text(const struct lng_document *document, bool strict)
{
    const char *bytes = document->bytes;
    size_t size = document->size;
    LNG_FAIL_IF(
        size >= 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0),
        LNG_ERR_FORMAT, "%s: expected UTF-8, found UTF-16; convert it: iconv -f UTF-16 -t UTF-8",
        document->name);
    LNG_FAIL_IF(
        size > 0 && memchr(bytes, '\0', size) != NULL, LNG_ERR_FORMAT,
        "%s: expected text, found a zero byte at byte %zu: is it a binary or compressed file?",
        document->name, (size_t)((const char *)memchr(bytes, '\0', size) - bytes));
    size_t bad = strict ? lng_utf8_first_invalid(bytes, size) : size;
    LNG_FAIL_IF(bad < size, LNG_ERR_FORMAT,
                "%s: line %zu: expected UTF-8, found the byte 0x%02X; convert the file: "
                "iconv -f ITS-ENCODING -t UTF-8",
                document->name, lng_document_line(document, bad), (unsigned char)bytes[bad]);
    return LNG_OK;
}

/* ---- the result ---- */

static int compare_edits(const void *left, const void *right)
{
    const struct lng_edit *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static enum lng_status write_edit(const struct lng_document *document, const struct lng_edit *edit,
                                  struct lng_buffer *out)
{
    const char *extra = document->extra.data;
    const struct lng_document_unit *unit =
        edit->unit != SIZE_MAX ? &document->units[edit->unit] : NULL;
    if (edit->in_place && !unit->translated)
        return lng_buffer_append(out, document->bytes + edit->begin, edit->end - edit->begin);
    if (edit->before_length > 0)
        LNG_TRY(lng_buffer_append(out, extra + edit->before, edit->before_length));
    if (unit != NULL && unit->result_length > 0)
        LNG_TRY(lng_buffer_append(out, document->results.data + unit->result, unit->result_length));
    if (edit->after_length > 0)
        LNG_TRY(lng_buffer_append(out, extra + edit->after, edit->after_length));
    return LNG_OK;
}

enum lng_status lng_document_write(struct lng_document *document, struct lng_buffer *out)
{
    size_t at = 0;
    if (document->edit_count > 0)
        qsort(document->edits, document->edit_count, sizeof *document->edits, compare_edits);
    for (size_t i = 0; i < document->edit_count; i++) {
        const struct lng_edit *edit = &document->edits[i];
        LNG_FAIL_IF(edit->begin < at || edit->end < edit->begin || edit->end > document->size,
                    LNG_ERR_INTERNAL, "%s: two changes of the bytes at %zu", document->name,
                    edit->begin);
        LNG_TRY(lng_buffer_append(out, document->bytes + at, edit->begin - at));
        LNG_TRY(write_edit(document, edit, out));
        at = edit->end;
    }
    return lng_buffer_append(out, document->bytes + at, document->size - at);
}
