/* The parity case of every operation but attention and search (parity_attention.c). */
#include <math.h>

#include "tests/support/parity.h"

void parity_case_embed_fwd(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p), words = 37, positions = 11;
    struct lng_embed_fwd_args args = {
        .table = parity_real(p, words, width),
        .y = parity_activation_output(p, rows, width),
        .ids = parity_integers(p, rows, rows < 8 ? 0 : -1, words - 1),
        .positions = parity_integers(p, rows, 0, positions - 1),
        .scale = 1.5,
        .dropout = parity_dropout(p, rows),
        .word_dropout = parity_dropout(p, rows),
    };
    args.word_dropout.rng.site = 35;
    if (rows < 8) /* else the one row may go whole */
        args.word_dropout.probability = 0;
    if (p->seed % 3 != 0)
        args.position_table = parity_real(p, positions, width);
    RIG_OK(lng_embed_fwd(p->rig.device, &args));
    parity_take(p, "y", args.y);
}

void parity_case_embed_bwd(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p), words = 37, positions = 11;
    struct lng_embed_bwd_args args = {
        .d_y = parity_activation(p, rows, width),
        .d_table = parity_real(p, words, width),
        .ids = parity_integers(p, rows, rows < 8 ? 0 : -1, words - 1),
        .positions = parity_integers(p, rows, 0, positions - 1),
        .scale = 1.5,
        .dropout = parity_dropout(p, rows),
        .word_dropout = parity_dropout(p, rows),
    };
    args.word_dropout.rng.site = 35;
    if (rows < 8) /* else the one row may go whole */
        args.word_dropout.probability = 0;
    if (p->seed % 3 != 0)
        args.d_position_table = parity_real(p, positions, width);
    RIG_OK(lng_embed_bwd(p->rig.device, &args));
    parity_take(p, "d_table", args.d_table);
    if (args.d_position_table.data != NULL)
        parity_take(p, "d_position_table", args.d_position_table);
}

void parity_case_linear_fwd(struct parity *p)
{
    int64_t rows = parity_rows(p), in = parity_width(p), out = parity_width(p);
    struct lng_weight *weight;
    RIG_OK(lng_weight_prepare(p->rig.device, parity_real(p, out, in), p->compute, 0, &weight));
    struct lng_linear_fwd_args args = {
        .x = parity_activation(p, rows, in),
        .weight = weight,
        .y = parity_activation_output(p, rows, out),
    };
    RIG_OK(lng_linear_fwd(p->rig.device, &args));
    parity_take(p, "y", args.y);
    args.accumulate = true;
    args.bias = parity_real(p, 1, out);
    RIG_OK(lng_linear_fwd(p->rig.device, &args));
    parity_take(p, "y accumulated", args.y);
    args.accumulate = false;
    for (int kind = LNG_ACTIVATION_RELU; kind <= LNG_ACTIVATION_SWISH; kind++) {
        static const char *const names[] = {"none",      "relu",         "gelu",
                                            "gelu tanh", "gelu sigmoid", "swish"};
        args.activation = (enum lng_activation)kind;
        RIG_OK(lng_linear_fwd(p->rig.device, &args));
        /* one output may well be all zeros behind relu */
        if (kind != LNG_ACTIVATION_RELU || rows * out == 0 || out > 16)
            parity_take(p, names[kind], args.y);
    }
    if (out > LNG_FIRST_STEP) { /* the last columns alone */
        args.first = out - 1 - (out - 1) % LNG_FIRST_STEP;
        args.bias = lng_view_cols(args.bias, args.first, out - args.first);
        args.y = parity_activation_output(p, rows, out - args.first);
        args.activation = LNG_ACTIVATION_NONE;
        RIG_OK(lng_linear_fwd(p->rig.device, &args));
        parity_take(p, "y of the last columns", args.y);
    }
    lng_weight_release(p->rig.device, weight);
}

void parity_case_linear_bwd(struct parity *p)
{
    int64_t rows = parity_rows(p), in = parity_width(p), out = parity_width(p);
    struct lng_weight *weight;
    RIG_OK(lng_weight_prepare(p->rig.device, parity_real(p, out, in), p->compute,
                              LNG_WEIGHT_BACKWARD, &weight));
    struct lng_linear_bwd_args args = {
        .x = parity_activation(p, rows, in),
        .y = parity_activation(p, rows, out), /* about half above zero */
        .weight = weight,
        .d_y = parity_activation(p, rows, out),
        .d_x = parity_activation(p, rows, in),
        .d_weight = parity_real(p, out, in),
        .d_bias = parity_real(p, 1, out),
        .activation = p->seed % 2 && out > 8 ? LNG_ACTIVATION_RELU : LNG_ACTIVATION_NONE,
        .accumulate_d_x = p->seed % 3 == 1,
    };
    if (p->seed % 5 == 4)
        args.d_bias.data = NULL;
    RIG_OK(lng_linear_bwd(p->rig.device, &args));
    parity_take(p, "d_x", args.d_x);
    parity_take(p, "d_weight", args.d_weight);
    if (args.d_bias.data != NULL)
        parity_take(p, "d_bias", args.d_bias);
    parity_take(p, "d_y", args.d_y);
    lng_weight_release(p->rig.device, weight);
}

