#include "host/cli/translate_files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/base/pack.h"

/* ---- patterns ---- */

static const char *const placeholders[] = {"{name}", "{stem}", "{dir}"};
enum { NAME, STEM, DIR, PLACEHOLDERS };

/* The first placeholder in text; *which says which. NULL when there is none. */
static const char *find_placeholder(const char *text, int *which)
{
    for (; (text = strchr(text, '{')) != NULL; text++)
        for (int i = 0; i < PLACEHOLDERS; i++)
            if (strncmp(text, placeholders[i], strlen(placeholders[i])) == 0) {
                *which = i;
                return text;
            }
    return NULL;
}

static bool is_pattern(const char *text)
{
    int which;
    return text != NULL && find_placeholder(text, &which) != NULL;
}

static size_t stem_length(const char *name)
{
    size_t length = strlen(name) - strlen(lng_packing_suffix(lng_packing_of(name)));
    size_t dot = length;
    while (dot > 0 && name[dot] != '.')
        dot--;
    return dot > 0 ? dot : length;
}

static enum lng_status fill_in(int which, const char *input, struct lng_buffer *out)
{
    const char *name = lng_path_name(input);
    if (which == NAME)
        return lng_buffer_append_text(out, name);
    if (which == STEM)
        return lng_buffer_append(out, name, stem_length(name));
    char *parent = lng_path_parent(input);
    enum lng_status status = parent ? lng_buffer_append_text(out, parent) : LNG_ERR_MEMORY;
    lng_free(parent);
    return status;
}

/* *path becomes the pattern filled in for the input. */
static enum lng_status expand(const char *pattern, const char *input, char **path)
{
    struct lng_buffer out = {0};
    enum lng_status status = LNG_OK;
    int which;
    const char *at;
    while ((at = find_placeholder(pattern, &which)) != NULL) {
        LNG_TRY_OR_FAIL(lng_buffer_append(&out, pattern, (size_t)(at - pattern)));
        LNG_TRY_OR_FAIL(fill_in(which, input, &out));
        pattern = at + strlen(placeholders[which]);
    }
    LNG_TRY_OR_FAIL(lng_buffer_append_text(&out, pattern));
    *path = lng_strdup(out.data);
    status = *path ? LNG_OK : LNG_ERR_MEMORY;
fail:
    lng_buffer_release(&out);
    return status;
}

/* ---- the list ---- */

static bool is_dash(const char *path)
{
    return strcmp(path, "-") == 0;
}

static enum lng_status set_file(struct lng_translate_file *file, const char *input,
                                const struct lng_options *options)
{
    file->input = lng_strdup(input);
    if (file->input == NULL)
        return LNG_ERR_MEMORY;
    if (options->prefix != NULL)
        LNG_TRY(expand(options->prefix, input, &file->prefix));
    if (options->constraints != NULL)
        LNG_TRY(expand(options->constraints, input, &file->constraints));
    if (options->output_dir != NULL)
        file->output = lng_path_join(options->output_dir, lng_path_name(input));
    else if (options->output != NULL && !is_dash(options->output))
        return expand(options->output, input, &file->output);
    return file->output != NULL || options->output_dir == NULL ? LNG_OK : LNG_ERR_MEMORY;
}

static enum lng_status set_files(struct lng_translate_files *files,
                                 const struct lng_options *options)
{
    size_t named = options->inputs.count, given = options->arguments.count;
    size_t count = named + given > 0 ? named + given : 1;
    files->list = lng_alloc(count, sizeof *files->list);
    if (files->list == NULL)
        return LNG_ERR_MEMORY;
    files->count = count;
    for (size_t i = 0; i < count; i++) {
        const char *input = i < named           ? options->inputs.items[i]
                            : i < named + given ? options->arguments.items[i - named]
                                                : "-";
        LNG_TRY(set_file(&files->list[i], input, options));
    }
    return LNG_OK;
}

/* ---- checks ---- */

static enum lng_status check_options(const struct lng_translate_files *files,
                                     const struct lng_options *options)
{
    bool several = files->count > 1;
    LNG_FAIL_IF(options->output != NULL && options->output_dir != NULL, LNG_ERR_USAGE,
                "give either --output or --output-dir, not both");
    LNG_FAIL_IF(several && options->output_dir == NULL && !is_pattern(options->output),
                LNG_ERR_USAGE,
                "%zu inputs need an output each: --output-dir DIR, or a pattern such as --output "
                "'{dir}/{stem}.de'",
                files->count);
    LNG_FAIL_IF(several && options->prefix != NULL && !is_pattern(options->prefix), LNG_ERR_USAGE,
                "%zu inputs need prefixes each: a pattern such as --prefix '{dir}/{stem}.prefix'",
                files->count);
    LNG_FAIL_IF(several && options->constraints != NULL && !is_pattern(options->constraints),
                LNG_ERR_USAGE,
                "%zu inputs need constraints each: a pattern such as --constraints "
                "'{dir}/{stem}.jsonl'",
                files->count);
    bool named = options->output_dir != NULL || is_pattern(options->output) ||
                 is_pattern(options->prefix) || is_pattern(options->constraints);
    for (size_t i = 0; i < files->count; i++) {
        const char *input = files->list[i].input;
        LNG_FAIL_IF((named || several) && is_dash(input), LNG_ERR_USAGE,
                    "standard input has no name to make an output's name of; give it alone, with "
                    "--output FILE");
        LNG_FAIL_IF(named && *lng_path_name(input) == '\0', LNG_ERR_USAGE,
                    "%s is a folder; expected files", input);
    }
    return LNG_OK;
}

