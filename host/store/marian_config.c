#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/config/yaml.h"
#include "host/store/marian_internal.h"

enum kind { IGNORED, FIXED, EMPTY, READ, NEEDED };

enum option {
#define LNG_MARIAN_OPTION(id, key, kind, value) OPTION_##id,
#include "host/store/marian_options.def"
#undef LNG_MARIAN_OPTION
    OPTION_COUNT
};

static const struct row {
    const char *key, *value;
    enum kind kind;
} rows[OPTION_COUNT] = {
#define LNG_MARIAN_OPTION(id, key, kind, value) {key, value, kind},
#include "host/store/marian_options.def"
#undef LNG_MARIAN_OPTION
};

static const struct norm_row {
    bool pre_norm;
    enum lng_norm norm;
    const char *preprocess, *postprocess, *top;
} norms[] = {
#define LNG_MARIAN_NORM(pre_norm, norm, preprocess, postprocess, top) \
    {pre_norm, LNG_NORM_##norm, preprocess, postprocess, top},
#include "host/store/marian_options.def"
#undef LNG_MARIAN_NORM
};

static const struct activation_row {
    enum lng_activation activation;
    const char *name, *version;
    bool early, later; /* computed so up to 1.12.0, and after it */
} activations[] = {
#define LNG_MARIAN_ACTIVATION(activation, name, period, version) \
    {LNG_ACTIVATION_##activation, name, version, LNG_MARIAN_##period},
#define LNG_MARIAN_ALWAYS true, true
#define LNG_MARIAN_EARLY true, false
#define LNG_MARIAN_LATE false, true
#include "host/store/marian_options.def"
#undef LNG_MARIAN_ACTIVATION
};

enum {
    NORMS = sizeof norms / sizeof norms[0],
    ACTIVATIONS = sizeof activations / sizeof activations[0]
};

const char *lng_marian_version_for(enum lng_activation activation)
{
    for (int i = 0; i < ACTIVATIONS; i++)
        if (activations[i].activation == activation)
            return activations[i].version;
    return NULL;
}

bool lng_marian_version_after(const struct lng_marian_config *config, unsigned major,
                              unsigned minor, unsigned patch)
{
    for (const char *at = strchr(config->version, 'v'); at; at = strchr(at + 1, 'v')) {
        unsigned found[3];
        if ((at == config->version || at[-1] == ' ') &&
            sscanf(at, "v%4u.%4u.%4u", &found[0], &found[1], &found[2]) == 3)
            return found[0] != major   ? found[0] > major
                   : found[1] != minor ? found[1] > minor
                                       : found[2] > patch;
    }
    return false;
}

/* ---- reading ---- */

struct reader {
    const struct lng_yaml_entry *entries[OPTION_COUNT]; /* NULL where the key is missing */
    struct lng_buffer problems;
    size_t count;
};

#define PROBLEM(reader, ...)                                                 \
    do {                                                                     \
        if ((reader)->count++ > 0)                                           \
            LNG_TRY(lng_buffer_append_text(&(reader)->problems, "; "));      \
        LNG_TRY(lng_buffer_append_format(&(reader)->problems, __VA_ARGS__)); \
    } while (0)

/* The scalar, or Marian's default; "a list" for a list, which no option of this kind accepts. */
static const char *text_of(const struct reader *reader, enum option id)
{
    const struct lng_yaml_entry *entry = reader->entries[id];
    return !entry ? rows[id].value : entry->is_list ? "a list" : entry->items[0];
}

static enum lng_status read_int(struct reader *reader, enum option id, int64_t low, int64_t high,
                                int32_t *value)
{
    int64_t number = low;
    if (rows[id].kind == NEEDED && !reader->entries[id])
        return LNG_OK; /* reported */
    if (lng_parse_int64(text_of(reader, id), low, high, &number) != LNG_OK)
        PROBLEM(reader, "%s: expected an integer from %" PRId64 " to %" PRId64 ", found '%.40s'",
                rows[id].key, low, high, text_of(reader, id));
    *value = (int32_t)number;
    return LNG_OK;
}

static enum lng_status read_bool(struct reader *reader, enum option id, bool *value)
{
    *value = false;
    if (lng_parse_bool(text_of(reader, id), value) != LNG_OK)
        PROBLEM(reader, "%s: expected true or false, found '%.40s'", rows[id].key,
                text_of(reader, id));
    return LNG_OK;
}

static bool same_value(const char *found, const char *expected)
{
    bool a, b;
    return strcmp(found, expected) == 0 || (lng_parse_bool(expected, &b) == LNG_OK &&
                                            lng_parse_bool(found, &a) == LNG_OK && a == b);
}

/* Options that have one value, or must be there. */
static enum lng_status check_fixed(struct reader *reader)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct lng_yaml_entry *entry = reader->entries[i];
        const char *found = text_of(reader, (enum option)i);
        bool fixed = rows[i].kind == FIXED || i == OPTION_TYPE;
        if (!entry && rows[i].kind == NEEDED)
            PROBLEM(reader, "%s: is missing", rows[i].key);
        else if (entry && i == OPTION_AUTOREG && !same_value(found, rows[i].value))
            PROBLEM(reader, "%s: expected %s, found '%.40s' (dec-cell %.40s)", rows[i].key,
                    rows[i].value, found, text_of(reader, OPTION_DEC_CELL));
        else if (entry && fixed && !same_value(found, rows[i].value))
            PROBLEM(reader, "%s: expected '%s', found '%.40s'", rows[i].key, rows[i].value, found);
        else if (entry && rows[i].kind == EMPTY && !entry->is_null &&
                 (!entry->is_list || entry->count > 0))
            PROBLEM(reader, "%s: expected an empty list, found '%.40s'%s", rows[i].key,
                    entry->items[0], entry->count > 1 ? " and more" : "");
    }
    return LNG_OK;
}

