#include "host/documents/placement.h"

#include <string.h>

#include "host/base/mem.h"

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

enum lng_status lng_placement_collect(struct lng_placement *p)
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
    p->extents[0] = (struct lng_extent){.source_end = p->joined.source.count,
                                        .target_end = p->joined.target.count};
    p->extent_count = 1;
    for (size_t i = view->first; i < view->last; i++) {
        const struct lng_item *item = &view->items[i];
        if (item->kind == LNG_PIECE_OPEN) {
            p->extents[p->extent_count] =
                (struct lng_extent){.open = i,
                                    .parent = inside,
                                    .source_begin = first_word_at(&p->joined.source, item->begin)};
            inside = p->extent_count++;
        } else if (item->kind == LNG_PIECE_CLOSE) {
            p->extents[inside].close = i;
            p->extents[inside].source_end = first_word_at(&p->joined.source, item->begin);
            inside = p->extents[inside].parent;
        } else if (item->kind == LNG_PIECE_POINT ||
                   (item->kind == LNG_PIECE_KEEP && item->begin == item->end)) {
            p->points[p->point_count++] = (struct lng_point){.item = i, .parent = inside};
        }
    }
    return LNG_OK;
}

static bool comes_from(const struct lng_word *word, const struct lng_extent *extent)
{
    return word->link >= extent->source_begin && word->link < extent->source_end;
}

/* The run of the parent's free words with the most words of the extent and the fewest others (Kadane). */
static bool best_run(struct lng_placement *p, struct lng_extent *extent)
{
    const struct lng_extent *parent = &p->extents[extent->parent];
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
static bool nearest_word(struct lng_placement *p, struct lng_extent *extent)
{
    const struct lng_extent *parent = &p->extents[extent->parent];
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

bool lng_placement_is_markdown(const struct lng_placement *p)
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
static bool runs_together(const struct lng_placement *p, const struct lng_extent *extent)
{
    const struct lng_word *words = p->joined.target.data;
    char mark = p->view->items[extent->open].raw.data[0];
    size_t begin = words[extent->target_begin].begin, end = words[extent->target_end - 1].end;
    for (const struct lng_extent *other = &p->extents[1]; other < extent; other++) {
        size_t other_begin = words[other->target_begin].begin;
        size_t other_end = words[other->target_end - 1].end;
        if (strchr("*_~", mark) != NULL && p->view->items[other->open].raw.data[0] == mark &&
            begin <= other_end && other_begin <= end)
            return true;
    }
    return false;
}

/* In Markdown an extent neither begins nor ends with punctuation when a word is in it, so that its marks are marks. */
static bool flank(const struct lng_placement *p, struct lng_extent *extent)
{
    const struct lng_word *words = p->joined.target.data;
    const char *text = p->joined.text.data;
    char mark = p->view->items[extent->open].raw.data[0];
    if (!lng_placement_is_markdown(p))
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

bool lng_placement_extents(struct lng_placement *p)
{
    for (size_t i = 1; i < p->extent_count; i++) {
        struct lng_extent *extent = &p->extents[i];
        if ((!best_run(p, extent) && !nearest_word(p, extent)) || !flank(p, extent))
            return false;
        for (size_t j = extent->target_begin; j < extent->target_end; j++)
            p->joined.target.data[j].owner = i;
    }
    return true;
}

/* ---- points ---- */

/* The child of `parent` that owns word j; 0 when none does. */
static size_t child_at(const struct lng_placement *p, size_t parent, size_t j)
{
    size_t owner = p->joined.target.data[j].owner;
    while (owner != 0 && owner != parent && p->extents[owner].parent != parent)
        owner = p->extents[owner].parent;
    return owner == parent ? 0 : owner;
}

void lng_placement_point(struct lng_placement *p, struct lng_point *point)
{
    const struct lng_item *item = &p->view->items[point->item];
    const struct lng_extent *parent = &p->extents[point->parent];
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

static bool has_space(const struct lng_placement *p, size_t gap)
{
    const struct lng_word *words = p->joined.target.data;
    return words[gap - 1].end < words[gap].begin;
}

void lng_placement_breaks(struct lng_placement *p)
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
