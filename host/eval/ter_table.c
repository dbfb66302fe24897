#include "host/eval/ter_table.h"

#include <math.h>
#include <string.h>

#include "host/base/mem.h"

enum {
    BEAM_WIDTH = 25,
    UNREACHED = INT32_MAX / 2,
};

static int64_t diagonal(const struct lng_ter_table *table, int64_t row)
{
    return (int64_t)floor((double)row * table->ratio);
}

/* Columns [first_column, last_column) are in the band. The first and the last row reach the end of the table. */
static int64_t first_column(const struct lng_ter_table *table, int64_t row)
{
    int64_t column = row == 0 ? 0 : diagonal(table, row) - table->beam;
    return column > 0 ? column : 0;
}

static int64_t last_column(const struct lng_ter_table *table, int64_t row)
{
    int64_t end = table->reference_words + 1, column = diagonal(table, row) + table->beam;
    return row == 0 || row == table->words || column > end ? end : column;
}

/* A row's costs from those of the row before it; edits may be NULL. Of equal ways the first of substitution,
 * deletion, insertion is taken. Sources are columns of the whole table, 0 at index 0. */
static void fill_row(const struct lng_ter_table *table, uint32_t word, int64_t row,
                     const int32_t *before, int32_t *costs, uint8_t *edits)
{
    int64_t low = first_column(table, row), high = last_column(table, row);
    int64_t before_low = first_column(table, row - 1), before_high = last_column(table, row - 1);
    for (int64_t j = low; j < high; j++) {
        int32_t above = j >= before_low && j < before_high ? before[j - before_low] : UNREACHED;
        int32_t best = UNREACHED;
        enum lng_ter_edit edit = LNG_TER_DELETE;
        if (j > 0) {
            bool equal = table->reference[j - 1] == word;
            int32_t corner =
                j > before_low && j <= before_high ? before[j - 1 - before_low] : UNREACHED;
            best = corner + !equal;
            edit = equal ? LNG_TER_KEEP : LNG_TER_SUBSTITUTE;
        }
        if (above + 1 < best) {
            best = above + 1;
            edit = LNG_TER_DELETE;
        }
        if (j > low && costs[j - 1 - low] + 1 < best) {
            best = costs[j - 1 - low] + 1;
            edit = LNG_TER_INSERT;
        }
        costs[j - low] = best;
        if (edits != NULL)
            edits[j - low] = (uint8_t)edit;
    }
}

static void fill_from(struct lng_ter_table *table, int64_t first)
{
    for (int64_t row = first + 1; row <= table->words; row++)
        fill_row(table, table->hypothesis[row - 1], row, table->costs + table->starts[row - 1],
                 table->costs + table->starts[row], table->edits + table->starts[row]);
    table->cost = table->costs[table->starts[table->words + 1] - 1];
}

static enum lng_status prepare(struct lng_ter_table *table)
{
    int64_t cells = 0, widest = 0;
    table->ratio = table->words > 0 ? (double)table->reference_words / (double)table->words : 1;
    table->beam =
        BEAM_WIDTH < table->ratio / 2 ? (int64_t)ceil(table->ratio / 2 + BEAM_WIDTH) : BEAM_WIDTH;
    table->starts = lng_alloc((size_t)table->words + 2, sizeof *table->starts);
    if (table->starts == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t row = 0; row <= table->words; row++) {
        int64_t width = last_column(table, row) - first_column(table, row);
        cells += width;
        table->starts[row + 1] = cells;
        widest = width > widest ? width : widest;
    }
    table->costs = lng_alloc((size_t)cells, sizeof *table->costs);
    table->edits = lng_alloc((size_t)cells, sizeof *table->edits);
    table->rows[0] = lng_alloc((size_t)widest, sizeof *table->rows[0]);
    table->rows[1] = lng_alloc((size_t)widest, sizeof *table->rows[1]);
    return table->costs && table->edits && table->rows[0] && table->rows[1] ? LNG_OK
                                                                            : LNG_ERR_MEMORY;
}

enum lng_status lng_ter_table_init(struct lng_ter_table *table, const struct lng_units *hypothesis,
                                   const struct lng_units *reference)
{
    *table = (struct lng_ter_table){.words = (int64_t)hypothesis->count,
                                    .reference = reference->list,
                                    .reference_words = (int64_t)reference->count};
    table->hypothesis = lng_alloc(hypothesis->count, sizeof *table->hypothesis);
    if (table->hypothesis == NULL)
        return LNG_ERR_MEMORY;
    if (hypothesis->count > 0)
        memcpy(table->hypothesis, hypothesis->list, hypothesis->count * sizeof *hypothesis->list);
    LNG_TRY(prepare(table));
    for (int64_t j = 0; j <= table->reference_words; j++) {
        table->costs[j] = (int32_t)j;
        table->edits[j] = LNG_TER_INSERT;
    }
    fill_from(table, 0);
    return LNG_OK;
}

void lng_ter_table_release(struct lng_ter_table *table)
{
    lng_free(table->hypothesis);
    lng_free(table->starts);
    lng_free(table->costs);
    lng_free(table->edits);
    lng_free(table->rows[0]);
    lng_free(table->rows[1]);
    *table = (struct lng_ter_table){0};
}

enum lng_ter_edit lng_ter_table_edit(const struct lng_ter_table *table, int64_t row, int64_t column)
{
    return table->edits[table->starts[row] + column - first_column(table, row)];
}

/* Whether two rows of `width` differ by one number everywhere, which is then what the whole costs differ by if
 * what follows is equal. */
static bool differ_by_constant(const int32_t *a, const int32_t *b, int64_t width)
{
    for (int64_t j = 1; j < width; j++)
        if (a[j] - b[j] != a[0] - b[0])
            return false;
    return true;
}

int64_t lng_ter_table_cost_of(const struct lng_ter_table *table, const uint32_t *words,
                              int64_t first, int64_t last)
{
    const int32_t *before = table->costs + table->starts[first];
    for (int64_t row = first + 1; row <= table->words; row++) {
        int32_t *costs = table->rows[row & 1];
        int64_t width = table->starts[row + 1] - table->starts[row];
        fill_row(table, words[row - 1], row, before, costs, NULL);
        before = costs;
        const int32_t *known = table->costs + table->starts[row];
        if (row >= last && differ_by_constant(costs, known, width))
            return table->cost + costs[0] - known[0];
    }
    return before[table->starts[table->words + 1] - table->starts[table->words] - 1];
}

void lng_ter_table_set(struct lng_ter_table *table, const uint32_t *words, int64_t first)
{
    memcpy(table->hypothesis, words, (size_t)table->words * sizeof *words);
    fill_from(table, first);
}
