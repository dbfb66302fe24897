/* lingster bench: work of known size, timed. Every workload fills in one JSON object:
 *
 *   schema      1
 *   workload    a name of bench_workloads.def
 *   lingster    version
 *   machine     cpu, cores, device, instructions, threads; gpu: null, or name, memory_bytes, multiprocessors,
 *               compute_capability, driver, runtime
 *   model       path (null: random weights), source_vocab, target_vocab, dim, encoder_layers, decoder_layers, heads,
 *               encoder_ffn, decoder_ffn, parameters, bytes (all copies of the weights)
 *   config      dtype, seed, repetitions, warmup, and what the workload takes from the options besides
 *   work        what one repetition is made of: sentences, source_tokens, target_tokens, ...
 *   seconds, cpu_seconds   {median, min, max} over repetitions: wall time, and processor time of all threads
 *   runs        [{seconds, cpu_seconds}], one a repetition
 *   rates       NAME: {median, min, max}, for example target_tokens_per_second
 *   phases      (with --phases) of one more repetition, in which each piece of work is timed by itself on the device and no
 *               CUDA graph is used: seconds, and parts [{phase, seconds, share, calls}]; gaps is what no part took
 *   utilization (train, gemm) gflop_per_second, what of measured_peak (gemm's square product, where gemm ran before in the
 *               same command) and of nominal_peak (bench_workloads.def) that is: of_measured, of_nominal; null: not known
 *   memory      peak_rss_bytes of the process, heap_peak_bytes of our allocator; program_bytes, before there was a
 *               model; plan_bytes, cache_bytes: what the search planned on the device beside the model, and the part of
 *               it for keys and values; predicted_bytes (a search on a cpu), the sum of program, model and plan;
 *               gpu_used_bytes, of the GPU at the end, by all programs, and gpu_held_bytes, what of it came since the
 *               device was opened (null without one)
 *
 * and what is its own: latency has `milliseconds`, gemm `products`, attention `lengths`, startup `processes`, memory
 * `uses`, grow `curves`. With --dry-run there is dry_run true, no times and no rates, and `plan` says what would be done. Tokens of a translation are those of
 * the best hypothesis, the end token included where there is one; padding is never counted. */
#ifndef LNG_HOST_CLI_BENCH_H
#define LNG_HOST_CLI_BENCH_H

#include "host/cli/bench_input.h"
#include "host/config/options.h"
#include "host/infer/decode.h"
#include "host/store/json.h"
#include "kernels/observe.h"

enum { LNG_BENCH_SCHEMA = 1 };

/* What all workloads of one command share. */
struct lng_bench {
    const struct lng_options *options;
    struct lng_device *device;
    enum lng_dtype dtype;
    double peak;                          /* 1e9 operations a second, by gemm; 0: not measured */
    size_t held_bytes;                    /* see lng_bench_held; before there was a model */
    size_t program_bytes;                 /* resident, before there was a model */
    struct lng_model model;               /* where the workload needs one; device NULL: none */
    struct lng_bench_sentences sentences; /* where it needs some */
};

#define LNG_BENCH_WORKLOAD(id, model, sentences, summary) \
    LNG_MUST_CHECK enum lng_status lng_bench_##id(struct lng_bench *bench, json_t *report);
#include "host/cli/bench_workloads.def"

/* ---- models and devices ---- */

/* Opens --device, where it is not open. */
LNG_MUST_CHECK enum lng_status lng_bench_open_device(struct lng_bench *bench);
void lng_bench_close_device(struct lng_bench *bench);
/* bench->model: --model, or random. */
LNG_MUST_CHECK enum lng_status lng_bench_open_model(struct lng_bench *bench, bool training);
void lng_bench_close_model(struct lng_bench *bench);
/* The shape of random models, complete and checked. */
LNG_MUST_CHECK enum lng_status lng_bench_shape(const struct lng_options *options,
                                               int32_t vocabulary, int32_t decoder_layers,
                                               struct lng_hparams *hparams);
/* Values in [-1, 1) without a pattern that could be guessed; through reals, in dtype. */
LNG_MUST_CHECK enum lng_status lng_bench_fill(struct lng_device *device, void *to, int64_t count,
                                              enum lng_dtype dtype);

/* Random weights of the shape that the options ask for; vocabulary and decoder layers as given. eos 0, unk 1, pad the
 * last entry, as MarianMT. */
LNG_MUST_CHECK enum lng_status lng_bench_random_model(const struct lng_options *options,
                                                      struct lng_device *device,
                                                      enum lng_dtype dtype, bool training,
                                                      int32_t vocabulary, int32_t decoder_layers,
                                                      struct lng_model *model);

/* ---- times ---- */

struct lng_bench_clock {
    double seconds, cpu_seconds; /* when started; then, how long it took */
};
struct lng_bench_clock lng_bench_start(void);
struct lng_bench_clock lng_bench_stop(struct lng_bench_clock start);

