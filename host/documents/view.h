/* A segment: pieces between two hard breaks, seen as one running text with markup at places in it. */
#ifndef LNG_HOST_DOCUMENTS_VIEW_H
#define LNG_HOST_DOCUMENTS_VIEW_H

#include "host/documents/protect.h"
#include "tokenizer/sentence.h"

/* How a segment is shown to the translator; each is tried when the one before it failed. */
enum lng_view_mode {
    LNG_VIEW_WHOLE,  /* all its text, placeholders too; markup is placed in the translation */
    LNG_VIEW_MASKED, /* the same without the placeholders, which are placed as markup is */
    LNG_VIEW_RUNS,   /* each run between markup or placeholders apart: nothing has to be placed */
};

struct lng_item {
    enum lng_piece_kind kind;
    uint32_t pair;
    struct lng_slice raw;  /* as it is written; of TEXT: what it says */
    struct lng_slice seen; /* of TEXT and KEEP: what it says */
    bool encode;           /* raw is what it says, and is still to be spelt */
    bool space_before, space_after;
    bool word_before, word_after; /* letters or digits touch it */
    bool joined;       /* there was no space around it, and the text has one in its place */
    size_t begin, end; /* in the view's text */
    size_t close;      /* of OPEN, until the view is open: the item that closes it */
};

struct lng_segment_view {
    enum lng_view_mode mode;
    struct lng_buffer text; /* white space is one space, none at the ends of a run */
    struct lng_segments
        sentences; /* of the text, in order; they do not hold the space that follows them */
    struct lng_item *items;
    size_t item_count, item_capacity;
    size_t first,
        last; /* items before and from here on are white space alone, written as they are */
    uint32_t pairs;
};

/* What looks at texts, for all views of a document; borrowed. */
struct lng_view_tools {
    struct lng_sentences *sentences;
    struct lng_protector *protector;
};

/* The pieces [begin, end) of the document in a mode; a segment whose markup does not nest is seen in runs. The
 * document must not change while the view lives. */
LNG_MUST_CHECK enum lng_status lng_view_open(struct lng_segment_view *view,
                                             const struct lng_document *document, size_t begin,
                                             size_t end, enum lng_view_mode mode,
                                             const struct lng_view_tools *tools);
/* Fine on a zeroed one. */
void lng_view_release(struct lng_segment_view *view);

bool lng_is_space(char c);
/* A letter, a digit, or part of a character beyond ASCII. */
bool lng_is_word(char c);

#endif
