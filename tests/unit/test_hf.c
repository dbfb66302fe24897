#include "host/store/hf.h"

#include <math.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/model/positions.h"
#include "host/store/hparams_json.h"
#include "host/store/model_dir.h"
#include "host/store/safetensors.h"
#include "tests/support/check.h"
#include "tests/support/failing_memory.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(hf, .init = setup, .fini = scratch_remove);

enum { VOCABULARY = 13, PAD = 12 };

static struct lng_hparams small(void)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = VOCABULARY;
    h.dim = 8;
    h.encoder_layers = 2;
    h.decoder_layers = 1;
    h.encoder_heads = 2;
    h.decoder_heads = 4;
    h.encoder_ffn = 12;
    h.decoder_ffn = 10;
    h.max_positions = 40;
    h.pad = PAD;
    return h;
}

static struct lng_hparams pre_norm(void)
{
    struct lng_hparams h = small();
    h.pre_norm = true;
    h.positions = LNG_POSITIONS_A;
    h.pad = 1;
    h.position_offset = 2;
    h.eos = h.source_eos = h.decoder_start = 2;
    h.unk = 3;
    h.output_bias = false;
    return h;
}

/* Shapes that must survive saving, and the model_type each gets. */
static struct lng_hparams variant(int which, const char **type)
{
    struct lng_hparams h = small();
    *type = "marian";
    switch (which) {
    case 0:
        break;
    case 1:
        h.tie = LNG_TIE_TARGET;
        h.source_vocab = 21;
        h.source_eos = 20;
        break;
    case 2:
        h.tie = LNG_TIE_NONE;
        h.activation = LNG_ACTIVATION_SWISH;
        h.scale_embedding = false;
        break;
    case 3:
        h.positions = LNG_POSITIONS_A;
        h.alignment_layer = 0;
        h.norm_epsilon = 1e-6;
        h.activation = LNG_ACTIVATION_GELU_SIGMOID;
        break;
    case 4:
        h.positions = LNG_POSITIONS_C;
        h.output_bias = false;
        h.activation = LNG_ACTIVATION_GELU_TANH;
        break;
    case 5:
        h.positions = LNG_POSITIONS_LEARNED;
        h.activation = LNG_ACTIVATION_GELU;
        break;
    case 6:
        h = pre_norm();
        *type = "m2m_100";
        break;
    case 7:
        h.norm = LNG_NORM_RMS;
        *type = "lingster";
        break;
    case 8:
        h.attention_score = LNG_ATTENTION_ADDITIVE;
        *type = "lingster";
        break;
    case 9:
        h.attention_scaled = false;
        *type = "lingster";
        break;
    case 10:
        h.pre_norm = true;
        h.norm = LNG_NORM_RMS;
        h.tie = LNG_TIE_TARGET;
        *type = "lingster";
        break;
    case 11:
        h.pad = -1;
        h.unk = -1;
        h.source_eos = -1;
        *type = "lingster";
        break;
    default:
        h.decoder_start = 5;
        break;
    }
    return h;
}
enum { VARIANTS = 13 };

static json_t *config_of(const char *directory)
{
    json_t *root = NULL;
    char *path = lng_path_join(directory, "config.json");
    check_ok(lng_json_read_object(path, 1 << 20, &root));
    lng_free(path);
    return root;
}

static void put_config(const char *directory, const json_t *root)
{
    char *path = lng_path_join(directory, "config.json");
    check_ok(lng_json_write(path, root));
    lng_free(path);
}

