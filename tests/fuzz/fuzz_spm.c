/* libFuzzer: any bytes as a SentencePiece model. What the checker lets through is loaded and used. */
#include <stddef.h>
#include <stdint.h>

#include "tokenizer/spm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum lng_status ignore(void *context, const struct lng_spm_token *piece)
{
    (void)context;
    (void)piece;
    return LNG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "the tree\xC2\xBD \xEF\xBC\xA1 \xE4\xB8\xAD\xFF 12 </s> a\0b";
    struct lng_spm *spm = NULL;
    struct lng_ids ids = {0};
    struct lng_buffer decoded = {0};
    struct lng_spm_nbest *nbest = NULL;
    if (lng_spm_open(data, size, &spm) != LNG_OK)
        return 0;
    (void)!lng_spm_encode(spm, text, sizeof text - 1, &ids);
    /* The model itself, as a text. */
    (void)!lng_spm_encode(spm, (const char *)data, size < 4096 ? size : 4096, &ids);
    (void)!lng_spm_decode(spm, ids.data, ids.count, &decoded);
    if (lng_spm_nbest_open(spm, text, sizeof text - 1, 8, &nbest) == LNG_OK)
        (void)!lng_spm_nbest_pieces(nbest, 0, ignore, NULL);
    lng_spm_nbest_close(nbest);
    lng_ids_release(&ids);
    lng_buffer_release(&decoded);
    lng_spm_close(spm);
    return 0;
}
