/* libFuzzer target: any bytes as the config.json of a model directory, and as generation settings. */
#include <stdlib.h>

#include "host/store/hf_generation.h"
#include "host/store/hf_internal.h"
#include "host/store/hparams_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted is a shape, and survives being written and read. */
static void use(const struct lng_hf_config *config)
{
    struct lng_hparams again = lng_hparams_default();
    struct lng_generation generation;
    json_t *written = json_object(), *second = json_object();
    if (lng_hparams_check(&config->hparams) != LNG_OK ||
        lng_hparams_to_json(&config->hparams, LNG_HPARAMS_ALL, written) != LNG_OK ||
        lng_hparams_from_json(written, "again", LNG_HPARAMS_ALL, &again) != LNG_OK ||
        lng_hparams_to_json(&again, LNG_HPARAMS_ALL, second) != LNG_OK ||
        !json_equal(written, second))
        abort();
    json_decref(written);
    json_decref(second);
    (void)!lng_hf_read_generation(config, "/nonexistent", &generation);
    struct lng_hf_generation whole;
    if (lng_hf_generation_parse(config->root, "config.json", &config->hparams, &whole) == LNG_OK)
        lng_hf_generation_release(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lng_hf_config config;
    if (lng_hf_config_parse(&config, "/nonexistent", (const char *)data, size) == LNG_OK) {
        use(&config);
        lng_hf_config_close(&config);
    }
    return 0;
}
