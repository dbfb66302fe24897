#include "host/model/hparams.h"

struct lng_hparams lng_hparams_default(void)
{
    return (struct lng_hparams){
        .dim = 512,
        .encoder_layers = 6,
        .decoder_layers = 6,
        .encoder_heads = 8,
        .decoder_heads = 8,
        .encoder_ffn = 2048,
        .decoder_ffn = 2048,
        .activation = LNG_ACTIVATION_RELU,
        .norm = LNG_NORM_LAYER,
        .norm_epsilon = 1e-5,
        .positions = LNG_POSITIONS_B,
        .max_positions = 512,
        .scale_embedding = true,
        .tie = LNG_TIE_ALL,
        .output_bias = true,
        .attention_score = LNG_ATTENTION_DOT,
        .attention_scaled = true,
        .eos = 0,
        .unk = 1,
        .pad = -1,
        .source_eos = 0,
        .decoder_start = -1,
        .alignment_layer = -1,
    };
}

/* One row per bounded integer. */
struct bound {
    const char *name;
    int64_t value, low, high;
};

static enum lng_status check_bounds(const struct bound *bounds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        LNG_FAIL_IF(bounds[i].value < bounds[i].low || bounds[i].value > bounds[i].high,
                    LNG_ERR_RANGE, "%s must be between %lld and %lld, found %lld", bounds[i].name,
                    (long long)bounds[i].low, (long long)bounds[i].high,
                    (long long)bounds[i].value);
    return LNG_OK;
}

enum lng_status lng_hparams_check(const struct lng_hparams *h)
{
    const struct bound bounds[] = {
        {"source vocabulary size", h->source_vocab, 2, 1 << 24},
        {"target vocabulary size", h->target_vocab, 2, 1 << 24},
        {"model width (dim)", h->dim, 2, 1 << 16},
        {"encoder layers", h->encoder_layers, 1, 1000},
        {"decoder layers", h->decoder_layers, 1, 1000},
        {"encoder attention heads", h->encoder_heads, 1, h->dim},
        {"decoder attention heads", h->decoder_heads, 1, h->dim},
        {"encoder feed-forward width", h->encoder_ffn, 1, 1 << 20},
        {"decoder feed-forward width", h->decoder_ffn, 1, 1 << 20},
        {"max positions", h->max_positions, 1, 1 << 24},
        {"position offset", h->position_offset, 0, 1024},
        {"eos id", h->eos, 0, (int64_t)h->target_vocab - 1},
        {"unk id", h->unk, -1, (int64_t)h->target_vocab - 1},
        {"pad id", h->pad, -1, (int64_t)h->target_vocab - 1},
        {"source eos id", h->source_eos, -1, (int64_t)h->source_vocab - 1},
        {"alignment layer", h->alignment_layer, -1, (int64_t)h->decoder_layers - 1},
        {"decoder start id", h->decoder_start, -1, (int64_t)h->target_vocab - 1},
    };
    LNG_TRY(check_bounds(bounds, sizeof bounds / sizeof bounds[0]));
    LNG_FAIL_IF(h->dim % 2 != 0, LNG_ERR_RANGE,
                "model width (dim) must be even for the position table, found %d", h->dim);
    LNG_FAIL_IF(h->dim % h->encoder_heads != 0 || h->dim % h->decoder_heads != 0, LNG_ERR_RANGE,
                "attention heads must divide the model width: width %d, encoder heads %d, decoder "
                "heads %d",
                h->dim, h->encoder_heads, h->decoder_heads);
    int widest =
        h->dim / (h->encoder_heads < h->decoder_heads ? h->encoder_heads : h->decoder_heads);
    LNG_FAIL_IF(widest > 256, LNG_ERR_UNSUPPORTED,
                "attention heads may be at most 256 wide, found %d: use more heads", widest);
    LNG_FAIL_IF(h->norm != LNG_NORM_LAYER && h->norm != LNG_NORM_RMS, LNG_ERR_RANGE,
                "norm must be layer or rms");
    LNG_FAIL_IF(!(h->norm_epsilon > 0 && h->norm_epsilon < 1), LNG_ERR_RANGE,
                "norm epsilon must be between 0 and 1, found %g", h->norm_epsilon);
    LNG_FAIL_IF(h->activation < LNG_ACTIVATION_RELU || h->activation > LNG_ACTIVATION_SWISH,
                LNG_ERR_RANGE, "unknown feed-forward activation %d", (int)h->activation);
    LNG_FAIL_IF(h->tie == LNG_TIE_ALL && h->source_vocab != h->target_vocab, LNG_ERR_MISMATCH,
                "tying all embeddings needs one vocabulary: source has %d entries, target %d; tie "
                "only the target, or use a joint vocabulary",
                h->source_vocab, h->target_vocab);
    return LNG_OK;
}
