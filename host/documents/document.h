/* A document: its bytes, and the units of text in them that are to be translated.
 *
 * A reader (formats.h) finds the units and what each consists of: pieces, ranges of the document's bytes.
 * lng_document_translate (translate_units.h) gives each unit its new bytes; lng_document_write puts them in
 * their places. Every byte that no edit names is written as it was read. */
#ifndef LNG_HOST_DOCUMENTS_DOCUMENT_H
#define LNG_HOST_DOCUMENTS_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/base/text.h"

/* How text is spelt in the document's bytes. */
enum lng_encoding {
    LNG_ENCODING_CELL,          /* no tab, no line end */
    LNG_ENCODING_XML,           /* & < > as entities; HTML too */
    LNG_ENCODING_ATTRIBUTE,     /* quotes too */
    LNG_ENCODING_PO,            /* C escapes */
    LNG_ENCODING_SUBRIP,        /* no "-->" */
    LNG_ENCODING_WEBVTT,        /* the same, and entities */
    LNG_ENCODING_MARKDOWN,      /* backslashes before what would be markup */
    LNG_ENCODING_MARKDOWN_CELL, /* | too */
};

enum lng_piece_kind {
    LNG_PIECE_TEXT,
    LNG_PIECE_OPEN, /* markup that begins an extent, and the one that ends it: `pair` is the same number */
    LNG_PIECE_CLOSE,
    LNG_PIECE_POINT, /* markup at one place */
    LNG_PIECE_KEEP,  /* stays as it is and is part of the sentence, as `code` is */
    LNG_PIECE_BREAK, /* a line ends, the sentence does not; counts as a space */
    LNG_PIECE_HARD,  /* what is before it and what is after it are translated apart */
};

struct lng_piece {
    enum lng_piece_kind kind;
    uint32_t pair;
    size_t begin, end; /* of the document's bytes */
    /* Of TEXT and KEEP: what it says, entities and escapes resolved, in document->visible. */
    size_t visible, visible_length;
};

struct lng_document_unit {
    size_t piece, piece_count;
    enum lng_encoding encoding;
    size_t result, result_length; /* in document->results, after translation */
    bool translated;              /* the result differs from the source */
};

/* Replaces bytes [begin, end) by before + the unit's result + after. */
struct lng_edit {
    size_t begin, end, order;
    size_t before, before_length, after, after_length; /* in document->extra */
    size_t unit;                                       /* SIZE_MAX = none */
    bool in_place; /* the bytes stay when the unit's text does */
};

struct lng_document {
    const char *name;  /* for messages; borrowed */
    const char *bytes; /* borrowed */
    size_t size;
    char language[16]; /* of the source, as the document says it; "" = it does not say */
    struct lng_piece *pieces;
    struct lng_document_unit *units;
    struct lng_edit *edits;
    size_t piece_count, piece_capacity, unit_count, unit_capacity, edit_count, edit_capacity;
    struct lng_buffer visible, extra, results;
    uint32_t pairs; /* numbers given to pairs so far */
    uint64_t
        skipped; /* rows, cues or entries that a reader left alone because they are not what they should be */
};

/* Both strings are borrowed and must outlive it. */
void lng_document_init(struct lng_document *document, const char *name, const char *bytes,
                       size_t size);
/* Fine on a zeroed one. */
void lng_document_release(struct lng_document *document);

/* ---- for readers ---- */

LNG_MUST_CHECK enum lng_status lng_document_begin_unit(struct lng_document *document,
                                                       enum lng_encoding encoding);
/* To the unit begun last. Ranges rise; empty ones are left out. visible: of TEXT and KEEP, NULL = the bytes. */
LNG_MUST_CHECK enum lng_status lng_document_add(struct lng_document *document,
                                                enum lng_piece_kind kind, size_t begin, size_t end,
                                                const char *visible, size_t visible_length,
                                                uint32_t pair);
/* Ends it; the translation takes its place. Left out when it says nothing that can be translated. */
LNG_MUST_CHECK enum lng_status lng_document_end_unit(struct lng_document *document);
/* Ends it; the translation goes to [begin, end), between the two texts (NULL = none). Never left out. */
LNG_MUST_CHECK enum lng_status lng_document_end_unit_at(struct lng_document *document, size_t begin,
                                                        size_t end, const char *before,
                                                        const char *after);
/* Replaces bytes whatever the translation. */
LNG_MUST_CHECK enum lng_status lng_document_edit(struct lng_document *document, size_t begin,
                                                 size_t end, const char *text, size_t length);

/* LNG_ERR_FORMAT unless the bytes are text: no NUL, no UTF-16, and UTF-8 where `strict`. */
LNG_MUST_CHECK enum lng_status lng_document_check_text(const struct lng_document *document,
                                                       bool strict);
/* 3 when the bytes begin with UTF-8's byte order mark, else 0. */
size_t lng_document_mark(const struct lng_document *document);
/* 1 for the first line. */
size_t lng_document_line(const struct lng_document *document, size_t offset);

/* Is there a letter in it? What has none (numbers, rules of dashes) is not translated. */
bool lng_text_has_letter(const char *text, size_t length);

/* ---- the result ---- */

/* Appends the document with the results of its units. LNG_ERR_INTERNAL when edits overlap. */
LNG_MUST_CHECK enum lng_status lng_document_write(struct lng_document *document,
                                                  struct lng_buffer *out);

#endif
