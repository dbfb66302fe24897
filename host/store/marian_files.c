#include <dirent.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/config/yaml.h"
#include "host/store/marian_internal.h"
#include "host/store/opus_package.h"

#define SETTINGS "decoder.yml"

/* Usual names of vocabularies beside a model; one name = for both sides. */
static const char *const usual[][2] = {
    {"vocab.yml", "vocab.yml"},
    {"vocab.spm", "vocab.spm"},
    {"vocab.json", "vocab.json"},
    {"vocab.txt", "vocab.txt"},
    {"src.yml", "trg.yml"},
    {"vocab.src.yml", "vocab.trg.yml"},
    {"vocab.src.spm", "vocab.trg.spm"},
    {"source.vocab.yml", "target.vocab.yml"},
};

static bool is_model_name(const char *name)
{
    return lng_text_ends_in(name, ".npz") && !lng_text_ends_in(name, ".optimizer.npz") &&
           name[0] != '.';
}

/* Without the heap: running out of memory must not look like another kind of folder. The first model of the folder is
 * copied to `first`; returns how many there are. */
static size_t count_models(const char *directory, char *first, size_t capacity)
{
    size_t count = 0;
    DIR *entries = opendir(directory);
    const struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL) {
        if (!is_model_name(entry->d_name))
            continue;
        if (count++ == 0 && strlen(entry->d_name) < capacity)
            strcpy(first, entry->d_name);
    }
    if (entries)
        closedir(entries);
    return count;
}

static bool has_settings(const char *directory)
{
    DIR *entries = opendir(directory);
    struct stat info;
    bool found = entries && fstatat(dirfd(entries), SETTINGS, &info, 0) == 0;
    if (entries)
        closedir(entries);
    return found;
}

bool lng_marian_is_model(const char *path)
{
    char first[256];
    struct stat info;
    if (stat(path, &info) != 0)
        return false;
    if (!S_ISDIR(info.st_mode))
        return S_ISREG(info.st_mode) && lng_text_ends_in(path, ".npz");
    return has_settings(path) || count_models(path, first, sizeof first) == 1;
}

/* ---- decoder.yml ---- */

struct settings {
    char *path;
    struct lng_yaml yaml;
};

static void settings_close(struct settings *settings)
{
    lng_yaml_release(&settings->yaml);
    lng_free(settings->path);
}

/* Takes `path` over; NULL is out of memory. */
static enum lng_status settings_open(struct settings *settings, char *path)
{
    struct lng_buffer text = {0};
    struct settings fresh = {.path = path};
    enum lng_status status =
        path ? lng_blob_read_file(path, LNG_YAML_MAX_BYTES, &text) : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status = lng_yaml_read(&fresh.yaml, path, text.data ? text.data : "", text.length);
    lng_buffer_release(&text);
    if (status == LNG_OK)
        *settings = fresh;
    else
        settings_close(&fresh);
    return status;
}

static const struct lng_yaml_entry *find(const struct settings *settings, const char *key)
{
    for (size_t i = 0; i < settings->yaml.count; i++)
        if (strcmp(settings->yaml.entries[i].key, key) == 0 && !settings->yaml.entries[i].is_null)
            return &settings->yaml.entries[i];
    return NULL;
}

/* Relative and downwards. */
static bool stays_inside(const char *name)
{
    if (*name == '/' || *name == '\0')
        return false;
    for (const char *at = name; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
            return false;
    }
    return true;
}

/* A file that decoder.yml names, in the folder: where it says, else by its last component (paths are often those of
 * the machine that trained). Nothing outside the folder is opened on the word of a file. */
static enum lng_status resolve(const char *directory, const struct settings *settings,
                               const char *name, char **path)
{
    const char *last = lng_path_name(name);
    char *found = NULL;
    if (stays_inside(name)) {
        found = lng_path_join(directory, name);
        if (!found)
            return LNG_ERR_MEMORY;
    }
    if (!found || !lng_file_exists(found)) {
        lng_free(found);
        found = lng_path_join(directory, last);
        if (!found)
            return LNG_ERR_MEMORY;
    }
    if (*last == '\0' || !lng_file_exists(found)) {
        lng_free(found);
        return lng_fail(LNG_ERR_IO, "%s: names '%.100s', which is not in %s", settings->path, name,
                        directory);
    }
    *path = found;
    return LNG_OK;
}

static enum lng_status read_number(const struct settings *settings, const char *key, double *value)
{
    const struct lng_yaml_entry *entry = find(settings, key);
    bool flag = false;
    if (!entry)
        return LNG_OK;
    if (entry->is_list || lng_parse_double(entry->items[0], -1e3, 1e3, value) != LNG_OK) {
        LNG_FAIL_IF(entry->is_list || lng_parse_bool(entry->items[0], &flag) != LNG_OK,
                    LNG_ERR_FORMAT, "%s:%d: %s: expected a number, found '%.40s'", settings->path,
                    entry->line, key, entry->is_list ? "a list" : entry->items[0]);
        *value = flag;
    }
    return LNG_OK;
}

