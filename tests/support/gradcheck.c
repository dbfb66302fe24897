#include "tests/support/gradcheck.h"

#include <criterion/criterion.h>
#include <math.h>

#include "host/base/philox.h"

struct worst {
    size_t index;
    double numeric, analytic, difference;
};

static double central_difference(const struct gradcheck *check, size_t i)
{
    double saved = check->parameters[i];
    double step = (check->step > 0 ? check->step : 1e-5) * fmax(1, fabs(saved));
    double above = saved + step, below = saved - step;
    check->parameters[i] = above;
    double high = check->value(check->context, check->parameters);
    check->parameters[i] = below;
    double low = check->value(check->context, check->parameters);
    check->parameters[i] = saved;
    return (high - low) / (above - below);
}

static size_t chosen(const struct gradcheck *check, const struct gradcheck_part *part, size_t n,
                     size_t chosen_count)
{
    if (chosen_count == part->count)
        return part->first + n;
    struct lng_rng_site site = {check->seed, 0, 1};
    double u =
        lng_philox_uniform(lng_rng_block(site, (uint32_t)part->first, (uint32_t)n, 0, 0).word[0]);
    return part->first + (size_t)(u * (double)part->count);
}

static double check_part(const struct gradcheck *check, const struct gradcheck_part *part)
{
    double tolerance = check->tolerance > 0 ? check->tolerance : 1e-6;
    double negligible = check->negligible > 0 ? check->negligible : 1e-9;
    double error = 0, numeric_norm = 0, analytic_norm = 0, largest = 0;
    struct worst worst = {.difference = -1};
    size_t count = check->sample > 0 && check->sample < part->count ? check->sample : part->count;
    for (size_t n = 0; n < count; n++) {
        size_t i = chosen(check, part, n, count);
        double numeric = central_difference(check, i), analytic = check->analytic[i];
        double difference = fabs(numeric - analytic);
        if (!(difference <= worst.difference))
            worst = (struct worst){i - part->first, numeric, analytic, difference};
        error += difference * difference;
        numeric_norm += numeric * numeric;
        analytic_norm += analytic * analytic;
        largest = fmax(largest, fmax(fabs(numeric), fabs(analytic)));
    }
    double norm = sqrt(fmax(numeric_norm, analytic_norm));
    double relative = count == 0 || (norm < negligible && sqrt(error) < negligible)
                          ? 0
                          : fmax(sqrt(error) / norm, worst.difference / largest);
    cr_assert(relative <= tolerance,
              "%s: gradient of %s (%zu of %zu elements, seed %llu): relative error %.3g, limit "
              "%.3g; worst element %zu: numeric %.12g, analytic %.12g",
              check->what, part->name, count, part->count, (unsigned long long)check->seed,
              relative, tolerance, worst.index, worst.numeric, worst.analytic);
    return relative;
}

double gradcheck_run(const struct gradcheck *check)
{
    double largest = 0;
    for (size_t i = 0; i < check->part_count; i++)
        largest = fmax(largest, check_part(check, &check->parts[i]));
    return largest;
}
