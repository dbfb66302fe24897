/* What translate needs beside one model: further models of an ensemble, a shortlist, and the options of the search
 * that use them (host/infer/steering.h). */
#ifndef LNG_HOST_CLI_STEERING_SETUP_H
#define LNG_HOST_CLI_STEERING_SETUP_H

#include "host/cli/infer_setup.h"
#include "host/infer/decode.h"

struct lng_steering_setup {
    struct lng_model *models;   /* [count] beside the first; owned */
    struct lng_model **members; /* [count] pointers to them */
    double *weights;            /* [1 + count], or NULL */
    size_t count, opened;
    struct lng_shortlist shortlist;
};
/* Opens what the options name and sets search->steering (and beam, for samples and alternatives), which borrows
 * it. LNG_ERR_MISMATCH when models or shortlist do not belong to the first model. Close in any case. */
LNG_MUST_CHECK enum lng_status lng_steering_setup_open(const struct lng_options *options,
                                                       const struct lng_infer_setup *first,
                                                       struct lng_steering_setup *setup,
                                                       struct lng_search_options *search);
/* Fine on a zeroed one. */
void lng_steering_setup_close(struct lng_steering_setup *setup);

#endif
