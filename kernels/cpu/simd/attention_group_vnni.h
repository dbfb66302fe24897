/* Scores and sums of int8 caches by VNNI: part of attention_group.c. What is multiplied with int8, queries and probabilities,
 * is taken as 16-bit integers, 256 high + low; sums are exact. */
#ifndef LNG_KERNELS_CPU_SIMD_ATTENTION_GROUP_VNNI_H
#define LNG_KERNELS_CPU_SIMD_ATTENTION_GROUP_VNNI_H

/* Up to these the sums fit int32. */
enum { VNNI_WIDTH = 256, VNNI_KEYS = 1 << 16 };

#if defined(__AVX512F__)
#define VNNI_CODE __attribute__((target("avx512vnni")))
#define VNNI_INLINE static inline __attribute__((always_inline)) VNNI_CODE
/* Bytes of a register; the largest halves of queries, and of probabilities. */
enum { STEP = 64, QUERY = 127 * 256, PROBABILITY = 65535 };

/* Heads of queries are filled up with zeros to whole registers. Bytes of keys are taken as x + 128, `less` is what that
 * adds. */
struct planes {
    int8_t *high, *low; /* [rows, heads, head] */
    int64_t row, head;
    int32_t *less; /* [rows, pattern]: of lane l of the scores in turn */
    float *scales; /* [rows, pattern], with the scale of the scores in them */
    int64_t pattern;
};

static struct planes lay_planes(const struct group *g)
{
    struct planes n = {.head = (g->width + STEP - 1) / STEP * STEP, .high = g->planes};
    n.pattern = g->padded < VW ? VW : g->padded;
    n.row = g->args->heads * n.head;
    n.low = n.high + g->rows * n.row;
    n.less = (int32_t *)(void *)(n.low + g->rows * n.row);
    n.scales = (float *)(void *)(n.less + g->rows * n.pattern);
    return n;
}

/* One head of one row, of a width that is a multiple of VW. */
static void split_query(const float *q, int64_t width, int8_t *high, int8_t *low, int32_t *less,
                        float *scale)
{
    vf most = v_zero();
    vi sum = vi_set(0);
    for (int64_t a = 0; a < width; a += VW)
        most = v_max(v_abs(v_load(q + a)), most);
    const float highest = v_maximum(most);
    const vf steps = v_set(highest > 0 ? QUERY / highest : 0), limit = v_set(QUERY);
    for (int64_t a = 0; a < width; a += VW) {
        const vf real = v_nan_to_zero(v_mul(v_load(q + a), steps));
        const vi whole = v_to_int(v_max(v_sub(v_zero(), limit), v_min(limit, real)));
        const vi upper = _mm512_srai_epi32(vi_add(whole, vi_set(128)), 8);
        const vi lower = vi_sub(whole, _mm512_slli_epi32(upper, 8));
        _mm_storeu_si128((__m128i *)(void *)(high + a), _mm512_cvtepi32_epi8(upper));
        _mm_storeu_si128((__m128i *)(void *)(low + a), _mm512_cvtepi32_epi8(lower));
        sum = vi_add(sum, whole);
    }
    *less = 128 * _mm512_reduce_add_epi32(sum);
    *scale = highest / QUERY;
}

static void split_queries(const struct group *g, const struct planes *n)
{
    const struct lng_view *view = &g->args->q;
    if (n->head > g->width)
        memset(n->high, 0, (size_t)(2 * g->rows * n->row));
    for (int64_t i = 0; i < g->rows; i++) {
        const float *q = (const float *)view->data + (g->row + i) * view->stride;
        int32_t *less = n->less + i * n->pattern;
        float *scales = n->scales + i * n->pattern;
        for (int64_t l = 0; l < n->pattern; l++) {
            const int64_t h = l % g->padded, at = i * n->row + h * n->head;
            less[l] = l == h ? 0 : less[h];
            scales[l] = l == h ? 0 : scales[h];
            if (l != h || h >= g->args->heads)
                continue;
            split_query(q + h * g->width, g->width, n->high + at, n->low + at, &less[l],
                        &scales[l]);
            scales[l] *= (float)g->args->scale;
        }
    }
}

