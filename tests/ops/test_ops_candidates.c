#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"
#include "tests/support/rig.h"

/* Three rows over four tokens; rows 0 and 1 are one sentence, then a sentence without rows, then row 2. */
static const double p[3][4] = {
    {0.4, 0.1, 0.3, 0.2}, {0.25, 0.25, 0.25, 0.25}, {0.1, 0.2, 0.3, 0.4}};
static const int32_t offsets[] = {0, 2, 2, 3};

enum { EOS = 2, K = 3 };

struct want {
    int32_t row, token;
};

static struct lng_candidates_args make(struct rig *rig, const float *row_scores)
{
    double logits[12];
    for (int i = 0; i < 12; i++)
        logits[i] = log(p[i / 4][i % 4]) - 1;
    return (struct lng_candidates_args){
        .logits = rig_values(rig, LNG_DTYPE_F32, 3, 4, logits),
        .row_scores = rig_array(rig, row_scores, 3, sizeof(float)),
        .row_offsets = rig_array(rig, offsets, 4, 4),
        .eos = EOS,
        .sentences = 3,
        .k = K,
        .out = rig_array(rig, NULL, 3 * K, sizeof(struct lng_candidate)),
    };
}

static void expect(struct rig *rig, const struct lng_candidates_args *args, const float *row_scores,
                   const struct want *want)
{
    RIG_OK(lng_candidates(rig->device, args));
    const struct lng_candidate *out =
        rig_get_array(rig, args->out, 3 * K, sizeof(struct lng_candidate));
    for (int i = 0; i < 3 * K; i++) {
        cr_assert(out[i].row == want[i].row && out[i].token == want[i].token,
                  "place %d: expected row %d token %d, found row %d token %d", i, want[i].row,
                  want[i].token, out[i].row, out[i].token);
        if (want[i].row < 0) {
            cr_assert(isinf(out[i].score) && out[i].score < 0);
            continue;
        }
        double logprob = log(p[want[i].row][want[i].token]);
        cr_assert(fabs(out[i].logprob - logprob) < 1e-6);
        cr_assert(fabs(out[i].score - (row_scores[want[i].row] + logprob)) < 1e-6);
    }
}

Test(ops_candidates, best_of_each_sentence)
{
    struct rig rig;
    rig_open(&rig, "ref", 1);
    const float scores[] = {-1, -0.8f, -5};
    struct lng_candidates_args args = make(&rig, scores);
    /* row 0: -1.92, -3.30, -2.20, -2.61; row 1: all -2.19, ties by token */
    const struct want want[] = {{0, 0},   {1, 0}, {1, 1}, {-1, -1}, {-1, -1},
                                {-1, -1}, {2, 3}, {2, 2}, {2, 1}};
    expect(&rig, &args, scores, want);
    rig_close(&rig);
}

/* Equal scores: the lower row first, then the lower token. */
Test(ops_candidates, ties)
{
    struct rig rig;
    rig_open(&rig, "ref", 2);
    const float scores[] = {0, 0, 0};
    struct lng_candidates_args args = make(&rig, scores);
    rig_write(&rig, args.logits, (const double[]){0, 0, -9, 0, 0, 0, -9, 0, 1, 1, 1, 1});
    RIG_OK(lng_candidates(rig.device, &args));
    const struct lng_candidate *out = rig_get_array(&rig, args.out, 3 * K, sizeof *out);
    const struct want want[] = {{0, 0},   {0, 1}, {0, 3}, {-1, -1}, {-1, -1},
                                {-1, -1}, {2, 0}, {2, 1}, {2, 2}};
    for (int i = 0; i < 3 * K; i++)
        cr_assert(out[i].row == want[i].row && out[i].token == want[i].token, "place %d", i);
    rig_close(&rig);
}

Test(ops_candidates, banned_tokens_stay_in_the_normaliser)
{
    struct rig rig;
    rig_open(&rig, "ref", 3);
    const float scores[] = {-1, -0.8f, -5};
    const int32_t banned[] = {0, 3};
    struct lng_candidates_args args = make(&rig, scores);
    args.banned = rig_array(&rig, banned, 2, 4);
    args.banned_count = 2;
    /* expect() compares with the probabilities over all four tokens */
    const struct want want[] = {{1, 1},   {1, 2}, {0, 2}, {-1, -1}, {-1, -1},
                                {-1, -1}, {2, 2}, {2, 1}, {-1, -1}};
    expect(&rig, &args, scores, want);
    rig_close(&rig);
}

Test(ops_candidates, eos_banned_row_by_row)
{
    struct rig rig;
    rig_open(&rig, "ref", 4);
    const float scores[] = {-1, -9, -5};
    const uint8_t no_eos[] = {1, 0, 0};
    struct lng_candidates_args args = make(&rig, scores);
    args.eos_banned = rig_array(&rig, no_eos, 3, 1);
    const struct want want[] = {{0, 0},   {0, 3}, {0, 1}, {-1, -1}, {-1, -1},
                                {-1, -1}, {2, 3}, {2, 2}, {2, 1}};
    expect(&rig, &args, scores, want);
    rig_close(&rig);
}

/* A forced token stands alone in its row, whatever is banned, and keeps its own log-probability. */
Test(ops_candidates, forced)
{
    struct rig rig;
    rig_open(&rig, "ref", 5);
    const float scores[] = {-1, -0.8f, -5};
    const int32_t forced[] = {EOS, -1, 0}, banned[] = {1, EOS};
    const uint8_t no_eos[] = {1, 1, 1};
    struct lng_candidates_args args = make(&rig, scores);
    args.forced = rig_array(&rig, forced, 3, 4);
    args.banned = rig_array(&rig, banned, 2, 4);
    args.banned_count = 2;
    args.eos_banned = rig_array(&rig, no_eos, 3, 1);
    const struct want want[] = {{1, 0},   {1, 3}, {0, 2},   {-1, -1}, {-1, -1},
                                {-1, -1}, {2, 0}, {-1, -1}, {-1, -1}};
    expect(&rig, &args, scores, want);
    rig_close(&rig);
}

/* More places than tokens: 2 rows x 4 tokens fill 8 of 9. */
Test(ops_candidates, fewer_candidates_than_places)
{
    struct rig rig;
    rig_open(&rig, "ref", 6);
    const float scores[] = {-1, -INFINITY, -5};
    struct lng_candidates_args args = make(&rig, scores);
    args.k = 9;
    args.out = rig_array(&rig, NULL, 27, sizeof(struct lng_candidate));
    RIG_OK(lng_candidates(rig.device, &args));
    const struct lng_candidate *out = rig_get_array(&rig, args.out, 27, sizeof *out);
    const int32_t tokens[] = {0, 2, 3, 1, -1, -1, -1, -1, -1};
    for (int i = 0; i < 9; i++) /* a dead row (score -inf) proposes nothing */
        cr_assert(out[i].token == tokens[i] && out[i].row == (tokens[i] < 0 ? -1 : 0), "place %d",
                  i);
    rig_close(&rig);
}
