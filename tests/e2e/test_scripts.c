/* The scripts that make a corpus, repeat published results and show the demo, on tiny data. */
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "tests/support/scratch.h"

extern char **environ;

static void setup(void)
{
    scratch_make();
}

TestSuite(scripts, .init = setup, .fini = scratch_remove, .timeout = 120);

static char output[65536];

/* Runs a command of the shell in the scratch folder; what it says on both streams is in `output`. $S is the
 * folder of the scripts, $LINGSTER the program. Returns the exit status. */
static int shell(const char *command)
{
    static char line[2048];
    const char *root = getenv("LNG_TEST_ROOT"), *binary = getenv("LNG_TEST_BINARY");
    cr_assert(root != NULL && binary != NULL, "run by tests/run");
    const char *said = scratch_path("said");
    snprintf(line, sizeof line, "cd '%s' && S='%s/scripts' LINGSTER='%s' && export LINGSTER && %s",
             scratch_path("."), root, binary, command);
    char *const arguments[] = {"sh", "-c", line, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t pid;
    cr_assert(posix_spawn(&pid, "/bin/sh", &actions, NULL, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid);
    FILE *file = fopen(said, "rb");
    cr_assert(file != NULL);
    output[fread(output, 1, sizeof output - 1, file)] = '\0';
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text));
}

static void make_folders(const char *path)
{
    char command[256];
    snprintf(command, sizeof command, "mkdir -p '%s'", path);
    cr_assert(shell(command) == 0, "%s", output);
}

/* ---- a corpus from Debian's packages ---- */

Test(scripts, descriptions_are_matched_and_cut_into_sentences)
{
    write_text(
        "en",
        "Package: a\nDescription-md5: 11\nDescription-en: small tool\n It works. It is fast.\n"
        " .\n Things it does:\n  * one\n  * two\n\n"
        "Package: b\nDescription-md5: 22\nDescription-en: only English\n Text.\n\n"
        "Package: c\nDescription-md5: 33\nDescription-en: cut\n One.\n .\n Two.\n");
    write_text(
        "de",
        "Package: a\nDescription-md5: 11\nDescription-de: kleines Werkzeug\n Es geht. Es ist\n"
        " schnell.\n .\n Was es tut:\n  * eins\n  * zwei\n\n"
        "Package: c\nDescription-md5: 33\nDescription-de: gekappt\n Eins.\n");
    cr_assert(shell("perl $S/corpus-extract.pl descriptions en de") == 0, "%s", output);
    cr_assert_str_eq(output, "descriptions\tsmall tool\tkleines Werkzeug\n"
                             "descriptions\tIt works.\tEs geht.\n"
                             "descriptions\tIt is fast.\tEs ist schnell.\n"
                             "descriptions\tThings it does:\tWas es tut:\n"
                             "descriptions\tone\teins\n"
                             "descriptions\ttwo\tzwei\n"
                             "descriptions\tcut\tgekappt\n");
}

/* A catalog of `count` messages and translations, [count][2]; lengths, for texts with NUL. */
static size_t make_catalog(unsigned char *out, const char *const (*pairs)[2],
                           const size_t (*lengths)[2], uint32_t count)
{
    uint32_t head[7] = {0x950412de, 0, count, 28, 28 + 8 * count, 0, 0};
    size_t end = 28 + 16 * (size_t)count;
    memcpy(out, head, sizeof head);
    for (uint32_t i = 0; i < count; i++)
        for (int side = 0; side < 2; side++) {
            uint32_t entry[2] = {(uint32_t)lengths[i][side], (uint32_t)end};
            memcpy(out + 28 + 8 * (count * (uint32_t)side + i), entry, sizeof entry);
            memcpy(out + end, pairs[i][side], lengths[i][side] + 1);
            end += lengths[i][side] + 1;
        }
    return end;
}

