/* Inside host/infer: a window of lines, from text to hypotheses. */
#ifndef LNG_HOST_INFER_TRANSLATE_WINDOW_H
#define LNG_HOST_INFER_TRANSLATE_WINDOW_H

#include "host/infer/demand.h"
#include "host/infer/translate.h"
#include "tokenizer/segment.h"

struct lng_window_line {
    struct lng_range text;     /* of texts: repaired, without line end */
    struct lng_range segments; /* none for a blank line */
    struct lng_range prefix;   /* of ids */
    bool carriage_return;
};

struct lng_window_segment {
    struct lng_range text;       /* of texts */
    struct lng_range ids;        /* of ids, source EOS included */
    struct lng_range hypotheses; /* best first */
    size_t languages; /* ids at the start that were repeated from the line's first segment */
    bool exact_stop;
    bool verbatim; /* not to be translated, and without ids */
};

struct lng_window_hypothesis {
    struct lng_range tokens; /* of tokens and logprobs, EOS included */
    size_t weights;          /* first of [tokens.count, source ids] */
    double total, score;
    enum lng_beam_end end;
    struct lng_range rendered; /* of the demander's, where there is one */
    enum lng_demand_result result;
};

/* Arrays that only ever grow; clearing a window keeps them. */
struct lng_window {
    struct lng_buffer texts;
    struct lng_ids ids, tokens;
    float *logprobs, *weights;
    size_t logprob_capacity, weight_count, weight_capacity;
    struct lng_window_line *lines;
    size_t line_count, line_capacity;
    struct lng_window_segment *segments;
    size_t segment_count, segment_capacity;
    struct lng_window_hypothesis *hypotheses;
    size_t hypothesis_count, hypothesis_capacity;
    struct lng_search_input *inputs; /* one a segment; nothing for a verbatim one */
    size_t input_capacity;
    struct lng_segments cuts;
};

struct lng_align;
struct lng_risk_state;
struct lng_translator {
    struct lng_model *model;
    const struct lng_tokenizer *tokenizer;
    struct lng_translate_options options;
    struct lng_search *search;
    struct lng_demander *demander;     /* NULL where nothing is demanded */
    struct lng_align *align;           /* made when first needed */
    struct lng_risk_state *risk_state; /* NULL = no flags */
    int32_t *languages;                /* source ids of >>xx<<, rising */
    size_t language_count;
    struct lng_window window;
    struct lng_repeats *repeats;
    uint64_t lines_done; /* before this window */
    bool running;        /* a run, in which progress is reported */
    struct lng_buffer out, scratch;
    struct lng_translate_stats stats;
};

void lng_window_clear(struct lng_window *window);
void lng_window_release(struct lng_window *window);

/* Adds a line (without newline; a CR at its end is taken off) and what its translation must begin with. */
LNG_MUST_CHECK enum lng_status lng_window_add(struct lng_translator *translator,
                                              struct lng_slice line, struct lng_slice prefix);
/* An lng_search_done: result->index is a segment; the context is the translator. */
LNG_MUST_CHECK enum lng_status lng_window_keep(void *translator,
                                               const struct lng_search_result *result);
/* Searches all segments. */
LNG_MUST_CHECK enum lng_status lng_window_search(struct lng_translator *translator);

/* Appends the window's output to translator->out. first_line: number of its first line, from 0. */
LNG_MUST_CHECK enum lng_status lng_window_format(struct lng_translator *translator,
                                                 uint64_t first_line);
/* Hands on each line of a searched window, whose weights were kept. */
LNG_MUST_CHECK enum lng_status lng_window_take_aligned(struct lng_translator *translator,
                                                       lng_take_aligned take, void *context);
/* Text of a hypothesis, forced_bos left out. */
LNG_MUST_CHECK enum lng_status lng_window_decode(const struct lng_translator *translator,
                                                 const struct lng_window_hypothesis *hypothesis,
                                                 struct lng_buffer *text);

/* Text of a segment's n-th best, or of the segment itself where it is taken over as it is. */
LNG_MUST_CHECK enum lng_status lng_window_append_segment(const struct lng_translator *translator,
                                                         const struct lng_window_segment *segment,
                                                         size_t rank, struct lng_buffer *text);

/* Adds what a search found for the segment of that number; *hypotheses is where. */
LNG_MUST_CHECK enum lng_status lng_window_keep_hypotheses(struct lng_translator *translator,
                                                          const struct lng_search_result *result,
                                                          size_t number,
                                                          struct lng_range *hypotheses);

/* Whether a search must keep what tokens attended to. */
static inline bool lng_translate_wants_weights(const struct lng_translate_options *options)
{
    return options->alignment != LNG_TRANSLATE_ALIGNMENT_NONE || options->map != NULL ||
           options->demand.replace_unk;
}

/* The hypothesis of a segment that takes part in the line's n-th best: its own n-th, or its last; NULL when it
 * has none. */
const struct lng_window_hypothesis *lng_window_pick(const struct lng_window *window,
                                                    const struct lng_window_segment *segment,
                                                    size_t rank);

/* Appends what options ask for after a text: alignment and word scores of a line's n-th best; only their
 * places when another text stands there. */
LNG_MUST_CHECK enum lng_status lng_annotation_append_plain(struct lng_translator *translator,
                                                           const struct lng_window_line *line,
                                                           size_t rank, bool replaced,
                                                           struct lng_buffer *out);
/* The same of one hypothesis as members of its JSON object. */
LNG_MUST_CHECK enum lng_status lng_annotation_append_json(struct lng_translator *translator,
                                                          const struct lng_window_segment *segment,
                                                          const struct lng_window_hypothesis *h,
                                                          struct lng_buffer *out);

#endif
