/* What --compat changes in a model and in a search, and what generation_config.json may say. */
#include "host/infer/compat.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/decode.h"
#include "host/store/import.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

/* ---- generation_config.json ---- */

static enum lng_status parse(const char *text, struct lng_hf_generation *generation)
{
    struct lng_hparams h = tiny_hparams();
    json_t *root;
    check_ok(lng_json_parse("g.json", text, strlen(text), &root));
    enum lng_status status = lng_hf_generation_parse(root, "g.json", &h, generation);
    json_decref(root);
    return status;
}

Test(compat, generation_is_read)
{
    struct lng_hf_generation g;
    check_ok(parse("{}", &g));
    cr_assert(g.beams == 0 && g.max_tokens == 0 && g.min_tokens == 0 && g.length_penalty == 1);
    cr_assert(g.forced_bos == -1 && !g.forced_eos && g.banned_count == 0);
    check_ok(
        parse("{\"num_beams\":6,\"max_length\":512,\"min_length\":3,\"early_stopping\":\"never\","
              "\"length_penalty\":-0.5,\"forced_bos_token_id\":4,\"forced_eos_token_id\":0,"
              "\"eos_token_id\":[0],\"bad_words_ids\":[[18],[7],[0]],\"suppress_tokens\":[5],"
              "\"do_sample\":false,\"repetition_penalty\":1.0,\"stop_strings\":null,"
              "\"transformers_version\":\"5\"}",
              &g));
    cr_assert(g.beams == 6 && g.max_tokens == 511 && g.min_tokens == 3 && g.length_penalty == -0.5);
    cr_assert(g.early_stopping == LNG_HF_STOPPING_NEVER && g.forced_bos == 4 && g.forced_eos);
    cr_assert(g.banned_count == 3 && g.banned[0] == 18 && g.banned[1] == 7 && g.banned[2] == 5);
    lng_hf_generation_release(&g);
    check_ok(parse("{\"max_length\":20,\"max_new_tokens\":7,\"min_new_tokens\":2,"
                   "\"early_stopping\":true}",
                   &g));
    cr_assert(g.max_tokens == 7 && g.min_tokens == 3 && g.early_stopping == LNG_HF_STOPPING_TRUE);
}

