/* lingster eval, from outside. Values are sacreBLEU 2.6's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "tests/support/program.h"
#include "tests/support/scratch.h"

static const char *write_text(const char *name, const char *text)
{
    return scratch_write(name, text, strlen(text));
}

/* lingster eval --hypothesis FILE --reference FILE [more]; the files hold these texts. */
static void eval(struct program *p, const char *hypothesis, const char *reference,
                 const char *const *more)
{
    const char *arguments[16] = {"eval", "--hypothesis", write_text("hyp", hypothesis),
                                 "--reference", write_text("ref", reference)};
    for (int i = 0; more != NULL && more[i] != NULL; i++)
        arguments[5 + i] = more[i];
    program_run_arguments(p, arguments, NULL, 0, NULL);
}

#define VERSION "version:2.6.0-compatible:lingster-" LNG_VERSION

static const struct {
    const char *hypothesis, *reference, *options[4], *out;
} good[] = {
    {"The cat sat on the mat.\n",
     "The cat is on the mat.\n",
     {NULL},
     "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|" VERSION
     " = 48.89 85.7/66.7/40.0/25.0 (BP = 1.000 ratio = 1.000 hyp_len = 7 ref_len = 7)\n"
     "chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|" VERSION " = 67.17\n"},
    {"The cat sat on the mat.\n",
     "The cat is on the mat.",
     {"--metrics", "chrf++"},
     "chrF2++|nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|" VERSION " = 69.44\n"},
    {"a x b y c z\r\n",
     "a b c d e f\n",
     {"--metrics", "bleu,bleu", "--tokenize", "none"},
     "BLEU|nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|" VERSION
     " = 10.68 50.0/10.0/6.2/4.2 (BP = 1.000 ratio = 1.000 hyp_len = 6 ref_len = 6)\n"},
    {"\xE6\x97\xA5\xE6\x9C\xAC\n",
     "\xE6\x97\xA5\xE6\x9C\xAC\n",
     {"--metrics", "bleu", "--tokenize", "char"},
     "BLEU|nrefs:1|case:mixed|eff:no|tok:char|smooth:exp|" VERSION
     " = 0.00 100.0/100.0/0.0/0.0 (BP = 1.000 ratio = 1.000 hyp_len = 2 ref_len = 2)\n"},
    {"The Cat sat.\n",
     "the cat sat.\n",
     {"--metrics", "bleu", "--lowercase", "--tokenize=intl"},
     "BLEU|nrefs:1|case:lc|eff:no|tok:intl|smooth:exp|" VERSION
     " = 100.00 100.0/100.0/100.0/100.0 (BP = 1.000 ratio = 1.000 hyp_len = 4 ref_len = 4)\n"},
    /* One shift of two words, and an article left out. */
    {"on the mat sat a cat\n",
     "The cat sat on the mat\n",
     {"--metrics", "ter", "--width", "4"},
     "TER|nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|" VERSION " = 50.0000\n"},
    {"a b\nc\n",
     "a c\nc\n",
     {"--metrics", "token-accuracy,f1"},
     "token-accuracy = 66.67 (in place = 2 of 3)\n"
     "F1 = 66.67 (precision = 66.67 recall = 66.67)\n"},
    {"a b c d\nx\n",
     "a b c d\ny\n",
     {"--sentence-level", "--metrics", "bleu,wer"},
     "100.00\t0.00\n0.00\t100.00\n"},
    {"a b c d\nx\n",
     "a b c d\ny\n",
     {"--sentence-level", "--json", "--metrics=wer"},
     "{\"wer\":0.0}\n{\"wer\":100.0}\n"},
    /* One word of four is wrong, in one of its letters; one segment of two is right. */
    {"k a\nt b\n",
     "k a\nt p\n",
     {"--metrics", "sentence-accuracy,cer,wer"},
     "sentence-accuracy = 50.00 (exact = 1 segments = 2)\n"
     "CER = 16.67 (edits = 1 characters = 6)\n"
     "WER = 25.00 (edits = 1 words = 4)\n"},
    {"\n",
     "a\n",
     {"--metrics", "bleu,wer"},
     "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|" VERSION
     " = 0.00 0.0/0.0/0.0/0.0 (BP = 0.000 ratio = 0.000 hyp_len = 0 ref_len = 1)\n"
     "WER = 100.00 (edits = 1 words = 1)\n"},
};
ParameterizedTestParameters(eval, scores)
{
    static int index[sizeof good / sizeof good[0]];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        index[i] = (int)i;
    return cr_make_param_array(int, index, sizeof good / sizeof good[0]);
}
ParameterizedTest(int *index, eval, scores)
{
    scratch_make();
    const char *options[5] = {NULL};
    memcpy(options, good[*index].options, sizeof good[*index].options);
    struct program p;
    eval(&p, good[*index].hypothesis, good[*index].reference, options);
    cr_assert(p.status == 0 && p.err_length == 0, "%s", p.err);
    cr_assert_str_eq(p.out, good[*index].out);
    program_release(&p);
    scratch_remove();
}

