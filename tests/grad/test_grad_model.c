/* Gradients of whole 2+2-layer models against central differences, in double (device ref64). */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/model/model.h"

enum { SENTENCES = 3, SAMPLES_PER_TENSOR = 10 };

struct variant {
    const char *name;
    struct lng_hparams hparams;
    struct lng_regularization regularization;
    bool recompute;
};

static struct lng_hparams small(void)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = 13;
    h.dim = 8;
    h.encoder_layers = h.decoder_layers = 2;
    h.encoder_heads = h.decoder_heads = 2;
    h.encoder_ffn = 12;
    h.decoder_ffn = 10;
    h.activation = LNG_ACTIVATION_SWISH;
    h.pad = 12;
    h.max_positions = 16;
    return h;
}

/* Of the sentences below: rows with none, one, some and all source tokens. */
static const int32_t link_offsets[] = {0, 1, 3, 3, 4, 4, 6, 7, 7, 11};
static const int32_t link_sources[] = {2, 0, 4, 1, 0, 1, 0, 0, 1, 2, 3};
static const struct lng_guide first_layer_guide = {link_offsets, link_sources, 0.8, 0};
static const struct lng_guide last_layer_guide = {link_offsets, link_sources, 1.7, 1};

static struct variant make_variant(int index)
{
    struct variant v = {.name = "post-norm, tied, no dropout", .hparams = small()};
    v.regularization.embedding_dropout = -1;
    v.regularization.seed = 7;
    v.regularization.update = 3;
    switch (index) {
    case 1:
        v.name = "post-norm, relu, all dropouts, label smoothing";
        v.hparams.activation = LNG_ACTIVATION_RELU;
        v.regularization.dropout = 0.2;
        v.regularization.attention_dropout = 0.2;
        v.regularization.ffn_dropout = 0.2;
        v.regularization.source_word_dropout = 0.2;
        v.regularization.target_word_dropout = 0.2;
        v.regularization.label_smoothing = 0.1;
        break;
    case 2:
        v.name = "pre-norm, gelu, untied, separate vocabularies, dropout, recomputation";
        v.hparams.pre_norm = true;
        v.hparams.activation = LNG_ACTIVATION_GELU;
        v.hparams.tie = LNG_TIE_NONE;
        v.hparams.source_vocab = 9;
        v.hparams.positions = LNG_POSITIONS_A;
        v.regularization.dropout = 0.1;
        v.regularization.ffn_dropout = 0.3;
        v.recompute = true;
        break;
    case 3:
        v.name = "pre-norm RMS, learned positions, target tied, no bias, fairseq smoothing";
        v.hparams.pre_norm = true;
        v.hparams.norm = LNG_NORM_RMS;
        v.hparams.positions = LNG_POSITIONS_LEARNED;
        v.hparams.tie = LNG_TIE_TARGET;
        v.hparams.output_bias = false;
        v.hparams.decoder_start = 0;
        v.regularization.label_smoothing = 0.2;
        v.regularization.smoothing_kind = LNG_SMOOTHING_OTHERS;
        break;
    case 4:
        v.name = "post-norm, additive attention, recomputation";
        v.hparams.attention_score = LNG_ATTENTION_ADDITIVE;
        v.hparams.attention_scaled = false;
        v.regularization.attention_dropout = 0.1;
        v.recompute = true;
        break;
    case 5:
        v.name = "post-norm, all dropouts, label smoothing, R-Drop";
        v.regularization.dropout = 0.2;
        v.regularization.attention_dropout = 0.2;
        v.regularization.ffn_dropout = 0.2;
        v.regularization.source_word_dropout = 0.1;
        v.regularization.target_word_dropout = 0.1;
        v.regularization.label_smoothing = 0.1;
        v.regularization.r_drop = 5;
        break;
    case 6:
        v.name = "pre-norm, untied, fairseq smoothing, R-Drop, recomputation";
        v.hparams.pre_norm = true;
        v.hparams.tie = LNG_TIE_NONE;
        v.regularization.dropout = 0.3;
        v.regularization.label_smoothing = 0.2;
        v.regularization.smoothing_kind = LNG_SMOOTHING_OTHERS;
        v.regularization.r_drop = 0.7;
        v.recompute = true;
        break;
    case 8:
        v.name = "post-norm, all dropouts, guided alignment of the first layer, recomputation";
        v.regularization.dropout = 0.2;
        v.regularization.attention_dropout = 0.2;
        v.regularization.ffn_dropout = 0.2;
        v.regularization.label_smoothing = 0.1;
        v.regularization.guide = &first_layer_guide;
        v.recompute = true;
        break;
    case 9:
        v.name = "pre-norm, additive attention, R-Drop, guided alignment of the last layer";
        v.hparams.pre_norm = true;
        v.hparams.attention_score = LNG_ATTENTION_ADDITIVE;
        v.hparams.attention_scaled = false;
        v.regularization.dropout = 0.2;
        v.regularization.r_drop = 2;
        v.regularization.guide = &last_layer_guide;
        break;
    case 7:
        v.name = "R-Drop, three pairs to a block of logits";
        v.hparams.target_vocab = v.hparams.source_vocab = 600000;
        v.regularization.dropout = 0.2;
        v.regularization.r_drop = 3;
        break;
    default:
        break;
    }
    return v;
}

