/* Model directories that lingster wrote, computed by transformers: the same logits and the same greedy
 * outputs. Skipped without a Python that has torch and transformers (LNG_PEER_PYTHON names one). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/infer/decode.h"
#include "host/store/json.h"
#include "host/store/model_dir.h"
#include "tests/support/check.h"
#include "tests/support/peer.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

enum { SENTENCES = 200, LONGEST = 9, STEPS = 12, VOCABULARY = 50, FIRST_WORD = 4 };

static void setup(void)
{
    scratch_make();
}

TestSuite(hf_transformers, .init = setup, .fini = scratch_remove);

static struct lng_hparams base(void)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = VOCABULARY;
    h.dim = 32;
    h.encoder_layers = 2;
    h.decoder_layers = 3;
    h.encoder_heads = 4;
    h.decoder_heads = 8;
    h.encoder_ffn = 48;
    h.decoder_ffn = 40;
    h.max_positions = 64;
    h.pad = VOCABULARY - 1;
    return h;
}

static const char *const names[] = {"tie-all",     "tie-target",   "tie-none",
                                    "positions-a", "positions-c",  "learned",
                                    "pre-norm",    "gelu-no-bias", "start-with-eos"};
enum { MODELS = sizeof names / sizeof names[0] };

static struct lng_hparams hparams_of(int which)
{
    struct lng_hparams h = base();
    switch (which) {
    case 0:
        break;
    case 1:
        h.tie = LNG_TIE_TARGET;
        h.source_vocab = VOCABULARY + 7;
        h.activation = LNG_ACTIVATION_SWISH;
        break;
    case 2:
        h.tie = LNG_TIE_NONE;
        h.scale_embedding = false;
        break;
    case 3:
        h.positions = LNG_POSITIONS_A;
        break;
    case 4:
        h.positions = LNG_POSITIONS_C;
        h.activation = LNG_ACTIVATION_GELU_TANH;
        break;
    case 5:
        h.positions = LNG_POSITIONS_LEARNED;
        h.activation = LNG_ACTIVATION_GELU_SIGMOID;
        break;
    case 6:
        h.pre_norm = true;
        h.positions = LNG_POSITIONS_A;
        h.pad = 1;
        h.position_offset = 2;
        h.eos = h.source_eos = h.decoder_start = 2;
        h.unk = 3;
        h.output_bias = false;
        break;
    case 7:
        h.output_bias = false;
        h.activation = LNG_ACTIVATION_GELU;
        break;
    default:
        h.decoder_start = h.eos;
        break;
    }
    return h;
}

/* Packed random sentences, each ended by `eos`. */
struct sentences {
    int32_t ids[SENTENCES * (LONGEST + 1)], offsets[SENTENCES + 1];
};

static void make_sentences(struct sentences *to, uint32_t seed, int32_t eos)
{
    to->offsets[0] = 0;
    for (uint32_t s = 0; s < SENTENCES; s++) {
        int32_t at = to->offsets[s];
        struct lng_philox random = lng_philox4x32(s, 0, 0, 0, seed, 1);
        for (uint32_t i = 0; i <= random.word[0] % LONGEST; i++) {
            struct lng_philox word = lng_philox4x32(s, i, 1, 0, seed, 1);
            to->ids[at++] = FIRST_WORD + (int32_t)(word.word[0] % (VOCABULARY - 1 - FIRST_WORD));
        }
        to->ids[at++] = eos;
        to->offsets[s + 1] = at;
    }
}

static json_t *list_of(const int32_t *ids, int32_t count)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static json_t *lists_of(const struct sentences *sentences)
{
    json_t *lists = json_array();
    for (int s = 0; s < SENTENCES; s++)
        json_array_append_new(lists, list_of(sentences->ids + sentences->offsets[s],
                                             sentences->offsets[s + 1] - sentences->offsets[s]));
    return lists;
}

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    const struct lng_hypothesis *best = &result->hypotheses[0];
    json_array_set_new(context, (size_t)result->index, list_of(best->tokens, best->length));
    return LNG_OK;
}

static json_t *greedy_of(struct lng_model *model, const struct sentences *source)
{
    struct lng_search_options options = lng_search_options_default();
    struct lng_search_input inputs[SENTENCES] = {{0}};
    struct lng_search *search;
    json_t *outputs = json_array();
    options.allow_unk = true;
    options.beam.beam = options.beam.n_best = 1;
    options.beam.limit = LNG_BEAM_LIMIT_CUT;
    options.beam.max_factor = 0;
    options.beam.max_extra = STEPS;
    for (int s = 0; s < SENTENCES; s++) {
        inputs[s].source = source->ids + source->offsets[s];
        inputs[s].source_length = source->offsets[s + 1] - source->offsets[s];
        json_array_append_new(outputs, json_null());
    }
    check_ok(lng_search_open(model, &options, &search));
    check_ok(lng_search_run(search, inputs, SENTENCES, keep, outputs));
    lng_search_close(search);
    return outputs;
}

