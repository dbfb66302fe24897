/* Lines in, lines out: reads a window of lines, tokenizes, searches, detokenizes, writes in order.
 *
 * One line of input gives exactly one line of output (or one object, or its n-best list), in order:
 *   empty or blank       an empty line; the model is not asked
 *   bad UTF-8            each bad sequence is read as U+FFFD
 *   NUL                  read as a space
 *   CR LF                the CR is no part of the text; plain output ends in CR LF again
 *   no newline at the end   the last line counts, and its output gets a newline
 *   too long             cut into segments (tokenizer/segment.h), whose translations are joined by spaces
 *   byte order mark      at the start of the input: dropped
 * Translations hold no newline. Memory is bounded by the window, not by the input. */
#ifndef LNG_HOST_INFER_TRANSLATE_H
#define LNG_HOST_INFER_TRANSLATE_H

#include <signal.h>

#include "host/base/file.h"
#include "host/infer/decode.h"
#include "host/infer/demand_options.h"
#include "tokenizer/text_spans.h"

enum lng_translate_format {
    /* The text; after it " ||| " and the alignment, then " ||| WordScores=" and the log-probability of
     * each token, the end of sentence last, where they are asked for. */
    LNG_TRANSLATE_PLAIN,
    /* "N ||| text ||| Score= T ||| R", one line a hypothesis, best first; N counts lines from 0, T is the
     * sum of log-probabilities, R the ranking score. A blank line has one empty hypothesis of score 0.
     * Alignment and word scores follow as in plain text. */
    LNG_TRANSLATE_NBEST,
    /* A JSON object a line:
     *   line, source, translation
     *   hypotheses  [{text, score, normalized_score}], best first; empty for a blank line
     *   flags, risks, action   with flags, see host/infer/risk.h
     *   segments    [{source, source_tokens, exact_stop, hypotheses}]; usually one. Here hypotheses are
     *               {text, tokens, token_scores, score, mean_score, normalized_score, end, alignment,
     *               words}
     * score is the sum of token_scores, mean_score their mean, normalized_score what hypotheses are ranked
     * by. tokens and source_tokens include the end of sentence; end is eos, max-length or no-continuation.
     * words (with word_scores): {word, begin, end, score, min_token_score}, between white space; begin and
     * end count characters of text, score is the sum over its tokens. */
    LNG_TRANSLATE_JSON,
};

/* soft: for each target unit the weights of the source units: "w,w,w w,w,w", JSON [[w, ...], ...].
 * hard: "s-t s-t", for each target unit the source unit with the largest weight; threshold: every pair whose
 * weight is more than the threshold; JSON [[s, t], ...]. Units are those of a level (host/infer/align.h), counted
 * from 0. In plain text, soft rows of a line in several segments follow one another, each as wide as its own
 * segment; hard indices count through the line. */
enum lng_translate_alignment {
    LNG_TRANSLATE_ALIGNMENT_NONE,
    LNG_TRANSLATE_ALIGNMENT_SOFT,
    LNG_TRANSLATE_ALIGNMENT_HARD,
    LNG_TRANSLATE_ALIGNMENT_THRESHOLD,
};

/* Whether the end of sentence is a unit, the last of its side. Left out of soft alignments, rows sum to less
 * than 1; left out of hard ones, the best other unit is taken. */
enum lng_align_eos {
    LNG_ALIGN_EOS_USUAL, /* part of soft alignments, not of the others */
    LNG_ALIGN_EOS_KEEP,
    LNG_ALIGN_EOS_DROP,
};

struct lng_attention_map;
struct lng_risk_options;
struct lng_translate_options {
    struct lng_search_options search; /* search.alignment and scores are set from what is below */
    enum lng_translate_format format;
    enum lng_translate_alignment alignment;
    enum lng_align_level alignment_level;
    enum lng_align_eos alignment_eos;
    double alignment_threshold; /* in [0, 1) */
    bool word_scores;           /* add them, see lng_translate_format */
    struct lng_attention_map
        *map; /* gets a picture of each segment's best; borrowed, may be NULL */
    const struct lng_risk_options *risk; /* what to flag and do about it; borrowed, may be NULL */
    int64_t window;                      /* lines read ahead, >= 1 */
    size_t repeat_bytes; /* memory for sentences that may come again; 0 = each one is searched */
    int32_t max_segment; /* source tokens, EOS not counted, above which a line is cut */
    int32_t source_language; /* token of every source, of M2M-100 and NLLB; -1 = none */
    int32_t forced_bos; /* target token that begins every translation and is not shown; -1 = none */
    struct lng_demand_options
        demand; /* sets search.alignment and search.allow_unk where it needs them */
    const char
        *locale; /* of the source, for sentence ends: "de"; NULL = none in particular. Borrowed */
    const volatile sig_atomic_t
        *interrupted; /* nonzero: stop after the window at hand; may be NULL */
    /* Often, and after each window; lines are those of a run, and may be estimated inside a window. May be
     * NULL. */
    void (*progress)(void *context, uint64_t lines);
    void *progress_context;
};
/* Search defaults, plain, windows of 10000 lines, segments of 256 tokens, 64 MiB for repetitions. */
struct lng_translate_options lng_translate_options_default(void);

