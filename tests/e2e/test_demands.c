/* Constraints, terms, placeholders, soft prefixes and unknown words, with the demonstration model, which never saw a
 * brace. LNG_TEST_LINES=2000 makes the counted tests as long as that. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/infer/word_text.h"
#include "host/store/json.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/translate_rig.h"
#include "tokenizer/placeholder.h"

static void put(const char *name, const char *text)
{
    (void)scratch_write(name, text, strlen(text));
}

static int lines_wanted(int few)
{
    const char *text = getenv("LNG_TEST_LINES");
    return text != NULL ? atoi(text) : few;
}

static uint32_t draw(uint32_t line, uint32_t what, uint32_t below)
{
    return lng_philox4x32(line, what, 0, 0, 5, 9).word[0] % below;
}

/* Runs translate -m configs/demo with further words (split at spaces, "@x" is the scratch file x). */
static void translate(struct program *program, const char *words, const char *input, int want)
{
    const char *arguments[40] = {"translate", "-m", "configs/demo", "--device", "cpu"};
    char copy[1024], paths[8][256];
    size_t count = 5, path = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        if (word[0] == '@') {
            snprintf(paths[path], sizeof paths[path], "%s", scratch_path(word + 1));
            word = paths[path++];
        }
        arguments[count++] = word;
    }
    arguments[count] = NULL;
    program_run_arguments(program, arguments, input, strlen(input), NULL);
    cr_assert(program->status == want, "%s: exit %d: %s", words, program->status, program->err);
}

static void check_out(const char *words, const char *input, const char *expected)
{
    struct program program;
    translate(&program, words, input, 0);
    cr_assert_str_eq(program.out, expected, "'%s', expected '%s'", program.out, expected);
    program_release(&program);
}

static void check_refused(const char *words, const char *input, int status, const char *part)
{
    struct program program;
    translate(&program, words, input, status);
    cr_assert(strstr(program.err, part) != NULL, "%s: '%s' is not in: %s", words, part,
              program.err);
    program_release(&program);
}

static struct lng_slice line_of(const struct lng_buffer *text, int number)
{
    struct lng_slice rest = {text->data, text->length}, line = {NULL, 0};
    for (int i = 0; i <= number; i++)
        cr_assert(lng_text_split(&rest, '\n', &line), "line %d", i);
    return line;
}

static struct lng_slice next_line(const char **at)
{
    const char *end = strchr(*at, '\n');
    cr_assert(end != NULL);
    struct lng_slice line = {*at, (size_t)(end - *at)};
    *at = end + 1;
    return line;
}

/* A sentence of the sample with one to four placeholders between its words. */
static void append_line(struct lng_buffer *out, const struct lng_buffer *sample, int number)
{
    static const char *const kinds[] = {
        /* ~ is a number */
        "{{name~}}",
        "%~$s",
        "{~}",
        "${x~}",
        "https://example.org/p~?a=b&c=%20d",
        "user~@mail.example.org",
        "<b id=\"~\">",
        "__PH~__",
        "AB-~",
        "<br n=\"~\"/>",
        "%(key~)s",
        "{count~, plural}",
        "\"%~$d\",",
        "(#{v~})",
    };
    uint32_t n = (uint32_t)number;
    struct lng_slice rest = line_of(sample, (int)draw(n, 0, 200)), word;
    for (uint32_t w = 0; lng_text_next_word(&rest, &word); w++) {
        if (draw(n, 10 + w, 4) == 0 || w == 2) {
            const char *kind = kinds[draw(n, 100 + w, sizeof kinds / sizeof *kinds)];
            for (; *kind != '\0'; kind++)
                if (*kind == '~')
                    check_ok(lng_buffer_append_format(out, "%u", draw(n, 300 + w, 90) + 1));
                else
                    check_ok(lng_buffer_append_byte(out, *kind));
            check_ok(lng_buffer_append_text(out, draw(n, 500 + w, 8) == 0 ? "" : " "));
        }
        check_ok(lng_buffer_append(out, word.data, word.length));
        check_ok(lng_buffer_append_byte(out, ' '));
    }
    check_ok(lng_buffer_append_byte(out, '\n'));
}

static struct lng_placeholders *known;

