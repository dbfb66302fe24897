/* The options of annotation from outside: every form, and every wrong value. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/file.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/xml_check.h"

static const char two[] = "The train leaves at 10:15.\nGood morning.\n";

/* @ stands for the scratch folder, # for the demonstration model. */
static void run(struct program *program, const char *words, int want)
{
    char all[4096];
    size_t used = 0;
    for (const char *c = words; *c != '\0' && used < sizeof all - 1024; c++) {
        if (*c == '@')
            used += (size_t)snprintf(all + used, 512, "%s", scratch_path(""));
        else if (*c == '#')
            used += (size_t)snprintf(all + used, 512, "%s/configs/demo", getenv("LNG_TEST_ROOT"));
        else
            all[used++] = *c;
    }
    all[used] = '\0';
    program_run(program, all, two, sizeof two - 1, NULL);
    cr_assert(program->status == want, "lingster %s: status %d: %s", all, program->status,
              program->err);
}

Test(annotation_cli, wrong_values)
{
    static const struct {
        const char *words, *says;
        int status;
    } cases[] = {
        {"--alignment full", "expected none, soft, hard", 2},
        {"--alignment 1", "to below 1", 2},
        {"--alignment -0.1", "expected none, soft, hard", 2},
        {"--alignment nan", "expected none, soft, hard", 2},
        {"--alignment-level letter", "subword", 2},
        {"--alignment-eos no", "keep", 2},
        {"--alignment-head 1", "LAYER.HEAD", 2},
        {"--alignment-head last", "LAYER.HEAD", 2},
        {"--alignment-head 1.2.3", "LAYER.HEAD", 2},
        {"--alignment-head 1.last", "LAYER.HEAD", 2},
        {"--alignment-head -1.0", "LAYER.HEAD", 2},
        {"--alignment-head .", "LAYER.HEAD", 2},
        {"--alignment-head 0.99999999999", "LAYER.HEAD", 2},
        {"--alignment-head 99.0 --alignment hard", "the decoder has", 1},
        {"--alignment-head 0.99 --attention-map @a.svg", "the decoder has", 1},
        {"--attention-map @a.png", ".svg or .json", 2},
        {"--attention-map -", "name of a file", 2},
        {"--attention-map /nowhere/a.svg", "/nowhere", 1},
        {"--attention-map @o.svg -o @o.svg", "already used", 2},
        {"--attention-map @f.svg --flags @f.svg", "already used", 2},
        {"--flags @in -i @in", "already used", 2},
        {"--flags @in2 --terminology @in2", "already used", 2},
        {"--flags @in2 --shortlist @in2", "already used", 2},
        {"--flags @in2 --replace-unk --unk-dictionary @in2", "already used", 2},
        {"--attention-map @in.svg -i @in --constraints @in.svg", "already used", 2},
        {"-o @in2 --shortlist @in2", "both input and output", 2},
        {"--flags -", "name of a file", 2},
        {"--flags /nowhere/f", "/nowhere", 1},
        {"--flags @f @in @in2 --output-dir @out", "belong to one input", 2},
        {"--attention-map @a.svg @in @in2 --output-dir @out", "belong to one input", 2},
        {"--on-risk stop", "keep", 2},
        {"--on-risk keep,source", "expected one of", 2},
        {"--on-risk retry --retry-beam-size 1 --n-best 2", "less than n-best", 2},
        {"--risk-copy 2", "risk-copy", 2},
        {"--risk-margin -1", "risk-margin", 2},
        {"--risk-numbers many", "risk-numbers", 2},
    };
    struct program p;
    scratch_make();
    scratch_write("in", two, sizeof two - 1);
    scratch_write("in2", two, sizeof two - 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char words[512];
        snprintf(words, sizeof words, "translate -q -m # %s", cases[i].words);
        run(&p, words, cases[i].status);
        cr_assert(strstr(p.err, cases[i].says) != NULL, "%s: %s", cases[i].words, p.err);
        cr_assert(p.out_length == 0);
        program_release(&p);
    }
    cr_assert(!lng_file_exists(scratch_path("a.svg")), "nothing is left of what failed");
    struct lng_buffer kept = {0};
    check_ok(lng_file_read(scratch_path("in"), 1000, &kept));
    cr_assert(kept.length == sizeof two - 1);
    lng_buffer_release(&kept);
    scratch_remove();
}

