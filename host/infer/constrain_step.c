#include "host/infer/constrain_step.h"

#include <string.h>

#include "host/base/mem.h"

enum { ROUNDS = LNG_CONSTRAIN_STARTS + 2 };

struct lng_constrain_run {
    struct lng_constrainer constrainer;
    struct lng_constrain_state *states; /* [seats, beam] */
    int64_t best;                       /* candidates of a row */
    int64_t rows, found_rows;           /* at most; of the step at hand */
    int32_t *upload;                    /* [rows + 1] offsets, [ROUNDS, rows] forced */
    int32_t *wanted_count;              /* [rows] */
    struct lng_candidate *found;        /* [rows, best], [ROUNDS, rows] */
    struct lng_candidate *row;          /* [best + ROUNDS] of one row, side by side */
    int32_t *device_upload;
    struct lng_candidate *device_found;
};

static const struct lng_constraints *constraints_of(const struct lng_search *search, int32_t seat)
{
    return search->inputs[search->seats[seat].input].constraints;
}

void lng_constrain_run_close(struct lng_search *search)
{
    struct lng_constrain_run *run = search->constrain;
    if (run == NULL)
        return;
    lng_constrainer_release(&run->constrainer);
    lng_device_free(search->model->device, run->device_upload);
    lng_device_free(search->model->device, run->device_found);
    lng_free(run->states);
    lng_free(run->upload);
    lng_free(run->wanted_count);
    lng_free(run->found);
    lng_free(run->row);
    lng_free(run);
    search->constrain = NULL;
}

static enum lng_status take_memory(struct lng_search *search, struct lng_constrain_run *run)
{
    size_t rows = (size_t)run->rows, words = rows + 1 + ROUNDS * rows;
    size_t found = rows * (size_t)run->best + ROUNDS * rows;
    void *memory = NULL;
    run->states = lng_alloc(rows, sizeof *run->states);
    run->upload = lng_alloc(words, sizeof *run->upload);
    run->wanted_count = lng_alloc(rows, sizeof *run->wanted_count);
    run->found = lng_alloc(found, sizeof *run->found);
    run->row = lng_alloc((size_t)run->best + ROUNDS, sizeof *run->row);
    if (!run->states || !run->upload || !run->wanted_count || !run->found || !run->row)
        return LNG_ERR_MEMORY;
    LNG_TRY(lng_device_alloc(search->model->device, words * sizeof *run->upload, &memory));
    run->device_upload = memory;
    LNG_TRY(lng_device_alloc(search->model->device, found * sizeof *run->found, &memory));
    run->device_found = memory;
    return lng_constrainer_init(&run->constrainer, search->options.texts, search->options.beam.eos,
                                search->options.beam.beam, run->best);
}

enum lng_status lng_constrain_run_open(struct lng_search *search)
{
    int64_t best = 0;
    for (int64_t i = 0; i < search->count; i++) {
        const struct lng_constraints *c = search->inputs[i].constraints;
        if (c == NULL)
            continue;
        int64_t wants = lng_constraints_candidates(c, search->options.beam.beam);
        best = wants > best ? wants : best;
    }
    if (best == 0)
        return LNG_OK;
    LNG_FAIL_IF(search->options.texts == NULL, LNG_ERR_INTERNAL,
                "search: constraints without the texts of tokens");
    struct lng_constrain_run *run = lng_alloc(1, sizeof *run);
    if (run == NULL)
        return LNG_ERR_MEMORY;
    run->best = best;
    run->rows = search->plan.rows;
    search->constrain = run;
    enum lng_status status = take_memory(search, run);
    if (status != LNG_OK)
        lng_constrain_run_close(search);
    return status;
}

void lng_constrain_seat_begin(struct lng_search *search, int32_t seat)
{
    const struct lng_constraints *c = constraints_of(search, seat);
    if (c != NULL)
        search->constrain->states[(int64_t)seat * search->options.beam.beam] =
            lng_constrain_begin(c);
}

