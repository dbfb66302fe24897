/* TMX 1.4b (LISA 2005): a variant <tuv> in the target language is filled, or added behind that of the source. */
#include <string.h>

#include "host/base/mem.h"
#include "host/documents/formats.h"
#include "host/documents/inline_xml.h"

struct tmx {
    struct lng_document *document;
    struct lng_xml xml;
    struct lng_slice source, target; /* languages */
};

/* The variant of a unit in a language; SIZE_MAX when there is none. */
static size_t find_variant(const struct tmx *tmx, size_t unit, struct lng_slice language)
{
    const struct lng_xml *xml = &tmx->xml;
    struct lng_slice found;
    for (size_t i = unit + 1; i < xml->nodes[unit].after; i = xml->nodes[i].after)
        if (lng_xml_is(tmx->document, &xml->nodes[i], "tuv") &&
            lng_xml_attribute(tmx->document, &xml->nodes[i], "lang", &found) &&
            lng_same_language(found, language))
            return i;
    return SIZE_MAX;
}

static enum lng_status append_tag(struct lng_buffer *buffer, const char *begin,
                                  struct lng_slice prefix, const char *rest)
{
    return lng_buffer_append_format(buffer, "%s%.*s%s", begin, (int)prefix.length, prefix.data,
                                    rest);
}

/* A new variant, laid out and named as the one of the source is. */
static enum lng_status add_variant(struct tmx *tmx, size_t variant, size_t segment)
{
    struct lng_document *document = tmx->document;
    const struct lng_xml_node *tuv = &tmx->xml.nodes[variant], *seg = &tmx->xml.nodes[segment];
    struct lng_slice outer = lng_inline_indent(document, tuv);
    struct lng_slice inner = lng_inline_indent(document, seg);
    struct lng_xml_node close = {.begin = tuv->close_begin};
    struct lng_slice last = lng_inline_indent(document, &close);
    const struct lng_slice tuv_prefix = lng_xml_prefix(document, tuv);
    const struct lng_slice seg_prefix = lng_xml_prefix(document, seg);
    struct lng_buffer before = {0}, after = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_buffer_append(&before, outer.data, outer.length));
    LNG_TRY_OR_FAIL(append_tag(&before, "<", tuv_prefix, "tuv"));
    LNG_TRY_OR_FAIL(lng_buffer_append_format(&before, " xml:lang=\"%.*s\">",
                                             (int)tmx->target.length, tmx->target.data));
    LNG_TRY_OR_FAIL(lng_buffer_append(&before, inner.data, inner.length));
    LNG_TRY_OR_FAIL(append_tag(&before, "<", seg_prefix, "seg>"));
    LNG_TRY_OR_FAIL(append_tag(&after, "</", seg_prefix, "seg>"));
    LNG_TRY_OR_FAIL(lng_buffer_append(&after, last.data, last.length));
    LNG_TRY_OR_FAIL(append_tag(&after, "</", tuv_prefix, "tuv>"));
    status =
        lng_document_end_unit_at(document, tuv->close_end, tuv->close_end, before.data, after.data);
fail:
    lng_buffer_release(&before);
    lng_buffer_release(&after);
    return status;
}

static enum lng_status read_unit(struct tmx *tmx, size_t unit)
{
    static const char *const none[] = {NULL};
    struct lng_document *document = tmx->document;
    struct lng_slice language = tmx->source, own;
    if (lng_xml_attribute(document, &tmx->xml.nodes[unit], "srclang", &own) &&
        !lng_slice_equals(own, "*all*"))
        language = own;
    size_t source = find_variant(tmx, unit, language);
    size_t target = find_variant(tmx, unit, tmx->target);
    size_t from = source != SIZE_MAX ? lng_xml_child(document, &tmx->xml, source, "seg") : SIZE_MAX;
    size_t to = target != SIZE_MAX ? lng_xml_child(document, &tmx->xml, target, "seg") : SIZE_MAX;
    if (from == SIZE_MAX || target == source || (target != SIZE_MAX && to == SIZE_MAX)) {
        document->skipped++;
        return LNG_OK;
    }
    if ((to != SIZE_MAX && !lng_xml_is_empty(&tmx->xml, to)) || lng_xml_is_empty(&tmx->xml, from))
        return LNG_OK;
    LNG_TRY(lng_document_begin_unit(document, LNG_ENCODING_XML));
    LNG_TRY(lng_inline_add(document, &tmx->xml, from));
    if (to == SIZE_MAX)
        return add_variant(tmx, source, from);
    const struct lng_xml_node *seg = &tmx->xml.nodes[to];
    struct lng_buffer before = {0}, after = {0};
    enum lng_status status = lng_inline_append_tag(document, seg, none, &before);
    if (status == LNG_OK)
        status = append_tag(&after, "</", lng_xml_prefix(document, seg), "seg>");
    if (status == LNG_OK)
        status =
            lng_document_end_unit_at(document, seg->begin, seg->close_end, before.data, after.data);
    lng_buffer_release(&before);
    lng_buffer_release(&after);
    return status;
}

static enum lng_status find_languages(struct tmx *tmx, const struct lng_read_options *options)
{
    const struct lng_document *document = tmx->document;
    const struct lng_xml *xml = &tmx->xml;
    LNG_FAIL_IF(xml->count == 0 || !lng_xml_is(document, &xml->nodes[0], "tmx"), LNG_ERR_FORMAT,
                "%s: expected <tmx>, found something else", document->name);
    size_t header = lng_xml_child(document, xml, 0, "header");
    if (options->source_language != NULL)
        tmx->source = lng_slice_of(options->source_language);
    else if (header == SIZE_MAX ||
             !lng_xml_attribute(document, &xml->nodes[header], "srclang", &tmx->source) ||
             lng_slice_equals(tmx->source, "*all*"))
        return lng_fail(LNG_ERR_USAGE,
                        "%s: expected a language in srclang of <header>, found none; "
                        "name it with --document-source",
                        document->name);
    LNG_FAIL_IF(options->target_language == NULL, LNG_ERR_USAGE,
                "%s: TMX does not say into which language; name it with --document-target",
                document->name);
    tmx->target = lng_slice_of(options->target_language);
    return LNG_OK;
}

enum lng_status lng_read_tmx(struct lng_document *document, const struct lng_read_options *options)
{
    struct tmx tmx = {.document = document};
    enum lng_status status;
    LNG_TRY(lng_xml_parse(document, &tmx.xml));
    LNG_TRY_OR_FAIL(find_languages(&tmx, options));
    lng_inline_set_language(document, tmx.source);
    for (size_t i = 0; i < tmx.xml.count;) {
        bool unit = lng_xml_is(document, &tmx.xml.nodes[i], "tu");
        if (unit)
            LNG_TRY_OR_FAIL(read_unit(&tmx, i));
        i = unit ? tmx.xml.nodes[i].after : i + 1;
    }
fail:
    lng_xml_release(&tmx.xml);
    return status;
}