/* The same placeholders, each as often, in any order, byte for byte; the number of them. */
static size_t compare_placeholders(struct lng_slice from, struct lng_slice to)
{
    struct lng_placeholder_ranges a = {0}, b = {0};
    check_ok(lng_placeholder_find(known, from.data, from.length, &a));
    check_ok(lng_placeholder_find(known, to.data, to.length, &b));
    cr_assert(a.count == b.count, "%zu placeholders became %zu: '%.*s' -> '%.*s'", a.count, b.count,
              (int)from.length, from.data, (int)to.length, to.data);
    bool used[64] = {false};
    for (size_t i = 0; i < a.count; i++) {
        bool found = false;
        size_t length = a.data[i].end - a.data[i].begin;
        for (size_t k = 0; k < b.count && k < 64 && !found; k++)
            if (!used[k] && b.data[k].end - b.data[k].begin == length &&
                memcmp(from.data + a.data[i].begin, to.data + b.data[k].begin, length) == 0)
                found = used[k] = true;
        cr_assert(found, "'%.*s' is lost: '%.*s'", (int)length, from.data + a.data[i].begin,
                  (int)to.length, to.data);
    }
    size_t count = a.count;
    lng_placeholder_ranges_release(&a);
    lng_placeholder_ranges_release(&b);
    return count;
}

Test(demands, placeholders_survive)
{
    static const char *const extra[] = {"AB-[0-9]+"};
    struct lng_buffer sample = {0}, input = {0};
    struct program program;
    int count = lines_wanted(40);
    size_t placeholders = 0;
    check_ok(lng_placeholders_open(true, extra, 1, &known));
    check_ok(lng_file_read("configs/demo/sample.en", 1 << 20, &sample));
    for (int i = 0; i < count; i++)
        append_line(&input, &sample, i);
    translate(&program, "--placeholders --placeholder AB-[0-9]+", input.data, 0);
    const char *in = input.data, *out = program.out;
    for (int i = 0; i < count; i++)
        placeholders += compare_placeholders(next_line(&in), next_line(&out));
    cr_assert(*out == '\0' && placeholders >= (size_t)count);
    cr_assert(strstr(program.err, "could not place") == NULL, "%s", program.err);
    cr_log_info("%zu placeholders in %d lines", placeholders, count);
    program_release(&program);
    lng_buffer_release(&sample);
    lng_buffer_release(&input);
    lng_placeholders_close(known);
}

Test(demands, crowded_and_bare_lines)
{
    check_ok(lng_placeholders_open(true, NULL, 0, &known));
    check_out("--placeholders", "{0}\n  <br/> \n{a}{b}, %s\n\n%d%%\n",
              "{0}\n<br/>\n{a}{b}, %s\n\n%d%%\n");
    struct lng_buffer input = {0};
    for (int i = 0; i < 15; i++)
        check_ok(lng_buffer_append_format(&input, "a house {%d} ", i));
    check_ok(lng_buffer_append_text(
        &input, "\n<b><i>Good</i> morning</b>, my friend.\nTom saw {0}, {0} and Maria "
                "in Boston.\nI saw \xEF\xA3\xBD here.\n"));
    struct program program;
    translate(&program, "--placeholders --max-length 60", input.data, 0);
    const char *in = input.data, *out = program.out;
    for (int i = 0; i < 4; i++)
        (void)compare_placeholders(next_line(&in), next_line(&out));
    cr_assert(strstr(program.out, "</i>") > strstr(program.out, "<i>") &&
              strstr(program.out, "</b>") > strstr(program.out, "<b>"));
    cr_assert_not_null(strstr(program.out, "\xEF\xA3\xBD"));
    program_release(&program);
    lng_buffer_release(&input);
    lng_placeholders_close(known);
}

/* Segments of placeholders alone are not searched: not a second time either, and what they are is no risk. */
Test(demands, bare_lines_and_risks)
{
    struct program program;
    static const char bare[] = "https://example.org/a?b=1\n";
    check_out("--placeholders --on-risk retry,empty", bare, bare);
    check_out("--placeholders --on-risk source --risk-numbers 1", "%d {0}\n", "%d {0}\n");
    /* one segment is a placeholder alone, and the line is always flagged */
    translate(&program, "--placeholders --on-risk retry --risk-repetition 1 --max-segment 8 --json",
              "I see you in the old house. https://example.org/a You see me in the old house.\n",
              0);
    cr_assert_not_null(strstr(program.out, "https://example.org/a"), "%s", program.out);
    cr_assert_not_null(strstr(program.out, "\"action\": \"kept\""), "%s", program.out);
    program_release(&program);
}

