/* What a warp computes together, once all its lanes have arrived. */
#include "tests/cudaemu/emu.h"

#include <algorithm>

namespace cudaemu
{

template <class T> static T &argument_of(void *const *arguments, int lane)
{
    return *static_cast<T *>(arguments[lane]);
}
static void need_all(unsigned lanes, const char *what)
{
    if (lanes != ~0u)
        die("divergence", "%s needs all 32 lanes, these came: %08x", what, lanes);
}

static void shuffle_all(void *const *arguments, unsigned lanes)
{
    for (int lane = 0; lane < 32; lane++) {
        if (!(lanes >> lane & 1))
            continue;
        shuffle_argument &own = argument_of<shuffle_argument>(arguments, lane);
        if (!(lanes >> own.source & 1))
            die("shuffle", "lane %d takes the value of lane %u, which does not take part", lane,
                own.source);
        own.out = argument_of<shuffle_argument>(arguments, (int)own.source).in;
    }
}

static uint64_t vote_step(vote_kind kind, uint64_t sum, uint64_t in)
{
    switch (kind) {
    case VOTE_ADD:
        return (uint32_t)(sum + in);
    case VOTE_MAX:
        return std::max(sum, in);
    case VOTE_MIN:
        return std::min(sum, in);
    case VOTE_AND:
        return sum & in;
    case VOTE_XOR:
        return sum ^ in;
    default:
        return sum | in;
    }
}
static uint64_t vote_match(void *const *arguments, unsigned lanes, uint64_t value)
{
    uint64_t out = 0;
    for (int lane = 0; lane < 32; lane++)
        if (lanes >> lane & 1 && argument_of<vote_argument>(arguments, lane).in == value)
            out |= 1u << lane;
    return out;
}
static void vote_all(void *const *arguments, unsigned lanes)
{
    const int first = __builtin_ctz(lanes);
    const vote_kind kind = argument_of<vote_argument>(arguments, first).kind;
    uint64_t sum = 0;
    for (int lane = first; lane < 32; lane++) {
        if (!(lanes >> lane & 1))
            continue;
        uint64_t in = argument_of<vote_argument>(arguments, lane).in;
        if (kind == VOTE_BALLOT)
            in <<= lane;
        sum = lane == first ? in : vote_step(kind, sum, in);
    }
    for (int lane = first; lane < 32; lane++) {
        if (!(lanes >> lane & 1))
            continue;
        vote_argument &own = argument_of<vote_argument>(arguments, lane);
        own.out = kind == VOTE_MATCH ? vote_match(arguments, lanes, own.in) : sum;
    }
}

/* c += a b, with a [16][16], b [16][8], c [16][8]; products in order of k, each added in float. */
CUDAEMU_CLONES static void multiply_tile(const float *a, const float *b, float *c)
{
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < 8; j++)
                c[i * 8 + j] += a[i * 16 + k] * b[k * 8 + j];
}
static float low_half(uint32_t pair)
{
    return same_bits<float>(pair << 16);
}
static float high_half(uint32_t pair)
{
    return same_bits<float>(pair & 0xFFFF0000u);
}
/* Fragments as in the PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type". */
static void mma_all(void *const *arguments, unsigned lanes)
{
    need_all(lanes, "mma");
    alignas(64) float a[16 * 16], b[16 * 8], c[16 * 8];
    for (int lane = 0; lane < 32; lane++) {
        const mma_argument &own = argument_of<mma_argument>(arguments, lane);
        const int group = lane / 4, place = lane % 4 * 2;
        for (int i = 0; i < 4; i++) {
            float *at = a + (group + i % 2 * 8) * 16 + place + i / 2 * 8;
            at[0] = low_half(own.a[i]);
            at[1] = high_half(own.a[i]);
            c[(group + i / 2 * 8) * 8 + place + i % 2] = own.c[i];
        }
        for (int i = 0; i < 2; i++) {
            float *at = b + (place + i * 8) * 8 + group;
            at[0] = low_half(own.b[i]);
            at[8] = high_half(own.b[i]);
        }
    }
    multiply_tile(a, b, c);
    for (int lane = 0; lane < 32; lane++) {
        const mma_argument &own = argument_of<mma_argument>(arguments, lane);
        const int group = lane / 4, place = lane % 4 * 2;
        for (int i = 0; i < 4; i++)
            own.d[i] = c[(group + i / 2 * 8) * 8 + place + i % 2];
    }
}

/* The same of int8, a [16][32] and b transposed [8][32]; int32 wraps. */
CUDAEMU_CLONES static void multiply_tile_s8(const int8_t *a, const int8_t *b, uint32_t *c)
{
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            int32_t sum = 0;
            for (int k = 0; k < 32; k++)
                sum += a[i * 32 + k] * b[j * 32 + k];
            c[i * 8 + j] += (uint32_t)sum;
        }
}
/* Fragments as in the PTX ISA, "Matrix Fragments for mma.m16n8k32". */
static void mma_s8_all(void *const *arguments, unsigned lanes)
{
    need_all(lanes, "mma of int8");
    alignas(64) int8_t a[16 * 32], b[8 * 32];
    uint32_t c[16 * 8];
    for (int lane = 0; lane < 32; lane++) {
        const mma_s8_argument &own = argument_of<mma_s8_argument>(arguments, lane);
        const int group = lane / 4, place = lane % 4;
        for (int i = 0; i < 4; i++) {
            memcpy(a + (group + i % 2 * 8) * 32 + place * 4 + i / 2 * 16, &own.a[i], 4);
            c[(group + i / 2 * 8) * 8 + place * 2 + i % 2] = (uint32_t)own.c[i];
        }
        for (int i = 0; i < 2; i++)
            memcpy(b + group * 32 + place * 4 + i * 16, &own.b[i], 4);
    }
    multiply_tile_s8(a, b, c);
    for (int lane = 0; lane < 32; lane++) {
        const mma_s8_argument &own = argument_of<mma_s8_argument>(arguments, lane);
        const int group = lane / 4, place = lane % 4 * 2;
        for (int i = 0; i < 4; i++)
            own.d[i] = (int32_t)c[(group + i / 2 * 8) * 8 + place + i % 2];
    }
}

static void ldmatrix_all(void *const *arguments, unsigned lanes)
{
    need_all(lanes, "ldmatrix");
    const bool transposed = argument_of<ldmatrix_argument>(arguments, 0).transposed;
    for (int matrix = 0; matrix < 4; matrix++) {
        uint16_t tile[8][8];
        for (int row = 0; row < 8; row++)
            memcpy(tile[row], argument_of<ldmatrix_argument>(arguments, matrix * 8 + row).row, 16);
        for (int lane = 0; lane < 32; lane++) {
            const int row = lane / 4, column = lane % 4 * 2;
            uint16_t low = transposed ? tile[column][row] : tile[row][column];
            uint16_t high = transposed ? tile[column + 1][row] : tile[row][column + 1];
            argument_of<ldmatrix_argument>(arguments, lane).out[matrix] =
                (uint32_t)low | (uint32_t)high << 16;
        }
    }
}

collective_body body_of(operation which)
{
    static const collective_body bodies[OPERATIONS] = {nullptr, nullptr,    shuffle_all, vote_all,
                                                       mma_all, mma_s8_all, ldmatrix_all};
    return bodies[which];
}
const char *name_of(operation which)
{
    static const char *const names[OPERATIONS] = {
        "__syncthreads", "__syncwarp", "a shuffle", "a vote", "mma", "mma of int8", "ldmatrix"};
    return names[which];
}

} // namespace cudaemu
