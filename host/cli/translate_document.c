#include "host/cli/translate_document.h"

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

static enum lng_status take_translation(void *context, const struct lng_aligned_text *aligned)
{
    struct lng_translations *translations = context;
    LNG_TRY(lng_translations_add(translations, aligned->text.data, aligned->text.length));
    for (size_t i = 0; i < aligned->link_count; i++) {
        const struct lng_aligned_bytes *bytes = &aligned->links[i];
        struct lng_link link = {bytes->source_begin, bytes->source_end, bytes->target_begin,
                                bytes->target_end};
        LNG_TRY(lng_translations_link(translations, link));
    }
    return LNG_OK;
}

enum lng_status lng_translate_document_lines(void *translator, const struct lng_slice *lines,
                                             size_t count, struct lng_translations *translations)
{
    return lng_translator_aligned(translator, lines, count, take_translation, translations);
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