static bool has_word(json_t *text, const char *phrase)
{
    return lng_word_find(json_string_value(text), json_string_length(text), lng_slice_of(phrase),
                         0) >= 0;
}

/* Two random phrases in each line, also ones that the vocabulary cannot write, and a forbidden word. */
Test(demands, phrases_appear)
{
    static const char *const phrases[] = {
        "Hund",
        "sehr gut",
        "am Ende",
        "die blaue T\xC3\xBCr",
        "nicht mehr",
        "Donaudampfschifffahrt",
        "zwei St\xC3\xBChle",
        "Z\xC3\xBCrich",
        "Frau M\xC3\xBCller",
        "\xC2\xA7 5",
        "\xE2\x84\x96 7",
        "um acht Uhr",
        "keine Zeit",
        "Quelle",
        "\xCE\xA9",
        "beim Arzt",
    };
    static const char *const forbidden[] = {"der", "das", "und", "ist", "ich"};
    enum { PHRASES = sizeof phrases / sizeof *phrases };
    scratch_make();
    struct lng_buffer sample = {0}, input = {0}, demands = {0};
    int count = lines_wanted(24);
    check_ok(lng_file_read("configs/demo/sample.en", 1 << 20, &sample));
    for (int i = 0; i < count; i++) {
        struct lng_slice line = line_of(&sample, (int)draw((uint32_t)i, 1, 200));
        uint32_t a = draw((uint32_t)i, 2, PHRASES),
                 b = (a + 1 + draw((uint32_t)i, 3, PHRASES - 1)) % PHRASES;
        check_ok(lng_buffer_append(&input, line.data, line.length));
        check_ok(lng_buffer_append_byte(&input, '\n'));
        check_ok(lng_buffer_append_format(
            &demands, "{\"positive\": [\"%s\", \"%s\"], \"negative\": [\"%s\"]}\n", phrases[a],
            phrases[b], forbidden[i % 5]));
    }
    (void)scratch_write("demands", demands.data, demands.length);
    struct program program;
    translate(&program, "--json --n-best 2 --constraints @demands", input.data, 0);
    const char *out = program.out;
    for (int i = 0; i < count; i++) {
        struct lng_slice line = next_line(&out);
        json_t *root, *hypothesis;
        size_t k;
        uint32_t a = draw((uint32_t)i, 2, PHRASES),
                 b = (a + 1 + draw((uint32_t)i, 3, PHRASES - 1)) % PHRASES;
        check_ok(lng_json_parse("output", line.data, line.length, &root));
        json_array_foreach(json_object_get(root, "hypotheses"), k, hypothesis)
        {
            json_t *text = json_object_get(hypothesis, "text");
            cr_assert(has_word(text, phrases[a]) && has_word(text, phrases[b]),
                      "line %d: '%s' and '%s' in '%s'", i, phrases[a], phrases[b],
                      json_string_value(text));
            cr_assert(!has_word(text, forbidden[i % 5]), "line %d: '%s' in '%s'", i,
                      forbidden[i % 5], json_string_value(text));
        }
        json_decref(root);
    }
    cr_assert(strstr(program.out, "\"inserted\"") == NULL &&
              strstr(program.out, "\"violated\"") == NULL);
    program_release(&program);
    lng_buffer_release(&sample);
    lng_buffer_release(&input);
    lng_buffer_release(&demands);
    scratch_remove();
}

