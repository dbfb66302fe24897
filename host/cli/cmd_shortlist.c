/* lingster shortlist: parallel text -> which target words a source word becomes. */
#include <inttypes.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/progress.h"
#include "host/cli/cmd.h"
#include "host/cli/train_setup.h"
#include "host/data/lexicon.h"
#include "host/store/model_dir.h"
#include "host/store/shortlist.h"

struct job {
    const struct lng_options *options;
    struct lng_tokenizer *tokenizer;
    struct lng_corpus *corpus;
    struct lng_lexicon_pairs pairs;
    struct lng_lexicon lexicon;
    uint64_t too_long;
};

static int32_t words_of(const struct job *job, enum lng_side side)
{
    return lng_vocab_size(lng_tokenizer_vocab(job->tokenizer, side));
}

/* The vocabularies of --model, as large as the model says. */
static enum lng_status open_tokenizer(struct job *job)
{
    const char *path = job->options->model;
    struct lng_model_data data = {0};
    enum lng_status status;
    LNG_TRY(lng_model_data_open(path, &data));
    LNG_GOTO_FAIL_IF(data.directory == NULL, LNG_ERR_IO,
                     "%s: found a model but no vocabulary beside it; expected a model directory",
                     path);
    LNG_TRY_OR_FAIL(lng_tokenizer_open_directory(data.directory, &job->tokenizer));
    const struct lng_hparams *h = &data.hparams;
    const int32_t source = words_of(job, LNG_SIDE_SOURCE), target = words_of(job, LNG_SIDE_TARGET);
    LNG_GOTO_FAIL_IF(source > h->source_vocab || target > h->target_vocab, LNG_ERR_MISMATCH,
                     "%s: vocabularies: expected at most %d source and %d target entries as in "
                     "the model, found %d and %d",
                     path, h->source_vocab, h->target_vocab, source, target);
    status = LNG_OK;
fail:
    lng_model_data_release(&data);
    return status;
}

static enum lng_status open_pairs(struct job *job)
{
    const struct lng_options *o = job->options;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return lng_lexicon_pairs_init(&job->pairs, &(struct lng_lexicon_options){
                                                   .source_words = words_of(job, LNG_SIDE_SOURCE),
                                                   .target_words = words_of(job, LNG_SIDE_TARGET),
                                                   .best = o->shortlist_best,
                                                   .threshold = o->shortlist_threshold,
                                                   .iterations = o->iterations,
                                                   .threads = o->threads > 0 ? o->threads
                                                              : cores > 0    ? (int)cores
                                                                             : 1,
                                                   .memory = o->learning_memory,
                                               });
}

static enum lng_status add_pair(struct job *job, uint64_t number, struct lng_buffer *text,
                                struct lng_ids *ids)
{
    uint32_t sentence;
    const size_t most = (size_t)job->options->train_max_length - 1; /* without the end token */
    LNG_TRY(lng_corpus_read(job->corpus, number, &text[0], &text[1], &sentence));
    for (int side = 0; side < 2; side++) {
        lng_ids_clear(&ids[side]);
        LNG_TRY(lng_tokenizer_encode(job->tokenizer, side == 0 ? LNG_SIDE_SOURCE : LNG_SIDE_TARGET,
                                     text[side].data, text[side].length, &ids[side]));
    }
    if (ids[0].count > most || ids[1].count > most) {
        job->too_long++;
        return LNG_OK;
    }
    return lng_lexicon_pairs_add(&job->pairs, ids[0].data, ids[0].count, ids[1].data, ids[1].count);
}

