/* What the commands that run a model share: the model from --model, signals, output, progress. */
#ifndef LNG_HOST_CLI_INFER_SETUP_H
#define LNG_HOST_CLI_INFER_SETUP_H

#include <signal.h>
#include <stdio.h>

#include "host/base/progress.h"
#include "host/config/options.h"
#include "host/store/hf_generation.h"
#include "host/store/model_dir.h"
#include "tokenizer/tokenizer.h"

/* What products are computed in for --dtype. */
enum lng_dtype lng_infer_compute_type(enum lng_opt_dtype dtype);
/* The same, but where --dtype is not given int8 for an int8 model on a device that can. */
enum lng_dtype lng_infer_choose_type(const struct lng_options *options,
                                     const struct lng_device *device, enum lng_dtype stored);

/* generation is what --compat hf reads; else empty. */
struct lng_infer_setup {
    struct lng_device *device;
    struct lng_model model;
    struct lng_model_data data; /* all but the values */
    struct lng_tokenizer *tokenizer;
    struct lng_hf_generation generation;
};
/* --model on --device in --dtype with --threads, and its tokenizer. Close in any case. */
LNG_MUST_CHECK enum lng_status lng_infer_setup_open(const struct lng_options *options,
                                                    struct lng_infer_setup *setup);
/* The tokens of --source-language and --target-language: where not given, those that the model's files name;
 * *source stays -1 and *forced_bos what it was for models without language tokens. */
LNG_MUST_CHECK enum lng_status lng_infer_languages(const struct lng_options *options,
                                                   const struct lng_infer_setup *setup,
                                                   int32_t *source, int32_t *forced_bos);
/* Says once why --device auto took no GPU, where this installation serves them. */
void lng_setup_remark(const struct lng_device *device);
/* Fine on a zeroed one. */
void lng_infer_setup_close(struct lng_infer_setup *setup);

/* Nonzero after the first SIGINT or SIGTERM; a second one ends the process. */
const volatile sig_atomic_t *lng_infer_watch_signals(void);

/* Where results go: --output, or standard output for NULL and "-". */
struct lng_infer_output {
    FILE *stream;
    const char *path; /* NULL = standard output */
};
/* LNG_ERR_USAGE when the output is one of the inputs (NULL and "-" are fine among them). */
LNG_MUST_CHECK enum lng_status lng_infer_output_open(struct lng_infer_output *output,
                                                     const char *path, const char *const *inputs,
                                                     size_t input_count);
/* An lng_translate_write; the context is the output. Flushes. */
enum lng_status lng_infer_output_write(void *output, const char *data, size_t size);
/* Reports what went wrong with any write so far. Fine on a zeroed one. */
LNG_MUST_CHECK enum lng_status lng_infer_output_close(struct lng_infer_output *output);

/* Progress callback; the context is the struct lng_progress. */
void lng_infer_progress(void *progress, uint64_t lines);

#endif
