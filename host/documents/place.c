#include "host/documents/place.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/documents/encode.h"
#include "host/documents/placement.h"

/* ---- writing ---- */

static bool at_space(const struct lng_placement *p)
{
    return p->out->length == p->start || p->line_start || p->opened ||
           lng_is_space(p->out->data[p->out->length - 1]);
}

static enum lng_status put_text(struct lng_placement *p, const char *text, size_t length)
{
    struct lng_slice slice = {text, length};
    p->line_start = p->line_start && length == 0;
    p->opened = p->opened && length == 0;
    return lng_encode(p->encoding, slice, 0, length, 0, p->out);
}

/* Bytes of the translation: what is around them decides how they are spelt. */
static enum lng_status put_translation(struct lng_placement *p, size_t begin, size_t end)
{
    struct lng_slice text = {p->joined.text.data, p->joined.text.length};
    p->line_start = p->line_start && begin == end;
    p->opened = p->opened && begin == end;
    return lng_encode(p->encoding, text, begin, end, p->line, p->out);
}

static enum lng_status put_item(struct lng_placement *p, const struct lng_item *item)
{
    if (item->encode)
        return put_text(p, item->raw.data, item->raw.length);
    p->line_start = item->kind == LNG_PIECE_BREAK;
    p->opened = item->kind == LNG_PIECE_OPEN;
    return lng_buffer_append(p->out, item->raw.data, item->raw.length);
}

static enum lng_status put_due_space(struct lng_placement *p)
{
    if (p->space_due && !at_space(p))
        LNG_TRY(lng_buffer_append_byte(p->out, ' '));
    p->space_due = false;
    return LNG_OK;
}

static bool after_word(const struct lng_placement *p)
{
    return p->out->length > p->start && lng_is_word(p->out->data[p->out->length - 1]);
}

static enum lng_status put_points(struct lng_placement *p, size_t gap, size_t parent, bool left,
                                  bool right)
{
    for (size_t i = 0; i < p->point_count; i++) {
        const struct lng_point *point = &p->points[i];
        const struct lng_item *item = &p->view->items[point->item];
        if (point->gap != gap || point->parent != parent || !(point->left ? left : right))
            continue;
        bool kept = item->kind == LNG_PIECE_KEEP;
        p->space_due |= item->space_before || (kept && !item->word_before && after_word(p));
        LNG_TRY(put_due_space(p));
        LNG_TRY(put_item(p, item));
        p->space_due = item->space_after;
        p->skip_space = item->joined;
        p->apart = kept && !item->word_after;
    }
    return LNG_OK;
}

static enum lng_status put_between(struct lng_placement *p, size_t gap)
{
    const struct lng_word_list *target = &p->joined.target;
    size_t begin = gap > 0 ? target->data[gap - 1].end : 0;
    size_t end = gap < target->count ? target->data[gap].begin : p->joined.text.length;
    bool skip = p->skip_space;
    p->skip_space = false;
    if (p->breaks[gap] != SIZE_MAX) {
        p->space_due = false;
        p->line = end;
        return put_item(p, &p->view->items[p->breaks[gap]]);
    }
    if (skip || begin == end || gap == target->count)
        return LNG_OK;
    p->space_due = false;
    return at_space(p) ? LNG_OK : put_translation(p, begin, end);
}

/* Closes what ends at the gap, writes what lies in it, opens what begins there. */
static enum lng_status put_gap(struct lng_placement *p, size_t gap, size_t *inside, size_t *next)
{
    while (*inside != 0 && p->extents[*inside].target_end == gap) {
        LNG_TRY(put_points(p, gap, *inside, true, true));
        LNG_TRY(put_item(p, &p->view->items[p->extents[*inside].close]));
        *inside = p->extents[*inside].parent;
    }
    LNG_TRY(put_points(p, gap, *inside, true, false));
    LNG_TRY(put_between(p, gap));
    LNG_TRY(put_points(p, gap, *inside, false, true));
    while (*next < p->extent_count && p->extents[*next].target_begin == gap) {
        LNG_TRY(put_due_space(p));
        *inside = (*next)++;
        LNG_TRY(put_item(p, &p->view->items[p->extents[*inside].open]));
        LNG_TRY(put_points(p, gap, *inside, true, true));
    }
    return LNG_OK;
}

static enum lng_status put_word(struct lng_placement *p, size_t j)
{
    const struct lng_word *word = &p->joined.target.data[j];
    p->space_due |= p->apart && lng_is_word(p->joined.text.data[word->begin]);
    p->apart = false;
    LNG_TRY(put_due_space(p));
    p->skip_space = false;
    if (word->keep != SIZE_MAX)
        return put_item(p, &p->view->items[word->keep]);
    return put_translation(p, word->begin, word->end);
}

/* By place, outer ones first: the order in which they open. Parents are renumbered with them. */
static int compare_extents(const void *left, const void *right)
{
    const struct lng_extent *a = left, *b = right;
    if (a->target_begin != b->target_begin)
        return a->target_begin < b->target_begin ? -1 : 1;
    if (a->target_end != b->target_end)
        return a->target_end > b->target_end ? -1 : 1;
    return a->open < b->open ? -1 : 1;
}

