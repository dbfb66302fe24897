/* Activation functions with dropout, and their gradients. */
#include "kernels/ref/ref.h"

static const double SQRT_HALF = 0.70710678118654752440;
static const double SQRT_2_OVER_PI = 0.79788456080286535588;
static const double INVERSE_SQRT_2_PI = 0.39894228040143267794;
static const double TANH_CUBIC = 0.044715;
static const double SIGMOID_SLOPE = 1.702;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

double REF(activate)(enum lng_activation activation, double x)
{
    switch (activation) {
    case LNG_ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case LNG_ACTIVATION_GELU:
        return 0.5 * x * (1 + erf(x * SQRT_HALF));
    case LNG_ACTIVATION_GELU_TANH:
        return 0.5 * x * (1 + tanh(SQRT_2_OVER_PI * (x + TANH_CUBIC * x * x * x)));
    case LNG_ACTIVATION_GELU_SIGMOID:
        return x * sigmoid(SIGMOID_SLOPE * x);
    case LNG_ACTIVATION_SWISH:
        return x * sigmoid(x);
    case LNG_ACTIVATION_NONE:
        break;
    }
    return x;
}

double REF(activate_slope)(enum lng_activation activation, double x)
{
    double t;
    switch (activation) {
    case LNG_ACTIVATION_RELU:
        return x > 0;
    case LNG_ACTIVATION_GELU:
        return 0.5 * (1 + erf(x * SQRT_HALF)) + x * INVERSE_SQRT_2_PI * exp(-0.5 * x * x);
    case LNG_ACTIVATION_GELU_TANH:
        t = tanh(SQRT_2_OVER_PI * (x + TANH_CUBIC * x * x * x));
        return 0.5 * (1 + t) +
               0.5 * x * (1 - t * t) * SQRT_2_OVER_PI * (1 + 3 * TANH_CUBIC * x * x);
    case LNG_ACTIVATION_GELU_SIGMOID:
        t = sigmoid(SIGMOID_SLOPE * x);
        return t + SIGMOID_SLOPE * x * t * (1 - t);
    case LNG_ACTIVATION_SWISH:
        t = sigmoid(x);
        return t + x * t * (1 - t);
    case LNG_ACTIVATION_NONE:
        break;
    }
    return 1;
}

enum lng_status REF(activation_fwd)(struct lng_device *device,
                                    const struct lng_activation_fwd_args *args)
{
    (void)device;
    for (int64_t n = 0; n < args->x.rows; n++)
        for (int64_t f = 0; f < args->x.cols; f++)
            ref_store(&args->y, n, f,
                      REF(activate)(args->activation, ref_load(&args->x, n, f)) *
                          ref_mask(&args->dropout, n, f));
    return LNG_OK;
}

enum lng_status REF(activation_bwd)(struct lng_device *device,
                                    const struct lng_activation_bwd_args *args)
{
    (void)device;
    for (int64_t n = 0; n < args->x.rows; n++)
        for (int64_t f = 0; f < args->x.cols; f++)
            ref_store(&args->d_x, n, f,
                      ref_load(&args->d_y, n, f) * ref_mask(&args->dropout, n, f) *
                          REF(activate_slope)(args->activation, ref_load(&args->x, n, f)));
    return LNG_OK;
}
