/* Beam bookkeeping against exhaustive enumeration of toy models, rule by rule, and its corner cases. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/infer/beam.h"
#include "tests/support/check.h"

enum { MAX_V = 8, MAX_L = 6, EOS = 0 };

/* A toy model: the log-probabilities that follow a prefix are a random function of that prefix. */
struct toy {
    int vocabulary;
    uint32_t seed;
    double eos_bias;
};

static void toy_logprobs(const struct toy *toy, const int32_t *prefix, int length, float *out)
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < length; i++)
        hash = (hash ^ (uint32_t)(prefix[i] + 1)) * 16777619u;
    double logit[MAX_V], sum = 0.0;
    for (int v = 0; v < toy->vocabulary; v++) {
        struct lng_philox r = lng_philox4x32(hash, (uint32_t)length, (uint32_t)v, 0, toy->seed, 7);
        logit[v] = 3.0 * ((double)r.word[0] / 4294967296.0) + (v == EOS ? toy->eos_bias : 0.0);
        sum += exp(logit[v]);
    }
    for (int v = 0; v < toy->vocabulary; v++)
        out[v] = (float)(logit[v] - log(sum));
}

struct string {
    int32_t tokens[MAX_L];
    int length;
    double total, score;
};

struct enumeration {
    struct string *best; /* sorted, n */
    int n, count;
    long all;
};

static void enumeration_offer(struct enumeration *e, const struct string *candidate)
{
    e->all++;
    int at = e->count;
    while (at > 0 && e->best[at - 1].score < candidate->score)
        at--;
    if (at >= e->n)
        return;
    if (e->count < e->n)
        e->count++;
    memmove(&e->best[at + 1], &e->best[at], (size_t)(e->count - 1 - at) * sizeof *e->best);
    e->best[at] = *candidate;
}

static void enumerate(const struct toy *toy, const struct lng_beam_options *o, struct string *at,
                      struct enumeration *e, int max_length)
{
    float logprob[MAX_V];
    toy_logprobs(toy, at->tokens, at->length, logprob);
    for (int v = 0; v < toy->vocabulary; v++) {
        struct string next = *at;
        next.tokens[next.length++] = v;
        next.total += (double)logprob[v];
        bool last = next.length == max_length;
        if (v == EOS && next.length < o->min_length && !last)
            continue;
        if (v == EOS || (last && o->limit == LNG_BEAM_LIMIT_CUT)) {
            next.score = lng_beam_score(o, next.total, next.length);
            enumeration_offer(e, &next);
        } else if (!last) {
            enumerate(toy, o, &next, e, max_length);
        }
    }
}

/* What the device does: all continuations of all rows, best k, ties by (score, row, token). */
static int compare_candidates(const void *left, const void *right)
{
    const struct lng_candidate *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    return (a->token > b->token) - (a->token < b->token);
}

static int64_t toy_candidates(const struct toy *toy, const struct lng_beam *beam, int32_t first_row,
                              int32_t banned, struct lng_candidate *out, int64_t k)
{
    int64_t count = 0;
    for (int32_t r = 0; r < beam->live_count; r++) {
        int32_t prefix[MAX_L + 1];
        int length = 0;
        for (int32_t n = beam->live[r].node; n > 0; n = beam->nodes[n].parent)
            length++;
        int at = length;
        for (int32_t n = beam->live[r].node; n > 0; n = beam->nodes[n].parent)
            prefix[--at] = beam->nodes[n].token;
        cr_assert(length == beam->length);
        float logprob[MAX_V];
        toy_logprobs(toy, prefix, length, logprob);
        int32_t forced = lng_beam_forced(beam);
        for (int32_t v = 0; v < toy->vocabulary; v++) {
            if (forced >= 0 ? v != forced : v == banned || (v == EOS && lng_beam_eos_banned(beam)))
                continue;
            out[count++] = (struct lng_candidate){beam->live[r].score + logprob[v], logprob[v],
                                                  r + first_row, v};
        }
    }
    qsort(out, (size_t)count, sizeof *out, compare_candidates);
    for (int64_t i = count; i < k; i++)
        out[i] = (struct lng_candidate){-INFINITY, -INFINITY, -1, -1};
    return k;
}

