/* int8 product: four k a lane, exact int32 sums, then one scale a row and one a column. */
#include "kernels/cpu/simd/gemm_i8_tile.h"
#include "kernels/cpu/simd/simd.h"

/* Whole numbers as bytes, the first `count`, a multiple of four. */
VEC_INLINE void store_bytes(int8_t *to, vi n, vi flip, int64_t count)
{
#if defined(__AVX512F__)
    __m128i bytes = _mm512_cvtepi32_epi8(_mm512_xor_si512(n, flip));
    _mm_mask_storeu_epi8(to, v_mask_n(count), bytes);
#else
#if defined(__AVX2__)
    n = _mm256_xor_si256(n, flip);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1));
#else
    __m128i words = _mm_packs_epi32(_mm_xor_si128(n, flip), _mm_setzero_si128());
#endif
    __m128i bytes = _mm_packs_epi16(words, words);
    if (VW == 8 && count >= 8)
        _mm_storel_epi64((__m128i *)(void *)to, bytes);
    else
        memcpy(to, &bytes, 4);
#endif
}

/* Four registers of whole numbers as bytes. */
VEC_INLINE void store_block(int8_t *to, const vi n[4], vi flip)
{
#if defined(__AVX512F__)
    for (int i = 0; i < 4; i++)
        _mm_storeu_si128((__m128i *)(void *)(to + i * VW),
                         _mm512_cvtepi32_epi8(_mm512_xor_si512(n[i], flip)));
#elif defined(__AVX2__)
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i low = _mm256_packs_epi32(_mm256_xor_si256(n[0], flip), _mm256_xor_si256(n[1], flip));
    __m256i high = _mm256_packs_epi32(_mm256_xor_si256(n[2], flip), _mm256_xor_si256(n[3], flip));
    __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    _mm256_storeu_si256((__m256i *)(void *)to, bytes);
#else
    __m128i low = _mm_packs_epi32(_mm_xor_si128(n[0], flip), _mm_xor_si128(n[1], flip));
    __m128i high = _mm_packs_epi32(_mm_xor_si128(n[2], flip), _mm_xor_si128(n[3], flip));
    _mm_storeu_si128((__m128i *)(void *)to, _mm_packs_epi16(low, high));
#endif
}

