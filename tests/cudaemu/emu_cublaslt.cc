/* cuBLASLt: descriptors, and the checks that the library makes before it multiplies. What real kernels are
 * known to refuse (epilogues of row-major results, 8-bit products but transposed times not) is refused. */
#include "tests/cudaemu/emu_matmul.h"

#include <algorithm>
#include <new>

namespace cudaemu
{

struct preference {
    uint64_t workspace;
    uint32_t alignment[4]; /* of A, B, C, D */
    uint32_t reductions, search;
    float waves;
    uint64_t implementations;
};
/* In a cublasLtMatmulAlgo_t. */
struct algorithm {
    uint64_t magic, workspace, kind;
    uint32_t alignment[4];
};
static constexpr uint64_t magic = 0x6C6E675F67656D6Dull;
static constexpr uint64_t wanted_workspace = 32 << 10;
static_assert(sizeof(layout) <= sizeof(cublasLtMatrixLayoutOpaque_t), "room");
static_assert(sizeof(description) <= sizeof(cublasLtMatmulDescOpaque_t), "room");
static_assert(sizeof(preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t), "room");
static_assert(sizeof(algorithm) <= sizeof(cublasLtMatmulAlgo_t), "room");

static cublasStatus_t refuse(cublasStatus_t status, const char *why)
{
    say("cudaemu: cuBLASLt: %s: %s\n", cublasLtGetStatusName(status), why);
    return status;
}
#define REFUSE_IF(condition, status, why)               \
    do {                                                \
        if (condition)                                  \
            return refuse(CUBLAS_STATUS_##status, why); \
    } while (0)

/* An attribute: where its value is, and how large. */
struct slot {
    void *at;
    size_t bytes;
};
template <class T> static slot slot_of(T &field)
{
    return {&field, sizeof field};
}
static slot layout_slot(layout &one, int attribute)
{
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
        return slot_of(one.type);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return slot_of(one.order);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
        return slot_of(one.rows);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
        return slot_of(one.columns);
    case CUBLASLT_MATRIX_LAYOUT_LD:
        return slot_of(one.leading);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return slot_of(one.batch_count);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return slot_of(one.batch_stride);
    default:
        return {nullptr, 0};
    }
}
static slot description_slot(description &one, int attribute)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
        return slot_of(one.compute);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
        return slot_of(one.scale);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        return slot_of(one.pointer_mode);
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return slot_of(one.transpose_a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return slot_of(one.transpose_b);
    case CUBLASLT_MATMUL_DESC_TRANSC:
        return slot_of(one.transpose_c);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return slot_of(one.epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return slot_of(one.bias);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE:
        return slot_of(one.bias_stride);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        return slot_of(one.bias_type);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
        return slot_of(one.aux);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
        return slot_of(one.aux_leading);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE:
        return slot_of(one.aux_stride);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
        return slot_of(one.aux_type);
    default:
        return {nullptr, 0};
    }
}
static slot preference_slot(preference &one, int attribute)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE:
        return slot_of(one.search);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return slot_of(one.workspace);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return slot_of(one.reductions);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return slot_of(one.alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES]);
    case CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT:
        return slot_of(one.waves);
    case CUBLASLT_MATMUL_PREF_IMPL_MASK:
        return slot_of(one.implementations);
    default:
        return {nullptr, 0};
    }
}
static cublasStatus_t set(slot to, const void *from, size_t bytes)
{
    REFUSE_IF(to.at == nullptr, NOT_SUPPORTED, "an attribute that is not emulated");
    REFUSE_IF(from == nullptr || bytes != to.bytes, INVALID_VALUE, "an attribute of another size");
    memcpy(to.at, from, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

/* What is asked for: sizes agree, types go together. */
static cublasStatus_t check_types(const description &how, const layout &a, const layout &b,
                                  const layout &c, const layout &d)
{
    REFUSE_IF(a.type != b.type || c.type != d.type, NOT_SUPPORTED, "types of A and B or C and D");
    if (how.compute == CUBLAS_COMPUTE_32I) {
        REFUSE_IF(how.scale != CUDA_R_32I || a.type != CUDA_R_8I || d.type != CUDA_R_32I,
                  NOT_SUPPORTED, "COMPUTE_32I: 8-bit A and B, 32-bit C and D, 32-bit scale");
        REFUSE_IF(how.epilogue != CUBLASLT_EPILOGUE_DEFAULT ||
                      how.pointer_mode != CUBLASLT_POINTER_MODE_HOST,
                  NOT_SUPPORTED, "COMPUTE_32I: an epilogue");
        REFUSE_IF(a.order != CUBLASLT_ORDER_COL || b.order != CUBLASLT_ORDER_COL ||
                      d.order != CUBLASLT_ORDER_COL || how.transpose_a != CUBLAS_OP_T ||
                      how.transpose_b != CUBLAS_OP_N,
                  NOT_SUPPORTED, "COMPUTE_32I: only A transposed, B not, in column order");
        REFUSE_IF(d.rows % 4 || a.rows % 4 || a.leading % 4 || b.leading % 4 || d.leading % 4,
                  NOT_SUPPORTED, "COMPUTE_32I: m, k and leading dimensions of multiples of 4");
        return CUBLAS_STATUS_SUCCESS;
    }
    REFUSE_IF(how.compute != CUBLAS_COMPUTE_32F && how.compute != CUBLAS_COMPUTE_32F_PEDANTIC &&
                  how.compute != CUBLAS_COMPUTE_32F_FAST_TF32 &&
                  how.compute != CUBLAS_COMPUTE_32F_FAST_16BF,
              NOT_SUPPORTED, "compute type");
    REFUSE_IF(how.scale != CUDA_R_32F, NOT_SUPPORTED, "scale type");
    bool known = (a.type == CUDA_R_32F && d.type == CUDA_R_32F) ||
                 (a.type == CUDA_R_16BF && (d.type == CUDA_R_16BF || d.type == CUDA_R_32F)) ||
                 (a.type == CUDA_R_8I && d.type == CUDA_R_32F);
    REFUSE_IF(!known, NOT_SUPPORTED, "types of the inputs with that of the output");
    return CUBLAS_STATUS_SUCCESS;
}
static cublasStatus_t check_layout(const layout &one, int32_t batches)
{
    REFUSE_IF(bytes_of(one.type) == 0, NOT_SUPPORTED, "type");
    REFUSE_IF(one.order != CUBLASLT_ORDER_COL && one.order != CUBLASLT_ORDER_ROW, NOT_SUPPORTED,
              "order");
    const uint64_t line = one.order == CUBLASLT_ORDER_ROW ? one.columns : one.rows;
    REFUSE_IF(one.rows == 0 || one.columns == 0, INVALID_VALUE, "an empty matrix");
    REFUSE_IF(one.leading < 0 || (uint64_t)one.leading < line, INVALID_VALUE, "leading dimension");
    REFUSE_IF(one.batch_count != batches || batches < 1, INVALID_VALUE, "batch counts");
    return CUBLAS_STATUS_SUCCESS;
}
static cublasStatus_t check_epilogue(const description &how, const layout &d)
{
    static const uint32_t known[] = {
        CUBLASLT_EPILOGUE_DEFAULT,  CUBLASLT_EPILOGUE_RELU,        CUBLASLT_EPILOGUE_RELU_AUX,
        CUBLASLT_EPILOGUE_BIAS,     CUBLASLT_EPILOGUE_RELU_BIAS,   CUBLASLT_EPILOGUE_RELU_AUX_BIAS,
        CUBLASLT_EPILOGUE_DRELU,    CUBLASLT_EPILOGUE_DRELU_BGRAD, CUBLASLT_EPILOGUE_GELU,
        CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_GELU_BIAS,   CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
        CUBLASLT_EPILOGUE_DGELU,    CUBLASLT_EPILOGUE_DGELU_BGRAD, CUBLASLT_EPILOGUE_BGRADA,
        CUBLASLT_EPILOGUE_BGRADB,
    };
    const uint32_t epilogue = how.epilogue;
    REFUSE_IF(std::find(std::begin(known), std::end(known), epilogue) == std::end(known),
              INVALID_VALUE, "epilogue");
    REFUSE_IF(epilogue != CUBLASLT_EPILOGUE_DEFAULT && d.order != CUBLASLT_ORDER_COL, NOT_SUPPORTED,
              "an epilogue of a row-major result");
    if (has_bias(epilogue) || has_bias_gradient(epilogue)) {
        REFUSE_IF(how.bias == nullptr, INVALID_VALUE, "no bias pointer");
        REFUSE_IF(how.bias_type >= 0 && (uint32_t)how.bias_type != d.type, NOT_SUPPORTED,
                  "a bias of another type than D");
        REFUSE_IF((uintptr_t)how.bias % bytes_of(d.type), INVALID_VALUE, "a misaligned bias");
    }
    if (has_aux(epilogue)) {
        const int64_t unit = is_relu(epilogue) ? 128 : 8;
        REFUSE_IF(how.aux == nullptr || (uintptr_t)how.aux % 16, INVALID_VALUE,
                  "no or a misaligned auxiliary matrix");
        REFUSE_IF(how.aux_leading % unit || how.aux_leading < (int64_t)d.rows ||
                      how.aux_stride % unit,
                  INVALID_VALUE, "leading dimension of the auxiliary matrix");
        REFUSE_IF(!is_relu(epilogue) && how.aux_type >= 0 && (uint32_t)how.aux_type != d.type,
                  NOT_SUPPORTED, "an auxiliary matrix of another type than D");
    }
    return CUBLAS_STATUS_SUCCESS;
}
#define CUBLAS_TRY(call)                         \
    do {                                         \
        cublasStatus_t try_status = (call);      \
        if (try_status != CUBLAS_STATUS_SUCCESS) \
            return try_status;                   \
    } while (0)
static cublasStatus_t check_problem(const description &how, const layout &a, const layout &b,
                                    const layout &c, const layout &d)
{
    for (const layout *one : {&a, &b, &c, &d})
        CUBLAS_TRY(check_layout(*one, d.batch_count));
    const bool turned_a = how.transpose_a != CUBLAS_OP_N, turned_b = how.transpose_b != CUBLAS_OP_N;
    REFUSE_IF(how.transpose_a > CUBLAS_OP_T || how.transpose_b > CUBLAS_OP_T ||
                  how.transpose_c != CUBLAS_OP_N,
              NOT_SUPPORTED, "transposition");
    REFUSE_IF(how.pointer_mode != CUBLASLT_POINTER_MODE_HOST &&
                  how.pointer_mode != CUBLASLT_POINTER_MODE_DEVICE,
              NOT_SUPPORTED, "pointer mode");
    REFUSE_IF((turned_a ? a.columns : a.rows) != d.rows ||
                  (turned_b ? b.rows : b.columns) != d.columns ||
                  (turned_a ? a.rows : a.columns) != (turned_b ? b.columns : b.rows) ||
                  c.rows != d.rows || c.columns != d.columns || c.order != d.order,
              INVALID_VALUE, "sizes of the matrices");
    CUBLAS_TRY(check_types(how, a, b, c, d));
    return check_epilogue(how, d);
}

/* Kernels read 16 bytes at a time where pointers and leading dimensions let them. */
static uint32_t alignment_for(const layout &one, uint32_t promised)
{
    uint32_t alignment = 16;
    while (alignment > bytes_of(one.type) &&
           (alignment > promised || (size_t)one.leading * bytes_of(one.type) % alignment != 0))
        alignment /= 2;
    return alignment;
}
static uint64_t kind_of(const description &how, const layout &a, const layout &d)
{
    return (uint64_t)a.type | (uint64_t)d.type << 8 | (uint64_t)a.order << 16 |
           (uint64_t)d.order << 20 | (uint64_t)how.transpose_a << 24 |
           (uint64_t)how.transpose_b << 28 | (uint64_t)how.epilogue << 32 |
           (uint64_t)how.compute << 48;
}
static cublasStatus_t check_algorithm(const cublasLtMatmulAlgo_t *algo, const product &work,
                                      const void *workspace, size_t bytes, uint64_t *needed)
{
    algorithm chosen;
    memcpy(&chosen, algo, sizeof chosen);
    REFUSE_IF(chosen.magic != magic, INVALID_VALUE, "an algorithm that no heuristic gave");
    REFUSE_IF(chosen.kind != kind_of(work.how, work.a, work.d), NOT_SUPPORTED,
              "an algorithm for other types, orders or an other epilogue");
    REFUSE_IF(chosen.workspace > bytes, INVALID_VALUE, "less workspace than the algorithm needs");
    REFUSE_IF(chosen.workspace > 0 && workspace == nullptr, INVALID_VALUE, "no workspace");
    const void *const at[] = {work.from_a, work.from_b, work.from_c, work.to_d};
    for (int i = 0; i < 4; i++)
        REFUSE_IF((uintptr_t)at[i] % chosen.alignment[i] != 0, INVALID_VALUE,
                  "a matrix less aligned than the heuristic was told");
    *needed = chosen.workspace;
    return CUBLAS_STATUS_SUCCESS;
}
static cublasStatus_t check_pointers(const product &work, const void *workspace, size_t bytes)
{
    const void *const at[] = {work.from_a, work.from_b, work.from_c, work.to_d};
    const layout *const matrices[] = {&work.a, &work.b, &work.c, &work.d};
    for (int i = 0; i < 4; i++) {
        REFUSE_IF(at[i] == nullptr, INVALID_VALUE, "a matrix without memory");
        REFUSE_IF((uintptr_t)at[i] % bytes_of(matrices[i]->type), INVALID_VALUE,
                  "a misaligned matrix");
    }
    REFUSE_IF(work.how.compute == CUBLAS_COMPUTE_32I &&
                  (((uintptr_t)at[0] | (uintptr_t)at[1] | (uintptr_t)at[3]) % 4 != 0),
              NOT_SUPPORTED, "COMPUTE_32I: matrices aligned to 4 bytes");
    REFUSE_IF(work.from_c == work.to_d &&
                  (work.c.leading != work.d.leading || work.c.batch_stride != work.d.batch_stride),
              INVALID_VALUE, "C is D, in another layout");
    REFUSE_IF(bytes > 0 && workspace != nullptr && (uintptr_t)workspace % 16, INVALID_VALUE,
              "a misaligned workspace");
    REFUSE_IF(bytes > 0 && workspace != nullptr && !is_device(workspace, bytes), INVALID_VALUE,
              "a workspace that is not device memory of its size");
    return CUBLAS_STATUS_SUCCESS;
}
template <class T, class Opaque> static T &inside(Opaque *opaque)
{
    return *reinterpret_cast<T *>(opaque->data);
}

} // namespace cudaemu

using namespace cudaemu;

struct cublasLtContext {
    uint64_t magic;
};
#define CUBLAS_API extern "C" cublasStatus_t CUBLASWINAPI

CUBLAS_API cublasLtCreate(cublasLtHandle_t *out)
{
    *out = new cublasLtContext{magic};
    return CUBLAS_STATUS_SUCCESS;
}
CUBLAS_API cublasLtDestroy(cublasLtHandle_t handle)
{
    drain_all();
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
extern "C" size_t CUBLASWINAPI cublasLtGetVersion(void)
{
    return CUBLAS_VERSION;
}
extern "C" const char *CUBLASWINAPI cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    default:
        return "CUBLAS_STATUS_INTERNAL_ERROR";
    }
}
extern "C" const char *CUBLASWINAPI cublasLtGetStatusString(cublasStatus_t status)
{
    return cublasLtGetStatusName(status);
}

