/* Work that recurs, as graphs on device cuda, the plugin being the double's EMU_VARIANT (and EMU_CASES searches, 3 at most): the same bits with and
 * without; what cannot be a graph is done all the same, and counted. */
#include "tests/cudaemu/on_double.h"

#include <criterion/criterion.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/decode.h"
#include "kernels/observe.h"
#include "kernels/ops.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"

enum { COUNT = 40, GRAPHS = 64 /* of a device at most, cuda_graph.c */ };

/* y = 2 x + 1 by two operations, and whatever else the test wants. */
struct double_work {
    struct lng_device *device;
    struct lng_view x, y;
    int calls;
    bool reads, allocates, fails, nests;
};

static enum lng_status add_twice(void *context)
{
    struct double_work *work = context;
    struct lng_device *device = work->device;
    float first;
    void *memory;
    work->calls++;
    LNG_TRY(lng_fill(device, &(struct lng_fill_args){.y = work->y, .value = 1}));
    if (work->reads)
        LNG_TRY(lng_device_read(device, &first, work->y.data, sizeof first));
    if (work->allocates) {
        LNG_TRY(lng_device_alloc(device, 64, &memory));
        lng_device_free(device, memory);
    }
    LNG_FAIL_IF(work->fails, LNG_ERR_RANGE, "the work failed");
    if (work->nests) {
        work->nests = false;
        enum lng_status status = lng_device_repeat(device, "inner", 5, add_twice, work);
        work->nests = true;
        LNG_TRY(status);
        LNG_TRY(lng_fill(device, &(struct lng_fill_args){.y = work->y, .value = 1}));
    }
    LNG_TRY(lng_add(device, &(struct lng_add_args){.x = work->x, .y = work->y}));
    return lng_add(device, &(struct lng_add_args){.x = work->x, .y = work->y});
}

static struct lng_view vector(struct lng_device *device)
{
    void *memory;
    check_ok(lng_device_alloc(device, COUNT * sizeof(float), &memory));
    return lng_view_make(memory, LNG_DTYPE_F32, 1, COUNT);
}

static struct double_work begin(const char *device)
{
    struct double_work work = {0};
    check_ok(lng_device_open(device, NULL, &work.device));
    work.x = vector(work.device);
    work.y = vector(work.device);
    return work;
}

static void end(struct double_work *work)
{
    lng_device_free(work->device, work->x.data);
    lng_device_free(work->device, work->y.data);
    lng_device_close(work->device);
}

