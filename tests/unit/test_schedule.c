#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/base/text.h"
#include "host/train/early_stop.h"
#include "host/train/metrics_log.h"
#include "host/train/run_state.h"
#include "host/train/schedule.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

static struct lng_options options_with(double lr, int64_t warmup)
{
    return (struct lng_options){
        .lr = lr, .warmup = {warmup, LNG_UNIT_UPDATES}, .schedule = LNG_OPT_SCHEDULE_INVERSE_SQRT};
}

static double rate_at(const struct lng_options *options, int64_t updates)
{
    struct lng_run_progress progress = {.updates = updates, .epochs = (double)updates / 10};
    return lng_schedule_lr(options, &progress);
}

Test(schedule, inverse_square_root_peaks_after_warmup)
{
    struct lng_options o = options_with(5e-3, 2000);
    o.warmup_start_lr = 1e-7;
    cr_assert(fabs(rate_at(&o, 0) - (1e-7 + (5e-3 - 1e-7) / 2000)) < 1e-15);
    cr_assert(fabs(rate_at(&o, 999) - (1e-7 + (5e-3 - 1e-7) / 2)) < 1e-12);
    cr_assert(fabs(rate_at(&o, 1999) - 5e-3) < 1e-15);
    cr_assert(fabs(rate_at(&o, 7999) - 5e-3 / 2) < 1e-15);
}

Test(schedule, linear_and_cosine_end_where_told)
{
    struct lng_options o = options_with(1e-3, 100);
    o.max_updates = 1100;
    o.min_lr = 1e-4;
    o.schedule = LNG_OPT_SCHEDULE_LINEAR;
    cr_assert(fabs(rate_at(&o, 600) - (1e-3 - 9e-4 / 2)) < 1e-12);
    cr_assert(fabs(rate_at(&o, 1100) - 1e-4) < 1e-12);
    cr_assert(fabs(rate_at(&o, 5000) - 1e-4) < 1e-12);
    o.schedule = LNG_OPT_SCHEDULE_COSINE;
    cr_assert(fabs(rate_at(&o, 350) - (1e-4 + 9e-4 * 0.5 * (1 + sqrt(0.5)))) < 1e-12);
    o.decay_until = (struct lng_quantity){60, LNG_UNIT_EPOCHS};
    cr_assert(fabs(rate_at(&o, 300) - (1e-4 + 9e-4 * 0.5)) < 1e-12);
    o.schedule = LNG_OPT_SCHEDULE_CONSTANT;
    cr_assert(rate_at(&o, 5000) == 1e-3);
}

Test(schedule, no_warmup_starts_at_the_peak)
{
    struct lng_options o = options_with(1e-3, 0);
    cr_assert(rate_at(&o, 0) == 1e-3 && rate_at(&o, 100) == 1e-3);
}

static struct lng_validation measured(double loss, double bleu)
{
    struct lng_validation v = {0};
    v.value[LNG_OPT_VALID_METRIC_LOSS] = loss;
    v.known[LNG_OPT_VALID_METRIC_LOSS] = true;
    v.value[LNG_OPT_VALID_METRIC_BLEU] = bleu;
    v.known[LNG_OPT_VALID_METRIC_BLEU] = true;
    return v;
}

Test(early_stop, every_metric_must_stall)
{
    const char *words[] = {"bleu", "loss"};
    struct lng_options o = {.early_stopping_metrics = {words, 2}, .early_stopping_patience = 2};
    struct lng_early_stop stop;
    lng_early_stop_init(&stop, &o);
    const struct {
        double loss, bleu;
        bool bleu_better, loss_better, stop;
    } steps[] = {{3, 10, true, true, false},     {2.5, 9, false, true, false},
                 {2.6, 9, false, false, false},  {2.4, NAN, false, true, false},
                 {2.4, 10, false, false, false}, {2.5, 9.9, false, false, true}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct lng_validation v = measured(steps[i].loss, steps[i].bleu);
        bool improved[LNG_VALID_METRICS] = {false};
        check_ok(lng_early_stop_update(&stop, &v, (int64_t)i, improved));
        cr_assert(improved[0] == steps[i].bleu_better && improved[1] == steps[i].loss_better,
                  "validation %zu", i);
        cr_assert(lng_early_stop_reached(&stop) == steps[i].stop, "validation %zu", i);
    }
    cr_assert(stop.best[0].value == 10 && stop.best[0].update == 0);
    cr_assert(stop.best[1].value == 2.4 && stop.best[1].update == 3);
}

