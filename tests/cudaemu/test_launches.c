/* How many launches a decoding step and an update take: of a model with the layers of transformer-base, in bf16, on the
 * double. A small batch waits for launches more than for arithmetic. */
#define EMU_VARIANT "plain"
#include "tests/cudaemu/on_double.h"

#include <criterion/criterion.h>
#include <math.h>

#include "host/base/mem.h"
#include "host/infer/decode.h"
#include "host/train/optimizer.h"
#include "tests/cudaemu/count_on.h"
#include "tests/support/check.h"
#include "tests/support/rig.h"
#include "tests/support/tiny_model.h"

enum {
    STEP_MOST = 60,    /* nodes of a decoding step, candidates and both copies included */
    UPDATE_MOST = 900, /* of an update */
    SENTENCES = 3,
    LENGTH = 6,
};

/* Post-norm, ReLU, biases and one matrix for embeddings and logits, as in Vaswani et al. 2017; but narrow. */
static struct lng_hparams base_layers(void)
{
    struct lng_hparams h = tiny_hparams();
    h.dim = 32;
    h.encoder_layers = h.decoder_layers = 6;
    h.encoder_ffn = h.decoder_ffn = 64;
    return h;
}

static void open_model(struct lng_device **device, struct lng_model *model,
                       const struct lng_hparams *h, bool training)
{
    check_ok(lng_device_open("cuda", NULL, device));
    check_ok(lng_model_init(model, *device, h, LNG_DTYPE_BF16, training));
    check_ok(lng_model_randomize(model, 3, false));
}

/* Prints what was counted since `before` and answers how much it is. */
static int nodes_since(struct cudaemu_counts before, const char *what)
{
    struct cudaemu_counts now;
    emu_count(&now);
    int kernels = (int)(now.kernels - before.kernels), copies = (int)(now.copies - before.copies),
        fills = (int)(now.fills - before.fills);
    fprintf(stderr, "%s: %d kernels, %d copies, %d fills\n", what, kernels, copies, fills);
    return kernels + copies + fills;
}

static enum lng_status ignore(void *context, const struct lng_search_result *result)
{
    *(int *)context += result->count > 0;
    return LNG_OK;
}

static void take_inputs(const struct tiny_corpus *corpus, int length,
                        struct lng_search_input *inputs)
{
    for (int i = 0; i < SENTENCES; i++)
        inputs[i] = (struct lng_search_input){
            .source = corpus->ids + corpus->offsets[i],
            .source_length = corpus->offsets[i + 1] - corpus->offsets[i],
            .exact_length = length,
        };
}

/* Translations of so many tokens; answers the nodes of all of it. */
static int nodes_of_search(struct lng_search *search, const struct tiny_corpus *corpus, int length,
                           const char *what)
{
    struct lng_search_input inputs[SENTENCES];
    int done = 0;
    take_inputs(corpus, length, inputs);
    struct cudaemu_counts before;
    emu_count(&before);
    check_ok(lng_search_run(search, inputs, SENTENCES, ignore, &done));
    cr_assert_eq(done, SENTENCES);
    return nodes_since(before, what);
}

static void expect_few_a_step(int beam)
{
    const struct lng_hparams h = base_layers();
    struct lng_device *device;
    struct lng_model model;
    struct lng_search *search;
    char what[64];
    struct tiny_corpus corpus = tiny_corpus_make(SENTENCES, 9, 5);
    open_model(&device, &model, &h, false);
    struct lng_search_options options = lng_search_options_default();
    options.beam.beam = beam;
    check_ok(lng_search_open(&model, &options, &search));
    int nodes[3];
    int64_t steps[4] = {0};
    for (int i = 0; i < 3; i++) { /* the first also converts the biases, once */
        const int length = LENGTH + (i != 1);
        snprintf(what, sizeof what, "beam %d, %d tokens", beam, length);
        nodes[i] = nodes_of_search(search, &corpus, length, what);
        steps[i + 1] = lng_search_get_stats(search).steps;
    }
    cr_assert_eq(steps[3] - steps[2], steps[2] - steps[1] + 1);
    const int step = nodes[2] - nodes[1];
    fprintf(stderr, "beam %d: %d nodes a step\n", beam, step);
    cr_assert(step <= STEP_MOST, "beam %d: %d nodes a step", beam, step);
    cr_assert(step > model.hparams.decoder_layers);
    lng_search_close(search);
    tiny_corpus_release(&corpus);
    lng_model_release(&model);
    lng_device_close(device);
}

