#include "host/eval/ter_edits.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/eval/ter_table.h"

enum {
    MAX_SHIFT_SIZE = 10,
    MAX_SHIFT_DISTANCE = 50,
    MAX_CANDIDATES = 1000,
};

/* A block of the hypothesis and where it goes. */
struct shift {
    int64_t start, length, target;
    int64_t gain; /* edits saved */
};

struct search {
    struct lng_ter_table table; /* of the hypothesis as shifted so far */
    int64_t
        *align; /* [reference]: the word of the hypothesis before or at which it stands, or -1 */
    int64_t *hypothesis_wrong; /* [hypothesis + 1]: words before it that are wrong */
    int64_t *reference_wrong;  /* [reference + 1] */
    uint32_t *shifted;         /* [hypothesis]: a candidate */
    int64_t candidates;        /* tried so far */
    struct shift best;
    bool found;
};

static void release(struct search *search)
{
    lng_ter_table_release(&search->table);
    lng_free(search->align);
    lng_free(search->hypothesis_wrong);
    lng_free(search->reference_wrong);
    lng_free(search->shifted);
}

static enum lng_status prepare(struct search *search, const struct lng_units *hypothesis,
                               const struct lng_units *reference)
{
    LNG_TRY(lng_ter_table_init(&search->table, hypothesis, reference));
    search->align = lng_alloc(reference->count, sizeof *search->align);
    search->hypothesis_wrong = lng_alloc(hypothesis->count + 1, sizeof(int64_t));
    search->reference_wrong = lng_alloc(reference->count + 1, sizeof(int64_t));
    search->shifted = lng_alloc(hypothesis->count, sizeof *search->shifted);
    return search->align && search->hypothesis_wrong && search->reference_wrong && search->shifted
               ? LNG_OK
               : LNG_ERR_MEMORY;
}

/* Goes back through the table, and notes what stands where and what is wrong. */
static void align(struct search *search)
{
    const struct lng_ter_table *table = &search->table;
    int64_t i = table->words, j = table->reference_words;
    memset(search->hypothesis_wrong, 0, (size_t)(i + 1) * sizeof(int64_t));
    memset(search->reference_wrong, 0, (size_t)(j + 1) * sizeof(int64_t));
    while (i > 0 || j > 0) {
        enum lng_ter_edit edit = lng_ter_table_edit(table, i, j);
        if (edit == LNG_TER_DELETE) {
            search->hypothesis_wrong[i] = 1;
            i--;
            continue;
        }
        search->align[j - 1] = i - 1;
        search->reference_wrong[j] = edit != LNG_TER_KEEP;
        if (edit != LNG_TER_INSERT)
            search->hypothesis_wrong[i--] = edit != LNG_TER_KEEP;
        j--;
    }
    for (i = 0; i < table->words; i++)
        search->hypothesis_wrong[i + 1] += search->hypothesis_wrong[i];
    for (j = 0; j < table->reference_words; j++)
        search->reference_wrong[j + 1] += search->reference_wrong[j];
}

/* Writes `from` with the shift made; [*first, *last) is all that may differ. A target within the block moves it on
 * by as much, up to the end, as Tercom does. */
static void perform(const struct shift *shift, const uint32_t *from, int64_t count, uint32_t *to,
                    int64_t *first, int64_t *last)
{
    int64_t start = shift->start, length = shift->length, target = shift->target;
    int64_t end = start + length, before, middle;
    if (target < start) { /* the block comes first, then what it passes */
        before = target;
        middle = end;
    } else { /* what it passes comes first */
        before = start;
        middle = target > end ? target : length + target;
        if (middle > count)
            middle = count;
    }
    memcpy(to, from, (size_t)count * sizeof *to);
    if (target < start) {
        memcpy(to + target, from + start, (size_t)length * sizeof *to);
        memcpy(to + target + length, from + target, (size_t)(start - target) * sizeof *to);
    } else {
        memcpy(to + start, from + end, (size_t)(middle - end) * sizeof *to);
        memcpy(to + start + middle - end, from + start, (size_t)length * sizeof *to);
    }
    *first = before;
    *last = middle;
}