/* Runs it with a new x and looks at y. */
static void repeat(struct double_work *work, int key, float x)
{
    float values[COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = x + (float)i;
    check_ok(lng_device_write(work->device, work->x.data, values, sizeof values));
    check_ok(lng_device_repeat(work->device, &key, sizeof key, add_twice, work));
    check_ok(lng_device_read(work->device, values, work->y.data, sizeof values));
    for (int i = 0; i < COUNT; i++)
        cr_assert(values[i] == 2 * (x + (float)i) + 1, "%d: %g", i, (double)values[i]);
}

static void expect(const struct double_work *work, int plain, int recorded, int replayed,
                   int refused)
{
    struct lng_repeat_stats s = lng_device_repeat_stats(work->device);
    cr_assert(s.plain == plain && s.recorded == recorded && s.replayed == replayed &&
                  s.refused == refused,
              "%d plain, %d recorded, %d replayed, %d refused", (int)s.plain, (int)s.recorded,
              (int)s.replayed, (int)s.refused);
}

Test(graphs, follow_the_memory)
{
    struct double_work work = begin("cuda");
    for (int i = 0; i < 5; i++)
        repeat(&work, 1, (float)i);
    expect(&work, 1, 1, 3, 0);
    cr_assert_eq(work.calls, 2);
    end(&work);
}

Test(graphs, can_be_switched_off)
{
    static const char *const settings[][2] = {{"LNG_CUDA_GRAPHS", "0"}, {"LNG_CUDA_SYNC", "1"}};
    for (int s = 0; s < 2; s++) {
        setenv(settings[s][0], settings[s][1], 1);
        struct double_work work = begin("cuda");
        for (int i = 0; i < 4; i++)
            repeat(&work, 1, (float)i);
        expect(&work, 4, 0, 0, 0);
        end(&work);
        unsetenv(settings[s][0]);
    }
    struct double_work work = begin("cpu");
    cr_assert(!lng_device_repeats(work.device));
    for (int i = 0; i < 4; i++)
        repeat(&work, 1, (float)i);
    expect(&work, 4, 0, 0, 0);
    end(&work);
}

/* As many keys as there is room for; one more, in turn, and none ever comes back in time. */
Test(graphs, are_bounded)
{
    struct double_work work = begin("cuda");
    for (int turn = 0; turn < 3; turn++)
        for (int key = 0; key < GRAPHS; key++)
            repeat(&work, key, (float)turn);
    expect(&work, GRAPHS, GRAPHS, GRAPHS, 0);
    for (int turn = 0; turn < 2; turn++)
        for (int key = 0; key <= GRAPHS; key++)
            repeat(&work, 1000 + key, (float)turn);
    expect(&work, GRAPHS + 2 * (GRAPHS + 1), GRAPHS, GRAPHS, 0);
    end(&work);
}

/* Any block that is given back may be one of the graph's. */
Test(graphs, go_with_the_memory)
{
    struct double_work work = begin("cuda");
    for (int i = 0; i < 3; i++)
        repeat(&work, 1, (float)i);
    lng_device_free(work.device, work.x.data);
    work.x = vector(work.device);
    for (int i = 0; i < 3; i++)
        repeat(&work, 1, (float)i);
    expect(&work, 2, 2, 2, 0);
    end(&work);
}

Test(graphs, are_not_made_of_what_waits_or_allocates)
{
    struct double_work work = begin("cuda");
    work.reads = true;
    for (int i = 0; i < 4; i++)
        repeat(&work, 1, (float)i);
    expect(&work, 4, 0, 0, 1);
    work.reads = false;
    for (int i = 0; i < 3; i++)
        repeat(&work, 2, (float)i);
    expect(&work, 5, 1, 1, 1);
    work.allocates = true;
    for (int i = 0; i < 3; i++)
        repeat(&work, 3, (float)i);
    expect(&work, 8, 1, 1, 1); /* it frees, too: its key is new each time */
    end(&work);
}

struct product {
    struct lng_device *device;
    struct lng_linear_fwd_args args;
};
static enum lng_status multiply(void *context)
{
    struct product *product = context;
    return lng_linear_fwd(product->device, &product->args);
}

/* Scratch memory that has to grow while the work is captured. */
Test(graphs, are_not_made_of_what_needs_more_scratch)
{
    enum { ROWS = 300, WIDE = 64 };
    struct double_work work = begin("cuda");
    struct lng_weight *weight;
    void *memory[3];
    check_ok(lng_device_alloc(work.device, WIDE * WIDE * sizeof(float), &memory[0]));
    check_ok(lng_device_alloc(work.device, ROWS * WIDE * sizeof(float), &memory[1]));
    check_ok(lng_device_alloc(work.device, ROWS * WIDE * sizeof(float), &memory[2]));
    struct lng_view master = lng_view_make(memory[0], LNG_DTYPE_F32, WIDE, WIDE);
    check_ok(lng_weight_prepare(work.device, master, LNG_DTYPE_BF16, 0, &weight));
    struct product product = {work.device,
                              {.x = lng_view_make(memory[1], LNG_DTYPE_F32, 1, WIDE),
                               .weight = weight,
                               .y = lng_view_make(memory[2], LNG_DTYPE_F32, 1, WIDE)}};
    for (int i = 0; i < 4; i++) {
        check_ok(lng_device_repeat(work.device, "product", 7, multiply, &product));
        product.args.x.rows = product.args.y.rows = ROWS; /* the key lies, once */
    }
    struct lng_repeat_stats s = lng_device_repeat_stats(work.device);
    cr_assert(s.refused == 1 && s.plain == 3 && s.recorded == 1,
              "%d refused, %d plain, %d recorded", (int)s.refused, (int)s.plain, (int)s.recorded);
    lng_weight_release(work.device, weight);
    for (int i = 0; i < 3; i++)
        lng_device_free(work.device, memory[i]);
    end(&work);
}

/* The copy of a bias is of what it holds after a refresh, in a graph that was recorded before too. */
Test(graphs, follow_a_refreshed_bias)
{
    enum { WIDE = 16 };
    struct double_work work = begin("cuda");
    struct lng_weight *weight;
    void *memory[4]; /* weight, bias, x, y: x is 0, so y is the bias */
    const size_t sizes[] = {WIDE * WIDE * sizeof(float), WIDE * sizeof(float), WIDE * 2, WIDE * 2};
    static const float zeros[WIDE * WIDE];
    uint16_t got[WIDE], expected[] = {0x3F80, 0x4000}; /* 1 and 2 in bf16 */
    for (int i = 0; i < 4; i++) {
        check_ok(lng_device_alloc(work.device, sizes[i], &memory[i]));
        check_ok(lng_device_write(work.device, memory[i], zeros, sizes[i]));
    }
    struct lng_view master = lng_view_make(memory[0], LNG_DTYPE_F32, WIDE, WIDE);
    check_ok(lng_weight_prepare(work.device, master, LNG_DTYPE_BF16, 0, &weight));
    struct product product = {work.device,
                              {.x = lng_view_make(memory[2], LNG_DTYPE_BF16, 1, WIDE),
                               .weight = weight,
                               .bias = lng_view_make(memory[1], LNG_DTYPE_F32, 1, WIDE),
                               .y = lng_view_make(memory[3], LNG_DTYPE_BF16, 1, WIDE)}};
    for (int round = 0; round < 2; round++) {
        float bias[WIDE];
        for (int i = 0; i < WIDE; i++)
            bias[i] = (float)(round + 1);
        check_ok(lng_device_write(work.device, memory[1], bias, sizeof bias));
        check_ok(round == 0 ? lng_weight_refresh(work.device, weight)
                            : lng_weights_refresh(work.device, &weight, 1));
        for (int i = 0; i < 3; i++)
            check_ok(lng_device_repeat(work.device, "biased", 6, multiply, &product));
        check_ok(lng_device_read(work.device, got, memory[3], sizeof got));
        for (int i = 0; i < WIDE; i++)
            cr_assert(got[i] == expected[round], "round %d: %x", round, (unsigned)got[i]);
    }
    struct lng_repeat_stats s = lng_device_repeat_stats(work.device);
    cr_assert(s.recorded == 1 && s.replayed == 4, "%d recorded, %d replayed", (int)s.recorded,
              (int)s.replayed);
    lng_weight_release(work.device, weight);
    for (int i = 0; i < 4; i++)
        lng_device_free(work.device, memory[i]);
    end(&work);
}

Test(graphs, leave_failures_to_the_work)
{
    struct double_work work = begin("cuda");
    int key = 1;
    work.fails = true;
    for (int i = 0; i < 3; i++)
        check_fails(lng_device_repeat(work.device, &key, sizeof key, add_twice, &work),
                    LNG_ERR_RANGE, "the work failed");
    expect(&work, 3, 0, 0, 1);
    work.fails = false;
    repeat(&work, 2, 3);
    char long_key[LNG_REPEAT_KEY + 1] = {0};
    check_fails(lng_device_repeat(work.device, long_key, sizeof long_key, add_twice, &work),
                LNG_ERR_SHAPE, "at most 768 bytes, found 769");
    check_ok(lng_device_repeat(work.device, long_key, sizeof long_key - 1, add_twice, &work));
    end(&work);
}

Test(graphs, may_be_asked_for_within_each_other)
{
    struct double_work work = begin("cuda");
    work.nests = true;
    for (int i = 0; i < 4; i++)
        repeat(&work, 1, (float)i);
    expect(&work, 2, 1, 2, 0); /* the inner one is a part of the outer, but for its first time */
    end(&work);
}

static enum lng_status see(void *context, struct lng_device *device, const struct lng_op_call *call)
{
    (void)device;
    *(int *)context += call->count > 0;
    return LNG_OK;
}

Test(graphs, hide_nothing_from_an_observer)
{
    struct double_work work = begin("cuda");
    int seen = 0;
    struct lng_op_observer observer = {see, &seen};
    for (int i = 0; i < 3; i++)
        repeat(&work, 1, (float)i);
    lng_device_observe(work.device, &observer);
    repeat(&work, 1, 3);
    cr_assert_eq(seen, 3);
    lng_device_observe(work.device, NULL);
    repeat(&work, 1, 4);
    expect(&work, 2, 1, 2, 0);
    end(&work);
}

/* A device that is lost while a graph runs says so, as ever. */
Test(graphs, lose_a_device_loudly)
{
    setenv("LNG_CUDAEMU_FATAL_LAUNCH", "11", 1);
    struct double_work work = begin("cuda");
    int key = 1;
    enum lng_status status = LNG_OK;
    for (int i = 0; i < 6 && status == LNG_OK; i++) {
        status = lng_device_repeat(work.device, &key, sizeof key, add_twice, &work);
        if (status == LNG_OK)
            status = lng_device_sync(work.device);
    }
    cr_assert_eq(status, LNG_ERR_DEVICE);
    cr_assert(strstr(lng_error_message(), "cudaErrorIllegalAddress"), "%s", lng_error_message());
    end(&work);
}

/* ---- the search ---- */

enum { SENTENCES = 12, LONGEST = 40 };

struct found {
    int32_t tokens[SENTENCES][2][LONGEST];
    float logprobs[SENTENCES][2][LONGEST];
    float weights[SENTENCES][2];
    double scores[SENTENCES][2];
};

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct found *found = context;
    for (int i = 0; i < result->count && i < 2; i++) {
        const struct lng_hypothesis *h = &result->hypotheses[i];
        int64_t n = result->index;
        for (int t = 0; t < h->length && t < LONGEST; t++) {
            found->tokens[n][i][t] = h->tokens[t];
            found->logprobs[n][i][t] = h->logprobs[t];
        }
        found->scores[n][i] = h->score;
        found->weights[n][i] = h->weights[0];
    }
    return LNG_OK;
}

