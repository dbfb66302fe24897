#include "kernels/cuda/cuda_gemm.h"

#include <cublasLt.h>
#include <string.h>

#include "host/base/mem.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_pool.h"

/* cuBLASLt's matrices are column-major. A row-major [r, c] with stride s is a column-major [c, r] with
 * leading dimension s, so c = a b is asked for as c^T = b^T a^T: its A is our b, its m our n. */

enum {
    PLANS = 2048, /* a power of two */
    PROBES = 8,
    WORKSPACE_BYTES = 32 << 20, /* what NVIDIA advises for Hopper */
};

/* All that the choice of an algorithm depends on. Compared as bytes: zero before filling. */
struct key {
    int64_t m, n, k, a_stride, b_stride, c_stride;
    int32_t transpose_a, transpose_b, accumulate, epilogue, operand, result, alignment, strict;
};
struct plan {
    struct key key;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algorithm;
};
struct cuda_gemm {
    cublasLtHandle_t handle;
    void *workspace;
    struct plan plans[PLANS];
};

static enum lng_status check(struct lng_device *device, const char *what, const struct key *key,
                             cublasStatus_t error)
{
    if (error == CUBLAS_STATUS_SUCCESS)
        return LNG_OK;
    /* Of a device that is lost CUDA knows more. */
    const struct cuda_state *cuda = cuda_state_of(device);
    if (!cuda->capturing) {
        const cudaError_t left = cudaStreamQuery(cuda->stream);
        if (left != cudaSuccess && left != cudaErrorNotReady)
            return cuda_check(device, what, left);
    }
    if (key == NULL)
        return lng_fail(LNG_ERR_DEVICE, "%s: %s: cuBLASLt: %s", device->name, what,
                        cublasLtGetStatusString(error));
    return lng_fail(LNG_ERR_DEVICE, "%s: %s: cuBLASLt on %lld x %lld x %lld: %s", device->name,
                    what, (long long)key->m, (long long)key->n, (long long)key->k,
                    cublasLtGetStatusString(error));
}

enum lng_status cuda_gemm_open(struct lng_device *device)
{
    struct cuda_state *cuda = cuda_state_of(device);
    struct cuda_gemm *gemm = lng_alloc(1, sizeof *gemm);
    if (gemm == NULL)
        return LNG_ERR_MEMORY;
    cuda->gemm = gemm;
    LNG_TRY(check(device, "opening", NULL, cublasLtCreate(&gemm->handle)));
    return cuda_pool_take(cuda->pool, device, WORKSPACE_BYTES, &gemm->workspace);
}

static void release_plan(struct plan *plan)
{
    if (plan->c != NULL)
        (void)cublasLtMatrixLayoutDestroy(plan->c);
    if (plan->b != NULL)
        (void)cublasLtMatrixLayoutDestroy(plan->b);
    if (plan->a != NULL)
        (void)cublasLtMatrixLayoutDestroy(plan->a);
    if (plan->product != NULL)
        (void)cublasLtMatmulDescDestroy(plan->product);
    memset(plan, 0, sizeof *plan);
}

void cuda_gemm_close(struct lng_device *device)
{
    struct cuda_gemm *gemm = cuda_state_of(device)->gemm;
    if (gemm == NULL)
        return;
    for (int i = 0; i < PLANS; i++)
        release_plan(&gemm->plans[i]);
    if (gemm->handle != NULL)
        (void)cublasLtDestroy(gemm->handle);
    lng_free(gemm);
    cuda_state_of(device)->gemm = NULL;
}

static cudaDataType_t cuda_type(int32_t dtype)
{
    return dtype == LNG_DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static cublasLtEpilogue_t cublas_epilogue(int32_t epilogue)
{
    switch (epilogue) {
    case CUDA_EPILOGUE_BIAS:
        return CUBLASLT_EPILOGUE_BIAS;
    case CUDA_EPILOGUE_RELU:
        return CUBLASLT_EPILOGUE_RELU;
    case CUDA_EPILOGUE_RELU_BIAS:
        return CUBLASLT_EPILOGUE_RELU_BIAS;
    default:
        return CUBLASLT_EPILOGUE_DEFAULT;
    }
}

static bool has_bias(int32_t epilogue)
{
    return epilogue == CUDA_EPILOGUE_BIAS || epilogue == CUDA_EPILOGUE_RELU_BIAS;
}

/* The largest power of two up to 256 that divides all addresses and strides. */
static int32_t common_alignment(const struct cuda_gemm_args *args)
{
    const struct lng_view *views[] = {&args->a, &args->b, &args->c};
    uintptr_t bits = 256 | (uintptr_t)args->bias;
    for (int i = 0; i < 3; i++)
        bits |= (uintptr_t)views[i]->data |
                (uintptr_t)views[i]->stride * lng_dtype_size(views[i]->dtype);
    return (int32_t)(bits & -bits);
}

static struct key key_of(const struct lng_device *device, const struct cuda_gemm_args *args)
{
    struct key key;
    memset(&key, 0, sizeof key);
    key.m = args->c.rows;
    key.n = args->c.cols;
    key.k = args->transpose_a ? args->a.rows : args->a.cols;
    key.a_stride = args->a.stride;
    key.b_stride = args->b.stride;
    key.c_stride = args->c.stride;
    key.transpose_a = args->transpose_a;
    key.transpose_b = args->transpose_b;
    key.accumulate = args->accumulate;
    key.epilogue = (int32_t)args->epilogue;
    key.operand = (int32_t)args->a.dtype;
    key.result = (int32_t)args->c.dtype;
    key.alignment = common_alignment(args);
    key.strict = cuda_state_of(device)->strict;
    return key;
}

static cublasStatus_t describe(struct plan *plan, const struct key *key)
{
    cublasComputeType_t compute = key->operand == LNG_DTYPE_F32 && !key->strict
                                      ? CUBLAS_COMPUTE_32F_FAST_TF32
                                      : CUBLAS_COMPUTE_32F;
    cublasOperation_t first = key->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t second = key->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = cublas_epilogue(key->epilogue);
    cudaDataType_t operand = cuda_type(key->operand), result = cuda_type(key->result);
    cublasStatus_t status;
#define STEP(call)                           \
    do {                                     \
        status = (call);                     \
        if (status != CUBLAS_STATUS_SUCCESS) \
            return status;                   \
    } while (0)
    STEP(cublasLtMatmulDescCreate(&plan->product, compute, CUDA_R_32F));
    STEP(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_TRANSA, &first,
                                        sizeof first));
    STEP(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_TRANSB, &second,
                                        sizeof second));
    STEP(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                        sizeof epilogue));
    if (has_bias(key->epilogue))
        STEP(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                                            &result, sizeof result));
    STEP(cublasLtMatrixLayoutCreate(&plan->a, operand,
                                    (uint64_t)(key->transpose_b ? key->k : key->n),
                                    (uint64_t)(key->transpose_b ? key->n : key->k), key->b_stride));
    STEP(cublasLtMatrixLayoutCreate(&plan->b, operand,
                                    (uint64_t)(key->transpose_a ? key->m : key->k),
                                    (uint64_t)(key->transpose_a ? key->k : key->m), key->a_stride));
    STEP(cublasLtMatrixLayoutCreate(&plan->c, result, (uint64_t)key->n, (uint64_t)key->m,
                                    key->c_stride));
