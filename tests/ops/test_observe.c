/* What an observer is shown: each operation's results, by the parity cases, whose outputs they must be. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "kernels/observe.h"
#include "tests/support/check.h"
#include "tests/support/parity.h"

enum { MOST_SHOWN = 400 };

/* Everything shown so far; outputs of one call that share a name are one. */
static struct shown {
    const char *op, *name;
    int call;
    double *values;
    size_t count;
} shown[MOST_SHOWN];
static int shown_count, calls;

static enum lng_status show(void *context, struct lng_device *device,
                            const struct lng_op_call *call)
{
    struct rig *rig = context;
    cr_assert(rig->device == device, "%s", call->op);
    calls++;
    for (size_t i = 0; i < call->count; i++) {
        const struct lng_op_output *output = &call->outputs[i];
        size_t count = (size_t)(output->view.rows * output->view.cols);
        cr_assert(count > 0 && output->view.data != NULL);
        struct shown *last = shown_count > 0 ? &shown[shown_count - 1] : NULL;
        if (last == NULL || last->call != calls || strcmp(last->name, output->name) != 0) {
            cr_assert(shown_count < MOST_SHOWN);
            last = &shown[shown_count++];
            *last = (struct shown){call->op, output->name, calls, NULL, 0};
        }
        last->values = lng_realloc(last->values, last->count + count, sizeof(double));
        cr_assert(last->values != NULL);
        memcpy(last->values + last->count, rig_get(rig, output->view), count * sizeof(double));
        last->count += count;
    }
    return LNG_OK;
}

static void forget(void)
{
    for (int i = 0; i < shown_count; i++)
        lng_free(shown[i].values);
    shown_count = calls = 0;
}

static bool same(const struct parity_output *taken, const struct shown *one)
{
    if (taken->count != one->count)
        return false;
    for (size_t i = 0; i < taken->count; i++)
        if (!(taken->values[i] == one->values[i] ||
              (isnan(taken->values[i]) && isnan(one->values[i]))))
            return false;
    return true;
}

/* Not shown, or not as a whole. */
static bool is_exception(const char *op, const char *name)
{
    static const char *const rows[][2] = {
        {"attention_step", "k_cache"},
        {"attention_step", "v_cache"},
        {"attention_step", "weights"},
        {"attention_step", "weights of all heads"},
        {"loss", "sums"},
        {"loss", "sums twice"},
        {"log_probs", "scores"}, /* of candidates, which that case calls too */
        {"pair_loss", "sums"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(op, rows[i][0]) == 0 && strcmp(name, rows[i][1]) == 0)
            return true;
    return false;
}

/* Each output that the case hands over in any seed must have been shown in one of them. */
static void check_op(const char *op, void (*run)(struct parity *))
{
    enum { SEEDS = 8, NAMES = 32 };
    const char *names[NAMES];
    bool seen[NAMES] = {false};
    int name_count = 0, own_calls = 0;
    for (uint64_t seed = 2; seed < 2 + SEEDS; seed++) {
        struct parity p = {.seed = seed, .compute = LNG_DTYPE_F32, .activation = LNG_DTYPE_F32};
        rig_open(&p.rig, "ref", seed);
        struct lng_op_observer observer = {show, &p.rig};
        lng_device_observe(p.rig.device, &observer);
        run(&p);
        lng_device_observe(p.rig.device, NULL);
        for (int i = 0; i < shown_count; i++)
            own_calls += strcmp(shown[i].op, op) == 0;
        for (int k = 0; k < p.output_count; k++) {
            int at = 0;
            while (at < name_count && strcmp(names[at], p.outputs[k].name) != 0)
                at++;
            cr_assert(at < NAMES);
            names[at] = p.outputs[k].name;
            name_count = at == name_count ? at + 1 : name_count;
            for (int i = 0; i < shown_count && !seen[at]; i++)
                seen[at] = strcmp(shown[i].op, op) == 0 && same(&p.outputs[k], &shown[i]);
            lng_free(p.outputs[k].values);
        }
        forget();
        rig_close(&p.rig);
    }
    cr_assert(own_calls > 0, "%s was never shown", op);
    for (int k = 0; k < name_count; k++)
        cr_assert(seen[k] || is_exception(op, names[k]), "%s: %s was not shown", op, names[k]);
}

Test(observe, every_operation_shows_what_it_wrote)
{
#define LNG_OP(name) check_op(#name, parity_case_##name);
#include "kernels/ops.def"
#undef LNG_OP
}

static enum lng_status refuse(void *context, struct lng_device *device,
                              const struct lng_op_call *call)
{
    int *count = context;
    (void)device;
    return ++*count == 2 ? lng_fail(LNG_ERR_RANGE, "enough of %s", call->op) : LNG_OK;
}

static enum lng_status overwrite(void *context, struct lng_device *device,
                                 const struct lng_op_call *call)
{
    (void)context;
    static const float sevens[2] = {7, 7};
    return lng_device_write(device, call->outputs[0].view.data, sevens, sizeof sevens);
}

Test(observe, refuses_overwrites_and_is_let_go)
{
    struct rig rig;
    rig_open(&rig, "cpu", 1);
    struct lng_view y = rig_zeros(&rig, LNG_DTYPE_F32, 1, 2);
    struct lng_fill_args fill = {.y = y, .value = 3};
    int count = 0;
    struct lng_op_observer observer = {refuse, &count};
    lng_device_observe(rig.device, &observer);
    check_ok(lng_fill(rig.device, &fill));
    check_fails(lng_fill(rig.device, &fill), LNG_ERR_RANGE, "enough of fill");
    fill.y.rows = 0;
    check_ok(lng_fill(rig.device, &fill));
    fill.y.rows = -1;
    cr_assert(lng_fill(rig.device, &fill) != LNG_OK);
    cr_assert(count == 2, "neither a call without rows nor one that failed: %d", count);
    fill.y.rows = 1;
    observer.done = overwrite;
    check_ok(lng_fill(rig.device, &fill));
    cr_assert(rig_get(&rig, y)[1] == 7);
    lng_device_observe(rig.device, NULL);
    check_ok(lng_fill(rig.device, &fill));
    cr_assert(rig_get(&rig, y)[1] == 3);
    rig_close(&rig);
}
