/* libFuzzer target: any bytes as the special:model.yml of a Marian model. */
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/store/marian_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted is a shape, names its tensors, and says the same when it is written and read. */
static void use(const struct lng_marian_config *config)
{
    struct lng_marian_config again;
    struct lng_buffer first = {0}, second = {0};
    struct lng_params params;
    struct lng_marian_tensor *tensors;
    size_t count;
    struct lng_marian_config plain = *config;
    plain.version[0] = '\0'; /* any text, which YAML may read in another way */
    if (lng_hparams_check(&config->hparams) != LNG_OK ||
        lng_marian_config_format(&plain, &first) != LNG_OK ||
        lng_marian_config_parse("again", first.data, first.length, &again) != LNG_OK ||
        lng_marian_config_format(&again, &second) != LNG_OK || strcmp(first.data, second.data) != 0)
        abort();
    lng_buffer_release(&first);
    lng_buffer_release(&second);
    if (config->hparams.encoder_layers > 10 || config->hparams.decoder_layers > 10)
        return;
    if (lng_params_init(&params, &config->hparams) != LNG_OK ||
        lng_marian_tensors(config, &params, &tensors, &count) != LNG_OK)
        abort();
    for (size_t i = 0; i < count; i++)
        if (!lng_marian_knows_name(tensors[i].name))
            abort();
    lng_free(tensors);
    lng_params_release(&params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lng_marian_config config;
    if (lng_marian_config_parse("fuzz", (const char *)data, size, &config) == LNG_OK)
        use(&config);
    return 0;
}
