#include "host/data/position.h"

#include <string.h>

/* "LNGDATA1" */
static const uint64_t MAGIC = 0x31415441444E474Cu;

_Static_assert(LNG_DATA_POSITION_BYTES == sizeof(uint64_t) + sizeof(struct lng_data_position),
               "the magic number and every field, 8 bytes each");

enum lng_status lng_data_position_write(const struct lng_data_position *position,
                                        struct lng_writer *writer)
{
    const uint64_t words[] = {
        MAGIC,
        position->epoch,
        position->window,
        position->batch,
        position->batch_index,
        position->long_pairs,
        position->report_bytes,
        position->corpus_digest,
        position->settings_digest,
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        LNG_TRY(lng_writer_u64(writer, words[i]));
    return LNG_OK;
}

enum lng_status lng_data_position_read(struct lng_reader *reader,
                                       struct lng_data_position *position)
{
    uint64_t magic, words[8];
    LNG_TRY(lng_reader_u64(reader, &magic));
    LNG_FAIL_IF(magic != MAGIC, LNG_ERR_FORMAT,
                "%s: no data position at byte %zu; expected \"LNGDATA1\"", reader->name,
                reader->position - sizeof magic);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        LNG_TRY(lng_reader_u64(reader, &words[i]));
    *position = (struct lng_data_position){
        .epoch = words[0],
        .window = words[1],
        .batch = words[2],
        .batch_index = words[3],
        .long_pairs = words[4],
        .report_bytes = words[5],
        .corpus_digest = words[6],
        .settings_digest = words[7],
    };
    return LNG_OK;
}
