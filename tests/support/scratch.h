/* A temporary folder for one test. */
#ifndef LNG_TESTS_SUPPORT_SCRATCH_H
#define LNG_TESTS_SUPPORT_SCRATCH_H

#include <stddef.h>

/* Makes a fresh folder and returns its path (static storage, one a process). Criterion runs each test in
 * a process of its own. */
const char *scratch_make(void);
/* "FOLDER/name", in one of eight static buffers. */
const char *scratch_path(const char *name);
/* Writes a file there, whole; returns its path. Asserts on failure. */
const char *scratch_write(const char *name, const void *data, size_t size);
/* Removes the folder and what is in it. */
void scratch_remove(void);
/* Number of entries in the folder, "." and ".." left out. */
size_t scratch_count(void);

#endif
