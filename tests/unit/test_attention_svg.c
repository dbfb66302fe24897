/* The picture: well-formed XML whatever the labels are, and only cells that can be seen. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/attention_map.h"
#include "tests/support/check.h"
#include "tests/support/xml_check.h"

static const char *const odd[] = {
    "\xE2\x96\x81word",
    "<&>\"'",
    "\x01\x02\x1F\x7F",
    "\xFF\xFE",
    "]]>",
    "\xED\xA0\x80",
    "\xEF\xBF\xBE\xEF\xBF\xBF",
    "",
    "\xC2\x85\xC2\x9F",
    "\t\n\r",
    "\xE4\xBB\x8A\xE6\x97\xA5\xE3\x81\xAF",     /* Japanese */
    "\xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7", /* Arabic */
    "\xE2\x80\xAE\xE2\x81\xA7\xE2\x80\x8Fxyz",  /* override, isolate, mark: taken out */
    "e\xCC\x81\xCC\x81\xCC\x81\xCC\x81",
    "a very long label that nobody could read in a picture",
    "<script>alert(1)</script>",
};
enum { ODD = sizeof odd / sizeof odd[0] };

static size_t count(const struct lng_buffer *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text->data; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void draw(size_t rows, size_t columns, const float *weights, struct lng_buffer *document,
                 double *width, double *height)
{
    struct lng_buffer body = {0};
    struct lng_slice labels[ODD];
    for (int i = 0; i < ODD; i++)
        labels[i] = lng_slice_of(odd[i]);
    struct lng_attention_picture picture = {
        .heading = "Line <1> & \x02",
        .detail = "head \"0\"",
        .source = {"a\0b\xFF", 4},
        .target = {NULL, 0},
        .labels = {labels, labels},
        .rows = rows,
        .columns = columns,
        .weights = weights,
        .stride = columns,
    };
    *width = 0.0;
    *height = lng_attention_header_height();
    for (uint64_t n = 1; n <= 2; n++)
        check_ok(lng_attention_draw(&picture, n, *height, width, height, &body));
    check_ok(lng_attention_draw_document((struct lng_slice){body.data, body.length}, *width,
                                         *height, document));
    lng_buffer_release(&body);
}

Test(attention_svg, odd_labels)
{
    float weights[ODD * ODD];
    struct lng_buffer document = {0};
    double width, height;
    int cells;
    for (int i = 0; i < ODD * ODD; i++)
        weights[i] = i % (ODD + 1) == 0 ? 0.75f : i % 5 == 0 ? 0.02f : 0.001f;
    draw(ODD, ODD, weights, &document, &width, &height);
    cr_assert(xml_well_formed(document.data, "rect", &cells), "%s", document.data);
    size_t seen = 0;
    for (int i = 0; i < ODD * ODD; i++)
        seen += weights[i] > 0.01f;
    cr_assert((size_t)cells == 2 * seen + 2 + 3, "%d rectangles", cells); /* grids; page, legend */
    cr_assert(count(&document, ">75</text>") == 2 * ODD);
    cr_assert(lng_utf8_valid(document.data, document.length));
    cr_assert(strlen(document.data) == document.length, "no NUL");
    cr_assert(count(&document, "<script") == 0);
    /* every island is closed, and nothing else turns direction */
    cr_assert(count(&document, "\xE2\x81\xA8") == count(&document, "\xE2\x81\xA9"));
    cr_assert(count(&document, "\xE2\x80\xAE") == 0 && count(&document, "\xE2\x81\xA7") == 0);
    cr_assert(count(&document, "\xE2\x80\xA6</text>") == 4, "long labels are cut, twice a picture");
    cr_assert(count(&document, "nobody could read in a picture\xE2\x81\xA9") > 4,
              "but whole where they are pointed at");
    cr_assert(count(&document, "id=\"h1\"") == 1 && count(&document, "id=\"h2\"") == 1);
    cr_assert(width > ODD * 28.0 && height > 2 * ODD * 28.0);
    char size[64];
    snprintf(size, sizeof size, "width=\"%.0f\" height=\"%.0f\"", ceil(width), ceil(height));
    cr_assert(count(&document, size) == 1);
    lng_buffer_release(&document);
}

Test(attention_svg, odd_shapes_and_weights)
{
    static const float strange[4] = {NAN, INFINITY, -1.0f, 7.0f};
    struct lng_buffer document = {0};
    double width, height;
    draw(0, 0, strange, &document, &width, &height);
    cr_assert(xml_well_formed(document.data, "rect", NULL));
    lng_buffer_clear(&document);
    draw(1, 4, strange, &document, &width, &height);
    cr_assert(xml_well_formed(document.data, "rect", NULL));
    cr_assert(count(&document, "nan") == 0);
    lng_buffer_clear(&document);
    check_ok(lng_attention_draw_document((struct lng_slice){"", 0}, 0.0, 100.0, &document));
    cr_assert(xml_well_formed(document.data, "rect", NULL));
    lng_buffer_release(&document);
}

Test(attention_svg, names)
{
    struct lng_attention_map *map;
    check_fails(lng_attention_map_open("picture.png", &map), LNG_ERR_USAGE, ".svg or .json");
    check_fails(lng_attention_map_open(".svg", &map), LNG_ERR_USAGE, ".svg or .json");
    check_fails(lng_attention_map_open("/nowhere/a.svg", &map), LNG_ERR_IO, "/nowhere");
}
