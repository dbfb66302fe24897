#include "host/infer/demand.h"

#include <string.h>
#include <unicode/uchar.h>

#include "host/base/mem.h"
#include "host/infer/line_text.h"
#include "host/infer/word_text.h"

enum { MASK_BYTES = sizeof LNG_DEMAND_MASK - 1, MOST_PLACEHOLDERS = 12, MOST_TERMS = 32 };

const char *lng_demand_result_name(enum lng_demand_result result)
{
    static const char *const names[] = {"none", "met", "inserted", "violated"};
    return names[result];
}

/* Placeholders that a segment may have; others wait for the next. */
static size_t most_placeholders(const struct lng_demander *d)
{
    size_t most = d->stand_ins.count * 2 / 3;
    return most < 1 ? 1 : most > MOST_PLACEHOLDERS ? MOST_PLACEHOLDERS : most;
}

enum lng_status lng_demand_begin_line(struct lng_demander *d, struct lng_slice text,
                                      struct lng_slice prefix)
{
    d->original = text;
    d->ranges.count = 0;
    d->placeholders_used = 0;
    d->line_start.segments = d->segment_count;
    d->line_start.phrases = d->phrase_count;
    lng_buffer_clear(&d->masked);
    d->prefix = (struct lng_range){d->texts.length, prefix.length};
    d->prefix_tokens = (struct lng_range){d->ids.count, 0};
    if (prefix.length > 0) {
        LNG_TRY(lng_buffer_append(&d->texts, prefix.data, prefix.length));
        LNG_TRY(lng_tokenizer_encode(d->tokenizer, LNG_SIDE_TARGET, prefix.data, prefix.length,
                                     &d->ids));
        d->prefix_tokens.count = d->ids.count - d->prefix_tokens.begin;
    }
    if (d->placeholders != NULL)
        LNG_TRY(lng_placeholder_find(d->placeholders, text.data, text.length, &d->ranges));
    size_t at = 0;
    for (size_t i = 0; i < d->ranges.count; i++) {
        LNG_TRY(lng_buffer_append(&d->masked, text.data + at, d->ranges.data[i].begin - at));
        LNG_TRY(lng_buffer_append(&d->masked, LNG_DEMAND_MASK, MASK_BYTES));
        at = d->ranges.data[i].end;
    }
    return lng_buffer_append(&d->masked, text.data + at, text.length - at);
}

size_t lng_demand_original(const struct lng_demander *d, size_t masked)
{
    size_t shrunk = 0; /* bytes that masks took away before the place */
    for (size_t i = 0; i < d->ranges.count; i++) {
        const struct lng_placeholder_range *range = &d->ranges.data[i];
        if (range->begin - shrunk >= masked)
            break;
        shrunk += range->end - range->begin;
        shrunk -= MASK_BYTES; /* may wrap: sums of size_t are taken modulo */
    }
    return masked + shrunk;
}

static bool is_mask(const char *text, size_t length)
{
    return length >= MASK_BYTES && memcmp(text, LNG_DEMAND_MASK, MASK_BYTES) == 0;
}

static size_t count_masks(const struct lng_demander *d, const char *text, size_t length)
{
    size_t count = 0;
    for (size_t at = 0; d->placeholders != NULL && at + MASK_BYTES <= length;) {
        bool mask = is_mask(text + at, length - at);
        count += mask;
        at += mask ? MASK_BYTES : 1;
    }
    return count;
}

bool lng_demand_is_crowded(const struct lng_demander *d)
{
    return d->ranges.count > most_placeholders(d);
}

enum lng_status lng_demand_measure(void *demander, const char *text, size_t length, size_t *cost)
{
    const struct lng_demander *d = demander;
    if (count_masks(d, text, length) > most_placeholders(d)) {
        *cost = SIZE_MAX / 4;
        return LNG_OK;
    }
    return lng_tokenizer_measure_source((void *)(uintptr_t)d->tokenizer, text, length, cost);
}

void lng_demand_restart_line(struct lng_demander *d)
{
    d->segment_count = d->line_start.segments;
    d->phrase_count = d->line_start.phrases;
    d->placeholders_used = 0;
}

void lng_demand_drop_segment(struct lng_demander *d)
{
    d->segment_count--;
}

/* ---- phrases ---- */

