/* The public operations but attention and search: check every argument once, then call the backend. */
#include <float.h>

#include "kernels/ops_check.h"
#include "kernels/ops_run.h"

enum lng_status lng_embed_fwd(struct lng_device *device, const struct lng_embed_fwd_args *args)
{
    struct lng_check check = lng_check_begin(device, "embed_fwd");
    int64_t rows = args->y.rows, width = args->y.cols;
    CHECK_ACTIVATION(y, -1, -1);
    LNG_TRY(lng_check_table(&check, &args->table, args->rows, width));
    CHECK_ARRAY(ids, rows);
    if (args->position_table.data != NULL) {
        CHECK_REAL(position_table, -1, width);
        CHECK_ARRAY(positions, rows);
    }
    CHECK_NUMBER(scale, -DBL_MAX, DBL_MAX);
    CHECK_DROPOUT(dropout, rows);
    CHECK_DROPOUT(word_dropout, rows);
    return rows == 0 ? LNG_OK : lng_run_embed_fwd(device, args);
}

enum lng_status lng_embed_bwd(struct lng_device *device, const struct lng_embed_bwd_args *args)
{
    struct lng_check check = lng_check_begin(device, "embed_bwd");
    int64_t rows = args->d_y.rows, width = args->d_y.cols;
    CHECK_ACTIVATION(d_y, -1, -1);
    if (args->d_table.data != NULL) {
        CHECK_REAL(d_table, -1, width);
        CHECK_ARRAY(ids, rows);
    }
    if (args->d_position_table.data != NULL) {
        CHECK_REAL(d_position_table, -1, width);
        CHECK_ARRAY(positions, rows);
    }
    CHECK_NUMBER(scale, -DBL_MAX, DBL_MAX);
    CHECK_DROPOUT(dropout, rows);
    CHECK_DROPOUT(word_dropout, rows);
    return rows == 0 ? LNG_OK : lng_run_embed_bwd(device, args);
}

static enum lng_status check_weight(const struct lng_check *check, const struct lng_weight *weight)
{
    LNG_FAIL_IF(weight == NULL, LNG_ERR_SHAPE, "%s: weight: expected a prepared weight, found none",
                check->op);
    return LNG_OK;
}

static enum lng_status check_linear_fwd(const struct lng_device *device, const char *op,
                                        const struct lng_linear_fwd_args *args)
{
    struct lng_check check = lng_check_begin(device, op);
    LNG_TRY(check_weight(&check, args->weight));
    int64_t out = args->weight->master.rows, in = args->weight->master.cols;
    CHECK_INTEGER(first, 0, out - 1);
    LNG_FAIL_IF(args->first % LNG_FIRST_STEP != 0, LNG_ERR_RANGE,
                "%s: first: expected a multiple of %d, found %lld", op, (int)LNG_FIRST_STEP,
                (long long)args->first);
    out -= args->first;
    CHECK_ACTIVATION(x, -1, in);
    CHECK_ACTIVATION(y, args->x.rows, out);
    IF_PRESENT(bias, CHECK_REAL(bias, 1, out));
    CHECK_INTEGER(activation, LNG_ACTIVATION_NONE, LNG_ACTIVATION_SWISH);
    LNG_FAIL_IF(args->accumulate && args->activation != LNG_ACTIVATION_NONE, LNG_ERR_UNSUPPORTED,
                "%s: activation: expected none with accumulate, found number %d", op,
                (int)args->activation);
    LNG_FAIL_IF(args->refine && (!device->backend->refines || args->accumulate || args->first > 0 ||
                                 args->activation != LNG_ACTIVATION_NONE ||
                                 args->weight->compute != LNG_DTYPE_I8),
                LNG_ERR_UNSUPPORTED,
                "%s: refine: expected an int8 weight, all of it, no activation, no accumulate, and "
                "a device that refines; found %s on %s",
                op, lng_dtype_name(args->weight->compute), lng_device_name(device));
    CHECK_APART(y, x);
    return LNG_OK;
}

enum lng_status lng_linear_fwd(struct lng_device *device, const struct lng_linear_fwd_args *args)
{
    LNG_TRY(check_linear_fwd(device, "linear_fwd", args));
    return args->x.rows == 0 ? LNG_OK : lng_run_linear_fwd(device, args);
}

