#include "host/cli/train_setup.h"

#include <math.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/log.h"
#include "host/base/mem.h"

/* ---- architecture ----------------------------------------------------------------------------- */

static enum lng_activation activation_of(enum lng_opt_activation activation)
{
    switch (activation) {
    case LNG_OPT_ACTIVATION_RELU:
        break;
    case LNG_OPT_ACTIVATION_GELU:
        return LNG_ACTIVATION_GELU;
    case LNG_OPT_ACTIVATION_GELU_TANH:
        return LNG_ACTIVATION_GELU_TANH;
    case LNG_OPT_ACTIVATION_SWISH:
        return LNG_ACTIVATION_SWISH;
    }
    return LNG_ACTIVATION_RELU;
}

static enum lng_positions positions_of(enum lng_opt_positions positions)
{
    switch (positions) {
    case LNG_OPT_POSITIONS_A:
        return LNG_POSITIONS_A;
    case LNG_OPT_POSITIONS_B:
        break;
    case LNG_OPT_POSITIONS_C:
        return LNG_POSITIONS_C;
    case LNG_OPT_POSITIONS_LEARNED:
        return LNG_POSITIONS_LEARNED;
    }
    return LNG_POSITIONS_B;
}

/* The decoder layer that learns to align; -1 = none does. */
static enum lng_status alignment_layer_of(const struct lng_options *o, int32_t *layer)
{
    int64_t number = o->dec_depth - 1;
    bool last = strcmp(o->guided_alignment_layer, "last") == 0;
    LNG_FAIL_IF(!last && lng_parse_int64(o->guided_alignment_layer, 0, o->dec_depth - 1, &number) !=
                             LNG_OK,
                LNG_ERR_USAGE,
                "guided-alignment-layer: expected last or a decoder layer from 0 to %d, found %s",
                o->dec_depth - 1, o->guided_alignment_layer);
    *layer = o->guided_alignment.count > 0 ? (int32_t)number : -1;
    return LNG_OK;
}

struct lng_hparams lng_setup_shape(const struct lng_options *o)
{
    struct lng_hparams h = lng_hparams_default();
    h.dim = o->dim;
    h.encoder_layers = o->enc_depth;
    h.decoder_layers = o->dec_depth;
    h.encoder_heads = h.decoder_heads = o->heads;
    h.encoder_ffn = o->ffn_dim;
    h.decoder_ffn = o->dec_ffn_dim;
    h.activation = activation_of(o->activation);
    h.pre_norm = o->norm_position == LNG_OPT_NORM_POSITION_PRE;
    h.norm = o->norm == LNG_OPT_NORM_RMS ? LNG_NORM_RMS : LNG_NORM_LAYER;
    h.norm_epsilon = o->norm_epsilon;
    h.positions = positions_of(o->positions);
    h.max_positions = o->max_positions;
    h.scale_embedding = o->embedding_scale;
    h.tie = o->tied == LNG_OPT_TIED_ALL      ? LNG_TIE_ALL
            : o->tied == LNG_OPT_TIED_TARGET ? LNG_TIE_TARGET
                                             : LNG_TIE_NONE;
    h.output_bias = o->output_bias;
    h.attention_score = o->attention_score == LNG_OPT_ATTENTION_SCORE_ADDITIVE
                            ? LNG_ATTENTION_ADDITIVE
                            : LNG_ATTENTION_DOT;
    h.attention_scaled = o->attention_score == LNG_OPT_ATTENTION_SCORE_SCALED_DOT;
    return h;
}

enum lng_status lng_setup_hparams(const struct lng_options *o,
                                  const struct lng_tokenizer *tokenizer,
                                  struct lng_hparams *hparams)
{
    struct lng_hparams h = lng_setup_shape(o);
    h.source_vocab = lng_tokenizer_size(tokenizer, LNG_SIDE_SOURCE);
    h.target_vocab = lng_tokenizer_size(tokenizer, LNG_SIDE_TARGET);
    LNG_TRY(alignment_layer_of(o, &h.alignment_layer));
    h.eos = lng_tokenizer_eos(tokenizer, LNG_SIDE_TARGET);
    h.unk = lng_tokenizer_unk(tokenizer, LNG_SIDE_TARGET);
    h.pad = lng_tokenizer_pad(tokenizer, LNG_SIDE_TARGET);
    h.source_eos = lng_tokenizer_eos(tokenizer, LNG_SIDE_SOURCE);
    if (lng_is_m2m_shape(o)) {
        /* M2M-100 starts with the end token's embedding and numbers positions from pad + 1. */
        h.decoder_start = h.eos;
        h.position_offset = h.pad + 1;
    }
    LNG_TRY(lng_hparams_check(&h));
    *hparams = h;
    return LNG_OK;
}

/* ---- corpora ---------------------------------------------------------------------------------- */

