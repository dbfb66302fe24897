/* Comparison of a device with ref, operation by operation. A case is a function that makes its inputs
 * from the seed, runs the operation, and hands over every output; it is run once on each device. */
#ifndef TESTS_SUPPORT_PARITY_H
#define TESTS_SUPPORT_PARITY_H

#include "kernels/ops.h"
#include "tests/support/rig.h"

enum { PARITY_OUTPUTS = 12 };

enum parity_class {
    PARITY_EMBED,
    PARITY_LINEAR,
    PARITY_NORM,
    PARITY_NORM_LINEAR,
    PARITY_ATTENTION,
    PARITY_ACTIVATION,
    PARITY_LOSS,
    PARITY_PAIR_LOSS,
    PARITY_SEARCH,
    PARITY_OPTIMIZER,
    PARITY_MOVE,
    PARITY_QUANTIZE,
    PARITY_STORED, /* any of them on bf16 activations, but on a GPU's tensor cores: */
    PARITY_TENSOR_LINEAR,
    PARITY_TENSOR_ATTENTION,
};

struct parity_output {
    const char *name;
    double *values;
    size_t count;
};

/* One run of one case on one device. */
struct parity {
    struct rig rig;
    uint64_t seed;
    enum lng_dtype compute;    /* of prepared weights */
    enum lng_dtype activation; /* of activations: F32 or BF16 */
    struct parity_output outputs[PARITY_OUTPUTS];
    int output_count;
};

/* One function an operation of ops.def; a missing one does not link. */
#define LNG_OP(name) void parity_case_##name(struct parity *parity);
#include "kernels/ops.def"
#undef LNG_OP

/* Runs a case on ref and on `device` ("cpu", "cpu/avx2", "cuda") and compares; fails the running test
 * past the limits of tolerances.def, with the line that repeats it. */
void parity_compare(const char *device, const char *op, void (*run)(struct parity *parity),
                    enum parity_class class, uint64_t seed, enum lng_dtype compute,
                    enum lng_dtype activation);
/* Whether this machine and build have the device, and it computes in that type. */
bool parity_supported(const char *device, enum lng_dtype compute);
/* Whether a model that computes in bf16 has bf16 activations there. */
bool parity_stores_bf16(const char *device);

/* For cases. Rows: none at seed 0, one at seed 1, else random; widths include 1, 3, 97 and 239. */
int64_t parity_rows(struct parity *parity);
int64_t parity_width(struct parity *parity);
/* Of small matrices, where cost grows fast. */
int64_t parity_small_width(struct parity *parity);
struct lng_view parity_activation(struct parity *parity, int64_t rows, int64_t cols);
struct lng_view parity_activation_output(struct parity *parity, int64_t rows, int64_t cols);
struct lng_view parity_real(struct parity *parity, int64_t rows, int64_t cols);
/* On in every other seed. */
struct lng_dropout parity_dropout(struct parity *parity, int64_t rows);
/* [count] integers in [lowest, highest], on the device. */
void *parity_integers(struct parity *parity, int64_t count, int64_t lowest, int64_t highest);

/* Takes the values of an output now. */
void parity_take(struct parity *parity, const char *name, struct lng_view view);
/* The same for a flat array of floats (or of doubles, F64). */
void parity_take_array(struct parity *parity, const char *name, const void *array, int64_t count,
                       enum lng_dtype dtype);

#endif
