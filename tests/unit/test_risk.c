/* Risk flags: what each measure says of pairs of texts and tokens. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/infer/risk.h"
#include "tests/support/check.h"

Test(risk, repeats)
{
    static const struct {
        int32_t ids[12];
        size_t count, repeats;
    } cases[] = {
        {{0}, 0, 0},
        {{5}, 1, 1},
        {{1, 2, 3, 4}, 4, 1},
        {{1, 1}, 2, 2},
        {{1, 2, 2, 2, 2, 3}, 6, 4},
        {{1, 2, 1, 2, 1, 2, 1}, 7, 3},
        {{9, 1, 2, 3, 1, 2, 3, 9}, 8, 2},
        {{1, 2, 1, 3, 1, 2, 1, 3, 1, 2, 1, 3}, 12, 3},
        {{7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}, 12, 12},
        {{1, 2, 3, 3, 2, 1}, 6, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert(lng_risk_repeats(cases[i].ids, cases[i].count) == cases[i].repeats,
                  "case %zu: %zu", i, lng_risk_repeats(cases[i].ids, cases[i].count));
    int32_t ids[65 * 3];
    for (int i = 0; i < 65 * 3; i++)
        ids[i] = i % 64;
    cr_assert(lng_risk_repeats(ids, 64 * 3) == 3);
    for (int i = 0; i < 65 * 3; i++)
        ids[i] = i % 65;
    cr_assert(lng_risk_repeats(ids, 65 * 3) == 1, "runs of more than 64 are not looked for");
}

Test(risk, length_ratio)
{
    cr_assert(lng_risk_length_ratio(2, 9) == 1.0, "7 apart is not much");
    cr_assert(lng_risk_length_ratio(2, 10) == 5.0);
    cr_assert(lng_risk_length_ratio(30, 10) == 3.0);
    cr_assert(lng_risk_length_ratio(0, 0) == 1.0);
    cr_assert(lng_risk_length_ratio(0, 20) == 20.0);
}

struct text_case {
    const char *source, *target;
    double copy, numbers, urls;
};

static void check_texts(const struct text_case *cases, size_t count)
{
    struct lng_risk_scratch scratch = {0};
    for (size_t i = 0; i < count; i++) {
        struct lng_risk_values v = {0};
        check_ok(lng_risk_measure_texts(&scratch, lng_slice_of(cases[i].source),
                                        lng_slice_of(cases[i].target), &v));
        cr_assert(fabs(v.values[LNG_RISK_COPY] - cases[i].copy) < 1e-12, "%s: copy %g",
                  cases[i].target, v.values[LNG_RISK_COPY]);
        cr_assert(v.values[LNG_RISK_NUMBERS] == cases[i].numbers, "%s: numbers %g", cases[i].target,
                  v.values[LNG_RISK_NUMBERS]);
        cr_assert(v.values[LNG_RISK_URLS] == cases[i].urls, "%s: urls %g", cases[i].target,
                  v.values[LNG_RISK_URLS]);
    }
    lng_risk_scratch_release(&scratch);
}

Test(risk, copies)
{
    static const struct text_case cases[] = {
        {"", "", 0, 0, 0},
        {"the cat sat here", "the cat sat here", 1, 0, 0},
        {"the cat sat", "the cat sat", 0, 0, 0}, /* three words are a name, maybe */
        {"the cat sat on it", "die Katze sat dort", 0.25, 0, 0},
        {"The Cat Sat There", "the cat sat there", 0, 0, 0},
        {"a, b; c! (d)", "d c b a", 1, 0, 0},
        {"今日は", "今日は", 0, 0, 0},
        {"今日はいい", "今日は良い", 0.8, 0, 0},
        {"привет мир как дела", "привет world how are", 0.25, 0, 0},
        {"cafe\xCC\x81 cafe cafe cafe", "cafe\xCC\x81 x y z", 0.25, 0, 0},
        {"", "a b c d", 0, 0, 0},
        {"a b c d", "", 0, 0, 0},
        /* what is in an address is no word */
        {"see www.a-b-c.org/d/e", "a b c d www.a-b-c.org/d/e", 0, 0, 0},
    };
    check_texts(cases, sizeof cases / sizeof cases[0]);
}

Test(risk, numbers)
{
    static const struct text_case cases[] = {
        {"1,000.50", "1.000,50", 0, 0, 0},
        {"1,000", "1 000", 0, 0, 0},
        {"1000",
         "1\xC2\xA0"
         "000",
         0, 0, 0},
        {"12,345,678", "12'345'678", 0, 0, 0},
        {"3.5", "3,5", 0, 0, 0},
        {"12/24/2026", "24.12.2026", 0, 0, 0},
        {"at 7:30", "um 7.30 Uhr", 0, 0, 0},
        {"12", "21", 0, 2, 0},
        {"12 12", "12", 0, 1, 0},
        {"in 2020 300 people", "300 in 2020", 0, 0, 0},
        {"two", "2", 0, 1, 0},
        {"42", "\xD9\xA4\xD9\xA2", 0, 0, 0},         /* Arabic-Indic */
        {"42", "\xEF\xBC\x94\xEF\xBC\x92", 0, 0, 0}, /* full width */
        {"42", "\xE0\xA5\xAA\xE0\xA5\xA8", 0, 0, 0}, /* Devanagari */
        {"room 7", "Zimmer 8", 0, 2, 0},
        {"1,", "1 ", 0, 0, 0},
        {"1,0000", "1 0000", 0, 0, 0},
    };
    check_texts(cases, sizeof cases / sizeof cases[0]);
}

