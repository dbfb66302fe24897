/* The inside of struct lng_tokenizer, shared by the files that open, use and save it. */
#ifndef LNG_TOKENIZER_TOKENIZER_PARTS_H
#define LNG_TOKENIZER_TOKENIZER_PARTS_H

#include "tokenizer/spm.h"
#include "tokenizer/tokenizer.h"

struct lng_tokenizer_side {
    struct lng_spm *spm; /* NULL for symbols; the two sides may share one */
    struct lng_vocab *vocab;
    int32_t *id_of_piece; /* SentencePiece id -> vocabulary id, -1 = not there */
    int32_t eos, unk, pad;
};

struct lng_tokenizer {
    struct lng_tokenizer_side sides[2];
    bool shared_spm, shared_vocab;
    int32_t *never;
    size_t never_count;
    int32_t *languages;
    size_t language_count;
    uint64_t digest;
    enum lng_clean clean; /* of source text, before its SentencePiece model sees it */
    char *eos, *unk, *pad;
    struct lng_languages codes;
    char *code_texts[2]; /* what codes points to */
};

/* Where the pieces of one text go. */
struct lng_encoding {
    const struct lng_tokenizer_side *side;
    size_t shift;                /* of the part that SentencePiece sees, in the whole text */
    struct lng_clean_text clean; /* what it sees instead; origins NULL = that part as it is */
    struct lng_ids *ids;         /* one of the two */
    struct lng_token_spans *spans;
};

/* A piece of SentencePiece; `context` is a struct lng_encoding. */
enum lng_status lng_encoding_push_piece(void *context, const struct lng_spm_token *piece);
/* Cleans the part of the text that SentencePiece sees, when this model's is cleaned; the answer is that part. Release
 * to->clean in any case. */
LNG_MUST_CHECK enum lng_status lng_encoding_clean(const struct lng_tokenizer *tokenizer,
                                                  enum lng_side side, struct lng_encoding *to,
                                                  const char *text, size_t length,
                                                  struct lng_slice *part);
/* Takes the language entries off the start of the text; *used bytes are done. */
LNG_MUST_CHECK enum lng_status lng_encoding_push_languages(const struct lng_tokenizer *tokenizer,
                                                           struct lng_encoding *to,
                                                           const char *text, size_t length,
                                                           size_t *used);

#endif