static enum lng_status add_phrase(struct lng_demander *d, struct lng_segment_demand *segment,
                                  struct lng_demand_phrase phrase)
{
    phrase.next = 0;
    if (segment->count >= LNG_CONSTRAIN_MAX_PHRASES)
        phrase.tokens.count = 0;
    LNG_TRY(lng_grow(&d->phrases, &d->phrase_capacity, d->phrase_count + 1, sizeof *d->phrases));
    d->phrases[d->phrase_count++] = phrase;
    if (segment->last > 0)
        d->phrases[segment->last - 1].next = d->phrase_count;
    else
        segment->first = d->phrase_count;
    segment->last = d->phrase_count;
    segment->count += phrase.tokens.count > 0;
    return LNG_OK;
}

static bool uses_token(const struct lng_demander *d, struct lng_range tokens, int32_t token)
{
    for (size_t i = 0; i < tokens.count; i++)
        if (d->ids.data[tokens.begin + i] == token)
            return true;
    return false;
}

/* A stand-in that is nowhere else in the segment; NULL when they are used up. */
static const struct lng_stand_in *free_stand_in(const struct lng_demander *d,
                                                const struct lng_segment_demand *segment,
                                                struct lng_slice source)
{
    for (size_t i = 0; i < d->stand_ins.count; i++) {
        const struct lng_stand_in *stand_in = &d->stand_ins.data[i];
        bool used = uses_token(d, d->wanted, stand_in->token) ||
                    uses_token(d, d->prefix_tokens, stand_in->token) ||
                    (source.length > 0 && memmem(source.data, source.length, stand_in->text.data,
                                                 stand_in->text.length) != NULL);
        for (size_t p = segment->first; p > 0 && !used; p = d->phrases[p - 1].next)
            used = uses_token(d, d->phrases[p - 1].tokens, stand_in->token);
        if (!used)
            return stand_in;
    }
    return NULL;
}

static enum lng_status push_token(struct lng_demander *d, int32_t token, struct lng_range *tokens)
{
    *tokens = (struct lng_range){d->ids.count, 1};
    return lng_ids_push(&d->ids, token);
}

/* Target tokens of a phrase, appended to ids; none where they do not give the phrase back. */
static enum lng_status encode_phrase(struct lng_demander *d, struct lng_slice text,
                                     struct lng_range *tokens)
{
    size_t begin = d->ids.count;
    int32_t unk = lng_tokenizer_unk(d->tokenizer, LNG_SIDE_TARGET);
    LNG_TRY(lng_tokenizer_encode(d->tokenizer, LNG_SIDE_TARGET, text.data, text.length, &d->ids));
    *tokens = (struct lng_range){begin, d->ids.count - begin};
    lng_buffer_clear(&d->scratch);
    LNG_TRY(lng_tokenizer_decode(d->tokenizer, LNG_SIDE_TARGET, d->ids.data + begin, tokens->count,
                                 &d->scratch));
    bool same = d->scratch.length == text.length &&
                (text.length == 0 || memcmp(d->scratch.data, text.data, text.length) == 0);
    if (!same || uses_token(d, *tokens, unk)) {
        d->ids.count = begin;
        tokens->count = 0;
    }
    return LNG_OK;
}

static bool has_phrase(const struct lng_demander *d, const struct lng_segment_demand *segment,
                       struct lng_slice text)
{
    for (size_t p = segment->first; p > 0; p = d->phrases[p - 1].next) {
        struct lng_range other = d->phrases[p - 1].text;
        if (!d->phrases[p - 1].placeholder && other.count == text.length &&
            memcmp(d->texts.data + other.begin, text.data, text.length) == 0)
            return true;
    }
    return false;
}

/* A phrase of words; by a stand-in where the vocabulary cannot write it. */
static enum lng_status demand_words(struct lng_demander *d, struct lng_segment_demand *segment,
                                    struct lng_slice text)
{
    if (has_phrase(d, segment, text))
        return LNG_OK;
    struct lng_demand_phrase phrase = {.after = -1};
    LNG_TRY(encode_phrase(d, text, &phrase.tokens));
    if (phrase.tokens.count == 0) {
        struct lng_slice source = {d->texts.data + segment->source.begin, segment->source.count};
        const struct lng_stand_in *stand_in = free_stand_in(d, segment, source);
        phrase.stand_in = stand_in != NULL;
        if (stand_in != NULL)
            LNG_TRY(push_token(d, stand_in->token, &phrase.tokens));
    }
    phrase.text = (struct lng_range){d->texts.length, text.length};
    LNG_TRY(lng_buffer_append(&d->texts, text.data, text.length));
    return add_phrase(d, segment, phrase);
}

