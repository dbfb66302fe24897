#include "host/store/ctranslate2_put.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/store/numbers.h"

enum { PIECE = 4096 }; /* elements converted at a time */

static enum lng_status put_bytes(struct lng_ct2_put *put, const void *data, size_t size)
{
    return put->counting ? LNG_OK : lng_atomic_write(&put->file, data, size);
}

enum lng_status lng_ct2_put_u32(struct lng_ct2_put *put, uint32_t value)
{
    unsigned char bytes[4];
    lng_store_u32(bytes, value);
    return put_bytes(put, bytes, sizeof bytes);
}

enum lng_status lng_ct2_put_string(struct lng_ct2_put *put, const char *text)
{
    size_t size = strlen(text) + 1;
    unsigned char length[2] = {(unsigned char)(size & 0xFF), (unsigned char)(size >> 8)};
    LNG_TRY(put_bytes(put, length, sizeof length));
    return put_bytes(put, text, size);
}

static enum lng_status put_header(struct lng_ct2_put *put, const char *name, enum lng_ct2_type type,
                                  const int64_t *shape, int rank)
{
    unsigned char byte = (unsigned char)rank;
    uint64_t bytes = lng_ct2_type_bytes(type);
    put->count++;
    LNG_TRY(lng_ct2_put_string(put, name));
    LNG_TRY(put_bytes(put, &byte, 1));
    for (int i = 0; i < rank; i++) {
        bytes *= (uint64_t)shape[i];
        LNG_TRY(lng_ct2_put_u32(put, (uint32_t)shape[i]));
    }
    LNG_FAIL_IF(bytes > UINT32_MAX, LNG_ERR_RANGE,
                "%s: variable \"%s\": CTranslate2's files hold at most 4 GiB in one, found %llu "
                "bytes",
                put->name, name, (unsigned long long)bytes);
    byte = (unsigned char)type;
    LNG_TRY(put_bytes(put, &byte, 1));
    return lng_ct2_put_u32(put, (uint32_t)bytes);
}

static void convert(enum lng_ct2_type type, float scale, const float *from, unsigned char *to,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        switch (type) {
        case LNG_CT2_I8:
            to[i] = (unsigned char)(int8_t)rintf(from[i] * scale);
            continue;
        case LNG_CT2_I16:
            half = (uint16_t)(int16_t)rintf(from[i] * scale);
            break;
        case LNG_CT2_F16:
            half = lng_f16_bits(from[i]);
            break;
        case LNG_CT2_BF16:
            half = lng_f32_to_bf16(from[i]);
            break;
        default:
            memcpy(to + 4 * i, from + i, 4);
            continue;
        }
        to[2 * i] = (unsigned char)(half & 0xFF);
        to[2 * i + 1] = (unsigned char)(half >> 8);
    }
}

static enum lng_status put_values(struct lng_ct2_put *put, enum lng_ct2_type type, float scale,
                                  const float *values, uint64_t count)
{
    unsigned char piece[PIECE * 4];
    for (uint64_t done = 0; done < count && !put->counting;) {
        size_t now = count - done < PIECE ? (size_t)(count - done) : PIECE;
        convert(type, scale, values + done, piece, now);
        LNG_TRY(put_bytes(put, piece, now * lng_ct2_type_bytes(type)));
        done += now;
    }
    return LNG_OK;
}

enum lng_status lng_ct2_put_number(struct lng_ct2_put *put, const char *name,
                                   enum lng_ct2_type type, double value)
{
    float number = (float)value;
    LNG_TRY(put_header(put, name, type, NULL, 0));
    return put_values(put, type, 1, &number, 1);
}

/* `most` over the greatest magnitude; rows of zeros have some scale too. */
static float scale_for(const float *values, uint64_t count, float most)
{
    float greatest = 0;
    for (uint64_t i = 0; i < count; i++)
        greatest = fmaxf(greatest, fabsf(values[i]));
    float scale = greatest > 0 ? most / greatest : 1;
    return isfinite(scale) ? scale : 1; /* too small to matter */
}

static enum lng_status put_quantised(struct lng_ct2_put *put, const char *name,
                                     enum lng_ct2_type type, const float *values, int64_t rows,
                                     int64_t cols)
{
    char scale_name[LNG_CT2_NAME_BYTES];
    int64_t shape[] = {rows, cols}, groups = type == LNG_CT2_I8 ? rows : 1;
    uint64_t each = (uint64_t)(rows * cols / groups);
    float *scales = lng_alloc((size_t)groups, sizeof *scales);
    enum lng_status status = scales ? LNG_OK : LNG_ERR_MEMORY;
    if (status != LNG_OK)
        return status;
    LNG_TRY_OR_FAIL(put_header(put, name, type, shape, 2));
    for (int64_t i = 0; i < groups && !put->counting; i++) {
        const float *group = values + (uint64_t)i * each;
        scales[i] = scale_for(group, each, type == LNG_CT2_I8 ? 127.0f : 1024.0f);
        LNG_TRY_OR_FAIL(put_values(put, type, scales[i], group, each));
    }
    snprintf(scale_name, sizeof scale_name, "%s_scale", name);
    LNG_TRY_OR_FAIL(put_header(put, scale_name, LNG_CT2_F32, &groups, type == LNG_CT2_I8));
    status = put_values(put, LNG_CT2_F32, 1, scales, (uint64_t)groups);
fail:
    lng_free(scales);
    return status;
}

enum lng_status lng_ct2_put_tensor(struct lng_ct2_put *put, const char *name,
                                   enum lng_ct2_type type, const float *values, int64_t rows,
                                   int64_t cols)
{
    uint64_t count = (uint64_t)((rows > 0 ? rows : 1) * cols);
    for (uint64_t i = 0; i < count && !put->counting; i++)
        LNG_FAIL_IF(!isfinite(values[i]) ||
                        (type == LNG_CT2_F16 && lng_f16_bits(fabsf(values[i])) == 0x7C00) ||
                        (type == LNG_CT2_BF16 && lng_f32_to_bf16(fabsf(values[i])) == 0x7F80),
                    LNG_ERR_RANGE,
                    "%s: variable \"%s\": expected finite values of %s, found %g at element %llu",
                    put->name, name, lng_ct2_type_name(type), (double)values[i],
                    (unsigned long long)i);
    if (type == LNG_CT2_I8 || type == LNG_CT2_I16)
        return put_quantised(put, name, type, values, rows, cols);
    int64_t shape[] = {rows, cols};
    LNG_TRY(put_header(put, name, type, rows > 0 ? shape : shape + 1, rows > 0 ? 2 : 1));
    return put_values(put, type, 1, values, count);
}
