/* libFuzzer target: any bytes as a safetensors file; and as its header alone, with a length that fits. */
#include <stdlib.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/store/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted lies inside the file and can be read. */
static void use(const struct lng_safetensors *file, size_t size)
{
    uint64_t covered = 0;
    for (size_t i = 0; i < file->count; i++) {
        const struct lng_safetensor *tensor = &file->list[i];
        if (tensor->offset > size || tensor->bytes > size - tensor->offset ||
            lng_safetensors_find(file, tensor->name) != tensor)
            abort();
        covered += tensor->bytes;
        float *values = lng_alloc((size_t)tensor->elements, sizeof *values);
        void *raw = lng_alloc((size_t)tensor->bytes, 1);
        enum lng_status status = lng_safetensors_read_f32(file, tensor, values);
        if ((status != LNG_OK && status != LNG_ERR_DTYPE) ||
            lng_safetensors_read_raw(file, tensor, raw) != LNG_OK)
            abort();
        lng_free(values);
        lng_free(raw);
    }
    if (covered > size)
        abort();
}

static void open_and_use(const void *data, size_t size)
{
    struct lng_safetensors file;
    if (lng_safetensors_open_memory(&file, "fuzz", data, size) == LNG_OK) {
        use(&file, size);
        lng_safetensors_close(&file);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_and_use(data, size);
    if (size < 1 || size > 1 << 16)
        return 0;
    /* the last byte says how much of it is data */
    size_t tail = data[size - 1] < size ? data[size - 1] : 0;
    unsigned char *made = lng_alloc(size + 8, 1);
    lng_store_u64(made, size - tail);
    memcpy(made + 8, data, size);
    open_and_use(made, size + 8);
    lng_free(made);
    return 0;
}