struct problem {
    struct lng_device *device;
    struct lng_model model;
    struct lng_workspace *workspace;
    struct lng_sequences source, target;
    struct variant variant;
};

static const int32_t source_ids[] = {2, 3, 4, 5, 0, 6, 0, 7, 8, 2, 0};
static const int32_t source_offsets[] = {0, 5, 7, 11};
static const int32_t target_ids[] = {3, 9, 0, 5, 4, 10, 11, 0, 0};
static const int32_t target_offsets[] = {0, 3, 8, 9};

static void open_problem(struct problem *p, int index)
{
    static const uint32_t sentence_ids[SENTENCES] = {40, 5, 1234567};
    memset(p, 0, sizeof *p);
    p->variant = make_variant(index);
    p->source = (struct lng_sequences){source_ids, source_offsets, sentence_ids, SENTENCES};
    p->target = (struct lng_sequences){target_ids, target_offsets, sentence_ids, SENTENCES};
    cr_assert(lng_device_open("ref64", NULL, &p->device) == LNG_OK, "%s", lng_error_message());
    cr_assert(lng_model_init(&p->model, p->device, &p->variant.hparams, LNG_DTYPE_F32, true) ==
                  LNG_OK,
              "%s", lng_error_message());
    cr_assert(lng_model_randomize(&p->model, 11, false) == LNG_OK, "%s", lng_error_message());
    int64_t copies = p->variant.regularization.r_drop > 0 ? 2 : 1;
    struct lng_batch_limits limits = {.source_rows = copies * 11,
                                      .target_rows = copies * 9,
                                      .sentences = copies * SENTENCES,
                                      .links = p->variant.regularization.guide ? copies * 11 : 0,
                                      .backward = true,
                                      .recompute = p->variant.recompute};
    cr_assert(lng_workspace_open(&p->model, &limits, &p->workspace) == LNG_OK, "%s",
              lng_error_message());
}

static void close_problem(struct problem *p)
{
    lng_workspace_close(p->workspace);
    lng_model_release(&p->model);
    lng_device_close(p->device);
}

static double loss_at(struct problem *p, const double *values)
{
    struct lng_loss_sums sums;
    cr_assert(lng_device_write(p->device, p->model.values, values,
                               (size_t)p->model.params.total * sizeof *values) == LNG_OK);
    cr_assert(lng_model_refresh(&p->model) == LNG_OK);
    cr_assert(lng_model_zero_gradients(&p->model) == LNG_OK);
    cr_assert(lng_model_train(&p->model, p->workspace, &p->source, &p->target,
                              &p->variant.regularization, &sums) == LNG_OK,
              "%s", lng_error_message());
    cr_assert(sums.tokens == 9);
    const struct lng_guide *guide = p->variant.regularization.guide;
    cr_assert(sums.aligned == (guide ? 6 : 0) && (sums.alignment > 0) == (guide != NULL));
    return sums.loss + (guide ? guide->weight * sums.alignment : 0);
}

/* The pad row is held at zero on purpose, so its true gradient is not what training uses. */
static bool held(const struct problem *p, const struct lng_param *param, int64_t element)
{
    int32_t pad = p->model.hparams.pad;
    if (pad < 0)
        return false;
    if (param->id == LNG_PARAM_OUTPUT_BIAS)
        return element == pad;
    if (param->id == LNG_PARAM_SHARED || param->id == LNG_PARAM_TARGET_EMBED ||
        param->id == LNG_PARAM_OUTPUT)
        return element / param->cols == pad;
    return false;
}

