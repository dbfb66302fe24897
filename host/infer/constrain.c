#include "host/infer/constrain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/word_text.h"

static const int32_t spare_candidates = 8, most_forbidden_candidates = 64;

int32_t lng_constraints_tokens(const struct lng_constraints *constraints)
{
    int32_t sum = 0;
    for (int32_t i = 0; constraints != NULL && i < constraints->phrase_count; i++)
        sum += constraints->phrases[i].length;
    return sum;
}

int32_t lng_constraints_candidates(const struct lng_constraints *constraints, int32_t beam)
{
    int32_t forbidden = constraints->forbidden_count;
    if (forbidden > most_forbidden_candidates)
        forbidden = most_forbidden_candidates;
    return 2 * beam + spare_candidates + forbidden;
}

enum lng_status lng_constraints_check(const struct lng_constraints *c, int32_t vocabulary)
{
    LNG_FAIL_IF(c->phrase_count < 0 || c->phrase_count > LNG_CONSTRAIN_MAX_PHRASES, LNG_ERR_RANGE,
                "constraints: expected %d phrases at most, found %d", LNG_CONSTRAIN_MAX_PHRASES,
                c->phrase_count);
    for (int32_t i = 0; i < c->phrase_count; i++) {
        const struct lng_phrase *phrase = &c->phrases[i];
        LNG_FAIL_IF(phrase->length < 1 || (phrase->stand_in && phrase->length != 1) ||
                        phrase->after >= c->phrase_count,
                    LNG_ERR_RANGE, "constraints: phrase %d has %d tokens", i, phrase->length);
        for (int32_t t = 0; t < phrase->length; t++)
            LNG_FAIL_IF(phrase->tokens[t] < 0 || phrase->tokens[t] >= vocabulary, LNG_ERR_RANGE,
                        "constraints: token %d is outside the vocabulary", phrase->tokens[t]);
    }
    for (int32_t i = 0; i < c->soft_prefix_length; i++)
        LNG_FAIL_IF(c->soft_prefix[i] < 0 || c->soft_prefix[i] >= vocabulary, LNG_ERR_RANGE,
                    "soft prefix: token %d is outside the vocabulary", c->soft_prefix[i]);
    LNG_FAIL_IF(c->soft_prefix_length > 0 &&
                    !(c->soft_prefix_bias > 0.0 && c->soft_prefix_bias < 1.0),
                LNG_ERR_RANGE, "prefix bias: expected a number between 0 and 1, found %g",
                c->soft_prefix_bias);
    return LNG_OK;
}

enum lng_status lng_constrainer_init(struct lng_constrainer *constrainer,
                                     const struct lng_token_texts *texts, int32_t eos, int32_t beam,
                                     int64_t candidates)
{
    struct lng_constrainer made = {
        .texts = texts,
        .eos = eos,
        .beam = beam,
        .choice_capacity = beam * (candidates + LNG_CONSTRAIN_STARTS + 2),
        /* a phrase, what is before it, and the longest piece */
        .tail_capacity = 3 * LNG_CONSTRAIN_MAX_PHRASE_BYTES + LNG_VOCAB_MAX_ENTRY_BYTES,
    };
    made.rows = lng_alloc((size_t)beam, sizeof *made.rows);
    made.choices = lng_alloc((size_t)made.choice_capacity, sizeof *made.choices);
    made.tail = lng_alloc(made.tail_capacity, 1);
    if (made.rows == NULL || made.choices == NULL || made.tail == NULL) {
        lng_constrainer_release(&made);
        return LNG_ERR_MEMORY;
    }
    *constrainer = made;
    return LNG_OK;
}

void lng_constrainer_release(struct lng_constrainer *constrainer)
{
    lng_free(constrainer->rows);
    lng_free(constrainer->choices);
    lng_free(constrainer->tail);
    *constrainer = (struct lng_constrainer){0};
}

struct lng_constrain_state lng_constrain_begin(const struct lng_constraints *constraints)
{
    return (struct lng_constrain_state){.active = -1,
                                        .on_prefix = constraints->soft_prefix_length > 0};
}

static uint64_t bit(int32_t phrase)
{
    return (uint64_t)1 << phrase;
}

