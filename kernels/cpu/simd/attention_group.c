/* Attention of a few query rows that share their keys (a beam's, to the source), or of one, against cached keys and values.
 * Keys are read one after the other over all heads, as they lie in memory. What a row becomes does not depend on how many
 * there are. */
#include <math.h>

#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec_bf16.h"
#include "kernels/cpu/simd/vec_transpose.h"

enum kept { REALS, HALVES, BYTES };
/* COLUMNS: registers of a row's output at a time, at most. AHEAD, EARLY: keys. */
enum { GROUP = LNG_ATTENTION_GROUP, COLUMNS = 8, AHEAD = 16, EARLY = 128 };

struct group {
    const struct lng_attention_step_args *args;
    int64_t row, rows, keys, width;
    const void **k, **v; /* [keys] rows of the caches */
    float *p;      /* [rows, keys, padded]: heads of a key side by side, rows `stride` apart */
    float *scales; /* of BYTES: those of the keys, then of the values, [keys, padded] */
    int64_t padded, stride;
    bool vnni;    /* of BYTES */
    void *planes; /* see attention_group_vnni.h */
    /* Caches of many sentences lie far away, in rows here and there: they are called for before. The row before this one
     * has called for the first keys of this, as this does for the next one's, one by one while it mixes values. */
    int64_t called;
    const void **next; /* [next_keys] */
    int64_t next_keys;
};

VEC_INLINE int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What row r keeps of key s in one of the caches. */
VEC_INLINE const void *cached(const struct lng_attention_step_args *args,
                              const struct lng_view *cache, int64_t r, int64_t s)
{
    const int64_t size = cache->dtype == LNG_DTYPE_F32 ? 4 : cache->dtype == LNG_DTYPE_BF16 ? 2 : 1;
    int64_t row = args->ancestor ? s * args->slots + args->ancestor[r * args->ancestor_stride + s]
                                 : args->key_start[r] + s;
    return (const char *)cache->data + row * cache->stride * size;
}

VEC_INLINE int64_t size_of(enum kept kept)
{
    return kept == REALS ? 4 : kept == HALVES ? 2 : 1;
}

VEC_INLINE vf load_cache(enum kept kept, const void *row, int64_t col)
{
    if (kept == BYTES)
        return v_load_bytes((const int8_t *)row + col);
    return kept == HALVES ? v_load_bf16((const uint16_t *)row + col)
                          : v_load((const float *)row + col);
}

VEC_INLINE void fetch(const void *row, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += 64)
        _mm_prefetch((const char *)row + at, _MM_HINT_T1);
}

/* p = scale q . k, VW of them at a time */
VEC_INLINE void score(enum kept kept, int rows, const struct group *g)
{
    const struct lng_view *view = &g->args->q;
    const int64_t heads = g->args->heads, total = g->keys * g->padded;
    const int64_t bytes = view->cols * size_of(kept) + (kept == BYTES ? heads * 4 : 0);
    const vf scale = v_set((float)g->args->scale);
    const float *q[GROUP];
    vf parts[GROUP][VW];
    int64_t held = 0, done = 0;
    for (int i = 0; i < rows; i++) {
        q[i] = (const float *)view->data + (g->row + i) * view->stride;
        for (int l = 0; l < VW; l++)
            parts[i][l] = v_zero();
    }
    for (int64_t s = g->called; s < g->keys && s < AHEAD; s++)
        fetch(g->k[s], bytes);
    for (int64_t s = 0; s < g->keys; s++) {
        if (s + AHEAD >= g->called && s + AHEAD < g->keys)
            fetch(g->k[s + AHEAD], bytes);
        fetch(g->v[s], bytes);
        for (int64_t h = 0, col = 0; h < g->padded; h++, col += g->width) {
            vf sum[GROUP];
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++)
                sum[i] = v_zero();
            for (int64_t a = col; h < heads && a < col + g->width; a += VW) {
                vf y = load_cache(kept, g->k[s], a);
#pragma GCC unroll 4
                for (int i = 0; i < rows; i++)
                    sum[i] = v_fma(v_load(q[i] + a), y, sum[i]);
            }
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++)
                parts[i][held] = sum[i];
            if (++held < VW && done + held < total)
                continue;
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++)
                v_store(g->p + i * g->stride + done, v_mul(v_sums(parts[i]), scale));
            done += VW;
            held = 0;
        }
    }
}

