#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/infer/penalties.h"
#include "host/infer/sampling.h"

enum { N = 5 };
static const double p[N] = {0.1, 0.4, 0.05, 0.25, 0.2};

static struct lng_sampling plain(void)
{
    return (struct lng_sampling){.temperature = 1, .top_p = 1, .seed = 1};
}

static int64_t draw(const struct lng_sampling *sampling, double uniform)
{
    float logprobs[N];
    struct lng_sampling_item room[N];
    for (int i = 0; i < N; i++)
        logprobs[i] = (float)log(p[i]);
    return lng_sampling_draw(sampling, logprobs, NULL, N, NULL, uniform, room);
}

/* Shares of the unit interval, in the order of ids. */
Test(sampling, whole_distribution)
{
    struct lng_sampling s = plain();
    const double edges[] = {0.1, 0.5, 0.55, 0.8, 1};
    for (int i = 0; i < N; i++) {
        cr_assert(draw(&s, edges[i] - 0.001) == i);
        cr_assert(i == N - 1 || draw(&s, edges[i] + 0.001) == i + 1);
    }
    cr_assert(draw(&s, 1e-12) == 0 && draw(&s, 1 - 1e-12) == 4);
}

/* Tokens that can come out, as bits. */
static unsigned support(const struct lng_sampling *sampling)
{
    unsigned seen = 0;
    for (int i = 0; i < 2000; i++)
        seen |= 1u << draw(sampling, (i + 0.5) / 2000);
    return seen;
}

Test(sampling, top_k_and_top_p)
{
    struct lng_sampling s = plain();
    cr_assert(support(&s) == 0x1F);
    s.top_k = 1;
    cr_assert(support(&s) == 0x02);
    s.top_k = 3;
    cr_assert(support(&s) == 0x1A);
    s = plain();
    s.top_p = 0.3; /* the first that crosses it is kept */
    cr_assert(support(&s) == 0x02);
    s.top_p = 0.41;
    cr_assert(support(&s) == 0x0A);
    s.top_p = 0.9;
    cr_assert(support(&s) == 0x1B);
    s.top_p = 0.96;
    cr_assert(support(&s) == 0x1F);
    s.top_k = 2; /* first k, then p of those: 0.4 is 0.615 of them */
    s.top_p = 0.61;
    cr_assert(support(&s) == 0x02);
    s.top_p = 0.62;
    cr_assert(support(&s) == 0x0A);
}

/* Squared and renormalised at temperature 0.5: token 1 has 0.16 / 0.275. */
Test(sampling, temperature)
{
    struct lng_sampling s = plain();
    s.temperature = 0.5;
    const double before = 0.01 / 0.275, after = 0.17 / 0.275;
    cr_assert(draw(&s, before - 0.001) == 0 && draw(&s, before + 0.001) == 1);
    cr_assert(draw(&s, after - 0.001) == 1 && draw(&s, after + 0.001) == 2);
    s.temperature = 0.01;
    cr_assert(support(&s) == 0x02);
    s.temperature = 100;
    cr_assert(support(&s) == 0x1F);
}

Test(sampling, lists_and_banned_tokens)
{
    const float logprobs[] = {-1, -1, -INFINITY, -1};
    const int32_t tokens[] = {9, 4, 5, 2};
    uint8_t never[10] = {0};
    struct lng_sampling_item room[4];
    struct lng_sampling s = plain();
    cr_assert(lng_sampling_draw(&s, logprobs, tokens, 4, never, 0.1, room) == 3, "id 2 is first");
    cr_assert(lng_sampling_draw(&s, logprobs, tokens, 4, never, 0.5, room) == 1);
    cr_assert(lng_sampling_draw(&s, logprobs, tokens, 4, never, 0.9, room) == 0);
    never[4] = never[2] = 1;
    cr_assert(lng_sampling_draw(&s, logprobs, tokens, 4, never, 0.1, room) == 0);
    never[9] = 1;
    cr_assert(lng_sampling_draw(&s, logprobs, tokens, 4, never, 0.1, room) == -1);
    const float nothing[] = {-INFINITY, NAN};
    cr_assert(lng_sampling_draw(&s, nothing, NULL, 2, NULL, 0.1, room) == -1);
}

