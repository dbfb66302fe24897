#include "host/cli/infer_setup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/infer/compat.h"

static void tell_lines(const struct lng_buffer *text, bool warnings)
{
    struct lng_slice rest = {text->data, text->length}, line;
    while (rest.data != NULL && lng_text_split(&rest, '\n', &line)) {
        if (line.length > 0 && warnings)
            lng_warn("%.*s", (int)line.length, line.data);
        else if (line.length > 0)
            lng_info("  %.*s", (int)line.length, line.data);
    }
}

enum lng_dtype lng_infer_compute_type(enum lng_opt_dtype dtype)
{
    switch (dtype) {
    case LNG_OPT_DTYPE_BF16:
        return LNG_DTYPE_BF16;
    case LNG_OPT_DTYPE_INT8:
        return LNG_DTYPE_I8;
    default:
        return LNG_DTYPE_F32;
    }
}

enum lng_dtype lng_infer_choose_type(const struct lng_options *options,
                                     const struct lng_device *device, enum lng_dtype stored)
{
    if (LNG_OPTION_IS_SET(options, dtype) || stored != LNG_DTYPE_I8)
        return lng_infer_compute_type(options->dtype);
    return lng_device_supports(device, LNG_DTYPE_I8) == LNG_OK ? LNG_DTYPE_I8 : LNG_DTYPE_F32;
}

void lng_setup_remark(const struct lng_device *device)
{
    const char *remark = lng_device_remark(device);
    if (remark[0] != '\0')
        lng_info("not on a GPU: %s", remark);
}

/* The model as the toolkit of --compat would have it. */
static enum lng_status load_model(const struct lng_options *options, struct lng_infer_setup *setup)
{
    struct lng_buffer choices = {0};
    enum lng_status status;
    LNG_TRY(lng_model_data_open_lazily(options->model, &setup->data));
    LNG_TRY_OR_FAIL(lng_compat_model(options->compat, &setup->data, &choices));
    if (options->compat == LNG_OPT_COMPAT_HF && setup->data.directory != NULL)
        LNG_TRY_OR_FAIL(lng_hf_generation_read(setup->data.directory, &setup->data.hparams,
                                               &setup->generation));
    status = lng_model_place(&setup->data, setup->device,
                             lng_infer_choose_type(options, setup->device, setup->data.stored),
                             false, &setup->model);
    if (status != LNG_OK) {
        status = lng_fail_context(status, "%s", options->model);
        goto fail;
    }
    lng_compat_decoder(options->compat, &setup->model);
    tell_lines(&choices, false);
    if (setup->model.raw_decoder_keys)
        lng_info("  decoder: keys and values of inputs that are not normalised: Marian's, for a "
                 "pre-norm model");
fail:
    lng_buffer_release(&choices);
    return status;
}

enum lng_status lng_infer_setup_open(const struct lng_options *options,
                                     struct lng_infer_setup *setup)
{
    *setup = (struct lng_infer_setup){0};
    struct lng_device_options device_options = {.threads = options->threads};
    LNG_TRY(lng_device_open(options->device, &device_options, &setup->device));
    LNG_TRY(load_model(options, setup));
    tell_lines(&setup->data.warnings, true);
    LNG_FAIL_IF(setup->data.directory == NULL, LNG_ERR_IO,
                "%s: found a model but no vocabulary beside it; expected a model directory",
                options->model);
    LNG_TRY(lng_tokenizer_open_directory(setup->data.directory, &setup->tokenizer));
    lng_info("%s: %d + %d layers of width %d, %zu MiB in %s, on %s with %d thread%s",
             options->model, setup->model.hparams.encoder_layers,
             setup->model.hparams.decoder_layers, setup->model.hparams.dim,
             lng_model_bytes(&setup->model) >> 20, lng_dtype_name(setup->model.compute),
             lng_device_name(setup->device), lng_device_threads(setup->device),
             lng_device_threads(setup->device) == 1 ? "" : "s");
    lng_setup_remark(setup->device);
    return LNG_OK;
}

enum lng_status lng_infer_languages(const struct lng_options *options,
                                    const struct lng_infer_setup *setup, int32_t *source,
                                    int32_t *forced_bos)
{
    const struct lng_languages *known = lng_tokenizer_languages(setup->tokenizer);
    const char *from = options->source_language ? options->source_language : known->source;
    const char *to = options->target_language ? options->target_language : known->target;
    if (known->begin == known->end && options->source_language == NULL &&
        options->target_language == NULL)
        return LNG_OK;
    if (from != NULL)
        LNG_TRY(lng_tokenizer_find_language(setup->tokenizer, from, source));
    if (options->target_language != NULL || (*forced_bos < 0 && to != NULL))
        LNG_TRY(lng_tokenizer_find_language(setup->tokenizer, to, forced_bos));
    LNG_FAIL_IF(*source < 0 || *forced_bos < 0, LNG_ERR_USAGE,
                "%s translates between many languages; give --%s-language", options->model,
                *source < 0 ? "source" : "target");
    return LNG_OK;
}

void lng_infer_setup_close(struct lng_infer_setup *setup)
{
    lng_tokenizer_close(setup->tokenizer);
    lng_model_data_release(&setup->data);
    lng_hf_generation_release(&setup->generation);
    if (setup->model.device != NULL)
        lng_model_release(&setup->model);
    if (setup->device != NULL)
        lng_device_close(setup->device);
    *setup = (struct lng_infer_setup){0};
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

const volatile sig_atomic_t *lng_infer_watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &interrupted;
}

static bool is_stream(const char *path)
{
    return path == NULL || strcmp(path, "-") == 0;
}

enum lng_status lng_infer_output_open(struct lng_infer_output *output, const char *path,
                                      const char *const *inputs, size_t input_count)
{
    if (is_stream(path)) {
        *output = (struct lng_infer_output){stdout, NULL};
        return LNG_OK;
    }
    struct stat to, from;
    bool exists = stat(path, &to) == 0 && S_ISREG(to.st_mode);
    for (size_t i = 0; i < input_count; i++)
        LNG_FAIL_IF(exists && !is_stream(inputs[i]) && stat(inputs[i], &from) == 0 &&
                        from.st_dev == to.st_dev && from.st_ino == to.st_ino,
                    LNG_ERR_USAGE, "%s is both input and output; choose another --output", path);
    FILE *stream = fopen(path, "we");
    LNG_FAIL_IF(stream == NULL, LNG_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    *output = (struct lng_infer_output){stream, path};
    return LNG_OK;
}

enum lng_status lng_infer_output_write(void *context, const char *data, size_t size)
{
    struct lng_infer_output *output = context;
    LNG_FAIL_IF(fwrite(data, 1, size, output->stream) != size || fflush(output->stream) != 0,
                LNG_ERR_IO, "%s: writing failed: %s",
                output->path ? output->path : "standard output", strerror(errno));
    return LNG_OK;
}

enum lng_status lng_infer_output_close(struct lng_infer_output *output)
{
    struct lng_infer_output closed = *output;
    *output = (struct lng_infer_output){0};
    if (closed.stream == NULL)
        return LNG_OK;
    if (closed.path == NULL)
        return lng_stdout_finish();
    bool failed = ferror(closed.stream) != 0;
    failed = fclose(closed.stream) != 0 || failed;
    LNG_FAIL_IF(failed, LNG_ERR_IO, "%s: writing failed: %s", closed.path, strerror(errno));
    return LNG_OK;
}

void lng_infer_progress(void *progress, uint64_t lines)
{
    lng_progress_update(progress, lines, NULL);
}
