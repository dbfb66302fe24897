/* Embedding look-up with positions, and its gradient. */
#include "kernels/ref/ref.h"

enum lng_status REF(embed_fwd)(struct lng_device *device, const struct lng_embed_fwd_args *args)
{
    (void)device;
    const struct lng_view *y = &args->y, *positions = &args->position_table;
    LNG_TRY(REF(check_range)("embed_fwd: ids", args->ids, y->rows, -1, args->table.rows));
    if (positions->data != NULL)
        LNG_TRY(
            REF(check_range)("embed_fwd: positions", args->positions, y->rows, 0, positions->rows));
    for (int64_t n = 0; n < y->rows; n++) {
        int32_t id = args->ids[n];
        double factor = args->scale * ref_mask(&args->word_dropout, n, 0);
        for (int64_t d = 0; d < y->cols; d++) {
            double value = id < 0 ? 0 : REF(table_load)(&args->table, args->rows, id, d) * factor;
            if (positions->data != NULL)
                value += ref_load(positions, args->positions[n], d);
            ref_store(y, n, d, value * ref_mask(&args->dropout, n, d));
        }
    }
    return LNG_OK;
}

enum lng_status REF(embed_bwd)(struct lng_device *device, const struct lng_embed_bwd_args *args)
{
    (void)device;
    const struct lng_view *d_y = &args->d_y, *d_table = &args->d_table;
    const struct lng_view *d_positions = &args->d_position_table;
    if (d_table->data != NULL)
        LNG_TRY(REF(check_range)("embed_bwd: ids", args->ids, d_y->rows, -1, d_table->rows));
    if (d_positions->data != NULL)
        LNG_TRY(REF(check_range)("embed_bwd: positions", args->positions, d_y->rows, 0,
                                 d_positions->rows));
    for (int64_t n = 0; n < d_y->rows; n++) {
        double factor = args->scale * ref_mask(&args->word_dropout, n, 0);
        for (int64_t d = 0; d < d_y->cols; d++) {
            double gradient = ref_load(d_y, n, d) * ref_mask(&args->dropout, n, d);
            if (d_table->data != NULL && args->ids[n] >= 0)
                ref_accumulate(d_table, args->ids[n], d, gradient * factor);
            if (d_positions->data != NULL)
                ref_accumulate(d_positions, args->positions[n], d, gradient);
        }
    }
    return LNG_OK;
}
