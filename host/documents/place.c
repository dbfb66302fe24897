#include "host/documents/place.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/documents/encode.h"
#include "host/documents/words.h"

/* Markup with an extent; the first one is the segment itself. */
struct extent {
    size_t open, close, parent;                                /* items; extents */
    size_t source_begin, source_end, target_begin, target_end; /* words */
};

/* Markup at one place: before word `gap` of the translation, inside `parent`. */
struct point {
    size_t item, gap, parent;
    bool left; /* belongs to the word before it */
};

struct placement {
    const struct lng_segment_view *view;
    struct lng_joined joined;
    struct extent *extents;
    struct point *points;
    size_t *breaks; /* for each gap the item of the break there, SIZE_MAX = none */
    size_t extent_count, point_count;
    enum lng_encoding encoding;
    struct lng_buffer *out;
    size_t start;    /* of the segment in out */
    size_t line;     /* where in the translation the line of the document began */
    bool line_start; /* nothing is on the line yet */
    bool space_due, skip_space;
    bool apart;  /* no letter may touch what was written last */
    bool opened; /* what was written last opens an extent */
};

static size_t first_word_at(const struct lng_word_list *list, size_t position)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->data[middle].begin < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- extents ---- */

static enum lng_status collect_markup(struct placement *p)
{
    const struct lng_segment_view *view = p->view;
    size_t count = view->item_count, inside = 0;
    p->extents = lng_alloc(count + 1, sizeof *p->extents);
    p->points = lng_alloc(count + 1, sizeof *p->points);
    p->breaks = lng_alloc(p->joined.target.count + 1, sizeof *p->breaks);
    if (p->extents == NULL || p->points == NULL || p->breaks == NULL)
        return LNG_ERR_MEMORY;
    for (size_t k = 0; k <= p->joined.target.count; k++)
        p->breaks[k] = SIZE_MAX;
    p->extents[0] =
        (struct extent){.source_end = p->joined.source.count, .target_end = p->joined.target.count};
    p->extent_count = 1;
    for (size_t i = view->first; i < view->last; i++) {
        const struct lng_item *item = &view->items[i];
        if (item->kind == LNG_PIECE_OPEN) {
            p->extents[p->extent_count] =
                (struct extent){.open = i,
                                .parent = inside,
                                .source_begin = first_word_at(&p->joined.source, item->begin)};
            inside = p->extent_count++;
        } else if (item->kind == LNG_PIECE_CLOSE) {
            p->extents[inside].close = i;
            p->extents[inside].source_end = first_word_at(&p->joined.source, item->begin);
            inside = p->extents[inside].parent;
        } else if (item->kind == LNG_PIECE_POINT ||
                   (item->kind == LNG_PIECE_KEEP && item->begin == item->end)) {
            p->points[p->point_count++] = (struct point){.item = i, .parent = inside};
        }
    }
    return LNG_OK;
}

static bool comes_from(const struct lng_word *word, const struct extent *extent)
{
    return word->link >= extent->source_begin && word->link < extent->source_end;
}

/* The run of the parent's free words with the most words of the extent and the fewest others (Kadane). */
static bool best_run(struct placement *p, struct extent *extent)
{
    const struct extent *parent = &p->extents[extent->parent];
    const struct lng_word *words = p->joined.target.data;
    int64_t best = 0, sum = 0;
    size_t begin = parent->target_begin;
    for (size_t j = parent->target_begin; j < parent->target_end; j++) {
        if (words[j].owner != extent->parent || sum < 0) {
            sum = 0;
            begin = j + (words[j].owner != extent->parent);
        }
        if (words[j].owner != extent->parent)
            continue;
        sum += comes_from(&words[j], extent) ? 1 : -1;
        if (sum > best) {
            best = sum;
            extent->target_begin = begin;
            extent->target_end = j + 1;
        }
    }
    return best > 0;
}

/* The free word that comes from nearest. */
static bool nearest_word(struct placement *p, struct extent *extent)
{
    const struct extent *parent = &p->extents[extent->parent];
    const struct lng_word *words = p->joined.target.data;
    size_t middle = (extent->source_begin + extent->source_end) / 2, least = SIZE_MAX;
    for (size_t j = parent->target_begin; j < parent->target_end; j++) {
        size_t distance = words[j].link > middle ? words[j].link - middle : middle - words[j].link;
        if (words[j].owner == extent->parent && distance < least) {
            least = distance;
            extent->target_begin = j;
            extent->target_end = j + 1;
        }
    }
    return least != SIZE_MAX;
}

static bool is_markdown(const struct placement *p)
{
    return p->encoding == LNG_ENCODING_MARKDOWN || p->encoding == LNG_ENCODING_MARKDOWN_CELL;
}

/* May a mark of Markdown stand between `outer` (0 = nothing) and `inner`? CommonMark 0.31, section 6.2: punctuation
 * inside asks for space or punctuation outside; underscores within a word are none. */
