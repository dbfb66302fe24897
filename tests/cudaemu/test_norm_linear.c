/* A norm and its product on a GPU: how many launches, the norm's own bits, and what a row gets does not depend on how
 * many there are. */
#define EMU_VARIANT "plain"
#include "tests/cudaemu/on_double.h"

#include <criterion/criterion.h>
#include <string.h>

#include "kernels/ops.h"
#include "tests/cudaemu/count_on.h"
#include "tests/support/rig.h"

enum { OUT = 71 };

/* What one call makes of the first `rows` of its rows. */
struct problem {
    struct rig rig;
    struct lng_norm_linear_fwd_args args;
    struct lng_weight *weight;
};

static void begin(struct problem *p, int64_t rows, int64_t cols)
{
    rig_open(&p->rig, "cuda", 1);
    RIG_OK(lng_weight_prepare(p->rig.device, rig_random(&p->rig, LNG_DTYPE_F32, OUT, cols, 1),
                              LNG_DTYPE_BF16, 0, &p->weight));
    p->args.norm = (struct lng_norm_fwd_args){
        .x = rig_random(&p->rig, LNG_DTYPE_BF16, rows, cols, 1),
        .residual = rig_random(&p->rig, LNG_DTYPE_BF16, rows, cols, 1),
        .gamma = rig_random(&p->rig, LNG_DTYPE_F32, 1, cols, 1),
        .beta = rig_random(&p->rig, LNG_DTYPE_F32, 1, cols, 1),
        .y = rig_output(&p->rig, LNG_DTYPE_BF16, rows, cols),
        .sum = rig_output(&p->rig, LNG_DTYPE_BF16, rows, cols),
        .epsilon = 1e-5,
    };
    p->args.linear = (struct lng_linear_fwd_args){
        .x = p->args.norm.y,
        .weight = p->weight,
        .bias = rig_random(&p->rig, LNG_DTYPE_F32, 1, OUT, 1),
        .y = rig_output(&p->rig, LNG_DTYPE_BF16, rows, OUT),
    };
}

static void end(struct problem *p)
{
    lng_weight_release(p->rig.device, p->weight);
    rig_close(&p->rig);
}

/* Launches of the call, after one that may prepare something. */
static int launches_for(struct problem *p, int64_t rows)
{
    struct lng_norm_linear_fwd_args args = p->args;
    struct lng_view *views[] = {&args.norm.x,   &args.norm.residual, &args.norm.y,
                                &args.norm.sum, &args.linear.x,      &args.linear.y};
    struct cudaemu_counts before = {0}, after;
    for (int i = 0; i < 6; i++)
        views[i]->rows = rows;
    for (int i = 0; i < 2; i++) {
        emu_count(&before);
        RIG_OK(lng_norm_linear_fwd(p->rig.device, &args));
    }
    emu_count(&after);
    return (int)(after.kernels - before.kernels);
}

Test(norm_linear, takes_one_launch)
{
    static const struct {
        int64_t rows, cols;
        int launches;
    } cases[] = {{1, 16, 1},   {16, 512, 1}, {17, 512, 1}, {512, 512, 1}, {513, 512, 2},
                 {64, 528, 1}, {65, 528, 2}, {5, 1024, 1}, {5, 1040, 2},  {5, 40, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct problem p;
        begin(&p, cases[i].rows, cases[i].cols);
        const int launches = launches_for(&p, cases[i].rows);
        cr_assert(launches == cases[i].launches, "%d x %d: %d", (int)cases[i].rows,
                  (int)cases[i].cols, launches);
        end(&p);
    }
}

Test(norm_linear, can_be_kept_apart)
{
    struct problem p;
    setenv("LNG_CUDA_FUSE", "0", 1);
    begin(&p, 5, 32);
    cr_assert_eq(launches_for(&p, 5), 2);
    end(&p);
}

Test(norm_linear, does_not_depend_on_other_rows)
{
    enum { ROWS = 100, COLS = 80, FIRST = 13 };
    static const int64_t counts[] = {ROWS, 40, FIRST};
    static double norm[3][ROWS * COLS], sum[3][ROWS * COLS], y[3][ROWS * OUT];
    struct problem p;
    begin(&p, ROWS, COLS);
    for (int i = 0; i < 3; i++) {
        p.args.norm.y = p.args.linear.x = rig_output(&p.rig, LNG_DTYPE_BF16, ROWS, COLS);
        p.args.norm.sum = rig_output(&p.rig, LNG_DTYPE_BF16, ROWS, COLS);
        p.args.linear.y = rig_output(&p.rig, LNG_DTYPE_BF16, ROWS, OUT);
        cr_assert_eq(launches_for(&p, counts[i]), 1);
        memcpy(norm[i], rig_get(&p.rig, p.args.norm.y), sizeof norm[i]);
        memcpy(sum[i], rig_get(&p.rig, p.args.norm.sum), sizeof sum[i]);
        memcpy(y[i], rig_get(&p.rig, p.args.linear.y), sizeof y[i]);
    }
    for (int i = 1; i < 3; i++) {
        cr_assert(memcmp(norm[i], norm[0], sizeof(double) * FIRST * COLS) == 0);
        cr_assert(memcmp(sum[i], sum[0], sizeof(double) * FIRST * COLS) == 0);
        cr_assert(memcmp(y[i], y[0], sizeof(double) * FIRST * OUT) == 0);
    }
    RIG_OK(lng_norm_fwd(p.rig.device, &p.args.norm));
    cr_assert(memcmp(norm[0], rig_get(&p.rig, p.args.norm.y), sizeof norm[0]) == 0);
    cr_assert(memcmp(sum[0], rig_get(&p.rig, p.args.norm.sum), sizeof sum[0]) == 0);
    end(&p);
}
