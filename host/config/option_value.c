/* Values of options: text to typed field and back. */
#include "host/config/option_table.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

static void *field_of(struct lng_options *options, enum lng_option_id id)
{
    return (char *)options + lng_option_rows[id].offset;
}

static const void *value_of(const struct lng_options *options, enum lng_option_id id)
{
    return (const char *)options + lng_option_rows[id].offset;
}

/* Factor of the suffix that ends at *end, which is moved before it. `thousand` is 1000 or 1024. */
static int64_t take_multiplier(const char *text, const char **end, int64_t thousand)
{
    static const char suffixes[] = "KMG";
    const char *found = *end > text ? strchr(suffixes, (*end)[-1]) : NULL;
    if (found == NULL || *found == '\0')
        return 1;
    --*end;
    int64_t factor = thousand;
    for (const char *s = suffixes; s < found; s++)
        factor *= thousand;
    return factor;
}

static enum lng_status parse_integer(const struct lng_option_row *row, const char *text,
                                     const char *end, int64_t thousand, int64_t *value)
{
    const char *kind =
        row->type == LNG_OPTION_TYPE_QUANTITY ? "a number with unit u, e or t" : "a whole number";
    const char *number_end = end;
    int64_t factor = take_multiplier(text, &number_end, thousand);
    char digits[32];
    size_t length = (size_t)(number_end - text);
    int64_t parsed = 0;
    bool fits = length < sizeof digits;
    if (fits) {
        memcpy(digits, text, length);
        digits[length] = '\0';
        fits = lng_parse_int64(digits, INT64_MIN, INT64_MAX, &parsed) == LNG_OK;
    }
    fits = fits && !__builtin_mul_overflow(parsed, factor, &parsed);
    LNG_FAIL_IF(!fits || (double)parsed < row->min || (double)parsed > row->max, LNG_ERR_USAGE,
                "expected %s from %.16g to %.16g, found '%.60s'", kind, row->min, row->max, text);
    *value = parsed;
    return LNG_OK;
}

static enum lng_status parse_quantity(const struct lng_option_row *row, const char *text,
                                      struct lng_quantity *quantity)
{
    struct lng_quantity parsed = {0, LNG_UNIT_UPDATES};
    const char *end = text + strlen(text);
    char unit = end > text ? end[-1] : '\0';
    if (unit == 'u' || unit == 'e' || unit == 't') {
        end--;
        parsed.unit = unit == 'u'   ? LNG_UNIT_UPDATES
                      : unit == 'e' ? LNG_UNIT_EPOCHS
                                    : LNG_UNIT_TARGETS;
    }
    LNG_TRY(parse_integer(row, text, end, 1000, &parsed.value));
    *quantity = parsed;
    return LNG_OK;
}

static enum lng_status parse_real(const struct lng_option_row *row, const char *text, double *value)
{
    double parsed;
    LNG_FAIL_IF(lng_parse_double(text, row->min, row->max, &parsed) != LNG_OK, LNG_ERR_USAGE,
                "expected a number from %g to %g, found '%.60s'", row->min, row->max, text);
    *value = parsed;
    return LNG_OK;
}