/* Tercom's ranking: most edits saved, then the longest, the earliest block, the earliest target. */
static bool is_better(const struct shift *a, const struct shift *b)
{
    if (a->gain != b->gain)
        return a->gain > b->gain;
    if (a->length != b->length)
        return a->length > b->length;
    if (a->start != b->start)
        return a->start < b->start;
    return a->target < b->target;
}

static void try_shift(struct search *search, struct shift shift)
{
    int64_t first, last;
    perform(&shift, search->table.hypothesis, search->table.words, search->shifted, &first, &last);
    shift.gain =
        search->table.cost - lng_ter_table_cost_of(&search->table, search->shifted, first, last);
    search->candidates++;
    if (!search->found || is_better(&shift, &search->best)) {
        search->best = shift;
        search->found = true;
    }
}

/* Moves the block of the hypothesis to each place where the same words of the reference stand. */
static void try_block(struct search *search, int64_t start, int64_t reference_start, int64_t length)
{
    const int64_t *wrong = search->hypothesis_wrong, *missed = search->reference_wrong;
    int64_t there = search->align[reference_start], previous = -1;
    if (wrong[start + length] == wrong[start] ||
        missed[reference_start + length] == missed[reference_start])
        return; /* nothing to mend */
    if (there >= start && there < start + length)
        return;
    for (int64_t offset = -1; offset < length; offset++) {
        int64_t at = reference_start + offset, target = 0;
        if (at >= search->table.reference_words)
            break;
        if (at >= 0)
            target = search->align[at] + 1;
        if (target == previous)
            continue;
        previous = target;
        try_shift(search, (struct shift){.start = start, .length = length, .target = target});
    }
}

/* All blocks that both sides have, up to the limits; stops after the block that reaches the limit of candidates. */
static void try_all(struct search *search, const struct lng_units *reference)
{
    const uint32_t *own = search->table.hypothesis;
    int64_t words = search->table.words, reference_words = search->table.reference_words;
    for (int64_t start = 0; start < words; start++) {
        int64_t r = start > MAX_SHIFT_DISTANCE ? start - MAX_SHIFT_DISTANCE : 0;
        for (; r < reference_words && r <= start + MAX_SHIFT_DISTANCE; r++) {
            for (int64_t length = 1; length <= MAX_SHIFT_SIZE && start + length <= words &&
                                     r + length <= reference_words &&
                                     own[start + length - 1] == reference->list[r + length - 1];
                 length++) {
                try_block(search, start, r, length);
                if (search->candidates >= MAX_CANDIDATES)
                    return;
            }
        }
    }
}

enum lng_status lng_ter_edits(const struct lng_units *hypothesis, const struct lng_units *reference,
                              int64_t *edits)
{
    enum { MOST_WORDS = 1 << 30 };
    LNG_FAIL_IF(hypothesis->count > MOST_WORDS || reference->count > MOST_WORDS, LNG_ERR_RANGE,
                "a segment of more than %d words: too long for TER", MOST_WORDS);
    if (reference->count == 0) {
        *edits = (int64_t)hypothesis->count;
        return LNG_OK;
    }
    struct search search = {0};
    int64_t shifts = 0, first, last;
    enum lng_status status = prepare(&search, hypothesis, reference);
    while (status == LNG_OK) {
        align(&search);
        search.found = false;
        try_all(&search, reference);
        /* Past the limit the shift that was found is not made. */
        if (search.candidates >= MAX_CANDIDATES || !search.found || search.best.gain <= 0)
            break;
        perform(&search.best, search.table.hypothesis, search.table.words, search.shifted, &first,
                &last);
        lng_ter_table_set(&search.table, search.shifted, first);
        shifts++;
    }
    if (status == LNG_OK)
        *edits = shifts + search.table.cost;
    release(&search);
    return status;
}
