#include "host/documents/translate_units.h"

#include <string.h>

#include "host/base/mem.h"

/* So many units are looked at together; what they become is kept, how is not. */
enum { UNITS_AT_ONCE = 4096 };

/* ---- translations ---- */

enum lng_status lng_translations_add(struct lng_translations *translations, const char *text,
                                     size_t length)
{
    struct lng_translation_line line = {translations->text.length, length, translations->link_count,
                                        0};
    LNG_TRY(lng_buffer_append(&translations->text, text, length));
    LNG_TRY(lng_grow(&translations->lines, &translations->capacity, translations->count + 1,
                     sizeof *translations->lines));
    translations->lines[translations->count++] = line;
    return LNG_OK;
}

enum lng_status lng_translations_link(struct lng_translations *translations, struct lng_link link)
{
    LNG_TRY(lng_grow(&translations->links, &translations->link_capacity,
                     translations->link_count + 1, sizeof *translations->links));
    translations->links[translations->link_count++] = link;
    translations->lines[translations->count - 1].link_count++;
    return LNG_OK;
}

void lng_translations_release(struct lng_translations *translations)
{
    lng_buffer_release(&translations->text);
    lng_free(translations->lines);
    lng_free(translations->links);
    *translations = (struct lng_translations){0};
}

/* ---- jobs ---- */

/* A segment on its way. */
struct job {
    size_t unit, piece, piece_end;
    struct lng_segment_view view;
    struct lng_buffer out;
    size_t sentence; /* of this round: the first of its sentences */
    bool done, changed;
};

struct batch {
    struct lng_document *document;
    struct lng_document_stats *stats;
    struct lng_view_tools tools;
    struct lng_words *words;
    struct job *jobs;
    size_t job_count, job_capacity;
    struct lng_slice *lines; /* of a round */
    size_t line_count, line_capacity;
    size_t *line_of; /* for each sentence of a round; SIZE_MAX = it is not translated */
    size_t sentence_count, line_of_capacity;
    struct lng_translations translations;
    struct lng_translated *translated;
    size_t translated_capacity;
};

static struct lng_slice sentence_text(const struct lng_segment_view *view, size_t i)
{
    const struct lng_segment *sentence = &view->sentences.data[i];
    return (struct lng_slice){view->text.data + sentence->begin, sentence->end - sentence->begin};
}

/* Letters that are not all in placeholders. */
static enum lng_status wants_translation(const struct batch *batch, struct lng_slice text,
                                         bool *wants)
{
    struct lng_protected_list list;
    size_t at = 0;
    LNG_TRY(lng_protector_find(batch->tools.protector, text.data, text.length, &list));
    *wants = false;
    for (size_t i = 0; i <= list.count && !*wants; i++) {
        size_t end = i < list.count ? list.data[i].begin : text.length;
        *wants = lng_text_has_letter(text.data + at, end - at);
        at = i < list.count ? list.data[i].end : end;
    }
    return LNG_OK;
}

static enum lng_status add_jobs(struct batch *batch, size_t unit_index)
{
    const struct lng_document *document = batch->document;
    const struct lng_document_unit *unit = &document->units[unit_index];
    size_t begin = unit->piece, end = unit->piece + unit->piece_count;
    for (size_t i = begin; i <= end; i++) {
        if (i < end && document->pieces[i].kind != LNG_PIECE_HARD)
            continue;
        if (i > begin) {
            LNG_TRY(lng_grow(&batch->jobs, &batch->job_capacity, batch->job_count + 1,
                             sizeof *batch->jobs));
            struct job *job = &batch->jobs[batch->job_count++];
            *job = (struct job){.unit = unit_index, .piece = begin, .piece_end = i};
            LNG_TRY(lng_view_open(&job->view, document, begin, i, LNG_VIEW_WHOLE, &batch->tools));
        }
        begin = i + 1;
    }
    return LNG_OK;
}

