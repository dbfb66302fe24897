/* A product by tensor cores with copies under way, as the attention kernels have it:
 * y [64][16] = sum over tiles of x [rows][16] w [16][16], by four warps of 16 rows each. */
#include "tests/cudaemu/planted/planted.h"

namespace
{

enum bug {
    NONE,
    GLOBAL_OVERRUN,
    COPY_NOT_WAITED,
    TILE_NO_BARRIER,
    NOT_TRANSPOSED,
    REFILL_NO_BARRIER,
    SHARED_OVERRUN,
};
constexpr int ROWS = 64, WIDE = 16, PITCH = 24, TILES = 3, PRESENT = 60;

template <int BUG>
__device__ void load_tile(uint16_t *x_tile, uint16_t *w_tile, const uint16_t *x, const uint16_t *w)
{
    /* Not the rows that the warp will work on. */
    const int row = (blockDim.x - 1 - threadIdx.x) / 2, column = threadIdx.x % 2 * 8;
    const bool valid = BUG == GLOBAL_OVERRUN || row < PRESENT;
    gpu_copy_async16(x_tile + row * PITCH + column, valid ? x + row * WIDE + column : x, valid);
    if (row < WIDE)
        gpu_copy_async16(w_tile + row * PITCH + column, w + row * WIDE + column, true);
}
template <int BUG> __global__ void product(float *y, const uint16_t *x, const uint16_t *w)
{
    GPU_SHARED(room);
    uint16_t *x_tiles = gpu_shared_take<uint16_t>(room, 2 * ROWS * PITCH);
    uint16_t *w_tiles = gpu_shared_take<uint16_t>(room, 2 * WIDE * PITCH);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float sums[2][4] = {};
    load_tile<BUG>(x_tiles, w_tiles, x, w);
    gpu_copy_async_commit();
    for (int tile = 0; tile < TILES; tile++) {
        const int now = tile % 2, next = 1 - now;
        if (tile + 1 < TILES)
            load_tile<BUG>(x_tiles + next * ROWS * PITCH, w_tiles + next * WIDE * PITCH,
                           x + (tile + 1) * PRESENT * WIDE, w + (tile + 1) * WIDE * WIDE);
        gpu_copy_async_commit();
        if (BUG != COPY_NOT_WAITED)
            gpu_copy_async_wait<1>();
        if (BUG != TILE_NO_BARRIER)
            __syncthreads();
        uint32_t a[4], b[4];
        gpu_ldmatrix4(a, x_tiles + (now * ROWS + warp * 16 + lane % 16) * PITCH + lane / 16 * 8);
        const uint16_t *w_row = w_tiles + (now * WIDE + lane % 16) * PITCH + lane / 16 * 8;
        if (BUG == NOT_TRANSPOSED)
            gpu_ldmatrix4(b, w_row);
        else
            gpu_ldmatrix4_transposed(b, w_row);
        const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
        gpu_mma_bf16(sums[0], a, left, sums[0]);
        gpu_mma_bf16(sums[1], a, right, sums[1]);
        if (BUG != REFILL_NO_BARRIER)
            __syncthreads();
    }
    gpu_copy_async_wait<0>();
    if (BUG == SHARED_OVERRUN && threadIdx.x < 16)
        x_tiles[2 * ROWS * PITCH + threadIdx.x] = 0;
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 4; i++) {
            const int row = warp * 16 + lane / 4 + i / 2 * 8;
            const int column = half * 8 + lane % 4 * 2 + i % 2;
            y[row * WIDE + column] = sums[half][i];
        }
}

float x_value(int tile, int row, int column)
{
    return (float)((tile * 7 + row * 3 + column * 5) % 11 - 5);
}
float w_value(int tile, int row, int column)
{
    return (float)((tile * 5 + row * 2 + column * 3) % 7 - 3);
}
uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

template <int BUG> bool run(bool bug)
{
    std::vector<uint16_t> x(TILES * PRESENT * WIDE), w(TILES * WIDE * WIDE);
    std::vector<float> wanted(ROWS * WIDE, 0.0f);
    for (int tile = 0; tile < TILES; tile++)
        for (int k = 0; k < WIDE; k++) {
            for (int row = 0; row < PRESENT; row++)
                x[(tile * PRESENT + row) * WIDE + k] = bf16_of(x_value(tile, row, k));
            for (int column = 0; column < WIDE; column++) {
                w[(tile * WIDE + k) * WIDE + column] = bf16_of(w_value(tile, k, column));
                for (int row = 0; row < PRESENT; row++)
                    wanted[row * WIDE + column] += x_value(tile, row, k) * w_value(tile, k, column);
            }
        }
    planted_array<uint16_t> x_there(x), w_there(w);
    planted_array<float> y(ROWS * WIDE);
    const size_t shared =
        gpu_shared_bytes<uint16_t>(2 * ROWS * PITCH) + gpu_shared_bytes<uint16_t>(2 * WIDE * PITCH);
    PLANTED_TRY(bug ? GPU_LAUNCH(product<BUG>, 1, 128, shared, 0, y.at, x_there.at, w_there.at)
                    : GPU_LAUNCH(product<NONE>, 1, 128, shared, 0, y.at, x_there.at, w_there.at));
    return y.read() == wanted;
}

} // namespace

const planted_case planted_copies[] = {
    {"global-overrun", run<GLOBAL_OVERRUN>},
    {"copy-not-waited", run<COPY_NOT_WAITED>},
    {"tile-no-barrier", run<TILE_NO_BARRIER>},
    {"not-transposed", run<NOT_TRANSPOSED>},
    {"refill-no-barrier", run<REFILL_NO_BARRIER>},
    {"shared-overrun", run<SHARED_OVERRUN>},
    {nullptr, nullptr},
};
