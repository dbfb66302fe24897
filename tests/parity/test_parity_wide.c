/* Operations against ref in shapes past those of test_parity: where kernels change their ways, rows wider
 * than registers, large vocabularies, many equal values, odd numbers. Each case twice: the same bits.
 *
 *   LNG_PARITY_DEVICE=cuda   another device than the cpu */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/parity.h"

static const char *device_name(void)
{
    const char *device = getenv("LNG_PARITY_DEVICE");
    return device != NULL && *device != '\0' ? device : "cpu";
}

static void require_device(void)
{
    if (!parity_supported(device_name(), LNG_DTYPE_F32))
        cr_skip_test("device %s: %s", device_name(), lng_error_message());
}

/* The bits of every output of the case on the device. */
static void record(void (*run)(struct parity *), uint64_t seed, enum lng_dtype activation,
                   struct parity *parity)
{
    *parity = (struct parity){.seed = seed, .compute = LNG_DTYPE_F32, .activation = activation};
    rig_open(&parity->rig, device_name(), seed);
    run(parity);
    rig_close(&parity->rig);
}

static void compare(const char *op, void (*run)(struct parity *), enum parity_class class,
                    uint64_t seeds)
{
    static const enum lng_dtype types[] = {LNG_DTYPE_F32, LNG_DTYPE_BF16};
    for (uint64_t seed = 0; seed < seeds; seed++)
        for (int t = 0; t < 2; t++) {
            struct parity first, second;
            parity_compare(device_name(), op, run, class, seed, LNG_DTYPE_F32, types[t]);
            record(run, seed, types[t], &first);
            record(run, seed, types[t], &second);
            for (int i = 0; i < first.output_count; i++) {
                size_t bytes = first.outputs[i].count * sizeof(double);
                cr_assert(memcmp(first.outputs[i].values, second.outputs[i].values, bytes) == 0,
                          "%s, seed %llu: other bits on the second run", op,
                          (unsigned long long)seed);
                lng_free(first.outputs[i].values);
                lng_free(second.outputs[i].values);
            }
        }
}

static void norm_case(struct parity *p)
{
    static const int64_t widths[] = {512, 513, 600, 1024, 1025, 1536, 2056, 8};
    static const int64_t heights[] = {1, 5, 70, 33, 18, 3, 40, 9001};
    int64_t rows = heights[p->seed % 8], width = widths[p->seed % 8];
    bool rms = p->seed % 3 == 2;
    struct lng_norm_fwd_args forward = {
        .x = parity_activation(p, rows, width),
        .residual = parity_activation(p, rows, width),
        .gamma = parity_real(p, 1, width),
        .beta = parity_real(p, 1, width),
        .y = parity_activation_output(p, rows, width),
        .sum = parity_activation_output(p, rows, width),
        .mean = rig_array(&p->rig, NULL, (size_t)rows, sizeof(float)),
        .rstd = rig_array(&p->rig, NULL, (size_t)rows, sizeof(float)),
        .kind = rms ? LNG_NORM_RMS : LNG_NORM_LAYER,
        .epsilon = 1e-5,
        .dropout = parity_dropout(p, rows),
    };
    if (rms)
        forward.beta.data = NULL;
    RIG_OK(lng_norm_fwd(p->rig.device, &forward));
    parity_take(p, "y", forward.y);
    parity_take(p, "sum", forward.sum);
    struct lng_norm_bwd_args backward = {
        .sum = forward.sum,
        .gamma = forward.gamma,
        .d_y = parity_activation(p, rows, width),
        .d_sum = parity_activation(p, rows, width),
        .d_x = parity_activation_output(p, rows, width),
        .d_gamma = parity_real(p, 1, width),
        .d_beta = parity_real(p, 1, width),
        .mean = forward.mean,
        .rstd = forward.rstd,
        .kind = forward.kind,
        .dropout = forward.dropout,
    };
    backward.d_residual = p->seed % 2 ? backward.d_y : backward.d_sum;
    if (rms)
        backward.d_beta.data = NULL;
    RIG_OK(lng_norm_bwd(p->rig.device, &backward));
    parity_take(p, "d_x", backward.d_x);
    parity_take(p, "d_residual", backward.d_residual);
    parity_take(p, "d_gamma", backward.d_gamma);
    if (!rms)
        parity_take(p, "d_beta", backward.d_beta);
}

Test(parity_wide, norm)
{
    require_device();
    compare("norm", norm_case, PARITY_NORM, 16);
}

