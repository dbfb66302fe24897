/* Products on AMX tiles: 32 rows by one panel of 32 columns at a time, four tiles of sums. As gemm_bf16 and
 * gemm_i8_vnni, and: a_k is 1; k is taken up to a multiple of 16 steps, where bf16's A and int8's B must hold zeros and
 * the other anything finite; rows of A up to a multiple of 32 must be readable. */
#include "kernels/cpu/simd/gemm_i8_tile.h"
#include "kernels/cpu/simd/simd.h"

#if defined(__AVX512F__)
enum { TILE_ROWS = 16, TILE_BYTES = 64, BLOCK_ROWS = 2 * TILE_ROWS };

/* A test without the hardware brings its own. */
#ifndef AMX_LOAD
#define AMX_CODE __attribute__((target("amx-tile,amx-bf16,amx-int8")))
#define AMX_CONFIGURE(config) __asm__ volatile("ldtilecfg %0" ::"m"(*(config)))
#define AMX_RELEASE() __asm__ volatile("tilerelease")
#define AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
#define AMX_LOAD(tile, from, stride)                                                        \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"((int64_t)(stride)) \
                     : "memory")
#define AMX_STORE(tile, to, stride)                                                           \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"((int64_t)(stride)) \
                     : "memory")
/* sum += a b: of pairs of bf16; of quads of bytes, a's without sign and b's with it */
#define AMX_MULTIPLY_BF16(sum, a, b) \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sum ::)
#define AMX_MULTIPLY_I8(sum, a, b) \
    __asm__ volatile("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #sum ::)
#endif
#define MULTIPLY(sum, a, b)               \
    do {                                  \
        if (bytes)                        \
            AMX_MULTIPLY_I8(sum, a, b);   \
        else                              \
            AMX_MULTIPLY_BF16(sum, a, b); \
    } while (0)

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_a_row[16];
    uint8_t rows[16];
};

AMX_CODE static void begin_tiles(void)
{
    struct tile_config config __attribute__((aligned(64))) = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        config.bytes_a_row[tile] = TILE_BYTES;
        config.rows[tile] = TILE_ROWS;
    }
    AMX_CONFIGURE(&config);
}

/* Rows i .. of A times a panel of B: sums [32 rows, NR] of four bytes. In tiles 0 to 3 the sums of rows 0-15 and 16-31
 * by columns 0-15 and 16-31; A in 4 and 5, B in 6 and 7. */
AMX_CODE static inline __attribute__((always_inline)) void
multiply_block(bool bytes, const struct lng_gemm *g, int64_t i, const uint32_t *b, void *sums)
{
    const int64_t a_bytes = g->a_row * 4, b_bytes = NR * 4;
    const uint32_t *a = (const uint32_t *)g->a + i * g->a_row, *lower = a + TILE_ROWS * g->a_row;
    const bool two = g->m - i > TILE_ROWS;
    char *c = sums;
    AMX_ZERO(0);
    AMX_ZERO(1);
    AMX_ZERO(2);
    AMX_ZERO(3);
    for (int64_t k = 0; k < g->k; k += 16) {
        AMX_LOAD(6, b + k * NR, b_bytes);
        AMX_LOAD(7, b + k * NR + 16, b_bytes);
        AMX_LOAD(4, a + k, a_bytes);
        MULTIPLY(0, 4, 6);
        MULTIPLY(1, 4, 7);
        if (two) {
            AMX_LOAD(5, lower + k, a_bytes);
            MULTIPLY(2, 5, 6);
            MULTIPLY(3, 5, 7);
        }
    }
    AMX_STORE(0, c, b_bytes);
    AMX_STORE(1, c + TILE_BYTES, b_bytes);
    if (two) {
        AMX_STORE(2, c + TILE_ROWS * b_bytes, b_bytes);
        AMX_STORE(3, c + TILE_ROWS * b_bytes + TILE_BYTES, b_bytes);
    }
}

static struct tile_job job_of(const struct lng_gemm *g, int64_t col)
{
    return (struct tile_job){
        .b = (const uint32_t *)g->b + col / NR * g->b_panel,
        .c_row = g->c_row,
        .cols = g->n - col < NR ? g->n - col : NR,
        .bias = g->bias ? g->bias + col : 0,
        .add = g->add,
        .relu = g->relu,
    };
}

AMX_CODE void LNG_SIMD(gemm_amx)(const struct lng_gemm *g)
{
    float sums[BLOCK_ROWS * NR] __attribute__((aligned(64)));
    begin_tiles();
    for (int64_t j = 0; j < g->n; j += NR) {
        const struct tile_job job = job_of(g, j);
        for (int64_t i = 0; i < g->m; i += BLOCK_ROWS) {
            multiply_block(false, g, i, job.b, sums);
            for (int64_t r = 0; r < BLOCK_ROWS && i + r < g->m; r++)
                finish_row(&job, v_load(sums + r * NR), v_load(sums + r * NR + VW),
                           g->c + (i + r) * g->c_row + j);
        }
    }
    AMX_RELEASE();
}

/* The sums are gemm_i8_vnni's, and so are the bits. */
AMX_CODE void LNG_SIMD(gemm_i8_amx)(const struct lng_gemm_i8 *gi)
{
    const struct lng_gemm *g = &gi->gemm;
    int32_t sums[BLOCK_ROWS * NR] __attribute__((aligned(64)));
    begin_tiles();
    for (int64_t j = 0; j < g->n; j += NR) {
        struct tile_job job = job_of(g, j);
        vi begin[MR][2];
        begin_tile(1, gi, job.cols, j, begin);
        for (int64_t i = 0; i < g->m; i += BLOCK_ROWS) {
            multiply_block(true, g, i, job.b, sums);
            for (int64_t r = 0; r < BLOCK_ROWS && i + r < g->m; r++) {
                vi sum[MR][2];
                sum[0][0] = vi_add(_mm512_load_si512(sums + r * NR), begin[0][0]);
                sum[0][1] = vi_add(_mm512_load_si512(sums + r * NR + VW), begin[0][1]);
                job.c = g->c + (i + r) * g->c_row + j;
                finish_tile(1, gi, &job, i + r, j, sum);
            }
        }
    }
    AMX_RELEASE();
}
#else
void LNG_SIMD(gemm_amx)(const struct lng_gemm *g)
{
    (void)g; /* never called: AMX machines have AVX-512 */
}

void LNG_SIMD(gemm_i8_amx)(const struct lng_gemm_i8 *g)
{
    (void)g; /* nor this */
}
#endif