Test(scripts, catalogs_give_messages)
{
    static const char *const pairs[][2] = {
        {"", "Content-Type: text/plain; charset=UTF-8\n"},
        {"%d file\0%d files", "%d Datei\0%d Dateien"},
        {"_Open", "Ö_ffnen"},
        {"button\004Save the file", "Die Datei speichern"},
    };
    static const size_t lengths[][2] = {{0, 40}, {16, 19}, {5, 8}, {20, 19}};
    unsigned char bytes[1024];
    size_t size = make_catalog(bytes, pairs, lengths, 4);
    make_folders("x/de/LC_MESSAGES");
    make_folders("x/fr/LC_MESSAGES");
    scratch_write("x/de/LC_MESSAGES/a.mo", bytes, size);
    scratch_write("x/fr/LC_MESSAGES/a.mo", bytes, size);
    scratch_write("x/de/LC_MESSAGES/cut.mo", bytes, 60);
    scratch_write("x/de/LC_MESSAGES/noise.mo", "noise", 5);
    cr_assert(shell("perl $S/corpus-extract.pl catalogs de x") == 0, "%s", output);
    cr_assert_str_eq(output, "catalogs\t%d file\t%d Datei\n"
                             "catalogs\tOpen\tÖffnen\n"
                             "catalogs\tSave the file\tDie Datei speichern\n");
    memcpy(bytes, "\xde\x12\x04\x95\0\0\0\0\xff\xff\xff\xff", 12);
    scratch_write("x/de/LC_MESSAGES/a.mo", bytes, size);
    cr_assert(shell("perl $S/corpus-extract.pl catalogs de x") == 0 && output[0] == '\0', "%s",
              output);
}

Test(scripts, help_pages_are_matched_by_paragraph)
{
    make_folders("h/help/en-US/text");
    make_folders("h/help/de/text");
    write_text("h/help/en-US/text/a.html",
               "<h1 id=\"hd_id1\">A &amp; B</h1>\n<p id=\"par_id2\" class=\"x\">"
               "See <b>all</b> of&nbsp;it.</p><p id=\"par_id3\">Only here</p>");
    write_text("h/help/de/text/a.html",
               "<p id=\"par_id2\">Alles ansehen.</p><h1 id=\"hd_id1\">A und B</h1>");
    cr_assert(shell("perl $S/corpus-extract.pl help de h") == 0, "%s", output);
    cr_assert_str_eq(output, "help\tA & B\tA und B\nhelp\tSee all of it.\tAlles ansehen.\n");
}

Test(scripts, dictionary_gives_phrases)
{
    write_text("d", "# comment\nHaus {n} | Das Haus [arch.] ist alt.; Es ist alt. :: house | The "
                    "house is old.\n"
                    "kaputt\n");
    cr_assert(shell("perl $S/corpus-extract.pl dictionary d") == 0, "%s", output);
    cr_assert_str_eq(output, "dictionary\tThe house is old.\tDas Haus ist alt.\n");
}

