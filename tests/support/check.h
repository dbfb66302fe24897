/* Assertions on arrays of reals: |got - want| <= absolute + relative * |want| for each element (the rule of
 * numpy.allclose). A NaN on either side never passes; infinities pass when they are equal. */
#ifndef LNG_TESTS_SUPPORT_CHECK_H
#define LNG_TESTS_SUPPORT_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include <criterion/criterion.h>

/* False when an element fails; `report` then says how many, which is first and which is worst. */
bool lng_test_close_f32(const float *got, const float *want, size_t count, double relative,
                        double absolute, char *report, size_t capacity);
bool lng_test_close_f64(const double *got, const double *want, size_t count, double relative,
                        double absolute, char *report, size_t capacity);

/* got and want: both float * or both double *. */
#define check_close(got, want, count, relative, absolute)                                        \
    do {                                                                                         \
        char report_[512];                                                                       \
        cr_assert(_Generic(*(got), float                                                         \
                           : lng_test_close_f32, double                                          \
                           : lng_test_close_f64)((got), (want), (count), (relative), (absolute), \
                                                 report_, sizeof report_),                       \
                  "%s against %s: %s", #got, #want, report_);                                    \
    } while (0)

/* The same, and most elements must not be zero: an op that did nothing is no success. */
bool lng_test_mostly_zero_f32(const float *values, size_t count);
bool lng_test_mostly_zero_f64(const double *values, size_t count);
#define check_alive(values, count)                                      \
    cr_assert(!_Generic(*(values), float                                \
                        : lng_test_mostly_zero_f32, double              \
                        : lng_test_mostly_zero_f64)((values), (count)), \
              "%s is mostly zeros", #values)

/* A status that must be LNG_OK; the message is shown otherwise. Needs host/base/status.h. */
#define check_ok(expression)                                            \
    do {                                                                \
        enum lng_status check_status_ = (expression);                   \
        cr_assert(check_status_ == LNG_OK, "%s: %s: %s", #expression,   \
                  lng_status_text(check_status_), lng_error_message()); \
    } while (0)

/* A status that must be `code`, with a message that holds `part`. Needs <string.h>. */
#define check_fails(expression, code, part)                                                        \
    do {                                                                                           \
        enum lng_status check_status_ = (expression);                                              \
        cr_assert(check_status_ == (code), "%s: got '%s', want '%s'", #expression,                 \
                  lng_status_text(check_status_), lng_status_text(code));                          \
        cr_assert(strstr(lng_error_message(), (part)) != NULL, "%s: '%s' lacks '%s'", #expression, \
                  lng_error_message(), (part));                                                    \
    } while (0)

#endif
