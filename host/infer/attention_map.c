#include "host/infer/attention_map.h"

#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/infer/align.h"
#include "host/infer/json_text.h"

enum { BODY_BYTES = 64 << 20 /* and no further picture */ };

struct lng_attention_map {
    bool json;
    struct lng_atomic_file file;
    struct lng_buffer body; /* SVG: what was drawn; JSON: an object */
    double width, height;   /* SVG: of the body, its header included */
    uint64_t pictures, left_out;
    struct lng_align align;
    struct lng_slice *labels[2];
    size_t capacity[2];
};

static bool ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path), tail = strlen(ending);
    return length > tail && strcmp(path + length - tail, ending) == 0;
}

enum lng_status lng_attention_map_open(const char *path, struct lng_attention_map **map)
{
    bool svg = ends_with(path, ".svg"), json = ends_with(path, ".json");
    LNG_FAIL_IF(!svg && !json, LNG_ERR_USAGE,
                "attention-map: expected a name that ends in .svg or .json, found %s", path);
    struct lng_attention_map *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    made->json = json;
    made->height = lng_attention_header_height();
    enum lng_status status = lng_atomic_open(&made->file, path);
    if (status != LNG_OK) {
        lng_attention_map_close(made);
        return status;
    }
    *map = made;
    return LNG_OK;
}

void lng_attention_map_close(struct lng_attention_map *map)
{
    if (map == NULL)
        return;
    lng_atomic_discard(&map->file);
    lng_buffer_release(&map->body);
    lng_align_release(&map->align);
    lng_free(map->labels[0]);
    lng_free(map->labels[1]);
    lng_free(map);
}

/* ---- one segment ---- */

struct scene {
    const struct lng_translator *translator;
    const struct lng_window_segment *segment;
    const struct lng_window_hypothesis *h;
    uint64_t line;
    size_t segment_number, segments;
    struct lng_align_matrix m;
    size_t rows, columns; /* of it, that are shown */
    struct lng_slice source, target;
};

/* Names of the units, the end of sentence included. */
static enum lng_status find_labels(struct lng_attention_map *map, const struct scene *scene,
                                   int side)
{
    const struct lng_translator *translator = scene->translator;
    const struct lng_window *w = &translator->window;
    size_t count = side == 0 ? scene->columns : scene->rows;
    const int32_t *ids = side == 0 ? w->ids.data + scene->segment->ids.begin
                                   : w->tokens.data + scene->h->tokens.begin;
    const struct lng_vocab *vocab =
        lng_tokenizer_vocab(translator->tokenizer, side == 0 ? LNG_SIDE_SOURCE : LNG_SIDE_TARGET);
    int32_t eos =
        lng_tokenizer_eos(translator->tokenizer, side == 0 ? LNG_SIDE_SOURCE : LNG_SIDE_TARGET);
    struct lng_slice text = side == 0 ? scene->source : scene->target;
    size_t units = side == 0 ? scene->m.source : scene->m.target;
    LNG_TRY(lng_grow(&map->labels[side], &map->capacity[side], count, sizeof **map->labels));
    for (size_t i = 0; i < count; i++) {
        struct lng_text_span span =
            i < units ? scene->m.units[side].data[i] : (struct lng_text_span){0, 0};
        if (translator->options.alignment_level == LNG_ALIGN_LEVEL_SUBWORD)
            map->labels[side][i] = lng_vocab_entry(vocab, ids[i]);
        else if (i < units)
            map->labels[side][i] =
                (struct lng_slice){text.data + span.begin, span.end - span.begin};
        else
            map->labels[side][i] = lng_vocab_entry(vocab, eos);
    }
    return LNG_OK;
}

static void describe_heads(const struct lng_translator *translator, char *layer, char *head,
                           size_t size)
{
    const struct lng_search_options *o = &translator->options.search;
    int number = lng_search_layer(o, &translator->model->hparams);
    if (number == LNG_SEARCH_ALL_LAYERS)
        snprintf(layer, size, "mean");
    else
        snprintf(layer, size, "%d", number);
    if (o->alignment_head < 0)
        snprintf(head, size, "mean");
    else
        snprintf(head, size, "%d", o->alignment_head);
}

static enum lng_status draw(struct lng_attention_map *map, const struct scene *scene)
{
    char heading[96], detail[160], layer[16], head[16], part[48] = "";
    if (map->pictures >= LNG_ATTENTION_MAP_PICTURES || map->body.length >= BODY_BYTES ||
        scene->rows > LNG_ATTENTION_MAP_UNITS || scene->columns > LNG_ATTENTION_MAP_UNITS) {
        map->left_out++;
        return LNG_OK;
    }
    describe_heads(scene->translator, layer, head, sizeof layer);
    if (scene->segments > 1)
        snprintf(part, sizeof part, ", segment %zu of %zu", scene->segment_number + 1,
                 scene->segments);
    snprintf(heading, sizeof heading, "Line %llu%s", (unsigned long long)scene->line + 1, part);
    snprintf(detail, sizeof detail, "%s%s, %s%s; log-probability %.3f",
             strcmp(layer, "mean") == 0 ? "mean of all layers" : "decoder layer ",
             strcmp(layer, "mean") == 0 ? "" : layer,
             strcmp(head, "mean") == 0 ? "mean of all heads" : "head ",
             strcmp(head, "mean") == 0 ? "" : head, scene->h->total);
    struct lng_attention_picture picture = {
        .heading = heading,
        .detail = detail,
        .source = scene->source,
        .target = scene->target,
        .labels = {map->labels[0], map->labels[1]},
        .rows = scene->rows,
        .columns = scene->columns,
        .weights = scene->m.weights,
        .stride = scene->m.columns,
    };
    map->pictures++;
    return lng_attention_draw(&picture, map->pictures, map->height, &map->width, &map->height,
                              &map->body);
}