static struct lng_search_stats search_on(const char *device_name, bool pre_norm, int beam,
                                         int at_once, struct found *found)
{
    struct lng_device *device;
    struct lng_model model;
    struct lng_hparams h = tiny_hparams();
    struct tiny_corpus corpus = tiny_corpus_make(SENTENCES, 9, 5);
    struct lng_search_input inputs[SENTENCES] = {{0}};
    struct lng_search *search;
    h.pre_norm = pre_norm;
    check_ok(lng_device_open(device_name, NULL, &device));
    tiny_model_init(&model, device, &h, 7, 1.0f);
    struct lng_search_options options = lng_search_options_default();
    options.beam.beam = beam;
    options.beam.n_best = beam < 2 ? 1 : 2;
    options.beam.max_length = LONGEST - 1;
    options.batch_sentences = at_once;
    options.alignment = true;
    options.workers =
        1; /* two would share out the sentences differently each time, and take other steps */
    check_ok(lng_search_open(&model, &options, &search));
    int longest = 0, shortest = 0;
    for (int i = 0; i < SENTENCES; i++) {
        inputs[i] = (struct lng_search_input){
            .source = corpus.ids + corpus.offsets[i],
            .source_length = corpus.offsets[i + 1] - corpus.offsets[i],
        };
        longest = inputs[i].source_length > inputs[longest].source_length ? i : longest;
        shortest = inputs[i].source_length < inputs[shortest].source_length ? i : shortest;
    }
    memset(found, 0, sizeof *found);
    /* The second run plans anew: no graph of the first may be left. The third goes on with the memory of the
     * second, and with more rows. */
    check_ok(lng_search_run(search, &inputs[shortest], 1, keep, found));
    check_ok(lng_search_run(search, &inputs[longest], 1, keep, found));
    check_ok(lng_search_run(search, inputs, SENTENCES, keep, found));
    struct lng_search_stats stats = lng_search_get_stats(search);
    lng_search_close(search);
    tiny_corpus_release(&corpus);
    lng_model_release(&model);
    lng_device_close(device);
    return stats;
}

