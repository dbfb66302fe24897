#include "host/data/corpus_scan.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "host/data/line_scan.h"

/* One side of a pair as it lies in the file. */
struct side {
    const char *data;
    uint64_t length, offset;
    uint64_t characters; /* set by classify */
};

/* Bytes that hold no high bit are UTF-8 without looking closer; eight at a time. */
static bool is_ascii(const char *data, size_t length)
{
    uint64_t seen = 0;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, sizeof word);
        seen |= word;
    }
    for (; i < length; i++)
        seen |= (unsigned char)data[i];
    return (seen & 0x8080808080808080u) == 0;
}

/* Valid UTF-8, and how many characters. */
static bool check_utf8(struct side *side)
{
    size_t length = (size_t)side->length;
    side->characters = length;
    if (is_ascii(side->data, length))
        return true;
    if (!lng_utf8_valid(side->data, length))
        return false;
    uint64_t continuation = 0;
    for (size_t i = 0; i < length; i++)
        continuation += ((unsigned char)side->data[i] & 0xC0) == 0x80;
    side->characters = length - continuation;
    return true;
}

static bool is_blank(const struct side *side)
{
    return side->data != NULL &&
           lng_text_trim((struct lng_slice){side->data, (size_t)side->length}).length == 0;
}

/* The first reason against the pair; LNG_DROP_COUNT when there is none. */
static enum lng_drop_reason classify(const struct lng_corpus_scan *scan, struct side *source,
                                     struct side *target)
{
    if (target->data == NULL && scan->target_path == NULL && source->data != NULL)
        return LNG_DROP_NO_TAB;
    if (is_blank(source))
        return LNG_DROP_EMPTY_SOURCE;
    if (is_blank(target))
        return LNG_DROP_EMPTY_TARGET;
    if (source->data == NULL || source->length > scan->max_line_bytes)
        return LNG_DROP_LONG_SOURCE;
    if (target->data == NULL || target->length > scan->max_line_bytes)
        return LNG_DROP_LONG_TARGET;
    if (memchr(source->data, 0, (size_t)source->length) != NULL)
        return LNG_DROP_NUL_SOURCE;
    if (memchr(target->data, 0, (size_t)target->length) != NULL)
        return LNG_DROP_NUL_TARGET;
    if (!check_utf8(source))
        return LNG_DROP_UTF8_SOURCE;
    if (!check_utf8(target))
        return LNG_DROP_UTF8_TARGET;
    uint64_t a = source->characters, b = target->characters;
    uint64_t longer = a > b ? a : b, shorter = a > b ? b : a;
    if (scan->max_length_ratio > 0 && (double)longer > scan->max_length_ratio * (double)shorter)
        return LNG_DROP_RATIO;
    return LNG_DROP_COUNT;
}

static enum lng_status report_drop(struct lng_corpus_scan *scan, enum lng_drop_reason reason)
{
    scan->counts.dropped[reason]++;
    if (scan->report == NULL)
        return LNG_OK;
    char rest[96];
    int length = snprintf(rest, sizeof rest, "\t%llu\t%s\n", (unsigned long long)scan->counts.lines,
                          lng_drop_reason_text(reason));
    LNG_TRY(lng_atomic_write(scan->report, scan->source_path, strlen(scan->source_path)));
    return lng_atomic_write(scan->report, rest, (size_t)length);
}

/* Counts a pair and keeps or drops it. */
static enum lng_status take_pair(struct lng_corpus_scan *scan, struct side *source,
                                 struct side *target)
{
    uint64_t sentence_id = scan->first_line + scan->counts.lines;
    LNG_FAIL_IF(sentence_id >= UINT32_MAX, LNG_ERR_RANGE,
                "the corpus has more than %u lines at line %llu of %s: train on a part of it",
                UINT32_MAX - 1, (unsigned long long)scan->counts.lines, scan->source_path);
    scan->counts.lines++;
    if (scan->alignments != NULL)
        LNG_TRY(lng_alignment_file_next(scan->alignments));
    enum lng_drop_reason reason = classify(scan, source, target);
    if (reason != LNG_DROP_COUNT)
        return report_drop(scan, reason);
    LNG_FAIL_IF(source->offset > LNG_PAIR_INDEX_MAX_OFFSET ||
                    target->offset > LNG_PAIR_INDEX_MAX_OFFSET,
                LNG_ERR_RANGE, "%s is larger than 1 TiB: split it", scan->source_path);
    struct lng_pair_entry entry = {
        .source_offset = source->offset,
        .target_offset = target->offset,
        .source_length = (uint32_t)source->length,
        .target_length = (uint32_t)target->length,
        .sentence_id = (uint32_t)sentence_id,
    };
    if (scan->alignments != NULL)
        LNG_TRY(lng_alignment_file_keep(scan->alignments,
                                        (struct lng_slice){source->data, (size_t)source->length},
                                        (struct lng_slice){target->data, (size_t)target->length}));
    LNG_TRY(lng_pair_index_add(scan->index, &entry));
    scan->counts.kept++;
    scan->counts.source_bytes += source->length;
    scan->counts.target_bytes += target->length;
    scan->counts.source_characters += source->characters;
    scan->counts.target_characters += target->characters;
    return LNG_OK;
}