/* Of BYTES: what the heads of each key, or value, are to be multiplied with. */
VEC_INLINE void gather_scales(const struct group *g, const void *const *kept_rows)
{
    const int64_t heads = g->args->heads, cols = g->args->q.cols, padded = g->padded;
    const int64_t keys = g->keys;
    float *to = g->scales;
    for (int64_t s = 0; s < keys; s++, to += padded) {
        const float *own = (const float *)(const void *)((const int8_t *)kept_rows[s] + cols);
        for (int64_t h = 0; h < heads; h += VW)
            v_store(to + h, v_load_n(own + h, heads - h));
    }
}

VEC_INLINE void multiply(float *p, const float *by, int64_t count)
{
    for (int64_t s = 0; s < count; s += VW)
        v_store(p + s, v_mul(v_load(p + s), v_load(by + s)));
}

/* What lanes of one head have, folded: each lane gets what all of its head come to. */
VEC_INLINE vf fold(vf v, int64_t padded, bool add)
{
    float lanes[VW];
    v_store(lanes, v);
    for (int64_t h = 0; h < padded && padded < VW; h++) {
        for (int64_t l = h + padded; l < VW; l += padded)
            lanes[h] = add ? lanes[h] + lanes[l] : lanes[l] > lanes[h] ? lanes[l] : lanes[h];
        for (int64_t l = h + padded; l < VW; l += padded)
            lanes[l] = lanes[h];
    }
    return v_load(lanes);
}

/* Over the keys of each head. scales: what p is multiplied with before, or NULL. */
VEC_INLINE void softmax(float *p, int64_t keys, int64_t padded, const float *scales)
{
    const vf lowest = v_set(-INFINITY);
    const int64_t total = keys * padded, step = padded < VW ? VW : padded;
    for (int64_t first = 0; first < step; first += VW) {
        vf best = lowest, sum = v_zero();
        for (int64_t s = first; s < total; s += step) {
            if (scales)
                v_store(p + s, v_mul(v_load(p + s), v_load(scales + s)));
            best = v_max(v_keep_n(v_load(p + s), total - s, lowest), best);
        }
        const vf highest = fold(best, padded, false);
        for (int64_t s = first; s < total; s += step) {
            vf e = v_keep_n(v_exp(v_sub(v_load(p + s), highest)), total - s, v_zero());
            v_store(p + s, e);
            sum = v_add(sum, e);
        }
        const vf inverse = v_div(v_set(1.0f), fold(sum, padded, true));
        for (int64_t s = first; s < total; s += step)
            v_store(p + s, v_mul(v_load(p + s), inverse));
    }
}

#include "kernels/cpu/simd/attention_group_vnni.h"

