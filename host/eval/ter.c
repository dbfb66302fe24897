#include "host/eval/ter.h"

#include "host/eval/ter_edits.h"

/* sacreBLEU tokenises references twice, which shows where `normalized` has something left to do after the first
 * time ("it's" before a tab, "&amp;amp;lt;"). */
static enum lng_status read_text(const struct lng_tercom_options *options, struct lng_slice text,
                                 int times, struct lng_buffer *tokens, struct lng_words *words,
                                 struct lng_units *units)
{
    struct lng_buffer before = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_tokenize_tercom(options, text, tokens));
    for (int i = 1; i < times; i++) {
        lng_buffer_clear(&before);
        LNG_TRY_OR_FAIL(lng_buffer_append(&before, tokens->data, tokens->length));
        lng_buffer_clear(tokens);
        text = (struct lng_slice){before.data, before.length};
        LNG_TRY_OR_FAIL(lng_tokenize_tercom(options, text, tokens));
    }
    text = (struct lng_slice){tokens->data, tokens->length};
    LNG_TRY_OR_FAIL(lng_words_split(words, text, units));
fail:
    lng_buffer_release(&before);
    return status;
}

static enum lng_status compare(const struct lng_tercom_options *options,
                               struct lng_slice hypothesis, struct lng_slice reference,
                               int64_t *edits, size_t *length)
{
    struct lng_buffer tokens[2] = {{0}};
    struct lng_units units[2] = {{0}};
    struct lng_words words = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(read_text(options, hypothesis, 1, &tokens[0], &words, &units[0]));
    LNG_TRY_OR_FAIL(read_text(options, reference, 2, &tokens[1], &words, &units[1]));
    LNG_TRY_OR_FAIL(lng_ter_edits(&units[0], &units[1], edits));
    *length = units[1].count;
fail:
    for (int i = 0; i < 2; i++) {
        lng_buffer_release(&tokens[i]);
        lng_units_release(&units[i]);
    }
    lng_words_release(&words);
    return status;
}

enum lng_status lng_ter_add(struct lng_ter_counts *counts, const struct lng_tercom_options *options,
                            struct lng_slice hypothesis, const struct lng_slice *references,
                            size_t reference_count)
{
    LNG_FAIL_IF(reference_count == 0, LNG_ERR_USAGE, "TER needs at least one reference");
    int64_t fewest = INT64_MAX;
    size_t lengths = 0;
    for (size_t r = 0; r < reference_count; r++) {
        int64_t edits;
        size_t length;
        LNG_TRY(compare(options, hypothesis, references[r], &edits, &length));
        fewest = edits < fewest ? edits : fewest;
        lengths += length;
    }
    counts->edits += (double)fewest;
    counts->reference_length += (double)lengths / (double)reference_count;
    return LNG_OK;
}

double lng_ter_compute(const struct lng_ter_counts *counts)
{
    if (counts->reference_length > 0)
        return 100 * (counts->edits / counts->reference_length);
    return counts->edits > 0 ? 100 : 0;
}

enum lng_status lng_ter_signature(struct lng_buffer *text, const struct lng_tercom_options *options)
{
    return lng_buffer_append_format(
        text, "case:%s|tok:tercom|norm:%s|punct:%s|asian:%s",
        options->case_sensitive ? "mixed" : "lc", options->normalized ? "yes" : "no",
        options->no_punct ? "no" : "yes", options->asian_support ? "yes" : "no");
}
