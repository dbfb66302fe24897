/* Every operation on every device against ref, from ops.def: an operation without a case
 * (tests/support/parity_*.c) does not link, one without a row in `operations` does not compile.
 *
 *   LNG_PARITY_DEVICE=cuda   another device than the forms of the cpu
 *   LNG_PARITY_OP=norm_fwd   one operation       LNG_PARITY_SEED=7   one seed
 *   LNG_PARITY_SEEDS=200     as many seeds       LNG_PARITY_REPORT=1 print every difference */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/parity.h"

/* Which limits an operation has, and in which types of weights it exists. */
enum { REAL_ONLY, TRAINING, INFERENCE, KEPT_ROWS /* of weights, where the device has such */ };
static const struct {
    enum parity_class class;
    int weights;
    bool activations; /* it reads or writes activations, so bf16 ones too (products only where the
                         device itself stores such) */
} operations[] = {
#define ROW_embed_fwd                 \
    {                                 \
        PARITY_EMBED, REAL_ONLY, true \
    }
#define ROW_embed_bwd                 \
    {                                 \
        PARITY_EMBED, REAL_ONLY, true \
    }
#define ROW_linear_fwd                 \
    {                                  \
        PARITY_LINEAR, INFERENCE, true \
    }
#define ROW_linear_bwd                \
    {                                 \
        PARITY_LINEAR, TRAINING, true \
    }
#define ROW_norm_fwd                 \
    {                                \
        PARITY_NORM, REAL_ONLY, true \
    }
#define ROW_norm_bwd                 \
    {                                \
        PARITY_NORM, REAL_ONLY, true \
    }
#define ROW_norm_linear_fwd                 \
    {                                       \
        PARITY_NORM_LINEAR, INFERENCE, true \
    }
#define ROW_attention_fwd                 \
    {                                     \
        PARITY_ATTENTION, REAL_ONLY, true \
    }
#define ROW_attention_bwd                 \
    {                                     \
        PARITY_ATTENTION, REAL_ONLY, true \
    }
#define ROW_attention_step                \
    {                                     \
        PARITY_ATTENTION, REAL_ONLY, true \
    }
#define ROW_attention_weights             \
    {                                     \
        PARITY_ATTENTION, REAL_ONLY, true \
    }
#define ROW_attention_guide               \
    {                                     \
        PARITY_ATTENTION, REAL_ONLY, true \
    }
#define ROW_activation_fwd                 \
    {                                      \
        PARITY_ACTIVATION, REAL_ONLY, true \
    }
#define ROW_activation_bwd                 \
    {                                      \
        PARITY_ACTIVATION, REAL_ONLY, true \
    }
#define ROW_loss                     \
    {                                \
        PARITY_LOSS, REAL_ONLY, true \
    }
#define ROW_pair_loss                     \
    {                                     \
        PARITY_PAIR_LOSS, REAL_ONLY, true \
    }
#define ROW_select_logits              \
    {                                  \
        PARITY_LINEAR, KEPT_ROWS, true \
    }
#define ROW_log_probs                  \
    {                                  \
        PARITY_SEARCH, REAL_ONLY, true \
    }
#define ROW_edit_scores               \
    {                                 \
        PARITY_MOVE, REAL_ONLY, false \
    }
#define ROW_candidates                 \
    {                                  \
        PARITY_SEARCH, REAL_ONLY, true \
    }
#define ROW_adam                           \
    {                                      \
        PARITY_OPTIMIZER, REAL_ONLY, false \
    }
#define ROW_gradient_stats                 \
    {                                      \
        PARITY_OPTIMIZER, REAL_ONLY, false \
    }
#define ROW_average                        \
    {                                      \
        PARITY_OPTIMIZER, REAL_ONLY, false \
    }
#define ROW_scale                    \
    {                                \
        PARITY_MOVE, REAL_ONLY, true \
    }
#define ROW_fill                     \
    {                                \
        PARITY_MOVE, REAL_ONLY, true \
    }
#define ROW_copy                     \
    {                                \
        PARITY_MOVE, REAL_ONLY, true \
    }
#define ROW_add                      \
    {                                \
        PARITY_MOVE, REAL_ONLY, true \
    }
#define ROW_gather_rows              \
    {                                \
        PARITY_MOVE, REAL_ONLY, true \
    }
#define ROW_quantize_rows                \
    {                                    \
        PARITY_QUANTIZE, REAL_ONLY, true \
    }
#define ROW_dequantize_rows              \
    {                                    \
        PARITY_QUANTIZE, REAL_ONLY, true \
    }
#define LNG_OP(name) ROW_##name,
#include "kernels/ops.def"
#undef LNG_OP
};

enum operation {
#define LNG_OP(name) OP_##name,
#include "kernels/ops.def"
#undef LNG_OP
};

static const char *const cpu_forms[] = {"cpu", "cpu/avx2", "cpu/base", NULL};

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void compare(const char *device, enum operation op, const char *name,
                    void (*run)(struct parity *), enum lng_dtype compute, enum lng_dtype activation)
{
    const char *only = getenv("LNG_PARITY_SEED");
    uint64_t first = number_from("LNG_PARITY_SEED", 0);
    uint64_t end = only != NULL && *only != '\0' ? first + 1 : number_from("LNG_PARITY_SEEDS", 12);
    if (!parity_supported(device, compute))
        return;
    for (uint64_t seed = first; seed < end; seed++)
        parity_compare(device, name, run, operations[op].class, seed, compute, activation);
}

static void compare_all(enum operation op, const char *name, void (*run)(struct parity *))
{
    const char *only_op = getenv("LNG_PARITY_OP"), *device = getenv("LNG_PARITY_DEVICE");
    const char *chosen[] = {device, NULL};
    if (only_op != NULL && *only_op != '\0' && strcmp(only_op, name) != 0)
        cr_skip_test("LNG_PARITY_OP asks for %s", only_op);
    if (device != NULL && *device != '\0' && !parity_supported(device, LNG_DTYPE_F32))
        cr_skip_test("device %s: %s", device, lng_error_message());
    for (const char *const *d = device != NULL && *device != '\0' ? chosen : cpu_forms; *d != NULL;
         d++) {
        compare(*d, op, name, run, LNG_DTYPE_F32, LNG_DTYPE_F32);
        if (operations[op].activations &&
            (operations[op].weights == REAL_ONLY || operations[op].weights == KEPT_ROWS ||
             parity_stores_bf16(*d)))
            compare(*d, op, name, run, LNG_DTYPE_F32, LNG_DTYPE_BF16);
        if (operations[op].weights == KEPT_ROWS && strncmp(*d, "cpu", 3) != 0)
            continue;
        if (operations[op].weights != REAL_ONLY)
            compare(*d, op, name, run, LNG_DTYPE_BF16, LNG_DTYPE_F32);
        if (operations[op].weights != REAL_ONLY && parity_stores_bf16(*d))
            compare(*d, op, name, run, LNG_DTYPE_BF16, LNG_DTYPE_BF16);
        if (operations[op].weights == INFERENCE || operations[op].weights == KEPT_ROWS)
            compare(*d, op, name, run, LNG_DTYPE_I8, LNG_DTYPE_F32);
    }
}

#define LNG_OP(name)                                       \
    Test(parity, name)                                     \
    {                                                      \
        compare_all(OP_##name, #name, parity_case_##name); \
    }
#include "kernels/ops.def"
#undef LNG_OP
