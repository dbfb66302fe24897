/* Steps of training on both sides: loss, every gradient, and what the optimiser makes of it. */
#include <math.h>
#include <stdio.h>

#include "host/base/mem.h"
#include "host/cli/compare.h"
#include "host/train/optimizer.h"

enum { CHUNK = 1 << 20 }; /* elements compared at a time */

static const double LEARNING_RATE = 1e-4;

static struct lng_regularization regularization_of(const struct lng_compare *compare, int step)
{
    return (struct lng_regularization){
        .dropout = 0.1,
        .embedding_dropout = -1,
        .attention_dropout = 0.1,
        .ffn_dropout = 0.1,
        .source_word_dropout = 0.1,
        .target_word_dropout = 0.1,
        .label_smoothing = 0.1,
        .smoothing_kind = LNG_SMOOTHING_UNIFORM,
        .seed = (uint64_t)compare->options->seed,
        .update = (uint32_t)step,
    };
}

enum lng_status lng_compare_train_batch(const struct lng_compare *compare, struct lng_model *model,
                                        struct lng_workspace *workspace,
                                        const struct lng_compare_batch *batch, int step,
                                        struct lng_loss_sums *sums)
{
    struct lng_regularization regularization = regularization_of(compare, step);
    return lng_model_train(model, workspace, &batch->source, &batch->target, &regularization, sums);
}

/* What steps hold on to. */
struct steps {
    struct lng_compare *compare;
    struct lng_optimizer optimizers[LNG_COMPARE_SIDES];
    struct lng_workspace *workspaces[LNG_COMPARE_SIDES];
    struct lng_compare_batch batch;
    size_t *order, next;
    int64_t tokens;
    float *before;                   /* [params.total] weights at the start of the step */
    float *chunk[LNG_COMPARE_SIDES]; /* [CHUNK] */
};

/* ---- numbers ------------------------------------------------------------------------------------ */

static enum lng_status read_chunk(const struct lng_model *model, const void *flat, int64_t first,
                                  int64_t count, float *to)
{
    enum lng_dtype real = lng_device_real(model->device);
    void *at = (char *)(uintptr_t)flat + (size_t)first * lng_dtype_size(real);
    return lng_compare_view_read(model->device, lng_view_make(at, real, 1, count), to);
}

/* One parameter's gradient. */
static enum lng_status compare_gradient(struct steps *steps, const struct lng_param *param,
                                        struct lng_compare_error *error)
{
    int64_t elements = param->rows * param->cols;
    *error = (struct lng_compare_error){0};
    for (int64_t done = 0; done < elements; done += CHUNK) {
        int64_t count = elements - done < CHUNK ? elements - done : CHUNK;
        for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
            const struct lng_model *model = steps->compare->models[side];
            LNG_TRY(read_chunk(model, model->gradients, param->offset + done, count,
                               steps->chunk[side]));
        }
        lng_compare_error_add(error, steps->chunk[LNG_COMPARE_TESTED],
                              steps->chunk[LNG_COMPARE_REFERENCE], (size_t)count);
    }
    return LNG_OK;
}

static enum lng_status compare_gradients(struct steps *steps, int step)
{
    struct lng_compare *compare = steps->compare;
    const struct lng_params *params = &compare->models[LNG_COMPARE_REFERENCE]->params;
    for (size_t i = 0; i < params->count; i++) {
        struct lng_compare_gradient *gradient = &compare->gradients[i];
        struct lng_compare_error error;
        LNG_TRY(compare_gradient(steps, &params->list[i], &error));
        double nmse = lng_compare_error_nmse(&error);
        gradient->max_error = fmax(gradient->max_error, lng_compare_error_max(&error));
        if (step == 1 || nmse > gradient->nmse) {
            gradient->nmse = nmse;
            gradient->step = step;
        }
    }
    return LNG_OK;
}

/* By how much the weights moved, against how the reference's did. */
static enum lng_status compare_update(struct steps *steps, double *nmse)
{
    struct lng_compare *compare = steps->compare;
    int64_t total = compare->models[LNG_COMPARE_REFERENCE]->params.total;
    struct lng_compare_error error = {0};
    for (int64_t done = 0; done < total; done += CHUNK) {
        int64_t count = total - done < CHUNK ? total - done : CHUNK;
        for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
            const struct lng_model *model = compare->models[side];
            float *values = steps->chunk[side];
            LNG_TRY(read_chunk(model, model->values, done, count, values));
            for (int64_t i = 0; i < count; i++)
                values[i] -= steps->before[done + i];
        }
        lng_compare_error_add(&error, steps->chunk[LNG_COMPARE_TESTED],
                              steps->chunk[LNG_COMPARE_REFERENCE], (size_t)count);
    }
    *nmse = lng_compare_error_nmse(&error);
    return LNG_OK;
}

