#include "kernels/timing.h"

#include "host/base/clock.h"
#include "host/base/mem.h"

/* Of each operation; one without a phase does not compile. */
enum {
    PHASE_embed_fwd = LNG_PHASE_ELEMENTWISE,
    PHASE_embed_bwd = LNG_PHASE_ELEMENTWISE,
    PHASE_linear_fwd = LNG_PHASE_GEMM,
    PHASE_linear_bwd = LNG_PHASE_GEMM,
    PHASE_norm_linear_fwd = LNG_PHASE_GEMM,
    PHASE_norm_fwd = LNG_PHASE_ELEMENTWISE,
    PHASE_norm_bwd = LNG_PHASE_ELEMENTWISE,
    PHASE_attention_fwd = LNG_PHASE_ATTENTION,
    PHASE_attention_bwd = LNG_PHASE_ATTENTION,
    PHASE_attention_step = LNG_PHASE_ATTENTION,
    PHASE_attention_weights = LNG_PHASE_ATTENTION,
    PHASE_attention_guide = LNG_PHASE_ATTENTION,
    PHASE_activation_fwd = LNG_PHASE_ELEMENTWISE,
    PHASE_activation_bwd = LNG_PHASE_ELEMENTWISE,
    PHASE_loss = LNG_PHASE_LOSS,
    PHASE_pair_loss = LNG_PHASE_LOSS,
    PHASE_candidates = LNG_PHASE_SEARCH,
    PHASE_select_logits = LNG_PHASE_SEARCH,
    PHASE_log_probs = LNG_PHASE_SEARCH,
    PHASE_edit_scores = LNG_PHASE_SEARCH,
    PHASE_adam = LNG_PHASE_OPTIMIZER,
    PHASE_gradient_stats = LNG_PHASE_OPTIMIZER,
    PHASE_average = LNG_PHASE_OPTIMIZER,
    PHASE_scale = LNG_PHASE_ELEMENTWISE,
    PHASE_fill = LNG_PHASE_ELEMENTWISE,
    PHASE_copy = LNG_PHASE_ELEMENTWISE,
    PHASE_add = LNG_PHASE_ELEMENTWISE,
    PHASE_gather_rows = LNG_PHASE_ELEMENTWISE,
    PHASE_quantize_rows = LNG_PHASE_ELEMENTWISE,
    PHASE_dequantize_rows = LNG_PHASE_ELEMENTWISE,
};
static const unsigned char phases[] = {
#define LNG_OP(name) PHASE_##name,
#include "kernels/ops.def"
#undef LNG_OP
};

enum lng_phase lng_phase_of(enum lng_op_number op)
{
    return (enum lng_phase)phases[op];
}

const char *lng_phase_name(enum lng_phase phase)
{
    static const char *const names[] = {
#define NAME(id, name) name,
        LNG_PHASES(NAME)
#undef NAME
    };
    return names[phase];
}

enum { PAIRS = LNG_TIMER_MARKS / 2 };
struct lng_timer {
    struct lng_phase_times times;
    size_t pairs; /* of marks, not yet in times */
    int depth;
    void *marks;                   /* the backend's */
    double clock[LNG_TIMER_MARKS]; /* without a backend's */
    unsigned char phase[PAIRS];
};

static enum lng_status mark(struct lng_device *device, size_t number)
{
    struct lng_timer *timer = device->timer;
    if (device->backend->mark != NULL)
        return device->backend->mark(device, &timer->marks, number);
    timer->clock[number] = lng_clock();
    return LNG_OK;
}

/* Marks become times. */
static enum lng_status fold(struct lng_device *device)
{
    struct lng_timer *timer = device->timer;
    for (size_t i = 0; i < timer->pairs; i++) {
        double seconds = timer->clock[2 * i + 1] - timer->clock[2 * i];
        if (device->backend->mark != NULL)
            LNG_TRY(device->backend->between(device, timer->marks, 2 * i, 2 * i + 1, &seconds));
        timer->times.seconds[timer->phase[i]] += seconds;
        timer->times.calls[timer->phase[i]]++;
    }
    timer->pairs = 0;
    return LNG_OK;
}

enum lng_status lng_timer_begun(struct lng_device *device)
{
    struct lng_timer *timer = device->timer;
    if (timer->depth == 0) {
        if (timer->pairs == PAIRS)
            LNG_TRY(fold(device));
        LNG_TRY(mark(device, 2 * timer->pairs));
    }
    timer->depth++;
    return LNG_OK;
}

enum lng_status lng_timer_done(struct lng_device *device, enum lng_phase phase,
                               enum lng_status status)
{
    struct lng_timer *timer = device->timer;
    if (--timer->depth > 0 || status != LNG_OK)
        return status;
    LNG_TRY(mark(device, 2 * timer->pairs + 1));
    timer->phase[timer->pairs++] = (unsigned char)phase;
    return LNG_OK;
}

enum lng_status lng_device_time_begin(struct lng_device *device)
{
    LNG_FAIL_IF(device->timer != NULL, LNG_ERR_USAGE, "device %s is being timed already",
                lng_device_name(device));
    device->timer = lng_alloc(1, sizeof *device->timer);
    return device->timer != NULL ? LNG_OK : LNG_ERR_MEMORY;
}

void lng_timer_close(struct lng_device *device)
{
    struct lng_timer *timer = device->timer;
    if (timer != NULL && timer->marks != NULL)
        device->backend->marks_release(device, timer->marks);
    lng_free(timer);
    device->timer = NULL;
}

enum lng_status lng_device_time_end(struct lng_device *device, struct lng_phase_times *times)
{
    struct lng_timer *timer = device->timer;
    LNG_FAIL_IF(timer == NULL, LNG_ERR_USAGE, "device %s is not being timed",
                lng_device_name(device));
    enum lng_status status = fold(device);
    if (status == LNG_OK)
        *times = timer->times;
    lng_timer_close(device);
    return status;
}