enum lng_status lng_linear_bwd(struct lng_device *device, const struct lng_linear_bwd_args *args)
{
    struct lng_check check = lng_check_begin(device, "linear_bwd");
    LNG_TRY(check_weight(&check, args->weight));
    LNG_FAIL_IF((args->weight->flags & LNG_WEIGHT_BACKWARD) == 0, LNG_ERR_UNSUPPORTED,
                "linear_bwd: weight: expected one prepared with LNG_WEIGHT_BACKWARD, found one for "
                "inference");
    LNG_FAIL_IF(args->activation != LNG_ACTIVATION_NONE && args->activation != LNG_ACTIVATION_RELU,
                LNG_ERR_UNSUPPORTED,
                "linear_bwd: activation: expected none or relu, found number %d",
                (int)args->activation);
    int64_t out = args->weight->master.rows, in = args->weight->master.cols;
    int64_t rows = args->d_y.rows;
    CHECK_ACTIVATION(d_y, -1, out);
    if (args->activation == LNG_ACTIVATION_RELU)
        CHECK_ACTIVATION(y, rows, out);
    if (args->d_weight.data != NULL) {
        CHECK_ACTIVATION(x, rows, in);
        CHECK_REAL(d_weight, out, in);
    }
    IF_PRESENT(d_x, CHECK_ACTIVATION(d_x, rows, in));
    IF_PRESENT(d_bias, CHECK_REAL(d_bias, 1, out));
    IF_PRESENT(d_x, CHECK_APART(d_x, d_y));
    return rows == 0 ? LNG_OK : lng_run_linear_bwd(device, args);
}

static enum lng_status check_norm_fwd(const struct lng_device *device, const char *op,
                                      const struct lng_norm_fwd_args *args)
{
    struct lng_check check = lng_check_begin(device, op);
    int64_t rows = args->x.rows, width = args->x.cols;
    CHECK_INTEGER(kind, LNG_NORM_LAYER, LNG_NORM_NONE);
    CHECK_ACTIVATION(x, -1, -1);
    IF_PRESENT(residual, CHECK_ACTIVATION(residual, rows, width));
    IF_PRESENT(sum, CHECK_ACTIVATION(sum, rows, width));
    if (args->kind != LNG_NORM_NONE) {
        CHECK_ACTIVATION(y, rows, width);
        CHECK_REAL(gamma, 1, width);
        CHECK_NUMBER(epsilon, 0, DBL_MAX);
        if (args->kind == LNG_NORM_LAYER)
            CHECK_REAL(beta, 1, width);
        LNG_FAIL_IF(args->kind == LNG_NORM_RMS && args->beta.data != NULL, LNG_ERR_SHAPE,
                    "%s: beta: expected none for RMS, found data", op);
    } else {
        IF_PRESENT(y, CHECK_ACTIVATION(y, rows, width));
        LNG_FAIL_IF(rows > 0 && args->y.data == NULL && args->sum.data == NULL, LNG_ERR_SHAPE,
                    "%s: sum: expected data [%lld, %lld] where y is absent, found none", op,
                    (long long)rows, (long long)width);
    }
    CHECK_DROPOUT(dropout, rows);
    return LNG_OK;
}

enum lng_status lng_norm_fwd(struct lng_device *device, const struct lng_norm_fwd_args *args)
{
    LNG_TRY(check_norm_fwd(device, "norm_fwd", args));
    return args->x.rows == 0 ? LNG_OK : lng_run_norm_fwd(device, args);
}

enum lng_status lng_norm_linear_fwd(struct lng_device *device,
                                    const struct lng_norm_linear_fwd_args *args)
{
    const struct lng_view *made = &args->norm.y, *taken = &args->linear.x;
    struct lng_check check = lng_check_begin(device, "norm_linear_fwd");
    LNG_TRY(check_norm_fwd(device, "norm_linear_fwd: norm", &args->norm));
    LNG_TRY(check_linear_fwd(device, "norm_linear_fwd: linear", &args->linear));
    LNG_FAIL_IF(taken->data != made->data || taken->dtype != made->dtype ||
                    taken->rows != made->rows || taken->cols != made->cols ||
                    taken->stride != made->stride,
                LNG_ERR_SHAPE, "norm_linear_fwd: linear.x: expected norm.y, found another view");
    CHECK_APART(norm.y, norm.x);
    IF_PRESENT(norm.residual, CHECK_APART(norm.y, norm.residual));
    IF_PRESENT(norm.sum, CHECK_APART(norm.sum, norm.x));
    IF_PRESENT(norm.sum, CHECK_APART(norm.sum, norm.y));
    if (args->norm.sum.data != NULL && args->norm.residual.data != NULL)
        CHECK_APART(norm.sum, norm.residual);
    CHECK_APART(linear.y, norm.x);
    IF_PRESENT(norm.residual, CHECK_APART(linear.y, norm.residual));
    IF_PRESENT(norm.sum, CHECK_APART(linear.y, norm.sum));
    return taken->rows == 0 ? LNG_OK : lng_run_norm_linear_fwd(device, args);
}

