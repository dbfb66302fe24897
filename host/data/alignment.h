/* Word alignments of a sentence pair, and what they say about its tokens.
 *
 * A line holds links SOURCE-TARGET between words counted from 0, separated by white space, in any order ("0-0 1-2", the
 * form of Pharaoh and of aligners since); an empty line holds none. A word is what stands between white space in the
 * text as it is in the corpus: what `lingster translate --alignment-level word` counts.
 *
 * A token belongs to the words it touches (most to one), or to those of the next token with text of its own when it
 * has none. A target token is linked to every source token of every word that one of its words is linked to. The end of
 * sentence has no links on either side. */
#ifndef LNG_HOST_DATA_ALIGNMENT_H
#define LNG_HOST_DATA_ALIGNMENT_H

#include "tokenizer/text_spans.h"

struct lng_word_link {
    uint32_t source, target;
};

/* Room for one pair after the other; all zero is fine. */
struct lng_alignment_room {
    struct lng_word_link *links;
    size_t link_count, link_capacity;
    struct lng_token_spans found; /* of the side that was tokenised last */
    struct lng_text_spans tokens[2],
        words[2];    /* by enum lng_side; tokens without those at the ends */
    uint8_t *linked; /* [source words] */
    size_t linked_capacity;
};
void lng_alignment_room_release(struct lng_alignment_room *room);

/* Finds the words of both texts and reads the links into the room. LNG_ERR_FORMAT for anything but links, and
 * LNG_ERR_RANGE for one outside the words, with what was found; the place is for the caller to add. */
LNG_MUST_CHECK enum lng_status lng_alignment_read(struct lng_alignment_room *room,
                                                  struct lng_slice line, struct lng_slice source,
                                                  struct lng_slice target);

/* Appends, for each of target_count tokens, how many of source_count tokens it is linked to, and then, target by
 * target, which, rising; *links is how many these are. Counts include the end of sentence where there is one; tokens
 * cut off the ends are left out by smaller ones. The room holds links, words and tokens of the pair. */
LNG_MUST_CHECK enum lng_status lng_alignment_spread(struct lng_alignment_room *room,
                                                    struct lng_slice source,
                                                    struct lng_slice target, size_t source_count,
                                                    size_t target_count, struct lng_ids *out,
                                                    size_t *links);

#endif