static uint64_t all_phrases(const struct lng_constraints *c)
{
    return c->phrase_count == 64 ? ~(uint64_t)0 : bit(c->phrase_count) - 1;
}

static int32_t missing_tokens(const struct lng_constraints *c,
                              const struct lng_constrain_state *state)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < c->phrase_count; i++)
        sum += (state->met & bit(i)) != 0 ? 0 : c->phrases[i].length;
    return sum - (state->active >= 0 ? state->matched : 0);
}

/* The token of the soft prefix that comes now, or -1. */
static int32_t prefix_token(const struct lng_constraints *c, const struct lng_beam *beam,
                            const struct lng_constrain_state *state)
{
    int32_t at = beam->length - beam->prefix_length;
    return state->on_prefix && at >= 0 && at < c->soft_prefix_length ? c->soft_prefix[at] : -1;
}

static bool may_start(const struct lng_constraints *c, uint64_t met, int32_t phrase)
{
    int32_t after = c->phrases[phrase].after;
    return (met & bit(phrase)) == 0 && (after < 0 || (met & bit(after)) != 0);
}

/* ---- what a hypothesis says ---- */

/* The last bytes of a hypothesis, at most `most`, at the end of constrainer->tail but for the room of a piece. */
static struct lng_slice tail_of(struct lng_constrainer *constrainer, const struct lng_beam *beam,
                                int32_t node, size_t most)
{
    char *end = constrainer->tail + constrainer->tail_capacity - LNG_VOCAB_MAX_ENTRY_BYTES;
    char *at = end;
    for (; node > 0 && (size_t)(end - at) < most; node = beam->nodes[node].parent) {
        struct lng_slice text = lng_token_text(constrainer->texts, beam->nodes[node].token);
        size_t room = (size_t)(at - constrainer->tail);
        size_t taken = text.length < room ? text.length : room;
        at -= taken;
        memcpy(at, text.data + text.length - taken, taken);
    }
    return (struct lng_slice){at, (size_t)(end - at)};
}

static size_t longest_text(const struct lng_constraints *c)
{
    size_t longest = 0;
    for (int32_t i = 0; i < c->phrase_count; i++)
        longest = c->phrases[i].text.length > longest ? c->phrases[i].text.length : longest;
    for (int32_t i = 0; i < c->forbidden_count; i++)
        longest = c->forbidden[i].length > longest ? c->forbidden[i].length : longest;
    return longest;
}

static bool ends_with(struct lng_slice text, struct lng_slice phrase)
{
    if (phrase.length == 0 || phrase.length > text.length)
        return false;
    size_t at = text.length - phrase.length;
    return memcmp(text.data + at, phrase.data, phrase.length) == 0 &&
           lng_word_boundary(text.data, text.length, at);
}

static struct lng_constrain_row look_at(struct lng_constrainer *constrainer,
                                        const struct lng_constraints *c,
                                        const struct lng_beam *beam, int32_t node)
{
    struct lng_constrain_row row = {0};
    size_t longest = longest_text(c);
    if (longest == 0)
        return row;
    struct lng_slice tail = tail_of(constrainer, beam, node, longest + 8);
    for (int32_t p = 0; p < c->phrase_count; p++) {
        struct lng_slice text = c->phrases[p].text;
        if (c->phrases[p].stand_in || !ends_with(tail, text))
            continue;
        if (lng_word_ends(text.data, text.length))
            row.ends_words |= bit(p);
        else
            row.ends_any |= bit(p);
    }
    for (int32_t f = 0; f < c->forbidden_count; f++)
        row.pending = row.pending || ends_with(tail, c->forbidden[f]);
    return row;
}

void lng_constrain_open(struct lng_constrainer *constrainer, const struct lng_constraints *c,
                        const struct lng_beam *beam)
{
    constrainer->choice_count = 0;
    for (int32_t i = 0; i < beam->live_count; i++)
        constrainer->rows[i] = look_at(constrainer, c, beam, beam->live[i].node);
}

