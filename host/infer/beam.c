#include "host/infer/beam.h"

#include <math.h>
#include <string.h>

#include "host/base/mem.h"

enum { LNG_BEAM_MAX_WIDTH = 1 << 20, LNG_BEAM_MAX_LENGTH = 1 << 20 };

const char *lng_beam_end_name(enum lng_beam_end end)
{
    switch (end) {
    case LNG_BEAM_END_EOS:
        return "eos";
    case LNG_BEAM_END_MAX_LENGTH:
        return "max-length";
    case LNG_BEAM_END_DEAD:
        return "no-continuation";
    }
    return "unknown";
}

struct lng_beam_options lng_beam_options_default(void)
{
    return (struct lng_beam_options){
        .beam = 4,
        .n_best = 1,
        .rule = LNG_BEAM_RULE_MARIAN,
        .stop = LNG_BEAM_STOP_EXACT,
        .limit = LNG_BEAM_LIMIT_EOS,
        .alpha = 1.0,
        .max_factor = 3.0,
        .max_extra = 10,
        .max_length = 512,
        .min_length = 1,
    };
}

enum lng_status lng_beam_options_check(const struct lng_beam_options *options)
{
    const struct lng_beam_options *o = options;
    LNG_FAIL_IF(o->beam < 1 || o->beam > LNG_BEAM_MAX_WIDTH, LNG_ERR_RANGE,
                "beam size: expected 1 to %d, found %d", LNG_BEAM_MAX_WIDTH, o->beam);
    LNG_FAIL_IF(
        o->n_best < 1 || o->n_best > o->beam, LNG_ERR_RANGE,
        "n-best: expected 1 to the beam size %d, found %d; a longer list needs a larger beam",
        o->beam, o->n_best);
    LNG_FAIL_IF(!isfinite(o->alpha) || fabs(o->alpha) > 100.0, LNG_ERR_RANGE,
                "length penalty alpha: expected -100 to 100, found %g", o->alpha);
    LNG_FAIL_IF(!isfinite(o->word_penalty), LNG_ERR_RANGE,
                "word penalty: expected a finite number, found %g", o->word_penalty);
    LNG_FAIL_IF(!(o->max_factor >= 0.0 && o->max_factor <= 1e6), LNG_ERR_RANGE,
                "maximum length factor: expected 0 to 1e6, found %g", o->max_factor);
    LNG_FAIL_IF(!(o->min_factor >= 0.0 && o->min_factor <= 1e6), LNG_ERR_RANGE,
                "minimum length factor: expected 0 to 1e6, found %g", o->min_factor);
    LNG_FAIL_IF(o->max_length < 1 || o->max_length > LNG_BEAM_MAX_LENGTH, LNG_ERR_RANGE,
                "maximum length: expected 1 to %d, found %d", LNG_BEAM_MAX_LENGTH, o->max_length);
    LNG_FAIL_IF(o->max_extra < 0 || o->max_extra > LNG_BEAM_MAX_LENGTH, LNG_ERR_RANGE,
                "extra maximum length: expected 0 to %d, found %d", LNG_BEAM_MAX_LENGTH,
                o->max_extra);
    LNG_FAIL_IF(o->min_length < 0 || o->min_length > LNG_BEAM_MAX_LENGTH, LNG_ERR_RANGE,
                "minimum length: expected 0 to %d, found %d", LNG_BEAM_MAX_LENGTH, o->min_length);
    LNG_FAIL_IF(o->eos < 0, LNG_ERR_RANGE, "eos token: expected an id, found %d", o->eos);
    return LNG_OK;
}

int32_t lng_beam_max_length(const struct lng_beam_options *options, int64_t source_length,
                            int64_t prefix_length)
{
    double relative = options->max_factor * (double)source_length;
    double wanted = (options->factor_up ? ceil(relative) : floor(relative)) + options->max_extra;
    double length = fmin(wanted, (double)options->max_length);
    length = fmax(length, (double)prefix_length + 1.0);
    return (int32_t)fmin(length, 2.0 * LNG_BEAM_MAX_LENGTH);
}

static int32_t lng_beam_min_length(const struct lng_beam_options *options, int64_t source_length,
                                   int32_t max_length)
{
    double wanted = floor(options->min_factor * (double)source_length) + options->min_length;
    return (int32_t)fmin(wanted, (double)max_length);
}