/* ---- steps -------------------------------------------------------------------------------------- */

static enum lng_status open_optimizers(struct steps *steps)
{
    for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
        steps->chunk[side] = lng_alloc(CHUNK, sizeof **steps->chunk);
        if (steps->chunk[side] == NULL)
            return LNG_ERR_MEMORY;
        LNG_TRY(lng_optimizer_init(&steps->optimizers[side], steps->compare->models[side], false));
    }
    return LNG_OK;
}

static enum lng_status open_steps(struct steps *steps)
{
    struct lng_compare *compare = steps->compare;
    const struct lng_params *params = &compare->models[LNG_COMPARE_REFERENCE]->params;
    steps->tokens = lng_compare_close_tokens(compare, true);
    steps->before = lng_alloc((size_t)params->total, sizeof *steps->before);
    compare->gradients = lng_alloc(params->count, sizeof *compare->gradients);
    if (steps->before == NULL || compare->gradients == NULL)
        return LNG_ERR_MEMORY;
    compare->gradient_count = params->count;
    for (size_t i = 0; i < params->count; i++)
        snprintf(compare->gradients[i].name, sizeof compare->gradients[i].name, "%s",
                 params->list[i].name);
    LNG_TRY(lng_compare_order(compare->source.count, &steps->order));
    for (int side = 0; side < LNG_COMPARE_SIDES; side++)
        LNG_TRY(lng_compare_workspace(compare->models[side], steps->tokens, true,
                                      &steps->workspaces[side]));
    return open_optimizers(steps);
}

static void close_steps(struct steps *steps)
{
    for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
        lng_optimizer_release(&steps->optimizers[side]);
        lng_workspace_close(steps->workspaces[side]);
        lng_free(steps->chunk[side]);
    }
    lng_compare_batch_release(&steps->batch);
    lng_free(steps->order);
    lng_free(steps->before);
}

static enum lng_status next_batch(struct steps *steps)
{
    struct lng_compare *compare = steps->compare;
    if (steps->next == compare->source.count)
        steps->next = 0;
    return lng_compare_batch_fill(&steps->batch, &compare->source,
                                  &compare->targets[LNG_COMPARE_REFERENCE], steps->order,
                                  compare->source.count, &steps->next, steps->tokens, true);
}

static enum lng_status make_step(struct steps *steps, int step)
{
    struct lng_compare *compare = steps->compare;
    struct lng_compare_case c = {.section = LNG_COMPARE_TRAINING, .counted = "tokens"};
    struct lng_loss_sums sums[LNG_COMPARE_SIDES];
    struct lng_step_result result;
    double tolerance = compare->options->tolerance, update;
    LNG_TRY(lng_model_get_values(compare->models[LNG_COMPARE_REFERENCE], steps->before));
    LNG_TRY(lng_model_set_values(compare->models[LNG_COMPARE_TESTED], steps->before));
    LNG_TRY(next_batch(steps));
    for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
        LNG_TRY(lng_model_zero_gradients(compare->models[side]));
        LNG_TRY(lng_compare_train_batch(compare, compare->models[side], steps->workspaces[side],
                                        &steps->batch, step, &sums[side]));
    }
    LNG_TRY(compare_gradients(steps, step));
    for (int side = 0; side < LNG_COMPARE_SIDES; side++)
        LNG_TRY(lng_optimizer_step(&steps->optimizers[side], compare->options, LEARNING_RATE,
                                   sums[side].tokens, &result));
    LNG_TRY(compare_update(steps, &update));
    const struct lng_loss_sums *tested = &sums[LNG_COMPARE_TESTED];
    const struct lng_loss_sums *reference = &sums[LNG_COMPARE_REFERENCE];
    double loss = tested->loss == reference->loss
                      ? 0
                      : fabs(tested->loss - reference->loss) / fabs(reference->loss);
    snprintf(c.name, sizeof c.name, "step %d", step);
    snprintf(c.where, sizeof c.where, "loss %.9g a token, reference %.9g",
             tested->loss / tested->tokens, reference->loss / reference->tokens);
    c.count = (int64_t)reference->tokens;
    lng_compare_case_add(&c, "loss", loss,
                         lng_compare_limit_of(LNG_COMPARE_LOSS, compare->class, tolerance));
    lng_compare_case_add(&c, "update", update,
                         lng_compare_limit_of(LNG_COMPARE_UPDATE_NMSE, compare->class, tolerance));
    return lng_compare_cases_add(&compare->cases, &c);
}

