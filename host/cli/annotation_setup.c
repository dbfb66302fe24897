#include "host/cli/annotation_setup.h"

#include <string.h>
#include <sys/stat.h>

#include "host/base/log.h"

enum { HIGHEST_NUMBER = 1000 };

static enum lng_status set_alignment(const char *text, struct lng_translate_options *translate)
{
    static const struct {
        const char *word;
        enum lng_translate_alignment kind;
    } kinds[] = {{"none", LNG_TRANSLATE_ALIGNMENT_NONE},
                 {"soft", LNG_TRANSLATE_ALIGNMENT_SOFT},
                 {"hard", LNG_TRANSLATE_ALIGNMENT_HARD}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(text, kinds[i].word) == 0) {
            translate->alignment = kinds[i].kind;
            return LNG_OK;
        }
    double threshold;
    LNG_FAIL_IF(
        lng_parse_double(text, 0.0, 1.0, &threshold) != LNG_OK || threshold >= 1.0, LNG_ERR_USAGE,
        "alignment: expected none, soft, hard or a number from 0 to below 1, found %s", text);
    translate->alignment = LNG_TRANSLATE_ALIGNMENT_THRESHOLD;
    translate->alignment_threshold = threshold;
    return LNG_OK;
}

/* What words stand for. */
struct part_word {
    const char *word;
    int32_t meaning;
};
static const struct part_word layer_words[] = {{"mean", LNG_SEARCH_ALL_LAYERS},
                                               {"last", LNG_SEARCH_LAST_LAYER},
                                               {"trained", LNG_SEARCH_TRAINED_LAYER}};
static const struct part_word head_words[] = {{"mean", -1}};

/* One of the words, or a number. */
static bool read_part(struct lng_slice part, const struct part_word *words, size_t count,
                      int32_t *value)
{
    char digits[8];
    int64_t number;
    for (size_t i = 0; i < count; i++) {
        if (lng_slice_equals(part, words[i].word)) {
            *value = words[i].meaning;
            return true;
        }
    }
    if (part.length == 0 || part.length >= sizeof digits || part.data[0] < '0')
        return false;
    memcpy(digits, part.data, part.length);
    digits[part.length] = '\0';
    if (lng_parse_int64(digits, 0, HIGHEST_NUMBER, &number) != LNG_OK)
        return false;
    *value = (int32_t)number;
    return true;
}

static enum lng_status set_heads(const char *text, struct lng_search_options *search)
{
    struct lng_slice rest = lng_slice_of(text), layer = {NULL, 0}, head = {NULL, 0}, more;
    bool two = lng_text_split(&rest, '.', &layer) && lng_text_split(&rest, '.', &head);
    bool fine = two && !lng_text_split(&rest, '.', &more) &&
                read_part(layer, layer_words, sizeof layer_words / sizeof layer_words[0],
                          &search->alignment_layer) &&
                read_part(head, head_words, 1, &search->alignment_head);
    if (strcmp(text, "mean") == 0) {
        search->alignment_layer = LNG_SEARCH_TRAINED_LAYER;
        search->alignment_head = -1;
        fine = true;
    }
    LNG_FAIL_IF(!fine, LNG_ERR_USAGE,
                "alignment-head: expected LAYER.HEAD, each a number from 0, mean, or (layers) "
                "last or trained, found %s; "
                "such as last.0 or 3.mean",
                text);
    return LNG_OK;
}

static enum lng_status write_flags(void *context, const char *data, size_t size)
{
    struct lng_annotation_setup *setup = context;
    return lng_atomic_write(&setup->flags, data, size);
}