struct term_search {
    struct lng_demander *demander;
    struct lng_segment_demand *segment;
    size_t count;
};

static enum lng_status demand_term(void *context, struct lng_slice target)
{
    struct term_search *search = context;
    const struct lng_constraint_line *line = &search->demander->line;
    for (size_t i = 0; i < line->count; i++) /* what the line forbids goes before */
        if (line->phrases[i].negative &&
            lng_word_find(target.data, target.length, lng_constraint_text(line, i), 0) >= 0)
            return LNG_OK;
    return search->count++ < MOST_TERMS ? demand_words(search->demander, search->segment, target)
                                        : LNG_OK;
}

/* ---- placeholders ---- */

static enum lng_demand_touch touch_of(const char *text, size_t length, size_t at, bool before)
{
    if (before ? at == 0 : at >= length)
        return LNG_TOUCH_SPACE;
    if (before ? at >= MASK_BYTES && is_mask(text + at - MASK_BYTES, MASK_BYTES)
               : is_mask(text + at, length - at))
        return LNG_TOUCH_PLACEHOLDER;
    if (before ? lng_word_ends(text, at) : lng_word_begins(text + at, length - at))
        return LNG_TOUCH_WORD;
    char c = before ? text[at - 1] : text[at];
    return c == ' ' || (c >= '\t' && c <= '\r') ? LNG_TOUCH_SPACE : LNG_TOUCH_MARK;
}

/* The name of a tag <name ...>, also of </name>; empty for anything else. */
static struct lng_slice tag_name(struct lng_slice text, bool *closes)
{
    struct lng_slice none = {"", 0};
    if (text.length < 3 || text.data[0] != '<' || text.data[text.length - 2] == '/')
        return none;
    *closes = text.data[1] == '/';
    size_t begin = 1 + *closes, end = begin;
    while (end < text.length && strchr(" \t/>", text.data[end]) == NULL)
        end++;
    return (struct lng_slice){text.data + begin, end - begin};
}

/* The place among the segment's phrases of the tag that this one closes; -1. */
static int32_t opening_tag(const struct lng_demander *d, const struct lng_segment_demand *segment,
                           struct lng_slice text)
{
    bool closes = false, other_closes = false;
    struct lng_slice name = tag_name(text, &closes);
    int32_t found = -1, index = 0;
    for (size_t p = segment->first; p > 0 && closes && name.length > 0;
         p = d->phrases[p - 1].next) {
        const struct lng_demand_phrase *phrase = &d->phrases[p - 1];
        struct lng_slice other =
            tag_name((struct lng_slice){d->texts.data + phrase->text.begin, phrase->text.count},
                     &other_closes);
        if (phrase->placeholder && phrase->tokens.count > 0 && !other_closes &&
            other.length == name.length && memcmp(other.data, name.data, name.length) == 0)
            found = index;
        index += phrase->tokens.count > 0;
    }
    return found;
}

static bool ends_in_space(const struct lng_buffer *text)
{
    return text->length == 0 || text->data[text->length - 1] == ' ';
}

/* Puts the next placeholder's stand-in into scratch. at: its mask in the part. */
static enum lng_status demand_placeholder(struct lng_demander *d,
                                          struct lng_segment_demand *segment, struct lng_slice part,
                                          size_t at, struct lng_buffer *source)
{
    struct lng_placeholder_range range = d->ranges.data[d->placeholders_used++];
    struct lng_slice text = {d->original.data + range.begin, range.end - range.begin};
    struct lng_demand_phrase phrase = {
        .after = opening_tag(d, segment, text),
        .text = {d->texts.length, text.length},
        .placeholder = true,
        .before = touch_of(part.data, part.length, at, true),
        .behind = touch_of(part.data, part.length, at + MASK_BYTES, false),
    };
    LNG_TRY(lng_buffer_append(&d->texts, text.data, text.length));
    const struct lng_stand_in *stand_in = free_stand_in(d, segment, part);
    if (stand_in != NULL) {
        phrase.stand_in = true;
        LNG_TRY(push_token(d, stand_in->token, &phrase.tokens));
        if (!ends_in_space(source))
            LNG_TRY(lng_buffer_append_byte(source, ' '));
        LNG_TRY(lng_buffer_append(source, stand_in->text.data, stand_in->text.length));
        if (phrase.behind == LNG_TOUCH_WORD)
            LNG_TRY(lng_buffer_append_byte(source, ' '));
    }
    return add_phrase(d, segment, phrase);
}

