/* Models in host memory with random values, for tests of files. */
#ifndef TESTS_SUPPORT_RANDOM_DATA_H
#define TESTS_SUPPORT_RANDOM_DATA_H

#include "host/store/hf.h"

/* Values uniform around zero (gammas around one), the pad row zero. Fails the test on an error. */
struct lng_model_data random_data(const struct lng_hparams *hparams, uint32_t seed);
/* Saves it as a model directory, made when needed. */
void save_data(const char *directory, const struct lng_model_data *data, enum lng_dtype dtype);
/* A model directory of tiny_hparams with random values, for the words a to p; made when needed. */
void save_words_model(const char *directory);
/* Greatest |a - b| over all parameters; fails the test when the layouts differ. */
double data_distance(const struct lng_model_data *a, const struct lng_model_data *b);

#endif