double lng_beam_score(const struct lng_beam_options *options, double total, int32_t length)
{
    double n = (double)length;
    switch (options->rule) {
    case LNG_BEAM_RULE_NONE:
        break;
    case LNG_BEAM_RULE_MARIAN:
        return (total - options->word_penalty * n) / pow(n, options->alpha);
    case LNG_BEAM_RULE_CTRANSLATE2:
        return total / pow(n, options->alpha);
    case LNG_BEAM_RULE_WU:
        return total / pow((5.0 + n) / 6.0, options->alpha);
    }
    return total;
}

double lng_beam_bound(const struct lng_beam_options *options, double total, int32_t from,
                      int32_t to)
{
    bool words = options->rule == LNG_BEAM_RULE_MARIAN && options->word_penalty != 0.0;
    if (!words) /* total <= 0: the largest divisor is best, and divisors grow (or fall) with the length */
        return lng_beam_score(options, total, options->alpha >= 0.0 ? to : from);
    double best = -INFINITY;
    for (int32_t length = from; length <= to; length++)
        best = fmax(best, lng_beam_score(options, total, length));
    return best;
}

enum lng_status lng_beam_init(struct lng_beam *beam, const struct lng_beam_options *options,
                              int32_t max_length)
{
    LNG_TRY(lng_beam_options_check(options));
    LNG_FAIL_IF(max_length < 1 || max_length > 2 * LNG_BEAM_MAX_LENGTH, LNG_ERR_RANGE,
                "maximum length: expected 1 to %d, found %d", 2 * LNG_BEAM_MAX_LENGTH, max_length);
    size_t width = (size_t)options->beam;
    size_t node_capacity = width * (size_t)max_length + 1;
    LNG_FAIL_IF(node_capacity > INT32_MAX, LNG_ERR_RANGE,
                "beam size %d with maximum length %d: expected a product below 2^31", options->beam,
                max_length);
    /* The heuristic compares with the worst of K, the others only look at the n best. */
    bool keep_all =
        options->stop == LNG_BEAM_STOP_HEURISTIC || options->stop == LNG_BEAM_STOP_NEVER;
    struct lng_beam made = {
        .options = options,
        .node_capacity = (int64_t)node_capacity,
        .finished_capacity = keep_all ? options->beam : options->n_best,
        .capacity = max_length,
        .done = true,
    };
    made.nodes = lng_alloc(node_capacity, sizeof *made.nodes);
    made.live = lng_alloc(width, sizeof *made.live);
    made.spare = lng_alloc(width, sizeof *made.spare);
    made.finished = lng_alloc((size_t)made.finished_capacity, sizeof *made.finished);
    if (made.nodes == NULL || made.live == NULL || made.spare == NULL || made.finished == NULL) {
        lng_beam_release(&made);
        return LNG_ERR_MEMORY;
    }
    *beam = made;
    return LNG_OK;
}

void lng_beam_release(struct lng_beam *beam)
{
    lng_free(beam->nodes);
    lng_free(beam->live);
    lng_free(beam->spare);
    lng_free(beam->finished);
    memset(beam, 0, sizeof *beam);
}

static enum lng_status lng_beam_begin(struct lng_beam *beam, int32_t max_length, int32_t min_length,
                                      const int32_t *prefix, int32_t prefix_length)
{
    for (int32_t i = 0; i < prefix_length; i++)
        LNG_FAIL_IF(prefix[i] < 0 || prefix[i] == beam->options->eos, LNG_ERR_RANGE,
                    "target prefix: expected tokens other than EOS, found %d at place %d",
                    prefix[i], i);
    LNG_FAIL_IF(max_length > beam->capacity, LNG_ERR_RANGE,
                "beam has room for %d target tokens, the sentence may take %d", beam->capacity,
                max_length);
    beam->max_length = max_length;
    beam->min_length = min_length;
    beam->prefix = prefix;
    beam->prefix_length = prefix_length;
    beam->nodes[0] = (struct lng_beam_node){.parent = -1, .token = -1};
    beam->node_count = 1;
    beam->live[0] = (struct lng_beam_live){0};
    beam->live_count = 1;
    beam->finished_count = 0;
    beam->ended = 0;
    beam->length = 0;
    beam->dropped = -INFINITY;
    beam->row_bonus = NULL;
    beam->top_ended = false;
    beam->done = false;
    beam->exact_stop = false;
    return LNG_OK;
}

