#include "host/store/run_dir.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/store/model_dir.h"
#include "tests/support/check.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(run_dir, .init = setup, .fini = scratch_remove);

static struct lng_hparams small(void)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = 11;
    h.dim = 8;
    h.encoder_layers = h.decoder_layers = 1;
    h.encoder_heads = h.decoder_heads = 2;
    h.encoder_ffn = h.decoder_ffn = 8;
    h.pad = 10;
    return h;
}

/* A text and `count` floats, all of the value `update`. */
static enum lng_status save_at(const char *path, uint64_t update, size_t count)
{
    struct lng_checkpoint_writer writer;
    enum lng_status status;
    const float value = (float)update;
    LNG_TRY(lng_checkpoint_writer_open(&writer, path));
    LNG_TRY_OR_FAIL(
        lng_checkpoint_writer_add(&writer, LNG_SECTION_OPTIONS, LNG_CHECKPOINT_BYTES, "a: 1\n", 5));
    LNG_TRY_OR_FAIL(
        lng_checkpoint_writer_begin(&writer, LNG_SECTION_PARAMETERS, LNG_CHECKPOINT_F32));
    for (size_t i = 0; i < count; i++)
        LNG_TRY_OR_FAIL(lng_checkpoint_writer_put(&writer, &value, sizeof value));
    LNG_TRY_OR_FAIL(lng_checkpoint_writer_end(&writer));
    return lng_checkpoint_writer_commit(&writer);
fail:
    lng_checkpoint_writer_discard(&writer);
    return status;
}

static enum lng_status save_update(const char *run, uint64_t update, size_t count)
{
    char *path = lng_checkpoint_path(run, update);
    enum lng_status status = save_at(path, update, count);
    lng_free(path);
    return status;
}

