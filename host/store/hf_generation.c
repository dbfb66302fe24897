#include "host/store/hf_generation.h"

#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/json.h"

enum { CONFIG_BYTES = 16 << 20, MOST_TOKENS = 1 << 20 };

/* Keys that must have the value which changes nothing (JSON), be null or be missing. */
static const struct {
    const char *key;
    double neutral;
} neutral[] = {
    {"do_sample", 0},
    {"repetition_penalty", 1},
    {"encoder_repetition_penalty", 1},
    {"no_repeat_ngram_size", 0},
    {"encoder_no_repeat_ngram_size", 0},
    {"num_beam_groups", 1},
    {"diversity_penalty", 0},
    {"renormalize_logits", 0},
    {"guidance_scale", 1},
    {"penalty_alpha", 0},
    {"num_assistant_tokens", 20},
};
static const char *const absent[] = {
    "begin_suppress_tokens",
    "sequence_bias",
    "exponential_decay_length_penalty",
    "max_time",
    "stop_strings",
    "constraints",
    "force_words_ids",
};

struct reading {
    const json_t *root;
    const char *file;
    const struct lng_hparams *hparams;
    struct lng_hf_generation *to;
    size_t capacity;
};

static enum lng_status refuse(const struct reading *in, const char *key)
{
    char found[LNG_JSON_TEXT_BYTES];
    return lng_fail(LNG_ERR_UNSUPPORTED,
                    "%s: key \"%s\": --compat hf cannot do %s; remove the key, or translate "
                    "without --compat",
                    in->file, key, lng_json_describe(json_object_get(in->root, key), found));
}

static enum lng_status check_supported(const struct reading *in)
{
    for (size_t i = 0; i < sizeof neutral / sizeof neutral[0]; i++) {
        const json_t *value = json_object_get(in->root, neutral[i].key);
        bool on = json_is_boolean(value)
                      ? json_is_true(value)
                      : json_is_number(value) && json_number_value(value) != neutral[i].neutral;
        if (on ||
            (value && !json_is_null(value) && !json_is_boolean(value) && !json_is_number(value)))
            return refuse(in, neutral[i].key);
    }
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        const json_t *value = json_object_get(in->root, absent[i]);
        if (value && !json_is_null(value) && !(json_is_array(value) && json_array_size(value) == 0))
            return refuse(in, absent[i]);
    }
    return LNG_OK;
}

static enum lng_status may_int(const struct reading *in, const char *key, int64_t low, int64_t high,
                               int64_t *value)
{
    return lng_json_has(in->root, key) ? lng_json_get_int(in->root, in->file, key, low, high, value)
                                       : LNG_OK;
}

static enum lng_status read_lengths(const struct reading *in)
{
    int64_t most = 0, fresh = 0, least = 0, least_fresh = 0;
    LNG_TRY(may_int(in, "max_length", 2, MOST_TOKENS, &most));
    LNG_TRY(may_int(in, "max_new_tokens", 1, MOST_TOKENS, &fresh));
    LNG_TRY(may_int(in, "min_length", 0, MOST_TOKENS, &least));
    LNG_TRY(may_int(in, "min_new_tokens", 0, MOST_TOKENS, &least_fresh));
    in->to->max_tokens = (int32_t)(fresh > 0 ? fresh : most > 0 ? most - 1 : 0);
    /* min_length counts the start token, and forbids the end before so many tokens: both cancel out. */
    in->to->min_tokens = (int32_t)(least_fresh > 0 ? least_fresh + 1 : least);
    return LNG_OK;
}

static enum lng_status read_stopping(const struct reading *in)
{
    const json_t *value = json_object_get(in->root, "early_stopping");
    const char *word = json_string_value(value);
    if (!value || json_is_null(value) || json_is_false(value))
        return LNG_OK;
    if (!json_is_true(value) && (!word || strcmp(word, "never") != 0))
        return refuse(in, "early_stopping");
    in->to->early_stopping = word ? LNG_HF_STOPPING_NEVER : LNG_HF_STOPPING_TRUE;
    return LNG_OK;
}