Test(scripts, split_cleans_and_keeps_parts_apart)
{
    FILE *file = fopen(scratch_path("pairs"), "w");
    cr_assert(file != NULL);
    for (int i = 0; i < 400; i++)
        fprintf(file, "x\tthe %c%c house is quite small\tdas %c%c Haus ist recht klein\n",
                'a' + i % 20, 'a' + i / 20, 'a' + i % 20, 'a' + i / 20);
    fputs("x\tthe aa house is quite small\tdas aa Haus ist recht klein\nx\tsame text\tSame text\n"
          "x\tremove %s now\tentferne %s jetzt\nx\t\tleer\nx\tseven 12 times\tsieben 13 mal\n"
          "x\tthis is not translated at all\tthis is not translated at\n"
          "x\ta very long sentence for so little\tkurz\n",
          file);
    fclose(file);
    cr_assert(shell("mkdir o p && perl $S/corpus-extract.pl split de o <pairs") == 0, "%s", output);
    static const char *const lines[] = {
        "from x                   400 pairs",
        "left out, empty:                            1\n",
        "left out, identical:                        1\n",
        "left out, lengths differ:                   1\n",
        "left out, placeholders:                     1\n",
        "left out, repeated:                         1\n",
        "left out, numbers differ:                   1\n",
        "left out, untranslated:                     1\n",
        "train       360 pairs      2160 English words\n",
        "valid        20 pairs",
        "test         20 pairs",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        cr_assert(strstr(output, lines[i]), "no '%s' in\n%s", lines[i], output);
    cr_assert(shell("cat o/*.en | sort | uniq -d; cat o/*.de | sort | uniq -d") == 0 &&
                  *output == '\0',
              "in two parts: %s", output);
    cr_assert(shell("sort -r pairs | perl $S/corpus-extract.pl split de p >/dev/null && "
                    "cmp o/test.en p/test.en && cmp o/valid.de p/valid.de") == 0,
              "depends on the order: %s", output);
    cr_assert(shell("perl $S/corpus-extract.pl split de o </dev/null") != 0);
    cr_assert(strstr(output, "no pairs were found for 'de'"), "%s", output);
}

/* ---- published results, in small ---- */

static void make_pairs(const char *source, const char *target, int count, const char *join)
{
    static const char *const words[][2] = {{"a", "ein"},    {"dog", "hu@@ nd"}, {"runs", "läuft"},
                                           {"man", "mann"}, {"red", "rot"},     {".", "."}};
    FILE *s = fopen(scratch_path(source), "w"), *t = fopen(scratch_path(target), "w");
    cr_assert(s != NULL && t != NULL);
    unsigned state = 3;
    for (int i = 0; i < count; i++)
        for (int w = 0; w < 4; w++) {
            state = state * 1103515245u + 12345u;
            int which = (int)(state >> 16) % 6;
            bool joined = *join == '\0' && which == 1;
            fprintf(s, "%s%s", words[which][0], w == 3 ? "\n" : " ");
            fprintf(t, "%s%s", joined ? "hund" : words[which][1], w == 3 ? "\n" : " ");
        }
    fclose(s);
    fclose(t);
}

#define SMALL "-- --max-updates 3 --dim 16 --ffn-dim 16 --enc-depth 1 --dec-depth 1 --threads 1 -q"

Test(scripts, multi30k_from_text_to_score)
{
    make_folders("data");
    make_pairs("data/train.en", "data/train.de", 40, "@@ ");
    make_pairs("data/valid.en", "data/valid.de", 8, "@@ ");
    make_pairs("data/test2016.en", "data/test2016.tok.de", 8, "");
    cr_assert(shell("$S/multi30k.sh --data data --output o " SMALL) == 0, "%s", output);
    const char *score = strstr(output, "BLEU|nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|");
    cr_assert(score != NULL && strstr(score, "ref_len = 32)"), "%s", output);
    char first[256];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(score, "\n"), score);
    cr_assert(shell("grep -c @@ o/test2016.de") == 1, "BPE is left: %s", output);
    cr_assert(shell("$S/multi30k.sh --data data --output o " SMALL) == 0, "%s", output);
    cr_assert(strstr(output, first), "another time, another score: %s", output);
    cr_assert(shell("command -v python3 >/dev/null || exit 0; head -n 1 o/curve.csv && tail -n 1 "
                    "o/curve.svg") == 0);
    cr_assert(output[0] == '\0' ||
                  (strncmp(output, "update,event,", 13) == 0 && strstr(output, "</svg>")),
              "%s", output);

    /* Its model does for the demo. */
    cr_assert(shell("DEMO=o/run/model $S/demo.sh 'a dog' 'runs .'") == 0, "%s", output);
    cr_assert(strncmp(output, "   a dog\n-> ", 12) == 0 || strstr(output, "\n   a dog\n-> "), "%s",
              output);
    cr_assert(strstr(output, "2 sentences, 4 words, in "), "%s", output);
}

