#include "host/data/evaluation_set.h"

#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"

static enum lng_status add_line(struct lng_evaluation_set *set, enum lng_side side, size_t i,
                                struct lng_slice text)
{
    struct lng_buffer *buffer = &set->sides[side];
    LNG_TRY(
        lng_grow(&set->starts[side], &set->start_capacity[side], i + 2, sizeof *set->starts[side]));
    LNG_TRY(lng_buffer_append(buffer, text.data, text.length));
    set->starts[side][i + 1] = buffer->length;
    return LNG_OK;
}

static struct lng_slice strip(const struct lng_line *line, bool first)
{
    struct lng_slice text = {line->data, line->length - line->carriage_return};
    if (first && text.length >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0) {
        text.data += 3;
        text.length -= 3;
    }
    return text;
}

static enum lng_status add_tabbed(struct lng_evaluation_set *set, const char *path, size_t i,
                                  struct lng_slice text)
{
    struct lng_slice rest = text, source, target;
    bool whole = lng_text_split(&rest, '\t', &source) && lng_text_split(&rest, '\t', &target);
    LNG_FAIL_IF(!whole, LNG_ERR_FORMAT, "line %zu of %s has no tab: expected source, tab, target",
                i + 1, path);
    LNG_TRY(add_line(set, LNG_SIDE_SOURCE, i, source));
    return add_line(set, LNG_SIDE_TARGET, i, target);
}

/* One side, or both of a tab-separated file. */
static enum lng_status read_lines(struct lng_evaluation_set *set, enum lng_side side,
                                  const char *path, bool tabbed, size_t *count)
{
    struct lng_lines *lines = NULL;
    LNG_TRY(lng_lines_open(path, &lines));
    enum lng_status status = LNG_OK;
    size_t i = 0;
    for (;; i++) {
        struct lng_line line;
        bool got;
        status = lng_lines_next(lines, &line, &got);
        if (status != LNG_OK || !got)
            break;
        struct lng_slice text = strip(&line, i == 0);
        status = tabbed ? add_tabbed(set, path, i, text) : add_line(set, side, i, text);
        if (status == LNG_OK && i >= UINT32_MAX - 1)
            status = lng_fail(LNG_ERR_RANGE, "%s has too many lines", path);
        if (status != LNG_OK)
            break;
    }
    lng_lines_close(lines);
    *count = i;
    return status;
}

enum lng_status lng_evaluation_set_open(struct lng_evaluation_set *set,
                                        const struct lng_corpus_files *files)
{
    struct lng_evaluation_set fresh = {0};
    enum lng_status status = LNG_OK;
    bool tabbed = files->target == NULL;
    LNG_TRY_OR_FAIL(read_lines(&fresh, LNG_SIDE_SOURCE, files->source, tabbed, &fresh.count));
    if (!tabbed) {
        size_t targets;
        LNG_TRY_OR_FAIL(read_lines(&fresh, LNG_SIDE_TARGET, files->target, false, &targets));
        LNG_GOTO_FAIL_IF(targets != fresh.count, LNG_ERR_MISMATCH,
                         "%s has %zu lines but %s has %zu: expected line n of one to be the "
                         "translation of line n of the other",
                         files->source, fresh.count, files->target, targets);
    }
    LNG_GOTO_FAIL_IF(fresh.count == 0, LNG_ERR_FORMAT, "%s has no line: expected at least one",
                     files->source);
    *set = fresh;
    return LNG_OK;
fail:
    lng_evaluation_set_close(&fresh);
    return status;
}

void lng_evaluation_set_close(struct lng_evaluation_set *set)
{
    for (int side = 0; side < 2; side++) {
        lng_buffer_release(&set->sides[side]);
        lng_free(set->starts[side]);
    }
    *set = (struct lng_evaluation_set){0};
}

struct lng_slice lng_evaluation_set_line(const struct lng_evaluation_set *set, enum lng_side side,
                                         size_t i)
{
    const size_t *starts = set->starts[side];
    const char *data = set->sides[side].data;
    return (struct lng_slice){data != NULL ? data + starts[i] : "", starts[i + 1] - starts[i]};
}

enum lng_status lng_evaluation_set_encode(const struct lng_evaluation_set *set,
                                          const struct lng_encoder *encoder,
                                          const struct lng_batch_options *options,
                                          struct lng_batch_window *window, uint64_t *cropped)
{
    struct lng_batch_options own = *options;
    own.crop = own.keep_empty = own.in_order = true;
    own.aligned = false;
    LNG_TRY(lng_batch_options_check(&own));
    struct lng_encoded encoded = {0};
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < set->count && status == LNG_OK; i++) {
        status = lng_encoded_add(&encoded, encoder, &own,
                                 lng_evaluation_set_line(set, LNG_SIDE_SOURCE, i),
                                 lng_evaluation_set_line(set, LNG_SIDE_TARGET, i), 0, (uint32_t)i);
        if (status != LNG_OK)
            (void)lng_fail_context(status, "line %zu of the validation set", i + 1);
    }
    struct lng_shuffle_key unused = {0};
    if (status == LNG_OK)
        status = lng_batch_window_build(window, &encoded, 1, &own, unused);
    if (status == LNG_OK && cropped != NULL)
        *cropped = encoded.cropped;
    lng_encoded_release(&encoded);
    return status;
}