static enum lng_status describe(const struct lng_corpus *corpus)
{
    struct lng_buffer text = {0};
    enum lng_status status = lng_corpus_describe(corpus, &text);
    struct lng_slice rest = {text.data, text.length}, line;
    while (status == LNG_OK && rest.length > 0 && lng_text_split(&rest, '\n', &line))
        lng_info("%.*s", (int)line.length, line.data);
    lng_buffer_release(&text);
    return status;
}

enum lng_status lng_setup_corpus(const struct lng_options *options, const char *run_dir,
                                 struct lng_corpus **corpus)
{
    size_t pairs = options->train_source.count, count = pairs + options->train_tsv.count;
    LNG_FAIL_IF(count == 0, LNG_ERR_USAGE,
                "no training data: give --train-source and --train-target, or --train-tsv");
    struct lng_corpus_files *files = lng_alloc(count, sizeof *files);
    char *cache = run_dir ? lng_format("%s/cache", run_dir) : NULL;
    char *report = run_dir ? lng_format("%s/dropped.tsv", run_dir) : NULL;
    struct lng_corpus *opened = NULL;
    enum lng_status status;
    LNG_GOTO_FAIL_IF(!files || (run_dir && (!cache || !report)), LNG_ERR_MEMORY, "%s",
                     lng_error_message());
    for (size_t i = 0; i < count; i++)
        files[i] = i < pairs ? (struct lng_corpus_files){options->train_source.items[i],
                                                         options->train_target.items[i]}
                             : (struct lng_corpus_files){options->train_tsv.items[i - pairs], NULL};
    struct lng_corpus_options corpus_options = {
        .files = files,
        .file_count = count,
        .alignments = options->guided_alignment.count > 0
                          ? (const char *const *)options->guided_alignment.items
                          : NULL,
        .cache_directory = cache,
        .report_path = report,
        .max_length_ratio = options->max_length_ratio,
    };
    LNG_TRY_OR_FAIL(lng_corpus_open(&corpus_options, &opened));
    LNG_TRY_OR_FAIL(describe(opened));
    *corpus = opened;
    opened = NULL;
fail:
    lng_corpus_close(opened);
    lng_free(files);
    lng_free(cache);
    lng_free(report);
    return status;
}

/* ---- text to ids ------------------------------------------------------------------------------ */

static struct lng_tokenizer_sampling sampling_of(const struct lng_encoder_context *c,
                                                 uint64_t epoch, uint32_t sentence_id)
{
    return (struct lng_tokenizer_sampling){c->alpha, c->nbest, c->seed, epoch, sentence_id};
}

static enum lng_status encode(void *context, enum lng_side side, const char *text, size_t length,
                              uint64_t epoch, uint32_t sentence_id, struct lng_ids *ids)
{
    const struct lng_encoder_context *c = context;
    if (c->alpha <= 0)
        return lng_tokenizer_encode(c->tokenizer, side, text, length, ids);
    struct lng_tokenizer_sampling sampling = sampling_of(c, epoch, sentence_id);
    return lng_tokenizer_encode_sampled(c->tokenizer, side, text, length, &sampling, ids);
}

static enum lng_status locate(void *context, enum lng_side side, const char *text, size_t length,
                              uint64_t epoch, uint32_t sentence_id, struct lng_token_spans *spans)
{
    const struct lng_encoder_context *c = context;
    if (c->alpha <= 0)
        return lng_tokenizer_encode_spans(c->tokenizer, side, text, length, spans);
    struct lng_tokenizer_sampling sampling = sampling_of(c, epoch, sentence_id);
    return lng_tokenizer_sample_spans(c->tokenizer, side, text, length, &sampling, spans);
}

enum lng_status lng_setup_encoder(const struct lng_options *options,
                                  const struct lng_tokenizer *tokenizer, bool training,
                                  struct lng_encoder_context *context, struct lng_encoder *encoder)
{
    bool sampled = training && options->subword_sampling_alpha > 0;
    if (sampled) {
        LNG_TRY(lng_tokenizer_can_sample(tokenizer, LNG_SIDE_SOURCE));
        LNG_TRY(lng_tokenizer_can_sample(tokenizer, LNG_SIDE_TARGET));
    }
    *context = (struct lng_encoder_context){
        .tokenizer = tokenizer,
        .alpha = sampled ? options->subword_sampling_alpha : 0,
        .nbest = options->subword_sampling_nbest,
        .seed = (uint64_t)options->seed,
    };
    /* What decides the answers: vocabulary, and how it is sampled. */
    unsigned char key[24];
    lng_store_u64(key, lng_tokenizer_digest(tokenizer));
    memcpy(key + 8, &context->alpha, 8);
    lng_store_u64(key + 16, sampled ? (uint64_t)context->nbest : 0);
    *encoder = (struct lng_encoder){.encode = encode,
                                    .context = context,
                                    .locate = locate,
                                    .digest = lng_checksum(key, sizeof key)};
    return LNG_OK;
}
