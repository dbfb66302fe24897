#include "host/documents/inline_xml.h"

#include <string.h>

#include "host/base/mem.h"

enum role { POINT, EXTENT, BEGIN, END };

static enum role role_of(const struct lng_document *document, const struct lng_xml_node *node)
{
#define LNG_INLINE(name, role)            \
    if (lng_xml_is(document, node, name)) \
        return role;
#include "host/documents/inline_xml.def"
#undef LNG_INLINE
    return POINT;
}

/* The number by which the two ends of an extent know each other; equal texts give equal numbers. */
static uint32_t pair_number(const struct lng_document *document, const struct lng_xml_node *node,
                            bool end)
{
    static const char *const names[] = {"startRef", "rid", "i", "id"};
    struct lng_slice value;
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        if ((n == 0 && !end) || !lng_xml_attribute(document, node, names[n], &value))
            continue;
        for (size_t i = 0; i < value.length; i++)
            hash = (hash ^ (unsigned char)value.data[i]) * 16777619u;
        break;
    }
    return hash % 0x3FFFFFFF + 0x40000000u; /* apart from numbers of elements, never 0 */
}

static bool is_protected(const struct lng_document *document, const struct lng_xml_node *node)
{
    return lng_xml_attribute_is(document, node, "mtype", "protected") ||
           lng_xml_attribute_is(document, node, "translate", "no");
}

enum lng_status lng_inline_add(struct lng_document *document, const struct lng_xml *xml,
                               size_t element)
{
    size_t parent_end = xml->nodes[element].after;
    for (size_t i = element + 1; i < parent_end;) {
        const struct lng_xml_node *node = &xml->nodes[i];
        enum role role = node->kind == LNG_XML_ELEMENT ? role_of(document, node) : POINT;
        bool segment = lng_xml_attribute_is(document, node, "mtype", "seg");
        enum lng_piece_kind open = segment ? LNG_PIECE_HARD : LNG_PIECE_OPEN;
        if (node->kind == LNG_XML_TEXT) {
            LNG_TRY(lng_document_add(document, LNG_PIECE_TEXT, node->begin, node->end,
                                     xml->text.data + node->visible, node->visible_length, 0));
        } else if (role == EXTENT && !is_protected(document, node) && node->close_end > node->end) {
            uint32_t pair = ++document->pairs;
            LNG_TRY(lng_document_add(document, open, node->begin, node->end, NULL, 0, pair));
            LNG_TRY(lng_inline_add(document, xml, i));
            LNG_TRY(lng_document_add(document, segment ? LNG_PIECE_HARD : LNG_PIECE_CLOSE,
                                     node->close_begin, node->close_end, NULL, 0, pair));
        } else if (role == BEGIN || role == END) {
            LNG_TRY(lng_document_add(document, role == BEGIN ? LNG_PIECE_OPEN : LNG_PIECE_CLOSE,
                                     node->begin, node->close_end, NULL, 0,
                                     pair_number(document, node, role == END)));
        } else {
            LNG_TRY(lng_document_add(document, LNG_PIECE_POINT, node->begin, node->close_end, NULL,
                                     0, 0));
        }
        i = node->after;
    }
    return LNG_OK;
}

enum lng_status lng_inline_append_tag(const struct lng_document *document,
                                      const struct lng_xml_node *element,
                                      const char *const *attributes, struct lng_buffer *out)
{
    const char *bytes = document->bytes;
    size_t end = element->end - 1, at = element->begin;
    while (end > at && strchr("/ \t\r\n", bytes[end - 1]) != NULL)
        end--;
    /* Values that are there are replaced where they stand; they are looked for in the order of the tag. */
    while (at < end) {
        const char *value = NULL;
        struct lng_slice old = {NULL, 0}, found;
        for (size_t i = 0; attributes[i] != NULL; i += 2)
            if (lng_xml_attribute(document, element, attributes[i], &found) &&
                (size_t)(found.data - bytes) >= at && (old.data == NULL || found.data < old.data)) {
                old = found;
                value = attributes[i + 1];
            }
        size_t until = old.data != NULL ? (size_t)(old.data - bytes) : end;
        LNG_TRY(lng_buffer_append(out, bytes + at, until - at));
        if (value != NULL)
            LNG_TRY(lng_buffer_append_text(out, value));
        at = until + old.length + (old.data != NULL && old.length == 0);
        if (old.data != NULL &&
            old.length == 0) /* the quote, so that an empty value is not found again */
            LNG_TRY(lng_buffer_append_byte(out, bytes[until]));
    }
    for (size_t i = 0; attributes[i] != NULL; i += 2) {
        struct lng_slice found;
        if (!lng_xml_attribute(document, element, attributes[i], &found))
            LNG_TRY(lng_buffer_append_format(out, " %s=\"%s\"", attributes[i], attributes[i + 1]));
    }
    return lng_buffer_append_byte(out, '>');
}

struct lng_slice lng_inline_indent(const struct lng_document *document,
                                   const struct lng_xml_node *element)
{
    const char *bytes = document->bytes;
    size_t at = element->begin;
    while (at > 0 && (bytes[at - 1] == ' ' || bytes[at - 1] == '\t'))
        at--;
    if (at == 0 || bytes[at - 1] != '\n')
        return (struct lng_slice){bytes, 0};
    at -= at > 1 && bytes[at - 2] == '\r' ? 2 : 1;
    return (struct lng_slice){bytes + at, element->begin - at};
}

bool lng_same_language(struct lng_slice one, struct lng_slice other)
{
    size_t length = one.length < other.length ? one.length : other.length;
    struct lng_slice longer = one.length < other.length ? other : one;
    return length > 0 && strncasecmp(one.data, other.data, length) == 0 &&
           (longer.length == length || longer.data[length] == '-' || longer.data[length] == '_');
}

void lng_inline_set_language(struct lng_document *document, struct lng_slice language)
{
    if (language.length == 0 || language.length >= sizeof document->language ||
        document->language[0] != '\0')
        return;
    memcpy(document->language, language.data, language.length);
    document->language[language.length] = '\0';
}
