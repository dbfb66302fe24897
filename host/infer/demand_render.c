/* From the tokens of a hypothesis to its text: placeholders put back, unknown tokens replaced, all of it looked over. */
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/demand.h"
#include "host/infer/word_text.h"

/* What was written last, for the space before what comes next. */
struct joint {
    bool trailing;                          /* the tokens so far ask for a space */
    const struct lng_demand_phrase *placed; /* it was this, or NULL */
};

struct rendering {
    struct lng_demander *d;
    const struct lng_demand_hypothesis *from;
    const struct lng_segment_demand *segment;
    struct lng_buffer *out;
    size_t begin;        /* of the text in out */
    bool apart;          /* spaces around every placeholder */
    uint64_t placed[16]; /* a bit a phrase of the segment, in its order */
};
enum { MOST_TRACKED = 16 * 64 };

static bool empty(const struct rendering *r)
{
    return r->out->length == r->begin;
}

static bool ends_in_mark(const struct rendering *r)
{
    static const char parted[] = ".,;:!?"; /* a space follows these, whatever the source had */
    size_t length = r->out->length - r->begin;
    return length > 0 && !lng_word_ends(r->out->data + r->begin, length) &&
           strchr(parted, r->out->data[r->out->length - 1]) == NULL;
}

static enum lng_status add_space(struct rendering *r)
{
    bool there = empty(r) || r->out->data[r->out->length - 1] == ' ';
    return there ? LNG_OK : lng_buffer_append_byte(r->out, ' ');
}

static bool begins_with_space(const struct rendering *r, int32_t token)
{
    struct lng_slice text = lng_token_text(&r->d->token_texts, token);
    return text.length > 0 && text.data[0] == ' ';
}

/* The tokens from `at` to `end`. */
static enum lng_status write_tokens(struct rendering *r, size_t at, size_t end, struct joint *joint)
{
    const int32_t *tokens = r->from->tokens;
    if (at == end)
        return LNG_OK;
    struct lng_buffer *scratch = &r->d->scratch;
    lng_buffer_clear(scratch);
    LNG_TRY(lng_tokenizer_decode(r->d->tokenizer, LNG_SIDE_TARGET, tokens + at, end - at, scratch));
    struct lng_slice last = lng_token_text(&r->d->token_texts, tokens[end - 1]);
    bool space = joint->trailing || begins_with_space(r, tokens[at]);
    if (scratch->length == 0) {
        joint->trailing = space;
        return LNG_OK;
    }
    if (joint->placed != NULL && space) {
        bool word = lng_word_begins(scratch->data, scratch->length);
        space = !(joint->placed->behind == (word ? LNG_TOUCH_WORD : LNG_TOUCH_MARK));
    }
    if (space || (joint->placed != NULL && r->apart))
        LNG_TRY(add_space(r));
    LNG_TRY(lng_buffer_append(r->out, scratch->data, scratch->length));
    *joint = (struct joint){last.length > 0 && last.data[last.length - 1] == ' ', NULL};
    return LNG_OK;
}

static enum lng_status write_phrase(struct rendering *r, const struct lng_demand_phrase *phrase,
                                    struct joint *joint)
{
    bool space = true;
    if (joint->placed != NULL)
        space = joint->placed->behind != LNG_TOUCH_PLACEHOLDER ||
                phrase->before != LNG_TOUCH_PLACEHOLDER;
    else if (!empty(r) && lng_word_ends(r->out->data + r->begin, r->out->length - r->begin))
        space = phrase->before != LNG_TOUCH_WORD;
    else if (ends_in_mark(r))
        space = phrase->before != LNG_TOUCH_MARK;
    if (space || r->apart)
        LNG_TRY(add_space(r));
    struct lng_placeholder_ranges *placed = &r->d->placed;
    LNG_TRY(lng_grow(&placed->data, &placed->capacity, placed->count + 1, sizeof *placed->data));
    size_t at = r->out->length - r->begin;
    placed->data[placed->count++] = (struct lng_placeholder_range){at, at + phrase->text.count};
    LNG_TRY(lng_buffer_append(r->out, r->d->texts.data + phrase->text.begin, phrase->text.count));
    *joint = (struct joint){false, phrase};
    return LNG_OK;
}

