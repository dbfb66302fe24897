/* Activation functions and their slopes. */
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"
#include "kernels/cpu/simd/vec_tanh.h"

/* Phi(x), the normal distribution, within 1.5e-7 (Abramowitz and Stegun, 7.1.26). */
VEC_INLINE vf normal_distribution(vf x)
{
    vf z = v_mul(v_abs(x), v_set(0.70710678118654752f));
    vf t = v_div(v_set(1), v_fma(v_set(0.3275911f), z, v_set(1)));
    vf p = v_fma(v_set(1.061405429f), t, v_set(-1.453152027f));
    p = v_fma(p, t, v_set(1.421413741f));
    p = v_fma(p, t, v_set(-0.284496736f));
    p = v_fma(p, t, v_set(0.254829592f));
    vf tail = v_mul(v_mul(v_set(0.5f), v_mul(p, t)), v_exp(v_sub(v_zero(), v_mul(z, z))));
    return v_select_positive(x, v_sub(v_set(1), tail), tail);
}

static const float root_2_pi = 0.79788456080286536f, cubic = 0.044715f, steep = 1.702f;

VEC_INLINE vf value(enum lng_activation kind, vf x)
{
    switch (kind) {
    case LNG_ACTIVATION_NONE:
        return x;
    case LNG_ACTIVATION_RELU:
        return v_max(x, v_zero());
    case LNG_ACTIVATION_GELU:
        return v_mul(x, normal_distribution(x));
    case LNG_ACTIVATION_GELU_TANH: {
        vf inner = v_mul(v_set(root_2_pi), v_fma(v_mul(v_set(cubic), v_mul(x, x)), x, x));
        return v_mul(v_mul(v_set(0.5f), x), v_add(v_set(1), v_tanh(inner)));
    }
    case LNG_ACTIVATION_GELU_SIGMOID:
        return v_mul(x, v_sigmoid(v_mul(v_set(steep), x)));
    case LNG_ACTIVATION_SWISH:
        return v_mul(x, v_sigmoid(x));
    }
    return x;
}

VEC_INLINE vf slope(enum lng_activation kind, vf x)
{
    const vf one = v_set(1);
    switch (kind) {
    case LNG_ACTIVATION_NONE:
        return one;
    case LNG_ACTIVATION_RELU:
        return v_keep_positive(one, x);
    case LNG_ACTIVATION_GELU: {
        vf density = v_mul(v_set(0.39894228040143268f), v_exp(v_mul(v_set(-0.5f), v_mul(x, x))));
        return v_fma(x, density, normal_distribution(x));
    }
    case LNG_ACTIVATION_GELU_TANH: {
        vf square = v_mul(x, x);
        vf t = v_tanh(v_mul(v_set(root_2_pi), v_fma(v_mul(v_set(cubic), square), x, x)));
        vf inner = v_mul(v_set(root_2_pi), v_fma(v_set(3 * cubic), square, one));
        vf half = v_mul(v_set(0.5f), v_add(one, t));
        return v_fma(v_mul(v_mul(v_set(0.5f), x), v_fnma(t, t, one)), inner, half);
    }
    case LNG_ACTIVATION_GELU_SIGMOID: {
        vf s = v_sigmoid(v_mul(v_set(steep), x));
        return v_fma(v_mul(v_mul(v_set(steep), x), s), v_sub(one, s), s);
    }
    case LNG_ACTIVATION_SWISH: {
        vf s = v_sigmoid(x);
        return v_fma(v_mul(x, s), v_sub(one, s), s);
    }
    }
    return one;
}

/* The kind is a constant inside each loop. */
#define EACH_KIND(CASE)                   \
    switch (kind) {                       \
        CASE(LNG_ACTIVATION_NONE)         \
        CASE(LNG_ACTIVATION_RELU)         \
        CASE(LNG_ACTIVATION_GELU)         \
        CASE(LNG_ACTIVATION_GELU_TANH)    \
        CASE(LNG_ACTIVATION_GELU_SIGMOID) \
        CASE(LNG_ACTIVATION_SWISH)        \
    }

/* y = f(x); y may be x. */
void LNG_SIMD(activate)(enum lng_activation kind, const float *x, float *y, int64_t n)
{
#define CASE(k)                                                        \
    case k:                                                            \
        for (int64_t i = 0; i < n; i += VW)                            \
            v_store_n(y + i, value(k, v_load_n(x + i, n - i)), n - i); \
        break;
    EACH_KIND(CASE)
#undef CASE
}

/* d_x = d_y f'(x); d_x may be d_y. */
void LNG_SIMD(activate_bwd)(enum lng_activation kind, const float *x, const float *d_y, float *d_x,
                            int64_t n)
{
#define CASE(k)                                                                                   \
    case k:                                                                                       \
        for (int64_t i = 0; i < n; i += VW)                                                       \
            v_store_n(d_x + i, v_mul(slope(k, v_load_n(x + i, n - i)), v_load_n(d_y + i, n - i)), \
                      n - i);                                                                     \
        break;
    EACH_KIND(CASE)
#undef CASE
}
