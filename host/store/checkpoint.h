/* Checkpoints: everything a training run needs to go on, in one file that is replaced as a whole.
 *
 * The file, little-endian:
 *   1. 8 bytes  magic "LNGCKPT1"
 *   2. u32      format version, 1;  u32 zero
 *   3. for each section: zero bytes up to a multiple of 64, then its data
 *   4. zero bytes up to a multiple of 64, then the table, one entry of 96 bytes for each section:
 *        64 bytes  name, padded with NUL, at least one NUL
 *        u32       type (enum lng_checkpoint_type);  u32 zero
 *        u64       offset in the file;  u64 length in bytes;  u64 XXH3 of the data
 *   5. the end, 40 bytes:
 *        u64       offset of the table;  u32 number of sections;  u32 zero
 *        u64       size of the whole file
 *        u64       XXH3 of the first 16 bytes, the table, and the 24 bytes before this number
 *        8 bytes   magic "LNGCKEND"
 * So every byte is covered by a checksum or known to be zero, and a file that is cut, or has something
 * appended, has no end. Later versions may add sections; readers ignore names that they do not know. */
#ifndef LNG_HOST_STORE_CHECKPOINT_H
#define LNG_HOST_STORE_CHECKPOINT_H

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/text.h"
#include "host/model/params.h"
#include "host/store/blob.h"

enum { LNG_CHECKPOINT_VERSION = 1, LNG_CHECKPOINT_NAME_BYTES = 64 };

enum lng_checkpoint_type {
    LNG_CHECKPOINT_BYTES, /* text, or fields one after another */
    LNG_CHECKPOINT_F32,
    LNG_CHECKPOINT_F64,
    LNG_CHECKPOINT_I32,
    LNG_CHECKPOINT_BF16,
    LNG_CHECKPOINT_TYPE_COUNT
};

/* Names of sections. */
#define LNG_SECTION_HPARAMS "hparams"       /* JSON text; lng_checkpoint_add_hparams */
#define LNG_SECTION_OPTIONS "options"       /* YAML text of all options of the run */
#define LNG_SECTION_PARAMETERS "parameters" /* F32 [params.total] */
#define LNG_SECTION_ADAM_M "adam_m"         /* F32 [params.total] */
#define LNG_SECTION_ADAM_V "adam_v"         /* F32 [params.total] */
#define LNG_SECTION_EMA "ema"               /* F32 [params.total]; only where the run has one */
#define LNG_SECTION_TRAINER "trainer"       /* the trainer's counters, its own format */
#define LNG_SECTION_VOCABULARY "vocabulary" /* digests of the vocabularies */

/* ---- writing ---- */

struct lng_checkpoint_section {
    char name[LNG_CHECKPOINT_NAME_BYTES];
    enum lng_checkpoint_type type;
    uint64_t offset, length, checksum;
};

struct lng_checkpoint_writer {
    struct lng_atomic_file file;
    struct lng_hash *hash; /* of the section being written; NULL between sections */
    struct lng_checkpoint_section *list;
    size_t count, capacity;
};

LNG_MUST_CHECK enum lng_status lng_checkpoint_writer_open(struct lng_checkpoint_writer *writer,
                                                          const char *path);
/* A section in pieces: nothing of it is kept in memory. Names must differ. */
LNG_MUST_CHECK enum lng_status lng_checkpoint_writer_begin(struct lng_checkpoint_writer *writer,
                                                           const char *name,
                                                           enum lng_checkpoint_type type);
LNG_MUST_CHECK enum lng_status lng_checkpoint_writer_put(struct lng_checkpoint_writer *writer,
                                                         const void *data, size_t size);
LNG_MUST_CHECK enum lng_status lng_checkpoint_writer_end(struct lng_checkpoint_writer *writer);
/* A section in one piece. */
LNG_MUST_CHECK enum lng_status lng_checkpoint_writer_add(struct lng_checkpoint_writer *writer,
                                                         const char *name,
                                                         enum lng_checkpoint_type type,
                                                         const void *data, size_t size);
LNG_MUST_CHECK enum lng_status
lng_checkpoint_writer_add_hparams(struct lng_checkpoint_writer *writer,
                                  const struct lng_hparams *hparams);
/* Puts the file in place, whole and on disk. After a failure the file that was there is untouched.
 * Releases the writer either way. */
LNG_MUST_CHECK enum lng_status lng_checkpoint_writer_commit(struct lng_checkpoint_writer *writer);
/* Gives up. Fine after a commit and on a zeroed one. */
void lng_checkpoint_writer_discard(struct lng_checkpoint_writer *writer);

/* ---- reading ---- */

struct lng_checkpoint {
    struct lng_blob blob;
    struct lng_checkpoint_section *list; /* owned */
    size_t count;
};

/* Checks all of it, the checksum of every section included. LNG_ERR_IO, LNG_ERR_FORMAT (cut, damaged,
 * something else), LNG_ERR_UNSUPPORTED (of a newer program), LNG_ERR_MISMATCH (a checksum). */
LNG_MUST_CHECK enum lng_status lng_checkpoint_open(struct lng_checkpoint *checkpoint,
                                                   const char *path);
/* `data` must outlive it. */
LNG_MUST_CHECK enum lng_status lng_checkpoint_open_memory(struct lng_checkpoint *checkpoint,
                                                          const char *name, const void *data,
                                                          size_t size);
/* Fine on a zeroed or closed one. */
void lng_checkpoint_close(struct lng_checkpoint *checkpoint);
/* Whether the file begins like a checkpoint. */
bool lng_checkpoint_is_file(const char *path);

/* NULL when there is none. Borrowed. */
const struct lng_checkpoint_section *lng_checkpoint_find(const struct lng_checkpoint *checkpoint,
                                                         const char *name);
/* `size` bytes of a section from `offset` on. */
LNG_MUST_CHECK enum lng_status lng_checkpoint_read(const struct lng_checkpoint *checkpoint,
                                                   const struct lng_checkpoint_section *section,
                                                   uint64_t offset, void *to, size_t size);
/* A section of exactly `count` floats. LNG_ERR_FORMAT when missing or of another type or size. */
LNG_MUST_CHECK enum lng_status lng_checkpoint_read_f32(const struct lng_checkpoint *checkpoint,
                                                       const char *name, float *values,
                                                       size_t count);
/* A section of bytes, at most `limit`, put into `content` (cleared first; NUL-terminated). */
LNG_MUST_CHECK enum lng_status lng_checkpoint_read_bytes(const struct lng_checkpoint *checkpoint,
                                                         const char *name, size_t limit,
                                                         struct lng_buffer *content);
LNG_MUST_CHECK enum lng_status lng_checkpoint_read_hparams(const struct lng_checkpoint *checkpoint,
                                                           struct lng_hparams *hparams);

#endif