static enum lng_status read_pairs(struct job *job)
{
    struct lng_progress progress;
    struct lng_buffer text[2] = {{0}};
    struct lng_ids ids[2] = {{0}};
    const uint64_t count = lng_corpus_count(job->corpus);
    enum lng_status status = LNG_OK;
    lng_progress_start(&progress, "read", "pairs", 0, count);
    for (uint64_t i = 0; i < count && status == LNG_OK; i++) {
        if (lng_lexicon_pairs_next(&job->pairs))
            status = add_pair(job, i, text, ids);
        lng_progress_update(&progress, i + 1, NULL);
    }
    if (status == LNG_OK)
        lng_progress_finish(&progress);
    for (int side = 0; side < 2; side++) {
        lng_buffer_release(&text[side]);
        lng_ids_release(&ids[side]);
    }
    LNG_TRY(status);
    if (job->too_long > 0)
        lng_warn("left out %" PRIu64 " of %" PRIu64 " pairs: longer than --max-length %d",
                 job->too_long, count, job->options->train_max_length);
    if (job->pairs.every > 1)
        lng_info("learning from %lld pairs, one in %" PRIu64 ": more memory (--memory) takes more",
                 (long long)job->pairs.count, job->pairs.every);
    LNG_FAIL_IF(job->pairs.count == 0, LNG_ERR_FORMAT,
                "no pair to learn from: all %" PRIu64 " are longer than --max-length %d", count,
                job->options->train_max_length);
    return LNG_OK;
}

static enum lng_status learn(struct job *job)
{
    struct lng_progress progress;
    const uint64_t words = (uint64_t)job->pairs.options.source_words;
    lng_progress_start(&progress, "learn", "words", 0, words * (uint64_t)job->options->iterations);
    LNG_TRY(lng_lexicon_learn(&job->pairs, &progress, &job->lexicon));
    lng_progress_finish(&progress);
    return LNG_OK;
}

static enum lng_status write_list(const struct job *job)
{
    const struct lng_options *o = job->options;
    const struct lng_lexicon *l = &job->lexicon;
    const struct lng_shortlist_table table = {
        .source_words = l->source_words,
        .offsets = l->offsets,
        .targets = l->targets,
        .probabilities = l->probabilities,
    };
    const int64_t all = l->offsets[l->source_words];
    int64_t left_out = 0, known = 0;
    for (int32_t word = 0; word < l->source_words; word++)
        known += l->offsets[word + 1] > l->offsets[word];
    LNG_FAIL_IF(all == 0, LNG_ERR_FORMAT,
                "no pair of words has a probability above --shortlist-threshold %g; nothing is "
                "written",
                o->shortlist_threshold);
    if (o->binary) {
        const int32_t targets = words_of(job, LNG_SIDE_TARGET);
        LNG_TRY(lng_shortlist_write_binary(
            o->output, &table, o->shortlist_first < targets ? o->shortlist_first : targets,
            o->shortlist_best));
    } else {
        LNG_TRY(lng_shortlist_write_text(
            o->output, &table, lng_tokenizer_vocab(job->tokenizer, LNG_SIDE_SOURCE),
            lng_tokenizer_vocab(job->tokenizer, LNG_SIDE_TARGET), &left_out));
    }
    if (left_out > 0)
        lng_warn("%lld pairs cannot be written as text: an entry holds white space or is NULL",
                 (long long)left_out);
    lng_info("wrote %s: %lld targets of %lld source words from %lld pairs", o->output,
             (long long)(all - left_out), (long long)known, (long long)job->pairs.count);
    return LNG_OK;
}

static enum lng_status run(struct job *job)
{
    LNG_TRY(open_tokenizer(job));
    LNG_TRY(open_pairs(job));
    LNG_TRY(lng_setup_corpus(job->options, NULL, &job->corpus));
    LNG_TRY(read_pairs(job));
    LNG_TRY(learn(job));
    return write_list(job);
}

enum lng_status lng_cmd_shortlist(const struct lng_options *options)
{
    struct job job = {.options = options};
    const enum lng_status status = run(&job);
    lng_lexicon_release(&job.lexicon);
    lng_lexicon_pairs_release(&job.pairs);
    lng_corpus_close(job.corpus);
    lng_tokenizer_close(job.tokenizer);
    return status;
}