static int toy_search(const struct toy *toy, struct lng_beam *beam, int64_t source_length,
                      const int32_t *prefix, int32_t prefix_length)
{
    int64_t k = lng_beam_candidates(beam->options);
    int64_t room = (int64_t)beam->options->beam * toy->vocabulary;
    struct lng_candidate *candidates = lng_alloc((size_t)(room > k ? room : k), sizeof *candidates);
    cr_assert(lng_beam_start(beam, source_length, prefix, prefix_length) == LNG_OK);
    int steps = 0;
    while (!beam->done) {
        int64_t count = toy_candidates(toy, beam, 5, -1, candidates, k);
        cr_assert(lng_beam_step(beam, candidates, count, 5) == LNG_OK, "%s", lng_error_message());
        cr_assert(++steps <= beam->max_length);
    }
    lng_free(candidates);
    return steps;
}

static const struct rule {
    enum lng_beam_rule rule;
    double alpha, word_penalty;
} rules[] = {
    {LNG_BEAM_RULE_NONE, 0.0, 0.0},        {LNG_BEAM_RULE_MARIAN, 0.0, 0.0},
    {LNG_BEAM_RULE_MARIAN, 1.0, 0.0},      {LNG_BEAM_RULE_MARIAN, 0.6, 0.4},
    {LNG_BEAM_RULE_MARIAN, 0.6, -0.9},     {LNG_BEAM_RULE_MARIAN, 1.4, -2.5},
    {LNG_BEAM_RULE_MARIAN, -0.5, 0.1},     {LNG_BEAM_RULE_CTRANSLATE2, 1.0, 0.0},
    {LNG_BEAM_RULE_CTRANSLATE2, 2.0, 0.0}, {LNG_BEAM_RULE_CTRANSLATE2, -1.0, 0.0},
    {LNG_BEAM_RULE_WU, 0.8, 0.0},          {LNG_BEAM_RULE_WU, 2.0, 0.0},
};
enum { RULES = sizeof rules / sizeof rules[0] };

static struct lng_beam_options toy_options(int rule, int32_t beam, int32_t n, int32_t length)
{
    struct lng_beam_options o = lng_beam_options_default();
    o.beam = beam;
    o.n_best = n;
    o.rule = rules[rule].rule;
    o.alpha = rules[rule].alpha;
    o.word_penalty = rules[rule].word_penalty;
    o.max_factor = 0.0;
    o.max_extra = length;
    o.max_length = length;
    o.eos = EOS;
    return o;
}

ParameterizedTestParameters(beam, exhaustive)
{
    static int indices[RULES];
    for (int i = 0; i < RULES; i++)
        indices[i] = i;
    return cr_make_param_array(int, indices, RULES);
}

static void check_exhaustive(int rule, struct toy toy, int length, enum lng_beam_limit limit,
                             int min_length)
{
    enum { N = 12 };
    int width = 1;
    for (int i = 0; i < length - (limit == LNG_BEAM_LIMIT_EOS); i++)
        width *= toy.vocabulary - 1;
    struct lng_beam_options o = toy_options(rule, width < N ? N : width, N, length);
    o.limit = limit;
    o.min_length = min_length;
    struct string best[N + 1], root = {.length = 0};
    struct enumeration e = {.best = best, .n = N};
    enumerate(&toy, &o, &root, &e, length);

    struct lng_beam beam;
    cr_assert(lng_beam_init(&beam, &o, length) == LNG_OK);
    toy_search(&toy, &beam, 4, NULL, 0);
    cr_assert(beam.exact_stop);
    int expected = e.all < N ? (int)e.all : N;
    cr_assert(beam.finished_count == expected, "%d of %d", beam.finished_count, expected);
    for (int i = 0; i < expected; i++) {
        int32_t tokens[MAX_L];
        float logprobs[MAX_L];
        int32_t n = lng_beam_trace(&beam, i, tokens, logprobs, NULL);
        cr_assert(n == best[i].length, "rule %d seed %u rank %d: length %d, expected %d", rule,
                  toy.seed, i, n, best[i].length);
        cr_assert(memcmp(tokens, best[i].tokens, sizeof *tokens * (size_t)n) == 0);
        cr_assert(beam.finished[i].score == best[i].score);
        double sum = 0.0;
        for (int j = 0; j < n; j++)
            sum += (double)logprobs[j];
        cr_assert(sum == best[i].total && sum == beam.finished[i].total);
        enum lng_beam_end end = tokens[n - 1] != EOS ? LNG_BEAM_END_MAX_LENGTH
                                : n == length && limit == LNG_BEAM_LIMIT_EOS
                                    ? LNG_BEAM_END_MAX_LENGTH
                                    : LNG_BEAM_END_EOS;
        cr_assert(beam.finished[i].end == end);
    }
    lng_beam_release(&beam);
}