/* The largest magnitude; what is not a number does not count. */
VEC_INLINE float largest_of(const float *x, int64_t count)
{
    vf best[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t i = 0;
    for (; i + 4 * VW <= count; i += 4 * VW)
        for (int j = 0; j < 4; j++)
            best[j] = v_max(v_abs(v_load(x + i + j * VW)), best[j]);
    for (; i < count; i += VW)
        best[0] = v_max(v_abs(v_load_n(x + i, count - i)), best[0]);
    return v_maximum(v_max(v_max(best[0], best[1]), v_max(best[2], best[3])));
}

VEC_INLINE vf in_steps(vf x, vf steps)
{
    return v_max(v_set(-127), v_min(v_set(127), v_nan_to_zero(v_mul(x, steps))));
}

/* Magnitude of the row that 127 stands for, as ref's quantize_row; the row as int8, filled up with zeros to a multiple
 * of four. offset: 128 is added to every byte; magnitudes NULL or |q|. */
float LNG_SIMD(quantize_row)(const float *x, int64_t count, bool offset, int8_t *q,
                             int8_t *magnitudes)
{
    const int64_t padded = (count + 3) / 4 * 4;
    const vi flip = vi_set(offset ? -128 : 0), none = vi_set(0);
    const float highest = largest_of(x, count);
    float scale = highest / 127.0f, steps = 127.0f / highest;
    if (!(scale > 0))
        scale = 1, steps = 1;
    int64_t i = 0;
    for (; i + 4 * VW <= count; i += 4 * VW) {
        vi n[4], m[4];
        for (int j = 0; j < 4; j++) {
            const vf v = in_steps(v_load(x + i + j * VW), v_set(steps));
            n[j] = v_to_int(v);
            m[j] = v_to_int(v_abs(v));
        }
        store_block(q + i, n, flip);
        if (magnitudes)
            store_block(magnitudes + i, m, none);
    }
    for (; i < padded; i += VW) {
        const vf v = in_steps(v_load_n(x + i, count - i), v_set(steps));
        store_bytes(q + i, v_to_int(v), flip, padded - i);
        if (magnitudes)
            store_bytes(magnitudes + i, v_to_int(v_abs(v)), none, padded - i);
    }
    return scale;
}

/* B [k, n] from w [n, k]: panels of NR columns, lane j of step s the values 4 s .. 4 s + 3 of column j;
 * zeros past k. sums[j] = the sum of column j. */
void LNG_SIMD(pack_right_i8)(const int8_t *w, int64_t k, int64_t n, uint32_t *panels,
                             int64_t b_panel, int32_t *sums)
{
    for (int64_t j = 0; j < n; j++) {
        uint32_t *to = panels + j / NR * b_panel + j % NR;
        sums[j] = 0;
        for (int64_t s = 0; s < (k + 3) / 4; s++) {
            uint8_t quad[4] = {0};
            for (int64_t i = 0; i < 4 && 4 * s + i < k; i++) {
                quad[i] = (uint8_t)w[j * k + 4 * s + i];
                sums[j] += w[j * k + 4 * s + i];
            }
            memcpy(to + s * NR, quad, sizeof quad);
        }
    }
}

/* sum += the four products of each lane; magnitude is |x|. */
#if defined(__AVX512F__)
VEC_INLINE vi dot_quads(vi sum, vi x, vi magnitude, vi b)
{
    vi turned = _mm512_mask_sub_epi8(b, _mm512_movepi8_mask(x), _mm512_setzero_si512(), b);
    vi pairs = _mm512_maddubs_epi16(magnitude, turned);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
VEC_INLINE vi load_quads(const uint32_t *p)
{
    return _mm512_loadu_si512(p);
}
#elif defined(__AVX2__)
VEC_INLINE vi dot_quads(vi sum, vi x, vi magnitude, vi b)
{
    const vi ones = _mm256_set1_epi16(1);
    vi pairs;
    /* as intrinsics gcc 12 puts sums into memory and back */
    __asm__("vpsignb %2, %4, %1\n\t"
            "vpmaddubsw %1, %3, %1\n\t"
            "vpmaddwd %5, %1, %1\n\t"
            "vpaddd %1, %0, %0"
            : "+x"(sum), "=&x"(pairs)
            : "x"(x), "x"(magnitude), "x"(b), "x"(ones));
    return sum;
}
VEC_INLINE vi load_quads(const uint32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
#else
VEC_INLINE vi dot_quads(vi sum, vi x, vi magnitude, vi b)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i wide = _mm_srai_epi16(_mm_unpacklo_epi8(zero, x), 8);
    __m128i low = _mm_madd_epi16(wide, _mm_srai_epi16(_mm_unpacklo_epi8(zero, b), 8));
    __m128i high = _mm_madd_epi16(wide, _mm_srai_epi16(_mm_unpackhi_epi8(zero, b), 8));
    __m128 even = _mm_shuffle_ps(_mm_castsi128_ps(low), _mm_castsi128_ps(high), 0x88);
    __m128 odd = _mm_shuffle_ps(_mm_castsi128_ps(low), _mm_castsi128_ps(high), 0xDD);
    (void)magnitude;
    sum = _mm_add_epi32(sum, _mm_castps_si128(even));
    return _mm_add_epi32(sum, _mm_castps_si128(odd));
}
VEC_INLINE vi load_quads(const uint32_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
#endif

VEC_INLINE void tile_i8(int mr, const struct lng_gemm_i8 *g, const struct tile_job *job,
                        int64_t row, int64_t col)
{
    vi sum[MR][2];
    const uint32_t *a = job->a, *b = job->b;
    const char *part = job->part;
    begin_tile(mr, g, job->cols, col, sum);
    for (int64_t k = 0; k < job->depth; k++, a++, b += NR, part += job->part_step) {
        vi b0 = load_quads(b), b1 = load_quads(b + VW);
        _mm_prefetch(part, _MM_HINT_T1);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            vi x = vi_set((int32_t)a[i * job->a_row]);
            vi m = vi_set((int32_t)a[i * job->a_row + g->magnitudes]);
            sum[i][0] = dot_quads(sum[i][0], x, m, b0);
            sum[i][1] = dot_quads(sum[i][1], x, m, b1);
        }
    }
    finish_tile(mr, g, job, row, col, sum);
}

#if defined(__AVX512F__)
#define VNNI_CODE __attribute__((target("avx512vnni")))
/* A holds bytes xor 0x80, that is x + 128: `less` takes 128 times the column sums off again. */
static inline __attribute__((always_inline)) VNNI_CODE void
tile_vnni(int mr, const struct lng_gemm_i8 *g, const struct tile_job *job, int64_t row, int64_t col)
{
    vi sum[MR][2];
    const uint32_t *a = job->a, *b = job->b;
    const char *part = job->part;
    begin_tile(mr, g, job->cols, col, sum);
    for (int64_t k = 0; k < job->depth; k++, a++, b += NR, part += job->part_step) {
        vi b0 = load_quads(b), b1 = load_quads(b + VW);
        _mm_prefetch(part, _MM_HINT_T1);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            vi x = vi_set((int32_t)a[i * job->a_row]);
            /* gcc 12 moves every sum to another register and back around the intrinsic */
            __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[i][0]) : "v"(x), "v"(b0));
            __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[i][1]) : "v"(x), "v"(b1));
        }
    }
    finish_tile(mr, g, job, row, col, sum);
}
#endif