/* Does something `times` times and waits for the device. */
typedef enum lng_status (*lng_bench_work)(void *context, int64_t times);
/* seconds [count] of doing it once, each over enough times for the clock; warms up before. */
LNG_MUST_CHECK enum lng_status lng_bench_time_work(lng_bench_work work, void *context,
                                                   double *seconds, int count);

/* Of count > 0 values, which are sorted. */
double lng_bench_median(double *values, size_t count);
/* The smallest value that a share p of all does not exceed (nearest rank). */
double lng_bench_percentile(double *values, size_t count, double p);

/* ---- the report ---- */

/* {median, min, max}; values are sorted. */
LNG_MUST_CHECK enum lng_status lng_bench_add_spread(json_t *object, const char *key, double *values,
                                                    size_t count);
/* seconds, cpu_seconds and runs. */
LNG_MUST_CHECK enum lng_status lng_bench_add_runs(json_t *report,
                                                  const struct lng_bench_clock *runs, size_t count);
/* rates.NAME: amount a second in each run. */
LNG_MUST_CHECK enum lng_status lng_bench_add_rate(json_t *report, const char *name, double amount,
                                                  const struct lng_bench_clock *runs, size_t count);
/* phases: times of work that took `seconds`. */
LNG_MUST_CHECK enum lng_status lng_bench_add_phases(const struct lng_phase_times *times,
                                                    double seconds, json_t *report);
/* utilization, of so many 1e9 multiplications and additions a second. */
LNG_MUST_CHECK enum lng_status lng_bench_add_utilization(const struct lng_bench *bench, double rate,
                                                         json_t *report);
/* 1e9 operations a second that the GPU of this name has by its data sheet; 0: not known. */
double lng_bench_nominal_peak(const char *name, enum lng_dtype dtype);
/* A new object at the end of a list. */
LNG_MUST_CHECK enum lng_status lng_bench_add_object(json_t *list, json_t **object);
/* memory; stats NULL: without a search. */
LNG_MUST_CHECK enum lng_status lng_bench_add_memory(const struct lng_bench *bench, json_t *report,
                                                    const struct lng_search_stats *stats);
/* schema to config. */
LNG_MUST_CHECK enum lng_status lng_bench_add_head(const struct lng_bench *bench,
                                                  const char *workload, json_t *report);
/* An object under a key that is there or made now. */
LNG_MUST_CHECK enum lng_status lng_bench_section(json_t *report, const char *key, json_t **section);
/* A text to --output; path NULL and "-": standard output. */
LNG_MUST_CHECK enum lng_status lng_bench_write(const char *path, const struct lng_buffer *text);
/* For people: a line a value, arrays of objects as tables. */
LNG_MUST_CHECK enum lng_status lng_bench_text(const json_t *report, struct lng_buffer *text);

/* ---- updates ---- */

/* Median seconds of an update of `train`; target tokens and planned bytes of it, as lng_bench_update_once has them. */
LNG_MUST_CHECK enum lng_status lng_bench_time_updates(struct lng_bench *bench, double *seconds,
                                                      double *tokens, double *bytes);

/* ---- memory ---- */

/* Bytes held now: of a GPU by all programs, else by our allocator. */
size_t lng_bench_held(const struct lng_bench *bench);
/* One update of `train` with bench->model. plan_bytes: activations and all that there is of each parameter; held_bytes:
 * what was held at its end. */
LNG_MUST_CHECK enum lng_status lng_bench_update_once(struct lng_bench *bench, size_t *plan_bytes,
                                                     size_t *held_bytes);

/* ---- translating ---- */

struct lng_bench_search {
    int32_t beam, workers; /* workers as in struct lng_search_options */
    int64_t batch;
};
/* What that asks of a search that is never cut short by batch or cache limits. */
struct lng_search_options lng_bench_search_options(const struct lng_bench_sentences *sentences,
                                                   const struct lng_bench_search *how);
/* A search for the sentences that is never cut short by batch or cache limits; close with lng_search_close. */
LNG_MUST_CHECK enum lng_status lng_bench_open_search(struct lng_model *model,
                                                     const struct lng_bench_sentences *sentences,
                                                     const struct lng_bench_search *how,
                                                     struct lng_search **search);

/* Best hypotheses of a pass over all sentences. */
struct lng_bench_output {
    struct lng_ids ids;   /* in the order in which they came */
    size_t *begin, *size; /* [sentences] */
    int64_t tokens;
};
/* phases: a pass of that search, one batch at a time. */
LNG_MUST_CHECK enum lng_status lng_bench_search_phases(struct lng_bench *bench,
                                                       const struct lng_bench_search *how,
                                                       json_t *report);
/* Translates sentences [first, first + count) once. output NULL: only counted in *tokens. */
LNG_MUST_CHECK enum lng_status
lng_bench_translate(struct lng_search *search, const struct lng_bench_sentences *sentences,
                    size_t first, size_t count, struct lng_bench_output *output, int64_t *tokens);

#endif
