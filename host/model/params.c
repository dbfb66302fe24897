#include "host/model/params.h"

#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"

enum { TENSOR_ALIGNMENT = 64 }; /* elements: vector loads and files stay aligned */
enum scope { SCOPE_GLOBAL, SCOPE_ENCODER, SCOPE_DECODER };

struct param_row {
    enum lng_param_id id;
    enum scope scope;
    const char *name, *hf;
    int64_t rows, cols;
    enum lng_param_init init;
    bool present;
};

/* params.def evaluated for one model. */
static void evaluate_rows(const struct lng_hparams *h, struct param_row rows[LNG_PARAM_COUNT])
{
#define LNG_PARAM(id_, scope_, name_, rows_, cols_, init_, present_, hf_) \
    rows[LNG_PARAM_##id_] = (struct param_row){                           \
        .id = LNG_PARAM_##id_,                                            \
        .scope = SCOPE_##scope_,                                          \
        .name = name_,                                                    \
        .hf = hf_,                                                        \
        .rows = (rows_),                                                  \
        .cols = (cols_),                                                  \
        .init = LNG_INIT_##init_,                                         \
        .present = (present_),                                            \
    };
#include "host/model/params.def"
#undef LNG_PARAM
}

/* Copies a name pattern, with {} replaced by the layer number. */
static void expand_name(char out[LNG_PARAM_NAME_BYTES], const char *pattern, size_t length,
                        int layer)
{
    const char *hole = memmem(pattern, length, "{}", 2);
    if (hole == NULL) {
        snprintf(out, LNG_PARAM_NAME_BYTES, "%.*s", (int)length, pattern);
        return;
    }
    size_t before = (size_t)(hole - pattern);
    snprintf(out, LNG_PARAM_NAME_BYTES, "%.*s%d%.*s", (int)before, pattern, layer,
             (int)(length - before - 2), hole + 2);
}

static struct lng_param make_param(const struct param_row *row, int layer)
{
    struct lng_param param = {
        .id = row->id,
        .layer = layer,
        .rows = row->rows,
        .cols = row->cols,
        .init = row->init,
        .decay = row->rows > 1,
    };
    expand_name(param.name, row->name, strlen(row->name), layer);
    for (const char *part = row->hf; part != NULL && param.parts < LNG_PARAM_PARTS;) {
        const char *bar = strchr(part, '|');
        size_t length = bar ? (size_t)(bar - part) : strlen(part);
        expand_name(param.hf[param.parts++], part, length, layer);
        part = bar ? bar + 1 : NULL;
    }
    return param;
}

static int layers_of(const struct lng_hparams *h, enum scope scope)
{
    return scope == SCOPE_ENCODER   ? h->encoder_layers
           : scope == SCOPE_DECODER ? h->decoder_layers
                                    : 1;
}

/* Appends all present tensors that do (or do not) take weight decay, in table order by layer. */
static void append_tensors(struct lng_params *params, const struct lng_hparams *h,
                           const struct param_row *rows, bool decay)
{
    for (enum scope scope = SCOPE_GLOBAL; scope <= SCOPE_DECODER; scope++) {
        for (int layer = 0; layer < layers_of(h, scope); layer++) {
            for (int i = 0; i < LNG_PARAM_COUNT; i++) {
                if (rows[i].scope != scope || !rows[i].present || (rows[i].rows > 1) != decay)
                    continue;
                struct lng_param param = make_param(&rows[i], scope == SCOPE_GLOBAL ? -1 : layer);
                param.offset = params->total;
                int64_t size = param.rows * param.cols;
                params->total +=
                    (size + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
                params->list[params->count++] = param;
            }
        }
    }
}

enum lng_status lng_params_init(struct lng_params *params, const struct lng_hparams *h)
{
    LNG_TRY(lng_hparams_check(h));
    struct param_row rows[LNG_PARAM_COUNT];
    evaluate_rows(h, rows);
    size_t most =
        (size_t)LNG_PARAM_COUNT * ((size_t)h->encoder_layers + (size_t)h->decoder_layers + 1);
    int layers = h->encoder_layers > h->decoder_layers ? h->encoder_layers : h->decoder_layers;
    struct lng_params result = {.list = lng_alloc(most, sizeof *result.list),
                                .index_layers = layers + 1};
    result.index =
        lng_alloc((size_t)LNG_PARAM_COUNT * (size_t)result.index_layers, sizeof *result.index);
    if (result.list == NULL || result.index == NULL) {
        lng_params_release(&result);
        return LNG_ERR_MEMORY;
    }
    append_tensors(&result, h, rows, true);
    result.decayed = result.total;
    append_tensors(&result, h, rows, false);
    for (int i = 0; i < LNG_PARAM_COUNT * result.index_layers; i++)
        result.index[i] = -1;
    for (size_t i = 0; i < result.count; i++)
        result.index[(int)result.list[i].id * result.index_layers + result.list[i].layer + 1] =
            (int32_t)i;
    *params = result;
    return LNG_OK;
}

void lng_params_release(struct lng_params *params)
{
    lng_free(params->list);
    lng_free(params->index);
    *params = (struct lng_params){0};
}

const struct lng_param *lng_params_find(const struct lng_params *params, enum lng_param_id id,
                                        int layer)
{
    if (layer < -1 || layer + 1 >= params->index_layers)
        return NULL;
    int32_t place = params->index[(int)id * params->index_layers + layer + 1];
    return place < 0 ? NULL : &params->list[place];
}
