#include "host/train/validate.h"

#include <math.h>

enum lng_status lng_loss_validator_open(struct lng_loss_validator *validator,
                                        struct lng_model *model,
                                        const struct lng_batch_window *window)
{
    struct lng_batch_limits limits = {0};
    for (size_t i = 0; i < window->batch_count; i++) {
        struct lng_pair_batch batch = lng_batch_window_get(window, i);
        limits.source_rows =
            batch.source_tokens > limits.source_rows ? batch.source_tokens : limits.source_rows;
        limits.target_rows =
            batch.target_tokens > limits.target_rows ? batch.target_tokens : limits.target_rows;
        limits.sentences = batch.count > limits.sentences ? batch.count : limits.sentences;
    }
    struct lng_loss_validator result = {.model = model};
    LNG_TRY(lng_workspace_open(model, &limits, &result.workspace));
    *validator = result;
    return LNG_OK;
}

void lng_loss_validator_close(struct lng_loss_validator *validator)
{
    lng_workspace_close(validator->workspace);
    *validator = (struct lng_loss_validator){0};
}

enum lng_status lng_loss_validate(struct lng_loss_validator *validator,
                                  const struct lng_batch_window *window,
                                  struct lng_validation *validation)
{
    struct lng_loss_sums total = {0};
    for (size_t i = 0; i < window->batch_count; i++) {
        struct lng_pair_batch batch = lng_batch_window_get(window, i);
        struct lng_sequences source = {batch.source_ids, batch.source_offsets, batch.sentence_ids,
                                       batch.count};
        struct lng_sequences target = {batch.target_ids, batch.target_offsets, batch.sentence_ids,
                                       batch.count};
        struct lng_loss_sums sums;
        LNG_TRY(
            lng_model_score(validator->model, validator->workspace, &source, &target, NULL, &sums));
        total.nll += sums.nll;
        total.correct += sums.correct;
        total.tokens += sums.tokens;
    }
    LNG_FAIL_IF(total.tokens == 0, LNG_ERR_FORMAT, "the validation set has no target tokens");
    double loss = total.nll / total.tokens;
    const struct {
        enum lng_opt_valid_metric metric;
        double value;
    } measured[] = {
        {LNG_OPT_VALID_METRIC_LOSS, loss},
        {LNG_OPT_VALID_METRIC_PERPLEXITY, exp(loss)},
        {LNG_OPT_VALID_METRIC_ACCURACY, 100 * total.correct / total.tokens},
    };
    for (size_t i = 0; i < sizeof measured / sizeof measured[0]; i++) {
        validation->value[measured[i].metric] = measured[i].value;
        validation->known[measured[i].metric] = true;
    }
    return LNG_OK;
}
