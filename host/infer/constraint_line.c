#include "host/infer/constraint_line.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/infer/constrain.h"
#include "host/infer/line_text.h"
#include "host/infer/word_text.h"
#include "host/store/json.h"

enum { MOST_PHRASES = 1000 }; /* negative ones; of positive ones LNG_CONSTRAIN_MAX_PHRASES */

void lng_constraint_line_clear(struct lng_constraint_line *line)
{
    lng_buffer_clear(&line->texts);
    line->count = 0;
}

void lng_constraint_line_release(struct lng_constraint_line *line)
{
    lng_buffer_release(&line->texts);
    lng_free(line->phrases);
    *line = (struct lng_constraint_line){0};
}

static enum lng_status add_phrase(struct lng_constraint_line *line, const char *kind,
                                  const json_t *value, bool negative)
{
    char found[LNG_JSON_TEXT_BYTES];
    LNG_FAIL_IF(!json_is_string(value), LNG_ERR_FORMAT, "%s: expected a phrase, found %s", kind,
                lng_json_describe(value, found));
    struct lng_slice text =
        lng_text_trim((struct lng_slice){json_string_value(value), json_string_length(value)});
    LNG_FAIL_IF(lng_line_is_blank(text.data, text.length), LNG_ERR_FORMAT,
                "%s: expected a phrase, found an empty one", kind);
    LNG_FAIL_IF(text.length > LNG_CONSTRAIN_MAX_PHRASE_BYTES, LNG_ERR_RANGE,
                "%s: expected phrases of %d bytes at most, found one of %zu", kind,
                LNG_CONSTRAIN_MAX_PHRASE_BYTES, text.length);
    LNG_FAIL_IF(memchr(text.data, '\0', text.length) || memchr(text.data, '\n', text.length) ||
                    memchr(text.data, '\r', text.length),
                LNG_ERR_FORMAT, "%s: expected a phrase of one line, found a line end or NUL", kind);
    for (size_t i = 0; i < line->count; i++) {
        struct lng_slice other = lng_constraint_text(line, i);
        if (line->phrases[i].negative == negative && other.length == text.length &&
            memcmp(other.data, text.data, text.length) == 0)
            return LNG_OK;
    }
    LNG_TRY(lng_grow(&line->phrases, &line->capacity, line->count + 1, sizeof *line->phrases));
    struct lng_constraint_phrase phrase = {line->texts.length, text.length, negative};
    LNG_TRY(lng_buffer_append(&line->texts, text.data, text.length));
    line->phrases[line->count++] = phrase;
    return LNG_OK;
}

static enum lng_status add_phrases(struct lng_constraint_line *line, const char *kind,
                                   const json_t *values, bool negative)
{
    char found[LNG_JSON_TEXT_BYTES];
    size_t most = negative ? MOST_PHRASES : LNG_CONSTRAIN_MAX_PHRASES;
    LNG_FAIL_IF(!json_is_array(values), LNG_ERR_FORMAT, "%s: expected an array, found %s", kind,
                lng_json_describe(values, found));
    LNG_FAIL_IF(json_array_size(values) > most, LNG_ERR_RANGE,
                "%s: expected %zu phrases at most, found %zu", kind, most, json_array_size(values));
    for (size_t i = 0; i < json_array_size(values); i++)
        LNG_TRY(add_phrase(line, kind, json_array_get(values, i), negative));
    return LNG_OK;
}

static enum lng_status add_object(struct lng_constraint_line *line, json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        bool negative = strcmp(key, "negative") == 0;
        LNG_FAIL_IF(!negative && strcmp(key, "positive") != 0, LNG_ERR_FORMAT,
                    "expected the keys positive and negative, found '%.40s'", key);
        LNG_TRY(add_phrases(line, key, value, negative));
    }
    return LNG_OK;
}

static enum lng_status check_contradictions(const struct lng_constraint_line *line)
{
    for (size_t n = 0; n < line->count; n++) {
        struct lng_slice negative = lng_constraint_text(line, n);
        for (size_t p = 0; p < line->count && line->phrases[n].negative; p++) {
            struct lng_slice positive = lng_constraint_text(line, p);
            if (line->phrases[p].negative)
                continue;
            LNG_FAIL_IF(lng_word_find(positive.data, positive.length, negative, 0) >= 0,
                        LNG_ERR_MISMATCH,
                        "'%.*s' must appear and '%.*s' must not; expected one or the other",
                        (int)positive.length, positive.data, (int)negative.length, negative.data);
        }
    }
    return LNG_OK;
}

enum lng_status lng_constraint_line_parse(struct lng_constraint_line *line, const char *json,
                                          size_t size)
{
    char found[LNG_JSON_TEXT_BYTES];
    json_t *root = NULL;
    if (lng_line_is_blank(json, size))
        return LNG_OK;
    LNG_TRY(lng_json_parse("constraints", json, size, &root));
    enum lng_status status;
    if (json_is_array(root))
        status = add_phrases(line, "positive", root, false);
    else if (json_is_object(root))
        status = add_object(line, root);
    else
        status = lng_fail(LNG_ERR_FORMAT, "expected an object or an array, found %s",
                          lng_json_describe(root, found));
    json_decref(root);
    return status == LNG_OK ? check_contradictions(line) : status;
}