enum lng_status lng_norm_bwd(struct lng_device *device, const struct lng_norm_bwd_args *args)
{
    struct lng_check check = lng_check_begin(device, "norm_bwd");
    bool plain = args->kind == LNG_NORM_NONE;
    const struct lng_view *shape = plain && args->d_y.data == NULL ? &args->d_sum : &args->d_y;
    int64_t rows = shape->rows, width = shape->cols;
    CHECK_INTEGER(kind, LNG_NORM_LAYER, LNG_NORM_NONE);
    if (shape == &args->d_y)
        CHECK_ACTIVATION(d_y, -1, -1);
    if (shape == &args->d_sum || args->d_sum.data != NULL)
        CHECK_ACTIVATION(d_sum, rows, width);
    if (!plain) {
        CHECK_ACTIVATION(sum, rows, width);
        CHECK_REAL(gamma, 1, width);
        CHECK_REAL(d_gamma, 1, width);
        CHECK_ARRAY(rstd, rows);
    }
    if (args->kind == LNG_NORM_LAYER) {
        CHECK_REAL(d_beta, 1, width);
        CHECK_ARRAY(mean, rows);
    }
    IF_PRESENT(d_residual, CHECK_ACTIVATION(d_residual, rows, width));
    IF_PRESENT(d_x, CHECK_ACTIVATION(d_x, rows, width));
    CHECK_DROPOUT(dropout, rows);
    return rows == 0 ? LNG_OK : lng_run_norm_bwd(device, args);
}

enum lng_status lng_activation_fwd(struct lng_device *device,
                                   const struct lng_activation_fwd_args *args)
{
    struct lng_check check = lng_check_begin(device, "activation_fwd");
    CHECK_ACTIVATION(x, -1, -1);
    CHECK_ACTIVATION(y, args->x.rows, args->x.cols);
    CHECK_INTEGER(activation, LNG_ACTIVATION_NONE, LNG_ACTIVATION_SWISH);
    CHECK_DROPOUT(dropout, args->x.rows);
    return args->x.rows == 0 ? LNG_OK : lng_run_activation_fwd(device, args);
}

enum lng_status lng_activation_bwd(struct lng_device *device,
                                   const struct lng_activation_bwd_args *args)
{
    struct lng_check check = lng_check_begin(device, "activation_bwd");
    CHECK_ACTIVATION(x, -1, -1);
    CHECK_ACTIVATION(d_y, args->x.rows, args->x.cols);
    CHECK_ACTIVATION(d_x, args->x.rows, args->x.cols);
    CHECK_INTEGER(activation, LNG_ACTIVATION_NONE, LNG_ACTIVATION_SWISH);
    CHECK_DROPOUT(dropout, args->x.rows);
    return args->x.rows == 0 ? LNG_OK : lng_run_activation_bwd(device, args);
}

enum lng_status lng_adam(struct lng_device *device, const struct lng_adam_args *args)
{
    struct lng_check check = lng_check_begin(device, "adam");
    CHECK_ARRAY(param, args->n);
    CHECK_ARRAY(m, args->n);
    CHECK_ARRAY(v, args->n);
    CHECK_ARRAY(grad, args->n);
    CHECK_NUMBER(lr, -DBL_MAX, DBL_MAX);
    CHECK_NUMBER(beta1, 0, 1);
    CHECK_NUMBER(beta2, 0, 1);
    CHECK_NUMBER(epsilon, 0, DBL_MAX);
    CHECK_NUMBER(weight_decay, 0, DBL_MAX);
    if (args->scale == NULL)
        CHECK_NUMBER(grad_scale, -DBL_MAX, DBL_MAX);
    CHECK_NUMBER(bias1, DBL_MIN, 1);
    CHECK_NUMBER(bias2, DBL_MIN, 1);
    if (args->ema != NULL)
        CHECK_NUMBER(ema_rate, 0, 1);
    return args->n == 0 ? LNG_OK : lng_run_adam(device, args);
}

