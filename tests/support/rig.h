/* A device and its test data: matrices and arrays with guard words around them, filled with given or
 * seeded random values, and freed together. Anything that goes wrong here fails the running test. */
#ifndef TESTS_SUPPORT_RIG_H
#define TESTS_SUPPORT_RIG_H

#include "host/base/philox.h"
#include "kernels/device.h"

struct rig_block;

struct rig {
    struct lng_device *device;
    enum lng_dtype real;
    uint64_t seed;
    uint32_t draws; /* random blocks handed out so far: the same calls draw the same numbers */
    int64_t gap;    /* columns of padding in the matrices made from now on */
    struct rig_block *blocks;
};

void rig_open(struct rig *rig, const char *device_name, uint64_t seed);
/* Checks all guards, then frees everything and closes the device. */
void rig_close(struct rig *rig);
/* Fails the test when a word around or between the rows of any matrix or array was overwritten. */
void rig_check_guards(const struct rig *rig);

/* Matrices [rows, cols], zeroed, random in (-magnitude, magnitude), with values [rows * cols] from the
 * host, or NaN everywhere (an output that must be written). */
struct lng_view rig_zeros(struct rig *rig, enum lng_dtype dtype, int64_t rows, int64_t cols);
struct lng_view rig_random(struct rig *rig, enum lng_dtype dtype, int64_t rows, int64_t cols,
                           double magnitude);
struct lng_view rig_values(struct rig *rig, enum lng_dtype dtype, int64_t rows, int64_t cols,
                           const double *values);
struct lng_view rig_output(struct rig *rig, enum lng_dtype dtype, int64_t rows, int64_t cols);
void rig_write(struct rig *rig, struct lng_view view, const double *values);

/* `count` elements of `size` bytes copied to the device; values NULL gives bytes of 0xFF (NaN, -1). */
void *rig_array(struct rig *rig, const void *values, size_t count, size_t size);

/* Host copies, owned by the rig. */
double *rig_get(struct rig *rig, struct lng_view view);
void *rig_get_array(struct rig *rig, const void *array, size_t count, size_t size);
/* Zeroed host memory, owned by the rig. */
void *rig_host(struct rig *rig, size_t count, size_t size);

/* The next random number, in (0, 1), and the next integer in [lowest, highest]. */
double rig_uniform(struct rig *rig);
int64_t rig_integer(struct rig *rig, int64_t lowest, int64_t highest);

/* int32 offsets [sentences + 1] on the host: random lengths in [0, longest]. */
int32_t *rig_offsets(struct rig *rig, int64_t sentences, int64_t longest);

/* Fails the test, with the message, unless the expression is LNG_OK. */
#define RIG_OK(expression) rig_expect_ok((expression), #expression)
void rig_expect_ok(enum lng_status status, const char *what);

/* Fails the test unless got[i] is want[i] within absolute + relative * |want[i]|; equal infinities and
 * NaN against NaN pass. */
void rig_expect_close(const char *what, const double *got, const double *want, size_t count,
                      double relative, double absolute);

#endif
