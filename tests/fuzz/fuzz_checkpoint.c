/* libFuzzer target: any bytes as a checkpoint; and again with magic numbers, size and checksum of the table
 * put right, so that what lies behind them is reached. */
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/store/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_and_use(const void *data, size_t size)
{
    struct lng_checkpoint checkpoint;
    struct lng_hparams hparams;
    struct lng_buffer text = {0};
    if (lng_checkpoint_open_memory(&checkpoint, "fuzz", data, size) != LNG_OK)
        return;
    for (size_t i = 0; i < checkpoint.count; i++) {
        const struct lng_checkpoint_section *section = &checkpoint.list[i];
        if (lng_checkpoint_find(&checkpoint, section->name) != section || section->length > size)
            abort();
        enum lng_status status = lng_checkpoint_read_bytes(&checkpoint, section->name, size, &text);
        if ((status == LNG_OK) != (section->type == LNG_CHECKPOINT_BYTES))
            abort();
    }
    (void)!lng_checkpoint_read_hparams(&checkpoint, &hparams);
    lng_buffer_release(&text);
    lng_checkpoint_close(&checkpoint);
}

/* Sections keep their own offsets and lengths; where those are sound, their checksums are put right too. */
static void repair(unsigned char *file, size_t size)
{
    enum { HEADER = 16, ENTRY = 96, END = 40, COVERED = 24 };
    unsigned char *end = file + size - END;
    uint64_t count = end[8] % 8, table;
    if (count * ENTRY + HEADER + END > size)
        count = 0;
    table = (size - END - count * ENTRY);
    memcpy(file, "LNGCKPT1\1\0\0\0\0\0\0", HEADER);
    for (uint64_t i = 0; i < count; i++) {
        unsigned char *entry = file + table + i * ENTRY;
        uint64_t offset = lng_load_u64(entry + 72), length = lng_load_u64(entry + 80);
        if (offset <= size && length <= size - offset)
            lng_store_u64(entry + 88, lng_checksum(file + offset, (size_t)length));
    }
    lng_store_u64(end, table);
    lng_store_u64(end + 8, count);
    lng_store_u64(end + 16, size);
    unsigned char covered[HEADER + 8 * ENTRY + COVERED];
    size_t body = (size_t)count * ENTRY + COVERED;
    memcpy(covered, file, HEADER);
    memcpy(covered + HEADER, file + table, body);
    lng_store_u64(end + COVERED, lng_checksum(covered, HEADER + body));
    memcpy(end + 32, "LNGCKEND", 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_and_use(data, size);
    if (size < 16 + 40 || size > 1 << 16)
        return 0;
    unsigned char *made = lng_alloc(size, 1);
    memcpy(made, data, size);
    repair(made, size);
    open_and_use(made, size);
    lng_free(made);
    return 0;
}
