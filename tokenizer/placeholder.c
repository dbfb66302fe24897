#include "tokenizer/placeholder.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uregex.h>
#include <unicode/utext.h>

#include "host/base/mem.h"

/* ICU counts steps of its matcher, not seconds, so that the same text fails or passes on every machine. One
 * unit is some thousand steps. */
enum { LEAST_STEPS = 200, BYTES_FOR_A_STEP = 64, STACK_BYTES = 8 << 20, MAX_TEXT_BYTES = 1 << 30 };

struct lng_placeholders {
    URegularExpression
        *patterns[2 * LNG_PLACEHOLDER_MAX_PATTERNS];     /* NULL: of the table, not needed yet */
    const char *names[2 * LNG_PLACEHOLDER_MAX_PATTERNS]; /* owned from first_extra on */
    const char *needs[2 * LNG_PLACEHOLDER_MAX_PATTERNS]; /* NULL: unknown */
    size_t count, first_extra;
    struct lng_placeholder_ranges found;
};

static const struct {
    const char *name, *needs, *pattern;
} table[] = {
#define LNG_PLACEHOLDER(name, needs, pattern) {#name, needs, pattern},
#include "tokenizer/placeholder.def"
#undef LNG_PLACEHOLDER
};

/* Compiled once in a process, when a text first needs them: that is the time of a hundred short texts. */
static struct {
    pthread_mutex_t lock;
    URegularExpression *patterns[sizeof table / sizeof table[0]];
} compiled = {.lock = PTHREAD_MUTEX_INITIALIZER};

void lng_placeholder_ranges_release(struct lng_placeholder_ranges *ranges)
{
    lng_free(ranges->data);
    *ranges = (struct lng_placeholder_ranges){0};
}

void lng_placeholders_close(struct lng_placeholders *placeholders)
{
    if (placeholders == NULL)
        return;
    for (size_t i = 0; i < placeholders->count; i++)
        if (placeholders->patterns[i] != NULL)
            uregex_close(placeholders->patterns[i]);
    for (size_t i = placeholders->first_extra; i < placeholders->count; i++)
        lng_free((void *)(uintptr_t)placeholders->names[i]);
    lng_placeholder_ranges_release(&placeholders->found);
    lng_free(placeholders);
}

static enum lng_status compile(const char *name, const char *pattern, URegularExpression **made)
{
    UErrorCode code = U_ZERO_ERROR;
    UParseError where = {0};
    UText text = UTEXT_INITIALIZER;
    utext_openUTF8(&text, pattern, -1, &code);
    URegularExpression *fresh = uregex_openUText(&text, 0, &where, &code);
    utext_close(&text);
    LNG_FAIL_IF(code == U_MEMORY_ALLOCATION_ERROR, LNG_ERR_MEMORY, "placeholders: out of memory");
    LNG_FAIL_IF(U_FAILURE(code), LNG_ERR_FORMAT,
                "placeholder '%s': expected a regular expression, found %s at character %d", name,
                u_errorName(code), where.offset > 0 ? where.offset : 1);
    *made = fresh;
    return LNG_OK;
}

static enum lng_status limit_stack(URegularExpression *pattern)
{
    UErrorCode code = U_ZERO_ERROR;
    uregex_setStackLimit(pattern, STACK_BYTES, &code);
    LNG_FAIL_IF(U_FAILURE(code), LNG_ERR_INTERNAL, "placeholders: %s", u_errorName(code));
    return LNG_OK;
}

/* A matcher of its own, of a pattern that all share. */
static enum lng_status clone_builtin(size_t index, URegularExpression **made)
{
    UErrorCode code = U_ZERO_ERROR;
    enum lng_status status = LNG_OK;
    pthread_mutex_lock(&compiled.lock);
    if (compiled.patterns[index] == NULL)
        status = compile(table[index].name, table[index].pattern, &compiled.patterns[index]);
    URegularExpression *fresh =
        status == LNG_OK ? uregex_clone(compiled.patterns[index], &code) : NULL;
    pthread_mutex_unlock(&compiled.lock);
    LNG_TRY(status);
    LNG_FAIL_IF(U_FAILURE(code), LNG_ERR_MEMORY, "placeholders: out of memory");
    *made = fresh;
    return limit_stack(fresh);
}