Test(hf, saved_models_come_back)
{
    for (int i = 0; i < VARIANTS; i++) {
        const char *type;
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        const char *path = scratch_path(name);
        struct lng_hparams h = variant(i, &type);
        struct lng_model_data saved = random_data(&h, (uint32_t)i), loaded;
        save_data(path, &saved, LNG_DTYPE_F32);
        check_ok(lng_hf_load(path, &loaded));
        check_ok(lng_hparams_agree(&h, "saved", &loaded.hparams, "loaded"));
        cr_assert(loaded.hparams.alignment_layer == (i == 3 ? 0 : -1), "variant %d", i);
        cr_assert(data_distance(&saved, &loaded) == 0, "variant %d", i);
        cr_assert(!loaded.warnings.data, "variant %d: %s", i, loaded.warnings.data);
        cr_assert_str_eq(loaded.directory, path);
        json_t *config = config_of(path);
        cr_assert_str_eq(json_string_value(json_object_get(config, "model_type")), type);
        cr_assert((lng_hf_obstacle(&h, &saved.params, saved.values) != NULL) ==
                  (strcmp(type, "lingster") == 0));
        json_decref(config);
        lng_model_data_release(&saved);
        lng_model_data_release(&loaded);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(hf, bf16_generation_and_provenance)
{
    struct lng_hparams h = small();
    struct lng_model_data saved = random_data(&h, 3), loaded, shape;
    saved.generation = (struct lng_generation){6, 99, 0.75, 4};
    saved.provenance = lng_strdup("{\"corpus\": \"x\", \"updates\": 7}");
    save_data(scratch_path("m"), &saved, LNG_DTYPE_BF16);
    check_ok(lng_hf_load(scratch_path("m"), &loaded));
    for (int64_t i = 0; i < saved.params.total; i++)
        cr_assert(fabsf(saved.values[i] - loaded.values[i]) <= fabsf(saved.values[i]) * 0x1p-8f);
    cr_assert(data_distance(&saved, &loaded) > 0);
    cr_assert(loaded.generation.beams == 6 && loaded.generation.max_length == 99);
    cr_assert(loaded.generation.length_penalty == 0.75 && loaded.generation.forced_bos == 4);
    cr_assert(strstr(loaded.provenance, "\"updates\": 7") != NULL);
    check_ok(lng_hf_load_shape(scratch_path("m"), &shape));
    cr_assert(!shape.values && shape.hparams.dim == h.dim);
    lng_model_data_release(&shape);
    lng_model_data_release(&saved);
    lng_model_data_release(&loaded);
}

Test(hf, what_is_not_finite_is_not_written)
{
    struct lng_hparams h = small();
    struct lng_model_data data = random_data(&h, 3);
    data.values[data.params.list[2].offset + 1] = NAN;
    check_ok(lng_make_directories(scratch_path("m")));
    struct lng_hf_save_args args = {.directory = scratch_path("m"),
                                    .hparams = &h,
                                    .params = &data.params,
                                    .values = data.values,
                                    .generation = data.generation};
    check_fails(lng_hf_save(&args), LNG_ERR_RANGE, "element 1");
    args.dtype = LNG_DTYPE_I32;
    check_fails(lng_hf_save(&args), LNG_ERR_DTYPE, "not int32");
    args.dtype = LNG_DTYPE_F32;
    args.directory = scratch_path("none");
    check_fails(lng_hf_save(&args), LNG_ERR_IO, "none");
    lng_model_data_release(&data);
}

/* ---- config.json ---- */

/* value NULL removes the key; "lingster.x" is a key of the lingster key. */
static const struct {
    const char *key, *value;
    enum lng_status status;
    const char *part;
} changes[] = {
    {"d_model", NULL, LNG_ERR_FORMAT, "\"d_model\" is missing: expected an integer"},
    {"d_model", "\"8\"", LNG_ERR_FORMAT, "expected an integer, found \"8\""},
    {"d_model", "8.0", LNG_ERR_FORMAT, "expected an integer, found 8"},
    {"d_model", "null", LNG_ERR_FORMAT, "expected an integer, found null"},
    {"d_model", "0", LNG_ERR_RANGE, "from 2 to 65536, found 0"},
    {"d_model", "10", LNG_ERR_RANGE, "heads must divide"},
    {"d_model", "16", LNG_ERR_SHAPE, "config.json makes it [13, 16], found shape [13, 8]"},
    {"encoder_layers", "0", LNG_ERR_RANGE, "encoder_layers"},
    {"encoder_layers", "-1", LNG_ERR_RANGE, "found -1"},
    {"encoder_layers", "1000000000", LNG_ERR_RANGE, "found 1000000000"},
    {"encoder_layers", "3", LNG_ERR_FORMAT, "16 tensors"},
    {"encoder_layers", "1000", LNG_ERR_FORMAT, "are missing: model.encoder.layers.2."},
    {"decoder_layers", NULL, LNG_ERR_FORMAT, "decoder_layers"},
    {"encoder_attention_heads", "3", LNG_ERR_RANGE, "heads must divide the model width"},
    {"encoder_attention_heads", "9", LNG_ERR_RANGE, "from 1 to 8, found 9"},
    {"decoder_attention_heads", "0", LNG_ERR_RANGE, "found 0"},
    {"encoder_ffn_dim", "99999999", LNG_ERR_RANGE, "encoder_ffn_dim"},
    {"encoder_ffn_dim", "11", LNG_ERR_SHAPE, "[11, 8], found shape [12, 8]"},
    {"decoder_ffn_dim", "true", LNG_ERR_FORMAT, "found true"},
    {"vocab_size", "14", LNG_ERR_SHAPE, "[14, 8], found shape [13, 8]"},
    {"vocab_size", "16777216", LNG_ERR_SHAPE, "[16777216, 8]"},
    {"vocab_size", "4", LNG_ERR_RANGE, "\"pad_token_id\": expected an integer from 0 to 3"},
    {"vocab_size", "[13]", LNG_ERR_FORMAT, "an array of 1"},
    {"pad_token_id", NULL, LNG_ERR_FORMAT, "pad_token_id"},
    {"pad_token_id", "13", LNG_ERR_RANGE, "from 0 to 12, found 13"},
    {"eos_token_id", "-5", LNG_ERR_RANGE, "found -5"},
    {"eos_token_id", "[0]", LNG_ERR_FORMAT, "found an array of 1"},
    {"decoder_start_token_id", "99", LNG_ERR_RANGE, "found 99"},
    {"max_position_embeddings", "0", LNG_ERR_RANGE, "max_position_embeddings"},
    {"max_position_embeddings", "1000000000", LNG_ERR_RANGE, "found 1000000000"},
    {"activation_function", "\"tanh\"", LNG_ERR_UNSUPPORTED, "found \"tanh\""},
    {"activation_function", "7", LNG_ERR_FORMAT, "a string, found 7"},
    {"scale_embedding", "1", LNG_ERR_FORMAT, "true or false, found 1"},
    {"model_type", NULL, LNG_ERR_FORMAT, "model_type"},
    {"model_type", "\"bert\"", LNG_ERR_UNSUPPORTED, "found \"bert\""},
    {"model_type", "\"m2m_100\"", LNG_ERR_MISMATCH, "pre_norm does not fit"},
    {"normalize_before", "true", LNG_ERR_UNSUPPORTED, "normalize_before"},
    {"tie_word_embeddings", "false", LNG_ERR_FORMAT, "lm_head.weight"},
    {"share_encoder_decoder_embeddings", "false", LNG_ERR_FORMAT, "embed_tokens.weight"},
    {"lingster", "3", LNG_ERR_FORMAT, "an object, found 3"},
    {"lingster.version", NULL, LNG_ERR_FORMAT, "\"version\" is missing"},
    {"lingster.version", "2", LNG_ERR_UNSUPPORTED, "newer lingster"},
    {"lingster.version", "0", LNG_ERR_RANGE, "found 0"},
    {"lingster.norm", "\"batch\"", LNG_ERR_FORMAT, "one of layer, rms, found \"batch\""},
    {"lingster.norm_epsilon", "0", LNG_ERR_RANGE, "epsilon"},
    {"lingster.norm_epsilon", "-1e-5", LNG_ERR_RANGE, "epsilon"},
    {"lingster.positions", "\"D\"", LNG_ERR_FORMAT, "one of A, B, C, learned"},
    {"lingster.positions", "\"learned\"", LNG_ERR_FORMAT, "embed_positions.weight"},
    {"lingster.position_offset", "-1", LNG_ERR_RANGE, "position offset"},
    {"lingster.decoder_start", "13", LNG_ERR_RANGE, "decoder start"},
    {"lingster.alignment_layer", "9", LNG_ERR_RANGE, "alignment layer"},
    {"lingster.alignment_layer", "\"last\"", LNG_ERR_FORMAT, "alignment_layer"},
    {"lingster.unk", "13", LNG_ERR_RANGE, "unk"},
    {"lingster.source_eos", "99999999999", LNG_ERR_RANGE, "source_eos"},
    {"lingster.output_bias", "false", LNG_ERR_MISMATCH, "final_logits_bias"},
    {"lingster.attention_score", "\"additive\"", LNG_ERR_FORMAT, "score_vector"},
    {"lingster.provenance", "[]", LNG_ERR_FORMAT, "provenance"},
    {"lingster.files", "[]", LNG_ERR_FORMAT, "files"},
    {"lingster.files", "{\"../x\": {\"xxh3\": \"0\"}}", LNG_ERR_FORMAT, "same folder"},
    {"lingster.files", "{\"gone\": {\"xxh3\": \"0\"}}", LNG_ERR_IO, "gone"},
    {"lingster.files", "{\"model.safetensors\": {\"xxh3\": \"0\"}}", LNG_ERR_MISMATCH, "checksum"},
    {"num_beams", "0", LNG_ERR_RANGE, "num_beams"},
    {"max_length", "1e9", LNG_ERR_FORMAT, "max_length"},
    {"forced_bos_token_id", "13", LNG_ERR_RANGE, "forced_bos_token_id"},
};

static void apply_change(json_t *config, const char *key, const char *value)
{
    json_t *object = config;
    if (strncmp(key, "lingster.", 9) == 0) {
        object = json_object_get(config, "lingster");
        key += 9;
    }
    if (value)
        cr_assert(json_object_set_new(object, key, json_loads(value, JSON_DECODE_ANY, NULL)) == 0);
    else
        json_object_del(object, key);
}

Test(hf, every_key_of_the_configuration_is_checked)
{
    struct lng_hparams h = small();
    struct lng_model_data saved = random_data(&h, 1), loaded;
    const char *path = scratch_path("m");
    save_data(path, &saved, LNG_DTYPE_F32);
    json_t *good = config_of(path);
    size_t blocks = lng_mem_get_stats().blocks_live;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        json_t *config = json_deep_copy(good);
        apply_change(config, changes[i].key, changes[i].value);
        put_config(path, config);
        json_decref(config);
        enum lng_status status = lng_hf_load(path, &loaded);
        cr_assert(status == changes[i].status, "case %zu (%s): got '%s' (%s)", i, changes[i].key,
                  lng_status_text(status), lng_error_message());
        cr_assert(strstr(lng_error_message(), changes[i].part), "case %zu: '%s' lacks '%s'", i,
                  lng_error_message(), changes[i].part);
        cr_assert(lng_mem_get_stats().blocks_live == blocks, "case %zu leaks", i);
    }
    put_config(path, good);
    check_ok(lng_hf_load(path, &loaded));
    lng_model_data_release(&loaded);
    lng_model_data_release(&saved);
    json_decref(good);
}

/* As the OPUS-MT models on the hub are: no lingster key, a zero pad row as start. */
Test(hf, models_that_lingster_did_not_write)
{
    struct lng_hparams h = small();
    struct lng_model_data saved = random_data(&h, 1), loaded;
    const char *path = scratch_path("m");
    save_data(path, &saved, LNG_DTYPE_F32);
    json_t *config = config_of(path);
    json_object_del(config, "lingster");
    put_config(path, config);
    check_ok(lng_hf_load(path, &loaded));
    check_ok(lng_hparams_agree(&h, "saved", &loaded.hparams, "loaded"));
    lng_model_data_release(&loaded);
    /* a pad row with an embedding is a start of its own */
    saved.values[lng_params_find(&saved.params, LNG_PARAM_SHARED, -1)->offset + PAD * h.dim] = 1;
    cr_assert(lng_hf_obstacle(&h, &saved.params, saved.values) != NULL);
    h.decoder_start = PAD;
    saved.hparams = h;
    save_data(path, &saved, LNG_DTYPE_F32);
    put_config(path, config);
    check_ok(lng_hf_load(path, &loaded));
    cr_assert(loaded.hparams.decoder_start == PAD);
    lng_model_data_release(&loaded);
    lng_model_data_release(&saved);
    json_decref(config);
}

Test(hf, ids_come_from_the_vocabularies)
{
    const char *type;
    struct lng_hparams h = variant(1, &type);
    struct lng_model_data saved = random_data(&h, 1), loaded;
    const char *path = scratch_path("m");
    save_data(path, &saved, LNG_DTYPE_F32);
    json_t *config = config_of(path);
    json_object_del(config, "lingster");
    put_config(path, config);
    static const char source[] = "{\"</s>\": 17}", target[] = "{\"<unk>\": 9}",
                      bad[] = "{\"<unk>\": 13}";
    check_ok(lng_file_write(scratch_path("m/vocab.json"), source, sizeof source - 1));
    check_ok(lng_file_write(scratch_path("m/target_vocab.json"), target, sizeof target - 1));
    check_ok(lng_hf_load(path, &loaded));
    cr_assert(loaded.hparams.source_eos == 17 && loaded.hparams.unk == 9 &&
              loaded.hparams.eos == 0);
    lng_model_data_release(&loaded);
    check_ok(lng_file_write(scratch_path("m/target_vocab.json"), bad, sizeof bad - 1));
    check_fails(lng_hf_load(path, &loaded), LNG_ERR_RANGE, "from 0 to 12, found 13");
    lng_model_data_release(&saved);
    json_decref(config);
}

/* ---- model.safetensors ---- */

struct edit {
    const char *drop; /* leave this tensor out */
    const char *add;  /* write `copy` under this name too */
    const char *copy;
    const char *poke; /* set its first element to `value` */
    float value;
    bool flat;     /* with the shape [elements] */
    bool integers; /* as I32 */
};

/* Writes the model's tensors again, changed; its lingster.files key is removed. */
static void rewrite(const char *directory, const struct edit *edit)
{
    struct lng_safetensors file;
    struct lng_safetensors_writer writer;
    char *path = lng_path_join(directory, "model.safetensors");
    json_t *config = config_of(directory);
    json_object_del(json_object_get(config, "lingster"), "files");
    put_config(directory, config);
    json_decref(config);
    check_ok(lng_safetensors_open(&file, path));
    check_ok(lng_safetensors_writer_open(&writer, path));
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i <= file.count; i++) {
            const struct lng_safetensor *tensor =
                i < file.count ? &file.list[i]
                               : (edit->add ? lng_safetensors_find(&file, edit->copy) : NULL);
            const char *name = i < file.count && tensor ? tensor->name : edit->add;
            if (!tensor || (edit->drop && strcmp(name, edit->drop) == 0))
                continue;
            bool poked = edit->poke && strcmp(name, edit->poke) == 0;
            int64_t flat = (int64_t)tensor->elements;
            if (pass == 0) {
                check_ok(lng_safetensors_writer_declare(
                    &writer, name, poked && edit->integers ? LNG_SAFETENSORS_I32 : tensor->type,
                    poked && edit->flat ? &flat : tensor->shape,
                    poked && edit->flat ? 1 : tensor->rank));
                continue;
            }
            float *values = lng_alloc((size_t)tensor->elements, sizeof *values);
            check_ok(lng_safetensors_read_f32(&file, tensor, values));
            if (poked)
                values[0] = edit->value;
            check_ok(lng_safetensors_writer_add_raw(&writer, values, tensor->bytes));
            lng_free(values);
        }
    }
    check_ok(lng_safetensors_writer_commit(&writer, NULL, NULL));
    lng_safetensors_close(&file);
    lng_free(path);
}

