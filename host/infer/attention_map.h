/* Pictures of attention: for each translated segment a heat map, target units down, source units across.
 *
 * A file whose name ends in .svg holds all pictures, one under the other; it is written when it is finished, so
 * it holds at most LNG_ATTENTION_MAP_PICTURES of them or 64 MiB, and those after them are counted as left out.
 * Its lines count from 1. A file whose name ends in .json holds every number, as one array of objects:
 *   {line, segment, level, layer, head, score, source, translation, source_units, target_units, weights}
 * weights [target units][source units]; layer and head are numbers from 0 or "mean". */
#ifndef LNG_HOST_INFER_ATTENTION_MAP_H
#define LNG_HOST_INFER_ATTENTION_MAP_H

#include "host/base/status.h"
#include "host/base/text.h"

enum {
    LNG_ATTENTION_MAP_PICTURES = 1000,
    LNG_ATTENTION_MAP_UNITS = 2000, /* larger ones are left out too */
};

struct lng_translator;
struct lng_attention_map;

/* LNG_ERR_USAGE for other names. Nothing appears at `path` before it is finished. */
LNG_MUST_CHECK enum lng_status lng_attention_map_open(const char *path,
                                                      struct lng_attention_map **map);
/* NULL is fine. What was not finished is thrown away. */
void lng_attention_map_close(struct lng_attention_map *map);

/* The best hypotheses of all segments of the translator's window. first_line: its number, from 0. */
LNG_MUST_CHECK enum lng_status lng_attention_map_add_window(struct lng_attention_map *map,
                                                            struct lng_translator *translator,
                                                            uint64_t first_line);
/* Puts the file at its place; *left_out is how many pictures it lacks. */
LNG_MUST_CHECK enum lng_status lng_attention_map_finish(struct lng_attention_map *map,
                                                        uint64_t *left_out);

/* ---- drawing ---- */

struct lng_attention_picture {
    const char *heading, *detail;      /* plain text, any characters */
    struct lng_slice source, target;   /* the texts, for those who cannot see the picture */
    const struct lng_slice *labels[2]; /* [columns], [rows]: source, target */
    size_t rows, columns;
    const float *weights; /* [rows, columns], from 0 to 1 */
    size_t stride;        /* from row to row of weights */
};
/* Appends a group of SVG elements whose top is at `top`; adds its height to *height and widens *width.
 * number: different for each picture of a file. Labels may be any text: they are escaped, characters that XML
 * forbids are replaced, and each is a bidirectional island. */
LNG_MUST_CHECK enum lng_status lng_attention_draw(const struct lng_attention_picture *picture,
                                                  uint64_t number, double top, double *width,
                                                  double *height, struct lng_buffer *out);
/* The document around `body`. */
LNG_MUST_CHECK enum lng_status lng_attention_draw_document(struct lng_slice body, double width,
                                                           double height, struct lng_buffer *out);
/* Height of what the document puts above its pictures. */
double lng_attention_header_height(void);

#endif
