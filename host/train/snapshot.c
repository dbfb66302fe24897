#include "host/train/snapshot.h"

#include <string.h>

#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/store/checkpoint.h"
#include "host/store/model_dir.h"
#include "host/store/run_dir.h"

/* Device floats go to the file through one buffer of this many. */
enum { CHUNK = 1 << 20 };

static enum lng_status check_real(const struct lng_model *model)
{
    LNG_FAIL_IF(lng_device_real(model->device) != LNG_DTYPE_F32, LNG_ERR_UNSUPPORTED,
                "checkpoints hold f32; device %s computes in another type",
                lng_device_name(model->device));
    return LNG_OK;
}

static enum lng_status put_array(struct lng_checkpoint_writer *writer,
                                 const struct lng_model *model, const char *name, const void *array,
                                 float *buffer)
{
    LNG_TRY(lng_checkpoint_writer_begin(writer, name, LNG_CHECKPOINT_F32));
    size_t total = (size_t)model->params.total;
    for (size_t at = 0; at < total; at += CHUNK) {
        size_t count = total - at < CHUNK ? total - at : CHUNK;
        LNG_TRY(lng_device_read(model->device, buffer, (const float *)array + at,
                                count * sizeof *buffer));
        LNG_TRY(lng_checkpoint_writer_put(writer, buffer, count * sizeof *buffer));
    }
    return lng_checkpoint_writer_end(writer);
}

static enum lng_status put_state(struct lng_checkpoint_writer *writer,
                                 const struct lng_snapshot *snapshot)
{
    unsigned char bytes[LNG_RUN_STATE_BYTES];
    struct lng_writer state;
    lng_writer_init(&state, bytes, sizeof bytes);
    LNG_TRY(lng_run_state_write(snapshot->state, &state));
    LNG_TRY(lng_checkpoint_writer_add(writer, LNG_SECTION_TRAINER, LNG_CHECKPOINT_BYTES, bytes,
                                      state.position));
    unsigned char digest[8];
    lng_store_u64(digest, snapshot->vocabulary_digest);
    LNG_TRY(lng_checkpoint_writer_add(writer, LNG_SECTION_VOCABULARY, LNG_CHECKPOINT_BYTES, digest,
                                      sizeof digest));
    if (snapshot->options_text == NULL)
        return LNG_OK;
    return lng_checkpoint_writer_add(writer, LNG_SECTION_OPTIONS, LNG_CHECKPOINT_BYTES,
                                     snapshot->options_text, strlen(snapshot->options_text));
}

