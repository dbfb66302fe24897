/* Products with a weight matrix W [out, in].
 *
 * Everything is first turned into doubles as the weight's compute type sees it: unchanged for f32,
 * rounded to bf16, or int8 values with one scale a row (weights by output, activations by row, chosen
 * anew at every call). Then one loop serves all types. */
#include "kernels/ref/ref.h"

/* Row `row` of x in the compute type into out [cols]; answers the row's scale (1 but for I8). */
static double load_row(const struct lng_view *x, int64_t row, enum lng_dtype compute,
                       lng_real *real_row, int8_t *int_row, double *out)
{
    for (int64_t i = 0; i < x->cols; i++) {
        double value = ref_load(x, row, i);
        out[i] = compute == LNG_DTYPE_BF16 ? lng_bf16_to_f32(lng_f32_to_bf16((float)value)) : value;
    }
    if (compute != LNG_DTYPE_I8)
        return 1;
    for (int64_t i = 0; i < x->cols; i++)
        real_row[i] = (lng_real)out[i];
    double scale = REF(quantize_row)(real_row, x->cols, int_row);
    for (int64_t i = 0; i < x->cols; i++)
        out[i] = int_row[i];
    return scale;
}

/* Row `row` of the weight into out [in]; answers the row's scale. */
static double load_weight_row(const struct lng_weight *weight, int64_t row, double *out)
{
    const struct ref_weight *own = (const struct ref_weight *)weight;
    struct lng_view view = weight->master;
    if (own->values != NULL)
        view = lng_view_make(own->values, weight->compute, view.rows, view.cols);
    for (int64_t i = 0; i < view.cols; i++)
        out[i] = ref_load(&view, row, i);
    return own->scales != NULL ? own->scales[row] : 1;
}

/* A whole matrix as doubles; NULL when out of memory. scales [rows] may be NULL (not I8). */
static double *load_matrix(const struct lng_view *x, enum lng_dtype compute, double *scales)
{
    double *out = lng_alloc((size_t)x->rows * (size_t)x->cols, sizeof *out);
    lng_real *real_row = lng_alloc((size_t)x->cols, sizeof *real_row);
    int8_t *int_row = lng_alloc((size_t)x->cols, sizeof *int_row);
    if (out == NULL || real_row == NULL || int_row == NULL) {
        lng_free(out);
        out = NULL;
    }
    for (int64_t n = 0; out != NULL && n < x->rows; n++) {
        double scale = load_row(x, n, compute, real_row, int_row, out + n * x->cols);
        if (scales != NULL)
            scales[n] = scale;
    }
    lng_free(real_row);
    lng_free(int_row);
    return out;
}

/* As LNG_REFINED says. tokens NULL: column j of y is token j. */
static void refine_row(const struct lng_view *x, const struct lng_weight *weight,
                       const struct lng_view *bias, const struct lng_view *y, int64_t row,
                       const int32_t *tokens, int64_t count)
{
    int64_t best[LNG_REFINED], found = 0;
    while (found < LNG_REFINED) {
        int64_t next = -1;
        for (int64_t j = 0; j < count; j++) {
            bool taken = !(ref_load(y, row, j) >= -INFINITY); /* not a number */
            for (int64_t i = 0; i < found; i++)
                taken |= best[i] == j;
            if (!taken && (next < 0 || ref_load(y, row, j) > ref_load(y, row, next)))
                next = j;
        }
        if (next < 0)
            break;
        best[found++] = next;
    }
    for (int64_t i = 0; i < found; i++) {
        const int64_t token = tokens != NULL ? tokens[best[i]] : best[i];
        double sum = bias->data != NULL ? ref_load(bias, 0, token) : 0;
        for (int64_t d = 0; d < x->cols; d++)
            sum += ref_load(x, row, d) * REF(weight_load)(weight, token, d);
        ref_store(y, row, best[i], sum);
    }
}