/* 64 values of a head from `a` on. */
VEC_INLINE __m512i load_step(const int8_t *row, int64_t a, int64_t width)
{
    if (width - a >= STEP)
        return _mm512_loadu_si512(row + a);
    return _mm512_maskz_loadu_epi8(~(__mmask64)0 >> (STEP - (width - a)), row + a);
}

/* sum += the four products of each lane, of bytes without and with a sign; gcc 12 moves sums to other registers and back
 * around the intrinsic. */
VNNI_INLINE vi add_quads(vi sum, __m512i x, __m512i y)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "vm"(y));
    return sum;
}

/* VW scores of row i: of p heads from `first` on, of the keys from s on. whole: heads are 64 wide, and no lane is without. */
VNNI_INLINE void score_some(int p, bool whole, const struct group *g, const struct planes *n,
                            int64_t i, int64_t s, int64_t first)
{
    const int64_t lane = i * n->pattern + first, head = whole ? STEP : n->head;
    const int64_t width = whole ? STEP : g->width, heads = g->args->heads - first;
    const int8_t *q = n->high + i * n->row + first * head, *low = q + g->rows * n->row;
    const __m512i flip = _mm512_set1_epi8(-128);
    const int8_t *keys[VW];
    __m512i parts[VW];
    for (int key = 0; key < VW / p; key++)
        keys[key] = (const int8_t *)g->k[least(s + key, g->keys - 1)] + first * width;
#pragma GCC unroll 16
    for (int l = 0; l < VW; l++) {
        const int64_t h = l % p;
        const int8_t *k = keys[l / p] + h * width;
        vi upper = vi_set(0), lower = vi_set(0);
        for (int64_t a = 0; whole ? a == 0 : h < heads && a < head; a += STEP) {
            const __m512i x = _mm512_xor_si512(load_step(k, a, width), flip);
            upper = add_quads(upper, x, _mm512_loadu_si512(q + h * head + a));
            lower = add_quads(lower, x, _mm512_loadu_si512(low + h * head + a));
        }
        parts[l] = vi_add(_mm512_slli_epi32(upper, 8), lower);
    }
    const vi sum = vi_sub(vi_sums(parts), _mm512_loadu_si512(n->less + lane));
    v_store(g->p + i * g->stride + s * g->padded + first,
            v_mul(v_to_float(sum), v_load(n->scales + lane)));
}

/* As score, VW at a time: of VW / p keys, or where there are more heads than VW, of some heads of one. What comes past the
 * last key is anything. */
VNNI_INLINE void score_vnni(int p, bool whole, const struct group *g)
{
    const struct planes n = lay_planes(g);
    const int64_t bytes = g->args->q.cols + g->args->heads * 4;
    split_queries(g, &n);
    for (int64_t s = g->called; s < g->keys && s < AHEAD; s++)
        fetch(g->k[s], bytes);
    for (int64_t s = 0; s < g->keys; s += VW / p) {
        for (int64_t l = s; l < s + VW / p && l < g->keys; l++) {
            if (l + AHEAD >= g->called && l + AHEAD < g->keys)
                fetch(g->k[l + AHEAD], bytes);
            fetch(g->v[l], bytes);
        }
        for (int64_t first = 0; first < g->padded; first += p)
            for (int64_t i = 0; i < g->rows; i++)
                score_some(p, whole, g, &n, i, s, first);
    }
}
#define SCORE(p)                                                                          \
    static __attribute__((noinline)) VNNI_CODE void score_vnni_##p(const struct group *g) \
    {                                                                                     \
        if (g->width == STEP && g->args->heads == g->padded)                              \
            score_vnni(p, true, g);                                                       \
        else                                                                              \
            score_vnni(p, false, g);                                                      \
    }