Test(scripts, g2p_prints_a_table)
{
    make_folders("data/xx");
    make_pairs("data/xx/train.g", "data/xx/train.p", 40, "");
    make_pairs("data/xx/dev.g", "data/xx/dev.p", 8, "");
    cr_assert(shell("$S/g2p.sh --data data --seeds '1 2' --output o xx " SMALL) == 0, "%s", output);
    const char *mean = strstr(output, "xx        dev   mean ");
    cr_assert(mean != NULL && strstr(output, "language  part  seed       WER     PER"), "%s",
              output);
    double one[2], two[2], both[2];
    cr_assert(sscanf(strstr(output, "xx        dev   1 ") + 17, "%lf %lf", &one[0], &one[1]) == 2);
    cr_assert(sscanf(strstr(output, "xx        dev   2 ") + 17, "%lf %lf", &two[0], &two[1]) == 2);
    cr_assert(sscanf(mean + 21, "%lf %lf", &both[0], &both[1]) == 2, "%s", output);
    for (int i = 0; i < 2; i++) {
        double away = both[i] - (one[i] + two[i]) / 2;
        cr_assert(away < 0.02 && away > -0.02, "%s", output);
        cr_assert(one[i] >= 0 && one[0] <= 100, "%s", output);
    }
    /* Each example, then twice as many of two words each. */
    cr_assert(shell("$S/g2p.sh --data data --concatenate 2 --output c xx " SMALL) == 0, "%s",
              output);
    cr_assert(shell("test $(wc -l <c/xx/more.g) = 120 && test $(grep -c ' # ' c/xx/more.p) = 80 && "
                    "head -n 40 c/xx/more.p | cmp - data/xx/train.p") == 0,
              "%s", output);
    /* French has a recipe of its own, unless --concatenate says otherwise. */
    cr_assert(shell("cp -r data/xx data/fre && $S/g2p.sh --data data --output e fre xx " SMALL) ==
                  0,
              "%s", output);
    cr_assert(shell("test $(wc -l <e/fre/more.g) = 80 && test ! -e e/xx/more.g && "
                    "grep -x 'valid-every: 10u' e/fre/seed-1/config.yml && "
                    "! grep -x 'valid-every: 10u' e/xx/seed-1/config.yml") == 0,
              "%s", output);
    cr_assert(shell("$S/g2p.sh --data data --concatenate many --output d xx") == 2, "%s", output);
    cr_assert(shell("LINGSTER=/nonexistent $S/g2p.sh --data data --output o xx") == 1);
    cr_assert(strstr(output, "/nonexistent is not there"), "%s", output);
}

/* ---- the report on a GPU, with a program that only says how it was called ---- */

static const char *outcome_of(const json_t *report, const char *step)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(report, "steps"), i,
                       one) if (strcmp(json_string_value(json_object_get(one, "name")), step) ==
                                0) return json_string_value(json_object_get(one, "outcome"));
    return "absent";
}

Test(scripts, gpu_report_tells_failures_from_successes)
{
    make_folders("b/tests/parity");
    write_text("b/lingster", "#!/bin/sh\n"
                             "[ \"$1\" != --version ] || exec echo lingster 0.0.0\n"
                             "echo \"called with a \\\"quote\\\" and a | bar: $*\"\n"
                             "case \"$*\" in *compare*bf16*) exit 1 ;; esac\n"
                             "case \"$*\" in *f32*) text=$LNG_CUDA_GRAPHS ;; *) text=x ;; esac\n"
                             "case \"$*\" in *int8*) ;; *) echo graphs: 5 steps replayed >&2 ;; "
                             "esac\n"
                             "while [ $# -gt 0 ]; do [ \"$1\" != -o ] || echo $text >\"$2\"; "
                             "shift; done\n");
    write_text("b/tests/parity/test_parity", "#!/bin/sh\necho $LNG_PARITY_DEVICE\n");
    cr_assert(shell("chmod +x b/lingster b/tests/parity/test_parity && LINGSTER=$PWD/b/lingster "
                    "$S/gpu-report.sh --device cuda:1 --output o --peers 0") == 1,
              "%s", output);
    cr_assert(strstr(output, "compare-demo-bf16: failed"), "%s", output);
    json_error_t error;
    json_t *report = json_load_file(scratch_path("o/report.json"), 0, &error);
    cr_assert(report != NULL, "%s: %s", scratch_path("o/report.json"), error.text);
    cr_assert_str_eq(outcome_of(report, "parity"), "passed");
    cr_assert_str_eq(outcome_of(report, "compare-demo-f32"), "passed");
    cr_assert_str_eq(outcome_of(report, "compare-demo-bf16"), "failed");
    cr_assert_str_eq(outcome_of(report, "golden"), "skipped");
    cr_assert_str_eq(outcome_of(report, "translate-cuda:1-bf16"), "passed");
    cr_assert_str_eq(outcome_of(report, "graphs-f32"), "failed");  /* other translations */
    cr_assert_str_eq(outcome_of(report, "graphs-bf16"), "passed"); /* the same */
    cr_assert_str_eq(outcome_of(report, "graphs-int8"), "failed"); /* without a graph */
    cr_assert_str_eq(outcome_of(report, "batches-bf16"), "passed");
    cr_assert_str_eq(outcome_of(report, "bench-train"), "passed");
    cr_assert_str_eq(outcome_of(report, "bench-decode-int8-4-512"), "passed");
    cr_assert_str_eq(outcome_of(report, "peers"), "skipped");
    json_decref(report);
    cr_assert(shell("cat o/parity.log && grep -c '^| compare-demo-bf16 | failed | ' o/report.md") ==
                  0,
              "%s", output);
    cr_assert_str_eq(output, "cuda:1\n1\n");
}

