/* A Transformer on a device: parameters, gradients, and what can be asked of it.
 *
 * Sequences are packed: the ids of all sentences laid end to end, offsets [count + 1] say where each
 * starts. Nothing is padded, and no sentence sees another. Host code never touches device memory. */
#ifndef LNG_HOST_MODEL_MODEL_H
#define LNG_HOST_MODEL_MODEL_H

#include "host/model/hparams.h"
#include "host/model/params.h"

/* Packed sentences in host memory; borrowed for the call. Source ids end with the source EOS where the
 * model has one; target ids end with EOS (the decoder's shifted input is made inside). */
struct lng_sequences {
    const int32_t *ids;           /* [offsets[count]] */
    const int32_t *offsets;       /* [count + 1] */
    const uint32_t *sentence_ids; /* [count] for dropout; NULL = 0, 1, 2, ... */
    int64_t count;
};

/* A parameter on the device. weight is set for matrices used in products. */
struct lng_tensor {
    struct lng_view value; /* real; data NULL where an inference-only model has the weight alone */
    struct lng_view gradient; /* real; data NULL without training */
    struct lng_weight *weight;
};

struct lng_model {
    struct lng_hparams hparams;
    struct lng_params params;
    struct lng_device *device; /* borrowed */
    enum lng_dtype compute;    /* F32, BF16 or I8 products */
    enum lng_dtype activation; /* dtype of activations */
    enum lng_dtype cache;      /* dtype of keys and values in the caches of decoding, see model.c */
    bool training;
    const struct lng_tensor
        *shared; /* of the model whose parameters these are, see lng_model_share */
    /* Decoding only, pre-norm only: after its first token a hypothesis attends to keys and values projected from
     * inputs that were not normalised. So Marian's decoder, though not its training, computes. */
    bool raw_decoder_keys;
    bool inference_only;        /* by lng_model_init_inference: values holds only some tensors */
    void *values;               /* [params.total] real, owned */
    void *gradients;            /* [params.total] real, owned; NULL without training */
    struct lng_tensor *tensors; /* parallel to params.list, owned */
    struct lng_view positions;  /* sinusoid table [P, D] real; data NULL for learned positions */
    void *position_memory;
};

/* Allocates parameters (zeros) on the device; gradients too when training. compute F32 or BF16.
 * The caller releases with lng_model_release; the device must outlive the model. */
LNG_MUST_CHECK enum lng_status lng_model_init(struct lng_model *model, struct lng_device *device,
                                              const struct lng_hparams *hparams,
                                              enum lng_dtype compute, bool training);
void lng_model_release(struct lng_model *model);
/* The shape of such a model and nothing else, for plans of memory (lng_workspace_plan). Released in the same way. */
LNG_MUST_CHECK enum lng_status lng_model_describe(struct lng_model *model,
                                                  struct lng_device *device,
                                                  const struct lng_hparams *hparams,
                                                  enum lng_dtype compute, bool training);

/* Where the values of parameters come from, one parameter at a time. */
struct lng_param_source {
    void *context;
    /* *rows [param->rows, param->cols] in host memory, good until the next call; I8 only for matrices. */
    enum lng_status (*read)(void *context, const struct lng_param *param,
                            struct lng_weight_rows *rows);
};
/* A model for inference with these values, held once: the device keeps what its products take and not the matrices
 * beside it (lng_weight_takes_rows). In I8 embeddings too are int8 rows; int8 rows for another compute type are taken
 * as the floats they stand for. Parameters can be neither read nor set afterwards. */
LNG_MUST_CHECK enum lng_status lng_model_init_inference(struct lng_model *model,
                                                        struct lng_device *device,
                                                        const struct lng_hparams *hparams,
                                                        enum lng_dtype compute,
                                                        const struct lng_param_source *source);

/* Bytes of parameters and weights on the device. */
size_t lng_model_bytes(const struct lng_model *model);

