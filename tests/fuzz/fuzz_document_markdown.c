/* libFuzzer target: Markdown, read, translated and written. */
#include "tests/fuzz/fuzz_document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_document(LNG_OPT_DOCUMENT_FORMAT_MARKDOWN, data, size);
    return 0;
}
