#include "host/cli/translate_document.h"

#include <jansson.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/base/pack.h"
#include "host/cli/infer_setup.h"
#include "host/cli/translate_search.h"
#include "host/documents/formats.h"

enum { LARGEST_DOCUMENT = 1 << 30 };

static enum lng_opt_document_format format_of(const struct lng_options *options, const char *input)
{
    return options->format == LNG_OPT_DOCUMENT_FORMAT_AUTO ? lng_document_format_of(input)
                                                           : options->format;
}

/* ---- tokens to bytes ---- */

/* Where each token of a segment stands in its text: exactly where they spell it, else in proportion. Returns a list
 * of count + 1 offsets; NULL when memory is short. */
static size_t *token_places(const json_t *tokens, struct lng_slice text)
{
    static const char space[] = "\xE2\x96\x81";
    size_t count = json_array_size(tokens), at = 0, sum = 0, total = 0;
    size_t *places = lng_alloc(count + 1, sizeof *places);
    bool exact = true;
    for (size_t i = 0; places != NULL && i < count; i++) {
        const char *token = json_string_value(json_array_get(tokens, i));
        size_t length = token != NULL ? strlen(token) : 0;
        total += i + 1 < count ? length : 0; /* the last is the end of sentence */
        if (length >= 3 && memcmp(token, space, 3) == 0) {
            token += 3;
            length -= 3;
        }
        while (at < text.length && text.data[at] == ' ')
            at++;
        places[i] = at;
        exact = exact && (i + 1 == count || (text.length - at >= length && token != NULL &&
                                             memcmp(text.data + at, token, length) == 0));
        at += exact && i + 1 < count ? length : 0;
        places[i + 1] = at;
    }
    for (size_t i = 0; places != NULL && !exact && i < count; i++) {
        const char *token = json_string_value(json_array_get(tokens, i));
        sum += token != NULL ? strlen(token) : 0;
        places[i] = i == 0 ? 0 : places[i];
        places[i + 1] = total == 0 || sum > total ? text.length : sum * text.length / total;
    }
    return places;
}

static struct lng_slice string_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        return (struct lng_slice){"", 0};
    return (struct lng_slice){json_string_value(value), json_string_length(value)};
}

/* The alignment of one segment, whose source and translation begin at these bytes of the line's. */
static enum lng_status add_links(const json_t *segment, const json_t *best, size_t source,
                                 size_t target, struct lng_translations *translations)
{
    const json_t *from = json_object_get(segment, "source_tokens");
    const json_t *to = json_object_get(best, "tokens"), *pair;
    size_t *sources = token_places(from, string_of(segment, "source"));
    size_t *targets = token_places(to, string_of(best, "text")), i;
    enum lng_status status = sources != NULL && targets != NULL ? LNG_OK : LNG_ERR_MEMORY;
    json_array_foreach(json_object_get(best, "alignment"), i, pair)
    {
        size_t s = (size_t)json_integer_value(json_array_get(pair, 0));
        size_t t = (size_t)json_integer_value(json_array_get(pair, 1));
        if (status != LNG_OK || s >= json_array_size(from) || t >= json_array_size(to))
            continue;
        struct lng_link link = {source + sources[s], source + sources[s + 1], target + targets[t],
                                target + targets[t + 1]};
        status = lng_translations_link(translations, link);
    }
    lng_free(sources);
    lng_free(targets);
    return status;
}

/* One object that the translator wrote. */
static enum lng_status add_line(const json_t *line, struct lng_translations *translations)
{
    struct lng_slice text = string_of(line, "translation");
    const json_t *segment;
    size_t source = 0, target = 0, i;
    LNG_TRY(lng_translations_add(translations, text.data, text.length));
    json_array_foreach(json_object_get(line, "segments"), i, segment)
    {
        const json_t *best = json_array_get(json_object_get(segment, "hypotheses"), 0);
        LNG_TRY(add_links(segment, best, source, target, translations));
        source += string_of(segment, "source").length;
        target += string_of(best, "text").length + 1;
    }
    return LNG_OK;
}

enum lng_status lng_translate_document_lines(void *translator, const struct lng_slice *lines,
                                             size_t count, struct lng_translations *translations)
{
    struct lng_buffer text = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_translator_objects(translator, lines, count, &text));
    struct lng_slice rest = {text.data, text.length}, line;
    for (size_t i = 0; i < count && lng_text_split(&rest, '\n', &line); i++) {
        json_error_t error;
        json_t *object = json_loadb(line.data, line.length, JSON_ALLOW_NUL, &error);
        LNG_GOTO_FAIL_IF(object == NULL, LNG_ERR_INTERNAL, "what the translator wrote: %s",
                         error.text);
        status = add_line(object, translations);
        json_decref(object);
        LNG_TRY_OR_FAIL(status);
    }
fail:
    lng_buffer_release(&text);
    return status;
}

/* ---- the command ---- */

static bool is_language(const char *language)
{
    size_t length = 0;
    for (; language[length] != '\0'; length++)
        if (strchr("-_", language[length]) == NULL &&
            !(language[length] >= '0' && language[length] <= '9') &&
            !((language[length] | 32) >= 'a' && (language[length] | 32) <= 'z'))
            return false;
    return length >= 2 && length < 32;
}

