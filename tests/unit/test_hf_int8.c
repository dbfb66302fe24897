/* int8 model directories: round trip, reading matrix by matrix, and every refusal. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/json.h"
#include "host/store/model_dir.h"
#include "host/store/safetensors.h"
#include "tests/support/check.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(hf_int8, .init = setup, .fini = scratch_remove);

static const char fc1[] = "model.encoder.layers.0.fc1.weight";

/* Half a step of each row at most; vectors as they were. */
static void check_close_to(const struct lng_model_data *got, const struct lng_model_data *want)
{
    for (size_t i = 0; i < want->params.count; i++) {
        const struct lng_param *p = &want->params.list[i];
        for (int64_t r = 0; r < p->rows; r++) {
            const float *a = want->values + p->offset + r * p->cols;
            const float *b = got->values + p->offset + r * p->cols;
            double largest = 0;
            for (int64_t c = 0; c < p->cols; c++)
                largest = fmax(largest, fabs((double)a[c]));
            for (int64_t c = 0; c < p->cols; c++)
                cr_assert(fabs((double)a[c] - b[c]) <= (p->rows > 1 ? largest / 127 * 0.5001 : 0.0),
                          "%s [%lld, %lld]: %g became %g", p->name, (long long)r, (long long)c,
                          (double)a[c], (double)b[c]);
        }
    }
}

static void check_lazily_read(const char *directory, const struct lng_model_data *whole)
{
    struct lng_model_data lazy;
    check_ok(lng_model_data_open_lazily(directory, &lazy));
    cr_assert(lazy.matrices && lazy.stored == LNG_DTYPE_I8);
    for (size_t i = 0; i < whole->params.count; i++) {
        const struct lng_param *p = &whole->params.list[i];
        const float *want = whole->values + p->offset;
        struct lng_weight_rows rows;
        if (p->rows == 1) {
            cr_assert(memcmp(lazy.values + p->offset, want, (size_t)p->cols * sizeof *want) == 0);
            continue;
        }
        check_ok(lng_matrices_read(lazy.matrices, p, &rows));
        bool table = p->id == LNG_PARAM_ENCODER_POSITIONS || p->id == LNG_PARAM_DECODER_POSITIONS;
        cr_assert(rows.dtype == (table ? LNG_DTYPE_F32 : LNG_DTYPE_I8), "%s", p->name);
        cr_assert(rows.rows == p->rows && rows.cols == p->cols);
        for (int64_t k = 0; k < p->rows * p->cols && !table; k++)
            cr_assert_eq(want[k],
                         ((const int8_t *)rows.values)[k] * rows.scales[k / p->cols] +
                             (rows.rest ? rows.rest[k] * rows.rest_scales[k / p->cols] : 0),
                         "%s", p->name);
        cr_assert((rows.rest != NULL) == lng_param_is_table(p), "%s", p->name);
    }
    lng_model_data_release(&lazy);
}

/* All ways of tying, learned and computed positions. */
Test(hf_int8, round_trip)
{
    for (int variant = 0; variant < 6; variant++) {
        struct lng_hparams h = tiny_hparams();
        h.tie = (enum lng_tie)(variant % 3);
        h.positions = variant < 3 ? h.positions : LNG_POSITIONS_LEARNED;
        struct lng_model_data saved = random_data(&h, (uint32_t)variant), loaded;
        char name[16];
        snprintf(name, sizeof name, "m%d", variant);
        save_data(scratch_path(name), &saved, LNG_DTYPE_I8);
        check_ok(lng_model_data_open(scratch_path(name), &loaded));
        cr_assert(loaded.stored == LNG_DTYPE_I8 && !loaded.matrices);
        cr_assert(strstr(loaded.warnings.data, "int8") != NULL);
        check_close_to(&loaded, &saved);
        check_lazily_read(scratch_path(name), &loaded);
        lng_model_data_release(&saved);
        lng_model_data_release(&loaded);
    }
}

/* ---- refusals ---- */

/* What is done to the tensor `name` while model.safetensors is copied. */
struct change {
    const char *name;
    bool drop;
    enum lng_safetensors_type type; /* where `retype`: written as zeros of this type */
    bool retype;
    int64_t rows;   /* > 0: its first dimension */
    int at;         /* byte where `byte_count` bytes are put */
    int byte_count; /* 0: none */
    const void *bytes;
};