static enum lng_status add_extra(struct lng_placeholders *to, const char *pattern)
{
    size_t length = strlen(pattern);
    LNG_FAIL_IF(length == 0 || length > LNG_PLACEHOLDER_MAX_PATTERN_BYTES, LNG_ERR_RANGE,
                "placeholder: expected a regular expression of 1 to %d bytes, found one of %zu",
                LNG_PLACEHOLDER_MAX_PATTERN_BYTES, length);
    char *name = lng_strdup(pattern);
    if (name == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = compile(name, pattern, &to->patterns[to->count]);
    if (status != LNG_OK) {
        lng_free(name);
        return status;
    }
    to->names[to->count++] = name;
    return limit_stack(to->patterns[to->count - 1]);
}

enum lng_status lng_placeholders_open(bool builtin, const char *const *extra, size_t extra_count,
                                      struct lng_placeholders **placeholders)
{
    LNG_FAIL_IF(extra_count > LNG_PLACEHOLDER_MAX_PATTERNS, LNG_ERR_RANGE,
                "placeholders: expected %d regular expressions at most, found %zu",
                LNG_PLACEHOLDER_MAX_PATTERNS, extra_count);
    struct lng_placeholders *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    for (size_t i = 0; builtin && i < sizeof table / sizeof table[0]; i++) {
        made->names[i] = table[i].name;
        made->needs[i] = table[i].needs;
    }
    made->first_extra = made->count = builtin ? sizeof table / sizeof table[0] : 0;
    for (size_t i = 0; status == LNG_OK && i < extra_count; i++)
        status = add_extra(made, extra[i]);
    if (status != LNG_OK) {
        lng_placeholders_close(made);
        return status;
    }
    *placeholders = made;
    return LNG_OK;
}

/* Whether one of the strings in `needs` is in the text. */
static bool may_match(const char *needs, const char *text, size_t length)
{
    for (size_t word; needs != NULL; needs += word + 1) {
        word = strcspn(needs, " ");
        if (length > 0 && memmem(text, length, needs, word) != NULL)
            return true;
        if (needs[word] == '\0')
            return false;
    }
    return true;
}

static enum lng_status find_one(struct lng_placeholders *placeholders, size_t index, UText *text,
                                size_t length)
{
    if (placeholders->patterns[index] == NULL)
        LNG_TRY(clone_builtin(index, &placeholders->patterns[index]));
    URegularExpression *pattern = placeholders->patterns[index];
    struct lng_placeholder_ranges *found = &placeholders->found;
    UErrorCode code = U_ZERO_ERROR;
    uregex_setTimeLimit(pattern, LEAST_STEPS + (int32_t)(length / BYTES_FOR_A_STEP), &code);
    uregex_setUText(pattern, text, &code);
    while (uregex_findNext(pattern, &code) && U_SUCCESS(code)) {
        int64_t begin = uregex_start64(pattern, 0, &code), end = uregex_end64(pattern, 0, &code);
        if (U_FAILURE(code) || end <= begin)
            continue;
        LNG_TRY(lng_grow(&found->data, &found->capacity, found->count + 1, sizeof *found->data));
        found->data[found->count++] = (struct lng_placeholder_range){(size_t)begin, (size_t)end};
    }
    LNG_FAIL_IF(code == U_REGEX_TIME_OUT || code == U_REGEX_STACK_OVERFLOW, LNG_ERR_RANGE,
                "placeholder '%s': matching a text of %zu bytes takes too long; expected a regular "
                "expression without nested repetitions, such as (a+)+",
                placeholders->names[index], length);
    LNG_FAIL_IF(U_FAILURE(code), LNG_ERR_INTERNAL, "placeholder '%s': %s",
                placeholders->names[index], u_errorName(code));
    return LNG_OK;
}

static int by_place(const void *left, const void *right)
{
    const struct lng_placeholder_range *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->end < b->end) - (a->end > b->end);
}

enum lng_status lng_placeholder_find(struct lng_placeholders *placeholders, const char *text,
                                     size_t length, struct lng_placeholder_ranges *ranges)
{
    LNG_FAIL_IF(length > MAX_TEXT_BYTES, LNG_ERR_RANGE,
                "placeholders: expected a text of %d bytes at most, found %zu", MAX_TEXT_BYTES,
                length);
    struct lng_placeholder_ranges *found = &placeholders->found;
    UErrorCode code = U_ZERO_ERROR;
    UText view = UTEXT_INITIALIZER;
    found->count = 0;
    utext_openUTF8(&view, text != NULL ? text : "", (int64_t)length, &code);
    LNG_FAIL_IF(U_FAILURE(code), LNG_ERR_MEMORY, "placeholders: %s", u_errorName(code));
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < placeholders->count && status == LNG_OK; i++)
        if (may_match(placeholders->needs[i], text, length))
            status = find_one(placeholders, i, &view, length);
    utext_close(&view);
    LNG_TRY(status);
    if (found->count > 0)
        qsort(found->data, found->count, sizeof *found->data, by_place);
    size_t end = 0;
    for (size_t i = 0; i < found->count; i++) {
        if (found->data[i].begin < end)
            continue;
        end = found->data[i].end;
        LNG_TRY(
            lng_grow(&ranges->data, &ranges->capacity, ranges->count + 1, sizeof *ranges->data));
        ranges->data[ranges->count++] = found->data[i];
    }
    return LNG_OK;
}
