/* Text to token ids and back: the one interface to SentencePiece and vocabularies.
 *
 * A tokenizer has two sides, source and target, with a vocabulary each (often the same one). Two kinds:
 *  - SentencePiece: text is cut by the side's model, and each piece is looked up by its text in the side's
 *    vocabulary. Ids of the SentencePiece model itself mean nothing outside.
 *  - symbols: text is cut at ASCII white space, each word is an entry, and ids are joined by single spaces.
 * Nothing fails for its content: bad UTF-8 is read as U+FFFD, what is not in the vocabulary is the unknown id. Special
 * entries written in a text (</s>, <unk>, <pad>) are ordinary text there. No end-of-sentence id is added.
 *
 * White space: SentencePiece models fold runs of it into one space and drop it at both ends (their usual
 * rule), so what must be kept outside or inside a line is kept by the caller.
 *
 * After opening, everything here may be called from any number of threads. */
#ifndef LNG_TOKENIZER_TOKENIZER_H
#define LNG_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/base/text.h"
#include "tokenizer/clean.h"
#include "tokenizer/ids.h"
#include "tokenizer/vocab.h"

struct lng_tokenizer;

/* Language tokens of a model for many languages (M2M-100, NLLB); begin == end: it has none such. */
struct lng_languages {
    int32_t begin, end; /* ids, of both sides */
    bool last; /* the source's stands behind the end of sentence (old NLLB), else at the start */
    const char *source, *target; /* the languages where none is asked for, or NULL */
};

enum lng_tokenizer_kind {
    LNG_TOKENIZER_SPM,
    LNG_TOKENIZER_SYMBOLS,
};

/* Opens the tokenizer files of a Hugging Face directory: MarianMT's source.spm, target.spm, vocab.json, and
 * where they are there target_vocab.json (separate vocabularies) and tokenizer_config.json (names of the
 * special tokens), or M2M-100's and NLLB's (tokenizer/languages.h). A directory that lng_tokenizer_save wrote for symbols opens too. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_open_directory(const char *directory,
                                                            struct lng_tokenizer **tokenizer);

/* From SentencePiece models alone; target_path NULL = the same model and vocabulary on both sides. A
 * vocabulary is </s> 0, <unk> 1, the model's other pieces in its order, <pad> last: for a model trained by
 * lng_spm_train these are the model's ids and one more. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_open_spm(const char *source_path,
                                                      const char *target_path,
                                                      struct lng_tokenizer **tokenizer);

/* What a tokenizer is made of. Models are copied; the vocabularies are the tokenizer's once opening succeeded and
 * stay the caller's otherwise. */
struct lng_tokenizer_parts {
    const void *source_spm, *target_spm; /* both NULL = symbols; target NULL = source's */
    size_t source_spm_size, target_spm_size;
    struct lng_vocab *source_vocab, *target_vocab; /* target NULL = shared */
    const char *eos, *unk, *pad;                   /* NULL = </s>, <unk>, <pad> */
    struct lng_languages languages;                /* its strings are copied */
    enum lng_clean clean; /* of source text; with SentencePiece models only */
};
/* LNG_ERR_FORMAT when a special entry is missing from a vocabulary. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_open_parts(const struct lng_tokenizer_parts *parts,
                                                        struct lng_tokenizer **tokenizer);

/* Symbols with the given vocabularies (target NULL = shared); ownership as in lng_tokenizer_parts. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_open_symbols(struct lng_vocab *source,
                                                          struct lng_vocab *target,
                                                          struct lng_tokenizer **tokenizer);
/* NULL is fine. */
void lng_tokenizer_close(struct lng_tokenizer *tokenizer);

/* ---- what it holds ---- */

enum lng_tokenizer_kind lng_tokenizer_get_kind(const struct lng_tokenizer *tokenizer);
/* One vocabulary for both sides. */
bool lng_tokenizer_is_shared(const struct lng_tokenizer *tokenizer);
enum lng_clean lng_tokenizer_get_clean(const struct lng_tokenizer *tokenizer);
/* Ids of a side, the special ones included. */
int32_t lng_tokenizer_size(const struct lng_tokenizer *tokenizer, enum lng_side side);
int32_t lng_tokenizer_eos(const struct lng_tokenizer *tokenizer, enum lng_side side);
int32_t lng_tokenizer_unk(const struct lng_tokenizer *tokenizer, enum lng_side side);
int32_t lng_tokenizer_pad(const struct lng_tokenizer *tokenizer, enum lng_side side);
/* Borrowed. */
const struct lng_vocab *lng_tokenizer_vocab(const struct lng_tokenizer *tokenizer,
                                            enum lng_side side);
