/* A writer of CTranslate2 model.bin files that shares nothing with the library's: every version, every type,
 * and a small model. One file at a time. */
#ifndef TESTS_SUPPORT_CT2_MAKER_H
#define TESTS_SUPPORT_CT2_MAKER_H

#include "host/store/ctranslate2_internal.h"

/* The file so far. */
struct ct2_made {
    unsigned char data[1 << 18];
    size_t size, count_at;
    uint32_t version, variables;
};
extern struct ct2_made ct2_made;

void ct2_begin(uint32_t version, const char *spec, uint32_t revision);
/* bytes: of the data. rank 0 to 2; rows only for 2. */
void ct2_variable(const char *name, int rank, uint32_t rows, uint32_t cols, enum lng_ct2_type type,
                  const void *data, size_t bytes);
void ct2_flag(const char *name, int value);     /* int8 */
void ct2_number(const char *name, float value); /* float32 */
/* Pairs of alias and variable, then NULL; NULL: none. Does nothing before version 3. */
void ct2_finish(const char *const *aliases);

enum { CT2_D = 16, CT2_FE = 6, CT2_FD = 5, CT2_VS = 8, CT2_VT = 9 };

/* What a file is like. */
struct ct2_style {
    uint32_t version, revision;
    const char *spec;
    enum lng_ct2_type type; /* of matrices */
    enum { CT2_SCALE_ROWS, CT2_SCALE_ONE, CT2_SCALE_NONE } scale;
    bool post_norm, rms, no_bias;
    bool tie_target, tie_all; /* by aliases from version 3 on, else by equal values */
};
extern const struct ct2_style ct2_modern; /* version 6, float32, pre-norm */

/* All tensors but `without` (a name of today, or NULL), and the settings that the revision has. One layer each,
 * width CT2_D; revision 5 and newer: 2 and 4 heads. */
void ct2_tensors(const struct ct2_style *style, const char *without);
/* A whole file. */
void ct2_model(const struct ct2_style *style);
/* <blank>, <s>, </s>, letters, <unk>. */
struct lng_vocab *ct2_words(int count);
/* Reads it from memory, with vocabularies of CT2_VS and CT2_VT entries, or one of CT2_VT. */
enum lng_status ct2_import(bool shared, struct lng_import *import);
/* Every value is what the file meant. */
void ct2_check_values(const struct ct2_style *style, const struct lng_import *import);

#endif