static enum lng_status parse_choice(enum lng_choices list, const char *text, int *value)
{
    int parsed = lng_choice_value(list, text);
    if (parsed >= 0) {
        *value = parsed;
        return LNG_OK;
    }
    size_t count;
    const char *const *words = lng_choice_words(list, &count);
    char all[512] = "";
    for (size_t i = 0, used = 0; i < count && used + strlen(words[i]) + 3 < sizeof all; i++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", words[i]);
    const char *nearest = lng_text_nearest(text, words, count);
    return lng_fail(LNG_ERR_USAGE, "expected one of %s, found '%.60s'%s%s%s", all, text,
                    nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* Counts, or with `items` copies, the pieces of `texts`. */
static enum lng_status list_items(struct lng_options *options, const struct lng_option_row *row,
                                  const char *const *texts, size_t count, bool split,
                                  const char **items, size_t *item_count)
{
    *item_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct lng_slice rest = lng_slice_of(texts[i]), piece = rest;
        bool cut = split && row->type == LNG_OPTION_TYPE_WORDS;
        while (cut ? lng_text_split(&rest, ',', &piece) : rest.data != NULL) {
            if (!cut)
                rest.data = NULL;
            LNG_FAIL_IF(piece.length == 0, LNG_ERR_USAGE,
                        "expected a list without empty items, "
                        "found '%.60s'",
                        texts[i]);
            if (items != NULL) {
                const char *item = lng_options_keep_text(options, piece.data, piece.length);
                if (item == NULL)
                    return LNG_ERR_MEMORY;
                int ignored;
                if (row->choices != LNG_CHOICES_none)
                    LNG_TRY(parse_choice(row->choices, item, &ignored));
                items[*item_count] = item;
            }
            ++*item_count;
        }
    }
    return LNG_OK;
}

static enum lng_status assign_list(struct lng_options *options, const struct lng_option_row *row,
                                   struct lng_string_list *list, const char *const *texts,
                                   size_t count, bool split, bool append)
{
    size_t old = append ? list->count : 0, added;
    LNG_TRY(list_items(options, row, texts, count, split, NULL, &added));
    const char **items = lng_options_keep(options, old + added, sizeof *items);
    if (items == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < old; i++)
        items[i] = list->items[i];
    LNG_TRY(list_items(options, row, texts, count, split, items + old, &added));
    *list = (struct lng_string_list){items, old + added};
    return LNG_OK;
}

static enum lng_status assign_text(struct lng_options *options, const struct lng_option_row *row,
                                   const char **field, const char *text)
{
    LNG_FAIL_IF(*text == '\0', LNG_ERR_USAGE, "expected %s, found an empty text",
                row->type == LNG_OPTION_TYPE_PATH ? "a path" : "a name");
    const char *copy = lng_options_keep_text(options, text, strlen(text));
    if (copy == NULL)
        return LNG_ERR_MEMORY;
    *field = copy;
    return LNG_OK;
}

enum lng_status lng_option_assign(struct lng_options *options, enum lng_option_id id,
                                  const char *const *texts, size_t count, bool split, bool append)
{
    const struct lng_option_row *row = &lng_option_rows[id];
    void *field = field_of(options, id);
    if (lng_option_is_list(id))
        return assign_list(options, row, field, texts, count, split, append);
    LNG_FAIL_IF(count != 1, LNG_ERR_USAGE, "expected one value, found a list of %zu", count);
    const char *text = texts[0], *end = text + strlen(text);
    int64_t whole;
    switch (row->type) {
    case LNG_OPTION_TYPE_BOOL:
        LNG_FAIL_IF(lng_parse_bool(text, field) != LNG_OK, LNG_ERR_USAGE,
                    "expected true or false, found '%.60s'", text);
        return LNG_OK;
    case LNG_OPTION_TYPE_INT:
        LNG_TRY(parse_integer(row, text, end, 1000, &whole));
        *(int *)field = (int)whole;
        return LNG_OK;
    case LNG_OPTION_TYPE_INT64:
        return parse_integer(row, text, end, 1000, field);
    case LNG_OPTION_TYPE_BYTES:
        return parse_integer(row, text, end, 1024, field);
    case LNG_OPTION_TYPE_DOUBLE:
        return parse_real(row, text, field);
    case LNG_OPTION_TYPE_CHOICE:
        return parse_choice(row->choices, text, field);
    case LNG_OPTION_TYPE_QUANTITY:
        return parse_quantity(row, text, field);
    default:
        return assign_text(options, row, field, text);
    }
}

/* The shortest decimal that reads back as the same number. */
static enum lng_status append_real(struct lng_buffer *text, double value)
{
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        double back;
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (lng_parse_double(digits, value, value, &back) == LNG_OK)
            break;
    }
    return lng_buffer_append_text(text, digits);
}

enum lng_status lng_option_append_value(const struct lng_options *options, enum lng_option_id id,
                                        size_t index, struct lng_buffer *text)
{
    static const char units[] = {'u', 'e', 't'};
    const struct lng_option_row *row = &lng_option_rows[id];
    const void *value = value_of(options, id);
    switch (row->type) {
    case LNG_OPTION_TYPE_BOOL:
        return lng_buffer_append_text(text, *(const bool *)value ? "true" : "false");
    case LNG_OPTION_TYPE_INT:
        return lng_buffer_append_format(text, "%d", *(const int *)value);
    case LNG_OPTION_TYPE_INT64:
    case LNG_OPTION_TYPE_BYTES:
        return lng_buffer_append_format(text, "%" PRId64, *(const int64_t *)value);
    case LNG_OPTION_TYPE_DOUBLE:
        return append_real(text, *(const double *)value);
    case LNG_OPTION_TYPE_CHOICE:
        return lng_buffer_append_text(text, lng_choice_word(row->choices, *(const int *)value));
    case LNG_OPTION_TYPE_QUANTITY: {
        const struct lng_quantity *quantity = value;
        return lng_buffer_append_format(text, "%" PRId64 "%c", quantity->value,
                                        units[quantity->unit]);
    }
    case LNG_OPTION_TYPE_PATHS:
    case LNG_OPTION_TYPE_WORDS:
        return lng_buffer_append_text(text, ((const struct lng_string_list *)value)->items[index]);
    default:
        return lng_buffer_append_text(text, *(const char *const *)value);
    }
}
