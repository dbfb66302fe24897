/* lingster translate for documents: a file whose text is translated and whose rest stays (host/documents). */
#ifndef LNG_HOST_CLI_TRANSLATE_DOCUMENT_H
#define LNG_HOST_CLI_TRANSLATE_DOCUMENT_H

#include "host/config/options.h"
#include "host/documents/translate_units.h"
#include "host/infer/translate.h"

/* What --format and --input say; TEXT for what is translated line by line. */
enum lng_opt_document_format lng_document_format_option(const struct lng_options *options);

/* An lng_translate_lines; the context is a struct lng_translator with hard alignment. */
enum lng_status lng_translate_document_lines(void *translator, const struct lng_slice *lines,
                                             size_t count, struct lng_translations *translations);

/* Translates the document --input to --output, which is written when all is done. `search` is what the options say of
 * the search; what is put out and how is not used. */
LNG_MUST_CHECK enum lng_status
lng_translate_document_option(const struct lng_options *options,
                              enum lng_opt_document_format format,
                              const struct lng_translate_options *search);

#endif