static enum lng_status append_slice(struct lng_buffer *out, const char *key, struct lng_slice text)
{
    LNG_TRY(lng_json_append_key(out, key));
    return lng_json_append_string(out, text.data ? text.data : "", text.length);
}

static enum lng_status append_head(struct lng_buffer *out, const char *key, const char *value)
{
    bool mean = strcmp(value, "mean") == 0;
    LNG_TRY(lng_json_append_key(out, key));
    return lng_buffer_append_format(out, mean ? "\"%s\"" : "%s", value);
}

static enum lng_status append_labels(struct lng_buffer *out, const char *key,
                                     const struct lng_slice *labels, size_t count)
{
    LNG_TRY(lng_json_append_key(out, key));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t i = 0; i < count; i++) {
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(
            lng_json_append_string(out, labels[i].data ? labels[i].data : "", labels[i].length));
    }
    return lng_buffer_append_byte(out, ']');
}

static enum lng_status write_numbers(struct lng_attention_map *map, const struct scene *scene)
{
    static const char *const levels[] = {"subword", "word", "character"};
    struct lng_buffer *out = &map->body;
    char layer[16], head[16];
    describe_heads(scene->translator, layer, head, sizeof layer);
    lng_buffer_clear(out);
    LNG_TRY(lng_buffer_append_format(out, "%s\n{\"line\": %llu, \"segment\": %zu",
                                     map->pictures++ > 0 ? "," : "[",
                                     (unsigned long long)scene->line, scene->segment_number));
    LNG_TRY(lng_json_append_key(out, "level"));
    LNG_TRY(lng_buffer_append_format(out, "\"%s\"",
                                     levels[scene->translator->options.alignment_level]));
    LNG_TRY(append_head(out, "layer", layer));
    LNG_TRY(append_head(out, "head", head));
    LNG_TRY(lng_json_append_key(out, "score"));
    LNG_TRY(lng_json_append_number(out, scene->h->total));
    LNG_TRY(append_slice(out, "source", scene->source));
    LNG_TRY(append_slice(out, "translation", scene->target));
    LNG_TRY(append_labels(out, "source_units", map->labels[0], scene->columns));
    LNG_TRY(append_labels(out, "target_units", map->labels[1], scene->rows));
    LNG_TRY(lng_json_append_key(out, "weights"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t t = 0; t < scene->rows; t++) {
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_buffer_append_byte(out, '['));
        for (size_t s = 0; s < scene->columns; s++) {
            LNG_TRY(lng_json_append_comma(out));
            LNG_TRY(
                lng_json_append_number(out, (double)scene->m.weights[t * scene->m.columns + s]));
        }
        LNG_TRY(lng_buffer_append_byte(out, ']'));
    }
    LNG_TRY(lng_buffer_append_text(out, "]}"));
    return lng_atomic_write(&map->file, out->data, out->length);
}

static enum lng_status add_segment(struct lng_attention_map *map, struct scene *scene)
{
    const struct lng_translate_options *o = &scene->translator->options;
    const struct lng_window *w = &scene->translator->window;
    scene->h = lng_window_pick(w, scene->segment, 0);
    if (scene->h == NULL)
        return LNG_OK;
    LNG_TRY(lng_align_build(&map->align, scene->translator, scene->segment, scene->h,
                            o->alignment_level, &scene->m));
    bool eos = o->alignment_eos != LNG_ALIGN_EOS_DROP;
    scene->rows = eos ? scene->m.rows : scene->m.target;
    scene->columns = eos ? scene->m.columns : scene->m.source;
    scene->source =
        (struct lng_slice){w->texts.data + scene->segment->text.begin, scene->segment->text.count};
    scene->target = (struct lng_slice){map->align.text.data, map->align.text.length};
    LNG_TRY(find_labels(map, scene, 0));
    LNG_TRY(find_labels(map, scene, 1));
    return map->json ? write_numbers(map, scene) : draw(map, scene);
}

/* ---- the file ---- */

enum lng_status lng_attention_map_add_window(struct lng_attention_map *map,
                                             struct lng_translator *translator, uint64_t first_line)
{
    const struct lng_window *w = &translator->window;
    for (size_t l = 0; l < w->line_count; l++)
        for (size_t i = 0; i < w->lines[l].segments.count; i++) {
            struct scene scene = {
                .translator = translator,
                .segment = &w->segments[w->lines[l].segments.begin + i],
                .line = first_line + l,
                .segment_number = i,
                .segments = w->lines[l].segments.count,
            };
            LNG_TRY(add_segment(map, &scene));
        }
    return LNG_OK;
}

enum lng_status lng_attention_map_finish(struct lng_attention_map *map, uint64_t *left_out)
{
    struct lng_buffer document = {0};
    enum lng_status status;
    if (map->json) {
        LNG_TRY_OR_FAIL(lng_buffer_append_text(&document, map->pictures > 0 ? "\n]\n" : "[]\n"));
    } else {
        struct lng_slice body = {map->body.data ? map->body.data : "", map->body.length};
        LNG_TRY_OR_FAIL(lng_attention_draw_document(body, map->width, map->height, &document));
    }
    LNG_TRY_OR_FAIL(lng_atomic_write(&map->file, document.data, document.length));
    status = lng_atomic_commit(&map->file);
    *left_out = map->left_out;
fail:
    lng_buffer_release(&document);
    return status;
}
