/* lingster translate for documents: a file whose text is translated and whose rest stays (host/documents). */
#ifndef LNG_HOST_CLI_TRANSLATE_DOCUMENT_H
#define LNG_HOST_CLI_TRANSLATE_DOCUMENT_H

#include "host/config/options.h"
#include "host/cli/translate_files.h"
#include "host/documents/translate_units.h"
#include "host/infer/translate.h"

/* Whether --format and the names of the inputs say that they are documents. LNG_ERR_USAGE when some are and some
 * are text, or when options are given that are for text alone. */
LNG_MUST_CHECK enum lng_status
lng_translate_documents_named(const struct lng_options *options,
                              const struct lng_translate_files *files, bool *documents);

/* An lng_translate_lines; the context is a struct lng_translator with hard alignment. */
enum lng_status lng_translate_document_lines(void *translator, const struct lng_slice *lines,
                                             size_t count, struct lng_translations *translations);

/* Translates documents, one after another; each is written when all of it is done. */
LNG_MUST_CHECK enum lng_status lng_translate_documents(const struct lng_options *options,
                                                       const struct lng_translate_files *files);

#endif
