/* Inside host/infer: what a window's lines demand of their translations (constraints, terms, placeholders, soft prefixes,
 * words for unknown tokens), on the way from text to constraints of the search and back to text.
 *
 * Placeholders: each is one code point (LNG_DEMAND_MASK) in the text that is cut into segments, and a stand-in in the
 * text that the model reads; the same stand-in has to come out of the model, once, and the placeholder's bytes are put
 * in its place (demand_render.c). A segment of nothing but placeholders and punctuation is taken over as it is. */
#ifndef LNG_HOST_INFER_DEMAND_H
#define LNG_HOST_INFER_DEMAND_H

#include "host/base/file.h"
#include "host/infer/constrain.h"
#include "host/infer/constraint_line.h"
#include "host/infer/demand_options.h"
#include "host/infer/stand_in.h"
#include "host/infer/terminology.h"
#include "tokenizer/placeholder.h"

#define LNG_DEMAND_MASK \
    "\xEF\xA3\xBD" /* U+F8FD, private use; where a text holds it, that is a placeholder too */

/* A piece of one of the window's arrays. */
struct lng_range {
    size_t begin, count;
};

/* What touches a placeholder in the source. */
enum lng_demand_touch { LNG_TOUCH_SPACE, LNG_TOUCH_MARK, LNG_TOUCH_WORD, LNG_TOUCH_PLACEHOLDER };

struct lng_demand_phrase {
    struct lng_range text;   /* of texts: what has to be in the translation */
    struct lng_range tokens; /* of ids; none: it cannot be searched for, and is put at the end */
    size_t next;             /* of the same segment, index + 1; 0 = none */
    int32_t after;           /* among those of the segment that have tokens; -1 = none */
    bool placeholder;
    bool stand_in; /* its one token stands for text */
    enum lng_demand_touch before, behind;
};

struct lng_segment_demand {
    size_t first, last;           /* phrases, index + 1; 0 = none */
    int32_t count;                /* of those with tokens */
    struct lng_range forbidden;   /* of forbidden */
    struct lng_range soft_prefix; /* of ids */
    struct lng_range source;      /* of texts: what the model reads */
    struct lng_range prefix;      /* of texts: how the translation is to begin */
};

enum lng_demand_result {
    LNG_DEMAND_NONE,
    LNG_DEMAND_MET,
    LNG_DEMAND_INSERTED, /* the search did not place something; it was put at the end */
    LNG_DEMAND_VIOLATED, /* a forbidden phrase is there */
};
const char *lng_demand_result_name(enum lng_demand_result result);

struct lng_demander {
    const struct lng_tokenizer *tokenizer; /* borrowed */
    struct lng_demand_options options;
    struct lng_lines *demand_lines; /* of the input at hand; borrowed, or NULL */
    int32_t longest;                /* tokens that phrases of a line may take */
    struct lng_placeholders *placeholders;
    struct lng_terminology *terminology, *dictionary;
    struct lng_token_texts token_texts;
    struct lng_stand_ins stand_ins;

    /* the line at hand */
    struct lng_constraint_line line;
    struct lng_placeholder_ranges ranges; /* of its text */
    struct lng_buffer masked;
    struct lng_slice original;      /* borrowed */
    struct lng_range wanted;        /* of ids: tokens of its positive phrases */
    size_t placeholders_used;       /* of ranges, by segments so far */
    struct lng_range prefix;        /* of texts */
    struct lng_range prefix_tokens; /* of ids: of its words as they are */
    struct {
        size_t segments, phrases;
    } line_start;

    /* the window */
    struct lng_buffer texts, rendered, scratch;
    struct lng_ids ids;
    struct lng_demand_phrase *phrases;
    size_t phrase_count, phrase_capacity;
    struct lng_range *forbidden; /* of texts */
    size_t forbidden_count, forbidden_capacity;
    struct lng_segment_demand *segments; /* one for each of the window's */
    size_t segment_count, segment_capacity;

