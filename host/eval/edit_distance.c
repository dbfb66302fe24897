#include "host/eval/edit_distance.h"

#include "host/base/mem.h"

enum { BITS = 64 };

/* Rows of the table that belong to one word of bits: how each cell differs from the one above it. */
struct stripe {
    uint64_t plus, minus; /* by +1, by -1; else by 0 */
    uint64_t last;        /* bit of the last row */
};

/* Goes one column on. `carry` is how the row above the stripe differs from the column before; returns the same
 * of its last row. `equal` has a bit for each row whose unit is the column's. */
static int advance(struct stripe *stripe, uint64_t equal, int carry)
{
    uint64_t vertical = equal | stripe->minus;
    if (carry < 0)
        equal |= 1;
    uint64_t zero = (((equal & stripe->plus) + stripe->plus) ^ stripe->plus) | equal;
    uint64_t plus = stripe->minus | ~(zero | stripe->plus), minus = stripe->plus & zero;
    int result = (plus & stripe->last ? 1 : 0) - (minus & stripe->last ? 1 : 0);
    plus = plus << 1 | (carry > 0);
    minus = minus << 1 | (carry < 0);
    stripe->plus = minus | ~(vertical | plus);
    stripe->minus = plus & vertical;
    return result;
}

/* a and b without what is equal at their ends. */
static void trim(struct lng_units *a, struct lng_units *b)
{
    while (a->count > 0 && b->count > 0 && a->list[0] == b->list[0]) {
        a->list++;
        b->list++;
        a->count--;
        b->count--;
    }
    while (a->count > 0 && b->count > 0 && a->list[a->count - 1] == b->list[b->count - 1]) {
        a->count--;
        b->count--;
    }
}

/* places [numbers], all 0 before and after; carries [columns.count]. */
static int64_t run_stripes(const struct lng_units *rows, const struct lng_units *columns,
                           uint64_t *places, signed char *carries)
{
    int64_t distance = (int64_t)rows->count;
    for (size_t j = 0; j < columns->count; j++)
        carries[j] = 1;
    for (size_t first = 0; first < rows->count; first += BITS) {
        size_t height = rows->count - first < BITS ? rows->count - first : BITS;
        struct stripe stripe = {.plus = UINT64_MAX, .last = (uint64_t)1 << (height - 1)};
        for (size_t i = 0; i < height; i++)
            places[rows->list[first + i]] |= (uint64_t)1 << i;
        for (size_t j = 0; j < columns->count; j++)
            carries[j] = (signed char)advance(&stripe, places[columns->list[j]], carries[j]);
        for (size_t i = 0; i < height; i++)
            places[rows->list[first + i]] = 0;
    }
    for (size_t j = 0; j < columns->count; j++)
        distance += carries[j];
    return distance;
}

enum lng_status lng_edit_distance(const struct lng_units *a, const struct lng_units *b,
                                  size_t numbers, int64_t *distance)
{
    struct lng_units rows = *a, columns = *b;
    trim(&rows, &columns);
    if (rows.count == 0 || columns.count == 0) {
        *distance = (int64_t)(rows.count + columns.count);
        return LNG_OK;
    }
    uint64_t *places = lng_alloc(numbers, sizeof *places);
    signed char *carries = lng_alloc(columns.count, sizeof *carries);
    enum lng_status status = places && carries ? LNG_OK : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        *distance = run_stripes(&rows, &columns, places, carries);
    lng_free(places);
    lng_free(carries);
    return status;
}
