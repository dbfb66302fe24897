/* Search under constraints without a device: a toy model of symbols, whole sentences, every phrase looked for in the text. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/infer/constrain.h"
#include "host/infer/word_text.h"
#include "tests/support/check.h"

/* Pieces as SentencePiece has them: " x" begins a word, "x" goes on with it. */
static const char *const pieces[] = {"</s>", "<unk>", " a",   " b", " c",   " d",
                                     "a",    "b",     " tom", ".",  "<pad>"};
enum { V = sizeof pieces / sizeof pieces[0], EOS = 0, TOM = 8, MOST_ROWS = 8, LENGTH = 24 };

struct rig {
    struct lng_token_texts texts;
    struct lng_beam_options options;
    struct lng_beam beam;
    struct lng_constrainer constrainer;
    struct lng_constrain_state states[MOST_ROWS];
    char text[512];
};

static void rig_open(struct rig *rig, int32_t width)
{
    struct lng_buffer all = {0};
    memset(rig, 0, sizeof *rig);
    rig->texts = (struct lng_token_texts){.count = V};
    rig->texts.offsets = lng_alloc(V + 1, sizeof *rig->texts.offsets);
    rig->texts.continues = lng_alloc(V, 1);
    for (int id = 0; id < V; id++) {
        bool special = pieces[id][0] == '<';
        check_ok(lng_buffer_append_text(&all, special ? "" : pieces[id]));
        rig->texts.offsets[id + 1] = (uint32_t)all.length;
        rig->texts.continues[id] = pieces[id][0] >= 'a';
    }
    rig->texts.text = all.data;
    rig->options = lng_beam_options_default();
    rig->options.beam = width;
    rig->options.n_best = width;
    rig->options.max_length = LENGTH;
    check_ok(lng_beam_init(&rig->beam, &rig->options, LENGTH));
    check_ok(lng_constrainer_init(&rig->constrainer, &rig->texts, EOS, width, V));
}

static void rig_close(struct rig *rig)
{
    lng_constrainer_release(&rig->constrainer);
    lng_beam_release(&rig->beam);
    lng_token_texts_release(&rig->texts);
}

/* Log-probabilities after a node: a random function of the tokens before it. */
static void toy_logprobs(const struct rig *rig, int32_t node, uint32_t seed, float *out)
{
    double logit[V], sum = 0.0;
    uint32_t hash = 2166136261u;
    for (; node > 0; node = rig->beam.nodes[node].parent)
        hash = (hash ^ (uint32_t)(rig->beam.nodes[node].token + 1)) * 16777619u;
    for (int v = 0; v < V; v++) {
        struct lng_philox r = lng_philox4x32(hash, (uint32_t)v, 0, 0, seed, 3);
        logit[v] = 4.0 * ((double)r.word[0] / 4294967296.0);
        sum += exp(logit[v]);
    }
    for (int v = 0; v < V; v++)
        out[v] = (float)(logit[v] - log(sum));
}

static int best_first(const void *left, const void *right)
{
    const struct lng_candidate *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->row != b->row ? (a->row > b->row) - (a->row < b->row)
                            : (a->token > b->token) - (a->token < b->token);
}

/* The candidates of one row, best first; <unk> and <pad> never. */
static int row_candidates(const struct rig *rig, int32_t i, uint32_t seed,
                          struct lng_candidate *out)
{
    float logprob[V];
    int count = 0;
    int32_t forced = lng_beam_forced(&rig->beam);
    toy_logprobs(rig, rig->beam.live[i].node, seed, logprob);
    for (int32_t v = 0; v < V; v++)
        if (pieces[v][0] != '<' || v == EOS)
            if (forced < 0 || forced == v)
                out[count++] =
                    (struct lng_candidate){rig->beam.live[i].score + logprob[v], logprob[v], i, v};
    qsort(out, (size_t)count, sizeof *out, best_first);
    return count;
}

/* A whole search; constraints NULL = the plain beam. shown: candidates of a row that the model shows by itself. */
static void rig_search(struct rig *rig, const struct lng_constraints *c, uint32_t seed, int shown)
{
    struct lng_candidate row[V + LNG_CONSTRAIN_STARTS + 2], out[2 * MOST_ROWS], all[MOST_ROWS * V];
    float logprob[V];
    int32_t wanted[LNG_CONSTRAIN_STARTS + 2], width = rig->options.beam;
    check_ok(lng_beam_start(&rig->beam, 4, NULL, 0));
    if (c != NULL)
        rig->states[0] = lng_constrain_begin(c);
    while (!rig->beam.done) {
        int total = 0;
        if (c != NULL)
            lng_constrain_open(&rig->constrainer, c, &rig->beam);
        for (int32_t i = 0; i < rig->beam.live_count; i++) {
            int best = row_candidates(rig, i, seed, row);
            memcpy(all + total, row, (size_t)best * sizeof *row);
            total += best;
            best = best < shown ? best : shown;
            if (c == NULL)
                continue;
            int32_t count =
                lng_constrain_wanted(&rig->constrainer, c, &rig->beam, rig->states, i, wanted);
            toy_logprobs(rig, rig->beam.live[i].node, seed, logprob);
            for (int32_t k = 0; k < count; k++)
                row[best + k] = (struct lng_candidate){rig->beam.live[i].score + logprob[wanted[k]],
                                                       logprob[wanted[k]], i, wanted[k]};
            lng_constrain_add(&rig->constrainer, c, &rig->beam, rig->states, i, row, best, count);
        }
        qsort(all, (size_t)total, sizeof *all, best_first);
        const struct lng_candidate *use = all;
        int64_t count = total < 2 * width ? total : 2 * width;
        if (c != NULL) {
            lng_constrain_choose(&rig->constrainer, c, &rig->beam, 0, out, 2 * width);
            use = out;
            count = 2 * width;
        }
        check_ok(lng_beam_step(&rig->beam, use, count, 0));
        if (c != NULL && !rig->beam.done)
            lng_constrain_close(&rig->constrainer, &rig->beam, rig->states);
    }
}

