/* XLIFF 1.2 (OASIS 2008) and 2.x (OASIS 2014): <source> is read, <target> filled. */
#include <string.h>

#include "host/base/mem.h"
#include "host/documents/formats.h"
#include "host/documents/inline_xml.h"

struct xliff {
    struct lng_document *document;
    const struct lng_read_options *options;
    struct lng_xml xml;
    bool second; /* version 2 */
};

static const struct lng_xml_node *node_at(const struct xliff *x, size_t i)
{
    return &x->xml.nodes[i];
}

/* Is the translation still to be made, by the state that its unit is in? */
static bool is_initial(const struct xliff *x, size_t unit, size_t target)
{
    if (target == SIZE_MAX || lng_xml_is_empty(&x->xml, target))
        return true;
    if (x->second)
        return lng_xml_attribute_is(x->document, node_at(x, unit), "state", "initial");
    return lng_xml_attribute_is(x->document, node_at(x, target), "state", "new") ||
           lng_xml_attribute_is(x->document, node_at(x, target), "state", "needs-translation");
}

/* Ends the unit: into the target's place, or behind `anchor` when there is none. */
static enum lng_status put_target(struct xliff *x, size_t anchor, size_t target)
{
    static const char *const review[] = {"state", "needs-review-translation", "state-qualifier",
                                         "mt-suggestion", NULL};
    static const char *const done[] = {"state", "translated", NULL}, *const none[] = {NULL};
    const char *const *attributes = x->second ? none : x->options->review ? review : done;
    const struct lng_xml_node *source = node_at(x, anchor);
    const struct lng_xml_node *old = target != SIZE_MAX ? node_at(x, target) : NULL;
    const struct lng_slice prefix = lng_xml_prefix(x->document, old != NULL ? old : source);
    struct lng_buffer before = {0}, after = {0};
    size_t begin = source->close_end, end = begin;
    enum lng_status status;
    if (old != NULL) {
        begin = old->begin;
        end = old->close_end;
        LNG_TRY_OR_FAIL(lng_inline_append_tag(x->document, old, attributes, &before));
    } else {
        struct lng_slice indent = lng_inline_indent(x->document, source);
        LNG_TRY_OR_FAIL(lng_buffer_append(&before, indent.data, indent.length));
        LNG_TRY_OR_FAIL(
            lng_buffer_append_format(&before, "<%.*starget", (int)prefix.length, prefix.data));
        for (size_t i = 0; attributes[i] != NULL; i += 2)
            LNG_TRY_OR_FAIL(
                lng_buffer_append_format(&before, " %s=\"%s\"", attributes[i], attributes[i + 1]));
        LNG_TRY_OR_FAIL(lng_buffer_append_byte(&before, '>'));
    }
    LNG_TRY_OR_FAIL(
        lng_buffer_append_format(&after, "</%.*starget>", (int)prefix.length, prefix.data));
    status = lng_document_end_unit_at(x->document, begin, end, before.data, after.data);
fail:
    lng_buffer_release(&before);
    lng_buffer_release(&after);
    return status;
}

/* Sets attributes in the tag of an element that keeps its content, or has none. */
static enum lng_status set_attributes(struct xliff *x, const struct lng_xml_node *element,
                                      const char *const *attributes)
{
    struct lng_buffer tag = {0};
    enum lng_status status = lng_inline_append_tag(x->document, element, attributes, &tag);
    if (status == LNG_OK && x->document->bytes[element->end - 2] == '/') {
        tag.length--;
        status = lng_buffer_append_text(&tag, "/>");
    }
    if (status == LNG_OK)
        status = lng_document_edit(x->document, element->begin, element->end, tag.data, tag.length);
    lng_buffer_release(&tag);
    return status;
}