CUBLAS_API cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t at, size_t bytes,
                                             cudaDataType type, uint64_t rows, uint64_t columns,
                                             int64_t leading)
{
    if (bytes < sizeof(layout))
        return CUBLAS_STATUS_ALLOC_FAILED;
    new (at->data) layout{(uint32_t)type, CUBLASLT_ORDER_COL, rows, columns, leading, 0, 1};
    return CUBLAS_STATUS_SUCCESS;
}
CUBLAS_API cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows,
                                      uint64_t columns, int64_t leading)
{
    *out = new cublasLtMatrixLayoutOpaque_t;
    return cublasLtMatrixLayoutInit_internal(*out, sizeof **out, type, rows, columns, leading);
}
CUBLAS_API cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t at)
{
    delete at;
    return CUBLAS_STATUS_SUCCESS;
}
CUBLAS_API cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t at,
                                            cublasLtMatrixLayoutAttribute_t attribute,
                                            const void *value, size_t bytes)
{
    return set(layout_slot(inside<layout>(at), attribute), value, bytes);
}
CUBLAS_API cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t at, size_t bytes,
                                           cublasComputeType_t compute, cudaDataType_t scale)
{
    if (bytes < sizeof(description))
        return CUBLAS_STATUS_ALLOC_FAILED;
    description &how = *new (at->data) description();
    how.compute = compute;
    how.scale = scale;
    how.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    how.bias_type = how.aux_type = -1;
    return CUBLAS_STATUS_SUCCESS;
}
CUBLAS_API cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                    cudaDataType_t scale)
{
    *out = new cublasLtMatmulDescOpaque_t;
    return cublasLtMatmulDescInit_internal(*out, sizeof **out, compute, scale);
}
CUBLAS_API cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t at)
{
    delete at;
    return CUBLAS_STATUS_SUCCESS;
}
CUBLAS_API cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t at,
                                          cublasLtMatmulDescAttributes_t attribute,
                                          const void *value, size_t bytes)
{
    return set(description_slot(inside<description>(at), attribute), value, bytes);
}
CUBLAS_API cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t at, size_t bytes)
{
    if (bytes < sizeof(preference))
        return CUBLAS_STATUS_ALLOC_FAILED;
    new (at->data) preference{0, {256, 256, 256, 256}, CUBLASLT_REDUCTION_SCHEME_MASK, 0, 0, ~0ull};
    return CUBLAS_STATUS_SUCCESS;
}
CUBLAS_API cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = new cublasLtMatmulPreferenceOpaque_t;
    return cublasLtMatmulPreferenceInit_internal(*out, sizeof **out);
}
CUBLAS_API cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t at)
{
    delete at;
    return CUBLAS_STATUS_SUCCESS;
}
CUBLAS_API cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t at,
                                                cublasLtMatmulPreferenceAttributes_t attribute,
                                                const void *value, size_t bytes)
{
    return set(preference_slot(inside<preference>(at), attribute), value, bytes);
}

