/* Lexical shortlists: which target tokens a source sentence may become. As Marian NMT has them, in both forms:
 *
 *   text     lines "TARGET SOURCE PROBABILITY", plain, gzip or zstd, as lexical translation tables are written
 *            (lex.s2t). Words are entries of the vocabularies; lines with a word that they have not, or with
 *            NULL, are left out. Of each source word the `best` targets with a probability above `threshold`
 *            count; of a pair that comes twice the last.
 *   binary   header { magic, checksum, first, best, offsets n, ids m } of u64, u64 offsets [n], u32 ids [m], little-
 *            endian: the targets of source word s are ids[offsets[s]] .. ids[offsets[s + 1] - 1].
 *
 * A sentence may use the `first` target ids (the most frequent words, in a vocabulary ordered so), the targets
 * of its words and, with one vocabulary for both sides, its words themselves. */
#ifndef LNG_HOST_STORE_SHORTLIST_H
#define LNG_HOST_STORE_SHORTLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "tokenizer/vocab.h"

#define LNG_SHORTLIST_MAGIC UINT64_C(0xF11A48D5013417F5)

struct lng_shortlist_options {
    int32_t first, best; /* of the text form; the binary one has its own */
    double threshold;
};

struct lng_shortlist {
    int64_t first;          /* target ids 0 .. first - 1 are in every list */
    int64_t longest;        /* of the lists of single source words */
    int64_t source_words;   /* that have a list; words from here on have none */
    int64_t *offsets;       /* [source_words + 1], rising; owned */
    int32_t *ids;           /* [offsets[source_words]], owned */
    int32_t target_rows;    /* ids are below it */
    bool shared;            /* source ids are target ids */
    int64_t lines_left_out; /* of the text form: a word is not in the vocabulary */
};

/* Reads either form. target_rows: of the model, at least the vocabulary's. LNG_ERR_FORMAT names what is wrong in
 * which line or field; LNG_ERR_MISMATCH when it is made for other vocabularies. */
LNG_MUST_CHECK enum lng_status lng_shortlist_read(const char *path, const struct lng_vocab *source,
                                                  const struct lng_vocab *target, bool shared,
                                                  const struct lng_shortlist_options *options,
                                                  struct lng_shortlist *shortlist);
/* The binary form in memory. `name` is for messages. */
LNG_MUST_CHECK enum lng_status lng_shortlist_parse_binary(const char *name, const void *data,
                                                          size_t size, int32_t source_rows,
                                                          int32_t target_rows,
                                                          struct lng_shortlist *shortlist);
/* The checksum that Marian's binary form carries over the words behind it. data: `count` u64, any alignment. */
uint64_t lng_shortlist_checksum(const void *data, size_t count);
/* Fine on a zeroed one. */
void lng_shortlist_release(struct lng_shortlist *shortlist);

/* What is written: of source word s the targets [offsets[s], offsets[s + 1]). Borrowed. */
struct lng_shortlist_table {
    int32_t source_words;
    const int64_t *offsets;
    const int32_t *targets;
    const double *probabilities;
};
/* The text form, every entry by its name. *left_out: pairs with an entry that cannot stand there: it holds white space or
 * NUL, is empty, or is NULL. */
LNG_MUST_CHECK enum lng_status lng_shortlist_write_text(const char *path,
                                                        const struct lng_shortlist_table *table,
                                                        const struct lng_vocab *source,
                                                        const struct lng_vocab *target,
                                                        int64_t *left_out);
/* The binary form; lists rise by id. */
LNG_MUST_CHECK enum lng_status lng_shortlist_write_binary(const char *path,
                                                          const struct lng_shortlist_table *table,
                                                          int32_t first, int32_t best);

/* How many tokens a sentence of so many source tokens may use at most, beside `extra`. */
int64_t lng_shortlist_bound(const struct lng_shortlist *shortlist, int64_t source_length);
/* The tokens of a sentence and the `extra` ones, rising, none twice. marks [target_rows] is scratch, zero before
 * and after. tokens has room for lng_shortlist_bound + extra_count. Returns how many. */
int32_t lng_shortlist_collect(const struct lng_shortlist *shortlist, const int32_t *source,
                              int32_t source_length, const int32_t *extra, int32_t extra_count,
                              uint8_t *marks, int32_t *tokens);

#endif
