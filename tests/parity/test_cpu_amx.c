/* The AMX products on tiles made of plain C: what the hardware does is said by TDPBF16PS and TDPBUSD in the manual. */
#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#define TILE_TEST 0
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")
#define TILE_TEST 1
#endif
#include <criterion/criterion.h>

#include "host/base/bf16.h"

#if TILE_TEST
static struct {
    unsigned char bytes[8][16][64];
    int configured, rows[8];
    const char *left, *end; /* of A: nothing past it may be read */
} emulated;

static void tile_configure(const void *config)
{
    const unsigned char *c = config;
    uint16_t width[8];
    memcpy(width, c + 16, sizeof width);
    emulated.configured = c[0] == 1;
    for (int t = 0; t < 8; t++) {
        emulated.rows[t] = c[48 + t];
        emulated.configured &= width[t] == 64 && c[48 + t] >= 1 && c[48 + t] <= 16;
    }
    memset(emulated.bytes, 0xFF, sizeof emulated.bytes);
}
static void tile_load(int tile, const void *from, int64_t stride)
{
    const char *first = from, *last = first + (emulated.rows[tile] - 1) * stride;
    cr_assert(emulated.configured);
    cr_assert(first < emulated.left || first >= emulated.end || last + 64 <= emulated.end);
    for (int r = 0; r < emulated.rows[tile]; r++)
        memcpy(emulated.bytes[tile][r], first + r * stride, 64);
}
static void tile_store(int tile, void *to, int64_t stride)
{
    for (int r = 0; r < emulated.rows[tile]; r++)
        memcpy((char *)to + r * stride, emulated.bytes[tile][r], 64);
}
static float bf16_at(int tile, int row, int index)
{
    uint16_t value;
    memcpy(&value, &emulated.bytes[tile][row][2 * index], sizeof value);
    return lng_bf16_to_f32(value);
}
static void check_shapes(int sum, int a, int b)
{
    cr_assert(emulated.rows[sum] == emulated.rows[a] && emulated.rows[b] == 16);
}
static void tile_multiply(int sum, int a, int b)
{
    check_shapes(sum, a, b);
    for (int m = 0; m < emulated.rows[sum]; m++)
        for (int n = 0; n < 16; n++) {
            float c;
            memcpy(&c, &emulated.bytes[sum][m][4 * n], sizeof c);
            for (int k = 0; k < 16; k++)
                c += bf16_at(a, m, 2 * k) * bf16_at(b, k, 2 * n) +
                     bf16_at(a, m, 2 * k + 1) * bf16_at(b, k, 2 * n + 1);
            memcpy(&emulated.bytes[sum][m][4 * n], &c, sizeof c);
        }
}
static void tile_multiply_bytes(int sum, int a, int b)
{
    check_shapes(sum, a, b);
    for (int m = 0; m < emulated.rows[sum]; m++)
        for (int n = 0; n < 16; n++) {
            int32_t c;
            memcpy(&c, &emulated.bytes[sum][m][4 * n], sizeof c);
            for (int k = 0; k < 64; k++)
                c += emulated.bytes[a][m][k] * (int8_t)emulated.bytes[b][k / 4][4 * n + k % 4];
            memcpy(&emulated.bytes[sum][m][4 * n], &c, sizeof c);
        }
}

#define AMX_CODE
#define AMX_CONFIGURE(config) tile_configure(config)
#define AMX_RELEASE() (void)(emulated.configured = 0)
#define AMX_ZERO(tile) memset(emulated.bytes[tile], 0, sizeof emulated.bytes[tile])
#define AMX_LOAD(tile, from, stride) tile_load(tile, from, stride)
#define AMX_STORE(tile, to, stride) tile_store(tile, to, stride)
#define AMX_MULTIPLY_BF16(sum, a, b) tile_multiply(sum, a, b)
#define AMX_MULTIPLY_I8(sum, a, b) tile_multiply_bytes(sum, a, b)
#define LNG_ISA on_c_tiles
#include "kernels/cpu/simd/gemm_amx.c" /* the source itself, on these tiles */

/* Small integers: every order of summing gives the same bits. */
static float small(uint32_t i)
{
    return (float)((int)(i * 2654435761u >> 29) - 3);
}

enum { ROWS = 96, STEPS = 64, COLS = 96, PITCH = 80, C_ROW = 100, C_SIZE = ROWS * C_ROW };
static uint32_t a[ROWS * PITCH], b[COLS * STEPS];
static float c[C_SIZE], wanted[C_SIZE], bias[COLS];

static void open_results(void)
{
    for (int i = 0; i < C_SIZE; i++)
        c[i] = wanted[i] = small((uint32_t)i);
    for (uint32_t j = 0; j < COLS; j++)
        bias[j] = small(j + 9);
}

static void allow(int64_t rows)
{
    emulated.left = (const char *)a;
    emulated.end = (const char *)(a + rows * PITCH);
}

