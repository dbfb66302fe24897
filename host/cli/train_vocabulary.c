/* Vocabularies for training. */
#include "host/base/file.h"
#include "host/cli/train_setup.h"
#include "tokenizer/spm.h"

enum { MAX_SPM_BYTES = 256 << 20 };

bool lng_is_m2m_shape(const struct lng_options *options)
{
    return options->norm_position == LNG_OPT_NORM_POSITION_PRE &&
           options->norm == LNG_OPT_NORM_LAYER && options->tied == LNG_OPT_TIED_ALL &&
           options->positions == LNG_OPT_POSITIONS_A && !options->output_bias &&
           options->attention_score == LNG_OPT_ATTENTION_SCORE_SCALED_DOT;
}

static enum lng_status open_symbols(const char *source_path, const char *target_path,
                                    struct lng_tokenizer **tokenizer)
{
    struct lng_vocab *source = NULL, *target = NULL;
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_vocab_read_json(source_path, &source));
    if (target_path != NULL)
        LNG_TRY_OR_FAIL(lng_vocab_read_json(target_path, &target));
    LNG_TRY_OR_FAIL(lng_tokenizer_open_symbols(source, target, tokenizer));
    return LNG_OK;
fail:
    lng_vocab_close(source);
    lng_vocab_close(target);
    return status;
}

static enum lng_status add_entry(struct lng_vocab *to, const struct lng_vocab *from, int32_t id)
{
    struct lng_slice entry = lng_vocab_entry(from, id);
    return lng_vocab_add(to, entry.data, entry.length, NULL);
}

/* The same entries as </s>, <pad>, <unk>, and the others in their order. */
static enum lng_status reorder(const struct lng_tokenizer *tokenizer, struct lng_vocab **reordered)
{
    const struct lng_vocab *from = lng_tokenizer_vocab(tokenizer, LNG_SIDE_TARGET);
    int32_t first[] = {lng_tokenizer_eos(tokenizer, LNG_SIDE_TARGET),
                       lng_tokenizer_pad(tokenizer, LNG_SIDE_TARGET),
                       lng_tokenizer_unk(tokenizer, LNG_SIDE_TARGET)};
    struct lng_vocab *to;
    enum lng_status status;
    LNG_TRY(lng_vocab_open(&to));
    for (int i = 0; i < 3; i++)
        LNG_TRY_OR_FAIL(add_entry(to, from, first[i]));
    for (int32_t id = 0; id < lng_vocab_size(from); id++)
        if (id != first[0] && id != first[1] && id != first[2])
            LNG_TRY_OR_FAIL(add_entry(to, from, id));
    *reordered = to;
    return LNG_OK;
fail:
    lng_vocab_close(to);
    return status;
}

/* Replaces a tokenizer of one shared vocabulary by the same with <pad> as entry 1. */
static enum lng_status move_pad(const struct lng_options *options, struct lng_tokenizer **tokenizer)
{
    struct lng_vocab *vocab = NULL;
    struct lng_buffer spm = {0};
    struct lng_tokenizer *moved;
    enum lng_status status;
    LNG_TRY_OR_FAIL(reorder(*tokenizer, &vocab));
    struct lng_tokenizer_parts parts = {.source_vocab = vocab};
    if (lng_tokenizer_get_kind(*tokenizer) == LNG_TOKENIZER_SPM) {
        LNG_TRY_OR_FAIL(lng_file_read(options->vocab, MAX_SPM_BYTES, &spm));
        parts.source_spm = spm.data;
        parts.source_spm_size = spm.length;
    }
    LNG_TRY_OR_FAIL(lng_tokenizer_open_parts(&parts, &moved));
    vocab = NULL; /* the tokenizer's now */
    lng_tokenizer_close(*tokenizer);
    *tokenizer = moved;
fail:
    lng_vocab_close(vocab);
    lng_buffer_release(&spm);
    return status;
}

enum lng_status lng_setup_tokenizer(const struct lng_options *options,
                                    struct lng_tokenizer **tokenizer)
{
    const char *source = options->vocab ? options->vocab : options->source_vocab;
    LNG_FAIL_IF(
        source == NULL, LNG_ERR_USAGE,
        "--vocab FILE is required (or --source-vocab and --target-vocab); 'lingster vocab' makes "
        "one");
    struct lng_tokenizer *opened;
    if (options->tokenizer == LNG_OPT_TOKENIZER_SYMBOLS)
        LNG_TRY(open_symbols(source, options->target_vocab, &opened));
    else
        LNG_TRY(lng_tokenizer_open_spm(source, options->target_vocab, &opened));
    if (lng_is_m2m_shape(options) && lng_tokenizer_is_shared(opened)) {
        enum lng_status status = move_pad(options, &opened);
        if (status != LNG_OK) {
            lng_tokenizer_close(opened);
            return status;
        }
    }
    *tokenizer = opened;
    return LNG_OK;
}
