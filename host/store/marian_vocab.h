/* Vocabularies of Marian: {text: id} in YAML (one entry a line) or JSON, lists of lines, SentencePiece models. */
#ifndef LNG_HOST_STORE_MARIAN_VOCAB_H
#define LNG_HOST_STORE_MARIAN_VOCAB_H

#include "tokenizer/vocab.h"

enum lng_marian_vocab_format {
    LNG_MARIAN_VOCAB_YAML, /* JSON too, when it starts with '{' */
    LNG_MARIAN_VOCAB_LINES,
    LNG_MARIAN_VOCAB_SPM,
};
/* By the name's ending, as Marian does. LNG_ERR_UNSUPPORTED for a factored vocabulary. */
LNG_MUST_CHECK enum lng_status lng_marian_vocab_kind(const char *path,
                                                     enum lng_marian_vocab_format *format);
/* The first `rows` entries (2 or more: those of the model). Ids without an entry get "<unused:ID>", Nematus' eos and
 * UNK become </s> and <unk>, which must be there. LNG_ERR_FORMAT with "name:line: what". warnings is appended to. Not
 * for SPM. */
LNG_MUST_CHECK enum lng_status lng_marian_vocab_parse(const char *name,
                                                      enum lng_marian_vocab_format format,
                                                      const char *text, size_t size, int32_t rows,
                                                      struct lng_vocab **vocab,
                                                      struct lng_buffer *warnings);
/* The same from a file of any kind; the entries of a SentencePiece model are its pieces. */
LNG_MUST_CHECK enum lng_status lng_marian_vocab_read(const char *path, int32_t rows,
                                                     struct lng_vocab **vocab,
                                                     struct lng_buffer *warnings);
/* Appends entries 0 to count - 1 in YAML as Marian writes them, eos and unk under the names </s> and <unk>. */
LNG_MUST_CHECK enum lng_status lng_marian_vocab_format(const struct lng_vocab *vocab, int32_t count,
                                                       int32_t eos, int32_t unk,
                                                       struct lng_buffer *yaml);

/* ---- the YAML reader alone ---- */

/* Called for each entry in order; anything but LNG_OK ends the reading and is handed on. The key may hold any bytes. */
typedef enum lng_status (*lng_marian_vocab_visit)(void *context, const char *key, size_t length,
                                                  uint64_t id);
/* One scalar key and one integer to a line: plain, quoted and `? ` keys, comments, nothing else of YAML. Keys are
 * texts whatever they look like (null, ~, <<, =, yes); only \n ends a line (not U+0085, U+2028). */
LNG_MUST_CHECK enum lng_status lng_marian_yaml_entries(const char *name, const char *text,
                                                       size_t size, lng_marian_vocab_visit visit,
                                                       void *context);

#endif
