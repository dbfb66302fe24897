/* Inside host/infer: a steered search, the part of struct lng_search that steering.h needs. */
#ifndef LNG_HOST_INFER_STEER_H
#define LNG_HOST_INFER_STEER_H

#include "host/infer/decode_state.h"

/* A model beside the first: it reads the same rows, and its caches are laid out as the first one's. */
struct lng_member {
    struct lng_model *model; /* borrowed */
    struct lng_workspace *workspace;
    struct lng_step_scratch *scratch;
    struct lng_kv_cache cache;
};

struct lng_steer {
    struct lng_steering options; /* with copies of members and weights */
    struct lng_member *members;  /* [options.member_count] */
    double *factors, *offsets;   /* [1 + member_count] of each model's log-probabilities */
    uint8_t *never;              /* [V] tokens that are banned throughout */
    int32_t *bans;               /* [ban_count] those of them in reach of the shortlist */
    int32_t ban_count;

    /* What follows is planned for lengths. */
    int64_t width;       /* columns of scores at most */
    int64_t list_room;   /* tokens of a shortlist at most; 0 = none */
    int64_t edit_room;   /* edits of a row at most; 0 = none */
    int64_t choice_room; /* candidates of each row wanted; 0 = none, or all scores */
    size_t member_bytes, device_bytes;
    void *device_memory;                  /* the five below, carved */
    struct lng_view scores;               /* [rows, width] f32 */
    struct lng_score_edit *device_edits;  /* [rows, edit_room] */
    struct lng_candidate *device_choices; /* [rows, choice_room] */
    int32_t *device_words;                /* [lng_steer_words] of a step */
    int32_t *device_lists;                /* [seats, list_room] */

    /* host */
    struct lng_score_edit *edits; /* [rows, edit_room] */
    int64_t *edit_at; /* [width] the present row's edit of a column; see steer_scores.c */
    int64_t edit_count, row_begin;    /* row_begin: the present row's first edit */
    int32_t *words;                   /* [lng_steer_words] */
    int32_t *lists, *list_counts;     /* [seats, list_room], [seats] */
    uint8_t *marks;                   /* [V] zeros */
    int32_t *history, *ngrams;        /* [time] each */
    struct lng_candidate *choices;    /* [rows, choice_room] */
    float *all_scores, *row_logprobs; /* [rows, width] where samples need them; [choice_room] */
    int32_t *row_tokens;              /* [choice_room] */
    struct lng_sampling_item *room;   /* [width] */
    float *cover[2];                  /* [slots, source] attention so far, two sides taking turns */
    double *bonus;                    /* [rows] */
    uint64_t *sentence;               /* [seats] hash of the source */
    int32_t *sample;                  /* [slots] number of the sample that a live hypothesis is */
    int *cover_side;                  /* [seats] */
};

/* Rows of a step, as decode_rows.c has them. */
struct lng_steer_rows {
    int64_t rows, step_rows;    /* as decode_rows.c rounds them up */
    const float *scores;        /* device [rows] */
    const int32_t *row_offsets; /* device [active + 1] */
    const int32_t *forced;      /* device [rows], or NULL */
    const int32_t *host_forced, *host_row_offsets;
};

/* Checks and copies what is asked for; *steer stays NULL when nothing is. LNG_ERR_RANGE names the option,
 * LNG_ERR_MISMATCH the model or the shortlist that does not fit. */
LNG_MUST_CHECK enum lng_status lng_steer_open(const struct lng_search *search,
                                              const struct lng_search_options *options,
                                              struct lng_steer **steer);
/* Tokens banned for the whole search, in host memory. */
LNG_MUST_CHECK enum lng_status lng_steer_set_banned(struct lng_steer *steer, const int32_t *banned,
                                                    int64_t count);
void lng_steer_close(struct lng_search *search);

/* Memory for search->plan. Released by lng_steer_release_plan, also after a failure. */
LNG_MUST_CHECK enum lng_status lng_steer_open_plan(struct lng_search *search);
void lng_steer_release_plan(struct lng_search *search);
/* Bytes of one (position, slot) pair of all members. */
size_t lng_steer_position_bytes(const struct lng_search *search);

LNG_MUST_CHECK enum lng_status lng_steer_reshape(struct lng_search *search, int64_t time,
                                                 int64_t slots);
/* The members' share of encoding a group. */
LNG_MUST_CHECK enum lng_status lng_steer_encode(struct lng_search *search,
                                                const struct lng_sequences *sequences,
                                                int64_t first_row);
/* A sentence begins in seat `number`. */
LNG_MUST_CHECK enum lng_status lng_steer_seat(struct lng_search *search, int32_t number,
                                              const struct lng_search_input *input);

/* Runs every model over the rows and fills search->candidates. args: those of the first model. */
LNG_MUST_CHECK enum lng_status lng_steer_step(struct lng_search *search,
                                              const struct lng_decoder_step_args *args,
                                              const struct lng_steer_rows *at);
/* After lng_beam_step of a seat that goes on. */
void lng_steer_advance(struct lng_search *search, int32_t number);

/* ---- between the files of steering ---- */

/* Words of a step: row offsets of single rows, and of shortlists the first token, the count and the forced column. */
struct lng_steer_words {
    int64_t single, first, count, forced, words;
};
static inline struct lng_steer_words lng_steer_lay_words(int64_t rows)
{
    return (struct lng_steer_words){0, rows + 1, 2 * rows + 1, 3 * rows + 1, 4 * rows + 1};
}

/* Column of a token in a seat's row: itself, or its place in the seat's list; -1 = not in it. */
int32_t lng_steer_column(const struct lng_steer *steer, int32_t seat, int32_t token);
/* Changes scores [rows, cols] as penalties and bans want it; rows with a forced token stay. */
LNG_MUST_CHECK enum lng_status lng_steer_edit(struct lng_search *search, struct lng_view scores,
                                              const int32_t *forced);
/* Adds the step's attention to each row's cover, and hands the beams what they are worth. */
LNG_MUST_CHECK enum lng_status lng_steer_cover(struct lng_search *search, int64_t step_rows,
                                               int64_t rows);
/* Fills search->candidates from the scores. */
LNG_MUST_CHECK enum lng_status lng_steer_choose(struct lng_search *search, struct lng_view scores,
                                                const struct lng_steer_rows *at);

#endif
