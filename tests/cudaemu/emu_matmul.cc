/* The product of cuBLASLt in plain loops: float accumulation in order of k, results rounded to their type. */
#include "tests/cudaemu/emu_matmul.h"

#include <algorithm>

namespace cudaemu
{

static size_t element_at(const layout &matrix, int64_t batch, size_t row, size_t column)
{
    size_t at = matrix.order == CUBLASLT_ORDER_ROW ? row * (size_t)matrix.leading + column
                                                   : column * (size_t)matrix.leading + row;
    return (size_t)(batch * matrix.batch_stride) + at;
}
static float value_at(const void *from, uint32_t type, size_t i)
{
    switch (type) {
    case CUDA_R_32F:
        return static_cast<const float *>(from)[i];
    case CUDA_R_16BF:
        return same_bits<float>((uint32_t) static_cast<const uint16_t *>(from)[i] << 16);
    case CUDA_R_32I:
        return (float)static_cast<const int32_t *>(from)[i];
    default:
        return static_cast<const int8_t *>(from)[i];
    }
}
/* To the nearest, ties to even; NaN stays NaN. */
static uint16_t to_bf16(float value)
{
    uint32_t bits = same_bits<uint32_t>(value);
    if (value != value)
        return 0x7FFF;
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
/* TF32 has ten bits of fraction. */
static float to_tf32(float value)
{
    uint32_t bits = same_bits<uint32_t>(value);
    return value - value != 0 ? value : same_bits<float>((bits + 0x1000u) & ~0x1FFFu);
}
static void store_at(void *to, uint32_t type, size_t i, float value)
{
    if (type == CUDA_R_32F)
        static_cast<float *>(to)[i] = value;
    else
        static_cast<uint16_t *>(to)[i] = to_bf16(value);
}

/* Every line of a matrix (a column or, in row order, a row) lies in one allocation, and was written where it
 * is read. */
static void touch(const layout &matrix, const void *at, bool written, const char *what)
{
    const bool by_rows = matrix.order == CUBLASLT_ORDER_ROW;
    const size_t lines = by_rows ? matrix.rows : matrix.columns;
    const size_t size = bytes_of(matrix.type),
                 length = (by_rows ? matrix.columns : matrix.rows) * size;
    for (int32_t batch = 0; batch < matrix.batch_count; batch++) {
        const char *first = static_cast<const char *>(at) + element_at(matrix, batch, 0, 0) * size;
        check_device(first, (lines - 1) * (size_t)matrix.leading * size + length, what);
        for (size_t line = 0; line < lines; line++, first += (size_t)matrix.leading * size)
            written ? race_written(first, length) : race_read(first, length, what);
    }
}

/* op(matrix) as float, [columns of op][rows of op]: what the inner loop runs along is contiguous. */
static void unpack(const layout &matrix, const void *from, int64_t batch, bool transposed,
                   int32_t compute, float *out)
{
    const size_t rows = transposed ? matrix.columns : matrix.rows;
    const size_t columns = transposed ? matrix.rows : matrix.columns;
    for (size_t column = 0; column < columns; column++)
        for (size_t row = 0; row < rows; row++) {
            size_t at = transposed ? element_at(matrix, batch, column, row)
                                   : element_at(matrix, batch, row, column);
            float value = value_at(from, matrix.type, at);
            if (compute == CUBLAS_COMPUTE_32F_FAST_TF32)
                value = to_tf32(value);
            else if (compute == CUBLAS_COMPUTE_32F_FAST_16BF)
                value = same_bits<float>((uint32_t)to_bf16(value) << 16);
            out[column * rows + row] = value;
        }
}

/* c [n][m] = a [k][m], b [n][k]: four columns of c at a time, in pieces that stay in the cache. */
CUDAEMU_CLONES static void multiply(const float *a, const float *b, float *c, size_t m, size_t n,
                                    size_t k)
{
    constexpr size_t piece = 512;
    std::fill(c, c + m * n, 0.0f);
    for (size_t first = 0; first < m; first += piece) {
        const size_t count = std::min(piece, m - first);
        for (size_t j = 0; j < n; j += 4) {
            const size_t step1 = j + 1 < n ? 1 : 0, step2 = j + 2 < n ? 2 : 0,
                         step3 = j + 3 < n ? 3 : 0;
            float room[4][piece] = {};
            for (size_t p = 0; p < k; p++) {
                const float *from = a + p * m + first;
                const float b0 = b[j * k + p], b1 = b[(j + step1) * k + p],
                            b2 = b[(j + step2) * k + p], b3 = b[(j + step3) * k + p];
                for (size_t i = 0; i < count; i++) {
                    room[0][i] += from[i] * b0;
                    room[1][i] += from[i] * b1;
                    room[2][i] += from[i] * b2;
                    room[3][i] += from[i] * b3;
                }
            }
            for (size_t column = 0; column < std::min<size_t>(4, n - j); column++)
                std::copy(room[column], room[column] + count, c + (j + column) * m + first);
        }
    }
}
static void multiply_integers(const float *a, const float *b, int32_t *c, size_t m, size_t n,
                              size_t k)
{
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < m; i++) {
            int32_t sum = 0;
            for (size_t p = 0; p < k; p++)
                sum += (int32_t)a[p * m + i] * (int32_t)b[j * k + p];
            c[j * m + i] = sum;
        }
}

/* GELU is cuBLASLt's, by tanh. */
static float gelu(float x)
{
    return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}
static float gelu_slope(float x)
{
    float inner = tanhf(0.7978845608f * (x + 0.044715f * x * x * x));
    return 0.5f * (1.0f + inner) +
           0.5f * x * (1.0f - inner * inner) * 0.7978845608f * (1.0f + 3 * 0.044715f * x * x);
}

struct aux_matrix {
    unsigned char *bits;
    void *values;
    uint32_t type;
    int64_t leading;
};
static aux_matrix aux_of(const product &work, int64_t batch)
{
    const description &how = work.how;
    const uint32_t type = how.aux_type < 0 ? work.d.type : (uint32_t)how.aux_type;
    char *at = static_cast<char *>(how.aux);
    const size_t columns = work.d.columns, rows = work.d.rows;
    if (is_relu(how.epilogue)) {
        at += batch * how.aux_stride / 8;
        check_device(at, ((columns - 1) * (size_t)how.aux_leading + rows + 7) / 8, "cuBLASLt: aux");
    } else {
        at += batch * how.aux_stride * (int64_t)bytes_of(type);
        check_device(at, ((columns - 1) * (size_t)how.aux_leading + rows) * bytes_of(type),
                     "cuBLASLt: aux");
    }
    return {reinterpret_cast<unsigned char *>(at), at, type, how.aux_leading};
}
/* The activation or its gradient, of element (i, j) of D. */
static float activate(uint32_t epilogue, const aux_matrix &aux, size_t i, size_t j, float x)
{
    const size_t at = j * (size_t)aux.leading + i;
    if (epilogue & 8)
        return aux.bits[at / 8] >> at % 8 & 1 ? x : 0.0f;
    if (epilogue & 64)
        return x * gelu_slope(value_at(aux.values, aux.type, at));
    if (epilogue & CUBLASLT_EPILOGUE_RELU) {
        if (has_aux(epilogue)) {
            race_written(aux.bits + at / 8, 1);
            aux.bits[at / 8] =
                (unsigned char)((aux.bits[at / 8] & ~(1 << at % 8)) | (x > 0) << at % 8);
        }
        return x > 0 ? x : x != x ? x : 0.0f;
    }
    if (epilogue & CUBLASLT_EPILOGUE_GELU) {
        if (has_aux(epilogue)) {
            race_written(static_cast<char *>(aux.values) + at * bytes_of(aux.type),
                         bytes_of(aux.type));
            store_at(aux.values, aux.type, at, x);
        }
        return gelu(x);
    }
    return x;
}

static void store_vector(const product &work, int64_t batch, const std::vector<float> &values)
{
    const uint32_t type = work.how.bias_type < 0 ? work.d.type : (uint32_t)work.how.bias_type;
    char *to =
        static_cast<char *>(work.how.bias) + batch * work.how.bias_stride * (int64_t)bytes_of(type);
    check_device(to, values.size() * bytes_of(type), "cuBLASLt: bias gradient");
    race_written(to, values.size() * bytes_of(type));
    for (size_t i = 0; i < values.size(); i++)
        store_at(to, type, i, values[i]);
}
static std::vector<float> load_bias(const product &work, int64_t batch)
{
    std::vector<float> out(work.d.rows, 0.0f);
    if (!has_bias(work.how.epilogue))
        return out;
    const uint32_t type = work.how.bias_type < 0 ? work.d.type : (uint32_t)work.how.bias_type;
    const char *from = static_cast<const char *>(work.how.bias) +
                       batch * work.how.bias_stride * (int64_t)bytes_of(type);
    check_device(from, out.size() * bytes_of(type), "cuBLASLt: bias");
    race_read(from, out.size() * bytes_of(type), "cuBLASLt: bias");
    for (size_t i = 0; i < out.size(); i++)
        out[i] = value_at(from, type, i);
    return out;
}
/* Sums of op(A) along k (a [k][m]), or of op(B) (b [n][k]). */
static void store_input_gradient(const product &work, int64_t batch, const float *a, const float *b,
                                 size_t k)
{
    const bool of_a = work.how.epilogue & CUBLASLT_EPILOGUE_BGRADA;
    const size_t m = work.d.rows;
    std::vector<float> sums(of_a ? m : work.d.columns, 0.0f);
    for (size_t i = 0; i < sums.size(); i++)
        for (size_t p = 0; p < k; p++)
            sums[i] += of_a ? a[p * m + i] : b[i * k + p];
    store_vector(work, batch, sums);
}

static void finish(const product &work, int64_t batch, const float *c)
{
    const size_t m = work.d.rows, n = work.d.columns;
    const uint32_t epilogue = work.how.epilogue;
    const bool device_scalars = work.how.pointer_mode == CUBLASLT_POINTER_MODE_DEVICE;
    const float alpha = device_scalars ? *static_cast<const float *>(work.alpha_at) : work.alpha;
    const float beta = device_scalars ? *static_cast<const float *>(work.beta_at) : work.beta;
    const std::vector<float> bias = load_bias(work, batch);
    const aux_matrix aux = has_aux(epilogue) ? aux_of(work, batch) : aux_matrix{};
    std::vector<float> sums(m, 0.0f);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < m; i++) {
            float x = alpha * c[j * m + i];
            if (beta != 0)
                x += beta * value_at(work.from_c, work.c.type, element_at(work.c, batch, i, j));
            x = activate(epilogue, aux, i, j, x + bias[i]);
            sums[i] += x;
            store_at(work.to_d, work.d.type, element_at(work.d, batch, i, j), x);
        }
    if (epilogue & 16)
        store_vector(work, batch, sums);
}
static void finish_integers(const product &work, int64_t batch, const int32_t *c)
{
    int32_t *to = static_cast<int32_t *>(work.to_d);
    const int32_t *old = static_cast<const int32_t *>(work.from_c);
    const int32_t alpha = (int32_t)work.alpha, beta = (int32_t)work.beta;
    for (size_t j = 0; j < work.d.columns; j++)
        for (size_t i = 0; i < work.d.rows; i++) {
            int32_t x = alpha * c[j * work.d.rows + i];
            if (beta != 0)
                x += beta * old[element_at(work.c, batch, i, j)];
            to[element_at(work.d, batch, i, j)] = x;
        }
}

