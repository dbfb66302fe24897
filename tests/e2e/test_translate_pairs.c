/* lingster translate with every two of its options: each pair works, whatever stands beside a line, or is refused with
 * a reason. The lines of the input come twice, in two orders, so that one run has each of them in two batches. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "tests/support/check.h"
#include "tests/support/cpu_variants.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_folder.h"

enum { LINES = 13, PARTS = 4 };

static const char *const lines[LINES] = {"a b c",          "",    "{0}",
                                         "d e f g a b",    "o",   "h {0} i %s j",
                                         "c \xE4\xB8\xAD", "   ", "k l m a b c d e f g h i j",
                                         "p p p p",        "%s",  "a",
                                         "e {0}{0}"};

/* "@x" is a file of the scratch folder. What steers the search does not go together with what is demanded of it. */
static const struct {
    const char *words;
    enum { OTHER, DEMANDS, STEERS } kind;
} options[] = {
    {"--compat marian", OTHER},
    {"--compat ctranslate2", OTHER},
    {"--compat hf", OTHER},
    {"--constraints @constraints --placeholders", DEMANDS},
    {"--prefix @prefixes", OTHER},
    {"--prefix @prefixes --prefix-bias 0.4", DEMANDS},
    {"--sample --n-best 3", STEERS},
    {"--alternatives --n-best 3", STEERS},
    {"-m @other --no-repeat-ngram 2 --repetition-penalty 1.5 --coverage-penalty 0.3", STEERS},
    {"--shortlist @shortlist --shortlist-first 3 --dtype int8", STEERS},
    {"--alignment hard --alignment-level word --attention-map @map.json", OTHER},
    {"--on-risk retry,source --risk-repetition 2 --flags @flags", OTHER},
    {"--json --word-scores", OTHER},
    {"--n-best 2 --replace-unk --max-segment 8", OTHER}, /* and in bf16, see words_of */
};
enum { OPTIONS = sizeof options / sizeof options[0] };

/* The last one computes in bf16 where this machine can. */
static const char *words_of(size_t i)
{
    static char last[120];
    if (i + 1 < OPTIONS)
        return options[i].words;
    snprintf(last, sizeof last, "%s%s", options[i].words, cpu_has_bf16() ? " --dtype bf16" : "");
    return last;
}

static bool clashes(size_t i, size_t k)
{
    bool sample =
        strstr(options[i].words, "--sample") && strstr(options[k].words, "--alternatives");
    return sample || (options[i].kind == DEMANDS && options[k].kind == STEERS);
}

/* Line n of 2 LINES: in order, and then the other way about. */
static size_t line_at(size_t n)
{
    return n < LINES ? n : 2 * LINES - 1 - n;
}

static void write_lines(const char *name, const char *const *kinds, size_t count)
{
    struct lng_buffer text = {0};
    for (size_t n = 0; n < 2 * LINES; n++)
        check_ok(lng_buffer_append_format(
            &text, "%s\n", count == 0 ? kinds[line_at(n)] : kinds[line_at(n) % count]));
    scratch_write(name, text.data, text.length);
    lng_buffer_release(&text);
}

static void setup(void)
{
    static const char *const prefixes[] = {"a", "", "b c"};
    static const char *const constraints[] = {"{\"positive\": [\"b\"]}", "",
                                              "{\"negative\": [\"a\", \"<unk>\"]}",
                                              "{\"positive\": [\"x y\"], \"negative\": [\"c\"]}"};
    static const char shortlist[] = "b a 0.9\nc b 0.5\nd c 0.5\na d 0.5\n";
    scratch_make();
    tiny_folder_write("model", 11, 'a');
    tiny_folder_write("other", 12, 'a');
    write_lines("input", lines, 0);
    write_lines("prefixes", prefixes, 3);
    write_lines("constraints", constraints, 4);
    scratch_write("shortlist", shortlist, sizeof shortlist - 1);
}

