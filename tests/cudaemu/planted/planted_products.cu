/* cuBLASLt's products against plain loops: orders, transposes, types, batches, epilogues; and what is refused.
 * Inputs are small whole numbers, so all but GELU is exact in any order. */
#include <cublasLt.h>
#include <math.h>

#include "tests/cudaemu/planted/planted.h"

#define PRODUCT_TRY(call)                                                 \
    do {                                                                  \
        cublasStatus_t try_status = (call);                               \
        if (try_status != CUBLAS_STATUS_SUCCESS) {                        \
            printf("%s: %s\n", #call, cublasLtGetStatusName(try_status)); \
            exit(3);                                                      \
        }                                                                 \
    } while (0)

namespace
{

constexpr int M = 12, N = 6, K = 8, BATCH = 2, GUARD = 4;

struct setting {
    cublasLtOrder_t order_a, order_b, order_d;
    bool turn_a, turn_b;
    cudaDataType_t in, out;
    float beta;
    cublasLtEpilogue_t epilogue;
    void *bias, *aux;
    int64_t aux_leading;
};
setting plain_setting()
{
    return {CUBLASLT_ORDER_COL,
            CUBLASLT_ORDER_COL,
            CUBLASLT_ORDER_COL,
            false,
            false,
            CUDA_R_32F,
            CUDA_R_32F,
            0,
            CUBLASLT_EPILOGUE_DEFAULT,
            nullptr,
            nullptr,
            0};
}

/* A matrix in memory, leading dimension and gap between batches wider than need be. */
struct matrix {
    cudaDataType_t type;
    cublasLtOrder_t order;
    int rows, columns;

    int leading() const
    {
        return (order == CUBLASLT_ORDER_ROW ? columns : rows) + GUARD;
    }
    int batch_stride() const
    {
        return leading() * (order == CUBLASLT_ORDER_ROW ? rows : columns);
    }
    size_t bytes() const
    {
        return (size_t)batch_stride() * BATCH * size();
    }
    size_t size() const
    {
        return type == CUDA_R_16BF ? 2 : type == CUDA_R_8I ? 1 : 4;
    }
    size_t at(int batch, int row, int column) const
    {
        return (size_t)(batch * batch_stride() + (order == CUBLASLT_ORDER_ROW
                                                      ? row * leading() + column
                                                      : column * leading() + row));
    }
    void put(std::vector<unsigned char> &memory, size_t i, float value) const
    {
        const int32_t whole = (int32_t)value;
        const int8_t byte = (int8_t)whole;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        const uint16_t upper = (uint16_t)(bits >> 16);
        const void *from = type == CUDA_R_16BF  ? (const void *)&upper
                           : type == CUDA_R_8I  ? (const void *)&byte
                           : type == CUDA_R_32I ? (const void *)&whole
                                                : (const void *)&value;
        memcpy(&memory[i * size()], from, size());
    }
    float get(const std::vector<unsigned char> &memory, size_t i) const
    {
        uint32_t bits = 0;
        memcpy(&bits, &memory[i * size()], size());
        bits = type == CUDA_R_16BF ? bits << 16 : bits;
        float value;
        memcpy(&value, &bits, 4);
        return type == CUDA_R_32I ? (float)(int32_t)bits : value;
    }
    cublasLtMatrixLayout_t layout() const
    {
        cublasLtMatrixLayout_t made;
        const int32_t which = order, batches = BATCH;
        const int64_t stride = batch_stride();
        PRODUCT_TRY(
            cublasLtMatrixLayoutCreate(&made, type, (uint64_t)rows, (uint64_t)columns, leading()));
        PRODUCT_TRY(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_ORDER, &which,
                                                     sizeof which));
        PRODUCT_TRY(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                     &batches, sizeof batches));
        PRODUCT_TRY(cublasLtMatrixLayoutSetAttribute(
            made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
        return made;
    }
};
float a_value(int batch, int i, int k)
{
    return (float)((batch + i * 3 + k * 5) % 7 - 3);
}
float b_value(int batch, int k, int j)
{
    return (float)((batch * 2 + k * 4 + j) % 5 - 2);
}
float c_value(int batch, int i, int j)
{
    return (float)((batch + i + j * 7) % 9 - 4);
}
float sum_value(int batch, int i, int j)
{
    float sum = 0;
    for (int k = 0; k < K; k++)
        sum += a_value(batch, i, k) * b_value(batch, k, j);
    return sum;
}

struct operands {
    matrix a, b, d;
    explicit operands(const setting &how)
        : a{how.in, how.order_a, how.turn_a ? K : M, how.turn_a ? M : K},
          b{how.in, how.order_b, how.turn_b ? N : K, how.turn_b ? K : N}, d{how.out, how.order_d, M,
                                                                            N}
    {
    }
};
cublasLtMatmulDesc_t describe(const setting &how)
{
    cublasLtMatmulDesc_t product;
    const bool whole = how.in == CUDA_R_8I && how.out == CUDA_R_32I;
    const cublasOperation_t turn_a = how.turn_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                            turn_b = how.turn_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    PRODUCT_TRY(cublasLtMatmulDescCreate(&product, whole ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F,
                                         whole ? CUDA_R_32I : CUDA_R_32F));
#define SET(name, value)                                                                     \
    PRODUCT_TRY(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_##name, &value, \
                                               sizeof value))
    SET(TRANSA, turn_a);
    SET(TRANSB, turn_b);
    SET(EPILOGUE, how.epilogue);
    SET(BIAS_POINTER, how.bias);
    SET(EPILOGUE_AUX_POINTER, how.aux);
    SET(EPILOGUE_AUX_LD, how.aux_leading);
#undef SET
    return product;
}
/* D as bytes, or a status that is not success. short_by: bytes that D's memory lacks. */
cublasStatus_t multiply(const setting &how, std::vector<unsigned char> *result, size_t short_by,
                        size_t workspace_bytes)
{
    const operands with(how);
    std::vector<unsigned char> a(with.a.bytes()), b(with.b.bytes()), d(with.d.bytes());
    for (int batch = 0; batch < BATCH; batch++)
        for (int k = 0; k < K; k++) {
            for (int i = 0; i < M; i++)
                with.a.put(a, how.turn_a ? with.a.at(batch, k, i) : with.a.at(batch, i, k),
                           a_value(batch, i, k));
            for (int j = 0; j < N; j++)
                with.b.put(b, how.turn_b ? with.b.at(batch, j, k) : with.b.at(batch, k, j),
                           b_value(batch, k, j));
        }
    for (int batch = 0; batch < BATCH; batch++)
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++)
                with.d.put(d, with.d.at(batch, i, j), c_value(batch, i, j));
    d.resize(d.size() - short_by);
    planted_array<unsigned char> a_there(a), b_there(b), d_there(d), workspace(1 << 16);
    cublasLtHandle_t handle;
    cublasLtMatmulPreference_t wishes;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    PRODUCT_TRY(cublasLtCreate(&handle));
    PRODUCT_TRY(cublasLtMatmulPreferenceCreate(&wishes));
    const uint64_t most = workspace.count;
    const uint32_t alignment = 4;
    PRODUCT_TRY(cublasLtMatmulPreferenceSetAttribute(
        wishes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most));
    for (int i = 0; i < 4; i++)
        PRODUCT_TRY(cublasLtMatmulPreferenceSetAttribute(
            wishes,
            (cublasLtMatmulPreferenceAttributes_t)(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + i),
            &alignment, sizeof alignment));
    cublasLtMatmulDesc_t product = describe(how);
    cublasLtMatrixLayout_t a_layout = with.a.layout(), b_layout = with.b.layout(),
                           d_layout = with.d.layout();
    const float one = 1, beta = how.beta;
    const int32_t whole_one = 1, whole_beta = (int32_t)beta;
    const bool whole = how.out == CUDA_R_32I;
    cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle, product, a_layout, b_layout, d_layout, d_layout, wishes, 1, &found, &count);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmul(
            handle, product, whole ? (const void *)&whole_one : &one, a_there.at, a_layout,
            b_there.at, b_layout, whole ? (const void *)&whole_beta : &beta, d_there.at, d_layout,
            d_there.at, d_layout, &found.algo, workspace.at, workspace_bytes, nullptr);
    if (status == CUBLAS_STATUS_SUCCESS)
        *result = d_there.read();
    for (cublasLtMatrixLayout_t layout : {a_layout, b_layout, d_layout})
        PRODUCT_TRY(cublasLtMatrixLayoutDestroy(layout));
    PRODUCT_TRY(cublasLtMatmulDescDestroy(product));
    PRODUCT_TRY(cublasLtMatmulPreferenceDestroy(wishes));
    PRODUCT_TRY(cublasLtDestroy(handle));
    return status;
}
template <class Wanted> bool matches(const setting &how, Wanted wanted)
{
    std::vector<unsigned char> found;
    PRODUCT_TRY(multiply(how, &found, 0, 1 << 16));
    const operands with(how);
    for (int batch = 0; batch < BATCH; batch++)
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) {
                const float right = wanted(batch, i, j),
                            got = with.d.get(found, with.d.at(batch, i, j));
                if (!(fabsf(got - right) <= 1e-6f * (1 + fabsf(right)))) {
                    printf("element %d, %d of %d: expected %g, found %g\n", i, j, batch,
                           (double)right, (double)got);
                    return false;
                }
            }
    return true;
}