static void write_logits(struct lng_model *model, const struct sentences *source,
                         const struct sentences *target, const char *path)
{
    int32_t rows = target->offsets[SENTENCES];
    struct lng_batch_limits limits = {
        .source_rows = source->offsets[SENTENCES], .target_rows = rows, .sentences = SENTENCES};
    struct lng_workspace *workspace;
    size_t count = (size_t)rows * (size_t)model->hparams.target_vocab;
    float *logits = lng_alloc(count, sizeof *logits);
    check_ok(lng_workspace_open(model, &limits, &workspace));
    check_ok(lng_model_logits(
        model, workspace,
        &(struct lng_sequences){.ids = source->ids, .offsets = source->offsets, .count = SENTENCES},
        &(struct lng_sequences){.ids = target->ids, .offsets = target->offsets, .count = SENTENCES},
        logits));
    check_alive(logits, count);
    check_ok(lng_file_write(path, logits, count * sizeof *logits));
    lng_workspace_close(workspace);
    lng_free(logits);
}

/* Writes model, cases and lingster's answers; lng_free the folder's path. */
static char *prepare(int which, struct lng_device *device)
{
    static struct sentences source, target;
    struct lng_hparams h = hparams_of(which);
    struct lng_model_data data = random_data(&h, (uint32_t)which);
    struct lng_model model;
    char *folder = lng_strdup(scratch_path(names[which])), *path = lng_path_join(folder, "model");
    save_data(path, &data, LNG_DTYPE_F32);
    lng_free(path);
    make_sentences(&source, 2 * (uint32_t)which, h.source_eos);
    make_sentences(&target, 2 * (uint32_t)which + 1, h.eos);
    check_ok(lng_model_init(&model, device, &h, LNG_DTYPE_F32, false));
    check_ok(lng_model_set_values(&model, data.values));
    path = lng_path_join(folder, "logits.f32");
    write_logits(&model, &source, &target, path);
    lng_free(path);
    json_t *cases = json_object();
    check_ok(lng_json_set(cases, "sources", lists_of(&source)));
    check_ok(lng_json_set(cases, "targets", lists_of(&target)));
    check_ok(lng_json_set(cases, "greedy", greedy_of(&model, &source)));
    check_ok(lng_json_set(cases, "max_new_tokens", json_integer(STEPS)));
    path = lng_path_join(folder, "cases.json");
    check_ok(lng_json_write(path, cases));
    lng_free(path);
    json_decref(cases);
    lng_model_release(&model);
    lng_model_data_release(&data);
    return folder;
}

/* What transformers saved is the same model. A learned table it drops when it saves a Marian model. */
static void check_again(const char *folder, int which)
{
    struct lng_hparams h = hparams_of(which);
    struct lng_model_data data = random_data(&h, (uint32_t)which), again;
    char *path = lng_path_join(folder, "again");
    enum lng_status status = lng_hf_load(path, &again);
    if (h.positions == LNG_POSITIONS_LEARNED) {
        cr_assert(status == LNG_ERR_FORMAT, "%s: %s", names[which], lng_error_message());
    } else {
        cr_assert(status == LNG_OK, "%s: %s", names[which], lng_error_message());
        check_ok(lng_hparams_agree(&h, "ours", &again.hparams, "theirs"));
        cr_assert(data_distance(&data, &again) == 0, "%s", names[which]);
        lng_model_data_release(&again);
    }
    lng_free(path);
    lng_model_data_release(&data);
}

Test(hf_transformers, computes_the_same, .timeout = 400)
{
    char *python = lng_strdup(peer_python("torch, transformers"));
    char *script = peer_script("scripts/check-transformers.py");
    char *arguments[MODELS + 3] = {python, script};
    struct lng_buffer text = {0};
    struct lng_device *device;
    check_ok(lng_device_open("cpu", NULL, &device));
    for (int i = 0; i < MODELS; i++)
        arguments[i + 2] = prepare(i, device);
    lng_device_close(device);
    int status = peer_run(arguments, &text);
    cr_assert(status == 0, "exit status %d:\n%s", status, text.data);
    int agreed = 0;
    for (const char *at = text.data; (at = strstr(at, "ok: ")); at += 4)
        agreed++;
    cr_assert(agreed == MODELS, "%d of %d:\n%s", agreed, (int)MODELS, text.data);
    if (getenv("LNG_TEST_VERBOSE"))
        printf("%s", text.data);
    for (int i = 0; i < MODELS; i++) {
        check_again(arguments[i + 2], i);
        lng_free(arguments[i + 2]);
    }
    lng_free(python);
    lng_free(script);
    lng_buffer_release(&text);
}
