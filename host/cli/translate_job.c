#include "host/cli/translate_job.h"

#include <string.h>

#include "host/base/bytes.h"
#include "host/base/clock.h"
#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/translate_settings.h"
#include "host/store/resumable.h"

enum { LONGEST_LINE = 48 << 20 };
/* Counting lines for the sake of "time left" takes no longer than this. */
static const double count_seconds = 10;

/* ---- one file ---- */

/* What is open while a file is translated. */
struct work {
    struct lng_translate_job *job;
    const struct lng_translate_file *file;
    struct lng_lines *input, *prefixes, *constraints;
    struct lng_hash *input_hash, *prefix_hash; /* of the lines read so far */
    struct lng_resumable output;
};

static enum lng_status open_lines(const char *path, struct lng_lines **lines,
                                  struct lng_hash **hash)
{
    LNG_TRY(lng_lines_open(path, lines));
    LNG_TRY(lng_hash_open(hash));
    lng_lines_set_limit(*lines, LONGEST_LINE);
    lng_lines_set_hash(*lines, *hash);
    return LNG_OK;
}

static void close_work(struct work *work)
{
    lng_lines_close(work->input);
    lng_lines_close(work->prefixes);
    lng_translator_set_constraints(work->job->translator, NULL);
    lng_lines_close(work->constraints);
    lng_hash_close(work->input_hash);
    lng_hash_close(work->prefix_hash);
    lng_resumable_close(&work->output);
}

static uint64_t second_checksum(const struct work *work)
{
    return work->prefix_hash != NULL ? lng_hash_value(work->prefix_hash) : 0;
}

/* An lng_translate_write: the input was read up to the last line of this piece, and no further. */
static enum lng_status write_piece(void *context, const char *data, size_t size)
{
    struct work *work = context;
    LNG_TRY(lng_resumable_write(&work->output, data, size));
    return lng_resumable_commit(&work->output, lng_lines_number(work->input),
                                lng_hash_value(work->input_hash), second_checksum(work));
}

/* Reads the lines that are done already; they must be those that were. */
static enum lng_status skip(struct lng_lines *lines, const struct lng_hash *hash, const char *name,
                            uint64_t count, uint64_t checksum, bool to_the_end)
{
    struct lng_line line;
    bool got = true;
    while (got && lng_lines_number(lines) < count)
        LNG_TRY(lng_lines_next(lines, &line, &got));
    LNG_FAIL_IF(
        !got, LNG_ERR_MISMATCH,
        "%s has only %llu lines, but %llu of it were translated: it was changed since; put it "
        "back as it was, or --overwrite starts again",
        name, (unsigned long long)lng_lines_number(lines), (unsigned long long)count);
    LNG_FAIL_IF(
        lng_hash_value(hash) != checksum, LNG_ERR_MISMATCH,
        "%s: its first %llu lines were changed since they were translated; put them back as "
        "they were, or --overwrite starts again",
        name, (unsigned long long)count);
    if (to_the_end)
        LNG_TRY(lng_lines_next(lines, &line, &got));
    LNG_FAIL_IF(to_the_end && got, LNG_ERR_MISMATCH,
                "%s has more than the %llu lines that were translated: it was changed since; "
                "--overwrite starts again",
                name, (unsigned long long)count);
    return LNG_OK;
}

/* The settings hold a checksum of the whole file. */
static enum lng_status skip_constraints(struct lng_lines *lines, uint64_t count)
{
    struct lng_line line;
    bool got = true;
    while (got && lng_lines_number(lines) < count)
        LNG_TRY(lng_lines_next(lines, &line, &got));
    return LNG_OK;
}

static bool is_regular(const char *path)
{
    struct lng_file_info info;
    return strcmp(path, "-") != 0 && lng_file_exists(path) &&
           lng_file_get_info(path, &info) == LNG_OK && info.regular;
}

