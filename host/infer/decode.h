/* Batched search: many sentences, one model, one device.
 *
 * The rows of a step are the live hypotheses of all sentences in the batch. A sentence that is done leaves
 * at once, and waiting ones are encoded in groups and take the free places, so each row has a time of its
 * own. What a sentence becomes does not depend on its company. Nothing is allocated between steps. */
#ifndef LNG_HOST_INFER_DECODE_H
#define LNG_HOST_INFER_DECODE_H

#include "host/infer/beam.h"
#include "host/infer/constrain.h"
#include "host/infer/steering.h"
#include "host/model/model.h"

enum {
    LNG_SEARCH_LAST_LAYER = -1,
    LNG_SEARCH_ALL_LAYERS = -2,    /* the mean over layers */
    LNG_SEARCH_TRAINED_LAYER = -3, /* that of hparams.alignment_layer, else the last */
};
struct lng_search_options {
    struct lng_beam_options beam; /* eos is taken from the model */
    bool allow_unk;               /* else <unk> is never proposed */
    bool allow_pad;               /* else <pad> never is */
    bool
        any_token; /* so may the tokenizer's tokens that are never text, see lng_translate_open_search */
    bool
        renormalise; /* what is not proposed takes no part in the normaliser either (CTranslate2) */
    const int32_t *banned; /* further target tokens never proposed; copied */
    size_t banned_count;
    int64_t batch_tokens;    /* source tokens in flight at most; one sentence always may be */
    int64_t batch_sentences; /* sentences in a batch at most; 0 = no limit */
    /* Batches at once, sharing the model and cache_bytes. On a cpu the device's threads are divided among them: 0 = one a
     * thread, and at most that many; 1 = all threads on one. On a GPU each has a stream of its own, so that the host
     * works on one while the GPU works on another: 0 = two when each is full, 1 while a model is trained; at most 8.
     * Where there is little work, or a sentence needs more than a share of cache_bytes, it is one. Shows in no result.
     * Without steering.members, and not on ref: there 1. */
    int32_t workers;
    /* The model on further GPUs (lng_model_copy), each with so many workers and cache_bytes; borrowed, used by nobody
     * else meanwhile. Shows in no result, if the GPUs are of one kind. Not with steering.members. */
    struct lng_model *const *copies;
    int32_t copy_count;
    int64_t max_rows;   /* hypotheses in a step at most; 0 = a good number for the device */
    size_t cache_bytes; /* device memory for keys and values of hypotheses at most; 0 = 1 GiB */
    /* Log-probabilities are wanted. Without, a plain greedy search chooses by logits: the same tokens, in less time. */
    bool scores;
    bool alignment;          /* keep what each token attended to, see lng_hypothesis */
    int32_t alignment_layer; /* decoder layer, from 0, or one of the above */
    const struct lng_token_texts
        *texts;             /* borrowed; needed where inputs have constraints, see constrain.h */
    int32_t alignment_head; /* head of it; -1 = the mean of all. Marian: head 0 of the last layer */
    struct lng_steering steering; /* what it borrows must outlive the search */
};
/* The decoder layer, from 0, that alignments come from; LNG_SEARCH_ALL_LAYERS stays. */
static inline int32_t lng_search_layer(const struct lng_search_options *options,
                                       const struct lng_hparams *hparams)
{
    int32_t layer = options->alignment_layer, last = hparams->decoder_layers - 1;
    if (layer == LNG_SEARCH_TRAINED_LAYER)
        return hparams->alignment_layer >= 0 ? hparams->alignment_layer : last;
    return layer == LNG_SEARCH_LAST_LAYER ? last : layer;
}
/* Beam defaults, 4096 tokens, no other limits, scores, no alignment, no steering. */
struct lng_search_options lng_search_options_default(void);

/* One sentence; borrowed while the search runs. */
struct lng_search_input {
    const int32_t *source; /* as the model expects it: source EOS included where it has one */
    int32_t source_length; /* >= 1 */
    const int32_t *prefix; /* target tokens that every hypothesis starts with, no EOS */
    int32_t prefix_length;
    const struct lng_constraints *constraints; /* NULL = none */
    int32_t
        exact_length; /* > 0: translations of so many tokens, none of them EOS; not with constraints */
};

struct lng_hypothesis {
    const int32_t *tokens; /* [length]; the last is EOS unless cut at the maximum length */
    const float *logprobs; /* [length] of each token; zeros where a search went without scores */
    const float
        *weights; /* NULL, or [length, source_length]: attention to the source, rows sum to 1 */
    int32_t length;
    double total, score; /* sum of logprobs, and as ranked; 0 without */
    enum lng_beam_end end;
};

/* Valid inside the callback only. */
struct lng_search_result {
    int64_t index;                           /* of the input */
    const struct lng_hypothesis *hypotheses; /* best first */
    int32_t count;                           /* 1 .. n_best */
    bool exact_stop;                         /* false where a search went without scores */
};
/* Called once for each sentence, in the order in which they get done, on one thread at a time (not always the same).
 * Another status than LNG_OK ends the search and is handed on: it is called no more. */
typedef enum lng_status (*lng_search_done)(void *context, const struct lng_search_result *result);

struct lng_search_stats {
    int64_t steps, rows;     /* decoder steps, and hypotheses in them */
    int64_t places;          /* hypotheses that there was room for in these steps */
    int64_t groups, encoded; /* groups of sentences encoded, and source tokens in them */
    size_t device_bytes;     /* now held, beside the model */
    size_t cache_bytes;      /* of them keys and values */
    int64_t sentences_at_once;
    int32_t workers;                 /* batches at once, at most so far */
    struct lng_repeat_stats repeats; /* of the devices, whoever decoded on them */
};

struct lng_search;
/* Checks the options; memory is taken when the first sentences come. The model must outlive the search. */
LNG_MUST_CHECK enum lng_status lng_search_open(struct lng_model *model,
                                               const struct lng_search_options *options,
                                               struct lng_search **search);
/* NULL is fine. */
void lng_search_close(struct lng_search *search);

/* Translates all inputs. Memory is planned for the longest of them, and kept for later calls.
 * LNG_ERR_RANGE for an empty source or ids outside the vocabulary; LNG_ERR_MEMORY, before anything is
 * allocated, when the beam of one sentence exceeds cache_bytes. */
LNG_MUST_CHECK enum lng_status lng_search_run(struct lng_search *search,
                                              const struct lng_search_input *inputs, int64_t count,
                                              lng_search_done done, void *context);

struct lng_search_stats lng_search_get_stats(const struct lng_search *search);

#endif
