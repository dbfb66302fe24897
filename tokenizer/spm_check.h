/* A SentencePiece model file, checked before libsentencepiece sees it: that library trusts its input
 * (long pieces and bad normalisation tables crash it, cut files and NaN scores are taken silently). */
#ifndef LNG_TOKENIZER_SPM_CHECK_H
#define LNG_TOKENIZER_SPM_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"

enum lng_spm_model_type {
    LNG_SPM_UNIGRAM = 1,
    LNG_SPM_BPE = 2,
    LNG_SPM_WORD = 3,
    LNG_SPM_CHAR = 4,
};

enum {
    LNG_SPM_MAX_BYTES = 64 << 20, /* a larger model file is refused unread */
    LNG_SPM_MIN_PIECES = 3,       /* </s>, <unk> and something to say */
    LNG_SPM_MAX_PIECES = 2000000,
    LNG_SPM_MAX_PIECE_BYTES = 1024,
};

struct lng_spm_info {
    enum lng_spm_model_type model_type;
    int32_t pieces;
    int32_t unknown_id;  /* the one piece of type UNKNOWN */
    int32_t num_threads; /* that trained it; unigram scores depend on it; 0 when not recorded */
    bool byte_fallback;  /* all 256 <0xNN> pieces are there */
    uint64_t checksum;   /* lng_checksum of the bytes */
};

/* Checks everything that libsentencepiece takes on trust: sizes, both sections present, piece count, length,
 * UTF-8 and type, finite scores, exactly one unknown piece, whole byte alphabet, and each node of the
 * normalisation tables. *info (may be NULL) is set on success. LNG_ERR_FORMAT names piece and field. */
LNG_MUST_CHECK enum lng_status lng_spm_check(const void *bytes, size_t size,
                                             struct lng_spm_info *info);

/* A precompiled normalisation table alone: u32 size, a double-array trie (Yata et al.) of that many bytes,
 * then NUL-terminated replacements. Empty is fine. */
LNG_MUST_CHECK enum lng_status lng_spm_check_charsmap(const unsigned char *table, size_t size);

#endif
