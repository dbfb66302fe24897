/* lingster translate --compat, from outside. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "tests/support/check.h"
#include "tests/support/marian_fixture.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"

enum { LINES = 20 };

/* A pre-norm model of Marian's in the folder "marian", imported into "model". */
static void setup(void)
{
    struct program p;
    char words[600];
    scratch_make();
    struct marian_fixture f = marian_small();
    f.hparams.pre_norm = true;
    f.hparams.positions = LNG_POSITIONS_A;
    struct lng_model_data data = marian_values(&f, 5);
    marian_save(&f, &data, scratch_path("marian"));
    lng_model_data_release(&data);
    snprintf(words, sizeof words, "convert %s %s", scratch_path("marian"), scratch_path("model"));
    program_run(&p, words, NULL, 0, NULL);
    cr_assert(p.status == 0, "%s", p.err);
    cr_assert(strstr(p.err, "positions: sinusoids of family A") != NULL, "%s", p.err);
    program_release(&p);
}

TestSuite(compat_cli, .init = setup, .fini = scratch_remove, .timeout = 60);

/* Words of the fixture's vocabulary: see its vocab.yml; unknown ones are <unk>. */
static const char *text(void)
{
    static char lines[LINES * 40];
    size_t at = 0;
    for (int i = 0; i < LINES; i++)
        for (int w = 0; w <= i % 7; w++)
            at += (size_t)snprintf(lines + at, sizeof lines - at, "%c%s", 'a' + (i * 5 + w * 3) % 9,
                                   w == i % 7 ? "\n" : " ");
    return lines;
}

static void run(struct program *p, const char *more, int want)
{
    char words[600];
    snprintf(words, sizeof words, "translate -m %s --json %s", scratch_path("model"), more);
    program_run(p, words, text(), strlen(text()), NULL);
    cr_assert(p->status == want, "%s: %d: %s", more, p->status, p->err);
}

static void expect(const char *more, bool same, const char *other)
{
    struct program a, b;
    run(&a, more, 0);
    run(&b, other, 0);
    cr_assert((strcmp(a.out, b.out) == 0) == same, "'%s' and '%s'", more, other);
    program_release(&a);
    program_release(&b);
}

/* What no option says: with everything else equal, the output still differs. */
Test(compat_cli, each_has_its_ways)
{
    struct program p;
    run(&p, "--compat marian", 0);
    cr_assert(strstr(p.err, "not normalised: Marian's") != NULL, "%s", p.err);
    program_release(&p);
    run(&p, "--compat hf", 0);
    cr_assert(strstr(p.err, "positions: sinusoids of family B") != NULL, "%s", p.err);
    cr_assert(strstr(p.err, "norm epsilon: 1e-05") != NULL && strstr(p.err, "padding: in the"));
    program_release(&p);
    run(&p, "--compat ctranslate2", 0);
    cr_assert(strstr(p.err, "family B") != NULL && strstr(p.err, "not normalised") == NULL);
    program_release(&p);
    static const char like_marian[] = "--search-stop shrink --beam-size 6 --length-penalty-alpha 1 "
                                      "--max-length-extra 0";
    expect("--compat marian --beam-size 6 --length-penalty-alpha 1", false, like_marian);
    expect("--compat none", true, "");
}

/* Options given besides win, wherever they are given. */
Test(compat_cli, explicit_options_win)
{
    struct program p;
    expect("--compat ctranslate2", true, "--compat ctranslate2 --beam-size 2 --max-length 256");
    expect("--compat ctranslate2", false, "--compat ctranslate2 --max-length 2");
    run(&p, "--compat marian --beam-size 2 --n-best 3", 2);
    cr_assert(strstr(p.err, "n-best") != NULL, "%s", p.err);
    program_release(&p);
    /* decoder.yml said 6 */
    run(&p, "--compat marian --n-best 3", 0);
    program_release(&p);
    run(&p, "--compat fairseq", 2);
    cr_assert(strstr(p.err, "marian") != NULL && strstr(p.err, "ctranslate2"), "%s", p.err);
    program_release(&p);
}

/* --dump-config gives the toolkit, not its values: those may come from the model. */
Test(compat_cli, dumps_and_reads_again)
{
    struct program p;
    char words[600];
    run(&p, "--compat hf --max-length 30 --dump-config", 0);
    cr_assert(strstr(p.out, "compat: hf") && strstr(p.out, "max-length: 30"), "%s", p.out);
    cr_assert(strstr(p.out, "\nbeam-size:") == NULL, "%s", p.out);
    scratch_write("again.yml", p.out, p.out_length);
    program_release(&p);
    snprintf(words, sizeof words, "--config %s", scratch_path("again.yml"));
    expect(words, true, "--compat hf --max-length 30");
}

/* Takes the checksums out of config.json, as a user would. */
static void forget_checksums(void)
{
    struct lng_buffer config = {0};
    check_ok(lng_file_read(scratch_path("model/config.json"), 1 << 20, &config));
    char *key = strstr(config.data, "\"files\"");
    cr_assert(key != NULL);
    key[1] = 'F';
    scratch_write("model/config.json", config.data, config.length);
    lng_buffer_release(&config);
}

Test(compat_cli, generation_config_is_followed)
{
    struct program p;
    static const char said[] = "{\"num_beams\": 3, \"max_length\": 6, \"early_stopping\": true}";
    static const char sampling[] = "{\"do_sample\": true}";
    scratch_write("model/generation_config.json", said, strlen(said));
    run(&p, "--compat hf", 1);
    cr_assert(strstr(p.err, "checksum") != NULL, "%s", p.err);
    program_release(&p);
    forget_checksums();
    expect("--compat hf", true, "--compat hf --beam-size 3 --max-length 5 --search-stop early");
    expect("--compat hf", false, "--compat hf --max-length 4");
    scratch_write("model/generation_config.json", sampling, strlen(sampling));
    run(&p, "--compat hf", 1);
    cr_assert(strstr(p.err, "do_sample") != NULL, "%s", p.err);
    program_release(&p);
    run(&p, "--compat marian", 0); /* which does not ask */
    program_release(&p);
}

Test(compat_cli, languages_need_a_model_of_many)
{
    struct program p;
    run(&p, "--target-language fr", 2);
    cr_assert(strstr(p.err, "no language tokens") != NULL, "%s", p.err);
    program_release(&p);
}