enum lng_status REF(linear_fwd)(struct lng_device *device, const struct lng_linear_fwd_args *args)
{
    (void)device;
    enum lng_status status = LNG_ERR_MEMORY;
    const struct lng_view *x = &args->x, *y = &args->y;
    double *x_scales = lng_alloc((size_t)x->rows, sizeof *x_scales);
    double *w_row = lng_alloc((size_t)x->cols, sizeof *w_row);
    double *x_rows = x_scales == NULL ? NULL : load_matrix(x, args->weight->compute, x_scales);
    if (x_rows == NULL || w_row == NULL)
        goto fail;
    for (int64_t o = 0; o < y->cols; o++) {
        double w_scale = load_weight_row(args->weight, args->first + o, w_row);
        double bias = args->bias.data != NULL ? ref_load(&args->bias, 0, o) : 0;
        for (int64_t n = 0; n < y->rows; n++) {
            double sum = ref_dot(x_rows + n * x->cols, w_row, x->cols);
            sum = REF(activate)(args->activation, sum * x_scales[n] * w_scale + bias);
            if (args->accumulate)
                sum += ref_load(y, n, o);
            ref_store(y, n, o, sum);
        }
    }
    for (int64_t n = 0; n < y->rows && args->refine; n++)
        refine_row(x, args->weight, &args->bias, y, n, NULL, y->cols);
    status = LNG_OK;
fail:
    lng_free(x_scales);
    lng_free(w_row);
    lng_free(x_rows);
    return status;
}

static void relu_backward(const struct lng_view *y, const struct lng_view *d_y)
{
    for (int64_t n = 0; n < d_y->rows; n++)
        for (int64_t o = 0; o < d_y->cols; o++)
            if (!(ref_load(y, n, o) > 0))
                ref_store(d_y, n, o, 0);
}

/* d_bias += column sums of d_pre, of the values as stored (not rounded to the compute type). */
static void bias_gradient(const struct lng_view *d_pre, const struct lng_view *d_bias)
{
    for (int64_t o = 0; o < d_pre->cols; o++) {
        double sum = 0;
        for (int64_t n = 0; n < d_pre->rows; n++)
            sum += ref_load(d_pre, n, o);
        ref_accumulate(d_bias, 0, o, sum);
    }
}

static enum lng_status input_gradient(const struct lng_linear_bwd_args *args, const double *d_pre)
{
    int64_t rows = args->d_y.rows, out = args->d_y.cols, in = args->weight->master.cols;
    double *sums = lng_alloc((size_t)rows * (size_t)in, sizeof *sums);
    double *w_row = lng_alloc((size_t)in, sizeof *w_row);
    if (sums != NULL && w_row != NULL) {
        for (int64_t o = 0; o < out; o++) {
            load_weight_row(args->weight, o, w_row);
            for (int64_t n = 0; n < rows; n++)
                for (int64_t i = 0; i < in; i++)
                    sums[n * in + i] += d_pre[n * out + o] * w_row[i];
        }
        for (int64_t n = 0; n < rows; n++)
            for (int64_t i = 0; i < in; i++)
                ref_store(&args->d_x, n, i,
                          sums[n * in + i] +
                              (args->accumulate_d_x ? ref_load(&args->d_x, n, i) : 0));
    }
    enum lng_status status = sums == NULL || w_row == NULL ? LNG_ERR_MEMORY : LNG_OK;
    lng_free(sums);
    lng_free(w_row);
    return status;
}

static enum lng_status weight_gradient(const struct lng_linear_bwd_args *args, const double *d_pre)
{
    int64_t rows = args->d_y.rows, out = args->d_y.cols, in = args->x.cols;
    double *x = load_matrix(&args->x, args->weight->compute, NULL);
    double *sums = lng_alloc((size_t)in, sizeof *sums);
    for (int64_t o = 0; x != NULL && sums != NULL && o < out; o++) {
        for (int64_t i = 0; i < in; i++)
            sums[i] = 0;
        for (int64_t n = 0; n < rows; n++)
            for (int64_t i = 0; i < in; i++)
                sums[i] += d_pre[n * out + o] * x[n * in + i];
        for (int64_t i = 0; i < in; i++)
            ref_accumulate(&args->d_weight, o, i, sums[i]);
    }
    enum lng_status status = x == NULL || sums == NULL ? LNG_ERR_MEMORY : LNG_OK;
    lng_free(x);
    lng_free(sums);
    return status;
}

