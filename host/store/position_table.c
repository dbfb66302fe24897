#include "host/store/position_table.h"

#include <math.h>

#include "host/base/mem.h"
#include "host/model/positions.h"

static const double near = 5e-3; /* bf16 rounds cosines by 2e-3 */

/* Greatest difference between `count` values; infinite when one is not a number. */
static double distance(const float *a, const float *b, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (isnan(difference))
            return INFINITY;
        most = fmax(most, difference);
    }
    return most;
}

enum lng_status lng_position_table_recognise(const float *table, int64_t rows, int64_t dim,
                                             int32_t most_offset, enum lng_positions *family,
                                             int32_t *offset)
{
    float *own = lng_alloc((size_t)((rows + most_offset) * dim), sizeof *own);
    if (!own)
        return LNG_ERR_MEMORY;
    double nearest = near;
    *family = LNG_POSITIONS_LEARNED;
    *offset = 0;
    for (int f = LNG_POSITIONS_A; f <= LNG_POSITIONS_C; f++) {
        lng_positions_fill(own, rows + most_offset, dim, (enum lng_positions)f);
        for (int32_t first = 0; first <= most_offset; first++) {
            const float *start = own + first * dim;
            if (distance(table, start, dim) >= nearest) /* the first row tells most apart */
                continue;
            double most = distance(table, start, rows * dim);
            if (most < nearest) {
                nearest = most;
                *family = (enum lng_positions)f;
                *offset = first;
            }
        }
    }
    lng_free(own);
    return LNG_OK;
}