static struct lng_norm_fwd_args norm_args(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p);
    /* One column makes a layer norm of nothing: all its values are the mean. */
    width = width == 1 ? 2 : width;
    enum lng_norm kind = (enum lng_norm)(p->seed / 2 % 3);
    struct lng_norm_fwd_args args = {
        .x = parity_activation(p, rows, width),
        .gamma = parity_real(p, 1, width),
        .beta = parity_real(p, 1, width),
        .y = parity_activation_output(p, rows, width),
        .sum = parity_activation_output(p, rows, width),
        .mean = rig_array(&p->rig, NULL, (size_t)rows, sizeof(float)),
        .rstd = rig_array(&p->rig, NULL, (size_t)rows, sizeof(float)),
        .kind = kind,
        .epsilon = 1e-5,
        .dropout = parity_dropout(p, rows),
    };
    if (p->seed % 5 != 0)
        args.residual = parity_activation(p, rows, width);
    if (kind != LNG_NORM_LAYER)
        args.beta.data = NULL;
    return args;
}

void parity_case_norm_fwd(struct parity *p)
{
    struct lng_norm_fwd_args args = norm_args(p);
    RIG_OK(lng_norm_fwd(p->rig.device, &args));
    parity_take(p, "sum", args.sum);
    parity_take(p, "y", args.y);
    if (args.kind == LNG_NORM_LAYER)
        parity_take_array(p, "mean", args.mean, args.x.rows, LNG_DTYPE_F32);
    if (args.kind != LNG_NORM_NONE)
        parity_take_array(p, "rstd", args.rstd, args.x.rows, LNG_DTYPE_F32);
    /* the result in the place of x, nothing saved */
    args.y = args.x;
    args.sum.data = NULL;
    args.mean = args.rstd = NULL;
    RIG_OK(lng_norm_fwd(p->rig.device, &args));
    parity_take(p, "y in x", args.y);
}

/* Sizes that a GPU takes in one launch, up to 16, 64 and 512 rows, and sizes that it does not. */
void parity_case_norm_linear_fwd(struct parity *p)
{
    static const int64_t fused[] = {16, 512, 48, 640, 512, 80};
    struct lng_norm_fwd_args norm = norm_args(p);
    const int64_t rows = norm.x.rows, out = parity_width(p),
                  width = p->seed % 4 == 3 ? norm.x.cols : fused[p->seed / 2 % 6];
    const int64_t first = p->seed % 3 == 1 ? out - 1 - (out - 1) % LNG_FIRST_STEP : 0;
    const int64_t taken = out - first;
    struct lng_weight *weight;
    norm.x = parity_activation(p, rows, width);
    if (norm.residual.data != NULL)
        norm.residual = parity_activation(p, rows, width);
    norm.gamma = parity_real(p, 1, width);
    if (norm.beta.data != NULL)
        norm.beta = parity_real(p, 1, width);
    norm.y = parity_activation_output(p, rows, width);
    norm.sum = p->seed % 3 != 0 ? parity_activation_output(p, rows, width) : (struct lng_view){0};
    norm.mean = norm.rstd = NULL;
    if (p->seed % 6 != 5)
        norm.dropout.probability = 0;
    RIG_OK(lng_weight_prepare(p->rig.device, parity_real(p, out, width), p->compute, 0, &weight));
    struct lng_norm_linear_fwd_args args = {
        .norm = norm,
        .linear = {
            .x = norm.y,
            .weight = weight,
            .first = first,
            .bias = p->seed % 7 != 0 ? parity_real(p, 1, taken) : (struct lng_view){0},
            .y = parity_activation_output(p, rows, taken),
            .activation =
                (enum lng_activation)(p->seed % 5 == 4 ? LNG_ACTIVATION_RELU : LNG_ACTIVATION_NONE),
        }};
    RIG_OK(lng_norm_linear_fwd(p->rig.device, &args));
    if (norm.sum.data != NULL)
        parity_take(p, "sum", norm.sum);
    parity_take(p, "norm", norm.y);
    if (args.linear.activation == LNG_ACTIVATION_NONE || rows * taken == 0 || taken > 16)
        parity_take(p, "y", args.linear.y);
    lng_weight_release(p->rig.device, weight);
}