Test(launches, are_few_in_a_greedy_step)
{
    expect_few_a_step(1);
}
Test(launches, are_few_in_a_step_of_a_beam)
{
    expect_few_a_step(4);
}

/* The best translation of each sentence. */
struct found {
    int32_t tokens[SENTENCES * LENGTH];
    float logprobs[SENTENCES * LENGTH];
};
static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct found *found = context;
    const struct lng_hypothesis *best = &result->hypotheses[0];
    cr_assert_eq(best->length, LENGTH);
    for (int t = 0; t < LENGTH; t++) {
        found->tokens[result->index * LENGTH + t] = best->tokens[t];
        found->logprobs[result->index * LENGTH + t] = best->logprobs[t];
    }
    return LNG_OK;
}

/* What the steps say of their tokens, the operations one by one say too. */
static void expect_scores(const struct lng_hparams *h, const char *what)
{
    struct lng_device *device;
    struct lng_model model;
    struct lng_search *search;
    struct lng_workspace *workspace;
    struct lng_search_input inputs[SENTENCES];
    struct found found;
    float scores[SENTENCES * LENGTH];
    int32_t offsets[SENTENCES + 1];
    struct tiny_corpus corpus = tiny_corpus_make(SENTENCES, 9, 5);
    open_model(&device, &model, h, false);
    struct lng_search_options options = lng_search_options_default();
    options.beam.beam = 2;
    check_ok(lng_search_open(&model, &options, &search));
    take_inputs(&corpus, LENGTH, inputs);
    check_ok(lng_search_run(search, inputs, SENTENCES, keep, &found));
    lng_search_close(search);
    const struct lng_batch_limits limits = {.source_rows = corpus.offsets[SENTENCES],
                                            .target_rows = SENTENCES * LENGTH,
                                            .sentences = SENTENCES};
    for (int i = 0; i <= SENTENCES; i++)
        offsets[i] = i * LENGTH;
    check_ok(lng_workspace_open(&model, &limits, &workspace));
    check_ok(lng_model_score(
        &model, workspace,
        &(struct lng_sequences){.ids = corpus.ids, .offsets = corpus.offsets, .count = SENTENCES},
        &(struct lng_sequences){.ids = found.tokens, .offsets = offsets, .count = SENTENCES},
        scores, NULL));
    for (int i = 0; i < SENTENCES * LENGTH; i++)
        cr_assert(fabsf(scores[i] - found.logprobs[i]) < 0.05f, "%s, token %d: %g and %g", what, i,
                  (double)scores[i], (double)found.logprobs[i]);
    lng_workspace_close(workspace);
    tiny_corpus_release(&corpus);
    lng_model_release(&model);
    lng_device_close(device);
}

Test(launches, compute_what_more_of_them_do)
{
    struct lng_hparams h = base_layers();
    expect_scores(&h, "post-norm");
    h.pre_norm = true;
    expect_scores(&h, "pre-norm");
    h.norm = LNG_NORM_RMS;
    h.activation = LNG_ACTIVATION_SWISH;
    expect_scores(&h, "pre-norm, RMS");
}

