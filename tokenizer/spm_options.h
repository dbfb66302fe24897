/* What a SentencePiece model is trained with. */
#ifndef LNG_TOKENIZER_SPM_OPTIONS_H
#define LNG_TOKENIZER_SPM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "tokenizer/spm_check.h"

/* Options of training; take lng_spm_train_defaults() and change what you mean to change. */
struct lng_spm_train_options {
    enum lng_spm_model_type model_type;
    int vocab_size;            /* pieces, the special ones included */
    double character_coverage; /* 0.98 to 1: the share of characters that get a piece */
    bool byte_fallback;        /* unknown characters become <0xNN> pieces */
    bool split_digits;         /* each digit a piece of its own */
    bool split_by_unicode_script, split_by_whitespace, split_by_number;
    bool hard_vocab_limit; /* false: vocab_size is an upper bound (unigram) */
    bool shuffle_input;
    bool large_corpus;            /* 64-bit counts */
    uint64_t input_sentence_size; /* train on a sample of this many lines (> 100); 0 = all */
    uint32_t seed;                /* of that sample */
    int max_line_bytes;           /* longer lines are left out and counted */
    int max_piece_characters;
    int num_threads; /* part of the result: unigram scores, so token ids, depend on it; stored in the model */
    int self_test_samples;              /* stored in the model, and checked whenever it is loaded */
    int bos_id, eos_id, unk_id, pad_id; /* -1 = none (unk must be there) */
    const char *normalization;          /* nmt_nfkc, nfkc, nmt_nfkc_cf, nfkc_cf, identity */
    const char *const *user_defined_symbols; /* always one piece wherever they stand */
    size_t user_defined_symbol_count;
    const char *const *control_symbols; /* have an id, never match text */
    size_t control_symbol_count;
};

/* Unigram, 8000 pieces, coverage 0.9995, nmt_nfkc, Marian's ids: no <s>, </s> 0, <unk> 1, no <pad>. */
struct lng_spm_train_options lng_spm_train_defaults(void);

/* unigram, bpe, word, char. LNG_ERR_USAGE for anything else. */
LNG_MUST_CHECK enum lng_status lng_spm_model_type_parse(const char *name,
                                                        enum lng_spm_model_type *type);
/* The reverse; static. "unknown" for a value that is none. */
const char *lng_spm_model_type_name(enum lng_spm_model_type type);

/* Checks every option (LNG_ERR_RANGE, LNG_ERR_FORMAT name it) and hands each to `set` as the library's key and
 * value. */
LNG_MUST_CHECK enum lng_status
lng_spm_train_arguments(const struct lng_spm_train_options *options,
                        enum lng_status (*set)(void *context, const char *key, const char *value),
                        void *context);

/* False for a line of nothing but white space, controls and marks that normalisation may delete: a corpus of only
 * such lines ends the process inside the library. `text` is valid UTF-8. */
bool lng_spm_line_has_text(const char *text, size_t length);

#endif
