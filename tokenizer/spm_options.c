#include "tokenizer/spm_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <unicode/uchar.h>

#include "host/base/text.h"

static const char *const type_names[] = {"", "unigram", "bpe", "word", "char"};
enum { TYPES = sizeof type_names / sizeof type_names[0] };

struct lng_spm_train_options lng_spm_train_defaults(void)
{
    return (struct lng_spm_train_options){
        .model_type = LNG_SPM_UNIGRAM,
        .vocab_size = 8000,
        .character_coverage = 0.9995,
        .split_by_unicode_script = true,
        .split_by_whitespace = true,
        .split_by_number = true,
        .hard_vocab_limit = true,
        .shuffle_input = true,
        .seed = 1,
        .max_line_bytes = 4192,
        .max_piece_characters = 16,
        .num_threads = 8,
        .self_test_samples = 100,
        .bos_id = -1,
        .eos_id = 0,
        .unk_id = 1,
        .pad_id = -1,
        .normalization = "nmt_nfkc",
    };
}

enum lng_status lng_spm_model_type_parse(const char *name, enum lng_spm_model_type *type)
{
    for (int i = 1; i < TYPES; i++) {
        if (strcmp(name, type_names[i]) == 0) {
            *type = (enum lng_spm_model_type)i;
            return LNG_OK;
        }
    }
    return lng_fail(LNG_ERR_USAGE,
                    "SentencePiece model type '%s', expected unigram, bpe, word or char", name);
}

const char *lng_spm_model_type_name(enum lng_spm_model_type type)
{
    int index = (int)type;
    return index >= 1 && index < TYPES ? type_names[index] : "unknown";
}

static enum lng_status check_ids(const struct lng_spm_train_options *options)
{
    static const char *const names[] = {"unk", "eos", "bos", "pad"};
    const int ids[] = {options->unk_id, options->eos_id, options->bos_id, options->pad_id};
    for (int i = 0; i < 4; i++) {
        LNG_FAIL_IF(ids[i] < (i == 0 ? 0 : -1) || ids[i] >= options->vocab_size, LNG_ERR_RANGE,
                    "%s id %d, expected %d to %d", names[i], ids[i], i == 0 ? 0 : -1,
                    options->vocab_size - 1);
        for (int j = 0; j < i; j++)
            LNG_FAIL_IF(ids[i] >= 0 && ids[i] == ids[j], LNG_ERR_RANGE,
                        "%s and %s have the same id %d", names[j], names[i], ids[i]);
    }
    return LNG_OK;
}

/* Pieces that are there whatever the corpus says. */
static enum lng_status check_room(const struct lng_spm_train_options *options)
{
    size_t fixed = options->user_defined_symbol_count + options->control_symbol_count +
                   (options->byte_fallback ? 256 : 0) + (options->unk_id >= 0) +
                   (options->eos_id >= 0) + (options->bos_id >= 0) + (options->pad_id >= 0);
    LNG_FAIL_IF(fixed >= (size_t)options->vocab_size, LNG_ERR_RANGE,
                "a vocabulary of %d pieces has no room beside %zu special ones%s: use a larger one",
                options->vocab_size, fixed,
                options->byte_fallback ? " (256 of them for byte fallback)" : "");
    return LNG_OK;
}

static enum lng_status check_options(const struct lng_spm_train_options *options)
{
    const struct {
        const char *name;
        int value, low, high;
    } ranges[] = {
        {"model type", (int)options->model_type, LNG_SPM_UNIGRAM, LNG_SPM_CHAR},
        {"vocabulary size", options->vocab_size, LNG_SPM_MIN_PIECES, LNG_SPM_MAX_PIECES},
        {"number of training threads", options->num_threads, 1, 1024},
        {"longest training line in bytes", options->max_line_bytes, 1, 1 << 20},
        {"longest piece in characters", options->max_piece_characters, 1, 128},
        {"number of self-test samples", options->self_test_samples, 0, 1000},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        LNG_FAIL_IF(ranges[i].value < ranges[i].low || ranges[i].value > ranges[i].high,
                    LNG_ERR_RANGE, "%s is %d, expected %d to %d", ranges[i].name, ranges[i].value,
                    ranges[i].low, ranges[i].high);
    LNG_FAIL_IF(!(options->character_coverage >= 0.98 && options->character_coverage <= 1.0),
                LNG_ERR_RANGE, "character coverage %g, expected 0.98 to 1",
                options->character_coverage);
    LNG_FAIL_IF(options->input_sentence_size > 0 && options->input_sentence_size <= 100,
                LNG_ERR_RANGE, "a training sample of %llu lines, expected 0 (all) or more than 100",
                (unsigned long long)options->input_sentence_size);
    LNG_TRY(check_ids(options));
    return check_room(options);
}

/* The library splits lists at commas, with CSV quoting. */
static enum lng_status join_symbols(const char *const *symbols, size_t count,
                                    struct lng_buffer *joined)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(symbols[i]);
        LNG_FAIL_IF(
            length == 0 || length > LNG_SPM_MAX_PIECE_BYTES ||
                !lng_utf8_valid(symbols[i], length) || strpbrk(symbols[i], "\t\r\n") != NULL,
            LNG_ERR_FORMAT,
            "symbol %zu of the SentencePiece options: expected 1 to %d bytes of UTF-8 without "
            "tabs and newlines",
            i + 1, LNG_SPM_MAX_PIECE_BYTES);
        LNG_TRY(lng_buffer_append_text(joined, i > 0 ? ",\"" : "\""));
        for (size_t j = 0; j < length; j++) {
            if (symbols[i][j] == '"')
                LNG_TRY(lng_buffer_append_byte(joined, '"'));
            LNG_TRY(lng_buffer_append_byte(joined, symbols[i][j]));
        }
        LNG_TRY(lng_buffer_append_byte(joined, '"'));
    }
    return LNG_OK;
}