TestSuite(translate_pairs, .init = setup, .fini = scratch_remove, .timeout = 100);

static void run(struct program *p, size_t i, size_t k)
{
    static const char always[] =
        "translate -m @model -i @input --threads 1 --repeat-cache 0 --batch-sentences 3 "
        "--window 11 --max-length 12 --min-length 3 -q ";
    const char *arguments[64];
    char text[800], paths[12][256];
    size_t count = 0, path = 0;
    snprintf(text, sizeof text, "%s %s %s", always, words_of(i), i == k ? "" : words_of(k));
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        if (word[0] == '@')
            snprintf(paths[path], sizeof paths[path], "%s", scratch_path(word + 1));
        arguments[count++] = word[0] == '@' ? paths[path++] : word;
    }
    arguments[count] = NULL;
    program_run_arguments(p, arguments, "", 0, NULL);
}

/* What a line has in the output, without its number. */
static const char *without_number(const char *text, size_t *length)
{
    const char *end = text + strcspn(text, "\n"), *begin = text;
    if (strncmp(text, "{\"line\": ", 9) == 0)
        begin = strchr(text, ',');
    else if (strspn(text, "0123456789") > 0 &&
             strncmp(text + strspn(text, "0123456789"), " ||| ", 5) == 0)
        begin = strchr(text, ' ');
    *length = (size_t)(end - begin);
    return begin;
}

/* Both halves say the same, the second backwards; lists of several keep their order. */
static void check_halves(const char *words, const char *out, bool lists)
{
    const char *first[2 * LINES] = {NULL};
    size_t rows[2 * LINES] = {0}, n = 0;
    for (const char *at = out; *at != '\0'; at += strcspn(at, "\n") + 1) {
        size_t number = lists ? (size_t)strtoul(at, NULL, 10) : n++;
        cr_assert(strchr(at, '\n') != NULL && number < 2 * LINES, "%s: %s", words, out);
        first[number] = first[number] ? first[number] : at;
        rows[number]++;
    }
    for (n = 0; n < LINES; n++) {
        const char *a = first[n], *b = first[2 * LINES - 1 - n];
        cr_assert(a != NULL && b != NULL && rows[n] == rows[2 * LINES - 1 - n], "%s: line %zu: %s",
                  words, n, out);
        for (size_t row = 0; row < rows[n]; row++) {
            size_t x, y;
            const char *left = without_number(a, &x), *right = without_number(b, &y);
            cr_assert(x == y && memcmp(left, right, x) == 0, "%s: line %zu: %.*s, or %.*s", words,
                      n, (int)x, left, (int)y, right);
            a += strcspn(a, "\n") + 1;
            b += strcspn(b, "\n") + 1;
        }
    }
}

static void check_pair(size_t i, size_t k)
{
    struct program p;
    char words[300];
    snprintf(words, sizeof words, "%s %s", words_of(i), words_of(k));
    run(&p, i, k);
    if (i != k && clashes(i, k)) {
        cr_assert(p.status == 2 && (strstr(p.err, "together with") || strstr(p.err, "choose one")),
                  "%s: %d: %s", words, p.status, p.err);
    } else {
        bool json = strstr(words, "--json") != NULL;
        cr_assert(p.status == 0, "%s: %d: %s", words, p.status, p.err);
        check_halves(words, p.out, !json && strstr(words, "--n-best") != NULL);
    }
    program_release(&p);
}

/* Apart, so that they run side by side. */
static void check_part(size_t part)
{
    size_t number = 0;
    for (size_t i = 0; i < OPTIONS; i++)
        for (size_t k = i; k < OPTIONS; k++)
            if (number++ % PARTS == part)
                check_pair(i, k);
}

Test(translate_pairs, first)
{
    check_part(0);
}

Test(translate_pairs, second)
{
    check_part(1);
}

Test(translate_pairs, third)
{
    check_part(2);
}

Test(translate_pairs, fourth)
{
    check_part(3);
}