Test(run_dir, newest_whole_one_is_taken)
{
    const char *run = scratch_path("run");
    struct lng_checkpoint checkpoint;
    struct lng_buffer warnings = {0};
    uint64_t update = 0, *updates = NULL;
    size_t count = 9;
    bool found = true;
    int lock = -1;
    check_ok(lng_run_lock(run, &lock));
    check_ok(lng_checkpoint_open_latest(run, &checkpoint, &update, &found, &warnings));
    cr_assert(!found);
    for (uint64_t i = 1; i <= 5; i++)
        check_ok(save_update(run, i * 100, 50));
    check_ok(lng_checkpoint_prune(run, 3));
    check_ok(lng_checkpoint_list(run, &updates, &count));
    cr_assert(count == 3 && updates[0] == 300 && updates[2] == 500);
    lng_free(updates);
    check_ok(lng_checkpoint_open_latest(run, &checkpoint, &update, &found, &warnings));
    cr_assert(found && update == 500 && !warnings.data);
    lng_checkpoint_close(&checkpoint);
    char *newest = lng_checkpoint_path(run, 500), *middle = lng_checkpoint_path(run, 400),
         *oldest = lng_checkpoint_path(run, 300);
    cr_assert(truncate(newest, 600) == 0);
    check_ok(lng_checkpoint_open_latest(run, &checkpoint, &update, &found, &warnings));
    cr_assert(found && update == 400 && strstr(warnings.data, "update-0000000500.ckpt"));
    lng_checkpoint_close(&checkpoint);
    cr_assert(truncate(middle, 0) == 0 && truncate(oldest, 99) == 0);
    update = 7;
    check_fails(lng_checkpoint_open_latest(run, &checkpoint, &update, &found, NULL), LNG_ERR_FORMAT,
                "no checkpoint can be used");
    cr_assert(update == 7);
    lng_free(newest);
    lng_free(middle);
    lng_free(oldest);
    lng_buffer_release(&warnings);
    lng_run_unlock(lock);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(run_dir, one_trainer_a_run)
{
    int first = -1, second = -1;
    char me[32];
    snprintf(me, sizeof me, "process %ld", (long)getpid());
    check_ok(lng_run_lock(scratch_path("run"), &first));
    check_fails(lng_run_lock(scratch_path("run"), &second), LNG_ERR_IO, me);
    cr_assert(second == -1);
    lng_run_unlock(first);
    check_ok(lng_run_lock(scratch_path("run"), &second));
    lng_run_unlock(second);
    scratch_write("file", "x", 1);
    check_fails(lng_run_lock(scratch_path("file"), &second), LNG_ERR_IO, "file");
}

/* ---- trouble while writing ---- */

Test(run_dir, a_full_disk_leaves_the_old_file)
{
    const char *run = scratch_path("run");
    struct rlimit limit = {20000, 20000};
    struct lng_checkpoint checkpoint;
    uint64_t update = 0;
    bool found = false;
    int lock = -1;
    check_ok(lng_run_lock(run, &lock));
    check_ok(save_update(run, 1, 100));
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    check_fails(save_update(run, 1, 100000), LNG_ERR_IO, "File too large");
    check_fails(save_update(run, 2, 100000), LNG_ERR_IO, "File too large");
    check_ok(lng_checkpoint_open_latest(run, &checkpoint, &update, &found, NULL));
    cr_assert(found && update == 1 && checkpoint.count == 2);
    lng_checkpoint_close(&checkpoint);
    enum lng_status status = save_at("/dev/full", 1, 20);
    cr_assert(status == LNG_ERR_IO, "%s", lng_error_message());
    cr_assert(chdir(scratch_path("run/checkpoints")) == 0);
    cr_assert(system("test $(ls -A | wc -l) = 1") == 0, "something was left behind");
    cr_assert(chdir("/") == 0);
    lng_run_unlock(lock);
}

/* The test program itself, started again with this variable set, saves checkpoints until it is killed. */
#define VICTIM "LNG_TEST_CHECKPOINT_VICTIM"
enum { VICTIM_FLOATS = 100000 };

__attribute__((constructor)) static void be_the_victim(void)
{
    const char *run = getenv(VICTIM);
    int lock;
    if (!run)
        return;
    if (lng_run_lock(run, &lock) != LNG_OK)
        _exit(3);
    struct lng_checkpoint checkpoint;
    uint64_t update = 0;
    bool found = false;
    if (lng_checkpoint_open_latest(run, &checkpoint, &update, &found, NULL) != LNG_OK)
        _exit(4);
    if (found)
        lng_checkpoint_close(&checkpoint);
    for (;;) {
        if (save_update(run, ++update, VICTIM_FLOATS) != LNG_OK ||
            lng_checkpoint_prune(run, 2) != LNG_OK)
            _exit(5);
    }
}

static uint64_t check_latest(const char *run)
{
    struct lng_checkpoint checkpoint;
    uint64_t update = 0;
    bool found = false;
    struct lng_buffer warnings = {0};
    static float values[VICTIM_FLOATS];
    check_ok(lng_checkpoint_open_latest(run, &checkpoint, &update, &found, &warnings));
    cr_assert(!warnings.data, "a damaged checkpoint was left: %s", warnings.data);
    if (!found)
        return 0;
    check_ok(lng_checkpoint_read_f32(&checkpoint, LNG_SECTION_PARAMETERS, values, VICTIM_FLOATS));
    for (size_t i = 0; i < VICTIM_FLOATS; i++)
        cr_assert(values[i] == (float)update);
    lng_checkpoint_close(&checkpoint);
    return update;
}

static bool has_update(const char *run, uint64_t update)
{
    uint64_t *updates;
    size_t count;
    check_ok(lng_checkpoint_list(run, &updates, &count));
    bool has = count > 0 && updates[count - 1] >= update;
    lng_free(updates);
    return has;
}

/* Until the run has a checkpoint that new; gives up after some seconds. */
static void wait_for_update(const char *run, uint64_t update)
{
    for (int i = 0; i < 5000 && !has_update(run, update); i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

Test(run_dir, killed_at_any_instant, .timeout = 60)
{
    const char *run = scratch_path("run");
    char program[512], variable[600];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    cr_assert(length > 0);
    program[length] = '\0';
    snprintf(variable, sizeof variable, VICTIM "=%s", run);
    char *arguments[] = {program, NULL}, *environment[] = {variable, NULL};
    uint64_t last = 0;
    for (uint32_t round = 0; round < 30; round++) {
        pid_t child;
        int status = 0;
        cr_assert(posix_spawn(&child, program, NULL, NULL, arguments, environment) == 0);
        /* Some die at once, the others at any point of what comes after their first save. */
        if (round >= 5)
            wait_for_update(run, last + 1);
        uint32_t micro = lng_philox4x32(round, 0, 0, 0, 5, 6).word[0] % 20000;
        nanosleep(&(struct timespec){0, (long)micro * 1000}, NULL);
        kill(child, SIGKILL);
        cr_assert(waitpid(child, &status, 0) == child);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the victim exited with %d",
                  WEXITSTATUS(status));
        uint64_t update = check_latest(run);
        cr_assert(update >= last, "went back from %d to %d", (int)last, (int)update);
        last = update;
    }
    cr_assert(last > 0, "nothing was ever saved");
    int lock = -1;
    check_ok(lng_run_lock(run, &lock)); /* sweeps what the dead left */
    uint64_t *updates;
    size_t count;
    check_ok(lng_checkpoint_list(run, &updates, &count));
    cr_assert(count >= 1);
    cr_assert(chdir(scratch_path("run/checkpoints")) == 0);
    cr_assert(system("! ls -A | grep -q tmp") == 0, "temporary files were left");
    cr_assert(chdir("/") == 0);
    lng_free(updates);
    lng_run_unlock(lock);
}

/* ---- checkpoints as models ---- */

static void save_model(const char *path, const struct lng_model_data *data, const float *average)
{
    struct lng_checkpoint_writer writer;
    size_t bytes = (size_t)data->params.total * sizeof(float);
    check_ok(lng_checkpoint_writer_open(&writer, path));
    check_ok(lng_checkpoint_writer_add_hparams(&writer, &data->hparams));
    check_ok(lng_checkpoint_writer_add(&writer, LNG_SECTION_PARAMETERS, LNG_CHECKPOINT_F32,
                                       data->values, bytes));
    if (average)
        check_ok(lng_checkpoint_writer_add(&writer, LNG_SECTION_EMA, LNG_CHECKPOINT_F32, average,
                                           bytes));
    check_ok(lng_checkpoint_writer_commit(&writer));
}

Test(run_dir, models_by_path)
{
    struct lng_hparams h = small();
    h.norm_epsilon = 0.1 + 0.2e-9;
    struct lng_model_data a = random_data(&h, 1), b = random_data(&h, 2), loaded;
    const char *run = scratch_path("run");
    int lock;
    check_ok(lng_run_lock(run, &lock));
    char *path = lng_checkpoint_path(run, 7);
    check_fails(lng_model_data_open(run, &loaded), LNG_ERR_IO, "found neither");
    save_model(path, &a, NULL);
    check_ok(lng_model_data_open(path, &loaded));
    check_ok(lng_hparams_agree(&h, "a", &loaded.hparams, "loaded"));
    cr_assert(data_distance(&a, &loaded) == 0 && !loaded.directory);
    lng_model_data_release(&loaded);
    save_model(path, &a, b.values); /* the average is what counts */
    check_ok(lng_model_data_open(run, &loaded));
    cr_assert(data_distance(&b, &loaded) == 0);
    lng_model_data_release(&loaded);
    save_data(scratch_path("run/model"), &a, LNG_DTYPE_F32); /* the exported model comes first */
    check_ok(lng_model_data_open(run, &loaded));
    cr_assert(data_distance(&a, &loaded) == 0);
    cr_assert(strstr(loaded.directory, "run/model") != NULL);
    lng_model_data_release(&loaded);
    check_ok(lng_model_data_open(path, &loaded));
    cr_assert(strstr(loaded.directory, "/model") != NULL);
    lng_model_data_release(&loaded);
    scratch_write("other", "something else", 14);
    check_fails(lng_model_data_open(scratch_path("other"), &loaded), LNG_ERR_FORMAT,
                "lingster convert");
    check_fails(lng_model_data_open(scratch_path("none"), &loaded), LNG_ERR_IO, "No such file");
    a.hparams.decoder_ffn = 9; /* says another shape than its values have */
    save_model(path, &a, NULL);
    check_fails(lng_model_data_open(path, &loaded), LNG_ERR_MISMATCH, "\"parameters\" of");
    lng_free(path);
    lng_model_data_release(&a);
    lng_model_data_release(&b);
    lng_run_unlock(lock);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(run_dir, averages)
{
    struct lng_hparams h = small(), other = small();
    other.encoder_ffn = 12;
    struct lng_model_data a = random_data(&h, 1), b = random_data(&h, 2), c = random_data(&h, 3),
                          d = random_data(&other, 3), mean;
    save_model(scratch_path("a.ckpt"), &a, NULL);
    save_model(scratch_path("b.ckpt"), &b, NULL);
    save_data(scratch_path("c"), &c, LNG_DTYPE_F32);
    save_data(scratch_path("d"), &d, LNG_DTYPE_F32);
    const char *paths[] = {scratch_path("c"), scratch_path("a.ckpt"), scratch_path("b.ckpt"),
                           scratch_path("d")};
    check_ok(lng_model_average(paths, 3, &mean));
    for (int64_t i = 0; i < a.params.total; i++) {
        double want = ((double)c.values[i] + (double)a.values[i] + (double)b.values[i]) / 3;
        cr_assert(mean.values[i] == (float)want, "element %d", (int)i);
    }
    lng_model_data_release(&mean);
    check_fails(lng_model_average(paths, 4, &mean), LNG_ERR_MISMATCH, "encoder_ffn is 8 in");
    check_fails(lng_model_average(paths, 0, &mean), LNG_ERR_USAGE, "at least one");
    lng_model_data_release(&a);
    lng_model_data_release(&b);
    lng_model_data_release(&c);
    lng_model_data_release(&d);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}