/* o = sum over s of p[s] v[s], `count` registers of columns of one head from col on. */
VEC_INLINE void mix(enum kept kept, int rows, int count, const struct group *g, int64_t col)
{
    const struct lng_view *o = &g->args->o;
    const int64_t padded = g->padded, stride = g->stride, size = size_of(kept), keys = g->keys;
    const float *p = g->p + col / g->width;
    vf sum[GROUP][COLUMNS];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int j = 0; j < count; j++)
            sum[i][j] = v_zero();
    for (int64_t s = 0; s < keys; s++, p += padded) {
        const void *v = g->v[s];
        if (s < g->next_keys)
            fetch((const char *)g->next[s] + col * size, count * VW * size);
#pragma GCC unroll 8
        for (int j = 0; j < count; j++) {
            vf y = load_cache(kept, v, col + j * VW);
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++)
                sum[i][j] = v_fma(v_set(p[i * stride]), y, sum[i][j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int j = 0; j < count; j++)
            v_store((float *)o->data + (g->row + i) * o->stride + col + j * VW, sum[i][j]);
}

/* Mean over the chosen heads. */
static void keep_weights(const struct group *g, int64_t row)
{
    const struct lng_attention_step_args *args = g->args;
    float *weights = args->weights + (g->row + row) * args->weights_stride;
    for (int64_t s = 0; s < g->keys; s++)
        weights[s] = 0;
    for (int64_t h = args->first_head; h < args->first_head + args->head_count; h++)
        for (int64_t s = 0; s < g->keys; s++)
            weights[s] += g->p[row * g->stride + s * g->padded + h] / (float)args->head_count;
}

static inline __attribute__((always_inline)) void attend(enum kept kept, int rows,
                                                         const struct group *g)
{
    const struct lng_attention_step_args *args = g->args;
    int64_t col = 0;
    if (kept == BYTES && g->vnni)
        score_by_vnni(g);
    else
        score(kept, rows, g);
    if (kept == BYTES)
        gather_scales(g, g->k);
    for (int64_t i = 0; i < rows; i++)
        softmax(g->p + i * g->stride, g->keys, g->padded, kept == BYTES ? g->scales : 0);
    for (int64_t i = 0; args->weights && i < rows; i++)
        keep_weights(g, i);
    if (kept == BYTES) {
        gather_scales(g, g->v);
        for (int64_t i = 0; i < rows; i++)
            multiply(g->p + i * g->stride, g->scales, g->keys * g->padded);
    }
    if (kept == BYTES && g->vnni) {
        mix_by_vnni(g);
        return;
    }
    const int64_t registers = g->width / VW;
    for (; registers % COLUMNS == 0 && rows == 1 && col < args->q.cols; col += COLUMNS * VW)
        mix(kept, rows, COLUMNS, g, col);
    for (; registers % 4 == 0 && col < args->q.cols; col += 4 * VW)
        mix(kept, rows, 4, g, col);
    for (; registers % 2 == 0 && col < args->q.cols; col += 2 * VW)
        mix(kept, rows, 2, g, col);
    for (; col < args->q.cols; col += VW)
        mix(kept, rows, 1, g, col);
}

typedef void attend_function(const struct group *g);
#define ATTEND(name, kept, rows)                                      \
    static __attribute__((noinline)) void name(const struct group *g) \
    {                                                                 \
        attend(kept, rows, g);                                        \
    }
ATTEND(attend_f32_1, REALS, 1)
ATTEND(attend_f32_2, REALS, 2)
ATTEND(attend_f32_3, REALS, 3)
ATTEND(attend_f32_4, REALS, 4)
ATTEND(attend_bf16_1, HALVES, 1)
ATTEND(attend_bf16_2, HALVES, 2)
ATTEND(attend_bf16_3, HALVES, 3)
ATTEND(attend_bf16_4, HALVES, 4)
ATTEND(attend_i8_1, BYTES, 1)
ATTEND(attend_i8_2, BYTES, 2)
ATTEND(attend_i8_3, BYTES, 3)
ATTEND(attend_i8_4, BYTES, 4)
static attend_function *const functions[3][GROUP + 1] = {
    {0, attend_f32_1, attend_f32_2, attend_f32_3, attend_f32_4},
    {0, attend_bf16_1, attend_bf16_2, attend_bf16_3, attend_bf16_4},
    {0, attend_i8_1, attend_i8_2, attend_i8_3, attend_i8_4}};

/* All heads of rows r .. r + rows - 1, of which all have the same keys; their width is a multiple of VW. next: the row that
 * comes after them, or -1; first: none came before. scratch: three pointers a key of the longest row, then the
 * products of all rows and heads, then scales of the heads. */
void LNG_SIMD(attention_step_group)(const struct lng_attention_step_args *args, int64_t r,
                                    int64_t rows, int64_t next, bool first, bool vnni,
                                    float *scratch)
{
    const int64_t keys = args->key_count[r];
    const enum lng_dtype dtype = args->k_cache.dtype;
    const enum kept kept = dtype == LNG_DTYPE_F32    ? REALS
                           : dtype == LNG_DTYPE_BF16 ? HALVES
                                                     : BYTES;
    struct group g = {
        .args = args, .row = r, .rows = rows, .keys = keys, .width = args->q.cols / args->heads};
    g.vnni = vnni && kept == BYTES && g.width <= VNNI_WIDTH && keys <= VNNI_KEYS;
    g.called = first ? 0 : least(EARLY, least(keys, args->key_count[r - 1]));
    g.next_keys = next < 0 ? 0 : least(EARLY, least(keys, args->key_count[next]));
    g.k = (const void **)(void *)scratch;
    g.v = g.k + keys;
    g.next = g.v + keys;
    g.p = (float *)(void *)(g.next + keys);
    g.padded = lng_attention_padded(args->heads);
    /* probabilities as integers take two keys' room at least, see attention_group_vnni.h */
    g.stride = ((keys > 2 ? keys : 2) * g.padded + VW - 1) / VW * VW;
    g.scales = g.p + rows * g.stride;
    g.planes = g.scales + g.stride + VW;
    for (int64_t s = 0; s < keys; s++) {
        g.k[s] = cached(args, &args->k_cache, r, s);
        g.v[s] = cached(args, &args->v_cache, r, s);
    }
    for (int64_t s = 0; s < g.next_keys; s++)
        g.next[s] = cached(args, &args->k_cache, next, s);
    functions[kept][rows](&g);
}

/* y = x, rounded to nearest even. */
void LNG_SIMD(copy_bf16)(const float *x, int64_t count, uint16_t *y)
{
    int64_t i = 0;
    for (; i + VW <= count; i += VW)
        v_store_bf16(y + i, v_load(x + i));
    for (; i < count; i++)
        y[i] = lng_f32_to_bf16(x[i]);
}