static bool may_flank(char mark, char outer, char inner)
{
    if (!lng_is_word(inner))
        return outer == 0 || !lng_is_word(outer);
    return mark != '_' || !lng_is_word(outer);
}

/* Marks of one kind inside each other or side by side run together into other marks. */
static bool runs_together(const struct placement *p, const struct extent *extent)
{
    const struct lng_word *words = p->joined.target.data;
    char mark = p->view->items[extent->open].raw.data[0];
    size_t begin = words[extent->target_begin].begin, end = words[extent->target_end - 1].end;
    for (const struct extent *other = &p->extents[1]; other < extent; other++) {
        size_t other_begin = words[other->target_begin].begin;
        size_t other_end = words[other->target_end - 1].end;
        if (strchr("*_~", mark) != NULL && p->view->items[other->open].raw.data[0] == mark &&
            begin <= other_end && other_begin <= end)
            return true;
    }
    return false;
}

/* In Markdown an extent neither begins nor ends with punctuation when a word is in it, so that its marks are marks. */
static bool flank(const struct placement *p, struct extent *extent)
{
    const struct lng_word *words = p->joined.target.data;
    const char *text = p->joined.text.data;
    char mark = p->view->items[extent->open].raw.data[0];
    if (!is_markdown(p))
        return true;
    while (extent->target_begin + 1 < extent->target_end &&
           !lng_is_word(text[words[extent->target_begin].begin]))
        extent->target_begin++;
    while (extent->target_begin + 1 < extent->target_end &&
           !lng_is_word(text[words[extent->target_end - 1].end - 1]))
        extent->target_end--;
    size_t begin = words[extent->target_begin].begin, end = words[extent->target_end - 1].end;
    char before = begin > 0 ? text[begin - 1] : 0;
    char after = end < p->joined.text.length ? text[end] : 0;
    return !runs_together(p, extent) && may_flank(mark, before, text[begin]) &&
           may_flank(mark, after, text[end - 1]);
}

static bool place_extents(struct placement *p)
{
    for (size_t i = 1; i < p->extent_count; i++) {
        struct extent *extent = &p->extents[i];
        if ((!best_run(p, extent) && !nearest_word(p, extent)) || !flank(p, extent))
            return false;
        for (size_t j = extent->target_begin; j < extent->target_end; j++)
            p->joined.target.data[j].owner = i;
    }
    return true;
}

/* ---- points ---- */

/* The child of `parent` that owns word j; 0 when none does. */
static size_t child_at(const struct placement *p, size_t parent, size_t j)
{
    size_t owner = p->joined.target.data[j].owner;
    while (owner != 0 && owner != parent && p->extents[owner].parent != parent)
        owner = p->extents[owner].parent;
    return owner == parent ? 0 : owner;
}

static void place_point(struct placement *p, struct point *point)
{
    const struct lng_item *item = &p->view->items[point->item];
    const struct extent *parent = &p->extents[point->parent];
    const struct lng_word_list *source = &p->joined.source, *target = &p->joined.target;
    size_t next = first_word_at(source, item->begin), gap = SIZE_MAX;
    point->left = !item->space_before && next > parent->source_begin;
    size_t neighbour = point->left ? next - 1 : next;
    for (size_t j = parent->target_begin; j < parent->target_end; j++)
        if (target->data[j].link == neighbour && (point->left || gap == SIZE_MAX))
            gap = j + point->left;
    if (gap == SIZE_MAX && next >= parent->source_end)
        gap = parent->target_end;
    if (gap == SIZE_MAX) /* before the first word that comes from further on */
        for (gap = parent->target_begin; gap < parent->target_end; gap++)
            if (target->data[gap].link >= next)
                break;
    if (gap > parent->target_begin && gap < parent->target_end) {
        size_t child = child_at(p, point->parent, gap);
        if (child != 0 && child == child_at(p, point->parent, gap - 1))
            gap = point->left ? p->extents[child].target_end : p->extents[child].target_begin;
    }
    point->gap = gap;
    point->left = point->left && gap > 0;
}

static bool has_space(const struct placement *p, size_t gap)
{
    const struct lng_word *words = p->joined.target.data;
    return words[gap - 1].end < words[gap].begin;
}

/* Line ends go to spaces at about the same place in the text, each to one of its own; what finds none is left out. */
static void place_breaks(struct placement *p)
{
    const struct lng_segment_view *view = p->view;
    const struct lng_word_list *target = &p->joined.target;
    size_t gap = 1;
    bool spaces = p->joined.text.length > 0 &&
                  memchr(p->joined.text.data, ' ', p->joined.text.length) != NULL;
    for (size_t i = view->first; i < view->last; i++) {
        const struct lng_item *item = &view->items[i];
        if (item->kind != LNG_PIECE_BREAK || item->begin == 0)
            continue;
        size_t wanted = (size_t)((double)item->begin / (double)view->text.length *
                                 (double)p->joined.text.length);
        size_t best = SIZE_MAX, least = SIZE_MAX;
        for (size_t k = gap; k < target->count; k++) {
            size_t at = target->data[k].begin;
            size_t distance = at > wanted ? at - wanted : wanted - at;
            if ((has_space(p, k) || !spaces) && distance < least) {
                least = distance;
                best = k;
            } else if (at > wanted && distance > least) {
                break;
            }
        }
        if (best == SIZE_MAX)
            return;
        p->breaks[best] = i;
        gap = best + 1;
    }
}