enum lng_status lng_gradient_stats(struct lng_device *device,
                                   const struct lng_gradient_stats_args *args)
{
    struct lng_check check = lng_check_begin(device, "gradient_stats");
    CHECK_ARRAY(grad, args->n);
    CHECK_ARRAY(out, 2);
    if (args->scale != NULL) {
        CHECK_NUMBER(tokens, 0, DBL_MAX);
        CHECK_NUMBER(clip_norm, 0, DBL_MAX);
    }
    return lng_run_gradient_stats(device, args);
}

enum lng_status lng_average(struct lng_device *device, const struct lng_average_args *args)
{
    struct lng_check check = lng_check_begin(device, "average");
    CHECK_ARRAY(y, args->n);
    CHECK_ARRAY(x, args->n);
    CHECK_NUMBER(rate, -DBL_MAX, DBL_MAX);
    return args->n == 0 ? LNG_OK : lng_run_average(device, args);
}

enum lng_status lng_scale(struct lng_device *device, const struct lng_scale_args *args)
{
    struct lng_check check = lng_check_begin(device, "scale");
    CHECK_ACTIVATION(y, -1, -1);
    CHECK_NUMBER(factor, -DBL_MAX, DBL_MAX);
    return args->y.rows == 0 ? LNG_OK : lng_run_scale(device, args);
}

enum lng_status lng_fill(struct lng_device *device, const struct lng_fill_args *args)
{
    struct lng_check check = lng_check_begin(device, "fill");
    CHECK_ACTIVATION(y, -1, -1);
    return args->y.rows == 0 ? LNG_OK : lng_run_fill(device, args);
}

enum lng_status lng_copy(struct lng_device *device, const struct lng_copy_args *args)
{
    struct lng_check check = lng_check_begin(device, "copy");
    unsigned set = LNG_SET(LNG_DTYPE_F32) | LNG_SET(LNG_DTYPE_BF16) | check.real;
    const bool bytes = args->heads > 0 && args->y.dtype == LNG_DTYPE_I8;
    LNG_TRY(lng_check_view(&check, "x", &args->x, -1, -1, bytes ? check.real : set));
    LNG_TRY(lng_check_view(&check, "y", &args->y, args->x.rows, args->x.cols,
                           bytes ? LNG_SET(LNG_DTYPE_I8) : set));
    if (bytes)
        LNG_TRY(lng_check_byte_cache(device, &check, "y", &args->y, args->heads));
    return args->y.rows == 0 ? LNG_OK : lng_run_copy(device, args);
}

enum lng_status lng_add(struct lng_device *device, const struct lng_add_args *args)
{
    struct lng_check check = lng_check_begin(device, "add");
    CHECK_ACTIVATION(x, -1, -1);
    CHECK_ACTIVATION(y, args->x.rows, args->x.cols);
    return args->y.rows == 0 ? LNG_OK : lng_run_add(device, args);
}

enum lng_status lng_gather_rows(struct lng_device *device, const struct lng_gather_rows_args *args)
{
    struct lng_check check = lng_check_begin(device, "gather_rows");
    CHECK_ACTIVATION(x, -1, -1);
    CHECK_ACTIVATION(y, -1, args->x.cols);
    CHECK_ARRAY(rows, args->y.rows);
    CHECK_APART(y, x);
    return args->y.rows == 0 ? LNG_OK : lng_run_gather_rows(device, args);
}

enum lng_status lng_quantize_rows(struct lng_device *device,
                                  const struct lng_quantize_rows_args *args)
{
    struct lng_check check = lng_check_begin(device, "quantize_rows");
    CHECK_ACTIVATION(x, -1, -1);
    LNG_TRY(
        lng_check_view(&check, "q", &args->q, args->x.rows, args->x.cols, LNG_SET(LNG_DTYPE_I8)));
    CHECK_ARRAY(scales, args->x.rows);
    return args->x.rows == 0 ? LNG_OK : lng_run_quantize_rows(device, args);
}

enum lng_status lng_dequantize_rows(struct lng_device *device,
                                    const struct lng_dequantize_rows_args *args)
{
    struct lng_check check = lng_check_begin(device, "dequantize_rows");
    LNG_TRY(lng_check_view(&check, "q", &args->q, -1, -1, LNG_SET(LNG_DTYPE_I8)));
    CHECK_ACTIVATION(y, args->q.rows, args->q.cols);
    CHECK_ARRAY(scales, args->q.rows);
    return args->q.rows == 0 ? LNG_OK : lng_run_dequantize_rows(device, args);
}