static const char shared[] = "model.shared.weight";
static const char query[] = "model.encoder.layers.1.self_attn.q_proj.weight";

static const struct {
    struct edit edit;
    enum lng_status status;
    const char *part; /* of the message, or of the warnings when status is OK; NULL: no warning */
} edits[] = {
    {{.drop = query}, LNG_ERR_FORMAT, "1 tensors"},
    {{.drop = query}, LNG_ERR_FORMAT, query},
    {{.drop = shared}, LNG_ERR_FORMAT, shared},
    {{.add = "lm_head.weight", .copy = shared, .drop = shared}, LNG_OK, NULL},
    {{.add = "model.decoder.embed_tokens.weight", .copy = shared, .drop = shared}, LNG_OK, NULL},
    {{.add = "lm_head.weight", .copy = shared}, LNG_OK, NULL},
    {{.add = "lm_head.weight", .copy = shared, .poke = "lm_head.weight", .value = 9},
     LNG_ERR_MISMATCH,
     "must be equal"},
    {{.add = "lm_head.weight", .copy = query}, LNG_ERR_SHAPE, "lm_head.weight"},
    {{.add = "model.surprise", .copy = query}, LNG_OK, "\"model.surprise\" is not used"},
    {{.drop = "final_logits_bias"}, LNG_ERR_FORMAT, "final_logits_bias"},
    {{.poke = query, .value = NAN}, LNG_ERR_RANGE, "finite values, found nan at element 0"},
    {{.poke = shared, .value = INFINITY}, LNG_ERR_RANGE, "found inf"},
    {{.poke = query, .flat = true}, LNG_ERR_SHAPE, "config.json makes it [8, 8], found shape [64]"},
    {{.poke = query, .integers = true}, LNG_ERR_DTYPE, "found I32"},
    {{.poke = "final_logits_bias", .flat = true}, LNG_OK, NULL},
};