static enum lng_status add_gradient_case(struct lng_compare *compare)
{
    const struct lng_params *params = &compare->models[LNG_COMPARE_REFERENCE]->params;
    double tolerance = compare->options->tolerance, max_error = 0;
    size_t worst = 0;
    for (size_t i = 0; i < compare->gradient_count; i++) {
        const struct lng_compare_gradient *gradient = &compare->gradients[i];
        max_error = fmax(max_error, gradient->max_error);
        if (gradient->nmse > compare->gradients[worst].nmse)
            worst = i;
    }
    struct lng_compare_case c = {.section = LNG_COMPARE_TRAINING,
                                 .name = "gradients",
                                 .count = (int64_t)compare->gradient_count,
                                 .counted = "tensors"};
    snprintf(c.where, sizeof c.where, "%s in step %d", params->list[worst].name,
             compare->gradients[worst].step);
    lng_compare_case_add(
        &c, "nmse", compare->gradients[worst].nmse,
        lng_compare_limit_of(LNG_COMPARE_GRADIENT_NMSE, compare->class, tolerance));
    lng_compare_case_add(&c, "max", max_error,
                         lng_compare_limit_of(LNG_COMPARE_GRADIENT_MAX, compare->class, tolerance));
    return lng_compare_cases_add(&compare->cases, &c);
}

/* ---- the optimiser alone ------------------------------------------------------------------------ */

static enum lng_status add_operation(struct lng_compare *compare, const char *op, double nmse,
                                     double max_error, const char *where)
{
    double tolerance = compare->options->tolerance;
    struct lng_compare_case c = {
        .section = LNG_COMPARE_STEP_OPERATIONS, .count = 1, .counted = "step"};
    snprintf(c.name, sizeof c.name, "%s", op);
    snprintf(c.where, sizeof c.where, "%s", where);
    lng_compare_case_add(&c, "nmse", nmse,
                         lng_compare_limit_of(LNG_COMPARE_OP_NMSE, compare->class, tolerance));
    lng_compare_case_add(&c, "max", max_error,
                         lng_compare_limit_of(LNG_COMPARE_OP_MAX, compare->class, tolerance));
    return lng_compare_cases_add(&compare->cases, &c);
}

/* Weights, mean and variance after the step. */
static enum lng_status compare_adam(struct steps *steps)
{
    static const char *const names[] = {"param", "m", "v"};
    struct lng_compare *compare = steps->compare;
    int64_t total = compare->models[LNG_COMPARE_REFERENCE]->params.total;
    double worst_nmse = 0, worst_max = 0;
    const char *where = names[0];
    for (int i = 0; i < 3; i++) {
        struct lng_compare_error error = {0};
        for (int64_t done = 0; done < total; done += CHUNK) {
            int64_t count = total - done < CHUNK ? total - done : CHUNK;
            for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
                const struct lng_optimizer *o = &steps->optimizers[side];
                const void *const flat[] = {o->model->values, o->m, o->v};
                LNG_TRY(read_chunk(o->model, flat[i], done, count, steps->chunk[side]));
            }
            lng_compare_error_add(&error, steps->chunk[LNG_COMPARE_TESTED],
                                  steps->chunk[LNG_COMPARE_REFERENCE], (size_t)count);
        }
        double nmse = lng_compare_error_nmse(&error);
        worst_max = fmax(worst_max, lng_compare_error_max(&error));
        if (nmse > worst_nmse) {
            worst_nmse = nmse;
            where = names[i];
        }
    }
    return add_operation(compare, "adam", worst_nmse, worst_max, where);
}

enum lng_status lng_compare_optimizer(struct lng_compare *compare)
{
    struct steps steps = {.compare = compare};
    struct lng_step_result results[LNG_COMPARE_SIDES];
    enum lng_status status;
    LNG_TRY_OR_FAIL(open_optimizers(&steps));
    for (int side = 0; side < LNG_COMPARE_SIDES; side++)
        LNG_TRY_OR_FAIL(lng_optimizer_step(&steps.optimizers[side], compare->options, LEARNING_RATE,
                                           1, &results[side]));
    double reference = results[LNG_COMPARE_REFERENCE].gradient_norm;
    double difference = fabs(results[LNG_COMPARE_TESTED].gradient_norm - reference);
    double error = difference == 0 ? 0 : difference / reference;
    LNG_TRY_OR_FAIL(add_operation(compare, "gradient_stats", error * error, error, "out"));
    status = compare_adam(&steps);
fail:
    close_steps(&steps);
    return status;
}

/* ---- all steps ---------------------------------------------------------------------------------- */

enum lng_status lng_compare_train(struct lng_compare *compare)
{
    struct steps steps = {.compare = compare};
    enum lng_status status = open_steps(&steps);
    for (int step = 1; status == LNG_OK && step <= compare->options->train_steps; step++)
        status = make_step(&steps, step);
    close_steps(&steps);
    return status == LNG_OK ? add_gradient_case(compare) : status;
}