/* Some ids fill many blocks of rows, most come once or never. */
static void embed_case(struct parity *p)
{
    static const int64_t vocabularies[] = {3, 300, 70000, 1};
    int64_t rows = 700 + (int64_t)p->seed * 577, width = 3 + (int64_t)p->seed * 2;
    int64_t words = vocabularies[p->seed % 4], positions = 257;
    int32_t *ids = rig_host(&p->rig, (size_t)rows, sizeof *ids);
    for (int64_t n = 0; n < rows; n++) {
        int64_t often = rig_integer(&p->rig, 0, 3), any = rig_integer(&p->rig, -1, words - 1);
        ids[n] = (int32_t)(often == 0 ? any : often == 1 ? words - 1 : words / 2);
    }
    struct lng_embed_bwd_args args = {
        .d_y = parity_activation(p, rows, width),
        .d_table = parity_real(p, words, width),
        .d_position_table = parity_real(p, positions, width),
        .ids = rig_array(&p->rig, ids, (size_t)rows, sizeof *ids),
        .positions = parity_integers(p, rows, 0, positions - 1),
        .scale = 0.75,
        .dropout = parity_dropout(p, rows),
        .word_dropout = parity_dropout(p, rows),
    };
    args.word_dropout.rng.site = 35;
    RIG_OK(lng_embed_bwd(p->rig.device, &args));
    parity_take(p, "d_table", args.d_table);
    parity_take(p, "d_position_table", args.d_position_table);
}

Test(parity_wide, embed_bwd)
{
    require_device();
    compare("embed_bwd", embed_case, PARITY_LINEAR, 8);
}

static void loss_case(struct parity *p)
{
    static const int64_t widths[] = {4096, 4097, 5000, 33001, 1032};
    int64_t rows = 3, width = widths[p->seed % 5];
    struct lng_loss_args args = {
        .logits = rig_random(&p->rig, p->activation, rows, width, 8),
        .targets = parity_integers(p, rows, 0, width - 1),
        .sums = rig_array(&p->rig, (double[3]){0}, 3, sizeof(double)),
        .token_logprob = rig_array(&p->rig, NULL, (size_t)rows, sizeof(float)),
        .smoothing = p->seed % 2 ? 0.1 : 0,
        .kind = p->seed % 3 ? LNG_SMOOTHING_UNIFORM : LNG_SMOOTHING_OTHERS,
        .d_logits = p->seed % 4 != 3,
        .gradient_scale = 0.25,
    };
    RIG_OK(lng_loss(p->rig.device, &args));
    parity_take_array(p, "sums", args.sums, 3, LNG_DTYPE_F64);
    parity_take_array(p, "token_logprob", args.token_logprob, rows, LNG_DTYPE_F32);
    parity_take(p, "logits", args.logits);
}

Test(parity_wide, loss)
{
    require_device();
    compare("loss", loss_case, PARITY_LOSS, 10);
}

static void pair_loss_case(struct parity *p)
{
    static const int64_t widths[] = {4096, 4097, 5000, 33001, 1032};
    int64_t pairs = 2, width = widths[p->seed % 5];
    struct lng_pair_loss_args args = {
        .logits = rig_random(&p->rig, p->activation, 2 * pairs, width, 8),
        .targets = parity_integers(p, pairs, 0, width - 1),
        .sums = rig_array(&p->rig, (double[3]){0}, 3, sizeof(double)),
        .smoothing = p->seed % 2 ? 0.1 : 0,
        .kind = p->seed % 3 ? LNG_SMOOTHING_UNIFORM : LNG_SMOOTHING_OTHERS,
        .divergence = 5,
        .gradient_scale = 0.25,
    };
    RIG_OK(lng_pair_loss(p->rig.device, &args));
    parity_take_array(p, "sums", args.sums, 3, LNG_DTYPE_F64);
    parity_take(p, "logits", args.logits);
}

Test(parity_wide, pair_loss)
{
    require_device();
    compare("pair_loss", pair_loss_case, PARITY_PAIR_LOSS, 10);
}

/* Row 0 plain, 1 of few different values, 2 of one value, then rows that cannot be summed, and scores that
 * are no numbers. */