/* Whatever the batch and the window are, and beside lines that demand nothing. */
Test(demands, company_does_not_matter)
{
    static const char input[] = "The {0} leaves at eight.\nGood morning.\nI see a dog and a "
                                "{name}.\nMy sister lives here.\n"
                                "We drink milk.\nWhere is {0}?\n";
    static const char demands[] =
        "[\"Hund\", \"am Ende\"]\n\n{\"negative\": [\"Hund\", \"und\"]}\n[\"klein\"]\n\n[]\n";
    static const char *const ways[] = {"--batch-sentences 1", "--batch-sentences 4 --window 5",
                                       "--window 1", "--threads 1", "--batch-tokens 12"};
    scratch_make();
    put("demands", demands);
    put("prefixes", "\nGuten\n\n\nWir\n\n");
    put("terms", "sister\tSchwester\nmilk\tMilch\n");
    const char *all = "--placeholders --constraints @demands --prefix @prefixes --prefix-bias 0.5 "
                      "--terminology @terms "
                      "--replace-unk --json --n-best 3 --alignment hard";
    struct program expected, program;
    translate(&expected, all, input, 0);
    cr_assert_not_null(strstr(expected.out, "\"met\""));
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char words[1024];
        snprintf(words, sizeof words, "%s %s", all, ways[i]);
        translate(&program, words, input, 0);
        cr_assert_str_eq(program.out, expected.out, "%s", ways[i]);
        program_release(&program);
    }
    program_release(&expected);
    /* A line without demands comes out as ever. */
    struct program plain;
    translate(&plain, "", "Good morning.\nMy sister lives here.\n", 0);
    translate(&program, "--placeholders --terminology @terms",
              "Good morning.\nMy sister lives here.\n", 0);
    cr_assert(strncmp(plain.out, program.out, strcspn(plain.out, "\n")) == 0);
    program_release(&plain);
    program_release(&program);
    scratch_remove();
}

Test(demands, terms_prefixes_and_unknown_words)
{
    scratch_make();
    struct program program;
    put("terms", "train\tEisenbahn\nred wine\tTraubensaft\n");
    translate(&program, "--terminology @terms --placeholders",
              "The train is red.\nI drink red wine.\nThe {train} is here.\n", 0);
    const char *out = program.out;
    struct lng_slice first = next_line(&out), second = next_line(&out), third = next_line(&out);
    cr_assert(lng_word_find(first.data, first.length, lng_slice_of("Eisenbahn"), 0) >= 0);
    cr_assert(lng_word_find(second.data, second.length, lng_slice_of("Traubensaft"), 0) >= 0);
    cr_assert(lng_word_find(third.data, third.length, lng_slice_of("Eisenbahn"), 0) < 0);
    program_release(&program);
    translate(&program, "--terminology @terms --terminology-ignore-case", "THE TRAIN!\n", 0);
    cr_assert_not_null(strstr(program.out, "Eisenbahn"));
    program_release(&program);

    put("prefix", "Das ist {0}\n");
    translate(&program, "--prefix @prefix --placeholders", "That is {0}.\n", 0);
    cr_assert(strncmp(program.out, "Das ist {0}", 11) == 0 &&
                  strstr(program.out + 5, "{0}") == strstr(program.out, "{0}"),
              "%s", program.out);
    cr_assert_null(strstr(strstr(program.out, "{0}") + 1, "{0}"));
    program_release(&program);
    put("prefix", "Der Hund\n");
    translate(&program, "--prefix @prefix --prefix-bias 0.999", "Good morning.\n", 0);
    cr_assert(strncmp(program.out, "Der Hund", 8) == 0, "%s", program.out);
    program_release(&program);
    struct program plain;
    translate(&program, "--prefix @prefix --prefix-bias 0.000001", "Good morning.\n", 0);
    translate(&plain, "", "Good morning.\n", 0);
    cr_assert_str_eq(program.out, plain.out);
    program_release(&program);
    program_release(&plain);

    translate(&program, "--replace-unk", "\xE2\x82\xAC is \xE2\x98\x83.\n", 0);
    cr_assert(strstr(program.out, "\xE2\x81\x87") == NULL, "%s", program.out);
    cr_assert(strstr(program.out, "\xE2\x82\xAC") != NULL ||
                  strstr(program.out, "\xE2\x98\x83") != NULL,
              "%s", program.out);
    program_release(&program);
    put("words", "\xE2\x82\xAC\tEuro\n\xE2\x98\x83\tSchneemann\n");
    translate(&program, "--replace-unk --unk-dictionary @words", "\xE2\x82\xAC is \xE2\x98\x83.\n",
              0);
    cr_assert(strstr(program.out, "Euro") != NULL || strstr(program.out, "Schneemann") != NULL,
              "%s", program.out);
    program_release(&program);
    scratch_remove();
}