ParameterizedTest(int *rule, beam, exhaustive)
{
    check_exhaustive(*rule, (struct toy){8, 11, 0.0}, 5, LNG_BEAM_LIMIT_EOS, 1);
    check_exhaustive(*rule, (struct toy){6, 3, 1.0}, 6, LNG_BEAM_LIMIT_EOS, 3);
    for (uint32_t seed = 0; seed < 25; seed++) {
        struct toy toy = {2 + (int)(seed % 4), seed, seed % 3 - 1.0};
        check_exhaustive(*rule, toy, 1 + (int)(seed % 5), LNG_BEAM_LIMIT_EOS, (int)(seed % 3));
        check_exhaustive(*rule, toy, 1 + (int)(seed % 4), LNG_BEAM_LIMIT_CUT, 1);
    }
}

/* Stopping exactly changes nothing but the number of steps, for narrow beams too. */
Test(beam, exact_stop_equals_exhausting)
{
    long saved = 0;
    for (int rule = 0; rule < RULES; rule++) {
        for (uint32_t seed = 0; seed < 60; seed++) {
            struct toy toy = {5 + (int)(seed % 4), seed, seed % 4 - 1.0};
            int32_t width = 2 + (int)(seed % 5), n = 1 + (int)(seed % (uint32_t)width);
            struct lng_beam_options exact = toy_options(rule, width, n, MAX_L), all = exact;
            all.stop = LNG_BEAM_STOP_EXHAUST;
            struct lng_beam a, b;
            cr_assert(lng_beam_init(&a, &exact, MAX_L) == LNG_OK);
            cr_assert(lng_beam_init(&b, &all, MAX_L) == LNG_OK);
            int steps = toy_search(&toy, &a, 1, NULL, 0);
            saved += toy_search(&toy, &b, 1, NULL, 0) - steps;
            cr_assert(a.exact_stop && b.exact_stop);
            cr_assert(a.finished_count == b.finished_count && a.finished_count > 0);
            for (int i = 0; i < a.finished_count; i++) {
                int32_t x[MAX_L], y[MAX_L];
                int32_t length = lng_beam_trace(&a, i, x, NULL, NULL);
                cr_assert(length == lng_beam_trace(&b, i, y, NULL, NULL));
                cr_assert(memcmp(x, y, sizeof *x * (size_t)length) == 0);
                cr_assert(a.finished[i].score == b.finished[i].score);
            }
            lng_beam_release(&a);
            lng_beam_release(&b);
        }
    }
    cr_assert(saved > 500, "exact stop saved %ld steps", saved);
}

/* Wherever another stop rule claims the certificate, running on must give the same best hypothesis; and
 * it must not always claim it. */
Test(beam, certificate_is_honest)
{
    static const enum lng_beam_stop stops[] = {LNG_BEAM_STOP_FILLED, LNG_BEAM_STOP_HEURISTIC,
                                               LNG_BEAM_STOP_SHRINK};
    for (size_t s = 0; s < 3; s++) {
        int claimed = 0, denied = 0, worse = 0;
        for (int rule = 0; rule < RULES; rule++) {
            for (uint32_t seed = 0; seed < 80; seed++) {
                struct toy toy = {6, seed, 0.5};
                struct lng_beam_options o = toy_options(rule, 3, 1, MAX_L), all = o;
                o.stop = stops[s];
                all.stop = LNG_BEAM_STOP_EXHAUST;
                struct lng_beam a, b;
                cr_assert(lng_beam_init(&a, &o, MAX_L) == LNG_OK);
                cr_assert(lng_beam_init(&b, &all, MAX_L) == LNG_OK);
                toy_search(&toy, &a, 1, NULL, 0);
                toy_search(&toy, &b, 1, NULL, 0);
                bool beaten = a.finished[0].score < b.finished[0].score;
                cr_assert(!(a.exact_stop && beaten), "stop %zu rule %d seed %u", s, rule, seed);
                worse += beaten;
                claimed += a.exact_stop;
                denied += !a.exact_stop;
                lng_beam_release(&a);
                lng_beam_release(&b);
            }
        }
        cr_assert(claimed > 20 && denied > 20, "stop %zu: %d claimed, %d denied", s, claimed,
                  denied);
        cr_assert(worse > 0, "stop %zu never lost anything: the check would be idle", s);
    }
}