/* The text of a finished hypothesis. */
static const char *rig_text(struct rig *rig, int32_t rank)
{
    int32_t tokens[LENGTH];
    int32_t length = lng_beam_trace(&rig->beam, rank, tokens, NULL, NULL);
    rig->text[0] = '\0';
    for (int32_t t = 0; t < length; t++)
        strcat(rig->text, pieces[tokens[t]][0] == '<' ? "" : pieces[tokens[t]]);
    return rig->text;
}

static int count_words(const char *text, const char *phrase)
{
    int count = 0;
    for (int64_t at = 0;
         (at = lng_word_find(text, strlen(text), lng_slice_of(phrase), (size_t)at)) >= 0; at++)
        count++;
    return count;
}

#define PHRASE(tokens_, words)                                                                \
    {                                                                                         \
        .tokens = tokens_, .length = sizeof tokens_ / sizeof *tokens_, .after = -1, .text = { \
            words,                                                                            \
            sizeof words - 1                                                                  \
        }                                                                                     \
    }

Test(constrain, every_hypothesis_holds_every_phrase)
{
    static const int32_t ab[] = {2, 3, 6}, a[] = {2}, cb[] = {4, 7}, tom[] = {TOM}, ad[] = {2, 5};
    const struct lng_phrase phrases[] = {
        PHRASE(ab, "a ba"),
        PHRASE(cb, "cb"),
        {.tokens = tom, .length = 1, .stand_in = true, .after = 1},
        PHRASE(ad, "a d"), /* begins as the first does */
        PHRASE(a, "a"),    /* is in both */
    };
    const struct lng_slice forbidden[] = {{"b", 1}, {"c d", 3}};
    const struct lng_constraints c = {phrases, 5, forbidden, 2, NULL, 0, 0.0};
    for (int32_t width = 1; width <= 5; width += 2)
        for (uint32_t seed = 0; seed < 150; seed++) {
            struct rig rig;
            rig_open(&rig, width);
            rig_search(&rig, &c, seed, seed % 2 ? 4 : V);
            cr_assert(rig.beam.finished_count >= 1);
            for (int32_t rank = 0; rank < rig.beam.finished_count; rank++) {
                const char *text = rig_text(&rig, rank);
                cr_assert(rig.beam.finished[rank].end != LNG_BEAM_END_DEAD);
                for (int p = 0; p < 5; p++) {
                    const char *words = phrases[p].stand_in ? "tom" : phrases[p].text.data;
                    cr_assert(count_words(text, words) >= 1, "width %d, seed %u: no '%s' in '%s'",
                              width, seed, words, text);
                }
                cr_assert(count_words(text, "tom") == 1 && strstr(text, "toma") == NULL &&
                              strstr(text, "tomb") == NULL,
                          "width %d, seed %u: '%s'", width, seed, text);
                cr_assert(strstr(text, " tom") > strstr(text, " cb"), "'%s': the order asked for",
                          text);
                cr_assert(count_words(text, "b") + count_words(text, "c d") == 0,
                          "width %d, seed %u: '%s'", width, seed, text);
            }
            rig_close(&rig);
        }
}

Test(constrain, none_is_the_plain_beam)
{
    const struct lng_constraints none = {0};
    for (uint32_t seed = 0; seed < 50; seed++) {
        struct rig plain, constrained;
        rig_open(&plain, 4);
        rig_open(&constrained, 4);
        rig_search(&plain, NULL, seed, V);
        rig_search(&constrained, &none, seed, V);
        cr_assert(plain.beam.finished_count == constrained.beam.finished_count);
        for (int32_t rank = 0; rank < plain.beam.finished_count; rank++) {
            (void)rig_text(&plain, rank);
            cr_assert_str_eq(plain.text, rig_text(&constrained, rank));
            cr_assert(plain.beam.finished[rank].score == constrained.beam.finished[rank].score);
        }
        rig_close(&plain);
        rig_close(&constrained);
    }
}

