/* Products on AMX tiles: two tiles of rows by one panel of 32 columns at a time, four tiles of sums. As gemm_bf16 and
 * gemm_i8_vnni, and: a_k is 1; k is taken up to a multiple of 16 steps, where bf16's A and int8's B must hold zeros and
 * the other anything finite. */
#include "kernels/cpu/simd/gemm_i8_tile.h"
#include "kernels/cpu/simd/simd.h"

#if defined(__AVX512F__)
enum { TILE_ROWS = 16, TILE_STEPS = 16, TILE_BYTES = 64, BLOCK_ROWS = 2 * TILE_ROWS, FEW_ROWS = 4 };

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

/* Tiles of rows, all of the same height. The last may begin before the one before it ends: nothing past the last row is
 * read, and what is there twice is left out the second time. */
struct tile_rows {
    int64_t count, height, all;
};

static struct tile_rows cut_rows(int64_t rows)
{
    const int64_t count = (rows + TILE_ROWS - 1) / TILE_ROWS;
    return (struct tile_rows){count, (rows + count - 1) / count, rows};
}

static int64_t first_row(const struct tile_rows *rows, int64_t tile)
{
    const int64_t last = rows->all - rows->height;
    return tile * rows->height < last ? tile * rows->height : last;
}

/* In tiles 0 and 1 the sums of a tile of rows by columns 0-15 and 16-31, in 2 and 3 of the next; A in 4 and 5, B in 6 and
 * 7. */
AMX_CODE static void begin_tiles(const struct tile_rows *rows)
{
    struct tile_config config __attribute__((aligned(64))) = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        config.bytes_a_row[tile] = TILE_BYTES;
        config.rows[tile] = (uint8_t)(tile < 6 ? rows->height : TILE_ROWS);
    }
    AMX_CONFIGURE(&config);
}

/* What is called from memory meanwhile: so many lines every step of 16. */
struct later {
    const char *at;
    int64_t lines;
};

/* One or two tiles of A, the second NULL or not, times a panel of B: sums [32 rows, NR] of four bytes. */
AMX_CODE static inline __attribute__((always_inline)) void
multiply_block(bool bytes, const struct lng_gemm *g, const uint32_t *a, const uint32_t *second,
               const uint32_t *b, struct later later, void *sums)
{
    const int64_t a_bytes = g->a_row * 4, b_bytes = NR * 4;
    char *c = sums;
    AMX_ZERO(0);
    AMX_ZERO(1);
    AMX_ZERO(2);
    AMX_ZERO(3);
    for (int64_t k = 0; k < g->k; k += TILE_STEPS) {
        for (int64_t i = 0; i < later.lines; i++, later.at += 64)
            _mm_prefetch(later.at, _MM_HINT_T1);
        AMX_LOAD(6, b + k * NR, b_bytes);
        AMX_LOAD(7, b + k * NR + 16, b_bytes);
        AMX_LOAD(4, a + k, a_bytes);
        MULTIPLY(0, 4, 6);
        MULTIPLY(1, 4, 7);
        if (second) {
            AMX_LOAD(5, second + k, a_bytes);
            MULTIPLY(2, 5, 6);
            MULTIPLY(3, 5, 7);
        }
    }
    AMX_STORE(0, c, b_bytes);
    AMX_STORE(1, c + TILE_BYTES, b_bytes);
    if (second) {
        AMX_STORE(2, c + TILE_ROWS * b_bytes, b_bytes);
        AMX_STORE(3, c + TILE_ROWS * b_bytes + TILE_BYTES, b_bytes);
    }
}

/* Rows [row, row + rows) of C from their sums. */
typedef void finish_function(const void *product, struct tile_job *job, int64_t row, int64_t col,
                             int64_t rows, const void *sums);

/* The next panel is called by equal parts while this one is multiplied by all rows; few rows leave too little to do. */
AMX_CODE static inline __attribute__((always_inline)) void
walk_blocks(bool bytes, const struct lng_gemm *g, finish_function *finish, const void *product)
{
    uint32_t sums[BLOCK_ROWS * NR] __attribute__((aligned(64)));
    if (g->m <= 0)
        return;
    const struct tile_rows rows = cut_rows(g->m);
    const int64_t blocks = (rows.count + 1) / 2, whole = NR * 4 * TILE_STEPS / 64;
    const int64_t lines = g->m > FEW_ROWS ? (whole + blocks - 1) / blocks : 0;
    const int64_t share = (g->k + TILE_STEPS - 1) / TILE_STEPS * lines * 64;
    begin_tiles(&rows);
    for (int64_t j = 0; j < g->n; j += NR) {
        struct tile_job job = {
            .b = (const uint32_t *)g->b + j / NR * g->b_panel,
            .c_row = g->c_row,
            .cols = g->n - j < NR ? g->n - j : NR,
            .bias = g->bias ? g->bias + j : 0,
            .add = g->add,
            .relu = g->relu,
        };
        const uint32_t *b = job.b;
        struct later later = {(const char *)(b + g->b_panel), lines};
        for (int64_t t = 0; t < rows.count; t += 2, later.at += share) {
            const uint32_t *a = g->a, *first = a + first_row(&rows, t) * g->a_row;
            const bool two = t + 1 < rows.count;
            multiply_block(bytes, g, first, two ? a + first_row(&rows, t + 1) * g->a_row : 0, b,
                           later, sums);
            for (int64_t i = t; i < t + 1 + two; i++) {
                const int64_t row = i * rows.height, again = row - first_row(&rows, i);
                job.c = g->c + row * g->c_row + j;
                finish(product, &job, row, j, rows.height - again,
                       sums + ((i - t) * TILE_ROWS + again) * NR);
            }
        }
    }
    AMX_RELEASE();
}

static void finish_floats(const void *product, struct tile_job *job, int64_t row, int64_t col,
                          int64_t rows, const void *sums)
{
    const float *s = sums;
    (void)product, (void)row, (void)col;
    for (int64_t r = 0; r < rows; r++, s += NR)
        finish_row(job, v_load(s), v_load(s + VW), job->c + r * job->c_row);
}

AMX_CODE void LNG_SIMD(gemm_amx)(const struct lng_gemm *g)
{
    walk_blocks(false, g, finish_floats, g);
}

VEC_INLINE void finish_some(int mr, const struct lng_gemm_i8 *g, const struct tile_job *job,
                            int64_t row, int64_t col, const int32_t *sums)
{
    vi sum[MR][2];
    begin_tile(mr, g, job->cols, col, sum);
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
        sum[i][0] = vi_add(sum[i][0], _mm512_loadu_si512(sums + i * NR));
        sum[i][1] = vi_add(sum[i][1], _mm512_loadu_si512(sums + i * NR + VW));
    }
    finish_tile(mr, g, job, row, col, sum);
}

/* The sums are gemm_i8_vnni's, and so are the bits. */
static void finish_bytes(const void *product, struct tile_job *job, int64_t row, int64_t col,
                         int64_t rows, const void *sums)
{
    enum { TOGETHER = 8 };
    const int32_t *s = sums;
    int64_t r = 0;
    for (; r + TOGETHER <= rows; r += TOGETHER, job->c += TOGETHER * job->c_row)
        finish_some(TOGETHER, product, job, row + r, col, s + r * NR);
    for (; r < rows; r++, job->c += job->c_row)
        finish_some(1, product, job, row + r, col, s + r * NR);
}

AMX_CODE void LNG_SIMD(gemm_i8_amx)(const struct lng_gemm_i8 *g)
{
    walk_blocks(true, &g->gemm, finish_bytes, g);
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