/* The program says another thing in batches of seven. */
Test(scripts, gpu_report_counts_what_differs_between_batches)
{
    make_folders("b");
    write_text("b/lingster", "#!/bin/sh\n"
                             "case \"$*\" in *'-sentences 7 '*f32*) b=b ;; *) b=a ;; esac\n"
                             "case \"$*\" in *f32*'-sentences 7 '*) b=b ;; esac\n"
                             "while [ $# -gt 0 ]; do [ \"$1\" != -o ] || printf 'a\\n%s\\na\\n' "
                             "$b >\"$2\"; shift; done\n");
    cr_assert(shell("chmod +x b/lingster && LINGSTER=$PWD/b/lingster $S/gpu-report.sh --output o "
                    "--only batches --peers 0") == 1,
              "%s", output);
    cr_assert(strstr(output, "parity") == NULL && strstr(output, "bench") == NULL, "%s", output);
    cr_assert(strstr(output, "batches-f32: failed"), "%s", output);
    cr_assert(strstr(output, "batches-int8: passed"), "%s", output);
    cr_assert(shell("tail -n 1 o/batches-f32.log") == 0);
    cr_assert_str_eq(output, "1 of 3 sentences differ between batches of 1, 7 and 64 sentences\n");
}

/* ---- measuring ---- */

static void need_python(void)
{
    if (shell("command -v python3") != 0)
        cr_skip_test("there is no python3");
}

Test(scripts, peers_say_what_they_would_do)
{
    need_python();
    cr_assert(shell("python3 $S/bench-peers.py --work w --dry-run") == 0, "%s", output);
    cr_assert(strstr(output, "\nbeam4-batch32.native.best\n") != NULL, "%s", output);
    cr_assert(strstr(output, "bench latency --device=cpu --json") != NULL, "%s", output);
    cr_assert(strstr(output, "serve ctranslate2") != NULL, "%s", output);
    cr_assert(shell("python3 $S/bench-peers.py --work w --steps gate --dry-run > d; head -n 2 d; "
                    "test ! -e w") == 0);
    cr_assert_str_eq(output, "model\ngate\n");
    cr_assert(shell("python3 $S/bench-peers.py --work w --steps beam5 --dry-run") == 1);
    cr_assert(strstr(output, "there is no beam5") != NULL, "%s", output);
    cr_assert(shell("python3 $S/bench-peers.py --work w --rounds 0 --dry-run") == 2);
}

Test(scripts, gpu_peers_say_what_they_would_do)
{
    need_python();
    cr_assert(shell("python3 $S/bench-peers.py --device cuda --work w --dry-run && test ! -e w") ==
                  0,
              "%s", output);
    static const char *const said[] = {
        "budget 540",
        "\nmodel: about ",
        "\ngate: about ",
        "\nbeam4-batch64.transformers: about ",
        "\ntrain-base.nn-eager: about ",
        "\ntrain-base.fused-compiled: about ",
        ", beyond the budget\n",
        "bench train --device=cuda --json",
        "--kind=fused --device=cuda --dtype=bf16 --compile",
        "serve transformers",
        "--compute-type=int8_float16",
    };
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        cr_assert(strstr(output, said[i]) != NULL, "%s: %s", said[i], output);
    cr_assert(strstr(output, "bench gemm attention --device=cuda") != NULL, "%s", output);
    cr_assert(shell("python3 $S/bench-peers.py --device cuda:1 --budget 50 --work w --dry-run "
                    "--steps gate,peaks") == 0);
    cr_assert(strstr(output, "gate: about") && strstr(output, "--device=cuda:1"), "%s", output);
    cr_assert(strstr(output, "train") == NULL, "%s", output);
    cr_assert(shell("python3 $S/bench-peers.py --device cuda --work w --steps beam5 --dry-run") ==
              1);
    cr_assert(shell("python3 $S/bench-peers.py --device gpu --work w --dry-run") == 2);
    cr_assert(shell("python3 $S/bench-peers.py --device cuda --budget 0 --work w --dry-run") == 2);
}