enum lng_status lng_beam_start(struct lng_beam *beam, int64_t source_length, const int32_t *prefix,
                               int32_t prefix_length)
{
    int32_t longest = lng_beam_max_length(beam->options, source_length, prefix_length);
    return lng_beam_begin(beam, longest, lng_beam_min_length(beam->options, source_length, longest),
                          prefix, prefix_length);
}

/* EOS is banned up to a length that is never reached. */
enum lng_status lng_beam_start_exact(struct lng_beam *beam, int32_t length, const int32_t *prefix,
                                     int32_t prefix_length)
{
    LNG_FAIL_IF(length < 1 || length < prefix_length || length == INT32_MAX, LNG_ERR_RANGE,
                "exact length: expected %d target tokens or more, found %d",
                prefix_length > 1 ? prefix_length : 1, length);
    return lng_beam_begin(beam, length, length + 1, prefix, prefix_length);
}

int32_t lng_beam_forced(const struct lng_beam *beam)
{
    if (beam->length < beam->prefix_length)
        return beam->prefix[beam->length];
    bool last = beam->length + 1 >= beam->max_length && beam->min_length <= beam->max_length;
    return last && beam->options->limit == LNG_BEAM_LIMIT_EOS ? beam->options->eos : -1;
}

bool lng_beam_eos_banned(const struct lng_beam *beam)
{
    return lng_beam_forced(beam) < 0 && beam->length + 1 < beam->min_length;
}

/* Keeps the list sorted; equal scores stay in the order of arrival. */
static void lng_beam_add_finished(struct lng_beam *beam, struct lng_beam_finished ended)
{
    ended.score = lng_beam_score(beam->options, ended.total, ended.length) + ended.bonus;
    beam->ended++;
    int32_t at = beam->finished_count;
    while (at > 0 && beam->finished[at - 1].score < ended.score)
        at--;
    if (at >= beam->finished_capacity)
        return;
    if (beam->finished_count < beam->finished_capacity)
        beam->finished_count++;
    size_t moved = (size_t)(beam->finished_count - 1 - at);
    memmove(&beam->finished[at + 1], &beam->finished[at], moved * sizeof *beam->finished);
    beam->finished[at] = ended;
}

/* The n-th best finished one, when there are so many, cannot be beaten by what could reach `bound`. */
static bool lng_beam_settled(const struct lng_beam *beam, double bound)
{
    int32_t n = beam->options->n_best;
    return beam->finished_count >= n && beam->finished[n - 1].score >= bound;
}

static double lng_beam_best_total(const struct lng_beam *beam)
{
    double best = -INFINITY;
    for (int32_t i = 0; i < beam->live_count; i++)
        best = fmax(best, beam->live[i].total);
    return best;
}

/* The certificate of the search: neither live nor dropped hypotheses could enter the n-best list. */
static bool lng_beam_certain(const struct lng_beam *beam)
{
    if (beam->dropped > -INFINITY && !lng_beam_settled(beam, beam->dropped))
        return false;
    if (beam->live_count == 0)
        return true;
    double bound = lng_beam_bound(beam->options, lng_beam_best_total(beam), beam->length + 1,
                                  beam->max_length);
    return lng_beam_settled(beam, bound);
}

/* K are finished and the best live one, ranked at `length`, would not be better than the worst of them. */
static bool lng_beam_unbeaten(const struct lng_beam *beam, int32_t length)
{
    const struct lng_beam_options *o = beam->options;
    return beam->finished_count >= o->beam &&
           beam->finished[o->beam - 1].score >=
               lng_beam_score(o, lng_beam_best_total(beam), length);
}

