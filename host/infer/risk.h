/* Risk flags: signs that a translation may be bad, found without a reference, and what to do then.
 *
 *   repetition    a run of 1 to 64 tokens that follows itself at once: how many times it stands there, the most
 *                 of any run, less the same figure of the source, plus 1. A loop has many; ordinary text 1
 *   length-ratio  tokens of the longer side over those of the shorter, ends of sentence included; 1 where they
 *                 differ by fewer than 8
 *   copy          share of the translation's words that the source has too, written alike. Words are runs of
 *                 letters, ideographs and kana count one by one; 0 where the translation has fewer than 4
 *   numbers       runs of digits of any script, those of thousands joined ("1,000", "1 000"), that one side has
 *                 more often than the other, counted. Numerals in letters are not seen
 *   urls          the same of addresses: with "://", after "www.", and with "@"
 *   margin        ranking score of the best hypothesis less that of the second, the least of all segments;
 *                 not known where only one was found
 *   unfinished    segments whose best hypothesis did not end with an end of sentence of its own */
#ifndef LNG_HOST_INFER_RISK_H
#define LNG_HOST_INFER_RISK_H

#include "host/infer/translate.h"

enum lng_risk {
#define LNG_RISK(id, name, option, side, value) LNG_RISK_##id,
#include "host/infer/risk.def"
    LNG_RISK_COUNT
};
/* "repetition"; static. */
const char *lng_risk_name(enum lng_risk risk);

/* What becomes of a flagged line in plain output and in JSON's `translation`; n-best lists stay as they are. */
enum lng_risk_fallback {
    LNG_RISK_FALLBACK_KEEP,
    LNG_RISK_FALLBACK_SOURCE, /* the source line */
    LNG_RISK_FALLBACK_EMPTY,
};

struct lng_risk_options {
    double thresholds[LNG_RISK_COUNT]; /* 0 = never raised */
    /* First search lines with a flag other than margin (two good translations are no reason) again, with retry_beam hypotheses, and take the best
     * translation without such flags. Where there is none, the first result stays. */
    bool retry;
    int32_t retry_beam;              /* 0: twice that of the first search */
    enum lng_risk_fallback fallback; /* of lines that have such a flag then */
    /* Gets tab-separated lines "line flag value threshold action", a heading first; may be NULL. Lines
     * count from 0; action is kept, retried, source or empty. */
    lng_translate_write report;
    void *report_context;
};
/* All off, keep, a second search twice as wide. */
struct lng_risk_options lng_risk_options_default(void);

struct lng_risk_values {
    double values[LNG_RISK_COUNT]; /* NAN = not known */
    unsigned raised;               /* bit 1 << risk */
};
/* Sets `raised` from the values. */
void lng_risk_judge(const struct lng_risk_options *options, struct lng_risk_values *values);

/* ---- the measures; pure ---- */

/* The largest number of times that a run of at most 64 ids stands there in a row; 1 when nothing repeats, 0
 * of nothing. */
size_t lng_risk_repeats(const int32_t *ids, size_t count);
double lng_risk_length_ratio(size_t source_tokens, size_t target_tokens);

/* Working memory of the text measures; all zero is a new one. */
struct lng_risk_scratch {
    struct lng_slice *words[2]; /* pieces of the two texts, or of digits */
    size_t counts[2], capacity[2];
    struct lng_buffer digits[2];
};
void lng_risk_scratch_release(struct lng_risk_scratch *scratch);
/* Sets copy, numbers and urls. Texts are valid UTF-8. */
LNG_MUST_CHECK enum lng_status lng_risk_measure_texts(struct lng_risk_scratch *scratch,
                                                      struct lng_slice source,
                                                      struct lng_slice target,
                                                      struct lng_risk_values *values);

#endif