/* The same model on another device of the same kind (on a GPU: of the same one), for one more thread to decode with:
 * parameters are shared, and must neither change nor be released meanwhile. Not for training. It has no positions yet:
 * whoever decodes reserves them. Waits until parameters are whole. The caller releases `shared` first. */
LNG_MUST_CHECK enum lng_status lng_model_share(const struct lng_model *model,
                                               struct lng_device *device, struct lng_model *shared);
/* A model for inference on another GPU, with values of its own. LNG_ERR_UNSUPPORTED where `model` has only prepared
 * weights (lng_weight_takes_rows). The caller releases it, in any order. */
LNG_MUST_CHECK enum lng_status lng_model_copy(const struct lng_model *model,
                                              struct lng_device *device, struct lng_model *copy);

/* Random initialisation by Philox: the same values for a seed on every device. depth_scaled: layer l's
 * matrices times 1 / sqrt(l + 1) (Zhang et al. 2019). */
LNG_MUST_CHECK enum lng_status lng_model_randomize(struct lng_model *model, uint64_t seed,
                                                   bool depth_scaled);

/* Copies all parameters from / to host memory [params.total] of float. */
LNG_MUST_CHECK enum lng_status lng_model_set_values(struct lng_model *model, const float *values);
LNG_MUST_CHECK enum lng_status lng_model_get_values(const struct lng_model *model, float *values);

/* After parameters changed in device memory: repacks the weights. set_values and randomize do it. */
LNG_MUST_CHECK enum lng_status lng_model_refresh(struct lng_model *model);

/* The tensor, or NULL when the model has none. Borrowed. */
struct lng_tensor *lng_model_tensor(const struct lng_model *model, enum lng_param_id id, int layer);

/* Makes positions 0 .. count - 1 available (sinusoids grow; a learned table clamps to its last row). */
LNG_MUST_CHECK enum lng_status lng_model_reserve_positions(struct lng_model *model, int64_t count);

/* ---- memory of a batch ------------------------------------------------------------------------ */

/* The largest batch a workspace must hold. */
struct lng_batch_limits {
    int64_t source_rows, target_rows; /* tokens, EOS included */
    int64_t sentences;
    int64_t links;  /* of guided alignment, see struct lng_guide; 0 = there is none */
    bool backward;  /* keep what the backward pass needs */
    bool recompute; /* keep only layer inputs and recompute the rest in the backward pass */
};
struct lng_workspace;
/* Elements from one row of logits to the next, V or a little more. */
int64_t lng_logit_stride(const struct lng_model *model);
/* Bytes on the device for such a batch, from a dry run of the code that lays it out. */
size_t lng_workspace_plan(const struct lng_model *model, const struct lng_batch_limits *limits);
LNG_MUST_CHECK enum lng_status lng_workspace_open(const struct lng_model *model,
                                                  const struct lng_batch_limits *limits,
                                                  struct lng_workspace **workspace);
void lng_workspace_close(struct lng_workspace *workspace);

/* ---- training --------------------------------------------------------------------------------- */

/* Guided alignment of one batch (lng_attention_guide_args): the source tokens that target tokens should attend to in
 * one decoder layer, by the mean of its heads. Host memory, borrowed for the call. */
struct lng_guide {
    const int32_t *offsets; /* [target rows + 1], rising from 0 */
    const int32_t
        *sources; /* [offsets[rows]] places in the row's own source sentence, rising in a row */
    double weight;
    int64_t layer; /* from 0 */
};

struct lng_regularization {
    double dropout;           /* residual: output of every sub-layer, and the embedded input */
    double embedding_dropout; /* of the embedded input; < 0 = same as dropout */
    double attention_dropout; /* attention probabilities */
    double ffn_dropout;       /* after the FFN activation */
    double source_word_dropout, target_word_dropout; /* whole embeddings */
    double label_smoothing;
    enum lng_smoothing smoothing_kind;
    double r_drop;                 /* alpha of R-Drop, 0 = off: see lng_model_train */
    const struct lng_guide *guide; /* NULL = none: see lng_model_train */
    uint64_t seed;
    uint32_t update; /* number of the optimiser step: fresh masks each time */
};