static void check_variant(int index)
{
    struct problem p;
    open_problem(&p, index);
    size_t total = (size_t)p.model.params.total;
    double *values = calloc(total, sizeof *values), *gradients = calloc(total, sizeof *gradients);
    cr_assert(values && gradients);
    cr_assert(lng_device_read(p.device, values, p.model.values, total * sizeof *values) == LNG_OK);
    /* Vectors start at 0 and 1: move them, so that their gradients are tested at a general point. */
    srand(5);
    for (size_t i = 0; i < p.model.params.count; i++) {
        const struct lng_param *param = &p.model.params.list[i];
        for (int64_t e = 0; param->rows == 1 && e < param->cols; e++)
            if (!held(&p, param, e))
                values[param->offset + e] += 0.2 * (rand() / (double)RAND_MAX - 0.5);
    }
    (void)loss_at(&p, values);
    cr_assert(lng_device_read(p.device, gradients, p.model.gradients, total * sizeof *gradients) ==
              LNG_OK);
    double error = 0, size = 0;
    int nonzero = 0, checked = 0;
    for (size_t i = 0; i < p.model.params.count; i++) {
        const struct lng_param *param = &p.model.params.list[i];
        for (int s = 0; s < SAMPLES_PER_TENSOR; s++) {
            int64_t element = rand() % (param->rows * param->cols);
            if (held(&p, param, element))
                continue;
            const double h = 3e-6;
            double *value = &values[param->offset + element], kept = *value;
            *value = kept + h;
            double above = loss_at(&p, values);
            *value = kept - h;
            double below = loss_at(&p, values);
            *value = kept;
            double numeric = (above - below) / (2 * h),
                   analytic = gradients[param->offset + element];
            cr_assert(fabs(numeric - analytic) <= 1e-6 * (1 + fabs(analytic)),
                      "%s: %s[%lld]: backward %.12g, difference quotient %.12g", p.variant.name,
                      param->name, (long long)element, analytic, numeric);
            error += (numeric - analytic) * (numeric - analytic);
            size += analytic * analytic;
            nonzero += analytic != 0;
            checked++;
        }
    }
    cr_assert(nonzero * 2 > checked, "%s: only %d of %d gradients are not zero", p.variant.name,
              nonzero, checked);
    cr_assert(sqrt(error / size) < 1e-6, "%s: relative error %.3g", p.variant.name,
              sqrt(error / size));
    fprintf(stderr, "gradient of %s: %d entries, relative error %.2g\n", p.variant.name, checked,
            sqrt(error / size));
    free(values);
    free(gradients);
    close_problem(&p);
}

Test(grad_model, post_norm)
{
    check_variant(0);
}
Test(grad_model, post_norm_relu_dropout)
{
    check_variant(1);
}
Test(grad_model, pre_norm_untied_recompute)
{
    check_variant(2);
}
Test(grad_model, rms_learned_positions)
{
    check_variant(3);
}
Test(grad_model, additive_recompute)
{
    check_variant(4);
}

Test(grad_model, r_drop)
{
    check_variant(5);
}
Test(grad_model, r_drop_recompute)
{
    check_variant(6);
}

Test(grad_model, guided_alignment)
{
    check_variant(8);
}
Test(grad_model, guided_alignment_r_drop)
{
    check_variant(9);
}

static void refuse(struct problem *p, const struct lng_guide *guide, const char *what)
{
    struct lng_loss_sums sums;
    p->variant.regularization.guide = guide;
    cr_assert(lng_model_train(&p->model, p->workspace, &p->source, &p->target,
                              &p->variant.regularization, &sums) != LNG_OK);
    cr_assert(strstr(lng_error_message(), what) != NULL, "%s", lng_error_message());
}

Test(grad_model, guided_alignment_refuses)
{
    static const int32_t more[] = {0, 3, 5, 5, 6, 6, 8, 9, 9, 12};
    static const int32_t falling[] = {0, 1, 0, 3, 4, 4, 6, 7, 7, 11};
    static const int32_t outside[] = {2, 0, 5, 1, 0, 1, 0, 0, 1, 2, 3};
    static const int32_t twice[] = {2, 0, 4, 1, 1, 1, 0, 0, 1, 2, 3};
    struct problem p;
    open_problem(&p, 8);
    refuse(&p, &(struct lng_guide){link_offsets, link_sources, 1, 2}, "layer from 0 to 1, found 2");
    refuse(&p, &(struct lng_guide){more, link_sources, 1, 0}, "12 alignment links");
    refuse(&p, &(struct lng_guide){falling, link_sources, 1, 0}, "row 1 ends at 0");
    refuse(&p, &(struct lng_guide){link_offsets, outside, 1, 0}, "from 1 to 4, found 5");
    refuse(&p, &(struct lng_guide){link_offsets, twice, 1, 0}, "found 1");
    close_problem(&p);
}

/* Adds the gradients and the loss of one batch to those already there. */
static double add_batch(struct problem *p, struct lng_sequences source, struct lng_sequences target)
{
    struct lng_loss_sums sums;
    cr_assert(lng_model_train(&p->model, p->workspace, &source, &target, &p->variant.regularization,
                              &sums) == LNG_OK,
              "%s", lng_error_message());
    cr_assert(sums.tokens == target.offsets[target.count]);
    return sums.loss;
}