/* Of these sizes some do not fill an octet; y[i, o] = W[o, i], as x is the unit matrix. */
Test(launches, are_shared_by_weights_that_are_refreshed)
{
    enum { WEIGHTS = 3, MOST = 24 };
    static const int64_t sizes[WEIGHTS][2] = {{5, 7}, {MOST, MOST}, {3, 16}};
    struct rig rig;
    struct lng_weight *weights[WEIGHTS];
    struct lng_view masters[WEIGHTS];
    double units[MOST * MOST] = {0}, values[MOST * MOST];
    rig_open(&rig, "cuda", 1);
    for (int w = 0; w < WEIGHTS; w++) {
        masters[w] = rig_zeros(&rig, LNG_DTYPE_F32, sizes[w][0], sizes[w][1]);
        RIG_OK(lng_weight_prepare(rig.device, masters[w], LNG_DTYPE_BF16, 0, &weights[w]));
        for (int i = 0; i < MOST * MOST; i++)
            values[i] = i + w - 100;
        rig_write(&rig, masters[w], values);
    }
    struct cudaemu_counts before, after;
    emu_count(&before);
    RIG_OK(lng_weights_refresh(rig.device, weights, WEIGHTS));
    emu_count(&after);
    cr_assert_eq(after.kernels - before.kernels, 1);
    for (int w = 0; w < WEIGHTS; w++) {
        const int64_t out = sizes[w][0], in = sizes[w][1];
        for (int i = 0; i < in * in; i++)
            units[i] = i % (in + 1) == 0;
        struct lng_linear_fwd_args args = {.x = rig_values(&rig, LNG_DTYPE_F32, in, in, units),
                                           .weight = weights[w],
                                           .y = rig_output(&rig, LNG_DTYPE_F32, in, out)};
        RIG_OK(lng_linear_fwd(rig.device, &args));
        const double *y = rig_get(&rig, args.y);
        for (int64_t i = 0; i < in * out; i++) {
            const double whole = (double)(i % out * in + i / out) + w - 100;
            cr_assert(fabs(y[i] - whole) <= fabs(whole) / 256, "weight %d: %g", w, y[i]);
        }
        lng_weight_release(rig.device, weights[w]);
    }
    rig_close(&rig);
}

/* Gradients set to zero, forward, backward, norm of the gradients, Adam, and the copies of the weights in bf16. */
Test(launches, are_few_in_an_update)
{
    static const struct lng_options options = {
        .beta1 = 0.9, .beta2 = 0.98, .adam_epsilon = 1e-9, .clip_norm = 1e-3};
    struct lng_device *device;
    struct lng_model model;
    struct lng_optimizer optimizer;
    struct lng_workspace *workspace;
    struct lng_loss_sums sums;
    struct lng_step_result result = {0};
    struct tiny_corpus source = tiny_corpus_make(SENTENCES, 9, 5),
                       target = tiny_corpus_make(SENTENCES, 9, 6);
    const struct lng_hparams h = base_layers();
    open_model(&device, &model, &h, true);
    const struct lng_batch_limits limits = {.source_rows = source.offsets[SENTENCES],
                                            .target_rows = target.offsets[SENTENCES],
                                            .sentences = SENTENCES,
                                            .backward = true};
    check_ok(lng_workspace_open(&model, &limits, &workspace));
    check_ok(lng_optimizer_init(&optimizer, &model, false));
    int nodes = 0;
    for (uint32_t update = 1; update <= 2; update++) { /* the second is as all that follow */
        const struct lng_regularization regularization = {.dropout = 0.1,
                                                          .embedding_dropout = -1,
                                                          .attention_dropout = 0.1,
                                                          .ffn_dropout = 0.1,
                                                          .label_smoothing = 0.1,
                                                          .seed = 1,
                                                          .update = update};
        struct cudaemu_counts before;
        emu_count(&before);
        check_ok(lng_model_zero_gradients(&model));
        check_ok(
            lng_model_train(&model, workspace,
                            &(struct lng_sequences){
                                .ids = source.ids, .offsets = source.offsets, .count = SENTENCES},
                            &(struct lng_sequences){
                                .ids = target.ids, .offsets = target.offsets, .count = SENTENCES},
                            &regularization, &sums));
        nodes_since(before, "forward and backward");
        check_ok(lng_optimizer_step(&optimizer, &options, 1e-3, sums.tokens, &result));
        nodes = nodes_since(before, "update");
    }
    cr_assert(result.clipped && result.nonfinite == 0);
    cr_assert(nodes <= UPDATE_MOST, "%d nodes an update", nodes);
    cr_assert(nodes > model.hparams.encoder_layers + model.hparams.decoder_layers);
    lng_optimizer_release(&optimizer);
    lng_workspace_close(workspace);
    tiny_corpus_release(&source);
    tiny_corpus_release(&target);
    lng_model_release(&model);
    lng_device_close(device);
}
