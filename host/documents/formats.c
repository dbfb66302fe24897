#include "host/documents/formats.h"

#include <string.h>

#include "host/base/file.h"

typedef enum lng_status (*reader)(struct lng_document *document,
                                  const struct lng_read_options *options);

static const struct format {
    enum lng_opt_document_format format;
    const char *extensions;
    reader read;
} formats[] = {
#define LNG_FORMAT(name, extensions, read) {LNG_OPT_DOCUMENT_FORMAT_##name, extensions, read},
#include "host/documents/formats.def"
#undef LNG_FORMAT
};

struct lng_read_options lng_read_options_default(void)
{
    return (struct lng_read_options){.column = 1, .review = true, .attributes = true};
}

enum lng_opt_document_format lng_document_format_of(const char *path)
{
    const char *dot = path != NULL ? strrchr(lng_path_name(path), '.') : NULL;
    for (size_t i = 0; dot != NULL && i < sizeof formats / sizeof formats[0]; i++) {
        struct lng_slice rest = lng_slice_of(formats[i].extensions), word;
        while (lng_text_next_word(&rest, &word))
            if (strlen(dot + 1) == word.length && strncasecmp(dot + 1, word.data, word.length) == 0)
                return formats[i].format;
    }
    return LNG_OPT_DOCUMENT_FORMAT_TEXT;
}

enum lng_status lng_document_read(struct lng_document *document,
                                  enum lng_opt_document_format format,
                                  const struct lng_read_options *options)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].format == format)
            return formats[i].read(document, options);
    return lng_fail(LNG_ERR_INTERNAL, "%s: no reader for document format %d", document->name,
                    (int)format);
}

static enum lng_status translate_with(reader read, const char *name, struct lng_slice bytes,
                                      const struct lng_read_options *options,
                                      lng_translate_lines translate, void *context,
                                      struct lng_buffer *out, struct lng_document_stats *stats,
                                      uint64_t *skipped)
{
    struct lng_document document;
    struct lng_document_stats more;
    enum lng_status status;
    lng_document_init(&document, name, bytes.data, bytes.length);
    LNG_TRY_OR_FAIL(read(&document, options));
    LNG_TRY_OR_FAIL(
        lng_document_translate(&document, options->source_language, translate, context, &more));
    LNG_TRY_OR_FAIL(lng_document_write(&document, out));
    stats->units += more.units;
    stats->lines += more.lines;
    stats->masked += more.masked;
    stats->runs += more.runs;
    stats->kept += more.kept;
    *skipped += document.skipped;
fail:
    lng_document_release(&document);
    return status;
}

enum lng_status lng_translate_document(const char *name, const char *bytes, size_t size,
                                       enum lng_opt_document_format format,
                                       const struct lng_read_options *options,
                                       lng_translate_lines translate, void *context,
                                       struct lng_buffer *out, struct lng_document_stats *stats,
                                       uint64_t *skipped)
{
    struct lng_document_stats ignored = {0};
    uint64_t ignored_count = 0;
    struct lng_buffer first = {0};
    struct lng_slice text = {bytes, size};
    reader read = NULL;
    enum lng_status status = LNG_OK;
    stats = stats != NULL ? stats : &ignored;
    skipped = skipped != NULL ? skipped : &ignored_count;
    *stats = ignored;
    *skipped = 0;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        read = formats[i].format == format ? formats[i].read : read;
    LNG_FAIL_IF(read == NULL, LNG_ERR_INTERNAL, "%s: no reader for document format %d", name,
                (int)format);
    /* Tags may lie inside a unit, so their attributes come first. */
    if (format == LNG_OPT_DOCUMENT_FORMAT_HTML && options->attributes) {
        LNG_TRY_OR_FAIL(translate_with(lng_read_html_attributes, name, text, options, translate,
                                       context, &first, stats, skipped));
        text = (struct lng_slice){first.data, first.length};
    }
    status = translate_with(read, name, text, options, translate, context, out, stats, skipped);
fail:
    lng_buffer_release(&first);
    return status;
}