static bool has_letters(struct lng_slice text)
{
    for (size_t at = 0; at < text.length;) {
        uint32_t c;
        at += lng_utf8_decode(text.data + at, text.length - at, &c);
        if (c != LNG_UTF8_INVALID && u_isalnum((UChar32)c))
            return true;
    }
    return false;
}

/* What the model reads in place of a part, into *source. */
static enum lng_status stand_in_source(struct lng_demander *d, struct lng_segment_demand *segment,
                                       struct lng_slice part, struct lng_buffer *source)
{
    for (size_t at = 0; at < part.length;) {
        bool mask =
            d->placeholders_used < d->ranges.count && is_mask(part.data + at, part.length - at);
        if (mask)
            LNG_TRY(demand_placeholder(d, segment, part, at, source));
        else
            LNG_TRY(lng_buffer_append_byte(source, part.data[at]));
        at += mask ? MASK_BYTES : 1;
    }
    return LNG_OK;
}

enum lng_status lng_demand_add_segment(struct lng_demander *d, struct lng_range range,
                                       struct lng_ids *ids, bool *verbatim)
{
    struct lng_slice part = {d->masked.data + range.begin, range.count};
    LNG_TRY(
        lng_grow(&d->segments, &d->segment_capacity, d->segment_count + 1, sizeof *d->segments));
    struct lng_segment_demand *segment = &d->segments[d->segment_count++];
    *segment = (struct lng_segment_demand){.prefix = d->prefix};
    struct lng_buffer source = {0};
    struct term_search search = {d, segment, 0};
    size_t placeholders = count_masks(d, part.data, part.length);
    enum lng_status status = LNG_OK;
    bool free_text = d->wanted.count + d->prefix.count == 0 && !has_letters(part);
    *verbatim = placeholders > 0 && free_text;
    if (*verbatim) {
        d->placeholders_used += placeholders;
        return LNG_OK;
    }
    if (d->terminology != NULL)
        status = lng_terminology_find(d->terminology, part, demand_term, &search);
    if (status == LNG_OK)
        status = stand_in_source(d, segment, part, &source);
    if (status == LNG_OK)
        status = lng_tokenizer_encode(d->tokenizer, LNG_SIDE_SOURCE, source.data ? source.data : "",
                                      source.length, ids);
    segment->source = (struct lng_range){d->texts.length, source.length};
    if (status == LNG_OK)
        status = lng_buffer_append(&d->texts, source.data ? source.data : "", source.length);
    lng_buffer_release(&source);
    return status;
}

/* The stand-in of a placeholder of the segment, the n-th of those that are the same; -1. */
static int32_t stand_in_of(const struct lng_demander *d, const struct lng_segment_demand *segment,
                           struct lng_slice text, size_t n)
{
    for (size_t p = segment->first; p > 0; p = d->phrases[p - 1].next) {
        const struct lng_demand_phrase *phrase = &d->phrases[p - 1];
        bool same = phrase->placeholder && phrase->stand_in && phrase->text.count == text.length &&
                    memcmp(d->texts.data + phrase->text.begin, text.data, text.length) == 0;
        if (same && n-- == 0)
            return d->ids.data[phrase->tokens.begin];
    }
    return -1;
}

enum lng_status lng_demand_encode_prefix(struct lng_demander *d, size_t first,
                                         struct lng_slice prefix, struct lng_ids *ids)
{
    size_t at = 0;
    d->found.count = 0;
    if (d->placeholders != NULL && first < d->segment_count)
        LNG_TRY(lng_placeholder_find(d->placeholders, prefix.data, prefix.length, &d->found));
    for (size_t i = 0; i < d->found.count; i++) {
        struct lng_placeholder_range range = d->found.data[i];
        struct lng_slice text = {prefix.data + range.begin, range.end - range.begin};
        size_t before = 0;
        for (size_t j = 0; j < i; j++)
            before += d->found.data[j].end - d->found.data[j].begin == text.length &&
                      memcmp(prefix.data + d->found.data[j].begin, text.data, text.length) == 0;
        int32_t token = stand_in_of(d, &d->segments[first], text, before);
        if (token < 0)
            continue;
        if (range.begin > at)
            LNG_TRY(lng_tokenizer_encode(d->tokenizer, LNG_SIDE_TARGET, prefix.data + at,
                                         range.begin - at, ids));
        LNG_TRY(lng_ids_push(ids, token));
        at = range.end;
    }
    return lng_tokenizer_encode(d->tokenizer, LNG_SIDE_TARGET, prefix.data + at, prefix.length - at,
                                ids);
}

