/* Reports of lingster bench for people. */
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/cli/bench.h"

enum { NAME_WIDTH = 36, CELL_WIDTH = 14 };

static void cell(const json_t *value, char *text, size_t size)
{
    if (json_is_string(value))
        snprintf(text, size, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(text, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, size, "%.5g", json_real_value(value));
    else
        snprintf(text, size, "%s", json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
}

/* Columns are the keys of the first row that hold single values. */
static enum lng_status add_table(const json_t *rows, struct lng_buffer *text)
{
    char word[128];
    for (size_t row = 0; row <= json_array_size(rows); row++) {
        json_t *first = json_array_get(rows, 0);
        const char *key;
        json_t *value;
        LNG_TRY(lng_buffer_append_text(text, " "));
        json_object_foreach(first, key, value)
        {
            snprintf(word, sizeof word, "%s", key);
            if (row > 0)
                cell(json_object_get(json_array_get(rows, row - 1), key), word, sizeof word);
            if (!json_is_object(value) && !json_is_array(value))
                LNG_TRY(lng_buffer_append_format(text, " %*s", CELL_WIDTH, word));
        }
        LNG_TRY(lng_buffer_append_byte(text, '\n'));
    }
    return LNG_OK;
}

static enum lng_status add_value(const json_t *value, const char *name, struct lng_buffer *text);

static enum lng_status add_members(const json_t *object, const char *name, struct lng_buffer *text)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)object, key, member)
    {
        char *inner = *name != '\0' ? lng_format("%s.%s", name, key) : lng_strdup(key);
        enum lng_status status = inner != NULL ? add_value(member, inner, text) : LNG_ERR_MEMORY;
        lng_free(inner);
        LNG_TRY(status);
    }
    return LNG_OK;
}

static bool is_table(const json_t *value)
{
    const char *key;
    json_t *member, *first = json_array_get(value, 0);
    json_object_foreach(first, key,
                        member) if (json_is_object(member) || json_is_array(member)) return false;
    return json_is_object(first);
}

static enum lng_status add_value(const json_t *value, const char *name, struct lng_buffer *text)
{
    char word[256];
    if (json_is_object(value))
        return add_members(value, name, text);
    if (json_is_array(value) && is_table(value)) {
        LNG_TRY(lng_buffer_append_format(text, "%s\n", name));
        return add_table(value, text);
    }
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++)
            LNG_TRY(add_value(json_array_get(value, i), name, text));
        return LNG_OK;
    }
    cell(value, word, sizeof word);
    return lng_buffer_append_format(text, "%-*s %s\n", NAME_WIDTH, name, word);
}

enum lng_status lng_bench_text(const json_t *report, struct lng_buffer *text)
{
    return add_members(report, "", text);
}
