/* Translations with the bytes that correspond, for those who put markup into them. */
#include "host/base/mem.h"
#include "host/infer/align.h"

struct alignment {
    struct lng_align align;
    struct lng_buffer text;
    struct lng_aligned_bytes *links;
    size_t count, capacity;
};

static struct lng_text_span without_space(struct lng_text_span span, const char *text)
{
    while (span.begin < span.end && text[span.begin] == ' ')
        span.begin++;
    while (span.begin < span.end && text[span.end - 1] == ' ')
        span.end--;
    return span;
}

/* The links of a segment; source, target: where it begins in the line, and its translation in the line's. */
static enum lng_status add_links(struct alignment *a, const struct lng_translator *translator,
                                 const struct lng_window_segment *segment, size_t source,
                                 size_t target)
{
    const struct lng_window_hypothesis *h = lng_window_pick(&translator->window, segment, 0);
    const char *text = translator->window.texts.data + segment->text.begin;
    struct lng_align_matrix m;
    if (h == NULL)
        return LNG_OK;
    LNG_TRY(lng_align_build(&a->align, translator, segment, h, LNG_ALIGN_LEVEL_SUBWORD, &m));
    for (size_t t = 0; t < m.target && m.source > 0; t++) {
        const float *row = m.weights + t * m.columns;
        size_t s = lng_align_strongest(row, m.source);
        struct lng_text_span from = without_space(m.units[0].data[s], text);
        struct lng_text_span to = without_space(m.units[1].data[t], a->align.text.data);
        if (row[s] <= 0.0f || from.begin == from.end || to.begin == to.end)
            continue;
        LNG_TRY(lng_grow(&a->links, &a->capacity, a->count + 1, sizeof *a->links));
        a->links[a->count++] = (struct lng_aligned_bytes){source + from.begin, source + from.end,
                                                          target + to.begin, target + to.end};
    }
    return LNG_OK;
}

static enum lng_status align_line(struct alignment *a, const struct lng_translator *translator,
                                  const struct lng_window_line *line)
{
    lng_buffer_clear(&a->text);
    a->count = 0;
    LNG_TRY(lng_buffer_reserve(&a->text, 0));
    for (size_t i = 0; i < line->segments.count; i++) {
        const struct lng_window_segment *segment =
            &translator->window.segments[line->segments.begin + i];
        if (i > 0)
            LNG_TRY(lng_buffer_append_byte(&a->text, ' '));
        size_t target = a->text.length;
        LNG_TRY(lng_window_append_segment(translator, segment, 0, &a->text));
        LNG_TRY(add_links(a, translator, segment, segment->text.begin - line->text.begin, target));
    }
    return LNG_OK;
}

enum lng_status lng_window_take_aligned(struct lng_translator *translator, lng_take_aligned take,
                                        void *context)
{
    const struct lng_window *w = &translator->window;
    struct alignment a = {0};
    enum lng_status status = LNG_OK;
    for (size_t l = 0; l < w->line_count && status == LNG_OK; l++) {
        struct lng_slice source = {w->texts.data ? w->texts.data + w->lines[l].text.begin : "",
                                   w->lines[l].text.count};
        status = align_line(&a, translator, &w->lines[l]);
        struct lng_aligned_text aligned = {source, {a.text.data, a.text.length}, a.links, a.count};
        if (status == LNG_OK)
            status = take(context, &aligned);
    }
    lng_align_release(&a.align);
    lng_buffer_release(&a.text);
    lng_free(a.links);
    return status;
}
