/* The optimiser: Adam by hand, clipping, weight decay, moving average, non-finite gradients. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/train/optimizer.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"

struct problem {
    struct lng_device *device;
    struct lng_model model;
    struct lng_optimizer optimizer;
    float *before, *gradient, *after; /* [total] */
    size_t total;
};

static void open_problem(struct problem *p, const char *device, bool moving_average)
{
    struct lng_hparams h = tiny_hparams();
    check_ok(lng_device_open(device, NULL, &p->device));
    check_ok(lng_model_init(&p->model, p->device, &h, LNG_DTYPE_F32, true));
    check_ok(lng_model_randomize(&p->model, 4, false));
    check_ok(lng_optimizer_init(&p->optimizer, &p->model, moving_average));
    p->total = (size_t)p->model.params.total;
    p->before = lng_alloc(p->total, sizeof(float));
    p->gradient = lng_alloc(p->total, sizeof(float));
    p->after = lng_alloc(p->total, sizeof(float));
    cr_assert(p->before && p->gradient && p->after);
    check_ok(lng_model_get_values(&p->model, p->before));
    for (size_t i = 0; i < p->total; i++)
        p->gradient[i] = sinf((float)i) * 10;
}

static void close_problem(struct problem *p)
{
    lng_optimizer_release(&p->optimizer);
    lng_model_release(&p->model);
    lng_device_close(p->device);
    lng_free(p->before);
    lng_free(p->gradient);
    lng_free(p->after);
}

static struct lng_step_result step(struct problem *p, const struct lng_options *options, double lr,
                                   double tokens)
{
    struct lng_step_result result;
    check_ok(
        lng_device_write(p->device, p->model.gradients, p->gradient, p->total * sizeof(float)));
    check_ok(lng_optimizer_step(&p->optimizer, options, lr, tokens, &result));
    check_ok(lng_model_get_values(&p->model, p->after));
    return result;
}

static struct lng_options options_default(void)
{
    return (struct lng_options){.beta1 = 0.9, .beta2 = 0.98, .adam_epsilon = 1e-9};
}

Test(optimizer, first_steps_by_hand_with_clipping_and_decay)
{
    const char *devices[] = {"ref", "cpu"};
    for (int d = 0; d < 2; d++) {
        struct problem p = {0};
        open_problem(&p, devices[d], false);
        struct lng_options o = options_default();
        o.optimizer = LNG_OPT_OPTIMIZER_ADAMW;
        o.weight_decay = 0.1;
        o.clip_norm = 0.5;
        double squares = 0;
        for (size_t i = 0; i < p.total; i++)
            squares += (double)p.gradient[i] * (double)p.gradient[i];
        double norm = sqrt(squares) / 20;
        struct lng_step_result result = step(&p, &o, 1e-3, 20);
        cr_assert(result.clipped && result.nonfinite == 0);
        cr_assert(fabs(result.gradient_norm - norm) < 1e-6 * norm);
        /* After one step m / bias1 = g and sqrt(v / bias2) = |g|: every entry moves by lr. */
        for (size_t i = 0; i < p.total; i++) {
            double g = (double)p.gradient[i] / 20 * 0.5 / norm;
            double decay = (int64_t)i < p.model.params.decayed ? 0.1 * (double)p.before[i] : 0;
            double want = (double)p.before[i] - 1e-3 * (g / (fabs(g) + 1e-9) + decay);
            cr_assert(fabs((double)p.after[i] - want) < 2e-6, "%s entry %zu: %g, expected %g",
                      devices[d], i, (double)p.after[i], want);
        }
        cr_assert(p.optimizer.steps == 1);
        close_problem(&p);
    }
}

Test(optimizer, a_bad_gradient_changes_nothing)
{
    struct problem p = {0};
    open_problem(&p, "cpu", true);
    struct lng_options o = options_default();
    p.gradient[17] = NAN;
    p.gradient[p.total - 70] = INFINITY;
    struct lng_step_result result = step(&p, &o, 1e-3, 20);
    cr_assert(result.nonfinite == 2);
    cr_assert(memcmp(p.before, p.after, p.total * sizeof(float)) == 0);
    cr_assert(p.optimizer.steps == 0);
    close_problem(&p);
}

Test(optimizer, the_average_is_swapped_in_and_out)
{
    struct problem p = {0};
    open_problem(&p, "cpu", true);
    struct lng_options o = options_default();
    o.ema = 0.25;
    float *average = lng_alloc(p.total, sizeof *average);
    for (int s = 0; s < 30; s++)
        step(&p, &o, 1e-2, 20);
    check_ok(lng_optimizer_use_average(&p.optimizer, true));
    check_ok(lng_optimizer_use_average(&p.optimizer, true)); /* a second time is no swap back */
    check_ok(lng_model_get_values(&p.model, average));
    double distance = 0;
    for (size_t i = 0; i < p.total; i++)
        distance += fabs((double)average[i] - (double)p.after[i]);
    cr_assert(distance > 1e-3 * (double)p.total, "the average is the newest point");
    check_ok(lng_optimizer_use_average(&p.optimizer, false));
    check_ok(lng_model_get_values(&p.model, average));
    cr_assert(memcmp(average, p.after, p.total * sizeof *average) == 0);
    lng_free(average);
    close_problem(&p);
}