/* Several segments: phrases are spread over them, terms are where their source is. */
Test(demands, long_lines)
{
    scratch_make();
    put("demands", "[\"Hund\", \"Katze\", \"Maus\"]\n");
    put("terms", "train\tEisenbahn\n");
    const char *text = "The {0} is in the house and sleeps. We go to {1} by train today. I like %s "
                       "and the sea very much.\n";
    struct program program;
    translate(&program,
              "--max-segment 14 --placeholders --constraints @demands --terminology @terms --json",
              text, 0);
    json_t *root;
    const char *out = program.out;
    struct lng_slice line = next_line(&out);
    check_ok(lng_json_parse("output", line.data, line.length, &root));
    json_t *translation = json_object_get(root, "translation"),
           *segments = json_object_get(root, "segments");
    static const char *const there[] = {"Hund", "Katze", "Maus", "{0}", "{1}", "%s", "Eisenbahn"};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        cr_assert(strstr(json_string_value(translation), there[i]) != NULL, "%s: %s", there[i],
                  json_string_value(translation));
    cr_assert(json_array_size(segments) >= 3);
    struct lng_buffer joined = {0};
    json_t *segment;
    size_t k;
    json_array_foreach(segments, k, segment) check_ok(
        lng_buffer_append_text(&joined, json_string_value(json_object_get(segment, "source"))));
    cr_assert(strncmp(joined.data, text, strlen(text) - 1) == 0,
              "segments are parts of the line itself: %s", joined.data);
    lng_buffer_release(&joined);
    json_decref(root);
    program_release(&program);
    scratch_remove();
}

/* A vocabulary of sixteen symbols: what stands in is one of them; with more placeholders than that, too. */
Test(demands, symbols)
{
    static const char input[] =
        "a {0} b {1} c\n{0}{1}{2}{3}{4}{5}{6}{7}{8}{9} a b {10} c d {11} e {12} f {13}\n%s\n";
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    rig->options.demand.placeholders = true;
    translate_rig_reopen(rig);
    check_ok(lng_placeholders_open(true, NULL, 0, &known));
    check_ok(translate_rig_bytes(rig, input, sizeof input - 1, NULL));
    const char *in = input;
    for (size_t i = 0; i < 3; i++)
        (void)compare_placeholders(next_line(&in), translate_rig_line(rig, i));
    lng_placeholders_close(known);
    translate_rig_close(rig);
    scratch_remove();
}

/* The model has rows that are no token, which other toolkits let through: nothing is read beside the texts. */
Test(demands, rows_without_tokens)
{
    static const char input[] = "a {0} b {1} c\nd e f\n";
    scratch_make();
    struct translate_rig *rig = translate_rig_open();
    lng_tokenizer_close(rig->tokenizer);
    rig->tokenizer = translate_rig_words(6);
    rig->options.demand.placeholders = true;
    rig->options.search.any_token = true;
    rig->options.search.beam.beam = 6;
    translate_rig_reopen(rig);
    check_ok(translate_rig_bytes(rig, input, sizeof input - 1, NULL));
    cr_assert(translate_rig_count(rig) == 2);
    cr_assert(memmem(rig->out.data, rig->out.length, "{0}", 3) != NULL);
    translate_rig_close(rig);
    scratch_remove();
}

Test(demands, refused)
{
    scratch_make();
    put("short", "[\"a\"]\n");
    put("bad", "[\"a\"]\n{\"positive\": 3}\n");
    put("both", "{\"positive\": [\"das Haus\"], \"negative\": [\"Haus\"]}\n");
    (void)scratch_write("long",
                        "[\"eins zwei drei vier f\xC3\xBCnf sechs sieben acht neun zehn\"]\n", 57);
    put("terms", "a b c\n");
    const char *two = "Good morning.\nGood night.\n", *one = "Good morning.\n";
    check_refused("--constraints @short", two, 1, "only 1 lines");
    check_refused("--constraints @bad", one, 1, "more lines than the 1");
    check_refused("--constraints @bad", two, 1, "line 2");
    check_refused("--constraints @both", one, 1, "'Haus' must not");
    check_refused("--constraints @long --max-length 5", one, 1, "--max-length");
    check_refused("--constraints @nothing", one, 1, "nothing");
    check_refused("--terminology @terms", one, 1, "line 1");
    check_refused("--terminology @nothing", one, 1, "nothing");
    check_refused("--placeholder (a", one, 1, "(a");
    check_refused("--placeholder (o+)+[xyz] --placeholder ((a|a)*)*b",
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\n", 1, "too long");
    check_refused("--prefix-bias 1", one, 2, "prefix-bias");
    check_refused("--prefix-bias -0.1", one, 2, "prefix-bias");
    check_refused("--replace-unk --unk-dictionary @terms", one, 1, "line 1");
    scratch_remove();
}