struct identity {
    dev_t device;
    ino_t inode;
};

static bool get_identity(const char *path, struct identity *identity)
{
    struct stat found;
    if (path == NULL || is_dash(path) || stat(path, &found) != 0 || !S_ISREG(found.st_mode))
        return false;
    *identity = (struct identity){found.st_dev, found.st_ino};
    return true;
}

static int compare_identities(const void *a, const void *b)
{
    const struct identity *x = a, *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

static enum lng_status check_one_output(const char *output, const struct identity *inputs,
                                        size_t count)
{
    static const char *const suffixes[] = {"", ".part", ".progress"};
    for (size_t i = 0; output != NULL && i < sizeof suffixes / sizeof suffixes[0]; i++) {
        struct identity identity;
        char *path = lng_format("%s%s", output, suffixes[i]);
        if (path == NULL)
            return LNG_ERR_MEMORY;
        bool clash = get_identity(path, &identity) &&
                     bsearch(&identity, inputs, count, sizeof *inputs, compare_identities) != NULL;
        if (clash)
            (void)lng_fail(LNG_ERR_USAGE, "%s is both input and output; choose another --output",
                           path);
        lng_free(path);
        if (clash)
            return LNG_ERR_USAGE;
    }
    return LNG_OK;
}

static enum lng_status check_inputs(const struct lng_translate_files *files,
                                    const struct lng_options *options)
{
    struct identity *inputs = lng_alloc(3 * files->count + 3, sizeof *inputs);
    if (inputs == NULL)
        return LNG_ERR_MEMORY;
    size_t count = 0;
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < files->count; i++) {
        count += get_identity(files->list[i].input, &inputs[count]);
        count += get_identity(files->list[i].prefix, &inputs[count]);
        count += get_identity(files->list[i].constraints, &inputs[count]);
    }
    count += get_identity(options->terminology, &inputs[count]);
    count += get_identity(options->unk_dictionary, &inputs[count]);
    count += get_identity(options->shortlist, &inputs[count]);
    qsort(inputs, count, sizeof *inputs, compare_identities);
    for (size_t i = 0; status == LNG_OK && i < files->count; i++)
        status = check_one_output(files->list[i].output, inputs, count);
    lng_free(inputs);
    return status;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum lng_status check_outputs(const struct lng_translate_files *files)
{
    const char **outputs = lng_alloc(files->count, sizeof *outputs);
    if (outputs == NULL)
        return LNG_ERR_MEMORY;
    size_t count = 0;
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < files->count; i++)
        if (files->list[i].output != NULL && !lng_translate_is_stream(files->list[i].output))
            outputs[count++] = files->list[i].output;
    qsort(outputs, count, sizeof *outputs, compare_texts);
    for (size_t i = 1; status == LNG_OK && i < count; i++)
        if (strcmp(outputs[i - 1], outputs[i]) == 0)
            status =
                lng_fail(LNG_ERR_USAGE,
                         "two inputs would both become %s; give them other names, or a pattern "
                         "with {dir}",
                         outputs[i]);
    lng_free(outputs);
    return status;
}

enum lng_status lng_translate_files_init(struct lng_translate_files *files,
                                         const struct lng_options *options)
{
    *files = (struct lng_translate_files){0};
    LNG_TRY(set_files(files, options));
    LNG_TRY(check_options(files, options));
    LNG_TRY(check_outputs(files));
    LNG_TRY(check_inputs(files, options));
    return options->output_dir != NULL ? lng_make_directories(options->output_dir) : LNG_OK;
}

void lng_translate_files_release(struct lng_translate_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        lng_free(files->list[i].input);
        lng_free(files->list[i].output);
        lng_free(files->list[i].prefix);
        lng_free(files->list[i].constraints);
    }
    lng_free(files->list);
    *files = (struct lng_translate_files){0};
}

bool lng_translate_is_stream(const char *output)
{
    struct stat found;
    return output == NULL || is_dash(output) ||
           (stat(output, &found) == 0 && !S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode));
}