static enum lng_status read_search(const struct settings *settings, struct lng_marian_files *files)
{
    double beams = 0, penalty = 0;
    LNG_TRY(read_number(settings, "normalize", &files->generation.length_penalty));
    LNG_TRY(read_number(settings, "beam-size", &beams));
    LNG_TRY(read_number(settings, "word-penalty", &penalty));
    files->generation.beams = beams >= 1 ? (int32_t)beams : 0;
    if (penalty != 0)
        LNG_TRY(lng_buffer_append_format(&files->warnings,
                                         "%s: word-penalty %g is not kept with the model, give it "
                                         "when translating\n",
                                         settings->path, penalty));
    return LNG_OK;
}

static enum lng_status read_vocabs(const struct settings *settings, const char *directory,
                                   struct lng_marian_files *files)
{
    const struct lng_yaml_entry *entry = find(settings, "vocabs");
    if (!entry || entry->count == 0)
        return LNG_OK;
    LNG_FAIL_IF(entry->count != 2, LNG_ERR_UNSUPPORTED,
                "%s:%d: vocabs: expected two (one source and the target), found %zu",
                settings->path, entry->line, entry->count);
    LNG_TRY(resolve(directory, settings, entry->items[0], &files->source_vocab));
    LNG_TRY(resolve(directory, settings, entry->items[1], &files->target_vocab));
    files->vocab_reason = "named by decoder.yml";
    return LNG_OK;
}

/* models: one of them, or several when a file was asked for. */
static const struct lng_yaml_entry *models_of(const struct settings *settings)
{
    const struct lng_yaml_entry *entry = find(settings, "models");
    return entry ? entry : find(settings, "model");
}

static bool names_model(const struct settings *settings, const char *file)
{
    const struct lng_yaml_entry *entry = models_of(settings);
    for (size_t i = 0; entry && i < entry->count; i++)
        if (strcmp(lng_path_name(entry->items[i]), file) == 0)
            return true;
    return false;
}

/* ---- finding ---- */

static enum lng_status find_in_folder(struct lng_marian_files *files, const char *directory,
                                      bool want_vocabs)
{
    char first[256] = "";
    struct settings settings = {0};
    enum lng_status status;
    if (!has_settings(directory)) {
        size_t count = count_models(directory, first, sizeof first);
        LNG_FAIL_IF(count != 1 || !*first, LNG_ERR_IO,
                    "%s: expected " SETTINGS " or one model (.npz), found %zu models", directory,
                    count);
        files->model = lng_path_join(directory, first);
        return files->model ? LNG_OK : LNG_ERR_MEMORY;
    }
    LNG_TRY(settings_open(&settings, lng_path_join(directory, SETTINGS)));
    const struct lng_yaml_entry *models = models_of(&settings);
    LNG_GOTO_FAIL_IF(!models || models->count != 1, LNG_ERR_UNSUPPORTED,
                     "%s: models: expected one, found %zu; of an ensemble, give one .npz file",
                     settings.path, models ? models->count : 0);
    LNG_GOTO_FAIL_IF(!lng_text_ends_in(models->items[0], ".npz"), LNG_ERR_UNSUPPORTED,
                     "%s: models: expected a .npz file, found '%.100s'; files packed for one kind "
                     "of CPU (.bin) lose what is needed, use the model they were made from",
                     settings.path, models->items[0]);
    LNG_TRY_OR_FAIL(resolve(directory, &settings, models->items[0], &files->model));
    LNG_TRY_OR_FAIL(read_search(&settings, files));
    if (want_vocabs)
        status = read_vocabs(&settings, directory, files);
fail:
    settings_close(&settings);
    return status;
}

/* MODEL.decoder.yml, or decoder.yml where it names this model. */
static enum lng_status find_beside(struct lng_marian_files *files, const char *directory,
                                   bool want_vocabs)
{
    struct settings settings = {0};
    enum lng_status status;
    char *own = lng_format("%s." SETTINGS, files->model);
    if (!own)
        return LNG_ERR_MEMORY;
    if (lng_file_exists(own)) {
        LNG_TRY(settings_open(&settings, own));
    } else {
        lng_free(own);
        if (!has_settings(directory))
            return LNG_OK;
        LNG_TRY(settings_open(&settings, lng_path_join(directory, SETTINGS)));
        if (!names_model(&settings, lng_path_name(files->model))) {
            settings_close(&settings);
            return LNG_OK;
        }
    }
    LNG_TRY_OR_FAIL(read_search(&settings, files));
    if (want_vocabs)
        status = read_vocabs(&settings, directory, files);
fail:
    settings_close(&settings);
    return status;
}