struct lng_translate_stats {
    uint64_t lines, blank, cut;            /* cut: lines translated in several segments */
    uint64_t repaired;                     /* lines with bad UTF-8 */
    uint64_t source_tokens, target_tokens; /* EOS included; target: of the best hypotheses */
    uint64_t
        inexact; /* segments whose best hypothesis is not certain (exact_stop); all, without scores */
    uint64_t flagged;           /* lines with a risk flag, and of them: */
    uint64_t retried, replaced; /* searched again with success; given as source or empty */
    uint64_t at_limit;          /* segments whose best hypothesis ended at the maximum length */
    uint64_t repeated;          /* segments that were as an earlier one and were not searched */
    uint64_t inserted; /* hypotheses with something put at the end that the search did not place */
    uint64_t violated; /* hypotheses with a forbidden phrase */
    struct lng_search_stats search;
};

/* A search in which neither the tokenizer's tokens that are never text (but with any_token) nor the model's
 * rows that are no token are proposed; with any_token both may be. LNG_ERR_MISMATCH when model and tokenizer do not fit each other. */
LNG_MUST_CHECK enum lng_status lng_translate_open_search(struct lng_model *model,
                                                         const struct lng_tokenizer *tokenizer,
                                                         const struct lng_search_options *options,
                                                         struct lng_search **search);

struct lng_translator;
/* The model and the tokenizer must outlive it, and fit each other: LNG_ERR_MISMATCH. */
LNG_MUST_CHECK enum lng_status lng_translator_open(struct lng_model *model,
                                                   const struct lng_tokenizer *tokenizer,
                                                   const struct lng_translate_options *options,
                                                   struct lng_translator **translator);
/* NULL is fine. */
void lng_translator_close(struct lng_translator *translator);

/* Takes output in pieces of whole lines. What is not LNG_OK ends the work and is handed on. */
typedef enum lng_status (*lng_translate_write)(void *context, const char *data, size_t size);

/* Where options.demand.constraints is set: line n of `lines` is for line n of the inputs that follow, as constraint_line.h
 * says; borrowed. LNG_ERR_MISMATCH from lng_translator_run when there are more or fewer. NULL: none. */
void lng_translator_set_constraints(struct lng_translator *translator, struct lng_lines *lines);

/* Translates all lines of `input`, from where it was read to: lines are counted on from there. `write` gets a
 * window at a time, when the input was read up to its end and no further. prefixes (may be NULL): line n is how the translation of line n must
 * begin; empty = no demand. LNG_ERR_MISMATCH when there are more or fewer prefixes than lines;
 * LNG_ERR_INTERRUPTED after `interrupted`, everything read before being written. */
LNG_MUST_CHECK enum lng_status lng_translator_run(struct lng_translator *translator,
                                                  struct lng_lines *input,
                                                  struct lng_lines *prefixes,
                                                  lng_translate_write write, void *context);

/* Translates lines in memory, each as above. text is appended the translations, a newline after each. */
LNG_MUST_CHECK enum lng_status lng_translator_texts(struct lng_translator *translator,
                                                    const struct lng_slice *lines, size_t count,
                                                    struct lng_buffer *text);

/* Bytes of a line and of its translation that correspond: a target token and the source token that it attended to
 * most, both with text of their own. */
struct lng_aligned_bytes {
    size_t source_begin, source_end, target_begin, target_end;
};
struct lng_aligned_text {
    struct lng_slice source; /* the line as it was read: bad UTF-8 replaced, no line end */
    struct lng_slice text;   /* its translation */
    const struct lng_aligned_bytes *links; /* in the order of target_begin */
    size_t link_count;
};
/* Takes one translation; what it points to lasts for the call. What is not LNG_OK ends the work and is handed on. */
typedef enum lng_status (*lng_take_aligned)(void *context, const struct lng_aligned_text *aligned);

/* Translates lines in memory, each as above, and gives each translation in turn. LNG_ERR_INTERNAL without an alignment
 * in the options. */
LNG_MUST_CHECK enum lng_status lng_translator_aligned(struct lng_translator *translator,
                                                      const struct lng_slice *lines, size_t count,
                                                      lng_take_aligned take, void *context);

/* Of all that was translated so far. */
struct lng_translate_stats lng_translator_get_stats(const struct lng_translator *translator);

#endif