static enum lng_status read_vocabulary_sizes(struct reader *reader, struct lng_hparams *h)
{
    const struct lng_yaml_entry *entry = reader->entries[OPTION_DIM_VOCABS];
    int32_t *sizes[] = {&h->source_vocab, &h->target_vocab};
    if (!entry)
        return LNG_OK; /* reported */
    if (!entry->is_list || entry->count != 2) {
        PROBLEM(reader, "dim-vocabs: expected two sizes (one source and the target), found %zu",
                entry->count);
        return LNG_OK;
    }
    for (int i = 0; i < 2; i++) {
        int64_t number = 2;
        if (lng_parse_int64(entry->items[i], 2, LNG_VOCAB_MAX_ENTRIES - 1, &number) != LNG_OK)
            PROBLEM(reader, "dim-vocabs: expected sizes from 2 to %d, found '%.40s'",
                    LNG_VOCAB_MAX_ENTRIES - 1, entry->items[i]);
        *sizes[i] = (int32_t)number;
    }
    return LNG_OK;
}

static enum lng_status read_sizes(struct reader *reader, struct lng_hparams *h)
{
    int32_t decoder_ffn = 0, depth = 0;
    LNG_TRY(read_vocabulary_sizes(reader, h));
    LNG_TRY(read_int(reader, OPTION_DIM_EMB, 2, 1 << 16, &h->dim));
    LNG_TRY(read_int(reader, OPTION_ENC_DEPTH, 1, 1000, &h->encoder_layers));
    LNG_TRY(read_int(reader, OPTION_DEC_DEPTH, 1, 1000, &h->decoder_layers));
    LNG_TRY(read_int(reader, OPTION_HEADS, 1, 1 << 16, &h->encoder_heads));
    LNG_TRY(read_int(reader, OPTION_FFN, 1, 1 << 20, &h->encoder_ffn));
    LNG_TRY(read_int(reader, OPTION_DEC_FFN, 0, 1 << 20, &decoder_ffn));
    LNG_TRY(read_int(reader, OPTION_DEC_FFN_DEPTH, 0, INT32_MAX, &depth));
    if (depth != 0 && depth != 2) /* 0: as transformer-ffn-depth */
        PROBLEM(reader, "transformer-decoder-ffn-depth: expected 0 or 2, found %d", depth);
    h->decoder_heads = h->encoder_heads;
    h->decoder_ffn = decoder_ffn > 0 ? decoder_ffn : h->encoder_ffn;
    return LNG_OK;
}

static enum lng_status read_ties(struct reader *reader, struct lng_marian_config *config)
{
    bool target, all, source;
    LNG_TRY(read_bool(reader, OPTION_TIED, &target));
    LNG_TRY(read_bool(reader, OPTION_TIED_ALL, &all));
    LNG_TRY(read_bool(reader, OPTION_TIED_SOURCE, &source));
    LNG_TRY(read_bool(reader, OPTION_OMIT_BIAS, &config->omit_bias));
    struct lng_hparams *h = &config->hparams;
    config->same_embedding = source && !target && !all;
    h->tie = all || (source && target) ? LNG_TIE_ALL : target ? LNG_TIE_TARGET : LNG_TIE_NONE;
    h->output_bias = !config->omit_bias;
    if ((all || source) && h->source_vocab != h->target_vocab)
        PROBLEM(reader,
                "tied source and target embeddings: expected dim-vocabs to be equal, found %d "
                "and %d",
                h->source_vocab, h->target_vocab);
    return LNG_OK;
}