struct lng_loss_sums {
    double loss;    /* label-smoothed, summed over target tokens */
    double nll;     /* -log p(target), summed */
    double correct; /* arg-max hits */
    double tokens;  /* target tokens, EOS included */
    double alignment,
        aligned; /* guided alignment: cost, summed and without its weight; target tokens with links */
};

/* Forward and backward of one packed batch; gradients of the summed loss are added to model->gradients
 * (zero them with lng_model_zero_gradients). sums may be NULL; else it is written (waits for the device).
 * r_drop > 0: every pair is computed twice, with other dropout, and the loss of a token is
 *   (CE1 + CE2) / 2 + r_drop / 4 * (KL(p1 || p2) + KL(p2 || p1))
 * half of that of Liang et al. 2021, so that it and its gradient stay comparable to those of one copy. The
 * workspace must have room for both copies; sums are means over them, tokens are counted once.
 * guide: the loss of a target token with links grows by weight times its cost, that of others stays. All are summed, so
 * where the gradient is divided by the number of target tokens the cost is a mean over all of these, aligned or not, as
 * in Garg et al. 2019 (Marian divides by 1 + weight besides). sums.loss is without it. */
LNG_MUST_CHECK enum lng_status
lng_model_train(struct lng_model *model, struct lng_workspace *workspace,
                const struct lng_sequences *source, const struct lng_sequences *target,
                const struct lng_regularization *regularization, struct lng_loss_sums *sums);
/* The same without waiting: the sums go to later->landing, of which LNG_LOSS_LANDING bytes at later->at are theirs.
 * lng_loss_sums_landed makes them of its memory, after lng_landing_wait. */
enum { LNG_LOSS_LANDING = 5 * sizeof(double) };
struct lng_loss_later {
    struct lng_landing *landing;
    size_t at;
    double tokens; /* written at once: target tokens */
    int copies;    /* written at once */
};
LNG_MUST_CHECK enum lng_status
lng_model_train_later(struct lng_model *model, struct lng_workspace *workspace,
                      const struct lng_sequences *source, const struct lng_sequences *target,
                      const struct lng_regularization *regularization,
                      struct lng_loss_later *later);
struct lng_loss_sums lng_loss_sums_landed(const struct lng_loss_later *later, const void *memory);
LNG_MUST_CHECK enum lng_status lng_model_zero_gradients(struct lng_model *model);

/* ---- teacher-forced scoring ------------------------------------------------------------------- */

/* token_logprob [target rows] in host memory, may be NULL; no dropout, no smoothing. */
LNG_MUST_CHECK enum lng_status lng_model_score(struct lng_model *model,
                                               struct lng_workspace *workspace,
                                               const struct lng_sequences *source,
                                               const struct lng_sequences *target,
                                               float *token_logprob, struct lng_loss_sums *sums);

/* Full logits [target rows, V] as f32 in host memory, for tests and comparisons. */
LNG_MUST_CHECK enum lng_status lng_model_logits(struct lng_model *model,
                                                struct lng_workspace *workspace,
                                                const struct lng_sequences *source,
                                                const struct lng_sequences *target, float *logits);

/* ---- decoding, one step at a time ------------------------------------------------------------- */

/* Encoder output [source rows, D] of a batch (device, valid until the workspace is used again). */
LNG_MUST_CHECK enum lng_status lng_model_encode(struct lng_model *model,
                                                struct lng_workspace *workspace,
                                                const struct lng_sequences *source,
                                                struct lng_view *encoded);

/* Caches of one decoder layer, made and owned by the caller (dtype: model->cache). Their strides are multiples of
 * lng_cache_width. */
