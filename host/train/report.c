#include "host/train/report.h"

#include <math.h>
#include <stdio.h>

#include "host/base/log.h"
#include "host/base/mem.h"

enum lng_status lng_report_open(struct lng_report *report, const struct lng_options *options,
                                const char *run_dir, const struct lng_run_state *state,
                                bool resumed)
{
    *report = (struct lng_report){
        .options = options,
        .targets_before = state->progress.targets,
        .seconds_before = state->seconds,
    };
    char *path = lng_format("%s/metrics.jsonl", run_dir);
    if (path == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_metrics_log_open(&report->metrics, path);
    lng_free(path);
    if (status != LNG_OK)
        return status;
    lng_progress_start(&report->progress, "train", "updates", (uint64_t)state->progress.updates,
                       (uint64_t)options->max_updates);
    struct lng_metric metrics[] = {{"update", (double)state->progress.updates},
                                   {"seed", (double)options->seed}};
    return lng_metrics_log_write(&report->metrics, resumed ? "resume" : "start", metrics,
                                 sizeof metrics / sizeof metrics[0]);
}

void lng_report_close(struct lng_report *report)
{
    lng_metrics_log_close(&report->metrics);
}

void lng_report_update(struct lng_report *report, const struct lng_run_state *state,
                       const struct lng_loss_sums *sums, const struct lng_step_result *step,
                       double lr)
{
    report->sums.loss += sums->loss;
    report->sums.nll += sums->nll;
    report->sums.correct += sums->correct;
    report->sums.tokens += sums->tokens;
    report->sums.alignment += sums->alignment;
    report->sums.aligned += sums->aligned;
    report->norm_sum += step->gradient_norm;
    report->updates++;
    report->clipped += step->clipped;
    report->lr = lr;
    if (lng_log_on_terminal()) {
        char detail[64];
        snprintf(detail, sizeof detail, "loss %.4f", report->sums.loss / report->sums.tokens);
        lng_progress_update(&report->progress, (uint64_t)state->progress.updates, detail);
    }
}

/* Seconds until the nearest limit of the run; NaN when it has none. */
static double seconds_left(const struct lng_report *report, const struct lng_run_state *state)
{
    const struct lng_options *options = report->options;
    double left = NAN;
    if (options->max_updates > 0 && state->progress.updates > 0)
        left = state->seconds / (double)state->progress.updates *
               (double)(options->max_updates - state->progress.updates);
    if (options->max_epochs > 0 && state->progress.epochs > 0) {
        double epochs = state->seconds / state->progress.epochs *
                        ((double)options->max_epochs - state->progress.epochs);
        left = isnan(left) || epochs < left ? epochs : left;
    }
    return left > 0 || isnan(left) ? left : 0;
}

enum lng_status lng_report_write(struct lng_report *report, const struct lng_run_state *state)
{
    if (report->updates == 0)
        return LNG_OK;
    const struct lng_loss_sums *sums = &report->sums;
    double seconds = state->seconds - report->seconds_before;
    double rate =
        seconds > 0 ? (double)(state->progress.targets - report->targets_before) / seconds : 0;
    double nll = sums->nll / sums->tokens, norm = report->norm_sum / (double)report->updates;
    double left = seconds_left(report, state);
    char eta[32] = "";
    if (!isnan(left)) {
        char text[24];
        lng_progress_format_seconds(left, text, sizeof text);
        snprintf(eta, sizeof eta, ", %s left", text);
    }
    bool guided = report->options->guided_alignment.count > 0;
    double alignment =
        sums->alignment / sums->aligned; /* of a target token with links; NaN: there was none */
    char cost[48] = "";
    if (guided)
        snprintf(cost, sizeof cost, ", alignment %.4f", alignment);
    lng_info("update %lld, epoch %.2f: loss %.4f%s, perplexity %.2f, gradient %.3f, lr %.3g, %.0f "
             "target "
             "tokens/s%s",
             (long long)state->progress.updates, state->progress.epochs, sums->loss / sums->tokens,
             cost, exp(nll), norm, report->lr, rate, eta);
    struct lng_metric metrics[] = {
        {"update", (double)state->progress.updates},
        {"epoch", state->progress.epochs},
        {"targets", (double)state->progress.targets},
        {"sources", (double)state->sources},
        {"loss", sums->loss / sums->tokens},
        {"nll", nll},
        {"perplexity", exp(nll)},
        {"accuracy", 100 * sums->correct / sums->tokens},
        {"gradient_norm", norm},
        {"clipped", (double)report->clipped},
        {"lr", report->lr},
        {"targets_per_second", rate},
        {"seconds", state->seconds},
        {"skipped", (double)state->skipped},
        {"alignment", alignment}, /* the last: left out without guided alignment */
    };
    LNG_TRY(lng_metrics_log_write(&report->metrics, "train", metrics,
                                  sizeof metrics / sizeof metrics[0] - !guided));
    report->sums = (struct lng_loss_sums){0};
    report->norm_sum = 0;
    report->updates = report->clipped = 0;
    report->targets_before = state->progress.targets;
    report->seconds_before = state->seconds;
    return LNG_OK;
}

enum lng_status lng_report_validation(struct lng_report *report, const struct lng_run_state *state,
                                      const struct lng_validation *validation, double seconds)
{
    struct lng_metric metrics[LNG_VALID_METRICS + 2] = {{"update", (double)state->progress.updates},
                                                        {"seconds", seconds}};
    size_t count = 2;
    struct lng_buffer text = {0};
    enum lng_status status = LNG_OK;
    for (int m = 0; m < LNG_VALID_METRICS && status == LNG_OK; m++) {
        if (!validation->known[m])
            continue;
        const char *name = lng_choice_word(LNG_CHOICES_valid_metric, m);
        metrics[count++] = (struct lng_metric){name, validation->value[m]};
        status = lng_buffer_append_format(&text, "%s%s %.4f", text.length > 0 ? ", " : "", name,
                                          validation->value[m]);
        for (size_t i = 0; i < state->stop.count && status == LNG_OK; i++) {
            const struct lng_best *best = &state->stop.best[i];
            if ((int)best->metric != m)
                continue;
            status = best->stalled == 0
                         ? lng_buffer_append_text(&text, " (best)")
                         : lng_buffer_append_format(&text, " (best %.4f, %lld ago)", best->value,
                                                    (long long)best->stalled);
        }
    }
    if (status == LNG_OK) {
        lng_info("validation after update %lld: %s", (long long)state->progress.updates,
                 text.data ? text.data : "nothing measured");
        status = lng_metrics_log_write(&report->metrics, "valid", metrics, count);
    }
    lng_buffer_release(&text);
    return status;
}

enum lng_status lng_report_save(struct lng_report *report, const struct lng_run_state *state)
{
    struct lng_metric metrics[] = {{"update", (double)state->progress.updates}};
    return lng_metrics_log_write(&report->metrics, "save", metrics, 1);
}

enum lng_status lng_report_end(struct lng_report *report, const struct lng_run_state *state,
                               bool interrupted)
{
    lng_log_set_status_line("");
    struct lng_metric metrics[] = {
        {"update", (double)state->progress.updates},
        {"epoch", state->progress.epochs},
        {"targets", (double)state->progress.targets},
        {"seconds", state->seconds},
        {"targets_per_second",
         state->seconds > 0 ? (double)state->progress.targets / state->seconds : 0},
        {"skipped", (double)state->skipped},
        {"rollbacks", (double)state->rollbacks},
    };
    return lng_metrics_log_write(&report->metrics, interrupted ? "interrupted" : "end", metrics,
                                 sizeof metrics / sizeof metrics[0]);
}