static void declare_changed(struct lng_safetensors_writer *writer,
                            const struct lng_safetensor *tensor, const struct change *change)
{
    bool hit = strcmp(tensor->name, change->name) == 0;
    int64_t shape[LNG_SAFETENSORS_RANK];
    memcpy(shape, tensor->shape, sizeof shape);
    if (hit && change->rows > 0)
        shape[0] = change->rows;
    check_ok(lng_safetensors_writer_declare(writer, tensor->name,
                                            hit && change->retype ? change->type : tensor->type,
                                            shape, tensor->rank));
}

static void add_changed(struct lng_safetensors_writer *writer, const struct lng_safetensors *file,
                        const struct lng_safetensor *tensor, const struct change *change)
{
    bool hit = strcmp(tensor->name, change->name) == 0;
    size_t bytes = tensor->bytes;
    unsigned char *data = lng_alloc(bytes * 8 + 64, 1);
    check_ok(lng_safetensors_read_raw(file, tensor, data));
    const size_t i = writer->written; /* the one that is next */
    if (hit && change->byte_count > 0)
        memcpy(data + change->at, change->bytes, (size_t)change->byte_count);
    check_ok(lng_safetensors_writer_add_raw(writer, data, writer->list[i].bytes));
    lng_free(data);
}

/* The folder "good" with that change as the folder `name`. */
static const char *write_changed(const char *name, const struct change *change)
{
    struct lng_safetensors file;
    struct lng_safetensors_writer writer = {.file.fd = -1};
    struct lng_buffer config = {0};
    const char *folder = scratch_path(name);
    char *path = lng_format("%s/model.safetensors", folder);
    char *config_path = lng_format("%s/config.json", folder);
    check_ok(lng_make_directories(folder));
    check_ok(lng_safetensors_open(&file, scratch_path("good/model.safetensors")));
    check_ok(lng_safetensors_writer_open(&writer, path));
    for (size_t i = 0; i < file.count; i++)
        if (!change->drop || strcmp(file.list[i].name, change->name) != 0)
            declare_changed(&writer, &file.list[i], change);
    for (size_t i = 0; i < file.count; i++)
        if (!change->drop || strcmp(file.list[i].name, change->name) != 0)
            add_changed(&writer, &file, &file.list[i], change);
    check_ok(lng_safetensors_writer_commit(&writer, NULL, NULL));
    check_ok(lng_file_read(scratch_path("good/config.json"), 1 << 20, &config));
    check_ok(lng_file_write(config_path, config.data, config.length));
    lng_safetensors_close(&file);
    lng_buffer_release(&config);
    lng_free(path);
    lng_free(config_path);
    return folder;
}

/* config.json of "good" without a key, or with another value; and without checksums, whose turn comes first. */
static void change_config(const char *key, json_t *value)
{
    json_t *root;
    check_ok(lng_json_read_object(scratch_path("good/config.json"), 1 << 20, &root));
    (void)json_object_del(json_object_get(root, "lingster"), "files");
    if (key && value)
        check_ok(lng_json_set(root, key, value));
    else if (key)
        (void)json_object_del(root, key);
    check_ok(lng_json_write(scratch_path("good/config.json"), root));
    json_decref(root);
}

static void write_good(void)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_model_data saved = random_data(&h, 3);
    save_data(scratch_path("good"), &saved, LNG_DTYPE_I8);
    lng_model_data_release(&saved);
    change_config(NULL, NULL);
}

/* Whole, and matrix by matrix onto a device. */
static void check_refused(const char *folder, enum lng_status status, const char *part)
{
    struct lng_model_data data;
    struct lng_model model;
    struct lng_device *device;
    check_fails(lng_model_data_open(folder, &data), status, part);
    check_ok(lng_device_open("cpu", NULL, &device));
    check_fails(lng_model_load(folder, device, LNG_DTYPE_I8, false, &model, &data), status, part);
    lng_device_close(device);
}