static enum lng_status add_banned(struct reading *in, const char *key, const json_t *value)
{
    struct lng_hf_generation *to = in->to;
    json_int_t id = json_integer_value(value);
    char found[LNG_JSON_TEXT_BYTES];
    LNG_FAIL_IF(!json_is_integer(value) || id < 0 || id >= in->hparams->target_vocab, LNG_ERR_RANGE,
                "%s: key \"%s\": expected ids from 0 to %d, found %s", in->file, key,
                in->hparams->target_vocab - 1, lng_json_describe(value, found));
    if (id == in->hparams->eos) /* bad_words_ids leaves it alone, suppress_tokens would never end */
        return strcmp(key, "bad_words_ids") == 0 ? LNG_OK : refuse(in, key);
    LNG_TRY(lng_grow(&to->banned, &in->capacity, to->banned_count + 1, sizeof *to->banned));
    to->banned[to->banned_count++] = (int32_t)id;
    return LNG_OK;
}

static enum lng_status read_banned(struct reading *in)
{
    static const char words[] = "bad_words_ids", tokens[] = "suppress_tokens";
    const json_t *lists = json_object_get(in->root, words), *list;
    size_t i;
    if (lists && !json_is_null(lists) && !json_is_array(lists))
        return refuse(in, words);
    json_array_foreach(lists, i, list)
    {
        if (json_array_size(list) != 1)
            return refuse(in, words);
        LNG_TRY(add_banned(in, words, json_array_get(list, 0)));
    }
    lists = json_object_get(in->root, tokens);
    if (lists && !json_is_null(lists) && !json_is_array(lists))
        return refuse(in, tokens);
    json_array_foreach(lists, i, list) LNG_TRY(add_banned(in, tokens, list));
    return LNG_OK;
}

/* One end of sentence, the model's. Older files give it as a list of one. */
static enum lng_status read_ends(const struct reading *in)
{
    const json_t *end = json_object_get(in->root, "eos_token_id");
    int64_t forced = -1;
    if (json_is_array(end) && json_array_size(end) == 1)
        end = json_array_get(end, 0);
    bool said = end && !json_is_null(end);
    if (said && (!json_is_integer(end) || json_integer_value(end) != in->hparams->eos))
        return refuse(in, "eos_token_id");
    LNG_TRY(may_int(in, "forced_eos_token_id", 0, in->hparams->target_vocab - 1, &forced));
    if (forced >= 0 && forced != in->hparams->eos)
        return refuse(in, "forced_eos_token_id");
    in->to->forced_eos = forced >= 0;
    return LNG_OK;
}

static enum lng_status read_all(struct reading *in)
{
    int64_t beams = 0, bos = -1;
    LNG_TRY(check_supported(in));
    LNG_TRY(may_int(in, "num_beams", 1, 1000, &beams));
    LNG_TRY(may_int(in, "forced_bos_token_id", 0, in->hparams->target_vocab - 1, &bos));
    in->to->beams = (int32_t)beams;
    in->to->forced_bos = (int32_t)bos;
    if (lng_json_has(in->root, "length_penalty"))
        LNG_TRY(lng_json_get_double(in->root, in->file, "length_penalty", -100, 100,
                                    &in->to->length_penalty));
    LNG_TRY(read_lengths(in));
    LNG_TRY(read_stopping(in));
    LNG_TRY(read_ends(in));
    return read_banned(in);
}

enum lng_status lng_hf_generation_parse(const json_t *root, const char *file,
                                        const struct lng_hparams *hparams,
                                        struct lng_hf_generation *generation)
{
    struct lng_hf_generation fresh = {.length_penalty = 1, .forced_bos = -1};
    struct reading in = {root, file, hparams, &fresh, 0};
    enum lng_status status = read_all(&in);
    if (status == LNG_OK)
        *generation = fresh;
    else
        lng_hf_generation_release(&fresh);
    return status;
}

enum lng_status lng_hf_generation_read(const char *directory, const struct lng_hparams *hparams,
                                       struct lng_hf_generation *generation)
{
    static const char *const names[] = {"generation_config.json", "config.json"};
    enum lng_status status = LNG_OK;
    bool done = false;
    *generation = (struct lng_hf_generation){.length_penalty = 1, .forced_bos = -1};
    for (int i = 0; i < 2 && !done && status == LNG_OK; i++) {
        json_t *root = NULL;
        char *path = lng_path_join(directory, names[i]);
        if (!path)
            status = LNG_ERR_MEMORY;
        done = path && lng_file_exists(path);
        if (done)
            status = lng_json_read_object(path, CONFIG_BYTES, &root);
        if (root)
            status = lng_hf_generation_parse(root, path, hparams, generation);
        json_decref(root);
        lng_free(path);
    }
    return status;
}

void lng_hf_generation_release(struct lng_hf_generation *generation)
{
    lng_free(generation->banned);
    *generation = (struct lng_hf_generation){0};
}