Test(graphs, change_no_bit_of_a_search)
{
    static const struct {
        bool pre_norm;
        int beam, at_once;
    } cases[] = {{false, 3, 4}, {true, 1, 0}, {false, 5, 0}};
    static struct found with, without, cpu;
    for (size_t c = 0; c < EMU_CASES; c++) {
        setenv("LNG_CUDA_GRAPHS", "1", 1);
        struct lng_search_stats on =
            search_on("cuda", cases[c].pre_norm, cases[c].beam, cases[c].at_once, &with);
        setenv("LNG_CUDA_GRAPHS", "0", 1);
        struct lng_search_stats off =
            search_on("cuda", cases[c].pre_norm, cases[c].beam, cases[c].at_once, &without);
        (void)search_on("cpu", cases[c].pre_norm, cases[c].beam, cases[c].at_once, &cpu);
        cr_assert(memcmp(&with, &without, sizeof with) == 0, "case %zu", c);
        cr_assert(memcmp(with.tokens, cpu.tokens, sizeof cpu.tokens) == 0, "case %zu", c);
        cr_assert(on.steps == off.steps && on.rows == off.rows);
        cr_assert(on.repeats.plain + on.repeats.recorded + on.repeats.replayed == on.steps);
        cr_assert(on.repeats.refused == 0 && off.repeats.plain == off.steps);
        cr_assert(on.repeats.replayed > on.steps / 2, "case %zu: %d of %d steps", c,
                  (int)on.repeats.replayed, (int)on.steps);
    }
}
