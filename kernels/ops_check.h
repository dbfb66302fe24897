/* Inside kernels/ only: the argument checks that the public operations are made of. Each message names
 * the operation and the argument, what was expected and what was found. */
#ifndef LNG_KERNELS_OPS_CHECK_H
#define LNG_KERNELS_OPS_CHECK_H

#include "kernels/backend.h"

/* Sets of dtypes: 1 << dtype. */
#define LNG_SET(dtype) (1u << (dtype))

/* One call of one operation under check. */
struct lng_check {
    const char *op;
    unsigned real;       /* the set of the one dtype of parameters and statistics */
    unsigned activation; /* dtypes activations may have; narrowed by the first one seen */
};
struct lng_check lng_check_begin(const struct lng_device *device, const char *op);

/* A required matrix [rows, cols] (-1 = any count) of one of the dtypes in `set`. */
LNG_MUST_CHECK enum lng_status lng_check_view(const struct lng_check *check, const char *name,
                                              const struct lng_view *view, int64_t rows,
                                              int64_t cols, unsigned set);
/* A view that is I8 in rows of a cache of `heads` heads. */
LNG_MUST_CHECK enum lng_status lng_check_byte_cache(const struct lng_device *device,
                                                    const struct lng_check *check, const char *name,
                                                    const struct lng_view *view, int64_t heads);
/* The same for an activation: all activations of one call share one dtype, that of the first. */
LNG_MUST_CHECK enum lng_status lng_check_activation(struct lng_check *check, const char *name,
                                                    const struct lng_view *view, int64_t rows,
                                                    int64_t cols);
/* A table of rows of `cols`: a real view, or, without data, a weight made of rows. */
LNG_MUST_CHECK enum lng_status lng_check_table(const struct lng_check *check,
                                               const struct lng_view *table,
                                               const struct lng_weight *rows, int64_t cols);
/* An array that `count` elements are read from or written to. */
LNG_MUST_CHECK enum lng_status lng_check_array(const struct lng_check *check, const char *name,
                                               const void *array, int64_t count);
/* Probability in [0, 1), site below 65536. */
LNG_MUST_CHECK enum lng_status lng_check_probability(const struct lng_check *check,
                                                     const char *name, double probability,
                                                     struct lng_rng_site rng);
LNG_MUST_CHECK enum lng_status lng_check_dropout(const struct lng_check *check, const char *name,
                                                 const struct lng_dropout *dropout, int64_t rows);
LNG_MUST_CHECK enum lng_status lng_check_integer(const struct lng_check *check, const char *name,
                                                 int64_t value, int64_t lowest, int64_t highest);
/* A finite real in [lowest, highest]. */
LNG_MUST_CHECK enum lng_status lng_check_number(const struct lng_check *check, const char *name,
                                                double value, double lowest, double highest);
/* No element belongs to both. */
LNG_MUST_CHECK enum lng_status lng_check_apart(const struct lng_check *check, const char *name_a,
                                               const struct lng_view *a, const char *name_b,
                                               const struct lng_view *b);

/* In an operation: `check` and `args` are in scope, and the argument's name is the field's. */
#define CHECK_ACTIVATION(field, rows, cols) \
    LNG_TRY(lng_check_activation(&check, #field, &args->field, (rows), (cols)))
#define CHECK_REAL(field, rows, cols) \
    LNG_TRY(lng_check_view(&check, #field, &args->field, (rows), (cols), check.real))
#define CHECK_ARRAY(field, count) LNG_TRY(lng_check_array(&check, #field, args->field, (count)))
#define CHECK_DROPOUT(field, rows) LNG_TRY(lng_check_dropout(&check, #field, &args->field, (rows)))
#define CHECK_INTEGER(field, lowest, highest) \
    LNG_TRY(lng_check_integer(&check, #field, (int64_t)args->field, (lowest), (highest)))
#define CHECK_NUMBER(field, lowest, highest) \
    LNG_TRY(lng_check_number(&check, #field, args->field, (lowest), (highest)))
#define CHECK_APART(a, b) LNG_TRY(lng_check_apart(&check, #a, &args->a, #b, &args->b))
#define IF_PRESENT(field, checks)     \
    do {                              \
        if (args->field.data != NULL) \
            checks;                   \
    } while (0)

#endif
