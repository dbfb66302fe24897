#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

/* Computed elsewhere from erfc and logistic forms of the formulas, at x = -2, -0.5, 0, 1, 3. */
static const double x_values[] = {-2, -0.5, 0, 1, 3};
static const double expected[][5] = {
    [LNG_ACTIVATION_NONE] = {-2, -0.5, 0, 1, 3},
    [LNG_ACTIVATION_RELU] = {0, 0, 0, 1, 3},
    [LNG_ACTIVATION_GELU] = {-0.04550026389635844, -0.15426876936299344, 0, 0.8413447460685429,
                             2.99595030590511},
    [LNG_ACTIVATION_GELU_TANH] = {-0.04540230591222483, -0.15428599017485606, 0, 0.8411919906082768,
                                  2.996362607918227},
    [LNG_ACTIVATION_GELU_SIGMOID] = {-0.06434137685579186, -0.1496115633936199, 0,
                                     0.8457957659328212, 2.981928690292214},
    [LNG_ACTIVATION_SWISH] = {-0.2384058440442351, -0.1887703343990727, 0, 0.7310585786300049,
                              2.8577223804672998},
};

Test(ops_activation, values)
{
    struct rig rig;
    rig_open(&rig, "ref64", 1);
    for (int kind = LNG_ACTIVATION_NONE; kind <= LNG_ACTIVATION_SWISH; kind++) {
        struct lng_activation_fwd_args args = {
            .x = rig_values(&rig, LNG_DTYPE_F64, 1, 5, x_values),
            .y = rig_output(&rig, LNG_DTYPE_F64, 1, 5),
            .activation = (enum lng_activation)kind,
        };
        RIG_OK(lng_activation_fwd(rig.device, &args));
        rig_expect_close("y", rig_get(&rig, args.y), expected[kind], 5, 0, 1e-14);
        args.y = args.x;
        RIG_OK(lng_activation_fwd(rig.device, &args));
        rig_expect_close("y in place", rig_get(&rig, args.x), expected[kind], 5, 0, 1e-14);
    }
    rig_close(&rig);
}

Test(ops_activation, dropout_follows_the_activation)
{
    enum { ROWS = 3, WIDTH = 19 };
    struct rig rig;
    rig_open(&rig, "ref", 2);
    uint32_t sentence[ROWS] = {4, 4, 9}, position[ROWS] = {0, 1, 0};
    struct lng_rng_site site = {7, 1, 30};
    struct lng_activation_fwd_args args = {
        .x = rig_random(&rig, LNG_DTYPE_F32, ROWS, WIDTH, 2),
        .y = rig_output(&rig, LNG_DTYPE_F32, ROWS, WIDTH),
        .activation = LNG_ACTIVATION_SWISH,
        .dropout = {0.3, site, rig_array(&rig, sentence, ROWS, 4),
                    rig_array(&rig, position, ROWS, 4)},
    };
    RIG_OK(lng_activation_fwd(rig.device, &args));
    const double *x = rig_get(&rig, args.x);
    double want[ROWS * WIDTH];
    for (uint32_t i = 0; i < ROWS * WIDTH; i++) {
        struct lng_philox block =
            lng_rng_block(site, sentence[i / WIDTH], position[i / WIDTH], i % WIDTH / 8, 0);
        bool kept = lng_philox_half(block, i % WIDTH) >= 19661; /* round(0.3 * 65536) */
        want[i] = kept ? x[i] / (1 + exp(-x[i])) * 65536.0 / (65536 - 19661) : 0;
    }
    rig_expect_close("y", rig_get(&rig, args.y), want, ROWS * WIDTH, 1e-6, 1e-7);
    rig_close(&rig);
}
