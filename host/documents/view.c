#include "host/documents/view.h"

#include <string.h>

#include "host/base/mem.h"

bool lng_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

bool lng_is_word(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c & 0x80) != 0;
}

void lng_view_release(struct lng_segment_view *view)
{
    lng_buffer_release(&view->text);
    lng_segments_release(&view->sentences);
    lng_free(view->items);
    *view = (struct lng_segment_view){0};
}

/* ---- pieces to items ---- */

static enum lng_status add_item(struct lng_segment_view *view, enum lng_piece_kind kind,
                                const char *raw, size_t length, bool encode, uint32_t pair)
{
    if (length == 0)
        return LNG_OK;
    LNG_TRY(
        lng_grow(&view->items, &view->item_capacity, view->item_count + 1, sizeof *view->items));
    view->items[view->item_count++] = (struct lng_item){
        .kind = kind, .raw = {raw, length}, .seen = {raw, length}, .encode = encode, .pair = pair};
    return LNG_OK;
}

/* Text without placeholders: a run of white space with a line end in it is a break. */
static enum lng_status add_text(struct lng_segment_view *view, const char *text, size_t length)
{
    size_t begin = 0;
    for (size_t at = 0; at < length;) {
        size_t end = at;
        bool line = false;
        for (; end < length && lng_is_space(text[end]); end++)
            line |= text[end] == '\n';
        if (line) {
            LNG_TRY(add_item(view, LNG_PIECE_TEXT, text + begin, at - begin, true, 0));
            LNG_TRY(add_item(view, LNG_PIECE_BREAK, text + at, end - at, false, 0));
            begin = end;
        }
        at = end > at ? end : at + 1;
    }
    return add_item(view, LNG_PIECE_TEXT, text + begin, length - begin, true, 0);
}

static bool is_void(const char *name, size_t length)
{
    static const char *const names[] = {"br", "hr", "img", "input", "wbr"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == length && strncasecmp(names[i], name, length) == 0)
            return true;
    return false;
}

/* Addresses stay as they are written; what is spelt with entities must be spelt anew. */
static bool spelt_alike(const struct lng_document *document, const struct lng_piece *piece,
                        const char *text, size_t length)
{
    return memmem(document->bytes + piece->begin, piece->end - piece->begin, text, length) != NULL;
}

static enum lng_status add_piece(struct lng_segment_view *view, const struct lng_document *document,
                                 const struct lng_piece *piece, struct lng_protector *protector)
{
    const char *bytes = document->bytes + piece->begin;
    size_t size = piece->end - piece->begin, at = 0;
    const char *text = document->visible.data + piece->visible;
    size_t length = piece->visible_length;
    if (piece->kind != LNG_PIECE_TEXT) {
        LNG_TRY(add_item(view, piece->kind, bytes, size, false, piece->pair));
        if (piece->kind == LNG_PIECE_KEEP)
            view->items[view->item_count - 1].seen = (struct lng_slice){text, length};
        return LNG_OK;
    }
    struct lng_protected_list list;
    LNG_TRY(lng_protector_find(protector, text, length, &list));
    for (size_t i = 0; i < list.count; i++) {
        struct lng_protected found = list.data[i];
        const char *name = text + found.name;
        size_t taken = found.end - found.begin;
        if (found.kind == LNG_PIECE_OPEN && is_void(name, found.name_length))
            found.kind = LNG_PIECE_POINT;
        LNG_TRY(add_text(view, text + at, found.begin - at));
        LNG_TRY(add_item(view, found.kind, text + found.begin, taken,
                         !spelt_alike(document, piece, text + found.begin, taken), 0));
        at = found.end;
    }
    return add_text(view, text + at, length - at);
}

/* ---- nesting ---- */

static struct lng_slice tag_name(const struct lng_item *item)
{
    struct lng_protected tag;
    if (lng_protect_tag(item->raw.data, item->raw.length, &tag) == 0)
        return (struct lng_slice){"", 0};
    return (struct lng_slice){item->raw.data + tag.name, tag.name_length};
}

static bool same_element(const struct lng_item *open, const struct lng_item *close)
{
    if (open->pair != 0 || close->pair != 0)
        return open->pair == close->pair;
    struct lng_slice a = tag_name(open), b = tag_name(close);
    return a.length > 0 && a.length == b.length && strncasecmp(a.data, b.data, a.length) == 0;
}

/* Do opening and closing markup nest? Numbers those pairs that a name alone holds together, and says where they end. */
static enum lng_status check_nesting(struct lng_segment_view *view, bool *nested)
{
    size_t *stack = lng_alloc(view->item_count + 1, sizeof *stack), depth = 0;
    bool fine = true;
    if (stack == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < view->item_count && fine; i++) {
        struct lng_item *item = &view->items[i];
        if (item->kind == LNG_PIECE_OPEN) {
            stack[depth++] = i;
        } else if (item->kind == LNG_PIECE_CLOSE) {
            fine = depth > 0 && same_element(&view->items[stack[depth - 1]], item);
            if (fine && item->pair == 0)
                view->items[stack[depth - 1]].pair = item->pair = ++view->pairs;
            if (fine)
                view->items[stack[--depth]].close = i;
        }
    }
    lng_free(stack);
    *nested = fine && depth == 0;
    return LNG_OK;
}

