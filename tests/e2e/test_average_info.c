/* lingster average and lingster info, from outside. */
#include <math.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/json.h"
#include "host/store/model_dir.h"
#include "host/store/run_dir.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(average_info, .init = setup, .fini = scratch_remove);

static struct lng_hparams small(void)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = 9;
    h.dim = 8;
    h.encoder_layers = h.decoder_layers = 1;
    h.encoder_heads = h.decoder_heads = 2;
    h.encoder_ffn = h.decoder_ffn = 16;
    h.pad = 8;
    return h;
}

static void run(struct program *p, const char *a, const char *b, const char *c, const char *d,
                const char *e)
{
    const char *arguments[] = {a, b, c, d, e, NULL};
    program_run_arguments(p, arguments, NULL, 0, NULL);
}

/* --save-dtype bf16: half the bytes, values rounded to 8 significant bits. */
Test(average_info, bf16_models_are_half_the_size)
{
    struct lng_hparams h = small();
    struct lng_model_data a = random_data(&h, 1), back;
    struct program p;
    struct lng_file_info whole, half;
    save_data(scratch_path("a"), &a, LNG_DTYPE_F32);
    const char *arguments[] = {"average",  "--save-dtype",       "bf16",
                               "--output", scratch_path("half"), scratch_path("a"),
                               NULL};
    program_run_arguments(&p, arguments, NULL, 0, NULL);
    cr_assert(p.status == 0, "%s", p.err);
    program_release(&p);
    check_ok(lng_file_get_info(scratch_path("a/model.safetensors"), &whole));
    check_ok(lng_file_get_info(scratch_path("half/model.safetensors"), &half));
    cr_assert(half.size < whole.size && half.size > whole.size / 2 - 4096);
    check_ok(lng_hf_load(scratch_path("half"), &back));
    int64_t exact = 0;
    for (int64_t i = 0; i < a.params.total; i++) {
        cr_assert(fabs((double)back.values[i] - (double)a.values[i]) <=
                  fabs((double)a.values[i]) / 256);
        exact += back.values[i] == a.values[i];
    }
    cr_assert(exact < a.params.total);
    lng_model_data_release(&a);
    lng_model_data_release(&back);
}

Test(average_info, averages_keep_the_tokenizer)
{
    struct lng_hparams h = small();
    struct lng_model_data a = random_data(&h, 1), b = random_data(&h, 2), mean;
    struct program p;
    struct lng_buffer text = {0};
    a.generation.beams = 3;
    save_data(scratch_path("a"), &a, LNG_DTYPE_F32);
    save_data(scratch_path("b"), &b, LNG_DTYPE_F32);
    scratch_write("a/vocab.json", "{\"</s>\": 0}", 11);
    /* the checksums of a were taken before vocab.json came: a file too many is no damage */
    run(&p, "average", "--output", scratch_path("mean"), scratch_path("a"), scratch_path("b"));
    cr_assert(p.status == 0, "%s", p.err);
    cr_assert(p.out_length == 0 && strstr(p.err, "the mean of 2 models"));
    program_release(&p);
    check_ok(lng_hf_load(scratch_path("mean"), &mean));
    for (int64_t i = 0; i < a.params.total; i++)
        cr_assert(mean.values[i] == (float)(((double)a.values[i] + (double)b.values[i]) / 2));
    cr_assert(mean.generation.beams == 3 && strstr(mean.provenance, "\"averaged\""));
    check_ok(lng_file_read(scratch_path("mean/vocab.json"), 100, &text));
    cr_assert_str_eq(text.data, "{\"</s>\": 0}");
    scratch_write("mean/vocab.json", "{\"</s>\": 1}", 11); /* now it is covered */
    struct lng_model_data damaged;
    check_fails(lng_hf_load(scratch_path("mean"), &damaged), LNG_ERR_MISMATCH, "vocab.json");
    lng_buffer_release(&text);
    lng_model_data_release(&mean);
    lng_model_data_release(&a);
    lng_model_data_release(&b);
}

Test(average_info, averages_that_cannot_be)
{
    struct lng_hparams h = small(), other = small();
    other.dim = 16;
    struct lng_model_data a = random_data(&h, 1), b = random_data(&other, 2);
    struct program p;
    save_data(scratch_path("a"), &a, LNG_DTYPE_F32);
    save_data(scratch_path("b"), &b, LNG_DTYPE_F32);
    run(&p, "average", "--output", scratch_path("mean"), scratch_path("a"), scratch_path("b"));
    cr_assert(p.status == 1 && strstr(p.err, "dim is 8 in"), "%d %s", p.status, p.err);
    program_release(&p);
    run(&p, "average", "--output", scratch_path("mean"), scratch_path("a"), scratch_path("none"));
    cr_assert(p.status == 1 && strstr(p.err, "none"), "%d %s", p.status, p.err);
    program_release(&p);
    cr_assert(!lng_file_exists(scratch_path("mean")), "half an average was left");
    run(&p, "average", "--output", scratch_path("mean"), NULL, NULL);
    cr_assert(p.status == 2, "%d %s", p.status, p.err);
    program_release(&p);
    run(&p, "average", scratch_path("a"), NULL, NULL, NULL);
    cr_assert(p.status == 2 && strstr(p.err, "--output"), "%d %s", p.status, p.err);
    program_release(&p);
    lng_model_data_release(&a);
    lng_model_data_release(&b);
}