static enum lng_status sort_extents(struct lng_placement *p)
{
    size_t *places = lng_alloc(p->view->item_count + 1, sizeof *places);
    struct lng_extent *old = lng_alloc(p->extent_count, sizeof *old);
    if (places == NULL || old == NULL) {
        lng_free(places);
        lng_free(old);
        return LNG_ERR_MEMORY;
    }
    memcpy(old, p->extents, p->extent_count * sizeof *old);
    if (p->extent_count > 2)
        qsort(p->extents + 1, p->extent_count - 1, sizeof *p->extents, compare_extents);
    for (size_t i = 1; i < p->extent_count; i++)
        places[p->extents[i].open] = i;
    for (size_t i = 1; i < p->extent_count; i++) {
        size_t parent = p->extents[i].parent;
        p->extents[i].parent = parent == 0 ? 0 : places[old[parent].open];
    }
    for (size_t i = 0; i < p->point_count; i++) {
        size_t parent = p->points[i].parent;
        p->points[i].parent = parent == 0 ? 0 : places[old[parent].open];
    }
    lng_free(places);
    lng_free(old);
    return LNG_OK;
}

static enum lng_status put_ends(struct lng_placement *p, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        LNG_TRY(put_item(p, &p->view->items[i]));
    return LNG_OK;
}

static enum lng_status put_whole(struct lng_placement *p)
{
    size_t inside = 0, next = 1;
    LNG_TRY(sort_extents(p));
    LNG_TRY(put_ends(p, 0, p->view->first));
    p->start = p->out->length;
    for (size_t gap = 0; gap <= p->joined.target.count; gap++) {
        LNG_TRY(put_gap(p, gap, &inside, &next));
        if (gap < p->joined.target.count)
            LNG_TRY(put_word(p, gap));
    }
    return put_ends(p, p->view->last, p->view->item_count);
}

/* ---- runs ---- */

static size_t count_spaces(struct lng_slice text, bool at_end)
{
    size_t count = 0;
    while (count < text.length && lng_is_space(text.data[at_end ? text.length - 1 - count : count]))
        count++;
    return count;
}

/* In Markdown a run must begin and end with the kind of character that it did, or marks beside it change; with none at
 * all they would. */
static bool keeps_edges(const struct lng_placement *p, const struct lng_item *item,
                        const struct lng_translated *translated, size_t first)
{
    const struct lng_segments *sentences = &p->view->sentences;
    size_t last = first;
    while (last + 1 < sentences->count && sentences->data[last + 1].begin < item->end)
        last++;
    const char *from = p->view->text.data;
    struct lng_slice head = lng_text_trim(translated[first].text);
    struct lng_slice tail = lng_text_trim(translated[last].text);
    return !lng_placement_is_markdown(p) ||
           (head.length > 0 && tail.length > 0 &&
            lng_is_word(from[item->begin]) == lng_is_word(head.data[0]) &&
            lng_is_word(from[item->end - 1]) == lng_is_word(tail.data[tail.length - 1]));
}

static enum lng_status put_run(struct lng_placement *p, const struct lng_item *item,
                               const struct lng_translated *translated, size_t *sentence)
{
    const struct lng_segments *sentences = &p->view->sentences;
    size_t lead = count_spaces(item->raw, false), trail = count_spaces(item->raw, true);
    bool first = true;
    if (item->begin == item->end)
        return put_item(p, item);
    bool keep = !keeps_edges(p, item, translated, *sentence);
    LNG_TRY(keep ? put_item(p, item) : put_text(p, item->raw.data, lead));
    for (; *sentence < sentences->count && sentences->data[*sentence].begin < item->end;
         ++*sentence) {
        if (keep)
            continue;
        if (!first)
            LNG_TRY(put_text(p, " ", 1));
        LNG_TRY(put_text(p, translated[*sentence].text.data, translated[*sentence].text.length));
        first = false;
    }
    return keep ? LNG_OK : put_text(p, item->raw.data + item->raw.length - trail, trail);
}

static enum lng_status put_runs(struct lng_placement *p, const struct lng_translated *translated)
{
    size_t sentence = 0;
    for (size_t i = 0; i < p->view->item_count; i++) {
        const struct lng_item *item = &p->view->items[i];
        LNG_TRY(item->kind == LNG_PIECE_TEXT ? put_run(p, item, translated, &sentence)
                                             : put_item(p, item));
    }
    return LNG_OK;
}

enum lng_status lng_place(const struct lng_segment_view *view,
                          const struct lng_translated *translated, enum lng_encoding encoding,
                          struct lng_words *words, struct lng_buffer *out, bool *placed)
{
    struct lng_placement p = {
        .view = view, .encoding = encoding, .out = out, .start = out->length, .line_start = true};
    enum lng_status status;
    bool fine = true;
    if (view->mode == LNG_VIEW_RUNS) {
        status = put_runs(&p, translated);
        goto fail;
    }
    LNG_TRY_OR_FAIL(lng_join_sentences(view, translated, words, &p.joined, &fine));
    if (fine) {
        LNG_TRY_OR_FAIL(lng_placement_collect(&p));
        fine = lng_placement_extents(&p);
    }
    if (fine) {
        for (size_t i = 0; i < p.point_count; i++)
            lng_placement_point(&p, &p.points[i]);
        lng_placement_breaks(&p);
        LNG_TRY_OR_FAIL(put_whole(&p));
    }
fail:
    lng_joined_release(&p.joined);
    lng_free(p.extents);
    lng_free(p.points);
    lng_free(p.breaks);
    if (status == LNG_OK)
        *placed = fine;
    return status;
}