void parity_case_norm_bwd(struct parity *p)
{
    struct lng_norm_fwd_args forward = norm_args(p);
    int64_t rows = forward.x.rows, width = forward.x.cols;
    RIG_OK(lng_norm_fwd(p->rig.device, &forward));
    struct lng_norm_bwd_args args = {
        .sum = forward.sum,
        .gamma = forward.gamma,
        .d_y = parity_activation(p, rows, width),
        .d_residual = parity_activation_output(p, rows, width),
        .d_x = parity_activation_output(p, rows, width),
        .d_gamma = parity_real(p, 1, width),
        .d_beta = parity_real(p, 1, width),
        .mean = forward.mean,
        .rstd = forward.rstd,
        .kind = forward.kind,
        .epsilon = forward.epsilon,
        .dropout = forward.dropout,
    };
    if (p->seed % 5 != 0)
        args.d_sum = parity_activation(p, rows, width);
    if (args.kind == LNG_NORM_RMS)
        args.d_beta.data = NULL;
    RIG_OK(lng_norm_bwd(p->rig.device, &args));
    parity_take(p, "d_residual", args.d_residual);
    parity_take(p, "d_x", args.d_x);
    parity_take(p, "d_gamma", args.d_gamma);
    if (args.d_beta.data != NULL)
        parity_take(p, "d_beta", args.d_beta);
    /* both gradients in the place of the one from above */
    args.d_residual = args.d_y;
    args.d_x = args.dropout.probability == 0 ? args.d_y : (struct lng_view){0};
    RIG_OK(lng_norm_bwd(p->rig.device, &args));
    parity_take(p, "d_residual in d_y", args.d_residual);
}

void parity_case_activation_fwd(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p);
    struct lng_activation_fwd_args args = {
        .x = rig_random(&p->rig, p->activation, rows, width, 4),
        .y = parity_activation_output(p, rows, width),
        .activation = (enum lng_activation)(p->seed / 2 % 6),
        .dropout = parity_dropout(p, rows),
    };
    RIG_OK(lng_activation_fwd(p->rig.device, &args));
    parity_take(p, "y", args.y);
    args.y = args.x;
    RIG_OK(lng_activation_fwd(p->rig.device, &args));
    parity_take(p, "y in x", args.y);
}

void parity_case_activation_bwd(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p);
    struct lng_activation_bwd_args args = {
        .x = rig_random(&p->rig, p->activation, rows, width, 4),
        .d_y = parity_activation(p, rows, width),
        .d_x = parity_activation_output(p, rows, width),
        .activation = (enum lng_activation)(p->seed / 2 % 6),
        .dropout = parity_dropout(p, rows),
    };
    RIG_OK(lng_activation_bwd(p->rig.device, &args));
    parity_take(p, "d_x", args.d_x);
    args.d_x = args.d_y;
    RIG_OK(lng_activation_bwd(p->rig.device, &args));
    parity_take(p, "d_x in d_y", args.d_x);
}

/* Odd sizes around those of blocks of work. */
static int64_t flat_count(struct parity *p)
{
    static const int64_t counts[] = {0, 1, 3, 97, 239, 4099, 16384, 70001};
    return counts[p->seed % 8];
}

void parity_case_adam(struct parity *p)
{
    int64_t n = flat_count(p);
    struct lng_view param = parity_real(p, 1, n), grad = parity_real(p, 1, n);
    struct lng_view m = parity_real(p, 1, n), v = parity_real(p, 1, n), ema = parity_real(p, 1, n);
    RIG_OK(lng_scale(p->rig.device, &(struct lng_scale_args){m, 0.01}));
    RIG_OK(lng_fill(p->rig.device, &(struct lng_fill_args){v, 0.25}));
    /* Of every fifth the scale is the device's, and may be that of no step. */
    const double scales[] = {0.125, 0};
    const double *scale =
        p->seed % 5 != 0 ? NULL : rig_array(&p->rig, &scales[p->seed % 2], 1, sizeof(double));
    struct lng_adam_args args = {
        .scale = scale,
        .param = param.data,
        .m = m.data,
        .v = v.data,
        .grad = grad.data,
        .ema = p->seed % 3 == 0 ? NULL : ema.data,
        .n = n,
        .lr = 0.01,
        .beta1 = 0.9,
        .beta2 = 0.98,
        .epsilon = 1e-9,
        .weight_decay = p->seed % 2 ? 0.1 : 0,
        .grad_scale = 0.125,
        .bias1 = 1 - 0.9 * 0.9,
        .bias2 = 1 - 0.98 * 0.98,
        .ema_rate = 0.001,
    };
    RIG_OK(lng_adam(p->rig.device, &args));
    parity_take(p, "param", param);
    parity_take(p, "m", m);
    parity_take(p, "v", v);
    parity_take(p, "ema", ema);
}

