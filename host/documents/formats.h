/* The formats: a reader each, and all of it in one call. */
#ifndef LNG_HOST_DOCUMENTS_FORMATS_H
#define LNG_HOST_DOCUMENTS_FORMATS_H

#include "host/config/options.h"
#include "host/documents/translate_units.h"

struct lng_read_options {
    const char *source_language, *target_language; /* "de", "pt-BR"; NULL = as the document says */
    int column, target_column;                     /* TSV, from 1; target 0 = the column itself */
    bool review;     /* PO, XLIFF: what is filled is marked for review */
    bool attributes; /* HTML: those that are shown too (alt, title, ...) */
};
/* Column 1 in its place, for review, attributes too. */
struct lng_read_options lng_read_options_default(void);

/* By the extension; TEXT when it is none of a document's, and for NULL and "-". */
enum lng_opt_document_format lng_document_format_of(const char *path);

/* Finds the units of an initialised document. LNG_ERR_FORMAT, with the line, when the bytes are not what the format
 * says; LNG_ERR_USAGE when a language is needed that neither document nor options name. */
LNG_MUST_CHECK enum lng_status lng_document_read(struct lng_document *document,
                                                 enum lng_opt_document_format format,
                                                 const struct lng_read_options *options);

/* Reads, translates and appends the translated document. skipped: see struct lng_document; stats and it may be NULL. */
LNG_MUST_CHECK enum lng_status
lng_translate_document(const char *name, const char *bytes, size_t size,
                       enum lng_opt_document_format format, const struct lng_read_options *options,
                       lng_translate_lines translate, void *context, struct lng_buffer *out,
                       struct lng_document_stats *stats, uint64_t *skipped);

/* A cell of every row is a unit; rows that are too short stay as they are. */
LNG_MUST_CHECK enum lng_status lng_read_tsv(struct lng_document *document,
                                            const struct lng_read_options *options);
/* GNU gettext: entries without a translation, or with a fuzzy one, are filled. Each line of a message is translated
 * by itself; msgstr[0] comes from msgid, the others from msgid_plural, and the only one of a language without
 * numbers too. */
LNG_MUST_CHECK enum lng_status lng_read_po(struct lng_document *document,
                                           const struct lng_read_options *options);
/* XLIFF 1.2 and 2: units without target, with an empty one, or with one in an initial state are filled. */
LNG_MUST_CHECK enum lng_status lng_read_xliff(struct lng_document *document,
                                              const struct lng_read_options *options);
/* TMX 1.4: units get a variant in the target language where they have none, or an empty one. */
LNG_MUST_CHECK enum lng_status lng_read_tmx(struct lng_document *document,
                                            const struct lng_read_options *options);
/* Subtitles: the text of each cue is a unit. */
LNG_MUST_CHECK enum lng_status lng_read_srt(struct lng_document *document,
                                            const struct lng_read_options *options);
LNG_MUST_CHECK enum lng_status lng_read_vtt(struct lng_document *document,
                                            const struct lng_read_options *options);
/* The text of each block; not that of script, style, pre, textarea, nor what translate="no" excludes. */
LNG_MUST_CHECK enum lng_status lng_read_html(struct lng_document *document,
                                             const struct lng_read_options *options);
/* The shown attributes alone. */
LNG_MUST_CHECK enum lng_status lng_read_html_attributes(struct lng_document *document,
                                                        const struct lng_read_options *options);
/* CommonMark with tables: the text of each block; not code, HTML blocks, front matter. */
LNG_MUST_CHECK enum lng_status lng_read_markdown(struct lng_document *document,
                                                 const struct lng_read_options *options);

#endif
