/* libFuzzer target: any bytes as a binary shortlist, and behind a header that is right. */
#include <stdlib.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/store/shortlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SOURCE_ROWS = 30, TARGET_ROWS = 40, HEADER = 48 };

/* Lists of what was accepted: within the vocabulary, rising, no more than was promised. */
static void use(const void *data, size_t size)
{
    struct lng_shortlist list;
    if (lng_shortlist_parse_binary("fuzz", data, size, SOURCE_ROWS, TARGET_ROWS, &list) != LNG_OK)
        return;
    uint8_t marks[TARGET_ROWS] = {0};
    int32_t tokens[TARGET_ROWS + 1], source[] = {0, SOURCE_ROWS - 1, 3, 3, -1, 1 << 30}, eos = 1;
    for (int shared = 0; shared < 2; shared++) {
        list.shared = shared;
        int32_t count = lng_shortlist_collect(&list, source, 6, &eos, 1, marks, tokens);
        if (count < 1 || count > lng_shortlist_bound(&list, 6) + 1)
            abort();
        for (int32_t i = 0; i < count; i++)
            if (tokens[i] < 0 || tokens[i] >= TARGET_ROWS || (i > 0 && tokens[i] <= tokens[i - 1]))
                abort();
    }
    lng_shortlist_release(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use(data, size);
    if (size < HEADER || size > 4096)
        return 0;
    unsigned char *copy = lng_alloc(size, 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    lng_store_u64(copy, LNG_SHORTLIST_MAGIC);
    uint64_t offsets = lng_load_u64(copy + 32) % (SOURCE_ROWS + 2);
    if (offsets * 8 <= size - HEADER) {
        lng_store_u64(copy + 32, offsets);
        lng_store_u64(copy + 40, (size - HEADER - offsets * 8) / 4);
    }
    lng_store_u64(copy + 16, lng_load_u64(copy + 16) % (TARGET_ROWS + 2));
    lng_store_u64(copy + 8, lng_shortlist_checksum(copy + 16, (size - 16) / 8));
    use(copy, size);
    lng_free(copy);
    return 0;
}
