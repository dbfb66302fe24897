/* Inside host/infer: the state of a batched search. */
#ifndef LNG_HOST_INFER_DECODE_STATE_H
#define LNG_HOST_INFER_DECODE_STATE_H

#include <pthread.h>

#include "host/infer/decode.h"
#include "host/infer/kv_cache.h"

/* Room for one sentence in flight. */
struct lng_seat {
    struct lng_beam beam;
    int64_t input; /* index in inputs */
    int64_t base;  /* first cache slot */
    int64_t source_first;
    int32_t source_length;
    int side; /* of the lineage */
    int32_t *
        node_slot; /* [beam nodes] slot that a node's continuation was predicted in; alignment only */
};

struct lng_steer;

/* What memory was planned for. */
struct lng_search_plan {
    int64_t time;        /* target positions of the longest sentence */
    int64_t source;      /* tokens of the longest source */
    int64_t seats;       /* sentences at once */
    int64_t rows;        /* seats * beam */
    int64_t step_rows;   /* of a step: those, and what lng_step_rows adds */
    int64_t positions;   /* of the self cache */
    int64_t source_rows; /* of the cross cache */
    int64_t encode_rows; /* source tokens encoded at once, but for a longer sentence alone */
    int64_t step_words;  /* int32 words that a step uploads at most */
    int64_t most;        /* sentences there would be at once at most, were there room */
    bool fused;          /* logits are nowhere stored, see lng_device_fuses_logits */
};

struct lng_search {
    struct lng_model *model;
    struct lng_search_options options;
    int32_t *banned; /* device */
    int64_t banned_count;
    int32_t *excluded;       /* host copy of banned, with options.renormalise */
    int halvings;            /* of the batch, for want of memory */
    struct lng_steer *steer; /* steer.h; NULL: the plain search */
    struct lng_search_plan plan;
    struct lng_search_stats stats;

    struct lng_workspace *workspace;
    size_t workspace_bytes;
    struct lng_step_scratch *scratch;
    struct lng_kv_cache cache;
    void *device_memory; /* the five below, carved */
    size_t device_memory_bytes;
    struct lng_view logits;                  /* [step_rows, V]; no data where plan.fused */
    struct lng_candidate *device_candidates; /* [seats, 2 beam] */
    int32_t *device_step;                    /* [step_words] */
    /* [aligned layers, step_rows, source]; alignment and coverage only */
    float *device_weights;

    struct lng_seat *seats;   /* [plan.seats] */
    int32_t *active, *vacant; /* seat numbers: in use, in the order of their rows; and free */
    int64_t active_count,
        open_seats; /* open_seats: as many as the present shape of the cache allows */
    int64_t vacant_count;
    int32_t *step;                     /* staging, [step_words] */
    int32_t *ids, *offsets;            /* staging of a group to encode */
    struct lng_candidate *candidates;  /* [seats, 2 beam] */
    float *weights;                    /* the same of a step */
    float *kept_weights;               /* [positions, source]: of every step, by (time, slot) */
    struct lng_hypothesis *hypotheses; /* [n_best], and what they point to: */
    int32_t *tokens, *nodes;           /* [n_best, time]; [time] */
    float *logprobs, *alignment;       /* [n_best, time]; [n_best, time, source] */

    /* the present run */
    struct lng_constrain_run *constrain;   /* NULL where no input has constraints */
    const struct lng_search_input *inputs; /* borrowed */
    int64_t count;                         /* of them */
    struct lng_search_queue *queue;        /* borrowed */
    int64_t *group; /* [seats] inputs that were taken from it and are to be encoded */

    struct lng_crew *crew; /* NULL: this search works alone; see decode_crew.h */
};

/* Inputs that wait, longest first, for one search or for several. */
struct lng_search_queue {
    const int64_t *order;
    int64_t count, next;    /* how many of order were taken */
    int32_t takers;         /* searches */
    bool stopped;           /* one of them failed */
    pthread_mutex_t *mutex; /* NULL with one taker */
};

/* Whether steps must tell what they attended to. */
static inline bool lng_search_wants_weights(const struct lng_search *search)
{
    return search->options.alignment || search->options.steering.coverage_penalty > 0.0;
}

/* Whether a row's best token is all that is asked for. */
static inline bool lng_search_lacks_scores(const struct lng_search *search)
{
    return search->options.beam.beam == 1 && !search->options.scores && search->steer == NULL &&
           search->constrain == NULL;
}

/* How many layers' attention makes the alignment. */
static inline int64_t lng_search_aligned_layers(const struct lng_search *search)
{
    bool all = search->options.alignment_layer == LNG_SEARCH_ALL_LAYERS;
    return all ? search->model->hparams.decoder_layers : 1;
}

/* Reads what the rows of a step attended to into weights [rows, source], the mean over the aligned layers. */
LNG_MUST_CHECK enum lng_status lng_search_read_weights(struct lng_search *search, int64_t step_rows,
                                                       int64_t rows);

/* Runs a model over the rows of a step, of which the first `rows` are live ones; with options.renormalise what may not
 * follow gets a logit of next to no probability. args->logits is search->logits; row_offsets [active_count + 1], host. */
LNG_MUST_CHECK enum lng_status lng_search_run_step(struct lng_search *search,
                                                   struct lng_model *model,
                                                   struct lng_step_scratch *scratch,
                                                   const struct lng_decoder_step_args *args,
                                                   int64_t rows, const int32_t *row_offsets);

/* Sentences at once in a batch that is full, as far as memory allows. */
int64_t lng_search_full_seats(const struct lng_search *search);
/* Gives back what was planned for lengths; the search can be prepared again. */
void lng_search_release_plan(struct lng_search *search);
/* Makes room for the longest of the inputs, for at most `most` at once, fewer where memory is short; keeps what is there when
 * it suffices. */
LNG_MUST_CHECK enum lng_status lng_search_prepare(struct lng_search *search,
                                                  const struct lng_search_input *inputs,
                                                  int64_t count, int64_t most);
/* Translates what it takes from the queue, whose order is of these inputs, until none waits. */
LNG_MUST_CHECK enum lng_status lng_search_work(struct lng_search *search,
                                               struct lng_search_queue *queue,
                                               const struct lng_search_input *inputs, int64_t count,
                                               lng_search_done done, void *context);

/* Target length limit of an input. */
int32_t lng_search_time(const struct lng_search *search, const struct lng_search_input *input);

/* int32 words that a step of so many rows uploads. */
int64_t lng_search_step_words(int64_t rows, int64_t seats, int64_t time);

/* One step of all active sentences; those that are done are handed to the callback and leave. */
LNG_MUST_CHECK enum lng_status lng_search_step(struct lng_search *search, lng_search_done done,
                                               void *context);

#endif