/* To where the journal says that all is done. */
static enum lng_status go_on(struct work *work)
{
    const struct lng_translate_file *file = work->file;
    struct lng_resumable *output = &work->output;
    const struct lng_journal_entry *last = &output->journal.last;
    if (output->undone > 0)
        lng_warn("%s: its last %llu bytes are cut short or damaged, and what they spoke of is done "
                 "again",
                 output->progress, (unsigned long long)output->undone);
    if (last->lines == 0 && !output->finished)
        return LNG_OK;
    const char *beside[] = {work->job->options->flags, work->job->options->attention_map};
    for (size_t i = 0; i < 2 && !output->finished;
         i++) /* what was said of lines done is not lost */
        LNG_FAIL_IF(
            beside[i] != NULL && is_regular(beside[i]), LNG_ERR_MISMATCH,
            "%s is there from the first %llu lines: move it away, and the same command goes on "
            "and writes it for the others",
            beside[i], (unsigned long long)last->lines);
    LNG_TRY(skip(work->input, work->input_hash, file->input, last->lines, last->input,
                 output->finished));
    if (work->prefixes != NULL)
        LNG_TRY(skip(work->prefixes, work->prefix_hash, file->prefix, last->lines, last->second,
                     output->finished));
    if (work->constraints != NULL)
        LNG_TRY(skip_constraints(work->constraints, last->lines));
    if (output->finished)
        lng_info("%s is whole already", file->output);
    else
        lng_info("%s: going on after line %llu", file->output, (unsigned long long)last->lines);
    struct lng_progress *progress = &work->job->progress;
    lng_progress_start(progress, progress->what, progress->unit,
                       work->job->lines_before + last->lines, progress->total);
    return LNG_OK;
}

static enum lng_status open_output(struct work *work)
{
    const struct lng_translate_job *job = work->job;
    struct lng_buffer settings = {0};
    enum lng_status status = lng_buffer_append(&settings, job->settings.data, job->settings.length);
    /* Which prefixes they are is told by the lines that were used. */
    if (status == LNG_OK)
        status = lng_buffer_append_text(&settings, work->prefixes != NULL ? "prefixes given\n"
                                                                          : "prefixes none\n");
    if (status == LNG_OK && work->constraints != NULL)
        status = is_regular(work->file->constraints)
                     ? lng_translate_file_setting("constraints", work->file->constraints, &settings)
                     : lng_buffer_append_text(&settings, "constraints given\n");
    bool flags = job->options->flags != NULL || LNG_OPTION_IS_SET(job->options, on_risk);
    if (status == LNG_OK)
        status = lng_buffer_append_text(&settings, flags ? "flags sought\n" : "flags none\n");
    if (status == LNG_OK)
        status = lng_translate_packing_settings(job->options, lng_packing_of(work->file->output),
                                                &settings);
    if (status == LNG_OK)
        status = lng_resumable_open(&work->output, work->file->output,
                                    (struct lng_slice){settings.data, settings.length},
                                    job->options->overwrite);
    lng_buffer_release(&settings);
    return status;
}

static enum lng_status translate_to_file(struct work *work)
{
    LNG_TRY(open_output(work));
    LNG_TRY(go_on(work));
    if (work->output.finished)
        return LNG_OK;
    enum lng_status status =
        lng_translator_run(work->job->translator, work->input, work->prefixes, write_piece, work);
    if (status == LNG_OK && *work->job->interrupted && !is_regular(work->file->input))
        status =
            lng_fail(LNG_ERR_INTERRUPTED,
                     "interrupted, and so perhaps was what wrote to %s: its end may be missing",
                     work->file->input);
    if (status == LNG_ERR_INTERRUPTED)
        lng_info("%s: the same command goes on from there", work->output.part);
    LNG_TRY(status);
    return lng_resumable_finish(&work->output, lng_lines_number(work->input),
                                lng_hash_value(work->input_hash), second_checksum(work));
}

static enum lng_status translate_to_stream(struct work *work)
{
    struct lng_infer_output output = {0};
    LNG_TRY(lng_infer_output_open(&output, work->file->output, NULL, 0));
    enum lng_status status = lng_translator_run(work->job->translator, work->input, work->prefixes,
                                                lng_infer_output_write, &output);
    if (status == LNG_OK)
        return lng_infer_output_close(&output);
    if (output.path != NULL)
        (void)fclose(output.stream);
    return status;
}

