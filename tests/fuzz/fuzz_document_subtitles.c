/* libFuzzer target: SubRip and WebVTT, by the first byte, read, translated and written. */
#include "tests/fuzz/fuzz_document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_document(size > 0 && data[0] == 'W' ? LNG_OPT_DOCUMENT_FORMAT_VTT
                                             : LNG_OPT_DOCUMENT_FORMAT_SRT,
                  data, size);
    return 0;
}
