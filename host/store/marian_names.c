#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/store/marian_internal.h"

struct row {
    enum lng_param_id id;
    enum lng_marian_layout layout;
    bool holds;
    const char *names;
};

enum {
    ROWS = 0
#define LNG_MARIAN(id, layout, when, names) +1
#include "host/store/marian_names.def"
#undef LNG_MARIAN
};

/* marian_names.def evaluated for one configuration. */
static void evaluate(const struct lng_marian_config *c, struct row table[ROWS])
{
    const struct row rows[ROWS] = {
#define LNG_MARIAN(id, layout, when, names) {LNG_PARAM_##id, LNG_MARIAN_##layout, (when), names},
#include "host/store/marian_names.def"
#undef LNG_MARIAN
    };
    memcpy(table, rows, sizeof rows);
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* A name pattern, up to its end or a '|', filled in. */
static void expand(char name[LNG_PARAM_NAME_BYTES], const char *pattern, int layer,
                   const struct lng_hparams *h)
{
    size_t used = 0;
    for (const char *at = pattern; *at && *at != '|' && used < LNG_PARAM_NAME_BYTES - 16;) {
        if (starts(at, "{}"))
            used += (size_t)snprintf(name + used, 16, "%d", layer + 1);
        else if (starts(at, "{ln}"))
            used += (size_t)snprintf(name + used, 16, "%s", h->norm == LNG_NORM_RMS ? "rms" : "ln");
        else if (starts(at, "{pre}"))
            used += (size_t)snprintf(name + used, 16, "%s", h->pre_norm ? "_pre" : "");
        else
            name[used++] = *at;
        at = *at == '{' ? strchr(at, '}') + 1 : at + 1;
    }
    name[used] = '\0';
}

static struct lng_marian_tensor make_tensor(const struct row *row, const struct lng_hparams *h,
                                            const struct lng_param *param, int part,
                                            const char *pattern)
{
    struct lng_marian_tensor tensor = {.param = param, .part = part, .layout = row->layout};
    bool vector = row->layout == LNG_MARIAN_VECTOR, turned = row->layout == LNG_MARIAN_COLUMNS;
    expand(tensor.name, pattern, param->layer, h);
    tensor.rows = vector ? 1 : param->rows / param->parts;
    tensor.cols = vector ? param->cols / param->parts : param->cols;
    tensor.shape[0] = turned ? tensor.cols : tensor.rows;
    tensor.shape[1] = turned ? tensor.rows : tensor.cols;
    tensor.values_begin = part * tensor.rows * tensor.cols;
    return tensor;
}

enum lng_status lng_marian_tensors(const struct lng_marian_config *config,
                                   const struct lng_params *params, struct lng_marian_tensor **list,
                                   size_t *count)
{
    struct row table[ROWS];
    struct lng_marian_tensor *result = lng_alloc(params->count * LNG_PARAM_PARTS, sizeof *result);
    size_t made = 0;
    if (!result)
        return LNG_ERR_MEMORY;
    evaluate(config, table);
    for (size_t i = 0; i < params->count; i++) {
        const struct lng_param *param = &params->list[i];
        const struct row *row = table;
        while (row < table + ROWS && (row->id != param->id || !row->holds))
            row++;
        if (row == table + ROWS) {
            lng_free(result);
            return lng_fail(LNG_ERR_UNSUPPORTED, "Marian has no tensor like %s", param->name);
        }
        const char *pattern = row->names;
        for (int part = 0; part < param->parts; part++) {
            result[made++] = make_tensor(row, &config->hparams, param, part, pattern);
            const char *bar = strchr(pattern, '|');
            pattern = bar ? bar + 1 : pattern;
        }
    }
    *list = result;
    *count = made;
    return LNG_OK;
}

/* The name is the pattern with something for each hole. */
static bool matches(const char *pattern, const char *name)
{
    while (*pattern && *pattern != '|') {
        if (*pattern != '{') {
            if (*name++ != *pattern++)
                return false;
            continue;
        }
        if (starts(pattern, "{}")) {
            size_t digits = strspn(name, "0123456789");
            if (digits == 0)
                return false;
            name += digits;
        } else if (starts(pattern, "{ln}")) {
            if (!starts(name, "ln") && !starts(name, "rms"))
                return false;
            name += *name == 'l' ? 2 : 3;
        } else { /* {pre} */
            name += starts(name, "_pre") ? 4 : 0;
        }
        pattern = strchr(pattern, '}') + 1;
    }
    return *name == '\0';
}

bool lng_marian_knows_name(const char *name)
{
    struct row table[ROWS];
    evaluate(&(struct lng_marian_config){0}, table);
    for (int i = 0; i < ROWS; i++)
        for (const char *pattern = table[i].names; pattern;) {
            if (matches(pattern, name))
                return true;
            const char *bar = strchr(pattern, '|');
            pattern = bar ? bar + 1 : NULL;
        }
    return false;
}

void lng_marian_transpose(const float *from, float *to, int64_t rows, int64_t cols)
{
    enum { SIDE = 16 }; /* squares that stay in the cache */
    for (int64_t r = 0; r < rows; r += SIDE)
        for (int64_t c = 0; c < cols; c += SIDE)
            for (int64_t i = r; i < rows && i < r + SIDE; i++)
                for (int64_t j = c; j < cols && j < c + SIDE; j++)
                    to[i * cols + j] = from[j * rows + i];
}