/* The gradients, owned by the caller; they are zero afterwards. */
static double *take_gradients(struct problem *p)
{
    size_t bytes = (size_t)p->model.params.total * sizeof(double);
    double *gradients = malloc(bytes);
    cr_assert(gradients != NULL);
    cr_assert(lng_device_read(p->device, gradients, p->model.gradients, bytes) == LNG_OK);
    cr_assert(lng_model_zero_gradients(&p->model) == LNG_OK);
    return gradients;
}

static void expect_same(const double *got, const double *want, int64_t count, double scale)
{
    for (int64_t i = 0; i < count; i++)
        cr_assert(fabs(got[i] - scale * want[i]) <= 1e-11 * (1 + fabs(want[i])),
                  "gradient %lld: %.17g, expected %.17g", (long long)i, got[i], scale * want[i]);
}

/* Where divergence weighs next to nothing, what is left is the mean over two batches that differ in dropout. */
Test(grad_model, r_drop_is_a_mean_over_two_copies)
{
    static const uint32_t ids[2][SENTENCES] = {{40, 5, 1234567},
                                               {40 ^ 1u << 31, 5 ^ 1u << 31, 1234567 ^ 1u << 31}};
    struct problem p;
    open_problem(&p, 5);
    cr_assert(lng_model_zero_gradients(&p.model) == LNG_OK);
    p.variant.regularization.r_drop = 1e-30;
    double loss = add_batch(&p, p.source, p.target);
    double *together = take_gradients(&p), each[2];
    p.variant.regularization.r_drop = 0;
    for (int copy = 0; copy < 2; copy++) {
        p.source.sentence_ids = p.target.sentence_ids = ids[copy];
        each[copy] = add_batch(&p, p.source, p.target);
    }
    double *summed = take_gradients(&p);
    cr_assert(each[0] != each[1], "both copies had the same dropout");
    cr_assert(fabs(loss - (each[0] + each[1]) / 2) < 1e-12 * loss);
    expect_same(together, summed, p.model.params.total, 0.5);
    free(together);
    free(summed);
    close_problem(&p);
}

/* A batch of several blocks of logits has the sums of batches of one sentence, which have fewer. */
Test(grad_model, r_drop_pairs_stay_in_one_block)
{
    struct problem p;
    open_problem(&p, 7);
    cr_assert(lng_device_logit_rows(p.device, p.model.hparams.target_vocab) < 9);
    cr_assert(lng_model_zero_gradients(&p.model) == LNG_OK);
    double loss = add_batch(&p, p.source, p.target), parts = 0;
    double *together = take_gradients(&p);
    for (int b = 0; b < SENTENCES; b++) {
        int32_t source_part[2] = {0, source_offsets[b + 1] - source_offsets[b]};
        int32_t target_part[2] = {0, target_offsets[b + 1] - target_offsets[b]};
        const uint32_t *id = p.source.sentence_ids + b;
        parts += add_batch(
            &p, (struct lng_sequences){source_ids + source_offsets[b], source_part, id, 1},
            (struct lng_sequences){target_ids + target_offsets[b], target_part, id, 1});
    }
    double *summed = take_gradients(&p);
    cr_assert(fabs(loss - parts) < 1e-12 * loss, "loss %.17g, parts %.17g", loss, parts);
    expect_same(together, summed, p.model.params.total, 1);
    free(together);
    free(summed);
    close_problem(&p);
}

/* Recomputation changes memory, never a bit of the result. */
Test(grad_model, recomputation_is_exact)
{
    struct problem plain, again;
    open_problem(&plain, 1);
    open_problem(&again, 1);
    lng_workspace_close(again.workspace);
    struct lng_batch_limits limits = {.source_rows = 11,
                                      .target_rows = 9,
                                      .sentences = SENTENCES,
                                      .backward = true,
                                      .recompute = true};
    cr_assert(lng_workspace_plan(&again.model, &limits) > 0);
    cr_assert(lng_workspace_open(&again.model, &limits, &again.workspace) == LNG_OK);
    size_t total = (size_t)plain.model.params.total;
    double *values = calloc(total, sizeof *values);
    double *first = calloc(total, sizeof *first), *second = calloc(total, sizeof *second);
    cr_assert(lng_device_read(plain.device, values, plain.model.values, total * sizeof *values) ==
              LNG_OK);
    double loss = loss_at(&plain, values);
    cr_assert(loss_at(&again, values) == loss);
    cr_assert(lng_device_read(plain.device, first, plain.model.gradients, total * sizeof *first) ==
              LNG_OK);
    cr_assert(lng_device_read(again.device, second, again.model.gradients,
                              total * sizeof *second) == LNG_OK);
    cr_assert(memcmp(first, second, total * sizeof *first) == 0);
    free(values);
    free(first);
    free(second);
    close_problem(&plain);
    close_problem(&again);
}
