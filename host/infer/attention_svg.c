/* The drawing itself: plain SVG 1.1 that browsers, librsvg and Inkscape show alike. */
#include <math.h>
#include <unicode/uchar.h>

#include "host/infer/attention_map.h"

/* Lengths in pixels. */
static const double margin = 28.0, header = 92.0, heading_height = 58.0, label_size = 13.0;
static const double label_gap = 8.0, most_label = 15.0, most_hint = 100.0; /* in font sizes */
static const double pi_over_4 = 0.7853981633974483, least_weight = 0.005;

static const char style[] =
    "text { font-family: 'Noto Sans', 'Noto Sans CJK SC', 'Noto Sans CJK JP', 'Noto Sans Arabic', "
    "'Noto Sans Hebrew', 'Noto Sans Devanagari', 'DejaVu Sans', 'Segoe UI', 'Helvetica Neue', "
    "'PingFang SC', 'Hiragino Sans', 'Microsoft YaHei', Arial, 'Arial Unicode MS', sans-serif; "
    "fill: #1f2937; } .title { font-size: 20px; font-weight: 600; } "
    ".heading { font-size: 15px; font-weight: 600; } .detail { font-size: 12px; fill: #6b7280; }";

/* ColorBrewer's Blues: even steps of lightness, also in print and for the colour-blind. */
static const struct {
    double at;
    int rgb[3];
} ramp[] = {
    {0.0, {0xF7, 0xFB, 0xFF}},  {0.15, {0xDE, 0xEB, 0xF7}}, {0.3, {0xC6, 0xDB, 0xEF}},
    {0.45, {0x9E, 0xCA, 0xE1}}, {0.6, {0x6B, 0xAE, 0xD6}},  {0.75, {0x42, 0x92, 0xC6}},
    {0.9, {0x21, 0x71, 0xB5}},  {1.0, {0x08, 0x51, 0x9C}},
};
enum { STOPS = sizeof ramp / sizeof ramp[0] };

static void colour(double weight, char text[8])
{
    static const char digits[] = "0123456789abcdef";
    double w = weight > 0.0 ? fmin(weight, 1.0) : 0.0; /* NaN is nothing */
    int i = 1;
    while (i < STOPS - 1 && w > ramp[i].at)
        i++;
    double part = (w - ramp[i - 1].at) / (ramp[i].at - ramp[i - 1].at);
    text[0] = '#';
    for (int c = 0; c < 3; c++) {
        double from = ramp[i - 1].rgb[c], to = ramp[i].rgb[c];
        int value = (int)lround(from + part * (to - from));
        text[1 + 2 * c] = digits[value >> 4 & 15];
        text[2 + 2 * c] = digits[value & 15];
    }
    text[7] = '\0';
}

/* ---- text ---- */

