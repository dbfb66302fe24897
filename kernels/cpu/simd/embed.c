/* Embedding look-up and dropout of plain activations. */
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"
#include "kernels/cpu/simd/vec_philox.h"

/* scale, or 0 for a dropped word. */
VEC_INLINE float word_factor(double scale, const struct lng_dropout *dropout, int64_t row)
{
    if (!(dropout->probability > 0))
        return (float)scale;
    struct lng_philox block =
        lng_rng_block(dropout->rng, dropout->sentence[row], dropout->position[row], 0, 0);
    bool dropped = lng_philox_half(block, 0) < lng_drop_threshold(dropout->probability);
    return dropped ? 0.0f : (float)(scale * lng_drop_scale(dropout->probability));
}

/* Rows first .. end - 1. */
void LNG_SIMD(embed_fwd)(const struct lng_embed_fwd_args *args, int64_t first, int64_t end,
                         float *scratch)
{
    const int64_t width = args->y.cols;
    const struct dropper drop = dropout_make(&args->dropout);
    for (int64_t row = first; row < end; row++) {
        const int32_t id = args->ids[row];
        const vf factor = v_set(word_factor(args->scale, &args->word_dropout, row));
        const float *table = id < 0 ? 0 : (const float *)args->table.data + id * args->table.stride;
        const float *position = args->position_table.data
                                    ? (const float *)args->position_table.data +
                                          args->positions[row] * args->position_table.stride
                                    : 0;
        const uint16_t *halves =
            dropout_row(&args->dropout, &drop, row, width, (uint16_t *)scratch);
        float *y = (float *)args->y.data + row * args->y.stride;
        for (int64_t j = 0; j < width; j += VW) {
            vf v = table ? v_mul(v_load_n(table + j, width - j), factor) : v_zero();
            if (position)
                v = v_add(v, v_load_n(position + j, width - j));
            v_store_n(y + j, v_maybe_drop(v, halves, j, &drop), width - j);
        }
    }
}

/* Adds the gradients of those rows whose id (or position) leaves remainder `share` by `shares`, in the
 * order of rows: the sum of a table row never depends on who makes it. */
void LNG_SIMD(embed_bwd)(const struct lng_embed_bwd_args *args, bool positions, int64_t share,
                         int64_t shares, float *scratch)
{
    const int64_t width = args->d_y.cols;
    const struct dropper drop = dropout_make(&args->dropout);
    const struct lng_view *to = positions ? &args->d_position_table : &args->d_table;
    const int32_t *index = positions ? args->positions : args->ids;
    for (int64_t row = 0; row < args->d_y.rows; row++) {
        if (index[row] < 0 || index[row] % shares != share)
            continue;
        vf factor = v_set(positions ? 1.0f : word_factor(args->scale, &args->word_dropout, row));
        const uint16_t *halves =
            dropout_row(&args->dropout, &drop, row, width, (uint16_t *)scratch);
        const float *d_y = (const float *)args->d_y.data + row * args->d_y.stride;
        float *sum = (float *)to->data + index[row] * to->stride;
        for (int64_t j = 0; j < width; j += VW) {
            vf v = v_maybe_drop(v_load_n(d_y + j, width - j), halves, j, &drop);
            v_store_n(sum + j, v_fma(v, factor, v_load_n(sum + j, width - j)), width - j);
        }
    }
}

/* y = dropout(f(x)), rows first .. end - 1. */
void LNG_SIMD(activation_fwd)(const struct lng_activation_fwd_args *args, int64_t first,
                              int64_t end, float *scratch)
{
    const int64_t width = args->x.cols;
    const struct dropper drop = dropout_make(&args->dropout);
    for (int64_t row = first; row < end; row++) {
        const float *x = (const float *)args->x.data + row * args->x.stride;
        float *y = (float *)args->y.data + row * args->y.stride;
        if (args->activation != LNG_ACTIVATION_NONE || !(args->dropout.probability > 0)) {
            LNG_SIMD(activate)(args->activation, x, y, width);
            x = y;
        }
        const uint16_t *halves =
            dropout_row(&args->dropout, &drop, row, width, (uint16_t *)scratch);
        for (int64_t j = 0; halves && j < width; j += VW)
            v_store_n(y + j, v_drop(v_load_n(x + j, width - j), halves + j, &drop), width - j);
    }
}

void LNG_SIMD(activation_bwd)(const struct lng_activation_bwd_args *args, int64_t first,
                              int64_t end, float *scratch)
{
    const int64_t width = args->x.cols;
    const struct dropper drop = dropout_make(&args->dropout);
    for (int64_t row = first; row < end; row++) {
        const float *x = (const float *)args->x.data + row * args->x.stride;
        const float *d_y = (const float *)args->d_y.data + row * args->d_y.stride;
        float *d_x = (float *)args->d_x.data + row * args->d_x.stride;
        const uint16_t *halves =
            dropout_row(&args->dropout, &drop, row, width, (uint16_t *)scratch);
        for (int64_t j = 0; halves && j < width; j += VW)
            v_store_n(d_x + j, v_drop(v_load_n(d_y + j, width - j), halves + j, &drop), width - j);
        if (args->activation != LNG_ACTIVATION_NONE || !halves)
            LNG_SIMD(activate_bwd)(args->activation, x, halves ? d_x : d_y, d_x, width);
    }
}
