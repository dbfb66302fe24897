#include "host/infer/risk.h"

#include <math.h>

enum { LONGEST_RUN = 64, FEWEST_TOKENS_APART = 8 };

static const struct {
    const char *name;
    enum { LEAST, BELOW } side;
} risks[] = {
#define LNG_RISK(id, name, option, side, value) {name, side},
#include "host/infer/risk.def"
};

const char *lng_risk_name(enum lng_risk risk)
{
    return risks[risk].name;
}

struct lng_risk_options lng_risk_options_default(void)
{
    return (struct lng_risk_options){0};
}

void lng_risk_judge(const struct lng_risk_options *options, struct lng_risk_values *values)
{
    values->raised = 0;
    for (int i = 0; i < LNG_RISK_COUNT; i++) {
        double value = values->values[i], threshold = options->thresholds[i];
        bool raised = risks[i].side == LEAST ? value >= threshold : value < threshold;
        if (threshold > 0.0 && !isnan(value) && raised)
            values->raised |= 1u << i;
    }
}

size_t lng_risk_repeats(const int32_t *ids, size_t count)
{
    size_t most = count > 0;
    for (size_t period = 1; period <= LONGEST_RUN && 2 * period <= count; period++) {
        size_t equal = 0;
        for (size_t i = period; i < count; i++) {
            equal = ids[i] == ids[i - period] ? equal + 1 : 0;
            size_t times = equal / period + 1;
            most = times > most ? times : most;
        }
    }
    return most;
}

double lng_risk_length_ratio(size_t source_tokens, size_t target_tokens)
{
    size_t longer = source_tokens > target_tokens ? source_tokens : target_tokens;
    size_t shorter = source_tokens > target_tokens ? target_tokens : source_tokens;
    if (longer - shorter < FEWEST_TOKENS_APART)
        return 1.0;
    return (double)longer / (double)(shorter > 0 ? shorter : 1);
}