Test(eval, several_references_and_standard_input)
{
    scratch_make();
    const char *one = write_text("one", "a b c d\n"), *two = write_text("two", "a b c d e f\n");
    const char *arguments[] = {"eval", "--hypothesis", "-",    "--reference", one, "--reference",
                               two,    "--metrics",    "bleu", NULL};
    struct program p;
    program_run_arguments(&p, arguments, "a b c d e\n", 10, NULL);
    cr_assert(p.status == 0, "%s", p.err);
    cr_assert(strncmp(p.out, "BLEU|nrefs:2|", 13) == 0, "%s", p.out);
    cr_assert(strstr(p.out, "hyp_len = 5 ref_len = 4)"), "the shorter of two as near: %s", p.out);
    program_release(&p);
    scratch_remove();
}

Test(eval, json)
{
    scratch_make();
    struct program p;
    const char *options[] = {"--json", "--metrics", "bleu,chrf,wer", NULL};
    eval(&p, "The cat sat on the mat.\n", "The cat is on the mat.\n", options);
    cr_assert(p.status == 0 && p.err_length == 0, "%s", p.err);
    const char *score = strstr(p.out, "\"score\": ");
    cr_assert(score != NULL && p.out[0] == '{', "%s", p.out);
    double value = strtod(score + 9, NULL);
    cr_assert(value > 48.8923022434 && value < 48.8923022436, "%.12f", value);
    static const char *const parts[] = {
        "\"segments\": 1",
        "\"references\": 1",
        "\"bleu\": {",
        "\"chrf\": {",
        "\"wer\": {",
        "\"signature\": \"nrefs:1|case:mixed|",
        "\"edits\": 1",
        "\"words\": 6",
        "\"precisions\": [",
        "\"ratio\": 1.0",
        "\"hypothesis_length\": 7",
        "\"reference_length\": 7",
        "\"brevity_penalty\"",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        cr_assert(strstr(p.out, parts[i]), "no %s in %s", parts[i], p.out);
    cr_assert(strstr(p.out, "cer") == NULL, "only what was asked for");
    program_release(&p);
    scratch_remove();
}

Test(eval, warns_of_tokens)
{
    static char text[2048];
    scratch_make();
    for (int i = 0; i < 100; i++)
        strcat(text, "It is so .\n");
    struct program p;
    eval(&p, text, text, NULL);
    cr_assert(p.status == 0 && strstr(p.err, "100 lines of "), "%s", p.err);
    cr_assert(strstr(p.err, "looks tokenised") && strstr(p.err, "--tokenize none"), "%s", p.err);
    program_release(&p);
    const char *options[] = {"--tokenize", "none", NULL};
    eval(&p, text, text, options);
    cr_assert(p.status == 0 && p.err_length == 0, "%s", p.err);
    program_release(&p);
    text[strlen(text) - 11] = '\0';
    eval(&p, text, text, NULL);
    cr_assert(p.status == 0 && p.err_length == 0, "99 are too few: %s", p.err);
    program_release(&p);
    scratch_remove();
}

static const struct {
    const char *hypothesis, *reference, *options[2];
    int status;
    const char *part;
} bad[] = {
    {"a\nb\n", "a\n", {NULL}, 1, "hyp has 2 lines, but reference "},
    {"a\n", "a\nb\nc", {NULL}, 1, "ref has 3; line n of both"},
    {"", "a\n", {NULL}, 1, "hyp has 0 lines, but reference "},
    {"", "", {NULL}, 1, "hyp is empty: expected at least one line"},
    {"a\n", "a\n", {"--metrics", "blue"}, 2, "did you mean 'bleu'?"},
    {"a\n", "a\n", {"--metrics", ""}, 2, "--metrics"},
    {"a\n", "a\n", {"--tokenize", "ja-mecab"}, 2, "--tokenize"},
    {"a\n", "a\n", {"--smooth-value", "1"}, 2, "is for --smooth-method floor and add-k"},
    {"a\n", "a\n", {"--smooth-value", "-1"}, 2, "--smooth-value"},
    {"a\n", "a\n", {"--chrf-char-order", "17"}, 2, "--chrf-char-order"},
    {"a\n", "a\n", {"--paired", "bs"}, 2, "give --hypothesis more than once"},
    {"a\n", "a\n", {"--resamples", "10"}, 2, "is for --confidence and --paired"},
    {"a\n", "a\n", {"--sentence-level", "--confidence"}, 2, "is for one system, without"},
    {"a\n", "a\n", {"--hypothesis", "/dev/null"}, 1, "but hypothesis /dev/null has 0"},
    {"a\n", "a\n", {"--reference", "/nonexistent/ref"}, 1, "/nonexistent/ref"},
    {"\x1F\x8B\x08\x00oops", "a\n", {NULL}, 1, "hyp"},
};
ParameterizedTestParameters(eval, bad_input)
{
    static int index[sizeof bad / sizeof bad[0]];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        index[i] = (int)i;
    return cr_make_param_array(int, index, sizeof bad / sizeof bad[0]);
}
ParameterizedTest(int *index, eval, bad_input)
{
    scratch_make();
    const char *options[3] = {bad[*index].options[0], bad[*index].options[1], NULL};
    struct program p;
    eval(&p, bad[*index].hypothesis, bad[*index].reference, options);
    cr_assert(p.status == bad[*index].status, "exit status %d: %s", p.status, p.err);
    cr_assert(p.out_length == 0, "%s", p.out);
    cr_assert(strstr(p.err, bad[*index].part), "%s", p.err);
    program_release(&p);
    scratch_remove();
}

Test(eval, wrong_usage)
{
    struct program p;
    program_run(&p, "eval --hypothesis a", NULL, 0, NULL);
    cr_assert(p.status == 2 && strstr(p.err, "--reference FILE is required"), "%s", p.err);
    program_release(&p);
    program_run(&p, "eval --hypothesis - --reference -", "a\n", 2, NULL);
    cr_assert(p.status == 2 && strstr(p.err, "can be one of the files, not 2"), "%s", p.err);
    program_release(&p);
}

static const char two_lines[] = "The cat sat on the mat.\nIt slept.\n";

/* The same system twice and another one; values are sacreBLEU's. */
Test(eval, several_systems)
{
    scratch_make();
    const char *a = write_text("a", "The cat is on the mat.\nIt slept.\n");
    const char *b = write_text("b", two_lines), *reference = write_text("r", two_lines);
    const char *arguments[] = {"eval",    "--hypothesis", a,         "--hypothesis",
                               b,         "--reference",  reference, "--metrics",
                               "ter,wer", NULL,           NULL,      NULL};
    struct program p;
    program_run_arguments(&p, arguments, NULL, 0, NULL);
    cr_assert(p.status == 0 && p.err_length == 0, "%s", p.err);
    cr_assert(strstr(p.out, "System ") == p.out && strstr(p.out, "/a  12.50  12.50\n"), "%s",
              p.out);
    cr_assert(strstr(p.out, "/b  0.00   0.00\n\nTER|nrefs:1|case:lc|"), "%s", p.out);
    program_release(&p);
    arguments[9] = "--paired=ar";
    arguments[10] = "--json";
    program_run_arguments(&p, arguments, NULL, 0, NULL);
    cr_assert(p.status == 0 && strstr(p.out, "\"systems\": ["), "%s", p.err);
    cr_assert(strstr(p.out, "\"signature\": \"nrefs:1|ar:10000|seed:12345|case:lc|"), "%s", p.out);
    cr_assert(strstr(p.out, "\"p_value\": 1.0") || strstr(p.out, "\"p_value\": 9.99"), "%s", p.out);
    program_release(&p);
    arguments[9] = "--paired=bs";
    arguments[10] = "--resamples=100";
    program_run_arguments(&p, arguments, NULL, 0, NULL);
    cr_assert(p.status == 0 && strstr(p.out, "Baseline: ") && strstr(p.out, " (μ ± 95% CI)"), "%s",
              p.out);
    cr_assert(strstr(p.out, "p: paired bootstrap resampling, 100 resamples, "), "%s", p.out);
    program_release(&p);
    scratch_remove();
}

Test(eval, confidence)
{
    static char text[4096];
    scratch_make();
    for (int i = 0; i < 40; i++)
        strcat(text, i % 3 ? "It is so, is it not?\n" : "It is not so.\n");
    const char *options[] = {"--confidence", "--metrics=wer", "--resamples=200", NULL};
    struct program p;
    eval(&p, text, text, options);
    cr_assert(p.status == 0, "%s", p.err);
    cr_assert_str_eq(p.out, "WER = 0.00 (edits = 0 words = 212)\n", "nothing varies");
    program_release(&p);
    char *half = strdup(text);
    memcpy(half, "ut", 2);
    eval(&p, half, text, options);
    cr_assert(p.status == 0 && strstr(p.out, "WER = 0.47 (μ = 0.4"), "%s", p.out);
    program_release(&p);
    free(half);
    scratch_remove();
}

/* A line of megabytes takes no time in proportion to its square. */
Test(eval, huge_lines)
{
    enum { WORDS = 100000, WORD = 6 };
    char *text = calloc(2, WORDS * WORD + 1), *other = text + WORDS * WORD + 1;
    for (int i = 0; i < WORDS; i++) {
        snprintf(text + i * WORD, WORD + 1, "%05d ", i * 7919 % 30011);
        snprintf(other + i * WORD, WORD + 1, "%05d ", i % 1000 == 500 ? i : i * 7919 % 30011);
    }
    scratch_make();
    const char *options[] = {"--metrics", "bleu,chrf++,ter,f1", "--lowercase", NULL};
    struct program p;
    eval(&p, text, other, options);
    cr_assert(p.status == 0 && p.err_length == 0, "%s", p.err);
    cr_assert(strstr(p.out, "hyp_len = 100000 ref_len = 100000"), "%s", p.out);
    cr_assert(strstr(p.out, "F1 = 99.9"), "%s", p.out);
    program_release(&p);
    scratch_remove();
    free(text);
}

/* Bytes that are no text at all must neither stop the program nor upset it. */
Test(eval, any_bytes)
{
    static char noise[5000];
    unsigned state = 7;
    for (size_t i = 0; i < sizeof noise; i++) {
        state = state * 1103515245u + 12345u;
        noise[i] = (char)(state >> 16);
        if (noise[i] == '\n')
            noise[i] = ' ';
    }
    scratch_make();
    const char *path = scratch_write("noise", noise, sizeof noise);
    const char *arguments[] = {"eval",
                               "--hypothesis",
                               path,
                               "--reference",
                               path,
                               "--metrics",
                               "bleu,chrf,chrf++,ter,wer,cer,sentence-accuracy,token-accuracy,f1",
                               "--lowercase",
                               "--chrf-lowercase",
                               "--tokenize=zh",
                               "--ter-normalized",
                               "--ter-asian-support",
                               NULL};
    struct program p;
    program_run_arguments(&p, arguments, NULL, 0, NULL);
    cr_assert(p.status == 0, "%s", p.err);
    cr_assert(strstr(p.out, "sentence-accuracy = 100.00") && strstr(p.out, " = 100.00 100.0/"),
              "%s", p.out);
    program_release(&p);
    scratch_remove();
}