static enum lng_status collect_lines(struct batch *batch)
{
    batch->line_count = batch->sentence_count = 0;
    for (size_t i = 0; i < batch->job_count; i++) {
        struct job *job = &batch->jobs[i];
        job->sentence = batch->sentence_count;
        for (size_t k = 0; !job->done && k < job->view.sentences.count; k++) {
            struct lng_slice text = sentence_text(&job->view, k);
            bool wants;
            LNG_TRY(wants_translation(batch, text, &wants));
            LNG_TRY(lng_grow(&batch->line_of, &batch->line_of_capacity, batch->sentence_count + 1,
                             sizeof *batch->line_of));
            LNG_TRY(lng_grow(&batch->lines, &batch->line_capacity, batch->line_count + 1,
                             sizeof *batch->lines));
            batch->line_of[batch->sentence_count++] = wants ? batch->line_count : SIZE_MAX;
            batch->lines[batch->line_count] = text;
            batch->line_count += wants;
        }
    }
    return LNG_OK;
}

/* The translations of a job's sentences; what was not translated, or badly, is its own translation. */
static enum lng_status pick_translations(struct batch *batch, struct job *job)
{
    const struct lng_translations *all = &batch->translations;
    size_t count = job->view.sentences.count;
    LNG_TRY(lng_grow(&batch->translated, &batch->translated_capacity, count + 1,
                     sizeof *batch->translated));
    for (size_t k = 0; k < count; k++) {
        struct lng_slice source = sentence_text(&job->view, k);
        struct lng_translated *t = &batch->translated[k];
        *t = (struct lng_translated){.text = source};
        size_t line = batch->line_of[job->sentence + k];
        if (line == SIZE_MAX)
            continue;
        const struct lng_translation_line *given = &all->lines[line];
        struct lng_slice text = {all->text.data + given->text, given->length};
        struct lng_protected_list made = {0};
        if (job->view.mode == LNG_VIEW_RUNS)
            LNG_TRY(lng_protector_find(batch->tools.protector, text.data, text.length, &made));
        if (lng_text_trim(text).length == 0 || made.count > 0) {
            batch->stats->kept++;
            continue;
        }
        *t = (struct lng_translated){text, given->link_count > 0 ? all->links + given->link : NULL,
                                     given->link_count};
        if (text.length != source.length || memcmp(text.data, source.data, text.length) != 0)
            job->changed = true;
    }
    return LNG_OK;
}

static enum lng_status append_raw(struct batch *batch, size_t begin, size_t end,
                                  struct lng_buffer *out)
{
    for (size_t i = begin; i < end; i++) {
        const struct lng_piece *piece = &batch->document->pieces[i];
        LNG_TRY(lng_buffer_append(out, batch->document->bytes + piece->begin,
                                  piece->end - piece->begin));
    }
    return LNG_OK;
}

static enum lng_status finish_job(struct batch *batch, struct job *job)
{
    const struct lng_document_unit *unit = &batch->document->units[job->unit];
    enum lng_view_mode mode = job->view.mode;
    job->changed = false;
    LNG_TRY(pick_translations(batch, job));
    if (!job->changed) {
        job->done = true;
        return append_raw(batch, job->piece, job->piece_end, &job->out);
    }
    LNG_TRY(lng_place(&job->view, batch->translated, unit->encoding, batch->words, &job->out,
                      &job->done));
    if (job->done)
        return LNG_OK;
    mode = mode == LNG_VIEW_WHOLE ? LNG_VIEW_MASKED : LNG_VIEW_RUNS;
    lng_view_release(&job->view);
    *(mode == LNG_VIEW_MASKED ? &batch->stats->masked : &batch->stats->runs) += 1;
    return lng_view_open(&job->view, batch->document, job->piece, job->piece_end, mode,
                         &batch->tools);
}

