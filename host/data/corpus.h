/* One or several parallel corpora as one numbered list of sentence pairs, read from disk when
 * asked for.
 *
 * Opening reads every file once, front to back: it counts the lines of both sides, leaves out
 * pairs that cannot be trained on, and keeps 20 bytes for each of the others. Texts stay on disk
 * (gzip and zstd files are unpacked first: host/data/unpack.h). A carriage return before the
 * newline and a byte order mark at the start of a file are not part of the text. A last line
 * needs no newline. */
#ifndef LNG_HOST_DATA_CORPUS_H
#define LNG_HOST_DATA_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/base/text.h"

/* Why a pair is left out; the first reason that holds, in this order. */
#define LNG_DROP_REASONS(X)            \
    X(NO_TAB, "no tab")                \
    X(EMPTY_SOURCE, "empty source")    \
    X(EMPTY_TARGET, "empty target")    \
    X(LONG_SOURCE, "source too long")  \
    X(LONG_TARGET, "target too long")  \
    X(NUL_SOURCE, "NUL in source")     \
    X(NUL_TARGET, "NUL in target")     \
    X(UTF8_SOURCE, "source not UTF-8") \
    X(UTF8_TARGET, "target not UTF-8") \
    X(RATIO, "length ratio")

enum lng_drop_reason {
#define LNG_DROP_ENUM(name, text) LNG_DROP_##name,
    LNG_DROP_REASONS(LNG_DROP_ENUM)
#undef LNG_DROP_ENUM
        LNG_DROP_COUNT,
};
const char *lng_drop_reason_text(enum lng_drop_reason reason);

enum {
    LNG_CORPUS_DEFAULT_LINE_BYTES = 1 << 20,
    LNG_CORPUS_MAX_LINE_BYTES = (1 << 24) - 1,
};

/* Two files of equally many lines, or (target NULL) one file of tab-separated lines: source,
 * target, and columns that are not looked at. */
struct lng_corpus_files {
    const char *source, *target;
};

struct lng_corpus_options {
    const struct lng_corpus_files *files;
    size_t file_count;
    const char *const *
        alignments; /* [file_count] word alignments of each (host/data/alignment_file.h); NULL = none */
    const char *cache_directory; /* for unpacked files, see lng_unpack_open; may be NULL */
    const char
        *report_path;      /* what was left out: corpus, line, reason; tab-separated. May be NULL */
    size_t max_line_bytes; /* of one side; 0 = LNG_CORPUS_DEFAULT_LINE_BYTES */
    double max_length_ratio; /* characters of the longer side to those of the shorter; 0 = any */
};

struct lng_corpus_counts {
    uint64_t lines, kept;
    uint64_t dropped[LNG_DROP_COUNT];
    uint64_t source_bytes, target_bytes;           /* of the kept pairs */
    uint64_t source_characters, target_characters; /* code points, likewise */
};

struct lng_corpus;

/* The strings are copied. Names both counts and files when they differ (LNG_ERR_MISMATCH).
 * LNG_ERR_FORMAT when no pair is kept. LNG_ERR_RANGE past 2^32 - 1 lines, 1 TiB a file, or for
 * options that make no sense. The report is whole before this returns. */
LNG_MUST_CHECK enum lng_status lng_corpus_open(const struct lng_corpus_options *options,
                                               struct lng_corpus **corpus);
/* NULL is fine. */
void lng_corpus_close(struct lng_corpus *corpus);

/* Pairs that were kept. At least 1. */
uint64_t lng_corpus_count(const struct lng_corpus *corpus);
/* Of all bytes of all files and of what was kept: equal digests give equal pairs. */
uint64_t lng_corpus_digest(const struct lng_corpus *corpus);
size_t lng_corpus_file_count(const struct lng_corpus *corpus);
/* Of entry `file`, or of all together when it is >= the number of entries. */
struct lng_corpus_counts lng_corpus_get_counts(const struct lng_corpus *corpus, size_t file);

/* Appends a line of text for each entry of the corpus, ending in a newline: lines, pairs kept,
 * and how many were left out for each reason. */
LNG_MUST_CHECK enum lng_status lng_corpus_describe(const struct lng_corpus *corpus,
                                                   struct lng_buffer *text);

/* Reads pair `pair` < count into the buffers (cleared first). *sentence_id is its line number,
 * from 0, counted through all entries: it does not depend on what else was left out. Any number
 * of threads. LNG_ERR_MISMATCH when the file was changed since it was opened. */
LNG_MUST_CHECK enum lng_status lng_corpus_read(const struct lng_corpus *corpus, uint64_t pair,
                                               struct lng_buffer *source, struct lng_buffer *target,
                                               uint32_t *sentence_id);

/* Whether there are word alignments, and those of a pair, likewise. */
bool lng_corpus_is_aligned(const struct lng_corpus *corpus);
LNG_MUST_CHECK enum lng_status lng_corpus_read_alignment(const struct lng_corpus *corpus,
                                                         uint64_t pair, struct lng_buffer *text);

/* Where a sentence id comes from. */
struct lng_corpus_place {
    const char *path; /* of the source file; borrowed */
    uint64_t line;    /* from 1 */
};
struct lng_corpus_place lng_corpus_locate(const struct lng_corpus *corpus, uint32_t sentence_id);

#endif