enum lng_status lng_demand_end_line(struct lng_demander *d, size_t first,
                                    const int32_t *soft_prefix, size_t soft_prefix_length)
{
    size_t segments = d->segment_count - first, positive = 0, done = 0;
    size_t forbidden = d->forbidden_count;
    for (size_t i = 0; i < d->line.count; i++) {
        struct lng_slice text = lng_constraint_text(&d->line, i);
        positive += !d->line.phrases[i].negative;
        if (!d->line.phrases[i].negative)
            continue;
        LNG_TRY(lng_grow(&d->forbidden, &d->forbidden_capacity, d->forbidden_count + 1,
                         sizeof *d->forbidden));
        d->forbidden[d->forbidden_count++] = (struct lng_range){d->texts.length, text.length};
        LNG_TRY(lng_buffer_append(&d->texts, text.data, text.length));
    }
    for (size_t i = 0; i < d->line.count && segments > 0; i++)
        if (!d->line.phrases[i].negative) /* spread over the segments in their order */
            LNG_TRY(demand_words(d, &d->segments[first + done++ * segments / positive],
                                 lng_constraint_text(&d->line, i)));
    for (size_t s = first; s < d->segment_count; s++)
        d->segments[s].forbidden = (struct lng_range){forbidden, d->forbidden_count - forbidden};
    if (segments > 0 && soft_prefix_length > 0) {
        d->segments[first].soft_prefix = (struct lng_range){d->ids.count, soft_prefix_length};
        for (size_t i = 0; i < soft_prefix_length; i++)
            LNG_TRY(lng_ids_push(&d->ids, soft_prefix[i]));
    }
    lng_constraint_line_clear(&d->line);
    d->wanted.count = 0;
    return LNG_OK;
}

/* ---- for the search ---- */

enum lng_status lng_demand_link(struct lng_demander *d)
{
    size_t phrases = 0;
    LNG_TRY(lng_grow(&d->search_phrases, &d->search_phrase_capacity, d->phrase_count + 1,
                     sizeof *d->search_phrases));
    LNG_TRY(lng_grow(&d->search_forbidden, &d->search_forbidden_capacity, d->forbidden_count + 1,
                     sizeof *d->search_forbidden));
    LNG_TRY(lng_grow(&d->constraints, &d->constraints_capacity, d->segment_count + 1,
                     sizeof *d->constraints));
    for (size_t i = 0; i < d->forbidden_count; i++)
        d->search_forbidden[i] =
            (struct lng_slice){d->texts.data + d->forbidden[i].begin, d->forbidden[i].count};
    for (size_t s = 0; s < d->segment_count; s++) {
        const struct lng_segment_demand *segment = &d->segments[s];
        d->constraints[s] = (struct lng_constraints){
            .phrases = d->search_phrases + phrases,
            .phrase_count = segment->count,
            .forbidden = d->search_forbidden + segment->forbidden.begin,
            .forbidden_count = (int32_t)segment->forbidden.count,
            .soft_prefix = d->ids.data + segment->soft_prefix.begin,
            .soft_prefix_length = (int32_t)segment->soft_prefix.count,
            .soft_prefix_bias = d->options.prefix_bias,
        };
        for (size_t p = segment->first; p > 0; p = d->phrases[p - 1].next) {
            const struct lng_demand_phrase *from = &d->phrases[p - 1];
            if (from->tokens.count == 0)
                continue;
            d->search_phrases[phrases++] = (struct lng_phrase){
                .tokens = d->ids.data + from->tokens.begin,
                .length = (int32_t)from->tokens.count,
                .stand_in = from->stand_in,
                .after = from->after,
                .text = {d->texts.data + from->text.begin, from->stand_in ? 0 : from->text.count},
            };
        }
    }
    return LNG_OK;
}

const struct lng_constraints *lng_demand_constraints(const struct lng_demander *d, size_t segment)
{
    const struct lng_constraints *c = &d->constraints[segment];
    bool any = c->phrase_count > 0 || c->forbidden_count > 0 || c->soft_prefix_length > 0;
    return any ? c : NULL;
}

bool lng_demand_is_own(const struct lng_demander *d, size_t segment)
{
    return d->options.replace_unk || d->segments[segment].prefix.count > 0 ||
           lng_demand_constraints(d, segment) != NULL;
}