/* Writes what each row wants into upload; returns the most that one wants. */
static int32_t stage_wanted(struct lng_search *search, const struct lng_constrain_rows *rows)
{
    struct lng_constrain_run *run = search->constrain;
    int32_t *forced = run->upload + rows->rows + 1, most = 0, wanted[ROUNDS];
    for (int64_t row = 0; row <= rows->rows; row++)
        run->upload[row] = (int32_t)row;
    for (int64_t i = 0; i < ROUNDS * rows->rows; i++)
        forced[i] = search->options.beam.eos;
    for (int64_t s = 0; s < search->active_count; s++) {
        int32_t seat = search->active[s];
        const struct lng_constraints *c = constraints_of(search, seat);
        const struct lng_beam *beam = &search->seats[seat].beam;
        for (int32_t i = 0; i < beam->live_count; i++) {
            int64_t row = rows->row_offsets[s] + i;
            const struct lng_constrain_state *states =
                run->states + (int64_t)seat * search->options.beam.beam;
            int32_t count =
                c ? lng_constrain_wanted(&run->constrainer, c, beam, states, i, wanted) : 0;
            for (int32_t k = 0; k < count; k++)
                forced[k * rows->rows + row] = wanted[k];
            run->wanted_count[row] = count;
            most = count > most ? count : most;
        }
    }
    return most;
}

enum lng_status lng_constrain_gather(struct lng_search *search,
                                     const struct lng_constrain_rows *rows)
{
    struct lng_constrain_run *run = search->constrain;
    struct lng_device *device = search->model->device;
    int64_t n = run->found_rows = rows->rows;
    int32_t rounds = stage_wanted(search, rows);
    LNG_TRY(lng_device_write(device, run->device_upload, run->upload,
                             (size_t)(n + 1 + rounds * n) * sizeof *run->upload));
    struct lng_candidates_args args = {
        .logits = lng_view_rows(search->logits, 0, n),
        .row_scores = rows->scores,
        .row_offsets = run->device_upload,
        .forced = rows->forced,
        .banned = search->banned_count > 0 ? search->banned : NULL,
        .banned_count = search->banned_count,
        .eos_banned = rows->eos_banned,
        .eos = search->options.beam.eos,
        .sentences = n,
        .k = run->best,
        .out = run->device_found,
    };
    LNG_TRY(lng_candidates(device, &args));
    args.k = 1;
    args.eos_banned = NULL;
    for (int32_t round = 0; round < rounds; round++) {
        args.forced = run->device_upload + n + 1 + round * n;
        args.out = run->device_found + n * run->best + round * n;
        LNG_TRY(lng_candidates(device, &args));
    }
    return lng_device_read(device, run->found, run->device_found,
                           (size_t)(n * run->best + rounds * n) * sizeof *run->found);
}

void lng_constrain_seat_choose(struct lng_search *search, int32_t seat, int32_t first_row,
                               struct lng_candidate *out, int64_t count)
{
    struct lng_constrain_run *run = search->constrain;
    const struct lng_constraints *c = constraints_of(search, seat);
    if (c == NULL)
        return;
    const struct lng_beam *beam = &search->seats[seat].beam;
    int32_t width = search->options.beam.beam;
    int32_t best = lng_constraints_candidates(c, width); /* its own, whatever the others need */
    lng_constrain_open(&run->constrainer, c, beam);
    for (int32_t i = 0; i < beam->live_count; i++) {
        int64_t row = first_row + i;
        int32_t wanted = run->wanted_count[row];
        memcpy(run->row, run->found + row * run->best, (size_t)best * sizeof *run->row);
        for (int32_t k = 0; k < wanted; k++)
            run->row[best + k] =
                run->found[run->found_rows * run->best + k * run->found_rows + row];
        lng_constrain_add(&run->constrainer, c, beam, run->states + (int64_t)seat * width, i,
                          run->row, best, wanted);
    }
    lng_constrain_choose(&run->constrainer, c, beam, first_row, out, count);
}

void lng_constrain_seat_step(struct lng_search *search, int32_t seat)
{
    struct lng_constrain_run *run = search->constrain;
    if (constraints_of(search, seat) != NULL)
        lng_constrain_close(&run->constrainer, &search->seats[seat].beam,
                            run->states + (int64_t)seat * search->options.beam.beam);
}