Test(compat, generation_that_cannot_be_done_is_refused)
{
    static const struct {
        const char *text;
        enum lng_status code;
        const char *part;
    } cases[] = {
        {"{\"do_sample\":true}", LNG_ERR_UNSUPPORTED, "do_sample"},
        {"{\"no_repeat_ngram_size\":3}", LNG_ERR_UNSUPPORTED, "no_repeat_ngram_size"},
        {"{\"repetition_penalty\":\"x\"}", LNG_ERR_UNSUPPORTED, "repetition_penalty"},
        {"{\"stop_strings\":[\"a\"]}", LNG_ERR_UNSUPPORTED, "stop_strings"},
        {"{\"early_stopping\":\"soon\"}", LNG_ERR_UNSUPPORTED, "early_stopping"},
        {"{\"eos_token_id\":[0,1]}", LNG_ERR_UNSUPPORTED, "eos_token_id"},
        {"{\"forced_eos_token_id\":3}", LNG_ERR_UNSUPPORTED, "forced_eos_token_id"},
        {"{\"suppress_tokens\":[0]}", LNG_ERR_UNSUPPORTED, "suppress_tokens"},
        {"{\"bad_words_ids\":[[7,8]]}", LNG_ERR_UNSUPPORTED, "bad_words_ids"},
        {"{\"bad_words_ids\":7}", LNG_ERR_UNSUPPORTED, "bad_words_ids"},
        {"{\"bad_words_ids\":[[19]]}", LNG_ERR_RANGE, "from 0 to 18"},
        {"{\"bad_words_ids\":[[7],[\"x\"]]}", LNG_ERR_RANGE, "bad_words_ids"},
        {"{\"num_beams\":0}", LNG_ERR_RANGE, "num_beams"},
        {"{\"num_beams\":\"x\"}", LNG_ERR_FORMAT, "num_beams"},
        {"{\"max_length\":1}", LNG_ERR_RANGE, "max_length"},
        {"{\"length_penalty\":1e9}", LNG_ERR_RANGE, "length_penalty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lng_hf_generation g = {.beams = 77};
        check_fails(parse(cases[i].text, &g), cases[i].code, cases[i].part);
        cr_assert(g.beams == 77, "untouched on failure");
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(compat, generation_from_a_folder)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_hf_generation g;
    scratch_make();
    check_ok(lng_hf_generation_read(scratch_path("."), &h, &g));
    cr_assert(g.beams == 0 && g.length_penalty == 1);
    scratch_write("config.json", "{\"num_beams\":3}", 15);
    check_ok(lng_hf_generation_read(scratch_path("."), &h, &g));
    cr_assert(g.beams == 3);
    scratch_write("generation_config.json", "{\"max_length\":9}", 16);
    check_ok(lng_hf_generation_read(scratch_path("."), &h, &g));
    cr_assert(g.beams == 0 && g.max_tokens == 8, "the newer file alone counts");
    scratch_write("generation_config.json", "[", 1);
    check_fails(lng_hf_generation_read(scratch_path("."), &h, &g), LNG_ERR_FORMAT,
                "generation_config.json");
    scratch_remove();
}

/* ---- the model ---- */

static void check_model(enum lng_opt_compat compat, enum lng_origin origin,
                        enum lng_positions positions, double epsilon, float pad)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_model_data data;
    struct lng_buffer choices = {0};
    h.positions = origin == LNG_ORIGIN_MARIAN ? LNG_POSITIONS_A : LNG_POSITIONS_B;
    h.norm_epsilon = origin == LNG_ORIGIN_MARIAN ? 1e-6 : 1e-5;
    h.output_bias = true;
    check_ok(lng_model_data_init(&data, &h));
    data.origin = origin;
    float *bias = data.values + lng_params_find(&data.params, LNG_PARAM_OUTPUT_BIAS, -1)->offset;
    bias[h.pad] = origin == LNG_ORIGIN_MARIAN ? LNG_IMPORT_NEVER : 0.25f;
    float before = bias[h.pad];
    check_ok(lng_compat_model(compat, &data, &choices));
    cr_assert(data.hparams.positions == positions && data.hparams.norm_epsilon == epsilon,
              "%d of %d: %d %g", compat, origin, data.hparams.positions, data.hparams.norm_epsilon);
    cr_assert(bias[h.pad] == pad, "%d of %d: %g", compat, origin, (double)bias[h.pad]);
    bool changed = positions != h.positions || epsilon != h.norm_epsilon || pad != before;
    cr_assert((choices.length > 0) == changed, "%s", choices.data);
    lng_buffer_release(&choices);
    lng_model_data_release(&data);
}

Test(compat, a_model_as_the_toolkit_has_it)
{
    const enum lng_positions a = LNG_POSITIONS_A, b = LNG_POSITIONS_B;
    const float never = LNG_IMPORT_NEVER;
    check_model(LNG_OPT_COMPAT_NONE, LNG_ORIGIN_MARIAN, a, 1e-6, never);
    check_model(LNG_OPT_COMPAT_MARIAN, LNG_ORIGIN_MARIAN, a, 1e-6, never);
    check_model(LNG_OPT_COMPAT_CTRANSLATE2, LNG_ORIGIN_MARIAN, b, 1e-5, never);
    check_model(LNG_OPT_COMPAT_HF, LNG_ORIGIN_MARIAN, b, 1e-5, 0);
    check_model(LNG_OPT_COMPAT_NONE, LNG_ORIGIN_TRANSFORMERS, b, 1e-5, 0.25f);
    check_model(LNG_OPT_COMPAT_MARIAN, LNG_ORIGIN_TRANSFORMERS, a, 1e-6, never);
    check_model(LNG_OPT_COMPAT_CTRANSLATE2, LNG_ORIGIN_TRANSFORMERS, b, 1e-5, never);
    check_model(LNG_OPT_COMPAT_HF, LNG_ORIGIN_TRANSFORMERS, b, 1e-5, 0.25f);
    for (int compat = 0; compat < 4; compat++)
        check_model((enum lng_opt_compat)compat, LNG_ORIGIN_LINGSTER, b, 1e-5, 0.25f);
}

/* ---- Marian's pre-norm decoder ---- */

enum { SENTENCES = 12, LONGEST = 40 };

struct outputs {
    int32_t tokens[SENTENCES][LONGEST];
    float logprobs[SENTENCES][LONGEST];
    int length[SENTENCES];
};

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct outputs *to = context;
    const struct lng_hypothesis *best = &result->hypotheses[0];
    cr_assert(best->length <= LONGEST);
    to->length[result->index] = best->length;
    memcpy(to->tokens[result->index], best->tokens, (size_t)best->length * sizeof(int32_t));
    memcpy(to->logprobs[result->index], best->logprobs, (size_t)best->length * sizeof(float));
    return LNG_OK;
}

