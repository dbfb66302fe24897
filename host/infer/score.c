#include "host/infer/score.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/json_text.h"
#include "host/infer/line_text.h"
#include "host/infer/word_scores.h"

/* A window also ends at so much text or so many tokens. */
enum { WINDOW_BYTES = 16 << 20, WINDOW_TOKENS = 2 << 20 };

/* One side of a pair: bytes of texts and ids of ids. */
struct side {
    size_t text, text_length, ids, id_count;
};
struct pair {
    struct side sides[2]; /* by enum lng_side */
};

struct lng_scorer {
    struct lng_model *model;
    const struct lng_tokenizer *tokenizer;
    struct lng_score_options options;
    struct lng_workspace *workspace;
    struct lng_batch_limits limits; /* of the workspace */
    struct lng_buffer texts, out;
    struct lng_ids ids, batch[2];
    struct pair *pairs;
    size_t count, capacity;
    size_t *order;
    size_t order_capacity;
    float *logprobs; /* parallel to ids, at target tokens */
    size_t logprob_capacity;
    int32_t *offsets[2]; /* of a batch */
    size_t offset_capacity[2];
    float *batch_logprobs;
    size_t batch_logprob_capacity;
    struct lng_text_spans spans, words; /* of a target */
    struct lng_score_stats stats;
};

struct lng_score_options lng_score_options_default(void)
{
    return (struct lng_score_options){
        .window = 10000, .batch_tokens = 4096, .source_language = -1, .forced_bos = -1};
}

static enum lng_status check_sizes(const struct lng_model *model,
                                   const struct lng_tokenizer *tokenizer)
{
    int32_t source = lng_tokenizer_size(tokenizer, LNG_SIDE_SOURCE);
    int32_t target = lng_tokenizer_size(tokenizer, LNG_SIDE_TARGET);
    LNG_FAIL_IF(source > model->hparams.source_vocab || target > model->hparams.target_vocab,
                LNG_ERR_MISMATCH,
                "the vocabularies have %d and %d entries, the model only %d and %d: they do not "
                "belong together",
                source, target, model->hparams.source_vocab, model->hparams.target_vocab);
    return LNG_OK;
}

enum lng_status lng_scorer_open(struct lng_model *model, const struct lng_tokenizer *tokenizer,
                                const struct lng_score_options *options, struct lng_scorer **scorer)
{
    LNG_FAIL_IF(options->window < 1 || options->batch_tokens < 1 || options->batch_sentences < 0,
                LNG_ERR_RANGE,
                "expected a window of 1 or more, batches of 1 token or more and 0 sentences (no "
                "limit) or more, found %lld, %lld and %lld",
                (long long)options->window, (long long)options->batch_tokens,
                (long long)options->batch_sentences);
    LNG_FAIL_IF(options->forced_bos >= model->hparams.target_vocab || model->hparams.eos < 0,
                LNG_ERR_RANGE, "forced first token %d, end of sentence %d: not in the vocabulary",
                options->forced_bos, model->hparams.eos);
    LNG_TRY(check_sizes(model, tokenizer));
    struct lng_scorer *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    made->model = model;
    made->tokenizer = tokenizer;
    made->options = *options;
    *scorer = made;
    return LNG_OK;
}

void lng_scorer_close(struct lng_scorer *scorer)
{
    if (scorer == NULL)
        return;
    lng_workspace_close(scorer->workspace);
    lng_text_spans_release(&scorer->spans);
    lng_text_spans_release(&scorer->words);
    lng_buffer_release(&scorer->texts);
    lng_buffer_release(&scorer->out);
    lng_ids_release(&scorer->ids);
    for (int side = 0; side < 2; side++) {
        lng_ids_release(&scorer->batch[side]);
        lng_free(scorer->offsets[side]);
    }
    lng_free(scorer->pairs);
    lng_free(scorer->order);
    lng_free(scorer->logprobs);
    lng_free(scorer->batch_logprobs);
    lng_free(scorer);
}

