/* The word alignments of one entry of a corpus: a file with a line for each of its pairs (host/data/alignment.h says
 * what is in it), plain, gzip or zstd. Read once beside the entry when the corpus is opened; 8 bytes are kept for each
 * pair that is. */
#ifndef LNG_HOST_DATA_ALIGNMENT_FILE_H
#define LNG_HOST_DATA_ALIGNMENT_FILE_H

#include "host/data/alignment.h"
#include "host/data/line_scan.h"

struct lng_alignment_file {
    char *path;
    int fd;           /* -1 = not open */
    uint64_t *places; /* of the kept pairs: offset and, in the low 24 bits, length */
    size_t count, capacity;
    /* while the corpus is opened */
    struct lng_line_scan lines;
    struct lng_scanned_line line;
    struct lng_alignment_room room;
};

/* `cache_directory` as lng_unpack_open. Closed by the caller, also after a failure. */
LNG_MUST_CHECK enum lng_status lng_alignment_file_open(struct lng_alignment_file *file,
                                                       const char *path,
                                                       const char *cache_directory);
/* Fine on a zeroed struct. */
void lng_alignment_file_close(struct lng_alignment_file *file);

/* The pass beside the corpus: begin, next for each line of it, keep after that for each pair that is kept, end.
 * Lines of more than LNG_ALIGNMENT_LINE_BYTES are refused when their pair is kept. */
enum { LNG_ALIGNMENT_LINE_BYTES = 1 << 22 };
LNG_MUST_CHECK enum lng_status lng_alignment_file_begin(struct lng_alignment_file *file);
LNG_MUST_CHECK enum lng_status lng_alignment_file_next(struct lng_alignment_file *file);
/* LNG_ERR_FORMAT or LNG_ERR_RANGE, with file, line, what was expected and what found. */
LNG_MUST_CHECK enum lng_status lng_alignment_file_keep(struct lng_alignment_file *file,
                                                       struct lng_slice source,
                                                       struct lng_slice target);
/* LNG_ERR_MISMATCH when the file has not `lines` lines, as `corpus_path` has. *digest is that of its bytes. */
LNG_MUST_CHECK enum lng_status lng_alignment_file_end(struct lng_alignment_file *file,
                                                      const char *corpus_path, uint64_t lines,
                                                      uint64_t *digest);

/* The line of kept pair `pair`; `line`, from 1, is for messages. Any number of threads. */
LNG_MUST_CHECK enum lng_status lng_alignment_file_read(const struct lng_alignment_file *file,
                                                       uint64_t pair, uint64_t line,
                                                       struct lng_buffer *text);

#endif
