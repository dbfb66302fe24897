/* Models that only infer, against models that hold everything. */
#include <criterion/criterion.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/model/model.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"

enum { SENTENCES = 5, LONGEST = 7 };

/* A whole model's values, as a source. */
struct whole {
    const struct lng_params *params;
    float *values;
    int fail_at; /* the read that fails; 0 = none */
};

static enum lng_status read_whole(void *context, const struct lng_param *param,
                                  struct lng_weight_rows *rows)
{
    struct whole *w = context;
    if (w->fail_at > 0 && --w->fail_at == 0)
        return lng_fail(LNG_ERR_FORMAT, "planted");
    *rows = (struct lng_weight_rows){.dtype = LNG_DTYPE_F32,
                                     .rows = param->rows,
                                     .cols = param->cols,
                                     .values = w->values + param->offset};
    return LNG_OK;
}

static float *logits_of(struct lng_model *model, const struct tiny_corpus *corpus)
{
    const int32_t rows = corpus->offsets[corpus->count];
    struct lng_batch_limits limits = {
        .source_rows = rows, .target_rows = rows, .sentences = corpus->count};
    struct lng_sequences all = {corpus->ids, corpus->offsets, NULL, corpus->count};
    struct lng_workspace *workspace;
    float *logits = lng_alloc((size_t)rows * TINY_V, sizeof *logits);
    check_ok(lng_workspace_open(model, &limits, &workspace));
    check_ok(lng_model_logits(model, workspace, &all, &all, logits));
    lng_workspace_close(workspace);
    return logits;
}

static struct lng_hparams variant(int number)
{
    struct lng_hparams h = tiny_hparams();
    h.tie = (enum lng_tie)(number % 3);
    if (number >= 3)
        h.positions = LNG_POSITIONS_LEARNED;
    return h;
}

/* The same bits in f32 and bf16, on every device, for every way of tying; in less memory on the CPU. */
Test(model_inference, floats_compute_the_same)
{
    static const char *const devices[] = {"cpu", "ref", "ref64"};
    const enum lng_dtype computes[] = {LNG_DTYPE_F32, LNG_DTYPE_BF16};
    struct tiny_corpus corpus = tiny_corpus_make(SENTENCES, LONGEST, 1);
    for (int c = 0; c < 3 * 2 * 6; c++) {
        struct lng_hparams h = variant(c / 6);
        const enum lng_dtype compute = computes[c % 2];
        struct lng_device *device;
        struct lng_model tiny, all, lean;
        check_ok(lng_device_open(devices[c / 2 % 3], NULL, &device));
        if (lng_device_supports(device, compute) != LNG_OK) {
            lng_device_close(device);
            continue;
        }
        tiny_model_init(&tiny, device, &h, 3, 0);
        struct whole whole = {&tiny.params, NULL, 0};
        whole.values = lng_alloc((size_t)tiny.params.total, sizeof *whole.values);
        check_ok(lng_model_get_values(&tiny, whole.values));
        check_ok(lng_model_init(&all, device, &h, compute, false));
        check_ok(lng_model_set_values(&all, whole.values));
        check_ok(lng_model_init_inference(&lean, device, &h, compute,
                                          &(struct lng_param_source){&whole, read_whole}));
        float *want = logits_of(&all, &corpus), *got = logits_of(&lean, &corpus);
        size_t bytes = (size_t)corpus.offsets[corpus.count] * TINY_V * sizeof *got;
        cr_assert(memcmp(want, got, bytes) == 0, "case %d", c);
        if (strcmp(devices[c / 2 % 3], "cpu") == 0)
            cr_assert(lng_model_bytes(&lean) < lng_model_bytes(&all));
        check_fails(lng_model_get_values(&lean, whole.values), LNG_ERR_USAGE, "for inference");
        check_fails(lng_model_set_values(&lean, whole.values), LNG_ERR_USAGE, "for inference");
        check_fails(lng_model_refresh(&lean), LNG_ERR_USAGE, "for inference");
        lng_free(want);
        lng_free(got);
        lng_free(whole.values);
        lng_model_release(&tiny);
        lng_model_release(&all);
        lng_model_release(&lean);
        lng_device_close(device);
    }
    tiny_corpus_release(&corpus);
}

/* int8: the matrices once and nothing else; the CPU computes what ref does. */
Test(model_inference, int8_agrees_with_ref_and_is_held_once)
{
    struct tiny_corpus corpus = tiny_corpus_make(SENTENCES, LONGEST, 2);
    for (int v = 0; v < 6; v++) {
        struct lng_hparams h = variant(v);
        struct lng_device *ref, *cpu;
        struct lng_model tiny, want_model, got_model;
        check_ok(lng_device_open("ref", NULL, &ref));
        check_ok(lng_device_open("cpu", NULL, &cpu));
        tiny_model_init(&tiny, ref, &h, 3, 0);
        struct whole whole = {&tiny.params, NULL, 0};
        whole.values = lng_alloc((size_t)tiny.params.total, sizeof *whole.values);
        check_ok(lng_model_get_values(&tiny, whole.values));
        struct lng_param_source source = {&whole, read_whole};
        check_ok(lng_model_init_inference(&want_model, ref, &h, LNG_DTYPE_I8, &source));
        check_ok(lng_model_init_inference(&got_model, cpu, &h, LNG_DTYPE_I8, &source));
        float *want = logits_of(&want_model, &corpus), *got = logits_of(&got_model, &corpus);
        check_close(got, want, (size_t)corpus.offsets[corpus.count] * TINY_V, 2e-2, 2e-2);
        size_t held = 0; /* q, a scale a row; vectors and positions in f32 */
        for (size_t i = 0; i < tiny.params.count; i++) {
            const struct lng_param *p = &tiny.params.list[i];
            bool floats = p->rows == 1 || p->id == LNG_PARAM_ENCODER_POSITIONS ||
                          p->id == LNG_PARAM_DECODER_POSITIONS;
            const size_t planes = lng_param_is_table(p) ? 2 : 1; /* with what rounding left */
            held += floats ? 4 * (size_t)(p->rows * p->cols)
                           : planes * (size_t)(p->rows * p->cols + 4 * p->rows);
        }
        cr_assert_eq(lng_model_bytes(&want_model), held);
        lng_free(want);
        lng_free(got);
        lng_free(whole.values);
        lng_model_release(&tiny);
        lng_model_release(&want_model);
        lng_model_release(&got_model);
        lng_device_close(ref);
        lng_device_close(cpu);
    }
    tiny_corpus_release(&corpus);
}

/* Whatever cannot be read ends it, and nothing is left. */
Test(model_inference, a_failing_source_is_handed_on)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_device *device;
    struct lng_model tiny, lean;
    check_ok(lng_device_open("cpu", NULL, &device));
    tiny_model_init(&tiny, device, &h, 3, 0);
    struct whole whole = {&tiny.params, NULL, 0};
    whole.values = lng_alloc((size_t)tiny.params.total, sizeof *whole.values);
    struct lng_param_source source = {&whole, read_whole};
    for (int at = 1; at <= (int)tiny.params.count; at++) {
        whole.fail_at = at;
        check_fails(lng_model_init_inference(&lean, device, &h, LNG_DTYPE_I8, &source),
                    LNG_ERR_FORMAT, "planted");
    }
    lng_free(whole.values);
    lng_model_release(&tiny);
    lng_device_close(device);
}