Test(hf, every_tensor_is_checked)
{
    struct lng_hparams h = small();
    struct lng_model_data saved = random_data(&h, 1), loaded;
    size_t blocks = lng_mem_get_stats().blocks_live;
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        const char *path = scratch_path("m");
        save_data(path, &saved, LNG_DTYPE_F32);
        rewrite(path, &edits[i].edit);
        enum lng_status status = lng_hf_load(path, &loaded);
        cr_assert(status == edits[i].status, "case %zu: got '%s' (%s)", i, lng_status_text(status),
                  lng_error_message());
        if (status == LNG_OK) {
            bool warned = loaded.warnings.length > 0;
            cr_assert(warned == (edits[i].part != NULL), "case %zu: %s", i, loaded.warnings.data);
            cr_assert(!warned || strstr(loaded.warnings.data, edits[i].part));
            lng_model_data_release(&loaded);
        } else {
            cr_assert(strstr(lng_error_message(), edits[i].part), "case %zu: '%s' lacks '%s'", i,
                      lng_error_message(), edits[i].part);
        }
        cr_assert(lng_mem_get_stats().blocks_live == blocks, "case %zu leaks", i);
    }
    lng_model_data_release(&saved);
}

Test(hf, stored_position_tables_are_recognised)
{
    for (int family = LNG_POSITIONS_A; family <= LNG_POSITIONS_LEARNED; family++) {
        struct lng_hparams h = small();
        h.positions = (enum lng_positions)family;
        h.max_positions = 30;
        struct lng_model_data saved = random_data(&h, 1), loaded;
        const char *path = scratch_path("m");
        save_data(path, &saved, LNG_DTYPE_F32);
        json_t *config = config_of(path);
        json_object_del(config, "lingster");
        put_config(path, config);
        json_decref(config);
        check_ok(lng_hf_load(path, &loaded));
        cr_assert(loaded.hparams.positions == h.positions, "family %d was read as %d", family,
                  (int)loaded.hparams.positions);
        cr_assert(loaded.hparams.max_positions == 30);
        lng_model_data_release(&loaded);
        lng_model_data_release(&saved);
    }
    /* a table that contradicts config.json */
    struct lng_hparams h = small();
    h.positions = LNG_POSITIONS_A;
    struct lng_model_data saved = random_data(&h, 1), loaded;
    save_data(scratch_path("m"), &saved, LNG_DTYPE_F32);
    rewrite(scratch_path("m"),
            &(struct edit){.poke = "model.decoder.embed_positions.weight", .value = 3});
    check_fails(lng_hf_load(scratch_path("m"), &loaded), LNG_ERR_MISMATCH,
                "expected the position table that config.json names");
    lng_model_data_release(&saved);
}