/* What the best hypothesis becomes when phrases that it holds anyway are demanded: itself. */
Test(constrain, what_is_there_anyway_changes_nothing)
{
    static const int32_t tokens[] = {2};
    const struct lng_phrase phrase = PHRASE(tokens, "a");
    const struct lng_constraints c = {.phrases = &phrase, .phrase_count = 1};
    int seen = 0;
    for (uint32_t seed = 0; seed < 60; seed++) {
        struct rig plain, constrained;
        rig_open(&plain, 4);
        rig_open(&constrained, 4);
        rig_search(&plain, NULL, seed, V);
        rig_search(&constrained, &c, seed, V);
        bool held = count_words(rig_text(&plain, 0), "a") > 0;
        double at_least = plain.beam.finished[0].score;
        seen += held && constrained.beam.finished[0].score >= at_least - 1e-9;
        cr_assert(count_words(rig_text(&constrained, 0), "a") > 0);
        rig_close(&plain);
        rig_close(&constrained);
    }
    cr_assert(seen >= 10, "%d", seen);
}

/* (1 - b) p + b for the prefix's token, (1 - b) p for all others, while on the prefix. */
Test(constrain, soft_prefix_by_value)
{
    static const int32_t prefix[] = {3, 5};
    const struct lng_constraints c = {
        .soft_prefix = prefix, .soft_prefix_length = 2, .soft_prefix_bias = 0.25};
    struct rig rig;
    rig_open(&rig, 4);
    check_ok(lng_beam_start(&rig.beam, 4, NULL, 0));
    rig.states[0] = lng_constrain_begin(&c);
    int32_t wanted[LNG_CONSTRAIN_STARTS + 2];
    cr_assert(lng_constrain_wanted(&rig.constrainer, &c, &rig.beam, rig.states, 0, wanted) == 2);
    cr_assert(wanted[0] == 3 && wanted[1] == EOS);
    struct lng_candidate row[V], out[8];
    int count = row_candidates(&rig, 0, 11, row);
    lng_constrain_open(&rig.constrainer, &c, &rig.beam);
    lng_constrain_add(&rig.constrainer, &c, &rig.beam, rig.states, 0, row, count, 0);
    lng_constrain_choose(&rig.constrainer, &c, &rig.beam, 0, out, 8);
    cr_assert(out[0].token == 3);
    for (int i = 0; i < 8 && out[i].row >= 0; i++)
        for (int k = 0; k < count; k++)
            if (row[k].token == out[i].token) {
                double p = exp((double)row[k].logprob);
                double expected = log(0.75 * p + (out[i].token == 3 ? 0.25 : 0.0));
                cr_assert(fabs((double)out[i].logprob - expected) < 1e-6);
            }
    check_ok(lng_beam_step(&rig.beam, out, 8, 0));
    lng_constrain_close(&rig.constrainer, &rig.beam, rig.states);
    for (int32_t i = 0; i < rig.beam.live_count; i++)
        cr_assert(rig.states[i].on_prefix == (rig.beam.nodes[rig.beam.live[i].node].token == 3));
    rig_close(&rig);
}

Test(constrain, refuses)
{
    static const int32_t tokens[] = {2, 99};
    struct lng_phrase phrase = {.tokens = tokens, .length = 0, .after = -1};
    struct lng_constraints c = {.phrases = &phrase, .phrase_count = 1};
    check_fails(lng_constraints_check(&c, V), LNG_ERR_RANGE, "0 tokens");
    phrase.length = 2;
    check_fails(lng_constraints_check(&c, V), LNG_ERR_RANGE, "99");
    phrase.stand_in = true;
    check_fails(lng_constraints_check(&c, V), LNG_ERR_RANGE, "2 tokens");
    c.phrase_count = 65;
    check_fails(lng_constraints_check(&c, V), LNG_ERR_RANGE, "64");
    c = (struct lng_constraints){
        .soft_prefix = tokens, .soft_prefix_length = 1, .soft_prefix_bias = 1.0};
    check_fails(lng_constraints_check(&c, V), LNG_ERR_RANGE, "between 0 and 1");
    c.soft_prefix_length = 2;
    check_fails(lng_constraints_check(&c, V), LNG_ERR_RANGE, "99");
}

/* Everything that could follow is forbidden: the search goes on all the same, and ends. */
Test(constrain, nothing_is_left)
{
    const struct lng_slice forbidden[] = {{"a", 1}, {"b", 1},   {"c", 1},
                                          {"d", 1}, {"tom", 3}, {".", 1}};
    static const int32_t tokens[] = {2};
    const struct lng_phrase phrase = PHRASE(tokens, "a");
    const struct lng_constraints c = {&phrase, 1, forbidden, 6, NULL, 0, 0.0};
    for (int32_t width = 1; width <= 4; width += 3)
        for (uint32_t seed = 0; seed < 20; seed++) {
            struct rig rig;
            rig_open(&rig, width);
            rig_search(&rig, &c, seed, V);
            cr_assert(rig.beam.finished_count >= 1);
            rig_close(&rig);
        }
}