typedef void tile_i8_function(const struct lng_gemm_i8 *, const struct tile_job *, int64_t,
                              int64_t);

/* A panel is multiplied by all rows before the next, which is called from memory by parts meanwhile, at the pace at
 * which it will be needed; k is never cut. Few rows leave too little to do: there the processor's own reading ahead keeps
 * up better alone. */
VEC_INLINE void walk_i8(const struct lng_gemm_i8 *gi, int most, tile_i8_function *const *tiles)
{
    const struct lng_gemm *g = &gi->gemm;
    const int64_t count = (g->m + most - 1) / most, panel_step = NR * 4;
    struct tile_job job = {
        .a_row = g->a_row, .c_row = g->c_row, .depth = g->k, .add = g->add, .relu = g->relu};
    job.part_step = g->m <= MR / 3 ? 0 : (panel_step + count - 1) / count;
    for (int64_t j = 0; j < g->n; j += NR) {
        job.b = (const uint32_t *)g->b + j / NR * g->b_panel;
        job.cols = g->n - j < NR ? g->n - j : NR;
        job.bias = g->bias ? g->bias + j : 0;
        for (int64_t t = 0; t < count; t++) {
            /* tiles of equal height, but for one row */
            const int64_t i = g->m * t / count, rows = g->m * (t + 1) / count - i;
            job.a = (const uint32_t *)g->a + i * g->a_row;
            job.c = g->c + i * g->c_row + j;
            job.part =
                (const char *)((const uint32_t *)job.b + g->b_panel) + t * g->k * job.part_step;
            tiles[rows](gi, &job, i, j);
        }
    }
}

#define TILE(name, mr)                                                                     \
    static __attribute__((noinline)) void name(                                            \
        const struct lng_gemm_i8 *g, const struct tile_job *job, int64_t row, int64_t col) \
    {                                                                                      \
        tile_i8(mr, g, job, row, col);                                                     \
    }
TILES(TILE)
static tile_i8_function *const tiles[MR + 1] = {TILE_NAMES};

void LNG_SIMD(gemm_i8)(const struct lng_gemm_i8 *g)
{
    /* 10 sums, 2 of B, x and its magnitude, a product and a constant: 16 registers hold no more rows */
    walk_i8(g, VW == 16 ? MR : 5, tiles);
}

#if defined(__AVX512F__)
#define VNNI_TILE(name, mr)                                                                \
    static __attribute__((noinline)) VNNI_CODE void vnni_##name(                           \
        const struct lng_gemm_i8 *g, const struct tile_job *job, int64_t row, int64_t col) \
    {                                                                                      \
        tile_vnni(mr, g, job, row, col);                                                   \
    }
#define VNNI_NAME(name, mr) vnni_##name,
TILES(VNNI_TILE)
static tile_i8_function *const vnni_tiles[MR + 1] = {0, TILES(VNNI_NAME)};

void LNG_SIMD(gemm_i8_vnni)(const struct lng_gemm_i8 *g)
{
    walk_i8(g, MR, vnni_tiles);
}
#else
void LNG_SIMD(gemm_i8_vnni)(const struct lng_gemm_i8 *g)
{
    LNG_SIMD(gemm_i8)(g); /* never called: only AVX-512 machines are asked for VNNI */
}
#endif