Test(hf_int8, bad_tensors_are_refused)
{
    const float nan = NAN, zero = 0, negative = -1;
    const struct {
        struct change change;
        enum lng_status status;
        const char *part;
    } cases[] = {
        {{.name = "model.encoder.layers.0.fc1.weight_scale", .drop = true},
         LNG_ERR_FORMAT,
         "its scales \"model.encoder.layers.0.fc1.weight_scale\" are missing"},
        {{.name = "model.shared.weight_scale", .rows = 3}, LNG_ERR_SHAPE, "one scale for each of"},
        {{.name = "model.shared.weight_scale", .retype = true, .type = LNG_SAFETENSORS_F64},
         LNG_ERR_DTYPE,
         "expected scales in F32, found F64"},
        {{.name = "model.shared.weight_scale", .byte_count = 4, .bytes = &nan},
         LNG_ERR_RANGE,
         "expected finite scales above 0, found nan for row 0"},
        {{.name = "model.shared.weight_scale", .at = 8, .byte_count = 4, .bytes = &zero},
         LNG_ERR_RANGE,
         "found 0 for row 2"},
        {{.name = "model.shared.weight_scale", .byte_count = 4, .bytes = &negative},
         LNG_ERR_RANGE,
         "found -1"},
        {{.name = fc1, .at = 5, .byte_count = 1, .bytes = "\x80"},
         LNG_ERR_RANGE,
         "from -127 to 127, found -128 at element 5"},
        {{.name = "model.encoder.layers.0.fc1.bias", .retype = true, .type = LNG_SAFETENSORS_I8},
         LNG_ERR_DTYPE,
         "expected floats, found I8"},
        {{.name = fc1, .retype = true, .type = LNG_SAFETENSORS_U8}, LNG_ERR_DTYPE, "found U8"},
        {{.name = fc1, .rows = 3}, LNG_ERR_SHAPE, "found shape [3, "},
        {{.name = "model.shared.weight_rest", .retype = true, .type = LNG_SAFETENSORS_F32},
         LNG_ERR_DTYPE,
         "weight_rest\": expected dtype I8, found F32"},
        {{.name = "model.shared.weight_rest", .rows = 3},
         LNG_ERR_SHAPE,
         "expected the shape of \"model.shared.weight\", found [3, "},
        {{.name = "model.shared.weight_rest", .byte_count = 1, .bytes = "\x80"},
         LNG_ERR_RANGE,
         "weight_rest\": expected values from -127 to 127"},
        {{.name = "model.shared.weight_rest_scale", .drop = true},
         LNG_ERR_FORMAT,
         "its scales \"model.shared.weight_rest_scale\" are missing"},
        {{.name = "model.shared.weight_rest_scale", .byte_count = 4, .bytes = &nan},
         LNG_ERR_RANGE,
         "found nan for row 0"},
    };
    write_good();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[16];
        snprintf(name, sizeof name, "bad%zu", i);
        check_refused(write_changed(name, &cases[i].change), cases[i].status, cases[i].part);
    }
    struct change none = {.name = ""};
    struct lng_model_data data;
    check_ok(lng_model_data_open(write_changed("same", &none), &data));
    lng_model_data_release(&data);
}

/* As earlier int8 models do. */
Test(hf_int8, tables_may_lack_their_rest)
{
    struct change change = {.name = "model.shared.weight_rest", .drop = true};
    struct lng_model_data data;
    struct lng_weight_rows rows;
    write_good();
    check_ok(lng_model_data_open_lazily(write_changed("older", &change), &data));
    check_ok(lng_matrices_read(data.matrices, lng_params_find(&data.params, LNG_PARAM_SHARED, -1),
                               &rows));
    cr_assert(rows.dtype == LNG_DTYPE_I8 && rows.scales != NULL && rows.rest == NULL);
    lng_model_data_release(&data);
}

Test(hf_int8, a_damaged_or_cut_file_is_refused)
{
    struct lng_buffer content = {0};
    write_good();
    const char *path = scratch_path("good/model.safetensors");
    check_ok(lng_file_read(path, 1 << 24, &content));
    cr_assert(truncate(path, (off_t)content.length - 7) == 0);
    check_refused(scratch_path("good"), LNG_ERR_FORMAT, "the file is cut");
    lng_buffer_release(&content);
}

Test(hf_int8, config_must_say_what_int8_means)
{
    write_good();
    change_config("quantization_config", NULL);
    check_refused(scratch_path("good"), LNG_ERR_DTYPE, "has no \"quantization_config\"");
    change_config("quantization_config", json_pack("{s:s}", "quant_method", "gptq"));
    check_refused(scratch_path("good"), LNG_ERR_UNSUPPORTED, "found \"gptq\"");
    change_config("quantization_config",
                  json_pack("{s:s, s:i}", "quant_method", "lingster", "bits", 4));
    check_refused(scratch_path("good"), LNG_ERR_RANGE, "found 4");
    change_config("quantization_config", json_integer(3));
    check_refused(scratch_path("good"), LNG_ERR_FORMAT, "an object, found 3");
}
