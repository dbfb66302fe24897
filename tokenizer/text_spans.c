#include "tokenizer/text_spans.h"

#include "host/base/blank_text.h"
#include "host/base/mem.h"

void lng_text_spans_release(struct lng_text_spans *spans)
{
    lng_free(spans->data);
    *spans = (struct lng_text_spans){0};
}

enum lng_status lng_text_spans_push(struct lng_text_spans *spans, size_t begin, size_t end)
{
    LNG_TRY(lng_grow(&spans->data, &spans->capacity, spans->count + 1, sizeof *spans->data));
    spans->data[spans->count++] = (struct lng_text_span){begin, end};
    return LNG_OK;
}

enum lng_status lng_text_spans_find(struct lng_slice text, enum lng_align_level level,
                                    struct lng_text_spans *spans)
{
    bool inside = false;
    for (size_t at = 0, step; at < text.length; at += step) {
        uint32_t c;
        step = lng_utf8_decode(text.data + at, text.length - at, &c);
        bool space = lng_line_is_blank(text.data + at, step);
        if (!space && inside && level == LNG_ALIGN_LEVEL_WORD)
            spans->data[spans->count - 1].end = at + step;
        else if (!space)
            LNG_TRY(lng_text_spans_push(spans, at, at + step));
        inside = !space;
    }
    return LNG_OK;
}

enum lng_status lng_text_spans_encoded(const struct lng_tokenizer *tokenizer, enum lng_side side,
                                       struct lng_slice text, const int32_t *ids, size_t count,
                                       size_t skip, struct lng_text_spans *spans)
{
    struct lng_token_spans found = {0};
    enum lng_status status = LNG_OK;
    spans->count = 0;
    if (text.length > 0)
        status = lng_tokenizer_encode_spans(tokenizer, side, text.data, text.length, &found);
    for (size_t i = 0; i < count && status == LNG_OK; i++) {
        size_t k = i - skip;
        bool known = i >= skip && k < found.count && found.data[k].id == ids[i];
        status = known ? lng_text_spans_push(spans, found.data[k].begin, found.data[k].end)
                       : lng_text_spans_push(spans, 0, 0);
    }
    lng_token_spans_release(&found);
    return status;
}

void lng_text_spans_touched(const struct lng_text_spans *units, struct lng_text_span span,
                            size_t *first, size_t *last)
{
    size_t low = 0, high = units->count;
    while (low < high) { /* the first that ends behind the span's begin */
        size_t middle = low + (high - low) / 2;
        if (units->data[middle].end > span.begin)
            high = middle;
        else
            low = middle + 1;
    }
    *first = low;
    while (low < units->count && units->data[low].begin < span.end)
        low++;
    *last = low;
}

size_t lng_text_characters(const char *text, size_t begin, size_t end)
{
    size_t count = 0;
    for (size_t at = begin, step; at < end; at += step) {
        uint32_t c;
        step = lng_utf8_decode(text + at, end - at, &c);
        count += !lng_line_is_blank(text + at, step);
    }
    return count;
}

size_t lng_text_spans_stand_in(const struct lng_text_spans *tokens, const char *text, size_t i,
                               size_t end)
{
    for (size_t k = i; k < end; k++)
        if (lng_text_characters(text, tokens->data[k].begin, tokens->data[k].end) > 0)
            return k;
    for (size_t k = i; k-- > 0;)
        if (lng_text_characters(text, tokens->data[k].begin, tokens->data[k].end) > 0)
            return k;
    return end;
}
