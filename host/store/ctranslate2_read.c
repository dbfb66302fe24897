#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/ctranslate2_internal.h"
#include "host/store/numbers.h"
#include "host/store/safetensors.h"

enum { LISTED = 8 }; /* names in a message */

bool lng_ct2_is_model_directory(const char *directory)
{
    /* Without the heap: running out of memory must not look like another kind of folder. */
    unsigned char start[8];
    int folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int file = folder < 0 ? -1 : openat(folder, "model.bin", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool whole = file >= 0 && read(file, start, sizeof start) == (ssize_t)sizeof start;
    if (file >= 0)
        close(file);
    if (folder >= 0)
        close(folder);
    if (!whole)
        return false;
    /* Newer versions too, for the sake of the message. Marian's .bin begins with a 64-bit 1 or 2. */
    uint32_t version = lng_load_u32(start), next = lng_load_u32(start + 4);
    return version >= 1 && version < 256 && next != 0;
}

/* ---- special tokens ---- */

static int32_t find_text(const struct lng_vocab *vocab, const char *text)
{
    return lng_vocab_find(vocab, text, strlen(text));
}

/* The entry of the target that pads, appended where there is none; a tokenizer wants it on both sides. */
static enum lng_status settle_pad(struct lng_ct2_reading *reading, char **text)
{
    static const char *const names[] = {"<blank>", LNG_PAD_TEXT};
    struct lng_vocab *target = reading->target ? reading->target : reading->source;
    const char *name = NULL;
    for (int i = 0; i < 2 && !name; i++)
        if (find_text(target, names[i]) >= 0)
            name = names[i];
    reading->pad_appended = !name;
    if (!name) {
        name = LNG_PAD_TEXT;
        LNG_TRY(lng_vocab_add(target, name, strlen(name), NULL));
    }
    reading->source_pad_appended = reading->target && find_text(reading->source, name) < 0;
    if (reading->source_pad_appended)
        LNG_TRY(lng_vocab_add(reading->source, name, strlen(name), NULL));
    reading->hparams.pad = find_text(target, name);
    *text = lng_strdup(name);
    if (!*text)
        return LNG_ERR_MEMORY;
    return lng_buffer_append_format(reading->choices, "padding: %s: %s\n", name,
                                    reading->pad_appended ? "appended, the model has no such entry"
                                                          : "an entry of the model");
}

static enum lng_status settle_start(struct lng_ct2_reading *reading)
{
    const struct lng_ct2_config *config = reading->config;
    const struct lng_vocab *target = reading->target ? reading->target : reading->source;
    const struct lng_ct2_variable *zero =
        lng_ct2_use(reading, lng_ct2_setting_name(LNG_CT2_START_FROM_ZERO));
    double from_zero = 0;
    if (zero)
        LNG_TRY(lng_ct2_read_number(reading->file, zero, &from_zero));
    reading->hparams.decoder_start = -1;
    if (from_zero != 0)
        return lng_buffer_append_format(reading->choices, "decoder start: zero embedding: %s\n",
                                        zero->name);
    if (!config->start)
        return lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED,
                               "a first output token that the user must give (%s null)",
                               LNG_CT2_START_KEY);
    reading->hparams.decoder_start = find_text(target, config->start);
    if (reading->hparams.decoder_start < 0)
        return lng_ct2_problem(&reading->problems, LNG_ERR_MISMATCH,
                               "decoding starts from \"%.60s\", which is not in the target "
                               "vocabulary",
                               config->start);
    return lng_buffer_append_format(
        reading->choices, "decoder start: %s: %s\n", config->start,
        reading->file->version < LNG_CT2_VERSION ? "what this version starts from" : "config.json");
}

/* Models of Marian and fairseq, which start from a zero embedding or from the end token, have seen that token
 * at the end of every source. Where their file says nothing of it, they came through transformers, whose
 * tokenizers append it. */
static enum lng_status settle_source_end(struct lng_ct2_reading *reading)
{
    const struct lng_ct2_config *config = reading->config;
    struct lng_hparams *h = &reading->hparams;
    bool guessed = !config->add_source_eos && !config->ours &&
                   (h->decoder_start < 0 || h->decoder_start == h->eos);
    h->source_eos = -1;
    if (!config->add_source_eos && !guessed)
        return lng_buffer_append_format(reading->choices,
                                        "source end: none: nothing says that one is added\n");
    h->source_eos = find_text(reading->source, config->eos);
    if (h->source_eos < 0)
        return lng_ct2_problem(&reading->problems, LNG_ERR_MISMATCH,
                               "sources end in \"%.60s\", which is not in the source vocabulary",
                               config->eos);
    return lng_buffer_append_format(
        reading->choices, "source end: %s: %s\n", config->eos,
        guessed ? "decoding starts as in models whose sources end so; their tokenizer adds it"
                : "the model says that it is added");
}

