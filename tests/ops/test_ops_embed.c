#include <criterion/criterion.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

/* The dropout factor as philox.h defines it, written out. */
static double factor(double p, struct lng_rng_site rng, uint32_t sentence, uint32_t position,
                     uint32_t unit)
{
    struct lng_philox block =
        lng_philox4x32(sentence, position, unit / 8, rng.site, (uint32_t)(rng.seed & 0xFFFFFFFFu),
                       (uint32_t)(rng.seed >> 32) ^ (rng.update * 0x9E3779B9u));
    uint32_t half = unit % 8;
    uint32_t bits = half % 2 ? block.word[half / 2] >> 16 : block.word[half / 2] & 0xFFFF;
    double threshold = (double)(int)(p * 65536 + 0.5);
    return bits < threshold ? 0 : 1 / (1 - threshold / 65536);
}

static const double table[] = {1, 2, 3, 4, 5, 6};        /* 3 words x 2 */
static const double position_table[] = {10, 20, 30, 40}; /* 2 positions x 2 */

Test(ops_embed, looks_up_scales_and_adds_positions)
{
    struct rig rig;
    rig_open(&rig, "ref", 1);
    int32_t ids[] = {2, -1, 0}, positions[] = {1, 0, 0};
    struct lng_embed_fwd_args args = {
        .table = rig_values(&rig, LNG_DTYPE_F32, 3, 2, table),
        .position_table = rig_values(&rig, LNG_DTYPE_F32, 2, 2, position_table),
        .y = rig_output(&rig, LNG_DTYPE_F32, 3, 2),
        .ids = rig_array(&rig, ids, 3, 4),
        .positions = rig_array(&rig, positions, 3, 4),
        .scale = 2,
    };
    RIG_OK(lng_embed_fwd(rig.device, &args));
    /* id -1: no word, but its position */
    const double with_positions[] = {10 + 30, 12 + 40, 10, 20, 2 + 10, 4 + 20};
    rig_expect_close("y", rig_get(&rig, args.y), with_positions, 6, 0, 0);
    args.position_table.data = NULL;
    args.positions = NULL;
    RIG_OK(lng_embed_fwd(rig.device, &args));
    const double alone[] = {10, 12, 0, 0, 2, 4};
    rig_expect_close("y without positions", rig_get(&rig, args.y), alone, 6, 0, 0);
    rig_close(&rig);
}

Test(ops_embed, adds_gradients_by_id)
{
    struct rig rig;
    rig_open(&rig, "ref", 2);
    int32_t ids[] = {2, -1, 2}, positions[] = {1, 0, 0};
    const double d_y[] = {1, 2, 4, 8, 16, 32}, ones[] = {1, 1, 1, 1, 1, 1};
    struct lng_embed_bwd_args args = {
        .d_y = rig_values(&rig, LNG_DTYPE_F32, 3, 2, d_y),
        .d_table = rig_values(&rig, LNG_DTYPE_F32, 3, 2, ones),
        .d_position_table = rig_values(&rig, LNG_DTYPE_F32, 2, 2, ones),
        .ids = rig_array(&rig, ids, 3, 4),
        .positions = rig_array(&rig, positions, 3, 4),
        .scale = 3,
    };
    RIG_OK(lng_embed_bwd(rig.device, &args));
    const double d_table[] = {1, 1, 1, 1, 1 + 3 * 17, 1 + 3 * 34}, d_positions[] = {21, 41, 2, 3};
    rig_expect_close("d_table", rig_get(&rig, args.d_table), d_table, 6, 0, 0);
    rig_expect_close("d_position_table", rig_get(&rig, args.d_position_table), d_positions, 4, 0,
                     0);
    rig_close(&rig);
}

/* Whole words by word_dropout, units by dropout; both equal to the definition, none by chance of shape. */
Test(ops_embed, dropout_masks_are_those_of_philox)
{
    enum { ROWS = 40, WIDTH = 21 };
    struct rig rig;
    rig_open(&rig, "ref", 3);
    int32_t ids[ROWS];
    uint32_t sentence[ROWS], position[ROWS];
    double ones[WIDTH], want[ROWS * WIDTH];
    struct lng_rng_site site = {0x123456789ABCDEFu, 77, 5}, word_site = {0x123456789ABCDEFu, 77, 6};
    int dropped = 0, dropped_words = 0;
    for (int d = 0; d < WIDTH; d++)
        ones[d] = 1;
    for (int n = 0; n < ROWS; n++) {
        ids[n] = 0;
        sentence[n] = (uint32_t)(1000 + n / 10);
        position[n] = (uint32_t)(n % 10);
        double word = factor(0.25, word_site, sentence[n], position[n], 0);
        dropped_words += word == 0;
        for (int d = 0; d < WIDTH; d++) {
            double unit = factor(0.4, site, sentence[n], position[n], (uint32_t)d);
            dropped += unit == 0;
            want[n * WIDTH + d] = word * unit;
        }
    }
    struct lng_embed_fwd_args args = {
        .table = rig_values(&rig, LNG_DTYPE_F32, 1, WIDTH, ones),
        .y = rig_output(&rig, LNG_DTYPE_F32, ROWS, WIDTH),
        .ids = rig_array(&rig, ids, ROWS, 4),
        .scale = 1,
        .dropout = {0.4, site, rig_array(&rig, sentence, ROWS, 4),
                    rig_array(&rig, position, ROWS, 4)},
    };
    args.word_dropout = args.dropout;
    args.word_dropout.probability = 0.25;
    args.word_dropout.rng = word_site;
    RIG_OK(lng_embed_fwd(rig.device, &args));
    rig_expect_close("y", rig_get(&rig, args.y), want, ROWS * WIDTH, 1e-6, 0);
    /* 840 draws of 0.4: 336 +- 14; 40 of 0.25: 10 +- 2.7. */
    cr_assert(dropped > 280 && dropped < 390, "%d units of 840 dropped", dropped);
    cr_assert(dropped_words > 1 && dropped_words < 21, "%d words of 40 dropped", dropped_words);
    rig_close(&rig);
}

Test(ops_embed, refuses_ids_outside_the_table)
{
    struct rig rig;
    rig_open(&rig, "ref", 4);
    int32_t ids[] = {0, 3};
    struct lng_embed_fwd_args args = {
        .table = rig_values(&rig, LNG_DTYPE_F32, 3, 2, table),
        .y = rig_output(&rig, LNG_DTYPE_F32, 2, 2),
        .ids = rig_array(&rig, ids, 2, 4),
        .scale = 1,
    };
    cr_assert_eq(lng_embed_fwd(rig.device, &args), LNG_ERR_RANGE);
    cr_assert_str_eq(lng_error_message(), "embed_fwd: ids[1]: expected -1 to 2, found 3");
    rig_close(&rig);
}
