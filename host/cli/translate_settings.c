#include "host/cli/translate_settings.h"

#include <stdio.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/config/option_table.h"
#include "host/store/blob.h"
#include "host/store/listing.h"

/* Options that say where things are, how fast, and how much is said. The bytes of a line depend on none of
 * them; what an option not listed here does is taken to matter. The model is told by its files, the device
 * by what it turned out to be. */
static const enum lng_option_id without_effect[] = {
    LNG_OPTION_models,          LNG_OPTION_inputs,  LNG_OPTION_output,       LNG_OPTION_output_dir,
    LNG_OPTION_prefix,          LNG_OPTION_device,  LNG_OPTION_overwrite,    LNG_OPTION_window,
    LNG_OPTION_batch_tokens,    LNG_OPTION_quiet,   LNG_OPTION_repeat_cache, LNG_OPTION_threads,
    LNG_OPTION_batch_sentences, LNG_OPTION_config,  LNG_OPTION_constraints,  LNG_OPTION_flags,
    LNG_OPTION_attention_map,   LNG_OPTION_workers,
};

static bool matters(const struct lng_options *options, enum lng_option_id id)
{
    for (size_t i = 0; i < sizeof without_effect / sizeof without_effect[0]; i++)
        if (without_effect[i] == id)
            return false;
    return (lng_option_rows[id].commands & options->command->bit) != 0 && !lng_option_is_action(id);
}

/* Spaces part names from values and newlines settings. */
static enum lng_status append_word(struct lng_buffer *text, const char *word)
{
    for (const char *c = word; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == '%' || *c == 0x7F)
            LNG_TRY(lng_buffer_append_format(text, "%%%02X", (unsigned)(unsigned char)*c));
        else
            LNG_TRY(lng_buffer_append_byte(text, *c));
    }
    return LNG_OK;
}

static enum lng_status append_setting(struct lng_buffer *text, const char *name, const char *value)
{
    LNG_TRY(append_word(text, name));
    LNG_TRY(lng_buffer_append_byte(text, ' '));
    LNG_TRY(append_word(text, value));
    return lng_buffer_append_byte(text, '\n');
}

static enum lng_status append_checksum(struct lng_buffer *text, const char *name, const char *path)
{
    struct lng_blob blob;
    uint64_t checksum;
    char value[32];
    /* Read in pieces: a mapped model would count as memory of this process. */
    LNG_TRY(lng_blob_open(&blob, path));
    enum lng_status status = lng_blob_checksum(&blob, 0, blob.size, &checksum);
    lng_blob_close(&blob);
    LNG_TRY(status);
    snprintf(value, sizeof value, "%016llx", (unsigned long long)checksum);
    return append_setting(text, name, value);
}

enum lng_status lng_translate_file_setting(const char *name, const char *path,
                                           struct lng_buffer *text)
{
    return append_checksum(text, name, path);
}

/* ---- the model ---- */

static bool ends_in(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* Every file of the folder that may be one of the model's; others may come and go. */
static enum lng_status append_model(struct lng_buffer *text, const char *prefix,
                                    const char *directory)
{
    struct lng_listing listing;
    LNG_TRY(lng_listing_make(&listing, directory));
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < listing.count && status == LNG_OK; i++) {
        const char *name = listing.names[i];
        if (!ends_in(name, ".json") && !ends_in(name, ".safetensors") && !ends_in(name, ".spm"))
            continue;
        char *path = lng_path_join(directory, name);
        char *label = lng_format("%s/%s", prefix, name);
        status = path && label ? append_checksum(text, label, path) : LNG_ERR_MEMORY;
        lng_free(path);
        lng_free(label);
    }
    lng_listing_release(&listing);
    return status;
}

/* Models of an ensemble beside the first: model directories, runs with theirs, and checkpoints. */
static enum lng_status append_member(struct lng_buffer *text, const char *path, size_t number)
{
    struct lng_file_info info;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "model-%zu", number);
    LNG_TRY(lng_file_get_info(path, &info));
    if (info.regular)
        return append_checksum(text, prefix, path);
    char *inner = lng_path_join(path, "model");
    if (inner == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = append_model(text, prefix, lng_directory_exists(inner) ? inner : path);
    lng_free(inner);
    return status;
}

/* ---- options ---- */

static bool names_files(enum lng_option_id id)
{
    enum lng_option_type type = lng_option_rows[id].type;
    return type == LNG_OPTION_TYPE_PATH || type == LNG_OPTION_TYPE_PATHS;
}

static enum lng_status append_value(struct lng_buffer *text, const struct lng_options *options,
                                    enum lng_option_id id, size_t index)
{
    struct lng_buffer value = {0};
    struct lng_file_info info;
    char name[64]; /* each once: the third of a list is "name/3" */
    if (index > 0)
        snprintf(name, sizeof name, "%s/%zu", lng_option_rows[id].name, index + 1);
    else
        snprintf(name, sizeof name, "%s", lng_option_rows[id].name);
    enum lng_status status = lng_option_append_value(options, id, index, &value);
    const char *word = value.data ? value.data : "";
    if (status == LNG_OK && names_files(id) && lng_file_exists(word) &&
        lng_file_get_info(word, &info) == LNG_OK && info.regular)
        status = append_checksum(text, name, word);
    else if (status == LNG_OK)
        status = append_setting(text, name, word);
    lng_buffer_release(&value);
    return status;
}

static enum lng_status append_option(struct lng_buffer *text, const struct lng_options *options,
                                     enum lng_option_id id)
{
    const char *field = (const char *)options + lng_option_rows[id].offset;
    enum lng_option_type type = lng_option_rows[id].type;
    struct lng_string_list list;
    const char *string;
    if (type == LNG_OPTION_TYPE_STRING || type == LNG_OPTION_TYPE_PATH) {
        memcpy(&string, field, sizeof string);
        return string != NULL ? append_value(text, options, id, 0) : LNG_OK;
    }
    if (!lng_option_is_list(id))
        return append_value(text, options, id, 0);
    memcpy(&list, field, sizeof list);
    for (size_t i = 0; i < list.count; i++)
        LNG_TRY(append_value(text, options, id, i));
    return LNG_OK;
}

enum lng_status lng_translate_settings(const struct lng_options *options,
                                       const struct lng_infer_setup *setup, struct lng_buffer *text)
{
    struct lng_file_info info;
    LNG_TRY(append_setting(text, "version", LNG_VERSION));
    LNG_TRY(append_setting(text, "device", lng_device_name(setup->device)));
    LNG_TRY(append_model(text, "model", setup->data.directory));
    for (size_t i = 1; i < options->models.count; i++)
        LNG_TRY(append_member(text, options->models.items[i], i + 1));
    LNG_TRY(lng_file_get_info(options->model, &info));
    if (info.regular)
        LNG_TRY(append_checksum(text, "checkpoint", options->model));
    for (int id = 0; id < LNG_OPTION_COUNT; id++)
        if (matters(options, (enum lng_option_id)id))
            LNG_TRY(append_option(text, options, (enum lng_option_id)id));
    return LNG_OK;
}

enum lng_status lng_translate_packing_settings(const struct lng_options *options,
                                               enum lng_packing packing, struct lng_buffer *text)
{
    char window[32];
    if (packing == LNG_PACKING_NONE)
        return LNG_OK;
    LNG_TRY(append_setting(text, "packing", lng_packing_suffix(packing) + 1));
    snprintf(window, sizeof window, "%lld", (long long)options->window);
    return append_setting(text, "window", window);
}