static void check_file(const char *name, const char *begin, const char *holds)
{
    struct lng_buffer text = {0};
    check_ok(lng_file_read(scratch_path(name), 1 << 24, &text));
    cr_assert(strncmp(text.data, begin, strlen(begin)) == 0, "%s: %s", name, text.data);
    cr_assert(strstr(text.data, holds) != NULL, "%s: %s", name, text.data);
    if (strstr(name, ".svg") != NULL)
        cr_assert(xml_well_formed(text.data, "rect", NULL));
    lng_buffer_release(&text);
}

Test(annotation_cli, files)
{
    struct program plain, p;
    scratch_make();
    run(&plain, "translate -q -m #", 0);
    scratch_write("old.svg", "old", 3);
    run(&p,
        "translate -q -m # --attention-map @old.svg --alignment-level word --flags @flags.tsv "
        "--risk-repetition 1",
        0);
    cr_assert_str_eq(p.out, plain.out);
    program_release(&p);
    check_file("old.svg", "<?xml", "Line 2");
    check_file("flags.tsv", "line\tflag\tvalue\tthreshold\taction\n0\trepetition\t1\t1\tkept\n",
               "1\trepetition\t1\t1\tkept\n");
    run(&p, "translate -q -m # --attention-map @map.json --alignment-head last.0", 0);
    program_release(&p);
    check_file("map.json", "[\n{\"line\": 0, \"segment\": 0, \"level\": \"subword\", \"layer\": ",
               "\"head\": 0,");
    run(&p, "translate -q -m # --on-risk retry,source --risk-repetition 1", 0);
    cr_assert(p.out_length == sizeof two - 1 && memcmp(p.out, two, p.out_length) == 0, "%s", p.out);
    program_release(&p);
    run(&p, "translate -q -m # --alignment 0.2 --alignment-head mean.mean --n-best 2 --word-scores",
        0);
    cr_assert(strstr(p.out, " ||| WordScores= -") != NULL);
    program_release(&p);
    program_release(&plain);
    scratch_remove();
}

Test(annotation_cli, score_words)
{
    static const char target[] = "Der Zug f\xC3\xA4hrt um 10:15 Uhr ab.\n\n";
    struct program p;
    scratch_make();
    scratch_write("s", two, sizeof two - 1);
    scratch_write("t", target, sizeof target - 1);
    run(&p, "score -q -m # --source @s --target @t --word-scores", 0);
    char *at = strstr(p.out, " ||| WordScores= ");
    cr_assert(at != NULL, "%s", p.out);
    double total = strtod(p.out, NULL), sum = 0.0, word = 0.0, eos = 0.0;
    for (at += strlen(" ||| WordScores="); *at == ' ';) {
        eos = strtod(at, &at);
        sum += eos;
    }
    cr_assert(fabs(total - sum) < 1e-3, "%g, %g", total, sum);
    program_release(&p);
    run(&p, "score -q -m # --source @s --target @t --word-scores --json", 0);
    sum = eos;
    int words = 0;
    const char *line = strchr(p.out, '\n');
    for (at = strstr(p.out, "\"words\""); (at = strstr(at, "\"score\": ")) != NULL && at < line;
         at++, words++) {
        cr_assert(sscanf(at, "\"score\": %lf", &word) == 1);
        sum += word;
    }
    cr_assert(words == 7 && fabs(total - sum) < 1e-3, "%d words: %g, %g", words, total, sum);
    cr_assert(strstr(p.out, "{\"word\": \"f\xC3\xA4hrt\", \"begin\": 8, \"end\": 13") != NULL);
    cr_assert(strstr(line, "\"words\": []") != NULL, "a blank target has none");
    cr_assert(strstr(p.out, "\"mean_score\": ") != NULL);
    program_release(&p);
    scratch_remove();
}