static bool lng_beam_may_stop(const struct lng_beam *beam)
{
    const struct lng_beam_options *o = beam->options;
    bool plain = o->rule == LNG_BEAM_RULE_NONE || (o->alpha == 0.0 && o->word_penalty == 0.0);
    switch (o->stop) {
    case LNG_BEAM_STOP_EXACT:
        return lng_beam_certain(beam);
    case LNG_BEAM_STOP_FILLED:
        return plain ? beam->top_ended && beam->ended >= o->n_best : beam->ended >= o->beam;
    case LNG_BEAM_STOP_EARLY:
        return beam->ended >= o->beam;
    case LNG_BEAM_STOP_HEURISTIC:
        return lng_beam_unbeaten(beam, beam->length);
    case LNG_BEAM_STOP_NEVER:
        return lng_beam_unbeaten(beam, o->alpha > 0.0 ? beam->max_length : beam->length);
    case LNG_BEAM_STOP_SHRINK:
    case LNG_BEAM_STOP_EXHAUST:
        break;
    }
    return false;
}

static bool lng_beam_lone_eos(const struct lng_beam *beam)
{
    return beam->options->lone_eos && beam->prefix_length > 0 &&
           beam->length == beam->prefix_length;
}

/* Which of a step's candidates may end, and how many may live on. */
struct lng_beam_places {
    int64_t ending; /* EOS counts among the first so many candidates */
    int32_t living;
};

static struct lng_beam_places lng_beam_get_places(const struct lng_beam *beam, int64_t count)
{
    const struct lng_beam_options *o = beam->options;
    if (o->beam == 1)
        return (struct lng_beam_places){1, 1};
    if (o->stop == LNG_BEAM_STOP_SHRINK) {
        int64_t left = o->beam - beam->ended;
        return (struct lng_beam_places){left, (int32_t)left};
    }
    if (lng_beam_lone_eos(beam))
        return (struct lng_beam_places){1, o->beam};
    bool first_half = o->stop == LNG_BEAM_STOP_FILLED || o->stop == LNG_BEAM_STOP_EARLY ||
                      o->stop == LNG_BEAM_STOP_HEURISTIC || o->stop == LNG_BEAM_STOP_NEVER;
    return (struct lng_beam_places){first_half ? o->beam : count, o->beam};
}

/* True where a place is a rank among all candidates, EOS included: greedy search and shrinking beams. */
static bool lng_beam_ranks_shared(const struct lng_beam_options *options)
{
    return options->beam == 1 || options->stop == LNG_BEAM_STOP_SHRINK;
}

static void lng_beam_end_live(struct lng_beam *beam, enum lng_beam_end end)
{
    for (int32_t i = 0; i < beam->live_count; i++) {
        const struct lng_beam_node *node = &beam->nodes[beam->live[i].node];
        if (node->parent >= 0)
            lng_beam_add_finished(beam, (struct lng_beam_finished){.total = beam->live[i].total,
                                                                   .parent = node->parent,
                                                                   .token = node->token,
                                                                   .logprob = node->logprob,
                                                                   .length = beam->length,
                                                                   .end = end,
                                                                   .bonus = beam->live[i].bonus});
    }
    beam->live_count = 0;
}

/* Sorts a valid candidate into finished or spare (the next live ones). */
static void lng_beam_place(struct lng_beam *beam, const struct lng_candidate *candidate,
                           int32_t row, bool may_end, bool may_live, int32_t *kept)
{
    const struct lng_beam_options *o = beam->options;
    const struct lng_beam_live *from = &beam->live[row];
    bool forced = lng_beam_forced(beam) >= 0, is_free = forced && o->forced_free;
    float logprob = is_free ? 0.0F : candidate->logprob;
    double total = from->total + (double)logprob;
    int32_t length = beam->length + 1;
    bool eos = candidate->token == o->eos;
    double bonus = beam->row_bonus ? beam->row_bonus[row] : 0.0;
    if (eos && may_end) {
        enum lng_beam_end end = forced ? LNG_BEAM_END_MAX_LENGTH : LNG_BEAM_END_EOS;
        lng_beam_add_finished(beam, (struct lng_beam_finished){.total = total,
                                                               .parent = from->node,
                                                               .token = candidate->token,
                                                               .logprob = logprob,
                                                               .length = length,
                                                               .end = end,
                                                               .bonus = bonus});
    } else if (!eos && may_live) {
        int32_t node = (int32_t)beam->node_count++;
        float score = is_free ? from->score : candidate->score;
        beam->nodes[node] = (struct lng_beam_node){from->node, candidate->token, logprob};
        beam->spare[(*kept)++] = (struct lng_beam_live){score, total, node, row, bonus};
    } else if (eos) { /* ended, but this stop rule does not look so far down the list */
        beam->dropped = fmax(beam->dropped, lng_beam_score(o, total, length));
    } else { /* dropped, though a beam whose finished hypotheses take no place would have kept it */
        int32_t next = length < beam->max_length ? length + 1 : length;
        beam->dropped = fmax(beam->dropped, lng_beam_bound(o, total, next, beam->max_length));
    }
}

