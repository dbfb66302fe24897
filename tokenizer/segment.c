#include "tokenizer/segment.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unicode/utext.h>

#include "host/base/mem.h"
#include "host/base/text.h"
#include "tokenizer/breaks.h"
#include "tokenizer/sentence.h"

enum { MAX_TEXT_BYTES = 1 << 30 };

/* From the best place to cut to the last resort. */
enum level { BY_SENTENCE, BY_CLAUSE, BY_LINE_BREAK, BY_CODE_POINT };

struct splitter {
    const char *text;
    size_t limit;
    lng_segment_measure measure;
    void *context;
    const char *locale;
    struct lng_segments *out;
};

struct cuts {
    size_t *data; /* ends of the parts, the last one being the end of the text */
    size_t count, capacity;
};

void lng_segments_release(struct lng_segments *segments)
{
    lng_free(segments->data);
    *segments = (struct lng_segments){0};
}

static enum lng_status cost_of(const struct splitter *splitter, size_t begin, size_t end,
                               size_t *cost)
{
    if (splitter->measure != NULL)
        return splitter->measure(splitter->context, splitter->text + begin, end - begin, cost);
    *cost = end - begin;
    return LNG_OK;
}

static enum lng_status add_segment(struct lng_segments *out, size_t begin, size_t end)
{
    LNG_TRY(lng_grow(&out->data, &out->capacity, out->count + 1, sizeof *out->data));
    out->data[out->count++] = (struct lng_segment){begin, end};
    return LNG_OK;
}

static enum lng_status add_cut(struct cuts *cuts, size_t end)
{
    LNG_TRY(lng_grow(&cuts->data, &cuts->capacity, cuts->count + 1, sizeof *cuts->data));
    cuts->data[cuts->count++] = end;
    return LNG_OK;
}

static enum lng_status icu_cuts(const struct splitter *splitter, size_t begin, size_t end,
                                enum level level, struct cuts *cuts)
{
    UErrorCode error = U_ZERO_ERROR;
    const char *text = splitter->text + begin;
    enum lng_status status = LNG_OK;
    UBreakIterator *breaks;
    LNG_TRY(lng_breaks_open(level == BY_SENTENCE ? UBRK_SENTENCE : UBRK_LINE, splitter->locale,
                            &breaks));
    UText *view = utext_openUTF8(NULL, text, (int64_t)(end - begin), &error);
    ubrk_setUText(breaks, view, &error);
    if (U_FAILURE(error)) {
        status = lng_fail(error == U_MEMORY_ALLOCATION_ERROR ? LNG_ERR_MEMORY : LNG_ERR_INTERNAL,
                          "ICU cannot find the breaks of a text: %s", u_errorName(error));
        goto done;
    }
    size_t previous = 0;
    (void)ubrk_first(breaks);
    for (int32_t at; status == LNG_OK && (at = ubrk_next(breaks)) != UBRK_DONE;) {
        bool last = (size_t)at >= end - begin;
        if (level == BY_SENTENCE && !last &&
            lng_sentence_goes_on(text, end - begin, previous, (size_t)at, splitter->locale))
            continue;
        status = add_cut(cuts, begin + (size_t)at);
        previous = (size_t)at;
    }
done:
    ubrk_close(breaks);
    if (view != NULL)
        utext_close(view);
    return status;
}

/* After , ; : and dashes with white space behind them, and after their full-width kin. */
static enum lng_status clause_cuts(const struct splitter *splitter, size_t begin, size_t end,
                                   struct cuts *cuts)
{
    static const uint32_t spaced[] = {',', ';', ':', ')', 0x2013, 0x2014, 0x060C, 0x061B, 0x0589};
    static const uint32_t alone[] = {0x3001, 0xFF0C, 0xFF1B, 0xFF1A, 0x3002, 0xFF01, 0xFF1F};
    for (size_t at = begin; at < end;) {
        uint32_t c;
        bool mark = false;
        at += lng_utf8_decode(splitter->text + at, end - at, &c);
        for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++)
            mark |= c == alone[i];
        for (size_t i = 0; i < sizeof spaced / sizeof spaced[0]; i++)
            mark |= c == spaced[i] && at < end && splitter->text[at] == ' ';
        while (mark && at < end && splitter->text[at] == ' ')
            at++;
        if (mark && at < end)
            LNG_TRY(add_cut(cuts, at));
    }
    return LNG_OK;
}

static enum lng_status find_cuts(const struct splitter *splitter, size_t begin, size_t end,
                                 enum level level, struct cuts *cuts)
{
    LNG_TRY(level == BY_CLAUSE ? clause_cuts(splitter, begin, end, cuts)
                               : icu_cuts(splitter, begin, end, level, cuts));
    if (cuts->count == 0 || cuts->data[cuts->count - 1] != end)
        LNG_TRY(add_cut(cuts, end));
    return LNG_OK;
}

