/* Generated text and tiny SentencePiece models trained on it. Asserts on failure. */
#ifndef LNG_TESTS_SUPPORT_SPM_FIXTURE_H
#define LNG_TESTS_SUPPORT_SPM_FIXTURE_H

#include "host/base/text.h"
#include "tokenizer/spm.h"

/* Hands out `left` made-up sentences, the same for the same seed. `german` uses other words. */
struct fixture_text {
    uint32_t seed;
    int left;
    bool german;
    char line[512];
};
/* A lng_next_line; `context` is a struct fixture_text. */
enum lng_status fixture_next_line(void *context, const char **text, size_t *length, bool *got);

/* Hands out the strings of a list that ends in NULL. */
struct fixture_list {
    const char *const *lines;
};
enum lng_status fixture_next_of_list(void *context, const char **text, size_t *length, bool *got);

/* lng_spm_train_defaults() cut down: 150 pieces, one thread, few self-test samples. */
struct lng_spm_train_options fixture_options(void);
/* Trains on 600 sentences. The bytes are the caller's to release. */
struct lng_buffer fixture_train(const struct lng_spm_train_options *options, bool german);
/* The same, loaded. */
struct lng_spm *fixture_spm(const struct lng_spm_train_options *options, bool german);

#endif
