#include "host/documents/xml_nodes.h"

#include <expat.h>
#include <string.h>

#include "host/base/mem.h"

enum { DEEPEST = 256, LARGEST = 1 << 30 };

struct parse {
    const struct lng_document *document;
    struct lng_xml *xml;
    XML_Parser parser;
    enum lng_status status;
    size_t open[DEEPEST], depth;
    bool cdata;
};

void lng_xml_release(struct lng_xml *xml)
{
    lng_free(xml->nodes);
    lng_buffer_release(&xml->text);
    *xml = (struct lng_xml){0};
}

static size_t event_begin(const struct parse *parse)
{
    return (size_t)XML_GetCurrentByteIndex(parse->parser);
}

static size_t event_end(const struct parse *parse)
{
    return event_begin(parse) + (size_t)XML_GetCurrentByteCount(parse->parser);
}

static void stop(struct parse *parse, enum lng_status status)
{
    parse->status = status;
    (void)XML_StopParser(parse->parser, XML_FALSE);
}

static enum lng_status refuse(const struct parse *parse, const char *expected, const char *found)
{
    return lng_fail(LNG_ERR_FORMAT, "%s: line %lu: expected %s, found %s", parse->document->name,
                    (unsigned long)XML_GetCurrentLineNumber(parse->parser), expected, found);
}

static struct lng_xml_node *add_node(struct parse *parse, enum lng_xml_kind kind)
{
    struct lng_xml *xml = parse->xml;
    enum lng_status status =
        lng_grow(&xml->nodes, &xml->capacity, xml->count + 1, sizeof *xml->nodes);
    if (status != LNG_OK) {
        stop(parse, status);
        return NULL;
    }
    struct lng_xml_node *node = &xml->nodes[xml->count++];
    *node =
        (struct lng_xml_node){.kind = kind,
                              .begin = event_begin(parse),
                              .end = event_end(parse),
                              .parent = parse->depth > 0 ? parse->open[parse->depth - 1] : SIZE_MAX,
                              .after = xml->count,
                              .visible = xml->text.length};
    node->close_begin = node->close_end = node->end;
    return node;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct parse *parse = context;
    const char *bytes = parse->document->bytes;
    (void)name;
    (void)attributes;
    if (parse->status != LNG_OK)
        return;
    if (parse->depth == DEEPEST) {
        stop(parse, refuse(parse, "elements nested 256 deep at most", "more"));
        return;
    }
    struct lng_xml_node *node = add_node(parse, LNG_XML_ELEMENT);
    if (node == NULL)
        return;
    size_t at = node->begin + 1;
    node->name = at;
    for (; at < node->end && strchr(" \t\r\n/>", bytes[at]) == NULL; at++)
        node->name = bytes[at] == ':' ? at + 1 : node->name;
    node->name_length = at - node->name;
    parse->open[parse->depth++] = parse->xml->count - 1;
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
    struct parse *parse = context;
    (void)name;
    if (parse->status != LNG_OK)
        return;
    struct lng_xml_node *node = &parse->xml->nodes[parse->open[--parse->depth]];
    node->after = parse->xml->count;
    if (parse->document->bytes[node->end - 2] != '/') {
        node->close_begin = event_begin(parse);
        node->close_end = event_end(parse);
    }
}

/* The text node that what comes now belongs to. */
static struct lng_xml_node *text_node(struct parse *parse)
{
    struct lng_xml *xml = parse->xml;
    struct lng_xml_node *last = xml->count > 0 ? &xml->nodes[xml->count - 1] : NULL;
    if (last != NULL && last->kind == LNG_XML_TEXT &&
        (parse->cdata || last->end == event_begin(parse)))
        return last;
    return add_node(parse, LNG_XML_TEXT);
}

static void XMLCALL on_text(void *context, const XML_Char *text, int length)
{
    struct parse *parse = context;
    struct lng_xml_node *node = parse->status == LNG_OK ? text_node(parse) : NULL;
    if (node == NULL)
        return;
    enum lng_status status = lng_buffer_append(&parse->xml->text, text, (size_t)length);
    if (status != LNG_OK)
        stop(parse, status);
    node->end = node->close_begin = node->close_end = event_end(parse);
    node->visible_length = parse->xml->text.length - node->visible;
}

static void XMLCALL on_cdata_start(void *context)
{
    struct parse *parse = context;
    if (parse->status == LNG_OK && text_node(parse) != NULL)
        parse->cdata = true;
}

static void XMLCALL on_cdata_end(void *context)
{
    struct parse *parse = context;
    if (parse->status != LNG_OK)
        return;
    struct lng_xml_node *node = text_node(parse);
    node->end = node->close_begin = node->close_end = event_end(parse);
    parse->cdata = false;
}

static void XMLCALL on_other(void *context, const XML_Char *text, int length)
{
    struct parse *parse = context;
    (void)text;
    (void)length;
    if (parse->status == LNG_OK && parse->depth > 0)
        (void)add_node(parse, LNG_XML_OTHER);
}

static void XMLCALL on_declaration(void *context, const XML_Char *version, const XML_Char *encoding,
                                   int standalone)
{
    struct parse *parse = context;
    (void)version;
    (void)standalone;
    if (encoding != NULL && strcasecmp(encoding, "utf-8") != 0)
        stop(parse, refuse(parse, "encoding=\"UTF-8\"",
                           "another encoding; convert the file, its declaration too"));
}