/* ---- writing ---- */

static bool at_space(const struct placement *p)
{
    return p->out->length == p->start || p->line_start || p->opened ||
           lng_is_space(p->out->data[p->out->length - 1]);
}

static enum lng_status put_text(struct placement *p, const char *text, size_t length)
{
    struct lng_slice slice = {text, length};
    p->line_start = p->line_start && length == 0;
    p->opened = p->opened && length == 0;
    return lng_encode(p->encoding, slice, 0, length, 0, p->out);
}

/* Bytes of the translation: what is around them decides how they are spelt. */
static enum lng_status put_translation(struct placement *p, size_t begin, size_t end)
{
    struct lng_slice text = {p->joined.text.data, p->joined.text.length};
    p->line_start = p->line_start && begin == end;
    p->opened = p->opened && begin == end;
    return lng_encode(p->encoding, text, begin, end, p->line, p->out);
}

static enum lng_status put_item(struct placement *p, const struct lng_item *item)
{
    if (item->encode)
        return put_text(p, item->raw.data, item->raw.length);
    p->line_start = item->kind == LNG_PIECE_BREAK;
    p->opened = item->kind == LNG_PIECE_OPEN;
    return lng_buffer_append(p->out, item->raw.data, item->raw.length);
}

static enum lng_status put_due_space(struct placement *p)
{
    if (p->space_due && !at_space(p))
        LNG_TRY(lng_buffer_append_byte(p->out, ' '));
    p->space_due = false;
    return LNG_OK;
}

static bool after_word(const struct placement *p)
{
    return p->out->length > p->start && lng_is_word(p->out->data[p->out->length - 1]);
}

static enum lng_status put_points(struct placement *p, size_t gap, size_t parent, bool left,
                                  bool right)
{
    for (size_t i = 0; i < p->point_count; i++) {
        const struct point *point = &p->points[i];
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

static enum lng_status put_between(struct placement *p, size_t gap)
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
static enum lng_status put_gap(struct placement *p, size_t gap, size_t *inside, size_t *next)
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

static enum lng_status put_word(struct placement *p, size_t j)
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
    const struct extent *a = left, *b = right;
    if (a->target_begin != b->target_begin)
        return a->target_begin < b->target_begin ? -1 : 1;
    if (a->target_end != b->target_end)
        return a->target_end > b->target_end ? -1 : 1;
    return a->open < b->open ? -1 : 1;
}

static enum lng_status sort_extents(struct placement *p)
{
    size_t *places = lng_alloc(p->view->item_count + 1, sizeof *places);
    struct extent *old = lng_alloc(p->extent_count, sizeof *old);
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

static enum lng_status put_ends(struct placement *p, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        LNG_TRY(put_item(p, &p->view->items[i]));
    return LNG_OK;
}

static enum lng_status put_whole(struct placement *p)
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

/* In Markdown a run must begin and end with the kind of character that it did, or marks beside it change. */
static bool keeps_edges(const struct placement *p, const struct lng_item *item,
                        const struct lng_translated *translated, size_t first)
{
    const struct lng_segments *sentences = &p->view->sentences;
    size_t last = first;
    while (last + 1 < sentences->count && sentences->data[last + 1].begin < item->end)
        last++;
    const char *from = p->view->text.data;
    struct lng_slice head = lng_text_trim(translated[first].text);
    struct lng_slice tail = lng_text_trim(translated[last].text);
    return !is_markdown(p) ||
           (lng_is_word(from[item->begin]) == lng_is_word(head.data[0]) &&
            lng_is_word(from[item->end - 1]) == lng_is_word(tail.data[tail.length - 1]));
}

static enum lng_status put_run(struct placement *p, const struct lng_item *item,
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

static enum lng_status put_runs(struct placement *p, const struct lng_translated *translated)
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
    struct placement p = {
        .view = view, .encoding = encoding, .out = out, .start = out->length, .line_start = true};
    enum lng_status status;
    bool fine = true;
    if (view->mode == LNG_VIEW_RUNS) {
        status = put_runs(&p, translated);
        goto fail;
    }
    LNG_TRY_OR_FAIL(lng_join_sentences(view, translated, words, &p.joined, &fine));
    if (fine) {
        LNG_TRY_OR_FAIL(collect_markup(&p));
        fine = place_extents(&p);
    }
    if (fine) {
        for (size_t i = 0; i < p.point_count; i++)
            place_point(&p, &p.points[i]);
        place_breaks(&p);
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
