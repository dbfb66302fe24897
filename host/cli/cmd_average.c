/* lingster average: several models -> their mean, as a model directory. */
#include <string.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/cmd.h"
#include "host/cli/output_folder.h"
#include "host/store/hf.h"
#include "host/store/json.h"
#include "host/store/model_dir.h"

/* {"averaged": [path...], "lingster": version} */
static enum lng_status make_provenance(const struct lng_string_list *paths, char **text)
{
    enum lng_status status;
    struct lng_buffer buffer = {0};
    json_t *root = json_object(), *list = json_array();
    status = root && list ? LNG_OK : lng_fail(LNG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < paths->count && status == LNG_OK; i++)
        if (lng_utf8_valid(paths->items[i], strlen(paths->items[i])))
            (void)json_array_append_new(list, json_string(paths->items[i]));
    if (status == LNG_OK)
        status = lng_json_set(root, "averaged", json_incref(list));
    if (status == LNG_OK)
        status = lng_json_set(root, "lingster", json_string(LNG_VERSION));
    if (status == LNG_OK)
        status = lng_json_print_compact(root, &buffer);
    json_decref(root);
    json_decref(list);
    if (status == LNG_OK)
        *text = buffer.data;
    else
        lng_buffer_release(&buffer);
    return status;
}

static enum lng_status write_model(const struct lng_model_data *data, const char *provenance,
                                   const struct lng_options *options)
{
    const char *path = options->output;
    struct lng_atomic_directory directory = {0};
    enum lng_status status;
    LNG_TRY(lng_atomic_directory_open(&directory, path));
    if (data->directory)
        LNG_TRY_OR_FAIL(lng_model_copy_tokenizer(data->directory, directory.temporary));
    else
        lng_warn("%s will have no tokenizer: the first model has none to copy", path);
    LNG_TRY_OR_FAIL(lng_hf_save(&(struct lng_hf_save_args){
        .directory = directory.temporary,
        .hparams = &data->hparams,
        .params = &data->params,
        .values = data->values,
        .dtype = options->save_dtype == LNG_OPT_TRAIN_DTYPE_BF16 ? LNG_DTYPE_BF16 : LNG_DTYPE_F32,
        .provenance = provenance,
        .generation = data->generation,
    }));
    status = lng_atomic_directory_commit(&directory);
fail:
    lng_atomic_directory_discard(&directory);
    return status;
}

enum lng_status lng_cmd_average(const struct lng_options *options)
{
    struct lng_model_data data = {0};
    char *provenance = NULL;
    enum lng_status status;
    LNG_TRY(lng_output_folder_check(options->output, options->arguments.items,
                                    options->arguments.count, options->overwrite));
    LNG_TRY_OR_FAIL(lng_model_average(options->arguments.items, options->arguments.count, &data));
    if (data.warnings.length > 0)
        lng_warn("%s", data.warnings.data);
    LNG_TRY_OR_FAIL(make_provenance(&options->arguments, &provenance));
    LNG_TRY_OR_FAIL(write_model(&data, provenance, options));
    lng_info("wrote %s: the mean of %zu models", options->output, options->arguments.count);
fail:
    lng_free(provenance);
    lng_model_data_release(&data);
    return status;
}