Test(early_stop, a_watched_metric_must_be_measured)
{
    const char *words[] = {"chrf"};
    struct lng_options o = {.early_stopping_metrics = {words, 1}};
    struct lng_early_stop stop;
    lng_early_stop_init(&stop, &o);
    struct lng_validation v = measured(1, 1);
    bool improved[LNG_VALID_METRICS];
    check_fails(lng_early_stop_update(&stop, &v, 0, improved), LNG_ERR_INTERNAL, "chrf");
}

Test(run_state, reads_what_it_wrote_and_nothing_else)
{
    struct lng_run_state state = {.progress = {12, 1.25, 3456},
                                  .sources = 7,
                                  .sentences = 8,
                                  .optimizer_steps = 11,
                                  .skipped = 1,
                                  .rollbacks = 2,
                                  .seconds = 9.5,
                                  .seed = 42};
    state.stop.count = 1;
    state.stop.patience = 3;
    state.stop.best[0] = (struct lng_best){LNG_OPT_VALID_METRIC_BLEU, 33.3, 10, 1};
    unsigned char bytes[LNG_RUN_STATE_BYTES + 1];
    struct lng_writer writer;
    lng_writer_init(&writer, bytes, LNG_RUN_STATE_BYTES);
    check_ok(lng_run_state_write(&state, &writer));
    struct lng_run_state back;
    struct lng_reader reader;
    lng_reader_init(&reader, "state", bytes, writer.position);
    check_ok(lng_run_state_read(&back, &reader));
    cr_assert(back.progress.updates == 12 && back.progress.epochs == 1.25 && back.seed == 42);
    cr_assert(back.stop.count == 1 && back.stop.best[0].value == 33.3 &&
              back.stop.best[0].stalled == 1);
    for (size_t cut = 0; cut < writer.position; cut++) {
        lng_reader_init(&reader, "state", bytes, cut);
        cr_assert(lng_run_state_read(&back, &reader) != LNG_OK, "cut at %zu", cut);
    }
    lng_reader_init(&reader, "state", bytes, writer.position + 1);
    check_fails(lng_run_state_read(&back, &reader), LNG_ERR_FORMAT, "too many");
    bytes[0] = 99;
    lng_reader_init(&reader, "state", bytes, writer.position);
    check_fails(lng_run_state_read(&back, &reader), LNG_ERR_UNSUPPORTED, "version 99");
}

Test(metrics_log, lines_are_json_and_nan_is_null)
{
    scratch_make();
    const char *path = scratch_path("metrics.jsonl");
    struct lng_metrics_log log;
    check_ok(lng_metrics_log_open(&log, path));
    check_ok(lng_metrics_log_write(
        &log, "train", (struct lng_metric[]){{"update", 3}, {"loss", 2.5}, {"bad", NAN}}, 3));
    lng_metrics_log_close(&log);
    FILE *file = fopen(path, "r");
    char line[512];
    cr_assert(file != NULL && fgets(line, sizeof line, file) != NULL);
    fclose(file);
    cr_assert(strstr(line, "\"event\":\"train\"") && strstr(line, "\"update\":3,") &&
                  strstr(line, "\"loss\":2.5,") && strstr(line, "\"bad\":null}"),
              "%s", line);
    check_fails(lng_metrics_log_open(&log, "/nonexistent/metrics.jsonl"), LNG_ERR_IO,
                "cannot append");
    scratch_remove();
}
