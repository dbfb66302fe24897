/* bf16 product on AMX tiles (TDPBF16PS): 32 rows by one panel of 32 columns at a time, four tiles of sums.
 * As gemm_bf16, and: a_k is 1; k is taken up to a multiple of 16 pairs, where A must hold zeros and B
 * anything finite; rows of A up to a multiple of 32 must be readable. */
#include "kernels/cpu/simd/gemm_tile.h"
#include "kernels/cpu/simd/simd.h"

#if defined(__AVX512F__)
enum { TILE_ROWS = 16, TILE_BYTES = 64 };

/* A test without the hardware brings its own. */
#ifndef AMX_LOAD
#define AMX_CODE __attribute__((target("amx-tile,amx-bf16")))
#define AMX_CONFIGURE(config) __asm__ volatile("ldtilecfg %0" ::"m"(*(config)))
#define AMX_RELEASE() __asm__ volatile("tilerelease")
#define AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
#define AMX_LOAD(tile, from, stride)                                                        \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"((int64_t)(stride)) \
                     : "memory")
#define AMX_STORE(tile, to, stride)                                                           \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"((int64_t)(stride)) \
                     : "memory")
/* sum += a b */
#define AMX_MULTIPLY(sum, a, b) \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sum ::)
#endif

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_a_row[16];
    uint8_t rows[16];
};

/* Sums 0 to 3 of rows 0-15 and 16-31 by columns 0-15 and 16-31; A in 4 and 5, B in 6 and 7. */
AMX_CODE static void multiply_block(const uint32_t *a, int64_t a_row, const uint32_t *b,
                                    int64_t depth, bool two, float sums[2 * TILE_ROWS][NR])
{
    const int64_t a_bytes = a_row * 4, b_bytes = NR * 4, c_bytes = NR * 4;
    const uint32_t *lower = a + TILE_ROWS * a_row;
    AMX_ZERO(0);
    AMX_ZERO(1);
    AMX_ZERO(2);
    AMX_ZERO(3);
    for (int64_t k = 0; k < depth; k += 16) {
        AMX_LOAD(6, b + k * NR, b_bytes);
        AMX_LOAD(7, b + k * NR + 16, b_bytes);
        AMX_LOAD(4, a + k, a_bytes);
        AMX_MULTIPLY(0, 4, 6);
        AMX_MULTIPLY(1, 4, 7);
        if (two) {
            AMX_LOAD(5, lower + k, a_bytes);
            AMX_MULTIPLY(2, 5, 6);
            AMX_MULTIPLY(3, 5, 7);
        }
    }
    AMX_STORE(0, &sums[0][0], c_bytes);
    AMX_STORE(1, &sums[0][16], c_bytes);
    if (two) {
        AMX_STORE(2, &sums[TILE_ROWS][0], c_bytes);
        AMX_STORE(3, &sums[TILE_ROWS][16], c_bytes);
    }
}

AMX_CODE void LNG_SIMD(gemm_amx)(const struct lng_gemm *g)
{
    struct tile_config config __attribute__((aligned(64))) = {.palette = 1};
    float sums[2 * TILE_ROWS][NR] __attribute__((aligned(64)));
    for (int tile = 0; tile < 8; tile++) {
        config.bytes_a_row[tile] = TILE_BYTES;
        config.rows[tile] = TILE_ROWS;
    }
    AMX_CONFIGURE(&config);
    struct tile_job job = {.add = g->add, .relu = g->relu};
    for (int64_t j = 0; j < g->n; j += NR) {
        const uint32_t *b = (const uint32_t *)g->b + j / NR * g->b_panel;
        job.cols = g->n - j < NR ? g->n - j : NR;
        job.bias = g->bias ? g->bias + j : 0;
        for (int64_t i = 0; i < g->m; i += 2 * TILE_ROWS) {
            int64_t rows = g->m - i < 2 * TILE_ROWS ? g->m - i : 2 * TILE_ROWS;
            multiply_block((const uint32_t *)g->a + i * g->a_row, g->a_row, b, g->k,
                           rows > TILE_ROWS, sums);
            for (int64_t r = 0; r < rows; r++)
                finish_row(&job, v_load(&sums[r][0]), v_load(&sums[r][VW]),
                           g->c + (i + r) * g->c_row + j);
        }
    }
    AMX_RELEASE();
}
#else
void LNG_SIMD(gemm_amx)(const struct lng_gemm *g)
{
    (void)g; /* never called: AMX machines have AVX-512 */
}
#endif