/* A <trans-unit> of version 1.2, a <segment> of version 2. */
static enum lng_status read_unit(struct xliff *x, size_t unit)
{
    static const char *const translated[] = {"state", "translated", NULL};
    struct lng_document *document = x->document;
    size_t source = lng_xml_child(document, &x->xml, unit, "source");
    size_t cut = x->second ? SIZE_MAX : lng_xml_child(document, &x->xml, unit, "seg-source");
    size_t target = lng_xml_child(document, &x->xml, unit, "target");
    size_t from = cut != SIZE_MAX ? cut : source;
    if (source == SIZE_MAX) {
        document->skipped++;
        return LNG_OK;
    }
    if (!is_initial(x, unit, target) || lng_xml_is_empty(&x->xml, from) ||
        (!x->second && lng_xml_attribute_is(document, node_at(x, unit), "approved", "yes")))
        return LNG_OK;
    if (x->second)
        LNG_TRY(set_attributes(x, node_at(x, unit), translated));
    LNG_TRY(lng_document_begin_unit(document, LNG_ENCODING_XML));
    LNG_TRY(lng_inline_add(document, &x->xml, from));
    return put_target(x, from, target);
}

/* <xliff trgLang> of version 2, without which targets are not allowed, and <file target-language> of 1.2. */
static enum lng_status check_language(struct xliff *x, const struct lng_xml_node *element)
{
    const char *source_name = x->second ? "srcLang" : "source-language";
    const char *target_name = x->second ? "trgLang" : "target-language";
    const char *language = x->options->target_language;
    const char *const attributes[] = {target_name, language, NULL};
    struct lng_slice found;
    if (lng_xml_attribute(x->document, element, source_name, &found))
        lng_inline_set_language(x->document, found);
    if (lng_xml_attribute(x->document, element, target_name, &found)) {
        LNG_FAIL_IF(language != NULL && !lng_same_language(found, lng_slice_of(language)),
                    LNG_ERR_USAGE,
                    "%s: line %zu: expected %s=\"%s\" as --document-target says, found \"%.*s\"",
                    x->document->name, lng_document_line(x->document, element->begin), target_name,
                    language, (int)(found.length < 40 ? found.length : 40), found.data);
        return LNG_OK;
    }
    LNG_FAIL_IF(
        x->second && language == NULL, LNG_ERR_USAGE,
        "%s: line %zu: expected trgLang, found none; name the language with --document-target",
        x->document->name, lng_document_line(x->document, element->begin));
    return language != NULL ? set_attributes(x, element, attributes) : LNG_OK;
}

static enum lng_status read_all(struct xliff *x)
{
    const char *unit = x->second ? "segment" : "trans-unit", *head = x->second ? "xliff" : "file";
    for (size_t i = 0; i < x->xml.count;) {
        const struct lng_xml_node *node = node_at(x, i);
        if (node->kind == LNG_XML_ELEMENT &&
            lng_xml_attribute_is(x->document, node, "translate", "no")) {
            i = node->after;
            continue;
        }
        if (lng_xml_is(x->document, node, head))
            LNG_TRY(check_language(x, node));
        bool found = lng_xml_is(x->document, node, unit);
        if (found)
            LNG_TRY(read_unit(x, i));
        i = found ? node->after : i + 1;
    }
    return LNG_OK;
}

enum lng_status lng_read_xliff(struct lng_document *document,
                               const struct lng_read_options *options)
{
    struct xliff x = {.document = document, .options = options};
    struct lng_slice version = {NULL, 0};
    LNG_TRY(lng_xml_parse(document, &x.xml));
    bool root = x.xml.count > 0 && lng_xml_is(document, &x.xml.nodes[0], "xliff") &&
                lng_xml_attribute(document, &x.xml.nodes[0], "version", &version) &&
                version.length > 0 && (version.data[0] == '1' || version.data[0] == '2');
    enum lng_status status;
    LNG_GOTO_FAIL_IF(!root, LNG_ERR_FORMAT,
                     "%s: expected <xliff version=\"1.2\"> or 2.x, found something else",
                     document->name);
    x.second = version.data[0] == '2';
    status = read_all(&x);
fail:
    lng_xml_release(&x.xml);
    return status;
}
