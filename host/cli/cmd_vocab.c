/* lingster vocab: text -> SentencePiece model, or a list of the symbols in it. */
#include <inttypes.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/progress.h"
#include "host/cli/cmd.h"
#include "tokenizer/spm.h"
#include "tokenizer/vocab.h"

/* All inputs as one sequence of lines. */
struct corpus {
    const struct lng_string_list *paths;
    size_t next_path;
    struct lng_lines *lines; /* NULL between files */
    uint64_t count;
    struct lng_progress progress;
};

static enum lng_status next_line(void *context, const char **text, size_t *length, bool *got)
{
    struct corpus *corpus = context;
    for (;;) {
        if (corpus->lines == NULL) {
            if (corpus->next_path == corpus->paths->count) {
                *got = false;
                return LNG_OK;
            }
            LNG_TRY(lng_lines_open(corpus->paths->items[corpus->next_path++], &corpus->lines));
        }
        struct lng_line line;
        bool more;
        LNG_TRY(lng_lines_next(corpus->lines, &line, &more));
        if (more) {
            *text = line.data;
            *length = line.length - line.carriage_return;
            *got = true;
            lng_progress_update(&corpus->progress, ++corpus->count, NULL);
            return LNG_OK;
        }
        lng_lines_close(corpus->lines);
        corpus->lines = NULL;
    }
}

static enum lng_spm_model_type model_type_of(enum lng_opt_vocab_model model)
{
    switch (model) {
    case LNG_OPT_VOCAB_MODEL_BPE:
        return LNG_SPM_BPE;
    case LNG_OPT_VOCAB_MODEL_CHAR:
        return LNG_SPM_CHAR;
    case LNG_OPT_VOCAB_MODEL_WORD:
        return LNG_SPM_WORD;
    default:
        return LNG_SPM_UNIGRAM;
    }
}

static void report_left_out(const struct lng_spm_train_report *report)
{
    const struct {
        uint64_t count;
        const char *why;
    } reasons[] = {
        {report->empty, "were empty"},
        {report->too_long, "were longer than --max-sentence-length"},
        {report->with_nul, "held NUL bytes"},
        {report->invalid_utf8, "were not UTF-8"},
        {report->reserved, "held U+2585, which SentencePiece uses itself"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].count > 0)
            lng_warn("left out %" PRIu64 " of %" PRIu64 " lines: they %s", reasons[i].count,
                     report->lines, reasons[i].why);
}

static enum lng_status learn_pieces(const struct lng_options *options, struct corpus *corpus)
{
    struct lng_spm_train_options train = lng_spm_train_defaults();
    train.model_type = model_type_of(options->vocab_model);
    train.vocab_size = options->vocab_size;
    train.character_coverage = options->character_coverage;
    train.byte_fallback = options->byte_fallback;
    train.split_digits = options->split_digits;
    train.normalization =
        lng_choice_word(LNG_CHOICES_normalization, (int)options->vocab_normalization);
    train.input_sentence_size = (uint64_t)options->input_sentence_size;
    train.hard_vocab_limit = options->hard_vocab_limit;
    train.seed = (uint32_t)options->seed;
    train.max_line_bytes = options->max_sentence_length;
    train.num_threads = options->vocab_threads;
    train.user_defined_symbols = options->user_defined_symbols.items;
    train.user_defined_symbol_count = options->user_defined_symbols.count;
    struct lng_buffer model = {0};
    struct lng_spm_train_report report = {0};
    enum lng_status status = lng_spm_train(&train, next_line, corpus, &model, &report);
    if (report.lines > 0) {
        lng_progress_finish(&corpus->progress);
        report_left_out(&report);
    }
    struct lng_spm_info info = {0};
    if (status == LNG_OK)
        status = lng_spm_check(model.data, model.length, &info);
    if (status == LNG_OK)
        status = lng_file_write(options->output, model.data, model.length);
    if (status == LNG_OK)
        lng_info("wrote %s: %" PRId32 " entries (%s) from %" PRIu64 " lines", options->output,
                 info.pieces, lng_choice_word(LNG_CHOICES_vocab_model, (int)options->vocab_model),
                 report.used);
    lng_buffer_release(&model);
    return status;
}

static enum lng_status collect_symbols(const struct lng_options *options, struct corpus *corpus)
{
    struct lng_vocab *vocab = NULL;
    LNG_TRY(lng_vocab_build_symbols(next_line, corpus, (size_t)options->vocab_size,
                                    (uint64_t)options->min_count, &vocab));
    lng_progress_finish(&corpus->progress);
    enum lng_status status = lng_vocab_write_json(vocab, options->output);
    if (status == LNG_OK)
        lng_info("wrote %s: %" PRId32 " symbols from %" PRIu64 " lines", options->output,
                 lng_vocab_size(vocab), corpus->count);
    lng_vocab_close(vocab);
    return status;
}

enum lng_status lng_cmd_vocab(const struct lng_options *options)
{
    struct corpus corpus = {.paths = &options->vocab_inputs};
    lng_progress_start(&corpus.progress, "read", "lines", 0, 0);
    enum lng_status status = options->vocab_model == LNG_OPT_VOCAB_MODEL_SYMBOLS
                                 ? collect_symbols(options, &corpus)
                                 : learn_pieces(options, &corpus);
    lng_lines_close(corpus.lines);
    return status;
}
