#include "host/cli/convert_model.h"

#include <stdlib.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/ctranslate2.h"
#include "host/store/model_dir.h"
#include "host/store/opus_package.h"

enum { MOST_SPM_BYTES = 256 << 20 };

static enum lng_status read_spm(const char *path, struct lng_buffer *content)
{
    return path == NULL ? LNG_OK : lng_file_read(path, MOST_SPM_BYTES, content);
}

/* The vocabularies become the tokenizer's. */
static enum lng_status open_tokenizer(struct lng_import *import, struct lng_tokenizer **tokenizer)
{
    struct lng_buffer source = {0}, target = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(read_spm(import->source_spm, &source));
    LNG_TRY_OR_FAIL(read_spm(import->target_spm, &target));
    LNG_TRY_OR_FAIL(lng_tokenizer_open_parts(
        &(struct lng_tokenizer_parts){
            .source_spm = source.data,
            .source_spm_size = source.length,
            .target_spm = target.data,
            .target_spm_size = target.length,
            .source_vocab = import->source,
            .target_vocab = import->target,
            .eos = import->eos,
            .unk = import->unk,
            .pad = import->pad,
            .clean = import->clean,
        },
        tokenizer));
    import->source = import->target = NULL;
fail:
    lng_buffer_release(&source);
    lng_buffer_release(&target);
    return status;
}

static enum lng_status take_import(const char *path, struct lng_import *import,
                                   struct lng_convert_model *model)
{
    enum lng_status status = open_tokenizer(import, &model->tokenizer);
    if (status != LNG_OK)
        return lng_fail_context(status, "%s: its vocabularies", path);
    model->data = import->data;
    model->choices = import->choices;
    import->data = (struct lng_model_data){0};
    import->choices = (struct lng_buffer){0};
    return LNG_OK;
}

/* A model.bin without weights of ours beside it was to be CTranslate2's. */
static enum lng_status check_binary(const char *path)
{
    static const char *const weights[] = {"model.bin", "model.safetensors", "pytorch_model.bin",
                                          "model.safetensors.index.json"};
    bool there[4] = {false};
    for (int i = 0; i < 4; i++) {
        char *file = lng_path_join(path, weights[i]);
        if (file == NULL)
            return LNG_ERR_MEMORY;
        there[i] = lng_file_exists(file);
        lng_free(file);
    }
    LNG_FAIL_IF(there[0] && !there[1] && !there[2] && !there[3], LNG_ERR_FORMAT,
                "%s/model.bin: expected a model of CTranslate2, which begins with its version, "
                "found other bytes or too few; fetch or convert it again",
                path);
    return LNG_OK;
}

static enum lng_status open_own(const char *path, struct lng_convert_model *model)
{
    LNG_TRY(check_binary(path));
    LNG_FAIL_IF(lng_text_ends_in(path, ".bin") && !lng_directory_exists(path), LNG_ERR_UNSUPPORTED,
                "%s: models in .bin files are packed for one kind of CPU (Marian) or lie in a "
                "folder with their vocabularies (CTranslate2); give the .npz file or the folder",
                path);
    LNG_TRY(lng_model_data_open(path, &model->data));
    LNG_FAIL_IF(model->data.directory == NULL, LNG_ERR_IO,
                "%s: found a model but no vocabulary beside it; expected a model directory", path);
    return lng_tokenizer_open_directory(model->data.directory, &model->tokenizer);
}

/* Unpacked below TMPDIR for as long as it is read. */
static enum lng_status open_package(const char *path,
                                    const struct lng_marian_import_args *vocabularies,
                                    struct lng_convert_model *model)
{
    struct lng_atomic_directory unpacked;
    const char *directory = getenv("TMPDIR");
    char *place = lng_path_join(directory != NULL && *directory != '\0' ? directory : "/tmp",
                                "lingster-package");
    if (place == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_atomic_directory_open(&unpacked, place);
    lng_free(place);
    if (status != LNG_OK)
        return status;
    status = lng_opus_unpack(path, unpacked.temporary);
    if (status == LNG_OK && !lng_marian_is_model(unpacked.temporary))
        status = lng_fail(LNG_ERR_FORMAT,
                          "%s: expected an OPUS-MT package, found no model (.npz) in it", path);
    if (status == LNG_OK) {
        status = lng_convert_model_open(unpacked.temporary, vocabularies, model);
        if (status != LNG_OK)
            status = lng_fail_context(status, "%s, unpacked", path);
    }
    lng_atomic_directory_discard(&unpacked);
    return status;
}

enum lng_status lng_convert_model_open(const char *path,
                                       const struct lng_marian_import_args *vocabularies,
                                       struct lng_convert_model *model)
{
    struct lng_import import = {0};
    enum lng_status status;
    *model = (struct lng_convert_model){.toolkit = "Hugging Face or lingster"};
    if (lng_ct2_is_model_directory(path)) {
        model->toolkit = "CTranslate2";
        status = lng_ct2_import(path, &import);
    } else if (lng_opus_is_package(path)) {
        return open_package(path, vocabularies, model);
    } else if (lng_marian_is_model(path)) {
        model->toolkit = "Marian";
        status = lng_marian_import(path, vocabularies, &import);
    } else {
        return open_own(path, model);
    }
    if (status == LNG_OK)
        status = take_import(path, &import, model);
    lng_import_release(&import);
    return status;
}

void lng_convert_model_close(struct lng_convert_model *model)
{
    lng_model_data_release(&model->data);
    lng_tokenizer_close(model->tokenizer);
    lng_buffer_release(&model->choices);
    *model = (struct lng_convert_model){0};
}
