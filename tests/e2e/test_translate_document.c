/* lingster translate with documents, and the demonstration model on generated ones. LNG_DOCUMENTS sets how many of
 * each format, 3 unless told. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/cli/translate_document.h"
#include "host/store/model_dir.h"
#include "tests/support/check.h"
#include "tests/support/document_maker.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"

static const char *demo(void)
{
    static char path[512];
    const char *root = getenv("LNG_TEST_ROOT");
    snprintf(path, sizeof path, "%s/configs/demo", root != NULL ? root : ".");
    return path;
}

Test(translate_document, marks_survive_a_real_model, .timeout = 6000)
{
    const char *given = getenv("LNG_DOCUMENTS");
    uint32_t count = given != NULL ? (uint32_t)atoi(given) : 3;
    struct lng_device *device;
    struct lng_model model;
    struct lng_model_data data;
    struct lng_tokenizer *tokenizer;
    struct lng_translator *translator;
    struct lng_translate_options options = lng_translate_options_default();
    options.alignment = LNG_TRANSLATE_ALIGNMENT_HARD;
    options.search.beam.beam = 1;
    options.search.beam.n_best = 1;
    check_ok(lng_device_open("cpu", NULL, &device));
    check_ok(lng_model_load(demo(), device, LNG_DTYPE_F32, false, &model, &data));
    check_ok(lng_tokenizer_open_directory(data.directory, &tokenizer));
    check_ok(lng_translator_open(&model, tokenizer, &options, &translator));
    for (int i = 0; i < DOCUMENT_FORMATS; i++) {
        enum lng_opt_document_format format = document_format(i);
        struct lng_read_options read = document_options(format);
        for (uint32_t seed = 0; seed < count; seed++) {
            struct lng_buffer before = {0}, same = {0}, got = {0};
            document_make(format, seed, false, &before);
            document_make(format, seed, true, &same);
            check_ok(lng_translate_document(
                "document", before.data != NULL ? before.data : "", before.length, format, &read,
                lng_translate_document_lines, translator, &got, NULL, NULL));
            document_check(format, seed, &same, &got);
            lng_buffer_release(&before);
            lng_buffer_release(&same);
            lng_buffer_release(&got);
        }
    }
    lng_translator_close(translator);
    lng_tokenizer_close(tokenizer);
    lng_model_data_release(&data);
    lng_model_release(&model);
    lng_device_close(device);
}

static void run(struct program *program, const char *words, const char *input, int want)
{
    char all[2048];
    snprintf(all, sizeof all, "translate -q --beam-size 1 -m %s %s", demo(), words);
    program_run(program, all, input, input != NULL ? strlen(input) : 0, NULL);
    cr_assert(program->status == want, "%s: status %d: %s", all, program->status, program->err);
}

Test(translate_document, files_are_known_by_their_names)
{
    struct program program;
    struct lng_buffer out = {0};
    char words[1024];
    scratch_make();
    const char srt[] = "1\n00:00:01,000 --> 00:00:02,000\n<i>The dog is in the house.</i>\n";
    snprintf(words, sizeof words, "-i %s -o %s", scratch_write("film.SRT", srt, sizeof srt - 1),
             scratch_path("out"));
    run(&program, words, NULL, 0);
    check_ok(lng_file_read(scratch_path("out"), 1 << 20, &out));
    cr_assert(strncmp(out.data, srt, 35) == 0 && strstr(out.data, "Hund") != NULL &&
                  strstr(out.data, "</i>\n") != NULL,
              "%s", out.data);
    program_release(&program);
    run(&program, "--format html", "<p class=x>The <b>dog</b> is here.</p>\n", 0);
    cr_assert(strncmp(program.out, "<p class=x>", 11) == 0 &&
                  strstr(program.out, "<b>Hund</b>") != NULL,
              "%s", program.out);
    program_release(&program);
    run(&program, "--format tsv --tsv-column 2 --tsv-target 3",
        "The dog is here.\tThe dog is here.\n", 0);
    cr_assert(strncmp(program.out, "The dog is here.\tThe dog is here.\tDer Hund", 42) == 0, "%s",
              program.out);
    program_release(&program);
    lng_buffer_release(&out);
    scratch_remove();
}

Test(translate_document, misuse_is_refused_and_writes_nothing)
{
    struct program program;
    char words[1024];
    scratch_make();
    const char *path = scratch_write("page.html", "<p>The dog", 10);
    snprintf(words, sizeof words, "-i %s -o %s", path, path);
    run(&program, words, NULL, 2);
    program_release(&program);
    run(&program, "--format html --json", "<p>a</p>", 2);
    program_release(&program);
    run(&program, "--format tmx --document-target de\"", "<tmx/>", 2);
    cr_assert(strstr(program.err, "expected a language") != NULL);
    program_release(&program);
    snprintf(words, sizeof words, "-i %s -o %s", scratch_write("bad.xlf", "<xliff>", 7),
             scratch_path("out"));
    run(&program, words, NULL, 1);
    cr_assert(strstr(program.err, "line 1") != NULL && !lng_file_exists(scratch_path("out")));
    program_release(&program);
    scratch_remove();
}
