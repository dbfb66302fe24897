/* A small random model as a model directory, for tests that run the program. */
#ifndef LNG_TESTS_SUPPORT_TINY_FOLDER_H
#define LNG_TESTS_SUPPORT_TINY_FOLDER_H

#include <stdint.h>

/* The folder `name` of the scratch folder: a model of tiny_model.h whose vocabulary is </s>, <unk>, the one-letter words
 * from first_word on, and <pad>. Asserts on failure. */
void tiny_folder_write(const char *name, uint64_t seed, char first_word);

#endif
