/* Runs the lingster program of the same build (LNG_TEST_BINARY) and catches what it says. */
#ifndef LNG_TESTS_SUPPORT_PROGRAM_H
#define LNG_TESTS_SUPPORT_PROGRAM_H

#include <stddef.h>

struct program {
    int status; /* exit status, or 128 + the signal that killed it */
    char *out;  /* standard output, NUL-terminated */
    size_t out_length;
    char *err; /* standard error */
    size_t err_length;
};

/* Runs it to its end. words: its arguments, separated by single spaces (so no argument holds one).
 * input, of input_length bytes, is its standard input; NULL = empty. environment: extra variables,
 * ended by NULL, or NULL; LINGSTER_... variables of the caller are not handed on. Asserts when it
 * cannot be run. */
void program_run(struct program *program, const char *words, const char *input, size_t input_length,
                 const char *const *environment);
/* The same with arguments as they are, ended by NULL. */
void program_run_arguments(struct program *program, const char *const *arguments, const char *input,
                           size_t input_length, const char *const *environment);
/* Without input; asserts that it ends with exit status `want`. */
void program_expect(struct program *program, const char *words, int want);
void program_release(struct program *program);

/* For tests that need other descriptors: starts it with the given ones (-1 = closed), returns its
 * pid. */
int program_start(const char *const *arguments, const char *const *environment, int in, int out,
                  int err);
/* Waits for it; status as above. */
int program_wait(int pid);

#endif