enum lng_status REF(linear_bwd)(struct lng_device *device, const struct lng_linear_bwd_args *args)
{
    (void)device;
    enum lng_status status = LNG_OK;
    if (args->activation == LNG_ACTIVATION_RELU)
        relu_backward(&args->y, &args->d_y);
    if (args->d_bias.data != NULL)
        bias_gradient(&args->d_y, &args->d_bias);
    double *d_pre = load_matrix(&args->d_y, args->weight->compute, NULL);
    if (d_pre == NULL)
        return LNG_ERR_MEMORY;
    if (args->d_weight.data != NULL)
        status = weight_gradient(args, d_pre);
    if (status == LNG_OK && args->d_x.data != NULL)
        status = input_gradient(args, d_pre);
    lng_free(d_pre);
    return status;
}

static enum lng_status check_selection(const struct lng_select_logits_args *args, int64_t words)
{
    const int64_t rows = args->x.rows, listed = args->token_count;
    LNG_TRY(REF(check_range)("select_logits: tokens", args->tokens, listed, 0, words));
    LNG_TRY(REF(check_range)("select_logits: first", args->first, rows, 0, listed + 1));
    LNG_TRY(REF(check_range)("select_logits: count", args->count, rows, 0, args->y.cols + 1));
    for (int64_t r = 0; r < rows; r++)
        LNG_FAIL_IF(args->first[r] + (int64_t)args->count[r] > listed, LNG_ERR_RANGE,
                    "select_logits: count: row %lld asks for tokens %d to %lld of %lld",
                    (long long)r, args->first[r], (long long)args->first[r] + args->count[r],
                    (long long)listed);
    return LNG_OK;
}

enum lng_status REF(select_logits)(struct lng_device *device,
                                   const struct lng_select_logits_args *args)
{
    (void)device;
    const struct ref_weight plain = {.head = {.master = args->table, .compute = REF_REAL}};
    const struct lng_weight *weight = args->weight ? args->weight : &plain.head;
    LNG_TRY(check_selection(args, weight->master.rows));
    enum lng_status status = LNG_ERR_MEMORY;
    const struct lng_view *x = &args->x;
    double *x_scales = lng_alloc((size_t)x->rows, sizeof *x_scales);
    double *w_row = lng_alloc((size_t)x->cols, sizeof *w_row);
    double *x_rows = x_scales == NULL ? NULL : load_matrix(x, weight->compute, x_scales);
    if (x_rows == NULL || w_row == NULL)
        goto fail;
    for (int64_t r = 0; r < x->rows; r++) {
        const int32_t *tokens = args->tokens + args->first[r];
        for (int32_t j = 0; j < args->count[r]; j++) {
            const int64_t token = tokens[j];
            const double w_scale = load_weight_row(weight, token, w_row);
            const double bias = args->bias.data != NULL ? ref_load(&args->bias, 0, token) : 0;
            const double sum = ref_dot(x_rows + r * x->cols, w_row, x->cols);
            ref_store(&args->y, r, j, sum * x_scales[r] * w_scale + bias);
        }
        if (weight->compute == LNG_DTYPE_I8)
            refine_row(x, weight, &args->bias, &args->y, r, tokens, args->count[r]);
    }
    status = LNG_OK;
fail:
    lng_free(x_scales);
    lng_free(w_row);
    lng_free(x_rows);
    return status;
}

enum lng_status REF(norm_linear_fwd)(struct lng_device *device,
                                     const struct lng_norm_linear_fwd_args *args)
{
    LNG_TRY(REF(norm_fwd)(device, &args->norm));
    return REF(linear_fwd)(device, &args->linear);
}