static enum lng_status set_risks(const struct lng_options *options,
                                 struct lng_annotation_setup *setup,
                                 struct lng_translate_options *translate)
{
    bool asked = options->flags != NULL || options->on_risk.count > 0;
    struct lng_risk_options *risk = &setup->risk;
    *risk = lng_risk_options_default();
#define LNG_RISK(id, name, option, side, value) risk->thresholds[LNG_RISK_##id] = options->option;
#include "host/infer/risk.def"
    int others = 0;
    for (size_t i = 0; i < options->on_risk.count; i++) {
        int word = lng_choice_value(LNG_CHOICES_on_risk, options->on_risk.items[i]);
        risk->retry = risk->retry || word == LNG_OPT_ON_RISK_RETRY;
        others += word != LNG_OPT_ON_RISK_RETRY;
        if (word == LNG_OPT_ON_RISK_SOURCE)
            risk->fallback = LNG_RISK_FALLBACK_SOURCE;
        if (word == LNG_OPT_ON_RISK_EMPTY)
            risk->fallback = LNG_RISK_FALLBACK_EMPTY;
    }
    LNG_FAIL_IF(others > 1, LNG_ERR_USAGE,
                "on-risk: expected one of keep, source and empty, and retry before it if wanted; "
                "found several");
    risk->retry_beam = options->retry_beam_size;
    LNG_FAIL_IF(risk->retry && risk->retry_beam > 0 && risk->retry_beam < options->n_best,
                LNG_ERR_USAGE, "retry-beam-size (%d) is less than n-best (%d)", risk->retry_beam,
                options->n_best);
    if (asked)
        translate->risk = risk;
    if (options->flags == NULL)
        return LNG_OK;
    LNG_TRY(lng_atomic_open(&setup->flags, options->flags));
    risk->report = write_flags;
    risk->report_context = setup;
    return LNG_OK;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (a == NULL || b == NULL || strcmp(a, "-") == 0)
        return false;
    if (strcmp(a, b) == 0)
        return true;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* A file that is written at the end must be none of those that are read or written meanwhile. */
static enum lng_status check_paths(const struct lng_options *options,
                                   const struct lng_translate_files *files)
{
    const char *ours[] = {options->flags, options->attention_map};
    const struct lng_translate_file *file = &files->list[0];
    const char *others[] = {file->input,        file->prefix,         file->constraints,
                            file->output,       options->terminology, options->unk_dictionary,
                            options->shortlist, options->flags}; /* the last: of the map alone */
    const size_t count = sizeof others / sizeof others[0];
    LNG_FAIL_IF(
        files->count > 1 && (ours[0] != NULL || ours[1] != NULL), LNG_ERR_USAGE,
        "flags and attention-map belong to one input, found %zu; translate them one by one, or "
        "take --json --on-risk keep",
        files->count);
    for (size_t i = 0; i < 2; i++) {
        LNG_FAIL_IF(ours[i] != NULL && strcmp(ours[i], "-") == 0, LNG_ERR_USAGE,
                    "%s: expected the name of a file, found -", i == 0 ? "flags" : "attention-map");
        for (size_t k = 0; k < count - 1 + i; k++)
            LNG_FAIL_IF(same_file(others[k], ours[i]), LNG_ERR_USAGE,
                        "%s: %s is already used as input or output; choose another name",
                        i == 0 ? "flags" : "attention-map", ours[i]);
    }
    return LNG_OK;
}

enum lng_status lng_annotation_setup_open(const struct lng_options *options,
                                          const struct lng_translate_files *files,
                                          struct lng_annotation_setup *setup,
                                          struct lng_translate_options *translate)
{
    *setup = (struct lng_annotation_setup){.flags.fd = -1};
    LNG_TRY(check_paths(options, files));
    LNG_TRY(set_alignment(options->alignment, translate));
    LNG_TRY(set_heads(options->alignment_head, &translate->search));
    translate->alignment_level = (enum lng_align_level)options->alignment_level;
    translate->alignment_eos = (enum lng_align_eos)options->alignment_eos;
    translate->word_scores = options->word_scores;
    LNG_TRY(set_risks(options, setup, translate));
    if (options->attention_map == NULL)
        return LNG_OK;
    LNG_TRY(lng_attention_map_open(options->attention_map, &setup->map));
    translate->map = setup->map;
    return LNG_OK;
}

enum lng_status lng_annotation_setup_finish(struct lng_annotation_setup *setup)
{
    uint64_t left_out = 0;
    if (setup->map != NULL)
        LNG_TRY(lng_attention_map_finish(setup->map, &left_out));
    if (left_out > 0)
        lng_warn("%llu translations have no picture: there is room for %d of up to %d units a "
                 "side, and for 64 "
                 "MiB; draw fewer lines, or take a name that ends in .json",
                 (unsigned long long)left_out, LNG_ATTENTION_MAP_PICTURES, LNG_ATTENTION_MAP_UNITS);
    return setup->flags.path != NULL ? lng_atomic_commit(&setup->flags) : LNG_OK;
}

void lng_annotation_setup_close(struct lng_annotation_setup *setup)
{
    lng_attention_map_close(setup->map);
    lng_atomic_discard(&setup->flags);
    *setup = (struct lng_annotation_setup){.flags.fd = -1};
}
