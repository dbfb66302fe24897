#include "host/config/yaml.h"

#include <limits.h>
#include <string.h>
#include <yaml.h>

#include "host/base/mem.h"

struct reader {
    struct lng_yaml *yaml;
    const char *name;
    const char *text;
    size_t length;
    yaml_parser_t parser;
    size_t items;
};

static int line_of(yaml_mark_t mark)
{
    return mark.line < INT_MAX ? (int)mark.line + 1 : INT_MAX;
}

static int column_of(yaml_mark_t mark)
{
    return mark.column < INT_MAX ? (int)mark.column + 1 : INT_MAX;
}

#define FAIL_AT(reader, mark, code, ...) \
    (lng_fail((code), __VA_ARGS__),      \
     lng_fail_context((code), "%s:%d:%d", (reader)->name, line_of(mark), column_of(mark)))

/* Where byte `offset` is: of bad UTF-8 libyaml tells no more. */
static yaml_mark_t mark_of_byte(const struct reader *reader, size_t offset)
{
    yaml_mark_t mark = {0};
    for (; mark.index < offset && mark.index < reader->length; mark.index++) {
        bool newline = reader->text[mark.index] == '\n';
        mark.line += newline;
        mark.column = newline ? 0 : mark.column + 1;
    }
    return mark;
}

static enum lng_status next_event(struct reader *reader, yaml_event_t *event)
{
    if (yaml_parser_parse(&reader->parser, event))
        return LNG_OK;
    const yaml_parser_t *parser = &reader->parser;
    LNG_FAIL_IF(parser->error == YAML_MEMORY_ERROR, LNG_ERR_MEMORY, "%s: out of memory",
                reader->name);
    const char *problem = parser->problem ? parser->problem : "not YAML";
    if (parser->error == YAML_READER_ERROR)
        return FAIL_AT(reader, mark_of_byte(reader, parser->problem_offset), LNG_ERR_FORMAT, "%s",
                       problem);
    return FAIL_AT(reader, parser->problem_mark, LNG_ERR_FORMAT, "%s%s%s", problem,
                   parser->context ? " " : "", parser->context ? parser->context : "");
}

/* A scalar without anchor, tag and NUL bytes. */
static enum lng_status check_scalar(const struct reader *reader, const yaml_event_t *event,
                                    const char *expected)
{
    yaml_mark_t mark = event->start_mark;
    if (event->type == YAML_ALIAS_EVENT)
        return FAIL_AT(reader, mark, LNG_ERR_FORMAT,
                       "expected %s, found an alias; aliases are not "
                       "supported",
                       expected);
    if (event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT)
        return FAIL_AT(reader, mark, LNG_ERR_FORMAT,
                       "expected %s, found a nested %s; configuration files are flat", expected,
                       event->type == YAML_MAPPING_START_EVENT ? "mapping" : "list");
    if (event->type != YAML_SCALAR_EVENT)
        return FAIL_AT(reader, mark, LNG_ERR_FORMAT, "expected %s", expected);
    if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL)
        return FAIL_AT(reader, mark, LNG_ERR_FORMAT, "anchors and tags are not supported");
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL)
        return FAIL_AT(reader, mark, LNG_ERR_FORMAT, "a value holds a NUL byte");
    return LNG_OK;
}

static char *copy_scalar(const yaml_event_t *event)
{
    return lng_strndup((const char *)event->data.scalar.value, event->data.scalar.length);
}

static enum lng_status add_item(struct reader *reader, struct lng_yaml_entry *entry,
                                const yaml_event_t *event)
{
    if (++reader->items > LNG_YAML_MAX_ITEMS)
        return FAIL_AT(reader, event->start_mark, LNG_ERR_RANGE, "more than %d values",
                       LNG_YAML_MAX_ITEMS);
    LNG_TRY(lng_grow(&entry->items, &entry->capacity, entry->count + 1, sizeof *entry->items));
    char *copy = copy_scalar(event);
    if (copy == NULL)
        return LNG_ERR_MEMORY;
    entry->items[entry->count++] = copy;
    return LNG_OK;
}

static bool scalar_is_null(const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (*value == '\0' || strcmp(value, "~") == 0 || strcmp(value, "null") == 0);
}

static enum lng_status read_list(struct reader *reader, struct lng_yaml_entry *entry)
{
    for (;;) {
        yaml_event_t event;
        LNG_TRY(next_event(reader, &event));
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        enum lng_status status = end ? LNG_OK : check_scalar(reader, &event, "an item of a list");
        if (!end && status == LNG_OK)
            status = add_item(reader, entry, &event);
        yaml_event_delete(&event);
        if (end || status != LNG_OK)
            return status;
    }
}