static struct lng_view search_logits(struct parity *p, int64_t width)
{
    double *values = rig_host(&p->rig, (size_t)(8 * width), sizeof *values);
    for (int64_t i = 0; i < 8 * width; i++) {
        double value = 16 * rig_uniform(&p->rig) - 8;
        int64_t row = i / width;
        values[i] = row == 1 ? rint(value) : row == 2 ? 1.5 : value;
    }
    values[3 * width + width / 2] = NAN;
    values[4 * width + width - 1] = INFINITY;
    for (int64_t i = 0; i < width; i++)
        values[5 * width + i] = i % 3 == 1 ? values[5 * width + i] : -INFINITY;
    return rig_values(&p->rig, p->activation, 8, width, values);
}

static void search_case(struct parity *p)
{
    static const int64_t widths[] = {5000, 40, 4096, 33001, 1500}, ks[] = {1, 8, 24, 100, 700};
    struct rig *rig = &p->rig;
    int64_t width = widths[p->seed % 5], k = ks[p->seed / 5 % 5], bans = p->seed % 3 == 2 ? 90 : 1;
    static const float row_scores[] = {-0.5f, -3, -2.75f, 0, 0, -1, -INFINITY, NAN};
    static const int32_t offsets[] = {0, 2, 2, 3, 8};
    static const uint8_t no_eos[] = {1, 0, 1, 0, 0, 1, 0, 0};
    struct lng_candidates_args args = {
        .logits = search_logits(p, width),
        .row_scores = rig_array(rig, row_scores, 8, sizeof(float)),
        .row_offsets = rig_array(rig, offsets, 5, sizeof(int32_t)),
        .banned = parity_integers(p, bans, 0, width - 1),
        .banned_count = bans,
        .eos_banned = rig_array(rig, no_eos, 8, 1),
        .eos = 4,
        .sentences = 4,
        .k = k,
        .out = rig_array(rig, NULL, (size_t)(4 * k), sizeof(struct lng_candidate)),
    };
    RIG_OK(lng_candidates(rig->device, &args));
    struct lng_view out = lng_view_make(args.out, LNG_DTYPE_F32, 4 * k, 4);
    parity_take(p, "scores", lng_view_cols(out, 0, 2));
    out.dtype = LNG_DTYPE_I32;
    parity_take(p, "rows and tokens", lng_view_cols(out, 2, 2));
}

Test(parity_wide, candidates)
{
    require_device();
    compare("candidates", search_case, PARITY_SEARCH, 25);
}

static void rows_case(struct parity *p)
{
    static const int64_t widths[] = {512, 1030, 2048, 4104};
    int64_t rows = 9, width = widths[p->seed % 4];
    struct lng_quantize_rows_args args = {
        .x = parity_activation(p, rows, width),
        .q = rig_output(&p->rig, LNG_DTYPE_I8, rows, width),
        .scales = rig_array(&p->rig, NULL, (size_t)rows, sizeof(float)),
    };
    struct lng_view y = parity_activation_output(p, rows, width);
    RIG_OK(lng_quantize_rows(p->rig.device, &args));
    RIG_OK(lng_dequantize_rows(p->rig.device,
                               &(struct lng_dequantize_rows_args){args.q, y, args.scales}));
    parity_take(p, "q", args.q);
    parity_take(p, "y", y);
    /* columns that begin where no vector does */
    struct lng_view slice = lng_view_cols(args.x, 3, width - 5);
    RIG_OK(lng_scale(p->rig.device, &(struct lng_scale_args){slice, 0.5}));
    RIG_OK(lng_add(p->rig.device, &(struct lng_add_args){lng_view_cols(y, 1, width - 5), slice}));
    parity_take(p, "slice", args.x);
}

Test(parity_wide, rows)
{
    require_device();
    compare("rows", rows_case, PARITY_QUANTIZE, 8);
}

static void stats_case(struct parity *p)
{
    struct lng_view grad = parity_real(p, 1, 300007);
    struct lng_gradient_stats_args args = {.grad = (float *)grad.data + p->seed,
                                           .n = p->seed == 2 ? 0 : grad.cols - 3,
                                           .out = rig_array(&p->rig, NULL, 2, sizeof(double))};
    RIG_OK(lng_fill(p->rig.device, &(struct lng_fill_args){lng_view_cols(grad, 700, 3), NAN}));
    RIG_OK(lng_gradient_stats(p->rig.device, &args));
    parity_take_array(p, "out", args.out, 2, LNG_DTYPE_F64);
}

Test(parity_wide, gradient_stats)
{
    require_device();
    compare("gradient_stats", stats_case, PARITY_OPTIMIZER, 3);
}