static enum lng_status add_side(struct lng_scorer *scorer, enum lng_side which,
                                struct lng_slice line, struct side *side)
{
    const struct lng_hparams *h = &scorer->model->hparams;
    bool source = which == LNG_SIDE_SOURCE, repaired;
    side->text = scorer->texts.length;
    LNG_TRY(lng_line_append_clean(&scorer->texts, lng_line_without_return(line), &repaired));
    side->text_length = scorer->texts.length - side->text;
    scorer->stats.repaired += repaired;
    side->ids = scorer->ids.count;
    int32_t language = source ? scorer->options.source_language : -1;
    bool last = lng_tokenizer_languages(scorer->tokenizer)->last;
    if (language >= 0 && !last)
        LNG_TRY(lng_ids_push(&scorer->ids, language));
    if (!source && scorer->options.forced_bos >= 0)
        LNG_TRY(lng_ids_push(&scorer->ids, scorer->options.forced_bos));
    if (side->text_length > 0)
        LNG_TRY(lng_tokenizer_encode(scorer->tokenizer, which, scorer->texts.data + side->text,
                                     side->text_length, &scorer->ids));
    int32_t eos = source ? h->source_eos : h->eos;
    if (eos >= 0)
        LNG_TRY(lng_ids_push(&scorer->ids, eos));
    if (language >= 0 && last)
        LNG_TRY(lng_ids_push(&scorer->ids, language));
    side->id_count = scorer->ids.count - side->ids;
    return LNG_OK;
}

static enum lng_status next_line(struct lng_lines *lines, struct lng_slice *text, bool *got)
{
    struct lng_line line;
    LNG_TRY(lng_lines_next(lines, &line, got));
    if (*got)
        *text = (struct lng_slice){line.data, line.length};
    if (*got && lng_lines_number(lines) == 1)
        *text = lng_line_without_mark(*text);
    return LNG_OK;
}

static enum lng_status read_pair(struct lng_scorer *scorer, struct lng_lines *source,
                                 struct lng_lines *target, bool *got, bool *uneven)
{
    struct lng_slice texts[2];
    bool more[2];
    LNG_TRY(next_line(source, &texts[0], &more[0]));
    LNG_TRY(next_line(target, &texts[1], &more[1]));
    *uneven = more[0] != more[1];
    *got = more[0] && more[1];
    if (!*got)
        return LNG_OK;
    LNG_TRY(lng_grow(&scorer->pairs, &scorer->capacity, scorer->count + 1, sizeof *scorer->pairs));
    struct pair *pair = &scorer->pairs[scorer->count];
    LNG_TRY(add_side(scorer, LNG_SIDE_SOURCE, texts[0], &pair->sides[0]));
    LNG_TRY(add_side(scorer, LNG_SIDE_TARGET, texts[1], &pair->sides[1]));
    scorer->count++;
    return LNG_OK;
}

static int compare_pairs(const void *left, const void *right, void *context)
{
    const struct pair *pairs = context;
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    for (int side = 1; side >= 0; side--) {
        size_t x = pairs[a].sides[side].id_count, y = pairs[b].sides[side].id_count;
        if (x != y)
            return x > y ? -1 : 1;
    }
    return (a > b) - (a < b);
}

/* A workspace for batches as large as the options allow, or for the one pair that is larger. */
static enum lng_status make_room(struct lng_scorer *scorer)
{
    struct lng_batch_limits want = scorer->limits;
    for (size_t i = 0; i < scorer->count; i++) {
        int64_t source = (int64_t)scorer->pairs[i].sides[0].id_count;
        int64_t target = (int64_t)scorer->pairs[i].sides[1].id_count;
        want.source_rows = source > want.source_rows ? source : want.source_rows;
        want.target_rows = target > want.target_rows ? target : want.target_rows;
    }
    int64_t tokens = scorer->options.batch_tokens, most = scorer->options.batch_sentences;
    want.source_rows = want.source_rows > tokens ? want.source_rows : tokens;
    want.target_rows = want.target_rows > tokens ? want.target_rows : tokens;
    want.sentences = most > 0 && most < tokens ? most : tokens;
    if (scorer->workspace != NULL && want.source_rows == scorer->limits.source_rows &&
        want.target_rows == scorer->limits.target_rows)
        return LNG_OK;
    lng_workspace_close(scorer->workspace);
    scorer->workspace = NULL;
    LNG_TRY(lng_workspace_open(scorer->model, &want, &scorer->workspace));
    scorer->limits = want;
    return LNG_OK;
}