/* One round: asks for all lines at once, then puts the segments together. *left = jobs for the next one. */
static enum lng_status run_round(struct batch *batch, lng_translate_lines translate, void *context,
                                 size_t *left)
{
    *left = 0;
    lng_translations_release(&batch->translations);
    LNG_TRY(collect_lines(batch));
    if (batch->line_count > 0)
        LNG_TRY(translate(context, batch->lines, batch->line_count, &batch->translations));
    LNG_FAIL_IF(batch->translations.count != batch->line_count, LNG_ERR_INTERNAL,
                "%zu lines were translated, expected %zu", batch->translations.count,
                batch->line_count);
    batch->stats->lines += batch->line_count;
    for (size_t i = 0; i < batch->job_count; i++) {
        if (!batch->jobs[i].done)
            LNG_TRY(finish_job(batch, &batch->jobs[i]));
        *left += !batch->jobs[i].done;
    }
    return LNG_OK;
}

/* The segments of a unit with the hard breaks between them. */
static enum lng_status write_unit(struct batch *batch, size_t unit_index, size_t *job)
{
    struct lng_document *document = batch->document;
    struct lng_document_unit *unit = &document->units[unit_index];
    size_t at = unit->piece;
    unit->result = document->results.length;
    for (; *job < batch->job_count && batch->jobs[*job].unit == unit_index; ++*job) {
        const struct job *next = &batch->jobs[*job];
        LNG_TRY(append_raw(batch, at, next->piece, &document->results));
        LNG_TRY(lng_buffer_append(&document->results, next->out.data, next->out.length));
        unit->translated |= next->changed;
        at = next->piece_end;
    }
    LNG_TRY(append_raw(batch, at, unit->piece + unit->piece_count, &document->results));
    unit->result_length = document->results.length - unit->result;
    return LNG_OK;
}

static void release_jobs(struct batch *batch)
{
    for (size_t i = 0; i < batch->job_count; i++) {
        lng_view_release(&batch->jobs[i].view);
        lng_buffer_release(&batch->jobs[i].out);
    }
    batch->job_count = 0;
}

static enum lng_status translate_range(struct batch *batch, size_t begin, size_t end,
                                       lng_translate_lines translate, void *context)
{
    size_t left = 0, job = 0;
    for (size_t i = begin; i < end; i++)
        LNG_TRY(add_jobs(batch, i));
    do
        LNG_TRY(run_round(batch, translate, context, &left));
    while (left > 0);
    for (size_t i = begin; i < end; i++)
        LNG_TRY(write_unit(batch, i, &job));
    batch->stats->units += end - begin;
    release_jobs(batch);
    return LNG_OK;
}

enum lng_status lng_document_translate(struct lng_document *document, const char *language,
                                       lng_translate_lines translate, void *context,
                                       struct lng_document_stats *stats)
{
    struct batch batch = {.document = document, .stats = stats};
    enum lng_status status;
    *stats = (struct lng_document_stats){0};
    LNG_TRY_OR_FAIL(lng_sentences_open(language != NULL ? language : document->language,
                                       &batch.tools.sentences));
    LNG_TRY_OR_FAIL(lng_protector_open(&batch.tools.protector));
    LNG_TRY_OR_FAIL(lng_words_open(batch.tools.protector, &batch.words));
    for (size_t i = 0; i < document->unit_count; i += UNITS_AT_ONCE) {
        size_t end =
            document->unit_count - i < UNITS_AT_ONCE ? document->unit_count : i + UNITS_AT_ONCE;
        LNG_TRY_OR_FAIL(translate_range(&batch, i, end, translate, context));
    }
fail:
    release_jobs(&batch);
    lng_free(batch.jobs);
    lng_free(batch.lines);
    lng_free(batch.line_of);
    lng_free(batch.translated);
    lng_translations_release(&batch.translations);
    lng_words_close(batch.words);
    lng_protector_close(batch.tools.protector);
    lng_sentences_close(batch.tools.sentences);
    return status;
}
