/* SubRip and WebVTT: blocks of lines between blank ones. A cue is a block with a line of times; all others stay. */
#include <string.h>

#include "host/documents/formats.h"
#include "host/documents/scan_lines.h"

static size_t digits_at(const char *text, size_t length, size_t at)
{
    size_t end = at;
    while (end < length && text[end] >= '0' && text[end] <= '9')
        end++;
    return end - at;
}

/* "00:01:02,500" or "01:02.500"; the bytes it takes, 0 when it is none. */
static size_t time_at(const char *text, size_t length)
{
    size_t at = 0, parts = 0;
    for (; parts < 3; parts++) {
        size_t digits = digits_at(text, length, at);
        if (digits == 0)
            return 0;
        at += digits;
        if (at >= length || text[at] != ':')
            break;
        at++;
    }
    if (parts == 0 || at >= length || (text[at] != ',' && text[at] != '.'))
        return 0;
    size_t digits = digits_at(text, length, at + 1);
    return digits > 0 ? at + 1 + digits : 0;
}

static bool is_times(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length && (text[at] == ' ' || text[at] == '\t'))
        at++;
    size_t first = time_at(text + at, length - at);
    at += first;
    while (at < length && (text[at] == ' ' || text[at] == '\t'))
        at++;
    if (first == 0 || length - at < 4 || memcmp(text + at, "-->", 3) != 0)
        return false;
    at += 3;
    while (at < length && (text[at] == ' ' || text[at] == '\t'))
        at++;
    return time_at(text + at, length - at) > 0;
}

/* The dash that says that somebody else speaks, with the space behind it. */
static size_t dash_at(const char *text, size_t length)
{
    size_t at = length > 0 && text[0] == '-'                         ? 1
                : length > 2 && memcmp(text, "\xE2\x80\x93", 3) == 0 ? 3
                                                                     : 0;
    while (at > 0 && at < length && text[at] == ' ')
        at++;
    return at;
}

/* One line of text; "{\an8}" and its like are markup. */
static enum lng_status add_line(struct lng_document *document, size_t begin, size_t end)
{
    size_t from = begin;
    for (size_t at = begin; at + 1 < end; at++) {
        if (document->bytes[at] != '{' || document->bytes[at + 1] != '\\')
            continue;
        const char *close = memchr(document->bytes + at, '}', end - at);
        if (close == NULL)
            break;
        size_t after = (size_t)(close - document->bytes) + 1;
        LNG_TRY(lng_document_add(document, LNG_PIECE_TEXT, from, at, NULL, 0, 0));
        LNG_TRY(lng_document_add(document, LNG_PIECE_POINT, at, after, NULL, 0, 0));
        from = after;
        at = after - 1;
    }
    return lng_document_add(document, LNG_PIECE_TEXT, from, end, NULL, 0, 0);
}

/* The lines of a cue up to the next blank one; scan is at the line of times, then at the last line taken. */
static enum lng_status read_cue(struct lng_document *document, struct lng_scan *scan,
                                enum lng_encoding encoding)
{
    size_t before = SIZE_MAX;
    struct lng_scan line = *scan;
    LNG_TRY(lng_document_begin_unit(document, encoding));
    while (lng_scan_next(document, &line) && !lng_scan_blank(document, &line)) {
        size_t dash = dash_at(document->bytes + line.begin, line.end - line.begin);
        size_t text = line.begin + dash;
        if (before != SIZE_MAX)
            LNG_TRY(lng_document_add(document, dash > 0 ? LNG_PIECE_HARD : LNG_PIECE_BREAK, before,
                                     text, NULL, 0, 0));
        LNG_TRY(add_line(document, text, line.end));
        before = line.end;
        *scan = line;
    }
    return lng_document_end_unit(document);
}

static enum lng_status read_cues(struct lng_document *document, enum lng_encoding encoding,
                                 size_t *cues)
{
    struct lng_scan scan = {.next = lng_document_mark(document)}, next;
    bool fresh = true; /* a block begins here */
    while (lng_scan_next(document, &scan)) {
        const char *text = document->bytes + scan.begin;
        if (lng_scan_blank(document, &scan)) {
            fresh = true;
            continue;
        }
        next = scan;
        bool times = is_times(text, scan.end - scan.begin);
        if (fresh && !times && lng_scan_next(document, &next) && !lng_scan_blank(document, &next)) {
            times = is_times(document->bytes + next.begin, next.end - next.begin);
            scan = times ? next : scan;
        }
        if (fresh && times) {
            LNG_TRY(read_cue(document, &scan, encoding));
            ++*cues;
        } else {
            document->skipped += fresh && encoding == LNG_ENCODING_SUBRIP;
        }
        fresh = false;
    }
    return LNG_OK;
}

enum lng_status lng_read_srt(struct lng_document *document, const struct lng_read_options *options)
{
    size_t cues = 0;
    (void)options;
    LNG_TRY(lng_document_check_text(document, false));
    LNG_TRY(read_cues(document, LNG_ENCODING_SUBRIP, &cues));
    LNG_FAIL_IF(cues == 0 && document->skipped > 0, LNG_ERR_FORMAT,
                "%s: expected subtitles with lines like 00:00:01,000 --> 00:00:02,500, found none",
                document->name);
    return LNG_OK;
}

enum lng_status lng_read_vtt(struct lng_document *document, const struct lng_read_options *options)
{
    size_t cues = 0, mark = lng_document_mark(document);
    (void)options;
    LNG_TRY(lng_document_check_text(document, false));
    LNG_FAIL_IF(document->size - mark < 6 || memcmp(document->bytes + mark, "WEBVTT", 6) != 0,
                LNG_ERR_FORMAT,
                "%s: line 1: expected WEBVTT, found something else; is it SubRip? "
                "--format srt",
                document->name);
    return read_cues(document, LNG_ENCODING_WEBVTT, &cues);
}
