#include "host/store/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"

enum lng_status lng_json_parse(const char *name, const char *data, size_t size, json_t **root)
{
    json_error_t error;
    json_t *value = json_loadb(data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!value) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return lng_fail(LNG_ERR_MEMORY, "%s: out of memory while reading JSON", name);
        return lng_fail(LNG_ERR_FORMAT, "%s:%d:%d: expected valid JSON: %s", name, error.line,
                        error.column, error.text);
    }
    *root = value;
    return LNG_OK;
}

enum lng_status lng_json_read_object(const char *path, size_t limit, json_t **root)
{
    enum lng_status status;
    struct lng_buffer text = {0};
    json_t *value = NULL;
    LNG_TRY_OR_FAIL(lng_file_read(path, limit, &text));
    LNG_TRY_OR_FAIL(lng_json_parse(path, text.data ? text.data : "", text.length, &value));
    char found[LNG_JSON_TEXT_BYTES];
    LNG_GOTO_FAIL_IF(!json_is_object(value), LNG_ERR_FORMAT, "%s: expected a JSON object, found %s",
                     path, lng_json_describe(value, found));
    *root = value;
    value = NULL;
fail:
    json_decref(value);
    lng_buffer_release(&text);
    return status;
}

static int append(const char *data, size_t size, void *buffer)
{
    return lng_buffer_append(buffer, data, size) == LNG_OK ? 0 : -1;
}

static enum lng_status print(const json_t *root, size_t flags, struct lng_buffer *text)
{
    LNG_FAIL_IF(json_dump_callback(root, append, text, flags | JSON_ENCODE_ANY) != 0,
                LNG_ERR_MEMORY, "out of memory while writing JSON");
    return LNG_OK;
}

enum lng_status lng_json_print_compact(const json_t *root, struct lng_buffer *text)
{
    return print(root, JSON_COMPACT | JSON_REAL_PRECISION(17), text);
}

enum lng_status lng_json_print(const json_t *root, struct lng_buffer *text)
{
    /* 17 digits are always enough, but turn 0.1 into 0.10000000000000001. */
    size_t before = text->length;
    LNG_TRY(print(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15), text));
    json_t *again = json_loadb(text->data + before, text->length - before,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool same = again && json_equal(again, root);
    json_decref(again);
    if (!same) {
        text->length = before;
        LNG_TRY(print(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17), text));
    }
    return lng_buffer_append_byte(text, '\n');
}

enum lng_status lng_json_write(const char *path, const json_t *root)
{
    struct lng_buffer text = {0};
    enum lng_status status = lng_json_print(root, &text);
    if (status == LNG_OK)
        status = lng_file_write(path, text.data, text.length);
    lng_buffer_release(&text);
    return status;
}

json_t *lng_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

enum lng_status lng_json_set(json_t *object, const char *key, json_t *value)
{
    LNG_FAIL_IF(json_object_set_new(object, key, value) != 0, LNG_ERR_MEMORY,
                "out of memory while building JSON (key \"%s\")", key);
    return LNG_OK;
}

const char *lng_json_describe(const json_t *value, char text[LNG_JSON_TEXT_BYTES])
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        snprintf(text, LNG_JSON_TEXT_BYTES, "an object of %zu", json_object_size(value));
        break;
    case JSON_ARRAY:
        snprintf(text, LNG_JSON_TEXT_BYTES, "an array of %zu", json_array_size(value));
        break;
    case JSON_STRING: {
        const char *string = json_string_value(value);
        size_t length = strlen(string), shown = length < 40 ? length : 40;
        while (shown < length && ((unsigned char)string[shown] & 0xC0) == 0x80)
            shown--; /* not in the middle of a character */
        snprintf(text, LNG_JSON_TEXT_BYTES, "\"%.*s%s\"", (int)shown, string,
                 shown < length ? "..." : "");
        break;
    }
    case JSON_INTEGER:
        snprintf(text, LNG_JSON_TEXT_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(text, LNG_JSON_TEXT_BYTES, "%.9g", json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(text, LNG_JSON_TEXT_BYTES, "%s", json_is_true(value) ? "true" : "false");
        break;
    default:
        snprintf(text, LNG_JSON_TEXT_BYTES, "%s", value ? "null" : "nothing");
    }
    return text;
}

bool lng_json_has(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value);
}

/* The message for a member that is missing or is something else. */
static enum lng_status unexpected(const json_t *object, const char *file, const char *key,
                                  const char *expected)
{
    char found[LNG_JSON_TEXT_BYTES];
    const json_t *value = json_object_get(object, key);
    if (!value)
        return lng_fail(LNG_ERR_FORMAT, "%s: key \"%s\" is missing: expected %s", file, key,
                        expected);
    return lng_fail(LNG_ERR_FORMAT, "%s: key \"%s\": expected %s, found %s", file, key, expected,
                    lng_json_describe(value, found));
}

enum lng_status lng_json_get_int(const json_t *object, const char *file, const char *key,
                                 int64_t low, int64_t high, int64_t *value)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_integer(found))
        return unexpected(object, file, key, "an integer");
    int64_t number = json_integer_value(found);
    LNG_FAIL_IF(number < low || number > high, LNG_ERR_RANGE,
                "%s: key \"%s\": expected an integer from %" PRId64 " to %" PRId64
                ", found %" PRId64,
                file, key, low, high, number);
    *value = number;
    return LNG_OK;
}

enum lng_status lng_json_get_double(const json_t *object, const char *file, const char *key,
                                    double low, double high, double *value)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_number(found))
        return unexpected(object, file, key, "a number");
    double number = json_number_value(found);
    LNG_FAIL_IF(!(number >= low && number <= high), LNG_ERR_RANGE,
                "%s: key \"%s\": expected a number from %g to %g, found %g", file, key, low, high,
                number);
    *value = number;
    return LNG_OK;
}

enum lng_status lng_json_get_bool(const json_t *object, const char *file, const char *key,
                                  bool *value)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_boolean(found))
        return unexpected(object, file, key, "true or false");
    *value = json_is_true(found);
    return LNG_OK;
}

enum lng_status lng_json_get_string(const json_t *object, const char *file, const char *key,
                                    const char **value)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_string(found))
        return unexpected(object, file, key, "a string");
    *value = json_string_value(found);
    return LNG_OK;
}

enum lng_status lng_json_get_object(const json_t *object, const char *file, const char *key,
                                    json_t **value)
{
    json_t *found = json_object_get(object, key);
    if (!json_is_object(found))
        return unexpected(object, file, key, "an object");
    *value = found;
    return LNG_OK;
}
