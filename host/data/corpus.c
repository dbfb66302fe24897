#include "host/data/corpus.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/data/alignment_file.h"
#include "host/data/corpus_scan.h"
#include "host/data/line_read.h"
#include "host/data/pair_index.h"
#include "host/data/unpack.h"

enum { SCAN_BYTES = 1 << 20 };

/* One entry: two files, or one with a tab (target_path NULL, both descriptors the same file). */
struct part {
    char *source_path, *target_path;
    int source_fd, target_fd;
    uint64_t first_line, first_pair; /* sentence id of its first line; number of its first pair */
    struct lng_corpus_counts counts;
    struct lng_alignment_file alignments; /* path NULL = none */
};

struct lng_corpus {
    struct part *parts;
    size_t part_count;
    struct lng_pair_index index;
    uint64_t digest;
};

const char *lng_drop_reason_text(enum lng_drop_reason reason)
{
    static const char *const texts[] = {
#define LNG_DROP_TEXT(name, text) text,
        LNG_DROP_REASONS(LNG_DROP_TEXT)
#undef LNG_DROP_TEXT
    };
    return (size_t)reason < LNG_DROP_COUNT ? texts[reason] : "?";
}

static enum lng_status part_open(struct part *part, const struct lng_corpus_files *files,
                                 const char *alignments, const char *cache_directory)
{
    part->source_path = lng_strdup(files->source);
    if (files->target != NULL)
        part->target_path = lng_strdup(files->target);
    if (part->source_path == NULL || (files->target != NULL && part->target_path == NULL))
        return LNG_ERR_MEMORY;
    LNG_TRY(lng_unpack_open(files->source, cache_directory, &part->source_fd));
    if (files->target != NULL)
        LNG_TRY(lng_unpack_open(files->target, cache_directory, &part->target_fd));
    return alignments != NULL
               ? lng_alignment_file_open(&part->alignments, alignments, cache_directory)
               : LNG_OK;
}

static void part_close(struct part *part)
{
    if (part->source_fd >= 0)
        close(part->source_fd);
    if (part->target_fd >= 0)
        close(part->target_fd);
    lng_alignment_file_close(&part->alignments);
    lng_free(part->source_path);
    lng_free(part->target_path);
}

void lng_corpus_close(struct lng_corpus *corpus)
{
    if (corpus == NULL)
        return;
    for (size_t i = 0; i < corpus->part_count; i++)
        part_close(&corpus->parts[i]);
    lng_free(corpus->parts);
    lng_pair_index_release(&corpus->index);
    lng_free(corpus);
}

static enum lng_status part_describe(const struct part *part, struct lng_buffer *text)
{
    const struct lng_corpus_counts *counts = &part->counts;
    LNG_TRY(lng_buffer_append_format(
        text, "%s%s%s: %llu lines, %llu pairs kept", part->source_path,
        part->target_path ? " / " : "", part->target_path ? part->target_path : "",
        (unsigned long long)counts->lines, (unsigned long long)counts->kept));
    const char *before = "; left out: ";
    for (int reason = 0; reason < LNG_DROP_COUNT; reason++) {
        if (counts->dropped[reason] == 0)
            continue;
        LNG_TRY(lng_buffer_append_format(text, "%s%llu %s", before,
                                         (unsigned long long)counts->dropped[reason],
                                         lng_drop_reason_text((enum lng_drop_reason)reason)));
        before = ", ";
    }
    return LNG_OK;
}

static enum lng_status check_options(const struct lng_corpus_options *options)
{
    LNG_FAIL_IF(options->file_count == 0, LNG_ERR_USAGE,
                "no training corpus: give a source and a target file, or one with tabs");
    LNG_FAIL_IF(options->max_line_bytes > LNG_CORPUS_MAX_LINE_BYTES, LNG_ERR_RANGE,
                "a limit of %zu bytes a line: expected at most %d", options->max_line_bytes,
                LNG_CORPUS_MAX_LINE_BYTES);
    double ratio = options->max_length_ratio;
    LNG_FAIL_IF(!(ratio == 0 || (isfinite(ratio) && ratio >= 1)), LNG_ERR_RANGE,
                "a length ratio of %g: expected 0 (any) or at least 1", ratio);
    return LNG_OK;
}

