/* lingster translate from outside with samples, alternatives, penalties, ensembles and shortlists. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_folder.h"

/* Random models in the scratch folder: MODEL and OTHER of the words a to p, STRANGE of the words b to q. */
static void setup(void)
{
    scratch_make();
    tiny_folder_write("MODEL", 11, 'a');
    tiny_folder_write("OTHER", 12, 'a');
    tiny_folder_write("STRANGE", 13, 'b');
}

TestSuite(translate_steering, .init = setup, .fini = scratch_remove);

static const char lines[] = "a b c\nd e f g\n\nh i j k l m n o p a b c\nd e f g\n";

/* "translate" with the words, each @ being the scratch folder; the caller releases. */
static struct program run(const char *words, const char *input, int want)
{
    struct program p;
    char all[2048] = "translate --threads 1 ";
    size_t length = strlen(all);
    for (const char *at = words; *at != '\0'; at++)
        length += (size_t)snprintf(all + length, sizeof all - length, *at == '@' ? "%s" : "%.1s",
                                   *at == '@' ? scratch_path("") : at);
    program_run(&p, all, input, strlen(input), NULL);
    cr_assert(p.status == want, "lingster %s: status %d: %s", all, p.status, p.err);
    return p;
}

/* The whole output of two runs is the same, or is not. */
static void expect(const char *a, const char *b, bool same)
{
    struct program x = run(a, lines, 0), y = run(b, lines, 0);
    cr_assert((strcmp(x.out, y.out) == 0) == same, "%s: %s%s: %s", a, x.out, b, y.out);
    program_release(&x);
    program_release(&y);
}

Test(translate_steering, samples)
{
    expect("-m @MODEL --sample --n-best 3", "-m @MODEL --sample --n-best 3 --seed 1", true);
    expect("-m @MODEL --sample --n-best 3",
           "-m @MODEL --sample --n-best 3 --batch-sentences 1 --window 1 --threads 3", true);
    expect("-m @MODEL --sample --n-best 3", "-m @MODEL --sample --n-best 3 --seed 2", false);
    expect("-m @MODEL --sample --sampling-top-k 1", "-m @MODEL --beam-size 1", true);
    expect("-m @MODEL --sample --sampling-top-p 0.000001", "-m @MODEL --beam-size 1", true);
    struct program p = run("-m @MODEL --sample --n-best 3", lines, 0);
    const char *second = strstr(p.out, "\n1 ||| "), *fifth = strstr(p.out, "\n4 ||| ");
    cr_assert(second != NULL && fifth != NULL);
    char head[4000];
    snprintf(head, sizeof head, "%.*s", (int)strcspn(second + 2, "\n"), second + 2);
    cr_assert(strstr(fifth + 2, head) != NULL, "equal lines have equal samples: %s", p.out);
    program_release(&p);
}

Test(translate_steering, alternatives_and_penalties)
{
    struct program p = run("-m @MODEL --alternatives --n-best 3", "a b c\n", 0);
    int count = 0;
    char firsts[4] = {0};
    for (const char *at = p.out; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1)
        firsts[count++ % 3] = at[6];
    cr_assert(count == 3 && firsts[0] != firsts[1] && firsts[0] != firsts[2] &&
                  firsts[1] != firsts[2],
              "%s", p.out);
    program_release(&p);
    expect("-m @MODEL", "-m @MODEL --no-repeat-ngram 100 --repetition-penalty 1", true);
    expect("-m @MODEL --min-length 8", "-m @MODEL --min-length 8 --no-repeat-ngram 1", false);
    expect("-m @MODEL --min-length 8", "-m @MODEL --min-length 8 --repetition-penalty 3", false);
    expect("-m @MODEL --json", "-m @MODEL --json --coverage-penalty 0.5", false);
}