/* How many pairs from order[first] on make a batch. */
static size_t batch_size(const struct lng_scorer *scorer, size_t first)
{
    size_t rows[2] = {0, 0}, n = 0;
    size_t tokens = (size_t)scorer->options.batch_tokens;
    for (; first + n < scorer->count && n < (size_t)scorer->limits.sentences; n++) {
        const struct pair *pair = &scorer->pairs[scorer->order[first + n]];
        for (int side = 0; side < 2; side++)
            rows[side] += pair->sides[side].id_count;
        if (n > 0 && (rows[0] > tokens || rows[1] > tokens))
            break;
    }
    return n;
}

static enum lng_status pack_side(struct lng_scorer *scorer, size_t first, size_t n, int side)
{
    struct lng_ids *batch = &scorer->batch[side];
    lng_ids_clear(batch);
    LNG_TRY(lng_grow(&scorer->offsets[side], &scorer->offset_capacity[side], n + 1,
                     sizeof **scorer->offsets));
    for (size_t i = 0; i < n; i++) {
        const struct side *from = &scorer->pairs[scorer->order[first + i]].sides[side];
        scorer->offsets[side][i] = (int32_t)batch->count;
        LNG_TRY(lng_grow(&batch->data, &batch->capacity, batch->count + from->id_count,
                         sizeof *batch->data));
        if (from->id_count > 0)
            memcpy(batch->data + batch->count, scorer->ids.data + from->ids,
                   from->id_count * sizeof *batch->data);
        batch->count += from->id_count;
    }
    scorer->offsets[side][n] = (int32_t)batch->count;
    return LNG_OK;
}

static enum lng_status score_batch(struct lng_scorer *scorer, size_t first, size_t n)
{
    struct lng_sequences sides[2];
    for (int side = 0; side < 2; side++) {
        LNG_TRY(pack_side(scorer, first, n, side));
        sides[side] = (struct lng_sequences){
            .ids = scorer->batch[side].data, .offsets = scorer->offsets[side], .count = (int64_t)n};
    }
    LNG_TRY(lng_grow(&scorer->batch_logprobs, &scorer->batch_logprob_capacity,
                     scorer->batch[1].count, sizeof *scorer->batch_logprobs));
    LNG_TRY(lng_model_score(scorer->model, scorer->workspace, &sides[0], &sides[1],
                            scorer->batch_logprobs, NULL));
    for (size_t i = 0; i < n; i++) {
        const struct side *to = &scorer->pairs[scorer->order[first + i]].sides[1];
        memcpy(scorer->logprobs + to->ids, scorer->batch_logprobs + scorer->offsets[1][i],
               to->id_count * sizeof *scorer->logprobs);
    }
    return LNG_OK;
}

static enum lng_status score_window(struct lng_scorer *scorer)
{
    if (scorer->count == 0)
        return LNG_OK;
    LNG_TRY(make_room(scorer));
    LNG_TRY(
        lng_grow(&scorer->order, &scorer->order_capacity, scorer->count, sizeof *scorer->order));
    LNG_TRY(lng_grow(&scorer->logprobs, &scorer->logprob_capacity, scorer->ids.count,
                     sizeof *scorer->logprobs));
    for (size_t i = 0; i < scorer->count; i++)
        scorer->order[i] = i;
    qsort_r(scorer->order, scorer->count, sizeof *scorer->order, compare_pairs, scorer->pairs);
    for (size_t first = 0, n; first < scorer->count; first += n) {
        n = batch_size(scorer, first);
        LNG_TRY(score_batch(scorer, first, n));
    }
    return LNG_OK;
}

static enum lng_status append_text(struct lng_scorer *scorer, const char *key, int which,
                                   const struct pair *pair)
{
    const struct side *side = &pair->sides[which];
    LNG_TRY(lng_json_append_key(&scorer->out, key));
    return lng_json_append_string(
        &scorer->out, scorer->texts.data ? scorer->texts.data + side->text : "", side->text_length);
}

static enum lng_status append_tokens(struct lng_scorer *scorer, const struct side *target)
{
    struct lng_buffer *out = &scorer->out;
    const struct lng_vocab *vocab = lng_tokenizer_vocab(scorer->tokenizer, LNG_SIDE_TARGET);
    LNG_TRY(lng_json_append_key(out, "tokens"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t i = 0; i < target->id_count; i++) {
        struct lng_slice entry = lng_vocab_entry(vocab, scorer->ids.data[target->ids + i]);
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_json_append_string(out, entry.data ? entry.data : "", entry.length));
    }
    LNG_TRY(lng_buffer_append_byte(out, ']'));
    LNG_TRY(lng_json_append_key(out, "token_scores"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t i = 0; i < target->id_count; i++) {
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_json_append_number(out, (double)scorer->logprobs[target->ids + i]));
    }
    return lng_buffer_append_byte(out, ']');
}

