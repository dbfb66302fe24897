/* SentencePiece behind a C interface: load, encode, decode, n-best, train. spm.cc is the only C++ of the project.
 *
 * No exception, C++ type or allocation crosses this interface. Lengths are explicit; text may hold NUL bytes and
 * invalid UTF-8 (read as U+FFFD). After lng_spm_open every function but training may be called from any
 * number of threads. */
#ifndef LNG_TOKENIZER_SPM_H
#define LNG_TOKENIZER_SPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/base/text.h"
#include "tokenizer/ids.h"
#include "tokenizer/next_line.h"
#include "tokenizer/spm_check.h"
#include "tokenizer/spm_options.h"

enum {
    LNG_SPM_MAX_TEXT_BYTES = 64 << 20, /* longer texts are refused: LNG_ERR_RANGE */
    LNG_SPM_CHUNK_BYTES =
        16 << 10, /* longer texts are encoded in parts, cut at spaces if there are any */
    LNG_SPM_MAX_NBEST = 512,
};

struct lng_spm;

/* Checks (lng_spm_check) and loads a model; the bytes are copied. Runs the model's own self-test.
 * LNG_ERR_FORMAT when it is not a sound model. */
LNG_MUST_CHECK enum lng_status lng_spm_open(const void *bytes, size_t size, struct lng_spm **spm);
/* The same from a file. */
LNG_MUST_CHECK enum lng_status lng_spm_open_file(const char *path, struct lng_spm **spm);
/* NULL is fine. */
void lng_spm_close(struct lng_spm *spm);

const struct lng_spm_info *lng_spm_get_info(const struct lng_spm *spm);
/* The model file's bytes; borrowed, as long as spm lives. */
const void *lng_spm_bytes(const struct lng_spm *spm, size_t *size);

enum lng_spm_kind {
    LNG_SPM_NORMAL = 1, /* user-defined pieces count as normal */
    LNG_SPM_UNKNOWN = 2,
    LNG_SPM_CONTROL = 3,
    LNG_SPM_UNUSED = 5,
    LNG_SPM_BYTE = 6,
};

/* Borrowed, NUL-terminated; NULL and length 0 when the id is out of range. length may be NULL. */
const char *lng_spm_piece(const struct lng_spm *spm, int32_t id, size_t *length);
/* 0 when the id is out of range. */
enum lng_spm_kind lng_spm_piece_kind(const struct lng_spm *spm, int32_t id);
/* -1 when there is no such piece. */
int32_t lng_spm_id(const struct lng_spm *spm, const char *piece, size_t length);

/* Appends ids; nothing is added at the ends. */
LNG_MUST_CHECK enum lng_status lng_spm_encode(const struct lng_spm *spm, const char *text,
                                              size_t length, struct lng_ids *ids);

/* One piece of an encoded text. The name is borrowed until the visitor returns; for the unknown id it is
 * the (normalised) text itself, one piece for a run of unknown characters. */
struct lng_spm_token {
    int32_t id;
    size_t begin, end; /* bytes of the original text that it stands for */
    struct lng_slice name;
};
/* Anything but LNG_OK ends the visit and is handed on. */
typedef enum lng_status (*lng_spm_visit)(void *context, const struct lng_spm_token *piece);

LNG_MUST_CHECK enum lng_status lng_spm_encode_pieces(const struct lng_spm *spm, const char *text,
                                                     size_t length, lng_spm_visit visit,
                                                     void *context);

/* The n best ways to cut a text, best first. Unigram models only (else LNG_ERR_UNSUPPORTED); n from 1 to
 * LNG_SPM_MAX_NBEST, texts to LNG_SPM_CHUNK_BYTES. There may be fewer than n, but there is always one. */
struct lng_spm_nbest;
LNG_MUST_CHECK enum lng_status lng_spm_nbest_open(const struct lng_spm *spm, const char *text,
                                                  size_t length, int n,
                                                  struct lng_spm_nbest **nbest);
size_t lng_spm_nbest_count(const struct lng_spm_nbest *nbest);
/* Log-probability under the unigram model; -inf when the index is out of range. */
double lng_spm_nbest_score(const struct lng_spm_nbest *nbest, size_t index);
LNG_MUST_CHECK enum lng_status lng_spm_nbest_pieces(const struct lng_spm_nbest *nbest, size_t index,
                                                    lng_spm_visit visit, void *context);
void lng_spm_nbest_close(struct lng_spm_nbest *nbest);

/* Appends plain text. An id out of range is LNG_ERR_RANGE and appends nothing. */
LNG_MUST_CHECK enum lng_status lng_spm_decode(const struct lng_spm *spm, const int32_t *ids,
                                              size_t count, struct lng_buffer *text);
/* From piece texts; those the model does not know come out as they are. */
LNG_MUST_CHECK enum lng_status lng_spm_decode_pieces(const struct lng_spm *spm,
                                                     const struct lng_slice *pieces, size_t count,
                                                     struct lng_buffer *text);

/* ---- training ---- */

struct lng_spm_train_report {
    uint64_t lines; /* handed out */
    uint64_t used;  /* given to the trainer */
    uint64_t empty; /* left out because ... */
    uint64_t too_long;
    uint64_t with_nul;
    uint64_t invalid_utf8;
    uint64_t reserved;       /* hold U+2585, which the trainer uses itself */
    int largest_vocab_size;  /* when vocab_size was too large: what would do; else 0 */
    int smallest_vocab_size; /* when it was too small, likewise */
};

/* Trains a model, entirely in memory, one at a time in the process. *model is appended the model file's bytes,
 * already checked. `next` is called from the calling thread only. *report (may be NULL) is set in any case. A vocabulary size that the corpus cannot
 * give is LNG_ERR_RANGE with the largest (or smallest) that it can in the message and in the report. */
LNG_MUST_CHECK enum lng_status lng_spm_train(const struct lng_spm_train_options *options,
                                             lng_next_line next, void *context,
                                             struct lng_buffer *model,
                                             struct lng_spm_train_report *report);

#endif
