#include "host/store/import.h"

#include "host/base/mem.h"

void lng_import_release(struct lng_import *import)
{
    lng_model_data_release(&import->data);
    lng_vocab_close(import->source);
    lng_vocab_close(import->target);
    lng_free(import->eos);
    lng_free(import->unk);
    lng_free(import->pad);
    lng_free(import->source_spm);
    lng_free(import->target_spm);
    lng_buffer_release(&import->choices);
    *import = (struct lng_import){0};
}
