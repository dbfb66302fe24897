#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/gradop.h"

struct embed_case {
    struct lng_embed_fwd_args forward;
    struct lng_embed_bwd_args backward;
};

static void forward(struct gradop *op)
{
    const struct embed_case *own = op->args;
    RIG_OK(lng_embed_fwd(op->rig.device, &own->forward));
}

static void backward(struct gradop *op)
{
    const struct embed_case *own = op->args;
    RIG_OK(lng_embed_bwd(op->rig.device, &own->backward));
}

static void check(uint64_t seed, int64_t rows, int64_t width, int64_t words, bool with_positions,
                  double dropout, double word_dropout)
{
    struct gradop op;
    struct embed_case own = {0};
    int32_t ids[256], positions[256];
    uint32_t sentence[256], position[256];
    gradop_open(&op, seed);
    snprintf(op.what, sizeof op.what, "embed %lld x %lld, %lld words, positions %d, dropout %g %g",
             (long long)rows, (long long)width, (long long)words, with_positions, dropout,
             word_dropout);
    for (int64_t n = 0; n < rows; n++) {
        ids[n] = (int32_t)rig_integer(&op.rig, -1, words - 1);
        positions[n] = (int32_t)rig_integer(&op.rig, 0, 4);
        sentence[n] = (uint32_t)(n / 7);
        position[n] = (uint32_t)(n % 7);
    }
    own.forward.table = gradop_input(&op, "table", words, width, 1, true, &own.backward.d_table);
    if (with_positions)
        own.forward.position_table =
            gradop_input(&op, "positions", 5, width, 1, true, &own.backward.d_position_table);
    own.forward.y = gradop_output(&op, rows, width, &own.backward.d_y);
    own.forward.ids = rig_array(&op.rig, ids, (size_t)rows, sizeof *ids);
    own.forward.positions = rig_array(&op.rig, positions, (size_t)rows, sizeof *positions);
    own.forward.scale = 1.75;
    own.forward.dropout = (struct lng_dropout){
        .probability = dropout,
        .rng = {seed, 3, 17},
        .sentence = rig_array(&op.rig, sentence, (size_t)rows, sizeof *sentence),
        .position = rig_array(&op.rig, position, (size_t)rows, sizeof *position)};
    own.forward.word_dropout = own.forward.dropout;
    own.forward.word_dropout.probability = word_dropout;
    own.forward.word_dropout.rng.site = 18;
    own.backward.ids = own.forward.ids;
    own.backward.positions = own.forward.positions;
    own.backward.scale = own.forward.scale;
    own.backward.dropout = own.forward.dropout;
    own.backward.word_dropout = own.forward.word_dropout;
    op.args = &own;
    op.forward = forward;
    op.backward = backward;
    gradop_check(&op);
    rig_close(&op.rig);
}

Test(grad_embed, plain)
{
    check(1, 9, 5, 4, false, 0, 0);
}

Test(grad_embed, positions)
{
    check(2, 13, 8, 6, true, 0, 0);
}

Test(grad_embed, dropout)
{
    check(3, 21, 17, 6, true, 0.3, 0.25);
    check(4, 21, 17, 6, false, 0, 0.5);
}

Test(grad_embed, awkward_shapes)
{
    check(5, 0, 3, 2, true, 0.1, 0.1);
    check(6, 1, 1, 1, true, 0, 0);
    check(7, 97, 3, 7, true, 0.1, 0);
    check(8, 3, 97, 2, true, 0.1, 0);
}
