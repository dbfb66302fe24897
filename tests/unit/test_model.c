/* Shapes, names, position tables, refusals, and the decoder step against the whole-sequence decoder. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/model/model.h"
#include "host/model/positions.h"
#include "tests/support/check.h"
#include "tests/support/cpu_variants.h"
#include "tests/support/tiny_model.h"

Test(hparams, each_limit_is_named)
{
    struct lng_hparams good = tiny_hparams();
    check_ok(lng_hparams_check(&good));
    const struct {
        int32_t *field;
        int32_t value;
        const char *message;
    } bad[] = {
        {&good.dim, 0, "dim"},
        {&good.dim, 15, "even"},
        {&good.encoder_layers, 0, "encoder layers"},
        {&good.decoder_layers, -1, "decoder layers"},
        {&good.encoder_heads, 3, "divide"},
        {&good.encoder_ffn, 0, "feed-forward"},
        {&good.source_vocab, 1, "vocabulary"},
        {&good.target_vocab, TINY_V + 1, "one vocabulary"},
        {&good.eos, TINY_V, "eos"},
        {&good.pad, TINY_V, "pad"},
        {&good.decoder_start, -2, "start"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int32_t kept = *bad[i].field;
        *bad[i].field = bad[i].value;
        cr_assert(lng_hparams_check(&good) != LNG_OK, "%s = %d passed", bad[i].message,
                  bad[i].value);
        cr_assert(strstr(lng_error_message(), bad[i].message) != NULL, "'%s' not in '%s'",
                  bad[i].message, lng_error_message());
        *bad[i].field = kept;
    }
}

Test(params, layout_covers_the_buffer_once)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_params params;
    check_ok(lng_params_init(&params, &h));
    int64_t end = 0, names = 0;
    for (size_t i = 0; i < params.count; i++) {
        const struct lng_param *p = &params.list[i];
        cr_assert(p->offset >= end && p->offset - end < 64 && p->offset % 64 == 0);
        end = p->offset + p->rows * p->cols;
        cr_assert(p->decay == (p->offset < params.decayed));
        cr_assert(lng_params_find(&params, p->id, p->layer) == p);
        names += p->parts;
    }
    cr_assert(end <= params.total && params.total - end < 64);
    /* 16 tensors an encoder layer, 26 a decoder layer, embedding and output bias. */
    cr_assert(names == 16 * h.encoder_layers + 26 * h.decoder_layers + 1 + h.output_bias);
    const struct lng_param *kv = lng_params_find(&params, LNG_PARAM_DEC_CROSS_KV_W, 1);
    cr_assert_str_eq(kv->name, "decoder.1.cross_kv.weight");
    cr_assert_str_eq(kv->hf[1], "model.decoder.layers.1.encoder_attn.v_proj.weight");
    cr_assert(lng_params_find(&params, LNG_PARAM_OUTPUT, -1) == NULL);
    cr_assert(lng_params_find(&params, LNG_PARAM_ENC_QKV_W, 99) == NULL);
    lng_params_release(&params);
}

Test(positions, families_by_formula)
{
    enum { D = 16, ROWS = 200 };
    static float table[ROWS * D];
    for (int family = LNG_POSITIONS_A; family <= LNG_POSITIONS_C; family++) {
        lng_positions_fill(table, ROWS, D, (enum lng_positions)family);
        for (int p = 0; p < ROWS; p += 7)
            for (int k = 0; k < D / 2; k++) {
                double exponent = family == LNG_POSITIONS_A ? k / (D / 2 - 1.0) : 2.0 * k / D;
                double angle = p * pow(10000, -exponent);
                int s = family == LNG_POSITIONS_C ? 2 * k : k,
                    c = family == LNG_POSITIONS_C ? s + 1 : D / 2 + k;
                cr_assert(fabs((double)table[p * D + s] - sin(angle)) < 3e-5);
                cr_assert(fabs((double)table[p * D + c] - cos(angle)) < 3e-5);
            }
    }
}