static void search_all(struct lng_model *model, int64_t sentences_at_once, struct outputs *to)
{
    struct lng_search_options o = lng_search_options_default();
    struct tiny_corpus corpus = tiny_corpus_make(SENTENCES, 9, 4);
    struct lng_search_input inputs[SENTENCES];
    struct lng_search *search;
    o.beam.max_factor = 0;
    o.beam.max_extra = LONGEST;
    o.batch_sentences = sentences_at_once;
    for (int i = 0; i < SENTENCES; i++)
        inputs[i] = (struct lng_search_input){
            .source = corpus.ids + corpus.offsets[i],
            .source_length = corpus.offsets[i + 1] - corpus.offsets[i],
        };
    memset(to, 0, sizeof *to);
    check_ok(lng_search_open(model, &o, &search));
    check_ok(lng_search_run(search, inputs, SENTENCES, keep, to));
    lng_search_close(search);
    tiny_corpus_release(&corpus);
}

/* Weights of keys and values that see nothing of the input: then it makes no difference whether it was normalised. */
static void blind_keys(struct lng_model *model)
{
    float *values = lng_alloc((size_t)model->params.total, sizeof *values);
    check_ok(lng_model_get_values(model, values));
    for (int32_t l = 0; l < model->hparams.decoder_layers; l++) {
        const struct lng_param *qkv = lng_params_find(&model->params, LNG_PARAM_DEC_QKV_W, l);
        int64_t square = (int64_t)model->hparams.dim * model->hparams.dim;
        memset(values + qkv->offset + square, 0, (size_t)(2 * square) * sizeof *values);
    }
    check_ok(lng_model_set_values(model, values));
    lng_free(values);
}

Test(compat, keys_that_were_not_normalised)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_device *device;
    struct lng_model model;
    static struct outputs plain, raw, alone;
    h.pre_norm = true;
    check_ok(lng_device_open("cpu", NULL, &device));
    tiny_model_init(&model, device, &h, 3, 0.7f);
    search_all(&model, 0, &plain);
    lng_compat_decoder(LNG_OPT_COMPAT_HF, &model);
    cr_assert(!model.raw_decoder_keys);
    lng_compat_decoder(LNG_OPT_COMPAT_MARIAN, &model);
    cr_assert(model.raw_decoder_keys);
    search_all(&model, 0, &raw);
    search_all(&model, 1, &alone);
    cr_assert(memcmp(&raw, &alone, sizeof raw) == 0, "whatever sentences are beside it");
    int different = 0;
    for (int i = 0; i < SENTENCES; i++) {
        bool same = plain.tokens[i][0] == raw.tokens[i][0];
        cr_assert(!same || plain.logprobs[i][0] == raw.logprobs[i][0], "the first step is alike");
        different += memcmp(plain.logprobs[i], raw.logprobs[i], sizeof raw.logprobs[i]) != 0;
    }
    cr_assert(different > SENTENCES / 2, "%d", different);
    blind_keys(&model);
    search_all(&model, 0, &raw);
    model.raw_decoder_keys = false;
    search_all(&model, 0, &plain);
    cr_assert(memcmp(&raw, &plain, sizeof raw) == 0, "blind keys");
    lng_model_release(&model);
    lng_device_close(device);
}