int32_t lng_constrain_wanted(struct lng_constrainer *constrainer, const struct lng_constraints *c,
                             const struct lng_beam *beam, const struct lng_constrain_state *states,
                             int32_t i, int32_t *wanted)
{
    const struct lng_constrain_state *state = &states[i];
    int32_t count = 0, forced = lng_beam_forced(beam);
    if (forced >= 0) { /* the only one, and among the best in any case */
        return 0;
    }
    if (prefix_token(c, beam, state) >= 0)
        wanted[count++] = prefix_token(c, beam, state);
    bool inside = state->active >= 0 && state->matched < c->phrases[state->active].length;
    if (inside)
        wanted[count++] = c->phrases[state->active].tokens[state->matched];
    else if (!lng_beam_eos_banned(beam))
        wanted[count++] = constrainer->eos;
    struct lng_constrain_row row = look_at(constrainer, c, beam, beam->live[i].node);
    uint64_t met = state->met | row.ends_words | row.ends_any;
    int32_t starts = 0;
    for (int32_t p = 0; p < c->phrase_count && !inside && starts < LNG_CONSTRAIN_STARTS; p++)
        if (may_start(c, met, p)) {
            wanted[count++] = c->phrases[p].tokens[0];
            starts++;
        }
    return count;
}

enum verdict { ALLOWED, PENDING, FORBIDDEN };

/* What a token makes of the forbidden phrases. */
static enum verdict judge(struct lng_constrainer *constrainer, const struct lng_constraints *c,
                          const struct lng_beam *beam, int32_t node, int32_t token)
{
    if (c->forbidden_count == 0)
        return ALLOWED;
    struct lng_slice piece = lng_token_text(constrainer->texts, token);
    struct lng_slice text = tail_of(constrainer, beam, node, longest_text(c) + 8);
    size_t before = text.length, length = before + piece.length;
    memcpy((char *)(uintptr_t)text.data + before, piece.data, piece.length);
    enum verdict verdict = ALLOWED;
    for (int32_t f = 0; f < c->forbidden_count; f++) {
        struct lng_slice phrase = c->forbidden[f];
        size_t from = before >= phrase.length ? before - phrase.length + 1 : 0;
        int64_t at;
        while ((at = lng_word_find(text.data, length, phrase, from)) >= 0) {
            size_t end = (size_t)at + phrase.length;
            bool open = end == length && lng_word_ends(phrase.data, phrase.length);
            if (end > before && !open)
                return FORBIDDEN;
            if (end > before)
                verdict = PENDING;
            from = (size_t)at + 1;
        }
    }
    return verdict;
}

/* ---- what a token leads to ---- */

/* The started or another phrase that begins with the same tokens and goes on with this one; -1. */
static int32_t continued_phrase(const struct lng_constraints *c,
                                const struct lng_constrain_state *state, int32_t token)
{
    const int32_t *begun = c->phrases[state->active].tokens;
    int32_t n = state->matched;
    if (n < c->phrases[state->active].length && begun[n] == token)
        return state->active;
    for (int32_t i = 0; i < c->phrase_count; i++)
        if (may_start(c, state->met, i) && c->phrases[i].length > n &&
            c->phrases[i].tokens[n] == token &&
            memcmp(c->phrases[i].tokens, begun, (size_t)n * sizeof *begun) == 0)
            return i;
    return -1;
}

/* False where a stand-in would be there twice, or a word go on after one. */
static bool advance(const struct lng_constrainer *constrainer, const struct lng_constraints *c,
                    const struct lng_constrain_row *row, int32_t token,
                    struct lng_constrain_state *state)
{
    bool eos = token == constrainer->eos;
    bool goes_on = !eos && lng_token_continues(constrainer->texts, token);
    if (state->edge && goes_on)
        return false;
    state->edge = false;
    state->met |= row->ends_any | (goes_on ? 0 : row->ends_words);
    int32_t next = state->active >= 0 ? continued_phrase(c, state, token) : -1;
    if (next >= 0 && (state->met & bit(next)) == 0) {
        state->active = next;
        state->matched++;
    } else {
        state->active = -1;
        state->matched = 0;
        for (int32_t i = 0; i < c->phrase_count && state->active < 0 && !eos; i++)
            if (may_start(c, state->met, i) && c->phrases[i].tokens[0] == token) {
                state->active = i;
                state->matched = 1;
            }
    }
    bool placed = state->active >= 0 && c->phrases[state->active].stand_in;
    for (int32_t i = 0; i < c->phrase_count; i++)
        if (c->phrases[i].stand_in && c->phrases[i].tokens[0] == token && !placed)
            return false;
    if (placed) {
        state->met |= bit(state->active);
        state->active = -1;
        state->matched = 0;
        state->edge = true;
    }
    return true;
}

