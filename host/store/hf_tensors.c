#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/hf_internal.h"
#include "host/store/position_table.h"

enum { INDEX_BYTES = 64 << 20, MOST_FILES = 1000 };

/* Appends the file unless it is open already. */
static enum lng_status add_file(struct lng_hf_tensors *tensors, const char *path)
{
    for (size_t i = 0; i < tensors->count; i++)
        if (strcmp(tensors->files[i].blob.name, path) == 0)
            return LNG_OK;
    LNG_FAIL_IF(tensors->count >= MOST_FILES, LNG_ERR_FORMAT, "%s: more than %d files of tensors",
                path, MOST_FILES);
    struct lng_safetensors file;
    LNG_TRY(lng_safetensors_open(&file, path));
    bool *used = lng_alloc(file.count, sizeof *used);
    size_t files_capacity = tensors->count, used_capacity = tensors->count;
    if (!used ||
        lng_grow(&tensors->files, &files_capacity, tensors->count + 1, sizeof file) != LNG_OK ||
        lng_grow(&tensors->used, &used_capacity, tensors->count + 1, sizeof used) != LNG_OK) {
        lng_free(used);
        lng_safetensors_close(&file);
        return LNG_ERR_MEMORY;
    }
    tensors->files[tensors->count] = file;
    tensors->used[tensors->count++] = used;
    return LNG_OK;
}

/* model.safetensors.index.json: {"weight_map": {tensor: file}}. */
static enum lng_status add_indexed(struct lng_hf_tensors *tensors, const char *directory,
                                   const char *index)
{
    enum lng_status status;
    json_t *root = NULL, *map, *value;
    const char *key;
    LNG_TRY_OR_FAIL(lng_json_read_object(index, INDEX_BYTES, &root));
    LNG_TRY_OR_FAIL(lng_json_get_object(root, index, "weight_map", &map));
    json_object_foreach(map, key, value)
    {
        const char *name = json_string_value(value);
        LNG_GOTO_FAIL_IF(!name || *name == '\0' || strchr(name, '/'), LNG_ERR_FORMAT,
                         "%s: tensor \"%s\": expected the name of a file in the same folder", index,
                         key);
        char *path = lng_path_join(directory, name);
        status = path ? add_file(tensors, path) : LNG_ERR_MEMORY;
        lng_free(path);
        if (status != LNG_OK)
            goto fail;
    }
fail:
    json_decref(root);
    return status;
}

static enum lng_status open_files(struct lng_hf_tensors *tensors, const char *directory)
{
    char *whole = lng_path_join(directory, "model.safetensors");
    char *index = lng_path_join(directory, "model.safetensors.index.json");
    char *pickle = lng_path_join(directory, "pytorch_model.bin");
    enum lng_status status;
    if (!whole || !index || !pickle)
        status = LNG_ERR_MEMORY;
    else if (!lng_file_exists(whole) && lng_file_exists(index))
        status = add_indexed(tensors, directory, index);
    else if (!lng_file_exists(whole) && lng_file_exists(pickle))
        status =
            lng_fail(LNG_ERR_UNSUPPORTED,
                     "%s: expected model.safetensors, found only pytorch_model.bin, which is a "
                     "Python pickle; save the model again with "
                     "`save_pretrained(..., safe_serialization=True)`",
                     directory);
    else
        status = add_file(tensors, whole);
    lng_free(whole);
    lng_free(index);
    lng_free(pickle);
    return status;
}

enum lng_status lng_hf_tensors_open(struct lng_hf_tensors *tensors, const char *directory)
{
    struct lng_hf_tensors fresh = {0};
    enum lng_status status = open_files(&fresh, directory);
    if (status == LNG_OK)
        *tensors = fresh;
    else
        lng_hf_tensors_close(&fresh);
    return status;
}

void lng_hf_tensors_close(struct lng_hf_tensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++) {
        lng_safetensors_close(&tensors->files[i]);
        lng_free(tensors->used[i]);
    }
    lng_free(tensors->files);
    lng_free(tensors->used);
    *tensors = (struct lng_hf_tensors){0};
}

const struct lng_safetensor *lng_hf_tensors_find(struct lng_hf_tensors *tensors, const char *name,
                                                 const struct lng_safetensors **file)
{
    for (size_t i = 0; i < tensors->count; i++) {
        const struct lng_safetensor *found = lng_safetensors_find(&tensors->files[i], name);
        if (found) {
            tensors->used[i][found - tensors->files[i].list] = true;
            *file = &tensors->files[i];
            return found;
        }
    }
    return NULL;
}

/* ---- position tables ---- */

static enum lng_status family_of(const struct lng_safetensors *file,
                                 const struct lng_safetensor *tensor, int64_t dim,
                                 enum lng_positions *family)
{
    enum lng_status status;
    float *table = lng_alloc((size_t)tensor->elements, sizeof *table);
    if (!table)
        return LNG_ERR_MEMORY;
    int32_t offset;
    LNG_TRY_OR_FAIL(lng_safetensors_read_f32(file, tensor, table));
    status = lng_position_table_recognise(table, tensor->shape[0], dim, 0, family, &offset);
fail:
    lng_free(table);
    return status;
}

enum lng_status lng_hf_settle_positions(struct lng_hf_config *config,
                                        struct lng_hf_tensors *tensors)
{
    static const char *const names[] = {"model.encoder.embed_positions.weight",
                                        "model.decoder.embed_positions.weight"};
    struct lng_hparams *h = &config->hparams;
    enum lng_positions family = h->positions;
    int64_t rows = 0;
    if (config->type == LNG_HF_M2M || (config->positions_said && family == LNG_POSITIONS_LEARNED))
        return LNG_OK;
    for (int i = 0; i < 2; i++) {
        char shape[LNG_SHAPE_TEXT_BYTES];
        enum lng_positions stored;
        const struct lng_safetensors *file = NULL;
        const struct lng_safetensor *tensor = lng_hf_tensors_find(tensors, names[i], &file);
        if (!tensor)
            continue;
        LNG_FAIL_IF(tensor->rank != 2 || tensor->shape[1] != h->dim || tensor->shape[0] < 1,
                    LNG_ERR_SHAPE, "%s: tensor \"%s\": expected shape [positions, %d], found %s",
                    file->blob.name, names[i], h->dim,
                    lng_shape_text(tensor->shape, tensor->rank, shape));
        LNG_TRY(family_of(file, tensor, h->dim, &stored));
        LNG_FAIL_IF((config->positions_said || rows > 0) && stored != family, LNG_ERR_MISMATCH,
                    "%s: tensor \"%s\": expected the position table that %s has, found another",
                    file->blob.name, names[i],
                    config->positions_said ? "config.json names" : "the encoder");
        family = stored;
        rows = tensor->shape[0];
    }
    h->positions = family;
    if (family == LNG_POSITIONS_LEARNED)
        h->max_positions = (int32_t)(rows < INT32_MAX ? rows : INT32_MAX);
    return LNG_OK;
}