static enum lng_status settle_tokens(struct lng_ct2_reading *reading, struct lng_import *import)
{
    const struct lng_ct2_config *config = reading->config;
    struct lng_hparams *h = &reading->hparams;
    const struct lng_vocab *target = reading->target ? reading->target : reading->source;
    h->eos = find_text(target, config->eos);
    h->unk = find_text(target, config->unk);
    if (h->eos < 0)
        LNG_TRY(lng_ct2_problem(&reading->problems, LNG_ERR_MISMATCH,
                                "the end token \"%.60s\" is not in the target vocabulary",
                                config->eos));
    if (config->add_source_bos)
        LNG_TRY(lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED,
                                "a token at the start of every source (add_source_bos)"));
    if (config->obstacle)
        LNG_TRY(lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED, "config.json: %s",
                                config->obstacle));
    LNG_TRY(settle_pad(reading, &import->pad));
    LNG_TRY(settle_start(reading));
    LNG_TRY(settle_source_end(reading));
    import->eos = lng_strdup(config->eos);
    import->unk = lng_strdup(config->unk);
    return import->eos && import->unk ? LNG_OK : LNG_ERR_MEMORY;
}

/* ---- what must be there, and what may not ---- */

/* Rows of a matrix in the file: the appended <pad> is not in it. */
static int64_t stored_rows(const struct lng_ct2_reading *reading, const struct lng_param *param)
{
    bool entries = param->id == LNG_PARAM_SHARED || param->id == LNG_PARAM_TARGET_EMBED ||
                   param->id == LNG_PARAM_OUTPUT || param->id == LNG_PARAM_OUTPUT_BIAS;
    int64_t rows = param->rows == 1 ? param->cols : param->rows;
    if (param->id == LNG_PARAM_SOURCE_EMBED)
        return rows - (reading->target ? reading->source_pad_appended : reading->pad_appended);
    return rows - (entries && reading->pad_appended);
}

struct missing {
    struct lng_buffer names;
    size_t count, biases;
};

static enum lng_status take_stock(struct lng_ct2_reading *reading, const struct lng_param *param,
                                  struct missing *missing)
{
    char name[LNG_CT2_NAME_BYTES] = "", found[LNG_SHAPE_TEXT_BYTES], expected[LNG_SHAPE_TEXT_BYTES];
    bool known = lng_ct2_param_name(param->id, param->layer, name);
    const struct lng_ct2_variable *variable = known ? lng_ct2_use(reading, name) : NULL;
    int64_t shape[] = {stored_rows(reading, param), param->cols};
    int rank = param->rows == 1 ? 1 : 2;
    if (!variable && lng_ct2_param_optional(param->id)) {
        missing->biases++;
        return LNG_OK;
    }
    if (!variable) {
        if (++missing->count > LISTED)
            return LNG_OK;
        return lng_buffer_append_format(&missing->names, "%s%s", missing->count > 1 ? ", " : "",
                                        name);
    }
    bool fits = variable->rank == rank && variable->shape[0] == shape[0] &&
                (rank == 1 || variable->shape[1] == shape[1]);
    if (fits)
        return LNG_OK;
    return lng_ct2_problem(&reading->problems, LNG_ERR_SHAPE, "\"%s\": expected shape %s, found %s",
                           name, lng_shape_text(shape, rank, expected),
                           lng_shape_text(variable->shape, variable->rank, found));
}

static enum lng_status check_stock(struct lng_ct2_reading *reading)
{
    struct lng_params params;
    struct missing missing = {0};
    LNG_TRY(lng_params_init(&params, &reading->hparams));
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < params.count && status == LNG_OK; i++)
        status = take_stock(reading, &params.list[i], &missing);
    if (status == LNG_OK && missing.count > 0)
        status = lng_ct2_problem(&reading->problems, LNG_ERR_FORMAT,
                                 "%zu variables are missing: %s%s", missing.count,
                                 missing.names.data, missing.count > LISTED ? ", ..." : "");
    if (status == LNG_OK && missing.biases > 0)
        status = lng_buffer_append_format(
            reading->choices, "biases: %zu are zero: the file has none there\n", missing.biases);
    lng_buffer_release(&missing.names);
    lng_params_release(&params);
    return status;
}