static struct lng_candidate biased(const struct lng_constraints *c, const struct lng_beam *beam,
                                   const struct lng_constrain_state *state, int32_t i,
                                   struct lng_candidate candidate)
{
    int32_t wanted = prefix_token(c, beam, state);
    candidate.row = i;
    if (wanted < 0 || lng_beam_forced(beam) >= 0)
        return candidate;
    double b = c->soft_prefix_bias, p = exp((double)candidate.logprob);
    double logprob =
        candidate.token == wanted ? log((1.0 - b) * p + b) : log1p(-b) + (double)candidate.logprob;
    candidate.logprob = (float)fmin(logprob, 0.0);
    candidate.score = beam->live[i].score + candidate.logprob;
    return candidate;
}

static bool already_there(const struct lng_constrainer *constrainer, int64_t from, int32_t token)
{
    for (int64_t i = from; i < constrainer->choice_count; i++)
        if (constrainer->choices[i].candidate.token == token)
            return true;
    return false;
}

void lng_constrain_add(struct lng_constrainer *constrainer, const struct lng_constraints *c,
                       const struct lng_beam *beam, const struct lng_constrain_state *states,
                       int32_t i, const struct lng_candidate *candidates, int32_t best,
                       int32_t wanted)
{
    const struct lng_constrain_row *row = &constrainer->rows[i];
    const struct lng_constrain_state *from = &states[i];
    uint64_t said = from->met | row->ends_words | row->ends_any;
    bool complete = (said & all_phrases(c)) == all_phrases(c);
    bool forced = lng_beam_forced(beam) >= 0;
    /* Who would end and may not has nothing more to say of its own. */
    bool only_phrases = !forced && !complete && best > 0 && candidates[0].token == constrainer->eos;
    int64_t first = constrainer->choice_count;
    for (int32_t k = 0; k < best + wanted; k++) {
        const struct lng_candidate *given = &candidates[k];
        if (given->row < 0 || given->token < 0 ||
            (k >= best && already_there(constrainer, first, given->token)) ||
            constrainer->choice_count >= constrainer->choice_capacity)
            continue;
        struct lng_constrain_choice choice = {.candidate = biased(c, beam, from, i, *given),
                                              .state = *from};
        if (!advance(constrainer, c, row, given->token, &choice.state) && !forced)
            continue;
        bool eos = given->token == constrainer->eos;
        choice.state.on_prefix = from->on_prefix && (prefix_token(c, beam, from) < 0 ||
                                                     prefix_token(c, beam, from) == given->token);
        bool goes_on = !eos && lng_token_continues(constrainer->texts, given->token);
        int32_t left = beam->max_length - (beam->length + 1);
        bool advances = choice.state.active >= 0 || choice.state.edge;
        bool inside =
            from->bound && from->active >= 0 && from->matched < c->phrases[from->active].length;
        bool goes_through = choice.state.active >= 0 && choice.state.matched == from->matched + 1;
        choice.state.bound =
            choice.state.matched == 1 ? only_phrases || k >= beam->options->beam : from->bound;
        enum verdict verdict = judge(constrainer, c, beam, beam->live[i].node, given->token);
        bool midway = choice.state.active >= 0 &&
                      choice.state.matched < c->phrases[choice.state.active].length;
        choice.pending = verdict == PENDING && !midway;
        bool room = missing_tokens(c, &choice.state) + choice.pending < left;
        choice.state.bound = choice.state.bound || (verdict == PENDING && midway);
        choice.fits = forced || ((eos ? complete : room && (advances || !only_phrases)) &&
                                 (!inside || goes_through) && verdict != FORBIDDEN &&
                                 (!row->pending || goes_on));
        if (!choice.fits && eos && !complete)
            continue;
        constrainer->choices[constrainer->choice_count++] = choice;
    }
}