/* mode: 1 add, 2 bias, 4 relu */
static struct lng_gemm product_of(int64_t m, int64_t n, int64_t k, int mode)
{
    return (struct lng_gemm){.a = a,
                             .a_row = PITCH,
                             .a_k = 1,
                             .b = b,
                             .b_panel = (k + 15) / 16 * 16 * 32,
                             .c = c,
                             .c_row = C_ROW,
                             .m = m,
                             .n = n,
                             .k = k,
                             .bias = mode & 2 ? bias : NULL,
                             .add = mode & 1,
                             .relu = mode & 4};
}

static void want(int64_t row, int64_t col, float sum, int mode)
{
    float *place = &wanted[row * C_ROW + col];
    sum += (mode & 1 ? *place : 0) + (mode & 2 ? bias[col] : 0);
    *place = mode & 4 && sum < 0 ? 0 : sum;
}

static void check_results(const char *what, const struct lng_gemm *g, int mode)
{
    for (int i = 0; i < C_SIZE; i++)
        cr_assert(c[i] == wanted[i], "%s, %d x %d x %d, mode %d, element %d: %g, not %g", what,
                  (int)g->m, (int)g->n, (int)g->k, mode, i, c[i], wanted[i]);
}

static void compare(int64_t m, int64_t n, int64_t k, int mode)
{
    const int64_t whole = (k + 15) / 16 * 16;
    const struct lng_gemm g = product_of(m, n, k, mode);
    open_results();
    allow(m);
    memset(a, 0, sizeof a);
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p++)
            a[i * PITCH + p] = lng_f32_to_bf16(small((uint32_t)(i * 131 + p))) |
                               (uint32_t)lng_f32_to_bf16(small((uint32_t)(i * 37 + p))) << 16;
    for (int64_t j = 0; j < COLS; j++) /* also where A is zero */
        for (int64_t p = 0; p < whole; p++)
            b[(j / 32 * whole + p) * 32 + j % 32] =
                lng_f32_to_bf16(small((uint32_t)(j * 57 + p))) |
                (uint32_t)lng_f32_to_bf16(small((uint32_t)(j * 91 + p))) << 16;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float sum = 0;
            for (int64_t p = 0; p < k; p++)
                sum += small((uint32_t)(i * 131 + p)) * small((uint32_t)(j * 57 + p)) +
                       small((uint32_t)(i * 37 + p)) * small((uint32_t)(j * 91 + p));
            want(i, j, sum, mode);
        }
    lng_simd_gemm_amx_on_c_tiles(&g);
    check_results("bf16", &g, mode);
}

/* Quads in place of pairs: scales and sums are exact in f32. What lies past the end of a row of A meets zeros. mode 8:
 * something is taken off every column. */
static void compare_bytes(int64_t m, int64_t n, int64_t k, int mode)
{
    static float row_scales[ROWS], col_scales[COLS];
    static int32_t less[COLS];
    const int64_t whole = (k + 15) / 16 * 16;
    const struct lng_gemm_i8 g = {.gemm = product_of(m, n, k, mode),
                                  .row_scales = row_scales,
                                  .col_scales = col_scales,
                                  .less = mode & 8 ? less : NULL};
    open_results();
    allow(m);
    memset(b, 0, sizeof b);
    for (uint32_t i = 0; i < ROWS * PITCH; i++)
        a[i] = i * 2654435761u;
    for (int64_t j = 0; j < n; j++)
        for (int64_t p = 0; p < k; p++)
            b[(j / 32 * whole + p) * 32 + j % 32] = (uint32_t)(j * 71 + p + 1) * 2246822519u;
    for (int i = 0; i < COLS; i++) {
        row_scales[i] = i % 2 ? 0.5f : 1;
        col_scales[i] = i % 3 ? 0.25f : 1;
        less[i] = i * 11;
    }
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const uint8_t *x = (const uint8_t *)(a + i * PITCH);
            int32_t sum = mode & 8 ? -less[j] : 0;
            for (int64_t p = 0; p < 4 * k; p++)
                sum += x[p] * ((const int8_t *)(b + (j / 32 * whole + p / 4) * 32 + j % 32))[p % 4];
            want(i, j, (float)sum * row_scales[i] * col_scales[j], mode);
        }
    lng_simd_gemm_i8_amx_on_c_tiles(&g);
    check_results("int8", &g.gemm, mode);
}
#endif

Test(cpu_amx, products_on_emulated_tiles)
{
#if TILE_TEST
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        cr_skip_test("needs AVX-512");
    static const int64_t sizes[][3] = {{1, 1, 1},    {16, 32, 16}, {17, 33, 17}, {48, 96, 50},
                                       {33, 7, 64},  {96, 65, 32}, {3, 32, 16},  {23, 64, 16},
                                       {71, 32, 33}, {0, 32, 16}};
    for (int i = 0; i < 10; i++)
        for (int mode = 0; mode < 16; mode++) {
            if (mode < 8)
                compare(sizes[i][0], sizes[i][1], sizes[i][2], mode);
            compare_bytes(sizes[i][0], sizes[i][1], sizes[i][2], mode);
        }
#else
    cr_skip_test("built by clang, whose pragmas do not reach the intrinsics");
#endif
}
