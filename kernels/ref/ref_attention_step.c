/* One decoding step of attention against a cache, through the ancestry table or a start row. */
#include "kernels/ref/ref.h"

static int64_t cache_row(const struct lng_attention_step_args *args, int64_t r, int64_t s)
{
    if (args->ancestor == NULL)
        return args->key_start[r] + s;
    return s * args->slots + args->ancestor[r * args->ancestor_stride + s];
}

static enum lng_status check_cache_rows(const struct lng_attention_step_args *args,
                                        int64_t *longest)
{
    *longest = 0;
    for (int64_t r = 0; r < args->q.rows; r++) {
        int64_t count = args->key_count[r];
        LNG_FAIL_IF(count < 0 || (args->ancestor != NULL && count > args->ancestor_stride),
                    LNG_ERR_RANGE,
                    "attention_step: key_count[%lld]: expected 0 to ancestor_stride, found %lld",
                    (long long)r, (long long)count);
        for (int64_t s = 0; s < count; s++) {
            int64_t row = cache_row(args, r, s);
            LNG_FAIL_IF(row < 0 || row >= args->k_cache.rows, LNG_ERR_RANGE,
                        "attention_step: row %lld, key %lld: expected a cache row below %lld, "
                        "found %lld",
                        (long long)r, (long long)s, (long long)args->k_cache.rows, (long long)row);
        }
        if (count > *longest)
            *longest = count;
    }
    return LNG_OK;
}

static void write_row(const struct lng_attention_step_args *args, const struct lng_view *x,
                      int64_t r, const struct lng_view *cache, int64_t row)
{
    if (cache->dtype == LNG_DTYPE_I8)
        REF(store_byte_row)(x, r, cache, row, args->heads);
    else
        for (int64_t d = 0; d < args->q.cols; d++)
            ref_store(cache, row, d, ref_load(x, r, d));
}

static void write_newest(const struct lng_attention_step_args *args)
{
    for (int64_t r = 0; r < args->q.rows; r++) {
        if (args->key_count[r] == 0)
            continue;
        int64_t row = cache_row(args, r, args->key_count[r] - 1);
        write_row(args, &args->new_k, r, &args->k_cache, row);
        write_row(args, &args->new_v, r, &args->v_cache, row);
    }
}

static double load(const struct lng_attention_step_args *args, const struct lng_view *cache,
                   int64_t row, int64_t col)
{
    return cache->dtype == LNG_DTYPE_I8 ? REF(load_byte)(cache, row, col, args->heads)
                                        : ref_load(cache, row, col);
}

/* scratch: q, k, score vector [width each], p [keys] */
static void step_head(const struct lng_attention_step_args *args, int64_t r, int64_t h,
                      int64_t width, double *scratch)
{
    int64_t keys = args->key_count[r], col = h * width;
    double *q = scratch, *k = q + width, *vector = k + width, *p = vector + width;
    bool additive = args->score == LNG_ATTENTION_ADDITIVE;
    for (int64_t a = 0; a < width; a++) {
        q[a] = ref_load(&args->q, r, col + a);
        vector[a] = additive ? ref_load(&args->score_vector, 0, col + a) : 0;
    }
    for (int64_t s = 0; s < keys; s++) {
        int64_t row = cache_row(args, r, s);
        for (int64_t a = 0; a < width; a++)
            k[a] = load(args, &args->k_cache, row, col + a);
        p[s] = REF(attention_score)(q, k, additive ? vector : NULL, width, args->scale);
    }
    REF(softmax)(p, keys);
    for (int64_t a = 0; a < width; a++) {
        double sum = 0;
        for (int64_t s = 0; s < keys; s++)
            sum += p[s] * load(args, &args->v_cache, cache_row(args, r, s), col + a);
        ref_store(&args->o, r, col + a, sum);
    }
}

enum lng_status REF(attention_step)(struct lng_device *device,
                                    const struct lng_attention_step_args *args)
{
    (void)device;
    int64_t width = args->q.cols / args->heads, longest;
    LNG_TRY(check_cache_rows(args, &longest));
    double *scratch = lng_alloc((size_t)(3 * width + 2 * longest), sizeof *scratch);
    if (scratch == NULL)
        return LNG_ERR_MEMORY;
    double *p = scratch + 3 * width, *mean = p + longest;
    if (args->new_k.data != NULL)
        write_newest(args);
    for (int64_t r = 0; r < args->q.rows; r++) {
        int64_t keys = args->key_count[r];
        for (int64_t s = 0; s < keys; s++)
            mean[s] = 0;
        for (int64_t h = 0; h < args->heads; h++) {
            step_head(args, r, h, width, scratch);
            bool counted = h >= args->first_head && h < args->first_head + args->head_count;
            for (int64_t s = 0; counted && s < keys; s++)
                mean[s] += p[s];
        }
        for (int64_t s = 0; args->weights != NULL && s < keys; s++)
            args->weights[r * args->weights_stride + s] =
                (float)(mean[s] / (double)args->head_count);
    }
    lng_free(scratch);
    return LNG_OK;
}
