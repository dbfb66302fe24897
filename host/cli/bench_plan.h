/* What workloads would do, for doing it and for --dry-run. */
#ifndef LNG_HOST_CLI_BENCH_PLAN_H
#define LNG_HOST_CLI_BENCH_PLAN_H

#include "host/cli/bench.h"

/* plan, of the report: what the workload would do. bench->model has a shape and a device, and no values; bench->device
 * may be another than --device, where that is not to be had. */
#define LNG_BENCH_WORKLOAD(id, model, sentences, summary) \
    LNG_MUST_CHECK enum lng_status lng_bench_plan_##id(struct lng_bench *bench, json_t *plan);
#include "host/cli/bench_workloads.def"

/* A matrix of gemm, and the numbers of rows it is multiplied with. */
struct lng_bench_product {
    int64_t in, out;
    const int64_t *rows; /* [count], rising */
    size_t count;
    int64_t square; /* rows of the square one */
};
enum { LNG_BENCH_PRODUCTS = 5 };
/* products [LNG_BENCH_PRODUCTS], which must stay where they are. The last is the square one. */
void lng_bench_list_products(const struct lng_bench *bench, struct lng_bench_product *products);

enum { LNG_BENCH_SHORTEST = 16 }; /* of attention */
/* So many sentences of this length are --batch-tokens, one at least. */
int64_t lng_bench_attention_sentences(const struct lng_options *options, int64_t length);
/* LNG_ERR_USAGE for what attention is not computed in. */
LNG_MUST_CHECK enum lng_status lng_bench_check_attention(const struct lng_bench *bench);

/* Command of a process of `startup`; ends with NULL. What points into buffer is good as long as that. */
enum { LNG_BENCH_COMMANDS = 2, LNG_BENCH_WORDS = 20 };
struct lng_bench_command {
    const char *name, *words[LNG_BENCH_WORDS];
    const char *input;
    char threads[32];
};
void lng_bench_list_commands(const struct lng_bench *bench, struct lng_bench_command *commands);

/* Points of each curve of grow that this device has, as JSON: {axis: [values]}. */
LNG_MUST_CHECK enum lng_status lng_bench_list_curves(const struct lng_bench *bench, json_t *curves);

/* Multiplications and additions of an update: three times those of a forward pass. */
double lng_bench_count_operations(const struct lng_hparams *hparams,
                                  const struct lng_bench_sentences *source,
                                  const struct lng_bench_sentences *target);

#endif