/* Equal when dropout is left out of both. */
static bool same_steps(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a == 'd')
            a++;
        while (*b == 'd')
            b++;
        if (*a != *b || *a == '\0')
            return *a == *b;
    }
}

static enum lng_status read_norm(struct reader *reader, struct lng_hparams *h)
{
    const char *pre = text_of(reader, OPTION_PREPROCESS),
               *top = text_of(reader, OPTION_POSTPROCESS_TOP);
    const char *post = text_of(reader, OPTION_POSTPROCESS),
               *emb = text_of(reader, OPTION_POSTPROCESS_EMB);
    bool found = false;
    if (!same_steps(emb, ""))
        PROBLEM(reader, "transformer-postprocess-emb: expected 'd' or nothing, found '%.40s'", emb);
    for (int i = 0; i < NORMS && !found; i++) {
        found = same_steps(pre, norms[i].preprocess) && same_steps(post, norms[i].postprocess) &&
                same_steps(top, norms[i].top);
        if (found) {
            h->pre_norm = norms[i].pre_norm;
            h->norm = norms[i].norm;
        }
    }
    if (!found)
        PROBLEM(
            reader,
            "transformer-preprocess, -postprocess, -postprocess-top: expected '', 'dan', '' "
            "(post-norm) "
            "or 'n', 'da', 'n' (pre-norm), or with r for RMS norm, found '%.20s', '%.20s', '%.20s'",
            pre, post, top);
    return LNG_OK;
}

static enum lng_status read_activation(struct reader *reader, struct lng_marian_config *config)
{
    const char *name = text_of(reader, OPTION_ACTIVATION);
    bool late = lng_marian_version_after(config, 1, 12, 0);
    for (int i = 0; i < ACTIVATIONS; i++) {
        if (strcmp(activations[i].name, name) == 0 &&
            (late ? activations[i].later : activations[i].early)) {
            config->hparams.activation = activations[i].activation;
            return LNG_OK;
        }
    }
    PROBLEM(reader, "transformer-ffn-activation: expected relu, swish or gelu, found '%.40s'",
            name);
    return LNG_OK;
}

static enum lng_status read_inputs(struct reader *reader)
{
    static const char *const known[] = {"sequence", "alignment", "weight"};
    const struct lng_yaml_entry *entry = reader->entries[OPTION_INPUT_TYPES];
    for (size_t i = 0; entry && !entry->is_null && i < entry->count; i++) {
        bool found = false;
        for (int k = 0; k < 3; k++)
            found = found || strcmp(entry->items[i], known[k]) == 0;
        if (!found)
            PROBLEM(reader, "input-types: expected sequence, alignment or weight, found '%.40s'",
                    entry->items[i]);
    }
    return LNG_OK;
}

static enum lng_status read_all(struct reader *reader, struct lng_marian_config *config)
{
    struct lng_hparams *h = &config->hparams;
    bool learned = false;
    snprintf(config->version, sizeof config->version, "%s", text_of(reader, OPTION_VERSION));
    LNG_TRY(check_fixed(reader));
    LNG_TRY(read_sizes(reader, h));
    LNG_TRY(read_ties(reader, config));
    LNG_TRY(read_norm(reader, h));
    LNG_TRY(read_activation(reader, config));
    LNG_TRY(read_inputs(reader));
    LNG_TRY(read_bool(reader, OPTION_TRAIN_POSITIONS, &learned));
    h->positions = learned ? LNG_POSITIONS_LEARNED : LNG_POSITIONS_A;
    h->scale_embedding = !learned;
    h->norm_epsilon = 1e-6;
    return LNG_OK;
}

static enum lng_status understand(const char *name, const struct lng_yaml *yaml,
                                  struct lng_marian_config *config)
{
    struct reader reader = {0};
    struct lng_marian_config fresh = {.hparams = lng_hparams_default()};
    for (size_t i = 0; i < yaml->count; i++)
        for (int k = 0; k < OPTION_COUNT; k++)
            if (strcmp(yaml->entries[i].key, rows[k].key) == 0)
                reader.entries[k] = &yaml->entries[i];
    enum lng_status status = read_all(&reader, &fresh);
    if (status == LNG_OK && reader.count > 0)
        status = lng_fail(LNG_ERR_UNSUPPORTED, "%s: not supported: %s", name, reader.problems.data);
    lng_buffer_release(&reader.problems);
    if (status != LNG_OK)
        return status;
    status = lng_hparams_check(&fresh.hparams);
    if (status != LNG_OK)
        return lng_fail_context(status, "%s", name);
    *config = fresh;
    return LNG_OK;
}