/* Top p of many tokens is the same whether light ones were left unsorted or not. */
Test(sampling, top_p_of_many)
{
    enum { MANY = 3000 };
    static float logprobs[MANY];
    static struct lng_sampling_item room[MANY];
    double sum = 0;
    for (int i = 0; i < MANY; i++) {
        logprobs[i] = -0.01f * (float)((i * 977) % MANY);
        sum += exp((double)logprobs[i]);
    }
    struct lng_sampling s = plain();
    s.top_p = 0.9;
    double kept = 0;
    int count = 0; /* of ranks 0, 1, 2, ...: rank r has log p -0.01 r */
    while (kept < 0.9 * sum)
        kept += exp((double)(-0.01f * (float)count++));
    for (int i = 0; i < 400; i++) {
        int64_t at = lng_sampling_draw(&s, logprobs, NULL, MANY, NULL, (i + 0.5) / 400, room);
        cr_assert((at * 977) % MANY < count, "rank %d of %d", (int)(at * 977) % MANY, count);
    }
}

Test(sampling, numbers_depend_on_all_they_are_for)
{
    double u = lng_sampling_uniform(1, 2, 3, 4), sum = 0, squares = 0;
    cr_assert(u == lng_sampling_uniform(1, 2, 3, 4));
    cr_assert(u != lng_sampling_uniform(9, 2, 3, 4) && u != lng_sampling_uniform(1, 9, 3, 4));
    cr_assert(u != lng_sampling_uniform(1, 2, 9, 4) && u != lng_sampling_uniform(1, 2, 3, 9));
    cr_assert(u != lng_sampling_uniform(1 + (1ull << 40), 2, 3, 4));
    cr_assert(u != lng_sampling_uniform(1, 2 + (1ull << 40), 3, 4));
    for (uint32_t i = 0; i < 20000; i++) {
        double x = lng_sampling_uniform(7, 1ull << 63 | i / 100, i % 100, 0);
        cr_assert(x > 0 && x < 1);
        sum += x;
        squares += x * x;
    }
    cr_assert(fabs(sum / 20000 - 0.5) < 0.01 && fabs(squares / 20000 - 1.0 / 3) < 0.01);
}

/* ---- penalties ---- */

static void expect_ngrams(const int32_t *tokens, int32_t length, int32_t n, const int32_t *want,
                          int32_t count)
{
    int32_t out[16];
    cr_assert(lng_repeated_ngrams(tokens, length, n, out) == count, "n %d, length %d", n, length);
    cr_assert(count == 0 || memcmp(out, want, (size_t)count * sizeof *want) == 0);
}

Test(penalties, repeated_ngrams)
{
    const int32_t t[] = {5, 6, 7, 5, 6, 8, 5, 6};
    expect_ngrams(t, 8, 3, (const int32_t[]){7, 8}, 2);
    expect_ngrams(t, 8, 2, (const int32_t[]){7, 8}, 2);
    expect_ngrams(t, 8, 4, NULL, 0);
    expect_ngrams(t, 7, 2, (const int32_t[]){6, 6}, 2);
    expect_ngrams(t, 3, 1, (const int32_t[]){5, 6, 7}, 3);
    expect_ngrams(t, 0, 1, NULL, 0);
    expect_ngrams(t, 1, 2, NULL, 0);
    expect_ngrams((const int32_t[]){4, 4, 4}, 3, 2, (const int32_t[]){4, 4}, 2);
    expect_ngrams(t, 8, 1 << 30, NULL, 0);
}

Test(penalties, coverage)
{
    const float cover[] = {0.5f, 1, 1.5f, 0.25f};
    cr_assert(fabs(lng_coverage_penalty(0.4, cover, 4) - 0.4 * log(0.125)) < 1e-12);
    cr_assert(lng_coverage_penalty(0.4, cover + 1, 2) == 0);
    const float none[] = {0};
    cr_assert(isfinite(lng_coverage_penalty(1, none, 1)) && lng_coverage_penalty(1, none, 1) < -80);
}
