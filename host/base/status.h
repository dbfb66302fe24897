/* Errors: a status code that says what kind, one thread-local message that says what to do.
 *
 * Every fallible function returns enum lng_status (LNG_OK is 0) and leaves its out-pointers untouched
 * on failure. A message says what was expected, what was found, where, and what to do about it.
 * Only host/cli/main.c prints it. */
#ifndef LNG_HOST_BASE_STATUS_H
#define LNG_HOST_BASE_STATUS_H

enum lng_status {
#define LNG_STATUS(name, text) LNG_##name,
#include "host/base/status.def"
#undef LNG_STATUS
};

#define LNG_MUST_CHECK __attribute__((warn_unused_result))

/* Sets the thread's message and returns `code`, so that `return lng_fail(...)` reads well. */
enum lng_status lng_fail(enum lng_status code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the current message (a file name, a line number) and returns `code`. */
enum lng_status lng_fail_context(enum lng_status code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The message of the last failure on this thread; "" when there was none. Borrowed, thread-local. */
const char *lng_error_message(void);

/* "out of memory", "malformed file", ... : the kind alone. Static. */
const char *lng_status_text(enum lng_status status);

#define LNG_TRY(expression)                             \
    do {                                                \
        enum lng_status lng_try_status_ = (expression); \
        if (lng_try_status_ != LNG_OK)                  \
            return lng_try_status_;                     \
    } while (0)

/* For functions that release resources: needs `enum lng_status status` and a label `fail`. */
#define LNG_TRY_OR_FAIL(expression) \
    do {                            \
        status = (expression);      \
        if (status != LNG_OK)       \
            goto fail;              \
    } while (0)

#define LNG_FAIL_IF(condition, code, ...)                                               \
    do {                                                                                \
        if (condition) {                                                                \
            (void)lng_fail((code), __VA_ARGS__);                                        \
            return (code); /* not lng_fail's: the compiler sees that it is no LNG_OK */ \
        }                                                                               \
    } while (0)

#define LNG_GOTO_FAIL_IF(condition, code, ...)   \
    do {                                         \
        if (condition) {                         \
            (void)lng_fail((code), __VA_ARGS__); \
            status = (code);                     \
            goto fail;                           \
        }                                        \
    } while (0)

#endif
