/* Shared by the files of ctranslate2.h, their tests and their fuzz target.
 *
 * model.bin, little-endian. A string is a u16 length, bytes, NUL; the length counts the NUL.
 *   u32 binary version; from version 2 on: string spec, u32 revision of the spec
 *   u32 number of variables; each: string name, u8 rank, u32 dimensions [rank],
 *     versions 1 to 3: u8 bytes an item (4 = f32, 2 = i16, 1 = i8), u32 number of items
 *     from version 4 on: u8 code of lng_ct2_type, u32 number of bytes
 *     and the data, row-major
 *   from version 3 on: u32 number of aliases; each: string alias, string variable
 * Integers q stand for q / scale; the scale is the variable NAME_scale, one number or one for each row;
 * int16 without it has LNG_CT2_GLOBAL_SCALE. */
#ifndef LNG_HOST_STORE_CTRANSLATE2_INTERNAL_H
#define LNG_HOST_STORE_CTRANSLATE2_INTERNAL_H

#include "host/store/blob.h"
#include "host/store/ctranslate2.h"
#include "host/store/json.h"

enum {
    LNG_CT2_VERSION = 6,  /* the newest that is read, and the one that is written */
    LNG_CT2_REVISION = 7, /* of the spec, likewise */
    LNG_CT2_RANK = 4,
    LNG_CT2_VARIABLES = 1 << 18, /* most in a file */
    LNG_CT2_NAME_BYTES = 128,    /* of names that are made here */
    LNG_CT2_GLOBAL_SCALE = 1000,
};
#define LNG_CT2_SPEC "TransformerSpec"
/* Keys of config.json that are in no table; files before version 6 say the start by two flags. */
#define LNG_CT2_START_KEY "decoder_start_token"
#define LNG_CT2_EPSILON_KEY "layer_norm_epsilon"
#define LNG_CT2_OURS_KEY "lingster"
#define LNG_CT2_TARGET_BOS "with_target_bos"
#define LNG_CT2_USER_START "user_decoder_start_tokens"
/* Factor of the scores, a number of each attention; 1 / sqrt(A) when there is none. */
#define LNG_CT2_QUERIES_SCALE "queries_scale"

struct lng_ct2_variable {
    char *name;     /* printable ASCII; owned */
    char *alias_of; /* the name that stands for the same data, or NULL; owned */
    enum lng_ct2_type type;
    int rank;
    int64_t shape[LNG_CT2_RANK]; /* > 0 */
    uint64_t elements, bytes;
    uint64_t offset; /* in the file */
};

struct lng_ct2_file {
    struct lng_blob blob;
    uint32_t version, revision;
    char *spec;                    /* "" in version 1; owned */
    struct lng_ct2_variable *list; /* sorted by name, aliases among them; owned */
    size_t count, capacity;
};

/* LNG_ERR_UNSUPPORTED for a newer version, else LNG_ERR_FORMAT, LNG_ERR_IO, LNG_ERR_MEMORY: file, variable,
 * expected, found. Names of revision 1 are given as today's, and embeddings as embeddings_0. */
LNG_MUST_CHECK enum lng_status lng_ct2_open(struct lng_ct2_file *file, const char *path);
/* `data` must outlive it. */
LNG_MUST_CHECK enum lng_status lng_ct2_open_memory(struct lng_ct2_file *file, const char *name,
                                                   const void *data, size_t size);
/* Fine on a zeroed or closed one. */
void lng_ct2_close(struct lng_ct2_file *file);

const char *lng_ct2_type_name(enum lng_ct2_type type);
unsigned lng_ct2_type_bytes(enum lng_ct2_type type); /* of one element */

/* NULL when there is none of that name. Borrowed. */
const struct lng_ct2_variable *lng_ct2_find(const struct lng_ct2_file *file, const char *name);
/* The scale of an integer variable, or NULL. Borrowed. */
const struct lng_ct2_variable *lng_ct2_scale_of(const struct lng_ct2_file *file,
                                                const struct lng_ct2_variable *variable);

/* All elements as f32, integers divided by their scale. LNG_ERR_DTYPE for int32; LNG_ERR_FORMAT, LNG_ERR_SHAPE,
 * LNG_ERR_RANGE when the scale is missing, of another size, or no positive number. values [elements] */
LNG_MUST_CHECK enum lng_status lng_ct2_read_f32(const struct lng_ct2_file *file,
                                                const struct lng_ct2_variable *variable,
                                                float *values);
/* One number of any type; LNG_ERR_SHAPE when there are more. */
LNG_MUST_CHECK enum lng_status lng_ct2_read_number(const struct lng_ct2_file *file,
                                                   const struct lng_ct2_variable *variable,
                                                   double *value);
/* int8 as UTF-8 text. *text is the caller's (lng_free). */
LNG_MUST_CHECK enum lng_status lng_ct2_read_text(const struct lng_ct2_file *file,
                                                 const struct lng_ct2_variable *variable,
                                                 char **text);
/* *same: type, shape, scale and data are equal. */
LNG_MUST_CHECK enum lng_status lng_ct2_same(const struct lng_ct2_file *file,
                                            const struct lng_ct2_variable *a,
                                            const struct lng_ct2_variable *b, bool *same);

