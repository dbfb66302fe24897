#include "host/infer/terminology.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/ucasemap.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/infer/line_text.h"
#include "host/infer/word_text.h"

struct term {
    size_t source, target; /* of texts */
    size_t source_length, target_length;
    size_t line;
};

struct lng_terminology {
    struct lng_buffer texts, folded;
    struct term *terms; /* by the bytes of their sources */
    size_t count, capacity;
    UCaseMap *fold; /* NULL where case counts */
};

void lng_terminology_close(struct lng_terminology *terminology)
{
    if (terminology == NULL)
        return;
    if (terminology->fold != NULL)
        ucasemap_close(terminology->fold);
    lng_buffer_release(&terminology->texts);
    lng_buffer_release(&terminology->folded);
    lng_free(terminology->terms);
    lng_free(terminology);
}

size_t lng_terminology_count(const struct lng_terminology *terminology)
{
    return terminology->count;
}

/* Appends a text as it is compared. */
static enum lng_status append_folded(const struct lng_terminology *t, struct lng_slice text,
                                     struct lng_buffer *out)
{
    if (t->fold == NULL)
        return lng_buffer_append(out, text.data, text.length);
    LNG_FAIL_IF(text.length > INT32_MAX / 4, LNG_ERR_RANGE, "terms: a text of %zu bytes",
                text.length);
    size_t room = 3 * text.length + 16; /* the longest folding of a code point triples it */
    LNG_TRY(lng_buffer_reserve(out, room));
    UErrorCode code = U_ZERO_ERROR;
    int32_t length = ucasemap_utf8FoldCase(t->fold, out->data + out->length, (int32_t)room,
                                           text.data, (int32_t)text.length, &code);
    LNG_FAIL_IF(U_FAILURE(code), LNG_ERR_INTERNAL, "terms: %s", u_errorName(code));
    out->length += (size_t)length;
    out->data[out->length] = '\0';
    return LNG_OK;
}

static int by_source(const void *left, const void *right, void *context)
{
    const struct lng_terminology *t = context;
    const struct term *a = left, *b = right;
    size_t shorter = a->source_length < b->source_length ? a->source_length : b->source_length;
    int order = memcmp(t->texts.data + a->source, t->texts.data + b->source, shorter);
    if (order != 0)
        return order;
    if (a->source_length != b->source_length)
        return a->source_length < b->source_length ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

static bool same(const struct lng_terminology *t, size_t a, size_t a_length, size_t b,
                 size_t b_length)
{
    return a_length == b_length && memcmp(t->texts.data + a, t->texts.data + b, a_length) == 0;
}

/* Sorts, drops what is there twice, refuses what contradicts itself. */
static enum lng_status sort_terms(struct lng_terminology *t)
{
    if (t->count > 0)
        qsort_r(t->terms, t->count, sizeof *t->terms, by_source, t);
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct term *now = &t->terms[i], *last = kept > 0 ? &t->terms[kept - 1] : NULL;
        if (last == NULL ||
            !same(t, now->source, now->source_length, last->source, last->source_length)) {
            t->terms[kept++] = *now;
            continue;
        }
        LNG_FAIL_IF(!same(t, now->target, now->target_length, last->target, last->target_length),
                    LNG_ERR_FORMAT,
                    "lines %zu and %zu: '%.*s' has two translations; expected one, leave one out",
                    last->line, now->line, (int)now->source_length, t->texts.data + now->source);
    }
    t->count = kept;
    return LNG_OK;
}

static enum lng_status add_term(struct lng_terminology *t, struct lng_slice line, size_t number)
{
    struct lng_slice source, target, extra;
    struct lng_slice rest = line;
    bool two = lng_text_split(&rest, '\t', &source) && lng_text_split(&rest, '\t', &target);
    LNG_FAIL_IF(!two || lng_text_split(&rest, '\t', &extra), LNG_ERR_FORMAT,
                "line %zu: expected a term, a tab and its translation, found '%.*s'", number,
                line.length > 80 ? 80 : (int)line.length, line.data);
    source = lng_text_trim(source);
    target = lng_text_trim(target);
    LNG_FAIL_IF(source.length == 0 || source.length > LNG_TERMINOLOGY_MAX_TERM_BYTES ||
                    target.length == 0 || target.length > LNG_TERMINOLOGY_MAX_TERM_BYTES,
                LNG_ERR_FORMAT,
                "line %zu: expected 1 to %d bytes on both sides of the tab, found %zu and %zu",
                number, LNG_TERMINOLOGY_MAX_TERM_BYTES, source.length, target.length);
    LNG_FAIL_IF(!lng_utf8_valid(line.data, line.length) ||
                    memchr(line.data, '\0', line.length) != NULL,
                LNG_ERR_FORMAT, "line %zu: expected UTF-8 without NUL, found other bytes", number);
    struct term term = {.source = t->texts.length, .line = number};
    LNG_TRY(append_folded(t, source, &t->texts));
    term.source_length = t->texts.length - term.source;
    term.target = t->texts.length;
    term.target_length = target.length;
    LNG_TRY(lng_buffer_append(&t->texts, target.data, target.length));
    LNG_TRY(lng_grow(&t->terms, &t->capacity, t->count + 1, sizeof *t->terms));
    t->terms[t->count++] = term;
    return LNG_OK;
}

