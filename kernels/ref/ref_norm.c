/* Residual sum with layer, RMS or no normalisation, and the gradient. */
#include "kernels/ref/ref.h"

static double residual_sum(const struct lng_norm_fwd_args *args, int64_t n, int64_t d)
{
    double value = ref_load(&args->x, n, d) * ref_mask(&args->dropout, n, d);
    return args->residual.data != NULL ? value + ref_load(&args->residual, n, d) : value;
}

static void normalise_row(const struct lng_norm_fwd_args *args, int64_t n, const double *s)
{
    int64_t width = args->x.cols;
    double mean = 0, square = 0;
    if (args->kind == LNG_NORM_LAYER) {
        for (int64_t d = 0; d < width; d++)
            mean += s[d];
        mean /= (double)width;
    }
    for (int64_t d = 0; d < width; d++)
        square += (s[d] - mean) * (s[d] - mean);
    double rstd = 1 / sqrt(square / (double)width + args->epsilon);
    for (int64_t d = 0; d < width; d++) {
        double beta = args->beta.data != NULL ? ref_load(&args->beta, 0, d) : 0;
        ref_store(&args->y, n, d, (s[d] - mean) * rstd * ref_load(&args->gamma, 0, d) + beta);
    }
    if (args->mean != NULL)
        ((lng_real *)args->mean)[n] = (lng_real)mean;
    if (args->rstd != NULL)
        ((lng_real *)args->rstd)[n] = (lng_real)rstd;
}

enum lng_status REF(norm_fwd)(struct lng_device *device, const struct lng_norm_fwd_args *args)
{
    (void)device;
    double *s = lng_alloc((size_t)args->x.cols, sizeof *s);
    if (s == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t n = 0; n < args->x.rows; n++) {
        for (int64_t d = 0; d < args->x.cols; d++)
            s[d] = residual_sum(args, n, d);
        for (int64_t d = 0; args->sum.data != NULL && d < args->x.cols; d++)
            ref_store(&args->sum, n, d, s[d]);
        if (args->kind != LNG_NORM_NONE)
            normalise_row(args, n, s);
        for (int64_t d = 0; args->kind == LNG_NORM_NONE && args->y.data != NULL && d < args->x.cols;
             d++)
            ref_store(&args->y, n, d, s[d]);
    }
    lng_free(s);
    return LNG_OK;
}

/* (s - mean) rstd, the normalised value before gamma. */
static double normalised(const struct lng_norm_bwd_args *args, int64_t n, int64_t d)
{
    double mean = args->kind == LNG_NORM_LAYER ? ((const lng_real *)args->mean)[n] : 0;
    return (ref_load(&args->sum, n, d) - mean) * (double)((const lng_real *)args->rstd)[n];
}

static void parameter_gradients(const struct lng_norm_bwd_args *args)
{
    for (int64_t d = 0; d < args->gamma.cols; d++) {
        double d_gamma = 0, d_beta = 0;
        for (int64_t n = 0; n < args->d_y.rows; n++) {
            d_gamma += ref_load(&args->d_y, n, d) * normalised(args, n, d);
            d_beta += ref_load(&args->d_y, n, d);
        }
        ref_accumulate(&args->d_gamma, 0, d, d_gamma);
        if (args->d_beta.data != NULL)
            ref_accumulate(&args->d_beta, 0, d, d_beta);
    }
}

/* d_s of one row without d_sum: with g = gamma d_y and h = the normalised row,
 *   rstd (g - mean(g) - h mean(g h)),   without mean(g) for RMS. */
static void normalise_backward(const struct lng_norm_bwd_args *args, int64_t n, double *d_s)
{
    int64_t width = args->gamma.cols;
    double sum = 0, product = 0, rstd = ((const lng_real *)args->rstd)[n];
    for (int64_t d = 0; d < width; d++) {
        d_s[d] = ref_load(&args->d_y, n, d) * ref_load(&args->gamma, 0, d);
        sum += d_s[d];
        product += d_s[d] * normalised(args, n, d);
    }
    double shift = args->kind == LNG_NORM_LAYER ? sum / (double)width : 0;
    for (int64_t d = 0; d < width; d++)
        d_s[d] = rstd * (d_s[d] - shift - normalised(args, n, d) * product / (double)width);
}

enum lng_status REF(norm_bwd)(struct lng_device *device, const struct lng_norm_bwd_args *args)
{
    (void)device;
    const struct lng_view *shape = args->d_y.data != NULL ? &args->d_y : &args->d_sum;
    double *d_s = lng_alloc((size_t)shape->cols, sizeof *d_s);
    if (d_s == NULL)
        return LNG_ERR_MEMORY;
    /* Before d_x or d_residual, which may be d_y, are written. */
    if (args->kind != LNG_NORM_NONE)
        parameter_gradients(args);
    for (int64_t n = 0; n < shape->rows; n++) {
        if (args->kind != LNG_NORM_NONE)
            normalise_backward(args, n, d_s);
        for (int64_t d = 0; d < shape->cols; d++) {
            if (args->kind == LNG_NORM_NONE)
                d_s[d] = args->d_y.data != NULL ? ref_load(&args->d_y, n, d) : 0;
            if (args->d_sum.data != NULL)
                d_s[d] += ref_load(&args->d_sum, n, d);
        }
        for (int64_t d = 0; d < shape->cols; d++) {
            if (args->d_residual.data != NULL)
                ref_store(&args->d_residual, n, d, d_s[d]);
            if (args->d_x.data != NULL)
                ref_store(&args->d_x, n, d, d_s[d] * ref_mask(&args->dropout, n, d));
        }
    }
    lng_free(d_s);
    return LNG_OK;
}