Test(hf, damage_is_noticed_and_changes_by_others_are_told)
{
    struct lng_hparams h = small();
    struct lng_model_data saved = random_data(&h, 1), loaded;
    const char *path = scratch_path("m");
    check_ok(lng_make_directories(path));
    check_ok(lng_file_write(scratch_path("m/source.spm"), "pieces", 6));
    save_data(path, &saved, LNG_DTYPE_F32);
    json_t *config = config_of(path);
    check_ok(lng_file_write(scratch_path("m/source.spm"), "piecez", 6));
    check_fails(lng_hf_load(path, &loaded), LNG_ERR_MISMATCH, "source.spm");
    json_object_set_new(config, "transformers_version", json_string("4.0"));
    put_config(path, config);
    check_ok(lng_hf_load(path, &loaded));
    cr_assert(strstr(loaded.warnings.data, "source.spm: was changed by another program"));
    lng_model_data_release(&loaded);
    lng_model_data_release(&saved);
    json_decref(config);
}

Test(hf, tensors_in_several_files)
{
    struct lng_hparams h = small();
    struct lng_model_data saved = random_data(&h, 1), loaded;
    const char *path = scratch_path("m");
    save_data(path, &saved, LNG_DTYPE_F32);
    rewrite(path, &(struct edit){0});
    cr_assert(rename(scratch_path("m/model.safetensors"), scratch_path("m/part-1.safetensors")) ==
              0);
    check_fails(lng_hf_load(path, &loaded), LNG_ERR_IO, "model.safetensors");
    static const char index[] = "{\"weight_map\": {\"a\": \"part-1.safetensors\", \"b\": "
                                "\"part-1.safetensors\"}}";
    static const char away[] = "{\"weight_map\": {\"a\": \"../part-1.safetensors\"}}";
    const char *index_path = scratch_path("m/model.safetensors.index.json");
    check_ok(lng_file_write(index_path, index, sizeof index - 1));
    check_ok(lng_hf_load(path, &loaded));
    cr_assert(data_distance(&saved, &loaded) == 0);
    lng_model_data_release(&loaded);
    check_ok(lng_file_write(index_path, away, sizeof away - 1));
    check_fails(lng_hf_load(path, &loaded), LNG_ERR_FORMAT, "same folder");
    check_ok(lng_remove_tree(index_path));
    check_ok(lng_file_write(scratch_path("m/pytorch_model.bin"), "PK", 2));
    check_fails(lng_hf_load(path, &loaded), LNG_ERR_UNSUPPORTED, "Python pickle");
    lng_model_data_release(&saved);
}

Test(hf, memory_may_run_out_anywhere)
{
    struct lng_hparams h = small();
    struct lng_model_data saved = random_data(&h, 1), loaded;
    const char *path = scratch_path("m");
    save_data(path, &saved, LNG_DTYPE_BF16);
    struct failing_memory memory = {0};
    while (failing_memory_try(&memory))
        failing_memory_check(&memory, lng_hf_load(path, &loaded));
    cr_assert(memory.tries > 50, "only %zu allocations", memory.tries);
    lng_model_data_release(&loaded);
    lng_model_data_release(&saved);
}