/* Target ids that no search may ever produce: padding, language tokens, control pieces but the end of sentence, and the byte
 * pieces <0x00> to <0x1F>. Rising; borrowed. The unknown id is not among them. */
const int32_t *lng_tokenizer_never(const struct lng_tokenizer *tokenizer, size_t *count);
/* Source entries of the form >>xx<<, by rising id; NULL past the end. Borrowed. */
const char *lng_tokenizer_language(const struct lng_tokenizer *tokenizer, size_t index);
const struct lng_languages *lng_tokenizer_languages(const struct lng_tokenizer *tokenizer);
/* The token of a language: "fr" or "__fr__", "fra_Latn". LNG_ERR_USAGE lists those that there are. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_find_language(const struct lng_tokenizer *tokenizer,
                                                           const char *code, int32_t *id);
/* Of both vocabularies and models: two tokenizers with the same digest give the same ids. For checkpoints. */
uint64_t lng_tokenizer_digest(const struct lng_tokenizer *tokenizer);

/* ---- text to ids; all append, and append nothing on failure ---- */

/* On the source side, entries of the form >>xx<< at the very start are taken whole, before SentencePiece; in a
 * model that has such entries, one that it does not know becomes the unknown id. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_encode(const struct lng_tokenizer *tokenizer,
                                                    enum lng_side side, const char *text,
                                                    size_t length, struct lng_ids *ids);

struct lng_token_span {
    int32_t id;
    size_t begin, end; /* bytes of the text given */
};
struct lng_token_spans {
    struct lng_token_span *data;
    size_t count, capacity;
};
LNG_MUST_CHECK enum lng_status lng_tokenizer_encode_spans(const struct lng_tokenizer *tokenizer,
                                                          enum lng_side side, const char *text,
                                                          size_t length,
                                                          struct lng_token_spans *spans);
void lng_token_spans_release(struct lng_token_spans *spans);

/* Subword regularisation (Kudo 2018) by n-best: one of the `nbest` best segmentations, with probability in
 * proportion to exp(alpha * log-probability), by a Philox number keyed (seed, epoch, line, side). So the result
 * is the same on any thread and after a resume. */
struct lng_tokenizer_sampling {
    double alpha;  /* 0 = uniform; about 0.2 to 0.5 */
    int nbest;     /* 1 to LNG_SPM_MAX_NBEST; 1 = the best one */
    uint64_t seed; /* of the run */
    uint64_t epoch, line;
};
enum {
    /* Longer texts get their best segmentation: listing n-best grows faster than linearly. */
    LNG_TOKENIZER_MAX_SAMPLED_BYTES = 2048,
};
LNG_MUST_CHECK enum lng_status
lng_tokenizer_encode_sampled(const struct lng_tokenizer *tokenizer, enum lng_side side,
                             const char *text, size_t length,
                             const struct lng_tokenizer_sampling *sampling, struct lng_ids *ids);
/* The same ids, with where they lie. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_sample_spans(
    const struct lng_tokenizer *tokenizer, enum lng_side side, const char *text, size_t length,
    const struct lng_tokenizer_sampling *sampling, struct lng_token_spans *spans);
/* LNG_OK when a side can be sampled: a unigram model. LNG_ERR_UNSUPPORTED says why not. Ask before training. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_can_sample(const struct lng_tokenizer *tokenizer,
                                                        enum lng_side side);

/* The number of ids as a cost, for lng_segment_split; the context is the tokenizer, the side is source. */
enum lng_status lng_tokenizer_measure_source(void *tokenizer, const char *text, size_t length,
                                             size_t *count);

/* ---- ids to text ---- */

/* Appends plain text of one line: newlines, carriage returns and NULs that a model may have made of byte pieces are
 * spaces. End-of-sentence and padding give nothing, unknown gives U+2047. An id out of range is
 * LNG_ERR_RANGE. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_decode(const struct lng_tokenizer *tokenizer,
                                                    enum lng_side side, const int32_t *ids,
                                                    size_t count, struct lng_buffer *text);

/* ---- saving ---- */

/* Writes source.spm, target.spm, vocab.json, target_vocab.json when separate, tokenizer_config.json and
 * special_tokens_map.json into an existing directory, as MarianTokenizer of transformers loads them. For symbols only the
 * .json files, with a mark in tokenizer_config.json that lng_tokenizer_open_directory knows. Each file is
 * written whole or not at all. */
LNG_MUST_CHECK enum lng_status lng_tokenizer_save(const struct lng_tokenizer *tokenizer,
                                                  const char *directory);

#endif