/* One variant of the architecture by number. */
static struct lng_hparams variant(int index)
{
    struct lng_hparams h = tiny_hparams();
    h.pre_norm = index & 1;
    if (index & 2) {
        h.tie = LNG_TIE_NONE;
        h.norm = LNG_NORM_RMS;
        h.activation = LNG_ACTIVATION_GELU;
        h.decoder_ffn = 24;
    }
    if (index & 4) {
        h.positions = LNG_POSITIONS_LEARNED;
        h.decoder_start = 0;
        h.attention_score = LNG_ATTENTION_ADDITIVE;
        h.attention_scaled = false;
    }
    return h;
}

enum { T = 7, S = 5, LONGEST = 8 };

/* Decodes one sentence step by step with given inputs and compares each step's logits. */
static void check_steps(struct lng_device *device, int index)
{
    struct lng_hparams h = variant(index);
    struct lng_model model;
    tiny_model_init(&model, device, &h, 31 + (uint64_t)index, 0);
    static const int32_t source_ids[S] = {3, 9, 2, 14, 0}, target_ids[T] = {5, 5, 12, 3, 2, 16, 0};
    static const int32_t source_offsets[2] = {0, S}, target_offsets[2] = {0, T};
    struct lng_sequences source = {source_ids, source_offsets, NULL, 1},
                         target = {target_ids, target_offsets, NULL, 1};
    struct lng_batch_limits limits = {.source_rows = S, .target_rows = T, .sentences = 1};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&model, &limits, &workspace));
    static float want[T * TINY_V], got[TINY_V];
    check_ok(lng_model_logits(&model, workspace, &source, &target, want));
    struct lng_view encoded;
    check_ok(lng_model_encode(&model, workspace, &source, &encoded));
    struct lng_layer_cache caches[2];
    void *blocks[2], *logits, *memory;
    size_t item = lng_dtype_size(model.activation), d = (size_t)h.dim;
    for (int l = 0; l < 2; l++) {
        check_ok(lng_device_alloc(device, (2 * LONGEST + 2 * S) * d * item, &blocks[l]));
        char *base = blocks[l];
        caches[l].self_k = lng_view_make(base, model.activation, LONGEST, h.dim);
        caches[l].self_v =
            lng_view_make(base + LONGEST * d * item, model.activation, LONGEST, h.dim);
        struct lng_view cross =
            lng_view_make(base + 2 * LONGEST * d * item, model.activation, S, 2 * h.dim);
        caches[l].cross_k = lng_view_cols(cross, 0, h.dim);
        caches[l].cross_v = lng_view_cols(cross, h.dim, h.dim);
    }
    check_ok(
        lng_decoder_project_source(&model, encoded, caches, 0, &(struct lng_source_scratch){0}));
    check_ok(lng_device_alloc(device, TINY_V * item, &logits));
    check_ok(lng_device_alloc(device, (5 + LONGEST) * sizeof(int32_t), &memory));
    struct lng_step_scratch *scratch;
    check_ok(lng_step_scratch_open(&model, 1, &scratch));
    for (int32_t t = 0; t < T; t++) {
        int32_t host[5 + LONGEST] = {t == 0 ? h.decoder_start : target_ids[t - 1],
                                     t + h.position_offset, t + 1, 0, S};
        check_ok(lng_device_write(device, memory, host, sizeof host));
        int32_t *device_integers = memory;
        struct lng_decoder_step_args args = {
            .rows = 1,
            .ids = device_integers,
            .positions = device_integers + 1,
            .self_count = device_integers + 2,
            .cross_start = device_integers + 3,
            .cross_count = device_integers + 4,
            .ancestor = device_integers + 5,
            .ancestor_stride = LONGEST,
            .slots = 1,
            .caches = caches,
            .logits = lng_view_make(logits, model.activation, 1, TINY_V)};
        check_ok(lng_decoder_step(&model, scratch, &args));
        check_ok(lng_device_read(device, got, logits, sizeof got));
        check_close(got, want + t * TINY_V, (size_t)TINY_V, 1e-4, 1e-4);
    }
    lng_step_scratch_close(scratch);
    lng_workspace_close(workspace);
    for (int l = 0; l < 2; l++)
        lng_device_free(device, blocks[l]);
    lng_device_free(device, logits);
    lng_device_free(device, memory);
    lng_model_release(&model);
}