/* A folder with something in it is replaced when asked for, and one that holds an input never. */
Test(average_info, averages_keep_what_is_there)
{
    struct lng_hparams h = small();
    struct lng_model_data a = random_data(&h, 1);
    struct program p;
    const char *mean = scratch_path("mean"), *first = scratch_path("run/a");
    check_ok(lng_make_directories(scratch_path("run")));
    save_data(first, &a, LNG_DTYPE_F32);
    check_ok(lng_make_directories(scratch_path("mean/.hidden"))); /* not empty, to begin with */
    run(&p, "average", "--output", mean, first, NULL);
    cr_assert(p.status == 2 && strstr(p.err, "--overwrite to replace it"), "%d %s", p.status,
              p.err);
    program_release(&p);
    cr_assert(lng_directory_exists(scratch_path("mean/.hidden")));
    run(&p, "average", "--overwrite", "--output", mean, first);
    cr_assert(p.status == 0 && !lng_directory_exists(scratch_path("mean/.hidden")), "%s", p.err);
    program_release(&p);
    run(&p, "average", "--overwrite", "--output", scratch_path("run"), first);
    cr_assert(p.status == 2 && strstr(p.err, "holds the input"), "%d %s", p.status, p.err);
    program_release(&p);
    cr_assert(lng_file_exists(scratch_path("run/a/config.json")));
    lng_model_data_release(&a);
}

static json_t *info_of(const char *path)
{
    struct program p;
    json_t *root = NULL;
    run(&p, "info", path, "--json", NULL, NULL);
    cr_assert(p.status == 0, "%s", p.err);
    check_ok(lng_json_parse("info", p.out, p.out_length, &root));
    program_release(&p);
    return root;
}

static int64_t number(const json_t *root, const char *object, const char *key)
{
    int64_t value = -1;
    check_ok(lng_json_get_int(object ? json_object_get(root, object) : root, "info", key, 0,
                              INT64_MAX, &value));
    return value;
}

Test(average_info, info_of_a_model)
{
    struct lng_hparams h = small();
    struct lng_model_data a = random_data(&h, 1);
    struct program p;
    save_data(scratch_path("a"), &a, LNG_DTYPE_F32);
    json_t *info = info_of(scratch_path("a"));
    /* embedding 9 x 8, bias 9; encoder: 4 x (8 x 8 + 8), 8 x 16 + 16, 16 x 8 + 8, 2 x 16;
     * decoder: 8 x (8 x 8 + 8), the same feed-forward, 3 x 16 */
    cr_assert(number(info, NULL, "parameters") ==
              72 + 9 + (288 + 144 + 136 + 32) + (576 + 144 + 136 + 48));
    cr_assert(number(info, "shape", "dim") == 8);
    cr_assert(number(info, "memory", "weights_bytes") == a.params.total * 4);
    cr_assert(number(info, "memory", "train_4096_tokens_bytes") >
              number(info, "memory", "forward_4096_tokens_bytes"));
    cr_assert_str_eq(json_string_value(json_object_get(info, "transformers")), "loads it");
    cr_assert_str_eq(json_string_value(json_object_get(info, "kind")), "model directory");
    cr_assert(json_object_get(json_object_get(info, "tokenizer"), "error") != NULL);
    json_decref(info);
    run(&p, "info", scratch_path("a"), NULL, NULL, NULL);
    cr_assert(p.status == 0 && strstr(p.out, "\nshape.encoder_ffn: 16\n"), "%s", p.out);
    program_release(&p);
    scratch_write("a/config.json", "{", 1);
    run(&p, "info", scratch_path("a"), "--json", NULL, NULL);
    cr_assert(p.status == 1 && p.out_length == 0 && strstr(p.err, "config.json:1:"), "%s", p.err);
    program_release(&p);
    run(&p, "info", scratch_path("none"), NULL, NULL, NULL);
    cr_assert(p.status == 1 && strstr(p.err, "No such file"), "%s", p.err);
    program_release(&p);
    lng_model_data_release(&a);
}

Test(average_info, info_of_a_run)
{
    struct lng_hparams h = small();
    struct lng_model_data a = random_data(&h, 1);
    struct lng_checkpoint_writer writer;
    int lock;
    check_ok(lng_run_lock(scratch_path("run"), &lock));
    char *path = lng_checkpoint_path(scratch_path("run"), 40);
    check_ok(lng_checkpoint_writer_open(&writer, path));
    check_ok(lng_checkpoint_writer_add_hparams(&writer, &h));
    check_ok(lng_checkpoint_writer_add(&writer, LNG_SECTION_PARAMETERS, LNG_CHECKPOINT_F32,
                                       a.values, (size_t)a.params.total * sizeof(float)));
    check_ok(lng_checkpoint_writer_commit(&writer));
    scratch_write("run/checkpoints/update-0000000050.ckpt", "LNGCKPT1 and no more", 20);
    json_t *info = info_of(scratch_path("run"));
    const json_t *list = json_object_get(info, "checkpoints");
    cr_assert(json_array_size(list) == 2 && number(json_array_get(list, 0), NULL, "update") == 40);
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 0), "state")), "whole");
    cr_assert(strstr(json_string_value(json_object_get(json_array_get(list, 1), "state")),
                     "only 20 bytes"));
    cr_assert(number(info, "shape", "dim") == 8);
    cr_assert(json_array_size(json_object_get(info, "warnings")) == 1);
    json_decref(info);
    info = info_of(path);
    cr_assert_str_eq(json_string_value(json_object_get(info, "kind")), "checkpoint");
    cr_assert(number(info, "sections", "parameters") == a.params.total * 4);
    json_decref(info);
    lng_free(path);
    lng_model_data_release(&a);
    lng_run_unlock(lock);
}