enum lng_status lng_beam_step(struct lng_beam *beam, const struct lng_candidate *candidates,
                              int64_t count, int32_t first_row)
{
    const struct lng_beam_options *o = beam->options;
    LNG_FAIL_IF(beam->done, LNG_ERR_INTERNAL, "beam: a step after the end of the search");
    struct lng_beam_places places = lng_beam_get_places(beam, count);
    int32_t kept = 0, others = 0;
    int64_t seen = 0;
    for (; seen < count && candidates[seen].row >= 0; seen++) {
        const struct lng_candidate *c = &candidates[seen];
        int32_t row = c->row - first_row;
        LNG_FAIL_IF(row < 0 || row >= beam->live_count || c->token < 0, LNG_ERR_INTERNAL,
                    "beam: candidate of row %d, token %d; expected rows %d to %d", c->row, c->token,
                    first_row, first_row + beam->live_count - 1);
        LNG_FAIL_IF(isnan(c->score) || isnan(c->logprob), LNG_ERR_RANGE,
                    "the model gave NaN as a log-probability; its weights or input are damaged");
        if (c->score == -INFINITY)
            break;
        bool eos = c->token == o->eos;
        if (eos && seen > 0 && seen < o->beam && lng_beam_lone_eos(beam))
            places.living--;
        beam->top_ended = beam->top_ended || (eos && seen == 0);
        bool shared = lng_beam_ranks_shared(o);
        bool may_live = shared ? seen < places.living : kept < places.living;
        if (!eos && others >= o->beam)
            continue; /* the full beam has its K */
        others += !eos;
        lng_beam_place(beam, c, row, seen < places.ending, may_live, &kept);
    }
    if (others == 0 && beam->finished_count == 0) {
        LNG_FAIL_IF(beam->length == 0, LNG_ERR_RANGE,
                    "the model gives no first token a probability above zero; its weights or the "
                    "list of banned tokens are wrong");
        lng_beam_end_live(beam, LNG_BEAM_END_DEAD);
        beam->done = beam->exact_stop = true;
        return LNG_OK;
    }
    struct lng_beam_live *old = beam->live;
    beam->live = beam->spare;
    beam->spare = old;
    beam->live_count = kept;
    beam->length++;
    if (beam->length >= beam->max_length) /* only where EOS is not forced */
        lng_beam_end_live(beam, LNG_BEAM_END_MAX_LENGTH);
    if (beam->live_count == 0 || lng_beam_may_stop(beam)) {
        beam->exact_stop = lng_beam_certain(beam);
        beam->done = true;
    }
    return LNG_OK;
}

void lng_beam_finish(struct lng_beam *beam)
{
    if (beam->done)
        return;
    beam->exact_stop = lng_beam_certain(beam);
    if (beam->finished_count == 0)
        lng_beam_end_live(beam, LNG_BEAM_END_MAX_LENGTH);
    beam->done = true;
}

int32_t lng_beam_trace(const struct lng_beam *beam, int32_t rank, int32_t *tokens, float *logprobs,
                       int32_t *nodes)
{
    const struct lng_beam_finished *ended = &beam->finished[rank];
    int32_t at = ended->length - 1, node = ended->parent;
    int32_t token = ended->token;
    float logprob = ended->logprob;
    for (; at >= 0; at--) {
        if (tokens != NULL)
            tokens[at] = token;
        if (logprobs != NULL)
            logprobs[at] = logprob;
        if (nodes != NULL)
            nodes[at] = node;
        token = beam->nodes[node].token;
        logprob = beam->nodes[node].logprob;
        node = beam->nodes[node].parent;
    }
    return ended->length;
}
