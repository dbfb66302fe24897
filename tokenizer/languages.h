/* Vocabularies of models for many languages, as transformers' directories of M2M-100 and NLLB have them: language tokens
 * are entries of their own, behind the pieces of one SentencePiece model. */
#ifndef LNG_TOKENIZER_LANGUAGES_H
#define LNG_TOKENIZER_LANGUAGES_H

#include <jansson.h>

#include "tokenizer/spm.h"
#include "tokenizer/tokenizer.h"

/* Name of their SentencePiece model; they have no source.spm. */
#define LNG_LANGUAGES_SPM "sentencepiece.bpe.model"

/* The whole vocabulary. M2M-100: vocab.json, then the language tokens. NLLB, which has no vocab.json: <s>, <pad>, </s>, <unk>,
 * the model's other pieces, the language codes, <mask>. The tokens are taken from added_tokens_decoder or the special
 * tokens of tokenizer_config.json (`config`, may be NULL), added_tokens.json or special_tokens_map.json, else from
 * m2m_languages.def. languages' strings point into `config`. LNG_ERR_FORMAT when there are none, or their ids leave gaps. */
LNG_MUST_CHECK enum lng_status lng_languages_read(const char *directory, const json_t *config,
                                                  const struct lng_spm *spm,
                                                  struct lng_vocab **vocab,
                                                  struct lng_languages *languages);

/* The same of what was read: `vocab` holds the pieces and gets the tokens; added and special are added_tokens.json and
 * special_tokens_map.json, NULL where they are not there. `name` is for messages. */
LNG_MUST_CHECK enum lng_status lng_languages_add(const char *name, const json_t *config,
                                                 const json_t *added, const json_t *special,
                                                 struct lng_vocab *vocab,
                                                 struct lng_languages *languages);

/* The key "languages" of lingster's own part of tokenizer_config.json, into and out of JSON. */
json_t *lng_languages_to_json(const struct lng_languages *languages);
LNG_MUST_CHECK enum lng_status lng_languages_from_json(const char *file, const json_t *object,
                                                       int32_t size,
                                                       struct lng_languages *languages);

#endif