    /* for the search */
    struct lng_phrase *search_phrases;
    struct lng_slice *search_forbidden;
    struct lng_constraints *constraints;
    size_t search_phrase_capacity, search_forbidden_capacity, constraints_capacity;
    struct lng_placeholder_ranges found, placed; /* of a text that is being rendered */
};

/* *demander = NULL where the options demand nothing. longest: the most tokens that a translation may have. */
LNG_MUST_CHECK enum lng_status lng_demander_open(const struct lng_tokenizer *tokenizer,
                                                 const struct lng_demand_options *options,
                                                 int32_t longest, struct lng_demander **demander);
/* NULL is fine. */
void lng_demander_close(struct lng_demander *demander);
void lng_demander_clear(struct lng_demander *demander); /* a window begins; NULL is fine */

/* Reads what the constraints file says of line `number` (from 1), and at the end that there is no more. NULL is fine. */
LNG_MUST_CHECK enum lng_status lng_demand_next_line(struct lng_demander *demander, uint64_t number);
LNG_MUST_CHECK enum lng_status lng_demand_check_ended(struct lng_demander *demander,
                                                      uint64_t lines);

/* A line begins: finds its placeholders; afterwards `masked` is what is cut and encoded. */
LNG_MUST_CHECK enum lng_status lng_demand_begin_line(struct lng_demander *demander,
                                                     struct lng_slice text,
                                                     struct lng_slice prefix);
/* A hypothesis of the segment may not be another's, though the search gave both the same tokens. */
bool lng_demand_is_own(const struct lng_demander *demander, size_t segment);
/* Offset in the line's own text. */
size_t lng_demand_original(const struct lng_demander *demander, size_t masked);
/* The line has more placeholders than a segment may. */
bool lng_demand_is_crowded(const struct lng_demander *demander);
/* Forgets the line's segments. */
void lng_demand_restart_line(struct lng_demander *demander);
/* As lng_tokenizer_measure_source, more than any limit where there are too many placeholders; the context is the demander. */
enum lng_status lng_demand_measure(void *demander, const char *text, size_t length, size_t *cost);
/* The window's next segment, a part of `masked`: appends source ids; *verbatim: there is nothing to
 * translate, and no ids. */
LNG_MUST_CHECK enum lng_status lng_demand_add_segment(struct lng_demander *demander,
                                                      struct lng_range part, struct lng_ids *ids,
                                                      bool *verbatim);
/* Takes it back: it had no tokens. */
void lng_demand_drop_segment(struct lng_demander *demander);
/* Appends target ids of the line's prefix: a placeholder of its first segment is its stand-in there. `first` as below. */
LNG_MUST_CHECK enum lng_status lng_demand_encode_prefix(struct lng_demander *demander, size_t first,
                                                        struct lng_slice prefix,
                                                        struct lng_ids *ids);
/* The line's segments are those from `first` on; the parsed constraints are spent. prefix: tokens for the
 * soft prefix, if there is one. */
LNG_MUST_CHECK enum lng_status lng_demand_end_line(struct lng_demander *demander, size_t first,
                                                   const int32_t *soft_prefix,
                                                   size_t soft_prefix_length);

/* Constraints of every segment, for the search: [segment_count]; borrowed until the next window. */
LNG_MUST_CHECK enum lng_status lng_demand_link(struct lng_demander *demander);
/* NULL where the segment has none. */
const struct lng_constraints *lng_demand_constraints(const struct lng_demander *demander,
                                                     size_t segment);

/* A hypothesis as it comes from the search. */
struct lng_demand_hypothesis {
    const int32_t *tokens; /* without a forced first token */
    size_t count;
    const float *weights;       /* [count, width], or NULL */
    size_t width, first_source; /* source ids; and how many of them are before the segment's text */
};
/* Appends the text to `rendered`: placeholders restored, unknown tokens replaced, and looks whether all is there. */
LNG_MUST_CHECK enum lng_status lng_demand_render(struct lng_demander *demander, size_t segment,
                                                 const struct lng_demand_hypothesis *hypothesis,
                                                 struct lng_range *text,
                                                 enum lng_demand_result *result);

#endif