/* The phrase that a token stands for and that was not yet placed; sets its bit. */
static const struct lng_demand_phrase *phrase_of(struct rendering *r, int32_t token)
{
    size_t index = 0;
    for (size_t p = r->segment->first; p > 0; p = r->d->phrases[p - 1].next, index++) {
        const struct lng_demand_phrase *phrase = &r->d->phrases[p - 1];
        if (index < MOST_TRACKED && phrase->stand_in &&
            r->d->ids.data[phrase->tokens.begin] == token &&
            (r->placed[index / 64] >> (index % 64) & 1) == 0) {
            r->placed[index / 64] |= (uint64_t)1 << (index % 64);
            return phrase;
        }
    }
    return NULL;
}

/* ---- unknown tokens ---- */

struct words {
    struct lng_token_spans spans; /* of the source as the model read it */
    struct lng_slice source;
    struct lng_slice last; /* the word that replaced the token before */
};

/* The word at a span, or the span itself where it is none. */
static struct lng_slice word_at(struct lng_slice source, struct lng_token_span span)
{
    size_t begin = span.begin, end = span.end;
    while (begin < end && source.data[begin] == ' ')
        begin++;
    if (!lng_word_begins(source.data + begin, source.length - begin))
        return (struct lng_slice){source.data + begin, end - begin};
    while (begin > 0 && !lng_word_boundary(source.data, source.length, begin))
        begin--;
    while (end < source.length && !lng_word_boundary(source.data, source.length, end))
        end++;
    return (struct lng_slice){source.data + begin, end - begin};
}

static bool is_stand_in(const struct rendering *r, struct lng_slice word)
{
    bool shown = false;
    for (size_t p = r->segment->first; p > 0 && !shown; p = r->d->phrases[p - 1].next) {
        const struct lng_demand_phrase *phrase = &r->d->phrases[p - 1];
        for (size_t i = 0; i < r->d->stand_ins.count && phrase->stand_in; i++)
            shown =
                shown || (r->d->stand_ins.data[i].token == r->d->ids.data[phrase->tokens.begin] &&
                          r->d->stand_ins.data[i].text.length == word.length &&
                          memcmp(r->d->stand_ins.data[i].text.data, word.data, word.length) == 0);
    }
    return shown;
}

/* The source word that target token t attended to most; stand-ins are passed over. length 0 = none. */
static struct lng_slice attended_word(const struct rendering *r, const struct words *words,
                                      size_t t)
{
    const float *row = r->from->weights + t * r->from->width;
    struct lng_slice best = {"", 0};
    float most = -1.0f;
    for (size_t i = 0; i < words->spans.count; i++) {
        size_t at = r->from->first_source + i;
        if (at >= r->from->width || !(row[at] > most))
            continue;
        struct lng_slice word = word_at(words->source, words->spans.data[i]);
        if (word.length == 0 || is_stand_in(r, word))
            continue;
        best = word;
        most = row[at];
    }
    return best;
}

static enum lng_status write_unknown(struct rendering *r, struct words *words, size_t t,
                                     struct joint *joint)
{
    struct lng_slice word = attended_word(r, words, t), target = {NULL, 0};
    bool space =
        joint->trailing || joint->placed != NULL || begins_with_space(r, r->from->tokens[t]);
    if (word.length == 0) { /* nothing to copy: as the tokenizer writes it */
        *joint = (struct joint){space, NULL};
        return write_tokens(r, t, t + 1, joint);
    }
    if (words->last.data == word.data) /* several tokens for one word */
        return LNG_OK;
    if (r->d->dictionary != NULL)
        LNG_TRY(lng_terminology_look_up(r->d->dictionary, word, &target));
    if (target.data == NULL)
        target = word;
    words->last = word;
    if (space)
        LNG_TRY(add_space(r));
    *joint = (struct joint){false, NULL};
    return lng_buffer_append(r->out, target.data, target.length);
}

