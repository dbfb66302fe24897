/* Where in the data a training run stands: 72 bytes that a checkpoint keeps. */
#ifndef LNG_HOST_DATA_POSITION_H
#define LNG_HOST_DATA_POSITION_H

#include <stdint.h>

#include "host/base/bytes.h"
#include "host/base/status.h"

enum { LNG_DATA_POSITION_BYTES = 72 };

/* The batch that comes next. All zero is no position: lng_prefetch_open then begins at the
 * start. */
struct lng_data_position {
    uint64_t epoch, window, batch; /* batch of the window, window of the epoch; from 0 */
    uint64_t batch_index;          /* batches handed out since the start of training */
    uint64_t long_pairs;           /* dropped for their tokens in this epoch, before this window */
    uint64_t report_bytes;         /* of the report of them, likewise */
    uint64_t corpus_digest;        /* lng_corpus_digest */
    uint64_t settings_digest;      /* of all else that decides the batches */
};

/* Exactly LNG_DATA_POSITION_BYTES. Errors as lng_writer. */
LNG_MUST_CHECK enum lng_status lng_data_position_write(const struct lng_data_position *position,
                                                       struct lng_writer *writer);
/* LNG_ERR_FORMAT when it is cut or is something else. */
LNG_MUST_CHECK enum lng_status lng_data_position_read(struct lng_reader *reader,
                                                      struct lng_data_position *position);

#endif