Test(decoder_step, equals_the_whole_sequence_in_every_variant)
{
    const char *names[] = {"ref", "cpu"};
    for (int n = 0; n < 2; n++) {
        struct lng_device *device;
        check_ok(lng_device_open(names[n], NULL, &device));
        for (int index = 0; index < 8; index++)
            check_steps(device, index);
        lng_device_close(device);
    }
}

/* With N rows, width D, F wide feed-forward layers, H heads, a bytes an activation and r a real, an encoder layer keeps
 *   N (6 D + F) a + (H + 2) N r,  and N (2 D a + 2 r) of its output,
 * a decoder layer, of Nt rows to Ns of the source,
 *   Nt (10 D + F) a + 2 Ns D a + (2 H + 4) Nt r,  and the same of its output.
 * Recomputing, all layers of a stack share the first, and of their outputs all but y, N D a (post-norm; in pre-norm models
 * the sum goes on too). Sizes here are whole multiples of the memory's alignment. */
Test(workspace, plans_less_where_layers_are_computed_again)
{
    enum { LAYERS = 6, D = 64, F = 192, H = 2, NS = 128, NT = 192 };
    static const enum lng_dtype types[] = {LNG_DTYPE_F32, LNG_DTYPE_BF16};
    struct lng_device *device;
    check_ok(lng_device_open("cpu", NULL, &device));
    for (int i = 0; i < (cpu_has_bf16() ? 4 : 2); i++) {
        struct lng_hparams h = tiny_hparams();
        h.pre_norm = i % 2;
        h.dim = D;
        h.encoder_layers = h.decoder_layers = LAYERS;
        h.encoder_heads = h.decoder_heads = H;
        h.encoder_ffn = h.decoder_ffn = F;
        struct lng_model model;
        check_ok(lng_model_init(&model, device, &h, types[i / 2], true));
        struct lng_batch_limits limits = {
            .source_rows = NS, .target_rows = NT, .sentences = 8, .backward = true};
        const size_t whole = lng_workspace_plan(&model, &limits);
        limits.recompute = true;
        const size_t less = lng_workspace_plan(&model, &limits);
        const size_t a = lng_dtype_size(model.activation), r = sizeof(float);
        const size_t encoder = NS * (6 * D + F) * a + (H + 2) * NS * r;
        const size_t decoder = NT * (10 * D + F) * a + 2 * NS * D * a + (2 * H + 4) * NT * r;
        const size_t outputs = h.pre_norm ? 0 : (NS + NT) * (D * a + 2 * r);
        cr_assert_eq(whole - less, (LAYERS - 1) * (encoder + decoder + outputs), "%d: %zu, %zu", i,
                     whole, less);
        cr_assert(less < whole / 2, "%d: %zu of %zu", i, less, whole);
        lng_model_release(&model);
    }
    lng_device_close(device);
}