/* One answer: fast, with workspace where it may have some. */
CUBLAS_API cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t how,
                                          cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                          cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                          cublasLtMatmulPreference_t wishes, int most,
                                          cublasLtMatmulHeuristicResult_t out[], int *count)
{
    if (handle == nullptr || handle->magic != magic)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (most < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    *count = 0;
    const layout *const matrices[] = {&inside<layout>(a), &inside<layout>(b), &inside<layout>(c),
                                      &inside<layout>(d)};
    CUBLAS_TRY(check_problem(inside<description>(how), *matrices[0], *matrices[1], *matrices[2],
                             *matrices[3]));
    const preference &wish = inside<preference>(wishes);
    algorithm chosen = {};
    chosen.magic = magic;
    chosen.workspace = wish.workspace >= wanted_workspace ? wanted_workspace : 0;
    chosen.kind = kind_of(inside<description>(how), *matrices[0], *matrices[3]);
    for (int i = 0; i < 4; i++)
        chosen.alignment[i] = alignment_for(*matrices[i], wish.alignment[i]);
    out[0] = {};
    memcpy(&out[0].algo, &chosen, sizeof chosen);
    out[0].workspaceSize = chosen.workspace;
    out[0].wavesCount = 1;
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}
CUBLAS_API cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t how, const void *alpha,
                          const void *a_at, cublasLtMatrixLayout_t a, const void *b_at,
                          cublasLtMatrixLayout_t b, const void *beta, const void *c_at,
                          cublasLtMatrixLayout_t c, void *d_at, cublasLtMatrixLayout_t d,
                          const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes,
                          cudaStream_t stream)
{
    entry guard;
    if (handle == nullptr || handle->magic != magic)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    product work = {inside<description>(how),
                    inside<layout>(a),
                    inside<layout>(b),
                    inside<layout>(c),
                    inside<layout>(d),
                    a_at,
                    b_at,
                    c_at,
                    d_at,
                    alpha,
                    beta,
                    0,
                    1};
    REFUSE_IF(elsewhere(stream), INVALID_VALUE, "the stream is another device's");
    REFUSE_IF(alpha == nullptr || beta == nullptr, INVALID_VALUE, "no alpha or beta");
    CUBLAS_TRY(check_problem(work.how, work.a, work.b, work.c, work.d));
    CUBLAS_TRY(check_pointers(work, workspace, bytes));
    if (work.how.pointer_mode == CUBLASLT_POINTER_MODE_HOST) {
        const bool integers = work.how.scale == CUDA_R_32I;
        work.alpha = integers ? (float)*(const int32_t *)alpha : *(const float *)alpha;
        work.beta = integers ? (float)*(const int32_t *)beta : *(const float *)beta;
    }
    uint64_t used = workspace != nullptr ? std::min<uint64_t>(bytes, wanted_workspace) : 0;
    if (algo != nullptr)
        CUBLAS_TRY(check_algorithm(algo, work, workspace, bytes, &used));
    auto run = [work, workspace, used] {
        if (used > 0) { /* whatever lay there is gone */
            device_access access;
            check_device(workspace, used, "cuBLASLt: workspace");
            race_written(workspace, used);
            memset(workspace, 0xFF, used);
        }
        run_product(work);
    };
    std::vector<const void *> memory = {work.from_a, work.from_b, work.from_c, work.to_d};
    if (used > 0)
        memory.push_back(workspace);
    if (has_bias(work.how.epilogue))
        memory.push_back(work.how.bias);
    cudaError_t error = enqueue(stream, {"cublasLtMatmul", KERNEL_NODE, run, {}, memory});
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