/* What is left out of the normaliser leaves more for the others. */
Test(compat, banned_before_the_softmax)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_device *device;
    struct lng_model model;
    struct lng_search *search;
    static const int32_t source[] = {5, 9, 3, TINY_EOS}, banned[] = {4, 6, 7};
    struct lng_search_input input = {.source = source, .source_length = 4};
    static struct outputs after, before;
    check_ok(lng_device_open("cpu", NULL, &device));
    tiny_model_init(&model, device, &h, 5, 0.7f);
    struct lng_search_options o = lng_search_options_default();
    o.banned = banned;
    o.banned_count = 3;
    o.beam.beam = 1;
    o.beam.min_length = 2;
    o.beam.max_extra = LONGEST - 12;
    check_ok(lng_search_open(&model, &o, &search));
    check_ok(lng_search_run(search, &input, 1, keep, &after));
    lng_search_close(search);
    o.renormalise = true;
    check_ok(lng_search_open(&model, &o, &search));
    check_ok(lng_search_run(search, &input, 1, keep, &before));
    lng_search_close(search);
    cr_assert(after.length[0] == before.length[0] && before.length[0] >= 2);
    for (int t = 0; t < before.length[0]; t++)
        cr_assert(after.tokens[0][t] == before.tokens[0][t] &&
                  after.logprobs[0][t] < before.logprobs[0][t]);
    lng_model_release(&model);
    lng_device_close(device);
}

/* A pair of 200 tokens under families A and B: the further on, the more they differ. */
Test(compat, position_families_drift_apart)
{
    enum { LENGTH = 200 };
    static float logprobs[2][LENGTH];
    int32_t ids[LENGTH];
    const int32_t offsets[] = {0, LENGTH};
    struct lng_sequences pair = {.ids = ids, .offsets = offsets, .count = 1};
    struct lng_device *device;
    for (int i = 0; i < LENGTH; i++)
        ids[i] = i == LENGTH - 1 ? TINY_EOS : 2 + (i * i + 3 * i) % 15;
    check_ok(lng_device_open("cpu", NULL, &device));
    for (int family = 0; family < 2; family++) {
        struct lng_hparams h = tiny_hparams();
        struct lng_model model;
        struct lng_workspace *workspace;
        h.positions = family == 0 ? LNG_POSITIONS_A : LNG_POSITIONS_B;
        tiny_model_init(&model, device, &h, 8, 0);
        struct lng_batch_limits limits = {
            .source_rows = LENGTH, .target_rows = LENGTH, .sentences = 1};
        check_ok(lng_workspace_open(&model, &limits, &workspace));
        check_ok(lng_model_score(&model, workspace, &pair, &pair, logprobs[family], NULL));
        lng_workspace_close(workspace);
        lng_model_release(&model);
    }
    double sum[2] = {0, 0};
    for (int i = 0; i < LENGTH; i++)
        sum[i >= LENGTH / 2] += fabs((double)logprobs[0][i] - (double)logprobs[1][i]);
    cr_assert(logprobs[0][0] != logprobs[1][0] || sum[0] > 0);
    cr_assert(sum[1] > sum[0] && sum[1] > 1, "%g, then %g", sum[0], sum[1]);
    lng_device_close(device);
}
