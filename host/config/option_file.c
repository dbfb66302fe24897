/* Options from YAML files, and where presets are. */
#include "host/config/option_table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/config/yaml.h"

enum { MAX_PRESET_DEPTH = 8 };

struct file {
    const char *name;      /* for messages */
    const char *directory; /* where its presets may be; NULL = none */
    enum lng_option_source source;
    int depth; /* how many presets led here */
};

static enum lng_status read_preset(struct lng_options *options, const char *name,
                                   const char *directory, int depth);

static enum lng_status fail_at(enum lng_status status, const struct file *file, int line,
                               int column)
{
    return lng_fail_context(status, "%s:%d:%d", file->name, line, column);
}

static enum lng_status set_entry(struct lng_options *options, const struct file *file,
                                 const struct lng_yaml_entry *entry)
{
    enum lng_option_id id = lng_option_find(options->command, entry->key, strlen(entry->key));
    if (id == LNG_OPTION_COUNT || lng_option_is_action(id))
        return fail_at(lng_option_unknown(options->command, "", entry->key), file, entry->line,
                       entry->column);
    if (entry->is_null)
        return lng_option_reset(options, id);
    enum lng_status status = entry->is_list && !lng_option_is_list(id)
                                 ? lng_fail(LNG_ERR_USAGE, "expected one value, found a list")
                                 : lng_option_assign(options, id, (const char *const *)entry->items,
                                                     entry->count, !entry->is_list, false);
    if (status != LNG_OK) {
        lng_fail_context(status, "%s", entry->key);
        return fail_at(status, file, entry->value_line, entry->value_column);
    }
    char where[64];
    int length = snprintf(where, sizeof where, ":%d:%d", entry->line, entry->column);
    size_t name_length = strlen(file->name);
    char *kept = lng_options_keep(options, name_length + (size_t)length + 1, 1);
    if (kept == NULL)
        return LNG_ERR_MEMORY;
    memcpy(kept, file->name, name_length);
    memcpy(kept + name_length, where, (size_t)length);
    options->origin[id] = (struct lng_option_origin){file->source, kept};
    return LNG_OK;
}

static enum lng_status set_entries(struct lng_options *options, const struct file *file,
                                   const struct lng_yaml *yaml)
{
    bool command_has_presets =
        (lng_option_rows[LNG_OPTION_preset].commands & options->command->bit) != 0;
    for (size_t i = 0; command_has_presets && i < yaml->count; i++) {
        const struct lng_yaml_entry *entry = &yaml->entries[i];
        /* --preset stands for the files' own. */
        if (strcmp(entry->key, "preset") != 0 || entry->is_null || entry->is_list ||
            options->origin[LNG_OPTION_preset].source >= LNG_SOURCE_ENVIRONMENT)
            continue;
        enum lng_status status =
            read_preset(options, entry->items[0], file->directory, file->depth + 1);
        if (status != LNG_OK)
            return fail_at(status, file, entry->value_line, entry->value_column);
    }
    for (size_t i = 0; i < yaml->count; i++) {
        if (strcmp(yaml->entries[i].key, "preset") == 0 &&
            options->origin[LNG_OPTION_preset].source >= LNG_SOURCE_ENVIRONMENT)
            continue;
        LNG_TRY(set_entry(options, file, &yaml->entries[i]));
    }
    return LNG_OK;
}

static enum lng_status read_text(struct lng_options *options, const struct file *file,
                                 const void *text, size_t length)
{
    struct lng_yaml yaml;
    enum lng_status status = lng_yaml_read(&yaml, file->name, text, length);
    if (status == LNG_ERR_MEMORY)
        return status;
    if (status != LNG_OK)
        return LNG_ERR_USAGE;
    status = set_entries(options, file, &yaml);
    lng_yaml_release(&yaml);
    return status;
}