static enum lng_status write_all(struct rendering *r, struct words *words)
{
    struct joint joint = {false, NULL};
    int32_t unk = lng_tokenizer_unk(r->d->tokenizer, LNG_SIDE_TARGET);
    bool replace = r->d->options.replace_unk && r->from->weights != NULL;
    size_t at = 0;
    for (size_t t = 0; t < r->from->count; t++) {
        int32_t token = r->from->tokens[t];
        const struct lng_demand_phrase *phrase = phrase_of(r, token);
        if (phrase == NULL && !(replace && token == unk)) {
            words->last.data = NULL;
            continue;
        }
        LNG_TRY(write_tokens(r, at, t, &joint));
        LNG_TRY(phrase ? write_phrase(r, phrase, &joint) : write_unknown(r, words, t, &joint));
        at = t + 1;
    }
    LNG_TRY(write_tokens(r, at, r->from->count, &joint));
    size_t index = 0; /* the last resort: what the search could not place */
    for (size_t p = r->segment->first; p > 0; p = r->d->phrases[p - 1].next, index++) {
        const struct lng_demand_phrase *phrase = &r->d->phrases[p - 1];
        bool done = index < MOST_TRACKED && (r->placed[index / 64] >> (index % 64) & 1) != 0;
        bool whole = phrase->stand_in || phrase->tokens.count == 0;
        if (whole && !done)
            LNG_TRY(write_phrase(r, phrase, &joint));
    }
    return LNG_OK;
}

/* ---- looking over ---- */

static bool holds(struct lng_slice text, struct lng_slice part)
{
    return part.length > 0 && text.length >= part.length &&
           memmem(text.data, text.length, part.data, part.length) != NULL;
}

/* What looks like a placeholder and was asked for: in a phrase or the prefix. */
static bool was_asked_for(const struct rendering *r, struct lng_slice text)
{
    struct lng_slice prefix = {r->d->texts.data + r->segment->prefix.begin,
                               r->segment->prefix.count};
    bool asked = holds(prefix, text);
    for (size_t p = r->segment->first; p > 0 && !asked; p = r->d->phrases[p - 1].next) {
        const struct lng_demand_phrase *phrase = &r->d->phrases[p - 1];
        struct lng_slice words = {r->d->texts.data + phrase->text.begin, phrase->text.count};
        asked = !phrase->placeholder && holds(words, text);
    }
    return asked;
}

enum look { SOUND, TOUCHING, SPURIOUS };

/* Compares the placeholders of the text with those that were put there. *spurious: one that the model made up. */
static enum lng_status look_over(struct rendering *r, enum look *look,
                                 struct lng_placeholder_range *spurious)
{
    struct lng_placeholder_ranges *found = &r->d->found, *placed = &r->d->placed;
    const char *text = r->out->data + r->begin;
    found->count = 0;
    *look = SOUND;
    if (r->d->placeholders == NULL || empty(r))
        return LNG_OK;
    LNG_TRY(lng_placeholder_find(r->d->placeholders, text, r->out->length - r->begin, found));
    for (size_t i = 0; i < found->count; i++) {
        struct lng_placeholder_range f = found->data[i];
        bool same = false, touches = false;
        for (size_t k = 0; k < placed->count; k++) {
            struct lng_placeholder_range p = placed->data[k];
            same = same || (p.begin == f.begin && p.end == f.end);
            touches = touches || (p.begin < f.end && f.begin < p.end);
        }
        struct lng_slice bytes = {text + f.begin, f.end - f.begin};
        if (same || (!touches && was_asked_for(r, bytes)))
            continue;
        *look = touches ? TOUCHING : SPURIOUS;
        *spurious = f;
        return LNG_OK;
    }
    return LNG_OK;
}

/* Takes a range out of the text, and the space before it. */
static void cut_out(struct rendering *r, struct lng_placeholder_range range)
{
    char *text = r->out->data + r->begin;
    size_t length = r->out->length - r->begin, begin = range.begin;
    begin -= begin > 0 && text[begin - 1] == ' ' && (range.end == length || text[range.end] == ' ');
    size_t gone = range.end - begin;
    memmove(text + begin, text + range.end, length - range.end);
    r->out->length -= gone;
    r->out->data[r->out->length] = '\0';
    struct lng_placeholder_ranges *placed = &r->d->placed;
    for (size_t k = 0; k < placed->count; k++)
        if (placed->data[k].begin >= range.end) {
            placed->data[k].begin -= gone;
            placed->data[k].end -= gone;
        }
}