/* The end of a code point (or of a bad byte) at or before `at`; `floor` when there is none after it. */
static size_t code_point_end(const char *text, size_t floor, size_t at)
{
    for (size_t back = 0; back < 4 && at - back > floor; back++)
        if (((unsigned char)text[at - back] & 0xC0) != 0x80)
            return at - back;
    return at - floor < 4 ? floor : at;
}

/* The end of the longest run of code points from `begin` that fits, found by doubling and halving; one is
 * taken in any case. */
static enum lng_status find_fit(const struct splitter *splitter, size_t begin, size_t end,
                                size_t *fit)
{
    const char *text = splitter->text;
    uint32_t ignored;
    size_t good = begin + lng_utf8_decode(text + begin, end - begin, &ignored), bad = end + 1, cost;
    for (size_t step = splitter->limit; good < end && bad > end; step *= 2) {
        size_t probe = step < end - begin ? code_point_end(text, begin, begin + step) : end;
        if (probe <= good)
            continue;
        LNG_TRY(cost_of(splitter, begin, probe, &cost));
        *(cost <= splitter->limit ? &good : &bad) = probe;
    }
    while (bad <= end) {
        size_t probe = code_point_end(text, good, good + (bad - good) / 2);
        if (probe <= good)
            probe = good + lng_utf8_decode(text + good, end - good, &ignored);
        if (probe >= bad)
            break;
        LNG_TRY(cost_of(splitter, begin, probe, &cost));
        *(cost <= splitter->limit ? &good : &bad) = probe;
    }
    *fit = good;
    return LNG_OK;
}

static enum lng_status split_hard(const struct splitter *splitter, size_t begin, size_t end)
{
    for (size_t fit; begin < end; begin = fit) {
        LNG_TRY(find_fit(splitter, begin, end, &fit));
        LNG_TRY(add_segment(splitter->out, begin, fit));
    }
    return LNG_OK;
}

static enum lng_status split(const struct splitter *splitter, size_t begin, size_t end,
                             enum level level);

/* Closes the segment [begin, end) of several parts. Their costs hardly ever add up to less than the cost of the
 * whole; when they do it is split a level down. */
static enum lng_status close_segment(const struct splitter *splitter, size_t begin, size_t end,
                                     enum level level)
{
    size_t cost;
    if (begin == end)
        return LNG_OK;
    LNG_TRY(cost_of(splitter, begin, end, &cost));
    if (cost <= splitter->limit)
        return add_segment(splitter->out, begin, end);
    return split(splitter, begin, end, (enum level)(level + 1));
}

/* Packs the parts between cuts; a part that is too long by itself is split a level down. */
static enum lng_status pack(const struct splitter *splitter, size_t begin, const struct cuts *cuts,
                            enum level level)
{
    size_t open = begin, sum = 0;
    for (size_t i = 0; i < cuts->count; i++) {
        size_t from = i > 0 ? cuts->data[i - 1] : begin, to = cuts->data[i], cost;
        LNG_TRY(cost_of(splitter, from, to, &cost));
        if (sum > splitter->limit - (cost < splitter->limit ? cost : splitter->limit) ||
            cost > splitter->limit) {
            LNG_TRY(close_segment(splitter, open, from, level));
            open = from;
            sum = 0;
        }
        if (cost > splitter->limit) {
            LNG_TRY(split(splitter, from, to, (enum level)(level + 1)));
            open = to;
        } else {
            sum += cost;
        }
    }
    return close_segment(splitter, open, cuts->data[cuts->count - 1], level);
}

static enum lng_status split(const struct splitter *splitter, size_t begin, size_t end,
                             enum level level)
{
    struct cuts cuts = {0};
    if (level >= BY_CODE_POINT)
        return split_hard(splitter, begin, end);
    enum lng_status status = find_cuts(splitter, begin, end, level, &cuts);
    if (status == LNG_OK)
        status = cuts.count == 1 ? split(splitter, begin, end, (enum level)(level + 1))
                                 : pack(splitter, begin, &cuts, level);
    lng_free(cuts.data);
    return status;
}

enum lng_status lng_segment_split(const char *text, size_t length, size_t limit,
                                  lng_segment_measure measure, void *context, const char *locale,
                                  struct lng_segments *segments)
{
    struct splitter splitter = {text, limit, measure, context, locale, segments};
    size_t cost, before = segments->count;
    LNG_FAIL_IF(limit == 0, LNG_ERR_RANGE, "segments of at most 0 tokens, expected 1 or more");
    LNG_FAIL_IF(length > MAX_TEXT_BYTES, LNG_ERR_RANGE,
                "a line of %zu bytes, expected at most %d: is it a text file?", length,
                MAX_TEXT_BYTES);
    LNG_TRY(cost_of(&splitter, 0, length, &cost));
    enum lng_status status =
        cost <= limit ? add_segment(segments, 0, length) : split(&splitter, 0, length, BY_SENTENCE);
    if (status != LNG_OK)
        segments->count = before;
    return status;
}