bool orders_and_types(bool)
{
    static const cudaDataType_t types[][2] = {{CUDA_R_32F, CUDA_R_32F},
                                              {CUDA_R_16BF, CUDA_R_16BF},
                                              {CUDA_R_16BF, CUDA_R_32F},
                                              {CUDA_R_8I, CUDA_R_32F}};
    bool right = true;
    for (int bits = 0; bits < 64 && right; bits++) {
        const cudaDataType_t *type = types[bits % 4];
        setting how = plain_setting();
        how.order_a = bits & 1 ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
        how.order_b = bits & 2 ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
        how.order_d = bits & 4 ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
        how.turn_a = bits & 8;
        how.turn_b = bits & 16;
        how.beta = bits & 32 ? 1 : 0;
        how.in = type[0];
        how.out = type[1];
        right = matches(how, [&](int batch, int i, int j) {
            return sum_value(batch, i, j) + how.beta * c_value(batch, i, j);
        });
    }
    setting whole = plain_setting();
    whole.turn_a = true;
    whole.in = CUDA_R_8I;
    whole.out = CUDA_R_32I;
    return right && matches(whole, sum_value);
}

float gelu(float x)
{
    return (float)(0.5 * x * (1 + tanh(sqrt(2 / 3.141592653589793) * (x + 0.044715 * x * x * x))));
}
/* Batches share the bias and the auxiliary matrix here, so what is written there is the last batch's. */
bool epilogues(bool)
{
    std::vector<float> bias_values(M);
    for (int i = 0; i < M; i++)
        bias_values[i] = (float)(i % 5 - 2);
    planted_array<float> bias(bias_values), gradient(M), inputs(std::vector<float>(N * 16, 0.0f));
    planted_array<unsigned char> bits(std::vector<unsigned char>(128 / 8 * N, 0));
    setting how = plain_setting();
    how.bias = bias.at;
    how.epilogue = CUBLASLT_EPILOGUE_BIAS;
    bool right =
        matches(how, [&](int b, int i, int j) { return sum_value(b, i, j) + bias_values[i]; });
    how.epilogue = CUBLASLT_EPILOGUE_RELU;
    right = right && matches(how, [](int b, int i, int j) { return fmaxf(sum_value(b, i, j), 0); });
    how.epilogue = CUBLASLT_EPILOGUE_RELU_BIAS;
    right = right && matches(how, [&](int b, int i, int j) {
                return fmaxf(sum_value(b, i, j) + bias_values[i], 0);
            });
    how.aux = inputs.at;
    how.aux_leading = 16;
    how.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    auto with_bias = [&](int b, int i, int j) { return sum_value(b, i, j) + bias_values[i]; };
    right = right && matches(how, [&](int b, int i, int j) { return gelu(with_bias(b, i, j)); });
    right = right && inputs.read()[2 * 16 + 3] == with_bias(BATCH - 1, 3, 2);
    how.aux = bits.at;
    how.aux_leading = 128;
    how.epilogue = CUBLASLT_EPILOGUE_RELU_AUX;
    right = right && matches(how, [](int b, int i, int j) { return fmaxf(sum_value(b, i, j), 0); });
    how.epilogue = CUBLASLT_EPILOGUE_DRELU_BGRAD;
    how.bias = gradient.at;
    auto through = [](int b, int i, int j) {
        return sum_value(BATCH - 1, i, j) > 0 ? sum_value(b, i, j) : 0.0f;
    };
    right = right && matches(how, through);
    float sum = 0;
    for (int j = 0; j < N; j++)
        sum += through(BATCH - 1, 4, j);
    right = right && gradient.read()[4] == sum;
    how.epilogue = CUBLASLT_EPILOGUE_BGRADA;
    right = right && matches(how, sum_value);
    sum = 0;
    for (int k = 0; k < K; k++)
        sum += a_value(BATCH - 1, 5, k);
    right = right && gradient.read()[5] == sum;
    how.epilogue = CUBLASLT_EPILOGUE_BGRADB;
    right = right && matches(how, sum_value);
    sum = 0;
    for (int k = 0; k < K; k++)
        sum += b_value(BATCH - 1, k, 3);
    return right && gradient.read()[3] == sum;
}

/* The bugs: D's memory ends too early; less workspace than the algorithm needs; an epilogue in row order. */
bool product_overrun(bool bug)
{
    std::vector<unsigned char> found;
    PRODUCT_TRY(multiply(plain_setting(), &found, bug ? (GUARD + 1) * sizeof(float) : 0, 1 << 16));
    return true;
}
bool product_workspace(bool bug)
{
    std::vector<unsigned char> found;
    PRODUCT_TRY(multiply(plain_setting(), &found, 0, bug ? 256 : 1 << 16));
    return true;
}
bool product_row_epilogue(bool bug)
{
    std::vector<unsigned char> found;
    setting how = plain_setting();
    how.order_d = bug ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
    how.epilogue = CUBLASLT_EPILOGUE_RELU;
    PRODUCT_TRY(multiply(how, &found, 0, 1 << 16));
    return true;
}

} // namespace

const planted_case planted_products[] = {
    {"product-orders", orders_and_types},           {"product-epilogues", epilogues},
    {"product-overrun", product_overrun},           {"product-workspace", product_workspace},
    {"product-row-epilogue", product_row_epilogue}, {nullptr, nullptr},
};