/* ---- what ctranslate2_names.def says ---- */

enum lng_ct2_setting {
#define LNG_CT2_SETTING(id, type, name, old) LNG_CT2_##id,
#include "host/store/ctranslate2_names.def"
    LNG_CT2_SETTING_COUNT
};
const char *lng_ct2_setting_name(enum lng_ct2_setting setting);
const char *lng_ct2_setting_old_name(enum lng_ct2_setting setting); /* or NULL */
enum lng_ct2_type lng_ct2_setting_type(enum lng_ct2_setting setting);

/* False when CTranslate2 has no such variable (additive attention). */
bool lng_ct2_param_name(enum lng_param_id id, int layer, char name[LNG_CT2_NAME_BYTES]);
/* A file without it has zeros there. */
bool lng_ct2_param_optional(enum lng_param_id id);
/* The scopes of all attentions of a model, '/' at the end, from 0; false past the last. */
bool lng_ct2_attention_scope(int which, const struct lng_hparams *hparams,
                             char name[LNG_CT2_NAME_BYTES]);
/* What a variable stands for that lingster cannot compute, "" when it means nothing, NULL when the name
 * says nothing. *zero: fine when it is 0. */
const char *lng_ct2_feature(const char *name, bool *zero);
/* A name of revision 1 in today's spelling; NULL when memory is out. lng_free it. */
char *lng_ct2_rename(const char *name, bool revision_1);
/* False for a code that lingster has no activation for. */
bool lng_ct2_activation(double code, enum lng_activation *activation);
int lng_ct2_activation_code(enum lng_activation activation); /* -1 = none */

/* ---- reading ---- */

/* What config.json, or variables in its place, say. */
struct lng_ct2_config {
    char *unk, *bos, *eos; /* owned */
    char *start;           /* first decoder input; NULL: the user must give it. Owned */
    bool add_source_bos, add_source_eos;
    double epsilon;       /* NaN = not said */
    bool ours;            /* written by lingster: nothing in it is a guess */
    const char *obstacle; /* a key that says what lingster cannot do, or NULL. Static */
};
/* config.json from text, over what *config says already. */
LNG_MUST_CHECK enum lng_status lng_ct2_config_parse(struct lng_ct2_config *config, const char *name,
                                                    const char *text, size_t size,
                                                    struct lng_buffer *warnings);
/* Defaults, config.json of the folder (NULL: none), and the variables of files before version 6. */
LNG_MUST_CHECK enum lng_status lng_ct2_config_read(struct lng_ct2_config *config,
                                                   const char *directory,
                                                   const struct lng_ct2_file *file,
                                                   struct lng_buffer *warnings);
void lng_ct2_config_release(struct lng_ct2_config *config);

/* A vocabulary from the text of its file. */
LNG_MUST_CHECK enum lng_status lng_ct2_vocab_parse(const char *text, size_t size, bool json,
                                                   struct lng_vocab **vocab);
/* *target NULL = shared. <unk> is appended where it is missing. */
LNG_MUST_CHECK enum lng_status lng_ct2_vocabs_read(const char *directory, const char *unk,
                                                   struct lng_vocab **source,
                                                   struct lng_vocab **target);

/* Everything that cannot be imported, for one message. */
struct lng_ct2_problems {
    struct lng_buffer text; /* "; " between them */
    size_t count;
    enum lng_status code; /* LNG_ERR_UNSUPPORTED when one of them is, else the first one's */
};
LNG_MUST_CHECK enum lng_status lng_ct2_problem(struct lng_ct2_problems *problems,
                                               enum lng_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct lng_ct2_reading {
    const char *name; /* of model.bin, for messages */
    const struct lng_ct2_file *file;
    const struct lng_ct2_config *config;
    struct lng_vocab *source,
        *target; /* target NULL = shared; <pad> appended where there was none */
    struct lng_hparams hparams;
    bool pad_appended, source_pad_appended; /* to the target, or the one; to a separate source */
    bool *used;                             /* [file->count] */
    struct lng_ct2_problems problems;
    struct lng_buffer *choices;
};
/* LNG_ERR_UNSUPPORTED unless it is an encoder-decoder of a revision that is known. */
LNG_MUST_CHECK enum lng_status lng_ct2_check_spec(const struct lng_ct2_file *file);
/* The variable, marked as used, or NULL. */
const struct lng_ct2_variable *lng_ct2_use(struct lng_ct2_reading *reading, const char *name);
/* Settles reading->hparams; what stands against it becomes a problem. *whole: the shape is known, so that its
 * tensors can be looked for. */
LNG_MUST_CHECK enum lng_status lng_ct2_find_shape(struct lng_ct2_reading *reading, bool *whole);
/* hparams.positions, offset and max_positions. */
LNG_MUST_CHECK enum lng_status lng_ct2_find_positions(struct lng_ct2_reading *reading);

/* The model of an open file. The vocabularies are taken over (also on failure); directory may be NULL. */
LNG_MUST_CHECK enum lng_status
lng_ct2_import_file(const struct lng_ct2_file *file, const struct lng_ct2_config *config,
                    struct lng_vocab *source, struct lng_vocab *target, struct lng_import *import);

#endif
