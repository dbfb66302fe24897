#include "tests/support/random_data.h"

#include <math.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/philox.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"
#include "tokenizer/tokenizer.h"

static void clear_row(struct lng_model_data *data, enum lng_param_id id, int32_t row)
{
    const struct lng_param *param = lng_params_find(&data->params, id, -1);
    if (param && row >= 0 && row < param->rows)
        memset(data->values + param->offset + row * param->cols, 0,
               (size_t)param->cols * sizeof *data->values);
}

struct lng_model_data random_data(const struct lng_hparams *hparams, uint32_t seed)
{
    struct lng_model_data data;
    check_ok(lng_model_data_init(&data, hparams));
    for (size_t p = 0; p < data.params.count; p++) {
        const struct lng_param *param = &data.params.list[p];
        double scale = param->decay ? 2.0 / sqrt((double)param->cols) : 0.3;
        double middle = param->init == LNG_INIT_ONE ? 1 : 0;
        for (int64_t i = 0; i < param->rows * param->cols; i++) {
            struct lng_philox random = lng_philox4x32((uint32_t)i, (uint32_t)p, 0, 0, seed, 0);
            data.values[param->offset + i] =
                (float)(middle + scale * (lng_philox_uniform(random.word[0]) - 0.5));
        }
    }
    clear_row(&data, LNG_PARAM_SHARED, hparams->pad);
    clear_row(&data, LNG_PARAM_TARGET_EMBED, hparams->pad);
    return data;
}

void save_data(const char *directory, const struct lng_model_data *data, enum lng_dtype dtype)
{
    check_ok(lng_make_directories(directory));
    check_ok(lng_hf_save(&(struct lng_hf_save_args){
        .directory = directory,
        .hparams = &data->hparams,
        .params = &data->params,
        .values = data->values,
        .dtype = dtype,
        .provenance = data->provenance,
        .generation = data->generation,
    }));
}

void save_words_model(const char *directory)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_model_data data = random_data(&h, 5);
    struct lng_vocab *vocab;
    struct lng_tokenizer *tokenizer;
    check_ok(lng_vocab_open(&vocab));
    check_ok(lng_vocab_add(vocab, "</s>", 4, NULL));
    check_ok(lng_vocab_add(vocab, "<unk>", 5, NULL));
    for (char word = 'a'; word < 'a' + TINY_V - 3; word++)
        check_ok(lng_vocab_add(vocab, &word, 1, NULL));
    check_ok(lng_vocab_add(vocab, "<pad>", 5, NULL));
    check_ok(lng_tokenizer_open_symbols(vocab, NULL, &tokenizer));
    check_ok(lng_make_directories(directory));
    check_ok(lng_tokenizer_save(tokenizer, directory));
    data.generation = (struct lng_generation){.length_penalty = NAN, .forced_bos = -1};
    save_data(directory, &data, LNG_DTYPE_F32);
    lng_tokenizer_close(tokenizer);
    lng_model_data_release(&data);
}

double data_distance(const struct lng_model_data *a, const struct lng_model_data *b)
{
    double most = 0;
    cr_assert(a->params.count == b->params.count && a->params.total == b->params.total,
              "%zu tensors against %zu", a->params.count, b->params.count);
    for (int64_t i = 0; i < a->params.total; i++)
        most = fmax(most, fabs((double)a->values[i] - (double)b->values[i]));
    return most;
}