/* Nothing of it is missing in the folder that goes to a machine with a GPU. */
Test(scripts, gpu_peers_run_from_the_folder_of_make_dist)
{
    need_python();
    make_folders("b/tests/parity");
    write_text("b/lingster", "#!/bin/sh\necho lingster 0.0.0\n");
    write_text("b/tests/parity/test_parity", "#!/bin/sh\n");
    cr_assert(shell("chmod +x b/lingster b/tests/parity/test_parity && $S/make-dist.sh b d") == 0,
              "%s", output);
    cr_assert(shell("unset LINGSTER; python3 d/scripts/bench-peers.py --device cuda --work w "
                    "--dry-run") == 0,
              "%s", output);
    cr_assert(strstr(output, "/d/bin/lingster bench train --device=cuda") != NULL, "%s", output);
    cr_assert(strstr(output, "/d/scripts/peer_train.py") != NULL, "%s", output);
    cr_assert(
        shell("for f in d/scripts/*.py; do grep -hoE '^ *import (peer_[a-z]+|svg_axes)' $f; "
              "done | awk '{print $2}' | sort -u | while read m; do test -f d/scripts/$m.py || "
              "echo $m; done") == 0);
    cr_assert_str_eq(output, "", "missing: %s", output);
    cr_assert(shell("d/scripts/gpu-report.sh --help") == 0 && strstr(output, "--peers") != NULL);
}

/* Without torch, or without the program, there are no figures: each step says so, and nothing else happens. */
Test(scripts, gpu_peers_say_what_failed)
{
    need_python();
    cr_assert(
        shell("python3 $S/bench-peers.py --device cuda --work w --lingster /nonexistent "
              "--python /nonexistent --markdown m --json j --steps peaks,startup; test $? = 1 && "
              "cat m && grep -c failed j") == 0,
        "%s", output);
    cr_assert(strstr(output, "| not measured | why |") != NULL, "%s", output);
    cr_assert(strstr(output, "| model | ") && strstr(output, "| peaks | there is no model |"), "%s",
              output);
}

Test(scripts, roofline)
{
    need_python();
    write_text("report.json", "{\"workload\": \"gemm\", \"products\": [{\"rows\": 8, \"in\": 16, "
                              "\"out\": 16, \"gop_per_second\": 5000}]}\n{\"workload\": "
                              "\"attention\"}\n");
    cr_assert(shell("python3 $S/plot-roofline.py --gpu H100 --svg s --markdown m --measured "
                    "report.json && cat m s") == 0,
              "%s", output);
    cr_assert(strstr(output, "Calculated for H100 PCIe, not measured: 756 TFLOP/s, 2.00 TB/s") !=
                  NULL,
              "%s", output);
    cr_assert(strstr(output, "dots: measured") && strstr(output, "</svg>"), "%s", output);
    cr_assert(shell("python3 $S/plot-roofline.py --gpu C64 --svg s") == 1);
    cr_assert(strstr(output, "there is no C64 among B200, H200"), "%s", output);
    cr_assert(shell("echo '{}' > e; python3 $S/plot-roofline.py --svg s --measured e") == 1);
    cr_assert(shell("python3 $S/plot-roofline.py") == 2);
}

