/* Inside host/store: the text form of shortlists. */
#ifndef LNG_HOST_STORE_SHORTLIST_TEXT_H
#define LNG_HOST_STORE_SHORTLIST_TEXT_H

#include "host/base/file.h"
#include "host/store/shortlist.h"

/* See lng_shortlist_read. `name` is for messages. */
LNG_MUST_CHECK enum lng_status lng_shortlist_read_text(const char *name, struct lng_lines *lines,
                                                       const struct lng_vocab *source,
                                                       const struct lng_vocab *target,
                                                       const struct lng_shortlist_options *options,
                                                       struct lng_shortlist *shortlist);

#endif
