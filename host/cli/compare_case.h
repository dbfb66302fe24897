/* Figures against limits: what `lingster compare` measures, when it is too much, and the list of cases
 * that its reports print. */
#ifndef LNG_HOST_CLI_COMPARE_CASE_H
#define LNG_HOST_CLI_COMPARE_CASE_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "kernels/device.h"

/* Whose limits apply: the less exact of the two types. */
enum lng_compare_class {
    LNG_COMPARE_F32,
    LNG_COMPARE_BF16, /* on either side */
    LNG_COMPARE_I8,   /* int8 against another type: the errors are those of quantisation */
    LNG_COMPARE_I8S,  /* int8 on both sides */
    LNG_COMPARE_CLASSES,
};
enum lng_compare_class lng_compare_class_of(enum lng_dtype a, enum lng_dtype b);
/* "f32", "bf16", "int8", "int8-int8". Static. */
const char *lng_compare_class_name(enum lng_compare_class class);

enum lng_compare_what {
#define LNG_COMPARE_WHAT(what, text) LNG_COMPARE_##what,
#include "host/cli/compare_limits.def"
#undef LNG_COMPARE_WHAT
    LNG_COMPARE_WHATS
};

/* A value above `warn` is remarked on, one above `fail` fails; what is not finite fails. */
struct lng_compare_limit {
    double warn, fail;
};
/* From the table, times `tolerance`. */
struct lng_compare_limit lng_compare_limit_of(enum lng_compare_what what,
                                              enum lng_compare_class class, double tolerance);

enum lng_compare_verdict { LNG_COMPARE_OK, LNG_COMPARE_WARN, LNG_COMPARE_FAIL };
enum lng_compare_verdict lng_compare_judge(double value, struct lng_compare_limit limit);
/* "ok", "warn", "fail". Static. */
const char *lng_compare_verdict_name(enum lng_compare_verdict verdict);

enum lng_compare_section {
    LNG_COMPARE_TRANSLATIONS,
    LNG_COMPARE_LOGPROBS,
    LNG_COMPARE_OPERATIONS,
    LNG_COMPARE_STEP_OPERATIONS,
    LNG_COMPARE_TRAINING,
    LNG_COMPARE_SECTIONS,
};
/* "translations", ...; static. */
const char *lng_compare_section_name(enum lng_compare_section section);

struct lng_compare_figure {
    const char *name; /* static */
    double value;
    struct lng_compare_limit limit;
};

struct lng_compare_case {
    enum lng_compare_section section;
    char name[48];
    int64_t count;       /* of what was compared */
    const char *counted; /* "calls", "tokens"; static */
    struct lng_compare_figure figures[2];
    int figure_count;
    char where[192]; /* the worst is; "" when there is nothing to say */
};
void lng_compare_case_add(struct lng_compare_case *c, const char *name, double value,
                          struct lng_compare_limit limit);
/* The worst of its figures. */
enum lng_compare_verdict lng_compare_case_verdict(const struct lng_compare_case *c);

/* All zero is an empty list. */
struct lng_compare_cases {
    struct lng_compare_case *list;
    size_t count, capacity;
};
LNG_MUST_CHECK enum lng_status lng_compare_cases_add(struct lng_compare_cases *cases,
                                                     const struct lng_compare_case *c);
void lng_compare_cases_release(struct lng_compare_cases *cases);

/* ---- numbers ------------------------------------------------------------------------------------ */

/* How far one list of numbers is from another. All zero is: nothing compared yet. */
struct lng_compare_error {
    double difference, square; /* sums of squares: of differences, of the reference */
    double worst, largest;     /* largest difference, largest magnitude of the reference */
    bool broken;               /* something that is not a number, or not finite on one side only */
};
void lng_compare_error_add(struct lng_compare_error *error, const float *tested,
                           const float *reference, size_t count);
/* difference / square, and worst / largest; infinite when broken, or when the reference is all zero and
 * the other is not. */
double lng_compare_error_nmse(const struct lng_compare_error *error);
double lng_compare_error_max(const struct lng_compare_error *error);

/* Rows of a view of any dtype, as floats [rows * cols]; and the way back, rounded to nearest even. */
LNG_MUST_CHECK enum lng_status lng_compare_view_read(struct lng_device *device,
                                                     struct lng_view view, float *values);
LNG_MUST_CHECK enum lng_status lng_compare_view_write(struct lng_device *device,
                                                      struct lng_view view, const float *values);

#endif