/* A toolkit's own beam size is no matter to samples, and what it leaves out of the sum stays out. */
Test(translate_steering, compat)
{
    expect("-m @MODEL --compat marian --sample --n-best 3",
           "-m @MODEL --compat marian --sample --n-best 3 --batch-sentences 1", true);
    expect("-m @MODEL --compat hf --alternatives --n-best 2",
           "-m @MODEL --compat hf --alternatives --n-best 2 --batch-sentences 1", true);
    expect("-m @MODEL --compat ctranslate2 --json",
           "-m @MODEL --compat ctranslate2 --json --no-repeat-ngram 100", true);
    scratch_write("all", "b a 0.9\n", 8);
    expect("-m @MODEL --compat ctranslate2 --word-scores",
           "-m @MODEL --compat ctranslate2 --word-scores --shortlist @all", true);
    expect("-m @MODEL --compat ctranslate2 --word-scores",
           "-m @MODEL --compat ctranslate2 --word-scores -m @MODEL --ensemble mean", true);
    /* the second search is as wide as it must be */
    expect("-m @MODEL --sample --n-best 9 --risk-repetition 1 --on-risk retry",
           "-m @MODEL --sample --n-best 9 --risk-repetition 1 --on-risk retry --window 1", true);
}

Test(translate_steering, ensembles)
{
    expect("--min-length 6 -m @MODEL", "--min-length 6 -m @MODEL -m @MODEL", true);
    expect("--min-length 6 -m @MODEL",
           "--min-length 6 -m @MODEL -m @MODEL -m @MODEL --ensemble mean", true);
    expect("--min-length 6 -m @MODEL", "--min-length 6 -m @MODEL -m @OTHER", false);
    expect("-m @OTHER", "-m @MODEL -m @OTHER --ensemble mean --ensemble-weights 0.000001,1000000",
           true);
    struct program p = run("-m @MODEL -m @OTHER", "a\n", 0);
    cr_assert(strstr(p.err, "model 2 of the ensemble") != NULL, "%s", p.err);
    program_release(&p);
    static const struct {
        const char *words, *part;
        int status;
    } bad[] = {
        {"-m @MODEL -m @STRANGE", "entry 2: expected 'a'", 1},
        {"-m @MODEL -m @NONE", "NONE", 1},
        {"-m @MODEL -m @OTHER --ensemble-weights 1,x", "found 'x'", 2},
        {"-m @MODEL -m @OTHER --ensemble-weights 1,0", "found '0'", 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        p = run(bad[i].words, "a\n", bad[i].status);
        cr_assert(strstr(p.err, bad[i].part) != NULL, "%s: %s", bad[i].words, p.err);
        program_release(&p);
    }
}

Test(translate_steering, shortlists)
{
    static const char list[] = "b a 0.9\nc b 0.5\nd c 0.5\nNULL a 0.5\n";
    scratch_write("list", list, sizeof list - 1);
    expect("-m @MODEL", "-m @MODEL --shortlist @list", true); /* the first 100 are all there are */
    struct program p =
        run("-m @MODEL --min-length 6 --shortlist @list --shortlist-first 0", "a b\n", 0);
    for (const char *at = p.out; *at != '\0'; at++)
        cr_assert(strchr("abc \n", *at) != NULL, "'%s'", p.out); /* one vocabulary: a, b too */
    program_release(&p);
    static const struct {
        const char *name, *text, *part;
    } bad[] = {
        {"list", "a b\n", "list:1: "},
        {"list", "", "no pair"},
        {"list", "\xF5\x17\x34\x01\xD5\x48\x1A\xF1", "cut off"}, /* the magic number alone */
        {"list", "<!DOCTYPE html>\n<p>not found</p>\n", "list:1: "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        scratch_write(bad[i].name, bad[i].text, strlen(bad[i].text));
        p = run("-m @MODEL --shortlist @list", "a\n", 1);
        cr_assert(strstr(p.err, bad[i].part) != NULL, "%zu: %s", i, p.err);
        program_release(&p);
    }
    p = run("-m @MODEL --shortlist @none", "a\n", 1);
    program_release(&p);
    p = run("-m @MODEL --shortlist @", "a\n", 1);
    program_release(&p);
}