static enum lng_status read_path(struct lng_options *options, const char *path,
                                 enum lng_option_source source, int depth)
{
    bool standard_input = strcmp(path, "-") == 0;
    struct file file = {standard_input ? "standard input" : path, NULL, source, depth};
    struct lng_buffer content = {0};
    char *directory = NULL;
    enum lng_status status = LNG_OK;
    if (!standard_input) {
        file.directory = directory = lng_path_parent(path);
        if (directory == NULL)
            return LNG_ERR_MEMORY;
    }
    LNG_TRY_OR_FAIL(lng_file_read(path, LNG_YAML_MAX_BYTES, &content));
    status = read_text(options, &file, content.data ? content.data : "", content.length);
fail:
    lng_buffer_release(&content);
    lng_free(directory);
    return status;
}

enum lng_status lng_options_read_file(struct lng_options *options, const char *path)
{
    return read_path(options, path, LNG_SOURCE_FILE, 0);
}

enum lng_status lng_options_read_text(struct lng_options *options, const char *name,
                                      const char *text, size_t length)
{
    struct file file = {name, NULL, LNG_SOURCE_FILE, 0};
    return read_text(options, &file, text, length);
}

static enum lng_status read_preset(struct lng_options *options, const char *name,
                                   const char *directory, int depth)
{
    LNG_FAIL_IF(depth > MAX_PRESET_DEPTH, LNG_ERR_USAGE,
                "preset '%.60s': presets name each other in a circle", name);
    char *path = NULL;
    LNG_TRY(lng_preset_find(name, directory, &path));
    enum lng_status status = read_path(options, path, LNG_SOURCE_PRESET, depth);
    lng_free(path);
    return status;
}

enum lng_status lng_options_read_preset(struct lng_options *options, const char *name)
{
    return read_preset(options, name, NULL, 0);
}

/* ---- where presets are ---- */

/* *found = directory/between/prefix + name + ".yml", where it is still NULL and there is such a
 * file. */
static enum lng_status try_path(const char *directory, const char *between, const char *name,
                                char **found)
{
    static const char *const prefixes[] = {"", "transformer-"};
    for (size_t i = 0; directory != NULL && *found == NULL && i < 2; i++) {
        char *path = lng_format("%s/%s%s%s.yml", directory, between, prefixes[i], name);
        if (path == NULL)
            return LNG_ERR_MEMORY;
        if (lng_file_exists(path))
            *found = path;
        else
            lng_free(path);
    }
    return LNG_OK;
}

/* Beside the program, above it (a build folder in the sources), and in its share (installed). */
static enum lng_status try_program(const char *name, char **found)
{
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return LNG_OK;
    program[length] = '\0';
    char *directory = lng_path_parent(program);
    if (directory == NULL)
        return LNG_ERR_MEMORY;
    static const char *const places[] = {"configs/", "../configs/", "../share/lingster/configs/"};
    enum lng_status status = LNG_OK;
    for (size_t i = 0; status == LNG_OK && i < sizeof places / sizeof places[0]; i++)
        status = try_path(directory, places[i], name, found);
    lng_free(directory);
    return status;
}

enum lng_status lng_preset_find(const char *name, const char *directory, char **path)
{
    LNG_FAIL_IF(*name == '\0' || strchr(name, '/') != NULL, LNG_ERR_USAGE,
                "expected the name of a preset such as base, found '%.60s'; a file of your own is "
                "read with --config",
                name);
    char *found = NULL;
    LNG_TRY(try_path(directory, "", name, &found));
    LNG_TRY(try_path(directory, "configs/", name, &found));
    LNG_TRY(try_path(getenv("LINGSTER_PRESETS"), "", name, &found));
    if (found == NULL)
        LNG_TRY(try_program(name, &found));
    LNG_FAIL_IF(
        found == NULL, LNG_ERR_USAGE,
        "no preset '%.60s': looked for %.60s.yml and transformer-%.60s.yml beside the file, in "
        "$LINGSTER_PRESETS and where the program is installed",
        name, name, name);
    *path = found;
    return LNG_OK;
}