static enum lng_status read_terms(struct lng_terminology *t, const char *path)
{
    struct lng_lines *lines;
    LNG_TRY(lng_lines_open(path, &lines));
    lng_lines_set_limit(lines, 4 * LNG_TERMINOLOGY_MAX_TERM_BYTES);
    enum lng_status status = LNG_OK;
    for (bool got = true; got && status == LNG_OK;) {
        struct lng_line line;
        status = lng_lines_next(lines, &line, &got);
        if (status != LNG_OK || !got)
            break;
        size_t number = (size_t)lng_lines_number(lines);
        struct lng_slice text = lng_line_without_return((struct lng_slice){line.data, line.length});
        text = number == 1 ? lng_line_without_mark(text) : text;
        bool skipped = lng_line_is_blank(text.data, text.length) || text.data[0] == '#';
        if (!skipped)
            status = add_term(t, text, number);
        if (status == LNG_OK && t->texts.length > LNG_TERMINOLOGY_MAX_BYTES)
            status = lng_fail(LNG_ERR_RANGE, "line %zu: expected %d MiB of terms at most", number,
                              LNG_TERMINOLOGY_MAX_BYTES >> 20);
    }
    lng_lines_close(lines);
    return status == LNG_OK ? sort_terms(t) : status;
}

enum lng_status lng_terminology_open(const char *path, bool ignore_case,
                                     struct lng_terminology **terminology)
{
    struct lng_terminology *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    UErrorCode code = U_ZERO_ERROR;
    enum lng_status status = LNG_OK;
    if (ignore_case)
        made->fold = ucasemap_open("", U_FOLD_CASE_DEFAULT, &code);
    if (U_FAILURE(code))
        status = lng_fail(LNG_ERR_MEMORY, "terms: %s", u_errorName(code));
    if (status == LNG_OK)
        status = read_terms(made, path);
    if (status != LNG_OK) {
        lng_terminology_close(made);
        return strstr(lng_error_message(), path) != NULL ? status
                                                         : lng_fail_context(status, "%s", path);
    }
    *terminology = made;
    return LNG_OK;
}

/* The longest term that the text (as it is compared) has at its start and that ends where a word may end; NULL = none.
 * Narrows the sorted terms byte by byte: those with the same first n bytes lie side by side. */
static const struct term *longest_at(const struct lng_terminology *t, const char *text,
                                     size_t length)
{
    const struct term *best = NULL;
    size_t low = 0, high = t->count;
    for (size_t n = 0; low < high; n++) {
        const struct term *first = &t->terms[low];
        if (first->source_length == n && n > 0) {
            if (lng_word_boundary(text, length, n))
                best = first;
            low++;
        }
        if (n == length)
            break;
        unsigned char wanted = (unsigned char)text[n];
        size_t bounds[2];
        for (int above = 0; above < 2; above++) { /* first with a byte >= wanted, and > wanted */
            size_t a = low, b = high;
            while (a < b) {
                size_t middle = a + (b - a) / 2;
                unsigned char byte = (unsigned char)t->texts.data[t->terms[middle].source + n];
                if (byte < wanted || (above && byte == wanted))
                    a = middle + 1;
                else
                    b = middle;
            }
            bounds[above] = a;
        }
        low = bounds[0];
        high = bounds[1];
    }
    return best;
}

enum lng_status lng_terminology_look_up(struct lng_terminology *t, struct lng_slice source,
                                        struct lng_slice *target)
{
    *target = (struct lng_slice){NULL, 0};
    lng_buffer_clear(&t->folded);
    LNG_TRY(append_folded(t, source, &t->folded));
    if (t->folded.length == 0)
        return LNG_OK;
    const struct term *term = longest_at(t, t->folded.data, t->folded.length);
    if (term != NULL && term->source_length == t->folded.length)
        *target = (struct lng_slice){t->texts.data + term->target, term->target_length};
    return LNG_OK;
}

enum lng_status lng_terminology_find(struct lng_terminology *t, struct lng_slice text,
                                     lng_terminology_found found, void *context)
{
    lng_buffer_clear(&t->folded);
    LNG_TRY(append_folded(t, text, &t->folded));
    const char *data = t->folded.data;
    size_t length = t->folded.length;
    for (size_t at = 0; at < length;) {
        const struct term *term = NULL;
        uint32_t c;
        if (lng_word_boundary(data, length, at))
            term = longest_at(t, data + at, length - at);
        if (term != NULL) {
            LNG_TRY(found(context,
                          (struct lng_slice){t->texts.data + term->target, term->target_length}));
            at += term->source_length;
        } else {
            at += lng_utf8_decode(data + at, length - at, &c);
        }
    }
    return LNG_OK;
}
