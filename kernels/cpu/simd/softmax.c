/* The part of attention between its two products. */
#include <math.h>

#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"
#include "kernels/cpu/simd/vec_philox.h"

/* The halves of all (query, key) of the block: those of a query start at its row times the answer. */
static int64_t block_halves(const struct lng_softmax_block *b, const struct dropper *d)
{
    const int64_t blocks = (b->keys + 7) / 8, total = blocks * b->queries;
    int32_t order[VW], c1[VW], c2[VW];
    vi lanes = block_of_lane();
    memcpy(order, &lanes, sizeof order);
    int32_t query = (int32_t)b->first_query, block = 0;
    for (int64_t t = 0; t < total; t += VW) {
        int32_t next1[VW], next2[VW];
        for (int lane = 0; lane < VW; lane++) {
            next1[lane] = query;
            next2[lane] = block;
            if (++block == blocks) {
                block = 0;
                query++;
            }
        }
        for (int lane = 0; lane < VW; lane++) {
            c1[lane] = next1[order[lane]];
            c2[lane] = next2[order[lane]];
        }
        vi c[4] = {vi_set((int32_t)b->sentence), vi_set(0), vi_set(0), vi_set((int32_t)d->site)};
        memcpy(&c[1], c1, sizeof c1);
        memcpy(&c[2], c2, sizeof c2);
        philox_lanes(c, d->key0, d->key1);
        store_words(c, b->halves + t * 8);
    }
    return blocks * 8;
}

VEC_INLINE int64_t visible(const struct lng_softmax_block *b, int64_t i)
{
    int64_t most = b->first_query + i + 1;
    return b->causal && most < b->keys ? most : b->keys;
}

void LNG_SIMD(softmax_rows)(const struct lng_softmax_block *b)
{
    const bool drops = b->dropout > 0;
    const struct dropper d =
        drops ? dropper_make(b->dropout, b->rng, b->head) : (struct dropper){.site = 0};
    const int64_t halves_row = drops ? block_halves(b, &d) : 0;
    const vf scale = v_set((float)b->scale), lowest = v_set(-INFINITY);
    for (int64_t i = 0; i < b->queries; i++) {
        float *row = b->scores + i * b->stride;
        const uint16_t *halves = drops ? b->halves + i * halves_row : 0;
        const int64_t seen = visible(b, i);
        vf best = lowest, sum = v_zero();
        for (int64_t j = 0; j < seen; j += VW) {
            vf s = v_keep_n(v_mul(v_load(row + j), scale), seen - j, lowest);
            v_store(row + j, s);
            best = v_max(s, best);
        }
        const float highest = v_maximum(best);
        for (int64_t j = 0; j < seen; j += VW) {
            vf e = v_exp(v_sub(v_load(row + j), v_set(highest)));
            e = v_keep_n(e, seen - j, v_zero());
            v_store(row + j, e);
            sum = v_add(sum, e);
        }
        const float total = v_sum(sum);
        const vf inverse = v_set(1.0f / total);
        int64_t j = 0;
        for (; j < seen; j += VW)
            v_store(row + j, v_maybe_drop(v_mul(v_load(row + j), inverse), halves, j, &d));
        for (; j < b->keys; j += VW)
            v_store(row + j, v_zero());
        if (b->lse)
            b->lse[i] = seen > 0 ? highest + logf(total) : -INFINITY;
    }
}

/* p = exp(score - lse);  d_score = scale p (mask d_p - sum of p mask d_p). */
void LNG_SIMD(softmax_rows_bwd)(const struct lng_softmax_block *b)
{
    const bool drops = b->dropout > 0;
    const struct dropper d =
        drops ? dropper_make(b->dropout, b->rng, b->head) : (struct dropper){.site = 0};
    const int64_t halves_row = drops ? block_halves(b, &d) : 0;
    const vf scale = v_set((float)b->scale);
    for (int64_t i = 0; i < b->queries; i++) {
        float *row = b->scores + i * b->stride, *d_p = b->d_p + i * b->stride;
        const uint16_t *halves = drops ? b->halves + i * halves_row : 0;
        const int64_t seen = visible(b, i);
        const vf lse = v_set(b->lse[i]);
        vf sum = v_zero();
        for (int64_t j = 0; j < seen; j += VW) {
            vf p = v_exp(v_sub(v_mul(v_load(row + j), scale), lse));
            p = v_keep_n(p, seen - j, v_zero());
            vf g = v_maybe_drop(v_load(d_p + j), halves, j, &d);
            g = v_keep_n(g, seen - j, v_zero());
            v_store(row + j, p);
            v_store(d_p + j, g);
            sum = v_fma(p, g, sum);
        }
        const vf total = v_set(v_sum(sum));
        int64_t j = 0;
        for (; j < seen; j += VW) {
            vf p = v_load(row + j);
            vf g = v_sub(v_load(d_p + j), total);
            v_store(d_p + j, v_mul(v_mul(p, g), scale));
            v_store(row + j, v_maybe_drop(p, halves, j, &d));
        }
        for (; j < b->keys; j += VW) {
            v_store(d_p + j, v_zero());
            v_store(row + j, v_zero());
        }
    }
}
