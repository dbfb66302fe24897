/* Inside host/infer: flags of the lines of a window, and what is done about them. */
#ifndef LNG_HOST_INFER_RISK_LINE_H
#define LNG_HOST_INFER_RISK_LINE_H

#include "host/infer/risk.h"
#include "host/infer/translate_window.h"

enum lng_risk_action {
    LNG_RISK_ACTION_NONE, /* not flagged */
    LNG_RISK_ACTION_KEPT,
    LNG_RISK_ACTION_RETRIED, /* another search found a translation without flags */
    LNG_RISK_ACTION_SOURCE,
    LNG_RISK_ACTION_EMPTY,
};

/* What became of a line. */
struct lng_risk_verdict {
    struct lng_risk_values first, last; /* of the first search's best, and of what was kept */
    enum lng_risk_action action;
};

/* All flags of a translator; NULL where there are none. */
LNG_MUST_CHECK enum lng_status lng_risk_state_open(const struct lng_translate_options *options,
                                                   struct lng_risk_state **state);
void lng_risk_state_close(struct lng_risk_state *state);
/* Hypotheses to ask a search for: more than options want where the margin is to be known. */
int32_t lng_risk_n_best(const struct lng_translate_options *options);

/* After the search of a window: flags, tries again, reports. first_line: its number, from 0. */
LNG_MUST_CHECK enum lng_status lng_risk_apply(struct lng_translator *translator,
                                              uint64_t first_line);
/* Of line l of the window; NULL when there are no flags. */
const struct lng_risk_verdict *lng_risk_get(const struct lng_translator *translator, size_t l);
/* {flags, risks, action} as members of the line's object; nothing when there are no flags. */
LNG_MUST_CHECK enum lng_status lng_risk_append_json(const struct lng_risk_verdict *verdict,
                                                    struct lng_buffer *out);

#endif
