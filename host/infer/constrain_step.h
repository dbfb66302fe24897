/* Inside host/infer: constraints in a batched search. Where no sentence of a run has any, nothing here is done. */
#ifndef LNG_HOST_INFER_CONSTRAIN_STEP_H
#define LNG_HOST_INFER_CONSTRAIN_STEP_H

#include "host/infer/constrain.h"
#include "host/infer/decode_state.h"

/* A step's rows, on the device but for row_offsets. */
struct lng_constrain_rows {
    int64_t rows;
    const int32_t *row_offsets; /* [active + 1], host */
    const float *scores;
    const int32_t *forced;     /* NULL = none */
    const uint8_t *eos_banned; /* NULL = none */
};

/* Takes memory where one of the run's inputs has constraints. After the plan is made. */
LNG_MUST_CHECK enum lng_status lng_constrain_run_open(struct lng_search *search);
void lng_constrain_run_close(struct lng_search *search);

/* A sentence takes a seat. */
void lng_constrain_seat_begin(struct lng_search *search, int32_t seat);
/* Asks the device, for every row, for its best tokens and for those that constraints need. After the decoder's step. */
LNG_MUST_CHECK enum lng_status lng_constrain_gather(struct lng_search *search,
                                                    const struct lng_constrain_rows *rows);
/* Puts other candidates in the place of out [count]; nothing for a sentence without constraints. */
void lng_constrain_seat_choose(struct lng_search *search, int32_t seat, int32_t first_row,
                               struct lng_candidate *out, int64_t count);
/* After lng_beam_step of the same seat. */
void lng_constrain_seat_step(struct lng_search *search, int32_t seat);

#endif