static void check_scalars(const product &work)
{
    if (work.how.pointer_mode != CUBLASLT_POINTER_MODE_DEVICE)
        return;
    check_device(work.alpha_at, 4, "cuBLASLt: alpha");
    check_device(work.beta_at, 4, "cuBLASLt: beta");
    race_read(work.alpha_at, 4, "cuBLASLt: alpha");
    race_read(work.beta_at, 4, "cuBLASLt: beta");
}
void run_product(const product &work)
{
    device_access access;
    const size_t m = work.d.rows, n = work.d.columns;
    const bool turned_a = work.how.transpose_a != CUBLAS_OP_N,
               turned_b = work.how.transpose_b != CUBLAS_OP_N;
    const size_t k = turned_a ? work.a.rows : work.a.columns;
    check_scalars(work);
    touch(work.a, work.from_a, false, "cuBLASLt: A");
    touch(work.b, work.from_b, false, "cuBLASLt: B");
    if (work.beta != 0)
        touch(work.c, work.from_c, false, "cuBLASLt: C");
    touch(work.d, work.to_d, true, "cuBLASLt: D");
    std::vector<float> a(m * k), b(k * n), c(m * n);
    for (int32_t batch = 0; batch < work.d.batch_count; batch++) {
        unpack(work.a, work.from_a, batch, turned_a, work.how.compute, a.data());
        unpack(work.b, work.from_b, batch, turned_b, work.how.compute, b.data());
        if (work.d.type == CUDA_R_32I) {
            std::vector<int32_t> sums(m * n);
            multiply_integers(a.data(), b.data(), sums.data(), m, n, k);
            finish_integers(work, batch, sums.data());
            continue;
        }
        multiply(a.data(), b.data(), c.data(), m, n, k);
        if (work.how.epilogue & (CUBLASLT_EPILOGUE_BGRADA | CUBLASLT_EPILOGUE_BGRADB))
            store_input_gradient(work, batch, a.data(), b.data(), k);
        finish(work, batch, c.data());
    }
}

} // namespace cudaemu