Test(workspace, refuses_what_it_was_not_planned_for)
{
    struct lng_device *device;
    struct lng_model model;
    struct lng_hparams h = tiny_hparams();
    check_ok(lng_device_open("ref", NULL, &device));
    tiny_model_init(&model, device, &h, 1, 0);
    struct lng_batch_limits limits = {.source_rows = 4, .target_rows = 4, .sentences = 1};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&model, &limits, &workspace));
    cr_assert(lng_workspace_plan(&model, &limits) > 0);
    struct lng_batch_limits larger = limits;
    larger.target_rows = 400;
    cr_assert(lng_workspace_plan(&model, &larger) > lng_workspace_plan(&model, &limits));
    int32_t ids[8] = {3, 4, 0, 3, 4, 5, 6, 0}, offsets[3] = {0, 3, 8};
    struct lng_sequences two = {ids, offsets, NULL, 2}, one = {ids, offsets, NULL, 1};
    struct lng_loss_sums sums;
    check_fails(lng_model_score(&model, workspace, &two, &two, NULL, &sums), LNG_ERR_MEMORY,
                "planned");
    check_fails(lng_model_score(&model, workspace, &two, &one, NULL, &sums), LNG_ERR_SHAPE,
                "targets");
    ids[1] = TINY_V;
    check_fails(lng_model_score(&model, workspace, &one, &one, NULL, &sums), LNG_ERR_RANGE,
                "outside the vocabulary");
    ids[1] = -1;
    check_fails(lng_model_score(&model, workspace, &one, &one, NULL, &sums), LNG_ERR_RANGE, "-1");
    ids[1] = 4;
    check_ok(lng_model_score(&model, workspace, &one, &one, NULL, &sums));
    cr_assert(sums.tokens == 3 && sums.nll > 0);
    struct lng_regularization none = {0};
    check_fails(lng_model_train(&model, workspace, &one, &one, &none, &sums), LNG_ERR_USAGE,
                "training");
    check_fails(lng_model_zero_gradients(&model), LNG_ERR_USAGE, "training");
    lng_workspace_close(workspace);
    lng_model_release(&model);
    lng_device_close(device);
}

/* A sentence's loss does not depend on its company: packed rows, no padding. */
Test(model, a_sentence_does_not_see_its_neighbours)
{
    struct lng_device *device;
    struct lng_model model;
    struct lng_hparams h = tiny_hparams();
    check_ok(lng_device_open("cpu", NULL, &device));
    tiny_model_init(&model, device, &h, 9, 0);
    struct lng_batch_limits limits = {.source_rows = 64, .target_rows = 64, .sentences = 9};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&model, &limits, &workspace));
    struct tiny_corpus corpus = tiny_corpus_make(9, 6, 77);
    struct lng_sequences all = {corpus.ids, corpus.offsets, NULL, corpus.count};
    static float together[64], alone[64];
    check_ok(lng_model_score(&model, workspace, &all, &all, together, NULL));
    for (int b = 0; b < corpus.count; b++) {
        int32_t length = corpus.offsets[b + 1] - corpus.offsets[b], offsets[2] = {0, length};
        struct lng_sequences one = {corpus.ids + corpus.offsets[b], offsets, NULL, 1};
        check_ok(lng_model_score(&model, workspace, &one, &one, alone, NULL));
        cr_assert(memcmp(alone, together + corpus.offsets[b], (size_t)length * sizeof *alone) == 0,
                  "sentence %d has other bits alone", b);
    }
    tiny_corpus_release(&corpus);
    lng_workspace_close(workspace);
    lng_model_release(&model);
    lng_device_close(device);
}

/* A CPU's free memory is not known: the message still says what to change. */
Test(workspace, out_of_memory_says_what_to_do)
{
    struct lng_device *device;
    struct lng_model model;
    struct lng_hparams h = tiny_hparams();
    check_ok(lng_device_open("cpu", NULL, &device));
    tiny_model_init(&model, device, &h, 1, 0);
    struct lng_batch_limits limits = {.source_rows = 4000, .target_rows = 5000, .sentences = 10};
    struct lng_workspace *workspace;
    lng_mem_set_limit(lng_mem_get_stats().bytes_live + lng_workspace_plan(&model, &limits) / 2);
    check_fails(lng_workspace_open(&model, &limits, &workspace), LNG_ERR_MEMORY,
                "4000 source and 5000 target tokens was planned to take");
    cr_assert(strstr(lng_error_message(), "; use a smaller --batch-tokens"), "%s",
              lng_error_message());
    lng_mem_set_limit(0);
    lng_model_release(&model);
    lng_device_close(device);
}
