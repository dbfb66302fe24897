/* A tiny model with a translator, for tests of lines in and lines out. */
#ifndef LNG_TESTS_SUPPORT_TRANSLATE_RIG_H
#define LNG_TESTS_SUPPORT_TRANSLATE_RIG_H

#include "host/infer/translate.h"

struct translate_rig {
    struct lng_device *device;
    struct lng_model model;
    struct lng_tokenizer *tokenizer;
    struct lng_translate_options options;
    struct lng_translator *translator;
    struct lng_buffer out;
    int writes, fail_at;
};

/* Beam 2, windows of 7 lines, segments of 16 tokens, on one thread. */
struct translate_rig *translate_rig_open(void);
void translate_rig_close(struct translate_rig *rig);
/* With the options as they are now. */
void translate_rig_reopen(struct translate_rig *rig);
/* Symbols: ids 2 to 17 are the words a to p; the last is replaced by one with a newline in it. */
struct lng_tokenizer *translate_rig_words(int count);

/* The translation of one line alone. */
void translate_rig_alone(struct translate_rig *rig, const char *text, struct lng_buffer *result);
/* Of a file of these bytes, in the scratch folder, to rig->out; prefixes may be NULL. */
enum lng_status translate_rig_bytes(struct translate_rig *rig, const void *data, size_t size,
                                    const char *prefixes);
/* An lng_translate_write to rig->out, the context; call number fail_at fails. */
enum lng_status translate_rig_collect(void *context, const char *data, size_t size);
/* Line i of the output; asserts that it is there. */
struct lng_slice translate_rig_line(const struct translate_rig *rig, size_t i);
size_t translate_rig_count(const struct translate_rig *rig);

/* Line i of a text of some length: words, few or many, or none. The kind is i * i % TRANSLATE_RIG_KINDS. */
enum { TRANSLATE_RIG_KINDS = 11 };
const char *translate_rig_kind(int i);

#endif