/* Numbers the lines of one entry behind those of the ones before, and indexes them. */
static enum lng_status scan_part(struct lng_corpus *corpus, struct part *part,
                                 const struct lng_corpus_options *options,
                                 struct lng_atomic_file *report, struct lng_hash *digest)
{
    size_t limit =
        options->max_line_bytes ? options->max_line_bytes : LNG_CORPUS_DEFAULT_LINE_BYTES;
    size_t line_bytes = (part->target_path == NULL ? 2 : 1) * limit + 16;
    struct lng_corpus_scan scan = {
        .source_path = part->source_path,
        .target_path = part->target_path,
        .source_fd = part->source_fd,
        .target_fd = part->target_fd,
        .max_line_bytes = limit,
        .max_length_ratio = options->max_length_ratio,
        .buffer_bytes = line_bytes > SCAN_BYTES ? line_bytes : SCAN_BYTES,
        .first_line = part->first_line,
        .index = &corpus->index,
        .report = report,
        .alignments = part->alignments.path != NULL ? &part->alignments : NULL,
    };
    LNG_TRY(lng_corpus_scan_run(&scan));
    part->counts = scan.counts;
    uint64_t identity[] = {scan.source_digest, scan.target_digest, scan.counts.lines,
                           scan.counts.kept};
    lng_hash_add(digest, identity, sizeof identity);
    if (scan.alignments != NULL)
        lng_hash_add(digest, &scan.alignment_digest, sizeof scan.alignment_digest);
    return LNG_OK;
}

static enum lng_status scan_all(struct lng_corpus *corpus, const struct lng_corpus_options *options,
                                struct lng_atomic_file *report, struct lng_hash *digest)
{
    uint64_t line = 0;
    for (size_t i = 0; i < corpus->part_count; i++) {
        struct part *part = &corpus->parts[i];
        part->first_line = line;
        part->first_pair = corpus->index.count;
        LNG_TRY(scan_part(corpus, part, options, report, digest));
        line += part->counts.lines;
    }
    double rules[] = {(double)options->max_line_bytes, options->max_length_ratio};
    lng_hash_add(digest, rules, sizeof rules);
    corpus->digest = lng_hash_value(digest);
    if (corpus->index.count > 0)
        return LNG_OK;
    struct lng_buffer text = {0};
    enum lng_status status = lng_corpus_describe(corpus, &text);
    if (status == LNG_OK)
        status = lng_fail(LNG_ERR_FORMAT, "no sentence pair is left to train on: %.*s",
                          (int)(text.length > 400 ? 400 : text.length - 1), text.data);
    lng_buffer_release(&text);
    return status;
}

/* Opens the report, scans, and puts the report in its place also when nothing was kept: it says
 * why. */
static enum lng_status scan_with_report(struct lng_corpus *corpus,
                                        const struct lng_corpus_options *options)
{
    static const char header[] = "corpus\tline\treason\n";
    struct lng_atomic_file report = {.fd = -1};
    struct lng_hash *digest = NULL;
    enum lng_status status = lng_hash_open(&digest);
    if (status == LNG_OK && options->report_path != NULL) {
        status = lng_atomic_open(&report, options->report_path);
        if (status == LNG_OK)
            status = lng_atomic_write(&report, header, sizeof header - 1);
    }
    if (status == LNG_OK)
        status = scan_all(corpus, options, options->report_path ? &report : NULL, digest);
    lng_hash_close(digest);
    if (options->report_path == NULL)
        return status;
    bool keep = status == LNG_OK || (status == LNG_ERR_FORMAT && corpus->index.count == 0);
    if (!keep) {
        lng_atomic_discard(&report);
        return status;
    }
    enum lng_status committed = lng_atomic_commit(&report);
    return status != LNG_OK ? status : committed;
}

