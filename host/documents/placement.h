/* A segment while its markup is placed: what goes where in the translation. place.c writes it. */
#ifndef LNG_HOST_DOCUMENTS_PLACEMENT_H
#define LNG_HOST_DOCUMENTS_PLACEMENT_H

#include "host/documents/linked_words.h"

/* Markup with an extent; the first one is the segment itself. */
struct lng_extent {
    size_t open, close, parent;                                /* items; extents */
    size_t source_begin, source_end, target_begin, target_end; /* words */
};

/* Markup at one place: before word `gap` of the translation, inside `parent`. */
struct lng_point {
    size_t item, gap, parent;
    bool left; /* belongs to the word before it */
};

struct lng_placement {
    const struct lng_segment_view *view;
    struct lng_joined joined;
    struct lng_extent *extents;
    struct lng_point *points;
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

/* The markup of the view; words must be joined. */
LNG_MUST_CHECK enum lng_status lng_placement_collect(struct lng_placement *p);
/* Finds the words of each extent; false when there are too few, or when Markdown would not see the marks. */
bool lng_placement_extents(struct lng_placement *p);
/* Finds the gap of a point, after the extents. */
void lng_placement_point(struct lng_placement *p, struct lng_point *point);
/* Line ends go to spaces at about the same place in the text, each to one of its own; what finds none is left out. */
void lng_placement_breaks(struct lng_placement *p);
bool lng_placement_is_markdown(const struct lng_placement *p);

#endif