static enum lng_status write_file(const struct lng_snapshot *snapshot, const char *path, bool whole)
{
    const struct lng_model *model = snapshot->model;
    const struct lng_optimizer *optimizer = snapshot->optimizer;
    struct lng_checkpoint_writer writer = {0};
    enum lng_status status;
    float *buffer = lng_alloc(CHUNK, sizeof *buffer);
    LNG_GOTO_FAIL_IF(buffer == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
    LNG_TRY_OR_FAIL(check_real(model));
    LNG_TRY_OR_FAIL(lng_checkpoint_writer_open(&writer, path));
    LNG_TRY_OR_FAIL(lng_checkpoint_writer_add_hparams(&writer, &model->hparams));
    LNG_TRY_OR_FAIL(put_array(&writer, model, LNG_SECTION_PARAMETERS, model->values, buffer));
    if (whole) {
        LNG_TRY_OR_FAIL(put_array(&writer, model, LNG_SECTION_ADAM_M, optimizer->m, buffer));
        LNG_TRY_OR_FAIL(put_array(&writer, model, LNG_SECTION_ADAM_V, optimizer->v, buffer));
        if (optimizer->ema != NULL)
            LNG_TRY_OR_FAIL(put_array(&writer, model, LNG_SECTION_EMA, optimizer->ema, buffer));
    }
    LNG_TRY_OR_FAIL(put_state(&writer, snapshot));
    LNG_TRY_OR_FAIL(lng_checkpoint_writer_commit(&writer));
fail:
    if (status != LNG_OK)
        lng_checkpoint_writer_discard(&writer);
    lng_free(buffer);
    return status;
}

enum lng_status lng_snapshot_save(const struct lng_snapshot *snapshot, const char *run_dir,
                                  int keep)
{
    snapshot->state->optimizer_steps = snapshot->optimizer->steps;
    char *path = lng_checkpoint_path(run_dir, (uint64_t)snapshot->state->progress.updates);
    if (path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = write_file(snapshot, path, true);
    lng_free(path);
    if (status != LNG_OK)
        return status;
    return lng_checkpoint_prune(run_dir, (size_t)keep);
}

char *lng_best_path(const char *run_dir, const char *metric)
{
    return lng_format("%s/best-%s.ckpt", run_dir, metric);
}

enum lng_status lng_snapshot_save_best(const struct lng_snapshot *snapshot, const char *run_dir,
                                       const char *metric)
{
    char *path = lng_best_path(run_dir, metric);
    if (path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = write_file(snapshot, path, false);
    lng_free(path);
    return status;
}

/* ---- restoring -------------------------------------------------------------------------------- */

static enum lng_status get_array(const struct lng_checkpoint *checkpoint,
                                 const struct lng_model *model, const char *name, void *array,
                                 float *buffer)
{
    size_t total = (size_t)model->params.total;
    LNG_TRY(lng_checkpoint_read_f32(checkpoint, name, buffer, total));
    return lng_device_write(model->device, array, buffer, total * sizeof *buffer);
}

static enum lng_status check_vocabulary(const struct lng_checkpoint *checkpoint,
                                        const struct lng_snapshot *snapshot)
{
    struct lng_buffer digest = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_checkpoint_read_bytes(checkpoint, LNG_SECTION_VOCABULARY, 64, &digest));
    LNG_GOTO_FAIL_IF(
        digest.length != 8 || lng_load_u64(digest.data) != snapshot->vocabulary_digest,
        LNG_ERR_MISMATCH,
        "%s: the run was started with another vocabulary; give that one, or a new --output",
        checkpoint->blob.name);
fail:
    lng_buffer_release(&digest);
    return status;
}

static enum lng_status get_state(const struct lng_checkpoint *checkpoint,
                                 struct lng_run_state *state)
{
    struct lng_buffer bytes = {0};
    struct lng_reader reader;
    enum lng_status status;
    LNG_TRY_OR_FAIL(
        lng_checkpoint_read_bytes(checkpoint, LNG_SECTION_TRAINER, LNG_RUN_STATE_BYTES, &bytes));
    lng_reader_init(&reader, checkpoint->blob.name, bytes.data, bytes.length);
    LNG_TRY_OR_FAIL(lng_run_state_read(state, &reader));
fail:
    lng_buffer_release(&bytes);
    return status;
}

static enum lng_status restore_arrays(const struct lng_checkpoint *checkpoint,
                                      const struct lng_snapshot *snapshot)
{
    struct lng_model *model = snapshot->model;
    struct lng_optimizer *optimizer = snapshot->optimizer;
    float *buffer = lng_alloc((size_t)model->params.total, sizeof *buffer);
    if (buffer == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status;
    LNG_TRY_OR_FAIL(get_array(checkpoint, model, LNG_SECTION_PARAMETERS, model->values, buffer));
    LNG_TRY_OR_FAIL(get_array(checkpoint, model, LNG_SECTION_ADAM_M, optimizer->m, buffer));
    LNG_TRY_OR_FAIL(get_array(checkpoint, model, LNG_SECTION_ADAM_V, optimizer->v, buffer));
    if (optimizer->ema != NULL) {
        /* A run that only now asks for a moving average starts it from its parameters. */
        bool kept = lng_checkpoint_find(checkpoint, LNG_SECTION_EMA) != NULL;
        LNG_TRY_OR_FAIL(get_array(checkpoint, model,
                                  kept ? LNG_SECTION_EMA : LNG_SECTION_PARAMETERS, optimizer->ema,
                                  buffer));
    }
    LNG_TRY_OR_FAIL(lng_model_refresh(model));
fail:
    lng_free(buffer);
    return status;
}

static enum lng_status restore_from(const struct lng_checkpoint *checkpoint,
                                    const struct lng_snapshot *snapshot)
{
    struct lng_hparams hparams;
    struct lng_run_state state;
    LNG_TRY(check_real(snapshot->model));
    LNG_TRY(lng_checkpoint_read_hparams(checkpoint, &hparams));
    LNG_TRY(lng_hparams_agree(&hparams, checkpoint->blob.name, &snapshot->model->hparams,
                              "this configuration"));
    LNG_TRY(check_vocabulary(checkpoint, snapshot));
    LNG_TRY(get_state(checkpoint, &state));
    LNG_TRY(restore_arrays(checkpoint, snapshot));
    snapshot->optimizer->steps = state.optimizer_steps;
    snapshot->optimizer->averaged = false;
    *snapshot->state = state;
    return LNG_OK;
}

enum lng_status lng_snapshot_restore(const struct lng_snapshot *snapshot, const char *run_dir,
                                     bool *found)
{
    struct lng_checkpoint checkpoint;
    struct lng_buffer warnings = {0};
    enum lng_status status;
    bool there;
    LNG_TRY_OR_FAIL(lng_checkpoint_open_latest(run_dir, &checkpoint, NULL, &there, &warnings));
    if (warnings.length > 0)
        lng_warn("%s", warnings.data);
    if (there) {
        status = restore_from(&checkpoint, snapshot);
        lng_checkpoint_close(&checkpoint);
        if (status != LNG_OK)
            goto fail;
    }
    *found = there;
fail:
    lng_buffer_release(&warnings);
    return status;
}