void parity_case_gradient_stats(struct parity *p)
{
    int64_t n = flat_count(p);
    struct lng_view grad = parity_real(p, 1, n);
    if (n > 3)
        RIG_OK(lng_fill(p->rig.device,
                        &(struct lng_fill_args){lng_view_cols(grad, n - 2, 1), INFINITY}));
    struct lng_gradient_stats_args args = {
        .grad = grad.data, .n = n, .out = rig_array(&p->rig, NULL, 2, sizeof(double))};
    RIG_OK(lng_gradient_stats(p->rig.device, &args));
    parity_take_array(p, "out", args.out, 2, LNG_DTYPE_F64);
    if (n > 3) /* once more without infinities */
        RIG_OK(
            lng_fill(p->rig.device, &(struct lng_fill_args){lng_view_cols(grad, n - 2, 1), 0.5}));
    args.scale = rig_array(&p->rig, NULL, 1, sizeof(double));
    args.tokens = 7;
    args.clip_norm = p->seed % 2 ? 1e-3 : 0;
    RIG_OK(lng_gradient_stats(p->rig.device, &args));
    parity_take_array(p, "scale", args.scale, 1, LNG_DTYPE_F64);
}

void parity_case_average(struct parity *p)
{
    int64_t n = flat_count(p);
    struct lng_view y = parity_real(p, 1, n), x = parity_real(p, 1, n);
    RIG_OK(lng_average(p->rig.device, &(struct lng_average_args){y.data, x.data, n, 0.3}));
    parity_take(p, "y", y);
}

void parity_case_scale(struct parity *p)
{
    struct lng_view y = parity_activation(p, parity_rows(p), parity_width(p));
    RIG_OK(lng_scale(p->rig.device, &(struct lng_scale_args){y, -1.7}));
    parity_take(p, "y", y);
}

void parity_case_fill(struct parity *p)
{
    struct lng_view y = parity_activation_output(p, parity_rows(p), parity_width(p));
    RIG_OK(lng_fill(p->rig.device, &(struct lng_fill_args){y, 0.3}));
    parity_take(p, "y", y);
}

void parity_case_copy(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p);
    struct lng_view x = parity_activation(p, rows, width);
    struct lng_view same = parity_activation_output(p, rows, width);
    struct lng_view narrow = rig_output(&p->rig, LNG_DTYPE_BF16, rows, width);
    struct lng_view wide = rig_output(&p->rig, LNG_DTYPE_F32, rows, width);
    RIG_OK(lng_copy(p->rig.device, &(struct lng_copy_args){.x = x, .y = same}));
    RIG_OK(lng_copy(p->rig.device, &(struct lng_copy_args){.x = x, .y = narrow}));
    RIG_OK(lng_copy(p->rig.device, &(struct lng_copy_args){.x = narrow, .y = wide}));
    parity_take(p, "same", same);
    parity_take(p, "narrow", narrow);
    parity_take(p, "wide", wide);
}

void parity_case_add(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p);
    struct lng_view x = parity_activation(p, rows, width), y = parity_activation(p, rows, width);
    RIG_OK(lng_add(p->rig.device, &(struct lng_add_args){.x = x, .y = y}));
    parity_take(p, "y", y);
}

void parity_case_gather_rows(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p), from = 13;
    struct lng_gather_rows_args args = {
        .x = parity_activation(p, from, width),
        .y = parity_activation_output(p, rows, width),
        .rows = parity_integers(p, rows, rows > 1 ? -1 : 0, from - 1),
    };
    RIG_OK(lng_gather_rows(p->rig.device, &args));
    parity_take(p, "y", args.y);
}

void parity_case_quantize_rows(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p);
    struct lng_quantize_rows_args args = {
        .x = parity_activation(p, rows, width),
        .q = rig_output(&p->rig, LNG_DTYPE_I8, rows, width),
        .scales = rig_array(&p->rig, NULL, (size_t)rows, sizeof(float)),
    };
    RIG_OK(lng_quantize_rows(p->rig.device, &args));
    parity_take(p, "q", args.q);
    parity_take_array(p, "scales", args.scales, rows, LNG_DTYPE_F32);
}

void parity_case_dequantize_rows(struct parity *p)
{
    int64_t rows = parity_rows(p), width = parity_width(p);
    struct lng_dequantize_rows_args args = {
        .q = rig_random(&p->rig, LNG_DTYPE_I8, rows, width, 127.99),
        .y = parity_activation_output(p, rows, width),
        .scales = parity_real(p, 1, rows).data,
    };
    RIG_OK(lng_dequantize_rows(p->rig.device, &args));
    parity_take(p, "y", args.y);
}