/* Writes the text so that it has the placeholders that it should, and no others. */
static enum lng_status write_soundly(struct rendering *r, struct words *words)
{
    enum look look = TOUCHING;
    struct lng_placeholder_range spurious;
    for (int attempt = 0; attempt < 2 && look == TOUCHING; attempt++) {
        r->out->length = r->begin;
        r->d->placed.count = 0;
        r->apart = attempt > 0;
        memset(r->placed, 0, sizeof r->placed);
        words->last.data = NULL;
        LNG_TRY(write_all(r, words));
        LNG_TRY(look_over(r, &look, &spurious));
        while (look == SPURIOUS) {
            cut_out(r, spurious);
            LNG_TRY(look_over(r, &look, &spurious));
        }
    }
    return LNG_OK;
}

/* Appends phrases of words that are not there, and looks for forbidden ones outside placeholders. */
static enum lng_status judge(struct rendering *r, enum lng_demand_result *result)
{
    size_t index = 0;
    for (size_t p = r->segment->first; p > 0; p = r->d->phrases[p - 1].next, index++) {
        const struct lng_demand_phrase *phrase = &r->d->phrases[p - 1];
        struct lng_slice words = {r->d->texts.data + phrase->text.begin, phrase->text.count};
        bool placed = index < MOST_TRACKED && (r->placed[index / 64] >> (index % 64) & 1) != 0;
        bool whole = phrase->stand_in || phrase->tokens.count == 0;
        if (whole)
            *result = placed ? *result : LNG_DEMAND_INSERTED;
        if (whole || lng_word_find(r->out->data ? r->out->data + r->begin : "",
                                   r->out->length - r->begin, words, 0) >= 0)
            continue;
        *result = LNG_DEMAND_INSERTED;
        LNG_TRY(add_space(r));
        LNG_TRY(lng_buffer_append(r->out, words.data, words.length));
    }
    for (size_t f = 0; f < r->segment->forbidden.count; f++) {
        struct lng_range range = r->d->forbidden[r->segment->forbidden.begin + f];
        struct lng_slice words = {r->d->texts.data + range.begin, range.count};
        size_t from = 0;
        int64_t at;
        while ((at = lng_word_find(r->out->data ? r->out->data + r->begin : "",
                                   r->out->length - r->begin, words, from)) >= 0) {
            bool inside = false;
            for (size_t k = 0; k < r->d->placed.count; k++)
                inside = inside || ((size_t)at < r->d->placed.data[k].end &&
                                    r->d->placed.data[k].begin < (size_t)at + words.length);
            if (!inside)
                *result = LNG_DEMAND_VIOLATED;
            from = (size_t)at + 1;
        }
    }
    return LNG_OK;
}

enum lng_status lng_demand_render(struct lng_demander *d, size_t segment,
                                  const struct lng_demand_hypothesis *hypothesis,
                                  struct lng_range *text, enum lng_demand_result *result)
{
    struct rendering r = {
        .d = d,
        .from = hypothesis,
        .segment = &d->segments[segment],
        .out = &d->rendered,
        .begin = d->rendered.length,
    };
    struct words words = {
        .source = {d->texts.data + r.segment->source.begin, r.segment->source.count}};
    bool demands = r.segment->first > 0 || r.segment->forbidden.count > 0;
    enum lng_demand_result found = demands ? LNG_DEMAND_MET : LNG_DEMAND_NONE;
    enum lng_status status = LNG_OK;
    if (d->options.replace_unk && hypothesis->weights != NULL)
        status = lng_tokenizer_encode_spans(d->tokenizer, LNG_SIDE_SOURCE, words.source.data,
                                            words.source.length, &words.spans);
    if (status == LNG_OK)
        status = write_soundly(&r, &words);
    if (status == LNG_OK)
        status = judge(&r, &found);
    lng_token_spans_release(&words.spans);
    LNG_TRY(status);
    *text = (struct lng_range){r.begin, d->rendered.length - r.begin};
    *result = found;
    return LNG_OK;
}