static enum lng_status translate_file(struct lng_translate_job *job,
                                      const struct lng_translate_file *file)
{
    struct work work = {.job = job, .file = file, .output = {.part_fd = -1, .progress_fd = -1}};
    enum lng_status status = open_lines(file->input, &work.input, &work.input_hash);
    if (status == LNG_OK && file->prefix != NULL)
        status = open_lines(file->prefix, &work.prefixes, &work.prefix_hash);
    if (status == LNG_OK && file->constraints != NULL)
        status = lng_lines_open(file->constraints, &work.constraints);
    lng_translator_set_constraints(job->translator, work.constraints);
    if (status == LNG_OK)
        status = lng_translate_is_stream(file->output) ? translate_to_stream(&work)
                                                       : translate_to_file(&work);
    if (work.input != NULL)
        job->lines_before += lng_lines_number(work.input);
    close_work(&work);
    return status;
}

/* ---- progress ---- */

void lng_translate_job_progress(void *context, uint64_t lines)
{
    struct lng_translate_job *job = context;
    lng_progress_update(&job->progress, job->lines_before + lines, NULL);
}

/* *known = false when it is no regular file, cannot be read to its end, or that takes too long. */
static uint64_t count_lines(const struct lng_translate_job *job, const char *path, double until,
                            bool *known)
{
    enum { LOOK_EVERY = 1 << 16 };
    struct lng_lines *lines = NULL;
    struct lng_line line;
    bool got = true;
    *known = is_regular(path) && lng_lines_open(path, &lines) == LNG_OK;
    if (!*known)
        return 0;
    lng_lines_set_limit(lines, LONGEST_LINE);
    while (*known && got) {
        *known = lng_lines_next(lines, &line, &got) == LNG_OK;
        if (lng_lines_number(lines) % LOOK_EVERY == 0 && (lng_clock() > until || *job->interrupted))
            *known = false;
    }
    uint64_t count = lng_lines_number(lines);
    lng_lines_close(lines);
    return count;
}

/* 0 = not known. */
static uint64_t count_all(const struct lng_translate_job *job)
{
    uint64_t total = 0;
    double until = lng_clock() + count_seconds;
    bool known = lng_log_get_level() >= LNG_LOG_INFO;
    for (size_t i = 0; known && i < job->files->count; i++)
        total += count_lines(job, job->files->list[i].input, until, &known);
    return known ? total : 0;
}

/* ---- all files ---- */

/* Whether the next file is likely to fare better. */
static bool may_go_on(enum lng_status status)
{
    return status != LNG_ERR_INTERRUPTED && status != LNG_ERR_MEMORY && status != LNG_ERR_DEVICE &&
           status != LNG_ERR_INTERNAL;
}

/* The journals of finished outputs stay until all are: they say what need not be done again. */
static void forget_journals(const struct lng_translate_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (!lng_translate_is_stream(files->list[i].output))
            lng_resumable_forget(files->list[i].output);
}

enum lng_status lng_translate_job_run(struct lng_translate_job *job)
{
    const struct lng_translate_files *files = job->files;
    enum lng_status first = LNG_OK;
    size_t failed = 0;
    lng_progress_start(&job->progress, "translate", "lines", 0, count_all(job));
    for (size_t i = 0; i < files->count; i++) {
        const struct lng_translate_file *file = &files->list[i];
        enum lng_status status = translate_file(job, file);
        lng_log_set_status_line("");
        if (status == LNG_OK)
            continue;
        if (files->count == 1 || !may_go_on(status))
            return files->count == 1 ? status : lng_fail_context(status, "%s", file->input);
        lng_log(LNG_LOG_ERROR, "%s: %s", file->input, lng_error_message());
        first = failed++ == 0 ? status : first;
    }
    LNG_FAIL_IF(failed > 0, first == LNG_OK ? LNG_ERR_INTERNAL : first,
                "%zu of %zu files failed, see above; the same command does only these again",
                failed, files->count);
    forget_journals(files);
    return LNG_OK;
}