/* Without byte order mark and carriage return. */
static struct side side_of_line(const struct lng_scanned_line *line, bool first)
{
    struct side side = {.data = line->data, .length = line->length, .offset = line->offset};
    if (side.data == NULL)
        return side;
    if (first && side.length >= 3 && memcmp(side.data, "\xEF\xBB\xBF", 3) == 0) {
        side.data += 3;
        side.length -= 3;
        side.offset += 3;
    }
    if (side.length > 0 && side.data[side.length - 1] == '\r')
        side.length--;
    return side;
}

static enum lng_status scan_tabbed(struct lng_corpus_scan *scan, struct lng_line_scan *lines)
{
    for (;;) {
        struct lng_scanned_line line;
        bool got;
        LNG_TRY(lng_line_scan_next(lines, &line, &got));
        if (!got)
            return LNG_OK;
        struct side source = side_of_line(&line, lines->lines == 1), target = {0};
        const char *tab =
            source.data != NULL ? memchr(source.data, '\t', (size_t)source.length) : NULL;
        if (tab != NULL) {
            uint64_t before = (uint64_t)(tab - source.data);
            target.data = tab + 1;
            target.length = source.length - before - 1;
            target.offset = source.offset + before + 1;
            source.length = before;
            const char *next = memchr(target.data, '\t', (size_t)target.length);
            if (next != NULL)
                target.length = (uint64_t)(next - target.data);
        }
        LNG_TRY(take_pair(scan, &source, &target));
    }
}

/* Counts the lines that one side has and the other has not. */
static enum lng_status count_rest(struct lng_line_scan *lines)
{
    for (bool got = true; got;) {
        struct lng_scanned_line line;
        LNG_TRY(lng_line_scan_next(lines, &line, &got));
    }
    return LNG_OK;
}

static enum lng_status scan_pair(struct lng_corpus_scan *scan, struct lng_line_scan *sources,
                                 struct lng_line_scan *targets)
{
    for (;;) {
        struct lng_scanned_line source_line, target_line;
        bool got_source, got_target;
        LNG_TRY(lng_line_scan_next(sources, &source_line, &got_source));
        LNG_TRY(lng_line_scan_next(targets, &target_line, &got_target));
        if (!got_source && !got_target)
            return LNG_OK;
        if (got_source != got_target) {
            LNG_TRY(count_rest(got_source ? sources : targets));
            LNG_FAIL_IF(true, LNG_ERR_MISMATCH,
                        "%s has %llu lines but %s has %llu: expected line n of one to be the "
                        "translation of line n of the other; is one of them cut off?",
                        scan->source_path, (unsigned long long)sources->lines, scan->target_path,
                        (unsigned long long)targets->lines);
        }
        bool first = sources->lines == 1;
        struct side source = side_of_line(&source_line, first);
        struct side target = side_of_line(&target_line, first);
        LNG_TRY(take_pair(scan, &source, &target));
    }
}

enum lng_status lng_corpus_scan_run(struct lng_corpus_scan *scan)
{
    struct lng_line_scan sources = {0}, targets = {0};
    enum lng_status status = LNG_OK;
    bool tabbed = scan->target_path == NULL;
    if (scan->alignments != NULL)
        LNG_TRY_OR_FAIL(lng_alignment_file_begin(scan->alignments));
    (void)posix_fadvise(scan->source_fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    LNG_TRY_OR_FAIL(
        lng_line_scan_open(&sources, scan->source_fd, scan->source_path, scan->buffer_bytes));
    if (tabbed) {
        LNG_TRY_OR_FAIL(scan_tabbed(scan, &sources));
    } else {
        (void)posix_fadvise(scan->target_fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        LNG_TRY_OR_FAIL(
            lng_line_scan_open(&targets, scan->target_fd, scan->target_path, scan->buffer_bytes));
        LNG_TRY_OR_FAIL(scan_pair(scan, &sources, &targets));
        scan->target_digest = lng_hash_value(targets.hash);
        (void)posix_fadvise(scan->target_fd, 0, 0, POSIX_FADV_RANDOM);
    }
    if (scan->alignments != NULL)
        LNG_TRY_OR_FAIL(lng_alignment_file_end(scan->alignments, scan->source_path,
                                               scan->counts.lines, &scan->alignment_digest));
    scan->source_digest = lng_hash_value(sources.hash);
    (void)posix_fadvise(scan->source_fd, 0, 0, POSIX_FADV_RANDOM);
fail:
    lng_line_scan_close(&sources);
    lng_line_scan_close(&targets);
    return status;
}
