/* Inside host/model: the memory of one batch. Laid out anew for every batch by the code that also
 * measures it, so views always have the exact number of rows. */
#ifndef LNG_HOST_MODEL_WORKSPACE_H
#define LNG_HOST_MODEL_WORKSPACE_H

#include "host/base/arena.h"
#include "host/model/model.h"

/* One packed side of a batch in device memory. */
struct lng_packed_side {
    int32_t *ids;           /* [rows] input ids (the decoder's are shifted) */
    int32_t *positions;     /* [rows] row of the position table */
    uint32_t *row_sentence; /* [rows] sentence id */
    uint32_t *row_position; /* [rows] place in the sentence, from 0 */
    int32_t *offsets;       /* [sentences + 1] */
    uint32_t *sentence_ids; /* [sentences] */
    int64_t rows, sentences;
};

/* What a norm step leaves behind. */
struct lng_norm_state {
    struct lng_view sum, y; /* [N, D]; post-norm keeps sum for the backward pass only */
    void *mean, *rstd;      /* [N] real; NULL without backward */
};

struct lng_attention_state {
    struct lng_view q;  /* self: [N, 3D] fused q, k, v; cross: [N, D] */
    struct lng_view kv; /* cross only: [Ns, 2D] */
    struct lng_view o;  /* [N, D] */
    void *lse;          /* [H, N] real; NULL without backward */
};

struct lng_layer_state {
    struct lng_attention_state self, cross;
    struct lng_norm_state self_norm, cross_norm, ffn_norm;
    struct lng_view ffn_pre;    /* [N, F] before the activation; absent for ReLU, whose
                                 * gradient needs only ffn_hidden */
    struct lng_view ffn_hidden; /* [N, F] */
};

struct lng_stack_state {
    struct lng_view embedded;         /* [N, D] */
    struct lng_norm_state input_norm; /* pre-norm: norm of the embedded input */
    struct lng_layer_state *layers;   /* owned, host */
    int64_t count;
};

enum { LNG_WORKSPACE_GUIDE_SUMS = 3, LNG_WORKSPACE_SUMS = 5 }; /* of the loss, then of the guide */

struct lng_workspace {
    const struct lng_model *model;
    struct lng_batch_limits limits;
    struct lng_arena arena;
    void *memory;
    void *staging; /* host copy of the integer arrays of a side */
    size_t staging_bytes;
    struct lng_packed_side source, target;
    int32_t *targets; /* [target rows] expected ids */
    struct lng_stack_state encoder, decoder;
    struct lng_view sublayer; /* [max N, D] output of a sub-layer before its norm step */
    struct lng_view d_stream, d_x, d_in, d_o; /* [max N, D] */
    struct lng_view d_encoded;                /* [Ns, D] */
    struct lng_view d_wide;                   /* [max N, max(3D, F)] */
    struct lng_view d_kv;                     /* [Ns, 2D] */
    struct lng_view logits;                   /* [chunk, V] */
    int32_t *link_offsets;                    /* [target rows + 1]; NULL without guided alignment */
    int32_t *link_keys;                       /* [link_count] */
    int64_t link_count;
    double *sums;         /* [LNG_WORKSPACE_SUMS] */
    float *token_logprob; /* [target rows] */
};

/* Lays the workspace out for one batch. LNG_ERR_MEMORY when it is larger than the limits allow for. */
LNG_MUST_CHECK enum lng_status lng_workspace_layout(struct lng_workspace *workspace,
                                                    int64_t source_rows, int64_t target_rows,
                                                    int64_t sentences, int64_t links);

/* Checks the links of a batch, which was uploaded before, and copies them to the device, as often as the batch was. */
LNG_MUST_CHECK enum lng_status lng_workspace_upload_guide(struct lng_workspace *workspace,
                                                          const struct lng_guide *guide,
                                                          const struct lng_sequences *source,
                                                          const struct lng_sequences *target,
                                                          int copies);

/* Checks ids and offsets and copies them to the device, as often as the side was laid out to hold them: the
 * second copy lies behind the first, and its sentences' ids have the highest bit the other way, so that
 * its dropout is another. shift: decoder input (start id, then all but the last), the ids themselves
 * going to workspace->targets. */
LNG_MUST_CHECK enum lng_status lng_workspace_upload(struct lng_workspace *workspace,
                                                    const struct lng_sequences *sequences,
                                                    int copies, struct lng_packed_side *side,
                                                    bool shift);

#endif