static enum lng_status check_options(const struct lng_options *options)
{
    const char *languages[] = {options->document_source, options->document_target};
    LNG_FAIL_IF(options->json || options->n_best > 1 || options->prefix != NULL ||
                    strcmp(options->alignment, "none") != 0 || options->word_scores ||
                    options->flags != NULL || options->attention_map != NULL ||
                    options->on_risk.count > 0,
                LNG_ERR_USAGE,
                "--json, --n-best, --prefix, --constraints, --alignment, --word-scores, --flags, "
                "--on-risk and "
                "--attention-map are for lines of text, found a document; "
                "use --format text to translate its lines");
    for (size_t i = 0; i < sizeof languages / sizeof languages[0]; i++)
        LNG_FAIL_IF(languages[i] != NULL && !is_language(languages[i]), LNG_ERR_USAGE,
                    "'%s': expected a language like de or pt-BR", languages[i]);
    return LNG_OK;
}

enum lng_status lng_translate_documents_named(const struct lng_options *options,
                                              const struct lng_translate_files *files,
                                              bool *documents)
{
    size_t found = 0;
    for (size_t i = 0; i < files->count; i++) {
        const struct lng_translate_file *file = &files->list[i];
        bool document = format_of(options, file->input) != LNG_OPT_DOCUMENT_FORMAT_TEXT;
        found += document;
        LNG_FAIL_IF(document && file->output != NULL &&
                        lng_packing_of(file->output) != LNG_PACKING_NONE,
                    LNG_ERR_USAGE, "%s: expected an unpacked file for a document", file->output);
    }
    LNG_FAIL_IF(
        found > 0 && found < files->count, LNG_ERR_USAGE,
        "%zu of %zu inputs are documents by their names, the others text; translate them apart, "
        "or say with --format what all are",
        found, files->count);
    if (found > 0)
        LNG_TRY(check_options(options));
    *documents = found > 0;
    return LNG_OK;
}

static void report(const struct lng_document_stats *stats, uint64_t skipped, double seconds)
{
    if (skipped > 0)
        lng_warn("%llu parts of the document are not what its format says and stay as they are",
                 (unsigned long long)skipped);
    if (stats->kept > 0)
        lng_warn(
            "%llu sentences stay as they are: their translation was empty or lost a placeholder",
            (unsigned long long)stats->kept);
    lng_info("translated %llu units, %llu sentences in %.1f s; %llu segments without their "
             "placeholders, %llu in parts",
             (unsigned long long)stats->units, (unsigned long long)stats->lines, seconds,
             (unsigned long long)stats->masked, (unsigned long long)stats->runs);
}

static enum lng_status write_document(const char *path, const struct lng_buffer *out)
{
    struct lng_infer_output output = {0};
    const char *data = out->data != NULL ? out->data : "";
    if (path != NULL && strcmp(path, "-") != 0)
        return lng_file_write(path, data, out->length);
    LNG_TRY(lng_infer_output_open(&output, NULL, NULL, 0));
    LNG_TRY(lng_infer_output_write(&output, data, out->length));
    return lng_infer_output_close(&output);
}

static enum lng_status translate_file(const struct lng_options *options,
                                      const struct lng_translate_file *file,
                                      struct lng_translator *translator)
{
    struct lng_read_options read = {.source_language = options->document_source,
                                    .target_language = options->document_target,
                                    .column = options->tsv_column,
                                    .target_column = options->tsv_target,
                                    .review = options->review,
                                    .attributes = options->html_attributes};
    const char *name = strcmp(file->input, "-") != 0 ? file->input : "standard input";
    struct lng_buffer bytes = {0}, out = {0};
    struct lng_document_stats stats;
    uint64_t skipped = 0;
    double start = lng_clock();
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_file_read(file->input, LARGEST_DOCUMENT, &bytes));
    LNG_TRY_OR_FAIL(lng_translate_document(
        name, bytes.data != NULL ? bytes.data : "", bytes.length, format_of(options, file->input),
        &read, lng_translate_document_lines, translator, &out, &stats, &skipped));
    report(&stats, skipped, lng_clock() - start);
    status = write_document(file->output, &out);
fail:
    lng_buffer_release(&bytes);
    lng_buffer_release(&out);
    return status;
}

enum lng_status lng_translate_documents(const struct lng_options *options,
                                        const struct lng_translate_files *files)
{
    struct lng_translate_search search = {0};
    struct lng_translator *translator = NULL;
    struct lng_translate_options t = lng_translate_search_options(options);
    enum lng_status status;
    t.alignment = LNG_TRANSLATE_ALIGNMENT_HARD;
    t.locale = options->document_source;
    t.interrupted = lng_infer_watch_signals();
    LNG_TRY_OR_FAIL(lng_translate_search_open(options, &search, &t));
    LNG_TRY_OR_FAIL(
        lng_translator_open(&search.setup.model, search.setup.tokenizer, &t, &translator));
    for (size_t i = 0; i < files->count && status == LNG_OK; i++)
        status = translate_file(options, &files->list[i], translator);
fail:
    lng_translator_close(translator);
    lng_translate_search_close(&search);
    return status;
}