static struct lng_candidate candidate(const struct lng_beam *beam, int32_t row, int32_t token,
                                      float logprob)
{
    return (struct lng_candidate){beam->live[row].score + logprob, logprob, row, token};
}

/* By hand: after one step a short finished hypothesis, and a live one that the average may still favour. */
Test(beam, stop_by_hand)
{
    struct lng_beam_options o = toy_options(2, 2, 1, 4); /* T / n */
    struct lng_beam beam;
    cr_assert(lng_beam_init(&beam, &o, 4) == LNG_OK);
    cr_assert(lng_beam_start(&beam, 1, NULL, 0) == LNG_OK);
    struct lng_candidate first[] = {candidate(&beam, 0, EOS, -0.5f), candidate(&beam, 0, 1, -1.0f),
                                    candidate(&beam, 0, 2, -2.5f)};
    cr_assert(lng_beam_step(&beam, first, 3, 0) == LNG_OK);
    cr_assert(!beam.done, "-1 over at most 4 tokens may reach -0.25");
    cr_assert(beam.live_count == 2 && beam.finished_count == 1 && beam.live[0].parent == 0);
    struct lng_candidate second[] = {candidate(&beam, 0, 1, -1.2f), candidate(&beam, 1, 2, -0.1f)};
    cr_assert(lng_beam_step(&beam, second, 2, 0) == LNG_OK);
    cr_assert(beam.done && beam.exact_stop, "-2.2 / 4 = -0.55 cannot beat -0.5");
    cr_assert(beam.finished[0].score == -0.5 && beam.finished[0].end == LNG_BEAM_END_EOS);

    o.stop = LNG_BEAM_STOP_FILLED;
    o.beam = 2;
    cr_assert(lng_beam_start(&beam, 1, NULL, 0) == LNG_OK);
    cr_assert(lng_beam_step(&beam, first, 3, 0) == LNG_OK);
    cr_assert(!beam.done);
    struct lng_candidate third[] = {candidate(&beam, 0, 1, -0.01f), candidate(&beam, 0, EOS, -0.2f),
                                    candidate(&beam, 1, 2, -0.1f)};
    cr_assert(lng_beam_step(&beam, third, 3, 0) == LNG_OK);
    cr_assert(beam.done && !beam.exact_stop, "two are finished, but -1.01 / 4 could still win");
    lng_beam_release(&beam);
}

