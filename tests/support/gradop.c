#include "tests/support/gradop.h"

#include <criterion/criterion.h>

#include "tests/support/gradcheck.h"

static const double START = 0.5;

void gradop_open(struct gradop *op, uint64_t seed)
{
    *op = (struct gradop){0};
    rig_open(&op->rig, "ref64", seed);
    op->rig.gap = (int64_t)(seed % 3);
}

struct lng_view gradop_input(struct gradop *op, const char *name, int64_t rows, int64_t cols,
                             double magnitude, bool added, struct lng_view *gradient)
{
    cr_assert(op->input_count < GRADOP_MAX);
    int i = op->input_count++;
    op->inputs[i].name = name;
    op->inputs[i].added = added;
    op->inputs[i].value = rig_random(&op->rig, LNG_DTYPE_F64, rows, cols, magnitude);
    op->inputs[i].gradient = rig_output(&op->rig, LNG_DTYPE_F64, rows, cols);
    *gradient = op->inputs[i].gradient;
    return op->inputs[i].value;
}

struct lng_view gradop_output(struct gradop *op, int64_t rows, int64_t cols, struct lng_view *d_y)
{
    cr_assert(op->output_count < GRADOP_MAX);
    int i = op->output_count++;
    op->outputs[i].y = rig_output(&op->rig, LNG_DTYPE_F64, rows, cols);
    op->outputs[i].d_y = rig_random(&op->rig, LNG_DTYPE_F64, rows, cols, 1);
    op->outputs[i].weights = rig_get(&op->rig, op->outputs[i].d_y);
    *d_y = op->outputs[i].d_y;
    return op->outputs[i].y;
}

static size_t view_count(struct lng_view view)
{
    return (size_t)(view.rows * view.cols);
}

/* Reads without keeping the copy: finite differences call this thousands of times. */
static double weighted_sum(struct gradop *op, struct lng_view view, const double *weights)
{
    double row[512], sum = 0;
    cr_assert(view.cols <= 512);
    for (int64_t n = 0; n < view.rows; n++) {
        RIG_OK(lng_device_read(op->rig.device, row, (const double *)view.data + n * view.stride,
                               (size_t)view.cols * sizeof *row));
        for (int64_t d = 0; d < view.cols; d++)
            sum += row[d] * weights[n * view.cols + d];
    }
    return sum;
}

static double value_of(void *context, const double *parameters)
{
    struct gradop *op = context;
    double sum = 0;
    for (int i = 0; i < op->input_count; i++) {
        rig_write(&op->rig, op->inputs[i].value, parameters);
        parameters += view_count(op->inputs[i].value);
    }
    if (op->value != NULL)
        return op->value(op);
    op->forward(op);
    for (int i = 0; i < op->output_count; i++)
        sum += weighted_sum(op, op->outputs[i].y, op->outputs[i].weights);
    return sum;
}

static void run_backward(struct gradop *op)
{
    for (int i = 0; i < op->input_count; i++) {
        size_t count = view_count(op->inputs[i].value);
        double *start = rig_host(&op->rig, count, sizeof *start);
        for (size_t n = 0; n < count; n++)
            start[n] = START;
        if (op->inputs[i].added)
            rig_write(&op->rig, op->inputs[i].gradient, start);
    }
    for (int i = 0; i < op->output_count; i++)
        rig_write(&op->rig, op->outputs[i].d_y, op->outputs[i].weights);
    op->backward(op);
}

void gradop_check(struct gradop *op)
{
    struct gradcheck_part parts[GRADOP_MAX];
    size_t total = 0;
    for (int i = 0; i < op->input_count; i++) {
        size_t count = view_count(op->inputs[i].value);
        parts[i] = (struct gradcheck_part){op->inputs[i].name, total, count};
        total += count;
    }
    double *parameters = rig_host(&op->rig, total, sizeof *parameters);
    double *analytic = rig_host(&op->rig, total, sizeof *analytic);
    for (int i = 0; i < op->input_count; i++) {
        const double *values = rig_get(&op->rig, op->inputs[i].value);
        for (size_t n = 0; n < parts[i].count; n++)
            parameters[parts[i].first + n] = values[n];
    }
    if (op->value == NULL)
        op->forward(op);
    run_backward(op);
    for (int i = 0; i < op->input_count; i++) {
        const double *values = rig_get(&op->rig, op->inputs[i].gradient);
        for (size_t n = 0; n < parts[i].count; n++)
            analytic[parts[i].first + n] = values[n] - (op->inputs[i].added ? START : 0);
    }
    gradcheck_run(&(struct gradcheck){.what = op->what,
                                      .value = value_of,
                                      .context = op,
                                      .parameters = parameters,
                                      .analytic = analytic,
                                      .parts = parts,
                                      .part_count = (size_t)op->input_count,
                                      .seed = op->rig.seed});
}
