/* Adam, gradient statistics and averages over flat ranges. */
#include "kernels/ref/ref.h"

enum lng_status REF(adam)(struct lng_device *device, const struct lng_adam_args *args)
{
    (void)device;
    lng_real *param = args->param, *m = args->m, *v = args->v, *ema = args->ema;
    const lng_real *grad = args->grad;
    const double scale = args->scale != NULL ? *args->scale : args->grad_scale;
    if (args->scale != NULL && scale == 0)
        return LNG_OK;
    for (int64_t i = 0; i < args->n; i++) {
        double g = grad[i] * scale;
        double m_next = args->beta1 * m[i] + (1 - args->beta1) * g;
        double v_next = args->beta2 * v[i] + (1 - args->beta2) * g * g;
        double step = m_next / args->bias1 / (sqrt(v_next / args->bias2) + args->epsilon);
        double next = param[i] - args->lr * (step + args->weight_decay * param[i]);
        m[i] = (lng_real)m_next;
        v[i] = (lng_real)v_next;
        param[i] = (lng_real)next;
        if (ema != NULL)
            ema[i] = (lng_real)(ema[i] + args->ema_rate * (next - ema[i]));
    }
    return LNG_OK;
}

enum lng_status REF(gradient_stats)(struct lng_device *device,
                                    const struct lng_gradient_stats_args *args)
{
    (void)device;
    const lng_real *grad = args->grad;
    double squares = 0, bad = 0;
    for (int64_t i = 0; i < args->n; i++) {
        if (isfinite(grad[i]))
            squares += (double)grad[i] * grad[i];
        else
            bad++;
    }
    args->out[0] = squares;
    args->out[1] = bad;
    if (args->scale != NULL)
        *args->scale = lng_gradient_scale(args);
    return LNG_OK;
}

enum lng_status REF(average)(struct lng_device *device, const struct lng_average_args *args)
{
    (void)device;
    lng_real *y = args->y;
    const lng_real *x = args->x;
    for (int64_t i = 0; i < args->n; i++)
        y[i] = (lng_real)((1 - args->rate) * y[i] + args->rate * x[i]);
    return LNG_OK;
}