/* ---- which live on ---- */

static int by_score(const void *left, const void *right)
{
    const struct lng_candidate *a = &((const struct lng_constrain_choice *)left)->candidate;
    const struct lng_candidate *b = &((const struct lng_constrain_choice *)right)->candidate;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    return (a->token > b->token) - (a->token < b->token);
}

static int32_t bank_of(const struct lng_constrain_choice *choice)
{
    return 2 * __builtin_popcountll(choice->state.met) + (choice->state.active >= 0);
}

/* How many before choice i, which is an end, are as full as it: who may end is a question among those. */
static int64_t better_ones(const struct lng_constrainer *constrainer, int64_t i)
{
    int64_t better = 0;
    for (int64_t k = 0; k < i; k++)
        better += constrainer->choices[k].fits &&
                  bank_of(&constrainer->choices[k]) >= bank_of(&constrainer->choices[i]);
    return better;
}

struct places {
    int32_t left, pending;
};

static bool take(struct places *places, struct lng_constrain_choice *choice)
{
    if (choice->taken || !choice->fits || places->left == 0 ||
        (choice->pending && places->pending == 0))
        return false;
    choice->taken = true;
    places->left--;
    places->pending -= choice->pending;
    return true;
}

static void take_by_banks(struct lng_constrainer *constrainer, struct places *places)
{
    bool any = true;
    while (places->left > 0 && any) {
        any = false;
        for (int32_t bank = 2 * LNG_CONSTRAIN_MAX_PHRASES + 1; bank >= 0; bank--)
            for (int64_t i = 0; i < constrainer->choice_count; i++) {
                struct lng_constrain_choice *choice = &constrainer->choices[i];
                if (bank_of(choice) == bank && choice->candidate.token != constrainer->eos &&
                    take(places, choice)) {
                    any = true;
                    break;
                }
            }
    }
}

void lng_constrain_choose(struct lng_constrainer *constrainer, const struct lng_constraints *c,
                          const struct lng_beam *beam, int32_t first_row, struct lng_candidate *out,
                          int64_t out_count)
{
    struct lng_constrain_choice *choices = constrainer->choices;
    int64_t count = constrainer->choice_count;
    int32_t width = constrainer->beam;
    bool any = false;
    if (count > 0)
        qsort(choices, (size_t)count, sizeof *choices, by_score);
    for (int64_t i = 0; i < count; i++)
        any = any || (choices[i].fits && !(choices[i].pending && width == 1));
    for (int64_t i = 0; i < count && !any; i++) {
        choices[i].fits = true;
        choices[i].pending = false;
    }
    bool banks = c->phrase_count > 0 && lng_beam_forced(beam) < 0;
    struct places places = {banks ? width - width / 2 : width, width / 2};
    for (int64_t i = 0; i < count; i++)
        if (choices[i].candidate.token == constrainer->eos)
            choices[i].taken = choices[i].fits && better_ones(constrainer, i) < 2 * width;
        else
            (void)take(&places, &choices[i]);
    if (banks) {
        places.left += width / 2;
        take_by_banks(constrainer, &places);
    }
    int64_t used = 0;
    for (int64_t i = 0; i < count && used < out_count; i++)
        if (choices[i].taken) {
            out[used] = choices[i].candidate;
            out[used++].row += first_row;
        }
    for (; used < out_count; used++)
        out[used] = (struct lng_candidate){-INFINITY, -INFINITY, -1, -1};
}

void lng_constrain_close(const struct lng_constrainer *constrainer, const struct lng_beam *beam,
                         struct lng_constrain_state *states)
{
    for (int32_t i = 0; i < beam->live_count; i++) {
        const struct lng_beam_live *live = &beam->live[i];
        int32_t token = beam->nodes[live->node].token;
        for (int64_t k = 0; k < constrainer->choice_count; k++) {
            const struct lng_constrain_choice *choice = &constrainer->choices[k];
            if (choice->taken && choice->candidate.row == live->parent &&
                choice->candidate.token == token)
                states[i] = choice->state;
        }
    }
}
