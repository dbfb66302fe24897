#include "tests/support/tiny_folder.h"

#include <math.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/hf.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "tokenizer/tokenizer.h"

void tiny_folder_write(const char *name, uint64_t seed, char first_word)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_device *device;
    struct lng_model model;
    struct lng_vocab *vocab;
    struct lng_tokenizer *tokenizer;
    check_ok(lng_device_open("ref", NULL, &device));
    tiny_model_init(&model, device, &h, seed, 0.7f);
    float *values = lng_alloc((size_t)model.params.total, sizeof *values);
    check_ok(lng_model_get_values(&model, values));
    check_ok(lng_vocab_open(&vocab));
    check_ok(lng_vocab_add(vocab, "</s>", 4, NULL));
    check_ok(lng_vocab_add(vocab, "<unk>", 5, NULL));
    for (char word = first_word; word < first_word + TINY_V - 3; word++)
        check_ok(lng_vocab_add(vocab, &word, 1, NULL));
    check_ok(lng_vocab_add(vocab, "<pad>", 5, NULL));
    check_ok(lng_tokenizer_open_symbols(vocab, NULL, &tokenizer));
    check_ok(lng_make_directories(scratch_path(name)));
    check_ok(lng_tokenizer_save(tokenizer, scratch_path(name)));
    struct lng_hf_save_args save = {.directory = scratch_path(name),
                                    .hparams = &h,
                                    .params = &model.params,
                                    .values = values,
                                    .dtype = LNG_DTYPE_F32,
                                    .generation = {.length_penalty = NAN, .forced_bos = -1}};
    check_ok(lng_hf_save(&save));
    lng_free(values);
    lng_tokenizer_close(tokenizer);
    lng_model_release(&model);
    lng_device_close(device);
}
