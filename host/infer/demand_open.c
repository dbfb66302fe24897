/* Opening, closing, and reading what a line demands. */
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/demand.h"
#include "host/infer/line_text.h"

static bool demands_nothing(const struct lng_demand_options *o)
{
    return !o->constraints && o->terminology == NULL && !o->placeholders && o->pattern_count == 0 &&
           o->prefix_bias == 0.0 && !o->replace_unk;
}

static enum lng_status open_placeholders(struct lng_demander *d)
{
    const struct lng_demand_options *o = &d->options;
    const char *patterns[LNG_PLACEHOLDER_MAX_PATTERNS + 1];
    LNG_FAIL_IF(o->pattern_count >= LNG_PLACEHOLDER_MAX_PATTERNS, LNG_ERR_RANGE,
                "placeholders: expected %d regular expressions at most, found %zu",
                LNG_PLACEHOLDER_MAX_PATTERNS - 1, o->pattern_count);
    for (size_t i = 0; i < o->pattern_count; i++)
        patterns[i] = o->patterns[i];
    patterns[o->pattern_count] = LNG_DEMAND_MASK;
    return lng_placeholders_open(o->placeholders, patterns, o->pattern_count + 1, &d->placeholders);
}

enum lng_status lng_demander_open(const struct lng_tokenizer *tokenizer,
                                  const struct lng_demand_options *options, int32_t longest,
                                  struct lng_demander **demander)
{
    *demander = NULL;
    if (demands_nothing(options))
        return LNG_OK;
    struct lng_demander *d = lng_alloc(1, sizeof *d);
    if (d == NULL)
        return LNG_ERR_MEMORY;
    d->tokenizer = tokenizer;
    d->options = *options;
    d->longest = longest;
    enum lng_status status;
    LNG_GOTO_FAIL_IF(!(options->prefix_bias >= 0.0 && options->prefix_bias < 1.0), LNG_ERR_RANGE,
                     "prefix bias: expected 0 (as given) to below 1, found %g",
                     options->prefix_bias);
    LNG_TRY_OR_FAIL(lng_token_texts_init(&d->token_texts, tokenizer));
    LNG_TRY_OR_FAIL(lng_stand_ins_find(tokenizer, &d->stand_ins));
    if (options->placeholders || options->pattern_count > 0)
        LNG_TRY_OR_FAIL(open_placeholders(d));
    if (options->terminology != NULL)
        LNG_TRY_OR_FAIL(lng_terminology_open(options->terminology, options->terminology_ignore_case,
                                             &d->terminology));
    if (options->unk_dictionary != NULL)
        LNG_TRY_OR_FAIL(lng_terminology_open(options->unk_dictionary, false, &d->dictionary));
    *demander = d;
    return LNG_OK;
fail:
    lng_demander_close(d);
    return status;
}

void lng_demander_close(struct lng_demander *d)
{
    if (d == NULL)
        return;
    lng_placeholders_close(d->placeholders);
    lng_terminology_close(d->terminology);
    lng_terminology_close(d->dictionary);
    lng_token_texts_release(&d->token_texts);
    lng_constraint_line_release(&d->line);
    lng_placeholder_ranges_release(&d->ranges);
    lng_placeholder_ranges_release(&d->found);
    lng_placeholder_ranges_release(&d->placed);
    lng_buffer_release(&d->masked);
    lng_buffer_release(&d->texts);
    lng_buffer_release(&d->rendered);
    lng_buffer_release(&d->scratch);
    lng_ids_release(&d->ids);
    lng_free(d->phrases);
    lng_free(d->forbidden);
    lng_free(d->segments);
    lng_free(d->search_phrases);
    lng_free(d->search_forbidden);
    lng_free(d->constraints);
    lng_free(d);
}

void lng_demander_clear(struct lng_demander *d)
{
    if (d == NULL)
        return;
    lng_buffer_clear(&d->texts);
    lng_buffer_clear(&d->rendered);
    lng_ids_clear(&d->ids);
    lng_constraint_line_clear(&d->line);
    d->wanted = (struct lng_range){0, 0};
    d->phrase_count = 0;
    d->forbidden_count = 0;
    d->segment_count = 0;
}

/* Tokens of the line's phrases, so that no stand-in is one of them and all fit into a translation. */
static enum lng_status encode_wanted(struct lng_demander *d)
{
    d->wanted = (struct lng_range){d->ids.count, 0};
    for (size_t i = 0; i < d->line.count; i++) {
        struct lng_slice text = lng_constraint_text(&d->line, i);
        if (!d->line.phrases[i].negative)
            LNG_TRY(lng_tokenizer_encode(d->tokenizer, LNG_SIDE_TARGET, text.data, text.length,
                                         &d->ids));
    }
    d->wanted.count = d->ids.count - d->wanted.begin;
    LNG_FAIL_IF(d->wanted.count >= (size_t)d->longest, LNG_ERR_RANGE,
                "the phrases that must appear take %zu tokens; expected fewer than the %d of "
                "--max-length",
                d->wanted.count, d->longest);
    return LNG_OK;
}

enum lng_status lng_demand_next_line(struct lng_demander *d, uint64_t number)
{
    struct lng_line line;
    bool got;
    if (d == NULL || d->demand_lines == NULL)
        return LNG_OK;
    LNG_TRY(lng_lines_next(d->demand_lines, &line, &got));
    LNG_FAIL_IF(!got, LNG_ERR_MISMATCH,
                "constraints: there are only %llu lines, but more to translate; expected one a "
                "line, blank where nothing is demanded",
                (unsigned long long)(number - 1));
    struct lng_slice text = lng_line_without_return((struct lng_slice){line.data, line.length});
    text = number == 1 ? lng_line_without_mark(text) : text;
    lng_constraint_line_clear(&d->line);
    enum lng_status status = lng_constraint_line_parse(&d->line, text.data, text.length);
    if (status == LNG_OK)
        status = encode_wanted(d);
    return status == LNG_OK
               ? status
               : lng_fail_context(status, "constraints, line %llu", (unsigned long long)number);
}

enum lng_status lng_demand_check_ended(struct lng_demander *d, uint64_t lines)
{
    struct lng_line line;
    bool got = false;
    if (d != NULL && d->demand_lines != NULL)
        LNG_TRY(lng_lines_next(d->demand_lines, &line, &got));
    LNG_FAIL_IF(got, LNG_ERR_MISMATCH,
                "constraints: there are more lines than the %llu to translate; expected one a line",
                (unsigned long long)lines);
    return LNG_OK;
}
