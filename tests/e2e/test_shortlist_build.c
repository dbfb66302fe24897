/* lingster shortlist from outside: made from text, used by translate, and refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_folder.h"

/* Words become the next letter. */
static const char source[] = "a b c\nb c d\n\nd e\nc a\nf g h a b c d e\nstrange\n";
static const char target[] = "b c d\nc d e\na\ne f\nd b\ng h i b c d e f\np\n";

static void setup(void)
{
    scratch_make();
    tiny_folder_write("MODEL", 11, 'a');
    scratch_write("SOURCE", source, sizeof source - 1);
    scratch_write("TARGET", target, sizeof target - 1);
    scratch_write("EMPTY", "", 0);
    scratch_write("SHORT", "b c d\n", 6);
}

TestSuite(shortlist_build, .init = setup, .fini = scratch_remove);

/* Each @ is the scratch folder; the caller releases. */
static struct program run(const char *words, int want)
{
    struct program p;
    char all[2048];
    size_t length = 0;
    for (const char *at = words; *at != '\0'; at++)
        length += (size_t)snprintf(all + length, sizeof all - length, *at == '@' ? "%s" : "%.1s",
                                   *at == '@' ? scratch_path("") : at);
    program_run(&p, all, "a b c\nd e f g\n", 14, NULL);
    cr_assert(p.status == want, "lingster %s: status %d: %s", all, p.status, p.err);
    return p;
}

static void expect(const char *words, int want, const char *said)
{
    struct program p = run(words, want);
    cr_assert(strstr(p.err, said) != NULL, "lingster %s: expected '%s', found: %s", words, said,
              p.err);
    program_release(&p);
}

static struct lng_buffer content_of(const char *name)
{
    struct lng_buffer content = {0};
    check_ok(lng_file_read(scratch_path(name), 1 << 20, &content));
    return content;
}

#define PAIRS "shortlist -m @MODEL --train-source @SOURCE --train-target @TARGET "

/* One pair has an empty side; what is unknown is the unknown word's. */
Test(shortlist_build, made_and_used)
{
    expect(PAIRS "-o @one --threads 1", 0, "source words from 6 pairs");
    expect(PAIRS "-o @four --threads 4 --quiet", 0, "");
    struct lng_buffer one = content_of("one"), four = content_of("four");
    cr_assert(one.length == four.length && memcmp(one.data, four.data, one.length) == 0);
    cr_assert(strncmp(one.data, "p <unk> ", 8) == 0, "%s", one.data);
    cr_assert(strstr(one.data, "\nb a ") != NULL && strstr(one.data, "\nd c ") != NULL);
    expect(PAIRS "-o @few --shortlist-best 1", 0, "9 targets of 9 source words");
    expect(PAIRS "-o @binary --binary --shortlist-best 1 --shortlist-first 3", 0, "9 targets");
    struct program text = run("translate -m @MODEL --shortlist @few --shortlist-first 3", 0);
    struct program binary = run("translate -m @MODEL --shortlist @binary", 0);
    cr_assert(strstr(text.err, "the first 3 of ") != NULL &&
                  strstr(binary.err, "the first 3 of ") != NULL,
              "%s%s", text.err, binary.err);
    cr_assert_str_eq(text.out, binary.out);
    program_release(&text);
    program_release(&binary);
    lng_buffer_release(&one);
    lng_buffer_release(&four);
}

Test(shortlist_build, options)
{
    expect(PAIRS "-o @list --max-length 5", 0, "left out 1 of 6 pairs: longer than --max-length 5");
    scratch_write("TSV", "a b\tb c\textra\n", 14);
    expect("shortlist -m @MODEL --train-tsv @TSV -o @list --iterations 1", 0, "from 1 pairs");
    struct lng_buffer list = content_of("list");
    cr_assert_str_eq(list.data, "b a 0.5\nc a 0.5\nb b 0.5\nc b 0.5\n");
    lng_buffer_release(&list);
}

Test(shortlist_build, refused)
{
    expect("shortlist --train-source @SOURCE --train-target @TARGET -o @list", 2,
           "--model DIR is required");
    expect(PAIRS, 2, "--output PATH is required");
    expect("shortlist -m @MODEL -o @list", 2, "no training data");
    expect("shortlist -m @MODEL --train-source @SOURCE -o @list", 2,
           "train-source has 1 files and train-target 0");
    expect("shortlist -m @MODEL --train-source @SOURCE --train-target @SHORT -o @list", 1,
           "7 lines");
    expect("shortlist -m @MODEL --train-source @EMPTY --train-target @EMPTY -o @list", 1, "EMPTY");
    expect("shortlist -m @MODEL --train-source @missing --train-target @TARGET -o @list", 1,
           "missing");
    expect("shortlist -m @missing --train-source @SOURCE --train-target @TARGET -o @list", 1,
           "missing");
    expect(PAIRS "-o @list --memory 1K", 1, "bytes or more, found 1024");
    expect(
        "shortlist -m @MODEL --train-source @SHORT --train-target @SHORT -o @list --max-length 2",
        1, "no pair to learn from: all 1 are longer than --max-length 2");
    expect(PAIRS "-o @list --shortlist-threshold 1", 1, "above --shortlist-threshold 1");
    expect(PAIRS "-o @list --iterations 0", 2, "iterations");
    expect(PAIRS "-o @nowhere/list", 1, "nowhere");
    cr_assert(!lng_file_exists(scratch_path("list")), "nothing is written then");
}

/* A vocabulary that is not the model's. */
Test(shortlist_build, another_vocabulary)
{
    expect(PAIRS "-o @list", 0, "wrote");
    tiny_folder_write("OTHER", 11, 'A');
    expect("translate -m @OTHER --shortlist @list", 1, "no pair of words that the vocabularies");
}