static enum lng_status append_words(struct lng_scorer *scorer, const struct side *target)
{
    struct lng_slice text = {scorer->texts.data ? scorer->texts.data + target->text : "",
                             target->text_length};
    LNG_TRY(lng_text_spans_encoded(scorer->tokenizer, LNG_SIDE_TARGET, text,
                                   scorer->ids.data + target->ids, target->id_count,
                                   scorer->options.forced_bos >= 0, &scorer->spans));
    return lng_word_scores_append_json(&scorer->out, text, &scorer->spans,
                                       scorer->logprobs + target->ids, &scorer->words);
}

static enum lng_status format_pair(struct lng_scorer *scorer, const struct pair *pair)
{
    struct lng_buffer *out = &scorer->out;
    const struct side *target = &pair->sides[1];
    double total = 0.0;
    for (size_t i = 0; i < target->id_count; i++)
        total += (double)scorer->logprobs[target->ids + i];
    scorer->stats.total += total;
    scorer->stats.tokens += target->id_count;
    uint64_t number = scorer->stats.lines++;
    if (scorer->options.format == LNG_SCORE_PLAIN) {
        LNG_TRY(lng_buffer_append_format(out, "%.6f", total));
        if (scorer->options.word_scores) {
            LNG_TRY(lng_word_scores_append_mark(out));
            LNG_TRY(lng_word_scores_append(out, scorer->logprobs + target->ids, target->id_count));
        }
        return lng_buffer_append_byte(out, '\n');
    }
    LNG_TRY(lng_buffer_append_format(out, "{\"line\": %llu", (unsigned long long)number));
    LNG_TRY(append_text(scorer, "source", 0, pair));
    LNG_TRY(append_text(scorer, "target", 1, pair));
    LNG_TRY(lng_json_append_key(out, "score"));
    LNG_TRY(lng_json_append_number(out, total));
    LNG_TRY(lng_json_append_key(out, "mean_score"));
    LNG_TRY(lng_json_append_number(out, total / (double)target->id_count));
    LNG_TRY(lng_json_append_key(out, "normalized_score"));
    LNG_TRY(lng_json_append_number(out, total / (double)target->id_count));
    LNG_TRY(append_tokens(scorer, target));
    if (scorer->options.word_scores)
        LNG_TRY(append_words(scorer, target));
    return lng_buffer_append_text(out, "}\n");
}

enum lng_status lng_scorer_run(struct lng_scorer *scorer, struct lng_lines *source,
                               struct lng_lines *target, lng_translate_write write, void *context)
{
    const struct lng_score_options *o = &scorer->options;
    bool got = true, uneven = false;
    while (got) {
        scorer->count = 0;
        lng_buffer_clear(&scorer->texts);
        lng_buffer_clear(&scorer->out);
        lng_ids_clear(&scorer->ids);
        while (got && scorer->count < (size_t)o->window && scorer->texts.length < WINDOW_BYTES &&
               scorer->ids.count < WINDOW_TOKENS)
            LNG_TRY(read_pair(scorer, source, target, &got, &uneven));
        LNG_TRY(score_window(scorer));
        for (size_t i = 0; i < scorer->count; i++)
            LNG_TRY(format_pair(scorer, &scorer->pairs[i]));
        if (scorer->out.length > 0)
            LNG_TRY(write(context, scorer->out.data, scorer->out.length));
        if (o->progress != NULL)
            o->progress(o->progress_context, scorer->stats.lines);
        LNG_FAIL_IF(got && o->interrupted != NULL && *o->interrupted, LNG_ERR_INTERRUPTED,
                    "interrupted after line %llu; what was scored so far is written",
                    (unsigned long long)scorer->stats.lines);
    }
    LNG_FAIL_IF(uneven, LNG_ERR_MISMATCH,
                "source and target differ in length: one of them ends after line %llu",
                (unsigned long long)scorer->stats.lines);
    return LNG_OK;
}

struct lng_score_stats lng_scorer_get_stats(const struct lng_scorer *scorer)
{
    return scorer->stats;
}
