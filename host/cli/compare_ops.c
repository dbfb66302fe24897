/* Operation by operation: the reference's results are kept on the host, then the tested device runs the
 * same pass, each result is compared and then replaced by the reference's. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/cli/compare.h"
#include "kernels/observe.h"

struct kept_output {
    const char *name; /* static */
    int64_t rows, cols;
    float *values; /* owned */
};
struct kept_call {
    const char *op;      /* static */
    size_t first, count; /* of outputs */
};

/* Found so far about one operation of ops.def. */
struct op_row {
    const char *op;
    int64_t calls;
    double nmse, max_error;
    const char *worst_output; /* by nmse */
    int64_t worst_call;
};

enum {
    OPS = 0
#define LNG_OP(name) +1
#include "kernels/ops.def"
#undef LNG_OP
};

struct recording {
    struct kept_call *calls;
    size_t call_count, call_capacity;
    struct kept_output *outputs;
    size_t output_count, output_capacity;
    size_t next;             /* call of the tested device */
    struct op_row rows[OPS]; /* in the order in which they first came */
    size_t row_count;
};

static void recording_release(struct recording *recording)
{
    for (size_t i = 0; i < recording->output_count; i++)
        lng_free(recording->outputs[i].values);
    lng_free(recording->outputs);
    lng_free(recording->calls);
}

/* ---- the reference ------------------------------------------------------------------------------ */

static enum lng_status keep_output(struct recording *recording, struct lng_device *device,
                                   const struct lng_op_output *output)
{
    LNG_TRY(lng_grow(&recording->outputs, &recording->output_capacity, recording->output_count + 1,
                     sizeof *recording->outputs));
    struct lng_view view = output->view;
    float *values = lng_alloc((size_t)(view.rows * view.cols), sizeof *values);
    if (values == NULL)
        return LNG_ERR_MEMORY;
    recording->outputs[recording->output_count++] =
        (struct kept_output){output->name, view.rows, view.cols, values};
    return lng_compare_view_read(device, view, values);
}

static enum lng_status record(void *context, struct lng_device *device,
                              const struct lng_op_call *call)
{
    struct recording *recording = context;
    LNG_TRY(lng_grow(&recording->calls, &recording->call_capacity, recording->call_count + 1,
                     sizeof *recording->calls));
    recording->calls[recording->call_count++] =
        (struct kept_call){call->op, recording->output_count, call->count};
    for (size_t i = 0; i < call->count; i++)
        LNG_TRY(keep_output(recording, device, &call->outputs[i]));
    return LNG_OK;
}

/* ---- the tested device -------------------------------------------------------------------------- */

static struct op_row *row_of(struct recording *recording, const char *op)
{
    for (size_t i = 0; i < recording->row_count; i++)
        if (strcmp(recording->rows[i].op, op) == 0)
            return &recording->rows[i];
    struct op_row *row = &recording->rows[recording->row_count++];
    *row = (struct op_row){.op = op};
    return row;
}

static enum lng_status compare_output(struct op_row *row, struct lng_device *device,
                                      const struct lng_op_output *output,
                                      const struct kept_output *kept)
{
    struct lng_view view = output->view;
    LNG_FAIL_IF(strcmp(output->name, kept->name) != 0 || view.rows != kept->rows ||
                    view.cols != kept->cols,
                LNG_ERR_INTERNAL, "%s: the devices wrote %s [%lld, %lld] and %s [%lld, %lld]",
                row->op, kept->name, (long long)kept->rows, (long long)kept->cols, output->name,
                (long long)view.rows, (long long)view.cols);
    size_t count = (size_t)(view.rows * view.cols);
    float *values = lng_alloc(count, sizeof *values);
    if (values == NULL)
        return LNG_ERR_MEMORY;
    struct lng_compare_error error = {0};
    enum lng_status status = lng_compare_view_read(device, view, values);
    if (status == LNG_OK)
        lng_compare_error_add(&error, values, kept->values, count);
    lng_free(values);
    LNG_TRY(status);
    double nmse = lng_compare_error_nmse(&error);
    row->max_error = fmax(row->max_error, lng_compare_error_max(&error));
    if (row->worst_output == NULL || nmse > row->nmse) {
        row->nmse = nmse;
        row->worst_output = output->name;
        row->worst_call = row->calls;
    }
    return lng_compare_view_write(device, view, kept->values);
}