/* ---- the text ---- */

static enum lng_status append_collapsed(struct lng_buffer *text, const char *data, size_t length,
                                        size_t from)
{
    for (size_t i = 0; i < length; i++) {
        if (!lng_is_space(data[i]))
            LNG_TRY(lng_buffer_append_byte(text, data[i]));
        else if (text->length > from && text->data[text->length - 1] != ' ')
            LNG_TRY(lng_buffer_append_byte(text, ' '));
    }
    return LNG_OK;
}

/* What is seen after each item: a space for a break, nothing at the end. */
static void look_ahead(struct lng_segment_view *view)
{
    char after = 0;
    for (size_t i = view->last; i-- > view->first;) {
        struct lng_item *item = &view->items[i];
        item->space_after = lng_is_space(after);
        item->word_after = lng_is_word(after);
        if (item->kind == LNG_PIECE_BREAK)
            after = ' ';
        else if (item->kind == LNG_PIECE_TEXT || item->kind == LNG_PIECE_KEEP)
            after = item->seen.length > 0 ? item->seen.data[0] : 'x';
    }
}

/* Markup that parts two words without a space, as a line break in XLIFF does: the translator sees a space. */
static bool parts_words(const struct lng_segment_view *view, const struct lng_item *item,
                        char before)
{
    return view->mode != LNG_VIEW_RUNS && item->word_after && before != 0 &&
           !lng_is_space(before) && strchr("([{\"'-/", before) == NULL;
}

static enum lng_status build_text(struct lng_segment_view *view)
{
    struct lng_buffer *text = &view->text;
    char before = 0;
    look_ahead(view);
    for (size_t i = view->first; i < view->last; i++) {
        struct lng_item *item = &view->items[i];
        bool seen = item->kind == LNG_PIECE_TEXT || item->kind == LNG_PIECE_BREAK;
        bool kept = item->kind == LNG_PIECE_KEEP;
        item->space_before = before != 0 && lng_is_space(before);
        item->word_before = lng_is_word(before);
        item->joined = item->kind == LNG_PIECE_POINT && parts_words(view, item, before);
        item->begin = text->length;
        if (item->kind == LNG_PIECE_TEXT || (kept && view->mode == LNG_VIEW_WHOLE))
            LNG_TRY(append_collapsed(text, item->seen.data, item->seen.length, 0));
        if (item->joined || item->kind == LNG_PIECE_BREAK)
            LNG_TRY(append_collapsed(text, " ", 1, 0));
        item->end = text->length;
        if (seen || kept)
            before = item->seen.length > 0 ? item->seen.data[item->seen.length - 1] : 'x';
        if (item->kind == LNG_PIECE_BREAK)
            before = ' ';
    }
    while (text->length > 0 && text->data[text->length - 1] == ' ')
        text->data[--text->length] = '\0';
    for (size_t i = 0; i < view->item_count; i++) {
        struct lng_item *item = &view->items[i];
        item->begin = item->begin < text->length ? item->begin : text->length;
        item->end = item->end < text->length ? item->end : text->length;
    }
    return LNG_OK;
}

/* In runs: each text by itself, end to end. */
static enum lng_status build_runs(struct lng_segment_view *view)
{
    struct lng_buffer *text = &view->text;
    for (size_t i = 0; i < view->item_count; i++) {
        struct lng_item *item = &view->items[i];
        item->begin = item->end = text->length;
        if (item->kind != LNG_PIECE_TEXT)
            continue;
        LNG_TRY(append_collapsed(text, item->raw.data, item->raw.length, item->begin));
        if (text->length > item->begin && text->data[text->length - 1] == ' ')
            text->data[--text->length] = '\0';
        item->end = text->length;
    }
    return LNG_OK;
}

static enum lng_status split_text(struct lng_segment_view *view, struct lng_sentences *sentences,
                                  size_t begin, size_t end)
{
    size_t first = view->sentences.count;
    if (begin == end)
        return LNG_OK;
    LNG_TRY(lng_sentences_split(sentences, view->text.data + begin, end - begin, &view->sentences));
    for (size_t i = first; i < view->sentences.count; i++) {
        struct lng_segment *sentence = &view->sentences.data[i];
        sentence->begin += begin;
        sentence->end += begin;
        while (sentence->end > sentence->begin && view->text.data[sentence->end - 1] == ' ')
            sentence->end--;
    }
    return LNG_OK;
}

/* The item that closes item i with no text between, item_count when there is none. */
static size_t empty_until(const struct lng_segment_view *view, size_t i)
{
    const struct lng_item *open = &view->items[i];
    bool empty = open->kind == LNG_PIECE_OPEN && view->items[open->close].end == open->begin;
    return empty ? open->close : view->item_count;
}

