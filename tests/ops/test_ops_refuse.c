/* Every operation refuses wrong shapes, types, missing arrays and numbers out of range, and its message
 * names the operation and the argument. One function an operation of ops.def; a missing one does not
 * compile. Each starts from arguments that are accepted, so that a refusal has the one cause. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

#define LNG_OP(name) static void refuse_##name(struct rig *rig);
#include "kernels/ops.def"
#undef LNG_OP

#define LNG_OP(name)              \
    Test(ops_refuse, name)        \
    {                             \
        struct rig rig;           \
        rig_open(&rig, "cpu", 1); \
        refuse_##name(&rig);      \
        rig_close(&rig);          \
    }
#include "kernels/ops.def"
#undef LNG_OP

#define ACCEPT(op) RIG_OK(lng_##op(rig->device, &good))
/* good with `change` applied is refused with `code` and a message that begins with "op: what". */
#define REFUSE(op, code, change, what)                                                     \
    do {                                                                                   \
        struct lng_##op##_args bad = good;                                                 \
        bad.change;                                                                        \
        enum lng_status found = lng_##op(rig->device, &bad);                               \
        cr_assert(found == LNG_ERR_##code, #op " with " #change ": found %s: %s",          \
                  lng_status_text(found), lng_error_message());                            \
        cr_assert(strncmp(lng_error_message(), #op ": " what, strlen(#op ": " what)) == 0, \
                  #op " with " #change ": %s", lng_error_message());                       \
    } while (0)

static struct lng_view matrix(struct rig *rig, int64_t rows, int64_t cols)
{
    return rig_random(rig, LNG_DTYPE_F32, rows, cols, 1);
}

static void *integers(struct rig *rig, int count)
{
    return rig_array(rig, rig_host(rig, (size_t)count, 4), (size_t)count, 4);
}

static struct lng_dropout no_arrays(double probability)
{
    return (struct lng_dropout){.probability = probability};
}

static void refuse_embed_fwd(struct rig *rig)
{
    const struct lng_embed_fwd_args good = {.table = matrix(rig, 5, 4),
                                            .position_table = matrix(rig, 6, 4),
                                            .y = matrix(rig, 3, 4),
                                            .ids = integers(rig, 3),
                                            .positions = integers(rig, 3),
                                            .scale = 1};
    ACCEPT(embed_fwd);
    REFUSE(embed_fwd, SHAPE, table.cols = 3, "table: expected [any, 4], found [5, 3]");
    REFUSE(embed_fwd, DTYPE, table.dtype = LNG_DTYPE_BF16, "table: expected f32, found bf16");
    REFUSE(embed_fwd, SHAPE, position_table.cols = 3, "position_table: ");
    REFUSE(embed_fwd, DTYPE, y.dtype = LNG_DTYPE_F64, "y: expected f32 or bf16, found f64");
    REFUSE(embed_fwd, SHAPE, y.stride = 3, "y: expected a stride of at least 4, found 3");
    REFUSE(embed_fwd, SHAPE, y.data = NULL, "y: expected data [3, 4], found none");
    REFUSE(embed_fwd, SHAPE, y.rows = -1, "y: ");
    REFUSE(embed_fwd, SHAPE, ids = NULL, "ids: expected an array of 3, found none");
    REFUSE(embed_fwd, SHAPE, positions = NULL, "positions: ");
    REFUSE(embed_fwd, RANGE, scale = NAN, "scale: ");
    REFUSE(embed_fwd, RANGE, dropout = no_arrays(1), "dropout: expected a probability from 0");
    REFUSE(embed_fwd, RANGE, dropout = no_arrays(-0.1), "dropout: ");
    REFUSE(embed_fwd, SHAPE, dropout = no_arrays(0.5), "dropout.sentence: ");
    REFUSE(embed_fwd, SHAPE, word_dropout = no_arrays(0.5), "word_dropout.sentence: ");
    struct lng_dropout dropout = {0.5, {1, 2, 65536}, integers(rig, 3), integers(rig, 3)};
    REFUSE(embed_fwd, RANGE, dropout = dropout, "dropout: expected a random site below 65536");
    dropout.rng.site = 1;
    dropout.position = NULL;
    REFUSE(embed_fwd, SHAPE, dropout = dropout, "dropout.position: ");
}

static void refuse_embed_bwd(struct rig *rig)
{
    const struct lng_embed_bwd_args good = {.d_y = matrix(rig, 3, 4),
                                            .d_table = matrix(rig, 5, 4),
                                            .d_position_table = matrix(rig, 6, 4),
                                            .ids = integers(rig, 3),
                                            .positions = integers(rig, 3),
                                            .scale = 1};
    ACCEPT(embed_bwd);
    REFUSE(embed_bwd, SHAPE, d_table.cols = 3, "d_table: ");
    REFUSE(embed_bwd, SHAPE, d_position_table.cols = 2, "d_position_table: ");
    REFUSE(embed_bwd, DTYPE, d_table.dtype = LNG_DTYPE_BF16, "d_table: ");
    REFUSE(embed_bwd, SHAPE, ids = NULL, "ids: ");
    REFUSE(embed_bwd, SHAPE, positions = NULL, "positions: ");
    REFUSE(embed_bwd, RANGE, dropout = no_arrays(NAN), "dropout: ");
}

static void refuse_linear_fwd(struct rig *rig)
{
    struct lng_weight *weight;
    RIG_OK(lng_weight_prepare(rig->device, matrix(rig, 5, 4), LNG_DTYPE_F32, 0, &weight));
    const struct lng_linear_fwd_args good = {.x = matrix(rig, 3, 4),
                                             .weight = weight,
                                             .bias = matrix(rig, 1, 5),
                                             .y = matrix(rig, 3, 5)};
    ACCEPT(linear_fwd);
    REFUSE(linear_fwd, SHAPE, weight = NULL, "weight: ");
    REFUSE(linear_fwd, SHAPE, x.cols = 3, "x: expected [any, 4], found [3, 3]");
    REFUSE(linear_fwd, SHAPE, y.cols = 4, "y: expected [3, 5], found [3, 4]");
    REFUSE(linear_fwd, SHAPE, y.rows = 2, "y: ");
    REFUSE(linear_fwd, DTYPE, y.dtype = LNG_DTYPE_BF16, "y: expected f32, found bf16");
    REFUSE(linear_fwd, SHAPE, bias.cols = 4, "bias: ");
    REFUSE(linear_fwd, SHAPE, bias.rows = 2, "bias: ");
    REFUSE(linear_fwd, RANGE, activation = (enum lng_activation)77, "activation: ");
    struct lng_linear_fwd_args relu = good;
    relu.activation = LNG_ACTIVATION_RELU;
    relu.accumulate = true;
    cr_assert_eq(lng_linear_fwd(rig->device, &relu), LNG_ERR_UNSUPPORTED);
    REFUSE(linear_fwd, UNSUPPORTED, refine = true,
           "refine: expected an int8 weight, all of it, no activation, no accumulate, and a device "
           "that "
           "refines; found f32 on");
    struct lng_view wide = matrix(rig, 3, 9);
    struct lng_linear_fwd_args apart = good;
    apart.x = lng_view_cols(wide, 0, 4);
    apart.y = lng_view_cols(wide, 4, 5);
    RIG_OK(lng_linear_fwd(rig->device, &apart));
    REFUSE(linear_fwd, SHAPE, y.data = good.x.data, "y: expected memory apart from x");
    lng_weight_release(rig->device, weight);
}

static void refuse_linear_bwd(struct rig *rig)
{
    struct lng_weight *weight, *inference;
    RIG_OK(lng_weight_prepare(rig->device, matrix(rig, 5, 4), LNG_DTYPE_F32, LNG_WEIGHT_BACKWARD,
                              &weight));
    RIG_OK(lng_weight_prepare(rig->device, matrix(rig, 5, 4), LNG_DTYPE_F32, 0, &inference));
    const struct lng_linear_bwd_args good = {.x = matrix(rig, 3, 4),
                                             .y = matrix(rig, 3, 5),
                                             .weight = weight,
                                             .d_y = matrix(rig, 3, 5),
                                             .d_x = matrix(rig, 3, 4),
                                             .d_weight = matrix(rig, 5, 4),
                                             .d_bias = matrix(rig, 1, 5),
                                             .activation = LNG_ACTIVATION_RELU};
    ACCEPT(linear_bwd);
    REFUSE(linear_bwd, SHAPE, weight = NULL, "weight: ");
    REFUSE(linear_bwd, UNSUPPORTED, weight = inference, "weight: ");
    REFUSE(linear_bwd, UNSUPPORTED, activation = LNG_ACTIVATION_SWISH, "activation: ");
    REFUSE(linear_bwd, SHAPE, d_y.cols = 4, "d_y: ");
    REFUSE(linear_bwd, SHAPE, x.rows = 2, "x: ");
    REFUSE(linear_bwd, SHAPE, y.rows = 2, "y: ");
    REFUSE(linear_bwd, SHAPE, d_x.cols = 3, "d_x: ");
    REFUSE(linear_bwd, SHAPE, d_weight.rows = 4, "d_weight: ");
    REFUSE(linear_bwd, DTYPE, d_weight.dtype = LNG_DTYPE_BF16, "d_weight: ");
    REFUSE(linear_bwd, SHAPE, d_bias.cols = 4, "d_bias: ");
    REFUSE(linear_bwd, SHAPE, d_x.data = good.d_y.data, "d_x: expected memory apart from d_y");
    lng_weight_release(rig->device, weight);
    lng_weight_release(rig->device, inference);
}

static void refuse_norm_fwd(struct rig *rig)
{
    const struct lng_norm_fwd_args good = {.x = matrix(rig, 3, 4),
                                           .residual = matrix(rig, 3, 4),
                                           .gamma = matrix(rig, 1, 4),
                                           .beta = matrix(rig, 1, 4),
                                           .y = matrix(rig, 3, 4),
                                           .sum = matrix(rig, 3, 4),
                                           .epsilon = 1e-5};
    ACCEPT(norm_fwd);
    REFUSE(norm_fwd, SHAPE, residual.cols = 3, "residual: ");
    REFUSE(norm_fwd, SHAPE, y.rows = 2, "y: ");
    REFUSE(norm_fwd, SHAPE, sum.rows = 2, "sum: ");
    REFUSE(norm_fwd, SHAPE, gamma.cols = 3, "gamma: ");
    REFUSE(norm_fwd, SHAPE, gamma.data = NULL, "gamma: ");
    REFUSE(norm_fwd, SHAPE, beta.data = NULL, "beta: ");
    REFUSE(norm_fwd, DTYPE, gamma.dtype = LNG_DTYPE_F64, "gamma: ");
    REFUSE(norm_fwd, DTYPE, sum.dtype = LNG_DTYPE_BF16, "sum: ");
    REFUSE(norm_fwd, SHAPE, kind = LNG_NORM_RMS, "beta: expected none for RMS");
    REFUSE(norm_fwd, RANGE, kind = (enum lng_norm)9, "kind: ");
    REFUSE(norm_fwd, RANGE, epsilon = -1, "epsilon: ");
    struct lng_norm_fwd_args nowhere = good;
    nowhere.kind = LNG_NORM_NONE;
    nowhere.y.data = nowhere.sum.data = NULL;
    cr_assert_eq(lng_norm_fwd(rig->device, &nowhere), LNG_ERR_SHAPE);
    cr_assert(strstr(lng_error_message(), "norm_fwd: sum: ") != NULL);
}

static void refuse_norm_linear_fwd(struct rig *rig)
{
    struct lng_weight *weight;
    RIG_OK(lng_weight_prepare(rig->device, matrix(rig, 5, 4), LNG_DTYPE_F32, 0, &weight));
    struct lng_norm_linear_fwd_args good = {
        .norm = {.x = matrix(rig, 3, 4),
                 .residual = matrix(rig, 3, 4),
                 .gamma = matrix(rig, 1, 4),
                 .beta = matrix(rig, 1, 4),
                 .y = matrix(rig, 3, 4),
                 .sum = matrix(rig, 3, 4),
                 .epsilon = 1e-5},
        .linear = {.weight = weight, .bias = matrix(rig, 1, 5), .y = matrix(rig, 3, 5)}};
    good.linear.x = good.norm.y;
    ACCEPT(norm_linear_fwd);
    REFUSE(norm_linear_fwd, SHAPE, norm.gamma.cols = 3, "norm: gamma: ");
    REFUSE(norm_linear_fwd, SHAPE, norm.residual.rows = 2, "norm: residual: ");
    REFUSE(norm_linear_fwd, SHAPE, linear.weight = NULL, "linear: weight: ");
    REFUSE(norm_linear_fwd, SHAPE, linear.y.cols = 4, "linear: y: ");
    REFUSE(norm_linear_fwd, SHAPE, linear.x = good.norm.x, "linear.x: expected norm.y");
    REFUSE(norm_linear_fwd, SHAPE, norm.x.data = good.norm.y.data,
           "norm.y: expected memory apart from norm.x");
    REFUSE(norm_linear_fwd, SHAPE, norm.residual.data = good.norm.y.data,
           "norm.y: expected memory apart from norm.residual");
    REFUSE(norm_linear_fwd, SHAPE, norm.sum.data = good.norm.x.data,
           "norm.sum: expected memory apart from norm.x");
    REFUSE(norm_linear_fwd, SHAPE, norm.sum.data = good.norm.residual.data,
           "norm.sum: expected memory apart from norm.residual");
    REFUSE(norm_linear_fwd, SHAPE, norm.sum.data = good.norm.y.data,
           "norm.sum: expected memory apart from norm.y");
    REFUSE(norm_linear_fwd, SHAPE, linear.y.data = good.norm.x.data,
           "linear.y: expected memory apart from norm.x");
    lng_weight_release(rig->device, weight);
}

static void refuse_norm_bwd(struct rig *rig)
{
    const struct lng_norm_bwd_args good = {.sum = matrix(rig, 3, 4),
                                           .gamma = matrix(rig, 1, 4),
                                           .d_y = matrix(rig, 3, 4),
                                           .d_sum = matrix(rig, 3, 4),
                                           .d_residual = matrix(rig, 3, 4),
                                           .d_x = matrix(rig, 3, 4),
                                           .d_gamma = matrix(rig, 1, 4),
                                           .d_beta = matrix(rig, 1, 4),
                                           .mean = matrix(rig, 1, 3).data,
                                           .rstd = matrix(rig, 1, 3).data};
    ACCEPT(norm_bwd);
    REFUSE(norm_bwd, SHAPE, d_y.data = NULL, "d_y: ");
    REFUSE(norm_bwd, SHAPE, d_sum.rows = 2, "d_sum: ");
    REFUSE(norm_bwd, SHAPE, sum.cols = 3, "sum: ");
    REFUSE(norm_bwd, SHAPE, gamma.cols = 3, "gamma: ");
    REFUSE(norm_bwd, SHAPE, d_gamma.data = NULL, "d_gamma: ");
    REFUSE(norm_bwd, SHAPE, d_beta.cols = 3, "d_beta: ");
    REFUSE(norm_bwd, SHAPE, d_x.cols = 3, "d_x: ");
    REFUSE(norm_bwd, DTYPE, d_residual.dtype = LNG_DTYPE_I8, "d_residual: ");
    REFUSE(norm_bwd, SHAPE, mean = NULL, "mean: ");
    REFUSE(norm_bwd, SHAPE, rstd = NULL, "rstd: ");
}

static const int32_t two_sentences[] = {0, 1, 3};

static void refuse_attention_fwd(struct rig *rig)
{
    const struct lng_attention_fwd_args good = {.q = matrix(rig, 3, 4),
                                                .k = matrix(rig, 3, 4),
                                                .v = matrix(rig, 3, 4),
                                                .o = matrix(rig, 3, 4),
                                                .q_offsets = rig_array(rig, two_sentences, 3, 4),
                                                .k_offsets = rig_array(rig, two_sentences, 3, 4),
                                                .sentences = 2,
                                                .heads = 2,
                                                .scale = 1};
    ACCEPT(attention_fwd);
    REFUSE(attention_fwd, SHAPE, heads = 3, "q: expected columns that 3 heads divide, found 4");
    REFUSE(attention_fwd, RANGE, heads = 0, "heads: ");
    REFUSE(attention_fwd, SHAPE, k.cols = 2, "k: ");
    REFUSE(attention_fwd, SHAPE, v.rows = 2, "v: ");
    REFUSE(attention_fwd, SHAPE, o.rows = 2, "o: ");
    REFUSE(attention_fwd, DTYPE, k.dtype = LNG_DTYPE_BF16, "k: expected f32, found bf16");
    REFUSE(attention_fwd, SHAPE, q_offsets = NULL, "q_offsets: ");
    REFUSE(attention_fwd, SHAPE, k_offsets = NULL, "k_offsets: ");
    REFUSE(attention_fwd, SHAPE, sentences = 0, "sentences: ");
    REFUSE(attention_fwd, RANGE, sentences = -1, "sentences: ");
    REFUSE(attention_fwd, RANGE, dropout = 1.5, "dropout: ");
    REFUSE(attention_fwd, SHAPE, dropout = 0.5, "sentence_ids: ");
    REFUSE(attention_fwd, RANGE, scale = INFINITY, "scale: ");
    REFUSE(attention_fwd, RANGE, score = (enum lng_attention_score)5, "score: ");
    REFUSE(attention_fwd, SHAPE, score = LNG_ATTENTION_ADDITIVE, "score_vector: ");
    REFUSE(attention_fwd, SHAPE, o.data = good.v.data, "o: expected memory apart from v");
}

static void refuse_attention_bwd(struct rig *rig)
{
    const struct lng_attention_bwd_args good = {.q = matrix(rig, 3, 4),
                                                .k = matrix(rig, 3, 4),
                                                .v = matrix(rig, 3, 4),
                                                .o = matrix(rig, 3, 4),
                                                .d_o = matrix(rig, 3, 4),
                                                .d_q = matrix(rig, 3, 4),
                                                .d_k = matrix(rig, 3, 4),
                                                .d_v = matrix(rig, 3, 4),
                                                .q_offsets = rig_array(rig, two_sentences, 3, 4),
                                                .k_offsets = rig_array(rig, two_sentences, 3, 4),
                                                .lse = matrix(rig, 2, 3).data,
                                                .score_vector = matrix(rig, 1, 4),
                                                .d_score_vector = matrix(rig, 1, 4),
                                                .sentences = 2,
                                                .heads = 2,
                                                .scale = 1,
                                                .score = LNG_ATTENTION_ADDITIVE};
    ACCEPT(attention_bwd);
    REFUSE(attention_bwd, SHAPE, d_o.rows = 2, "d_o: ");
    REFUSE(attention_bwd, SHAPE, d_q.cols = 2, "d_q: ");
    REFUSE(attention_bwd, SHAPE, d_k.rows = 2, "d_k: ");
    REFUSE(attention_bwd, SHAPE, d_v.data = NULL, "d_v: ");
    REFUSE(attention_bwd, SHAPE, lse = NULL, "lse: ");
    REFUSE(attention_bwd, SHAPE, score_vector.cols = 3, "score_vector: ");
    REFUSE(attention_bwd, SHAPE, d_score_vector.data = NULL, "d_score_vector: ");
    REFUSE(attention_bwd, SHAPE, d_k.data = good.d_v.data, "d_k: expected memory apart from d_v");
}

static void refuse_attention_step(struct rig *rig)
{
    const struct lng_attention_step_args good = {.q = matrix(rig, 3, 4),
                                                 .new_k = matrix(rig, 3, 4),
                                                 .new_v = matrix(rig, 3, 4),
                                                 .k_cache = matrix(rig, 9, 4),
                                                 .v_cache = matrix(rig, 9, 4),
                                                 .o = matrix(rig, 3, 4),
                                                 .key_count = integers(rig, 3),
                                                 .ancestor = integers(rig, 9),
                                                 .ancestor_stride = 3,
                                                 .slots = 3,
                                                 .heads = 2,
                                                 .scale = 1,
                                                 .weights = matrix(rig, 3, 3).data,
                                                 .weights_stride = 3,
                                                 .head_count = 2};
    ACCEPT(attention_step);
    REFUSE(attention_step, SHAPE, k_cache.cols = 3, "k_cache: ");
    REFUSE(attention_step, SHAPE, v_cache.rows = 8, "v_cache: ");
    REFUSE(attention_step, DTYPE, k_cache.dtype = LNG_DTYPE_F64, "k_cache: ");
    REFUSE(attention_step, SHAPE, k_cache.dtype = bad.v_cache.dtype = LNG_DTYPE_I8,
           "k_cache: expected room for 2 scales");
    REFUSE(attention_step, DTYPE, v_cache.dtype = LNG_DTYPE_BF16, "v_cache: ");
    REFUSE(attention_step, SHAPE, new_v.data = NULL, "new_v: ");
    REFUSE(attention_step, SHAPE, new_k.cols = 3, "new_k: ");
    REFUSE(attention_step, SHAPE, key_count = NULL, "key_count: ");
    REFUSE(attention_step, SHAPE, ancestor = NULL, "key_start: ");
    REFUSE(attention_step, RANGE, slots = 0, "slots: ");
    REFUSE(attention_step, RANGE, first_head = 2, "first_head: ");
    REFUSE(attention_step, RANGE, head_count = 3, "head_count: ");
    REFUSE(attention_step, SHAPE, o.data = good.q.data, "o: expected memory apart from q");
}

static void refuse_attention_weights(struct rig *rig)
{
    const int64_t weights_offsets[] = {0, 1};
    const struct lng_attention_weights_args good = {
        .q = matrix(rig, 3, 4),
        .k = matrix(rig, 3, 4),
        .q_offsets = rig_array(rig, two_sentences, 3, 4),
        .k_offsets = rig_array(rig, two_sentences, 3, 4),
        .weights_offsets = rig_array(rig, weights_offsets, 2, 8),
        .weights = rig_array(rig, NULL, 5, 4),
        .sentences = 2,
        .heads = 2,
        .head_count = 1,
        .scale = 1};
    ACCEPT(attention_weights);
    REFUSE(attention_weights, SHAPE, k.cols = 2, "k: ");
    REFUSE(attention_weights, SHAPE, weights = NULL, "weights: ");
    REFUSE(attention_weights, SHAPE, weights_offsets = NULL, "weights_offsets: ");
    REFUSE(attention_weights, RANGE, head_count = 0, "head_count: ");
    REFUSE(attention_weights, RANGE, first_head = -1, "first_head: ");
}

static void refuse_attention_guide(struct rig *rig)
{
    static const int32_t link_offsets[] = {0, 1, 1, 3}, link_keys[] = {0, 0, 1};
    static const int32_t high[] = {0, 0, 2}, twice[] = {0, 1, 1}, below[] = {-1, 0, 1};
    static const int32_t falling[] = {0, 2, 1, 3}, sentences[] = {0, 1, 3};
    const struct lng_attention_guide_args good = {.q = matrix(rig, 3, 4),
                                                  .k = matrix(rig, 3, 4),
                                                  .d_q = matrix(rig, 3, 4),
                                                  .d_k = matrix(rig, 3, 4),
                                                  .q_offsets = rig_array(rig, sentences, 3, 4),
                                                  .k_offsets = rig_array(rig, sentences, 3, 4),
                                                  .link_offsets =
                                                      rig_array(rig, link_offsets, 4, 4),
                                                  .link_keys = rig_array(rig, link_keys, 3, 4),
                                                  .lse = matrix(rig, 2, 3).data,
                                                  .score_vector = matrix(rig, 1, 4),
                                                  .d_score_vector = matrix(rig, 1, 4),
                                                  .sentences = 2,
                                                  .heads = 2,
                                                  .link_count = 3,
                                                  .scale = 1,
                                                  .gradient_scale = 1,
                                                  .score = LNG_ATTENTION_ADDITIVE};
    ACCEPT(attention_guide);
    REFUSE(attention_guide, SHAPE, k.cols = 2, "k: ");
    REFUSE(attention_guide, SHAPE, d_q.rows = 2, "d_q: ");
    REFUSE(attention_guide, SHAPE, d_k.data = NULL, "d_k: ");
    REFUSE(attention_guide, SHAPE, lse = NULL, "lse: ");
    REFUSE(attention_guide, SHAPE, link_offsets = NULL, "link_offsets: ");
    REFUSE(attention_guide, SHAPE, link_keys = NULL, "link_keys: ");
    REFUSE(attention_guide, RANGE, link_count = -1, "link_count: ");
    REFUSE(attention_guide, RANGE, gradient_scale = NAN, "gradient_scale: ");
    REFUSE(attention_guide, SHAPE, d_score_vector.data = NULL, "d_score_vector: ");
    REFUSE(attention_guide, SHAPE, d_q.data = good.q.data, "d_q: expected memory apart from q");
    REFUSE(attention_guide, RANGE, link_count = 2, "link_offsets[3]: expected 2, found 3");
    REFUSE(attention_guide, RANGE, link_offsets = rig_array(rig, falling, 4, 4),
           "link_offsets[2]: ");
    REFUSE(attention_guide, RANGE, link_keys = rig_array(rig, high, 3, 4),
           "link_keys[2]: expected 1 to 1, found 2");
    REFUSE(attention_guide, RANGE, link_keys = rig_array(rig, twice, 3, 4), "link_keys[2]: ");
    REFUSE(attention_guide, RANGE, link_keys = rig_array(rig, below, 3, 4), "link_keys[0]: ");
}

static void refuse_activation_fwd(struct rig *rig)
{
    const struct lng_activation_fwd_args good = {.x = matrix(rig, 3, 4), .y = matrix(rig, 3, 4)};
    ACCEPT(activation_fwd);
    REFUSE(activation_fwd, SHAPE, y.cols = 3, "y: ");
    REFUSE(activation_fwd, DTYPE, x.dtype = LNG_DTYPE_I32, "x: ");
    REFUSE(activation_fwd, RANGE, activation = (enum lng_activation)6, "activation: ");
    REFUSE(activation_fwd, SHAPE, dropout = no_arrays(0.1), "dropout.sentence: ");
}

static void refuse_activation_bwd(struct rig *rig)
{
    const struct lng_activation_bwd_args good = {
        .x = matrix(rig, 3, 4), .d_y = matrix(rig, 3, 4), .d_x = matrix(rig, 3, 4)};
    ACCEPT(activation_bwd);
    REFUSE(activation_bwd, SHAPE, d_y.rows = 2, "d_y: ");
    REFUSE(activation_bwd, SHAPE, d_x.cols = 3, "d_x: ");
    REFUSE(activation_bwd, RANGE, activation = (enum lng_activation)6, "activation: ");
}

static void refuse_loss(struct rig *rig)
{
    const struct lng_loss_args good = {
        .logits = matrix(rig, 3, 4), .targets = integers(rig, 3), .smoothing = 0.1};
    ACCEPT(loss);
    REFUSE(loss, SHAPE, logits.cols = 0, "logits: ");
    REFUSE(loss, DTYPE, logits.dtype = LNG_DTYPE_F64, "logits: ");
    REFUSE(loss, SHAPE, targets = NULL, "targets: ");
    REFUSE(loss, RANGE, smoothing = 1.1, "smoothing: ");
    REFUSE(loss, RANGE, kind = (enum lng_smoothing)2, "kind: ");
}

static void refuse_pair_loss(struct rig *rig)
{
    const struct lng_pair_loss_args good = {
        .logits = matrix(rig, 4, 3), .targets = integers(rig, 2), .divergence = 5};
    ACCEPT(pair_loss);
    REFUSE(pair_loss, SHAPE, logits.cols = 0, "logits: ");
    REFUSE(pair_loss, SHAPE, logits.rows = 3, "logits: expected an even number of rows, found 3");
    REFUSE(pair_loss, DTYPE, logits.dtype = LNG_DTYPE_F64, "logits: ");
    REFUSE(pair_loss, SHAPE, targets = NULL, "targets: ");
    REFUSE(pair_loss, RANGE, smoothing = 1.1, "smoothing: ");
    REFUSE(pair_loss, RANGE, kind = (enum lng_smoothing)2, "kind: ");
    REFUSE(pair_loss, RANGE, divergence = -1, "divergence: ");
    REFUSE(pair_loss, RANGE, divergence = NAN, "divergence: ");
    REFUSE(pair_loss, RANGE, gradient_scale = INFINITY, "gradient_scale: ");
}

static void refuse_candidates(struct rig *rig)
{
    const struct lng_candidates_args good = {.logits = matrix(rig, 3, 4),
                                             .row_scores = matrix(rig, 1, 3).data,
                                             .row_offsets = rig_array(rig, two_sentences, 3, 4),
                                             .sentences = 2,
                                             .k = 2,
                                             .out = rig_array(rig, NULL, 4, 16)};
    ACCEPT(candidates);
    REFUSE(candidates, SHAPE, logits.cols = 0, "logits: ");
    REFUSE(candidates, SHAPE, row_scores = NULL, "row_scores: ");
    REFUSE(candidates, SHAPE, row_offsets = NULL, "row_offsets: ");
    REFUSE(candidates, SHAPE, banned_count = 1, "banned: ");
    REFUSE(candidates, RANGE, k = 0, "k: ");
    REFUSE(candidates, SHAPE, out = NULL, "out: ");
}

static void refuse_select_logits(struct rig *rig)
{
    const int32_t tokens[] = {3, 0, 1}, first[] = {0, 1}, count[] = {1, 2};
    const struct lng_select_logits_args good = {.x = matrix(rig, 2, 3),
                                                .table = matrix(rig, 4, 3),
                                                .bias = matrix(rig, 1, 4),
                                                .y = matrix(rig, 2, 2),
                                                .tokens = rig_array(rig, tokens, 3, 4),
                                                .first = rig_array(rig, first, 2, 4),
                                                .count = rig_array(rig, count, 2, 4),
                                                .token_count = 3};
    ACCEPT(select_logits);
    REFUSE(select_logits, SHAPE, table.cols = 2, "table: ");
    REFUSE(select_logits, SHAPE, bias.cols = 3, "bias: ");
    REFUSE(select_logits, SHAPE, y.rows = 1, "y: ");
    REFUSE(select_logits, SHAPE, tokens = NULL, "tokens: ");
    REFUSE(select_logits, SHAPE, count = NULL, "count: ");
    REFUSE(select_logits, RANGE, token_count = -1, "token_count: ");
    REFUSE(select_logits, RANGE, token_count = 2, "count: ");
    REFUSE(select_logits, RANGE, y.cols = 1, "count[1]: ");
    struct lng_weight *weight;
    RIG_OK(lng_weight_prepare(rig->device, good.table, LNG_DTYPE_I8, 0, &weight));
    REFUSE(select_logits, UNSUPPORTED, weight = weight, "weight: ");
    RIG_OK(lng_weight_keep_rows(rig->device, weight));
    REFUSE(select_logits, SHAPE, weight = weight, "table: ");
    const struct lng_view none = {0};
    REFUSE(select_logits, SHAPE, table = none; bad.weight = weight;
           bad.x = matrix(rig, 2, 4), "x: ");
    REFUSE(select_logits, SHAPE, table = none; bad.weight = weight;
           bad.bias = matrix(rig, 1, 3), "bias: ");
    REFUSE(select_logits, RANGE, table = none; bad.weight = weight; bad.token_count = 2, "count: ");
    lng_weight_release(rig->device, weight);
}

static void refuse_log_probs(struct rig *rig)
{
    const int32_t count[] = {1, 2};
    const struct lng_log_probs_args good = {.logits = matrix(rig, 2, 2),
                                            .y = matrix(rig, 2, 2),
                                            .count = rig_array(rig, count, 2, 4),
                                            .factor = 1};
    ACCEPT(log_probs);
    REFUSE(log_probs, SHAPE, logits.cols = 0, "logits: ");
    REFUSE(log_probs, SHAPE, y.rows = 1, "y: ");
    REFUSE(log_probs, SHAPE, y = good.logits, "logits: ");
    REFUSE(log_probs, RANGE, factor = -1, "factor: ");
    REFUSE(log_probs, RANGE, offset = INFINITY, "offset: ");
    REFUSE(log_probs, RANGE, combine = (enum lng_combine)3, "combine: ");
}

static void refuse_edit_scores(struct rig *rig)
{
    const struct lng_score_edit edits[] = {{0, 1, 2, 0}, {1, 0, 1, -INFINITY}};
    const struct lng_edit_scores_args good = {
        .y = matrix(rig, 2, 2), .edits = rig_array(rig, edits, 2, sizeof *edits), .edit_count = 2};
    ACCEPT(edit_scores);
    REFUSE(edit_scores, SHAPE, edits = NULL, "edits: ");
    REFUSE(edit_scores, RANGE, edit_count = -1, "edit_count: ");
    REFUSE(edit_scores, RANGE, y.cols = 1, "edits: ");
    REFUSE(edit_scores, RANGE, y.rows = 1, "edits: ");
}

static void refuse_adam(struct rig *rig)
{
    struct lng_adam_args good = {.param = matrix(rig, 1, 3).data,
                                 .m = rig_zeros(rig, LNG_DTYPE_F32, 1, 3).data,
                                 .v = rig_zeros(rig, LNG_DTYPE_F32, 1, 3).data,
                                 .grad = matrix(rig, 1, 3).data,
                                 .ema = matrix(rig, 1, 3).data,
                                 .n = 3,
                                 .beta1 = 0.9,
                                 .beta2 = 0.99,
                                 .epsilon = 1e-8,
                                 .grad_scale = 1,
                                 .bias1 = 1,
                                 .bias2 = 1};
    ACCEPT(adam);
    REFUSE(adam, SHAPE, param = NULL, "param: ");
    REFUSE(adam, SHAPE, m = NULL, "m: ");
    REFUSE(adam, SHAPE, v = NULL, "v: ");
    REFUSE(adam, SHAPE, grad = NULL, "grad: ");
    REFUSE(adam, SHAPE, n = -1, "param: ");
    REFUSE(adam, RANGE, lr = NAN, "lr: ");
    REFUSE(adam, RANGE, beta1 = 1.5, "beta1: ");
    REFUSE(adam, RANGE, beta2 = -0.5, "beta2: ");
    REFUSE(adam, RANGE, epsilon = -1, "epsilon: ");
    REFUSE(adam, RANGE, grad_scale = NAN, "grad_scale: ");
    REFUSE(adam, RANGE, bias1 = 0, "bias1: ");
    REFUSE(adam, RANGE, bias2 = 0, "bias2: ");
    REFUSE(adam, RANGE, ema_rate = 2, "ema_rate: ");
}

static void refuse_gradient_scale(struct rig *rig)
{
    const struct lng_gradient_stats_args good = {.grad = matrix(rig, 1, 3).data,
                                                 .n = 3,
                                                 .out = rig_array(rig, NULL, 2, 8),
                                                 .scale = rig_array(rig, NULL, 1, 8),
                                                 .tokens = 4};
    ACCEPT(gradient_stats);
    REFUSE(gradient_stats, RANGE, tokens = -1, "tokens: ");
    REFUSE(gradient_stats, RANGE, tokens = NAN, "tokens: ");
    REFUSE(gradient_stats, RANGE, clip_norm = -1, "clip_norm: ");
}

static void refuse_gradient_stats(struct rig *rig)
{
    const struct lng_gradient_stats_args good = {
        .grad = matrix(rig, 1, 3).data, .n = 3, .out = rig_array(rig, NULL, 2, 8)};
    ACCEPT(gradient_stats);
    REFUSE(gradient_stats, SHAPE, grad = NULL, "grad: ");
    REFUSE(gradient_stats, SHAPE, out = NULL, "out: ");
    REFUSE(gradient_stats, SHAPE, n = -3, "grad: ");
    refuse_gradient_scale(rig);
}

static void refuse_average(struct rig *rig)
{
    const struct lng_average_args good = {
        .y = matrix(rig, 1, 3).data, .x = matrix(rig, 1, 3).data, .n = 3};
    ACCEPT(average);
    REFUSE(average, SHAPE, y = NULL, "y: ");
    REFUSE(average, SHAPE, x = NULL, "x: ");
    REFUSE(average, RANGE, rate = NAN, "rate: ");
}

static void refuse_scale(struct rig *rig)
{
    const struct lng_scale_args good = {.y = matrix(rig, 3, 4), .factor = 2};
    ACCEPT(scale);
    REFUSE(scale, DTYPE, y.dtype = LNG_DTYPE_I32, "y: ");
    REFUSE(scale, SHAPE, y.data = NULL, "y: ");
    REFUSE(scale, RANGE, factor = NAN, "factor: ");
}

static void refuse_fill(struct rig *rig)
{
    const struct lng_fill_args good = {.y = matrix(rig, 3, 4)};
    ACCEPT(fill);
    REFUSE(fill, DTYPE, y.dtype = LNG_DTYPE_I8, "y: ");
    REFUSE(fill, SHAPE, y.stride = 3, "y: ");
}

static void refuse_copy(struct rig *rig)
{
    const struct lng_copy_args good = {.x = matrix(rig, 3, 4), .y = matrix(rig, 3, 4)};
    ACCEPT(copy);
    REFUSE(copy, SHAPE, y.rows = 2, "y: expected [3, 4], found [2, 4]");
    REFUSE(copy, DTYPE, x.dtype = LNG_DTYPE_I32, "x: ");
    REFUSE(copy, DTYPE, y.dtype = LNG_DTYPE_F64, "y: ");
    REFUSE(copy, DTYPE, y.dtype = (enum lng_dtype)99, "y: expected f32 or bf16, found unknown");
}

static void refuse_add(struct rig *rig)
{
    const struct lng_add_args good = {.x = matrix(rig, 3, 4), .y = matrix(rig, 3, 4)};
    ACCEPT(add);
    REFUSE(add, SHAPE, y.cols = 3, "y: ");
    REFUSE(add, DTYPE, y.dtype = LNG_DTYPE_BF16, "y: ");
}

static void refuse_gather_rows(struct rig *rig)
{
    const struct lng_gather_rows_args good = {
        .x = matrix(rig, 3, 4), .y = matrix(rig, 2, 4), .rows = integers(rig, 2)};
    ACCEPT(gather_rows);
    REFUSE(gather_rows, SHAPE, y.cols = 3, "y: ");
    REFUSE(gather_rows, SHAPE, rows = NULL, "rows: ");
    REFUSE(gather_rows, DTYPE, y.dtype = LNG_DTYPE_BF16, "y: ");
    REFUSE(gather_rows, SHAPE, y.data = good.x.data, "y: expected memory apart from x");
}

static void refuse_quantize_rows(struct rig *rig)
{
    const struct lng_quantize_rows_args good = {.x = matrix(rig, 3, 4),
                                                .q = rig_output(rig, LNG_DTYPE_I8, 3, 4),
                                                .scales = rig_array(rig, NULL, 3, 4)};
    ACCEPT(quantize_rows);
    REFUSE(quantize_rows, SHAPE, q.rows = 2, "q: ");
    REFUSE(quantize_rows, DTYPE, q.dtype = LNG_DTYPE_F32, "q: expected int8, found f32");
    REFUSE(quantize_rows, SHAPE, scales = NULL, "scales: ");
}

static void refuse_dequantize_rows(struct rig *rig)
{
    const struct lng_dequantize_rows_args good = {.q = rig_output(rig, LNG_DTYPE_I8, 3, 4),
                                                  .y = matrix(rig, 3, 4),
                                                  .scales = matrix(rig, 1, 3).data};
    ACCEPT(dequantize_rows);
    REFUSE(dequantize_rows, SHAPE, y.cols = 3, "y: ");
    REFUSE(dequantize_rows, DTYPE, q.dtype = LNG_DTYPE_BF16, "q: ");
    REFUSE(dequantize_rows, SHAPE, scales = NULL, "scales: ");
}