enum lng_status lng_marian_config_parse(const char *name, const char *text, size_t size,
                                        struct lng_marian_config *config)
{
    const char *end = size > 0 ? memchr(text, '\0', size) : NULL;
    struct lng_yaml yaml = {0};
    LNG_TRY(lng_yaml_read(&yaml, name, size > 0 ? text : "", end ? (size_t)(end - text) : size));
    enum lng_status status = understand(name, &yaml, config);
    lng_yaml_release(&yaml);
    return status;
}

/* ---- writing ---- */

static enum lng_status append_norm(const struct lng_hparams *h, enum option id,
                                   struct lng_buffer *text)
{
    const struct norm_row *row = norms;
    while (row < norms + NORMS - 1 && (row->pre_norm != h->pre_norm || row->norm != h->norm))
        row++;
    const char *value = id == OPTION_PREPROCESS    ? row->preprocess
                        : id == OPTION_POSTPROCESS ? row->postprocess
                                                   : row->top;
    return lng_buffer_append_text(text, *value ? value : "\"\"");
}

static const char *activation_name(enum lng_activation activation)
{
    for (int i = 0; i < ACTIVATIONS; i++)
        if (activations[i].activation == activation)
            return activations[i].name;
    return "";
}

static enum lng_status append_bool(struct lng_buffer *text, bool value)
{
    return lng_buffer_append_text(text, value ? "true" : "false");
}

/* The value of an option that is READ or NEEDED. */
static enum lng_status append_read(const struct lng_marian_config *config, enum option id,
                                   struct lng_buffer *text)
{
    const struct lng_hparams *h = &config->hparams;
    switch (id) {
    case OPTION_DEC_DEPTH:
        return lng_buffer_append_format(text, "%d", h->decoder_layers);
    case OPTION_ENC_DEPTH:
        return lng_buffer_append_format(text, "%d", h->encoder_layers);
    case OPTION_DIM_EMB:
        return lng_buffer_append_format(text, "%d", h->dim);
    case OPTION_DIM_VOCABS:
        return lng_buffer_append_format(text, "\n  - %d\n  - %d", h->source_vocab, h->target_vocab);
    case OPTION_OMIT_BIAS:
        return append_bool(text, config->omit_bias);
    case OPTION_TIED:
        return append_bool(text, h->tie == LNG_TIE_TARGET);
    case OPTION_TIED_ALL:
        return append_bool(text, h->tie == LNG_TIE_ALL);
    case OPTION_TIED_SOURCE:
        return append_bool(text, config->same_embedding);
    case OPTION_FFN:
        return lng_buffer_append_format(text, "%d", h->encoder_ffn);
    case OPTION_DEC_FFN: /* 0: as the encoder's */
        return lng_buffer_append_format(text, "%d",
                                        h->decoder_ffn == h->encoder_ffn ? 0 : h->decoder_ffn);
    case OPTION_ACTIVATION:
        return lng_buffer_append_text(text, activation_name(h->activation));
    case OPTION_HEADS:
        return lng_buffer_append_format(text, "%d", h->encoder_heads);
    case OPTION_PREPROCESS:
    case OPTION_POSTPROCESS:
    case OPTION_POSTPROCESS_TOP:
        return append_norm(h, id, text);
    case OPTION_TRAIN_POSITIONS:
        return append_bool(text, h->positions == LNG_POSITIONS_LEARNED);
    case OPTION_INPUT_TYPES:
        return lng_buffer_append_text(text, "\n  []");
    case OPTION_VERSION:
        return lng_buffer_append_text(text, config->version);
    default:
        return lng_buffer_append_text(text, rows[id].value);
    }
}

enum lng_status lng_marian_config_format(const struct lng_marian_config *config,
                                         struct lng_buffer *text)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        LNG_TRY(lng_buffer_append_format(text, "%s%s:", i > 0 ? "\n" : "", rows[i].key));
        bool list = i == OPTION_DIM_VOCABS || i == OPTION_INPUT_TYPES || rows[i].kind == EMPTY;
        if (!list)
            LNG_TRY(lng_buffer_append_byte(text, ' '));
        bool quoted = rows[i].value[0] == '[' || rows[i].value[0] == '\0';
        if (rows[i].kind == EMPTY)
            LNG_TRY(lng_buffer_append_text(text, "\n  []"));
        else if (rows[i].kind == READ || rows[i].kind == NEEDED)
            LNG_TRY(append_read(config, (enum option)i, text));
        else
            LNG_TRY(lng_buffer_append_format(text, quoted ? "\"%s\"" : "%s", rows[i].value));
    }
    return LNG_OK;
}