/* The stop rules of CTranslate2 without a length rule, and of Hugging Face: K 2, by hand. */
Test(beam, stops_of_other_toolkits_by_hand)
{
    struct lng_beam_options o = toy_options(2, 2, 1, 5); /* T / n */
    struct lng_beam beam;
    struct step {
        enum lng_beam_stop stop;
        double alpha;
        int steps; /* after which the search is done */
    } cases[] = {
        {LNG_BEAM_STOP_FILLED, 0, 1}, /* the best candidate was EOS, one is wanted */
        {LNG_BEAM_STOP_FILLED, 1, 2}, /* two have ended */
        {LNG_BEAM_STOP_EARLY, 0, 2},
        {LNG_BEAM_STOP_HEURISTIC, 1, 3}, /* after two -2.0 / 2 is better than the worst, -1.1 */
        {LNG_BEAM_STOP_NEVER, 1,
         4}, /* after three -3.5 / 5 = -0.7 could still be better than -1.1 */
        {LNG_BEAM_STOP_NEVER, 0, 2}, /* -2.0 is not better than -1.7 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        o.stop = cases[i].stop;
        o.alpha = cases[i].alpha;
        int steps = 0;
        cr_assert(lng_beam_init(&beam, &o, 5) == LNG_OK);
        cr_assert(lng_beam_start(&beam, 1, NULL, 0) == LNG_OK);
        struct lng_candidate first[] = {candidate(&beam, 0, EOS, -1.1f),
                                        candidate(&beam, 0, 1, -1.2f), candidate(&beam, 0, 2, -3)};
        cr_assert(lng_beam_step(&beam, first, 3, 0) == LNG_OK);
        for (steps = 1; !beam.done && steps < 4; steps++) {
            float cost[] = {0, -0.8f, -1.5f, -2.5f};
            struct lng_candidate next[] = {
                candidate(&beam, 0, steps == 1 ? EOS : 1, steps == 1 ? -0.5f : cost[steps]),
                candidate(&beam, steps == 1 ? 0 : 1, 1, steps == 1 ? cost[1] : -5),
                candidate(&beam, 1, 2, -9),
            };
            cr_assert(lng_beam_step(&beam, next, 3, 0) == LNG_OK);
        }
        cr_assert(beam.done && steps == cases[i].steps, "case %zu: %d steps", i, steps);
        lng_beam_release(&beam);
    }
}

/* After a prefix CTranslate2 lets only the best candidate end, and wastes the places of others that would. */
Test(beam, a_prefix_as_ctranslate2_has_it)
{
    struct lng_beam_options o = toy_options(2, 3, 1, 6);
    struct lng_beam beam;
    const int32_t prefix[] = {3};
    o.stop = LNG_BEAM_STOP_FILLED;
    o.lone_eos = o.forced_free = true;
    cr_assert(lng_beam_init(&beam, &o, 6) == LNG_OK);
    for (int rank = 0; rank < 2; rank++) {
        cr_assert(lng_beam_start(&beam, 1, prefix, 1) == LNG_OK);
        struct lng_candidate forced[] = {candidate(&beam, 0, 3, -4)};
        cr_assert(lng_beam_step(&beam, forced, 1, 0) == LNG_OK);
        cr_assert(beam.live[0].total == 0 && beam.live[0].score == 0, "the prefix costs nothing");
        struct lng_candidate c[] = {candidate(&beam, 0, rank == 0 ? EOS : 1, -1),
                                    candidate(&beam, 0, rank == 1 ? EOS : 1, -2),
                                    candidate(&beam, 0, 2, -3), candidate(&beam, 0, 4, -4),
                                    candidate(&beam, 0, 5, -5)};
        cr_assert(lng_beam_step(&beam, c, 5, 0) == LNG_OK);
        cr_assert(beam.ended == (rank == 0) && beam.live_count == (rank == 0 ? 3 : 2));
    }
    lng_beam_release(&beam);
    o.max_factor = 1.5;
    o.max_extra = 0;
    cr_assert(lng_beam_max_length(&o, 3, 0) == 4);
    o.factor_up = true;
    cr_assert(lng_beam_max_length(&o, 3, 0) == 5);
}

Test(beam, greedy_ends_at_eos)
{
    struct lng_beam_options o = toy_options(2, 1, 1, 6);
    struct lng_beam beam;
    cr_assert(lng_beam_init(&beam, &o, 6) == LNG_OK);
    cr_assert(lng_beam_start(&beam, 1, NULL, 0) == LNG_OK);
    struct lng_candidate first[] = {candidate(&beam, 0, 3, -0.5f), candidate(&beam, 0, EOS, -0.6f)};
    cr_assert(lng_beam_step(&beam, first, 2, 0) == LNG_OK);
    cr_assert(!beam.done && beam.finished_count == 0, "EOS was only second");
    struct lng_candidate second[] = {candidate(&beam, 0, EOS, -0.5f),
                                     candidate(&beam, 0, 2, -0.6f)};
    cr_assert(lng_beam_step(&beam, second, 2, 0) == LNG_OK);
    cr_assert(beam.done && beam.finished_count == 1);
    cr_assert(!beam.exact_stop,
              "-1.1 / 6 could have beaten -1 / 2: the greedy search did not look");
    int32_t tokens[6];
    cr_assert(lng_beam_trace(&beam, 0, tokens, NULL, NULL) == 2);
    cr_assert(tokens[0] == 3 && tokens[1] == EOS);

    o.rule = LNG_BEAM_RULE_NONE;
    cr_assert(lng_beam_start(&beam, 1, NULL, 0) == LNG_OK);
    cr_assert(lng_beam_step(&beam, second, 2, 0) == LNG_OK);
    cr_assert(beam.done && beam.exact_stop, "without a length rule nothing can improve");
    lng_beam_release(&beam);
}

Test(beam, exact_length)
{
    struct lng_beam_options o = toy_options(2, 1, 1, 6);
    struct lng_beam beam;
    static const int32_t prefix[] = {2, 2, 2};
    cr_assert(lng_beam_init(&beam, &o, 6) == LNG_OK);
    cr_assert(lng_beam_start_exact(&beam, 2, NULL, 0) == LNG_OK);
    for (int i = 0; i < 2; i++) {
        struct lng_candidate best = candidate(&beam, 0, 3, -0.5f);
        cr_assert(lng_beam_eos_banned(&beam) && lng_beam_forced(&beam) < 0, "at the last too");
        cr_assert(!beam.done && lng_beam_step(&beam, &best, 1, 0) == LNG_OK);
    }
    cr_assert(beam.done && beam.finished[0].length == 2);
    cr_assert(beam.finished[0].end == LNG_BEAM_END_MAX_LENGTH && beam.finished[0].token == 3);
    check_fails(lng_beam_start_exact(&beam, 0, NULL, 0), LNG_ERR_RANGE, "exact length");
    check_fails(lng_beam_start_exact(&beam, 2, prefix, 3), LNG_ERR_RANGE,
                "expected 3 target tokens");
    check_fails(lng_beam_start_exact(&beam, 7, NULL, 0), LNG_ERR_RANGE, "room for 6");
    lng_beam_release(&beam);
}

/* Equal scores: the device's order (row, then token) decides who lives, and finished ones keep it. */
Test(beam, ties)
{
    struct toy flat = {4, 1, 0.0};
    struct lng_beam_options o = toy_options(0, 3, 3, 3);
    o.stop = LNG_BEAM_STOP_EXHAUST;
    struct lng_beam beam;
    cr_assert(lng_beam_init(&beam, &o, 3) == LNG_OK);
    cr_assert(lng_beam_start(&beam, 1, NULL, 0) == LNG_OK);
    struct lng_candidate out[16];
    int64_t count = toy_candidates(&flat, &beam, 0, -1, out, 6);
    for (int64_t i = 0; i < 4; i++)
        out[i].score = out[i].logprob = -1.25f;
    qsort(out, 4, sizeof *out, compare_candidates);
    cr_assert(lng_beam_step(&beam, out, count, 0) == LNG_OK);
    for (int i = 0; i < 3; i++)
        cr_assert(beam.nodes[beam.live[i].node].token == i + 1);
    struct lng_candidate equal[6];
    for (int i = 0; i < 6; i++)
        equal[i] = candidate(&beam, i / 2, i % 2 == 0 ? EOS : 3, -1.25f);
    cr_assert(lng_beam_step(&beam, equal, 6, 0) == LNG_OK);
    cr_assert(beam.live_count == 3 && beam.finished_count == 3);
    for (int i = 0; i < 3; i++) {
        int32_t tokens[3], length = lng_beam_trace(&beam, i, tokens, NULL, NULL);
        cr_assert(beam.live[i].parent == i);
        cr_assert(length == (i == 0 ? 1 : 2),
                  "EOS alone, then the others in the order of the rows");
        cr_assert(tokens[0] == i && tokens[length - 1] == EOS);
    }
    lng_beam_release(&beam);
}

Test(beam, prefix_and_limits)
{
    struct toy toy = {6, 9, 0.0};
    struct lng_beam_options o = toy_options(2, 4, 2, 6);
    static const int32_t prefix[] = {4, 4, 2};
    struct lng_beam beam;
    cr_assert(lng_beam_init(&beam, &o, 6) == LNG_OK);
    toy_search(&toy, &beam, 1, prefix, 3);
    for (int i = 0; i < beam.finished_count; i++) {
        int32_t tokens[6], nodes[6];
        int32_t length = lng_beam_trace(&beam, i, tokens, NULL, nodes);
        cr_assert(length >= 4 && memcmp(tokens, prefix, sizeof prefix) == 0);
        cr_assert(nodes[0] == 0 && nodes[1] == 1 && nodes[2] == 2);
    }
    /* a prefix longer than the limit: EOS follows at once */
    o.max_extra = 2;
    toy_search(&toy, &beam, 0, prefix, 3);
    cr_assert(beam.finished_count == 1 && beam.finished[0].length == 4);
    cr_assert(beam.finished[0].end == LNG_BEAM_END_MAX_LENGTH);
    static const int32_t with_eos[] = {4, EOS};
    cr_assert(lng_beam_start(&beam, 1, with_eos, 2) == LNG_ERR_RANGE);
    o.max_factor = 100.0;
    o.max_length = 64;
    cr_assert(lng_beam_start(&beam, 1, NULL, 0) == LNG_ERR_RANGE, "more than the memory holds");
    lng_beam_release(&beam);

    o = lng_beam_options_default();
    cr_assert(lng_beam_max_length(&o, 7, 0) == 31);
    cr_assert(lng_beam_max_length(&o, 100000, 0) == 512);
    cr_assert(lng_beam_max_length(&o, 1, 600) == 601);
}

Test(beam, dead_and_damaged)
{
    struct lng_beam_options o = toy_options(2, 2, 1, 6);
    struct lng_beam beam;
    cr_assert(lng_beam_init(&beam, &o, 6) == LNG_OK);
    struct lng_candidate none = {-INFINITY, -INFINITY, -1, -1};
    cr_assert(lng_beam_start(&beam, 1, NULL, 0) == LNG_OK);
    cr_assert(lng_beam_step(&beam, &none, 1, 0) == LNG_ERR_RANGE);
    struct lng_candidate nan_candidate = candidate(&beam, 0, 1, NAN);
    cr_assert(lng_beam_step(&beam, &nan_candidate, 1, 0) == LNG_ERR_RANGE);
    struct lng_candidate stray = candidate(&beam, 0, 1, -1.0f);
    stray.row = 9;
    cr_assert(lng_beam_step(&beam, &stray, 1, 0) == LNG_ERR_INTERNAL);
    struct lng_candidate good = candidate(&beam, 0, 1, -1.0f);
    cr_assert(lng_beam_step(&beam, &good, 1, 0) == LNG_OK);
    cr_assert(lng_beam_step(&beam, &none, 1, 0) == LNG_OK);
    cr_assert(beam.done && beam.finished_count == 1);
    cr_assert(beam.finished[0].end == LNG_BEAM_END_DEAD && beam.finished[0].length == 1);
    cr_assert(lng_beam_step(&beam, &good, 1, 0) == LNG_ERR_INTERNAL, "the search is over");

    cr_assert(lng_beam_start(&beam, 1, NULL, 0) == LNG_OK);
    cr_assert(lng_beam_step(&beam, &good, 1, 0) == LNG_OK);
    lng_beam_finish(&beam);
    cr_assert(beam.done && !beam.exact_stop && beam.finished_count == 1);
    lng_beam_release(&beam);
}

Test(beam, bad_options)
{
    struct lng_beam_options good = lng_beam_options_default(), o;
    cr_assert(lng_beam_options_check(&good) == LNG_OK);
#define REFUSED(field, value, word) \
    o = good;                       \
    o.field = value;                \
    cr_assert(lng_beam_options_check(&o) == LNG_ERR_RANGE && strstr(lng_error_message(), word))
    REFUSED(beam, 0, "beam size");
    REFUSED(n_best, 5, "n-best");
    REFUSED(n_best, 0, "n-best");
    REFUSED(alpha, NAN, "alpha");
    REFUSED(word_penalty, INFINITY, "word penalty");
    REFUSED(max_factor, -1.0, "factor");
    REFUSED(min_factor, NAN, "factor");
    REFUSED(max_length, 0, "maximum length");
    REFUSED(max_extra, -1, "extra");
    REFUSED(min_length, -1, "minimum length");
    REFUSED(eos, -1, "eos");
    struct lng_beam beam;
    lng_mem_fail_nth(2, 0);
    cr_assert(lng_beam_init(&beam, &good, 100) == LNG_ERR_MEMORY);
    size_t live = lng_mem_get_stats().blocks_live;
    cr_assert(lng_beam_init(&beam, &good, 100) == LNG_OK);
    lng_beam_release(&beam);
    cr_assert(lng_mem_get_stats().blocks_live == live);
}