typedef enum lng_status (*set_argument)(void *context, const char *key, const char *value);

static enum lng_status set_symbols(const struct lng_spm_train_options *options, set_argument set,
                                   void *context)
{
    struct lng_buffer joined = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(
        join_symbols(options->user_defined_symbols, options->user_defined_symbol_count, &joined));
    if (joined.length > 0)
        LNG_TRY_OR_FAIL(set(context, "user_defined_symbols", joined.data));
    lng_buffer_clear(&joined);
    LNG_TRY_OR_FAIL(join_symbols(options->control_symbols, options->control_symbol_count, &joined));
    if (joined.length > 0)
        LNG_TRY_OR_FAIL(set(context, "control_symbols", joined.data));
fail:
    lng_buffer_release(&joined);
    return status;
}

static enum lng_status set_numbers(const struct lng_spm_train_options *options, set_argument set,
                                   void *context)
{
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        {"vocab_size", options->vocab_size},
        {"max_sentence_length", options->max_line_bytes},
        {"max_sentencepiece_length", options->max_piece_characters},
        {"num_threads", options->num_threads},
        {"self_test_sample_size", options->self_test_samples},
        {"bos_id", options->bos_id},
        {"eos_id", options->eos_id},
        {"unk_id", options->unk_id},
        {"pad_id", options->pad_id},
        {"input_sentence_size", (int64_t)(options->input_sentence_size & INT64_MAX)},
        {"minloglevel", 3}, /* errors come back as a status */
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char value[32];
        snprintf(value, sizeof value, "%lld", (long long)numbers[i].value);
        LNG_TRY(set(context, numbers[i].key, value));
    }
    return LNG_OK;
}

static enum lng_status set_switches(const struct lng_spm_train_options *options, set_argument set,
                                    void *context)
{
    const struct {
        const char *key;
        bool value;
    } switches[] = {
        {"byte_fallback", options->byte_fallback},
        {"split_digits", options->split_digits},
        {"split_by_unicode_script", options->split_by_unicode_script},
        {"split_by_whitespace", options->split_by_whitespace},
        {"split_by_number", options->split_by_number},
        {"hard_vocab_limit", options->hard_vocab_limit},
        {"shuffle_input_sentence", options->shuffle_input},
        {"train_extremely_large_corpus", options->large_corpus},
    };
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        LNG_TRY(set(context, switches[i].key, switches[i].value ? "true" : "false"));
    return LNG_OK;
}

enum lng_status lng_spm_train_arguments(const struct lng_spm_train_options *options,
                                        set_argument set, void *context)
{
    LNG_TRY(check_options(options));
    LNG_TRY(set(context, "model_type", lng_spm_model_type_name(options->model_type)));
    LNG_TRY(set(context, "normalization_rule_name", options->normalization));
    /* Not "%g", which follows the locale's decimal point. */
    char coverage[32];
    long parts = lround(options->character_coverage * 1e7);
    snprintf(coverage, sizeof coverage, "%ld.%07ld", parts / 10000000, parts % 10000000);
    LNG_TRY(set(context, "character_coverage", coverage));
    LNG_TRY(set_numbers(options, set, context));
    LNG_TRY(set_switches(options, set, context));
    return set_symbols(options, set, context);
}

bool lng_spm_line_has_text(const char *text, size_t length)
{
    const uint32_t kept = U_GC_L_MASK | U_GC_N_MASK | U_GC_P_MASK | U_GC_S_MASK;
    while (length > 0) {
        uint32_t code_point;
        size_t size = lng_utf8_decode(text, length, &code_point);
        /* U+2581 stands for a space, U+FFFD becomes one. */
        if (code_point != 0x2581 && code_point != 0xFFFD && code_point <= UCHAR_MAX_VALUE &&
            (U_GET_GC_MASK((UChar32)code_point) & kept) != 0 &&
            !u_hasBinaryProperty((UChar32)code_point, UCHAR_DEFAULT_IGNORABLE_CODE_POINT))
            return true;
        text += size;
        length -= size;
    }
    return false;
}