struct lng_layer_cache {
    /* [capacity in time * slots, D]; rows as lng_attention_step_args says */
    struct lng_view self_k, self_v;
    /* [rows, D] of source tokens; where dtype is the activation's, halves of the rows of one matrix [rows, 2 D] */
    struct lng_view cross_k, cross_v;
};

struct lng_source_scratch {
    int64_t rows;            /* worked on at a time */
    struct lng_view y;       /* [rows, 2 D] activation; where the caches have another dtype */
    struct lng_view rest, q; /* [rows, D] activation and I8; for products in int8 */
    float *scales;           /* [rows], with them */
};
/* Projects encoder rows [n, D] to keys and values of every layer: caches[l].cross_k and cross_v rows
 * [first_row, first_row + n). Done once per sentence; shared by its whole beam. In int8 what rounding leaves of encoder
 * rows is projected too: rounded alone they change translations more than any other rows (DECISIONS 35). */
LNG_MUST_CHECK enum lng_status lng_decoder_project_source(struct lng_model *model,
                                                          struct lng_view encoded,
                                                          const struct lng_layer_cache *caches,
                                                          int64_t first_row,
                                                          const struct lng_source_scratch *scratch);

/* A few target tokens a row, in device memory: tokens[first[r]] .. tokens[first[r] + count[r] - 1]. */
struct lng_token_selection {
    const int32_t *tokens;        /* [token_count] */
    const int32_t *first, *count; /* [rows] */
    int64_t token_count;
};

/* All arrays are device memory [rows] unless said otherwise. */
struct lng_decoder_step_args {
    int64_t rows;              /* live hypotheses R */
    const int32_t *ids;        /* previous token; -1 = zero embedding */
    const int32_t *positions;  /* time t of the hypothesis, from 0, plus hparams.position_offset */
    const int32_t *self_count; /* t + 1 */
    const int32_t
        *ancestor; /* [rows, ancestor_stride]: slot of key s; [r][t] is where the new key goes */
    int64_t ancestor_stride, slots;
    const int32_t *cross_start, *cross_count; /* rows of the sentence in the cross caches */
    const struct lng_layer_cache *caches;     /* [decoder_layers], host array */
    /* NULL, or device [alignment_layers, rows, weights_stride]: attention to the source, the mean over
     * heads [first_head, first_head + head_count) of each of the layers from alignment_layer on. */
    float *cross_weights;
    int64_t weights_stride;
    int64_t alignment_layer, alignment_layers, first_head, head_count;
    int64_t old_rows;       /* rows from here on are at time 0; read with model->raw_decoder_keys */
    struct lng_view logits; /* [rows, V] activation, written; data NULL: see candidates */
    /* NULL, or what is wanted instead of logits (lng_device_fuses_logits): they go from here to lng_candidates, which gets
     * x, weight and bias from the model. Not for steps that a device repeats. */
    const struct lng_candidates_args *candidates;
    /* tokens NULL, or those whose logits are wanted: column j of row r is then its j-th, the rest is left alone */
    struct lng_token_selection selection;
};
/* Before steps with a selection, so that it is read in the model's type where the device can. Any thread; takes memory
 * once (lng_weight_keep_rows). */
LNG_MUST_CHECK enum lng_status lng_model_keep_output_rows(const struct lng_model *model);
/* Opened after raw_decoder_keys was set. */
struct lng_step_scratch;
LNG_MUST_CHECK enum lng_status lng_step_scratch_open(const struct lng_model *model,
                                                     int64_t max_rows,
                                                     struct lng_step_scratch **scratch);
void lng_step_scratch_close(struct lng_step_scratch *scratch);
LNG_MUST_CHECK enum lng_status lng_decoder_step(struct lng_model *model,
                                                struct lng_step_scratch *scratch,
                                                const struct lng_decoder_step_args *args);

#endif