SCORE(1)
SCORE(2)
SCORE(4)
SCORE(8)
SCORE(16)
static void score_by_vnni(const struct group *g)
{
    (g->padded == 1   ? score_vnni_1
     : g->padded == 2 ? score_vnni_2
     : g->padded == 4 ? score_vnni_4
     : g->padded == 8 ? score_vnni_8
                      : score_vnni_16)(g);
}

/* Probabilities of one row, four keys of a head a lane, in place: [ceil(keys / 4), 2, padded], high then low; keys past the
 * last have none. scales [padded, a register at least]: what their sums are to be multiplied with. */
VEC_INLINE void split_probabilities(const struct group *g, float *p, float *scales)
{
    const int64_t padded = g->padded, total = g->keys * padded, step = padded < VW ? VW : padded;
    for (int64_t first = 0; first < padded; first += VW) {
        vf most = v_zero();
        for (int64_t s = first; s < total; s += step) /* in this order what is not a number stays */
            most = v_max(most, v_keep_n(v_load(p + s), total - s, v_zero()));
        v_store(scales + first, v_div(fold(most, padded, false), v_set(PROBABILITY)));
    }
    for (int64_t s = 0; s < g->keys; s += 4)
        for (int64_t first = 0; first < padded; first += VW) {
            const __mmask16 heads = v_mask_n(padded - first);
            const vf scale = v_load(scales + first);
            const vf steps = _mm512_maskz_div_ps(_mm512_cmp_ps_mask(scale, v_zero(), _CMP_GT_OQ),
                                                 v_set(1), scale);
            vi high = vi_set(0), low = vi_set(0);
            for (int64_t j = 0; j < 4 && s + j < g->keys; j++) {
                const vf x = _mm512_maskz_loadu_ps(heads, p + (s + j) * padded + first);
                const vi whole = v_to_int(v_mul(x, steps));
                const vi count = vi_set((int32_t)(8 * j));
                high = vi_add(high, _mm512_sllv_epi32(_mm512_srli_epi32(whole, 8), count));
                low = vi_add(low, _mm512_sllv_epi32(_mm512_and_si512(whole, vi_set(255)), count));
            }
            float *to = p + s / 2 * padded + first;
            _mm512_mask_storeu_ps(to, heads, _mm512_castsi512_ps(high));
            _mm512_mask_storeu_ps(to + padded, heads, _mm512_castsi512_ps(low));
        }
}

/* Four rows of 64 bytes as quads, one byte of each: lane j of part L of q[m] has those of column 16 L + 4 m + j. */
VEC_INLINE void make_quads(const __m512i row[4], __m512i q[4])
{
    const __m512i t0 = _mm512_unpacklo_epi8(row[0], row[1]),
                  t1 = _mm512_unpackhi_epi8(row[0], row[1]);
    const __m512i t2 = _mm512_unpacklo_epi8(row[2], row[3]),
                  t3 = _mm512_unpackhi_epi8(row[2], row[3]);
    q[0] = _mm512_unpacklo_epi16(t0, t2);
    q[1] = _mm512_unpackhi_epi16(t0, t2);
    q[2] = _mm512_unpacklo_epi16(t1, t3);
    q[3] = _mm512_unpackhi_epi16(t1, t3);
}

/* Undoes make_quads' order. */
VEC_INLINE void store_columns(const vf f[4], float *o, int64_t count)
{
    const vf t0 = _mm512_shuffle_f32x4(f[0], f[1], 0x44),
             t1 = _mm512_shuffle_f32x4(f[0], f[1], 0xEE);
    const vf t2 = _mm512_shuffle_f32x4(f[2], f[3], 0x44),
             t3 = _mm512_shuffle_f32x4(f[2], f[3], 0xEE);
    const vf columns[4] = {_mm512_shuffle_f32x4(t0, t2, 0x88), _mm512_shuffle_f32x4(t0, t2, 0xDD),
                           _mm512_shuffle_f32x4(t1, t3, 0x88), _mm512_shuffle_f32x4(t1, t3, 0xDD)};
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        if (j * VW < count)
            v_store(o + j * VW, columns[j]);
}