/* Both paths when both files are there; *found says so. */
static enum lng_status take_pair(const char *directory, const char *const names[2], char **source,
                                 char **target, bool *found)
{
    char *first = lng_path_join(directory, names[0]), *second = lng_path_join(directory, names[1]);
    enum lng_status status = first && second ? LNG_OK : LNG_ERR_MEMORY;
    *found = status == LNG_OK && lng_file_exists(first) && lng_file_exists(second);
    if (*found) {
        *source = first;
        *target = second;
        return LNG_OK;
    }
    lng_free(first);
    lng_free(second);
    return status;
}

static enum lng_status find_vocabs(struct lng_marian_files *files, const char *directory,
                                   const struct lng_marian_import_args *args)
{
    bool found = false;
    if (args && args->source_vocab) {
        files->source_vocab = lng_strdup(args->source_vocab);
        files->target_vocab =
            lng_strdup(args->target_vocab ? args->target_vocab : args->source_vocab);
        files->vocab_reason = "given";
        return files->source_vocab && files->target_vocab ? LNG_OK : LNG_ERR_MEMORY;
    }
    LNG_FAIL_IF(args && args->target_vocab, LNG_ERR_USAGE,
                "a target vocabulary was given without a source vocabulary: give both");
    for (size_t i = 0; !files->source_vocab && i < sizeof usual / sizeof usual[0]; i++) {
        LNG_TRY(take_pair(directory, usual[i], &files->source_vocab, &files->target_vocab, &found));
        files->vocab_reason = found ? "beside the model" : NULL;
    }
    LNG_FAIL_IF(!files->source_vocab, LNG_ERR_IO,
                "%s: expected vocabularies in " SETTINGS " or beside the model (vocab.yml, src.yml "
                "and trg.yml, ...), found none; give them",
                files->model);
    return LNG_OK;
}

/* Vocabularies that are SentencePiece models cut text themselves; others may have models beside them, as OPUS-MT's. */
static enum lng_status find_spm(struct lng_marian_files *files, const char *directory)
{
    static const char *const names[2] = {"source.spm", "target.spm"};
    enum lng_marian_vocab_format source, target;
    bool found = false;
    LNG_TRY(lng_marian_vocab_kind(files->source_vocab, &source));
    LNG_TRY(lng_marian_vocab_kind(files->target_vocab, &target));
    if (source != LNG_MARIAN_VOCAB_SPM && target != LNG_MARIAN_VOCAB_SPM) {
        LNG_TRY(lng_opus_read_clean(directory, &files->clean, &files->warnings));
        return take_pair(directory, names, &files->source_spm, &files->target_spm, &found);
    }
    LNG_FAIL_IF(source != target, LNG_ERR_UNSUPPORTED,
                "%s: expected both vocabularies to be SentencePiece models, or neither, found %s "
                "and %s",
                files->model, lng_path_name(files->source_vocab),
                lng_path_name(files->target_vocab));
    files->source_spm = lng_strdup(files->source_vocab);
    files->target_spm = lng_strdup(files->target_vocab);
    return files->source_spm && files->target_spm ? LNG_OK : LNG_ERR_MEMORY;
}

static enum lng_status find_all(struct lng_marian_files *files, const char *path,
                                const struct lng_marian_import_args *args)
{
    bool folder = lng_directory_exists(path), want_vocabs = !args || !args->source_vocab;
    char *directory = folder ? lng_strdup(path) : lng_path_parent(path);
    enum lng_status status = directory ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK && folder) {
        status = find_in_folder(files, directory, want_vocabs);
    } else if (status == LNG_OK) {
        files->model = lng_strdup(path);
        status = files->model ? find_beside(files, directory, want_vocabs) : LNG_ERR_MEMORY;
    }
    if (status == LNG_OK)
        status = find_vocabs(files, directory, args);
    if (status == LNG_OK)
        status = find_spm(files, directory);
    lng_free(directory);
    return status;
}

enum lng_status lng_marian_files_find(struct lng_marian_files *files, const char *path,
                                      const struct lng_marian_import_args *args)
{
    struct lng_marian_files fresh = {.generation = {.length_penalty = NAN, .forced_bos = -1}};
    enum lng_status status = find_all(&fresh, path, args);
    if (status == LNG_OK)
        *files = fresh;
    else
        lng_marian_files_release(&fresh);
    return status;
}

void lng_marian_files_release(struct lng_marian_files *files)
{
    lng_free(files->model);
    lng_free(files->source_vocab);
    lng_free(files->target_vocab);
    lng_free(files->source_spm);
    lng_free(files->target_spm);
    lng_buffer_release(&files->warnings);
    *files = (struct lng_marian_files){0};
}
