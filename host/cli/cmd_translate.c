/* lingster translate: lines of text -> their translations. */
#include <string.h>
#include <sys/resource.h>

#include "host/base/clock.h"
#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/annotation_setup.h"
#include "host/cli/cmd.h"
#include "host/cli/translate_document.h"
#include "host/cli/translate_job.h"
#include "host/cli/translate_search.h"
#include "host/cli/translate_settings.h"

static void report(const struct lng_translate_stats *stats, double seconds)
{
    if (stats->repaired > 0)
        lng_warn("%llu lines were not UTF-8: bad bytes were read as U+FFFD",
                 (unsigned long long)stats->repaired);
    if (stats->cut > 0)
        lng_info("%llu lines were longer than --max-segment and were translated in segments",
                 (unsigned long long)stats->cut);
    if (stats->inserted > 0)
        lng_warn("%llu hypotheses had something put at the end that the search could not place",
                 (unsigned long long)stats->inserted);
    if (stats->violated > 0)
        lng_warn("%llu hypotheses hold a phrase that must not appear",
                 (unsigned long long)stats->violated);
    if (stats->flagged > 0)
        lng_warn("%llu lines were flagged: %llu of them got another translation, %llu are given as "
                 "source or empty",
                 (unsigned long long)stats->flagged, (unsigned long long)stats->retried,
                 (unsigned long long)stats->replaced);
    if (stats->at_limit > 0)
        lng_warn("%llu translations ended at the maximum length",
                 (unsigned long long)stats->at_limit);
    if (stats->repeated > 0)
        lng_info("%llu sentences were the same as earlier ones and were not translated again",
                 (unsigned long long)stats->repeated);
    double per_second = seconds > 0 ? 1 / seconds : 0;
    lng_info("translated %llu lines (%.1f/s), %llu source and %llu target tokens, %.0f target "
             "tokens/s; %zu MiB for %lld sentences at once in %d batch%s",
             (unsigned long long)stats->lines, (double)stats->lines * per_second,
             (unsigned long long)stats->source_tokens, (unsigned long long)stats->target_tokens,
             (double)stats->target_tokens * per_second, stats->search.device_bytes >> 20,
             (long long)stats->search.sentences_at_once, stats->search.workers,
             stats->search.workers == 1 ? "" : "es");
    if (stats->search.steps > 0)
        lng_info("%lld steps of %.1f hypotheses in the mean, %.0f%% of the places there were",
                 (long long)stats->search.steps,
                 (double)stats->search.rows / (double)stats->search.steps,
                 100.0 * (double)stats->search.rows / (double)stats->search.places);
    const struct lng_repeat_stats *r = &stats->search.repeats;
    if (r->recorded > 0 || r->refused > 0)
        lng_info("graphs: %lld steps replayed, %lld recorded, %lld launched one by one, %lld of "
                 "them because they could not be recorded",
                 (long long)r->replayed, (long long)r->recorded, (long long)r->plain,
                 (long long)r->refused);
}

/* before: resident when everything but the search was there. */
static void report_memory(const struct lng_translate_stats *stats, const struct lng_device *device,
                          size_t before)
{
    struct rusage usage;
    if (before == 0 || strcmp(lng_device_name(device), "cpu") != 0 ||
        getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    lng_info(
        "memory: %zu MiB planned, %zu of them with the model before the search; %zu MiB at the "
        "highest",
        (before + stats->search.device_bytes) >> 20, before >> 20, (size_t)usage.ru_maxrss >> 10);
}

static enum lng_status translate(const struct lng_options *options,
                                 const struct lng_translate_files *files)
{
    struct lng_translate_search search = {0};
    struct lng_annotation_setup annotation;
    struct lng_translate_options t = lng_translate_search_options(options);
    struct lng_translate_job job = {
        .files = files, .options = options, .interrupted = lng_infer_watch_signals()};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_annotation_setup_open(options, files, &annotation, &t));
    LNG_TRY_OR_FAIL(lng_translate_search_open(options, &search, &t));
    t.interrupted = job.interrupted;
    t.progress = lng_translate_job_progress;
    t.progress_context = &job;
    LNG_TRY_OR_FAIL(lng_translate_settings(options, &search.setup, &job.settings));
    LNG_TRY_OR_FAIL(
        lng_translator_open(&search.setup.model, search.setup.tokenizer, &t, &job.translator));
    const double start = lng_clock();
    const size_t before = lng_mem_resident();
    status = lng_translate_job_run(&job);
    struct lng_translate_stats stats = lng_translator_get_stats(job.translator);
    if (status == LNG_OK || stats.lines > 0)
        report(&stats, lng_clock() - start);
    report_memory(&stats, search.setup.model.device, before);
    if (status == LNG_OK || status == LNG_ERR_INTERRUPTED) { /* what is there is whole */
        enum lng_status finished = lng_annotation_setup_finish(&annotation);
        status = finished != LNG_OK ? finished : status;
    }
fail:
    lng_translator_close(job.translator);
    lng_annotation_setup_close(&annotation);
    lng_buffer_release(&job.settings);
    lng_translate_search_close(&search);
    return status;
}

/* One input that cannot be opened is found before the model is loaded; of several, the others are done. A
 * pipe is left alone: who writes to it would notice. */
static enum lng_status check_input(const struct lng_translate_files *files)
{
    const char *path = files->list[0].input;
    struct lng_lines *lines = NULL;
    struct lng_file_info info;
    if (files->count > 1 || strcmp(path, "-") == 0 ||
        (lng_file_get_info(path, &info) == LNG_OK && !info.regular))
        return LNG_OK;
    LNG_TRY(lng_lines_open(path, &lines));
    lng_lines_close(lines);
    return LNG_OK;
}

enum lng_status lng_cmd_translate(const struct lng_options *options)
{
    struct lng_translate_files files;
    enum lng_status status = lng_translate_files_init(&files, options);
    bool documents = false;
    if (status == LNG_OK)
        status = lng_translate_documents_named(options, &files, &documents);
    if (status == LNG_OK && documents) {
        status = lng_translate_documents(options, &files);
    } else if (status == LNG_OK) {
        status = check_input(&files);
        if (status == LNG_OK)
            status = translate(options, &files);
    }
    lng_translate_files_release(&files);
    return status;
}