/* Controls of direction could reach beyond their label; a label is isolated as a whole instead. */
static bool is_direction_control(uint32_t c)
{
    return c == 0x200E || c == 0x200F || c == 0x061C || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

static enum lng_status append_character(struct lng_buffer *out, const char *text, size_t step,
                                        uint32_t c)
{
    switch (c) {
    case '&':
        return lng_buffer_append_text(out, "&amp;");
    case '<':
        return lng_buffer_append_text(out, "&lt;");
    case '>':
        return lng_buffer_append_text(out, "&gt;");
    case '"':
        return lng_buffer_append_text(out, "&quot;");
    default:
        break;
    }
    if (is_direction_control(c))
        return LNG_OK;
    char picture[4];
    if (c < 0x20 || c == 0x7F) /* XML has no way to say most of them: their pictures */
        return lng_buffer_append(out, picture,
                                 lng_utf8_encode(c == 0x7F ? 0x2421 : 0x2400 + c, picture));
    if (c == LNG_UTF8_INVALID || c == 0xFFFE || c == 0xFFFF || (c >= 0x80 && c < 0xA0))
        return lng_buffer_append_text(out, "\xEF\xBF\xBD");
    return lng_buffer_append(out, text, step);
}

/* As an island: its direction is that of its first strong letter, and has no effect around it. */
static enum lng_status append_island(struct lng_buffer *out, struct lng_slice text)
{
    LNG_TRY(lng_buffer_append_text(out, "\xE2\x81\xA8")); /* first strong isolate */
    for (size_t at = 0, step; at < text.length; at += step) {
        uint32_t c;
        step = lng_utf8_decode(text.data + at, text.length - at, &c);
        LNG_TRY(append_character(out, text.data + at, step, c));
    }
    return lng_buffer_append_text(out, "\xE2\x81\xA9"); /* pop directional isolate */
}

/* About how wide a character is, in font sizes. */
static double advance(uint32_t c)
{
    UChar32 code = c == LNG_UTF8_INVALID ? 0xFFFD : (UChar32)c;
    int32_t width = u_getIntPropertyValue(code, UCHAR_EAST_ASIAN_WIDTH);
    if ((U_GET_GC_MASK(code) & (U_GC_MN_MASK | U_GC_ME_MASK | U_GC_CF_MASK)) != 0)
        return 0.0;
    if (width == U_EA_WIDE || width == U_EA_FULLWIDTH)
        return 1.0;
    return u_isupper(code) || c == 0x2581 || c == 'm' || c == 'w' ? 0.75 : 0.56;
}

/* How much of a label is shown, never cut before a combining character; *width in font sizes. */
static size_t fit_label(struct lng_slice label, double most, double *width)
{
    double sum = 0.0;
    for (size_t at = 0, step; at < label.length; at += step) {
        uint32_t c;
        step = lng_utf8_decode(label.data + at, label.length - at, &c);
        double next = advance(c);
        if (sum + next > most && next > 0.0) {
            *width = sum + 0.9; /* of the dots */
            return at;
        }
        sum += next;
    }
    *width = sum;
    return label.length;
}

static enum lng_status append_label(struct lng_buffer *out, struct lng_slice label, double most)
{
    double width;
    size_t shown = fit_label(label, most, &width);
    LNG_TRY(append_island(out, (struct lng_slice){label.data, shown}));
    return shown < label.length ? lng_buffer_append_text(out, "\xE2\x80\xA6") : LNG_OK;
}

/* ---- one picture ---- */

struct layout {
    const struct lng_attention_picture *picture;
    double cell, font;        /* size of a cell, of label text */
    double left, top;         /* of the first cell */
    double width, height;     /* of the grid */
    double label_room, slope; /* room for row labels; height of slanted column labels */
    bool values;              /* percentages are written into cells */
};

static double widest_label(const struct lng_slice *labels, size_t count)
{
    double widest = 0.0, width;
    for (size_t i = 0; i < count; i++) {
        (void)fit_label(labels[i], most_label, &width);
        widest = fmax(widest, width);
    }
    return widest;
}

static struct layout lay_out(const struct lng_attention_picture *picture, double top)
{
    size_t most = picture->rows > picture->columns ? picture->rows : picture->columns;
    struct layout l = {.picture = picture};
    l.cell = most <= 40 ? 28.0 : most <= 100 ? 18.0 : 12.0;
    l.values = most <= 40;
    l.font = fmin(label_size, l.cell - 2.0);
    l.label_room = widest_label(picture->labels[1], picture->rows) * l.font + label_gap;
    l.slope = (widest_label(picture->labels[0], picture->columns) + 0.7) * l.font * sin(pi_over_4) +
              label_gap;
    l.left = margin + fmax(l.label_room, 40.0);
    l.top = top + heading_height + l.slope;
    l.width = l.cell * (double)picture->columns;
    l.height = l.cell * (double)picture->rows;
    return l;
}

static enum lng_status draw_labels(const struct layout *l, struct lng_buffer *out)
{
    const struct lng_attention_picture *p = l->picture;
    LNG_TRY(lng_buffer_append_format(out, "<g font-size=\"%.4g\">\n", l->font));
    for (size_t s = 0; s < p->columns; s++) {
        double x = l->left + l->cell * ((double)s + 0.5), y = l->top - label_gap;
        LNG_TRY(lng_buffer_append_format(
            out, "<text x=\"%.2f\" y=\"%.2f\" transform=\"rotate(-45 %.2f %.2f)\">", x, y, x, y));
        LNG_TRY(append_label(out, p->labels[0][s], most_label));
        LNG_TRY(lng_buffer_append_text(out, "</text>\n"));
    }
    for (size_t t = 0; t < p->rows; t++) {
        double y = l->top + l->cell * ((double)t + 0.5) + 0.35 * l->font;
        LNG_TRY(lng_buffer_append_format(out, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"end\">",
                                         l->left - label_gap, y));
        LNG_TRY(append_label(out, p->labels[1][t], most_label));
        LNG_TRY(lng_buffer_append_text(out, "</text>\n"));
    }
    return lng_buffer_append_text(out, "</g>\n");
}

static size_t strongest(const float *row, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        best = row[i] > row[best] ? i : best;
    return best;
}

/* A cell that says what it is when pointed at. Those that would look empty are left to the background. */
static enum lng_status draw_cell(const struct layout *l, size_t t, size_t s, bool best,
                                 struct lng_buffer *out)
{
    const struct lng_attention_picture *p = l->picture;
    double weight = (double)p->weights[t * p->stride + s];
    double x = l->left + l->cell * (double)s, y = l->top + l->cell * (double)t;
    char fill[8];
    if (!(weight >= least_weight))
        return LNG_OK;
    colour(weight, fill);
    LNG_TRY(lng_buffer_append_format(out, "<g><title>"));
    LNG_TRY(append_label(out, p->labels[1][t], most_hint));
    LNG_TRY(lng_buffer_append_text(out, " \xE2\x86\x90 "));
    LNG_TRY(append_label(out, p->labels[0][s], most_hint));
    LNG_TRY(lng_buffer_append_format(
        out,
        ": %.3f</title><rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" rx=\"%.1f\" "
        "fill=\"%s\"%s/>",
        weight, x + 1.0, y + 1.0, l->cell - 2.0, l->cell - 2.0, l->cell / 9.0, fill,
        best ? " stroke=\"#d9480f\" stroke-width=\"1.6\"" : ""));
    if (l->values && weight >= 0.095)
        LNG_TRY(lng_buffer_append_format(
            out,
            "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\" style=\"fill: %s\">%.0f</text>",
            x + l->cell / 2.0, y + l->cell / 2.0 + 3.6, weight > 0.62 ? "#ffffff" : "#1f2937",
            weight * 100.0));
    return lng_buffer_append_text(out, "</g>\n");
}

static enum lng_status draw_grid(const struct layout *l, struct lng_buffer *out)
{
    const struct lng_attention_picture *p = l->picture;
    LNG_TRY(lng_buffer_append_format(
        out,
        "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" rx=\"3\" fill=\"#f7fbff\" "
        "stroke=\"#d7e0ea\"/>\n<path stroke=\"#e6edf5\" fill=\"none\" d=\"",
        l->left, l->top, l->width, l->height));
    for (size_t s = 1; s < p->columns; s++)
        LNG_TRY(lng_buffer_append_format(out, "M%.2f %.2fv%.2f", l->left + l->cell * (double)s,
                                         l->top, l->height));
    for (size_t t = 1; t < p->rows; t++)
        LNG_TRY(lng_buffer_append_format(out, "M%.2f %.2fh%.2f", l->left,
                                         l->top + l->cell * (double)t, l->width));
    LNG_TRY(lng_buffer_append_text(out, "M0 0\"/>\n<g font-size=\"10\">\n"));
    for (size_t t = 0; t < p->rows; t++) {
        const float *row = p->weights + t * p->stride;
        size_t best = strongest(row, p->columns);
        for (size_t s = 0; s < p->columns; s++)
            LNG_TRY(draw_cell(l, t, s, s == best, out));
    }
    return lng_buffer_append_text(out, "</g>\n");
}

enum lng_status lng_attention_draw(const struct lng_attention_picture *picture, uint64_t number,
                                   double top, double *width, double *height,
                                   struct lng_buffer *out)
{
    struct layout l = lay_out(picture, top);
    unsigned long long id = (unsigned long long)number;
    LNG_TRY(lng_buffer_append_format(
        out, "<g role=\"group\" aria-labelledby=\"h%llu d%llu\">\n<title id=\"h%llu\">", id, id,
        id));
    LNG_TRY(append_island(out, lng_slice_of(picture->heading)));
    LNG_TRY(lng_buffer_append_format(out, "</title>\n<desc id=\"d%llu\">Source: ", id));
    LNG_TRY(append_island(out, picture->source));
    LNG_TRY(lng_buffer_append_text(out, " Translation: "));
    LNG_TRY(append_island(out, picture->target));
    LNG_TRY(lng_buffer_append_format(out, "</desc>\n<text class=\"heading\" x=\"%.2f\" y=\"%.2f\">",
                                     margin, top + 24.0));
    LNG_TRY(append_island(out, lng_slice_of(picture->heading)));
    LNG_TRY(lng_buffer_append_format(out, "</text>\n<text class=\"detail\" x=\"%.2f\" y=\"%.2f\">",
                                     margin, top + 42.0));
    LNG_TRY(append_island(out, lng_slice_of(picture->detail)));
    LNG_TRY(lng_buffer_append_text(out, "</text>\n"));
    LNG_TRY(draw_labels(&l, out));
    LNG_TRY(draw_grid(&l, out));
    LNG_TRY(lng_buffer_append_text(out, "</g>\n"));
    *width = fmax(*width, l.left + l.width + l.slope + margin); /* the last label leans out */
    *height += heading_height + l.slope + l.height + margin;
    return LNG_OK;
}

/* ---- the document ---- */

double lng_attention_header_height(void)
{
    return header;
}

static enum lng_status draw_legend(struct lng_buffer *out)
{
    char stop[8];
    LNG_TRY(lng_buffer_append_text(
        out, "<defs><linearGradient id=\"ramp\" x1=\"0\" x2=\"1\" y1=\"0\" y2=\"0\">\n"));
    for (int i = 0; i < STOPS; i++) {
        colour(ramp[i].at, stop);
        LNG_TRY(lng_buffer_append_format(out, "<stop offset=\"%.2f\" stop-color=\"%s\"/>\n",
                                         ramp[i].at, stop));
    }
    return lng_buffer_append_format(
        out,
        "</linearGradient></defs>\n"
        "<text class=\"detail\" x=\"%.0f\" y=\"78\">0</text>\n"
        "<rect x=\"%.0f\" y=\"69\" width=\"140\" height=\"10\" rx=\"2\" fill=\"url(#ramp)\" "
        "stroke=\"#d7e0ea\"/>\n<text class=\"detail\" x=\"%.0f\" y=\"78\">1</text>\n"
        "<rect x=\"%.0f\" y=\"68\" width=\"12\" height=\"12\" rx=\"2\" fill=\"none\" "
        "stroke=\"#d9480f\" stroke-width=\"1.6\"/>\n"
        "<text class=\"detail\" x=\"%.0f\" y=\"78\">strongest of its row</text>\n",
        margin, margin + 14.0, margin + 160.0, margin + 186.0, margin + 204.0);
}

enum lng_status lng_attention_draw_document(struct lng_slice body, double width, double height,
                                            struct lng_buffer *out)
{
    double w = ceil(fmax(width, 420.0)), h = ceil(height);
    LNG_TRY(lng_buffer_append_format(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
        "viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"title desc\">\n"
        "<title id=\"title\">What each translation attended to</title>\n"
        "<desc id=\"desc\">A heat map for each sentence. Rows are parts of the translation, from "
        "the "
        "first down; columns are parts of the source, from the first at the left, in any script. A "
        "cell "
        "shows the share of attention, from 0 to 1; numbers in cells are per cent.</desc>\n"
        "<style>%s</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
        "<text class=\"title\" x=\"%.0f\" y=\"36\">Attention</text>\n"
        "<text class=\"detail\" x=\"%.0f\" y=\"56\">rows: translation; columns: source; per cent "
        "of "
        "each row</text>\n",
        w, h, w, h, style, margin, margin));
    LNG_TRY(draw_legend(out));
    LNG_TRY(lng_buffer_append(out, body.data, body.length));
    return lng_buffer_append_text(out, "</svg>\n");
}