static enum lng_status check(void *context, struct lng_device *device,
                             const struct lng_op_call *call)
{
    struct recording *recording = context;
    size_t at = recording->next++;
    const struct kept_call *kept = at < recording->call_count ? &recording->calls[at] : NULL;
    LNG_FAIL_IF(kept == NULL || strcmp(kept->op, call->op) != 0 || kept->count != call->count,
                LNG_ERR_INTERNAL,
                "the devices do not run the same operations: call %zu is %s on the reference and "
                "%s on the other",
                at + 1, kept ? kept->op : "none", call->op);
    struct op_row *row = row_of(recording, call->op);
    row->calls++;
    for (size_t i = 0; i < call->count; i++)
        LNG_TRY(
            compare_output(row, device, &call->outputs[i], &recording->outputs[kept->first + i]));
    return LNG_OK;
}

/* ---- the pass ----------------------------------------------------------------------------------- */

static enum lng_status run_side(struct lng_compare *compare, enum lng_compare_side side,
                                const struct lng_compare_batch *batch, int64_t tokens,
                                bool training, struct recording *recording)
{
    struct lng_model *model = compare->models[side];
    struct lng_op_observer observer = {side == LNG_COMPARE_REFERENCE ? record : check, recording};
    struct lng_workspace *workspace = NULL;
    if (training)
        LNG_TRY(lng_model_zero_gradients(model));
    LNG_TRY(lng_compare_workspace(model, tokens, training, &workspace));
    lng_device_observe(model->device, &observer);
    enum lng_status status =
        training ? lng_compare_train_batch(compare, model, workspace, batch, 1, NULL)
                 : lng_model_score(model, workspace, &batch->source, &batch->target, NULL, NULL);
    lng_device_observe(model->device, NULL);
    lng_workspace_close(workspace);
    return status;
}

static enum lng_status add_cases(struct lng_compare *compare, const struct recording *recording,
                                 bool training)
{
    double tolerance = compare->options->tolerance;
    LNG_FAIL_IF(recording->next != recording->call_count, LNG_ERR_INTERNAL,
                "the reference ran %zu operations, the other device %zu", recording->call_count,
                recording->next);
    for (size_t i = 0; i < recording->row_count; i++) {
        const struct op_row *row = &recording->rows[i];
        struct lng_compare_case c = {.section = training ? LNG_COMPARE_STEP_OPERATIONS
                                                         : LNG_COMPARE_OPERATIONS,
                                     .count = row->calls,
                                     .counted = row->calls == 1 ? "call" : "calls"};
        snprintf(c.name, sizeof c.name, "%s", row->op);
        snprintf(c.where, sizeof c.where, "%s of call %lld",
                 row->worst_output ? row->worst_output : "nothing", (long long)row->worst_call);
        lng_compare_case_add(&c, "nmse", row->nmse,
                             lng_compare_limit_of(LNG_COMPARE_OP_NMSE, compare->class, tolerance));
        lng_compare_case_add(&c, "max", row->max_error,
                             lng_compare_limit_of(LNG_COMPARE_OP_MAX, compare->class, tolerance));
        LNG_TRY(lng_compare_cases_add(&compare->cases, &c));
    }
    return LNG_OK;
}

enum lng_status lng_compare_operations(struct lng_compare *compare, bool training)
{
    int64_t tokens = lng_compare_close_tokens(compare, training);
    struct recording recording = {0};
    struct lng_compare_batch batch = {0};
    size_t *order = NULL, next = 0;
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_compare_order(compare->source.count, &order));
    LNG_TRY_OR_FAIL(lng_compare_batch_fill(&batch, &compare->source,
                                           &compare->targets[LNG_COMPARE_REFERENCE], order,
                                           compare->source.count, &next, tokens, true));
    for (int side = 0; side < LNG_COMPARE_SIDES; side++)
        LNG_TRY_OR_FAIL(run_side(compare, side, &batch, tokens, training, &recording));
    LNG_TRY_OR_FAIL(add_cases(compare, &recording, training));
    if (training)
        status = lng_compare_optimizer(compare);
fail:
    recording_release(&recording);
    lng_compare_batch_release(&batch);
    lng_free(order);
    return status;
}
