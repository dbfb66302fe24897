/* The shape of an encoder-decoder Transformer: everything that decides which tensors exist and what is
 * computed with them. Plain data; no pointers. */
#ifndef LNG_HOST_MODEL_HPARAMS_H
#define LNG_HOST_MODEL_HPARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/status.h"
#include "kernels/ops.h"

/* Sinusoid families: frequency f_k of pair k and layout of the D values of position p.
 *   A  10000^(-k / (D/2 - 1))  [sin..., cos...]   Marian, fairseq, M2M-100
 *   B  10000^(-2k / D)         [sin..., cos...]   Hugging Face Marian, CTranslate2's Marian import
 *   C  10000^(-2k / D)         sin, cos, sin, ... Vaswani et al. 2017, OpenNMT-py, JoeyNMT */
enum lng_positions {
    LNG_POSITIONS_A,
    LNG_POSITIONS_B,
    LNG_POSITIONS_C,
    LNG_POSITIONS_LEARNED,
};

enum lng_tie {
    LNG_TIE_ALL,    /* one matrix for source, target and output: source_vocab == target_vocab */
    LNG_TIE_TARGET, /* target embedding is the output matrix */
    LNG_TIE_NONE,
};

struct lng_hparams {
    int32_t source_vocab, target_vocab; /* V, including <pad> where there is one */
    int32_t dim;                        /* D */
    int32_t encoder_layers, decoder_layers;
    int32_t encoder_heads, decoder_heads; /* each divides dim */
    int32_t encoder_ffn, decoder_ffn;     /* F */
    enum lng_activation activation;
    bool pre_norm;      /* norm before each sub-layer and once at the end of each stack */
    enum lng_norm norm; /* LAYER or RMS */
    double norm_epsilon;
    enum lng_positions positions;
    int32_t max_positions;   /* rows of a learned table; sinusoids grow on demand */
    int32_t position_offset; /* added to every position (fairseq and M2M-100: 2) */
    bool scale_embedding;    /* multiply embeddings by sqrt(D) */
    enum lng_tie tie;
    bool output_bias;
    enum lng_attention_score attention_score;
    bool attention_scaled; /* scores times 1/sqrt(A) */
    int32_t eos, unk, pad; /* target ids; -1 = none. The pad row stays zero. */
    int32_t source_eos;    /* appended to every source; -1 = none */
    /* Decoder layer, from 0, whose cross-attention was trained on alignments; -1 = none. Changes nothing that is computed:
     * alignments are taken from it unless another is asked for. */
    int32_t alignment_layer;
    int32_t decoder_start; /* first decoder input; -1 = zero embedding (Marian) */
};

/* A transformer-base-like default with vocabulary sizes 0: set them before use. */
struct lng_hparams lng_hparams_default(void);

/* LNG_ERR_RANGE naming the field, the limit and the value found. */
LNG_MUST_CHECK enum lng_status lng_hparams_check(const struct lng_hparams *hparams);

#endif