static enum lng_status read_value(struct reader *reader, struct lng_yaml_entry *entry)
{
    yaml_event_t event;
    LNG_TRY(next_event(reader, &event));
    entry->value_line = line_of(event.start_mark);
    entry->value_column = column_of(event.start_mark);
    enum lng_status status;
    entry->is_list = event.type == YAML_SEQUENCE_START_EVENT;
    if (!entry->is_list) {
        status = check_scalar(reader, &event, "a value or a list");
        if (status == LNG_OK) {
            entry->is_null = scalar_is_null(&event);
            status = add_item(reader, entry, &event);
        }
    } else if (event.data.sequence_start.anchor != NULL || event.data.sequence_start.tag != NULL) {
        status =
            FAIL_AT(reader, event.start_mark, LNG_ERR_FORMAT, "anchors and tags are not supported");
    } else {
        status = read_list(reader, entry);
    }
    yaml_event_delete(&event);
    return status;
}

static enum lng_status add_entry(struct reader *reader, const yaml_event_t *event)
{
    struct lng_yaml *yaml = reader->yaml;
    const char *key = (const char *)event->data.scalar.value;
    for (size_t i = 0; i < yaml->count; i++)
        if (strcmp(yaml->entries[i].key, key) == 0)
            return FAIL_AT(reader, event->start_mark, LNG_ERR_FORMAT,
                           "duplicate key '%.60s', first given in line %d", key,
                           yaml->entries[i].line);
    if (yaml->count >= LNG_YAML_MAX_ENTRIES)
        return FAIL_AT(reader, event->start_mark, LNG_ERR_RANGE, "more than %d keys",
                       LNG_YAML_MAX_ENTRIES);
    LNG_TRY(lng_grow(&yaml->entries, &yaml->capacity, yaml->count + 1, sizeof *yaml->entries));
    char *copy = copy_scalar(event);
    if (copy == NULL)
        return LNG_ERR_MEMORY;
    yaml->entries[yaml->count++] = (struct lng_yaml_entry){
        .key = copy, .line = line_of(event->start_mark), .column = column_of(event->start_mark)};
    return LNG_OK;
}

static enum lng_status read_mapping(struct reader *reader)
{
    for (;;) {
        yaml_event_t event;
        LNG_TRY(next_event(reader, &event));
        bool end = event.type == YAML_MAPPING_END_EVENT;
        enum lng_status status = end ? LNG_OK : check_scalar(reader, &event, "a key");
        if (!end && status == LNG_OK)
            status = add_entry(reader, &event);
        yaml_event_delete(&event);
        if (end || status != LNG_OK)
            return status;
        LNG_TRY(read_value(reader, &reader->yaml->entries[reader->yaml->count - 1]));
    }
}

static enum lng_status read_stream(struct reader *reader)
{
    bool seen_document = false;
    for (;;) {
        yaml_event_t event;
        LNG_TRY(next_event(reader, &event));
        yaml_event_type_t type = event.type;
        yaml_mark_t mark = event.start_mark;
        bool plain = type != YAML_MAPPING_START_EVENT || (event.data.mapping_start.anchor == NULL &&
                                                          event.data.mapping_start.tag == NULL);
        /* A file of comments only is a document of one empty scalar. */
        bool empty = type == YAML_SCALAR_EVENT && scalar_is_null(&event);
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            return LNG_OK;
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_END_EVENT || empty)
            continue;
        if (type == YAML_DOCUMENT_START_EVENT) {
            if (seen_document)
                return FAIL_AT(reader, mark, LNG_ERR_FORMAT, "expected one document, found more");
            seen_document = true;
            continue;
        }
        if (type != YAML_MAPPING_START_EVENT)
            return FAIL_AT(reader, mark, LNG_ERR_FORMAT, "expected lines of the form 'key: value'");
        if (!plain)
            return FAIL_AT(reader, mark, LNG_ERR_FORMAT, "anchors and tags are not supported");
        LNG_TRY(read_mapping(reader));
    }
}

enum lng_status lng_yaml_read(struct lng_yaml *yaml, const char *name, const void *text,
                              size_t length)
{
    LNG_FAIL_IF(length > LNG_YAML_MAX_BYTES, LNG_ERR_RANGE,
                "%s: expected at most %d bytes of YAML, found %zu", name, LNG_YAML_MAX_BYTES,
                length);
    struct lng_yaml result = {0};
    struct reader reader = {.yaml = &result, .name = name, .text = text, .length = length};
    LNG_FAIL_IF(!yaml_parser_initialize(&reader.parser), LNG_ERR_MEMORY, "%s: out of memory", name);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, text, length);
    enum lng_status status = read_stream(&reader);
    yaml_parser_delete(&reader.parser);
    if (status != LNG_OK) {
        lng_yaml_release(&result);
        return status;
    }
    *yaml = result;
    return LNG_OK;
}

void lng_yaml_release(struct lng_yaml *yaml)
{
    for (size_t i = 0; i < yaml->count; i++) {
        struct lng_yaml_entry *entry = &yaml->entries[i];
        for (size_t k = 0; k < entry->count; k++)
            lng_free(entry->items[k]);
        lng_free(entry->items);
        lng_free(entry->key);
    }
    lng_free(yaml->entries);
    *yaml = (struct lng_yaml){0};
}