Test(risk, addresses)
{
    static const struct text_case cases[] = {
        {"see https://a.org/x?y=1.", "siehe https://a.org/x?y=1!", 0, 0, 0},
        {"see https://a.org", "siehe https://b.org", 0, 0, 2},
        {"see www.a.org", "siehe", 0, 0, 1},
        {"mail me@a.org, now", "(me@a.org)", 0, 0, 0},
        {"me@ here", "@me a@b", 0, 0, 0},
        {"http://1.2.3.4/", "x", 0, 0, 1}, /* and its digits are no numbers */
        {"a\xE3\x80\x82https://a.org\xE3\x80\x82", "https://a.org", 0, 0, 0},
        {"://", "www.", 0, 0, 0},
        {"@@@@ :// www", "@.@.", 0, 0, 0},
        {"a@b.c@d.e", "a@b.c@d.e", 0, 0, 0},
    };
    check_texts(cases, sizeof cases / sizeof cases[0]);
}

/* The time grows with the length: each of these would take minutes if it grew with its square. */
Test(risk, long_addresses, .timeout = 20)
{
    static const char *const pieces[] = {"://", "a://", "(www.", "@", "a@b", "://,", "a:// ", "w"};
    struct lng_risk_scratch scratch = {0};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct lng_buffer text = {0};
        struct lng_risk_values values;
        while (text.length < 1000000)
            check_ok(lng_buffer_append_text(&text, pieces[i]));
        struct lng_slice both = {text.data, text.length};
        check_ok(lng_risk_measure_texts(&scratch, both, both, &values));
        cr_assert(values.values[LNG_RISK_URLS] == 0.0, "%s", pieces[i]);
        lng_buffer_release(&text);
    }
    lng_risk_scratch_release(&scratch);
}

/* Bytes that are no UTF-8, and NUL: nothing breaks. */
Test(risk, odd_bytes)
{
    struct lng_risk_scratch scratch = {0};
    struct lng_risk_values v;
    for (unsigned seed = 0; seed < 400; seed++) {
        char bytes[2][64];
        unsigned x = seed * 2654435761u + 1;
        for (int i = 0; i < 128; i++) {
            x = x * 1664525u + 1013904223u;
            static const char some[] = "@w:/.1 ,a9\xE4\xBB\x8A\xFF\x80\xD9\xA4w.";
            bytes[i / 64][i % 64] = some[(x >> 24) % sizeof some];
        }
        check_ok(lng_risk_measure_texts(&scratch, (struct lng_slice){bytes[0], seed % 65},
                                        (struct lng_slice){bytes[1], 64 - seed % 65}, &v));
        cr_assert(v.values[LNG_RISK_COPY] >= 0.0 && v.values[LNG_RISK_COPY] <= 1.0);
    }
    check_ok(lng_risk_measure_texts(&scratch, (struct lng_slice){NULL, 0},
                                    (struct lng_slice){NULL, 0}, &v));
    lng_risk_scratch_release(&scratch);
}

Test(risk, thresholds)
{
    struct lng_risk_options o = lng_risk_options_default();
    struct lng_risk_values v = {.values = {9, 9, 1, 9, 9, 0, 9}};
    lng_risk_judge(&o, &v);
    cr_assert(v.raised == 0, "all are off");
    for (int i = 0; i < LNG_RISK_COUNT; i++)
        o.thresholds[i] = 1.0;
    lng_risk_judge(&o, &v);
    cr_assert(v.raised == (1u << LNG_RISK_COUNT) - 1);
    v.values[LNG_RISK_MARGIN] = NAN;
    v.values[LNG_RISK_NUMBERS] = 0.5;
    lng_risk_judge(&o, &v);
    cr_assert(v.raised ==
              ((1u << LNG_RISK_COUNT) - 1 - (1u << LNG_RISK_MARGIN) - (1u << LNG_RISK_NUMBERS)));
    v.values[LNG_RISK_MARGIN] = 1.0;
    lng_risk_judge(&o, &v);
    cr_assert((v.raised & 1u << LNG_RISK_MARGIN) == 0, "as large as the threshold is large enough");
    cr_assert_str_eq(lng_risk_name(LNG_RISK_LENGTH_RATIO), "length-ratio");
}