Test(scripts, training_peers_get_random_text)
{
    need_python();
    write_text("config.yml", "dim: 32\nheads: 2\naccumulate: 6\n");
    cr_assert(shell("python3 $S/bench-train-peers.py --work w --lingster $LINGSTER --dry-run "
                    "--random words,config.yml,50,200 && cat w/words.random.yml && "
                    "head -n 1 w/words.random.source") == 0,
              "%s", output);
    cr_assert(strstr(output, "--vocab-size=53") != NULL, "%s", output);
    cr_assert(strstr(output, "\ndim: 32\nheads: 2\n\ntokenizer: symbols\naccumulate: 1\n"
                             "batch-tokens: 200\nw") != NULL,
              "%s", output);
    cr_assert(shell("python3 $S/bench-train-peers.py --work w --random words,config.yml,50") == 2);
    cr_assert(shell("python3 $S/bench-train-peers.py --work w --random a,nothing.yml,5,5") == 2);
    cr_assert(strstr(output, "nothing.yml: No such file") != NULL, "%s", output);
}

Test(scripts, growth_is_drawn)
{
    need_python();
    cr_assert(
        shell(
            "$LINGSTER bench grow --dim 8 --heads 2 --ffn-dim 8 --enc-depth 1 --dec-depth 1 "
            "--device cpu --quiet --json --repetitions 1 --warmup 0 --batch-sentences 1 --length 2 "
            "--axes beam,batch,vocabulary > g.json && python3 $S/plot-growth.py g.json "
            "--svg g.svg --markdown g.md && wc -l < g.md && grep -c '</svg>' g.svg && "
            "grep -c polyline g.svg") == 0,
        "%s", output);
    cr_assert_str_eq(output, "5\n1\n3\n");
    write_text("curve", "{\"workload\": \"decode\"}\n");
    cr_assert(shell("python3 $S/plot-growth.py curve --svg g.svg") == 1);
    cr_assert(strstr(output, "curve:1: expected a report of lingster bench grow") != NULL, "%s",
              output);
}

Test(scripts, training_is_drawn)
{
    need_python();
    write_text("metrics", "{\"update\": 1, \"event\": \"train\", \"loss\": 3}\n"
                          "{\"update\": 2, \"event\": \"train\", \"loss\": 2}\n");
    cr_assert(shell("python3 $S/plot-curve.py metrics --svg c.svg && grep -c polyline c.svg") == 0,
              "%s", output);
    cr_assert_str_eq(output, "1\n");
}

/* ---- wrong usage ---- */

static const struct {
    const char *command, *part;
    int status;
} bad[] = {
    {"$S/corpus-debian.sh", "expected LANG [OUT_DIR]", 2},
    {"$S/corpus-debian.sh en", "must not be en", 2},
    {"$S/corpus-debian.sh 'x;y'", "expected a language such as de", 2},
    {"perl $S/corpus-extract.pl nothing", "usage: ", 2},
    {"perl $S/corpus-extract.pl dictionary /nonexistent/d", "/nonexistent/d", 1},
    {"$S/multi30k.sh", "--data DIR is required", 2},
    {"$S/multi30k.sh --data", "--data needs a value", 2},
    {"$S/multi30k.sh --data /nonexistent", "/nonexistent/train.en is not there", 1},
    {"$S/g2p.sh --data x", "expected at least one language", 2},
    {"$S/g2p.sh --data x --seeds 1,2 xx", "--seeds: expected numbers", 2},
    {"$S/g2p.sh --data x xx", "x/xx/train.g is not there", 1},
    {"$S/gpu-report.sh --output", "--output needs a value", 2},
    {"$S/gpu-report.sh everything", "unexpected 'everything'", 2},
    {"$S/gpu-report.sh --only speed", "there is no 'speed'", 2},
    {"$S/gpu-report.sh --peers long", "expected a number of seconds, found 'long'", 2},
    {"LINGSTER=/nonexistent $S/gpu-report.sh", "/nonexistent", 1},
    {"$S/demo.sh --all-of-it", "unknown option", 2},
    {"DEMO=/nonexistent $S/demo.sh", "there is no model in /nonexistent", 1},
};
ParameterizedTestParameters(scripts, wrong_usage)
{
    static int index[sizeof bad / sizeof bad[0]];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        index[i] = (int)i;
    return cr_make_param_array(int, index, sizeof bad / sizeof bad[0]);
}
ParameterizedTest(int *index, scripts, wrong_usage)
{
    int status = shell(bad[*index].command);
    cr_assert(status == bad[*index].status, "exit status %d: %s", status, output);
    cr_assert(strstr(output, bad[*index].part), "%s", output);
}