/* Markup around nothing becomes one point, so that it stays together; false when its bytes lie apart. */
static bool merge_empty_pairs(struct lng_segment_view *view)
{
    size_t kept = 0;
    for (size_t i = 0; i < view->item_count; i++) {
        struct lng_item *item = &view->items[i];
        size_t close = empty_until(view, i);
        while (close < view->item_count && i < close) {
            const struct lng_item *next = &view->items[++i];
            if (next->raw.data != item->raw.data + item->raw.length || next->encode != item->encode)
                return false;
            item->kind = LNG_PIECE_POINT;
            item->raw.length += next->raw.length;
            item->space_after = next->space_after;
        }
        view->items[kept++] = *item;
    }
    view->last -= view->item_count - kept;
    view->item_count = kept;
    return true;
}

static bool is_blank(const struct lng_item *item)
{
    size_t spaces = 0;
    while (spaces < item->raw.length && lng_is_space(item->raw.data[spaces]))
        spaces++;
    return item->kind == LNG_PIECE_BREAK ||
           (item->kind == LNG_PIECE_TEXT && spaces == item->raw.length);
}

/* White space at both ends is no part of the text. */
static void trim_items(struct lng_segment_view *view)
{
    view->first = 0;
    view->last = view->item_count;
    while (view->first < view->last && is_blank(&view->items[view->first]))
        view->first++;
    while (view->last > view->first && is_blank(&view->items[view->last - 1]))
        view->last--;
}

/* The white space at the ends of the text becomes items of its own. */
static enum lng_status cut_ends(struct lng_segment_view *view, struct lng_slice text)
{
    size_t lead = 0, trail = 0;
    while (lead < text.length && lng_is_space(text.data[lead]))
        lead++;
    while (trail < text.length - lead && lng_is_space(text.data[text.length - trail - 1]))
        trail++;
    LNG_TRY(add_item(view, LNG_PIECE_TEXT, text.data, lead, true, 0));
    LNG_TRY(add_item(view, LNG_PIECE_TEXT, text.data + lead, text.length - lead - trail, true, 0));
    return add_item(view, LNG_PIECE_TEXT, text.data + text.length - trail, trail, true, 0);
}

static enum lng_status copy_item(struct lng_segment_view *view, const struct lng_item *item)
{
    LNG_TRY(add_item(view, item->kind, item->raw.data, item->raw.length, item->encode, item->pair));
    view->items[view->item_count - 1].seen = item->seen;
    return LNG_OK;
}

static enum lng_status collect_items(struct lng_segment_view *view,
                                     const struct lng_document *document, size_t begin, size_t end,
                                     struct lng_protector *protector)
{
    struct lng_segment_view raw = {0};
    enum lng_status status = LNG_OK;
    for (size_t i = begin; i < end && status == LNG_OK; i++)
        status = add_piece(&raw, document, &document->pieces[i], protector);
    for (size_t i = 0; i < raw.item_count && status == LNG_OK; i++) {
        const struct lng_item *item = &raw.items[i];
        if (item->kind == LNG_PIECE_TEXT && (i == 0 || i + 1 == raw.item_count))
            status = cut_ends(view, item->raw);
        else
            status = copy_item(view, item);
    }
    lng_view_release(&raw);
    return status;
}

static enum lng_status build(struct lng_segment_view *view, struct lng_sentences *sentences)
{
    LNG_TRY(lng_buffer_reserve(&view->text, 0));
    if (view->mode != LNG_VIEW_RUNS) {
        LNG_TRY(build_text(view));
        return split_text(view, sentences, 0, view->text.length);
    }
    LNG_TRY(build_runs(view));
    for (size_t i = 0; i < view->item_count; i++)
        LNG_TRY(split_text(view, sentences, view->items[i].begin, view->items[i].end));
    return LNG_OK;
}

enum lng_status lng_view_open(struct lng_segment_view *view, const struct lng_document *document,
                              size_t begin, size_t end, enum lng_view_mode mode,
                              const struct lng_view_tools *tools)
{
    struct lng_segment_view made = {.mode = mode, .pairs = UINT32_MAX / 2};
    bool nested = true;
    enum lng_status status;
    LNG_TRY_OR_FAIL(collect_items(&made, document, begin, end, tools->protector));
    LNG_TRY_OR_FAIL(check_nesting(&made, &nested));
    if (!nested)
        made.mode = LNG_VIEW_RUNS;
    trim_items(&made);
    LNG_TRY_OR_FAIL(build(&made, tools->sentences));
    if (made.mode != LNG_VIEW_RUNS && !merge_empty_pairs(&made)) {
        lng_view_release(&made);
        return lng_view_open(view, document, begin, end, LNG_VIEW_RUNS, tools);
    }
    *view = made;
    return LNG_OK;
fail:
    lng_view_release(&made);
    return status;
}