/* Fine when it is a flag that is off. */
static enum lng_status is_off(const struct lng_ct2_file *file,
                              const struct lng_ct2_variable *variable, bool flag, bool *off)
{
    double value = 1;
    if (flag && variable->elements == 1)
        LNG_TRY(lng_ct2_read_number(file, variable, &value));
    *off = value == 0;
    return LNG_OK;
}

/* One problem for each feature, and one for all names that say nothing. unknown: the latter too. */
static enum lng_status check_leftovers(struct lng_ct2_reading *reading, bool unknown)
{
    const struct lng_ct2_file *file = reading->file;
    struct lng_buffer names = {0}, seen = {0}; /* seen: features, a newline after each */
    size_t count = 0;
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < file->count; i++) {
        const char *name = file->list[i].name;
        bool flag = false, off = false;
        const char *what = reading->used[i] ? "" : lng_ct2_feature(name, &flag);
        if (!what && unknown && ++count <= LISTED)
            LNG_TRY_OR_FAIL(
                lng_buffer_append_format(&names, "%s%.120s", count > 1 ? ", " : "", name));
        if (!what || *what == '\0' || (seen.data && strstr(seen.data, what)))
            continue;
        LNG_TRY_OR_FAIL(is_off(file, &file->list[i], flag, &off));
        if (off)
            continue;
        LNG_TRY_OR_FAIL(lng_buffer_append_format(&seen, "%s\n", what));
        LNG_TRY_OR_FAIL(
            lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED, "%s (%.120s)", what, name));
    }
    if (count > 0)
        status = lng_ct2_problem(&reading->problems, LNG_ERR_UNSUPPORTED,
                                 "%zu variables that lingster does not know: %s%s", count,
                                 names.data, count > LISTED ? ", ..." : "");
fail:
    lng_buffer_release(&names);
    lng_buffer_release(&seen);
    return status;
}

static enum lng_status report(const struct lng_ct2_reading *reading)
{
    const struct lng_ct2_problems *problems = &reading->problems;
    if (problems->count == 0)
        return LNG_OK;
    return lng_fail(problems->code, "%s: cannot be imported, %zu problem%s: %s", reading->name,
                    problems->count, problems->count > 1 ? "s" : "", problems->text.data);
}

/* ---- values ---- */

static enum lng_status read_values(const struct lng_ct2_reading *reading,
                                   const struct lng_param *param, float *values)
{
    char name[LNG_CT2_NAME_BYTES] = "";
    (void)lng_ct2_param_name(param->id, param->layer, name);
    const struct lng_ct2_variable *variable = lng_ct2_find(reading->file, name);
    if (variable) {
        LNG_TRY(lng_ct2_read_f32(reading->file, variable, values));
        size_t bad = lng_first_not_finite(values, (size_t)variable->elements);
        LNG_FAIL_IF(bad < variable->elements, LNG_ERR_RANGE,
                    "%s: variable \"%s\": expected finite values, found %g at element %zu",
                    reading->name, name, (double)values[bad], bad);
    }
    if (param->id == LNG_PARAM_OUTPUT_BIAS && reading->pad_appended)
        values[reading->hparams.pad] = LNG_IMPORT_NEVER;
    return LNG_OK;
}

static enum lng_status check_all(struct lng_ct2_reading *reading)
{
    static const char *const beside[] = {
#define LNG_CT2_TOKEN(field, key, variable) variable,
#define LNG_CT2_FLAG(field, key, variable) variable,
#include "host/store/ctranslate2_names.def"
        LNG_CT2_TARGET_BOS,
        LNG_CT2_USER_START,
    };
    bool whole;
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++)
        (void)lng_ct2_use(reading, beside[i]);
    LNG_TRY(lng_ct2_find_shape(reading, &whole));
    if (whole)
        LNG_TRY(check_stock(reading));
    LNG_TRY(check_leftovers(reading, whole));
    return report(reading);
}

