/* Do two models compute the same? */
#include <math.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/cli/convert_model.h"
#include "host/model/model.h"
#include "host/store/import.h"

enum {
    SENTENCES = 6,
    LONGEST = 48,
    SEED = 1,
};

/* Random pairs whose ids both models have. */
struct pairs {
    int32_t ids[2][SENTENCES * LONGEST], offsets[2][SENTENCES + 1];
};

static void make_pairs(struct pairs *pairs, int32_t source_size, int32_t target_size)
{
    const int32_t sizes[2] = {source_size, target_size};
    for (uint32_t side = 0; side < 2; side++) {
        int32_t *offsets = pairs->offsets[side];
        offsets[0] = 0;
        for (uint32_t n = 0; n < SENTENCES; n++) {
            struct lng_philox draw = lng_philox4x32(side, n, 0, 0, SEED, 0);
            /* From a token to the longest, so that positions far from the start are seen. */
            int32_t length = n == 0 ? LONGEST : 1 + (int32_t)(draw.word[0] % LONGEST);
            offsets[n + 1] = offsets[n] + length;
            for (int32_t i = 0; i < length; i++) {
                draw = lng_philox4x32(side, n, (uint32_t)i, 1, SEED, 0);
                pairs->ids[side][offsets[n] + i] = (int32_t)(draw.word[0] % (uint32_t)sizes[side]);
            }
        }
    }
}

static enum lng_status compute_logits(const struct lng_model_data *data, const struct pairs *pairs,
                                      struct lng_device *device, float **logits)
{
    struct lng_model model = {0};
    struct lng_workspace *workspace = NULL;
    int64_t rows = pairs->offsets[1][SENTENCES];
    struct lng_sequences source = {pairs->ids[0], pairs->offsets[0], NULL, SENTENCES},
                         target = {pairs->ids[1], pairs->offsets[1], NULL, SENTENCES};
    struct lng_batch_limits limits = {
        .source_rows = pairs->offsets[0][SENTENCES], .target_rows = rows, .sentences = SENTENCES};
    enum lng_status status;
    LNG_TRY(lng_model_init(&model, device, &data->hparams, LNG_DTYPE_F32, false));
    float *made = lng_alloc((size_t)(rows * data->hparams.target_vocab), sizeof *made);
    LNG_GOTO_FAIL_IF(made == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
    LNG_TRY_OR_FAIL(lng_model_set_values(&model, data->values));
    LNG_TRY_OR_FAIL(lng_model_reserve_positions(&model, LONGEST));
    LNG_TRY_OR_FAIL(lng_workspace_open(&model, &limits, &workspace));
    LNG_TRY_OR_FAIL(lng_model_logits(&model, workspace, &source, &target, made));
    *logits = made;
    made = NULL;
fail:
    lng_free(made);
    lng_workspace_close(workspace);
    lng_model_release(&model);
    return status;
}

/* The smaller size when one has a <pad> at its end that the other has not; -1: they do not fit. */
static int32_t common_size(int32_t a, int32_t b)
{
    return a == b || a == b + 1 || b == a + 1 ? (a < b ? a : b) : -1;
}

static double compare(const float *a, int64_t a_stride, const float *b, int64_t b_stride,
                      int64_t rows, int64_t cols)
{
    double squares = 0, differences = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < cols; v++) {
            double x = a[r * a_stride + v], y = b[r * b_stride + v];
            if (x < LNG_IMPORT_NEVER / 2 || y < LNG_IMPORT_NEVER / 2)
                continue;
            squares += x * x;
            differences += (x - y) * (x - y);
        }
    /* Not a number is as far away as can be. */
    double found = differences == 0 ? 0 : differences / squares;
    return found >= 0 ? found : INFINITY;
}

enum lng_status lng_convert_difference(const struct lng_model_data *a,
                                       const struct lng_model_data *b, double *difference)
{
    struct pairs pairs;
    struct lng_device *device = NULL;
    float *logits[2] = {NULL, NULL};
    enum lng_status status;
    int32_t source = common_size(a->hparams.source_vocab, b->hparams.source_vocab);
    int32_t target = common_size(a->hparams.target_vocab, b->hparams.target_vocab);
    LNG_FAIL_IF(source < 1 || target < 1, LNG_ERR_MISMATCH,
                "vocabularies of %d and %d entries became %d and %d", a->hparams.source_vocab,
                a->hparams.target_vocab, b->hparams.source_vocab, b->hparams.target_vocab);
    make_pairs(&pairs, source, target);
    LNG_TRY(lng_device_open("cpu", NULL, &device));
    LNG_TRY_OR_FAIL(compute_logits(a, &pairs, device, &logits[0]));
    LNG_TRY_OR_FAIL(compute_logits(b, &pairs, device, &logits[1]));
    *difference = compare(logits[0], a->hparams.target_vocab, logits[1], b->hparams.target_vocab,
                          pairs.offsets[1][SENTENCES], target);
fail:
    lng_free(logits[0]);
    lng_free(logits[1]);
    lng_device_close(device);
    return status;
}
