/* Finite differences against an analytic gradient, for one operation or a whole model. */
#ifndef TESTS_SUPPORT_GRADCHECK_H
#define TESTS_SUPPORT_GRADCHECK_H

#include <stddef.h>
#include <stdint.h>

/* A named range of the flat parameters. */
struct gradcheck_part {
    const char *name;
    size_t first, count;
};

struct gradcheck {
    const char *what; /* for the failure message: the case with its shape */
    /* L(parameters): must not depend on anything that changes between calls. */
    double (*value)(void *context, const double *parameters);
    void *context;
    double *parameters;     /* [count]; moved and restored */
    const double *analytic; /* [count] dL/d(parameter) */
    const struct gradcheck_part *parts;
    size_t part_count;
    double step;      /* 0 = 1e-5, times max(1, |parameter|) */
    size_t sample;    /* check at most so many randomly chosen parameters of a part; 0 = all */
    uint64_t seed;    /* of that choice; printed on failure */
    double tolerance; /* on |numeric - analytic| / max(|numeric|, |analytic|) of a part; 0 = 1e-6 */
    double negligible; /* parts whose gradient is smaller pass when both are; 0 = 1e-9 */
};

/* Central differences of every (sampled) parameter; the relative error is taken norm-wise over a part
 * (Euclidean) and for its worst element against the part's largest. Fails the running Criterion test,
 * naming the part and its worst element. Answers the largest error seen. */
double gradcheck_run(const struct gradcheck *check);

#endif
