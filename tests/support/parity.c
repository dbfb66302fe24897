#include "tests/support/parity.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"

struct limits {
    double nmse_warn, nmse_fail, max_warn, max_fail;
};

static struct limits limits_of(enum parity_class class, enum lng_dtype dtype)
{
#define LNG_TOLERANCE(name, type, ...)                       \
    if (class == PARITY_##name && dtype == LNG_DTYPE_##type) \
        return (struct limits){__VA_ARGS__};
#include "tests/support/tolerances.def"
#undef LNG_TOLERANCE
    cr_assert(false, "tests/support/tolerances.def has no row for class %d in %s", (int)class,
              lng_dtype_name(dtype));
    return (struct limits){0};
}

/* "cpu/avx2" is the cpu device held to that instruction set. */
static void choose_instructions(const char *device)
{
    const char *slash = strchr(device, '/');
    if (slash != NULL)
        setenv("LNG_CPU_ISA", slash + 1, 1);
    else
        unsetenv("LNG_CPU_ISA");
}

static void name_of(const char *device, char name[16])
{
    snprintf(name, 16, "%.*s", (int)strcspn(device, "/"), device);
}

static struct lng_device *try_open(const char *device)
{
    struct lng_device *opened = NULL;
    char name[16];
    name_of(device, name);
    choose_instructions(device);
    return lng_device_open(name, NULL, &opened) == LNG_OK ? opened : NULL;
}

bool parity_supported(const char *device, enum lng_dtype compute)
{
    struct lng_device *opened = try_open(device);
    bool supported = opened != NULL && lng_device_supports(opened, compute) == LNG_OK;
    lng_device_close(opened);
    return supported;
}

bool parity_stores_bf16(const char *device)
{
    struct lng_device *opened = try_open(device);
    bool stores = opened != NULL && lng_device_activation(opened, LNG_DTYPE_BF16) == LNG_DTYPE_BF16;
    lng_device_close(opened);
    return stores;
}

static void run_case(struct parity *parity, const char *device, void (*run)(struct parity *),
                     uint64_t seed, enum lng_dtype compute, enum lng_dtype activation)
{
    char name[16];
    name_of(device, name);
    choose_instructions(device);
    *parity = (struct parity){.seed = seed, .compute = compute, .activation = activation};
    rig_open(&parity->rig, name, seed);
    parity->rig.gap = seed % 4 == 3 ? 5 : 0;
    run(parity);
    rig_close(&parity->rig);
}

/* Inputs are about 1: an output smaller than this is what cancellation left, and measured against it. */
static const double TINY = 1e-3;

struct difference {
    double nmse, max;
    size_t worst;
};

static struct difference measure(const double *got, const double *want, size_t count)
{
    struct difference found = {0};
    double error = 0, square = 0, largest = 0, worst = -1;
    for (size_t i = 0; i < count; i++) {
        if (got[i] == want[i] && isinf(want[i]))
            continue;
        double difference = fabs(got[i] - want[i]);
        if (!isfinite(difference))
            return (struct difference){INFINITY, INFINITY, i};
        if (difference > worst) {
            worst = difference;
            found.worst = i;
        }
        error += difference * difference;
        square += want[i] * want[i];
        largest = fmax(largest, fabs(want[i]));
    }
    found.nmse = error == 0 ? 0 : error / fmax(square, (double)count * TINY * TINY);
    found.max = worst <= 0 ? 0 : worst / fmax(largest, TINY);
    return found;
}

static bool mostly_zeros(const struct parity_output *output)
{
    size_t zeros = 0;
    for (size_t i = 0; i < output->count; i++)
        zeros += output->values[i] == 0;
    return output->count >= 16 && zeros * 10 > output->count * 9;
}

static void compare_output(const struct parity_output *got, const struct parity_output *want,
                           const struct limits *limits, const char *repeat)
{
    cr_assert(got->count == want->count && strcmp(got->name, want->name) == 0,
              "the case of %s hands over different outputs on the two devices", repeat);
    cr_assert(!mostly_zeros(want) && !mostly_zeros(got),
              "%s: mistrusted, for more than nine tenths of its values are zero; repeat: %s",
              got->name, repeat);
    struct difference found = measure(got->values, want->values, got->count);
    if (getenv("LNG_PARITY_REPORT") != NULL)
        fprintf(stderr, "parity %.3e %.3e %s %s\n", found.nmse, found.max, got->name, repeat);
    else if (found.nmse > limits->nmse_warn || found.max > limits->max_warn)
        fprintf(stderr, "warning: %s: nmse %.3g (warn %.3g), max %.3g (warn %.3g); repeat: %s\n",
                got->name, found.nmse, limits->nmse_warn, found.max, limits->max_warn, repeat);
    cr_assert(found.nmse <= limits->nmse_fail && found.max <= limits->max_fail,
              "%s: nmse %.3g (limit %.3g), max %.3g (limit %.3g); worst element %zu of %zu: ref "
              "%.9g, found %.9g; repeat: %s",
              got->name, found.nmse, limits->nmse_fail, found.max, limits->max_fail, found.worst,
              got->count, want->values[found.worst], got->values[found.worst], repeat);
}

/* Of an operation on bf16 activations. Tensor cores also round what stands between two products. */
static struct limits stored_limits(const char *device, enum parity_class class)
{
    bool tensor_cores = strncmp(device, "cuda", 4) == 0;
    if (tensor_cores && (class == PARITY_LINEAR || class == PARITY_NORM_LINEAR))
        class = PARITY_TENSOR_LINEAR;
    else if (tensor_cores && class == PARITY_ATTENTION)
        class = PARITY_TENSOR_ATTENTION;
    else
        class = PARITY_STORED;
    return limits_of(class, LNG_DTYPE_BF16);
}

void parity_compare(const char *device, const char *op, void (*run)(struct parity *parity),
                    enum parity_class class, uint64_t seed, enum lng_dtype compute,
                    enum lng_dtype activation)
{
    struct parity want, got;
    char repeat[256];
    struct limits limits =
        activation == LNG_DTYPE_BF16 ? stored_limits(device, class) : limits_of(class, compute);
    snprintf(repeat, sizeof repeat,
             "LNG_PARITY_DEVICE=%s LNG_PARITY_OP=%s LNG_PARITY_SEED=%llu test_parity (weights %s, "
             "activations %s)",
             device, op, (unsigned long long)seed, lng_dtype_name(compute),
             lng_dtype_name(activation));
    run_case(&want, "ref", run, seed, compute, activation);
    run_case(&got, device, run, seed, compute, activation);
    cr_assert(want.output_count > 0 && want.output_count == got.output_count,
              "the case of %s hands over nothing", repeat);
    for (int i = 0; i < want.output_count; i++) {
        compare_output(&got.outputs[i], &want.outputs[i], &limits, repeat);
        lng_free(got.outputs[i].values);
        lng_free(want.outputs[i].values);
    }
}

int64_t parity_rows(struct parity *parity)
{
    static const int64_t awkward[] = {1, 2, 3, 97, 239};
    int64_t choice = rig_integer(&parity->rig, 0, 9), random = rig_integer(&parity->rig, 1, 70);
    if (parity->seed < 2)
        return (int64_t)parity->seed;
    return choice < 5 ? awkward[choice] : random;
}

int64_t parity_width(struct parity *parity)
{
    static const int64_t awkward[] = {1, 3, 97, 239, 64, 256};
    int64_t choice = rig_integer(&parity->rig, 0, 11), random = rig_integer(&parity->rig, 1, 130);
    return choice < 6 ? awkward[choice] : random;
}

int64_t parity_small_width(struct parity *parity)
{
    static const int64_t awkward[] = {1, 3, 8, 64};
    int64_t choice = rig_integer(&parity->rig, 0, 7), random = rig_integer(&parity->rig, 1, 40);
    return choice < 4 ? awkward[choice] : random;
}

struct lng_view parity_activation(struct parity *parity, int64_t rows, int64_t cols)
{
    return rig_random(&parity->rig, parity->activation, rows, cols, 1);
}

struct lng_view parity_activation_output(struct parity *parity, int64_t rows, int64_t cols)
{
    return rig_output(&parity->rig, parity->activation, rows, cols);
}

struct lng_view parity_real(struct parity *parity, int64_t rows, int64_t cols)
{
    return rig_random(&parity->rig, LNG_DTYPE_F32, rows, cols, 1);
}

struct lng_dropout parity_dropout(struct parity *parity, int64_t rows)
{
    uint32_t *sentence = rig_host(&parity->rig, (size_t)rows, sizeof *sentence);
    uint32_t *position = rig_host(&parity->rig, (size_t)rows, sizeof *position);
    for (int64_t n = 0; n < rows; n++) {
        sentence[n] = (uint32_t)(40 + n / 11);
        position[n] = (uint32_t)(n % 11);
    }
    return (struct lng_dropout){
        .probability = parity->seed % 2 ? 0.3 : 0,
        .rng = {parity->seed * 0x9E3779B97F4A7C15u, 12, 34},
        .sentence = rig_array(&parity->rig, sentence, (size_t)rows, sizeof *sentence),
        .position = rig_array(&parity->rig, position, (size_t)rows, sizeof *position)};
}

void *parity_integers(struct parity *parity, int64_t count, int64_t lowest, int64_t highest)
{
    int32_t *values = rig_host(&parity->rig, (size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (int32_t)rig_integer(&parity->rig, lowest, highest);
    return rig_array(&parity->rig, values, (size_t)count, sizeof *values);
}

void parity_take(struct parity *parity, const char *name, struct lng_view view)
{
    cr_assert(parity->output_count < PARITY_OUTPUTS);
    struct parity_output *output = &parity->outputs[parity->output_count++];
    const double *values = rig_get(&parity->rig, view);
    output->name = name;
    output->count = (size_t)(view.rows * view.cols);
    output->values = lng_alloc(output->count, sizeof(double));
    cr_assert(output->values != NULL, "out of memory");
    memcpy(output->values, values, output->count * sizeof(double));
}

void parity_take_array(struct parity *parity, const char *name, const void *array, int64_t count,
                       enum lng_dtype dtype)
{
    parity_take(parity, name, lng_view_make((void *)(uintptr_t)array, dtype, 1, count));
}
