#include "host/train/update.h"

#include "host/base/mem.h"

static struct lng_model *model_of(const struct lng_update *update)
{
    return update->optimizer->model;
}

/* Where in the landing the step's values are. */
static size_t step_place(const struct lng_update *update)
{
    return (size_t)update->most * LNG_LOSS_LANDING;
}

enum lng_status lng_update_open(struct lng_update *update, struct lng_optimizer *optimizer,
                                struct lng_workspace *workspace, int most)
{
    struct lng_update result = {.optimizer = optimizer, .workspace = workspace, .most = most};
    enum lng_status status = LNG_OK;
    result.losses = lng_alloc((size_t)most, sizeof *result.losses);
    if (result.losses == NULL)
        return LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(lng_landing_open(model_of(&result)->device,
                                     step_place(&result) + LNG_STEP_LANDING, &result.landing));
    for (int i = 0; i < most; i++)
        result.losses[i] =
            (struct lng_loss_later){.landing = result.landing, .at = (size_t)i * LNG_LOSS_LANDING};
    *update = result;
    return LNG_OK;
fail:
    lng_free(result.losses);
    return status;
}

void lng_update_close(struct lng_update *update)
{
    if (update->optimizer == NULL)
        return;
    lng_landing_close(model_of(update)->device, update->landing);
    lng_free(update->losses);
    *update = (struct lng_update){0};
}

enum lng_status lng_update_begin(struct lng_update *update)
{
    update->batches = 0;
    update->tokens = 0;
    return lng_model_zero_gradients(model_of(update));
}

enum lng_status lng_update_batch(struct lng_update *update, const struct lng_sequences *source,
                                 const struct lng_sequences *target,
                                 const struct lng_regularization *regularization)
{
    LNG_FAIL_IF(update->batches == update->most, LNG_ERR_INTERNAL,
                "an update was opened for %d batches and given one more", update->most);
    struct lng_loss_later *later = &update->losses[update->batches];
    LNG_TRY(lng_model_train_later(model_of(update), update->workspace, source, target,
                                  regularization, later));
    update->batches++;
    update->tokens += later->tokens;
    return LNG_OK;
}

enum lng_status lng_update_step(struct lng_update *update, const struct lng_options *options,
                                double lr)
{
    return lng_optimizer_begin(update->optimizer, options, lr, update->tokens, update->landing,
                               step_place(update));
}

enum lng_status lng_update_end(struct lng_update *update, const struct lng_options *options,
                               struct lng_loss_sums *sums, struct lng_step_result *result)
{
    const void *landed;
    struct lng_loss_sums total = {0};
    LNG_TRY(lng_landing_wait(model_of(update)->device, update->landing, &landed));
    for (int i = 0; i < update->batches; i++) {
        struct lng_loss_sums one = lng_loss_sums_landed(&update->losses[i], landed);
        total.loss += one.loss;
        total.nll += one.nll;
        total.correct += one.correct;
        total.tokens += one.tokens;
        total.alignment += one.alignment;
        total.aligned += one.aligned;
    }
    lng_optimizer_end(update->optimizer, options, update->tokens,
                      (const unsigned char *)landed + step_place(update), result);
    *sums = total;
    return LNG_OK;
}