/* Keys of the next row, called one after the other in as many equal parts as there are steps. */
struct calling {
    int64_t next, part, steps, bytes;
};

VEC_INLINE void call_ahead(const struct group *g, struct calling *of)
{
    for (of->part += g->next_keys; of->part >= of->steps; of->part -= of->steps)
        fetch(g->next[of->next++], of->bytes);
}

/* 64 columns of head h, or what there is from `a` on, of one or two rows from i on. */
VNNI_INLINE void mix_vnni(int rows, const struct group *g, int64_t i, int64_t h, int64_t a,
                          const float *const scales[2], struct calling *calling)
{
    const struct lng_view *o = &g->args->o;
    const int64_t col = h * g->width, padded = g->padded;
    vi high[2][4], low[2][4];
    const float *p = g->p + i * g->stride + h;
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int m = 0; m < 4; m++)
            high[r][m] = low[r][m] = vi_set(0);
    for (int64_t s = 0; s < g->keys; s += 4, p += 2 * padded) {
        __m512i row[4], quads[4];
#pragma GCC unroll 4
        for (int64_t j = 0; j < 4; j++)
            row[j] = load_step((const int8_t *)g->v[least(s + j, g->keys - 1)] + col, a, g->width);
        call_ahead(g, calling);
        make_quads(row, quads);
#pragma GCC unroll 2
        for (int r = 0; r < rows; r++) {
            const float *own = p + r * g->stride;
            const vi upper = _mm512_castps_si512(v_set(own[0]));
            const vi lower = _mm512_castps_si512(v_set(own[padded]));
#pragma GCC unroll 4
            for (int m = 0; m < 4; m++) {
                high[r][m] = add_quads(high[r][m], upper, quads[m]);
                low[r][m] = add_quads(low[r][m], lower, quads[m]);
            }
        }
    }
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) {
        vf f[4];
#pragma GCC unroll 4
        for (int m = 0; m < 4; m++)
            f[m] = v_mul(v_fma(v_to_float(high[r][m]), v_set(256), v_to_float(low[r][m])),
                         v_set(scales[r][h]));
        store_columns(f, (float *)o->data + (g->row + i + r) * o->stride + col + a, g->width - a);
    }
}

/* o = sum over s of p[s] v[s]; p, with the scales of the values in them, are no more afterwards. */
static __attribute__((noinline)) VNNI_CODE void mix_by_vnni(const struct group *g)
{
    float *scales = g->planes;
    const int64_t pattern = g->padded < VW ? VW : g->padded, heads = g->args->heads;
    const int64_t parts = (g->width + STEP - 1) / STEP * ((g->rows + 1) / 2);
    struct calling calling = {.steps = heads * parts * ((g->keys + 3) / 4),
                              .bytes = g->args->q.cols + heads * 4};
    for (int64_t i = 0; i < g->rows; i++)
        split_probabilities(g, g->p + i * g->stride, scales + i * pattern);
    for (int64_t h = 0; h < heads; h++)
        for (int64_t a = 0; a < g->width; a += STEP)
            for (int64_t i = 0; i < g->rows; i += 2) {
                const float *const own[2] = {scales + i * pattern, scales + (i + 1) * pattern};
                if (i + 1 < g->rows)
                    mix_vnni(2, g, i, h, a, own, &calling);
                else
                    mix_vnni(1, g, i, h, a, own, &calling);
            }
}
#else
static void score_by_vnni(const struct group *g)
{
    (void)g; /* never called: VNNI is for AVX-512 here */
}
static void mix_by_vnni(const struct group *g)
{
    (void)g; /* nor this */
}
#endif
#endif