enum lng_status lng_corpus_open(const struct lng_corpus_options *options,
                                struct lng_corpus **corpus)
{
    LNG_TRY(check_options(options));
    struct lng_corpus *fresh = lng_alloc(1, sizeof *fresh);
    if (fresh == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_ERR_MEMORY;
    fresh->parts = lng_alloc(options->file_count, sizeof *fresh->parts);
    if (fresh->parts == NULL)
        goto fail;
    for (size_t i = 0; i < options->file_count; i++) {
        struct part *part = &fresh->parts[fresh->part_count++];
        part->source_fd = part->target_fd = -1;
        LNG_TRY_OR_FAIL(part_open(part, &options->files[i],
                                  options->alignments ? options->alignments[i] : NULL,
                                  options->cache_directory));
    }
    LNG_TRY_OR_FAIL(scan_with_report(fresh, options));
    *corpus = fresh;
    return LNG_OK;
fail:
    lng_corpus_close(fresh);
    return status;
}

uint64_t lng_corpus_count(const struct lng_corpus *corpus)
{
    return corpus->index.count;
}

uint64_t lng_corpus_digest(const struct lng_corpus *corpus)
{
    return corpus->digest;
}

size_t lng_corpus_file_count(const struct lng_corpus *corpus)
{
    return corpus->part_count;
}

struct lng_corpus_counts lng_corpus_get_counts(const struct lng_corpus *corpus, size_t file)
{
    if (file < corpus->part_count)
        return corpus->parts[file].counts;
    struct lng_corpus_counts all = {0};
    for (size_t i = 0; i < corpus->part_count; i++) {
        const struct lng_corpus_counts *counts = &corpus->parts[i].counts;
        all.lines += counts->lines;
        all.kept += counts->kept;
        for (int reason = 0; reason < LNG_DROP_COUNT; reason++)
            all.dropped[reason] += counts->dropped[reason];
        all.source_bytes += counts->source_bytes;
        all.target_bytes += counts->target_bytes;
        all.source_characters += counts->source_characters;
        all.target_characters += counts->target_characters;
    }
    return all;
}

enum lng_status lng_corpus_describe(const struct lng_corpus *corpus, struct lng_buffer *text)
{
    for (size_t i = 0; i < corpus->part_count; i++) {
        LNG_TRY(part_describe(&corpus->parts[i], text));
        LNG_TRY(lng_buffer_append_text(text, "\n"));
    }
    return LNG_OK;
}

static const struct part *part_of_pair(const struct lng_corpus *corpus, uint64_t pair)
{
    size_t low = 0, high = corpus->part_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (corpus->parts[middle].first_pair <= pair)
            low = middle;
        else
            high = middle;
    }
    return &corpus->parts[low];
}

enum lng_status lng_corpus_read(const struct lng_corpus *corpus, uint64_t pair,
                                struct lng_buffer *source, struct lng_buffer *target,
                                uint32_t *sentence_id)
{
    const struct part *part = part_of_pair(corpus, pair);
    struct lng_pair_entry entry = lng_pair_index_get(&corpus->index, pair);
    uint64_t line = entry.sentence_id - part->first_line + 1;
    bool tabbed = part->target_path == NULL;
    LNG_TRY(lng_line_read(part->source_fd, part->source_path, line, entry.source_offset,
                          entry.source_length, source));
    LNG_TRY(lng_line_read(tabbed ? part->source_fd : part->target_fd,
                          tabbed ? part->source_path : part->target_path, line, entry.target_offset,
                          entry.target_length, target));
    *sentence_id = entry.sentence_id;
    return LNG_OK;
}

bool lng_corpus_is_aligned(const struct lng_corpus *corpus)
{
    return corpus->parts[0].alignments.path != NULL;
}

enum lng_status lng_corpus_read_alignment(const struct lng_corpus *corpus, uint64_t pair,
                                          struct lng_buffer *text)
{
    const struct part *part = part_of_pair(corpus, pair);
    uint32_t id = lng_pair_index_get(&corpus->index, pair).sentence_id;
    return lng_alignment_file_read(&part->alignments, pair - part->first_pair,
                                   id - part->first_line + 1, text);
}

struct lng_corpus_place lng_corpus_locate(const struct lng_corpus *corpus, uint32_t sentence_id)
{
    size_t i = corpus->part_count - 1;
    while (i > 0 && corpus->parts[i].first_line > sentence_id)
        i--;
    return (struct lng_corpus_place){.path = corpus->parts[i].source_path,
                                     .line = sentence_id - corpus->parts[i].first_line + 1};
}