static enum lng_status import_model(struct lng_ct2_reading *reading, struct lng_import *import)
{
    LNG_TRY(lng_ct2_check_spec(reading->file));
    LNG_TRY(lng_buffer_append_format(
        &import->choices, "model: CTranslate2 binary version %u, spec %s revision %u\n",
        reading->file->version, *reading->file->spec ? reading->file->spec : "unnamed",
        reading->file->revision));
    LNG_TRY(settle_tokens(reading, import));
    LNG_TRY(check_all(reading));
    LNG_TRY(lng_model_data_init(&import->data, &reading->hparams));
    for (size_t i = 0; i < import->data.params.count; i++) {
        const struct lng_param *param = &import->data.params.list[i];
        LNG_TRY(read_values(reading, param, import->data.values + param->offset));
    }
    return LNG_OK;
}

enum lng_status lng_ct2_import_file(const struct lng_ct2_file *file,
                                    const struct lng_ct2_config *config, struct lng_vocab *source,
                                    struct lng_vocab *target, struct lng_import *import)
{
    struct lng_import fresh = {.source = source, .target = target};
    struct lng_ct2_reading reading = {
        .name = file->blob.name,
        .file = file,
        .config = config,
        .source = source,
        .target = target,
        .hparams = lng_hparams_default(),
        .used = lng_alloc(file->count, sizeof *reading.used),
        .choices = &fresh.choices,
    };
    enum lng_status status = reading.used ? import_model(&reading, &fresh) : LNG_ERR_MEMORY;
    lng_buffer_release(&reading.problems.text);
    lng_free(reading.used);
    if (status == LNG_OK)
        *import = fresh;
    else
        lng_import_release(&fresh);
    return status;
}

/* ---- the folder ---- */

/* SentencePiece models that people keep beside: *path stays NULL when there is none. */
static enum lng_status find_file(const char *directory, const char *name, char **path)
{
    char *joined = lng_path_join(directory, name);
    if (!joined)
        return LNG_ERR_MEMORY;
    if (lng_file_exists(joined))
        *path = joined;
    else
        lng_free(joined);
    return LNG_OK;
}

static enum lng_status find_text_models(const char *directory, struct lng_import *import)
{
    LNG_TRY(find_file(directory, "source.spm", &import->source_spm));
    LNG_TRY(find_file(directory, "target.spm", &import->target_spm));
    if (import->source_spm && import->target_spm) {
        import->text = LNG_IMPORT_SPM;
        return LNG_OK;
    }
    lng_free(import->source_spm);
    lng_free(import->target_spm);
    import->source_spm = import->target_spm = NULL;
    return LNG_OK;
}

static enum lng_status warn_of_map(const char *directory, struct lng_buffer *warnings)
{
    char *map = NULL;
    LNG_TRY(find_file(directory, "vmap.txt", &map));
    enum lng_status status = LNG_OK;
    if (map)
        status = lng_buffer_append_format(
            warnings, "%s: the map of candidate words is not used: all words are candidates\n",
            map);
    lng_free(map);
    return status;
}

static enum lng_status import_opened(const char *directory, const struct lng_ct2_file *file,
                                     struct lng_buffer *warnings, struct lng_import *import)
{
    struct lng_ct2_config config = {0};
    struct lng_vocab *source, *target;
    LNG_TRY(lng_ct2_check_spec(file)); /* others have other vocabularies too */
    LNG_TRY(lng_ct2_config_read(&config, directory, file, warnings));
    enum lng_status status = lng_ct2_vocabs_read(directory, config.unk, &source, &target);
    if (status == LNG_OK)
        status = lng_ct2_import_file(file, &config, source, target, import);
    lng_ct2_config_release(&config);
    return status;
}

enum lng_status lng_ct2_import(const char *directory, struct lng_import *import)
{
    struct lng_import fresh = {0};
    struct lng_ct2_file file = {0};
    struct lng_buffer warnings = {0};
    char *path = lng_path_join(directory, "model.bin");
    enum lng_status status = path ? lng_ct2_open(&file, path) : LNG_ERR_MEMORY;
    lng_free(path);
    if (status == LNG_OK)
        status = import_opened(directory, &file, &warnings, &fresh);
    if (status == LNG_OK)
        status = find_text_models(directory, &fresh);
    if (status == LNG_OK)
        status = warn_of_map(directory, &warnings);
    lng_ct2_close(&file);
    if (status == LNG_OK) {
        fresh.data.warnings = warnings;
        *import = fresh;
        return LNG_OK;
    }
    lng_buffer_release(&warnings);
    lng_import_release(&fresh);
    return status;
}