#undef STEP
    return CUBLAS_STATUS_SUCCESS;
}

/* Reductions in place are done by whichever block comes first: not those. */
static cublasStatus_t choose(struct cuda_gemm *gemm, struct plan *plan, const struct key *key)
{
    const uint64_t workspace = WORKSPACE_BYTES;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE,
                   alignment = (uint32_t)key->alignment;
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    status = cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulPreferenceSetAttribute(
            preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes);
    for (int i = 0; i < 4 && status == CUBLAS_STATUS_SUCCESS; i++)
        status = cublasLtMatmulPreferenceSetAttribute(preference, alignments[i], &alignment,
                                                      sizeof alignment);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulAlgoGetHeuristic(gemm->handle, plan->product, plan->a, plan->b,
                                                plan->c, plan->c, preference, 1, &found, &count);
    (void)cublasLtMatmulPreferenceDestroy(preference);
    if (status == CUBLAS_STATUS_SUCCESS && count == 0)
        status = CUBLAS_STATUS_NOT_SUPPORTED;
    if (status == CUBLAS_STATUS_SUCCESS)
        plan->algorithm = found.algo;
    return status;
}

static cublasStatus_t point_to_bias(struct plan *plan, const void *bias)
{
    return cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias,
                                          sizeof bias);
}

static uint64_t hash(const struct key *key)
{
    uint64_t words[sizeof *key / sizeof(uint64_t)], h = 0x9E3779B97F4A7C15u;
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        h = (h ^ words[i]) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    return h;
}

/* The plan of this key; the last place probed is given up when all are taken by others. */
static enum lng_status find_plan(struct lng_device *device, const char *what, const struct key *key,
                                 const void *bias, struct plan **plan)
{
    struct cuda_gemm *gemm = cuda_state_of(device)->gemm;
    uint64_t h = hash(key);
    struct plan *place = NULL;
    for (unsigned i = 0; i < PROBES; i++) {
        place = &gemm->plans[(h + i) % PLANS];
        if (place->product == NULL)
            break;
        if (memcmp(&place->key, key, sizeof *key) == 0) {
            *plan = place;
            return LNG_OK;
        }
    }
    release_plan(place);
    cublasStatus_t error = describe(place, key);
    if (error == CUBLAS_STATUS_SUCCESS && has_bias(key->epilogue))
        error = point_to_bias(place, bias);
    if (error == CUBLAS_STATUS_SUCCESS)
        error = choose(gemm, place, key);
    if (error != CUBLAS_STATUS_SUCCESS) {
        release_plan(place);
        return check(device, what, key, error);
    }
    place->key = *key;
    *plan = place;
    return LNG_OK;
}

enum lng_status cuda_gemm(struct lng_device *device, const char *what,
                          const struct cuda_gemm_args *args)
{
    struct cuda_gemm *gemm = cuda_state_of(device)->gemm;
    const float one = 1, beta = args->accumulate ? 1 : 0;
    struct key key = key_of(device, args);
    struct plan *plan = NULL;
    LNG_TRY(find_plan(device, what, &key, args->bias, &plan));
    if (has_bias(key.epilogue))
        LNG_TRY(check(device, what, &key, point_to_bias(plan, args->bias)));
    LNG_TRY(check(device, what, &key,
                  cublasLtMatmul(gemm->handle, plan->product, &one, args->b.data, plan->a,
                                 args->a.data, plan->b, &beta, args->c.data, plan->c, args->c.data,
                                 plan->c, &plan->algorithm, gemm->workspace, WORKSPACE_BYTES,
                                 cuda_stream(device))));
    return cuda_check(device, what, cudaPeekAtLastError());
}
