/* The table of edit distances in TER: a band around the diagonal, as sacreBLEU keeps it (its results depend on the
 * width). Row i is for the first i words of the hypothesis, column j for the first j of the reference. */
#ifndef LNG_HOST_EVAL_TER_TABLE_H
#define LNG_HOST_EVAL_TER_TABLE_H

#include <stdbool.h>

#include "host/eval/words.h"

/* The last edit on the way to a cell. */
enum lng_ter_edit { LNG_TER_KEEP, LNG_TER_SUBSTITUTE, LNG_TER_DELETE, LNG_TER_INSERT };

struct lng_ter_table {
    uint32_t *hypothesis; /* [words] */
    const uint32_t *reference;
    int64_t words, reference_words;
    int64_t cost;    /* of the whole */
    int64_t beam;    /* half the width of the band */
    double ratio;    /* columns a row */
    int64_t *starts; /* [words + 2]: where each row's cells begin below */
    int32_t *costs;
    uint8_t *edits;
    int32_t *rows[2]; /* of a candidate */
};

/* Fills the table; `reference` is borrowed. LNG_ERR_MEMORY; release in any case. */
LNG_MUST_CHECK enum lng_status lng_ter_table_init(struct lng_ter_table *table,
                                                  const struct lng_units *hypothesis,
                                                  const struct lng_units *reference);
void lng_ter_table_release(struct lng_ter_table *table);

enum lng_ter_edit lng_ter_table_edit(const struct lng_ter_table *table, int64_t row,
                                     int64_t column);

/* The cost if the hypothesis were `words`, which differ from it in [first, last) alone. */
int64_t lng_ter_table_cost_of(const struct lng_ter_table *table, const uint32_t *words,
                              int64_t first, int64_t last);
/* Makes `words`, equal to the hypothesis before `first`, the hypothesis. */
void lng_ter_table_set(struct lng_ter_table *table, const uint32_t *words, int64_t first);

#endif
