#include "host/train/optimizer.h"

#include <math.h>
#include <string.h>

static size_t real_size(const struct lng_optimizer *optimizer)
{
    return lng_dtype_size(lng_device_real(optimizer->model->device));
}

static struct lng_view flat(const struct lng_optimizer *optimizer, void *data)
{
    return lng_view_make(data, lng_device_real(optimizer->model->device), 1,
                         optimizer->model->params.total);
}

enum lng_status lng_optimizer_init(struct lng_optimizer *optimizer, struct lng_model *model,
                                   bool moving_average)
{
    struct lng_optimizer result = {.model = model};
    enum lng_status status;
    size_t bytes = (size_t)model->params.total * real_size(&result);
    LNG_TRY_OR_FAIL(lng_device_alloc(model->device, bytes, &result.m));
    LNG_TRY_OR_FAIL(lng_device_alloc(model->device, bytes, &result.v));
    void *stats;
    LNG_TRY_OR_FAIL(lng_device_alloc(model->device, 3 * sizeof(double), &stats));
    result.stats = stats;
    if (moving_average) {
        LNG_TRY_OR_FAIL(lng_device_alloc(model->device, bytes, &result.ema));
        LNG_TRY_OR_FAIL(lng_device_alloc(model->device, bytes, &result.spare));
        LNG_TRY_OR_FAIL(
            lng_copy(model->device, &(struct lng_copy_args){.x = flat(&result, model->values),
                                                            .y = flat(&result, result.ema)}));
    }
    *optimizer = result;
    return LNG_OK;
fail:
    lng_optimizer_release(&result);
    return status;
}

void lng_optimizer_release(struct lng_optimizer *optimizer)
{
    if (optimizer->model == NULL)
        return;
    struct lng_device *device = optimizer->model->device;
    lng_device_free(device, optimizer->m);
    lng_device_free(device, optimizer->v);
    lng_device_free(device, optimizer->ema);
    lng_device_free(device, optimizer->spare);
    lng_device_free(device, optimizer->stats);
    *optimizer = (struct lng_optimizer){0};
}

/* Newest weights' part of the average; large at first, so that the start is forgotten (Marian's rule). */
static double ema_rate(double wanted, int64_t steps)
{
    double start = 1 - ((double)steps + 1) / ((double)steps + 10);
    return wanted > start ? wanted : start;
}

/* Adam over [first, first + count) of the flat buffers. */
static enum lng_status adam_range(struct lng_optimizer *optimizer,
                                  const struct lng_adam_args *shared, int64_t first, int64_t count,
                                  double weight_decay)
{
    struct lng_model *model = optimizer->model;
    size_t at = (size_t)first * real_size(optimizer);
    struct lng_adam_args args = *shared;
    args.param = (char *)model->values + at;
    args.grad = (char *)model->gradients + at;
    args.m = (char *)optimizer->m + at;
    args.v = (char *)optimizer->v + at;
    args.ema = optimizer->ema ? (char *)optimizer->ema + at : NULL;
    args.n = count;
    args.weight_decay = weight_decay;
    return lng_adam(model->device, &args);
}

/* Queues statistics, Adam and new copies of the weights. */
static enum lng_status queue_step(struct lng_optimizer *optimizer,
                                  const struct lng_options *options, double lr, double tokens)
{
    struct lng_model *model = optimizer->model;
    double *scale = optimizer->stats + 2;
    LNG_TRY(lng_gradient_stats(model->device,
                               &(struct lng_gradient_stats_args){.grad = model->gradients,
                                                                 .n = model->params.total,
                                                                 .out = optimizer->stats,
                                                                 .scale = scale,
                                                                 .tokens = tokens,
                                                                 .clip_norm = options->clip_norm}));
    double step = (double)(optimizer->steps + 1);
    struct lng_adam_args args = {
        .lr = lr,
        .beta1 = options->beta1,
        .beta2 = options->beta2,
        .epsilon = options->adam_epsilon,
        .scale = scale,
        .bias1 = 1 - pow(options->beta1, step),
        .bias2 = 1 - pow(options->beta2, step),
        .ema_rate = ema_rate(options->ema, optimizer->steps),
    };
    double decay = options->optimizer == LNG_OPT_OPTIMIZER_ADAMW ? options->weight_decay : 0;
    int64_t decayed = model->params.decayed;
    LNG_TRY(adam_range(optimizer, &args, 0, decayed, decay));
    LNG_TRY(adam_range(optimizer, &args, decayed, model->params.total - decayed, 0));
    return lng_model_refresh(model);
}

enum lng_status lng_optimizer_begin(struct lng_optimizer *optimizer,
                                    const struct lng_options *options, double lr, double tokens,
                                    struct lng_landing *landing, size_t at)
{
    LNG_TRY(queue_step(optimizer, options, lr, tokens));
    return lng_landing_copy(optimizer->model->device, landing, at, optimizer->stats,
                            LNG_STEP_LANDING);
}

/* Comes to what lng_gradient_stats came to (ops.h). */
void lng_optimizer_end(struct lng_optimizer *optimizer, const struct lng_options *options,
                       double tokens, const void *landed, struct lng_step_result *result)
{
    double stats[2];
    memcpy(stats, landed, sizeof stats);
    double norm = sqrt(stats[0]) / tokens;
    bool clipped = options->clip_norm > 0 && norm > options->clip_norm;
    *result = (struct lng_step_result){norm, (int64_t)stats[1], clipped};
    if (result->nonfinite == 0 && isfinite(norm))
        optimizer->steps++;
}

enum lng_status lng_optimizer_step(struct lng_optimizer *optimizer,
                                   const struct lng_options *options, double lr, double tokens,
                                   struct lng_step_result *result)
{
    double stats[2];
    LNG_TRY(queue_step(optimizer, options, lr, tokens));
    LNG_TRY(lng_device_read(optimizer->model->device, stats, optimizer->stats, sizeof stats));
    lng_optimizer_end(optimizer, options, tokens, stats, result);
    return LNG_OK;
}

enum lng_status lng_optimizer_use_average(struct lng_optimizer *optimizer, bool average)
{
    if (optimizer->ema == NULL || optimizer->averaged == average)
        return LNG_OK;
    struct lng_model *model = optimizer->model;
    struct lng_view values = flat(optimizer, model->values), ema = flat(optimizer, optimizer->ema),
                    spare = flat(optimizer, optimizer->spare);
    LNG_TRY(lng_copy(model->device, &(struct lng_copy_args){.x = values, .y = spare}));
    LNG_TRY(lng_copy(model->device, &(struct lng_copy_args){.x = ema, .y = values}));
    LNG_TRY(lng_copy(model->device, &(struct lng_copy_args){.x = spare, .y = ema}));
    optimizer->averaged = average;
    return lng_model_refresh(model);
}