static void XMLCALL on_entity(void *context, const XML_Char *name, int parameter,
                              const XML_Char *value, int length, const XML_Char *base,
                              const XML_Char *system, const XML_Char *public_id,
                              const XML_Char *notation)
{
    (void)name, (void)parameter, (void)value, (void)length, (void)base, (void)system;
    (void)public_id, (void)notation;
    stop(context,
         refuse(context, "no entities of its own in the file",
                "<!ENTITY, which is refused: it may stand for other files or for a great deal"));
}

static enum lng_status run(struct parse *parse)
{
    const struct lng_document *document = parse->document;
    XML_SetUserData(parse->parser, parse);
    XML_SetElementHandler(parse->parser, on_start, on_end);
    XML_SetCharacterDataHandler(parse->parser, on_text);
    XML_SetCdataSectionHandler(parse->parser, on_cdata_start, on_cdata_end);
    XML_SetDefaultHandler(parse->parser, on_other);
    XML_SetXmlDeclHandler(parse->parser, on_declaration);
    XML_SetEntityDeclHandler(parse->parser, on_entity);
    enum XML_Status result = XML_Parse(parse->parser, document->bytes, (int)document->size, 1);
    if (parse->status != LNG_OK)
        return parse->status;
    enum XML_Error error = XML_GetErrorCode(parse->parser);
    LNG_FAIL_IF(result != XML_STATUS_OK && error == XML_ERROR_NO_MEMORY, LNG_ERR_MEMORY,
                "%s: not enough memory to parse it", document->name);
    LNG_FAIL_IF(result != XML_STATUS_OK, LNG_ERR_FORMAT,
                "%s: line %lu: expected well-formed XML, found: %s", document->name,
                (unsigned long)XML_GetCurrentLineNumber(parse->parser), XML_ErrorString(error));
    return LNG_OK;
}

enum lng_status lng_xml_parse(const struct lng_document *document, struct lng_xml *xml)
{
    *xml = (struct lng_xml){0};
    LNG_TRY(lng_document_check_text(document, false));
    LNG_FAIL_IF(document->size > LARGEST, LNG_ERR_RANGE, "%s: expected at most 1 GiB",
                document->name);
    struct parse *parse = lng_alloc(1, sizeof *parse);
    if (parse == NULL)
        return LNG_ERR_MEMORY;
    parse->status = lng_buffer_reserve(&xml->text, 0);
    parse->document = document;
    parse->xml = xml;
    parse->parser = XML_ParserCreate(NULL);
    enum lng_status status = parse->parser != NULL ? run(parse) : LNG_ERR_MEMORY;
    if (parse->parser != NULL)
        XML_ParserFree(parse->parser);
    else
        (void)lng_fail(LNG_ERR_MEMORY, "%s: not enough memory to parse it", document->name);
    lng_free(parse);
    if (status != LNG_OK)
        lng_xml_release(xml);
    return status;
}

/* ---- looking ---- */

bool lng_xml_is(const struct lng_document *document, const struct lng_xml_node *node,
                const char *name)
{
    return node->kind == LNG_XML_ELEMENT && strlen(name) == node->name_length &&
           memcmp(document->bytes + node->name, name, node->name_length) == 0;
}

struct lng_slice lng_xml_prefix(const struct lng_document *document,
                                const struct lng_xml_node *element)
{
    const size_t begin = element->begin + 1;
    return (struct lng_slice){document->bytes + begin, element->name - begin};
}

bool lng_xml_attribute(const struct lng_document *document, const struct lng_xml_node *node,
                       const char *name, struct lng_slice *value)
{
    const char *bytes = document->bytes;
    size_t at = node->name + node->name_length, length = strlen(name);
    while (at < node->end) {
        while (at < node->end && strchr(" \t\r\n", bytes[at]) != NULL)
            at++;
        size_t begin = at, local = at;
        for (; at < node->end && strchr(" \t\r\n=/>", bytes[at]) == NULL; at++)
            local = bytes[at] == ':' ? at + 1 : local;
        size_t end = at;
        while (at < node->end && bytes[at] != '"' && bytes[at] != '\'' && bytes[at] != '>')
            at++;
        if (end == begin || at >= node->end || bytes[at] == '>')
            return false;
        const char *close = memchr(bytes + at + 1, bytes[at], node->end - at - 1);
        if (close == NULL)
            return false;
        if ((end - begin == length && memcmp(bytes + begin, name, length) == 0) ||
            (end - local == length && memcmp(bytes + local, name, length) == 0)) {
            *value = (struct lng_slice){bytes + at + 1, (size_t)(close - bytes) - at - 1};
            return true;
        }
        at = (size_t)(close - bytes) + 1;
    }
    return false;
}

bool lng_xml_attribute_is(const struct lng_document *document, const struct lng_xml_node *node,
                          const char *name, const char *value)
{
    struct lng_slice found;
    return lng_xml_attribute(document, node, name, &found) && lng_slice_equals(found, value);
}

size_t lng_xml_child(const struct lng_document *document, const struct lng_xml *xml, size_t parent,
                     const char *name)
{
    for (size_t i = parent + 1; i < xml->nodes[parent].after; i = xml->nodes[i].after)
        if (lng_xml_is(document, &xml->nodes[i], name))
            return i;
    return SIZE_MAX;
}

bool lng_xml_is_empty(const struct lng_xml *xml, size_t element)
{
    for (size_t i = element + 1; i < xml->nodes[element].after; i++) {
        const struct lng_xml_node *node = &xml->nodes[i];
        struct lng_slice text = {xml->text.data + node->visible, node->visible_length};
        if (node->kind != LNG_XML_TEXT || lng_text_trim(text).length > 0)
            return false;
    }
    return true;
}
